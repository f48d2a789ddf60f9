//! The rows of images: fetched, unpacked, sent, listed, copied, removed.
//!
//! All are of one image of more than 400 MB, but for the list, which has a thousand small ones.

use super::{
    super::{containerd, docker},
    Contender, Engine, Field, Place, ROUND, Step, dhow_engine, podman_engine, settle, shown, timed,
};
use dhow_base::{Doing, Result};
use dhow_testkit::{
    Access, Registry, Transport,
    image::{Compression, Image, Layout},
    need, rootfs,
    tarball::Tarball,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// skopeo remembers on the host which registry has which blob, and from the second round on would
/// let the registry take them over instead of sending them.
pub(super) const FORGETFUL: &str = "mkdir -p /var/lib/containers/cache && \
    mount -t tmpfs tmpfs /var/lib/containers/cache && exec \"$@\"";

/// Our own engine remembers it in its state, which is put back to what it was after the pull.
const FORGET: &str = "cd \"$1\" && rm -f state.db* && cp -a before/. .";
const REMEMBER: &str = "cd \"$1\" && rm -rf before && mkdir before && cp -a state.db* before";

impl Field {
    pub(super) fn pulls(&mut self) -> Result<Vec<Contender>> {
        let image = self.large_image()?;
        let home = self.fresh_home();
        let mut contenders = self.fresh_pulls(&image);
        if let Some(skopeo) = need::tool("skopeo") {
            let copy = shown(&home.join("skopeo"));
            let words = [
                &shown(&skopeo),
                "--insecure-policy",
                "copy",
                "--quiet",
                "--src-tls-verify=false",
                &format!("docker://{image}"),
                &format!("dir:{copy}"),
            ];
            let make = ["mkdir", "-p", &copy].map(str::to_owned).to_vec();
            let copy = Step::Time(words.map(str::to_owned).to_vec());
            contenders.push(Contender {
                name: "skopeo copy, not unpacked".to_owned(),
                place: Place::Host,
                steps: vec![Step::Prepare(make), settle(), copy],
            });
        }
        Ok(contenders)
    }

    /// The large image in the registry; its name.
    fn large_image(&mut self) -> Result<String> {
        let layout = rootfs::python_image()?;
        let registry = self.registry()?;
        registry.push(&layout.reference("python"), "python:latest")?;
        Ok(registry.reference("python:latest"))
    }

    fn fresh_home(&self) -> PathBuf {
        self.home.path().join(format!("pull-{ROUND}"))
    }

    /// Every round pulls into storage that was never used: ext4 passes the inodes that were freed
    /// in the last minutes when it looks for a free one, which would be measured instead.
    fn fresh_pulls(&self, image: &str) -> Vec<Contender> {
        let home = self.fresh_home();
        let mut contenders = Vec::new();
        for engine in &self.engines {
            let (fresh, prepare) = self.fresh_engine(engine);
            let mut words = vec!["pull"];
            words.extend(engine.pull);
            words.push(image);
            let mut steps: Vec<Step> = prepare.map(Step::Prepare).into_iter().collect();
            steps.extend([settle(), Step::Time(fresh.words(&words))]);
            // The daemon is started where the others' commands run.
            let place = if engine.name == "docker" { Place::Outpost } else { engine.place };
            contenders.push(Contender { name: engine.name.to_owned(), place, steps });
        }
        if containerd::is_installed() {
            let start = containerd::fresh(self.home.path(), &home.join("containerd"));
            let pull = containerd::images(self.home.path(), &["pull", "--plain-http", image]);
            let steps = vec![Step::Prepare(start), settle(), Step::Time(pull)];
            let name = "containerd".to_owned();
            contenders.push(Contender { name, place: Place::Outpost, steps });
        }
        contenders
    }

    /// The engine with storage of this round alone, and what starts it.
    fn fresh_engine(&self, engine: &Engine) -> (Engine, Option<Vec<String>>) {
        let (home, program) = (self.fresh_home(), Path::new(&engine.prefix[0]));
        match engine.name {
            "dhow" => (dhow_engine(program, &home), None),
            "podman" => (podman_engine(program, &home), None),
            _ => (engine.clone(), Some(docker::fresh(self.home.path(), &home))),
        }
    }

    /// The same image from a directory, so that no registry takes part: what it costs to inflate,
    /// to hash and to make the files.
    pub(super) fn unpacks(&mut self) -> Result<Vec<Contender>> {
        let source = rootfs::python_image()?.reference("python");
        let mut contenders = self.fresh_pulls(&source);
        contenders.retain(|contender| ["dhow", "podman"].contains(&contender.name.as_str()));
        if let Some(umoci) = need::tool("umoci") {
            let image = source.strip_prefix("oci:").unwrap_or(&source);
            let bundle = shown(&self.fresh_home().join("umoci"));
            let words = [&shown(&umoci), "unpack", "--image", image, &bundle];
            contenders.push(Contender {
                name: "umoci unpack".to_owned(),
                place: Place::Host,
                steps: vec![
                    Step::Prepare(["mkdir", "-p", &bundle].map(str::to_owned).to_vec()),
                    settle(),
                    Step::Time(words.map(str::to_owned).to_vec()),
                ],
            });
        }
        Ok(contenders)
    }

    /// What was pulled in the same round is removed; only that is timed.
    pub(super) fn removals(&mut self) -> Result<Vec<Contender>> {
        let image = self.large_image()?;
        let mut contenders = self.fresh_pulls(&image);
        for contender in &mut contenders {
            let remove = match self.engines.iter().find(|engine| engine.name == contender.name) {
                Some(engine) => self.fresh_engine(engine).0.words(&["rmi", &image]),
                None => containerd::images(self.home.path(), &["rm", "--sync", &image]),
            };
            let pulled = contender.steps.pop();
            if let Some(Step::Time(pull)) = pulled {
                contender.steps.push(Step::Prepare(pull));
            }
            contender.steps.extend([settle(), Step::Time(remove)]);
        }
        Ok(contenders)
    }

    /// From storage into a repository of a second registry. `around` is the shell script that runs
    /// the peer's command.
    pub(super) fn pushes(&mut self, to: &str, around: &str) -> Result<Vec<Contender>> {
        let image = self.large_image()?;
        let second = Registry::start(Access::Open, Transport::Plain)?;
        let mut contenders = Vec::new();
        // Docker remembers where it has pushed, and its words for a destination are a tag first.
        for engine in self.engines.clone().iter().filter(|engine| engine.name != "docker") {
            let mut pull = vec!["pull"];
            pull.extend(engine.pull);
            pull.push(&image);
            self.quietly(engine.place, &engine.words(&pull));
            let to = to.replace("{name}", engine.name);
            let to = format!("docker://{}", second.reference(&to));
            let mut push = vec!["push"];
            push.extend(engine.pull);
            push.extend([image.as_str(), &to]);
            let mut words = engine.words(&push);
            let mut steps = Vec::new();
            if engine.name == "dhow" {
                let root = shown(&self.home.path().join("lib"));
                let shell = |script: &str| ["sh", "-c", script, "sh", &root].map(str::to_owned);
                self.quietly(Place::Host, &shell(REMEMBER));
                steps.push(Step::Prepare(shell(FORGET).to_vec()));
            } else {
                let shell = ["unshare", "-m", "sh", "-c", around, "sh"].map(str::to_owned);
                words.splice(0..0, shell);
            }
            steps.extend([settle(), Step::Time(words)]);
            contenders.push(Contender { name: engine.name.to_owned(), place: engine.place, steps });
        }
        self.second = Some(second);
        Ok(contenders)
    }

    /// A thousand images, which differ in one label, in storage of their own.
    pub(super) fn lists(&mut self) -> Result<Vec<Contender>> {
        let archive = self.home.path().join("thousand.tar");
        thousand(&self.home.path().join("thousand"), &archive)?;
        let (archive, mut contenders) = (shown(&archive), Vec::new());
        for engine in self.engines.clone() {
            let own = self.home.path().join("lists");
            let engine = match engine.name {
                "dhow" => dhow_engine(Path::new(&engine.prefix[0]), &own),
                "podman" => podman_engine(Path::new(&engine.prefix[0]), &own),
                _ => {
                    self.quietly(Place::Outpost, &docker::fresh(self.home.path(), &own));
                    engine
                }
            };
            self.quietly(engine.place, &engine.words(&["load", "--quiet", "-i", &archive]));
            contenders.push(timed(&engine, &["images"]));
        }
        Ok(contenders)
    }

    /// From one registry into a repository of another that is new in every round, so that every
    /// blob is sent.
    pub(super) fn copies(&mut self) -> Result<Vec<Contender>> {
        let layout = rootfs::python_image()?;
        let registry = self.registry()?;
        registry.push(&layout.reference("python"), "python:latest")?;
        let from = format!("docker://{}", registry.reference("python:latest"));
        let second = Registry::start(Access::Open, Transport::Plain)?;
        let dhow = self.engines[0].words(&["image", "copy", "--quiet"]);
        let mut copiers = vec![("dhow", dhow)];
        if let Some(skopeo) = need::tool("skopeo") {
            let words = [
                "unshare",
                "-m",
                "sh",
                "-c",
                FORGETFUL,
                "sh",
                &shown(&skopeo),
                "--insecure-policy",
                "copy",
                "--quiet",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
            ];
            copiers.push(("skopeo", words.map(str::to_owned).to_vec()));
        }
        let contenders = copiers.into_iter().map(|(name, mut words)| {
            words.push(from.clone());
            words.push(format!("docker://{}", second.reference(&format!("{name}-{ROUND}:1"))));
            let steps = vec![settle(), Step::Time(words)];
            Contender { name: name.to_owned(), place: Place::Host, steps }
        });
        let contenders = contenders.collect();
        self.second = Some(second);
        Ok(contenders)
    }
}

/// Writes an archive, as `docker save` does, of a thousand images of one layer.
fn thousand(scratch: &Path, archive: &Path) -> Result<()> {
    let doing = || format!("make {}", archive.display());
    fs::create_dir_all(scratch).doing(doing)?;
    let layout = Layout::new(&scratch.join("layout"))?;
    let layer = layout.layer_of(rootfs::busybox()?.path(), Compression::Gzip)?;
    let content = layout.uncompressed(&layer)?;
    let mut tar = Tarball::new(fs::File::create_new(archive).doing(doing)?);
    tar.file("layer.tar", &content)?;
    let mut manifest = Vec::new();
    for number in 0..1000 {
        let labels = serde_json::json!({"number": number.to_string()});
        let image = Image::new([layer.clone()]).set("Labels", labels);
        let config = format!("{number}.json");
        tar.file(&config, &image.configuration())?;
        let tags = [format!("localhost/thousand:{number}")];
        manifest
            .push(serde_json::json!({"Config": config, "RepoTags": tags, "Layers": ["layer.tar"]}));
    }
    tar.file("manifest.json", serde_json::Value::from(manifest).to_string().as_bytes())?;
    tar.finish().map(drop)
}
