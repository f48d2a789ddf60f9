//! Images without any container tool: layers from directories, manifests, layouts and archives.
//!
//! A [`Layout`] is an OCI image layout on disk, and everything is made inside one: layers stream
//! into its blobs, images are configurations and manifests over them, indexes join images of
//! several platforms. From there an image goes into an archive or, with [`Registry::push`], into a
//! registry. Whatever is not checked here is so on purpose: a test may make a wrong image.
//!
//! [`Registry::push`]: crate::Registry::push

use crate::{
    rootfs,
    tarball::{Entry, Tarball, What},
    tree::{self, Kind, Tree},
};
use dhow_base::{
    Digest, Doing, Error, Result,
    digest::{Algorithm, Hasher},
    id::random_hex,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// The annotation of a descriptor in a layout's index that holds its name.
const NAME: &str = "org.opencontainers.image.ref.name";

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// Whose media types a manifest speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// OCI image specification 1.1.
    Oci,
    /// Docker image manifest version 2, schema 2.
    Docker,
}

/// A layer that lies in a layout.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layer {
    /// The digest of the blob.
    pub digest: Digest,
    /// The digest of the uncompressed tar archive.
    pub diff_id: Digest,
    /// The size of the blob.
    pub size: u64,
    /// How the blob is compressed.
    pub compression: Compression,
}

/// An image to be written: layers and configuration.
#[derive(Clone, Debug)]
pub struct Image {
    /// Bottom first.
    pub layers: Vec<Layer>,
    /// The `config` object of the image's configuration.
    pub config: Value,
    /// Operating system, architecture and variant.
    pub platform: (String, String, Option<String>),
    /// Whose media types to use.
    pub dialect: Dialect,
}

impl Image {
    /// An image for this machine's platform that runs `sh`.
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Self {
            layers: layers.into_iter().collect(),
            config: json!({"Env": [format!("PATH={path}")], "Cmd": ["sh"]}),
            platform: ("linux".into(), native_architecture().into(), None),
            dialect: Dialect::Oci,
        }
    }

    /// Sets the default command.
    #[must_use]
    pub fn command(self, command: &[&str]) -> Self {
        self.set("Cmd", json!(command))
    }

    /// Sets one field of the configuration: `User`, `WorkingDir`, `Entrypoint`, `Labels`, …
    #[must_use]
    pub fn set(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    /// Says that the image is for another platform, such as `linux`, `arm64`, `v8`.
    #[must_use]
    pub fn platform(mut self, os: &str, architecture: &str, variant: Option<&str>) -> Self {
        self.platform = (os.into(), architecture.into(), variant.map(str::to_owned));
        self
    }

    /// Sets whose media types to use.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// The configuration's bytes.
    pub fn configuration(&self) -> Vec<u8> {
        let created = "2025-01-01T00:00:00Z";
        let (os, architecture, variant) = &self.platform;
        let diff_ids: Vec<&str> = self.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let history: Vec<Value> = (1..=self.layers.len())
            .map(|number| json!({"created": created, "created_by": format!("layer {number}")}))
            .collect();
        let mut document = json!({
            "created": created,
            "architecture": architecture,
            "os": os,
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        });
        if let Some(variant) = variant {
            document["variant"] = json!(variant);
        }
        document.to_string().into_bytes()
    }

    fn platform_value(&self) -> Value {
        let (os, architecture, variant) = &self.platform;
        let mut value = json!({"architecture": architecture, "os": os});
        if let Some(variant) = variant {
            value["variant"] = json!(variant);
        }
        value
    }
}

/// The architecture that the tests run on, in Go's words.
pub fn native_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An OCI image layout in a directory.
#[derive(Clone, Debug)]
pub struct Layout {
    path: PathBuf,
}

impl Layout {
    /// Makes an empty layout.
    pub fn new(path: &Path) -> Result<Self> {
        fs::create_dir_all(path.join("blobs/sha256"))
            .doing(|| format!("create the layout {}", path.display()))?;
        let layout = Self { path: path.to_owned() };
        layout
            .write("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().as_bytes())?;
        layout.write_index(&[])?;
        Ok(layout)
    }

    /// Opens a layout that is there.
    pub fn open(path: &Path) -> Result<Self> {
        let layout = Self { path: path.to_owned() };
        layout.index()?;
        Ok(layout)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `oci:<path>:<tag>`, as dhow and skopeo read it.
    pub fn reference(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", self.path.display())
    }

    /// The file of a blob.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Adds bytes as a blob.
    pub fn add_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        let path = self.blob(&digest);
        fs::write(&path, bytes).doing(|| format!("write {}", path.display()))?;
        Ok(digest)
    }

    /// Makes a layer of a tar archive.
    pub fn layer_of_tar(&self, archive: &[u8], compression: Compression) -> Result<Layer> {
        self.layer(compression, &|out| out.write_all(archive).doing(|| "write the layer"))
    }

    /// Makes a layer of a whole directory.
    pub fn layer_of(&self, directory: &Path, compression: Compression) -> Result<Layer> {
        let tree = Tree::read(directory)?;
        let names: Vec<Vec<u8>> =
            tree.entries.keys().filter(|name| *name != b".").cloned().collect();
        self.layer(compression, &|out| pack(directory, &tree, &names, &[], out))
    }

    /// Makes a layer of what must be done to `lower` to get `upper`.
    pub fn layer_between(
        &self,
        lower: &Path,
        upper: &Path,
        compression: Compression,
    ) -> Result<Layer> {
        let tree = Tree::read(upper)?;
        let (mut written, gone) = rootfs::changes(&Tree::read(lower)?, &tree);
        written.retain(|name| name != b".");
        self.layer(compression, &|out| pack(upper, &tree, &written, &gone, out))
    }

    /// Writes an image's configuration and manifest and names it; returns the manifest's digest.
    pub fn tag_image(&self, image: &Image, tag: &str) -> Result<Digest> {
        let descriptor = self.add_image(image)?;
        self.tag(descriptor.clone(), tag)?;
        digest_of(&descriptor)
    }

    /// Writes an index over images of several platforms and names it; returns its digest.
    pub fn tag_index(&self, images: &[Image], tag: &str) -> Result<Digest> {
        let manifests = images
            .iter()
            .map(|image| {
                let mut descriptor = self.add_image(image)?;
                descriptor["platform"] = image.platform_value();
                Ok(descriptor)
            })
            .collect::<Result<Vec<Value>>>()?;
        let docker = images.first().is_some_and(|image| image.dialect == Dialect::Docker);
        let media_type = if docker {
            "application/vnd.docker.distribution.manifest.list.v2+json"
        } else {
            "application/vnd.oci.image.index.v1+json"
        };
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        let descriptor = self.add_document(&index, media_type)?;
        self.tag(descriptor.clone(), tag)?;
        digest_of(&descriptor)
    }

    /// Writes an image's configuration and manifest; returns the manifest's descriptor.
    pub fn add_image(&self, image: &Image) -> Result<Value> {
        let types = MediaTypes::of(image.dialect);
        let configuration = image.configuration();
        let digest = self.add_blob(&configuration)?;
        let layers: Vec<Value> = image
            .layers
            .iter()
            .map(|layer| {
                let media_type = types.layer(layer.compression);
                json!({"mediaType": media_type, "digest": layer.digest.as_str(), "size": layer.size})
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": types.manifest,
            "config": {
                "mediaType": types.config,
                "digest": digest.as_str(),
                "size": configuration.len(),
            },
            "layers": layers,
        });
        self.add_document(&manifest, types.manifest)
    }

    /// Adds a document as a blob; returns its descriptor.
    pub fn add_document(&self, document: &Value, media_type: &str) -> Result<Value> {
        let bytes = document.to_string().into_bytes();
        let digest = self.add_blob(&bytes)?;
        Ok(json!({"mediaType": media_type, "digest": digest.as_str(), "size": bytes.len()}))
    }

    /// The manifest or index that has this name.
    pub fn manifest(&self, tag: &str) -> Result<Value> {
        parse(&self.document(&self.find(tag)?)?)
    }

    /// Names what a descriptor points at, in the place of whatever had the name.
    pub fn tag(&self, mut descriptor: Value, tag: &str) -> Result<()> {
        let mut manifests = self.index()?;
        manifests.retain(|manifest| manifest["annotations"][NAME] != tag);
        descriptor["annotations"] = json!({NAME: tag});
        manifests.push(descriptor);
        self.write_index(&manifests)
    }

    /// Writes the layout as an `oci-archive`.
    pub fn archive(&self, to: &Path) -> Result<()> {
        let tree = Tree::read(&self.path)?;
        let names: Vec<Vec<u8>> =
            tree.entries.keys().filter(|name| *name != b".").cloned().collect();
        let mut out = create(to)?;
        pack(&self.path, &tree, &names, &[], &mut out)
    }

    /// Writes a named image or index as skopeo's `dir:` and returns its name there.
    ///
    /// This is the way to push Docker's media types, which skopeo does not read from a layout.
    pub fn copy_to_dir(&self, tag: &str, to: &Path) -> Result<String> {
        fs::create_dir(to).doing(|| format!("create {}", to.display()))?;
        let write = |name: &str, bytes: &[u8]| {
            fs::write(to.join(name), bytes).doing(|| format!("write {name} of {}", to.display()))
        };
        write("version", b"Directory Transport Version: 1.1\n")?;
        let descriptor = self.find(tag)?;
        let top = self.document(&descriptor)?;
        write("manifest.json", &top)?;
        let document = parse(&top)?;
        let images = document["manifests"].as_array().cloned();
        for image in images.iter().flatten() {
            let bytes = self.document(image)?;
            write(&format!("{}.manifest.json", digest_of(image)?.hex()), &bytes)?;
        }
        let of_image = |image: &Value| self.document(image).and_then(|bytes| parse(&bytes));
        let manifests = match &images {
            Some(images) => images.iter().map(of_image).collect::<Result<Vec<Value>>>()?,
            None => vec![document],
        };
        let configs = manifests.iter().map(|manifest| &manifest["config"]);
        let layers = manifests.iter().flat_map(|manifest| manifest["layers"].as_array());
        for blob in configs.chain(layers.flatten()) {
            let digest = digest_of(blob)?;
            fs::copy(self.blob(&digest), to.join(digest.hex()))
                .doing(|| format!("copy {digest} to {}", to.display()))?;
        }
        Ok(format!("dir:{}", to.display()))
    }

    /// Writes an image as `docker save` does, with uncompressed layers, under `name:tag`.
    pub fn docker_archive(&self, image: &Image, name: &str, to: &Path) -> Result<()> {
        let mut tarball = Tarball::new(create(to)?);
        let configuration = image.configuration();
        let config_name = format!("{}.json", Digest::of(&configuration).hex());
        tarball.file(&config_name, &configuration)?;
        let mut names = Vec::new();
        let mut written = BTreeSet::new();
        for layer in &image.layers {
            let layer_name = format!("{}.tar", layer.diff_id.hex());
            if written.insert(layer_name.clone()) {
                let bytes = self.uncompressed(layer)?;
                tarball.file(&layer_name, &bytes)?;
            }
            names.push(layer_name);
        }
        let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]);
        tarball.file("manifest.json", manifest.to_string().as_bytes())?;
        let mut out = tarball.finish()?;
        out.flush().doing(|| format!("write {}", to.display()))
    }

    /// The tar archive of a layer.
    pub fn uncompressed(&self, layer: &Layer) -> Result<Vec<u8>> {
        let path = self.blob(&layer.digest);
        let doing = || format!("read {}", path.display());
        let file = File::open(&path).doing(doing)?;
        let mut bytes = Vec::new();
        match layer.compression {
            Compression::Plain => io::BufReader::new(file).read_to_end(&mut bytes),
            Compression::Gzip => flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes),
            Compression::Zstd => {
                zstd::Decoder::new(file).and_then(|mut decoder| decoder.read_to_end(&mut bytes))
            }
        }
        .doing(doing)?;
        Ok(bytes)
    }

    /// Makes a layer of what `fill` writes, a tar archive. Nothing of it stays in memory.
    pub fn layer(
        &self,
        compression: Compression,
        fill: &dyn Fn(&mut dyn Write) -> Result<()>,
    ) -> Result<Layer> {
        let unfinished = self.path.join(format!("layer.{}", random_hex(6)?));
        let blob = Hashed::new(create(&unfinished)?);
        let mut tar = Hashed::new(Compressor::new(blob, compression)?);
        fill(&mut tar)?;
        let (compressor, diff_id, _) = tar.finish();
        let (mut file, digest, size) = compressor.finish().doing(|| "compress a layer")?.finish();
        file.flush().doing(|| "write a layer")?;
        let path = self.blob(&digest);
        fs::rename(&unfinished, &path)
            .doing(|| format!("put {} into its place", path.display()))?;
        Ok(Layer { digest, diff_id, size, compression })
    }

    fn index(&self) -> Result<Vec<Value>> {
        let path = self.path.join("index.json");
        let bytes = fs::read(&path).doing(|| format!("read {}", path.display()))?;
        let index = parse(&bytes).doing(|| format!("read {}", path.display()))?;
        Ok(index["manifests"].as_array().cloned().unwrap_or_default())
    }

    fn find(&self, tag: &str) -> Result<Value> {
        let found = self.index()?.into_iter().find(|named| named["annotations"][NAME] == tag);
        found
            .ok_or_else(|| Error::new(dhow_base::Kind::NotFound, format!("find {tag} in a layout")))
    }

    fn document(&self, descriptor: &Value) -> Result<Vec<u8>> {
        let path = self.blob(&digest_of(descriptor)?);
        fs::read(&path).doing(|| format!("read {}", path.display()))
    }

    fn write_index(&self, manifests: &[Value]) -> Result<()> {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        self.write("index.json", index.to_string().as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        fs::write(&path, bytes).doing(|| format!("write {}", path.display()))
    }
}

fn parse(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::new(dhow_base::Kind::Corrupt, "parse JSON").because(error))
}

fn digest_of(descriptor: &Value) -> Result<Digest> {
    descriptor["digest"].as_str().unwrap_or_default().parse()
}

struct MediaTypes {
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
}

impl MediaTypes {
    fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Oci => Self {
                manifest: "application/vnd.oci.image.manifest.v1+json",
                config: "application/vnd.oci.image.config.v1+json",
                layer: "application/vnd.oci.image.layer.v1.tar",
            },
            Dialect::Docker => Self {
                manifest: "application/vnd.docker.distribution.manifest.v2+json",
                config: "application/vnd.docker.container.image.v1+json",
                layer: "application/vnd.docker.image.rootfs.diff.tar",
            },
        }
    }

    fn layer(&self, compression: Compression) -> String {
        let docker = self.layer.contains("docker");
        let suffix = match (compression, docker) {
            (Compression::Plain, _) => "",
            (Compression::Gzip, true) => ".gzip",
            (Compression::Gzip, false) => "+gzip",
            (Compression::Zstd, true) => ".zstd",
            (Compression::Zstd, false) => "+zstd",
        };
        format!("{}{suffix}", self.layer)
    }
}

fn create(path: &Path) -> Result<io::BufWriter<File>> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    Ok(io::BufWriter::with_capacity(1 << 18, file.doing(|| format!("create {}", path.display()))?))
}

/// Writes the named files of a tree, then whiteouts for those that are gone.
fn pack(
    root: &Path,
    tree: &Tree,
    names: &[Vec<u8>],
    gone: &[Vec<u8>],
    out: &mut dyn Write,
) -> Result<()> {
    let mut tarball = Tarball::new(out);
    let mut first_names = BTreeMap::new();
    for name in names {
        let file = &tree.entries[name];
        if file.kind == Kind::Socket {
            continue;
        }
        let first = file.same_as.as_ref().map(|group| first_names.entry(group).or_insert(name));
        match first {
            Some(first) if *first != name => {
                let entry = entry_of(name, file, What::HardLink(first.clone()));
                tarball.put(&entry, b"")?;
            }
            _ => put_whole(&mut tarball, root, name, file)?,
        }
    }
    for name in gone {
        tarball.put(&Entry::new(whiteout(name), What::File), b"")?;
    }
    tarball.finish()?;
    Ok(())
}

fn put_whole(
    tarball: &mut Tarball<&mut dyn Write>,
    root: &Path,
    name: &[u8],
    file: &tree::Entry,
) -> Result<()> {
    let (major, minor) = file.device.unwrap_or_default();
    let what = match file.kind {
        Kind::Directory => What::Directory,
        Kind::Symlink => What::Symlink(file.target.clone().unwrap_or_default()),
        Kind::Character => What::Character(major, minor),
        Kind::Block => What::Block(major, minor),
        Kind::Fifo => What::Fifo,
        Kind::File | Kind::Socket => What::File,
    };
    let mut entry = entry_of(name, file, what);
    if file.kind != Kind::File {
        if file.kind == Kind::Directory {
            entry.name.push(b'/');
        }
        tarball.put(&entry, b"")?;
        return Ok(());
    }
    let path = tree::below(root, name);
    let mut content = File::open(&path).doing(|| format!("open {}", path.display()))?;
    tarball.put_from(&entry, &mut content, file.size)?;
    Ok(())
}

fn entry_of(name: &[u8], file: &tree::Entry, what: What) -> Entry {
    let mut entry = Entry::new(name, what)
        .mode(file.mode)
        .owner(file.uid, file.gid)
        .mtime(file.mtime.0, file.mtime.1);
    entry.xattrs = file.xattrs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    entry
}

/// `a/b` becomes `a/.wh.b`.
fn whiteout(name: &[u8]) -> Vec<u8> {
    let at = name.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    [&name[..at], b".wh.", &name[at..]].concat()
}

/// Hashes and counts what goes through.
struct Hashed<W> {
    out: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Hashed<W> {
    fn new(out: W) -> Self {
        Self { out, hasher: Hasher::new(Algorithm::Sha256), size: 0 }
    }

    fn finish(self) -> (W, Digest, u64) {
        (self.out, self.hasher.finish(), self.size)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

enum Compressor<W: Write> {
    Plain(W),
    Gzip(flate2::write::GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    fn new(out: W, compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::Plain => Self::Plain(out),
            Compression::Gzip => {
                Self::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::default()))
            }
            Compression::Zstd => {
                Self::Zstd(zstd::Encoder::new(out, 3).doing(|| "start a zstd stream")?)
            }
        })
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Registry, Transport, need, needs_root, needs_tool, outcome};
    use std::process::Command;

    /// A layout over two layers; the second removes a file and a directory of the first.
    fn two_layers(at: &Path, compression: Compression) -> (Layout, Image) {
        let (lower, upper) = (at.join("lower"), at.join("upper"));
        let layout = Layout::new(&at.join("layout")).unwrap();
        for root in [&lower, &upper] {
            fs::create_dir_all(root.join("kept")).unwrap();
            fs::write(root.join("kept/file"), "kept").unwrap();
            fs::hard_link(root.join("kept/file"), root.join("kept/link")).unwrap();
            std::os::unix::fs::symlink("kept/file", root.join("soft")).unwrap();
        }
        fs::create_dir(lower.join("gone")).unwrap();
        fs::write(lower.join("gone/file"), "gone").unwrap();
        fs::write(upper.join("new"), "new").unwrap();
        let bottom = layout.layer_of(&lower, compression).unwrap();
        let top = layout.layer_between(&lower, &upper, compression).unwrap();
        (layout, Image::new([bottom, top]))
    }

    /// What umoci unpacks, without the directory's own times.
    fn unpacked_by_umoci(layout: &Layout, tag: &str, to: &Path) -> Tree {
        let mut command = Command::new("umoci");
        let image = format!("{}:{tag}", layout.path().display());
        command.args(["unpack", "--image", &image]).arg(to);
        drop(outcome::run_ok(&mut command, outcome::LIMIT).unwrap());
        Tree::read(&to.join("rootfs")).unwrap()
    }

    #[test]
    fn umoci_unpacks_what_was_packed_with_gzip_and_plain_layers() {
        needs_root!();
        needs_tool!("umoci");
        for compression in [Compression::Gzip, Compression::Plain] {
            let at = tempfile::tempdir().unwrap();
            let (layout, image) = two_layers(at.path(), compression);
            layout.tag_image(&image, "two").unwrap();

            let tree = unpacked_by_umoci(&layout, "two", &at.path().join("bundle"));

            let wanted = Tree::read(&at.path().join("upper")).unwrap();
            tree.without_times().assert_same(&wanted.without_times());
        }
    }

    #[test]
    fn skopeo_copies_every_dialect_and_compression_with_the_same_digest() {
        needs_tool!("skopeo");
        let cases = [
            (Compression::Gzip, Dialect::Oci),
            (Compression::Zstd, Dialect::Oci),
            (Compression::Plain, Dialect::Oci),
            (Compression::Gzip, Dialect::Docker),
        ];
        for (compression, dialect) in cases {
            let at = tempfile::tempdir().unwrap();
            let (layout, image) = two_layers(at.path(), compression);
            let digest = layout.tag_image(&image.dialect(dialect), "box").unwrap();
            let to = at.path().join("copy");
            let source = match dialect {
                Dialect::Oci => layout.reference("box"),
                Dialect::Docker => layout.copy_to_dir("box", &at.path().join("dir")).unwrap(),
            };

            let mut copy = Command::new("skopeo");
            copy.args(["--insecure-policy", "copy", "--preserve-digests", &source])
                .arg(format!("dir:{}", to.display()));
            drop(outcome::run_ok(&mut copy, outcome::LIMIT).unwrap());

            let manifest = fs::read(to.join("manifest.json")).unwrap();
            assert_eq!(Digest::of(&manifest), digest, "{compression:?} {dialect:?}");
        }
    }

    #[test]
    fn skopeo_reads_both_archives_and_picks_a_platform_from_an_index() {
        needs_tool!("skopeo");
        let at = tempfile::tempdir().unwrap();
        let (layout, image) = two_layers(at.path(), Compression::Zstd);
        let other = image.clone().platform("linux", "s390x", None);
        layout.tag_index(&[other, image.clone()], "many").unwrap();
        let (oci, docker) = (at.path().join("oci.tar"), at.path().join("docker.tar"));
        layout.archive(&oci).unwrap();
        layout.docker_archive(&image, "box:latest", &docker).unwrap();

        for source in [
            format!("oci-archive:{}:many", oci.display()),
            format!("docker-archive:{}:box:latest", docker.display()),
            layout.reference("many"),
        ] {
            let mut inspect = Command::new(need::tool("skopeo").unwrap());
            inspect.args(["--insecure-policy", "inspect", "--config", &source]);
            let told = outcome::run_ok(&mut inspect, outcome::LIMIT).unwrap();
            let config: Value = serde_json::from_str(&told.stdout).unwrap();
            assert_eq!(config["architecture"], native_architecture(), "{source}");
            assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2, "{source}");
        }
    }

    #[test]
    fn a_registry_takes_an_index_of_dockers_media_types() {
        needs_tool!("skopeo", "docker-registry");
        let at = tempfile::tempdir().unwrap();
        let (layout, image) = two_layers(at.path(), Compression::Gzip);
        let image = image.dialect(Dialect::Docker);
        let other = image.clone().platform("linux", "arm64", Some("v8"));
        let digest = layout.tag_index(&[image, other], "many").unwrap();
        let source = layout.copy_to_dir("many", &at.path().join("dir")).unwrap();
        let registry = Registry::start(Access::Open, Transport::Plain).unwrap();

        registry.push(&source, "many:1").unwrap();

        assert!(registry.blob(&digest).is_file());
    }

    #[test]
    fn whiteouts_stand_beside_what_they_remove() {
        assert_eq!(whiteout(b"a/b"), b"a/.wh.b");
        assert_eq!(whiteout(b"a"), b".wh.a");
    }
}
