//! The whole way: a Debian made by mmdebstrap, pushed by skopeo to a real registry, pulled, run, and
//! read back from our store by other tools.

use dhow_testkit::{
    Access, Dhow, Registry, Transport, image::Layout, needs_root, needs_tool, rootfs,
};
use std::process::{Command, Stdio};

/// Pushes an image, pulls it by its registry name, and gives that name.
fn pulled(dhow: &Dhow, registry: &Registry, layout: &Layout, tag: &str) -> String {
    let name = format!("{tag}:1");
    registry.push(&layout.reference(tag), &name).unwrap();
    let reference = registry.reference(&name);
    drop(dhow.run(&["pull", "-q", &reference]).ok());
    reference
}

/// What a program prints in a new container of the image.
fn printed(dhow: &Dhow, image: &str, command: &[&str]) -> String {
    let run = ["run", "--rm", "--network", "none", image];
    dhow.run(&[&run, command].concat()).ok().stdout
}

#[test]
fn a_debian_goes_from_a_registry_to_a_running_container_and_is_read_back() {
    needs_root!();
    needs_tool!("mmdebstrap", "docker-registry", "skopeo", "umoci");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let layout = rootfs::debian_image().unwrap();

    let image = pulled(&dhow, &registry, &layout, "debian");

    assert!(printed(&dhow, &image, &["cat", "/etc/os-release"]).contains("ID=debian"));
    assert!(printed(&dhow, &image, &["apt-get", "--version"]).starts_with("apt "));
    let mut terminal = dhow.terminal(&["run", "-it", "--rm", "-q", &image, "bash", "--norc"]);
    terminal.send("echo $((6 * 7)) $(tty)\r").expect("42 /dev/pts/");
    terminal.send("exit 5\r");
    assert_eq!(terminal.end(), 5);

    let original = skopeo_digest(&layout.reference("debian"));
    let stored = format!("oci:{}:{image}", dhow.root().join("content").display());
    assert_eq!(skopeo_digest(&stored), original);
    // umoci takes what follows the first colon for the tag, so it is given a copy with a plain one.
    let copy = dhow.directory().join("copy");
    tool(
        "skopeo",
        &["--insecure-policy", "copy", "-q", &stored, &format!("oci:{}:debian", copy.display())],
    );
    let bundle = dhow.directory().join("bundle").display().to_string();
    tool("umoci", &["unpack", "--image", &format!("{}:debian", copy.display()), &bundle]);
    let theirs = std::fs::read_to_string(format!("{bundle}/rootfs/usr/lib/os-release")).unwrap();
    assert_eq!(printed(&dhow, &image, &["cat", "/usr/lib/os-release"]), theirs);
}

/// What a tool prints; it must succeed.
fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn skopeo_digest(reference: &str) -> String {
    tool("skopeo", &["--insecure-policy", "inspect", "--format", "{{.Digest}}", reference])
}

#[test]
fn a_python_of_400_megabytes_runs_ten_times_at_once() {
    needs_root!();
    needs_tool!("mmdebstrap", "docker-registry", "skopeo");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Basic, Transport::Plain).unwrap();
    let layout = rootfs::python_image().unwrap();
    registry.push(&layout.reference("python"), "python:1").unwrap();
    let reference = registry.reference("python:1");
    let accounts = dhow.directory().join("auth.json");
    std::fs::write(&accounts, registry.credentials()).unwrap();
    let mut pull = dhow.command(&["pull", "-q", &reference]);
    drop(dhow.finish(pull.env("REGISTRY_AUTH_FILE", &accounts), b"").ok());

    let runs: Vec<_> = (0..10)
        .map(|number| {
            let program = format!("print(sum(range({number} + 1)))");
            let words = ["run", "--rm", "--network", "none", &reference, "python3", "-c", &program];
            dhow.command(&words).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let sums: Vec<_> = runs
        .into_iter()
        .map(|run| String::from_utf8(run.wait_with_output().unwrap().stdout).unwrap())
        .collect();

    for (number, sum) in sums.iter().enumerate() {
        assert_eq!(sum.trim(), (number * (number + 1) / 2).to_string());
    }
}
