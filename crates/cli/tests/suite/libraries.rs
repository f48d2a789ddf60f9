//! Attack test 10: no process of ours loads a library, locale, name service or converter; seen by
//! what the kernel was asked, and by the binary itself. An image is full of traps.

use crate::fixture::start;
use dhow_testkit::{
    Dhow,
    image::{Compression, Image, Layout},
    needs_root, needs_tool, rootfs,
};
use std::{fs, process::Command};

const TRAPS: [&str; 8] = [
    "lib64/ld-linux-x86-64.so.2",
    "lib/x86_64-linux-gnu/libc.so.6",
    "lib/x86_64-linux-gnu/libnss_files.so.2",
    "usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
    "usr/lib/locale/locale-archive",
    "etc/ld.so.cache",
    "etc/ld.so.preload",
    "etc/nsswitch.conf",
];

/// What is in the name of a file that a C library loads by itself.
const SIGNS: [&str; 7] = [".so", "locale", "nsswitch", "gconv", "ld.so", "libnss", "localtime"];

#[test]
fn the_binary_needs_no_loader() {
    let bytes = fs::read(dhow_testkit::dhow::program()).unwrap();

    // ELF, 64 bits: program headers from e_phoff, e_phnum of them, e_phentsize apart.
    let number = |at: usize, size: usize| {
        let mut value = [0_u8; 8];
        value[..size].copy_from_slice(&bytes[at..at + size]);
        usize::try_from(u64::from_le_bytes(value)).unwrap()
    };
    let (first, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let kinds: Vec<usize> = (0..count).map(|index| number(first + index * size, 4)).collect();

    assert_eq!(&bytes[..5], b"\x7fELF\x02");
    assert!(kinds.contains(&1), "it has something to load: {kinds:?}");
    assert!(!kinds.contains(&3), "it names an interpreter: {kinds:?}");
    assert!(!kinds.contains(&2), "it names libraries: {kinds:?}");
}

#[test]
fn nothing_of_an_image_is_loaded_by_our_processes() {
    needs_root!();
    needs_tool!("strace");
    let dhow = Dhow::new();
    let root = rootfs::busybox().unwrap();
    for trap in TRAPS {
        let path = root.path().join(trap);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "hostile\n").unwrap();
    }
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let layer = layout.layer_of(root.path(), Compression::Gzip).unwrap();
    layout.tag_image(&Image::new([layer]), "trap").unwrap();
    drop(dhow.run(&["pull", "-q", &layout.reference("trap")]).ok());
    start(&dhow, &["--name", "web", "trap", "sleep", "1000"]);

    for arguments in [
        &["run", "-q", "--rm", "-u", "user", "-w", "/tmp", "trap", "true"][..],
        &["exec", "-u", "user", "web", "true"],
        &["logs", "web"],
        &["stop", "-t", "0", "web"],
    ] {
        let trace = dhow.directory().join("trace");
        let inner = dhow.command(arguments);
        let mut command = Command::new("strace");
        command.args(["-f", "-s", "300", "-e", "trace=open,openat,openat2,execve,execveat", "-o"]);
        command.arg(&trace).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(dhow.directory());
        command.envs([("LC_ALL", "de_DE.UTF-8"), ("LANG", "de_DE.UTF-8")]);
        drop(dhow.finish(&mut command, b"").ok());

        let text = fs::read_to_string(&trace).unwrap();
        let named = |line: &&str| SIGNS.iter().any(|sign| line.contains(sign));
        let found: Vec<&str> = text.lines().filter(named).collect();
        assert!(text.contains("openat"), "{arguments:?} was traced");
        assert!(found.is_empty(), "{arguments:?} looks for {found:#?}");
        fs::remove_file(trace).unwrap();
    }
}
