//! Images as another reader sees them, which is `fsck.erofs` of erofs-utils; no kernel is asked.

use super::*;
use crate::open_directory;
use dhow_archive::{Limits, Unpack, Whiteouts};
use dhow_sys::union;
use dhow_testkit::{Tree, need, needs_root, needs_tool, outcome, tarball::Tarball};
use rustix::fs::{CWD, XattrFlags, mknodat, symlinkat};
use std::{collections::BTreeMap, fs, process::Command, time::Duration};

/// The image of a directory, in a file.
fn image_of(directory: &Path, file: &Path) {
    let image = fs::File::create_new(file).unwrap();
    write(&open_directory(directory).unwrap(), &image).unwrap();
}

/// Fails the test unless `fsck.erofs` finds nothing; what it reads goes to a directory, if one is
/// named.
fn check(image: &Path, extract: Option<&Path>) {
    let mut fsck = Command::new("fsck.erofs");
    if let Some(directory) = extract {
        fsck.arg(format!("--extract={}", directory.display()));
    }
    let told = outcome::run_ok(fsck.arg(image), outcome::LIMIT).unwrap();
    let text = format!("{}{}", told.stdout, told.stderr);
    assert_eq!(text, "");
}

/// A tree with every sort of file, and with sizes at each edge of a block and of an inode's tail.
fn furnish(root: &Path) {
    let noise = |length: usize| -> Vec<u8> {
        (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
    };
    for length in [0, 1, 31, 4031, 4032, 4033, 4095, 4096, 4097, 8128, 8191, 8192, 70_000] {
        fs::write(root.join(format!("size-{length}")), noise(length)).unwrap();
    }
    fs::write(root.join("large"), noise(20 << 20)).unwrap();
    let holes = fs::File::create_new(root.join("holes")).unwrap();
    for at in [5_u64 << 20, 64 << 20] {
        holes.write_all_at(b"data", at).unwrap();
    }
    holes.set_len(80 << 20).unwrap();
    fs::File::create_new(root.join("one-hole")).unwrap().set_len(200 << 20).unwrap();
    fs::create_dir_all(root.join("links/deep")).unwrap();
    for name in ["links/a", "links/deep/b", "c"] {
        fs::hard_link(root.join("large"), root.join(name)).unwrap();
    }
    symlinkat("x".repeat(4000), CWD, root.join("long-link")).unwrap();
    symlinkat("size-1", CWD, root.join("link")).unwrap();
    for (name, kind, device) in [
        ("fifo", FileType::Fifo, 0),
        ("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
        ("disk", FileType::BlockDevice, rustix::fs::makedev(259, 70_000)),
    ] {
        mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
    }
    fs::create_dir(root.join("empty")).unwrap();
    let long = root.join("long");
    fs::create_dir(&long).unwrap();
    for number in 0..300 {
        fs::write(long.join(format!("{number:0>255}")), number.to_string()).unwrap();
    }
    let mut deep = root.to_owned();
    for _ in 0..200 {
        deep.push("deep");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("bottom"), b"bottom").unwrap();
    for (name, length) in [("size-4032", 1), ("size-0", 1000), ("empty", 2000), ("size-8192", 3000)]
    {
        for number in 0..3 {
            let attribute = format!("user.note-{number}");
            let value = vec![b'v'; length / 3];
            rustix::fs::setxattr(root.join(name), attribute, &value, XattrFlags::empty()).unwrap();
        }
    }
    let owner = (rustix::fs::Uid::from_raw(4_000_000_000), rustix::fs::Gid::from_raw(70_000));
    rustix::fs::chown(root.join("size-1"), Some(owner.0), Some(owner.1)).unwrap();
    rustix::fs::chmod(root.join("size-31"), Mode::from_raw_mode(0o711)).unwrap();
}

#[test]
fn another_reader_finds_no_fault_and_the_same_tree() {
    needs_root!();
    needs_tool!("fsck.erofs");
    let home = tempfile::tempdir().unwrap();
    let (tree, image) = (home.path().join("tree"), home.path().join("image"));
    fs::create_dir(&tree).unwrap();
    furnish(&tree);
    image_of(&tree, &image);

    let extracted = home.path().join("extracted");
    check(&image, Some(&extracted));

    // It writes no attributes, makes copies of links, leaves holes at the end out, and the time of
    // a directory is that of its last entry. The kernel's own reading is in the contract.
    let bare = |path: &Path| {
        let mut tree = Tree::read(path).unwrap().without_times();
        for entry in tree.entries.values_mut() {
            (entry.xattrs, entry.same_as) = (BTreeMap::new(), None);
        }
        tree.without("holes").without("one-hole")
    };
    bare(&extracted).assert_same(&bare(&tree));
}

#[test]
fn a_directory_may_have_100_000_names() {
    needs_tool!("fsck.erofs");
    let home = tempfile::tempdir_in("/dev/shm").unwrap();
    let (tree, image) = (home.path().join("tree"), home.path().join("image"));
    fs::create_dir(&tree).unwrap();
    for number in 0..100_000 {
        fs::File::create_new(tree.join(format!("name-{number}"))).unwrap();
    }

    image_of(&tree, &image);

    check(&image, None);
    let length = fs::metadata(&image).unwrap().len();
    // An inode of 64 bytes and some 21 for the name of each.
    assert!(length < 100_000 * 96, "{length}");
}

#[test]
fn a_layer_gives_the_same_bytes_each_time() {
    let mut layer = Tarball::in_memory();
    layer.directory("./").unwrap();
    for number in 0..7 {
        layer.directory(&format!("d{number}")).unwrap();
    }
    for number in 0..300_u32 {
        let name = format!("d{}/f{number}", number % 7);
        layer.file(&name, &vec![7; usize::try_from(number * 41).unwrap()]).unwrap();
    }
    layer.hard_link("twin", "d1/f8").unwrap().symlink("link", "twin").unwrap();
    let layer = layer.finish().unwrap();
    let home = tempfile::tempdir().unwrap();

    let images = ["one", "two"].map(|name| {
        let (tree, image) = (home.path().join(name), home.path().join(format!("{name}.image")));
        fs::create_dir(&tree).unwrap();
        if name == "two" {
            // So that neither the order of names nor the numbers of inodes are those of the first.
            (0..50)
                .for_each(|number| fs::write(home.path().join(format!("{number}")), "").unwrap());
        }
        let target = open_directory(&tree).unwrap();
        Unpack::new(target.as_fd(), Whiteouts::Apply, Limits::default())
            .apply(&mut &layer[..])
            .unwrap();
        image_of(&tree, &image);
        fs::read(image).unwrap()
    });

    assert!(images[0] == images[1], "{} and {} bytes", images[0].len(), images[1].len());
}

#[test]
fn an_image_is_mounted_through_a_loop_device_that_frees_itself() {
    needs_root!();
    let home = tempfile::tempdir().unwrap();
    let (tree, image) = (home.path().join("tree"), home.path().join("layer.erofs"));
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), b"content").unwrap();
    image_of(&tree, &image);
    let attached = || {
        let devices = fs::read_dir("/sys/block").unwrap().map(|device| device.unwrap().path());
        let backing =
            devices.filter_map(|path| fs::read_to_string(path.join("loop/backing_file")).ok());
        backing.filter(|file| file.trim_end() == image.to_str().unwrap()).count()
    };

    let mounted = match union::erofs_by_loop_device(&image) {
        Ok(mounted) => mounted,
        Err(failure) => {
            let why = format!("loop devices and EROFS ({failure}: {})", failure.source);
            return need::skip(&why);
        }
    };

    let open = |name: &str, flags| rustix::fs::openat(&mounted, name, flags, Mode::empty());
    let mut content = [0; 16];
    let count = rustix::io::read(open("file", OFlags::RDONLY).unwrap(), &mut content).unwrap();
    assert_eq!(&content[..count], b"content");
    assert_eq!(open("file", OFlags::WRONLY).unwrap_err(), Errno::ROFS);
    assert_eq!(attached(), 1);
    drop(mounted);
    let freed = need::eventually(Duration::from_secs(30), || (attached() == 0).then_some(()));
    assert!(freed.is_some(), "the device is still there");
}
