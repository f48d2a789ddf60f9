//! `image copy`: copy an image from place to place.

use crate::{
    exit::SUCCESS,
    flags::{
        foreign::{CopyingFlags, PaceFlags, SigningFlags},
        way::{DestinationWay, SourceWay, Way},
    },
    invocation::Invocation,
    manners::Manners,
    outfile, skopeo,
    tree::Act,
};
use clap::ValueEnum;
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_image::{
    Copied, CopyOptions, Dialect, Encoding, End, Images, MultiArch, Packing, Progress,
};
use dhow_state::State;

/// Copy an image from place to place
///
/// A place is docker://NAME in a registry, oci:DIR[:NAME], oci-archive:FILE[:NAME],
/// docker-archive:FILE[:NAME], dir:DIR, or dhow:NAME among our own images. Nothing is kept here.
#[derive(clap::Args, Debug)]
pub(crate) struct Copy {
    /// Where the image is
    #[arg(value_name = "SOURCE")]
    source: String,

    /// Where it is to be
    #[arg(value_name = "DESTINATION")]
    destination: String,

    /// One more name for the copy, in a docker-archive
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    additional_tag: Vec<String>,

    /// Copy the images for all platforms
    #[arg(short, long)]
    all: bool,

    /// Read credentials for both places from this file alone
    #[arg(long, value_name = "FILE")]
    authfile: Option<String>,

    /// Compress layers that are not
    #[arg(long)]
    dest_compress: bool,

    /// Compress all layers so: gzip, zstd or zstd:chunked
    #[arg(long, value_name = "FORMAT")]
    dest_compress_format: Option<String>,

    /// How hard to compress
    #[arg(long, value_name = "LEVEL", allow_hyphen_values = true)]
    dest_compress_level: Option<i32>,

    /// Uncompress all layers
    #[arg(long)]
    dest_decompress: bool,

    /// Leave uncompressed layers so
    #[arg(long)]
    dest_oci_accept_uncompressed_layers: bool,

    /// Accepted for skopeo's sake: digests are always known before anything is sent
    #[arg(long, hide = true)]
    dest_precompute_digests: bool,

    /// Accepted for skopeo's sake: with a format all layers have it
    #[arg(long, hide = true, requires = "dest_compress_format")]
    dest_force_compress_format: bool,

    /// Write the digest of the copy to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<String>,

    /// The kind of manifest that the copy has: oci or v2s2
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,

    /// Which images of a list to copy
    #[arg(long, value_name = "WHICH", value_enum, conflicts_with = "all")]
    multi_arch: Option<Which>,

    /// Copy the image of this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,

    /// Fail rather than change a digest
    #[arg(long)]
    preserve_digests: bool,

    /// Print nothing
    #[arg(short, long)]
    quiet: bool,

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

    #[command(flatten)]
    copying: CopyingFlags,

    #[command(flatten)]
    from: SourceWay,

    #[command(flatten)]
    to: DestinationWay,
}

/// Which images of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Which {
    /// The one for this platform.
    System,
    /// All.
    All,
    /// None, only the list.
    IndexOnly,
}

impl Act for Copy {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        self.signing.check()?;
        self.copying.check(invocation.console)?;
        self.pace.check(invocation.console);
        let options = self.options(invocation)?;
        let (from, to) = self.ends(invocation)?;
        let ours = from.place.is_local() || to.place.is_local();
        let copied = invocation.with_images(ours, |images, state| {
            self.copy((images, state), &from, &to, &options, invocation)
        })?;
        for notice in from.take_notices().into_iter().chain(to.take_notices()) {
            invocation.console.note(&notice);
        }
        for note in &copied.notes {
            invocation.console.warning(note);
        }
        if let Some(path) = &self.digestfile {
            write_digest(path, &copied.digest, invocation)?;
        }
        if !self.quiet && invocation.manners != Manners::Skopeo {
            invocation.console.line(copied.digest.as_str())?;
        }
        Ok(SUCCESS)
    }
}

impl Copy {
    fn copy(
        &self,
        (images, state): (&Images, Option<&mut State>),
        from: &End,
        to: &End,
        options: &CopyOptions,
        invocation: &Invocation,
    ) -> Result<Copied> {
        if invocation.manners == Manners::Skopeo {
            let told = skopeo::Told::begin(invocation.console, self.quiet)?;
            let copied = images.copy(state, from, to, options, &told)?;
            told.end(&copied)?;
            return Ok(copied);
        }
        let reporter = invocation.progress_of("copying", self.quiet);
        let progress: &dyn Progress = &reporter;
        images.copy(state, from, to, options, progress)
    }

    fn ends(&self, invocation: &Invocation) -> Result<(End, End)> {
        let way = |way: Way| way.or_authfile(self.authfile.as_ref());
        let with_retries = |way: Way, text: &str, what: &str| {
            let doing = || format!("Invalid {what} name {text}");
            let end = way.end(text, invocation).doing(doing)?;
            Ok::<End, Error>(end.retried(self.retry_times))
        };
        let from = with_retries(way(self.from.clone().into()), &self.source, "source")?;
        let to = with_retries(way(self.to.clone().into()), &self.destination, "destination")?;
        Ok((from, to))
    }

    fn options(&self, invocation: &Invocation) -> Result<CopyOptions> {
        let platform = self.platform.as_deref().map(crate::flags::container::platform);
        Ok(CopyOptions {
            platform: platform.transpose()?.or_else(|| invocation.platform.clone()),
            multi_arch: match self.multi_arch {
                Some(Which::All) => MultiArch::All,
                None if self.all => MultiArch::All,
                Some(Which::IndexOnly) => MultiArch::IndexOnly,
                Some(Which::System) | None => MultiArch::System,
            },
            format: self.format.as_deref().map(dialect).transpose()?,
            packing: self.packing()?,
            level: self.dest_compress_level,
            preserve_digests: self.preserve_digests,
            additional_tags: self.additional_tag.clone(),
            remove_signatures: self.remove_signatures,
            keep_plain: self.dest_oci_accept_uncompressed_layers,
        })
    }

    fn packing(&self) -> Result<Packing> {
        let format = self.dest_compress_format.as_deref();
        let format = format.map(Encoding::from_word).transpose()?;
        match (self.dest_decompress, format, self.dest_compress) {
            (true, None, false) => Ok(Packing::Unpack),
            (false, Some(format), _) => Ok(Packing::Repack(format)),
            (false, None, true) => Ok(Packing::Pack(Encoding::Gzip)),
            (false, None, false) => Ok(Packing::Keep),
            (true, ..) => {
                let what = "layers cannot be compressed and uncompressed at once";
                Err(Error::new(Kind::Invalid, what))
            }
        }
    }
}

/// The kind of manifest that this word means.
pub(crate) fn dialect(word: &str) -> Result<Dialect> {
    match word {
        "oci" => Ok(Dialect::Oci),
        "v2s2" | "docker" => Ok(Dialect::Docker),
        "v2s1" => Err(Error::new(
            Kind::Unsupported,
            "--format v2s1: Docker schema 1 images are too old to be made",
        )),
        other => Err(Error::new(
            Kind::Invalid,
            format!(
                "unknown format {other:?}. Choose one of the supported formats: 'oci', or 'v2s2'"
            ),
        )),
    }
}

/// `--digestfile`: writes the digest into a file, which is whole or as it was.
pub(crate) fn write_digest(file: &str, digest: &Digest, invocation: &Invocation) -> Result<()> {
    write_digest_file(file, digest.as_str(), invocation)
}

/// The same for a text of several digests.
pub(crate) fn write_digest_file(file: &str, text: &str, invocation: &Invocation) -> Result<()> {
    let path = invocation.surroundings().absolute(file);
    outfile::write(&path, text).doing(|| "write the digest file")
}
