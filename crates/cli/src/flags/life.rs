//! The flags that say how a container lives: restarts, its init, its time, its log.

use super::{Surroundings, defaults::put, health::HealthFlags, limits, refuse};
use crate::containers_conf::ContainersConf;
use dhow_base::{Error, Kind, Result};
use dhow_engine::{
    Readiness,
    options::{LifeOptions, LogDriver, LogOptions, RestartPolicy},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// How the container lives.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Life")]
pub(crate) struct LifeFlags {
    /// Start it again when it ends: no, on-failure[:NUMBER], always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    pub(crate) restart: Option<String>,

    /// Run an init before the program that forwards signals and reaps processes
    #[arg(long)]
    init: bool,

    /// Use this program of the host as the init
    #[arg(long, value_name = "PATH")]
    init_path: Option<String>,

    /// Write the number of the container's first process to a file, at each start
    #[arg(long, value_name = "FILE")]
    pidfile: Option<String>,

    /// Kill the program after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,

    /// Keep output by this driver: k8s-file, json-file, journald, none or passthrough
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,

    /// Set an option of the log: max-size, max-file, path, tag, labels or env
    #[arg(long, value_name = "NAME=VALUE")]
    log_opt: Vec<String>,

    /// Tell the service manager that the container is ready: when it says so itself (container), when it has
    /// started (conmon), when it is healthy (healthy), or not (ignore)
    #[arg(long, value_name = "MODE")]
    sdnotify: Option<String>,

    /// Make the container with another OCI runtime, by name or path
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,

    /// Where `containers.conf` says that runtimes are.
    #[arg(skip)]
    runtimes: BTreeMap<String, Vec<String>>,

    #[command(flatten)]
    health: HealthFlags,
}

impl LifeFlags {
    /// What the flags ask for.
    pub(crate) fn options(&self, around: Surroundings<'_>) -> Result<LifeOptions> {
        Ok(LifeOptions {
            restart: self.restart.as_deref().map(restart).transpose()?,
            pid_file: self.pidfile.as_deref().map(|path| around.absolute(path)),
            init: self.init,
            init_path: self.init_path.as_deref().map(|path| around.absolute(path)),
            timeout_seconds: self.timeout,
            health: self.health.options()?,
            log: self.log(around)?,
            readiness: self.sdnotify.as_deref().map(readiness).transpose()?.unwrap_or_default(),
            runtime: self
                .runtime
                .as_deref()
                .map(|name| runtime(name, &self.runtimes, around))
                .transpose()?,
            ..LifeOptions::default()
        })
    }

    /// Takes what `containers.conf` says where these flags say nothing.
    pub(super) fn fill(&mut self, conf: &ContainersConf) {
        let said = &conf.containers;
        self.init |= said.init == Some(true);
        if self.init {
            // The path alone asks for no init.
            put(&mut self.init_path, said.init_path.as_ref());
        }
        put(&mut self.log_driver, said.log_driver.as_ref());
        let mut options = Vec::new();
        // Below zero is no limit, and nothing is no limit either.
        options.extend(said.log_size_max.filter(|size| *size > 0).map(|n| format!("max-size={n}")));
        let tag = said.log_tag.as_ref().filter(|tag| !tag.is_empty());
        options.extend(tag.map(|tag| format!("tag={tag}")));
        // Later ones count, and those of the flags come later.
        self.log_opt.splice(0..0, options);
        // A file that makes us podman's runtime asks us for nothing that we do not do anyway.
        let is_own = |name: &&String| matches!(name.as_str(), "dhow" | "dhow-runtime");
        put(&mut self.runtime, conf.engine.runtime.as_ref().filter(|name| !is_own(name)));
        self.runtimes = conf.engine.runtimes.clone().unwrap_or_default();
    }

    fn log(&self, around: Surroundings<'_>) -> Result<LogOptions> {
        let driver = self.log_driver.as_deref().map(LogDriver::parse).transpose()?;
        let mut options =
            LogOptions { driver: driver.unwrap_or_default(), ..LogOptions::default() };
        for text in &self.log_opt {
            log_option(text, &mut options, around)?;
        }
        Ok(options)
    }
}

/// `--restart`.
pub(crate) fn restart(text: &str) -> Result<RestartPolicy> {
    RestartPolicy::parse(text)
}

fn readiness(text: &str) -> Result<Readiness> {
    match text {
        "container" => Ok(Readiness::ByProgram),
        "conmon" => Ok(Readiness::ByStart),
        "healthy" => Ok(Readiness::ByHealth),
        "ignore" => Ok(Readiness::Never),
        _ => Err(refuse("--sdnotify", text, "neither container, conmon, healthy nor ignore")),
    }
}

fn log_option(text: &str, options: &mut LogOptions, around: Surroundings<'_>) -> Result<()> {
    let refused = |why: &str| refuse("--log-opt", text, why);
    let (name, value) = text.split_once('=').ok_or_else(|| {
        refused("the value is missing").hint("write NAME=VALUE, such as max-size=10m")
    })?;
    let names = || value.split(',').map(str::to_owned).collect();
    match name {
        "max-size" => options.limit_bytes = log_limit(value)?,
        "max-file" => {
            let files = value.parse().ok().filter(|files| (1..=1000).contains(files));
            options.files = Some(files.ok_or_else(|| refused("not a number from 1 to 1000"))?);
        }
        "path" => options.path = Some(around.absolute(value)),
        "tag" => options.tag = Some(value.to_owned()),
        "labels" => options.labels = names(),
        "env" => options.env = names(),
        // Docker's words for how it buffers and packs; nothing of a log is lost or packed here.
        "mode" | "max-buffer-size" | "compress" | "labels-regex" | "env-regex" => {
            let why = match name {
                "mode" if value == "blocking" => return Ok(()),
                "compress" if value == "false" => return Ok(()),
                "mode" | "max-buffer-size" => {
                    "a log is written as output comes; nothing waits in between"
                }
                "compress" => "logs that were set aside are not packed",
                _ => "labels and variables go along by name only",
            };
            return Err(Error::new(Kind::Unsupported, format!("--log-opt {text:?}: {why}")));
        }
        _ => {
            return Err(refused("there is no such option")
                .hint("there are max-size, max-file, path, tag, labels and env"));
        }
    }
    Ok(())
}

/// Docker takes -1 for no limit.
fn log_limit(value: &str) -> Result<Option<u64>> {
    if value == "-1" { Ok(None) } else { limits::bytes("--log-opt max-size", value).map(Some) }
}

/// A path, or a name to be looked for where `containers.conf` says, and where programs are.
fn runtime(
    text: &str,
    known: &BTreeMap<String, Vec<String>>,
    around: Surroundings<'_>,
) -> Result<PathBuf> {
    if text.is_empty() {
        return Err(refuse("--runtime", text, "the runtime has no name"));
    }
    if text.contains('/') {
        return Ok(around.absolute(text));
    }
    let places = known.get(text).into_iter().flatten().map(PathBuf::from);
    if let Some(program) = places.into_iter().find(|program| program.is_file()) {
        return Ok(program);
    }
    let path = (around.variable)("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    path.split(':')
        .filter(|directory| directory.starts_with('/'))
        .chain(usual)
        .map(|directory| Path::new(directory).join(text))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            Error::new(Kind::NotFound, format!("--runtime {text:?}: no program has this name"))
                .hint("install it, or give its path")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::tests::world;

    fn log(texts: &[&str]) -> Result<LogOptions> {
        let flags = LifeFlags {
            log_driver: Some("json-file".into()),
            log_opt: texts.iter().map(ToString::to_string).collect(),
            ..LifeFlags::default()
        };
        flags.log(world())
    }

    #[test]
    fn options_of_the_log_are_dockers() {
        let options = log(&["max-size=10k", "max-file=3", "tag={{.Name}}", "labels=a,b"]).unwrap();

        assert_eq!(options.driver, LogDriver::JsonFile);
        assert_eq!((options.limit_bytes, options.files), (Some(10 << 10), Some(3)));
        assert_eq!(options.labels, ["a", "b"]);
        assert_eq!(log(&["max-size=-1"]).unwrap().limit_bytes, None);
        assert_eq!(log(&["path=log"]).unwrap().path.unwrap(), Path::new("/here/log"));
        for bad in ["max-size", "max-size=x", "max-file=0", "bogus=1", "mode=non-blocking"] {
            assert!(log(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_runtime_is_a_path_or_a_name_that_a_file_or_the_path_explains() {
        let known = BTreeMap::from([(
            "own".to_owned(),
            vec!["/no/such/program".to_owned(), "/bin/sh".to_owned()],
        )]);
        let find = |text: &str| runtime(text, &known, world());

        assert_eq!(find("/x/runc").unwrap(), Path::new("/x/runc"));
        assert!(find("").is_err());
        assert_eq!(find("no-such-runtime").unwrap_err().kind(), Kind::NotFound);
        assert!(find("sh").unwrap().is_absolute());
        assert_eq!(find("own").unwrap(), Path::new("/bin/sh"));
    }
}
