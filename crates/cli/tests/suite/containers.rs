//! `rename`, `top`, `stats`, `port`, `container exists` and `container prune`.

use crate::fixture::{layout_of, start, with_box};
use dhow_testkit::{Access, Registry, Transport, needs_root, needs_tool};

#[test]
fn a_label_is_run_when_asked_for_and_names_no_program_of_the_host() {
    needs_root!();
    let dhow = with_box();
    let canary = dhow.directory().join("touched");
    let labels = serde_json::json!({
        "run": "podman run -q --rm --name NAME ${IMAGE} echo \"two words\" $OPT1",
        "INSTALL": "/usr/bin/docker create -q --name ${NAME} IMAGE",
        "evil": format!("/bin/sh -c \"touch {}\"", canary.display()),
        "secret": "podman run --rm $HOME",
    });
    let layout = layout_of(&dhow, "app", |image| image.set("Labels", labels));
    drop(dhow.run(&["pull", "-q", &layout.reference("app")]).ok());
    drop(dhow.run(&["tag", "app", "example.org/team/app:1"]).ok());
    let runlabel = |words: &[&str]| dhow.run(&[&["container", "runlabel"], words].concat());

    let shown = runlabel(&["--display", "run", "example.org/team/app:1", "more"]).ok().stdout;
    assert_eq!(
        shown,
        "command: dhow run -q --rm --name app example.org/team/app:1 echo 'two words' more\n"
    );
    assert_eq!(runlabel(&["-q", "run", "app"]).ok().stdout, "two words\n");
    drop(runlabel(&["install", "--name", "x", "app"]).ok());
    drop(runlabel(&["install", "--name", "x", "app"]).exits(125).says("in use"));
    drop(runlabel(&["install", "--name", "x", "--replace", "app"]).ok());
    drop(runlabel(&["evil", "app"]).exits(1).says("no command of dhow"));
    drop(runlabel(&["secret", "app"]).exits(1).says("$HOME"));
    drop(runlabel(&["none", "app"]).exits(1).says("no label none"));
    assert!(!canary.exists());
}

#[test]
fn an_image_whose_label_is_to_be_run_is_fetched() {
    needs_root!();
    needs_tool!("docker-registry", "setpriv");
    let dhow = with_box();
    let registry = Registry::start(Access::Basic, Transport::Plain).unwrap();
    let far = registry.reference("far:1");
    let file = dhow.directory().join("auth.json");
    std::fs::write(&file, registry.credentials()).unwrap();
    let authfile = format!("--authfile={}", file.display());
    let labels =
        serde_json::json!({ "run": "podman run -q --rm --network=none IMAGE echo fetched" });
    let layout = layout_of(&dhow, "far", |image| image.set("Labels", labels));
    let to = format!("docker://{far}");
    drop(dhow.run(&["image", "copy", "-q", &authfile, &layout.reference("far"), &to]).ok());
    let runlabel = |flag: &str| dhow.run(&["container", "runlabel", "-q", flag, "run", &far]);

    drop(runlabel("--tls-verify=false").exits(1).says("login"));
    assert_eq!(runlabel(&authfile).ok().stdout, "fetched\n");
    drop(runlabel("--creds=x").exits(1).says("--creds"));
}

#[test]
fn a_container_gets_another_name() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    drop(dhow.run(&["create", "-q", "--name", "other", "box"]).ok());

    drop(dhow.run(&["rename", "web", "site"]).ok());

    assert_eq!(dhow.run(&["inspect", "-f", "{{.Name}}", &id]).ok().line(), "/site");
    drop(dhow.run(&["rename", "web", "x"]).exits(1).says("no such container: web"));
    drop(dhow.run(&["rename", "site", "other"]).exits(1).says("in use by container"));
    drop(dhow.run(&["rename", "site", "site"]).exits(1).says("this name already"));
    drop(dhow.run(&["rename", "site", "a/b"]).exits(1).says("a/b"));
    assert_eq!(dhow.run(&["container", "rename", &id[..12], "web"]).ok().stdout, "");
    drop(dhow.run(&["container", "exists", "web"]).ok());
    assert_eq!(dhow.run(&["container", "exists", "site"]).exits(1).stderr, "");
}

#[test]
fn processes_are_shown_without_a_ps_in_the_image() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sh", "-c", "sleep 100 & wait"]);
    let top = |arguments: &[&str]| dhow.run(&[&["top"], arguments].concat());

    let plain = top(&["web"]).ok().stdout;
    assert!(plain.starts_with("UID") && plain.contains("sleep 100"), "{plain}");
    let docker = top(&["web", "-o", "pid,args"]).ok().stdout;
    assert!(docker.contains("PID") && docker.contains("sleep 100"), "{docker}");
    let podman = top(&["web", "pid,user", "args"]).ok().stdout;
    let rows: Vec<Vec<&str>> =
        podman.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["PID", "USER", "COMMAND"]);
    assert_eq!(rows[1], ["1", "root", "sh", "-c", "sleep", "100", "&", "wait"]);
    assert_eq!(rows[2][1..], ["root", "sleep", "100"]);
    drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
    drop(top(&["web"]).exits(1).says("container web is not running"));
    drop(top(&[]).exits(1));
}

#[test]
fn what_containers_use_is_shown() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "web", "-m", "64m", "box", "sleep", "100"]);
    drop(dhow.run(&["create", "-q", "--name", "idle", "box"]).ok());
    let stats =
        |arguments: &[&str]| dhow.run(&[&["stats", "--no-stream"], arguments].concat()).ok().stdout;

    let table = stats(&[]);
    let (titles, row) = table.split_once('\n').unwrap();
    assert!(titles.starts_with("CONTAINER ID   NAME"), "{table}");
    assert!(row.starts_with(&id[..12]) && row.contains("/ 64MiB"), "{table}");
    let line = stats(&["--format", "{{.Name}} {{.PIDs}} {{.NetIO}}", "web"]);
    assert_eq!(line, "web 1 0B / 0B\n");
    assert!(stats(&["-a", "--format", "{{.Name}} {{.CPUPerc}}"]).contains("idle --\n"));
    let json: serde_json::Value =
        serde_json::from_str(&stats(&["--format", "json", "web"])).unwrap();
    assert_eq!(json["ID"], id[..12]);
    drop(dhow.run(&["stats", "--no-stream", "gone"]).exits(1).says("gone"));
    drop(dhow.run(&["stats", "--no-stream", "--format", "{{.Bogus}}", "web"]).exits(1).says("1:3"));
}

#[test]
fn no_port_is_passed_on_and_that_is_said() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);

    assert_eq!(dhow.run(&["port", "web"]).ok().stdout, "");
    drop(dhow.run(&["port", "web", "80"]).exits(1).says("80/tcp of container web"));
    drop(dhow.run(&["port", "web", "http"]).exits(1).says("not a port"));
    drop(dhow.run(&["port", "gone"]).exits(1).says("gone"));
}

#[test]
fn containers_that_do_not_run_are_pruned_by_age_and_label() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    for (name, label) in [("a", "keep=1"), ("b", "tier=x"), ("c", "tier=y")] {
        drop(dhow.run(&["create", "-q", "--name", name, "-l", label, "box"]).ok());
    }
    let prune = |filter: &str| {
        drop(dhow.run(&["container", "prune", "-f", "--filter", filter]).ok());
        dhow.run(&["ps", "-a", "--sort", "names", "--format", "{{.Names}}"]).ok().stdout
    };

    assert_eq!(prune("until=1h"), "a\nb\nc\nweb\n");
    assert_eq!(prune("label=tier=x"), "a\nc\nweb\n");
    assert_eq!(prune("label!=keep"), "a\nweb\n");
    drop(dhow.run(&["container", "prune", "-f"]).ok());
    assert_eq!(dhow.run(&["ps", "-a", "--format", "{{.Names}}"]).ok().stdout, "web\n");
    drop(dhow.run(&["container", "prune", "--filter", "name=x", "-f"]).exits(1).says("name=x"));
}

#[test]
fn a_pruning_tells_what_came_back() {
    needs_root!();
    let dhow = with_box();
    let fill = "dd if=/dev/zero of=/big bs=1M count=3 2>/dev/null";
    drop(dhow.run(&["run", "-q", "--name", "a", "box", "sh", "-c", fill]).ok());

    let said = dhow.run(&["container", "prune", "-f"]).ok().stdout;
    let told = said.lines().last().unwrap().strip_prefix("Total reclaimed space: ").unwrap();
    let megabytes: f64 =
        told.strip_suffix("MB").unwrap_or_else(|| panic!("{said}")).parse().unwrap();

    assert!((3.0..3.5).contains(&megabytes), "{said}");
    let again = dhow.run(&["container", "prune", "-f"]).ok().stdout;
    assert_eq!(again, "Total reclaimed space: 0B\n");
}
