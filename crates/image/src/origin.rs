//! Where the bytes of an image come from: one contract, whatever the place.

use crate::{
    Credentials, Images, PullOptions, Source, TlsVerify, layout, names,
    plan::{Plan, check_content, parse_manifest},
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_distribution::{Client, Reference, Repository};
use dhow_spec::image::{CONFIG_LIMIT_BYTES, Descriptor, Document, ImageConfig, Platform};
use std::{fmt, io::Read};

/// A place that has blobs.
pub(crate) trait Origin: fmt::Debug + Send + Sync {
    /// The bytes of a blob from `offset` on. They are not checked here.
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>>;
}

impl Origin for Repository {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(Self::blob(self, descriptor, offset)?))
    }
}

/// What a source led to: one image's manifest, and where the rest of it is.
#[derive(Debug)]
pub(crate) struct Found {
    /// Media type, digest and size of the manifest.
    pub(crate) manifest: Descriptor,
    /// The manifest's bytes, which have that digest.
    pub(crate) bytes: Vec<u8>,
    /// The names that shall lead to the image.
    pub(crate) names: Vec<String>,
    /// Where its blobs are.
    pub(crate) origin: Box<dyn Origin>,
}

impl Found {
    /// Fetches the configuration and checks all that can be checked without the layers.
    pub(crate) fn plan(&self, wanted: &Platform) -> Result<Plan> {
        let manifest = parse_manifest(&self.manifest, &self.bytes)?;
        let config = small_blob(self.origin.as_ref(), &manifest.config, CONFIG_LIMIT_BYTES)?;
        Plan::new(self.manifest.clone(), self.bytes.clone(), manifest, config, wanted)
    }
}

impl Found {
    /// The platform that the image itself says it is for.
    pub(crate) fn own_platform(&self) -> Result<Platform> {
        let manifest = parse_manifest(&self.manifest, &self.bytes)?;
        let config = small_blob(self.origin.as_ref(), &manifest.config, CONFIG_LIMIT_BYTES)?;
        Ok(ImageConfig::parse(&config)?.platform())
    }
}

/// Reads a small blob whole and verifies it.
pub(crate) fn small_blob(
    origin: &dyn Origin,
    descriptor: &Descriptor,
    limit_bytes: u64,
) -> Result<Vec<u8>> {
    let doing = || format!("read blob {}", descriptor.digest);
    if descriptor.size > limit_bytes {
        let what =
            format!("{}: it has {} bytes, more than {limit_bytes}", doing(), descriptor.size);
        return Err(Error::new(Kind::Exhausted, what));
    }
    let mut bytes = Vec::new();
    let stream = origin.blob(descriptor, 0).doing(doing)?;
    stream.take(descriptor.size + 1).read_to_end(&mut bytes).doing(doing)?;
    check_content(descriptor, &bytes)?;
    Ok(bytes)
}

impl Images {
    /// Asks the source which manifest it has for us.
    pub(crate) fn resolve(
        &self,
        source: &Source,
        options: &PullOptions,
        platform: &Platform,
    ) -> Result<Found> {
        match source {
            Source::Registry(name) => {
                let client = self.client_with(options.tls_verify, options.credentials.as_ref())?;
                from_registry(&client, name, platform)
            }
            Source::Layout(path, name) => layout::from_directory(path, name.as_deref(), platform),
            Source::LayoutArchive(path, name) => {
                layout::from_archive(path, name.as_deref(), platform, &self.scratch())
            }
            Source::DockerArchive(path, name) => {
                layout::from_docker(path, name.as_deref(), &self.scratch())
            }
        }
    }

    /// Where a compressed archive is inflated; the file there has no name.
    fn scratch(&self) -> std::path::PathBuf {
        self.store.root().join("ingest")
    }

    /// The shared client, or one of its own for work that was told more.
    pub(crate) fn client_with(
        &self,
        tls_verify: Option<bool>,
        credentials: Option<&Credentials>,
    ) -> Result<Client> {
        if tls_verify.is_none() && credentials.is_none() {
            return self.client().cloned();
        }
        let mut config = self.registries.clone();
        if let Some(verify) = tls_verify {
            config.tls_verify = if verify { TlsVerify::Always } else { TlsVerify::Never };
        }
        if credentials.is_some() {
            config.credentials = credentials.cloned();
        }
        Client::new(&config)
    }
}

/// Tries the complete names that a name may stand for, in order.
fn from_registry(client: &Client, name: &str, platform: &Platform) -> Result<Found> {
    let mut failed: Option<Error> = None;
    for reference in client.expand(name)? {
        match from_reference(client, &reference, platform) {
            Ok(found) => return Ok(found),
            // The first registry of a search list is the one that the user most likely meant.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or_else(|| {
        Error::new(Kind::NotFound, format!("no registry is configured to have {name}"))
    }))
}

fn from_reference(client: &Client, reference: &Reference, platform: &Platform) -> Result<Found> {
    let resolved = client.resolve(reference)?;
    let mut names = vec![names::key(reference)];
    let mut remember = |digest: &Digest| {
        let name = names::key(&reference.with_digest(digest.clone()));
        if !names.contains(&name) {
            names.push(name);
        }
    };
    remember(&resolved.descriptor.digest);
    let (manifest, bytes) = match Document::parse(&resolved.bytes, &resolved.descriptor.media_type)
        .doing(|| format!("read the manifest of {reference}"))?
    {
        Document::Manifest(_) => (resolved.descriptor, resolved.bytes),
        Document::Index(index) => {
            let chosen =
                index.choose(platform).doing(|| format!("read the index of {reference}"))?;
            let fetched = resolved.repository.manifest(&chosen.digest)?;
            check_content(chosen, &fetched.bytes)?;
            remember(&chosen.digest);
            (Descriptor::new(&chosen.media_type, chosen.digest.clone(), chosen.size), fetched.bytes)
        }
    };
    Ok(Found { manifest, bytes, names, origin: Box::new(resolved.repository) })
}
