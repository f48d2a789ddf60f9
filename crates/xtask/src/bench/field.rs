//! Who runs, and with which words: the contenders of each row and what they need beforehand.
//!
//! Everything lives in one temporary directory: dhow's roots, podman's storage, bundles, and the
//! registry from which all pull the same images. It is gone when the field is dropped.

use super::{
    RowName,
    stopwatch::{self, Outpost, Timed},
};
use crate::complain;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_testkit::{
    Access, Registry, Transport,
    image::{Compression, Image, Layout},
    need, rootfs,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Where a command runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// Like any command.
    Host,
    /// In the mount namespace in which crun and runc work on this kind of machine.
    Outpost,
}

/// One command of a row.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// What must be done before each round, untimed.
    pub(crate) before: Vec<Vec<String>>,
    pub(crate) timed: Vec<String>,
}

/// One row: dhow first, then its peers.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: RowName,
    pub(crate) contenders: Vec<Contender>,
    /// Peers that do not take part, with the reason.
    pub(crate) missing: Vec<(String, String)>,
}

/// An engine, as far as the rows need to know it.
#[derive(Clone, Debug)]
struct Engine {
    name: &'static str,
    place: Place,
    /// The program with its global options.
    prefix: Vec<String>,
    /// What `pull` needs for a registry that speaks HTTP.
    pull: &'static [&'static str],
    /// What `run` needs besides the options that all have in common.
    run: &'static [&'static str],
}

impl Engine {
    fn words(&self, words: &[&str]) -> Vec<String> {
        self.prefix
            .iter()
            .map(String::as_str)
            .chain(words.iter().copied())
            .map(str::to_owned)
            .collect()
    }
}

/// The name of the container that `exec` and `ps` find running.
const RESIDENT: &str = "dhow-bench-resident";

/// All that the rows need.
#[derive(Debug)]
pub(crate) struct Field {
    engines: Vec<Engine>,
    missing: Vec<(String, String)>,
    outpost: Outpost,
    registry: Option<Registry>,
    /// Engines that have the small image already.
    supplied: bool,
    home: TempDir,
}

impl Field {
    /// Looks for the peers and makes room. Needs root, as containers do.
    pub(crate) fn open(dhow: &Path) -> Result<Self> {
        if !need::root() {
            return Err(Error::new(Kind::Denied, "start real containers without being root")
                .hint("run `cargo xtask bench` as root"));
        }
        let home = tempfile::Builder::new()
            .prefix("b")
            .tempdir()
            .doing(|| "make a directory for the bench")?;
        let mut engines = vec![dhow_engine(dhow, home.path())];
        let mut missing = Vec::new();
        match need::tool("podman") {
            Some(podman) => engines.push(podman_engine(&podman, home.path())),
            None => missing.push(("podman".to_owned(), "not installed".to_owned())),
        }
        match docker() {
            Ok(docker) => engines.push(docker),
            Err(reason) => missing.push(("docker".to_owned(), reason.to_owned())),
        }
        let outpost = Outpost::start()?;
        Ok(Self { engines, missing, outpost, registry: None, supplied: false, home })
    }

    /// Makes a row ready: images are there, containers run.
    pub(crate) fn row(&mut self, name: RowName) -> Result<Row> {
        let contenders = match name {
            RowName::Version => self.versions(),
            RowName::Run => self.runs()?,
            RowName::Exec => self.with_resident(&["exec", RESIDENT, "true"])?,
            RowName::Ps => self.with_resident(&["ps"])?,
            RowName::Pull => self.pulls()?,
        };
        let mut missing = self.missing.clone();
        // A client alone can say its version.
        missing.retain(|(peer, _)| !contenders.iter().any(|contender| contender.name == *peer));
        for tool in peers_of(name).iter().filter(|tool| need::tool(tool).is_none()) {
            missing.push(((*tool).to_owned(), "not installed".to_owned()));
        }
        Ok(Row { name, contenders, missing })
    }

    /// Takes away what the row left.
    pub(crate) fn close_row(&mut self, row: &Row) {
        if matches!(row.name, RowName::Exec | RowName::Ps) {
            for engine in self.engines.clone() {
                self.quietly(engine.place, &engine.words(&["rm", "-f", RESIDENT]));
            }
        }
    }

    /// Times a command where it belongs.
    pub(crate) fn time(&mut self, place: Place, words: &[String]) -> Result<Timed> {
        match place {
            Place::Host => stopwatch::time(words),
            Place::Outpost => self.outpost.time(words),
        }
    }

    fn versions(&self) -> Vec<Contender> {
        let dhow = self.engines[0].prefix[0].clone();
        let mut contenders = vec![contender("dhow", vec![dhow, "--version".to_owned()])];
        for tool in ["crun", "runc", "podman", "docker", "skopeo"] {
            if let Some(path) = need::tool(tool) {
                contenders.push(contender(tool, vec![shown(&path), "--version".to_owned()]));
            }
        }
        contenders
    }

    fn runs(&mut self) -> Result<Vec<Contender>> {
        let image = self.supply()?;
        let mut contenders = Vec::new();
        for engine in &self.engines {
            let mut words = vec!["run", "--rm", "--network", "none"];
            words.extend(engine.run);
            words.extend([image.as_str(), "true"]);
            contenders.push(timed(engine, &words));
        }
        for runtime in ["crun", "runc"] {
            if let Some(path) = need::tool(runtime) {
                contenders.push(self.bare(runtime, &path)?);
            }
        }
        Ok(contenders)
    }

    /// The runtime alone on a bundle: what an engine on top of it can at best achieve.
    fn bare(&mut self, name: &str, runtime: &Path) -> Result<Contender> {
        let bundle = self.home.path().join(format!("bundle-{name}"));
        fs::create_dir_all(&bundle).doing(|| format!("create {}", bundle.display()))?;
        let root = rootfs::busybox()?;
        let rootfs = bundle.join("rootfs");
        if !rootfs.exists() {
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(root.path()).arg(&rootfs);
            succeed(&mut copy)?;
            succeed(Command::new(runtime).arg("spec").current_dir(&bundle))?;
            adapt_spec(&bundle.join("config.json"))?;
        }
        let words = [&shown(runtime), "run", "--bundle", &shown(&bundle), "dhow-bench-bare"];
        Ok(Contender {
            name: format!("{name} alone, on a bundle"),
            place: Place::Outpost,
            before: Vec::new(),
            timed: words.map(str::to_owned).to_vec(),
        })
    }

    fn with_resident(&mut self, words: &[&str]) -> Result<Vec<Contender>> {
        let image = self.supply()?;
        let mut contenders = Vec::new();
        for engine in self.engines.clone() {
            let mut start = vec!["run", "-d", "--name", RESIDENT, "--network", "none"];
            start.extend(engine.run);
            start.extend([image.as_str(), "sleep", "100000"]);
            self.quietly(engine.place, &engine.words(&start));
            contenders.push(timed(&engine, words));
        }
        Ok(contenders)
    }

    fn pulls(&mut self) -> Result<Vec<Contender>> {
        let layout = rootfs::python_image()?;
        let registry = self.registry()?;
        registry.push(&layout.reference("python"), "python:latest")?;
        let image = registry.reference("python:latest");
        let sync = vec!["sync".to_owned()];
        let mut contenders = Vec::new();
        for engine in &self.engines {
            let mut words = vec!["pull"];
            words.extend(engine.pull);
            words.push(&image);
            let mut contender = timed(engine, &words);
            // What one contender wrote must not be written back in the time of the next.
            contender.before = vec![engine.words(&["rmi", "-f", &image]), sync.clone()];
            contenders.push(contender);
        }
        if let Some(skopeo) = need::tool("skopeo") {
            let copy = shown(&self.home.path().join("skopeo"));
            let words = [
                &shown(&skopeo),
                "--insecure-policy",
                "copy",
                "--quiet",
                "--src-tls-verify=false",
                &format!("docker://{image}"),
                &format!("dir:{copy}"),
            ];
            let remove = ["rm", "-rf", &copy].map(str::to_owned).to_vec();
            let mut contender =
                contender("skopeo copy, not unpacked", words.map(str::to_owned).to_vec());
            contender.before = vec![remove, sync];
            contenders.push(contender);
        }
        Ok(contenders)
    }

    /// Gives every engine the small image; returns its name.
    fn supply(&mut self) -> Result<String> {
        let name = "box:latest";
        if !self.supplied {
            let layout = Layout::new(&self.home.path().join("box"))?;
            let layer = layout.layer_of(rootfs::busybox()?.path(), Compression::Gzip)?;
            layout.tag_image(&Image::new([layer]), "box")?;
            self.registry()?.push(&layout.reference("box"), name)?;
            self.supplied = true;
            let image = self.registry()?.reference(name);
            for engine in self.engines.clone() {
                let mut words = vec!["pull"];
                words.extend(engine.pull);
                words.push(&image);
                self.quietly(engine.place, &engine.words(&words));
            }
        }
        Ok(self.registry()?.reference(name))
    }

    fn registry(&mut self) -> Result<&Registry> {
        if self.registry.is_none() {
            self.registry = Some(Registry::start(Access::Open, Transport::Plain)?);
        }
        Ok(self.registry.as_ref().expect("it was just started"))
    }

    /// Runs what only prepares; where it fails, the timed command will fail as well and be reported.
    fn quietly(&mut self, place: Place, words: &[String]) {
        match self.time(place, words) {
            Ok(Timed { code: 0, .. }) => {}
            Ok(timed) => {
                let last = timed.said.lines().last().unwrap_or_default().to_owned();
                complain(&format!(
                    "warning: `{}` ended with {}: {last}",
                    words.join(" "),
                    timed.code
                ));
            }
            Err(error) => complain(&format!("warning: {}", error.one_line())),
        }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        let registry = self.registry.as_ref().map(|registry| registry.reference("box:latest"));
        for engine in self.engines.clone() {
            if engine.name == "docker" {
                // Docker has one storage for everybody: only what the bench brought is removed.
                let images = registry.iter().map(|image| engine.words(&["rmi", "-f", image]));
                for words in images.collect::<Vec<_>>() {
                    self.quietly(engine.place, &words);
                }
            } else if self.supplied {
                self.quietly(engine.place, &engine.words(&["rm", "-f", "-a"]));
            }
        }
        remove_empty_cgroups();
    }
}

/// Podman leaves its parents of cgroups behind. Only empty ones can be removed, so another podman's
/// containers are safe.
fn remove_empty_cgroups() {
    let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else { return };
    for hierarchy in hierarchies.flatten() {
        for name in ["libpod_parent/conmon", "libpod_parent"] {
            let _removed = fs::remove_dir(hierarchy.path().join(name));
        }
    }
}

fn peers_of(row: RowName) -> &'static [&'static str] {
    match row {
        RowName::Version => &["crun", "runc", "skopeo"],
        RowName::Run => &["crun", "runc"],
        RowName::Pull => &["skopeo"],
        RowName::Exec | RowName::Ps => &[],
    }
}

fn contender(name: &str, timed: Vec<String>) -> Contender {
    Contender { name: name.to_owned(), place: Place::Host, before: Vec::new(), timed }
}

fn timed(engine: &Engine, words: &[&str]) -> Contender {
    Contender {
        name: engine.name.to_owned(),
        place: engine.place,
        before: Vec::new(),
        timed: engine.words(words),
    }
}

fn dhow_engine(dhow: &Path, home: &Path) -> Engine {
    let (root, runroot) = (home.join("lib"), home.join("run"));
    let prefix = [&shown(dhow), "--root", &shown(&root), "--runroot", &shown(&runroot)];
    Engine {
        name: "dhow",
        place: Place::Host,
        prefix: prefix.map(str::to_owned).to_vec(),
        pull: &["--quiet"],
        run: &[],
    }
}

/// Podman with storage of its own. It asks for more open files and processes than root may have in
/// a virtual machine that withholds CAP_SYS_RESOURCE, and then no container starts; so both limits
/// are named.
fn podman_engine(podman: &Path, home: &Path) -> Engine {
    let at = |name: &str| shown(&home.join("podman").join(name));
    let prefix = [
        &shown(podman),
        "--root",
        &at("lib"),
        "--runroot",
        &at("run"),
        "--tmpdir",
        &at("tmp"),
        "--storage-driver",
        "overlay",
        "--cgroup-manager",
        "cgroupfs",
        "--events-backend",
        "file",
    ];
    Engine {
        name: "podman",
        place: Place::Outpost,
        prefix: prefix.map(str::to_owned).to_vec(),
        pull: &["--quiet", "--tls-verify=false"],
        run: &["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"],
    }
}

fn docker() -> Result<Engine, &'static str> {
    let docker = need::tool("docker").ok_or("not installed")?;
    let answer = Command::new(&docker).arg("ps").output();
    if !answer.is_ok_and(|output| output.status.success()) {
        return Err("its daemon does not answer");
    }
    Ok(Engine {
        name: "docker",
        place: Place::Host,
        prefix: vec![shown(&docker)],
        pull: &["--quiet"],
        run: &[],
    })
}

/// Makes the runtime's own default bundle run `true` without a terminal.
fn adapt_spec(path: &PathBuf) -> Result<()> {
    let doing = || format!("adapt {}", path.display());
    let text = fs::read(path).doing(doing)?;
    let mut spec: Value = serde_json::from_slice(&text)
        .map_err(|error| Error::new(Kind::Corrupt, doing()).because(error))?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["true"]);
    fs::write(path, spec.to_string()).doing(doing)
}

fn succeed(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command.output().doing(|| format!("run {shown}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(Kind::Internal, format!("run {shown}: {said}")))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
