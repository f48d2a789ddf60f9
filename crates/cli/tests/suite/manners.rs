//! dhow under the names of docker and podman: where the two disagree, each name does as its owner.

use crate::fixture::{layout_of, with_box};
use dhow_testkit::{Dhow, Outcome, image::Image, needs_root};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
};

/// Runs a command of dhow's under another name.
fn under(name: &str, dhow: &Dhow, arguments: &[&str]) -> Outcome {
    dhow.run_as(name, arguments)
}

fn json_of(outcome: Outcome) -> Value {
    serde_json::from_str(&outcome.ok().stdout).unwrap()
}

#[test]
fn lists_are_podmans_under_its_name() {
    needs_root!();
    let dhow = with_box();
    drop(under("podman", &dhow, &["volume", "create", "--label", "v=1", "data"]).ok());
    let id = under("podman", &dhow, &["create", "--name", "web", "--label", "a=b", "box", "true"]);
    let id = id.ok().line().to_owned();

    let containers = json_of(under("podman", &dhow, &["ps", "-a", "--format", "json"]));
    assert_eq!(containers[0]["Names"], json!(["web"]));
    assert_eq!(containers[0]["Id"], json!(id));
    assert_eq!(containers[0]["Labels"], json!({ "a": "b" }));
    assert_eq!(containers[0]["Command"], json!(["true"]));
    let image = json_of(under("podman", &dhow, &["inspect", "--type", "image", "box"]));
    let image = image[0]["Id"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    assert_eq!(containers[0]["ImageID"], json!(image));
    let images = json_of(under("podman", &dhow, &["images", "--format", "json"]));
    assert_eq!(images[0]["Id"], json!(image));
    let volumes = json_of(under("podman", &dhow, &["volume", "ls", "--format", "json"]));
    assert_eq!(volumes[0]["Labels"], json!({ "v": "1" }));
    let format = ["ps", "-a", "--format", "{{.Names}} {{.Labels.a}}"];
    assert_eq!(under("podman", &dhow, &format).ok().stdout, "web b\n");

    let line = under("docker", &dhow, &["ps", "-a", "--format", "json"]).ok().stdout;
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&object["Names"], &object["Labels"]), (&json!("web"), &json!("a=b")));
    drop(dhow.run(&["rm", "web"]).ok());
    assert_eq!(under("podman", &dhow, &["ps", "-a", "--format", "json"]).ok().stdout, "[]\n");
    dhow.assert_clean();
}

#[test]
fn images_are_podmans_under_its_name() {
    needs_root!();
    let dhow = Dhow::new();
    let labelled = |image: Image| image.set("Labels", json!({ "made.by": "us" }));
    let layout = layout_of(&dhow, "box", labelled);
    let podman = |words: &[&str]| under("podman", &dhow, words).ok();
    let dockers_id = |text: &str| format!("sha256:{text}");

    let id = podman(&["pull", "-q", &layout.reference("box")]).line().to_owned();
    assert_eq!((id.len(), id.contains(':')), (64, false), "{id}");
    let listed = podman(&["images", "--format", "{{.Repository}}:{{.Tag}} {{.Labels}}"]);
    let name = listed.stdout.split(' ').next().unwrap().to_owned();
    assert!(name.contains('/'), "with the registry: {name}");
    assert_eq!(listed.stdout, format!("{name} map[made.by:us]\n"));
    let array = json_of(under("podman", &dhow, &["images", "--format", "json"]));
    assert_eq!(array[0]["Labels"], json!({ "made.by": "us" }));
    assert_eq!(array[0]["RepoTags"], json!([name]));
    let document = json_of(under("podman", &dhow, &["image", "inspect", &id]));
    assert_eq!(document[0]["Id"], json!(id));
    assert_eq!(document[0]["RepoTags"], json!([name]));
    let digest = document[0]["Digest"].as_str().unwrap();
    let repository = name.rsplit_once(':').unwrap().0;
    assert_eq!(document[0]["RepoDigests"], json!([format!("{repository}@{digest}")]));
    assert_eq!(document[0]["Labels"], json!({ "made.by": "us" }));
    let dockers = json_of(under("docker", &dhow, &["image", "inspect", &id]));
    assert_eq!(dockers[0]["Id"], json!(dockers_id(&id)));
    assert!(podman(&["mount"]).stdout.is_empty());
    assert_eq!(podman(&["image", "ls", "-q", "--no-trunc"]).line(), dockers_id(&id));

    let steps = json_of(under("podman", &dhow, &["history", "--format", "json", &id]));
    assert_eq!((&steps[0]["id"], steps[0]["size"].is_u64()), (&json!(id), true), "{steps}");
    let bytes = podman(&["history", "--human=false", "--format", "--{{.Size}}--", &id]).stdout;
    assert_eq!(bytes.lines().next(), Some(&*format!("--{}--", steps[0]["size"])));
    assert_eq!(podman(&["history", "-qH", &id]).line(), &id[..12]);

    drop(podman(&["create", "--name", "web", &id, "true"]));
    let committed = podman(&["commit", "-q", "web", "new"]).line().to_owned();
    assert_eq!(committed.len(), 64, "{committed}");
    drop(dhow.run(&["rm", "web"]).ok());
    let removed = podman(&["rmi", "new"]).stdout;
    assert!(removed.ends_with(&format!("Deleted: {committed}\n")), "{removed}");
    dhow.assert_clean();
}

#[test]
fn a_list_of_images_is_found_by_what_podman_prints() {
    needs_root!();
    let dhow = Dhow::new();
    let podman = |words: &[&str]| under("podman", &dhow, words).ok().stdout;
    let id = podman(&["manifest", "create", "many:1"]).trim().to_owned();

    assert_eq!(id.len(), 64, "{id}");
    for name in [&id, &format!("sha256:{id}"), &id[..12]] {
        drop(podman(&["manifest", "inspect", "-v", name]));
    }
    drop(under("podman", &dhow, &["manifest", "inspect", &id[..11]]).exits(125));
    drop(podman(&["manifest", "create", "many:2"]));
    let both = under("podman", &dhow, &["manifest", "rm", &id]).exits(2);
    assert!(both.stderr.contains("many:1") && both.stderr.contains("many:2"), "{}", both.stderr);
    drop(podman(&["manifest", "rm", "many:1"]));
    drop(podman(&["manifest", "rm", &id]));
    dhow.assert_clean();
}

#[test]
fn podmans_changes_are_without_the_usual_mounts() {
    needs_root!();
    let dhow = with_box();
    let program = ["sh", "-c", "touch /new; rm /etc/passwd"];
    drop(dhow.run(&[&["run", "-q", "--name", "web", "box"][..], &program].concat()).ok());

    let changes = json_of(under("podman", &dhow, &["diff", "--format", "json", "web"]));

    let has = |kind: &str, path: &str| {
        changes[kind].as_array().is_some_and(|all| all.contains(&json!(path)))
    };
    assert!(has("added", "/new") && has("deleted", "/etc/passwd"), "{changes}");
    for usual in ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/proc", "/sys", "/dev"] {
        assert!(!has("added", usual), "{usual}: {changes}");
    }
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn events_have_the_words_of_each() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["run", "-q", "--name", "web", "--label", "a=b", "box", "sh", "-c", "exit 3"]));
    drop(dhow.run(&["rm", "web"]).ok());
    let told = |name: &str, more: &[&str]| {
        let words = ["events", "--since", "1h", "--stream=false", "--filter", "container=web"];
        under(name, &dhow, &[&words[..], more].concat()).ok().stdout
    };

    let podmans = told("podman", &["--format", "{{.Status}} {{.ContainerExitCode}}"]);
    let dockers = told("docker", &["--format", "{{.Status}} {{.Actor.Attributes.exitCode}}"]);
    assert!(podmans.contains("died 3\n") && podmans.ends_with("remove \n"), "{podmans}");
    assert!(dockers.contains("die 3\n") && dockers.ends_with("destroy <no value>\n"), "{dockers}");
    let line = told("podman", &["--filter", "event=died", "--format", "json"]);
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&object["Status"], &object["ContainerExitCode"]), (&json!("died"), &json!(3)));
    assert_eq!((&object["Name"], &object["Attributes"]), (&json!("web"), &json!({ "a": "b" })));
    let text = told("podman", &["--filter", "event=died"]);
    assert!(text.contains(" +0000 UTC container died ") && text.contains("name=web"), "{text}");
}

#[test]
fn a_container_is_inspected_as_each_knows_it() {
    needs_root!();
    let dhow = with_box();
    let create = ["create", "--name", "web", "-v", "data:/data", "-e", "A=b", "box", "true"];
    drop(dhow.run(&create).ok());

    let podmans = json_of(under("podman", &dhow, &["inspect", "web"]));
    let dockers = json_of(under("docker", &dhow, &["inspect", "web"]));

    assert_eq!((&podmans[0]["Name"], &dockers[0]["Name"]), (&json!("web"), &json!("/web")));
    assert_eq!(podmans[0]["ImageName"], json!("box:latest"));
    assert_eq!(
        format!("sha256:{}", podmans[0]["Image"].as_str().unwrap()),
        dockers[0]["Image"].as_str().unwrap()
    );
    assert_eq!(podmans[0]["State"]["Status"], json!("created"));
    assert_eq!(podmans[0]["State"]["ConmonPid"], json!(0));
    assert_eq!(podmans[0]["Mounts"][0]["Name"], json!("data"));
    assert!(podmans[0]["EffectiveCaps"].as_array().unwrap().contains(&json!("CAP_CHOWN")));
    assert_eq!(podmans[0]["Config"]["Umask"], json!("0022"));
    assert_eq!(dockers[0].get("ImageName"), None);
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn volumes_obey_the_rules_of_the_name() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["volume", "create", "data"]).ok());

    assert_eq!(under("docker", &dhow, &["volume", "create", "data"]).ok().line(), "data");
    let again = under("podman", &dhow, &["volume", "create", "data"]).exits(125);
    assert!(again.stderr.contains("there is one of this name"), "{}", again.stderr);
    drop(under("podman", &dhow, &["volume", "create", "--ignore", "data"]).ok());

    drop(dhow.run(&["create", "--name", "user", "-v", "data:/data", "box", "true"]).ok());
    drop(under("docker", &dhow, &["volume", "rm", "-f", "data"]).exits(1));
    drop(under("podman", &dhow, &["volume", "rm", "-f", "data"]).ok());
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");

    drop(dhow.run(&["volume", "create", "named"]).ok());
    drop(under("docker", &dhow, &["volume", "prune", "-f"]).ok());
    assert_eq!(dhow.run(&["volume", "ls", "-q"]).ok().stdout, "named\n");
    drop(under("podman", &dhow, &["volume", "prune", "-f"]).ok());
    assert_eq!(dhow.run(&["volume", "ls", "-q"]).ok().stdout, "");
    dhow.assert_clean();
}

#[test]
fn files_are_whose_the_name_says_they_are() {
    needs_root!();
    let dhow = with_box();
    let sleep = ["run", "-d", "-q", "--name", "web", "box", "sleep", "1000"];
    drop(dhow.run(&sleep).ok());
    let file = dhow.directory().join("file");
    fs::write(&file, "content").unwrap();
    chown(&file, Some(123), Some(456)).unwrap();
    let owner = |path: &str| dhow.run(&["exec", "web", "stat", "-c", "%u:%g", path]).ok().stdout;

    drop(under("docker", &dhow, &["cp", "file", "web:/docker"]).ok());
    drop(under("podman", &dhow, &["cp", "file", "web:/podman"]).ok());
    assert_eq!((owner("/docker"), owner("/podman")), ("123:456\n".into(), "0:0\n".into()));

    drop(under("docker", &dhow, &["cp", "web:/docker", "out-docker"]).ok());
    drop(under("podman", &dhow, &["cp", "web:/docker", "out-podman"]).ok());
    let uid = |name: &str| fs::metadata(dhow.directory().join(name)).unwrap().uid();
    assert_eq!((uid("out-docker"), uid("out-podman")), (0, 123));

    let running = under("podman", &dhow, &["rm", "web"]);
    assert_eq!(running.code, 2, "{}", running.stderr);
    assert_eq!(under("docker", &dhow, &["rm", "web"]).code, 1);
    let top = under("podman", &dhow, &["top", "web"]).ok().stdout;
    assert!(top.starts_with("USER"), "{top}");
    let top = under("docker", &dhow, &["top", "web"]).ok().stdout;
    assert!(top.starts_with("UID"), "{top}");
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_tmpfs_begins_with_what_it_hides_for_podman() {
    needs_root!();
    let dhow = with_box();
    let list = |name: &str, mount: &[&str]| {
        let words = [&["run", "--rm"], mount, &["box", "ls", "/bin"]].concat();
        under(name, &dhow, &words).stdout.lines().count()
    };

    // Where nothing is copied up there is no program to list what is there.
    for mount in [["--tmpfs", "/bin:exec"], ["--mount", "type=tmpfs,target=/bin,exec"]] {
        assert_eq!(list("docker", &mount), 0, "{mount:?}");
        assert!(list("podman", &mount) > 0, "{mount:?}");
    }
    dhow.assert_clean();
}

#[test]
fn flags_before_the_command_are_known_and_not_swallowed() {
    let dhow = Dhow::new();
    let cases: [(&str, &[&str], Option<&str>); 5] = [
        ("docker", &["-H", "unix:///run/docker.sock", "ps", "-q"], None),
        ("docker", &["-H", "ssh://there", "ps"], Some("--host: the work is done in this process")),
        ("podman", &["--remote", "ps"], Some("--remote: the work is done in this process")),
        ("podman", &["--cgroup-manager", "systemd", "ps"], Some("--cgroup-manager: ")),
        ("podman", &["--log-level", "debug", "--events-backend", "file", "ps", "-q"], None),
    ];
    for (name, arguments, refusal) in cases {
        let outcome = under(name, &dhow, arguments);
        match refusal {
            None => assert_eq!(outcome.ok().stdout, ""),
            Some(text) => {
                assert_eq!(outcome.code, 125, "{arguments:?}");
                assert!(outcome.stderr.contains(text), "{}", outcome.stderr);
            }
        }
    }
    let told = under("podman", &dhow, &["--events-backend", "file", "ps", "-q"]).ok().stderr;
    assert!(told.contains("--events-backend means nothing here"), "{told}");
}
