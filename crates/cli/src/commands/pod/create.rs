//! `pod create`: make a pod.

use crate::{
    exit::SUCCESS,
    flags::{foreign::refuse_any, limits, pairs, refuse},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{
    Error, Kind, Result,
    file::{self, Durability},
    id::Name,
};
use dhow_engine::{
    options::Limits,
    pods::{ExitPolicy, PodOptions, Shared},
};

/// Make a pod: containers that share a network, a host name and shared memory
///
/// Prints its id, which `dhow run --pod` takes. No process is started: namespaces are made when the first
/// container of the pod starts, and go when the last has ended.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// The name
    #[arg(value_name = "NAME")]
    pod: Option<String>,

    /// Name the pod
    #[arg(short, long, value_name = "NAME", conflicts_with = "pod")]
    name: Option<String>,

    /// Share these: ipc, net, uts, comma between; none for nothing
    #[arg(long, value_name = "LIST", default_value = "ipc,net,uts")]
    share: String,

    /// Name the host of all its containers
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,

    /// Add a label
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Read labels from a file, one a line
    #[arg(long, value_name = "FILE")]
    label_file: Vec<String>,

    /// Use no network (none) or the host's (host)
    #[arg(long, visible_alias = "net", value_name = "NETWORK", default_value = "none")]
    network: String,

    /// Write the pod's id to a file
    #[arg(long, value_name = "FILE")]
    pod_id_file: Option<String>,

    /// Do this when the last container has ended: continue or stop
    #[arg(long, value_name = "POLICY", default_value = "continue")]
    exit_policy: String,

    /// Take the place of a pod of this name, whose containers are removed
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    limits: PodLimits,

    #[command(flatten)]
    infra: InfraFlags,
}

/// What all its containers together may use.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Limits of all containers together")]
struct PodLimits {
    /// Limit memory
    #[arg(short, long, value_name = "SIZE")]
    memory: Option<String>,

    /// Limit memory and swap together; -1 is no limit
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    memory_swap: Option<String>,

    /// Limit processors, such as 1.5
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,

    /// Weigh processor time against others
    #[arg(short, long, value_name = "NUMBER")]
    cpu_shares: Option<u64>,

    /// Use these processors only
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,

    /// Use memory of these nodes only
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,

    /// Limit processes and threads
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,

    /// Make the shared /dev/shm this large
    #[arg(long, value_name = "SIZE")]
    shm_size: Option<String>,

    /// Put its containers into a cgroup of the pod's
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", hide_possible_values = true, action = clap::ArgAction::Set)]
    share_parent: bool,
}

/// Flags for a process that would keep the pod's namespaces.
#[derive(clap::Args, Debug)]
struct InfraFlags {
    /// Refused: no process is needed to keep a pod's namespaces
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", hide = true)]
    infra: Option<String>,

    /// Refused with --infra
    #[arg(long, value_name = "NAME", hide = true)]
    infra_name: Option<String>,

    /// Refused with --infra
    #[arg(long, value_name = "IMAGE", hide = true)]
    infra_image: Option<String>,

    /// Refused with --infra
    #[arg(long, value_name = "COMMAND", hide = true)]
    infra_command: Option<String>,

    /// Refused with --infra
    #[arg(long, value_name = "FILE", hide = true)]
    infra_conmon_pidfile: Option<String>,

    /// Refused: a pod has no user namespace of its own yet
    #[arg(long, value_name = "MODE", hide = true)]
    userns: Option<String>,

    /// Refused: a PID namespace ends with its first process
    #[arg(long, value_name = "MODE", hide = true)]
    pid: Option<String>,

    /// Refused: ports come with bridges
    #[arg(short, long, value_name = "PORT", hide = true)]
    publish: Vec<String>,

    /// Refused: give volumes to its containers
    #[arg(short, long, value_name = "VOLUME", hide = true)]
    volume: Vec<String>,

    /// Refused: give volumes to its containers
    #[arg(long, value_name = "CONTAINER", hide = true)]
    volumes_from: Vec<String>,
}

impl InfraFlags {
    fn check(&self) -> Result<()> {
        let infra = match self.infra.as_deref() {
            None => false,
            Some(text) => crate::tree::switch(text).map_err(|why| refuse("--infra", text, why))?,
        };
        let infras = [
            ("--infra", infra),
            ("--infra-name", self.infra_name.is_some()),
            ("--infra-image", self.infra_image.is_some()),
            ("--infra-command", self.infra_command.is_some()),
            ("--infra-conmon-pidfile", self.infra_conmon_pidfile.is_some()),
        ];
        refuse_any(infras, "a pod has no process of its own; files hold its namespaces")?;
        let others = [
            ("--userns", self.userns.as_deref().is_some_and(|mode| mode != "host")),
            ("--pid", self.pid.is_some()),
        ];
        refuse_any(others, "the containers of a pod do not share that namespace")?;
        refuse_any([("--publish", !self.publish.is_empty())], "ports come with bridges")?;
        let volumes = [
            ("--volume", !self.volume.is_empty()),
            ("--volumes-from", !self.volumes_from.is_empty()),
        ];
        refuse_any(volumes, "give volumes to the containers of the pod")
    }
}

impl Act for Create {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        self.infra.check()?;
        let options = self.options(invocation)?;
        let id = invocation.engine()?.create_pod(&options)?;
        if let Some(path) = &self.pod_id_file {
            let path = invocation.surroundings().absolute(path);
            file::write_atomically(&path, id.as_str().as_bytes(), 0o644, Durability::Cached)?;
        }
        invocation.console.line(id.as_str())?;
        Ok(SUCCESS)
    }
}

impl Create {
    fn options(&self, invocation: &Invocation) -> Result<PodOptions> {
        let around = invocation.surroundings();
        let name = self.pod.as_deref().or(self.name.as_deref()).map(parse_name).transpose()?;
        let labels = pairs::labels(&self.label_file, &self.label, around)?;
        Ok(PodOptions {
            name,
            shared: shared(&self.share)?,
            hostname: self.hostname.as_deref().map(hostname).transpose()?,
            labels: labels.into_iter().collect(),
            host_network: match self.network.as_str() {
                "host" => true,
                "none" => false,
                other => {
                    return Err(refuse("--network", other, "neither none nor host")
                        .hint("bridges come later"));
                }
            },
            limits: self.limits.limits()?,
            own_cgroup: self.limits.share_parent,
            shm_bytes: self
                .limits
                .shm_size
                .as_deref()
                .map(|text| limits::bytes("--shm-size", text))
                .transpose()?,
            exit_policy: match self.exit_policy.as_str() {
                "continue" => ExitPolicy::Continue,
                "stop" => ExitPolicy::Stop,
                other => return Err(refuse("--exit-policy", other, "neither continue nor stop")),
            },
            replace: self.replace,
        })
    }
}

impl PodLimits {
    fn limits(&self) -> Result<Limits> {
        let with = |text: Option<&String>, parse: &dyn Fn(&str) -> Result<u64>| {
            text.map(|text| parse(text)).transpose()
        };
        Ok(Limits {
            memory_bytes: with(self.memory.as_ref(), &|text| limits::bytes("--memory", text))?,
            memory_swap_bytes: self
                .memory_swap
                .as_deref()
                .map(|text| limits::bytes_or_unlimited("--memory-swap", text))
                .transpose()?,
            nano_cpus: with(self.cpus.as_ref(), &limits::nano_cpus)?,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self
                .cpuset_cpus
                .as_deref()
                .map(|text| limits::set("--cpuset-cpus", text))
                .transpose()?,
            cpuset_mems: self
                .cpuset_mems
                .as_deref()
                .map(|text| limits::set("--cpuset-mems", text))
                .transpose()?,
            pids: self.pids_limit,
            ..Limits::default()
        })
    }
}

fn parse_name(text: &str) -> Result<Name> {
    text.parse().map_err(|error: Error| {
        let hint = error.innermost_hint().unwrap_or("choose another name").to_owned();
        refuse("NAME", text, "that cannot be the name of a pod").hint(hint)
    })
}

fn hostname(text: &str) -> Result<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(good) {
        return Err(refuse("--hostname", text, "not a host name"));
    }
    Ok(text.to_owned())
}

fn shared(text: &str) -> Result<std::collections::BTreeSet<Shared>> {
    let mut all = std::collections::BTreeSet::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        match word.trim_start_matches('+') {
            "ipc" => drop(all.insert(Shared::Ipc)),
            "net" => drop(all.insert(Shared::Net)),
            "uts" => drop(all.insert(Shared::Uts)),
            "none" => all.clear(),
            "pid" | "user" | "cgroup" => {
                let text = format!("--share {word}: the containers of a pod do not share that");
                return Err(Error::new(Kind::Unsupported, text).hint(
                    "there are ipc, net and uts; a PID namespace would end with its first process",
                ));
            }
            _ => return Err(refuse("--share", text, "there are ipc, net, uts and none")),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_a_list_of_words() {
        assert_eq!(shared("ipc,net,uts").unwrap().len(), 3);
        assert_eq!(shared("net").unwrap(), [Shared::Net].into());
        assert!(shared("none").unwrap().is_empty() && shared("").unwrap().is_empty());
        assert_eq!(shared("pid").unwrap_err().kind(), Kind::Unsupported);
        assert!(shared("bogus").is_err());
    }
}
