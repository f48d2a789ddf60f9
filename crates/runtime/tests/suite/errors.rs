//! What bad input gets: an error that names the object, its exit code, and nothing left behind
//! (the bundle looks for that when it drops).

use crate::bundle::Bundle;
use dhow_spec::runtime::{Action, Seccomp, Syscalls};
use dhow_testkit::{needs, needs_root};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_missing_program_is_not_found() {
    needs_root!();
    let mut bundle = Bundle::new();

    drop(
        bundle.run(&["nope"]).exits(127).says("exec: \"nope\": executable file not found in $PATH"),
    );
    drop(bundle.run(&["/bin/nope"]).exits(127).says("stat /bin/nope: no such file or directory"));
    drop(bundle.run(&[""]).exits(127));
}

#[test]
fn a_program_that_cannot_run_says_why() {
    needs_root!();
    let mut bundle = Bundle::new();
    for (name, content, mode) in
        [("plain", "x", 0o644), ("garbage", "x", 0o755), ("script", "#!/none\n", 0o755)]
    {
        let path = bundle.root().join("bin").join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    drop(bundle.run(&["plain"]).exits(126).says("permission denied"));
    drop(bundle.run(&["garbage"]).exits(126).says("exec format error"));
    drop(bundle.run(&["/etc"]).exits(126).says("permission denied"));
    drop(bundle.run(&["script"]).exits(127).says("exec /bin/script: "));
}

#[test]
fn a_held_container_finds_a_missing_program_when_it_is_created() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().args = vec!["nope".to_owned()];
    bundle.write();
    let mut command = std::process::Command::new(crate::bundle::driver());
    command.args(["hold", &bundle.id]).arg(bundle.directory());

    let outcome =
        dhow_testkit::outcome::run(&mut command, b"", std::time::Duration::from_secs(9)).unwrap();

    drop(outcome.exits(127).says("executable file not found"));
}

#[test]
fn a_working_directory_that_is_a_file_is_refused() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().cwd = "/etc/passwd".to_owned();
    drop(bundle.run(&["true"]).exits(125).says("/etc/passwd"));
    bundle.process().cwd = "relative".to_owned();
    drop(bundle.run(&["true"]).exits(125).says("it is not absolute"));
}

#[test]
fn a_missing_root_is_refused() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.spec.root.as_mut().unwrap().path = "/nowhere/at/all".into();
    drop(bundle.run(&["true"]).exits(125).says("open root filesystem /nowhere/at/all"));
}

type Change = fn(&mut Bundle);

#[test]
fn bad_words_in_the_configuration_are_named() {
    needs_root!();
    let changes: [(&str, Change); 6] = [
        ("environment variable \"odd\"", |bundle| {
            bundle.process().env.push("odd".to_owned());
        }),
        ("kernel.core_pattern", |bundle| {
            let linux = bundle.spec.linux.as_mut().unwrap();
            linux.sysctl.insert("kernel.core_pattern".to_owned(), "|/x".to_owned());
        }),
        ("mount onto the root itself", |bundle| {
            let mount = crate::mounts::bind(std::path::Path::new("/tmp"), "/x/..", &["bind"]);
            bundle.spec.mounts.push(mount);
        }),
        ("open the source /nowhere", |bundle| {
            let mount = crate::mounts::bind(std::path::Path::new("/nowhere"), "/x", &["bind"]);
            bundle.spec.mounts.push(mount);
        }),
        ("mount filesystem nofs", |bundle| {
            let mut mount = crate::mounts::bind(std::path::Path::new("none"), "/x", &[]);
            mount.kind = Some("nofs".to_owned());
            bundle.spec.mounts.push(mount);
        }),
        ("process.args is empty", |bundle| {
            bundle.process().args = Vec::new();
        }),
    ];
    for (words, change) in changes {
        let mut bundle = Bundle::new();
        change(&mut bundle);
        let args: &[&str] = if words.contains("empty") { &[] } else { &["true"] };
        drop(bundle.run(args).exits(125).says(words));
    }
}

#[test]
fn a_filter_against_exec_is_told_from_a_program_that_ran() {
    needs_root!();
    let mut bundle = Bundle::new();
    let rule = Syscalls {
        names: vec!["execve".to_owned()],
        action: Action::KillProcess,
        errno_ret: None,
        args: Vec::new(),
    };
    bundle.spec.linux.as_mut().unwrap().seccomp = Some(Seccomp {
        default_action: Action::Allow,
        default_errno_ret: None,
        architectures: Vec::new(),
        flags: Vec::new(),
        listener_path: None,
        listener_metadata: None,
        syscalls: vec![rule],
    });
    needs!(
        dhow_seccomp::compile(bundle.spec.linux.as_ref().unwrap().seccomp.as_ref().unwrap())
            .is_ok(),
        "a compiler of seccomp filters"
    );

    drop(bundle.run(&["true"]).exits(125).says("the process died before it (signal 31 ended it)"));
}

/// config-linux.md, "IntelRdt": "If resctrl is not mounted, the runtime MUST generate an error."
#[test]
fn shares_of_caches_are_refused_by_name_where_the_kernel_has_none() {
    needs_root!();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    dhow_testkit::needs!(!mounts.contains(" - resctrl "), "a machine without resctrl");
    let mut bundle = Bundle::new();
    bundle.spec.linux.as_mut().unwrap().intel_rdt = Some(dhow_spec::runtime::IntelRdt {
        l3_cache_schema: Some("L3:0=f".to_owned()),
        ..Default::default()
    });

    drop(bundle.run(&["true"]).exits(125).says("no resctrl filesystem is mounted"));
}
