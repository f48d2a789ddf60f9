//! What containers share: volumes, secrets and pods.

use super::WHOLE;
use crate::{
    engine::{BOX, Engine},
    steps::Steps,
};
use serde_json::Value;
use std::fs;

pub(super) fn steps(engine: &Engine<'_>, steps: &mut Steps) {
    volumes(engine, steps);
    contents(engine, steps);
    prunes(engine, steps);
    secrets(engine, steps);
    pods(engine, steps);
    engine.remove_all();
}

fn volumes(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("volume create, ls, inspect, rm", || {
        assert_eq!(engine.said(&["volume", "create", "--label", "tier=back", "data"]), "data");
        assert_eq!(engine.said(&["volume", "ls", "-q"]), "data");
        let said = engine.run(&["volume", "inspect", "data"]).ok().stdout;
        let document: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(document[0]["Name"], "data");
        assert_eq!(document[0]["Driver"], "local");
        assert_eq!(document[0]["Labels"]["tier"], "back");
        assert_eq!(engine.said(&["volume", "rm", "data"]), "data");
        engine.fails(&["volume", "inspect", "data"]);
        engine.fails(&["volume", "rm", "data"]);
    });
    steps.step("volume create: of one that is there is no error", || {
        drop(engine.run(&["volume", "create", "same"]).ok());
        drop(engine.run(&["volume", "create", "same"]).ok());
    });
    steps.step("volume create: without a name has one of 64 digits", || {
        let name = engine.said(&["volume", "create"]);
        assert_eq!(name.len(), 64);
        drop(engine.run(&["volume", "rm", &name]).ok());
        engine.fails(&["volume", "create", "not/a/name"]);
    });
    steps.step("volume ls --filter and --format", || {
        drop(engine.run(&["volume", "create", "--label", "a=b", "one"]).ok());
        drop(engine.run(&["volume", "create", "two"]).ok());
        let names = |flags: &[&str]| {
            engine.said(&[&["volume", "ls", "--format", "{{.Name}}"], flags].concat())
        };
        assert_eq!(names(&["--filter", "label=a"]), "one");
        assert_eq!(names(&["--filter", "label=a=c"]), "");
        assert_eq!(names(&["--filter", "name=tw"]), "two");
        assert!(names(&["--filter", "dangling=true"]).ends_with("two"));
        engine.fails(&["volume", "ls", "--filter", "bogus=1"]);
        drop(engine.run(&["volume", "rm", "one", "two"]).ok());
    });
    steps.step("volume rm: not what a container has", || {
        engine.create("holder", &["-v", "held:/h", BOX, "true"]);
        engine.fails(&["volume", "rm", "held"]);
        engine.remove(&["holder"]);
        drop(engine.run(&["volume", "rm", "held"]).ok());
    });
    steps.step("volume rm -f: of what is missing is no error", || {
        drop(engine.run(&["volume", "rm", "-f", "gone"]).ok());
    });
}

fn contents(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("run -v: a volume outlives its containers", || {
        drop(engine.once(&["-v", "data:/d", BOX, "sh", "-c", "echo kept > /d/file"]).ok());
        assert_eq!(engine.prints(&["-v", "data:/d:ro", BOX, "cat", "/d/file"]), "kept\n");
        let mount = "type=volume,source=data,target=/d";
        assert_eq!(engine.prints(&["--mount", mount, BOX, "cat", "/d/file"]), "kept\n");
        let at = engine.said(&["volume", "inspect", "--format", "{{.Mountpoint}}", "data"]);
        assert_eq!(engine.world.run(&["cat", &format!("{at}/file")]).ok().stdout, "kept\n");
    });
    steps.step("run -v: an empty volume begins with what the image has there", || {
        let words = ["-v", "filled:/data", BOX, "cat", "/data/first"];
        assert_eq!(engine.prints(&words), "first");
        let words = ["-v", "bare:/data:nocopy", BOX, "ls", "/data"];
        assert_eq!(engine.prints(&words), "");
    });
    steps.step("run -v: a volume that has become empty is filled again", || {
        drop(engine.once(&["-v", "filled:/data", BOX, "rm", "/data/first"]).ok());
        assert_eq!(engine.prints(&["-v", "filled:/data", BOX, "cat", "/data/first"]), "first");
    });
    steps.step("inspect: mounts with their names and sources", || {
        engine.create("mounted", &["-v", "data:/d:ro", BOX, "true"]);
        let format = "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}";
        let said = engine.said(&["inspect", "--format", format, "mounted"]);
        assert_eq!(said, "volume data /d false");
        engine.remove(&["mounted"]);
    });
}

fn prunes(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("volume prune: those of the image go, and what is used stays", || {
        engine.create("used", &[WHOLE]);
        drop(engine.once(&["--name", "ends", WHOLE]).ok());
        drop(engine.run(&["volume", "prune", "-f"]).ok());
        assert_eq!(engine.inspect("used", "len .Mounts"), "1");
        engine.remove(&["used"]);
    });
    steps.step("volume prune: never what has a name", || {
        drop(engine.run(&["volume", "create", "precious"]).ok());
        drop(engine.run(&["volume", "prune", "-f"]).ok());
        drop(engine.run(&["volume", "inspect", "precious"]).ok());
    });
    steps.step("system prune: what does not run, and no volume", || {
        engine.start("runs", &[BOX, "sleep", "1000"]);
        engine.create("idle", &[BOX, "true"]);
        drop(engine.run(&["volume", "create", "kept"]).ok());
        drop(engine.run(&["system", "prune", "-f"]).ok());
        assert_eq!(engine.said(&["ps", "-a", "--format", "{{.Names}}"]), "runs");
        drop(engine.run(&["volume", "inspect", "kept"]).ok());
        drop(engine.run(&["image", "inspect", BOX]).ok());
        engine.remove(&["runs"]);
    });
}

fn secrets(engine: &Engine<'_>, steps: &mut Steps) {
    let path = engine.world.shared().join("secret");
    fs::write(&path, "word").unwrap();
    let path = path.display().to_string();
    steps.step("secret create, ls, inspect, rm", || {
        drop(engine.run(&["secret", "create", "pass", &path]).ok());
        let words = ["secret", "create", "piped", "-"];
        drop(engine.run_with_input(&words, b"other").ok());
        engine.fails(&["secret", "create", "pass", &path]);
        let said = engine.said(&["secret", "ls", "--format", "{{.Name}}"]);
        assert!(said == "pass piped" || said == "piped pass", "{said}");
        let name = ["secret", "inspect", "--format", "{{.Spec.Name}}", "pass"];
        assert_eq!(engine.said(&name), "pass");
        assert!(!engine.run(&["secret", "inspect", "pass"]).ok().stdout.contains("word"));
        drop(engine.run(&["secret", "rm", "piped"]).ok());
        engine.fails(&["secret", "inspect", "piped"]);
    });
    steps.step("run --secret: a file, or a variable", || {
        let script = "cat /run/secrets/pass; stat -c ' %a' /run/secrets/pass";
        let said = engine.prints(&["--secret", "pass", BOX, "sh", "-c", script]);
        assert_eq!(said, "word 444\n");
        let option = "pass,type=env,target=WORD";
        assert_eq!(engine.prints(&["--secret", option, BOX, "sh", "-c", "echo $WORD"]), "word\n");
        let option = "pass,target=mine,uid=1000,mode=0400";
        let script = "cat /run/secrets/mine";
        let words = ["--secret", option, "-u", "1000", BOX, "sh", "-c", script];
        assert_eq!(engine.prints(&words), "word");
        drop(engine.once(&["--secret", "gone", BOX, "true"]).exits(125));
    });
}

fn pods(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("pod create, ps, inspect, exists", || {
        let create = ["pod", "create", "--name", "pod", "--network", "none", "--share", "net,uts"];
        let create = [&create[..], engine.infra()].concat();
        let id = engine.said(&create);
        assert_eq!(id.len(), 64);
        assert_eq!(engine.said(&["pod", "ps", "--format", "{{.Name}}"]), "pod");
        assert_eq!(engine.said(&["pod", "inspect", "--format", "{{.Name}}", "pod"]), "pod");
        drop(engine.run(&["pod", "exists", "pod"]).ok());
        drop(engine.run(&["pod", "exists", "gone"]).exits(1));
        engine.fails(&create);
    });
    steps.step("run --pod: containers share what the pod shares", || {
        for name in ["first", "second"] {
            drop(
                engine
                    .run(&["run", "-d", "--pod", "pod", "--name", name, BOX, "sleep", "1000"])
                    .ok(),
            );
        }
        for (kind, shared) in [("net", true), ("uts", true), ("pid", false), ("mnt", false)] {
            let link = format!("/proc/self/ns/{kind}");
            let read = |name: &str| engine.said(&["exec", name, "readlink", &link]);
            assert_eq!(read("first") == read("second"), shared, "{kind}");
        }
        let names = engine.said(&["ps", "--filter", "pod=pod", "--format", "{{.Names}}"]);
        assert!(names.contains("first") && names.contains("second"), "{names}");
    });
    steps.step("pod stop, start, kill, rm", || {
        drop(engine.run(&["pod", "stop", "-t", "0", "pod"]).ok());
        assert_eq!(engine.inspect("first", ".State.Status"), "exited");
        drop(engine.run(&["pod", "start", "pod"]).ok());
        assert_eq!(engine.inspect("first", ".State.Status"), "running");
        engine.fails(&["pod", "rm", "pod"]);
        drop(engine.run(&["pod", "kill", "pod"]).ok());
        engine.wait_for("first", ".State.Status", "exited");
        drop(engine.run(&["pod", "rm", "-f", "pod"]).ok());
        engine.fails(&["inspect", "first"]);
        engine.fails(&["pod", "inspect", "pod"]);
    });
}
