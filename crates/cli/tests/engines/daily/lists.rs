//! What is there: `ps`, `images`, `inspect`, `history`, `info`, `version`, with filters and formats.

use crate::{
    engine::{BOX, Engine},
    steps::Steps,
};
use serde_json::Value;

const TEMPLATE: &str = "{{.State.Status}} {{.Config.Image}} {{json .Config.Cmd}} \
                        {{range .Config.Env}}{{println .}}{{end}}";

pub(super) fn steps(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("web", &["-l", "tier=front", "-e", "A=1", BOX, "sleep", "1000"]);
    engine.create("idle", &["-v", "data:/data", BOX, "true"]);
    let over = ["run", "--name", "over", "--network", "none", BOX, "sh", "-c", "exit 3"];
    drop(engine.run(&over).exits(3));
    filters(engine, steps);
    rows(engine, steps);
    documents(engine, steps);
    images(engine, steps);
    engine_itself(engine, steps);
    engine.remove_all();
}

fn filters(engine: &Engine<'_>, steps: &mut Steps) {
    let names = |filters: &[&str]| {
        let mut line = vec!["ps", "-a", "--format", "{{.Names}}"];
        line.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
        let said = engine.said(&line);
        let mut names: Vec<&str> = said.split_whitespace().collect();
        names.sort_unstable();
        names.join(" ")
    };
    steps.step("ps --filter: name, label, status, exit code, age, image, volume", || {
        for (filters, expected) in [
            (&["name=we"][..], "web"),
            (&["name=^web$"], "web"),
            (&["name=web", "name=over"], "over web"),
            (&["name=web", "status=exited"], ""),
            (&["label=tier"], "web"),
            (&["label=tier=front"], "web"),
            (&["label=tier=back"], ""),
            (&["label=tier=front", "label=none"], ""),
            (&["status=created"], "idle"),
            (&["status=exited"], "over"),
            (&["status=exited", "status=created"], "idle over"),
            (&["exited=3"], "over"),
            (&["ancestor=box.example/box:1"], "idle over web"),
            (&["before=over"], "idle web"),
            (&["since=web"], "idle over"),
            (&["volume=data"], "idle"),
        ] {
            assert_eq!(names(filters), expected, "{filters:?}");
        }
        let id = engine.inspect("web", ".Id");
        assert_eq!(names(&[&format!("id={}", &id[..8])]), "web");
    });
    steps.step("ps --filter volume=: also by the place in the container", || {
        assert_eq!(names(&["volume=/data"]), "idle");
    });
    steps.step("ps --filter: what is no filter, or no value of one, is refused", || {
        engine.fails(&["ps", "--filter", "bogus=1"]);
        engine.fails(&["ps", "--filter", "status=asleep"]);
        engine.fails(&["ps", "--filter", "exited=x"]);
    });
}

fn rows(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("ps: those that run; -a all; -l the newest; -n so many", || {
        let names =
            |flags: &[&str]| engine.said(&[&["ps", "--format", "{{.Names}}"], flags].concat());
        assert_eq!(names(&[]), "web");
        assert_eq!(names(&["-l"]), "over");
        let newest = names(&["-n", "2"]);
        assert!(newest.contains("over") && newest.contains("idle"), "{newest}");
        assert_eq!(names(&["-a"]).split(' ').count(), 3);
        assert_eq!(names(&["--all"]).split(' ').count(), 3);
    });
    steps.step("ps -a: the newest first", || {
        assert_eq!(engine.said(&["ps", "-a", "--format", "{{.Names}}"]), "over idle web");
    });
    steps.step("ps: the columns are known", || {
        let said = engine.run(&["ps", "-a"]).ok().stdout;
        let heading = said.lines().next().unwrap();
        let words: Vec<&str> =
            heading.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
        let columns = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
        assert_eq!(words, columns);
        let web =
            said.lines().find(|line| line.ends_with("web") || line.contains(" web ")).unwrap();
        assert!(web.contains(BOX) && web.contains("Up ") && web.contains("ago"), "{web}");
        assert!(said.contains("Exited (3)"), "{said}");
    });
    steps.step("ps: a command is in quotes", || {
        let said = engine.run(&["ps", "--format", "{{.Command}}"]).ok();
        assert_eq!(said.line(), "\"sleep 1000\"");
    });
    steps.step("ps -q: short ids, and whole ones with --no-trunc", || {
        assert_eq!(engine.said(&["ps", "-q"]).len(), 12);
        assert_eq!(engine.said(&["ps", "-q", "--no-trunc"]), engine.inspect("web", ".Id"));
    });
    steps.step("ps --format table: has a heading", || {
        let format = "table {{.Names}}\t{{.Image}}";
        assert_eq!(engine.said(&["ps", "--format", format]), format!("NAMES IMAGE web {BOX}"));
    });
    steps.step("ps --format: states are words", || {
        assert_eq!(engine.said(&["ps", "--format", "{{.State}}"]), "running");
    });
    steps.step("ps --format: what is no field is refused", || {
        assert!(engine.said(&["ps", "--format", "{{.Status}}"]).starts_with("Up "));
        engine.fails(&["ps", "--format", "{{.Bogus}}"]);
        engine.fails(&["ps", "--format", "{{"]);
    });
    steps.step("ps --format json: one object a line", || {
        let said = engine.run(&["ps", "-a", "--format", "json"]).ok().stdout;
        let rows: Vec<Value> =
            said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(rows.len() == 3 && rows.iter().all(Value::is_object), "{said}");
    });
    steps.step("ps --format: {{json .}} is a row with docker's fields", || {
        let said = engine.run(&["ps", "--format", "{{json .}}"]).ok();
        let row: Value = serde_json::from_str(said.line()).unwrap();
        assert_eq!((&row["Names"], &row["State"]), (&"web".into(), &"running".into()));
    });
    steps.step("ps --format: labels are a text, and one of them a method", || {
        assert_eq!(engine.said(&["ps", "--format", "{{.Label \"tier\"}}"]), "front");
        assert_eq!(engine.said(&["ps", "--format", "{{.Labels}}"]), "tier=front");
    });
    steps.step("ps --size: how much each has written", || {
        let said = engine.said(&["ps", "--size", "--format", "{{.Size}}"]);
        assert!(said.contains("virtual"), "{said}");
    });
}

fn documents(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("inspect: an array in the order asked for", || {
        let said = engine.run(&["inspect", "over", "web"]).ok().stdout;
        let both: Value = serde_json::from_str(&said).unwrap();
        let status: Vec<_> = (0..2).map(|at| both[at]["State"]["Status"].as_str()).collect();
        assert_eq!(status, [Some("exited"), Some("running")]);
    });
    steps.step("inspect --format: templates", || {
        let said = engine.said(&["inspect", "--format", TEMPLATE, "web"]);
        assert!(said.starts_with(&format!("running {BOX} [\"sleep\",\"1000\"] ")), "{said}");
        assert!(said.contains("A=1"), "{said}");
        engine.fails(&["inspect", "--format", "{{.Bogus}}", "web"]);
        engine.fails(&["inspect", "gone"]);
    });
    steps.step("inspect: the name begins with a slash", || {
        assert_eq!(engine.inspect("web", ".Name"), "/web");
    });
    steps.step("inspect: Entrypoint is a list, and null where there is none", || {
        assert_eq!(engine.inspect("web", "json .Config.Entrypoint"), "null");
    });
    steps.step("inspect: moments are RFC 3339 in UTC", || {
        let moment = engine.inspect("web", ".State.StartedAt");
        assert!(moment.ends_with('Z') && moment.contains('T'), "{moment}");
        assert_eq!(engine.inspect("web", ".State.FinishedAt"), "0001-01-01T00:00:00Z");
    });
    steps.step("inspect --type: tells an image from a container of its name", || {
        engine.create("box.example", &[BOX, "true"]);
        let os = ["inspect", "--type", "image", "--format", "{{.Os}}", BOX];
        assert_eq!(engine.said(&os), "linux");
        engine.fails(&["inspect", "--type", "container", BOX]);
        assert_eq!(engine.said(&["image", "inspect", "-f", "{{.Os}}", BOX]), "linux");
        assert_eq!(engine.said(&["container", "inspect", "-f", "{{.Path}}", "web"]), "sleep");
        engine.remove(&["box.example"]);
    });
    steps.step("inspect: of something missing, what is there is told all the same", || {
        let outcome = engine.run(&["inspect", "gone", "web"]);
        let said: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert!(outcome.code != 0 && said[0]["Path"] == "sleep", "{outcome}");
    });
    steps.step("inspect --size: how much was written", || {
        let words = ["inspect", "--size", "--format", "{{.SizeRw}} {{.SizeRootFs}}", "web"];
        let said = engine.said(&words);
        assert!(said.split(' ').all(|number| number.parse::<u64>().is_ok()), "{said}");
    });
}

fn images(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("images: the columns are known", || {
        let said = engine.run(&["images"]).ok().stdout;
        let heading: Vec<&str> = said.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(heading, ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
        assert!(said.contains("box.example/box"), "{said}");
    });
    steps.step("images --format and -q", || {
        let format = "{{.Repository}}:{{.Tag}}";
        let said = engine.said(&["images", "--format", format]);
        let mut names: Vec<&str> = said.split_whitespace().collect();
        names.sort_unstable();
        assert_eq!(names, ["box.example/box:1", "box.example/whole:1"]);
        assert!(engine.said(&["images", "-q", BOX]).len() == 12);
    });
    steps.step("images --filter: reference, label, age", || {
        let names =
            |filter: &str| engine.said(&["images", "--filter", filter, "--format", "{{.Tag}}"]);
        assert_eq!(names("reference=*/whole"), "1");
        assert_eq!(names("label=a=image"), "1");
        assert_eq!(names("label=none"), "");
        engine.fails(&["images", "--filter", "bogus=1"]);
    });
    steps.step("tag, rmi: a name more, a name less", || {
        drop(engine.run(&["tag", BOX, "box.example/more:2"]).ok());
        let id = |name| engine.said(&["image", "inspect", "-f", "{{.Id}}", name]);
        assert_eq!(id("box.example/more:2"), id(BOX));
        drop(engine.run(&["rmi", "box.example/more:2"]).ok());
        engine.fails(&["image", "inspect", "box.example/more:2"]);
        drop(engine.run(&["image", "inspect", BOX]).ok());
        engine.fails(&["rmi", "box.example/gone:1"]);
        engine.fails(&["tag", "box.example/gone:1", "box.example/x:1"]);
    });
    steps.step("rmi: not an image that a container is made of", || {
        engine.fails(&["rmi", BOX]);
    });
    steps.step("history: a line for each layer", || {
        let said = engine.run(&["history", "-q", BOX]).ok().stdout;
        assert_eq!(said.lines().count(), 1, "{said}");
    });
    steps.step("history: the first column is IMAGE", || {
        assert!(
            engine.said(&["history", BOX]).starts_with("IMAGE CREATED CREATED BY SIZE COMMENT")
        );
    });
}

fn engine_itself(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("version --format: client and server", || {
        let format = "{{.Client.Version}} {{.Server.Version}}";
        assert_eq!(engine.said(&["version", "--format", format]).split(' ').count(), 2);
    });
    steps.step("version --format json: a document", || {
        let said = engine.run(&["version", "--format", "{{json .}}"]).ok();
        let document: Value = serde_json::from_str(said.line()).unwrap();
        assert!(document["Client"]["Version"].is_string(), "{said}");
    });
    steps.step("info --format: docker's fields", || {
        let format = "{{.Containers}} {{.ContainersRunning}} {{.NCPU}} {{.OSType}}";
        assert!(engine.said(&["info", "--format", format]).ends_with(" linux"));
    });
    steps.step("info --format: podman's fields", || {
        let format = "{{.Host.Arch}} {{.Store.ContainerStore.Number}}";
        assert_eq!(engine.said(&["info", "--format", format]).split(' ').count(), 2);
    });
    steps.step("system df: images, containers, volumes", || {
        let said = engine.run(&["system", "df"]).ok().stdout;
        assert!(said.starts_with("TYPE"), "{said}");
        for kind in ["Images", "Containers", "Local Volumes"] {
            assert!(said.contains(kind), "{kind} in {said}");
        }
    });
    steps.step("container exists: tells by the exit code", || {
        drop(engine.run(&["container", "exists", "web"]).ok());
        drop(engine.run(&["container", "exists", "gone"]).exits(1));
    });
    steps.step("the engine: commands have their names below container and image", || {
        for words in [
            &["container", "ls"][..],
            &["container", "ps"],
            &["container", "list"],
            &["image", "ls"],
            &["image", "list"],
            &["image", "history", BOX],
            &["container", "logs", "web"],
            &["container", "top", "web"],
            &["container", "port", "web"],
            &["container", "diff", "web"],
        ] {
            drop(engine.run(words).ok());
        }
        engine.fails(&["bogus"]);
        engine.fails(&["container", "bogus"]);
    });
}
