//! The daily commands, typed alike to dhow, podman and docker: what they promise is what dhow does,
//! and where a peer does otherwise [`difference`] has a row that says what, and why dhow does not.
//!
//! ```text
//!   daily/<area>.rs     steps, each called "command: what it promises"
//!   daily/difference    who does otherwise; docs/differences.md shows the same rows
//! ```
//!
//! An area is three tests, one for each engine, each in a world of its own. A row that is no longer
//! true fails its test, as does a difference without a row. `ENGINE=podman` runs one of them alone.
//! The peers are tried in the versions whose differences are listed, with the runtimes that are
//! usual for them.

mod difference;
#[cfg(test)]
mod fields;
mod files;
mod life;
mod lists;
mod objects;
mod options;
mod streams;

use crate::{
    docker,
    engine::{BOX, Engine},
    podman,
    steps::Steps,
    subject::Subject,
    world::{Daemon, World},
};
use dhow_testkit::{
    dhow,
    image::{Compression, Image, Layout},
    need, rootfs,
};
use serde_json::json;

/// An image that says something in every field that options can change.
const WHOLE: &str = "box.example/whole:1";

/// One area of the daily work.
type Area = fn(&Engine<'_>, &mut Steps);

/// Who is typed to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Who {
    Dhow,
    Podman,
    Docker,
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Dhow => "dhow",
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }

    /// What has to be there for it.
    const fn tools(self) -> &'static [&'static str] {
        match self {
            Self::Dhow => &[],
            Self::Podman => &["podman", "conmon", "docker-init", "crun"],
            Self::Docker => &["dockerd", "docker", "containerd", "runc"],
        }
    }

    /// How the version begins whose differences are listed.
    const fn version(self) -> &'static str {
        match self {
            Self::Dhow => "",
            Self::Podman => "4.3.",
            Self::Docker => "20.10.",
        }
    }

    /// Begins the engine in a world, without images.
    fn begin(self, world: &World) -> (Option<Daemon>, Engine<'_>) {
        let usual = |runtime| Subject { path: need::tool(runtime).unwrap() };
        match self {
            Self::Dhow => {
                let program = dhow::program().display().to_string();
                let lib = world.lib().join("dhow").display().to_string();
                let words = [&program, "--root", &lib, "--runroot", "/run/dhow"];
                (None, Engine::new(world, &words, &["rm", "-f"]))
            }
            Self::Podman => {
                let words = podman::words(world, &usual("crun"));
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                (None, Engine::new(world, &words, &["rm", "-f", "-t", "0"]))
            }
            Self::Docker => {
                let (daemon, engine) = docker::start_empty(world, &usual("runc"));
                (Some(daemon), engine)
            }
        }
    }
}

/// Tries an area on an engine, or says aloud why not.
fn try_on(who: Who, area: Area) {
    if need::variable("ENGINE").is_some_and(|only| only != who.name()) {
        return;
    }
    if !need::root() {
        return need::skip("root");
    }
    let all = ["unshare", "nsenter", "ip", "busybox"];
    if let Some(missing) = all.iter().chain(who.tools()).find(|tool| need::tool(tool).is_none()) {
        return need::skip(missing);
    }
    let world = World::new();
    let (_daemon, engine) = who.begin(&world);
    let version = engine.run(&["version", "--format", "{{.Server.Version}}"]);
    let version = match who {
        Who::Podman => engine.run(&["version", "--format", "{{.Client.Version}}"]),
        Who::Dhow | Who::Docker => version,
    };
    if !version.line().starts_with(who.version()) {
        return need::skip("the version of it whose differences are listed");
    }
    for (name, image) in [(BOX, plain as fn(Image) -> Image), (WHOLE, whole)] {
        drop(engine.run(&["load", "-q", "-i", &archive(&world, name, image)]).ok());
    }
    let mut steps = Steps::of(who.name(), &difference::differences());

    area(&engine, &mut steps);

    steps.end_daily(who.name());
}

/// Writes busybox as `docker save` does, to a file of the world.
fn archive(world: &World, name: &str, change: fn(Image) -> Image) -> String {
    let directory = tempfile::tempdir_in(world.shared()).unwrap().keep();
    let path = directory.join("image.tar");
    let layout = Layout::new(&directory.join("layout")).unwrap();
    let root = rootfs::busybox().unwrap();
    std::fs::create_dir(root.path().join("data")).unwrap();
    std::fs::write(root.path().join("data/first"), "first").unwrap();
    let layer = layout.layer_of(root.path(), Compression::Plain).unwrap();
    layout.docker_archive(&change(Image::new([layer])), name, &path).unwrap();
    path.display().to_string()
}

fn plain(image: Image) -> Image {
    image.command(&["sh"])
}

fn whole(image: Image) -> Image {
    image
        .command(&["image", "words"])
        .set("Entrypoint", json!(["echo", "says"]))
        .set("Env", json!(["PATH=/bin:/usr/bin:/sbin", "A=image", "B=image"]))
        .set("Labels", json!({"a": "image", "b": "image"}))
        .set("User", json!("1000"))
        .set("WorkingDir", json!("/tmp"))
        .set("StopSignal", json!("SIGUSR1"))
        .set("Volumes", json!({"/data": {}}))
        .set("ExposedPorts", json!({"80/tcp": {}}))
}

/// Writes the tests of the areas: a module each, a test for each engine.
macro_rules! daily {
    ($($area:ident)+) => { $(
        mod $area {
            use super::super::{Who, $area, try_on};

            #[test]
            fn dhow() {
                try_on(Who::Dhow, $area::steps);
            }

            #[test]
            fn podman() {
                try_on(Who::Podman, $area::steps);
            }

            #[test]
            fn docker() {
                try_on(Who::Docker, $area::steps);
            }
        }
    )+ };
}

mod tried {
    daily! { streams life lists files options objects }
}
