//! The image that the binary makes from itself: `dhow run --rm hello` needs no registry.
//!
//! Its one layer holds the static binary as `/hello`; everything else about it is ordinary. The
//! layer is hashed anew each time, so a new binary is a new image and an old one is never taken for
//! it. An image that somebody pulled or built under the same name goes first.

use dhow_archive::{ArchivePath, Builder, Entry, EntryKind, Limits, Measured};
use dhow_base::{Digest, Doing, Result, digest::Algorithm};
use dhow_image::{Image, Images, LocalImage};
use dhow_spec::{
    image::{ExecutionConfig, History, ImageConfig, Platform, RootFs},
    runtime::{NamespaceKind, Spec},
};
use dhow_state::State;
use std::{
    fs::File,
    io::{self, Write},
};

/// The word that means this image where nothing else is called so.
pub(crate) const WORD: &str = "hello";
/// The name under which it is stored.
const NAME: &str = "localhost/hello:latest";
/// The label by which it is known again.
const LABEL: &str = "org.dhow.embedded";
/// The variable in which the program finds the host's namespaces.
pub const HOST_NAMESPACES: &str = "DHOW_HOST_NAMESPACES";

/// Could the user mean the embedded image?
pub(crate) fn is_meant(image: &str) -> bool {
    matches!(image, WORD | "hello:latest" | "localhost/hello" | NAME)
}

/// Is this the embedded image, of this binary or an older one?
pub(crate) fn is_embedded(image: &Image) -> bool {
    image.config.config.labels.contains_key(LABEL)
}

/// The embedded image of this very binary; stored and unpacked at its first use.
pub(crate) fn provide(images: &Images, state: &mut State) -> Result<Image> {
    let doing = || "make the hello image from this binary";
    let binary = File::open("/proc/self/exe").doing(doing)?;
    let measured = Measured::new(io::sink(), Algorithm::Sha256);
    let (_, _, diff_id) = write_layer(&binary, measured).doing(doing)?.finish();
    if let Some(image) = images.find(state, NAME)?
        && image.config.rootfs.diff_ids == [diff_id.clone()]
    {
        return Ok(image);
    }
    let local = LocalImage { name: Some(NAME.to_owned()), config: config(diff_id) };
    images
        .create(state, &local, &mut |sink: &mut dyn Write| write_layer(&binary, sink).map(|_| ()))
        .doing(doing)
}

/// The layer: one directory entry and the binary, with fixed times and owners.
fn write_layer<W: Write>(binary: &File, sink: W) -> Result<W> {
    let size = binary.metadata().doing(|| "look at this binary")?.len();
    let mut builder = Builder::new(sink);
    let path = ArchivePath::parse(b"hello", &Limits::default())?;
    builder.append(
        &Entry::new(path, EntryKind::File { size }, 0o755),
        &mut ReadAt { file: binary, at: 0 },
    )?;
    builder.finish()
}

fn config(diff_id: Digest) -> ImageConfig {
    let platform = Platform::host();
    ImageConfig {
        created: Some("1970-01-01T00:00:00Z".to_owned()),
        author: None,
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        config: ExecutionConfig {
            entrypoint: vec!["/hello".to_owned()],
            labels: [(LABEL.to_owned(), WORD.to_owned())].into(),
            ..ExecutionConfig::default()
        },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![diff_id] },
        history: vec![History {
            created: Some("1970-01-01T00:00:00Z".to_owned()),
            created_by: Some("dhow: this binary, as /hello".to_owned()),
            ..History::default()
        }],
    }
}

/// Tells the program in the embedded image which namespaces the host has, so that it can compare.
/// A stranger's image may have the label as well, but not the name by which this one was asked for.
pub(crate) fn tell_of_host(mut spec: Spec, image: &Image, asked_for: &str) -> Result<Spec> {
    if is_meant(asked_for)
        && is_embedded(image)
        && let Some(process) = &mut spec.process
    {
        let mut words = Vec::new();
        for kind in NamespaceKind::ALL {
            let path = format!("/proc/self/ns/{}", kind.proc_name());
            match std::fs::read_link(&path) {
                Ok(link) => words.push(link.to_string_lossy().into_owned()),
                // A kernel without this kind of namespace.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).doing(|| format!("read {path}")),
            }
        }
        process.env.push(format!("{HOST_NAMESPACES}={}", words.join(",")));
    }
    Ok(spec)
}

/// Reads a file from its beginning without moving its cursor.
struct ReadAt<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
