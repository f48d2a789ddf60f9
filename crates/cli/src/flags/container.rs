//! The flags of `run` and `create`, and what they ask the engine for.

use super::{
    Surroundings, block_io::BlockIoFlags, cgroup::CgroupFlags, defaults::Unflagged, device,
    life::LifeFlags, limits, mount, names::NameFlags, namespaces::NamespaceFlags,
    network::NetworkFlags, objects::ObjectFlags, pairs, parse, parse_all, policy,
    process::ProcessFlags, pulling::PullingFlags, refuse, security, seldom::Seldom, signal,
    surroundings::SurroundingFlags,
};
use crate::manners::Manners;
use dhow_base::{Error, Kind, Result};
use dhow_engine::options::{CreateOptions, EnvironmentOptions, Limits, PullPolicy, Rights};
use dhow_spec::image::Platform;

/// What a container is made of and what it may do.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ContainerFlags {
    /// Name the container
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Remove the container that has the name first
    #[arg(long, requires = "name")]
    pub(crate) replace: bool,

    /// Remove the container when its program ends
    #[arg(long)]
    pub(crate) rm: bool,

    /// Print no notes and no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Fetch the image: always, missing (the default), never or newer
    #[arg(long, value_name = "POLICY")]
    pub(crate) pull: Option<String>,

    /// Use the image of this platform
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<String>,

    /// Write the container's id to a file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) cidfile: Option<String>,

    /// Add a label
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(crate) label: Vec<String>,

    /// Read labels from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) label_file: Vec<String>,

    /// Add an annotation
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub(crate) annotation: Vec<String>,

    /// Stop the program with this signal
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,

    /// Give the program so many seconds to stop before it is killed
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_timeout: Option<u32>,

    #[command(flatten)]
    pub(crate) pulling: Seldom<PullingFlags>,

    #[command(flatten)]
    pub(crate) process: ProcessFlags,

    /// Run this program instead of the image's; its arguments follow the image
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,

    /// Add the process to a group, by name or number
    #[arg(long, value_name = "GROUP")]
    pub(crate) group_add: Vec<String>,

    #[command(flatten)]
    pub(crate) place: PlaceFlags,

    #[command(flatten)]
    pub(crate) objects: Seldom<ObjectFlags>,

    #[command(flatten)]
    pub(crate) limits: Seldom<LimitFlags>,

    #[command(flatten)]
    pub(super) out_of_memory: Seldom<OutOfMemoryFlags>,

    #[command(flatten)]
    pub(super) block_io: Seldom<BlockIoFlags>,

    #[command(flatten)]
    pub(super) cgroup: Seldom<CgroupFlags>,

    #[command(flatten)]
    pub(crate) rights: RightsFlags,

    #[command(flatten)]
    pub(super) namespaces: Seldom<NamespaceFlags>,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(super) names: Seldom<NameFlags>,

    #[command(flatten)]
    pub(super) surroundings: Seldom<SurroundingFlags>,

    /// What `containers.conf` says and no flag can.
    #[arg(skip)]
    pub(super) unflagged: Unflagged,

    #[command(flatten)]
    pub(crate) life: Seldom<LifeFlags>,

    /// The image, and what to run in it; all that follows the image belongs to the program
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "IMAGE")]
    pub(crate) image_and_command: Vec<String>,
}

/// Where the container lives: its filesystems and its name.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filesystem")]
pub(crate) struct PlaceFlags {
    /// Mount a path of the host or a volume
    #[arg(short, long, value_name = "SOURCE:TARGET[:OPTIONS]")]
    pub(super) volume: Vec<String>,

    /// Mount a path, a volume or a tmpfs, with a name for every field
    #[arg(long, value_name = "type=TYPE,source=SOURCE,target=TARGET")]
    pub(super) mount: Vec<String>,

    /// Mount memory
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    pub(super) tmpfs: Vec<String>,

    /// Mount the image read-only
    #[arg(long, value_name = "BOOL")]
    pub(super) read_only: Option<bool>,

    /// Make /dev/shm this large
    #[arg(long, value_name = "SIZE")]
    pub(super) shm_size: Option<String>,

    /// Name the container's host
    #[arg(short = 'h', long, value_name = "NAME")]
    pub(super) hostname: Option<String>,
}

/// What the container may use.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// Limit memory
    #[arg(short, long, value_name = "SIZE")]
    pub(super) memory: Option<String>,

    /// Limit memory and swap together; -1 is no limit
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(super) memory_swap: Option<String>,

    /// Keep this much memory when memory runs out
    #[arg(long, value_name = "SIZE")]
    pub(super) memory_reservation: Option<String>,

    /// Limit processors, such as 1.5
    #[arg(long, value_name = "NUMBER")]
    pub(super) cpus: Option<String>,

    /// Weigh processor time against other containers; 1024 is usual
    #[arg(short, long, value_name = "NUMBER")]
    pub(super) cpu_shares: Option<u64>,

    /// Count --cpu-quota by this many microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub(super) cpu_period: Option<u64>,

    /// Use so many microseconds of processors a period; -1 is no limit
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    pub(super) cpu_quota: Option<i64>,

    /// Count --cpu-rt-runtime by this many microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub(super) cpu_rt_period: Option<u64>,

    /// Run so many microseconds a period in real time
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    pub(super) cpu_rt_runtime: Option<i64>,

    /// Swap memory out more or less willingly, 0 to 100
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    pub(super) memory_swappiness: Option<i64>,

    /// Use these processors only, such as 0-3,7
    #[arg(long, value_name = "LIST")]
    pub(super) cpuset_cpus: Option<String>,

    /// Use memory of these nodes only
    #[arg(long, value_name = "LIST")]
    pub(super) cpuset_mems: Option<String>,

    /// Limit processes and threads; -1 is no limit
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(super) pids_limit: Option<i64>,

    /// Set a resource limit of processes
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub(super) ulimit: Vec<String>,
}

/// What happens when memory runs out; it is settled when the container is made.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct OutOfMemoryFlags {
    /// Have processes wait instead of being killed when memory runs out
    #[arg(long)]
    pub(super) oom_kill_disable: bool,

    /// Have processes killed sooner (up to 1000) or later (down to -1000) when memory runs out
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(super) oom_score_adj: Option<i32>,
}

/// What the container may do.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Rights")]
pub(crate) struct RightsFlags {
    /// Take away all walls that can be taken away
    #[arg(long)]
    pub(super) privileged: bool,

    /// Add a capability; ALL for all
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) cap_add: Vec<String>,

    /// Drop a capability; ALL for all
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) cap_drop: Vec<String>,

    /// Set an option such as no-new-privileges, seccomp=FILE, apparmor=PROFILE or label=type:TYPE
    #[arg(long, value_name = "OPTION")]
    pub(super) security_opt: Vec<String>,

    /// Let the container use a device, all of a directory, or one by its name (vendor/class=name)
    #[arg(long, value_name = "HOST[:CONTAINER][:rwm]")]
    pub(super) device: Vec<String>,

    /// Let the container use GPUs: all, a number of them, or device=NAME[,NAME...]
    #[arg(long, value_name = "GPUS")]
    pub(super) gpus: Option<String>,
}

impl ContainerFlags {
    /// What the flags ask for, or the first that makes no sense.
    pub(crate) fn options(&self, around: Surroundings<'_>) -> Result<CreateOptions> {
        let (image, command) = self
            .image_and_command
            .split_first()
            .ok_or_else(|| Error::new(Kind::Invalid, "the image is missing"))?;
        if image.is_empty() {
            return Err(refuse("IMAGE", image, "the image has no name"));
        }
        let process = &self.process;
        Ok(CreateOptions {
            command: command.to_vec(),
            name: self.name.as_deref().map(name).transpose()?,
            entrypoint: self.entrypoint.as_deref().map(|text| entrypoint(text, around.manners)),
            env: process.variables(around)?,
            workdir: process.workdir.as_deref().map(workdir).transpose()?,
            user: process.user.clone(),
            groups: self.groups(),
            hostname: self.place.hostname.clone(),
            labels: pairs::labels(&self.label_file, &self.label, around)?,
            annotations: parse_all(&self.annotation, |text| pairs::parse("--annotation", text))?,
            interactive: process.interactive,
            tty: process.tty,
            auto_remove: self.rm,
            limits: Limits {
                block_io: self.block_io.options()?,
                oom_kill_disable: self.out_of_memory.oom_kill_disable,
                oom_score_adj: self.out_of_memory.score()?,
                ..self.limits.limits()?
            },
            rights: Rights {
                default_capabilities: self.unflagged.capabilities.clone(),
                cdi_directories: self.unflagged.cdi_directories.clone(),
                ..self.rights.rights(around)?
            },
            mounts: self.place.mounts(around)?,
            read_only: self.place.read_only == Some(true),
            network: self.network.connection.mode()?,
            ports: self.network.ports()?,
            stop_signal: parse(self.stop_signal.as_ref(), |t| signal::parse("--stop-signal", t))?,
            stop_timeout: self.stop_timeout,
            pull: self
                .pull
                .as_deref()
                .map_or(Ok(PullPolicy::Missing), |text| policy::pull("--pull", text))?,
            platform: self.pulling.platform(self.platform.as_deref())?,
            shm_bytes: parse(self.place.shm_size.as_ref(), |t| limits::bytes("--shm-size", t))?,
            directory: self.objects.directory(image, around)?,
            objects: self.objects.options(around)?,
            root_bytes: self.objects.root_bytes()?,
            cgroup: self.cgroup.options()?,
            environment: EnvironmentOptions {
                defaults: defaults(&self.unflagged.env, around.manners),
                ..self.surroundings.environment(around)?
            },
            names: self.names.options(around)?,
            namespaces: self.namespaces.options()?,
            surroundings: self.surroundings.options(around)?,
            life: self.life.options(around)?,
            ..CreateOptions::of(image)
        })
    }
}

impl ContainerFlags {
    /// Podman's users write several groups in one word, and no group has a comma in its name.
    fn groups(&self) -> Vec<String> {
        self.group_add.iter().flat_map(|text| text.split(',').map(str::to_owned)).collect()
    }
}

impl PlaceFlags {
    fn mounts(&self, around: Surroundings<'_>) -> Result<Vec<dhow_engine::options::MountOption>> {
        let mut all = parse_all(&self.volume, |text| mount::volume(text, around))?;
        all.extend(parse_all(&self.mount, |text| mount::mount(text, around))?);
        all.extend(parse_all(&self.tmpfs, |text| mount::tmpfs(text, around.manners))?);
        Ok(all)
    }
}

impl LimitFlags {
    pub(crate) fn limits(&self) -> Result<Limits> {
        let reservation = self.memory_reservation.as_ref();
        let reservation = parse(reservation, |t| limits::bytes("--memory-reservation", t))?;
        let memory = parse(self.memory.as_ref(), |t| limits::bytes("--memory", t))?;
        Ok(Limits {
            // Scripts write 0 where nothing is meant, as both docker and podman take it.
            memory_bytes: memory.filter(|bytes| *bytes > 0),
            memory_swap_bytes: parse(self.memory_swap.as_ref(), |t| {
                limits::bytes_or_unlimited("--memory-swap", t)
            })?,
            memory_reservation_bytes: reservation.filter(|bytes| *bytes > 0),
            nano_cpus: parse(self.cpus.as_ref(), limits::nano_cpus)?,
            cpu_shares: self.cpu_shares,
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpu_rt_period: self.cpu_rt_period,
            cpu_rt_runtime: self.cpu_rt_runtime,
            memory_swappiness: self.swappiness()?,
            cpuset_cpus: parse(self.cpuset_cpus.as_ref(), |t| limits::set("--cpuset-cpus", t))?,
            cpuset_mems: parse(self.cpuset_mems.as_ref(), |t| limits::set("--cpuset-mems", t))?,
            pids: self.pids_limit,
            // Limits are left as this process has them; podman's word for it changes nothing.
            ulimits: self
                .ulimit
                .iter()
                .filter(|text| *text != "host")
                .map(|text| limits::ulimit(text))
                .collect::<Result<_>>()?,
            ..Limits::default()
        })
    }

    /// The words of a command line that say the same.
    pub(crate) fn words(&self) -> Vec<String> {
        fn number<N: ToString>(number: Option<N>) -> Option<String> {
            number.map(|number| number.to_string())
        }
        let single = [
            ("memory", self.memory.clone()),
            ("memory-swap", self.memory_swap.clone()),
            ("memory-reservation", self.memory_reservation.clone()),
            ("cpus", self.cpus.clone()),
            ("cpu-shares", number(self.cpu_shares)),
            ("cpu-period", number(self.cpu_period)),
            ("cpu-quota", number(self.cpu_quota)),
            ("cpu-rt-period", number(self.cpu_rt_period)),
            ("cpu-rt-runtime", number(self.cpu_rt_runtime)),
            ("memory-swappiness", number(self.memory_swappiness)),
            ("cpuset-cpus", self.cpuset_cpus.clone()),
            ("cpuset-mems", self.cpuset_mems.clone()),
            ("pids-limit", number(self.pids_limit)),
        ];
        let single = single.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
        let ulimits = self.ulimit.iter().map(|value| ("ulimit", value.clone()));
        single.chain(ulimits).map(|(flag, value)| format!("--{flag}={value}")).collect()
    }

    /// -1 is how docker's clients write what they do not mean.
    fn swappiness(&self) -> Result<Option<u64>> {
        match self.memory_swappiness {
            None | Some(-1) => Ok(None),
            Some(percent) => u64::try_from(percent).map(Some).map_err(|_| {
                refuse("--memory-swappiness", &percent.to_string(), "not in 0 to 100")
            }),
        }
    }
}

impl OutOfMemoryFlags {
    fn score(&self) -> Result<Option<i32>> {
        match self.oom_score_adj {
            Some(number) if !(-1000..=1000).contains(&number) => {
                Err(refuse("--oom-score-adj", &number.to_string(), "not in -1000 to 1000"))
            }
            score => Ok(score),
        }
    }
}

impl RightsFlags {
    fn rights(&self, around: Surroundings<'_>) -> Result<Rights> {
        let mut rights = Rights {
            privileged: self.privileged,
            cap_add: self.cap_add.clone(),
            cap_drop: self.cap_drop.clone(),
            ..Rights::default()
        };
        for text in &self.device {
            match text.parse() {
                Ok(name) => rights.cdi.push(name),
                Err(_) => rights.devices.push(device::parse(text)?),
            }
        }
        if let Some(text) = &self.gpus {
            rights.cdi.extend(device::gpus(text)?);
        }
        for text in &self.security_opt {
            security::apply(text, &mut rights, around)?;
        }
        Ok(rights)
    }
}

/// Variables that the image may replace; podman has one of its own, which systemd and others look for.
fn defaults(said: &[String], manners: Manners) -> Vec<String> {
    let own = (manners == Manners::Podman).then(|| "container=podman".to_owned());
    own.into_iter().chain(said.iter().cloned()).collect()
}

/// An empty word clears what the image has. For podman a list in JSON is a program and its arguments.
fn entrypoint(text: &str, manners: Manners) -> Vec<String> {
    let list = (manners == Manners::Podman).then(|| serde_json::from_str(text).ok()).flatten();
    list.unwrap_or_else(|| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] })
}

/// Docker shows names with a slash before them, and its users have learned to write it.
fn name(text: &str) -> Result<dhow_base::id::Name> {
    text.strip_prefix('/').unwrap_or(text).parse().map_err(|_| {
        refuse("--name", text, "not a name")
            .hint("names match [a-zA-Z0-9][a-zA-Z0-9_.-]* and have at most 128 characters")
    })
}

fn workdir(text: &str) -> Result<String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(refuse("--workdir", text, "not an absolute path")
            .hint("the working directory is an absolute path in the container"))
    }
}

/// What `--platform` names.
pub(crate) fn platform(text: &str) -> Result<Platform> {
    Platform::parse(text).map_err(|error| {
        let hint = error.innermost_hint().unwrap_or("such as linux/amd64").to_owned();
        refuse("--platform", text, "not a platform").hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{seldom, tests::world};
    use clap::{Args, FromArgMatches};
    use dhow_engine::options::NetworkMode;

    fn options(line: &[&str]) -> Result<CreateOptions> {
        let command = ContainerFlags::augment_args(clap::Command::new("run"))
            .disable_help_flag(true)
            .no_binary_name(true);
        let matches = command.try_get_matches_from(line).expect("the flags are known");
        ContainerFlags::from_arg_matches(&matches).expect("the flags are known").options(world())
    }

    #[test]
    fn all_that_follows_the_image_belongs_to_the_program() {
        let cases: [(&[&str], &[&str]); 5] = [
            (&["box", "ls", "-l"], &["ls", "-l"]),
            (&["box", "-v", "--rm", "--help"], &["-v", "--rm", "--help"]),
            (&["--rm", "box", "--", "x"], &["--", "x"]),
            (&["--", "box", "-t"], &["-t"]),
            (&["box"], &[]),
        ];
        for (line, command) in cases {
            let options = options(line).unwrap();
            assert_eq!(
                (options.image.as_str(), &options.command[..]),
                ("box", &command.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                "{line:?}"
            );
        }
    }

    /// What a line says to a tree without the flags that are seldom given, and to one with all.
    fn briefly_and_wholly(line: &[&str]) -> [Option<String>; 2] {
        let bare = || clap::Command::new("run").disable_help_flag(true).no_binary_name(true);
        [seldom::briefly(bare()), bare()].map(|command| {
            let matches = ContainerFlags::augment_args(command).try_get_matches_from(line);
            matches.ok().map(|matches| {
                format!("{:?}", ContainerFlags::from_arg_matches(&matches).expect("they are known"))
            })
        })
    }

    #[test]
    fn what_is_understood_without_seldom_flags_is_what_all_understand() {
        let often: [&[&str]; 5] = [
            &["box"],
            &["-it", "--rm", "--network=none", "-v", "/a:/b", "-eA=b", "box", "--init", "--dns=x"],
            &["-d", "--name", "web", "-p", "80:80", "--pull=never", "--", "box", "-m64m"],
            &["--entrypoint", "sh", "-lx=y", "-u1", "-w/", "--read-only=true", "box", "-c", "true"],
            &["--privileged", "--cap-add=ALL", "--security-opt", "x", "--device", "/dev/x", "box"],
        ];
        for line in often {
            let [brief, whole] = briefly_and_wholly(line);
            assert!(brief.is_some(), "{line:?}");
            assert_eq!(brief, whole, "{line:?}");
        }

        let mut seldom = 0;
        let all = ContainerFlags::augment_args(clap::Command::new("run"));
        for long in all.get_arguments().filter_map(clap::Arg::get_long) {
            for word in [format!("--{long}"), format!("--{long}=1"), format!("-e--{long}")] {
                let [brief, whole] = briefly_and_wholly(&[&word, "box", "x"]);
                match brief {
                    Some(brief) => assert_eq!(Some(brief), whole, "{word}"),
                    None => seldom += usize::from(whole.is_some()),
                }
            }
        }
        assert!(seldom > 50, "{seldom}");
    }

    #[test]
    fn unsaid_is_unsaid() {
        let options = options(&["box"]).unwrap();

        assert!(options.name.is_none() && options.entrypoint.is_none() && options.env.is_empty());
        assert!(options.mounts.is_empty() && options.limits.memory_bytes.is_none());
        assert_eq!((options.network, options.pull), (NetworkMode::Unsaid, PullPolicy::Missing));
    }

    #[test]
    fn flags_become_options() {
        let options = options(&[
            "-it",
            "--rm",
            "--name",
            "web",
            "-eA=1",
            "-e",
            "HOME",
            "-u",
            "1000:5",
            "-w",
            "/srv",
            "-h",
            "here",
            "-m",
            "64m",
            "--memory-swap",
            "-1",
            "--cpus=1.5",
            "--pids-limit",
            "-1",
            "--cap-drop",
            "ALL",
            "--cap-add=NET_RAW",
            "--security-opt",
            "no-new-privileges",
            "--read-only=true",
            "--tmpfs",
            "/tmp",
            "-v",
            "/a:/b:ro",
            "--ulimit",
            "nofile=5",
            "-l",
            "a=b",
            "--net",
            "host",
            "--stop-signal",
            "INT",
            "--stop-timeout",
            "3",
            "--pull",
            "never",
            "--platform",
            "linux/arm64",
            "--shm-size",
            "1m",
            "--group-add",
            "audio",
            "--oom-score-adj",
            "-500",
            "--entrypoint",
            "",
            "--annotation",
            "x=y",
            "box",
            "sh",
        ])
        .unwrap();

        assert!(options.interactive && options.tty && options.auto_remove && options.read_only);
        assert_eq!(options.name.unwrap().as_str(), "web");
        assert_eq!(options.env, ["A=1", "HOME=/root"]);
        assert_eq!(options.user.as_deref(), Some("1000:5"));
        assert_eq!(options.workdir.as_deref(), Some("/srv"));
        assert_eq!(options.hostname.as_deref(), Some("here"));
        assert_eq!(options.limits.memory_bytes, Some(64 << 20));
        assert_eq!(options.limits.memory_swap_bytes, Some(-1));
        assert_eq!(options.limits.nano_cpus, Some(1_500_000_000));
        assert_eq!(options.limits.pids, Some(-1));
        assert_eq!(options.limits.oom_score_adj, Some(-500));
        assert_eq!(options.limits.ulimits.len(), 1);
        assert_eq!(options.rights.cap_drop, ["ALL"]);
        assert_eq!(options.rights.cap_add, ["NET_RAW"]);
        assert!(options.rights.no_new_privileges);
        assert_eq!(options.mounts.len(), 2);
        assert_eq!(options.network, NetworkMode::Host);
        assert_eq!((options.stop_signal, options.stop_timeout), (Some(2), Some(3)));
        assert_eq!(options.pull, PullPolicy::Never);
        assert_eq!(options.platform.unwrap().architecture, "arm64");
        assert_eq!(options.shm_bytes, Some(1 << 20));
        assert_eq!(options.groups, ["audio"]);
        assert_eq!(options.entrypoint, Some(Vec::new()));
        assert_eq!(options.annotations, [("x".to_owned(), "y".to_owned())]);
    }

    #[test]
    fn limits_are_words_again() {
        let line = ["--memory=1g", "--cpu-quota=-1", "--pids-limit=7", "--ulimit=nofile=5", "box"];
        let command = ContainerFlags::augment_args(clap::Command::new("run"))
            .disable_help_flag(true)
            .no_binary_name(true);
        let matches = command.try_get_matches_from(line).unwrap();

        let flags = ContainerFlags::from_arg_matches(&matches).unwrap();

        assert_eq!(flags.limits.words(), line[..4]);
    }

    #[test]
    fn each_bad_value_names_its_flag_and_itself() {
        let cases: [&[&str]; 16] = [
            &["--memory", "12x"],
            &["--memory-swap", "much"],
            &["--cpus", "many"],
            &["--cpuset-cpus", "a"],
            &["--name", "a/b"],
            &["--env", "=x"],
            &["--env-file", "gone"],
            &["--volume", "a/b:/c"],
            &["--mount", "type=bind"],
            &["--tmpfs", "x"],
            &["--ulimit", "nofile"],
            &["--network", "front:colour=red"],
            &["--stop-signal", "BOGUS"],
            &["--pull", "sometimes"],
            &["--platform", "a/b/c/d"],
            &["--security-opt", "bogus"],
        ];
        for flags in cases {
            let error = options(&[flags, &["box"]].concat()).unwrap_err();
            let line = error.one_line();
            assert!(line.contains(flags[0]) && line.contains(flags[1]), "{line}");
        }
    }
}
