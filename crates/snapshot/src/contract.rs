//! The contract, as tests. Every driver runs exactly this suite; what is one driver's own follows.

use super::*;
use dhow_testkit::{Tree, needs_root};
use rustix::fs::{AtFlags, CWD, FileType, XattrFlags};
use std::os::unix::{
    ffi::OsStrExt,
    fs::{MetadataExt, symlink},
};

/// A tree with one of everything.
fn furnish(root: &Path) {
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/file"), b"content").unwrap();
    fs::hard_link(root.join("a/file"), root.join("a/b/link")).unwrap();
    symlink("/nowhere", root.join("a/symlink")).unwrap();
    let mode = Mode::from_raw_mode(0o640);
    rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    rustix::fs::mknodat(CWD, root.join("null"), FileType::CharacterDevice, mode, 0x103).unwrap();
    let sparse = fs::OpenOptions::new().create_new(true).write(true).open(root.join("sparse"));
    let sparse = sparse.unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 64 << 20).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"not-\xff-utf8");
    fs::write(root.join(name), vec![3_u8; 70_000]).unwrap();
    // cap_net_raw=ep, version 2.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let empty = XattrFlags::empty();
    rustix::fs::setxattr(root.join("sparse"), "security.capability", &capability, empty).unwrap();
    rustix::fs::setxattr(root.join("a"), "user.note", b"x", empty).unwrap();
    rustix::fs::chown(
        root.join("a/file"),
        Some(rustix::fs::Uid::from_raw(1000)),
        Some(rustix::fs::Gid::from_raw(1001)),
    )
    .unwrap();
    rustix::fs::chmodat(CWD, root.join("a/file"), Mode::from_raw_mode(0o4755), AtFlags::empty())
        .unwrap();
    rustix::fs::chmodat(CWD, root, Mode::from_raw_mode(0o1777), AtFlags::empty()).unwrap();
    for path in ["a/symlink", "a/file", "a/b", "a", "fifo", ""] {
        age(&root.join(path));
    }
}

/// Puts a file into 1969, with nanoseconds.
fn age(path: &Path) {
    let moment = rustix::fs::Timespec { tv_sec: -86_400, tv_nsec: 123_456_789 };
    let times = rustix::fs::Timestamps { last_access: moment, last_modification: moment };
    // A path that ends with a slash would follow a link; `join("")` adds one.
    let path: PathBuf = path.components().collect();
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn source(mount: &Mount) -> &Path {
    match mount {
        Mount::Bind { source, .. } => source,
        Mount::Overlay { upper: Some(upper), .. } => &upper.upper,
        Mount::Overlay { lower, upper: None } => &lower[0],
    }
}

fn count(root: &Path) -> usize {
    fs::read_dir(root).unwrap().count()
}

macro_rules! snapshot_contract {
    ($driver:ident, $new:expr) => {
        mod $driver {
            use super::*;

            fn new() -> (tempfile::TempDir, Box<dyn Snapshots>) {
                let directory = tempfile::tempdir().unwrap();
                let root = directory.path().join("snapshots");
                let snapshots: Box<dyn Snapshots> = Box::new($new(&root));
                (directory, snapshots)
            }

            #[test]
            fn a_prepared_snapshot_is_an_empty_directory_of_its_own() {
                let (_directory, snapshots) = new();

                let first = snapshots.prepare(Number(1), None).unwrap();
                let second = snapshots.prepare(Number(2), None).unwrap();

                assert_ne!(first, second);
                assert_eq!(count(&first), 0);
                assert_eq!(first, snapshots.files(Number(1)));
                assert_eq!(fs::metadata(&first).unwrap().mode() & 0o7777, 0o755);
                let directory = snapshots.directory(Number(1));
                assert_eq!(fs::metadata(directory).unwrap().mode() & 0o7777, 0o700);
            }

            #[test]
            fn a_number_is_used_once() {
                let (_directory, snapshots) = new();
                snapshots.prepare(Number(1), None).unwrap();

                let error = snapshots.prepare(Number(1), None).unwrap_err();

                assert_eq!(error.kind(), Kind::AlreadyExists);
            }

            #[test]
            fn a_base_is_copied_with_everything_that_it_has() {
                needs_root!();
                let (_directory, snapshots) = new();
                let base = snapshots.prepare(Number(1), None).unwrap();
                furnish(&base);

                let copy = snapshots.prepare(Number(2), Some(Number(1))).unwrap();

                Tree::read(&copy).unwrap().assert_same(&Tree::read(&base).unwrap());
                let sparse = fs::metadata(copy.join("sparse")).unwrap();
                assert!(sparse.blocks() * 512 < 1 << 20, "the hole was filled");
            }

            #[test]
            fn a_copy_does_not_change_with_its_base() {
                let (_directory, snapshots) = new();
                let base = snapshots.prepare(Number(1), None).unwrap();
                fs::write(base.join("file"), b"old").unwrap();
                let copy = snapshots.prepare(Number(2), Some(Number(1))).unwrap();

                fs::write(base.join("file"), b"new").unwrap();
                snapshots.remove(Number(1)).unwrap();

                assert_eq!(fs::read(copy.join("file")).unwrap(), b"old");
            }

            #[test]
            fn an_active_snapshot_looks_like_its_chain_at_the_root() {
                needs_root!();
                let (_directory, snapshots) = new();
                let base = snapshots.prepare(Number(1), None).unwrap();
                furnish(&base);

                let mount = snapshots.activate(Number(2), &[Number(1)]).unwrap();

                let mut root = dhow_testkit::tree::Entry::read(source(&mount)).unwrap();
                root.xattrs.retain(|name, _| !name.starts_with(b"trusted.overlay."));
                assert_eq!(root, dhow_testkit::tree::Entry::read(&base).unwrap());
                assert_eq!(snapshots.active(Number(2), &[Number(1)]).unwrap(), mount);
            }

            #[test]
            fn an_image_without_layers_has_an_empty_root() {
                let (_directory, snapshots) = new();

                let mount = snapshots.activate(Number(1), &[]).unwrap();

                assert!(matches!(mount, Mount::Bind { read_only: false, .. }));
                assert_eq!(count(source(&mount)), 0);
            }

            #[test]
            fn a_view_of_one_snapshot_is_read_only() {
                let (_directory, snapshots) = new();
                let base = snapshots.prepare(Number(1), None).unwrap();

                let view = snapshots.view(&[Number(1)]).unwrap();

                assert_eq!(view, Mount::Bind { source: base, read_only: true });
            }

            #[test]
            fn removal_takes_everything_and_may_be_repeated() {
                needs_root!();
                let (_directory, snapshots) = new();
                furnish(&snapshots.prepare(Number(1), None).unwrap());
                snapshots.activate(Number(2), &[Number(1)]).unwrap();

                for number in [Number(2), Number(1), Number(1), Number(3)] {
                    snapshots.remove(number).unwrap();
                }

                assert_eq!(list(snapshots.root()).unwrap(), []);
            }

            #[test]
            fn removal_goes_deeper_than_there_are_descriptors() {
                let (_directory, snapshots) = new();
                let files = snapshots.prepare(Number(1), None).unwrap();
                let mut below = open_directory(&files).unwrap();
                for _ in 0..3000 {
                    rustix::fs::mkdirat(&below, "d", Mode::RWXU).unwrap();
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    below = rustix::fs::openat(&below, "d", flags, Mode::empty()).unwrap();
                }

                snapshots.remove(Number(1)).unwrap();

                assert_eq!(count(snapshots.root()), 0);
            }

            #[test]
            fn removal_follows_no_link() {
                let (directory, snapshots) = new();
                let canary = directory.path().join("canary");
                fs::create_dir(&canary).unwrap();
                fs::write(canary.join("alive"), b"").unwrap();
                let files = snapshots.prepare(Number(1), None).unwrap();
                symlink(&canary, files.join("link")).unwrap();

                snapshots.remove(Number(1)).unwrap();

                assert!(canary.join("alive").exists());
            }
        }
    };
}

snapshot_contract!(overlay, Overlay::new);
snapshot_contract!(plain, Plain::new);

/// Mounts a union where only this test sees it and reads a directory of it.
fn in_union<T>(mount: &Mount, look: impl FnOnce(&Path) -> T) -> Option<T> {
    let Mount::Overlay { lower, upper: Some(upper) } = mount else { panic!("{mount:?}") };
    let [lower] = &lower[..] else { panic!("more than one layer") };
    let union = match probe::mount(lower, &upper.upper, &upper.work) {
        Ok(union) => union,
        Err(errno) => {
            dhow_testkit::need::skip(&format!("a file system below overlayfs ({errno})"));
            return None;
        }
    };
    let path = format!("/proc/self/fd/{}/.", std::os::fd::AsRawFd::as_raw_fd(&union));
    Some(look(Path::new(&path)))
}

#[test]
fn the_root_of_a_union_has_the_attributes_of_the_image() {
    needs_root!();
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Overlay::new(&directory.path().join("snapshots"));
    let base = snapshots.prepare(Number(1), None).unwrap();
    furnish(&base);
    let mount = snapshots.activate(Number(2), &[Number(1)]).unwrap();

    let union = in_union(&mount, |root| Tree::read(root).unwrap());

    if let Some(union) = union {
        union.assert_same(&Tree::read(&base).unwrap());
    }
}

#[test]
fn overlay_chains_are_the_uppermost_first_and_unite_in_a_view() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Overlay::new(directory.path());
    let chain = [Number(3), Number(2), Number(1)];

    let view = snapshots.view(&chain).unwrap();

    let lower = chain.map(|number| snapshots.files(number)).to_vec();
    assert_eq!(view, Mount::Overlay { lower, upper: None });
}

#[test]
fn implied_directories_inherit_what_the_layers_below_show() {
    needs_root!();
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Overlay::new(&directory.path().join("snapshots"));
    let (low, middle, high) = (Number(1), Number(2), Number(3));
    let lowest = snapshots.prepare(low, None).unwrap();
    let between = snapshots.prepare(middle, None).unwrap();
    let highest = snapshots.prepare(high, None).unwrap();
    for path in ["open/x", "opaque/x", "gone/x", "link"] {
        fs::create_dir_all(lowest.join(path)).unwrap();
        fs::create_dir_all(highest.join(path)).unwrap();
        let mode = Mode::from_raw_mode(0o1777);
        rustix::fs::chmodat(CWD, lowest.join(path), mode, AtFlags::empty()).unwrap();
    }
    fs::create_dir(between.join("opaque")).unwrap();
    let flags = XattrFlags::empty();
    rustix::fs::setxattr(between.join("opaque"), "trusted.overlay.opaque", b"y", flags).unwrap();
    let whiteout = between.join("gone");
    rustix::fs::mknodat(CWD, whiteout, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    symlink("open/x", between.join("link")).unwrap();

    let paths = ["open/x", "opaque/x", "gone/x", "link", ""].map(PathBuf::from);
    snapshots.inherit(high, &paths, &[middle, low]).unwrap();

    let mode = |path: &str| fs::metadata(highest.join(path)).unwrap().mode() & 0o7777;
    assert_eq!(mode("open/x"), 0o1777);
    assert_ne!(mode("opaque/x"), 0o1777);
    assert_ne!(mode("gone/x"), 0o1777);
    assert_ne!(mode("link"), 0o1777);
}

#[test]
fn the_plain_driver_stacks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Plain::new(directory.path());

    let error = snapshots.activate(Number(3), &[Number(2), Number(1)]).unwrap_err();

    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(count(directory.path()), 0);
}

#[test]
fn removal_stops_at_a_mount() {
    needs_root!();
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Plain::new(&directory.path().join("snapshots"));
    let inside = snapshots.prepare(Number(1), None).unwrap().join("inside");
    let canary = directory.path().join("canary");
    fs::create_dir(&inside).unwrap();
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("alive"), b"").unwrap();
    rustix::mount::mount_bind(&canary, &inside).unwrap();

    let error = snapshots.remove(Number(1)).unwrap_err();
    rustix::mount::unmount(&inside, rustix::mount::UnmountFlags::empty()).unwrap();
    snapshots.remove(Number(1)).unwrap();

    assert_eq!(error.kind(), Kind::Conflict);
    assert!(canary.join("alive").exists());
}

#[test]
fn the_choice_of_a_driver_is_made_once_and_leaves_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap().driver();
    let other = if first == Driver::Overlay { Driver::Plain } else { Driver::Overlay };
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();

    fs::write(directory.path().join("driver"), other.word()).unwrap();

    assert_eq!(names, ["driver"]);
    assert_eq!(open(directory.path()).unwrap().driver(), other);
    fs::write(directory.path().join("driver"), "btrfs").unwrap();
    assert_eq!(open(directory.path()).unwrap_err().kind(), Kind::Corrupt);
}
