//! Bad input: one line that names the object and the cause, the right exit code, nothing left.

use crate::fixture::{layout, start, with_box};
use dhow_testkit::{
    Access, Dhow, Outcome, Registry, Transport,
    image::{Compression, Image, Layout},
    needs_root, needs_tool,
    registry::{PASSWORD, USER},
};
use std::fs;

/// One `error:` line, perhaps a `hint:` line, nothing on standard output.
pub(crate) fn assert_one_line(outcome: &Outcome, words: &[&str]) {
    let errors: Vec<&str> =
        outcome.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one error line by {outcome}");
    for word in words {
        assert!(errors[0].contains(word), "{word:?} in {:?}", errors[0]);
    }
    let strange = outcome.stderr.lines().find(|line| {
        !["error: ", "hint: ", "note: ", "warning: "].iter().any(|start| line.starts_with(start))
    });
    assert_eq!(strange, None, "of {outcome}");
    assert_eq!(outcome.stdout, "", "of {outcome}");
}

/// No container, no image, and a doctor that is content.
pub(crate) fn assert_nothing_left(dhow: &Dhow) {
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    assert_eq!(dhow.run(&["images", "-q"]).ok().stdout, "");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_missing_image_is_named() {
    needs_root!();
    let dhow = Dhow::new();

    assert_one_line(
        &dhow.run(&["run", "-q", "--pull=never", "gone", "true"]).exits(125),
        &["gone"],
    );
    let layout = format!("oci:{}/gone", dhow.directory().display());
    assert_one_line(&dhow.run(&["pull", "-q", &layout]).exits(1), &["gone"]);
    assert_nothing_left(&dhow);
}

#[test]
fn a_wrong_platform_is_named() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let outcome = dhow.run(&["pull", "-q", "--platform", "linux/s390x", &layout.reference("box")]);

    assert_one_line(&outcome.exits(1), &["s390x"]);
    assert_nothing_left(&dhow);
}

#[test]
fn a_blob_that_is_not_what_its_digest_says_is_refused() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = Layout::new(&dhow.directory().join("bad")).unwrap();
    let layer = layout.layer_of_tar(&[0; 1024], Compression::Gzip).unwrap();
    layout.tag_image(&Image::new([layer.clone()]), "bad").unwrap();
    let blob = layout.blob(&layer.digest);
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&blob, bytes).unwrap();

    let outcome = dhow.run(&["pull", "-q", &layout.reference("bad")]).exits(1);

    assert_one_line(&outcome, &[layer.digest.short()]);
    assert_nothing_left(&dhow);
}

#[test]
fn a_truncated_layer_is_refused() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let largest = fs::read_dir(layout.path().join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let bytes = fs::read(&largest).unwrap();
    fs::write(&largest, &bytes[..bytes.len() / 2]).unwrap();

    let outcome = dhow.run(&["pull", "-q", &layout.reference("box")]).exits(1);

    assert_one_line(&outcome, &["box"]);
    assert_nothing_left(&dhow);
}

#[test]
fn an_unreachable_registry_is_named() {
    needs_root!();
    let dhow = Dhow::new();

    // Nobody listens on port 1.
    let outcome = dhow.run(&["pull", "-q", "127.0.0.1:1/a:1"]).exits(1);

    assert_one_line(&outcome, &["127.0.0.1:1"]);
    assert_nothing_left(&dhow);
}

#[test]
fn an_unauthorised_registry_is_named_and_takes_credentials() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let registry = Registry::start(Access::Basic, Transport::Plain).unwrap();
    registry.push(&layout.reference("box"), "box:1").unwrap();
    let name = registry.reference("box:1");

    let refused = dhow.run(&["pull", "-q", &name]).exits(1);
    assert_one_line(&refused, &[registry.address()]);
    assert_nothing_left(&dhow);

    let wrong = dhow.run(&["pull", "-q", "--creds", "someone:else", &name]).exits(1);
    assert_one_line(&wrong, &[registry.address()]);
    assert!(!wrong.stderr.contains("else"), "the password is shown: {wrong}");

    let pair = format!("{USER}:{PASSWORD}");
    drop(dhow.run(&["pull", "-q", "--creds", &pair, &name]).ok());
    drop(dhow.run(&["rmi", &name]).ok());
    fs::write(dhow.directory().join("auth.json"), registry.credentials()).unwrap();
    drop(dhow.run(&["pull", "-q", "--authfile", "auth.json", &name]).ok());
    assert_eq!(dhow.run(&["run", "--rm", "-q", &name, "echo", "hi"]).ok().stdout, "hi\n");
}

#[test]
fn a_full_disk_is_named_and_nothing_of_the_pull_stays() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let small = dhow.directory().join("small");
    fs::create_dir(&small).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=600k tmpfs {small} && {program} --root {small}/lib --runroot {small}/run \
         pull -q {image}; code=$?; df -k {small} | tail -1; umount {small}; exit $code",
        small = small.display(),
        program = dhow.program().display(),
        image = layout.reference("box"),
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);

    let outcome = dhow.finish(&mut command, b"").exits(1);

    drop(outcome.says("No space left on device").says("dhow system prune"));
}

#[test]
fn a_store_that_may_only_be_read_is_read_and_is_named_by_what_would_write() {
    needs_root!();
    let dhow = with_box();
    let run = |words: &str| {
        let script = format!(
            "mount --bind {root} {root} && mount -o remount,bind,ro {root} && \
             exec {program} --root {root} --runroot {runroot} {words}",
            root = dhow.root().display(),
            runroot = dhow.runroot().display(),
            program = dhow.program().display(),
        );
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]);
        dhow.finish(&mut command, b"")
    };

    assert_eq!(run("images -q").ok().stdout.lines().count(), 1);
    assert!(!run("save --format oci-archive box").ok().bytes.is_empty());
    for words in ["tag box other", "rmi box"] {
        drop(run(words).exits(1).says("Read-only file system").says("--root"));
    }
    assert_eq!(run("doctor").ok().stdout, "all is well\n");
}

#[test]
fn what_is_no_archive_is_told_what_would_be() {
    needs_root!();
    let dhow = Dhow::new();
    let file = dhow.directory().join("text");
    fs::write(&file, "no archive, ".repeat(100)).unwrap();
    let file = file.to_str().unwrap();

    drop(dhow.run(&["load", "-i", file]).exits(1).says("`dhow save`"));
    drop(dhow.run(&["import", file]).exits(1).says("tar file of a file system"));
    let daemon = ["image", "copy", "docker-daemon:box:1", "dir:/nowhere"];
    drop(dhow.run(&daemon).exits(1).says("docker save"));
    assert_nothing_left(&dhow);
}

#[test]
fn a_command_that_is_not_in_the_image_is_named() {
    needs_root!();
    let dhow = with_box();

    let outcome = dhow.run(&["run", "-q", "--rm", "box", "no-such-program"]).exits(127);

    assert_one_line(&outcome, &["no-such-program"]);
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    dhow.assert_clean();
}

#[test]
fn a_name_in_use_is_named() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);

    let outcome = dhow.run(&["run", "-q", "--name", "web", "box", "true"]).exits(125);

    assert_one_line(&outcome, &["web", "in use"]);
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout.lines().count(), 1);
}

#[test]
fn values_that_make_no_sense_are_shown_with_their_flags() {
    let dhow = Dhow::new();
    let cases: [&[&str]; 12] = [
        &["--memory", "12x"],
        &["--cpus", "many"],
        &["--volume", "a/b:/c"],
        &["--mount", "type=bogus"],
        &["--tmpfs", "relative"],
        &["--ulimit", "nofile"],
        &["--env", "=x"],
        &["--network", "front:colour=red"],
        &["--security-opt", "bogus"],
        &["--stop-signal", "BOGUS"],
        &["--detach-keys", "ctrl-1"],
        &["--name", "a/b"],
    ];
    for flags in cases {
        let outcome = dhow.run(&[&["run"], flags, &["box"]].concat()).exits(125);
        assert_one_line(&outcome, flags);
        assert!(outcome.stderr.contains("hint: "), "a hint for {flags:?}: {}", outcome.stderr);
    }
    assert!(!dhow.root().join("state.db").exists(), "nothing was made");
}

#[test]
fn what_comes_from_outside_does_not_steer_the_terminal() {
    let dhow = Dhow::new();

    let outcome = dhow.run(&["run", "--name", "\u{1b}[31mred\r\n", "box"]).exits(125);

    assert!(!outcome.stderr.contains(['\u{1b}', '\r']), "{:?}", outcome.stderr);
    assert_one_line(&outcome, &["red"]);
}
