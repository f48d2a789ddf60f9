//! What `containers.conf` says, put where flags say nothing: so its words are read by the same rules
//! as the flags' are.

use super::{Surroundings, container::ContainerFlags};
use crate::containers_conf::{Containers, ContainersConf, List};
use dhow_base::{Error, Result};
use std::path::PathBuf;

/// What `containers.conf` says and no flag can.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unflagged {
    /// Variables that the image may replace.
    pub(super) env: Vec<String>,
    /// The capabilities that containers begin with.
    pub(super) capabilities: Option<Vec<String>>,
    /// Where documents about devices lie.
    pub(super) cdi_directories: Vec<PathBuf>,
}

impl ContainerFlags {
    /// These flags with what `conf` says where they say nothing. What is wrong with the file is an
    /// error about the file.
    pub(crate) fn with_defaults(
        &self,
        conf: &ContainersConf,
        around: Surroundings<'_>,
    ) -> Result<Self> {
        let mut flags = self.clone();
        if conf.is_empty() {
            return Ok(flags);
        }
        let image_and_command = vec!["any".to_owned()];
        let mut alone = Self { image_and_command, ..Self::default() };
        alone.fill(conf);
        alone.options(around).map_err(|error| {
            let files: Vec<String> =
                conf.files.iter().map(|path| path.display().to_string()).collect();
            Error::new(error.kind(), format!("use what {} says", files.join(" and ")))
                .because(error)
        })?;
        flags.fill(conf);
        Ok(flags)
    }

    fn fill(&mut self, conf: &ContainersConf) {
        let said = &conf.containers;
        put(&mut self.pull, conf.engine.pull_policy.as_ref());
        self.stop_timeout = self.stop_timeout.or(conf.engine.stop_timeout);
        put(&mut self.objects.image_volume, conf.engine.image_volume_mode.as_ref());
        let keys = &mut self.process.detach_keys;
        *keys = keys.take().or_else(|| conf.engine.detach_keys.clone());
        self.life.fill(conf);
        prepend(&mut self.annotation, said.annotations.as_ref());
        self.fill_place(said);
        self.fill_limits(said);
        self.fill_namespaces(said);
        self.fill_names(said);
        self.fill_hostname(said);
        self.fill_surroundings(said);
        self.fill_rights(said);
        let items = |list: &Option<List>| list.clone().unwrap_or_default().items;
        self.unflagged = Unflagged {
            env: items(&said.env),
            capabilities: said.default_capabilities.as_ref().map(|list| list.items.clone()),
            cdi_directories: items(&conf.engine.cdi_spec_dirs)
                .into_iter()
                .map(Into::into)
                .collect(),
        };
    }

    fn fill_place(&mut self, said: &Containers) {
        let place = &mut self.place;
        prepend(&mut place.volume, said.volumes.as_ref());
        prepend(&mut place.mount, said.mounts.as_ref());
        place.read_only = place.read_only.or(said.read_only);
        put(&mut place.shm_size, said.shm_size.as_ref());
        self.network.connection.fill(said.netns.as_ref());
    }

    fn fill_limits(&mut self, said: &Containers) {
        let limits = &mut self.limits;
        limits.pids_limit = limits.pids_limit.or(said.pids_limit);
        let score = &mut self.out_of_memory.oom_score_adj;
        *score = score.or(said.oom_score_adj);
        // One of the same name, or the host's, counts instead.
        let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
        let own: Vec<String> = limits.ulimit.iter().map(|text| name(text)).collect();
        if let Some(list) = &said.default_ulimits
            && !own.contains(&"host".to_owned())
        {
            let others = list.items.iter().filter(|text| !own.contains(&name(text))).cloned();
            limits.ulimit.splice(0..0, others.collect::<Vec<_>>());
        }
    }

    fn fill_namespaces(&mut self, said: &Containers) {
        let flags = &mut self.namespaces;
        put(&mut flags.pid, said.pidns.as_ref());
        put(&mut flags.ipc, said.ipcns.as_ref());
        put(&mut flags.uts, said.utsns.as_ref());
        put(&mut flags.cgroupns, said.cgroupns.as_ref());
        let maps = !flags.ids.uidmap.is_empty() || !flags.ids.gidmap.is_empty();
        let names = flags.ids.subuidname.is_some() || flags.ids.subgidname.is_some();
        if !maps && !names {
            // podman's word for no namespace of its own.
            put(&mut flags.ids.userns, said.userns.as_ref().filter(|text| *text != "private"));
            if let (Some("auto"), Some(size)) = (flags.ids.userns.as_deref(), said.userns_size) {
                flags.ids.userns = Some(format!("auto:size={size}"));
            }
        }
        put(&mut self.cgroup.cgroups, said.cgroups.as_ref());
        prepend(&mut self.cgroup.cgroup_conf, said.cgroup_conf.as_ref());
    }

    fn fill_names(&mut self, said: &Containers) {
        let flags = &mut *self.names;
        put(&mut flags.host_address, said.host_containers_internal_ip.as_ref());
        let asks = !flags.add_host.is_empty() || flags.hosts_file.is_some();
        flags.no_hosts |= said.no_hosts == Some(true) && !asks;
        flags.no_hostname |= said.no_hostname == Some(true);
        if !flags.no_hosts {
            put(&mut flags.hosts_file, said.base_hosts_file.as_ref());
        }
        if flags.dns.iter().any(|server| server == "none") {
            return;
        }
        for (list, said) in [
            (&mut flags.dns, &said.dns_servers),
            (&mut flags.dns_search, &said.dns_searches),
            (&mut flags.dns_option, &said.dns_options),
        ] {
            if list.is_empty() {
                prepend(list, said.as_ref());
            }
        }
    }

    /// The name as the host name, where the container has a host name of its own and can have that one.
    fn fill_hostname(&mut self, said: &Containers) {
        const LONGEST: usize = 64;
        let shares = |text: &str| text == "host" || text.contains(':');
        let is_own = !self.network.connection.network.iter().any(|text| shares(text))
            && !self.namespaces.uts.as_deref().is_some_and(shares)
            && self.objects.pod.is_none()
            && self.objects.pod_id_file.is_none();
        if said.container_name_as_hostname == Some(true) && is_own && self.place.hostname.is_none()
        {
            self.place.hostname = self.name.clone().filter(|name| name.len() <= LONGEST);
        }
    }

    fn fill_surroundings(&mut self, said: &Containers) {
        let network = self.network.connection.network == ["host"];
        let ipc = self.namespaces.ipc.as_deref() == Some("host");
        let flags = &mut self.surroundings;
        flags.env_host |= said.env_host == Some(true);
        flags.http_proxy = flags.http_proxy.or(said.http_proxy);
        put(&mut flags.tz, said.tz.as_ref());
        put(&mut flags.umask, said.umask.as_ref());
        // podman's rule: a default is for namespaces of the container's own.
        let is_own = |text: &&String| {
            !(network && text.starts_with("net.") || ipc && text.starts_with("kernel."))
        };
        let list = said.default_sysctls.iter().flat_map(|list| &list.items);
        let sysctls: Vec<String> = list.filter(is_own).cloned().collect();
        flags.sysctl.splice(0..0, sysctls);
    }

    fn fill_rights(&mut self, said: &Containers) {
        let rights = &mut self.rights;
        rights.privileged |= said.privileged == Some(true);
        prepend(&mut rights.device, said.devices.as_ref());
        let mut more = Vec::new();
        if !rights.privileged {
            // Later ones count, and those of the flags come later.
            let profile = |name: &str, value: &Option<String>| {
                value.as_ref().filter(|text| !text.is_empty()).map(|text| format!("{name}={text}"))
            };
            more.extend(profile("seccomp", &said.seccomp_profile));
            more.extend(profile("apparmor", &said.apparmor_profile));
        }
        if said.label == Some(false) {
            more.push("label=disable".to_owned());
        }
        rights.security_opt.splice(0..0, more);
    }
}

/// An empty text says nothing.
pub(super) fn put(flag: &mut Option<String>, said: Option<&String>) {
    if flag.is_none() {
        *flag = said.filter(|text| !text.is_empty()).cloned();
    }
}

fn prepend(flag: &mut Vec<String>, said: Option<&List>) {
    flag.splice(0..0, said.into_iter().flat_map(|list| list.items.iter().cloned()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::tests::world;
    use dhow_engine::options::{CreateOptions, LabelOption, NetworkMode, PullPolicy, Sharing};
    use std::path::Path;

    fn options(conf: &str, change: impl FnOnce(&mut ContainerFlags)) -> Result<CreateOptions> {
        let conf = ContainersConf::parse(Path::new("/etc/x.conf"), conf)?;
        let mut flags =
            ContainerFlags { image_and_command: vec!["box".into()], ..ContainerFlags::default() };
        change(&mut flags);
        flags.with_defaults(&conf, world())?.options(world())
    }

    #[test]
    fn what_flags_say_counts_and_the_file_says_the_rest() {
        let conf = "[containers]\npidns = \"host\"\nipcns = \"none\"\numask = \"0027\"\n\
                    pids_limit = 7\nnetns = \"host\"\nenv = [\"A=conf\"]\nread_only = true\n\
                    default_capabilities = [\"CHOWN\"]\n\
                    default_ulimits = [\"nofile=1:2\", \"core=0\"]\n\
                    default_sysctls = [\"net.a=1\", \"kernel.b=1\"]\n\
                    [engine]\npull_policy = \"never\"\n";

        let options = options(conf, |flags| {
            flags.namespaces.pid = Some("private".into());
            flags.limits.ulimit = vec!["core=5".into()];
        })
        .unwrap();

        assert_eq!(options.namespaces.pid, Sharing::Private);
        assert_eq!(options.namespaces.ipc, Sharing::Bare);
        assert_eq!(options.surroundings.umask, Some(0o27));
        assert_eq!(options.limits.pids, Some(7));
        assert_eq!(options.network, NetworkMode::Host);
        assert_eq!(options.environment.defaults, ["A=conf"]);
        assert_eq!(options.pull, PullPolicy::Never);
        assert_eq!(options.rights.default_capabilities.unwrap(), ["CHOWN"]);
        assert!(options.read_only);
        let ulimits: Vec<_> = options.limits.ulimits.iter().map(|one| one.soft).collect();
        assert_eq!(ulimits, [1, 5]);
        assert_eq!(options.surroundings.sysctls, [("kernel.b".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn a_name_is_the_host_name_of_who_has_one_of_their_own() {
        let conf = "[containers]\ncontainer_name_as_hostname = true\n";
        let hostname = |change: fn(&mut ContainerFlags)| {
            let named = |flags: &mut ContainerFlags| {
                flags.name = Some("web".to_owned());
                change(flags);
            };
            options(conf, named).unwrap().hostname
        };

        assert_eq!(hostname(|_| {}).as_deref(), Some("web"));
        assert_eq!(hostname(|flags| flags.place.hostname = Some("h".into())).as_deref(), Some("h"));
        assert_eq!(hostname(|flags| flags.name = None), None);
        assert_eq!(hostname(|flags| flags.namespaces.uts = Some("host".into())), None);
        let on_host = |flags: &mut ContainerFlags| {
            flags.network.connection.network = vec!["host".to_owned()];
        };
        assert_eq!(hostname(on_host), None);
    }

    #[test]
    fn each_key_is_obeyed() {
        use dhow_engine::options::{ImageVolumes, LogDriver};
        type Holds = fn(&CreateOptions) -> bool;
        let cases: [(&str, Holds); 20] = [
            ("containers.init = true", |o| o.life.init),
            ("containers.init_path = \"/bin/init\"", |o| {
                !o.life.init && o.life.init_path.is_none()
            }),
            ("containers.log_driver = \"json-file\"", |o| o.life.log.driver == LogDriver::JsonFile),
            ("containers.log_size_max = 4096", |o| o.life.log.limit_bytes == Some(4096)),
            ("containers.log_size_max = -1", |o| o.life.log.limit_bytes.is_none()),
            ("containers.log_tag = \"{{.Name}}\"", |o| {
                o.life.log.tag.as_deref() == Some("{{.Name}}")
            }),
            ("containers.tz = \"UTC\"", |o| o.surroundings != CreateOptions::of("x").surroundings),
            ("containers.shm_size = \"1m\"", |o| o.shm_bytes == Some(1 << 20)),
            ("containers.annotations = [\"a=b\"]", |o| o.annotations.len() == 1),
            ("containers.volumes = [\"/a:/b\"]", |o| o.mounts.len() == 1),
            ("containers.cgroupns = \"host\"", |o| o.namespaces.cgroup == Sharing::Host),
            ("containers.utsns = \"host\"", |o| o.namespaces.uts == Sharing::Host),
            ("containers.host_containers_internal_ip = \"10.9.9.9\"", |o| {
                o.names.host_address == Some("10.9.9.9".parse().unwrap())
            }),
            ("containers.cgroup_conf = [\"memory.high=1000000\"]", |o| {
                o.cgroup.files == [("memory.high".to_owned(), "1000000".to_owned())]
            }),
            ("containers.label = false", |o| o.rights.labels == [LabelOption::Disable]),
            ("containers.dns_servers = [\"10.0.0.1\"]", |o| {
                o.names != CreateOptions::of("x").names
            }),
            ("engine.runtime = \"dhow\"", |o| o.life.runtime.is_none()),
            ("engine.runtime = \"sh\"", |o| {
                o.life.runtime.as_ref().is_some_and(|r| r.ends_with("sh"))
            }),
            ("engine.image_volume_mode = \"tmpfs\"", |o| {
                o.objects.image_volumes == ImageVolumes::Tmpfs
            }),
            ("engine.stop_timeout = 3", |o| o.stop_timeout == Some(3)),
        ];
        for (line, holds) in cases {
            let found = options(line, |_| {}).unwrap();
            assert!(holds(&found), "{line}: {found:?}");
        }
    }

    #[test]
    fn flags_go_before_what_the_file_says_of_lives() {
        let conf = "[containers]\ninit = true\ninit_path = \"/bin/init\"\nuserns = \"auto\"\n\
                    userns_size = 4096\n[engine]\ndetach_keys = \"ctrl-x\"\n\
                    [engine.runtimes]\nmine = [\"/no/such\", \"/bin/sh\"]\n";
        let conf = ContainersConf::parse(Path::new("/etc/x.conf"), conf).unwrap();
        let with = |words: &[&str]| {
            use clap::Parser;
            #[derive(Parser)]
            struct Line {
                #[command(flatten)]
                flags: ContainerFlags,
            }
            let words = ["run"].iter().chain(words).chain(&["box"]);
            let line = Line::try_parse_from(words).unwrap();
            line.flags.with_defaults(&conf, world()).unwrap()
        };

        let usual = with(&[]);
        assert_eq!(usual.process.detach_keys.as_deref(), Some("ctrl-x"));
        assert_eq!(usual.namespaces.ids.userns.as_deref(), Some("auto:size=4096"));
        let flags = with(&["--detach-keys", "a", "--init-path", "/own", "--runtime", "mine"]);
        assert_eq!(flags.process.detach_keys.as_deref(), Some("a"));
        let life = flags.options(world()).unwrap().life;
        assert_eq!(life.init_path.as_deref(), Some(Path::new("/own")));
        assert_eq!(life.runtime.as_deref(), Some(Path::new("/bin/sh")));
    }

    #[test]
    fn a_word_that_no_flag_would_take_is_an_error_about_the_file() {
        let error = options("[containers]\npidns = \"bogus\"\n", |_| {}).unwrap_err();

        let line = error.one_line();
        assert!(line.contains("/etc/x.conf") && line.contains("bogus"), "{line}");
    }

    #[test]
    fn words_of_podmans_bridges_are_passed_over() {
        let options = options("[containers]\nnetns = \"pasta\"\n", |_| {}).unwrap();

        assert_eq!(options.network, NetworkMode::Unsaid);
    }
}
