//! Attack tests 21 to 23: what an image says of itself. Labels decide nothing, its environment is
//! taken as it stands, and its paths are looked up in the container alone.

use crate::fixture::{layout_of, start, with_box};
use dhow_testkit::{Canary, Dhow, image::Image, needs_root};
use serde_json::{Value, json};

/// An image of this name in the store.
fn pull(dhow: &Dhow, name: &str, change: impl FnOnce(Image) -> Image) {
    let layout = layout_of(dhow, name, change);
    drop(dhow.run(&["pull", "-q", &layout.reference(name)]).ok());
}

/// What a run would make, without what differs from run to run.
fn rehearsed(dhow: &Dhow, image: &str) -> Value {
    let line = ["run", "--dry-run", "--format", "json", "--name", "same", "-h", "same", image];
    let said = dhow.run(&line).ok();
    let mut document: Value = serde_json::from_str(&said.stdout).unwrap();
    let mut spec = document["spec"].take();
    spec["annotations"] = Value::Null;
    spec["root"] = Value::Null;
    spec["linux"]["cgroupsPath"] = Value::Null;
    let mounts = spec["mounts"].as_array_mut().unwrap();
    // The engine's own files lie in a directory that is called by the container's id.
    for mount in mounts.iter_mut().filter(|mount| mount["type"] == "bind") {
        mount["source"] = Value::Null;
    }
    spec
}

#[test]
fn labels_of_an_image_change_nothing() {
    needs_root!();
    let dhow = with_box();
    let labels = json!({
        "io.containers.autoupdate": "local",
        "io.podman.annotations.privileged": "TRUE",
        "io.podman.annotations.seccomp": "unconfined",
        "io.podman.annotations.userns": "host",
        "io.kubernetes.cri-o.userns-mode": "host",
        "io.kubernetes.cri-o.Devices": "/dev/vda",
        "io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel": "true",
        "io.kubernetes.container.name": "evil",
        "run.oci.hooks.stdout": "/tmp/evil",
        "run.oci.keep_original_groups": "1",
        "run.oci.handler": "wasm",
        "run.oci.systemd.subgroup": "../../evil",
        "module.wasm.image/variant": "compat",
        "containerd.io/restart.status": "running",
        "containerd.io/restart.loguri": "binary:///bin/sh?-c=id",
        "io.containerd.runc.v2.group": "evil",
        "cdi.k8s.io/evil": "vendor.com/class=all",
        "com.docker.compose.project": "evil",
        "org.opencontainers.image.ref.name": "evil",
        "org.systemd.property.AllowedCPUs": "0",
        "org.dhow.embedded": "hello",
        "dhow.pod": "evil",
        "PODMAN_SYSTEMD_UNIT": "evil.service",
        "RUN": "/bin/sh -c id",
    });
    pull(&dhow, "plain", |image| image.command(&["sleep", "1000"]));
    pull(&dhow, "labelled", |image| {
        image.command(&["sleep", "1000"]).set("Labels", labels.clone())
    });

    let plain = rehearsed(&dhow, "plain");
    let labelled = rehearsed(&dhow, "labelled");

    assert_eq!(plain, labelled);
    // Nor is a container of it updated by itself: the user has not asked for that.
    start(&dhow, &["--name", "web", "labelled"]);
    assert_eq!(dhow.run(&["auto-update", "--format", "{{.ContainerName}}"]).ok().stdout, "");
    assert_eq!(dhow.run(&["pod", "ps", "-q"]).ok().stdout, "");
    let shown = dhow.run(&["inspect", "-f", "{{.HostConfig.Privileged}}", "web"]).ok();
    assert_eq!(shown.line(), "false");
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn the_environment_of_an_image_is_taken_as_it_stands() {
    needs_root!();
    let dhow = with_box();
    let large = format!("LARGE={}", "x".repeat(100_000));
    let odd = json!(["*", "SECRET", "SECRET*", "=x", "A=B=C", "${SECRET}=1", "B=$SECRET", large]);
    pull(&dhow, "odd", |image| image.set("Env", odd));

    let mut command = dhow.command(&["run", "--rm", "-q", "odd", "env"]);
    command.env("SECRET", "of-the-host").env("SECRET_TOO", "of-the-host");
    let said = dhow.finish(&mut command, b"");

    assert!(!said.stdout.contains("of-the-host"), "{said}");
    let said = said.ok();
    assert!(said.stdout.lines().any(|line| line == "A=B=C"), "{said}");
    assert!(said.stdout.lines().any(|line| line == "B=$SECRET"), "{said}");
    assert!(said.stdout.contains(&large), "{}", said.stdout.len());
}

#[test]
fn an_environment_that_no_program_could_have_is_none_or_refused() {
    needs_root!();
    let dhow = with_box();
    pull(&dhow, "nul", |image| image.set("Env", json!(["A=b\u{0}c", "B=1"])));
    pull(&dhow, "huge", |image| image.set("Env", json!([format!("A={}", "x".repeat(1 << 20))])));

    let nul = dhow.run(&["run", "--rm", "-q", "nul", "env"]).ok();
    let huge = dhow.run(&["run", "--rm", "-q", "huge", "true"]);

    assert!(nul.stdout.contains("B=1\n") && !nul.stdout.contains("A="), "{nul}");
    // The kernel takes no word that is so long.
    assert!([125, 126].contains(&huge.code) && huge.stderr.starts_with("error: "), "{huge}");
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    dhow.assert_clean();
}

#[test]
fn paths_of_an_image_are_looked_up_in_the_container() {
    needs_root!();
    let dhow = with_box();
    let outside = dhow.directory().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let canary = Canary::hatch(&outside.join("canary")).unwrap();
    let root = dhow_testkit::rootfs::busybox().unwrap();
    std::os::unix::fs::symlink(&outside, root.path().join("link")).unwrap();
    std::os::unix::fs::symlink("../../../..", root.path().join("up")).unwrap();
    let layout = dhow_testkit::image::Layout::new(&dhow.directory().join("links")).unwrap();
    let layer = layout.layer_of(root.path(), dhow_testkit::image::Compression::Gzip).unwrap();
    let up = format!("/up{}/made", outside.display());
    let fields: [(&str, &str, Value); 6] = [
        ("workdir", "WorkingDir", json!("/link/made")),
        ("climbs", "WorkingDir", json!(up)),
        ("dots", "WorkingDir", json!("/../../../../link/../../made")),
        ("volume", "Volumes", json!({"/link/made": {}})),
        ("volumes", "Volumes", json!({"/../../up/made": {}, "/link": {}})),
        ("signal", "StopSignal", json!("SIGBOGUS/../../x")),
    ];
    for (name, field, value) in fields {
        let image = Image::new([layer.clone()]).command(&["sh", "-c", "pwd"]).set(field, value);
        layout.tag_image(&image, name).unwrap();
        drop(dhow.run(&["pull", "-q", &layout.reference(name)]).ok());

        // It runs inside, or it is refused by name.
        let ran = dhow.run(&["run", "--rm", "-q", name]);

        assert!(ran.code == 0 || ran.stderr.starts_with("error: "), "{name}: {ran}");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "{name}: {ran}");
        canary.assert_alive();
    }
    dhow.assert_clean();
}
