//! Images as large as they come: a layer of a gigabyte, a hundred thousand files, half a gigabyte in
//! eight layers. What lies on the disk afterwards is what went in, and what other tools make of it; and
//! no command takes more memory for a large image than for a small one.

use crate::fixture;
use dhow_base::{
    Digest, Result,
    digest::{Algorithm, Hasher},
};
use dhow_testkit::{
    Access, Dhow, Disk, Registry, Transport, Tree,
    image::{Compression, Image, Layer, Layout},
    need, needs_root, needs_tool, outcome,
    tarball::{Entry, Tarball, What},
    tree,
};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Bytes that no compressor makes smaller, the same every time.
struct Noise(u64);

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for piece in buffer.chunks_mut(8) {
            // xorshift64 by Marsaglia.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            piece.copy_from_slice(&self.0.to_le_bytes()[..piece.len()]);
        }
        Ok(buffer.len())
    }
}

/// Content of some length that compresses well and fast: a piece that comes again and again.
fn content(seed: u64, length: u64) -> Vec<u8> {
    let mut piece = vec![0; 16 << 10];
    Noise(seed + 1).read_exact(&mut piece).unwrap();
    let length = usize::try_from(length).unwrap();
    let mut all = piece.repeat(length.div_ceil(piece.len()));
    all.truncate(length);
    all
}

/// The most memory that a command had that ended well, in MiB.
fn weigh(dhow: &Dhow, arguments: &[&str]) -> u64 {
    let (code, peak) = fixture::weigh(dhow, arguments);
    assert_eq!(code, 0, "{arguments:?}");
    peak
}

/// The snapshot whose files have this one.
fn snapshot_with(dhow: &Dhow, file: &str) -> PathBuf {
    let snapshots = fs::read_dir(dhow.root().join("snapshots")).unwrap();
    let files = snapshots.map(|entry| entry.unwrap().path().join("fs"));
    files.into_iter().find(|files| files.join(file).exists()).unwrap()
}

/// Of the large file, the part that cannot be compressed; the rest are zeros.
const NOISE_BYTES: u64 = 48 << 20;
const LARGE_BYTES: u64 = 1_000_000_000;

fn large_content() -> impl Read {
    Noise(1).take(NOISE_BYTES).chain(io::repeat(0).take(LARGE_BYTES - NOISE_BYTES))
}

fn large_digest() -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    io::copy(&mut large_content(), &mut hasher).unwrap();
    hasher.finish()
}

/// The layer of a gigabyte. It is made as it is compressed, so that this process stays small.
fn large_layer(layout: &Layout) -> Layer {
    let fill = |out: &mut dyn Write| {
        let mut tar = Tarball::new(out);
        let large = Entry::new("large", What::File).xattr("user.note", b"kept");
        tar.put_from(&large, &mut large_content(), LARGE_BYTES)?;
        tar.finish().map(drop)
    };
    layout.layer(Compression::Zstd, &fill).unwrap()
}

#[test]
fn a_layer_of_a_gigabyte_comes_and_goes_in_little_memory() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let dhow = Dhow::new();
    let (here, there) = (
        Registry::start(Access::Open, Transport::Plain).unwrap(),
        Registry::start(Access::Open, Transport::Plain).unwrap(),
    );
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    layout.tag_image(&Image::new([large_layer(&layout)]), "large").unwrap();
    here.push(&layout.reference("large"), "large:1").unwrap();
    let image = here.reference("large:1");
    let file = |name: &str| dhow.directory().join(name).display().to_string();
    let (saved, archive) = (file("saved.tar"), format!("oci-archive:{}", file("copied.tar")));
    let from = format!("docker://{image}");
    let pushed = format!("docker://{}", there.reference("pushed:1"));
    let copied = format!("docker://{}", there.reference("copied:1"));

    let peaks: Vec<(&str, u64)> = [
        &["pull", "-q", &image][..],
        &["push", "-q", "--tls-verify=false", &image, &pushed],
        &["image", "copy", "-q", &from, &copied],
        &["image", "copy", "-q", &from, &archive],
        // To the test's own output, which is nowhere: uncompressed, as docker's form has it.
        &["save", &image],
        &["save", "--format", "oci-archive", "-o", &saved, &image],
        &["rmi", &image],
        &["load", "-q", "-i", &saved],
    ]
    .into_iter()
    .map(|arguments| (arguments[0], weigh(&dhow, arguments)))
    .collect();

    let limit = 64 + 8 * u64::try_from(need::processors()).unwrap();
    assert!(peaks.iter().all(|(_, peak)| (1..limit).contains(peak)), "{peaks:?} of {limit} MiB");
    let stored = tree::Entry::read(&snapshot_with(&dhow, "large").join("large")).unwrap();
    assert_eq!((stored.size, stored.content), (LARGE_BYTES, Some(large_digest())));
    assert_eq!(stored.xattrs.get(&b"user.note"[..]).map(|note| &note[..]), Some(&b"kept"[..]));
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

const FILES: usize = 100_000;

fn many_files(out: &mut dyn Write) -> Result<()> {
    let mut tar = Tarball::new(out);
    tar.directory("many")?;
    for number in 0..FILES {
        let directory = format!("many/{}", number / 500);
        if number % 500 == 0 {
            tar.directory(&directory)?;
        }
        let name = format!("{directory}/file{number}");
        tar.file(&name, name.as_bytes())?;
    }
    tar.finish().map(drop)
}

/// What GNU tar makes of an archive.
fn by_tar(archive: &Path, to: &Path) -> Tree {
    fs::create_dir(to).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--same-owner", "--same-permissions", "-xf"]).arg(archive);
    drop(outcome::run_ok(tar.arg("-C").arg(to), outcome::LIMIT).unwrap());
    Tree::read(to).unwrap()
}

#[test]
fn a_hundred_thousand_files_come_as_they_are_and_go() {
    needs_root!();
    needs_tool!("tar");
    // In memory: so many files would have the disk measured, and nothing of ours.
    let disk = Disk::of(4 << 30).unwrap();
    let dhow = Dhow::below(disk.path());
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let layer = layout.layer(Compression::Gzip, &many_files).unwrap();
    layout.tag_image(&Image::new([layer]), "many").unwrap();

    let peak = weigh(&dhow, &["pull", "-q", &layout.reference("many")]);

    let limit = 64 + 8 * u64::try_from(need::processors()).unwrap();
    assert!(peak < limit, "{peak} of {limit} MiB");
    let archive = dhow.directory().join("many.tar");
    let mut file = io::BufWriter::new(File::create_new(&archive).unwrap());
    many_files(&mut file).unwrap();
    file.flush().unwrap();
    let expected = by_tar(&archive, &dhow.directory().join("by-tar"));
    let stored = Tree::read(&snapshot_with(&dhow, "many")).unwrap();
    assert!(stored.entries.len() > FILES);
    stored.without(".").assert_same(&expected.without("."));
    drop(dhow.run(&["rmi", "many"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

const LAYERS: u64 = 8;

/// One of several layers: files from a few bytes to 16 MB of several owners, links, attributes; some
/// replace or remove what the layer below has.
fn one_of_many(number: u64, out: &mut dyn Write) -> Result<()> {
    let mut tar = Tarball::new(out);
    let own = format!("layer{number}");
    tar.directory(&own)?;
    tar.directory("shared")?;
    for file in 0..400_u64 {
        let size = match file {
            0..3 => 16 << 20,
            3..40 => 256 << 10,
            _ => file * 37,
        };
        let name = format!("{own}/file{file}");
        let (user, group) = (u32::try_from(file % 3).unwrap_or(0), 7);
        let entry = Entry::new(&name, What::File).owner(user, group).mtime(1_600_000_000, 0);
        let entry = match file % 5 {
            0 => entry.mode(0o4755),
            1 => entry.mode(0o600).xattr("user.number", number.to_string().as_bytes()),
            _ => entry,
        };
        tar.put(&entry, &content(number * 1000 + file, size))?;
    }
    tar.symlink(&format!("{own}/link"), "file0")?;
    tar.hard_link(&format!("{own}/again"), &format!("{own}/file5"))?;
    tar.file("shared/newest", own.as_bytes())?;
    tar.file(&format!("shared/of{number}"), b"")?;
    if let Some(below) = number.checked_sub(1) {
        tar.file(&format!("shared/.wh.of{below}"), b"")?;
        tar.file(&format!("layer{below}/.wh.file39"), b"")?;
    }
    tar.finish().map(drop)
}

#[test]
fn half_a_gigabyte_in_eight_layers_is_what_umoci_makes_of_it() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "umoci");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let layers: Vec<Layer> = (0..LAYERS)
        .map(|number| layout.layer(Compression::Gzip, &|out| one_of_many(number, out)).unwrap())
        .collect();
    layout.tag_image(&Image::new(layers), "layers").unwrap();
    registry.push(&layout.reference("layers"), "layers:1").unwrap();
    let image = registry.reference("layers:1");

    drop(dhow.run(&["pull", "-q", &image]).ok());
    let saved = dhow.directory().join("saved.tar").display().to_string();
    drop(dhow.run(&["save", "--format", "oci-archive", "-o", &saved, &image]).ok());
    drop(dhow.run(&["rmi", &image]).ok());
    drop(dhow.run(&["load", "-q", "-i", &saved]).ok());

    let bundle = dhow.directory().join("bundle");
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--image", &format!("{}:layers", layout.path().display())]);
    drop(outcome::run_ok(umoci.arg(&bundle), outcome::LIMIT).unwrap());
    let expected = Tree::read(&bundle.join("rootfs")).unwrap();
    let mounted = dhow.run(&["image", "mount", &image]).ok().line().to_owned();
    let stored = Tree::read(Path::new(&mounted)).unwrap();
    drop(dhow.run(&["image", "unmount", &image]).ok());
    let bytes: u64 = stored.entries.values().map(|entry| entry.size).sum();
    assert!(bytes > 450_000_000, "{bytes}");
    // The root is listed by no layer.
    stored.without(".").assert_same(&expected.without("."));
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

/// How many files are copied, unless this variable says how many; ten million is what was asked of dhow.
const COPIED: u64 = 5_000;
const COPIED_VARIABLE: &str = "DHOW_TEST_COPIED_FILES";

/// Attack test 34: a tree of so many files goes into a container and out of it again, whole, and takes no
/// more memory than a small one.
#[test]
fn a_tree_of_many_files_is_copied_in_and_out() {
    needs_root!();
    let count = need::variable(COPIED_VARIABLE).map_or(COPIED, |text| text.parse().unwrap());
    let dhow = fixture::with_box();
    let many = dhow.directory().join("many");
    for number in 0..count {
        let directory = many.join((number / 1000).to_string());
        if number % 1000 == 0 {
            fs::create_dir_all(&directory).unwrap();
        }
        fs::write(directory.join(number.to_string()), "").unwrap();
    }
    fixture::start(&dhow, &["--name", "web", "box", "sleep", "100000"]);

    let begin = std::time::Instant::now();
    let inward = weigh(&dhow, &["cp", "many", "web:/many"]);
    let between = begin.elapsed();
    fs::remove_dir_all(&many).unwrap();
    let begin = std::time::Instant::now();
    let outward = weigh(&dhow, &["cp", "web:/many", "many"]);
    println!(
        "{count} files: in {between:?}, {inward} MiB; out {:?}, {outward} MiB",
        begin.elapsed()
    );

    let directories = fs::read_dir(&many).unwrap().flatten();
    let found: usize = directories.map(|one| fs::read_dir(one.path()).unwrap().count()).sum();
    assert_eq!(found as u64, count);
    assert!(inward < 32 && outward < 32, "{inward} and {outward} MiB");
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    dhow.assert_clean();
}
