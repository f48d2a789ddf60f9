//! Engine defaults, image configuration and user options become one `config.json`.
//!
//! The user's word goes before the image's, the image's before the engine's; each field by docker's
//! rule. Pure, but for looking at nodes below `/dev` that `--device` names and at the kind of the host's
//! cgroups for a systemd: what must be read from the machine or the image comes in as [`Facts`].

mod mounts;
mod namespaces;
mod process;
mod resources;
mod rights;
mod signal;
mod surroundings;
mod systemd;

pub(crate) use namespaces::{has_own_hostname, point, wanted};
pub(crate) use process::set_variable;
pub(crate) use resources::{limited, pod_resources, processors, rlimits};
pub(crate) use rights::capability_sets;
pub(crate) use signal::signal_name;
pub use signal::signal_number;

use crate::{
    capabilities, cdi,
    identity::Identity,
    life,
    options::{
        CgroupMaking, CreateOptions, Exposed, LabelOption, NetworkMode, PASTA, PortOptions,
        Publication,
    },
    plan::Planned,
    record::{Asked, NamespaceRecord, Record},
};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_seccomp::profile::Kernel;
use dhow_spec::{
    image::{ExecutionConfig, ImageConfig},
    runtime::{Process, Root, Spec, default_spec},
};
use std::path::{Component, Path, PathBuf};

const SIGTERM: i32 = 15;
const DEFAULT_STOP_TIMEOUT_SECONDS: u32 = 10;

/// What the machine and the image's files say.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// The container's id.
    pub(crate) id: &'a ContainerId,
    /// Who the process runs as.
    pub(crate) identity: &'a Identity,
    /// This process's bounding set.
    pub(crate) held_capabilities: u64,
    /// How many processors the machine has; asked only where a limit is a number of them.
    pub(crate) processors: fn() -> usize,
    /// The kernel's version.
    pub(crate) kernel: Kernel,
    /// Files of the engine's that are bound over the image's: source and target.
    pub(crate) files: &'a [(PathBuf, &'static str)],
    /// The mounts that were asked for, by the user, by other containers or by the image.
    pub(crate) mounts: &'a [Planned],
    /// Whether root's containers are meant.
    pub(crate) is_of_root: bool,
    /// Whether the container has other groups than root's.
    pub(crate) has_groups: bool,
}

/// What the engine keeps in the row.
pub(crate) fn record(
    options: &CreateOptions,
    image: &ExecutionConfig,
    hostname: &str,
    mounts: &[Planned],
) -> Result<Record> {
    let (entrypoint, command) = process::words(options, image)?;
    let systemd = systemd::is_meant(options, &entrypoint, &command);
    let usual_signal = if systemd { systemd::STOP_SIGNAL } else { SIGTERM };
    let stop_signal = match options.stop_signal {
        Some(signal) => signal,
        // An image's nonsense falls back to the default, as in docker.
        None => image.stop_signal.as_deref().and_then(signal_number).unwrap_or(usual_signal),
    };
    let mut labels = image.labels.clone();
    labels.extend(options.labels.iter().cloned());
    let life = life::record(&options.life, image, &labels, &options.env, options.auto_remove)?;
    Ok(Record {
        entrypoint,
        command,
        interactive: options.interactive,
        tty: options.tty,
        stop_signal,
        systemd,
        stop_timeout_seconds: options.stop_timeout.unwrap_or(DEFAULT_STOP_TIMEOUT_SECONDS),
        labels,
        network: network_word(&options.network),
        hostname: hostname.to_owned(),
        user: process::user(options, image).to_owned(),
        directory: options.directory.clone(),
        workdir: process::workdir(options, image)?,
        privileged: options.rights.privileged,
        read_only: options.read_only,
        mounts: mounts.iter().map(Planned::record).collect(),
        memory_bytes: options.limits.memory_bytes.unwrap_or(0),
        nano_cpus: options.limits.nano_cpus.unwrap_or(0),
        pids: options.limits.pids.unwrap_or(0),
        cap_add: options.rights.cap_add.clone(),
        cap_drop: options.rights.cap_drop.clone(),
        ports: published(&options.ports, image)?,
        names: options.names.clone(),
        namespaces: NamespaceRecord {
            pid: options.namespaces.pid.word(),
            ipc: options.namespaces.ipc.word(),
            uts: options.namespaces.uts.word(),
            cgroup: options.namespaces.cgroup.word(),
            user: options.namespaces.user.word(),
            ..NamespaceRecord::default()
        },
        no_cgroup: options.cgroup.making == CgroupMaking::Disabled,
        has_cgroup_parent: options.cgroup.parent.is_some(),
        asked: Asked::of(options),
        life,
        ..Record::default()
    })
}

/// The ports that are published, and those that are named by the image too. `-P` publishes what is named and not published yet, each through a
/// port that is free.
fn published(asked: &PortOptions, image: &ExecutionConfig) -> Result<PortOptions> {
    let mut ports = asked.clone();
    for text in image.exposed_ports.keys() {
        match Exposed::parse(text) {
            Ok(named) => ports.expose.extend(named),
            // What makes no sense matters only where it is asked for.
            Err(_) if !asked.publish_all => {}
            Err(error) => return Err(error).doing(|| "publish what the image names"),
        }
    }
    ports.expose.sort_unstable();
    ports.expose.dedup();
    if !asked.publish_all {
        return Ok(ports);
    }
    for Exposed { port, protocol } in ports.expose.clone() {
        let is_same = |one: &Publication| (one.container_port, one.protocol) == (port, protocol);
        if !ports.publish.iter().any(is_same) {
            ports.publish.push(Publication {
                protocol,
                host: None,
                host_port: 0,
                host_port_last: None,
                container_port: port,
            });
        }
    }
    Ok(ports)
}

fn network_word(network: &NetworkMode) -> String {
    match network {
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Unsaid => network_word(&NetworkMode::usual()),
        NetworkMode::Networks(connections) => {
            connections.first().map_or("none", |first| &first.network).to_owned()
        }
        NetworkMode::Pasta(options) if options.is_empty() => PASTA.to_owned(),
        NetworkMode::Pasta(options) => format!("{PASTA}:{}", options.join(",")),
        NetworkMode::Container(name) => format!("container:{name}"),
        NetworkMode::Path(path) => format!("ns:{}", path.display()),
    }
}

/// The control group, below the one that the user names or dhow's own.
pub(crate) fn cgroups_path(options: &CreateOptions, id: &ContainerId) -> Result<String> {
    let parent = options.cgroup.parent.as_deref().unwrap_or("/dhow");
    if Path::new(parent).components().any(|part| part == Component::ParentDir) {
        return Err(Error::new(Kind::Invalid, format!("use {parent:?} as the cgroup's parent"))
            .hint("the path must not hold `..`"));
    }
    Ok(format!("/{}/{id}", parent.trim_matches('/')).replacen("//", "/", 1))
}

/// The whole configuration.
pub(crate) fn spec(
    options: &CreateOptions,
    image: &ImageConfig,
    record: &Record,
    facts: &Facts<'_>,
) -> Result<Spec> {
    let rights = &options.rights;
    let capabilities = capabilities::choose(
        rights.default_capabilities.as_deref(),
        &rights.cap_add,
        &rights.cap_drop,
        rights.privileged,
        facts.held_capabilities,
    )?;
    let mut spec = default_spec();
    spec.root = Some(Root { path: PathBuf::from("rootfs"), readonly: options.read_only });
    if has_own_hostname(options) {
        spec.hostname = Some(record.hostname.clone());
        spec.domainname.clone_from(&options.names.domain);
    }
    spec.annotations = options.annotations.iter().cloned().collect();
    let mut linux = spec.linux.take().unwrap_or_default();
    // Where a user may have a cgroup is found out at each start: below what was handed over to them.
    if facts.is_of_root || options.cgroup.parent.is_some() {
        linux.cgroups_path = Some(cgroups_path(options, facts.id)?);
    }
    namespaces::set(&mut linux, &mut spec.mounts, options, record)?;
    resources::set_resources(&mut linux, options, facts)?;
    surroundings::set(&mut linux, options);
    rights::set_rights(&mut linux, &mut spec.mounts, options, &capabilities, facts)?;
    linux.mount_label = said(&record.selinux.files);
    if record.systemd {
        systemd::show_cgroup(&linux, &mut spec.mounts, options, record);
    }
    spec.linux = Some(linux);
    if !facts.has_groups {
        // Terminals are of the group 5, as far as there is one.
        for mount in spec.mounts.iter_mut().filter(|one| one.kind.as_deref() == Some("devpts")) {
            mount.options.retain(|option| !option.starts_with("gid="));
        }
    }
    if rights.labels.contains(&LabelOption::Nested) && !record.selinux.process.is_empty() {
        spec.mounts.push(mounts::labels_of_host());
    }
    spec.mounts = mounts::mounts(std::mem::take(&mut spec.mounts), options, record, facts)?;
    let mut env = process::environment(options, &image.config, record, facts);
    if record.systemd {
        systemd::tell(&mut env, facts.id);
    }
    let mut user = facts.identity.user.clone();
    user.umask = options.surroundings.umask;
    spec.process = Some(Process {
        terminal: options.tty,
        user,
        args: record.words(),
        env,
        cwd: record.workdir.clone(),
        capabilities: Some(capability_sets(&capabilities, facts.identity.user.uid)),
        rlimits: resources::rlimits(&options.limits),
        no_new_privileges: rights.no_new_privileges,
        apparmor_profile: rights.apparmor.clone().filter(|profile| profile != "unconfined"),
        oom_score_adj: options.limits.oom_score_adj,
        selinux_label: said(&record.selinux.process),
        ..Process::default()
    });
    if !rights.cdi.is_empty() {
        let usual: Vec<PathBuf> = cdi::DIRECTORIES.iter().map(PathBuf::from).collect();
        let said = &rights.cdi_directories;
        cdi::give(&mut spec, &rights.cdi, if said.is_empty() { &usual } else { said })?;
    }
    Ok(spec)
}

/// A label of SELinux, where there is one.
fn said(label: &str) -> Option<String> {
    (!label.is_empty()).then(|| label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_spec::runtime::User;

    fn image() -> ImageConfig {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Entrypoint":["/entry"],"Cmd":["a","b"],
               "Env":["PATH=/bin","X=image","*","=y","BARE"],"WorkingDir":"/work","User":"33",
               "Labels":{{"l":"image"}},"StopSignal":"SIGQUIT"}},
               "rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            dhow_base::Digest::of(b"layer")
        );
        ImageConfig::parse(text.as_bytes()).unwrap()
    }

    /// The configuration of a web server's image with what `options` ask for.
    pub(super) fn merged(options: &CreateOptions) -> Result<(Spec, Record)> {
        let id = ContainerId::random().unwrap();
        let identity = Identity {
            user: User { uid: 33, gid: 33, ..User::default() },
            home: "/var/www".into(),
        };
        let mounts: Vec<Planned> = options.mounts.iter().cloned().map(Planned::for_test).collect();
        let facts = Facts {
            id: &id,
            identity: &identity,
            held_capabilities: (1 << 41) - 1,
            processors: || 2,
            kernel: Kernel { major: 6, minor: 18 },
            files: &[("/run/x/hosts".into(), "/etc/hosts")],
            mounts: &mounts,
            is_of_root: true,
            has_groups: true,
        };
        let image = image();
        let record = record(options, &image.config, "box", &mounts)?;
        spec(options, &image, &record, &facts).map(|spec| (spec, record))
    }

    fn record_of(change: impl FnOnce(&mut CreateOptions)) -> Record {
        let mut options = CreateOptions::of("web");
        change(&mut options);
        merged(&options).unwrap().1
    }

    #[test]
    fn labels_of_image_and_user_are_joined_and_the_users_counts() {
        let record = record_of(|options| {
            options.labels = vec![("l".into(), "user".into()), ("m".into(), "1".into())];
        });

        let labels: Vec<_> = record.labels.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(labels, [("l", "user"), ("m", "1")]);
        assert_eq!(record_of(|_| {}).labels["l"], "image");
    }

    #[test]
    fn the_users_word_on_user_directory_and_signal_replaces_the_images() {
        let said = record_of(|options| {
            options.user = Some("7".into());
            options.workdir = Some("/mine".into());
            options.stop_signal = Some(9);
            options.stop_timeout = Some(3);
        });
        assert_eq!((said.user.as_str(), said.workdir.as_str()), ("7", "/mine"));
        assert_eq!((said.stop_signal, said.stop_timeout_seconds), (9, 3));

        let unsaid = record_of(|_| {});
        assert_eq!((unsaid.user.as_str(), unsaid.workdir.as_str()), ("33", "/work"));
        assert_eq!((unsaid.stop_signal, unsaid.stop_timeout_seconds), (3, 10));
    }

    #[test]
    fn the_cgroup_lies_below_the_parent_that_was_named() {
        let path = |parent: Option<&str>| {
            let mut options = CreateOptions::of("web");
            options.cgroup.parent = parent.map(str::to_owned);
            let path = merged(&options).ok()?.0.linux.unwrap().cgroups_path.unwrap();
            Some(path.rsplit_once('/').unwrap().0.to_owned())
        };

        assert_eq!(path(None).as_deref(), Some("/dhow"));
        assert_eq!(path(Some("/a/b/")).as_deref(), Some("/a/b"));
        assert_eq!(path(Some("a")).as_deref(), Some("/a"));
        assert_eq!(path(Some("/")).as_deref(), Some(""));
        assert_eq!(path(Some("/a/../b")), None);
    }

    #[test]
    fn privileged_means_what_it_means_to_docker() {
        let mut options = CreateOptions::of("web");
        options.rights.privileged = true;

        let spec = merged(&options).unwrap().0;

        let linux = spec.linux.unwrap();
        assert!(linux.seccomp.is_none());
        assert!(linux.masked_paths.is_empty() && linux.readonly_paths.is_empty());
        assert!(linux.devices.iter().any(|device| device.path == Path::new("/dev/null")));
        assert!(linux.resources.unwrap().devices.iter().all(|rule| rule.allow));
        assert_eq!(spec.process.unwrap().capabilities.unwrap().bounding.len(), 41);
        let sys = spec.mounts.iter().find(|mount| mount.destination == Path::new("/sys")).unwrap();
        assert!(!sys.options.contains(&"ro".to_owned()));
    }

    #[test]
    fn masks_are_taken_away_by_path_and_by_pattern_and_added() {
        let masked = |change: fn(&mut CreateOptions)| {
            let mut options = CreateOptions::of("web");
            change(&mut options);
            merged(&options).unwrap().0.linux.unwrap().masked_paths
        };
        let all = masked(|_| {});

        let without = masked(|options| options.rights.unmask = vec!["/proc/kcore".into()]);
        assert_eq!(without.len(), all.len() - 1);
        let pattern = masked(|options| options.rights.unmask = vec!["/proc/*".into()]);
        assert!(pattern.iter().all(|path| path.starts_with("/sys")), "{pattern:?}");
        let none = masked(|options| options.rights.unmask = vec!["all".into()]);
        assert!(none.is_empty());
        let more = masked(|options| options.rights.mask = vec!["/x".into()]);
        assert_eq!(more.last().map(String::as_str), Some("/x"));
    }
}
