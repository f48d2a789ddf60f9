//! Root filesystems made on this machine: busybox in milliseconds, Debian once and then kept.
//!
//! # On disk
//!
//! ```text
//! <target>/testkit/<recipe>.lock    held while one process makes it
//! <target>/testkit/<recipe>/        the finished tree (renamed into place)
//! <target>/testkit/<recipe>.oci/    the finished image layout
//! ```
//!
//! A recipe's name carries a digest of the recipe, so a changed recipe never meets an old tree.

use crate::{
    image::{Compression, Image, Layout},
    need, outcome,
    tree::Tree,
};
use dhow_base::{
    Digest, Doing, Error, Kind, Result, file,
    lock::{Lock, Sharing},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

/// The release that trees are made of.
const SUITE: &str = "bookworm";

/// The time of last change of every file that mmdebstrap unpacks later than it (2025-01-01).
const EPOCH: &str = "1735689600";

/// Packages of the second and of the third layer of the python image. With the base it is between
/// 400 and 500 MB.
const PYTHON_LAYERS: [&str; 2] = ["python3,python3-numpy", "gcc,libc6-dev"];

/// Packages of the image of services.
const SERVICES: &str = "nginx-light,postgresql,redis-server,python3";

/// A directory with the files of a container's root.
#[derive(Debug)]
pub struct Rootfs {
    path: PathBuf,
    /// A tree of its own goes with the value; a shared one stays for the next test.
    _own: Option<TempDir>,
}

impl Rootfs {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A root with Debian's static busybox, every applet as a hard link to it, and the usual files.
///
/// Needs the tool `busybox`. It is the test's own and may be changed.
pub fn busybox() -> Result<Rootfs> {
    let program = need::tool("busybox").ok_or_else(|| {
        Error::new(Kind::Unsupported, "find busybox").hint("install busybox-static")
    })?;
    let own = tempfile::tempdir().doing(|| "make a directory for a root")?;
    let path = own.path().join("root");
    fill_busybox(&path, &program).doing(|| format!("make a busybox root in {}", path.display()))?;
    Ok(Rootfs { path, _own: Some(own) })
}

/// The image of [`busybox`]: one gzip layer under the name `box`, made once.
///
/// Needs the tool `busybox`.
pub fn busybox_image() -> Result<Layout> {
    let program = need::tool("busybox").unwrap_or_default();
    let bytes = fs::read(&program).doing(|| format!("read {}", program.display()))?;
    let path = cached("busybox", Digest::of(&bytes).as_str(), ".oci", &|place| {
        let layout = Layout::new(place)?;
        let layer = layout.layer_of(busybox()?.path(), Compression::Gzip)?;
        layout.tag_image(&Image::new([layer]), "box")?;
        Ok(())
    })?;
    Layout::open(&path)
}

fn fill_busybox(root: &Path, program: &Path) -> Result<()> {
    let directories =
        ["", "bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var"];
    for name in directories {
        fs::create_dir(root.join(name)).doing(|| format!("create {name}"))?;
    }
    let modes = [("", 0o755), ("root", 0o700)];
    for (name, mode) in modes {
        set_mode(&root.join(name), mode)?;
    }
    for name in ["tmp", "var/tmp"] {
        fs::create_dir(root.join(name)).doing(|| format!("create {name}"))?;
        set_mode(&root.join(name), 0o1777)?;
    }
    let busybox = root.join("bin/busybox");
    fs::copy(program, &busybox).doing(|| "copy busybox")?;
    set_mode(&busybox, 0o755)?;
    let applets = outcome::run_ok(Command::new(program).arg("--list"), outcome::LIMIT)?;
    for applet in applets.stdout.lines().filter(|applet| *applet != "busybox") {
        fs::hard_link(&busybox, root.join("bin").join(applet))
            .doing(|| format!("link {applet} to busybox"))?;
    }
    for (link, target) in
        [("sbin", "bin"), ("usr/sbin", "../bin"), ("usr/bin/env", "../../bin/env")]
    {
        symlink(target, root.join(link)).doing(|| format!("link {link} to {target}"))?;
    }
    let files = [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n\
                        user:x:1000:1000:user:/home:/bin/sh\n",
        ),
        ("etc/group", "root:x:0:\nnogroup:x:65534:\nuser:x:1000:\nextra:x:2000:user\n"),
        ("etc/hostname", "image\n"),
        ("etc/os-release", "NAME=busybox\nID=busybox\n"),
    ];
    for (name, text) in files {
        fs::write(root.join(name), text).doing(|| format!("write {name}"))?;
        set_mode(&root.join(name), 0o644)?;
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .doing(|| format!("set the mode of {}", path.display()))
}

/// A minimal Debian with apt, shared by all tests: do not change it.
///
/// Needs root, the tool `mmdebstrap` and Debian's archive, the first time.
pub fn debian() -> Result<Rootfs> {
    Ok(Rootfs { path: cached("debian", "1", "", &make_debian)?, _own: None })
}

/// A Debian with systemd and D-Bus, shared by all tests: do not change it.
///
/// Needs what [`debian`] needs.
pub fn systemd() -> Result<Rootfs> {
    let packages = "systemd,dbus,dbus-user-session,libpam-systemd";
    let make = |place: &Path| {
        let mut command = mmdebstrap();
        command.args(["--variant=minbase", &format!("--include={packages}"), SUITE]).arg(place);
        outcome::run_ok(&mut command, Duration::from_secs(900)).map(drop)
    };
    Ok(Rootfs { path: cached("systemd", packages, "", &make)?, _own: None })
}

/// The image of [`debian`]: one gzip layer under the name `debian`.
pub fn debian_image() -> Result<Layout> {
    let path = cached("debian", "1", ".oci", &|place| {
        let layout = Layout::new(place)?;
        let layer = layout.layer_of(debian()?.path(), Compression::Gzip)?;
        layout.tag_image(&Image::new([layer]).command(&["/bin/bash"]), "debian")?;
        Ok(())
    })?;
    Layout::open(&path)
}

/// An image of more than 400 MB under the name `python`: Debian, python3 with numpy, then a C
/// compiler, in three gzip layers of which the upper ones hold only what changed.
///
/// Needs what [`debian`] needs.
pub fn python_image() -> Result<Layout> {
    let recipe = PYTHON_LAYERS.join(" ");
    Layout::open(&cached("python", &recipe, ".oci", &make_python)?)
}

/// An image with real services under the name `services`: nginx, PostgreSQL, Redis and python3 in a
/// layer above Debian.
///
/// Needs what [`debian`] needs.
pub fn services_image() -> Result<Layout> {
    Layout::open(&cached("services", SERVICES, ".oci", &make_services)?)
}

/// A CRIU that works on kernels of today: Debian's newest, unpacked and not installed, called by a
/// script that brings its own libraries.
///
/// Needs root, the tool `mmdebstrap` and Debian's archive, the first time.
pub fn criu() -> Result<PathBuf> {
    Ok(cached("criu", CRIU_SUITE, "", &make_criu)?.join("criu"))
}

/// [`criu`], where it finds the kernel good; nothing where it does not, or cannot be had.
pub fn working_criu() -> Option<PathBuf> {
    if !need::root() || need::tool("mmdebstrap").is_none() {
        return None;
    }
    let criu = criu().ok()?;
    let checked = outcome::run(Command::new(&criu).arg("check"), b"", outcome::LIMIT).ok()?;
    (checked.code == 0).then_some(criu)
}

/// The release that has it: the kernel moves on faster than a stable release's CRIU.
const CRIU_SUITE: &str = "sid";
const CRIU_SCRIPT: &str = "#!/bin/sh
root=$(dirname \"$0\")/root
exec \"$root/usr/lib64/ld-linux-x86-64.so.2\" --library-path \"$root/usr/lib/x86_64-linux-gnu\" \\
    \"$root/usr/sbin/criu\" \"$@\"
";

fn make_criu(place: &Path) -> Result<()> {
    fs::create_dir(place).doing(|| "make a directory for criu")?;
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--mode=root", "--format=directory", "--quiet", "--variant=extract"])
        .args(["--include=criu", "--aptopt=Acquire::Check-Valid-Until \"false\"", CRIU_SUITE])
        .arg(place.join("root"));
    outcome::run_ok(&mut command, Duration::from_secs(600))?;
    let script = place.join("criu");
    fs::write(&script, CRIU_SCRIPT).doing(|| "write the script that calls criu")?;
    set_mode(&script, 0o755)
}

fn make_debian(place: &Path) -> Result<()> {
    let mut command = mmdebstrap();
    command.args(["--variant=minbase", SUITE]).arg(place);
    outcome::run_ok(&mut command, Duration::from_secs(900))?;
    Ok(())
}

fn make_python(place: &Path) -> Result<()> {
    let layout = Layout::new(place)?;
    let base = debian()?;
    let mut layers = vec![layout.layer_of(base.path(), Compression::Gzip)?];
    let scratch = tempfile::tempdir_in(cache()?).doing(|| "make a directory for layers")?;
    let mut lower = base.path().to_owned();
    for (number, packages) in PYTHON_LAYERS.iter().enumerate() {
        let upper = scratch.path().join(number.to_string());
        extend(&lower, packages, &upper)?;
        layers.push(layout.layer_between(&lower, &upper, Compression::Gzip)?);
        lower = upper;
    }
    layout.tag_image(&Image::new(layers).command(&["/usr/bin/python3"]), "python")?;
    Ok(())
}

fn make_services(place: &Path) -> Result<()> {
    let layout = Layout::new(place)?;
    let base = debian()?;
    let bottom = layout.layer_of(base.path(), Compression::Gzip)?;
    let scratch = tempfile::tempdir_in(cache()?).doing(|| "make a directory for a layer")?;
    let upper = scratch.path().join("upper");
    extend(base.path(), SERVICES, &upper)?;
    let top = layout.layer_between(base.path(), &upper, Compression::Gzip)?;
    layout.tag_image(&Image::new([bottom, top]).command(&["/bin/bash"]), "services")?;
    Ok(())
}

/// Makes `upper` from `lower` and some packages more.
fn extend(lower: &Path, packages: &str, upper: &Path) -> Result<()> {
    let copy = format!("cp -a {}/. \"$1\"/", lower.display());
    let mut command = mmdebstrap();
    command
        .args(["--variant=custom", "--setup-hook", &copy])
        .arg(format!("--include={packages}"))
        .arg(SUITE)
        .arg(upper);
    outcome::run_ok(&mut command, Duration::from_secs(900))?;
    Ok(())
}

fn mmdebstrap() -> Command {
    // What mmdebstrap copies from the host would make the tree differ between machines.
    let forget = "rm -f \"$1\"/etc/resolv.conf \"$1\"/etc/hostname";
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--mode=root", "--format=directory", "--quiet", "--customize-hook", forget])
        .env("SOURCE_DATE_EPOCH", EPOCH);
    command
}

/// Makes a thing once for all tests and all runs: others wait while one process makes it.
fn cached(
    name: &str,
    recipe: &str,
    suffix: &str,
    make: &dyn Fn(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let recipe = Digest::of(format!("{SUITE} {EPOCH} {recipe}").as_bytes());
    let name = format!("{name}-{}{suffix}", recipe.short());
    let directory = cache()?;
    let finished = directory.join(&name);
    let _lock = Lock::acquire(&directory.join(format!("{name}.lock")), Sharing::Exclusive)?;
    if finished.exists() {
        return Ok(finished);
    }
    let unfinished = directory.join(format!("{name}.unfinished"));
    remove(&unfinished)?;
    make(&unfinished).doing(|| format!("make {name}"))?;
    fs::rename(&unfinished, &finished).doing(|| format!("put {name} into its place"))?;
    Ok(finished)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// `testkit` in cargo's target directory, which cargo marks with a file.
fn cache() -> Result<PathBuf> {
    let test = std::env::current_exe().doing(|| "ask where the running test is")?;
    // The directory of the target triple is marked as well; the outermost one is meant.
    let target = test.ancestors().filter(|at| at.join("CACHEDIR.TAG").is_file()).last();
    let target = target.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("find cargo's target directory above {}", test.display()),
        )
    })?;
    let directory = target.join("testkit");
    file::make_directories(&directory, 0o755)?;
    Ok(directory)
}

/// The files of a tree that differ from those of the tree it was made from, and those that it no
/// longer has: what a layer between them must hold.
pub(crate) fn changes(lower: &Tree, upper: &Tree) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let changed = |name: &&Vec<u8>| lower.entries.get(*name) != upper.entries.get(*name);
    let mut written: Vec<Vec<u8>> = upper.entries.keys().filter(changed).cloned().collect();
    with_linked(&mut written, upper);
    let gone = |name: &&Vec<u8>| !upper.entries.contains_key(*name) && parent_is_kept(name, upper);
    (written, lower.entries.keys().filter(gone).cloned().collect())
}

/// A hard link into a lower layer cannot be written, so all names of a changed file go along.
fn with_linked(written: &mut Vec<Vec<u8>>, upper: &Tree) {
    let groups: std::collections::BTreeSet<&[u8]> =
        written.iter().filter_map(|name| upper.entries[name].same_as.as_deref()).collect();
    let linked = upper
        .entries
        .iter()
        .filter(|(_, entry)| entry.same_as.as_deref().is_some_and(|group| groups.contains(group)));
    let mut all: Vec<Vec<u8>> = linked.map(|(name, _)| name.clone()).collect();
    written.append(&mut all);
    written.sort();
    written.dedup();
}

/// A removed directory is one whiteout, not one for each file in it.
fn parent_is_kept(name: &[u8], upper: &Tree) -> bool {
    let parent =
        name.iter().rposition(|byte| *byte == b'/').map_or(b".".as_slice(), |at| &name[..at]);
    upper.entries.get(parent).is_some_and(|entry| entry.kind == crate::tree::Kind::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{needs_root, needs_tool};

    #[test]
    fn a_busybox_root_runs_its_applets() {
        needs_root!();
        needs_tool!("busybox");
        let root = busybox().unwrap();

        let mut command = Command::new("chroot");
        command.arg(root.path()).args(["/bin/sh", "-c", "id -u user; cat /etc/hostname"]);
        let outcome = outcome::run_ok(&mut command, outcome::LIMIT).unwrap();

        assert_eq!(outcome.stdout, "1000\nimage\n");
    }

    #[test]
    fn the_python_image_is_large_and_in_three_layers() {
        needs_root!();
        needs_tool!("mmdebstrap");

        let manifest = python_image().unwrap().manifest("python").unwrap();

        let layers = manifest["layers"].as_array().unwrap();
        let sizes: Vec<u64> = layers.iter().map(|layer| layer["size"].as_u64().unwrap()).collect();
        let total: u64 = sizes.iter().sum();
        assert_eq!(sizes.len(), 3, "{sizes:?}");
        assert!((100_000_000..300_000_000).contains(&total), "{sizes:?}");
    }

    #[test]
    fn changes_are_whole_link_groups_and_one_whiteout_for_a_directory() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, b) = (a.path(), b.path());
        for root in [a, b] {
            fs::write(root.join("same"), "x").unwrap();
            fs::write(root.join("one"), "1").unwrap();
        }
        fs::create_dir(a.join("gone")).unwrap();
        fs::write(a.join("gone/file"), "").unwrap();
        fs::hard_link(b.join("one"), b.join("two")).unwrap();
        let read = |root| Tree::read(root).unwrap().without_times();

        let (written, gone) = changes(&read(a), &read(b));

        assert_eq!(written, [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(gone, [b"gone".to_vec()]);
    }

    #[test]
    fn a_cached_thing_is_made_once_and_an_unfinished_one_again() {
        let name = format!("once-{}", std::process::id());
        let make = |place: &Path| fs::create_dir(place).doing(|| "make");
        let failing = |place: &Path| {
            fs::create_dir(place).unwrap();
            Err(Error::new(Kind::Internal, "half way"))
        };

        assert!(cached(&name, "r", "", &failing).is_err());
        let path = cached(&name, "r", "", &make).unwrap();
        let again = cached(&name, "r", "", &failing).unwrap();

        assert_eq!(path, again);
        fs::remove_dir(&path).unwrap();
        fs::remove_file(path.with_extension("lock")).unwrap();
    }
}
