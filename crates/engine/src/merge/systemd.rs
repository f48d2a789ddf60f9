//! A systemd as the first process of a container: what it looks for (systemd's "Container Interface",
//! <https://systemd.io/CONTAINER_INTERFACE>), given as podman's `--systemd` gives it.
//!
//! | it finds | so that |
//! |---|---|
//! | memory on `/run`, `/run/lock`, `/tmp`, `/var/log/journal` | nothing of the life before is there |
//! | its own control group, writable | it can make one for each service |
//! | `container=` | it knows that it is in one, and leaves the machine alone |
//! | `container_uuid=` | it has an id of the machine that stays |
//! | the stop signal `SIGRTMIN+3` | it halts its services when it is stopped |
//!
//! In hierarchies of version 1 the group is its place in systemd's own hierarchy alone: in those of the
//! controllers it could lift its own limits. In version 2 the host's mount has to be `nsdelegate`, as
//! systemd's is, for the kernel to keep these from it (cgroup-v2.rst, "Delegation").

use super::process::set_variable;
use crate::{
    options::{CreateOptions, Sharing, Systemd},
    plan::Planned,
    record::Record,
};
use dhow_base::id::ContainerId;
use dhow_spec::runtime::{Linux, MountPoint};
use std::path::{Path, PathBuf};

/// What asks a systemd to halt: `SIGRTMIN+3`.
pub(super) const STOP_SIGNAL: i32 = 37;

/// The programs that are systemd, or lead to it, wherever there is one.
const PROGRAMS: [&str; 3] = ["/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init"];

/// What is written anew in each life.
const IN_MEMORY: [&str; 4] = ["/run", "/run/lock", "/tmp", "/var/log/journal"];

/// Where control groups are seen, in a container as on the host.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The hierarchies that a systemd keeps its services in where the controllers are of version 1.
const HIERARCHIES: [&str; 2] = ["systemd", "unified"];

/// The names of variables that tell systemd of its container.
const KIND: &str = "container=";
const MACHINE: &str = "container_uuid=";

/// Whether the container is prepared for a systemd: podman's rule, by the words that it runs.
pub(super) fn is_meant(options: &CreateOptions, entrypoint: &[String], command: &[String]) -> bool {
    match options.surroundings.systemd {
        Systemd::Never => return false,
        Systemd::Always => return true,
        Systemd::WhereItRuns => {}
    }
    let words: Vec<&str> = entrypoint.iter().chain(command).map(String::as_str).collect();
    let program = match words[..] {
        // A build puts a shell before what is written as a line.
        ["/bin/sh", "-c", program, ..] | [program, ..] => program,
        [] => return false,
    };
    PROGRAMS.contains(&program) || program.rsplit('/').next() == Some("systemd")
}

/// The memory for it, where nothing else is mounted.
pub(super) fn mounts(options: &CreateOptions, planned: &[Planned]) -> Vec<MountPoint> {
    let is_taken = |target: &Path| {
        let mut asked = planned.iter().map(|planned| planned.option.target.as_path());
        asked.any(|asked| target.starts_with(asked) && asked != Path::new("/"))
    };
    let targets = IN_MEMORY.map(Path::new).into_iter().filter(|target| !is_taken(target));
    targets.map(|target| memory(target, options.surroundings.systemd_bytes)).collect()
}

/// Whether the memory for it is there, or would be if the user had not mounted something else.
pub(super) fn has(target: &Path) -> bool {
    IN_MEMORY.iter().any(|one| Path::new(one) == target)
}

fn memory(target: &Path, limit_bytes: Option<u64>) -> MountPoint {
    let options = ["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"].map(str::to_owned);
    MountPoint {
        destination: target.to_owned(),
        kind: Some("tmpfs".to_owned()),
        source: Some("tmpfs".into()),
        options: options.into_iter().chain(limit_bytes.map(|b| format!("size={b}"))).collect(),
        ..MountPoint::default()
    }
}

/// Makes the control group writable for it, among the usual mounts.
pub(super) fn show_cgroup(
    linux: &Linux,
    mounts: &mut Vec<MountPoint>,
    options: &CreateOptions,
    record: &Record,
) {
    if record.no_cgroup {
        return;
    }
    let Some(at) = mounts.iter().position(|mount| mount.destination == Path::new(CGROUPS)) else {
        return;
    };
    if Path::new(CGROUPS).join("cgroup.controllers").exists() {
        let words = &mut mounts[at].options;
        words.retain(|word| word != "ro");
        words.push("rw".to_owned());
        return;
    }
    let is_own_view = matches!(
        options.namespaces.cgroup,
        Sharing::Unsaid | Sharing::Private | Sharing::Shareable | Sharing::Bare
    );
    let Some(path) = linux.cgroups_path.as_deref().filter(|_| is_own_view) else { return };
    let hierarchies = HIERARCHIES.map(|name| Path::new(CGROUPS).join(name));
    let there = hierarchies.into_iter().filter(|hierarchy| hierarchy.is_dir());
    let shown: Vec<MountPoint> = there.map(|hierarchy| own_part(hierarchy, path)).collect();
    mounts.splice(at + 1..at + 1, shown);
}

/// What the container has of a hierarchy, which its own view shows as the whole.
fn own_part(hierarchy: PathBuf, cgroup: &str) -> MountPoint {
    MountPoint {
        source: Some(hierarchy.join(cgroup.trim_start_matches('/'))),
        destination: hierarchy,
        kind: Some("bind".to_owned()),
        options: ["bind", "rprivate", "rw", "nosuid", "noexec", "nodev"].map(str::to_owned).into(),
        ..MountPoint::default()
    }
}

/// Adds the variables, unless the user or the image has said them.
pub(super) fn tell(environment: &mut Vec<String>, id: &ContainerId) {
    // An id of a machine has 32 digits.
    let machine = id.as_str().get(..32).unwrap_or_default();
    for (name, value) in [(KIND, "oci"), (MACHINE, machine)] {
        if !environment.iter().any(|entry| entry.starts_with(name)) {
            set_variable(environment, &format!("{name}{value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::merged, *};
    use crate::options::{MountDetails, MountOption, MountWhat};
    use dhow_spec::runtime::Spec;

    fn prepared(change: impl FnOnce(&mut CreateOptions)) -> (Spec, Record) {
        let mut options = CreateOptions::of("web");
        options.surroundings.systemd = Systemd::Always;
        change(&mut options);
        merged(&options).unwrap()
    }

    fn targets(spec: &Spec) -> Vec<&str> {
        let memory = |mount: &&MountPoint| mount.options.iter().any(|word| word == "tmpcopyup");
        spec.mounts.iter().filter(memory).filter_map(|mount| mount.destination.to_str()).collect()
    }

    #[test]
    fn systemd_is_known_by_podmans_names() {
        let meant = |systemd: Systemd, words: &[&str]| {
            let mut options = CreateOptions::of("web");
            options.surroundings.systemd = systemd;
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let (entrypoint, command) = words.split_at(words.len().min(1));
            is_meant(&options, entrypoint, command)
        };
        let auto = |words: &[&str]| meant(Systemd::WhereItRuns, words);

        assert!(auto(&["/sbin/init"]) && auto(&["/usr/lib/systemd/systemd", "--user"]));
        assert!(auto(&["/bin/sh", "-c", "/usr/sbin/init"]) && auto(&["systemd"]));
        assert!(!auto(&["/bin/init"]) && !auto(&["sh", "/sbin/init"]) && !auto(&[]));
        assert!(!auto(&["/opt/systemd/run"]) && !auto(&["/bin/sh", "-c"]));
        assert!(meant(Systemd::Always, &["sh"]) && !meant(Systemd::Never, &["/sbin/init"]));
    }

    #[test]
    fn it_finds_memory_its_variables_and_its_signal() {
        let (spec, record) = prepared(|options| options.surroundings.systemd_bytes = Some(4096));

        assert_eq!(targets(&spec), IN_MEMORY);
        assert!(spec.mounts.iter().any(|mount| mount.options.contains(&"size=4096".to_owned())));
        let env = spec.process.unwrap().env;
        assert!(env.contains(&"container=oci".to_owned()), "{env:?}");
        let machine = env.iter().find_map(|entry| entry.strip_prefix(MACHINE)).unwrap();
        assert_eq!(machine.len(), 32);
        assert!(record.systemd);
        assert_eq!(record.stop_signal, 3, "the image's own signal counts");
        assert_eq!(prepared(|options| options.stop_signal = Some(9)).1.stop_signal, 9);
    }

    #[test]
    fn what_is_mounted_already_is_left_as_it_is() {
        let (spec, _) = prepared(|options| {
            options.mounts = vec![MountOption {
                what: MountWhat::Bind { source: "/x".into(), create: false },
                target: "/run".into(),
                read_only: false,
                options: vec![],
                details: MountDetails::default(),
            }];
            options.env = vec!["container=mine".into()];
        });

        assert_eq!(targets(&spec), ["/tmp", "/var/log/journal"]);
        let env = spec.process.unwrap().env;
        assert!(
            env.contains(&"container=mine".to_owned()) && !env.contains(&"container=oci".into())
        );
    }

    #[test]
    fn without_it_nothing_changes() {
        let (spec, record) = prepared(|options| options.surroundings.systemd = Systemd::Never);

        assert!(targets(&spec).is_empty() && !record.systemd);
    }

    #[test]
    fn its_own_cgroup_is_all_that_it_may_write() {
        let (spec, _) = prepared(|_| {});

        let path = spec.linux.unwrap().cgroups_path.unwrap();
        let below = |mount: &&MountPoint| mount.destination.starts_with(CGROUPS);
        let writable = |mount: &&MountPoint| !mount.options.iter().any(|word| word == "ro");
        for mount in spec.mounts.iter().filter(below).filter(writable) {
            let is_own = mount.kind.as_deref() == Some("cgroup")
                || mount.source.as_ref().unwrap().ends_with(path.trim_start_matches('/'));
            assert!(is_own, "{mount:?}");
        }
    }
}
