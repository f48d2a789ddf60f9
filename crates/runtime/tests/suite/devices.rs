//! Device nodes: the default ones, asked-for ones of every type, and their links.

use crate::bundle::Bundle;
use dhow_spec::runtime::{Device, DeviceRule, IdMapping, Namespace, NamespaceKind};
use dhow_testkit::{needs, needs_root};
use std::path::Path;

fn device(kind: &str, path: &str, major: i64, minor: i64) -> Device {
    Device { kind: kind.to_owned(), path: path.into(), major, minor, ..Device::default() }
}

/// Adds devices, and allows the container's processes to use them.
fn ask(bundle: &mut Bundle, devices: Vec<Device>) {
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.devices = devices;
    linux.resources.get_or_insert_default().devices.push(DeviceRule {
        allow: true,
        access: Some("rwm".to_owned()),
        ..DeviceRule::default()
    });
}

#[test]
fn every_container_has_the_default_devices_and_links() {
    needs_root!();
    let mut bundle = Bundle::new();

    let outcome = bundle
        .sh("for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a %u:%g' /dev/$d; done
             for l in fd stdin stdout stderr core ptmx; do echo $l $(readlink /dev/$l); done
             echo x > /dev/full; head -c 3 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c
             cat /dev/null | wc -c; test -e /dev/console || echo no console; echo through > /dev/stdout")
        .ok();

    // The link to the kernel's memory is there where the kernel shows it.
    let core = if Path::new("/proc/kcore").exists() { "core /proc/kcore" } else { "core" };
    let device = |name, numbers| format!("/dev/{name} character special file {numbers} 666 0:0\n");
    let expected = [
        device("null", "1:3"),
        device("zero", "1:5"),
        device("full", "1:7"),
        device("random", "1:8"),
        device("urandom", "1:9"),
        device("tty", "5:0"),
        "fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\n".to_owned(),
        format!("stderr /proc/self/fd/2\n{core}\nptmx pts/ptmx\n"),
        "3\n4\n0\nno console\nthrough\n".to_owned(),
    ];
    assert_eq!(outcome.stdout, expected.concat(), "{outcome}");
    assert!(outcome.stderr.contains("No space left"), "{outcome}");
}

#[test]
fn asked_for_devices_have_their_type_numbers_mode_and_owner() {
    needs_root!();
    let mut bundle = Bundle::new();
    ask(
        &mut bundle,
        vec![
            Device {
                file_mode: Some(0o640),
                uid: Some(3),
                gid: Some(4),
                ..device("c", "/dev/mine", 1, 5)
            },
            device("u", "/dev/deep/er/unbuffered", 1, 3),
            Device { file_mode: Some(0o100_604), ..device("b", "/elsewhere/disk", 7, 200) },
            Device { gid: Some(9), ..device("p", "/dev/pipe", 0, 0) },
            // In place of the default one.
            Device { file_mode: Some(0o600), ..device("c", "/dev/tty", 5, 0) },
        ],
    );

    let outcome = bundle
        .sh("stat -c '%n %F %t:%T %a %u:%g' /dev/mine /dev/deep/er/unbuffered /elsewhere/disk \
                 /dev/pipe /dev/tty
             head -c 2 /dev/mine | wc -c; (echo through > /dev/pipe &) ; cat /dev/pipe")
        .ok();

    let expected = "/dev/mine character special file 1:5 640 3:4\n\
                    /dev/deep/er/unbuffered character special file 1:3 666 0:0\n\
                    /elsewhere/disk block special file 7:c8 604 0:0\n\
                    /dev/pipe fifo 0:0 666 0:9\n\
                    /dev/tty character special file 5:0 600 0:0\n2\nthrough\n";
    assert_eq!(outcome.stdout, expected, "{outcome}");
}

#[test]
fn what_is_no_device_or_is_another_is_refused_by_name() {
    needs_root!();
    let mut bundle = Bundle::new();
    std::fs::write(bundle.root().join("file"), "").unwrap();
    for (asked, says) in [
        (device("a", "/dev/all", 1, 3), "make device /dev/all: its type is not c, b, u or p"),
        (device("c", "/dev/x", -1, 3), "make device /dev/x: a bad number"),
        (device("c", "/file", 1, 3), "make device /file: use what is there: it is something else"),
        (device("c", "/", 1, 3), "make device /"),
    ] {
        ask(&mut bundle, vec![asked]);

        drop(bundle.run(&["true"]).exits(125).says(says));
    }
}

/// In a user namespace nobody makes a device: the host's are bound, pipes are made.
#[test]
fn in_a_user_namespace_the_host_s_devices_are_bound() {
    needs_root!();
    let disk =
        ["/dev/vda", "/dev/sda", "/dev/loop0"].into_iter().find(|path| Path::new(path).exists());
    needs!(disk.is_some(), "a block device");
    let disk = disk.unwrap();
    let status = rustix::fs::stat(disk).unwrap();
    let (major, minor) = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
    let mut bundle = Bundle::new();
    bundle.give_to(100_000);
    ask(
        &mut bundle,
        vec![
            device("b", disk, major.into(), minor.into()),
            Device { uid: Some(7), ..device("p", "/dev/pipe", 0, 0) },
            device("c", "/dev/other/name", 1, 5),
        ],
    );
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    linux.uid_mappings = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
    linux.gid_mappings = linux.uid_mappings.clone();

    let outcome = bundle
        .sh(&format!(
            "stat -c '%F %t:%T' {disk} /dev/other/name; head -c 1 /dev/other/name | wc -c; stat -c '%F %u' /dev/pipe; echo x > /dev/null"
        ))
        .ok();

    let expected =
        format!("block special file {major:x}:{minor:x}\ncharacter special file 1:5\n1\nfifo 7\n");
    assert_eq!(outcome.stdout, expected, "{outcome}");
    let wrong = device("b", disk, major.into(), 99_999);
    bundle.spec.linux.as_mut().unwrap().devices = vec![wrong];
    drop(bundle.run(&["true"]).exits(125).says("it is not the block device"));
}

#[test]
fn a_dev_that_is_bound_from_the_host_is_left_alone() {
    needs_root!();
    let mut bundle = Bundle::new();
    let source = bundle.directory().join("dev");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("mine"), "").unwrap();
    bundle.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    bundle.spec.mounts.push(crate::mounts::bind(&source, "/dev", &["rbind"]));
    bundle.spec.linux.as_mut().unwrap().masked_paths.clear();

    assert_eq!(bundle.run(&["ls", "/dev"]).ok().stdout, "mine\n");
}
