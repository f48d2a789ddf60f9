//! What a pull is going to do: the documents of one image, checked against each other.
//!
//! Everything that can be refused without fetching a layer is refused here.

use dhow_base::{Digest, Doing, Error, Kind, Result, id::chain_id};
use dhow_spec::image::{
    CONFIG_LIMIT_BYTES, Descriptor, Document, ImageConfig, Manifest, Platform, media_type,
};
use std::collections::HashMap;

/// One layer of the image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer {
    /// Its blob.
    pub(crate) descriptor: Descriptor,
    /// The digest of its uncompressed form.
    pub(crate) diff_id: Digest,
    /// What stands when it has been applied.
    pub(crate) chain_id: Digest,
}

/// An image that may be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its manifest.
    pub(crate) manifest: Descriptor,
    /// The manifest's bytes.
    pub(crate) manifest_bytes: Vec<u8>,
    /// Its configuration.
    pub(crate) config: Descriptor,
    /// The configuration's bytes, which are text.
    pub(crate) config_json: String,
    /// Its layers, the lowest first.
    pub(crate) layers: Vec<Layer>,
}

impl Plan {
    /// Joins a manifest and its configuration, whose bytes have the digest that the manifest says.
    pub(crate) fn new(
        manifest: Descriptor,
        manifest_bytes: Vec<u8>,
        parsed: Manifest,
        config_bytes: Vec<u8>,
        wanted: &Platform,
    ) -> Result<Self> {
        let image = ImageConfig::parse(&config_bytes)
            .doing(|| format!("read the configuration {}", parsed.config.digest))?;
        check_platform(&image, wanted)?;
        let layers = layers(&parsed, &image)?;
        let config_json = String::from_utf8(config_bytes)
            .map_err(|_| Error::new(Kind::Corrupt, "the configuration is not UTF-8"))?;
        Ok(Self { manifest, manifest_bytes, config: parsed.config, config_json, layers })
    }

    /// The chain id of the whole image; none where it has no layers.
    pub(crate) fn top(&self) -> Option<&Digest> {
        self.layers.last().map(|layer| &layer.chain_id)
    }
}

/// Parses a manifest that is to be an image's, and refuses what is none.
pub(crate) fn parse_manifest(descriptor: &Descriptor, bytes: &[u8]) -> Result<Manifest> {
    match Document::parse(bytes, &descriptor.media_type)? {
        Document::Manifest(manifest) => {
            check_manifest(&manifest)?;
            Ok(*manifest)
        }
        Document::Index(_) => Err(Error::new(
            Kind::Unsupported,
            format!("read manifest {}: it is an index within an index", descriptor.digest),
        )),
    }
}

fn check_manifest(manifest: &Manifest) -> Result<()> {
    let config = &manifest.config;
    if !matches!(config.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) {
        let what = manifest.artifact_type.as_ref().unwrap_or(&config.media_type);
        return Err(Error::new(Kind::Unsupported, format!("this is no image but {what:?}")));
    }
    if config.size > CONFIG_LIMIT_BYTES {
        return Err(Error::new(
            Kind::Exhausted,
            format!("the configuration has {} bytes, more than 8 MiB", config.size),
        ));
    }
    check_descriptor(config)?;
    let mut seen: HashMap<&Digest, &Descriptor> = HashMap::new();
    for layer in &manifest.layers {
        check_layer(layer)?;
        // One blob under two descriptions is how a scanner is shown another image than a runtime.
        if let Some(other) = seen.insert(&layer.digest, layer)
            && (other.size, &other.media_type) != (layer.size, &layer.media_type)
        {
            return Err(Error::new(
                Kind::Corrupt,
                format!("the manifest describes blob {} in two ways", layer.digest),
            ));
        }
    }
    Ok(())
}

fn check_layer(layer: &Descriptor) -> Result<()> {
    let refuse = |why: &str| {
        let what = format!("layer {} of type {:?} {why}", layer.digest, layer.media_type);
        Err(Error::new(Kind::Unsupported, what))
    };
    let kind = layer.media_type.as_str();
    if !layer.urls.is_empty() || kind.contains("foreign") || kind.contains("nondistributable") {
        return refuse("would have to come from somewhere else; dhow does not follow");
    }
    let known = [
        media_type::OCI_LAYER,
        media_type::OCI_LAYER_GZIP,
        media_type::OCI_LAYER_ZSTD,
        media_type::DOCKER_LAYER,
        media_type::DOCKER_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ];
    if !known.contains(&kind) {
        return refuse("is not a layer that dhow knows");
    }
    check_descriptor(layer)
}

/// Content that a descriptor carries itself must be the content that it describes.
fn check_descriptor(descriptor: &Descriptor) -> Result<()> {
    let Some(data) = &descriptor.data else { return Ok(()) };
    let bytes = data_encoding::BASE64.decode(data.as_bytes()).map_err(|error| {
        Error::new(Kind::Corrupt, format!("read the data of {}", descriptor.digest)).because(error)
    })?;
    let size_fits = bytes.len() as u64 == descriptor.size;
    if size_fits && digest_like(&descriptor.digest, &bytes) == descriptor.digest {
        return Ok(());
    }
    Err(Error::new(
        Kind::Corrupt,
        format!("the data in the descriptor of {} is not its content", descriptor.digest),
    ))
}

/// The digest of `bytes` by the algorithm of another digest.
pub(crate) fn digest_like(like: &Digest, bytes: &[u8]) -> Digest {
    let mut hasher = dhow_base::digest::Hasher::new(like.algorithm());
    hasher.update(bytes);
    hasher.finish()
}

/// Fails unless `bytes` are what `descriptor` promises.
pub(crate) fn check_content(descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
    let corrupt = |why: String| {
        Err(Error::new(Kind::Corrupt, format!("check {}: its content {why}", descriptor.digest)))
    };
    if bytes.len() as u64 != descriptor.size {
        return corrupt(format!("has {} bytes, expected {}", bytes.len(), descriptor.size));
    }
    let actual = digest_like(&descriptor.digest, bytes);
    if actual != descriptor.digest {
        return corrupt(format!("has digest {actual}"));
    }
    Ok(())
}

/// Fails unless the image can be used on the wanted platform.
pub(crate) fn check_platform(image: &ImageConfig, wanted: &Platform) -> Result<()> {
    let own = image.platform();
    // Images of data alone may say nothing.
    if (own.os.is_empty() && own.architecture.is_empty()) || own.satisfies(wanted) {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, format!("the image is for {own}, not for {wanted}"))
        .hint(format!("--platform {own} takes it as it is")))
}

fn layers(manifest: &Manifest, image: &ImageConfig) -> Result<Vec<Layer>> {
    if image.rootfs.kind != "layers" {
        let what = format!("the root filesystem is of type {:?}", image.rootfs.kind);
        return Err(Error::new(Kind::Unsupported, what));
    }
    let (blobs, diff_ids) = (&manifest.layers, &image.rootfs.diff_ids);
    if blobs.len() != diff_ids.len() {
        return Err(Error::new(
            Kind::Corrupt,
            format!(
                "the manifest has {} layers, the configuration {}",
                blobs.len(),
                diff_ids.len()
            ),
        ));
    }
    let mut layers: Vec<Layer> = Vec::with_capacity(blobs.len());
    let mut contents: HashMap<&Digest, &Digest> = HashMap::new();
    for (descriptor, diff_id) in blobs.iter().zip(diff_ids) {
        if contents.insert(&descriptor.digest, diff_id).is_some_and(|other| other != diff_id) {
            return Err(Error::new(
                Kind::Corrupt,
                format!("blob {} is said to be two different layers", descriptor.digest),
            ));
        }
        let below = layers.last().map(|layer| &layer.chain_id);
        layers.push(Layer {
            chain_id: chain_id(below, diff_id),
            descriptor: descriptor.clone(),
            diff_id: diff_id.clone(),
        });
    }
    Ok(layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn layer(text: &str) -> Descriptor {
        Descriptor::new(media_type::OCI_LAYER_GZIP, digest(text), 7)
    }

    fn manifest(layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.into()),
            artifact_type: None,
            config: Descriptor::new(media_type::OCI_CONFIG, digest("config"), 7),
            layers,
            subject: None,
            annotations: Default::default(),
        }
    }

    fn plan(manifest: Manifest, diff_ids: &[&str], os: &str) -> Result<Plan> {
        let ids: Vec<String> =
            diff_ids.iter().map(|text| format!("\"{}\"", digest(text))).collect();
        let config = format!(
            r#"{{"architecture":"amd64","os":"{os}","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            ids.join(",")
        );
        check_manifest(&manifest)?;
        let descriptor = Descriptor::new(media_type::OCI_MANIFEST, digest("manifest"), 7);
        let wanted = Platform::parse("linux/amd64").unwrap();
        Plan::new(descriptor, Vec::new(), manifest, config.into_bytes(), &wanted)
    }

    #[test]
    fn what_can_be_refused_early_is() {
        let with = |change: &dyn Fn(&mut Descriptor)| {
            let mut layer = layer("a");
            change(&mut layer);
            manifest(vec![layer])
        };
        let two_types =
            manifest(vec![layer("a"), Descriptor::new(media_type::OCI_LAYER_ZSTD, digest("a"), 7)]);
        let two_sizes =
            manifest(vec![layer("a"), Descriptor::new(media_type::OCI_LAYER_GZIP, digest("a"), 8)]);
        let mut artifact = manifest(vec![]);
        artifact.config.media_type = "application/vnd.oci.empty.v1+json".into();
        let mut huge = manifest(vec![]);
        huge.config.size = 1 << 30;
        let cases: [(&str, Manifest, &[&str], Kind); 11] = [
            ("too few layers", manifest(vec![]), &["x"], Kind::Corrupt),
            ("too many layers", manifest(vec![layer("a")]), &[], Kind::Corrupt),
            ("two types", two_types, &["x", "x"], Kind::Corrupt),
            ("two sizes", two_sizes, &["x", "x"], Kind::Corrupt),
            ("two diffs", manifest(vec![layer("a"), layer("a")]), &["x", "y"], Kind::Corrupt),
            ("urls", with(&|l| l.urls.push("http://x".into())), &["x"], Kind::Unsupported),
            (
                "foreign",
                with(&|l| {
                    l.media_type =
                        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
                }),
                &["x"],
                Kind::Unsupported,
            ),
            ("unknown", with(&|l| l.media_type = "text/plain".into()), &["x"], Kind::Unsupported),
            ("data", with(&|l| l.data = Some("AAAA".into())), &["x"], Kind::Corrupt),
            ("artifact", artifact, &[], Kind::Unsupported),
            ("huge config", huge, &[], Kind::Exhausted),
        ];
        for (name, manifest, diff_ids, kind) in cases {
            let error = plan(manifest, diff_ids, "linux").expect_err(name);
            assert_eq!(error.kind(), kind, "{name}: {}", error.one_line());
        }
    }

    #[test]
    fn ten_thousand_layers_are_too_many() {
        let ids = vec![format!("\"{}\"", digest("x")); 10_000].join(",");
        let config = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#);

        let error = ImageConfig::parse(config.as_bytes()).unwrap_err();

        assert_eq!(error.kind(), Kind::Exhausted);
    }

    #[test]
    fn a_layer_may_come_twice_and_the_chain_differs() {
        let plan = plan(manifest(vec![layer("a"), layer("a")]), &["x", "x"], "linux").unwrap();

        assert_eq!(plan.layers[0].chain_id, digest("x"));
        assert_ne!(plan.layers[1].chain_id, plan.layers[0].chain_id);
        assert_eq!(plan.top(), Some(&plan.layers[1].chain_id));
    }

    #[test]
    fn another_platform_is_refused_unless_the_image_says_nothing() {
        let error = plan(manifest(vec![]), &[], "windows").unwrap_err();

        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("windows/amd64"), "{error}");
    }
}
