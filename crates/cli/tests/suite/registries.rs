//! `login`, `push`, `pull`, `logout`: a registry that not everybody may use.

use crate::fixture::with_box;
use dhow_testkit::{
    Access, Dhow, Registry, Transport,
    image::{Compression, Image, Layout},
    needs_root, needs_tool,
    registry::{PASSWORD, USER},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, thread, time::Duration};

fn log_in(dhow: &Dhow, registry: &Registry, file: &str, password: &str) -> dhow_testkit::Outcome {
    let arguments =
        ["login", "--authfile", file, "-u", USER, "--password-stdin", registry.address()];
    dhow.run_with_input(&arguments, format!("{password}\n").as_bytes())
}

fn path(dhow: &Dhow, name: &str) -> String {
    dhow.directory().join(name).display().to_string()
}

#[test]
fn who_has_logged_in_may_push_and_pull_until_they_log_out() {
    needs_root!();
    needs_tool!("docker-registry", "htpasswd");
    for access in [Access::Basic, Access::Token] {
        let dhow = with_box();
        let registry = Registry::start(access, Transport::Plain).unwrap();
        let (file, name) = (path(&dhow, "new/auth.json"), registry.reference("team/box:1"));
        let with = |command: &str, more: &[&str]| {
            dhow.run(&[&[command, "--authfile", &file], more].concat())
        };

        assert_eq!(with("push", &["box", &name]).code, 1);
        drop(log_in(&dhow, &registry, &file, "wrong").says("log in to"));
        assert!(!Path::new(&file).exists(), "a wrong password was kept");
        drop(log_in(&dhow, &registry, &file, PASSWORD).ok().says("logged in to"));
        let pushed = with("push", &["-q", "box", &name]).ok();
        drop(dhow.run(&["rmi", "box"]).ok());
        drop(with("pull", &["-q", &name]).ok());

        let digest = pushed.line().rsplit_once('@').unwrap().1;
        assert!(digest.starts_with("sha256:"), "{}", pushed.stdout);
        assert_eq!(with("login", &["--get-login", registry.address()]).ok().line(), USER);
        let kept = fs::read_to_string(&file).unwrap();
        assert!(!kept.contains(PASSWORD), "{kept}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        drop(with("login", &[registry.address()]).ok().says("kept before"));
        drop(with("logout", &[registry.address()]).ok().says("logged out"));
        assert_eq!(with("logout", &[registry.address()]).code, 1);
        assert_eq!(with("pull", &[&name]).code, 1);
    }
}

#[test]
fn a_push_goes_where_it_is_told_and_says_what_it_did() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let dhow = with_box();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let (one, two) = (registry.reference("a:1"), registry.reference("a:2"));
    let file = path(&dhow, "digest");
    drop(dhow.run(&["tag", "box", &one, &two]).ok());

    let first = dhow.run(&["push", "--digestfile", &file, &one]).ok().says("pushing to");
    let again = dhow.run(&["image", "push", &one]).ok().says("there already");
    let all = dhow.run(&["push", "-q", "--all-tags", &registry.reference("a")]).ok();

    let digest = fs::read_to_string(&file).unwrap();
    assert_eq!(first.stdout, format!("{one}@{digest}\n"));
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(all.stdout, format!("{one}@{digest}\n{two}@{digest}\n"));
    assert_eq!(all.stderr, "");
    let refused = [
        vec!["push", "nothing"],
        vec!["push", "box"],
        vec!["push", "--all-tags", &one],
        vec!["push", "--all-tags", "nothing"],
        vec!["push", "box", "https://registry.example/a"],
        vec!["push", "--creds", "nocolon", "box", &one],
    ];
    for arguments in refused {
        let outcome = dhow.run(&arguments);
        assert!(outcome.code != 0 && outcome.stderr.contains("error: "), "{outcome}");
        assert_eq!(outcome.stdout, "", "{outcome}");
    }
}

#[test]
fn a_helper_program_keeps_what_the_file_says_it_keeps() {
    needs_root!();
    needs_tool!("docker-registry", "htpasswd");
    let dhow = with_box();
    let registry = Registry::start(Access::Basic, Transport::Plain).unwrap();
    let (file, kept) = (path(&dhow, "config.json"), path(&dhow, "kept"));
    fs::write(&file, r#"{"credsStore":"dhow-suite","other":1}"#).unwrap();
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat > {kept};;\nget) cat {kept} 2>/dev/null || \
         {{ echo credentials not found in native keychain; exit 1; }};;\nerase) rm {kept};;\nesac\n"
    );
    let program = dhow.directory().join("docker-credential-dhow-suite");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |arguments: &[&str], input: &str| {
        let mut command = dhow.command(arguments);
        command.env("PATH", format!("{}:/usr/bin:/bin", dhow.directory().display()));
        dhow.finish(&mut command, input.as_bytes())
    };
    let (address, name) = (registry.address(), registry.reference("box:1"));

    let login = ["login", "--compat-auth-file", &file, "-u", USER, "--password-stdin", address];
    drop(run(&login, PASSWORD).ok());
    let secret = fs::read_to_string(&kept).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    drop(run(&["push", "-q", "--authfile", &file, "box", &name], "").ok());
    drop(run(&["logout", "--compat-auth-file", &file, address], "").ok());

    assert!(secret.contains(PASSWORD) && secret.contains(address), "{secret}");
    assert!(!text.contains("auth\":") && text.contains("\"other\": 1"), "{text}");
    assert!(!Path::new(&kept).exists());
    assert_eq!(run(&["push", "-q", "--authfile", &file, "box", &name], "").code, 1);
}

#[test]
fn a_password_is_typed_unseen() {
    needs_root!();
    needs_tool!("docker-registry", "htpasswd");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Basic, Transport::Plain).unwrap();
    let file = path(&dhow, "auth.json");

    let mut terminal = dhow.terminal(&["login", "--authfile", &file, registry.address()]);
    terminal.expect("Name for");
    terminal.send(&format!("{USER}\n"));
    terminal.expect("Password of");
    terminal.send(&format!("{PASSWORD}\n"));
    terminal.expect("logged in to");

    assert_eq!(terminal.end(), 0);
    assert!(Path::new(&file).exists());
    let nobody = dhow.run(&["login", "--authfile", &file, "registry.example"]);
    assert!(nobody.stderr.contains("--password-stdin"), "{nobody}");
}

#[test]
fn a_pull_asks_the_registry_when_it_is_told_to() {
    needs_root!();
    needs_tool!("docker-registry");
    let dhow = with_box();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let name = registry.reference("box:1");
    drop(dhow.run(&["push", "-q", "box", &name]).ok());

    let never = dhow.run(&["pull", "--policy", "never", &name]);
    drop(dhow.run(&["pull", "-q", "--policy", "missing", &name]).ok());
    let before = registry.requests().len();
    drop(dhow.run(&["pull", "-q", "--policy", "missing", &name]).ok());
    let after = registry.requests().len();
    drop(registry);
    drop(dhow.run(&["pull", "-q", "--policy", "newer", &name]).ok());
    drop(dhow.run(&["run", "--rm", "-q", "--pull", "newer", &name, "true"]).ok());
    let always = dhow.run(&["pull", "-q", &name]);

    assert_eq!((never.code, always.code), (1, 1));
    assert_eq!(before, after, "what was here was asked for");
}

#[test]
fn a_killed_push_leaves_nothing_here_and_the_next_one_succeeds() {
    needs_root!();
    needs_tool!("docker-registry");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let root = dhow.directory().join("large");
    fs::create_dir(&root).unwrap();
    for number in 0..4_u8 {
        fs::write(root.join(number.to_string()), vec![number; 8 << 20]).unwrap();
    }
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let layer = layout.layer_of(&root, Compression::Plain).unwrap();
    layout.tag_image(&Image::new([layer]), "large").unwrap();
    drop(dhow.run(&["pull", "-q", &layout.reference("large")]).ok());
    let name = |number: u64| registry.reference(&format!("large{number}:1"));

    for number in 0..8 {
        let mut push = dhow.command(&["push", "-q", "large", &name(number)]);
        let mut child = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(number * number * 3));
        child.kill().unwrap();
        child.wait().unwrap();

        drop(dhow.run(&["doctor"]).ok());
        drop(dhow.run(&["push", "-q", "large", &name(number)]).ok());
        drop(dhow.run(&["push", "large", &name(number)]).ok().says("there already"));
    }
}
