//! The attack tests of the runtime; each names its number. A canary is a file of the host's that
//! must not change.

use crate::{bundle::Bundle, mounts::bind};
use dhow_testkit::{canary::Canary, needs_root};
use std::{
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A directory of the host's with a canary in it; a rootfs that gets out would put things there.
fn canary_directory(bundle: &Bundle) -> (Canary, std::path::PathBuf) {
    let directory = bundle.directory().join("canarydir");
    std::fs::create_dir(&directory).unwrap();
    (Canary::hatch(&directory.join("canary")).unwrap(), directory)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Attack tests 1 and 2: CVE-2026-41579, CVE-2026-47766, CVE-2019-19921, CVE-2023-27561.
#[test]
fn links_in_the_image_lead_no_mount_out_of_it() {
    needs_root!();
    for victim in ["dev", "proc", "sys", "dev/shm", "dev/pts", "dev/mqueue"] {
        let mut bundle = Bundle::new();
        let (canary, directory) = canary_directory(&bundle);
        let place = bundle.root().join(victim);
        if let Some(inner) = victim.strip_prefix("dev/") {
            // Below a /dev of the image's own, without a tmpfs over it.
            bundle.spec.mounts.retain(|mount| mount.destination != Path::new("/dev"));
            assert!(!inner.is_empty());
        } else {
            std::fs::remove_dir(&place).unwrap();
        }
        symlink(&directory, &place).unwrap();

        let outcome = bundle.run(&["true"]);

        canary.assert_alive();
        assert_eq!(names(&directory), ["canary"], "{victim}: {outcome}");
        assert!(matches!(outcome.code, 0 | 125), "{victim}: {outcome}");
        if matches!(victim, "proc" | "sys") {
            drop(outcome.exits(125).says("no plain directory"));
        }
    }
}

/// Swaps two names as fast as it can while `work` runs.
fn while_swapping(a: &Path, b: &Path, work: impl FnOnce()) {
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (stop, a, b) = (Arc::clone(&stop), a.to_owned(), b.to_owned());
        std::thread::spawn(move || {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(rustix::fs::CWD, &a, rustix::fs::CWD, &b, flags).unwrap();
            }
        })
    };
    work();
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
}

/// Attack test 3, in short: CVE-2021-30465, CVE-2024-45310.
#[test]
fn a_swapped_directory_in_a_shared_volume_leads_no_mount_out() {
    needs_root!();
    let mut bundle = Bundle::new();
    let (canary, directory) = canary_directory(&bundle);
    let volume = bundle.directory().join("volume");
    std::fs::create_dir_all(volume.join("dir/x")).unwrap();
    std::fs::create_dir(directory.join("x")).unwrap();
    symlink(&directory, volume.join("link")).unwrap();
    let data = bundle.directory().join("data");
    std::fs::create_dir(&data).unwrap();
    bundle.spec.mounts.push(bind(&volume, "/vol", &["rbind"]));
    bundle.spec.mounts.push(bind(&data, "/vol/dir/x", &["rbind"]));

    while_swapping(&volume.join("dir"), &volume.join("link"), || {
        for _ in 0..100 {
            let outcome = bundle.run(&["true"]);
            assert!(matches!(outcome.code, 0 | 125), "{outcome}");
            let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(!host.contains("canarydir"), "{host}");
        }
    });

    canary.assert_alive();
    assert_eq!(names(&directory), ["canary", "x"]);
}

/// Attack test 4: CVE-2025-31133.
#[test]
fn a_null_device_that_is_something_else_masks_nothing_and_starts_nothing() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    symlink("/proc/sys/kernel/core_pattern", bundle.root().join("dev/null")).unwrap();

    drop(bundle.run(&["true"]).exits(125).says("/dev/null"));
}

/// Attack test 4, the race.
#[test]
fn a_null_device_that_is_swapped_never_opens_a_kernel_file() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    let dev = bundle.root().join("dev");
    let device = rustix::fs::makedev(1, 3);
    let kind = rustix::fs::FileType::CharacterDevice;
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, dev.join("null"), kind, mode, device).unwrap();
    symlink("/proc/sys/kernel/core_pattern", dev.join("evil")).unwrap();
    let script = "for f in /proc/timer_list /proc/keys; do [ ! -e $f ] || stat -c %t:%T $f; done
                  echo x > /proc/sys/kernel/core_pattern && echo BREACH; true";

    while_swapping(&dev.join("null"), &dev.join("evil"), || {
        for _ in 0..50 {
            let outcome = bundle.sh(script);
            let is_masked = outcome.stdout.lines().all(|line| line == "1:3");
            assert!(outcome.code == 125 || is_masked, "{outcome}");
        }
    });
}

/// Attack test 5: CVE-2025-52565. The console is bound from the terminal's own fd; a `/dev/console`
/// that leads elsewhere is not followed.
#[test]
fn a_console_that_is_a_link_is_not_followed() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().terminal = true;
    bundle.spec.mounts.retain(|mount| mount.destination != Path::new("/dev"));
    symlink("/proc/sysrq-trigger", bundle.root().join("dev/console")).unwrap();

    let outcome = bundle.sh("stat -c %F /proc/sysrq-trigger; cat /proc/self/mountinfo");

    assert!(!outcome.stdout.contains("character"), "{outcome}");
    assert!(matches!(outcome.code, 0 | 125), "{outcome}");
}

/// Attack test 6: CVE-2025-52881, CVE-2019-16884.
#[test]
fn nothing_covers_procfs() {
    needs_root!();
    for destination in ["/proc/self/attr", "/proc/sys/kernel", "/proc"] {
        let mut bundle = Bundle::new();
        let source = bundle.directory().join("fake");
        std::fs::create_dir(&source).unwrap();
        bundle.spec.mounts.push(bind(&source, destination, &["bind"]));

        drop(bundle.run(&["true"]).exits(125).says("inside procfs"));
    }
}

/// Attack test 6: parameters are written though the image's `/proc` is a tmpfs.
#[test]
fn parameters_reach_the_kernel_whatever_lies_at_proc() {
    needs_root!();
    let mut bundle = Bundle::new();
    let proc = bundle.spec.mounts.iter_mut().find(|mount| mount.destination == Path::new("/proc"));
    let proc = proc.unwrap();
    proc.kind = Some("tmpfs".to_owned());
    proc.options = Vec::new();
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.sysctl.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());

    assert_eq!(bundle.sh("ls /proc | wc -l").ok().line(), "0");
    let mut bundle = Bundle::new();
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.sysctl.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
    let host = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();

    assert_eq!(bundle.run(&["cat", "/proc/sys/net/ipv4/ip_forward"]).ok().line(), "1");
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), host);
}

/// Attack test 7: CVE-2024-21626.
#[test]
fn no_working_directory_leads_to_a_leaked_directory() {
    needs_root!();
    let mut bundle = Bundle::new();
    for number in (3..40).chain([1023]) {
        for path in [format!("/proc/self/fd/{number}"), format!("/proc/1/fd/{number}/..")] {
            bundle.process().cwd = path;
            let outcome = bundle.run(&["pwd"]);
            assert_eq!(outcome.code, 125, "{outcome}");
        }
    }
    bundle.process().cwd = "/proc/self/root/..".to_owned();
    assert_eq!(bundle.run(&["pwd"]).code, 125);
}

/// Attack test 8: CVE-2024-21626. Fds of the caller's that are not marked to close are closed.
#[test]
fn the_program_has_its_streams_and_no_other_fd() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().args = ["sh", "-c", "ls /proc/$$/fd; true"].map(str::to_owned).to_vec();
    bundle.write();
    let script = "exec 7</etc 9>/dev/null; exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).arg(crate::bundle::driver());
    command.args(["run", &bundle.id]).arg(bundle.directory());

    let outcome = dhow_testkit::outcome::run(&mut command, b"", std::time::Duration::from_secs(9))
        .unwrap()
        .ok();

    assert_eq!(outcome.stdout, "0\n1\n2\n");
}

/// Attack test 14: a `cgroupsPath` with `..` stays below the hierarchies' roots.
#[test]
fn a_cgroup_path_does_not_climb() {
    needs_root!();
    let mut bundle = Bundle::new();
    let path = format!("../../../dhow/{}", bundle.id);
    bundle.spec.linux.as_mut().unwrap().cgroups_path = Some(path);

    let outcome = bundle.run(&["true"]);

    assert!(matches!(outcome.code, 0 | 125), "{outcome}");
}

/// Attack test 9: CVE-2019-5736. The container's processes run our binary through their own names
/// and write to whatever they find behind `exe`.
#[test]
fn our_binary_cannot_be_written_from_inside() {
    needs_root!();
    let mut bundle = Bundle::new();
    let canary = Canary::watch(&crate::bundle::driver()).unwrap();
    let script = bundle.root().join("bin/again");
    std::fs::write(&script, "#!/proc/self/exe\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let attack = "echo up; while :; do for p in /proc/[0-9]*; do
        (exec 9<$p/exe; case $(readlink $p/exe) in /bin/*) ;; *) echo x >> /proc/self/fd/9 && echo BREACH;; esac)
        done 2>/dev/null; done";
    let mut held = bundle.hold(&["sh", "-c", attack]);
    held.start();
    assert_eq!(held.line(), "up");

    for _ in 0..20 {
        let outcome = bundle.exec(held.pid, &["again"]);
        assert_ne!(outcome.code, 0, "{outcome}");
    }

    held.kill();
    assert_eq!(held.line(), "", "nothing was written to");
    assert_eq!(held.end(), (137, String::new()));
    canary.assert_alive();
}
