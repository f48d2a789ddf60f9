//! Who runs, and with which words: the contenders of each row and what they need beforehand.
//!
//! Everything lives in one temporary directory: dhow's roots, podman's storage, bundles, and the
//! registry from which all pull the same images. It is gone when the field is dropped.

mod containers;
mod images;
mod networks;

use super::{
    RowName, containerd, docker,
    runtimes::Runtimes,
    stopwatch::{self, Outpost, Timed},
};
use crate::complain;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_testkit::{
    Access, Registry, Transport,
    image::{Compression, Image, Layout},
    need, rootfs,
};
use networks::{Island, Way};
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
    /// In such a namespace of an engine's own, with a network that nobody else has.
    Island(&'static str),
}

/// One thing that a contender does in a round.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A command that is not timed, and may fail: to remove what is not there is well.
    Prepare(Vec<String>),
    /// A command that is timed and must not fail.
    Time(Vec<String>),
    /// Waits, untimed, until the process has ended whose number is in this file.
    AwaitEnd(String),
}

/// Who takes part in a row, with the steps of a round. The word [`ROUND`] in them becomes a number
/// that no round had before.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) steps: Vec<Step>,
}

/// Stands for the number of the round.
pub(crate) const ROUND: &str = "{round}";

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
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// The program with its global options.
    pub(crate) prefix: Vec<String>,
    /// What `pull` needs for a registry that speaks HTTP.
    pub(crate) pull: &'static [&'static str],
    /// What `run` needs besides the options that all have in common.
    pub(crate) run: &'static [&'static str],
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
    /// Where images are copied to.
    second: Option<Registry>,
    /// Engines that have the small image already.
    supplied: bool,
    runtimes: Option<Runtimes>,
    /// The engines once more, each on a network of its own.
    islands: Vec<Island>,
    /// How many rounds there were, of all contenders together.
    rounds: u64,
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
        let mut outpost = Outpost::start()?;
        match docker::start(home.path(), &mut outpost) {
            Ok(docker) => engines.push(docker),
            Err(error) => missing.push(("docker".to_owned(), error.one_line())),
        }
        Ok(Self {
            engines,
            missing,
            outpost,
            registry: None,
            second: None,
            supplied: false,
            runtimes: None,
            islands: Vec::new(),
            rounds: 0,
            home,
        })
    }

    /// A number that no round had before.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.rounds += 1;
        self.rounds
    }

    /// Makes a row ready: images are there, containers run.
    pub(crate) fn row(&mut self, name: RowName) -> Result<Row> {
        let contenders = match name {
            RowName::Version => self.versions(),
            RowName::Run => self.runs()?,
            RowName::Exec => self.with_resident(&["exec", RESIDENT, "true"])?,
            RowName::Ps => self.with_resident(&["ps"])?,
            RowName::Create => self.creates()?,
            RowName::Crowd => self.crowds()?,
            RowName::PsMany => self.crowded(150, &self.engines.clone())?,
            // Peers take minutes to make so many.
            RowName::PsCrowd => self.crowded(5000, &self.engines.clone()[..1])?,
            RowName::Logs => self.chatters()?,
            RowName::Published => self.published()?,
            RowName::NetworkSetup => self.beginnings()?,
            RowName::NetworkTeardown => self.ends()?,
            RowName::Throughput => self.senders(Way::Port)?,
            RowName::Bridge => self.senders(Way::Bridge)?,
            RowName::Pull => self.pulls()?,
            RowName::Unpack => self.unpacks()?,
            RowName::Push => self.pushes("{name}-{round}:1", images::FORGETFUL)?,
            RowName::PushFull => self.pushes("{name}:1", "exec \"$@\"")?,
            RowName::Rmi => self.removals()?,
            RowName::Images => self.lists()?,
            RowName::Copy => self.copies()?,
            RowName::Runtime
            | RowName::RuntimeExec
            | RowName::RuntimeState
            | RowName::RuntimeKill
            | RowName::RuntimePs
            | RowName::RuntimeList
            | RowName::Storm => self.runtimes()?.contenders(name),
        };
        let mut missing = if name.has_peers() { self.missing.clone() } else { Vec::new() };
        // A client alone can say its version.
        missing.retain(|(peer, _)| !contenders.iter().any(|contender| contender.name == *peer));
        for tool in peers_of(name).iter().filter(|tool| need::tool(tool).is_none()) {
            missing.push(((*tool).to_owned(), "not installed".to_owned()));
        }
        Ok(Row { name, contenders, missing })
    }

    /// The runtimes with their bundles, and a container of each that runs.
    fn runtimes(&mut self) -> Result<&Runtimes> {
        if self.runtimes.is_none() {
            let dhow = PathBuf::from(&self.engines[0].prefix[0]);
            let runtimes = Runtimes::prepare(&dhow, self.home.path())?;
            for words in runtimes.residents() {
                self.quietly(Place::Outpost, &words);
            }
            self.runtimes = Some(runtimes);
        }
        Ok(self.runtimes.as_ref().expect("it was just made"))
    }

    /// Takes away what the row left.
    pub(crate) fn close_row(&mut self, row: &Row) {
        if row.name.leaves_containers() {
            self.dismiss();
        }
        // Its engines and their daemon are for rows of networks alone.
        self.islands.clear();
    }

    /// Times a command where it belongs.
    pub(crate) fn time(&mut self, place: Place, words: &[String]) -> Result<Timed> {
        match place {
            Place::Host => stopwatch::time(words),
            Place::Outpost => self.outpost.time(words),
            Place::Island(engine) => self.island(engine)?.time(words),
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
        contenders.extend(self.runtimes()?.alone());
        Ok(contenders)
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
        for engine in self.engines.clone() {
            if self.supplied && engine.name != "docker" {
                self.quietly(engine.place, &engine.words(&["rm", "-f", "-a"]));
            }
        }
        for words in self.runtimes.take().iter().flat_map(Runtimes::farewells) {
            self.quietly(Place::Outpost, &words);
        }
        self.quietly(Place::Outpost, &docker::stop(self.home.path()));
        self.quietly(Place::Outpost, &containerd::stop(self.home.path()));
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
        RowName::Pull => &["skopeo", "containerd"],
        RowName::Copy => &["skopeo"],
        RowName::Unpack => &["umoci"],
        RowName::Rmi => &["containerd"],
        _ if row.is_of_engines() => &[],
        _ => &["crun", "runc"],
    }
}

/// What one contender wrote must not be written back in the time of the next.
fn settle() -> Step {
    Step::Prepare(vec!["sync".to_owned()])
}

fn contender(name: &str, timed: Vec<String>) -> Contender {
    Contender { name: name.to_owned(), place: Place::Host, steps: vec![Step::Time(timed)] }
}

fn timed(engine: &Engine, words: &[&str]) -> Contender {
    Contender {
        name: engine.name.to_owned(),
        place: engine.place,
        steps: vec![Step::Time(engine.words(words))],
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

pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command.output().doing(|| format!("run {shown}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(Kind::Internal, format!("run {shown}: {said}")))
}

pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
