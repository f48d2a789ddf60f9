//! The runtimes alone, each on a bundle of its own with the same configuration: what the runtime's
//! `spec` writes, the default seccomp profile, and limits of memory, processors and processes.

use super::{
    RowName,
    field::{Contender, Place, ROUND, Step, shown, succeed},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_seccomp::{Arch, default_profile};
use dhow_testkit::{need, rootfs};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs `$2` containers, `$3` at a time, by the command that follows, to which an id is added.
const STORM: &str = r#"prefix=$1 count=$2 width=$3; shift 3
seq "$count" | sed "s/^/$prefix-/" | xargs -P "$width" -n 1 "$@""#;

/// One of them, with the bundles that it was given.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    name: &'static str,
    /// The program with its global options.
    prefix: Vec<String>,
    /// The bundle whose program is `true`.
    pub(crate) short: PathBuf,
    /// The bundle whose program stays.
    pub(crate) long: PathBuf,
}

/// Those that are installed; dhow first.
#[derive(Clone, Debug)]
pub(super) struct Runtimes {
    all: Vec<Runtime>,
    home: PathBuf,
}

impl Runtimes {
    /// Makes their bundles below `home`.
    pub(super) fn prepare(dhow: &Path, home: &Path) -> Result<Self> {
        let mut all =
            vec![Runtime::prepare("dhow", vec![shown(dhow), "runtime".to_owned()], home)?];
        for name in ["crun", "runc"] {
            if let Some(path) = need::tool(name) {
                all.push(Runtime::prepare(name, vec![shown(&path)], home)?);
            }
        }
        Ok(Self { all, home: home.to_owned() })
    }

    /// The commands that start a container of each that stays.
    pub(super) fn residents(&self) -> Vec<Vec<String>> {
        let run = |runtime: &Runtime| {
            runtime.words(&[
                "run",
                "--detach",
                "--bundle",
                &shown(&runtime.long),
                &runtime.resident(),
            ])
        };
        self.all.iter().map(run).collect()
    }

    /// The commands that take them away.
    pub(super) fn farewells(&self) -> Vec<Vec<String>> {
        let delete = |runtime: &Runtime| runtime.words(&["delete", "--force", &runtime.resident()]);
        self.all.iter().map(delete).collect()
    }

    /// The peers' `run`: what an engine on top of them can at best achieve.
    pub(super) fn alone(&self) -> Vec<Contender> {
        let of = |runtime: &Runtime| Contender {
            name: format!("{} alone, on a bundle", runtime.name),
            place: Place::Outpost,
            steps: vec![Step::Time(runtime.words(&[
                "run",
                "--bundle",
                &shown(&runtime.short),
                &format!("dhow-bench-{ROUND}"),
            ]))],
        };
        self.all.iter().map(of).collect()
    }

    /// Who takes part in a row, and how.
    pub(super) fn contenders(&self, row: RowName) -> Vec<Contender> {
        let of = |runtime: &Runtime| Contender {
            name: runtime.name.to_owned(),
            place: Place::Outpost,
            steps: self.steps(runtime, row),
        };
        self.all.iter().map(of).collect()
    }

    fn steps(&self, runtime: &Runtime, row: RowName) -> Vec<Step> {
        let one = |words: &[&str]| vec![Step::Time(runtime.words(words))];
        let resident = runtime.resident();
        match row {
            RowName::RuntimeExec => one(&["exec", &resident, "true"]),
            RowName::RuntimeState => one(&["state", &resident]),
            RowName::RuntimeKill => one(&["kill", &resident, "CONT"]),
            RowName::RuntimePs => one(&["ps", &resident]),
            RowName::RuntimeList => one(&["list"]),
            RowName::Storm => vec![Step::Time(runtime.storm())],
            _ => self.life(runtime),
        }
    }

    fn life(&self, runtime: &Runtime) -> Vec<Step> {
        let id = format!("dhow-bench-{ROUND}");
        let bundle = shown(&runtime.short);
        let pid_file = shown(&self.home.join(format!("{}.pid", runtime.name)));
        let create = ["create", "--bundle", &bundle, "--pid-file", &pid_file, &id];
        vec![
            Step::Time(runtime.words(&create)),
            Step::Time(runtime.words(&["start", &id])),
            Step::AwaitEnd(pid_file),
            Step::Time(runtime.words(&["delete", &id])),
        ]
    }
}

impl Runtime {
    /// Makes its bundles below `home`, where it keeps its records too. `prefix` is the program with its
    /// global options.
    pub(crate) fn prepare(
        name: &'static str,
        mut prefix: Vec<String>,
        home: &Path,
    ) -> Result<Self> {
        let home = home.join(format!("runtime-{name}"));
        prefix.extend(["--root".to_owned(), shown(&home.join("root"))]);
        let bundle = |program: &[&str]| -> Result<PathBuf> {
            let bundle = home.join(program[0]);
            fs::create_dir_all(&bundle).doing(|| format!("create {}", bundle.display()))?;
            let root = rootfs::busybox()?;
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(root.path()).arg(bundle.join("rootfs"));
            succeed(&mut copy)?;
            let mut spec = Command::new(&prefix[0]);
            succeed(spec.args(&prefix[1..]).arg("spec").current_dir(&bundle))?;
            adapt(&bundle.join("config.json"), program)?;
            Ok(bundle)
        };
        let (short, long) = (bundle(&["true"])?, bundle(&["sleep", "100000"])?);
        Ok(Self { name, prefix, short, long })
    }

    /// The container that `exec`, `state` and others find running. Its name is the runtime's own,
    /// since runc refuses a cgroup in which another's container is.
    fn resident(&self) -> String {
        format!("dhow-bench-resident-{}", self.name)
    }

    /// The words of a command of its.
    pub(crate) fn words(&self, words: &[&str]) -> Vec<String> {
        let words = words.iter().map(|word| (*word).to_owned());
        self.prefix.iter().cloned().chain(words).collect()
    }

    fn storm(&self) -> Vec<String> {
        let id = format!("dhow-storm-{ROUND}");
        let words = ["sh", "-c", STORM, "storm", &id, "200", "8"].map(str::to_owned);
        let run = self.words(&["run", "--bundle", &shown(&self.short)]);
        words.into_iter().chain(run).collect()
    }
}

/// Gives the runtime's own default configuration its program, a seccomp profile and limits.
fn adapt(path: &Path, program: &[&str]) -> Result<()> {
    let doing = || format!("adapt {}", path.display());
    let corrupt = |error| Error::new(Kind::Corrupt, doing()).because(error);
    let mut spec: Value = serde_json::from_slice(&fs::read(path).doing(doing)?).map_err(corrupt)?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(program);
    let held = spec["process"]["capabilities"]["bounding"].as_array();
    let held: Vec<String> =
        held.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
    let profile = serde_json::to_value(default_profile(Arch::NATIVE, &held)).map_err(corrupt)?;
    spec["linux"]["seccomp"] = profile;
    let resources = &mut spec["linux"]["resources"];
    resources["memory"] = json!({"limit": 512 << 20});
    resources["cpu"] = json!({"shares": 512, "quota": 200_000, "period": 100_000});
    resources["pids"] = json!({"limit": 100});
    fs::write(path, spec.to_string()).doing(doing)
}
