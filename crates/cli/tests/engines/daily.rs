//! The daily commands, typed alike to dhow, to podman and to docker: what all three do the same is a
//! step of all; what one does otherwise is listed with it, and docs/differences.md tells of it.

use crate::{
    docker,
    engine::{BOX, Engine, archive},
    podman,
    steps::{Difference, Steps},
    subject::Subject,
    world::World,
};
use dhow_testkit::{dhow, needs_root, needs_tool};
use serde_json::Value;
use std::{collections::BTreeSet, fs};

/// Names of the steps in which the engines disagree.
const OWNER: &str = "cp gives files to root";
const ARRAY: &str = "ps in json is one object a line";
const DIFF: &str = "diff leaves out what was made to mount on";
const EXISTS: &str = "container exists tells by its exit code";
const LABEL: &str = "the label of a row is a method";
const PRUNED: &str = "container prune by label";

/// Engine, step, what it does otherwise.
const DIFFERENCES: [Difference; 6] = [
    ("docker", OWNER, "it keeps the numbers of owner and group, though its manual says otherwise"),
    ("podman", OWNER, "it keeps the numbers of owner and group; --archive is on"),
    ("podman", ARRAY, "it prints one array"),
    ("docker", EXISTS, "it has no such command"),
    ("podman", LABEL, "it has labels as a map"),
    ("podman", DIFF, "it lists directories of the engine's own"),
];

#[test]
fn the_daily_commands_by_dhow() {
    needs_root!();
    needs_tool!("unshare", "nsenter", "ip", "busybox");
    let world = World::new();
    let (engine, mut steps) = (dhow_in(&world), Steps::of("dhow", &DIFFERENCES));
    drop(engine.run(&["load", "-q", "-i", &archive(&world, BOX, &["sh"])]).ok());

    steps_of_all(&engine, &mut steps);

    steps.end();
}

#[test]
fn the_daily_commands_by_podman() {
    needs_root!();
    needs_tool!("podman", "conmon", "docker-init", "unshare", "nsenter", "ip", "busybox");
    let world = World::new();
    let subject = Subject::choose(world.shared());
    let words = podman::words(&world, &subject);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let engine = Engine::new(&world, &words, &["rm", "-f", "-t", "0"]);
    let mut steps = Steps::of("podman", &DIFFERENCES);
    drop(engine.run(&["load", "-q", "-i", &archive(&world, BOX, &["sh"])]).ok());

    steps_of_all(&engine, &mut steps);

    steps.end();
}

#[test]
fn the_daily_commands_by_docker() {
    needs_root!();
    needs_tool!("dockerd", "docker", "containerd", "unshare", "nsenter", "ip", "busybox");
    let world = World::new();
    let subject = Subject::choose(world.shared());
    let (_daemon, engine) = docker::start(&world, &subject, &[]);
    let mut steps = Steps::of("docker", &DIFFERENCES);

    steps_of_all(&engine, &mut steps);
    let ours = dhow_in(&world);
    drop(ours.run(&["load", "-q", "-i", &archive(&world, BOX, &["sh"])]).ok());
    steps.step("inspect has docker's fields", || has_fields_of(&ours, &engine));

    steps.end();
}

/// A dhow whose roots are the world's own.
fn dhow_in(world: &World) -> Engine<'_> {
    let program = dhow::program().display().to_string();
    let lib = format!("{}/dhow", world.lib().display());
    let words = [&program, "--root", &lib, "--runroot", "/run/dhow", "--log-level", "warn"];
    Engine::new(world, &words, &["rm", "-f"])
}

fn steps_of_all(engine: &Engine<'_>, steps: &mut Steps) {
    lists(engine, steps);
    copies(engine, steps);
    images(engine, steps);
    looks(engine, steps);
}

/// The words that an engine prints, one space between.
fn said(engine: &Engine<'_>, words: &[&str]) -> String {
    engine.run(words).ok().stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lists(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("web", &["-l", "tier=front", "-e", "A=1", BOX, "sleep", "1000"]);
    drop(engine.run(&["create", "--name", "idle", "--network", "none", BOX, "true"]).ok());
    drop(
        engine
            .run(&["run", "--name", "over", "--network", "none", BOX, "sh", "-c", "exit 3"])
            .exits(3),
    );
    steps.step("ps filters by name, label, status, exit code, age and image", || {
        let names = |filters: &[&str]| {
            let mut line = vec!["ps", "-a", "--format", "{{.Names}}"];
            line.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
            let mut names: Vec<String> =
                engine.run(&line).ok().stdout.split_whitespace().map(str::to_owned).collect();
            names.sort();
            names.join(" ")
        };
        for (filters, expected) in [
            (&["name=we"][..], "web"),
            (&["name=^web$"], "web"),
            (&["name=web", "name=over"], "over web"),
            (&["label=tier"], "web"),
            (&["label=tier=front", "label=none"], ""),
            (&["status=created"], "idle"),
            (&["status=exited"], "over"),
            (&["exited=3"], "over"),
            (&["ancestor=box.example/box:1"], "idle over web"),
            (&["before=over"], "idle web"),
            (&["since=web"], "idle over"),
        ] {
            assert_eq!(names(filters), expected, "{filters:?}");
        }
        assert_ne!(engine.run(&["ps", "--filter", "bogus=1"]).code, 0);
    });
    steps.step("ps has ids, the newest, and those that run", || {
        assert_eq!(said(engine, &["ps", "--format", "{{.Names}}"]), "web");
        assert_eq!(said(engine, &["ps", "-l", "--format", "{{.Names}}"]), "over");
        assert_eq!(engine.run(&["ps", "-aq"]).ok().stdout.lines().count(), 3);
        assert_eq!(said(engine, &["ps", "-q", "--no-trunc"]).len(), 64);
        assert_eq!(
            said(engine, &["ps", "--format", "{{.Command}} {{.State}}"])
                .to_lowercase()
                .contains("running"),
            true
        );
    });
    steps.step(ARRAY, || {
        let lines = engine.run(&["ps", "-a", "--format", "json"]).ok().stdout;
        for line in lines.lines() {
            assert!(serde_json::from_str::<Value>(line).unwrap().is_object());
        }
    });
    steps.step(LABEL, || {
        assert_eq!(said(engine, &["ps", "--format", "{{.Label \"tier\"}}"]), "front");
        assert_eq!(said(engine, &["ps", "--format", "{{.Labels}}"]), "tier=front");
    });
    steps.step("inspect takes templates", || {
        let fields = "{{.State.Status}} {{.Name}} {{.Config.Image}} {{json .Config.Cmd}} {{range .Config.Env}}{{println .}}{{end}}";
        let shown = said(engine, &["inspect", "--format", fields, "web"]);
        assert!(shown.contains("running") && shown.contains(r#"["sleep","1000"]"#) && shown.contains("A=1"), "{shown}");
        assert_ne!(engine.run(&["inspect", "--format", "{{.Bogus}}", "web"]).code, 0);
        assert_ne!(engine.run(&["inspect", "gone"]).code, 0);
        assert_eq!(said(engine, &["inspect", "--type", "image", "--format", "{{.Os}}", BOX]), "linux");
    });
    steps.step("rename, and names in use", || {
        drop(engine.run(&["rename", "idle", "other"]).ok());
        assert_ne!(engine.run(&["rename", "other", "web"]).code, 0);
        assert!(engine.inspect("other", ".Name").ends_with("other"));
    });
    steps.step(PRUNED, || {
        drop(engine.run(&["container", "prune", "-f", "--filter", "label=none"]).ok());
        assert_eq!(engine.run(&["ps", "-aq"]).ok().stdout.lines().count(), 3);
        drop(engine.run(&["container", "prune", "-f"]).ok());
        assert_eq!(said(engine, &["ps", "-a", "--format", "{{.Names}}"]), "web");
    });
    steps.step(EXISTS, || {
        drop(engine.run(&["container", "exists", "web"]).ok());
        drop(engine.run(&["container", "exists", "gone"]).exits(1));
    });
    engine.remove(&["web"]);
}

fn copies(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("files", &[BOX, "sleep", "1000"]);
    let here = engine.world.shared().join("cp");
    fs::create_dir_all(here.join("tree/inner")).unwrap();
    fs::write(here.join("tree/inner/one"), "one").unwrap();
    std::os::unix::fs::chown(here.join("tree/inner/one"), Some(123), Some(456)).unwrap();
    std::os::unix::fs::symlink("inner/one", here.join("tree/link")).unwrap();
    let path = |name: &str| here.join(name).display().to_string();
    let inside = |script: &str| said(engine, &["exec", "files", "sh", "-c", script]);
    steps.step("cp puts things where cp -a would", || {
        drop(engine.run(&["cp", &path("tree"), "files:/new"]).ok());
        drop(engine.run(&["cp", &path("tree"), "files:/tmp"]).ok());
        drop(engine.run(&["cp", &format!("{}/.", path("tree")), "files:/home"]).ok());
        drop(engine.run(&["cp", &path("tree/inner/one"), "files:/two"]).ok());
        assert_eq!(
            inside("cat /new/inner/one /tmp/tree/inner/one /home/inner/one /two"),
            "oneoneoneone"
        );
        assert_eq!(inside("readlink /new/link"), "inner/one");
        drop(engine.run(&["cp", "files:/new", &path("back")]).ok());
        assert_eq!(fs::read_to_string(here.join("back/inner/one")).unwrap(), "one");
    });
    steps.step(OWNER, || {
        drop(engine.run(&["cp", &path("tree"), "files:/owned"]).ok());
        assert_eq!(inside("stat -c '%u %g' /owned/inner/one"), "0 0");
    });
    steps.step("cp refuses what is not there and what does not fit", || {
        for line in [
            ["cp", "files:/none", &path("x")],
            ["cp", &path("none"), "files:/x"],
            ["cp", &path("tree"), "files:/etc/passwd"],
            ["cp", "gone:/etc", &path("x")],
        ] {
            assert_ne!(engine.run(&line).code, 0, "{line:?}");
        }
    });
    steps.step("cp takes and gives tar streams, and works on what does not run", || {
        let tar = engine.run(&["cp", "files:/new/inner", "-"]).ok().stdout;
        assert!(tar.starts_with("inner/"), "{tar:?}");
        drop(engine.run(&["stop", "-t", "0", "files"]));
        drop(engine.run(&["cp", &path("tree"), "files:/late"]).ok());
        drop(engine.run(&["start", "files"]).ok());
        assert_eq!(inside("cat /late/inner/one"), "one");
    });
    steps.step("diff tells what was added, changed and removed", || {
        inside("rm /bin/vi; echo x >> /etc/passwd");
        let changes = engine.run(&["diff", "files"]).ok().stdout;
        let changes: BTreeSet<&str> = changes.lines().collect();
        for line in ["A /new", "A /new/inner/one", "C /etc", "C /etc/passwd", "C /bin", "D /bin/vi"]
        {
            assert!(changes.contains(line), "{line} in {changes:?}");
        }
    });
    steps.step(DIFF, || {
        engine.start("plain", &[BOX, "sleep", "1000"]);
        let diff = engine.run(&["diff", "plain"]).ok().stdout;
        engine.remove(&["plain"]);
        assert_eq!(diff, "");
    });
    engine.remove(&["files"]);
}

fn images(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("source", &["-e", "A=1", BOX, "sleep", "1000"]);
    drop(engine.run(&["exec", "source", "sh", "-c", "echo 1 > /one; rm /bin/vi"]).ok());
    steps.step("commit makes an image that runs with what was changed", || {
        let changes = ["-c", "CMD [\"cat\", \"/one\"]", "-c", "ENV B=2"];
        drop(
            engine
                .run(
                    &[
                        &["commit", "-a", "me", "-m", "why"],
                        &changes[..],
                        &["source", "box.example/made:1"],
                    ]
                    .concat(),
                )
                .ok(),
        );
        assert_eq!(engine.prints(&["box.example/made:1"]), "1\n");
        let script = "ls /bin/vi; echo $A$B";
        let outcome = engine.once(&["box.example/made:1", "sh", "-c", script]).ok();
        assert_eq!(outcome.stdout, "12\n");
        assert_eq!(
            said(
                engine,
                &[
                    "image",
                    "inspect",
                    "--format",
                    "{{.Author}} {{len .RootFS.Layers}}",
                    "box.example/made:1"
                ]
            ),
            "me 2"
        );
    });
    steps.step("export and import make an image of one layer", || {
        let tar = engine.world.shared().join("root.tar").display().to_string();
        drop(engine.run(&["export", "-o", &tar, "source"]).ok());
        drop(
            engine
                .run(&["import", "-c", "CMD [\"cat\", \"/one\"]", &tar, "box.example/flat:1"])
                .ok(),
        );
        assert_eq!(engine.prints(&["box.example/flat:1"]), "1\n");
    });
    steps.step("images are filtered by reference, label and age", || {
        let names = |filter: &str| {
            said(engine, &["images", "--filter", filter, "--format", "{{.Repository}}"])
        };
        assert!(names("reference=*made*").contains("made"));
        assert_eq!(names("label=none"), "");
        assert!(names("since=box.example/box:1").contains("flat"));
        assert_ne!(engine.run(&["images", "--filter", "bogus=1"]).code, 0);
    });
    engine.remove(&["source"]);
}

fn looks(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("seen", &[BOX, "sleep", "1000"]);
    steps.step("top shows processes", || {
        assert!(said(engine, &["top", "seen"]).contains("sleep 1000"));
        assert_ne!(engine.run(&["top", "gone"]).code, 0);
    });
    steps.step("stats shows what is used", || {
        let shown =
            said(engine, &["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", "seen"]);
        assert!(shown.starts_with("seen ") && shown.contains(" / "), "{shown}");
    });
    steps.step("port has nothing to say", || {
        assert_eq!(said(engine, &["port", "seen"]), "");
        assert_ne!(engine.run(&["port", "seen", "80"]).code, 0);
    });
    steps.step("version and info take templates", || {
        assert!(!said(engine, &["version", "--format", "{{.Client.Version}}"]).is_empty());
        assert!(!said(engine, &["info", "--format", "{{json .}}"]).is_empty());
    });
    engine.remove(&["seen"]);
}

/// Fields of docker's document that dhow's has not, by their paths.
const WITHOUT: [&str; 0] = [];

fn has_fields_of(ours: &Engine<'_>, docker: &Engine<'_>) {
    let document = |engine: &Engine<'_>| -> Value {
        engine.start("fields", &["-v", "data:/data", "-m", "64m", BOX, "sleep", "1000"]);
        let text = engine.run(&["inspect", "--size", "--type", "container", "fields"]).ok().stdout;
        engine.remove(&["fields"]);
        serde_json::from_str::<Value>(&text).unwrap()[0].clone()
    };
    let mut missing = Vec::new();
    compare("", &document(docker), &document(ours), &mut missing);
    missing.retain(|path| !WITHOUT.contains(&path.as_str()));
    assert!(missing.is_empty(), "docker's fields that are missing: {missing:?}");
}

fn compare(path: &str, theirs: &Value, ours: &Value, missing: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in theirs {
                let path = format!("{path}.{name}");
                // What lies where, and what was asked for, has names of its own.
                let is_free = path.starts_with(".GraphDriver.Data.") || path.contains(".Labels.");
                match ours.get(name) {
                    Some(found) => compare(&path, value, found, missing),
                    None if is_free => {}
                    None => missing.push(path),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if let (Some(one), Some(other)) = (theirs.first(), ours.first()) {
                compare(path, one, other, missing);
            }
        }
        _ => {}
    }
}
