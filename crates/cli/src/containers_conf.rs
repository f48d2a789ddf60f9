//! `containers.conf`: what containers get where no flag says otherwise (containers.conf(5)).
//!
//! The machine's file in `/etc/containers`, its directory of more, the user's own: each later one
//! replaces what it names, and a list with `{append=true}` in it is added to. Keys of podman's that
//! mean nothing here are passed over; one that nobody knows is warned of, since it may be one that was
//! mistyped. A value of the wrong kind is an error that names the file.
//!
//! What podman's package ships in `/usr/share/containers` is not read: those are podman's defaults
//! (three capabilities fewer than docker's, for one), and a container of ours must not change because
//! somebody installed podman. `CONTAINERS_CONF` can name it.
//!
//! It is read for each `run`, so a file of comments only is not parsed.

mod keys;

use dhow_base::{Doing, Error, Kind, Result, file};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

const LIMIT_BYTES: u64 = 4 << 20;

/// What all files together say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ContainersConf {
    /// What containers get.
    pub(crate) containers: Containers,
    /// How the engine works.
    pub(crate) engine: Engine,
    /// How networks are made.
    pub(crate) network: Network,
    /// The files that say something.
    pub(crate) files: Vec<PathBuf>,
    /// What is to be told of keys that nobody knows.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    containers: Containers,
    engine: Engine,
    network: Network,
}

/// A list of texts, which may be meant in addition to those of earlier files.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(from = "Vec<Item>")]
pub(crate) struct List {
    /// The texts.
    pub(crate) items: Vec<String>,
    appends: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Text(String),
    Attribute { append: bool },
}

impl From<Vec<Item>> for List {
    fn from(items: Vec<Item>) -> Self {
        let mut list = Self::default();
        for item in items {
            match item {
                Item::Text(text) => list.items.push(text),
                Item::Attribute { append } => list.appends = append,
            }
        }
        list
    }
}

/// A table whose keys are options: one that is named in a later file replaces an earlier one.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),+ $(,)? } lists { $($list:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize, PartialEq)]
        #[serde(default)]
        pub(crate) struct $name {
            $(pub(crate) $field: Option<$kind>,)+
            $(pub(crate) $list: Option<List>,)*
        }

        impl $name {
            /// The keys that are obeyed.
            const KEYS: &'static [&'static str] = &[$(stringify!($field),)+ $(stringify!($list),)*];

            fn lay(&mut self, over: Self) {
                $(if over.$field.is_some() { self.$field = over.$field; })+
                $(if let Some(mut list) = over.$list {
                    if list.appends && let Some(earlier) = self.$list.take() {
                        list.items.splice(0..0, earlier.items);
                    }
                    self.$list = Some(list);
                })*
            }
        }
    };
}

table! {
    /// `[containers]`.
    Containers {
        apparmor_profile: String,
        base_hosts_file: String,
        cgroupns: String,
        cgroups: String,
        container_name_as_hostname: bool,
        env_host: bool,
        host_containers_internal_ip: String,
        http_proxy: bool,
        init: bool,
        init_path: String,
        ipcns: String,
        label: bool,
        log_driver: String,
        log_size_max: i64,
        log_tag: String,
        netns: String,
        no_hostname: bool,
        no_hosts: bool,
        oom_score_adj: i32,
        pidns: String,
        pids_limit: i64,
        privileged: bool,
        read_only: bool,
        seccomp_profile: String,
        shm_size: String,
        tz: String,
        umask: String,
        userns: String,
        userns_size: u32,
        utsns: String,
    } lists {
        annotations,
        cgroup_conf,
        default_capabilities,
        default_sysctls,
        default_ulimits,
        devices,
        dns_options,
        dns_searches,
        dns_servers,
        env,
        mounts,
        volumes,
    }
}

table! {
    /// `[engine]`.
    Engine {
        detach_keys: String,
        image_volume_mode: String,
        infra_command: String,
        infra_image: String,
        pod_exit_policy: String,
        pull_policy: String,
        runtime: String,
        runtimes: BTreeMap<String, Vec<String>>,
        stop_timeout: u32,
    } lists {
        cdi_spec_dirs,
    }
}

table! {
    /// `[network]`.
    Network {
        cni_plugin_timeout: u64,
        default_subnet: String,
        default_subnet_pools: Vec<SubnetPool>,
        network_config_dir: String,
    } lists {
        cni_plugin_dirs,
    }
}

/// Subnets of one size.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct SubnetPool {
    /// All of them.
    pub(crate) base: String,
    /// The length of the prefix of each.
    pub(crate) size: u8,
}

/// Where the files may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    /// `CONTAINERS_CONF`: this file alone.
    pub(crate) only: Option<&'a Path>,
    /// `CONTAINERS_CONF_OVERRIDE`: this file after all others.
    pub(crate) last: Option<&'a Path>,
    /// Where a user who is not root has settings.
    pub(crate) own: Option<&'a Path>,
}

const MACHINES: &str = "/etc/containers/containers.conf";

impl ContainersConf {
    /// Reads the files that are there.
    pub(crate) fn read(places: Places<'_>) -> Result<Self> {
        let mut all = Self::default();
        match places.only {
            // Who names a file wants it to be there.
            Some(only) => all.lay(only, &read(only)?)?,
            None => {
                all.lay_file_and_directory(Path::new(MACHINES))?;
                if let Some(own) = places.own {
                    all.lay_file_and_directory(&own.join("containers/containers.conf"))?;
                }
            }
        }
        if let Some(last) = places.last {
            all.lay(last, &read(last)?)?;
        }
        Ok(all)
    }

    /// What one file says.
    #[cfg(test)]
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let mut all = Self::default();
        all.lay(path, text)?;
        Ok(all)
    }

    /// Whether nothing is said at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn lay_file_and_directory(&mut self, path: &Path) -> Result<()> {
        match read(path) {
            Err(error) if error.kind() == Kind::NotFound => {}
            result => self.lay(path, &result?)?,
        }
        let directory = path.with_extension("conf.d");
        let Ok(entries) = std::fs::read_dir(&directory) else { return Ok(()) };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.doing(|| format!("read {}", directory.display()))?.path());
        }
        paths.sort();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        for path in paths {
            self.lay(&path, &read(&path)?)?;
        }
        Ok(())
    }

    fn lay(&mut self, path: &Path, text: &str) -> Result<()> {
        if says_nothing(text) {
            return Ok(());
        }
        let document: Document = toml::from_str(text).map_err(|error| {
            let why = error.message().to_owned();
            let line = error.span().map_or(String::new(), |span| {
                format!(" (line {})", text[..span.start].matches('\n').count() + 1)
            });
            Error::new(Kind::Invalid, format!("read {}{line}: {why}", path.display()))
                .hint("containers.conf(5) says which keys have which values")
        })?;
        self.warnings.extend(keys::unknown(path, text));
        let before = (self.containers.clone(), self.engine.clone(), self.network.clone());
        self.containers.lay(document.containers);
        // What is said of one runtime says nothing of the others.
        let earlier = self.engine.runtimes.take();
        self.engine.lay(document.engine);
        if let Some(earlier) = earlier {
            let runtimes = self.engine.runtimes.get_or_insert_default();
            earlier.into_iter().for_each(|(name, paths)| {
                runtimes.entry(name).or_insert(paths);
            });
        }
        self.network.lay(document.network);
        if before != (self.containers.clone(), self.engine.clone(), self.network.clone()) {
            self.files.push(path.to_owned());
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String> {
    let bytes = file::read_limited(path, LIMIT_BYTES)?;
    String::from_utf8(bytes)
        .map_err(|_| Error::new(Kind::Invalid, format!("read {}: not UTF-8 text", path.display())))
}

/// Comments, blank lines and headings.
fn says_nothing(text: &str) -> bool {
    text.lines().map(str::trim_start).all(|line| {
        let is_heading = line.starts_with('[') && line.trim_end().ends_with(']');
        line.is_empty() || line.starts_with('#') || (is_heading && !line.contains('='))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(texts: &[&str]) -> Result<ContainersConf> {
        let mut all = ContainersConf::default();
        for text in texts {
            all.lay(Path::new("/etc/x.conf"), text)?;
        }
        Ok(all)
    }

    #[test]
    fn a_later_file_replaces_what_it_names_and_adds_where_it_says_so() {
        let all = laid(&[
            "[containers]\ntz = \"a\"\numask = \"0022\"\nenv = [\"A=1\"]\ndevices = [\"/x\"]\n",
            "[containers]\ntz = \"b\"\nenv = [\"B=2\", {append=true}]\ndevices = [\"/y\"]\n\
             [engine]\nstop_timeout = 3\n",
        ])
        .unwrap();

        let containers = all.containers;
        assert_eq!(containers.tz.as_deref(), Some("b"));
        assert_eq!(containers.umask.as_deref(), Some("0022"));
        assert_eq!(containers.env.unwrap().items, ["A=1", "B=2"]);
        assert_eq!(containers.devices.unwrap().items, ["/y"]);
        assert_eq!(all.engine.stop_timeout, Some(3));
    }

    #[test]
    fn unknown_keys_are_warned_of_and_broken_values_are_errors() {
        let all = laid(&["[containers]\nnovel = 1\n[network]\nx = 2\n"]).unwrap();
        assert!(all.is_empty() && all.warnings[0].contains("containers.novel, network.x"));
        for bad in ["[containers]\n\ntz = 5\n", "[containers]\nenv = 7\n", "[containers\n"] {
            let error = laid(&[bad]).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{bad}");
            assert!(error.one_line().contains("/etc/x.conf"), "{}", error.one_line());
        }
        let error = laid(&["[containers]\n\ntz = 5\n"]).unwrap_err();
        assert!(error.one_line().contains("line 3"), "{}", error.one_line());
    }

    #[test]
    fn runtimes_of_several_files_are_all_known_and_the_later_word_on_one_counts() {
        let all = laid(&[
            "[engine.runtimes]\na = [\"/a\"]\nb = [\"/b\"]\n",
            "[engine]\nruntime = \"b\"\n[engine.runtimes]\nb = [\"/c\"]\n",
        ])
        .unwrap();

        let runtimes = all.engine.runtimes.unwrap();
        assert_eq!((runtimes["a"][0].as_str(), runtimes["b"][0].as_str()), ("/a", "/c"));
        assert_eq!(all.engine.runtime.as_deref(), Some("b"));
    }

    #[test]
    fn a_file_of_comments_says_nothing() {
        assert!(says_nothing("# a = 1\n\n[containers]\n  # b\n[[x]]\n"));
        assert!(!says_nothing("[containers]\na = 1\n"));
    }

    #[test]
    fn a_named_file_is_the_only_one_and_must_be_there() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("c.conf");
        std::fs::write(&path, "[containers]\ntz = \"local\"\n").unwrap();
        let gone = here.path().join("gone.conf");

        let one =
            ContainersConf::read(Places { only: Some(&path), last: None, own: None }).unwrap();
        let none = ContainersConf::read(Places { only: Some(&gone), last: None, own: None });

        assert_eq!(one.files, [path]);
        assert_eq!(none.unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn the_directory_of_a_file_is_read_in_order() {
        let here = tempfile::tempdir().unwrap();
        let more = here.path().join("containers/containers.conf.d");
        std::fs::create_dir_all(&more).unwrap();
        for (name, zone) in [("b.conf", "b"), ("a.conf", "a"), ("c.txt", "c")] {
            std::fs::write(more.join(name), format!("[containers]\ntz = \"{zone}\"\n")).unwrap();
        }
        let mut all = ContainersConf::default();

        all.lay_file_and_directory(&here.path().join("containers/containers.conf")).unwrap();

        assert_eq!(all.containers.tz.as_deref(), Some("b"));
    }
}
