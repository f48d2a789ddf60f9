//! The contract, as tests. Every driver runs exactly this suite; what is one driver's own follows.

use super::*;
use dhow_archive::{Limits, Pack, Presence, Unpack, Whiteouts};
use dhow_testkit::{
    Tree,
    disk::{Disk, Format},
    need, needs_root,
    tarball::Tarball,
    user_namespace,
};
use rustix::fs::{AtFlags, CWD, FileType, XattrFlags};
use std::os::{
    fd::AsFd,
    unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, symlink},
    },
};

/// A tree with one of everything.
fn furnish(root: &Path) {
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/file"), b"content").unwrap();
    fs::hard_link(root.join("a/file"), root.join("a/b/link")).unwrap();
    symlink("/nowhere", root.join("a/symlink")).unwrap();
    let mode = Mode::from_raw_mode(0o640);
    rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    // An ordinary user may make no device.
    let kind = if user_namespace::is_inside() { FileType::Fifo } else { FileType::CharacterDevice };
    rustix::fs::mknodat(CWD, root.join("null"), kind, mode, 0x103).unwrap();
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
        Mount::Bind { source, .. } | Mount::Attached { at: source } => source,
        Mount::Overlay { upper: Some(upper), .. } => &upper.upper,
        Mount::Overlay { lower, .. } => &lower[0],
    }
}

/// Whose everything in a tree is, in the order of names.
fn owners(root: &Path) -> Vec<(u32, u32)> {
    let status = fs::symlink_metadata(root).unwrap();
    let mut owners = vec![(status.uid(), status.gid())];
    if status.is_dir() {
        let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
        let sorted: std::collections::BTreeSet<PathBuf> = entries.collect();
        owners.extend(sorted.iter().flat_map(|path| self::owners(path)));
    }
    owners
}

fn count(root: &Path) -> usize {
    fs::read_dir(root).unwrap().count()
}

/// Where a driver's snapshots are tried.
enum Home {
    Usual(tempfile::TempDir),
    Disk(Disk),
}

impl Home {
    fn usual() -> Option<Self> {
        Some(Self::Usual(tempfile::tempdir().unwrap()))
    }

    /// As usual, inside a user namespace: outside the test only runs itself once more, there.
    fn of_user() -> Option<Self> {
        if user_namespace::is_inside() {
            return Self::usual();
        }
        if need::root() {
            user_namespace::run_again().unwrap();
        } else {
            need::skip("root");
        }
        None
    }

    /// As usual, where the kernel mounts a file as EROFS.
    fn with_erofs() -> Option<Self> {
        let home = Self::usual()?;
        match choose(&home.path().join("tried"), &home.path().join("driver"), Some(Driver::Erofs)) {
            Ok(_) => Some(home),
            Err(error) => {
                need::skip(&error.one_line());
                None
            }
        }
    }

    /// A file system of its own; nothing, aloud, where this machine cannot make one.
    fn formatted(format: Format) -> Option<Self> {
        if !need::root() {
            need::skip("root");
            return None;
        }
        if need::tool(format.tool()).is_none() {
            need::skip(format.tool());
            return None;
        }
        match Disk::formatted(format, 512 << 20) {
            Ok(disk) => Some(Self::Disk(disk)),
            Err(error) => {
                need::skip(&format!("a loop device and its file system ({})", error.one_line()));
                None
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Usual(directory) => directory.path(),
            Self::Disk(disk) => disk.path(),
        }
    }
}

/// Changes a tree that [`furnish`] made in every way that there is.
fn disturb(root: &Path) {
    let at = |path: &str| root.join(path);
    fs::write(at("new"), b"new").unwrap();
    fs::create_dir_all(at("fresh/inner")).unwrap();
    fs::write(at("fresh/inner/file"), b"deep").unwrap();
    symlink("new", at("fresh/link")).unwrap();
    fs::remove_file(at("fifo")).unwrap();
    // In place, of the same size, and dated as before.
    let before = fs::metadata(at("edit")).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(at("edit")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"EDIT", 0).unwrap();
    file.set_modified(before).unwrap();
    rustix::fs::chmodat(CWD, at("chmod"), Mode::from_raw_mode(0o600), AtFlags::empty()).unwrap();
    rustix::fs::setxattr(at("xattr"), "user.new", b"value", XattrFlags::empty()).unwrap();
    rustix::fs::removexattr(at("a"), "user.note").unwrap();
    // A file for a directory, a directory for a file, and a directory for one of its name.
    fs::remove_dir_all(at("tree")).unwrap();
    fs::write(at("tree"), b"no longer").unwrap();
    fs::remove_file(at("flat")).unwrap();
    fs::create_dir(at("flat")).unwrap();
    fs::write(at("flat/inside"), b"x").unwrap();
    fs::remove_dir_all(at("again")).unwrap();
    fs::create_dir(at("again")).unwrap();
    fs::write(at("again/kept"), b"other").unwrap();
    fs::rename(at("moved"), at("a/moved")).unwrap();
    fs::hard_link(at("kept"), at("twin")).unwrap();
    fs::remove_file(at("null")).unwrap();
}

/// More to disturb than [`furnish`] has.
fn furnish_more(root: &Path) {
    furnish(root);
    for path in ["tree/inner", "again/inner", "still/inner"] {
        fs::create_dir_all(root.join(path)).unwrap();
    }
    let files = [
        "tree/file",
        "flat",
        "again/kept",
        "again/inner/gone",
        "edit",
        "chmod",
        "xattr",
        "moved",
        "kept",
        "still/inner/file",
    ];
    for path in files {
        fs::write(root.join(path), b"edit me").unwrap();
        age(&root.join(path));
    }
}

/// Three layers that hide each other's files in every way.
fn speaking_layers() -> [Vec<u8>; 3] {
    let mut low = Tarball::in_memory();
    low.directory("./").unwrap().directory("kept").unwrap().directory("opaque").unwrap();
    low.directory("gone").unwrap().directory("again").unwrap();
    for path in ["kept/file", "kept/other", "opaque/hidden", "gone/file", "again/old", "plain"] {
        low.file(path, path.as_bytes()).unwrap();
    }
    let mut middle = Tarball::in_memory();
    middle.directory("./").unwrap().directory("opaque").unwrap();
    middle.file("opaque/.wh..wh..opq", b"").unwrap().file("opaque/new", b"new").unwrap();
    middle.file(".wh.gone", b"").unwrap().file(".wh.again", b"").unwrap();
    middle.directory("kept").unwrap().file("kept/.wh.other", b"").unwrap();
    middle.file("large", &[7; 200_000]).unwrap();
    let mut high = Tarball::in_memory();
    high.directory("./").unwrap().directory("again").unwrap();
    high.file("again/new", b"new").unwrap().file("plain", b"changed").unwrap();
    high.symlink("link", "kept/file").unwrap().hard_link("twin", "plain").unwrap();
    [low, middle, high].map(|layer| layer.finish().unwrap())
}

fn apply(mut layer: &[u8], to: &Path, how: Whiteouts) {
    let target = open_directory(to).unwrap();
    Unpack::new(target.as_fd(), how, Limits::default()).apply(&mut layer).unwrap();
}

/// The layers as the driver wants them, the uppermost first.
fn chain_of(snapshots: &dyn Snapshots, layers: &[Vec<u8>]) -> Vec<Number> {
    let how = match snapshots.layering() {
        Layering::Merged => {
            let files = snapshots.prepare(Number(1), None).unwrap();
            layers.iter().for_each(|layer| apply(layer, &files, Whiteouts::Apply));
            snapshots.seal(Number(1)).unwrap();
            return vec![Number(1)];
        }
        Layering::Apart { notes: Notes::Trusted, .. } => Whiteouts::Overlay,
        Layering::Apart { notes: Notes::User, .. } => Whiteouts::UserOverlay,
    };
    let mut chain = Vec::new();
    for (number, layer) in (1..).map(Number).zip(layers) {
        apply(layer, &snapshots.prepare(number, None).unwrap(), how);
        snapshots.seal(number).unwrap();
        chain.insert(0, number);
    }
    chain
}

/// Does something in the directory that a container would have as its root: a mount that nobody but
/// this test sees.
fn in_mount<T>(mount: &Mount, work: impl FnOnce(&Path) -> T) -> Option<T> {
    let mounted = match dhow_sys::union::open(mount) {
        Ok(mounted) => mounted,
        Err(error) if error.step.contains(".erofs") => panic!("{error}"),
        Err(error) => {
            dhow_testkit::need::skip(&format!("a file system below overlayfs ({error})"));
            return None;
        }
    };
    let path = format!("/proc/self/fd/{}/.", std::os::fd::AsRawFd::as_raw_fd(&mounted));
    Some(work(Path::new(&path)))
}

fn letters(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| format!("{} /{}", change.kind.letter(), change.path.display());
    changes.iter().map(line).collect()
}

macro_rules! snapshot_contract {
    ($driver:ident, $home:expr, $new:expr) => {
        mod $driver {
            use super::*;

            fn new() -> Option<(Home, Box<dyn Snapshots>)> {
                let home: Home = $home?;
                let root = home.path().join("snapshots");
                let snapshots: Box<dyn Snapshots> = Box::new($new(&root));
                Some((home, snapshots))
            }

            #[test]
            fn a_copy_has_the_owners_that_are_asked_for_and_all_else_as_it_was() {
                needs_root!();
                let Some((_home, snapshots)) = new() else { return };
                furnish_more(&snapshots.prepare(Number(1), None).unwrap());
                snapshots.seal(Number(1)).unwrap();
                let away = |uid: u32, gid: u32| Ok((uid + 100, gid + 200));
                let back = |uid: u32, gid: u32| Ok((uid - 100, gid.wrapping_sub(200)));
                let nobody = |_: u32, _: u32| Err(Error::new(Kind::Invalid, "there is none"));

                snapshots.copy(Number(2), &[Number(1)], Owners::Changed(&away)).unwrap();
                snapshots.seal(Number(2)).unwrap();
                snapshots.copy(Number(3), &[Number(2)], Owners::Changed(&back)).unwrap();
                snapshots.seal(Number(3)).unwrap();
                let refused = snapshots.copy(Number(4), &[Number(1)], Owners::Changed(&nobody));

                let read = |number: u64| {
                    let mount = snapshots.view(&[Number(number)]).unwrap();
                    in_mount(&mount, |root| (Tree::read(root).unwrap(), owners(root)))
                };
                let Some((before, of_before)) = read(1) else { return };
                let (_, of_copy) = read(2).unwrap();
                let (after, _) = read(3).unwrap();
                before.assert_same(&after);
                let moved: Vec<_> =
                    of_before.iter().map(|(uid, gid)| (uid + 100, gid + 200)).collect();
                assert_eq!(of_copy, moved);
                assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
            }

            #[test]
            fn changes_are_told_and_make_the_same_tree_as_a_layer() {
                needs_root!();
                let Some((_home, snapshots)) = new() else { return };
                let base = snapshots.prepare(Number(1), None).unwrap();
                furnish_more(&base);
                snapshots.seal(Number(1)).unwrap();
                let chain = [Number(1)];
                let mount = snapshots.activate(Number(2), &chain).unwrap();

                let untouched = snapshots.changes(Number(2), &chain).unwrap();
                let disturbed = in_mount(&mount, disturb);
                // As the next start sees it: to an ordinary user, overlayfs tells links apart as
                // long as it remembers where they came from.
                let after =
                    disturbed.and_then(|()| in_mount(&mount, |root| Tree::read(root).unwrap()));
                let Some(after) = after else { return };
                let changes = snapshots.changes(Number(2), &chain).unwrap();

                assert_eq!(letters(&untouched), [""; 0]);
                let told = letters(&changes);
                let expected = [
                    "A /fresh",
                    "A /fresh/inner",
                    "A /fresh/inner/file",
                    "A /fresh/link",
                    "A /new",
                    "A /a/moved",
                    "A /flat/inside",
                    "A /twin",
                    "C /a",
                    "C /again",
                    "C /again/kept",
                    "C /chmod",
                    "C /edit",
                    "C /flat",
                    "C /kept",
                    "C /tree",
                    "C /xattr",
                    "D /again/inner",
                    "D /fifo",
                    "D /moved",
                    "D /null",
                    "C /",
                ];
                for line in expected {
                    assert!(told.iter().any(|told| told == line), "{line} is missing: {told:#?}");
                }
                assert_eq!(told.len(), expected.len(), "{told:#?}");
                let mut layer = Vec::new();
                let paths = changes.iter().map(|change| {
                    let is_gone = change.kind == ChangeKind::Deleted;
                    let presence = if is_gone { Presence::Gone } else { Presence::Here };
                    (change.path.as_path(), presence)
                });
                let files = open_directory(&snapshots.files(Number(2))).unwrap();
                Pack::tree().write_changes(files.as_fd(), paths, &mut layer).unwrap();
                let copy = snapshots.prepare(Number(3), Some(Number(1))).unwrap();
                let target = open_directory(&copy).unwrap();
                Unpack::new(target.as_fd(), Whiteouts::Apply, Limits::default())
                    .apply(&mut &layer[..])
                    .unwrap();
                Tree::read(&copy).unwrap().assert_same(&after);
            }

            #[test]
            fn two_chains_are_compared_by_what_they_show() {
                needs_root!();
                let Some((_home, snapshots)) = new() else { return };
                let base = snapshots.prepare(Number(1), None).unwrap();
                furnish_more(&base);
                // Whole trees take what is below along; layers of their own have it below them.
                let is_apart = matches!(snapshots.layering(), Layering::Apart { .. });
                let below = (!is_apart).then_some(Number(1));
                let top = snapshots.prepare(Number(2), below).unwrap();
                attributes::copy_directory(
                    open_directory(&base).unwrap(),
                    open_directory(&top).unwrap(),
                )
                .unwrap();
                fs::write(top.join("fresh"), b"x").unwrap();
                fs::write(top.join("edit"), b"otherwise").unwrap();
                age(&top);
                age(&base);
                let chain = if is_apart { vec![Number(2), Number(1)] } else { vec![Number(2)] };

                if is_apart && !overlay_works(snapshots.root()).unwrap() {
                    return need::skip("a file system below overlayfs");
                }

                let told = snapshots.differences(&chain, &[Number(1)]).unwrap();
                let back = snapshots.differences(&[Number(1)], &chain).unwrap();

                assert_eq!(letters(&told), ["C /edit", "A /fresh"]);
                assert_eq!(letters(&back), ["C /edit", "D /fresh"]);
                let same = snapshots.differences(&chain, &chain).unwrap();
                assert_eq!(letters(&same), [""; 0]);
                let all = snapshots.differences(&[], &[Number(1)]).unwrap();
                assert!(all.iter().all(|change| change.kind == ChangeKind::Deleted), "{all:?}");
                let new = snapshots.differences(&[Number(1)], &[]).unwrap();
                assert!(new.iter().all(|change| change.kind == ChangeKind::Added), "{new:?}");
                assert!(new.len() > all.len() && !all.is_empty());
            }

            #[test]
            fn everything_above_no_image_is_added() {
                let Some((_home, snapshots)) = new() else { return };
                let mount = snapshots.activate(Number(1), &[]).unwrap();
                fs::create_dir(source(&mount).join("d")).unwrap();
                fs::write(source(&mount).join("d/f"), b"").unwrap();

                let changes = snapshots.changes(Number(1), &[]).unwrap();

                assert_eq!(letters(&changes), ["A /d", "A /d/f"]);
            }

            #[test]
            fn a_prepared_snapshot_is_an_empty_directory_of_its_own() {
                let Some((_home, snapshots)) = new() else { return };

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
                let Some((_home, snapshots)) = new() else { return };
                snapshots.prepare(Number(1), None).unwrap();

                let error = snapshots.prepare(Number(1), None).unwrap_err();

                assert_eq!(error.kind(), Kind::AlreadyExists);
            }

            #[test]
            fn a_base_is_copied_with_everything_that_it_has() {
                needs_root!();
                let Some((_home, snapshots)) = new() else { return };
                let base = snapshots.prepare(Number(1), None).unwrap();
                furnish(&base);
                let before = Tree::read(&base).unwrap();
                snapshots.seal(Number(1)).unwrap();

                let copy = snapshots.prepare(Number(2), Some(Number(1))).unwrap();

                Tree::read(&copy).unwrap().assert_same(&before);
                let sparse = fs::metadata(copy.join("sparse")).unwrap();
                assert!(sparse.blocks() * 512 < 1 << 20, "the hole was filled");
            }

            #[test]
            fn a_copy_does_not_change_with_its_base() {
                let Some((_home, snapshots)) = new() else { return };
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
                let Some((_home, snapshots)) = new() else { return };
                let base = snapshots.prepare(Number(1), None).unwrap();
                furnish(&base);
                let before = dhow_testkit::tree::Entry::read(&base).unwrap();
                snapshots.seal(Number(1)).unwrap();

                let mount = snapshots.activate(Number(2), &[Number(1)]).unwrap();

                let root = dhow_testkit::tree::Entry::read(source(&mount)).unwrap();
                assert_eq!(root, before);
                assert_eq!(snapshots.active(Number(2), &[Number(1)]).unwrap(), mount);
            }

            #[test]
            fn an_image_without_layers_has_an_empty_root() {
                let Some((_home, snapshots)) = new() else { return };

                let mount = snapshots.activate(Number(1), &[]).unwrap();

                assert!(matches!(mount, Mount::Bind { read_only: false, .. }));
                assert_eq!(count(source(&mount)), 0);
            }

            #[test]
            fn a_view_shows_everything_and_is_read_only() {
                needs_root!();
                let Some((_home, snapshots)) = new() else { return };
                let base = snapshots.prepare(Number(1), None).unwrap();
                furnish(&base);
                let before = Tree::read(&base).unwrap();
                snapshots.seal(Number(1)).unwrap();

                let view = snapshots.view(&[Number(1)]).unwrap();

                let seen = in_mount(&view, |root| {
                    let error = fs::write(root.join("new"), b"").unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
                    Tree::read(root).unwrap()
                });
                if let Some(seen) = seen {
                    seen.assert_same(&before);
                }
            }

            #[test]
            fn a_chain_shows_what_its_layers_say() {
                needs_root!();
                let Some((_home, snapshots)) = new() else { return };
                let expected = tempfile::tempdir().unwrap();
                let layers = speaking_layers();

                let chain = chain_of(snapshots.as_ref(), &layers);

                for layer in &layers {
                    apply(layer, expected.path(), Whiteouts::Apply);
                }
                let mount = snapshots.activate(Number(9), &chain).unwrap();
                let shown = in_mount(&mount, |root| Tree::read(root).unwrap());
                if let Some(shown) = shown {
                    shown.assert_same(&Tree::read(expected.path()).unwrap());
                }
            }

            #[test]
            fn removal_takes_everything_and_may_be_repeated() {
                needs_root!();
                let Some((_home, snapshots)) = new() else { return };
                furnish(&snapshots.prepare(Number(1), None).unwrap());
                snapshots.seal(Number(1)).unwrap();
                snapshots.activate(Number(2), &[Number(1)]).unwrap();

                for number in [Number(2), Number(1), Number(1), Number(3)] {
                    snapshots.remove(number).unwrap();
                }

                assert_eq!(list(snapshots.root()).unwrap(), []);
            }

            #[test]
            fn removal_goes_deeper_than_there_are_descriptors() {
                let Some((_home, snapshots)) = new() else { return };
                let files = snapshots.prepare(Number(1), None).unwrap();
                let mut below = open_directory(&files).unwrap();
                for _ in 0..3000 {
                    rustix::fs::mkdirat(&below, "d", Mode::RWXU).unwrap();
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    below = rustix::fs::openat(&below, "d", flags, Mode::empty()).unwrap();
                }

                snapshots.remove(Number(1)).unwrap();

                assert!(list(snapshots.root()).unwrap().is_empty());
            }

            #[test]
            fn removal_follows_no_link() {
                let Some((directory, snapshots)) = new() else { return };
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

snapshot_contract!(overlay, Home::usual(), Overlay::new);
snapshot_contract!(overlay_of_user, Home::of_user(), Overlay::of_user);
snapshot_contract!(erofs, Home::with_erofs(), Overlay::of_images);
snapshot_contract!(erofs_on_xfs, Home::formatted(Format::Xfs), Overlay::of_images);
snapshot_contract!(plain, Home::usual(), Plain::new);
snapshot_contract!(plain_on_btrfs, Home::formatted(Format::Btrfs), Plain::new);
snapshot_contract!(plain_on_xfs, Home::formatted(Format::Xfs), Plain::new);
snapshot_contract!(btrfs, Home::formatted(Format::Btrfs), Btrfs::new);

#[test]
fn copies_share_their_blocks_where_the_file_system_can() {
    type New = fn(&Path) -> Box<dyn Snapshots>;
    let cases: [(Format, New); 3] = [
        (Format::Btrfs, |root| Box::new(Btrfs::new(root))),
        (Format::Btrfs, |root| Box::new(Plain::new(root))),
        (Format::Xfs, |root| Box::new(Plain::new(root))),
    ];
    for (format, new) in cases {
        let Some(home) = Home::formatted(format) else { continue };
        let snapshots = new(&home.path().join("snapshots"));
        let base = snapshots.prepare(Number(1), None).unwrap();
        fs::write(base.join("large"), vec![7; 60 << 20]).unwrap();

        // Ten times the disk has no room for.
        for number in 2..=10 {
            let copy = snapshots.prepare(Number(number), Some(Number(1))).unwrap();
            assert_eq!(fs::metadata(copy.join("large")).unwrap().len(), 60 << 20, "{format:?}");
        }
    }
}

#[test]
fn a_subvolume_of_another_file_system_is_refused_and_told() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let snapshots = Btrfs::new(directory.path());

    let error = snapshots.prepare(Number(1), None).unwrap_err();

    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.innermost_hint().is_some_and(|hint| hint.contains("no btrfs")));
}

#[test]
fn an_overlay_that_points_elsewhere_is_refused() {
    needs_root!();
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Overlay::new(&directory.path().join("snapshots"));
    snapshots.prepare(Number(1), None).unwrap();
    let mount = snapshots.activate(Number(2), &[Number(1)]).unwrap();
    let moved = source(&mount).join("moved");
    fs::create_dir(&moved).unwrap();
    let flags = XattrFlags::empty();
    rustix::fs::setxattr(&moved, "trusted.overlay.redirect", b"/etc", flags).unwrap();

    let error = snapshots.changes(Number(2), &[Number(1)]).unwrap_err();

    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn plain_snapshots_may_be_thousands() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Plain::new(&directory.path().join("snapshots"));
    snapshots.prepare(Number(1), None).unwrap();
    fs::write(snapshots.files(Number(1)).join("file"), b"x").unwrap();

    for number in 2..=1000 {
        snapshots.prepare(Number(number), Some(Number(number - 1))).unwrap();
    }

    assert_eq!(fs::read(snapshots.files(Number(1000)).join("file")).unwrap(), b"x");
    assert_eq!(list(snapshots.root()).unwrap().len(), 1000);
}

#[test]
fn the_root_of_a_union_has_the_attributes_of_the_image() {
    needs_root!();
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Overlay::new(&directory.path().join("snapshots"));
    let base = snapshots.prepare(Number(1), None).unwrap();
    furnish(&base);
    let mount = snapshots.activate(Number(2), &[Number(1)]).unwrap();

    let union = in_mount(&mount, |root| Tree::read(root).unwrap());

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
    assert_eq!(view, Mount::Overlay { lower, upper: None, userxattr: false });
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
    assert!(!highest.join("link").exists(), "what is behind a link goes where it leads");
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
    let first = open(directory.path(), None).unwrap().driver();
    let other = if first == Driver::Overlay { Driver::Plain } else { Driver::Overlay };
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();

    fs::write(directory.path().join("driver"), other.word()).unwrap();

    assert_eq!(names, ["driver"]);
    assert_eq!(open(directory.path(), None).unwrap().driver(), other);
    fs::write(directory.path().join("driver"), "zfs").unwrap();
    assert_eq!(open(directory.path(), None).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_driver_that_is_wanted_is_used_and_no_other_beside_it() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let root = directory.path();
    let wanted = |driver| open(root, Some(driver)).map(|snapshots| snapshots.driver());

    assert_eq!(wanted(Driver::Btrfs).unwrap_err().kind(), Kind::Unsupported);
    assert_eq!(count(root), 0);
    assert_eq!(wanted(Driver::Plain).unwrap(), Driver::Plain);
    assert_eq!(open(root, None).unwrap().driver(), Driver::Plain);
    open(root, None).unwrap().prepare(Number(1), None).unwrap();
    assert_eq!(wanted(Driver::Plain).unwrap(), Driver::Plain);
    assert_eq!(wanted(Driver::Overlay).unwrap_err().kind(), Kind::Conflict);
}

#[test]
fn btrfs_is_chosen_where_it_is_wanted() {
    let Some(home) = Home::formatted(Format::Btrfs) else { return };

    let snapshots = open(home.path(), Some(Driver::Btrfs)).unwrap();

    assert_eq!(snapshots.driver(), Driver::Btrfs);
    assert_eq!(count(home.path()), 1, "the probe was left");
}

/// Below: `lib -> usr/lib` and `deep -> lib/deep`, as many images have it.
#[test]
fn what_lies_behind_a_link_of_the_layers_below_goes_there() {
    needs_root!();
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Overlay::new(&directory.path().join("snapshots"));
    let low = snapshots.prepare(Number(1), None).unwrap();
    fs::create_dir_all(low.join("usr/lib/deep")).unwrap();
    fs::write(low.join("usr/lib/gone"), b"").unwrap();
    symlink("usr/lib", low.join("lib")).unwrap();
    symlink("/lib/deep", low.join("deep")).unwrap();
    for path in ["usr/lib/deep", "usr/lib", "usr"] {
        age(&low.join(path));
    }
    let high = snapshots.prepare(Number(2), None).unwrap();
    for path in ["lib/sub", "deep", "usr/lib/sub"] {
        fs::create_dir_all(high.join(path)).unwrap();
    }
    let files = ["lib/file", "lib/sub/file", "lib/twice", "deep/file"];
    for path in files {
        fs::write(high.join(path), path).unwrap();
    }
    fs::write(high.join("usr/lib/twice"), b"true").unwrap();
    let gone = high.join("lib/gone");
    rustix::fs::mknodat(CWD, gone, FileType::CharacterDevice, Mode::empty(), 0).unwrap();

    let implied = ["lib", "deep", "usr", "usr/lib"].map(PathBuf::from);
    snapshots.inherit(Number(2), &implied, &[Number(1)]).unwrap();

    let text = |path: &str| fs::read_to_string(high.join("usr/lib").join(path)).unwrap();
    assert_eq!((text("file"), text("sub/file")), ("lib/file".into(), "lib/sub/file".into()));
    assert_eq!((text("twice"), text("deep/file")), ("true".into(), "deep/file".into()));
    assert_eq!(fs::metadata(high.join("usr/lib/gone")).unwrap().rdev(), 0);
    for path in ["usr/lib/deep", "usr/lib", "usr"] {
        assert_eq!(fs::metadata(high.join(path)).unwrap().mtime(), -86_400, "{path}");
    }
    assert_eq!(count(&high), 1, "a directory hides a link");
}
