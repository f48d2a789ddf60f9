//! Engine defaults, image configuration and user options become one `config.json`.
//!
//! The user's word goes before the image's, the image's before the engine's; each field by docker's
//! rule. Pure, but for looking at nodes below `/dev` that `--device` names: what must be read from
//! the machine or the image comes in as [`Facts`].

use crate::{
    capabilities, devices,
    identity::Identity,
    options::{CreateOptions, Limits, MountOption, MountWhat, NetworkMode, SeccompChoice},
    record::{MountRecord, Record},
};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_seccomp::{
    Arch, default_profile,
    profile::{self, Kernel},
};
use dhow_spec::{
    image::{ExecutionConfig, ImageConfig},
    runtime::{
        Capabilities, Cpu, Linux, Memory, MountPoint, NamespaceKind, Pids, Process, Resources,
        Rlimit, Root, Spec, default_spec,
    },
};
use std::path::{Path, PathBuf};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const CPU_PERIOD_US: u64 = 100_000;
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
    /// How many processors the machine has.
    pub(crate) processors: usize,
    /// The kernel's version.
    pub(crate) kernel: Kernel,
    /// Files of the engine's that are bound over the image's: source and target.
    pub(crate) files: &'a [(PathBuf, &'static str)],
    /// The directories of the named volumes, in the order of the mounts that name them.
    pub(crate) volumes: &'a [PathBuf],
}

/// The words that the container runs: the user's entrypoint resets the image's command.
pub(crate) fn words(
    options: &CreateOptions,
    image: &ExecutionConfig,
) -> Result<(Vec<String>, Vec<String>)> {
    let entrypoint = options.entrypoint.clone().unwrap_or_else(|| image.entrypoint.clone());
    let command = match (&options.command[..], &options.entrypoint) {
        ([], None) => image.cmd.clone(),
        (command, _) => command.to_vec(),
    };
    if entrypoint.is_empty() && command.is_empty() {
        return Err(Error::new(
            Kind::Invalid,
            format!("run {}: no command is given", options.image),
        )
        .hint("the image names no command either; write one after the image"));
    }
    Ok((entrypoint, command))
}

/// Who the container runs as, as it was asked for.
pub(crate) fn user<'a>(options: &'a CreateOptions, image: &'a ExecutionConfig) -> &'a str {
    options.user.as_deref().unwrap_or(&image.user)
}

/// What the engine keeps in the row.
pub(crate) fn record(
    options: &CreateOptions,
    image: &ExecutionConfig,
    hostname: &str,
) -> Result<Record> {
    let (entrypoint, command) = words(options, image)?;
    let stop_signal = match options.stop_signal {
        Some(signal) => signal,
        // An image's nonsense falls back to the default, as in docker.
        None => image.stop_signal.as_deref().and_then(signal_number).unwrap_or(SIGTERM),
    };
    let mut labels = image.labels.clone();
    labels.extend(options.labels.iter().cloned());
    Ok(Record {
        entrypoint,
        command,
        interactive: options.interactive,
        tty: options.tty,
        stop_signal,
        stop_timeout_seconds: options.stop_timeout.unwrap_or(DEFAULT_STOP_TIMEOUT_SECONDS),
        labels,
        network: if options.network == NetworkMode::Host { "host" } else { "none" }.to_owned(),
        hostname: hostname.to_owned(),
        user: user(options, image).to_owned(),
        workdir: workdir(options, image)?,
        privileged: options.rights.privileged,
        read_only: options.read_only,
        mounts: options.mounts.iter().map(mount_record).collect(),
        memory_bytes: options.limits.memory_bytes.unwrap_or(0),
        nano_cpus: options.limits.nano_cpus.unwrap_or(0),
        pids: options.limits.pids.unwrap_or(0),
        cap_add: options.rights.cap_add.clone(),
        cap_drop: options.rights.cap_drop.clone(),
    })
}

fn mount_record(option: &MountOption) -> MountRecord {
    let (kind, name, source) = match &option.what {
        MountWhat::Bind { source, .. } => ("bind", String::new(), source.display().to_string()),
        MountWhat::Volume(name) => ("volume", name.to_string(), String::new()),
        MountWhat::Tmpfs => ("tmpfs", String::new(), String::new()),
    };
    MountRecord {
        kind: kind.to_owned(),
        name,
        source,
        target: option.target.display().to_string(),
        read_only: option.read_only,
    }
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
        &rights.cap_add,
        &rights.cap_drop,
        rights.privileged,
        facts.held_capabilities,
    )?;
    let mut spec = default_spec();
    spec.root = Some(Root { path: PathBuf::from("rootfs"), readonly: options.read_only });
    spec.hostname = Some(record.hostname.clone());
    spec.annotations = options.annotations.iter().cloned().collect();
    let mut linux = spec.linux.take().unwrap_or_default();
    linux.cgroups_path = Some(format!("/dhow/{}", facts.id));
    set_network(&mut linux, options.network);
    set_resources(&mut linux, &options.limits, facts)?;
    set_rights(&mut linux, &mut spec.mounts, options, &capabilities, facts)?;
    spec.linux = Some(linux);
    spec.mounts = mounts(std::mem::take(&mut spec.mounts), options, facts)?;
    spec.process = Some(Process {
        terminal: options.tty,
        user: facts.identity.user.clone(),
        args: record.words(),
        env: environment(options, &image.config, record, facts),
        cwd: record.workdir.clone(),
        capabilities: Some(capability_sets(&capabilities, facts.identity.user.uid)),
        rlimits: rlimits(&options.limits),
        no_new_privileges: rights.no_new_privileges,
        apparmor_profile: rights.apparmor.clone().filter(|profile| profile != "unconfined"),
        oom_score_adj: options.limits.oom_score_adj,
        selinux_label: selinux_label(&rights.labels)?,
        ..Process::default()
    });
    Ok(spec)
}

pub(crate) fn capability_sets(names: &[String], uid: u32) -> Capabilities {
    if uid == 0 { Capabilities::of_root(names) } else { Capabilities::of_user(names) }
}

/// `label=disable` is the only word that has a meaning without SELinux.
fn selinux_label(labels: &[String]) -> Result<Option<String>> {
    match labels.iter().find(|label| *label != "disable") {
        None => Ok(None),
        Some(label) => {
            Err(Error::new(Kind::Unsupported, format!("use --security-opt label={label}"))
                .hint("labels of SELinux are not supported yet; label=disable is"))
        }
    }
}

fn workdir(options: &CreateOptions, image: &ExecutionConfig) -> Result<String> {
    let wanted = options.workdir.as_deref().unwrap_or(&image.working_dir);
    let wanted = if wanted.is_empty() { "/" } else { wanted };
    if !wanted.starts_with('/') {
        // An image's relative directory starts at the root, as in docker; a user's is an error.
        if options.workdir.is_none() {
            return Ok(format!("/{wanted}"));
        }
        return Err(Error::new(Kind::Invalid, format!("use {wanted:?} as the working directory"))
            .hint("the working directory is an absolute path in the container"));
    }
    Ok(wanted.to_owned())
}

/// Docker's order: the engine's, then the image's, then the user's; a later value replaces an
/// earlier one in its place. Entries without a name are dropped.
fn environment(
    options: &CreateOptions,
    image: &ExecutionConfig,
    record: &Record,
    facts: &Facts<'_>,
) -> Vec<String> {
    let mut environment = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={}", record.hostname)];
    if options.tty {
        environment.push("TERM=xterm".to_owned());
    }
    for entry in image.env.iter().chain(&options.env) {
        set_variable(&mut environment, entry);
    }
    if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
        environment.push(format!("HOME={}", facts.identity.home));
    }
    environment
}

/// Sets `NAME=value`. What has no name or no value, or a NUL, is inert: an image's `*` or bare name
/// must never bring in the host's variables (CVE-2026-57231).
pub(crate) fn set_variable(environment: &mut Vec<String>, entry: &str) {
    let Some((name, _)) = entry.split_once('=') else { return };
    if name.is_empty() || entry.contains('\0') {
        return;
    }
    let same = |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
    match environment.iter_mut().find(|other| same(other)) {
        Some(other) => entry.clone_into(other),
        None => environment.push(entry.to_owned()),
    }
}

fn set_network(linux: &mut Linux, network: NetworkMode) {
    if network == NetworkMode::Host {
        linux.namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
    }
}

fn set_resources(linux: &mut Linux, limits: &Limits, facts: &Facts<'_>) -> Result<()> {
    let resources = linux.resources.get_or_insert_with(Resources::default);
    if limits.memory_bytes.is_some()
        || limits.memory_swap_bytes.is_some()
        || limits.memory_reservation_bytes.is_some()
    {
        resources.memory = Some(memory(limits)?);
    }
    resources.cpu = cpu(limits, facts.processors)?;
    if let Some(pids) = limits.pids {
        resources.pids = Some(Pids { limit: Some(if pids <= 0 { -1 } else { pids }) });
    }
    Ok(())
}

/// The kernel refuses less than a few pages anyway; docker's bound is kept, and its sentence.
const LEAST_MEMORY_BYTES: u64 = 6 << 20;

fn memory(limits: &Limits) -> Result<Memory> {
    let invalid =
        |why: &str| Err(Error::new(Kind::Invalid, format!("set the memory limit: {why}")));
    if limits.memory_bytes.is_some_and(|bytes| bytes < LEAST_MEMORY_BYTES) {
        return invalid("the least is 6 MiB");
    }
    if let Some(swap) = limits.memory_swap_bytes
        && swap >= 0
    {
        match limits.memory_bytes {
            None => return invalid("--memory-swap needs --memory"),
            Some(memory) if swap.unsigned_abs() < memory => {
                return invalid("--memory-swap counts memory too and must not be below --memory");
            }
            Some(_) => {}
        }
    }
    if let (Some(memory), Some(reservation)) =
        (limits.memory_bytes, limits.memory_reservation_bytes)
        && reservation > memory
    {
        return invalid("--memory-reservation must not be above --memory");
    }
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    Ok(Memory {
        limit: limits.memory_bytes.map(signed),
        swap: limits.memory_swap_bytes,
        reservation: limits.memory_reservation_bytes.map(signed),
        ..Memory::default()
    })
}

fn cpu(limits: &Limits, processors: usize) -> Result<Option<Cpu>> {
    if limits.nano_cpus.is_none()
        && limits.cpu_shares.is_none()
        && limits.cpuset_cpus.is_none()
        && limits.cpuset_mems.is_none()
    {
        return Ok(None);
    }
    let quota = match limits.nano_cpus {
        None => None,
        Some(nano) => {
            let most = processors as u64 * 1_000_000_000;
            if nano < 10_000_000 || nano > most {
                return Err(Error::new(
                    Kind::Invalid,
                    format!(
                        "set the processor limit: --cpus must be between 0.01 and {processors}"
                    ),
                )
                .hint(format!("this machine has {processors} processors")));
            }
            i64::try_from(nano / (1_000_000_000 / CPU_PERIOD_US)).ok()
        }
    };
    Ok(Some(Cpu {
        quota,
        period: quota.map(|_| CPU_PERIOD_US),
        shares: limits.cpu_shares,
        cpus: limits.cpuset_cpus.clone(),
        mems: limits.cpuset_mems.clone(),
        ..Cpu::default()
    }))
}

fn rlimits(limits: &Limits) -> Vec<Rlimit> {
    let rlimit = |ulimit: &crate::options::Ulimit| Rlimit {
        kind: format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase()),
        soft: ulimit.soft,
        hard: ulimit.hard,
    };
    limits.ulimits.iter().map(rlimit).collect()
}

fn set_rights(
    linux: &mut Linux,
    mounts: &mut [MountPoint],
    options: &CreateOptions,
    capabilities: &[String],
    facts: &Facts<'_>,
) -> Result<()> {
    let rights = &options.rights;
    let rules = &mut linux.resources.get_or_insert_with(Resources::default).devices;
    if rights.privileged {
        linux.masked_paths.clear();
        linux.readonly_paths.clear();
        *rules = vec![devices::allow_all()];
        linux.devices = devices::of_host()?;
        for mount in mounts.iter_mut().filter(|mount| mount.destination.starts_with("/sys")) {
            mount.options.retain(|option| option != "ro");
        }
    }
    for option in &rights.devices {
        let (device, rule) = devices::passed_in(option)?;
        linux.devices.retain(|other| other.path != device.path);
        linux.devices.push(device);
        rules.push(rule);
    }
    if rights.unmask.iter().any(|path| path.eq_ignore_ascii_case("all")) {
        linux.masked_paths.clear();
        linux.readonly_paths.clear();
    }
    linux.masked_paths.retain(|path| !rights.unmask.contains(path));
    linux.readonly_paths.retain(|path| !rights.unmask.contains(path));
    linux.masked_paths.extend(rights.mask.iter().cloned());
    linux.seccomp = match &rights.seccomp {
        SeccompChoice::Unconfined => None,
        SeccompChoice::Default if rights.privileged => None,
        SeccompChoice::Default => Some(default_profile(Arch::NATIVE, capabilities)),
        SeccompChoice::Profile(bytes) => {
            let parsed = profile::parse(bytes, capabilities, Arch::NATIVE, facts.kernel);
            Some(parsed.doing(|| "read the seccomp profile")?)
        }
    };
    Ok(())
}

/// The default mounts, the engine's files, then what the user asked for: parents before children,
/// and a user's mount in the place of a default one.
fn mounts(
    mut all: Vec<MountPoint>,
    options: &CreateOptions,
    facts: &Facts<'_>,
) -> Result<Vec<MountPoint>> {
    if let Some(bytes) = options.shm_bytes {
        for shm in all.iter_mut().filter(|mount| mount.destination == Path::new("/dev/shm")) {
            shm.options.retain(|option| !option.starts_with("size="));
            shm.options.push(format!("size={bytes}"));
        }
    }
    for (source, target) in facts.files {
        all.push(bind(source, Path::new(target), &["rbind", "rprivate"]));
    }
    let mut volumes = facts.volumes.iter();
    let mut asked = Vec::new();
    for option in &options.mounts {
        check_target(&option.target)?;
        if asked.iter().any(|mount: &MountPoint| mount.destination == option.target) {
            return Err(Error::new(
                Kind::Invalid,
                format!("mount two things on {}", option.target.display()),
            ));
        }
        all.retain(|mount| mount.destination != option.target);
        asked.push(asked_mount(option, &mut volumes)?);
    }
    asked.sort_by_key(|mount| mount.destination.components().count());
    all.extend(asked);
    Ok(all)
}

fn asked_mount<'a>(
    option: &MountOption,
    volumes: &mut impl Iterator<Item = &'a PathBuf>,
) -> Result<MountPoint> {
    let mut mount = match &option.what {
        MountWhat::Bind { source, .. } => bind(source, &option.target, &["rbind"]),
        MountWhat::Volume(name) => {
            let source = volumes.next().ok_or_else(|| {
                Error::new(Kind::Internal, format!("find the directory of volume {name}"))
            })?;
            bind(source, &option.target, &["rbind"])
        }
        MountWhat::Tmpfs => MountPoint {
            destination: option.target.clone(),
            kind: Some("tmpfs".to_owned()),
            source: Some("tmpfs".into()),
            options: ["nosuid", "nodev", "noexec"].map(str::to_owned).to_vec(),
            ..MountPoint::default()
        },
    };
    mount.options.extend(option.options.iter().cloned());
    // A volume or directory of the user's does not hear of, nor tell, the host's mounts.
    let propagates = |option: &String| {
        matches!(option.trim_start_matches('r'), "shared" | "slave" | "private" | "unbindable")
    };
    if mount.kind.as_deref() != Some("tmpfs") && !mount.options.iter().any(propagates) {
        mount.options.push("rprivate".to_owned());
    }
    if option.read_only {
        // Read-only all the way down: a mount below the source would be writable otherwise.
        mount.options.push("ro".to_owned());
        if mount.kind.as_deref() != Some("tmpfs") {
            mount.options.push("rro".to_owned());
        }
    }
    Ok(mount)
}

fn check_target(target: &Path) -> Result<()> {
    let invalid =
        |why: &str| Err(Error::new(Kind::Invalid, format!("mount on {}: {why}", target.display())));
    if !target.is_absolute() {
        return invalid("the path in the container must be absolute");
    }
    if target == Path::new("/") {
        return invalid("the container's root is the image's");
    }
    if target.components().any(|part| part == std::path::Component::ParentDir) {
        return invalid("the path in the container must not hold `..`");
    }
    Ok(())
}

fn bind(source: &Path, target: &Path, options: &[&str]) -> MountPoint {
    MountPoint {
        destination: target.to_owned(),
        kind: Some("bind".to_owned()),
        source: Some(source.to_owned()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..MountPoint::default()
    }
}

/// The number of a signal as images name it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
pub fn signal_number(text: &str) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let in_range = |number: i32| (1..=64).contains(&number).then_some(number);
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().and_then(in_range);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return offset(rest, '+').and_then(|offset| in_range(34 + offset));
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return offset(rest, '-').and_then(|offset| in_range(64 - offset));
    }
    let name = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    NAMES.iter().position(|known| *known == name).and_then(|index| i32::try_from(index + 1).ok())
}

fn offset(rest: &str, sign: char) -> Option<i32> {
    if rest.is_empty() {
        return Some(0);
    }
    rest.strip_prefix(sign)?.parse().ok().filter(|offset| (0..=30).contains(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::MountWhat;
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

    fn merged(options: &CreateOptions) -> Result<(Spec, Record)> {
        let id = ContainerId::random().unwrap();
        let identity = Identity {
            user: User { uid: 33, gid: 33, ..User::default() },
            home: "/var/www".into(),
        };
        let facts = Facts {
            id: &id,
            identity: &identity,
            held_capabilities: (1 << 41) - 1,
            processors: 2,
            kernel: Kernel { major: 6, minor: 18 },
            files: &[("/run/x/hosts".into(), "/etc/hosts")],
            volumes: &[],
        };
        let image = image();
        let record = record(options, &image.config, "box")?;
        spec(options, &image, &record, &facts).map(|spec| (spec, record))
    }

    #[test]
    fn the_users_word_goes_before_the_images_and_the_images_before_the_engines() {
        let mut options = CreateOptions::of("web");
        options.env = vec!["X=user".into(), "NEW=1".into()];
        options.command = vec!["c".into()];

        let (spec, record) = merged(&options).unwrap();

        let process = spec.process.unwrap();
        assert_eq!(process.args, ["/entry", "c"]);
        assert_eq!(process.env, ["PATH=/bin", "HOSTNAME=box", "X=user", "NEW=1", "HOME=/var/www"]);
        assert_eq!((process.cwd.as_str(), record.user.as_str()), ("/work", "33"));
        assert_eq!(record.stop_signal, 3);
    }

    #[test]
    fn an_entrypoint_of_the_users_resets_the_images_command() {
        let mut options = CreateOptions::of("web");
        options.entrypoint = Some(vec!["/mine".into()]);
        assert_eq!(merged(&options).unwrap().0.process.unwrap().args, ["/mine"]);

        options.entrypoint = Some(vec![]);
        assert_eq!(merged(&options).unwrap_err().kind(), Kind::Invalid, "nothing is left to run");
    }

    #[test]
    fn a_users_mount_replaces_a_default_one_and_children_follow_parents() {
        let mut options = CreateOptions::of("web");
        let mount = |source: &str, target: &str| MountOption {
            what: MountWhat::Bind { source: source.into(), create: false },
            target: target.into(),
            read_only: true,
            options: vec![],
        };
        options.mounts =
            vec![mount("/b", "/data/deep"), mount("/a", "/data"), mount("/h", "/etc/hosts")];

        let (spec, _) = merged(&options).unwrap();

        let last: Vec<_> =
            spec.mounts.iter().rev().take(3).map(|mount| mount.destination.clone()).collect();
        assert!(
            last.iter().position(|path| path == Path::new("/data/deep"))
                < last.iter().position(|path| path == Path::new("/data"))
        );
        assert_eq!(
            spec.mounts.iter().filter(|mount| mount.destination == Path::new("/etc/hosts")).count(),
            1
        );
        assert!(spec.mounts.last().unwrap().options.contains(&"rro".to_owned()));
    }

    #[test]
    fn targets_that_are_not_places_below_the_root_are_refused() {
        for target in ["relative", "/", "/a/../b"] {
            let mut options = CreateOptions::of("web");
            options.mounts = vec![MountOption {
                what: MountWhat::Tmpfs,
                target: target.into(),
                read_only: false,
                options: vec![],
            }];
            assert_eq!(merged(&options).unwrap_err().kind(), Kind::Invalid, "{target}");
        }
    }

    #[test]
    fn limits_outside_of_sense_are_refused() {
        let with = |change: fn(&mut Limits)| {
            let mut options = CreateOptions::of("web");
            change(&mut options.limits);
            merged(&options).map(|(spec, _)| spec.linux.unwrap().resources.unwrap())
        };
        assert_eq!(
            with(|l| l.nano_cpus = Some(1_500_000_000)).unwrap().cpu.unwrap().quota,
            Some(150_000)
        );
        assert!(with(|l| l.nano_cpus = Some(3_000_000_000)).is_err());
        assert!(with(|l| l.memory_bytes = Some(4096)).is_err());
        assert!(with(|l| l.memory_swap_bytes = Some(1 << 30)).is_err());
        assert_eq!(with(|l| l.pids = Some(0)).unwrap().pids.unwrap().limit, Some(-1));
    }

    #[test]
    fn signals_have_names_and_numbers() {
        let cases = [
            ("15", Some(15)),
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("0", None),
            ("65", None),
            ("", None),
            ("SIGNOPE", None),
            ("RTMIN+99", None),
        ];
        for (text, expected) in cases {
            assert_eq!(signal_number(text), expected, "signal {text:?}");
        }
    }
}
