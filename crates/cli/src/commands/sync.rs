//! `image sync`: copy all images of a repository, directory or list.

use super::copy::{dialect, write_digest_file};
use crate::{
    console::Console,
    exit::{FAILURE, SUCCESS},
    flags::{
        foreign::{PaceFlags, SigningFlags},
        way::{DestinationWay, SourceWay, Way},
    },
    invocation::Invocation,
    manners::Manners,
    skopeo,
    tree::Act,
};
use clap::ValueEnum;
use dhow_base::{Error, Kind, Result};
use dhow_image::{
    CopyOptions, End, MultiArch, Place, SyncFrom, SyncOptions, SyncOutcome, SyncProgress, SyncSide,
    SyncTo, Synced,
};

/// Copy all images of a repository, directory or list
///
/// What is at the destination already is not copied. SOURCE is a repository (--src docker), a
/// directory of images (--src dir) or a list (--src yaml), DESTINATION a name in a registry or a
/// directory.
#[derive(clap::Args, Debug)]
pub(crate) struct Sync {
    /// Where the images are
    #[arg(value_name = "SOURCE")]
    source: String,

    /// Where they are to be
    #[arg(value_name = "DESTINATION")]
    destination: String,

    /// Copy the images for all platforms
    #[arg(short, long)]
    all: bool,

    /// Put this behind each tag
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    append_suffix: String,

    /// Read credentials for both places from this file alone
    #[arg(long, value_name = "FILE")]
    authfile: Option<String>,

    /// Write the digests of the copies to this file, each with its place
    #[arg(long, value_name = "FILE")]
    digestfile: Option<String>,

    /// What the destination is
    #[arg(short, long, value_name = "TRANSPORT", value_enum)]
    dest: Destination,

    /// Only say what would be copied
    #[arg(long)]
    dry_run: bool,

    /// The kind of manifest that the copies have: oci or v2s2
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,

    /// Go on with the others when one fails
    #[arg(long)]
    keep_going: bool,

    /// Fail rather than change a digest
    #[arg(long)]
    preserve_digests: bool,

    /// Leave signatures behind
    #[arg(long)]
    remove_signatures: bool,

    /// How often a request is tried again
    #[arg(long, value_name = "TIMES")]
    retry_times: Option<u32>,

    #[command(flatten)]
    pace: PaceFlags,

    #[command(flatten)]
    signing: SigningFlags,

    /// Keep the whole name of the source below the destination
    #[arg(long)]
    scoped: bool,

    /// What the source is
    #[arg(short, long, value_name = "TRANSPORT", value_enum)]
    src: Source,

    #[command(flatten)]
    from: SourceWay,

    #[command(flatten)]
    to: DestinationWay,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Source {
    /// A repository of a registry.
    Docker,
    /// A directory of images.
    Dir,
    /// A list of repositories and tags.
    Yaml,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Destination {
    /// A name in a registry.
    Docker,
    /// A directory.
    Dir,
}

impl Act for Sync {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        if self.src == Source::Dir && self.dest == Destination::Dir {
            let what = "sync from 'dir' to 'dir' not implemented, consider using rsync instead";
            return Err(Error::new(Kind::Unsupported, what));
        }
        self.signing.check()?;
        self.pace.check(invocation.console);
        let absolute = |path: &str| invocation.surroundings().absolute(path);
        let source = match self.src {
            Source::Docker => SyncFrom::Repository(bare(&self.source)),
            Source::Dir => SyncFrom::Directory(absolute(&self.source)),
            Source::Yaml => SyncFrom::List(absolute(&self.source)),
        };
        let destination = match self.dest {
            Destination::Docker => SyncTo::Registry(bare(&self.destination)),
            Destination::Dir => SyncTo::Directory(absolute(&self.destination)),
        };
        let from = self.end(self.from.clone().into(), &self.source, invocation)?;
        let to = self.end(self.to.clone().into(), &self.destination, invocation)?;
        let (source, target) =
            (SyncSide { place: source, way: from }, SyncSide { place: destination, way: to });
        let options = self.options(invocation)?;
        let listener = Listener {
            console: invocation.console,
            manners: invocation.manners,
            dry: self.dry_run,
        };
        let synced = invocation
            .with_images(false, |images, _| images.sync(&source, &target, &options, &listener))?;
        if !self.dry_run {
            self.write_digests(&synced, invocation)?;
        }
        for error in &synced.failed {
            invocation.console.error(error);
        }
        let verb = if self.dry_run { "Would have synced" } else { "Synced" };
        let (copied, same) = (synced.copied, synced.same);
        match invocation.manners {
            Manners::Skopeo => {
                let sources = synced.sources;
                skopeo::inform(&format!("{verb} {copied} images from {sources} sources"), &[]);
            }
            _ => invocation
                .console
                .note(&format!("{verb} {copied} images, {same} were there already")),
        }
        Ok(if synced.failed.is_empty() { SUCCESS } else { FAILURE })
    }
}

impl Sync {
    fn end(&self, way: Way, name: &str, invocation: &Invocation) -> Result<End> {
        let way = way.or_authfile(self.authfile.as_ref());
        let end = way.end_at(Place::Registry(bare(name)), invocation)?;
        Ok(end.retried(self.retry_times))
    }

    /// A line a copy, as skopeo has it. What was there already is there by that digest, too.
    fn write_digests(&self, synced: &Synced, invocation: &Invocation) -> Result<()> {
        let Some(path) = &self.digestfile else { return Ok(()) };
        let lines: String =
            synced.digests.iter().map(|(place, digest)| format!("{digest} {place}\n")).collect();
        write_digest_file(path, &lines, invocation)
    }

    fn options(&self, invocation: &Invocation) -> Result<SyncOptions> {
        Ok(SyncOptions {
            copy: CopyOptions {
                platform: invocation.platform.clone(),
                multi_arch: if self.all { MultiArch::All } else { MultiArch::System },
                format: self.format.as_deref().map(dialect).transpose()?,
                preserve_digests: self.preserve_digests,
                remove_signatures: self.remove_signatures,
                ..CopyOptions::default()
            },
            scoped: self.scoped,
            keep_going: self.keep_going,
            dry_run: self.dry_run,
            append_suffix: self.append_suffix.clone(),
        })
    }
}

/// A name without the transport that other commands put in front.
fn bare(name: &str) -> String {
    name.strip_prefix("docker://").unwrap_or(name).to_owned()
}

struct Listener {
    console: Console,
    manners: Manners,
    dry: bool,
}

impl SyncProgress for Listener {
    fn image(&self, from: &Place, to: &Place, outcome: SyncOutcome) {
        if self.manners == Manners::Skopeo {
            if outcome == SyncOutcome::Copied {
                let text = if self.dry { "Would have copied image" } else { "Copied image" };
                skopeo::inform(text, &[("from", &from.to_string()), ("to", &to.to_string())]);
            }
            return;
        }
        let verb = match outcome {
            SyncOutcome::Copied if self.dry => "would have copied",
            SyncOutcome::Copied => "copied",
            SyncOutcome::Same => "there already:",
            SyncOutcome::Failed => "failed:",
        };
        self.console.note(&format!("{verb} {from} to {to}"));
    }
}
