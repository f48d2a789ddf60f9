//! One bundle of an attack's, and the commands that an engine would give for it.

use crate::{
    Caller, Mapping,
    probe::PLACE,
    stage::{Done, Spawned, Stage},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_seccomp::Arch;
use dhow_spec::runtime::{
    Capabilities, DEFAULT_CAPABILITIES, IdMapping, Linux, MountPoint, Namespace, NamespaceKind,
    Process, Root, Spec, default_spec,
};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// A bundle, and the container that may be of it.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    stage: &'a Stage,
    /// What becomes `config.json`.
    pub(crate) spec: Spec,
    pub(crate) id: String,
    path: PathBuf,
}

/// What lies in a container's root beside the probe.
const DIRECTORIES: [&str; 7] = ["dev", "proc", "sys", "tmp", "etc", "vol", "srv"];

impl<'a> Trial<'a> {
    /// A bundle with docker's defaults, the filter too, as the caller can run it.
    pub(crate) fn new(stage: &'a Stage) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", stage.name(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = stage.directory().join(&id);
        let trial = Self { stage, spec: configuration(stage.caller)?, id, path };
        trial.directory(&trial.path)?;
        trial.directory(&trial.root())?;
        for name in DIRECTORIES {
            trial.directory(&trial.root().join(name))?;
        }
        fs::hard_link(&stage.probe, trial.root().join(PLACE.trim_start_matches('/')))
            .doing(|| "put the probe into the container's root")?;
        Ok(trial)
    }

    fn directory(&self, path: &Path) -> Result<()> {
        fs::DirBuilder::new()
            .mode(0o755)
            .create(path)
            .doing(|| format!("make the directory {}", path.display()))?;
        self.stage.give(path)
    }

    /// The container's root as the host sees it.
    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// The bundle's directory.
    pub(crate) fn bundle(&self) -> &Path {
        &self.path
    }

    /// Makes a directory of the caller's in the root.
    pub(crate) fn make_directory(&self, place: &str) -> Result<PathBuf> {
        let path = self.root().join(place);
        let mut at = self.root();
        for name in Path::new(place) {
            at.push(name);
            if !at.is_dir() {
                self.directory(&at)?;
            }
        }
        Ok(path)
    }

    /// Writes a file of the caller's into the root.
    pub(crate) fn write(&self, place: &str, content: &str) -> Result<PathBuf> {
        let path = self.root().join(place);
        fs::write(&path, content).doing(|| format!("write {}", path.display()))?;
        self.stage.give(&path)?;
        Ok(path)
    }

    /// Puts a link into the root, in the place of an empty directory too.
    pub(crate) fn link(&self, place: &str, target: &Path) -> Result<PathBuf> {
        let path = self.root().join(place);
        // Only an empty directory of ours is in the way, or nothing.
        drop(fs::remove_dir(&path));
        symlink(target, &path)
            .doing(|| format!("link {} to {}", path.display(), target.display()))?;
        self.stage.give(&path)?;
        Ok(path)
    }

    /// The process of the configuration.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.spec.process.get_or_insert_default()
    }

    /// The Linux part of the configuration.
    pub(crate) fn linux(&mut self) -> &mut Linux {
        self.spec.linux.get_or_insert_default()
    }

    /// Forgets the mounts at and below a place.
    pub(crate) fn unmount(&mut self, place: &str) {
        self.spec.mounts.retain(|mount| !mount.destination.starts_with(place));
    }

    /// Binds a directory of the host's.
    pub(crate) fn bind(&mut self, source: &Path, place: &str, options: &[&str]) {
        self.spec.mounts.push(MountPoint {
            destination: place.into(),
            kind: Some("bind".to_owned()),
            source: Some(source.to_owned()),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            ..MountPoint::default()
        });
    }

    /// Says what the probe does, and writes `config.json`.
    pub(crate) fn arrange(&mut self, words: &[&str]) -> Result<()> {
        let words = std::iter::once(PLACE).chain(words.iter().copied());
        self.process().args = words.map(str::to_owned).collect();
        self.write_configuration()
    }

    /// Writes `config.json` as it is now.
    pub(crate) fn write_configuration(&self) -> Result<()> {
        let text = serde_json::to_vec(&self.spec)
            .map_err(|error| Error::new(Kind::Internal, "write config.json").because(error))?;
        let path = self.path.join("config.json");
        fs::write(&path, text).doing(|| format!("write {}", path.display()))?;
        self.stage.give(&path)
    }

    /// A command of the runtime's in the bundle.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.stage.runtime(words);
        command.current_dir(&self.path);
        command
    }

    /// Gives a command and waits for its end.
    pub(crate) fn tell(&self, words: &[&str]) -> Result<Done> {
        self.stage.finish(&self.command(words))
    }

    /// Runs the probe as a container's only process.
    pub(crate) fn run(&mut self, words: &[&str]) -> Result<Done> {
        self.arrange(words)?;
        self.tell(&["run", &self.id])
    }

    /// Creates and starts the container and leaves it running; its output stays to be read.
    pub(crate) fn start(&mut self, words: &[&str]) -> Result<Spawned> {
        self.arrange(words)?;
        let mut spawned = self.stage.spawn(&self.command(&["run", &self.id]))?;
        self.await_text(&mut spawned, "up\n")?;
        Ok(spawned)
    }

    /// Waits until a container has printed something.
    pub(crate) fn await_text(&self, spawned: &mut Spawned, text: &str) -> Result<()> {
        for _ in 0..3000 {
            if spawned.printed().contains(text) {
                return Ok(());
            }
            if let Some(done) = spawned.ended() {
                let text = format!("wait for {text:?} from container {}: {done}", self.id);
                return Err(Error::new(Kind::Invalid, text));
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Err(Error::new(Kind::TimedOut, format!("wait for {text:?} from container {}", self.id)))
    }

    /// Runs the probe as one more process of the container.
    pub(crate) fn exec(&self, flags: &[&str], words: &[&str]) -> Result<Done> {
        let words = [&["exec"], flags, &[&self.id, PLACE], words].concat();
        self.tell(&words)
    }

    /// The first process, as the state tells it.
    pub(crate) fn pid(&self) -> Result<Option<u32>> {
        let state = self.tell(&["state", &self.id])?;
        let state: serde_json::Value = serde_json::from_str(&state.stdout).map_err(|error| {
            Error::new(Kind::Corrupt, format!("read the state of container {}", self.id))
                .because(error)
        })?;
        Ok(state["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0))
    }

    /// Ends the container and removes it.
    pub(crate) fn delete(&self) -> Result<Done> {
        self.tell(&["delete", "--force", &self.id])
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        // What cannot be removed is found when the stage is cleared.
        drop(self.delete());
        drop(fs::remove_dir_all(&self.path));
    }
}

fn configuration(caller: Caller) -> Result<Spec> {
    let mut spec = default_spec();
    spec.root = Some(Root { path: "rootfs".into(), readonly: false });
    spec.hostname = Some("inside".to_owned());
    spec.process = Some(Process {
        cwd: "/".to_owned(),
        env: vec!["PATH=/".to_owned(), "HOME=/".to_owned()],
        capabilities: Some(Capabilities::of_root(&DEFAULT_CAPABILITIES)),
        ..Process::default()
    });
    let linux = spec.linux.get_or_insert_default();
    linux.seccomp = Some(dhow_seccomp::default_profile(own_arch()?, &DEFAULT_CAPABILITIES));
    if let Caller::User(uid, mapping) = caller {
        linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
        let mut ids = vec![IdMapping { container_id: 0, host_id: uid, size: 1 }];
        if let Mapping::Range(first, size) = mapping {
            ids.push(IdMapping { container_id: 1, host_id: first, size });
        }
        linux.uid_mappings.clone_from(&ids);
        linux.gid_mappings = ids;
        linux.resources = None;
        spec.mounts.retain(|mount| mount.kind.as_deref() != Some("cgroup"));
        for mount in &mut spec.mounts {
            mount.options.retain(|option| !option.starts_with("gid="));
        }
    }
    Ok(spec)
}

fn own_arch() -> Result<Arch> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(Arch::X86_64),
        "aarch64" => Ok(Arch::Aarch64),
        other => Err(Error::new(Kind::Unsupported, format!("find the filter for {other}"))),
    }
}
