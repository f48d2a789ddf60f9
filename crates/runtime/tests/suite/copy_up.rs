//! `tmpcopyup`: a tmpfs with the files that it hides.

use crate::{bundle::Bundle, mounts::tmpfs};
use dhow_testkit::{need, needs, needs_root};
use rustix::fs::XattrFlags;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

/// A directory in the image with one of each.
fn fill(bundle: &Bundle) {
    let at = bundle.root().join("data");
    std::fs::create_dir_all(at.join("sub/deep")).unwrap();
    std::fs::write(at.join("sub/deep/file"), "deep").unwrap();
    std::fs::write(at.join("owned"), vec![b'x'; 100_000]).unwrap();
    chown(at.join("owned"), Some(12), Some(34)).unwrap();
    std::fs::set_permissions(at.join("owned"), std::fs::Permissions::from_mode(0o4750)).unwrap();
    std::fs::hard_link(at.join("owned"), at.join("sub/same")).unwrap();
    symlink("/etc/passwd", at.join("link")).unwrap();
    std::os::unix::fs::lchown(at.join("link"), Some(7), Some(8)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o621),
        0,
    )
    .unwrap();
    let mode = std::fs::Permissions::from_mode(0o621);
    std::fs::set_permissions(at.join("pipe"), mode).unwrap();
    std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o1771)).unwrap();
    chown(&at, Some(5), Some(6)).unwrap();
}

#[test]
fn everything_is_there_as_it_was_and_the_image_stays() {
    needs_root!();
    let mut bundle = Bundle::new();
    fill(&bundle);
    bundle.spec.mounts.push(tmpfs("/data", &["tmpcopyup", "size=1m", "nosuid"]));

    let outcome = bundle
        .sh("cd /data; stat -c '%n %u:%g %a %F' . owned link pipe sub/deep/file
             stat -c %h owned; [ owned -ef sub/same ] && echo same; wc -c < owned
             cat sub/deep/file; echo; readlink link
             echo changed > sub/deep/file; rm owned; grep ' /data ' /proc/self/mountinfo | cut -d' ' -f9")
        .ok();

    let expected = ". 5:6 1771 directory\nowned 12:34 4750 regular file\nlink 7:8 777 symbolic link\n\
                    pipe 0:0 621 fifo\nsub/deep/file 0:0 644 regular file\n2\nsame\n100000\ndeep\n\
                    /etc/passwd\ntmpfs\n";
    assert_eq!(outcome.stdout, expected, "{outcome}");
    let kept = bundle.root().join("data");
    assert_eq!(std::fs::read_to_string(kept.join("sub/deep/file")).unwrap(), "deep");
    assert_eq!(kept.join("owned").metadata().unwrap().uid(), 12);
}

#[test]
fn what_the_options_say_about_the_root_holds() {
    needs_root!();
    let mut bundle = Bundle::new();
    fill(&bundle);
    bundle.spec.mounts.push(tmpfs("/data", &["tmpcopyup", "mode=700", "gid=9"]));

    let outcome = bundle.sh("stat -c '%n %u:%g %a' /data /data/owned").ok();

    assert_eq!(outcome.stdout, "/data 5:9 700\n/data/owned 12:34 4750\n", "{outcome}");
}

#[test]
fn extended_attributes_and_times_come_along() {
    needs_root!();
    needs!(need::kernel(6, 6), "a tmpfs with users' extended attributes (Linux 6.6)");
    let mut bundle = Bundle::new();
    fill(&bundle);
    let (at, name) = (bundle.root().join("data/sub"), c"user.colour");
    rustix::fs::setxattr(at, name, b"blue", XattrFlags::empty()).unwrap();
    bundle.spec.mounts.push(tmpfs("/data", &["tmpcopyup"]));
    let mut held = bundle.hold(&["true"]);

    // Looked at from outside, since busybox does not show attributes.
    let inside = format!("/proc/{}/root/data", held.pid);
    let mut value = [0; 16];
    let got = rustix::fs::getxattr(format!("{inside}/sub"), c"user.colour", &mut value);
    let (copy, original) = (
        std::fs::metadata(format!("{inside}/sub/deep")).unwrap(),
        bundle.root().join("data/sub/deep").metadata().unwrap(),
    );

    held.start();
    assert_eq!(held.end(), (0, String::new()));
    assert_eq!(&value[..got.unwrap()], b"blue");
    assert_eq!((copy.mtime(), copy.mtime_nsec()), (original.mtime(), original.mtime_nsec()));
    assert_ne!(copy.dev(), original.dev());
}

#[test]
fn a_tmpfs_that_is_too_small_is_named_and_nothing_is_left() {
    needs_root!();
    let mut bundle = Bundle::new();
    fill(&bundle);
    bundle.spec.mounts.push(tmpfs("/data", &["tmpcopyup", "size=16k"]));

    let outcome = bundle.run(&["true"]).exits(125);

    assert!(outcome.stderr.contains("mount /data"), "{outcome}");
    assert!(outcome.stderr.contains("No space left"), "{outcome}");
}

#[test]
fn a_read_only_copy_has_the_files_and_a_missing_directory_is_made() {
    needs_root!();
    let mut bundle = Bundle::new();
    fill(&bundle);
    bundle.spec.mounts.push(tmpfs("/data", &["tmpcopyup", "ro"]));
    bundle.spec.mounts.push(tmpfs("/none/yet", &["tmpcopyup"]));

    let outcome =
        bundle.sh("cat /data/sub/deep/file; echo; touch /data/x; ls /none/yet | wc -l").ok();

    assert_eq!(outcome.stdout, "deep\n0\n", "{outcome}");
    assert!(outcome.stderr.contains("Read-only"), "{outcome}");
}

#[test]
fn links_in_the_image_are_copied_and_never_followed() {
    needs_root!();
    let mut bundle = Bundle::new();
    std::fs::create_dir(bundle.root().join("data")).unwrap();
    let secret = bundle.directory().join("secret");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("key"), "the host's").unwrap();
    symlink(&secret, bundle.root().join("data/out")).unwrap();
    symlink(&secret, bundle.root().join("linked")).unwrap();
    bundle.spec.mounts.push(tmpfs("/data", &["tmpcopyup"]));
    bundle.spec.mounts.push(tmpfs("/linked", &["tmpcopyup"]));

    let outcome = bundle.sh("cat /data/out/key /linked/key; find / -xdev -name key").exits(0);

    assert!(!outcome.stdout.contains("host"), "{outcome}");
    assert!(secret.join("key").exists());
}

#[test]
fn a_tmpfs_takes_the_mode_of_the_directory_that_it_hides() {
    needs_root!();
    let mut bundle = Bundle::new();
    std::fs::create_dir(bundle.root().join("closed")).unwrap();
    let closed = std::fs::Permissions::from_mode(0o710);
    std::fs::set_permissions(bundle.root().join("closed"), closed).unwrap();
    bundle.spec.mounts.push(tmpfs("/tmp", &["size=64k"]));
    bundle.spec.mounts.push(tmpfs("/closed", &["size=64k"]));
    bundle.spec.mounts.push(tmpfs("/home", &["mode=700", "uid=3", "gid=4"]));
    bundle.spec.mounts.push(tmpfs("/new", &[]));

    let outcome = bundle.sh("stat -c '%n %a %u:%g' /tmp /closed /home /new").ok();

    assert_eq!(outcome.stdout, "/tmp 1777 0:0\n/closed 710 0:0\n/home 700 3:4\n/new 1777 0:0\n");
}
