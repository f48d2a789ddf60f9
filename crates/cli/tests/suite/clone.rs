//! `container clone` and `pod clone`: another one like one that is there.

use crate::fixture::{layout_of, start, wait_for_state, with_box};
use dhow_testkit::{Dhow, needs_root};

fn shown(dhow: &Dhow, container: &str, format: &str) -> String {
    dhow.run(&["inspect", "--format", format, container]).ok().line().to_owned()
}

#[test]
fn a_clone_is_as_its_model_but_for_what_is_asked() {
    needs_root!();
    let dhow = with_box();
    let model = [
        "create",
        "-q",
        "--name",
        "a",
        "-m",
        "64m",
        "-e",
        "X=1",
        "-l",
        "tier=web",
        "-w",
        "/tmp",
        "box",
        "sh",
        "-c",
        "echo $X $PWD",
    ];
    drop(dhow.run(&model).ok());

    let id = dhow.run(&["container", "clone", "a"]).ok().line().to_owned();
    assert_eq!(shown(&dhow, &id, "{{.Name}} {{.HostConfig.Memory}}"), "/a-clone 67108864");
    assert_eq!(dhow.run(&["start", "-a", &id]).ok().stdout, "1 /tmp\n");
    drop(dhow.run(&["container", "clone", "a"]).ok());
    assert_eq!(shown(&dhow, "a-clone1", "{{.Config.Labels.tier}}"), "web");

    let wider =
        ["container", "clone", "--memory", "32m", "--cpus=0.5", "--pids-limit", "9", "a", "b"];
    drop(dhow.run(&wider).ok());
    let limits = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
    assert_eq!(shown(&dhow, "b", limits), "33554432 500000000 9");
    // A clone can be cloned, and is as it was made.
    drop(dhow.run(&["container", "clone", "b", "c"]).ok());
    assert_eq!(shown(&dhow, "c", limits), "33554432 500000000 9");
    drop(dhow.run(&["container", "clone", "a", "b"]).exits(1).says("in use"));
    drop(dhow.run(&["container", "clone", "nobody"]).exits(1).says("no such container"));
    drop(dhow.run(&["container", "clone", "-m", "much", "a"]).exits(1).says("--memory"));
    drop(dhow.run(&["rm", "a", "a-clone", "a-clone1", "b", "c"]).ok());
}

#[test]
fn a_clone_takes_its_models_place_and_runs() {
    needs_root!();
    let dhow = with_box();
    drop(start(&dhow, &["--name", "a", "box", "sleep", "100"]));

    drop(dhow.run(&["container", "clone", "--destroy", "a", "b"]).exits(1).says("it is running"));
    drop(dhow.run(&["rm", "b"]).ok());
    let id = dhow.run(&["container", "clone", "--destroy", "-f", "--run", "a", "b"]).ok();

    wait_for_state(&dhow, "b", "running");
    assert_eq!(dhow.run(&["ps", "-aq", "--no-trunc"]).ok().line(), id.line());
    drop(dhow.run(&["rm", "-f", "b"]).ok());
}

#[test]
fn a_clone_stands_on_the_image_of_its_model_or_on_another() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "-q", "--name", "a", "box", "true"]).ok());
    let old = shown(&dhow, "a", "{{.Image}}");
    let newer =
        layout_of(&dhow, "newer", |image| image.set("Labels", serde_json::json!({ "age": "new" })));
    drop(dhow.run(&["pull", "-q", &newer.reference("newer")]).ok());
    drop(dhow.run(&["tag", "newer", "box"]).ok());

    drop(dhow.run(&["container", "clone", "a", "b"]).ok());
    drop(dhow.run(&["container", "clone", "a", "c", "newer"]).ok());

    assert_eq!(shown(&dhow, "b", "{{.Image}}"), old);
    assert_ne!(shown(&dhow, "c", "{{.Image}}"), old);
    drop(dhow.run(&["rm", "a", "b", "c"]).ok());
}
