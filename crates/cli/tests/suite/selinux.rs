//! Labels of SELinux: `--security-opt label=…`, `z` and `Z`.
//!
//! The lab's machine with SELinux runs these (`cargo xtask lab selinux`); its policy has the types that
//! they name. Where SELinux is off, as on most machines, the options mean nothing.

use crate::fixture::{SOON, layout, start};
use dhow_testkit::{Dhow, need, needs, needs_root, needs_tool};
use std::{fs, path::Path};

const PROCESS: &str = "system_u:system_r:container_t:";
const FILES: &str = "system_u:object_r:container_file_t:";

/// SELinux with a policy that knows containers.
fn has_policy() -> bool {
    fs::read_to_string("/etc/selinux/config").is_ok()
        && fs::write("/sys/fs/selinux/context", format!("{PROCESS}s0:c1,c2")).is_ok()
}

/// Of busybox as the machine has it: the lab's has no directory of cargo's.
fn with_box_of_its_own() -> Dhow {
    let dhow = Dhow::new();
    drop(dhow.run(&["pull", "-q", &layout(&dhow).reference("box")]).ok());
    dhow
}

fn label(dhow: &Dhow, container: &str, field: &str) -> String {
    let template = format!("{{{{.{field}}}}}");
    dhow.run(&["inspect", "--format", &template, container]).ok().line().to_owned()
}

/// The label of a file on the host.
fn of_file(path: &Path) -> String {
    let mut buffer = [0_u8; 256];
    let count = rustix::fs::lgetxattr(path, "security.selinux", &mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..count]).trim_end_matches('\0').to_owned()
}

/// The label of a process in a container.
fn inside(dhow: &Dhow, container: &str) -> String {
    let outcome = dhow.run(&["exec", container, "cat", "/proc/self/attr/current"]).ok();
    outcome.stdout.trim_end_matches(['\0', '\n']).to_owned()
}

#[test]
fn a_container_has_categories_that_no_other_has() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_policy(), "SELinux with the lab's policy");
    let dhow = with_box_of_its_own();
    let one = start(&dhow, &["--network", "none", "box", "sleep", "60"]);
    let other = start(&dhow, &["--network", "none", "box", "sleep", "60"]);

    let label_of_one = label(&dhow, &one, "ProcessLabel");

    let (kind, categories) = label_of_one.split_once(":s0:").unwrap();
    assert_eq!(format!("{kind}:"), PROCESS);
    let (first, second) = categories.split_once(',').unwrap();
    let number = |text: &str| text.trim_start_matches('c').parse::<u32>().unwrap();
    assert!(number(first) < number(second) && number(second) < 1024, "{label_of_one}");
    assert_ne!(label_of_one, label(&dhow, &other, "ProcessLabel"));
    assert_eq!(label(&dhow, &one, "MountLabel"), format!("{FILES}s0:{categories}"));
    assert_eq!(inside(&dhow, &one), label_of_one);
    drop(dhow.run(&["restart", "-t", "0", &one]).ok());
    assert_eq!(inside(&dhow, &one), label_of_one);
}

#[test]
fn the_root_and_what_is_shown_in_it_have_the_label_of_the_files() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_policy(), "SELinux with the lab's policy");
    let dhow = with_box_of_its_own();
    let id = start(
        &dhow,
        &["--network", "none", "--name", "one", "-v", "data:/data", "box", "sleep", "60"],
    );
    let files = label(&dhow, &id, "MountLabel");

    let mounts = dhow.run(&["exec", &id, "cat", "/proc/mounts"]).ok().stdout;

    let has = |place: &str| {
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(place));
        line.is_some_and(|line| line.contains(&format!("context=\"{files}\"")))
    };
    assert!(has("/") && has("/dev") && has("/dev/shm"), "{mounts}");
    let run = dhow.runroot().join("containers").join(&id);
    for name in ["hosts", "hostname", "resolv.conf"] {
        assert_eq!(of_file(&run.join(name)), files, "{name}");
    }
    assert_eq!(of_file(&dhow.root().join("volumes/data/data")), format!("{FILES}s0"));
}

#[test]
fn fields_are_chosen_one_by_one_and_labels_can_be_left_out() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_policy(), "SELinux with the lab's policy");
    let dhow = with_box_of_its_own();
    let made = |options: &[&str]| {
        let name = format!("c{}", dhow.run(&["ps", "-aq"]).ok().stdout.lines().count());
        let words =
            [&["create", "-q", "--network", "none", "--name", &name], options, &["box", "true"]];
        drop(dhow.run(&words.concat()).ok());
        (label(&dhow, &name, "ProcessLabel"), label(&dhow, &name, "MountLabel"))
    };

    let asked = made(&[
        "--security-opt",
        "label=type:other_t",
        "--security-opt",
        "label=filetype:other_file_t",
        "--security-opt",
        "label=level:s0:c5,c6",
    ]);
    assert_eq!(asked.0, "system_u:system_r:other_t:s0:c5,c6");
    assert_eq!(asked.1, "system_u:object_r:other_file_t:s0:c5,c6");
    for unlabelled in [
        &["--security-opt", "label=disable"][..],
        &["--privileged"],
        &["--pid", "host"],
        &["--ipc", "host"],
    ] {
        let (process, files) = made(unlabelled);
        assert_eq!(
            (process.as_str(), files),
            ("", format!("{FILES}s0:c1022,c1023")),
            "{unlabelled:?}"
        );
    }
    let plain = dhow
        .run(&[
            "run",
            "--rm",
            "-q",
            "--network",
            "none",
            "--security-opt",
            "label=disable",
            "box",
            "cat",
            "/proc/self/attr/current",
        ])
        .ok();
    assert!(plain.stdout.contains("machine_t"), "{plain}");
    let wrong = dhow.run(&[
        "run",
        "--rm",
        "-q",
        "--network",
        "none",
        "--security-opt",
        "label=type:no_such_t",
        "box",
        "true",
    ]);
    assert_ne!(wrong.code, 0);
    assert!(wrong.stderr.contains("no_such_t"), "{wrong}");
}

#[test]
fn who_shares_processes_or_memory_has_the_label_too() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_policy(), "SELinux with the lab's policy");
    let dhow = with_box_of_its_own();
    drop(start(&dhow, &["--network", "none", "--name", "first", "box", "sleep", "60"]));
    let first = label(&dhow, "first", "ProcessLabel");

    for namespace in ["--pid", "--ipc"] {
        let words = [
            "run",
            "--rm",
            "-q",
            "--network",
            "none",
            namespace,
            "container:first",
            "box",
            "cat",
            "/proc/self/attr/current",
        ];
        let joined = dhow.run(&words).ok();
        assert_eq!(joined.stdout.trim_end_matches(['\0', '\n']), first, "{namespace}");
    }
    drop(dhow.run(&["pod", "create", "--share", "ipc,uts", "--name", "p"]).ok());
    let one = start(&dhow, &["--pod", "p", "--network", "none", "box", "sleep", "60"]);
    let two = start(&dhow, &["--pod", "p", "--network", "none", "box", "sleep", "60"]);
    assert_eq!(inside(&dhow, &one), inside(&dhow, &two));
    drop(dhow.run(&["exec", &one, "sh", "-c", "echo x >/dev/shm/x"]).ok());
    assert_eq!(dhow.run(&["exec", &two, "cat", "/dev/shm/x"]).ok().line(), "x");
}

#[test]
fn sources_are_labelled_for_one_container_or_for_all() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_policy(), "SELinux with the lab's policy");
    let dhow = with_box_of_its_own();
    let source = dhow.directory().join("source");
    fs::create_dir_all(source.join("deep")).unwrap();
    fs::write(source.join("deep/file"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", source.join("link")).unwrap();
    let before = of_file(Path::new("/etc/passwd"));
    let volume = |options: &str| format!("{}:/data:{options}", source.display());

    drop(
        dhow.run(&[
            "create",
            "-q",
            "--network",
            "none",
            "--name",
            "own",
            "-v",
            &volume("Z"),
            "box",
        ])
        .ok(),
    );
    let own = label(&dhow, "own", "MountLabel");
    for path in [source.clone(), source.join("deep"), source.join("deep/file"), source.join("link")]
    {
        assert_eq!(of_file(&path), own, "{}", path.display());
    }
    drop(dhow.run(&["create", "-q", "--network", "none", "-v", &volume("ro,z"), "box"]).ok());
    assert_eq!(of_file(&source.join("deep/file")), format!("{FILES}s0"));
    assert_eq!(of_file(Path::new("/etc/passwd")), before, "a link was followed");

    for system in ["/usr", "/usr/", "/etc", "/"] {
        let refused = dhow.run(&[
            "create",
            "-q",
            "--network",
            "none",
            "-v",
            &format!("{system}:/data:z"),
            "box",
        ]);
        assert_eq!(refused.code, 125, "{refused}");
        assert!(refused.stderr.contains("the system stands on it"), "{refused}");
    }
    let gone = need::eventually(SOON, || {
        dhow.run(&["ps", "-aq"]).ok().stdout.lines().count().eq(&2).then_some(())
    });
    assert!(gone.is_some(), "what was refused has left containers");
}

#[test]
fn where_selinux_is_off_labels_are_said_and_done() {
    needs_root!();
    needs_tool!("busybox");
    needs!(!Path::new("/sys/fs/selinux/enforce").exists(), "a machine without SELinux");
    let dhow = with_box_of_its_own();
    let volume = format!("{}:/data:Z", dhow.directory().join("source").display());

    let words = [
        "run",
        "-q",
        "--name",
        "c",
        "--security-opt",
        "label=type:spc_t",
        "--security-opt",
        "label=nested",
        "-v",
        &volume,
        "box",
        "true",
    ];
    drop(dhow.run(&words).ok());

    assert_eq!(
        (label(&dhow, "c", "ProcessLabel"), label(&dhow, "c", "MountLabel")),
        (String::new(), String::new())
    );
    let options = label(&dhow, "c", "HostConfig.SecurityOpt");
    assert_eq!(options, "[label=type:spc_t label=nested]");
    let wrong = dhow.run(&["run", "--rm", "--security-opt", "label=colour:red", "box", "true"]);
    assert_eq!(wrong.code, 125);
    assert!(wrong.stderr.contains("level:s0"), "{wrong}");
}
