//! The flags of `pod create` and `pod clone`: what all containers of a pod have in common.

use super::{
    Surroundings, block_io::BlockIoFlags, device, foreign::refuse_any, life, limits, mount,
    names::NameFlags, namespaces, namespaces::IdFlags, network::ConnectionFlags, pairs, parse,
    parse_all, refuse, security, surroundings::sysctl,
};
use dhow_base::Result;
use dhow_engine::{
    options::{Limits, NameOptions, NetworkMode, Rights, Sharing, UserNamespace},
    pods::{InfraOptions, PodOptions},
};

/// What all its containers have in common.
#[derive(clap::Args, Debug)]
pub(crate) struct PodFlags {
    /// Name the host of all its containers
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,

    /// Add a label
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Read labels from a file, one a line
    #[arg(long, value_name = "FILE")]
    label_file: Vec<String>,

    #[command(flatten)]
    members: MemberFlags,

    #[command(flatten)]
    pub(crate) network: ConnectionFlags,

    #[command(flatten)]
    names: NameFlags,

    #[command(flatten)]
    limits: PodLimits,

    #[command(flatten)]
    block_io: BlockIoFlags,

    #[command(flatten)]
    ids: IdFlags,

    #[command(flatten)]
    infra: InfraFlags,

    #[command(flatten)]
    foreign: ForeignFlags,
}

/// What each of its containers gets.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "For each of its containers")]
struct MemberFlags {
    /// Mount a path of the host or a volume
    #[arg(short, long, value_name = "SOURCE:TARGET[:OPTIONS]")]
    volume: Vec<String>,

    /// Mount what another container has mounted of volumes and of the host
    #[arg(long, value_name = "CONTAINER[:ro]")]
    volumes_from: Vec<String>,

    /// Let it use a device
    #[arg(long, value_name = "HOST[:CONTAINER][:rwm]")]
    device: Vec<String>,

    /// Let it use GPUs: all, a number of them, or device=NAME[,NAME...]
    #[arg(long, value_name = "GPUS")]
    gpus: Option<String>,

    /// Set a parameter of the kernel, in the namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,

    /// Set an option such as no-new-privileges or seccomp=FILE
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,

    /// Start it again when it ends: no, on-failure[:NUMBER], always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,

    /// See the processes of the host (host), of a container (container:NAME) or of a namespace (ns:PATH)
    #[arg(long, value_name = "MODE")]
    pid: Option<String>,

    /// Have the host's name (host), a container's or a namespace's (ns:PATH)
    #[arg(long, value_name = "MODE")]
    uts: Option<String>,
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

    /// Make the pod's cgroup below this one
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
}

/// A container of the pod's own.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "A container of the pod's own")]
struct InfraFlags {
    /// Name it; the pod's id and -infra where it is missing
    #[arg(long, value_name = "NAME")]
    infra_name: Option<String>,

    /// Make it of this image; of dhow itself where it is missing
    #[arg(long, value_name = "IMAGE")]
    infra_image: Option<String>,

    /// Run this in it
    #[arg(long, value_name = "COMMAND")]
    infra_command: Option<String>,
}

/// Flags of podman's that a pod has no use for.
#[derive(clap::Args, Debug)]
struct ForeignFlags {
    /// Refused: no other program keeps the pod's container
    #[arg(long, value_name = "FILE", hide = true)]
    infra_conmon_pidfile: Option<String>,
}

impl PodFlags {
    /// Lays what the flags say over a pod.
    pub(crate) fn lay_over(
        &self,
        mut pod: PodOptions,
        around: Surroundings<'_>,
    ) -> Result<PodOptions> {
        self.foreign.check()?;
        if let Some(name) = &self.hostname {
            pod.hostname = Some(hostname(name)?);
        }
        pod.labels.extend(pairs::labels(&self.label_file, &self.label, around)?);
        let members = &mut pod.members;
        members.mounts.extend(parse_all(&self.members.volume, |text| mount::volume(text, around))?);
        members.volumes_from.extend(parse_all(&self.members.volumes_from, mount::volumes_from)?);
        members.devices.extend(parse_all(&self.members.device, device::parse)?);
        if let Some(text) = &self.members.gpus {
            members.cdi.extend(device::gpus(text)?);
        }
        members.sysctls.extend(parse_all(&self.members.sysctl, sysctl)?);
        let mut rights = Rights::default();
        for text in &self.members.security_opt {
            security::apply(text, &mut rights, around)?;
        }
        if !self.members.security_opt.is_empty() {
            members.security = Some(rights.security());
        }
        if let Some(text) = &self.members.restart {
            members.restart = Some(life::restart(text)?);
        }
        for (flag, text, mode) in [
            ("--pid", &self.members.pid, &mut members.pid),
            ("--uts", &self.members.uts, &mut members.uts),
        ] {
            if let Some(text) = text {
                *mode = others(flag, text)?;
            }
        }
        let user = self.ids.user()?;
        if user != UserNamespace::Unsaid {
            pod.user = user;
        }
        let names = self.names.options(around)?;
        if names != NameOptions::default() {
            members.names = Some(names);
        }
        let network = self.network.mode()?;
        if network != NetworkMode::Unsaid {
            pod.network = network;
        }
        pod.ports.extend(self.network.published()?);
        self.lay_limits_over(&mut pod)?;
        self.lay_infra_over(&mut pod)?;
        Ok(pod)
    }

    fn lay_limits_over(&self, pod: &mut PodOptions) -> Result<()> {
        let (asked, said) = (&self.limits, pod.limits.clone());
        let block_io = self.block_io.options()?;
        pod.limits = Limits {
            memory_bytes: parse(asked.memory.as_ref(), |text| limits::bytes("--memory", text))?
                .or(said.memory_bytes),
            memory_swap_bytes: parse(asked.memory_swap.as_ref(), |text| {
                limits::bytes_or_unlimited("--memory-swap", text)
            })?
            .or(said.memory_swap_bytes),
            nano_cpus: parse(asked.cpus.as_ref(), limits::nano_cpus)?.or(said.nano_cpus),
            cpu_shares: asked.cpu_shares.or(said.cpu_shares),
            cpuset_cpus: parse(asked.cpuset_cpus.as_ref(), |t| limits::set("--cpuset-cpus", t))?
                .or(said.cpuset_cpus),
            cpuset_mems: parse(asked.cpuset_mems.as_ref(), |t| limits::set("--cpuset-mems", t))?
                .or(said.cpuset_mems),
            pids: asked.pids_limit.or(said.pids),
            block_io: if block_io.is_empty() { said.block_io } else { block_io },
            ..Limits::default()
        };
        let shm = parse(asked.shm_size.as_ref(), |text| limits::bytes("--shm-size", text))?;
        pod.shm_bytes = shm.or(pod.shm_bytes);
        if let Some(parent) = &asked.cgroup_parent {
            if !parent.starts_with('/') {
                return Err(refuse("--cgroup-parent", parent, "not an absolute path"));
            }
            pod.cgroup_parent = Some(parent.clone());
        }
        Ok(())
    }

    /// Who says how it is to be wants it.
    fn lay_infra_over(&self, pod: &mut PodOptions) -> Result<()> {
        let InfraFlags { infra_name, infra_image, infra_command } = &self.infra;
        if infra_name.is_none() && infra_image.is_none() && infra_command.is_none() {
            return Ok(());
        }
        let said = pod.infra.take().unwrap_or_default();
        let name =
            |text: &str| text.parse().map_err(|_| refuse("--infra-name", text, "not a name"));
        pod.infra = Some(InfraOptions {
            name: parse(infra_name.as_ref(), name)?,
            image: infra_image.clone().or(said.image),
            command: match infra_command {
                Some(text) => text.split_whitespace().map(str::to_owned).collect(),
                None => said.command,
            },
        });
        Ok(())
    }
}

impl ForeignFlags {
    fn check(&self) -> Result<()> {
        let file = [("--infra-conmon-pidfile", self.infra_conmon_pidfile.is_some())];
        refuse_any(file, "the pod's container starts with the first of the others")
    }
}

/// A namespace of somebody else's; the pod's own is what --share is about.
fn others(flag: &str, text: &str) -> Result<Sharing> {
    match namespaces::sharing(flag, text, &[])? {
        Sharing::Private => Ok(Sharing::Unsaid),
        mode => Ok(mode),
    }
}

fn hostname(text: &str) -> Result<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(good) {
        return Err(refuse("--hostname", text, "not a host name"));
    }
    Ok(text.to_owned())
}
