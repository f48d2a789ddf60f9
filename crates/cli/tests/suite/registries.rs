//! `login`, `push`, `pull`, `logout`: a registry that not everybody may use.

use crate::fixture::with_box;
use dhow_testkit::{
    Access, Dhow, Registry, Transport,
    image::{Compression, Image, Layout},
    needs_root, needs_tool,
    registry::{IDENTITY, PASSWORD, USER},
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
fn a_password_is_taken_from_a_secret() {
    needs_root!();
    needs_tool!("docker-registry", "htpasswd");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Basic, Transport::Plain).unwrap();
    let file = path(&dhow, "auth.json");
    drop(dhow.run_with_input(&["secret", "create", USER, "-"], PASSWORD.as_bytes()).ok());
    drop(dhow.run_with_input(&["secret", "create", "wrong", "-"], b"another").ok());
    let login = |more: &[&str]| {
        dhow.run(&[&["login", "--authfile", &file], more, &[registry.address()]].concat())
    };

    drop(login(&["-u", USER, "--secret", "wrong"]).exits(1).says("401"));
    drop(login(&["-u", USER, "--secret", "gone"]).exits(1).says("no such secret: gone"));
    assert!(!Path::new(&file).exists());
    drop(login(&["-u", USER, "--secret", USER]).ok());
    assert_eq!(login(&["--get-login"]).ok().line(), USER);
    fs::remove_file(&file).unwrap();
    drop(login(&["--secret", USER]).ok());
    assert_eq!(login(&["--get-login"]).ok().line(), USER);
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
    let run = with_helper(&dhow, &kept);
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

/// A helper program that keeps one secret in a file, and a way to run dhow with it.
fn with_helper<'a>(
    dhow: &'a Dhow,
    kept: &str,
) -> impl Fn(&[&str], &str) -> dhow_testkit::Outcome + 'a {
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat > {kept};;\nget) cat {kept} 2>/dev/null || \
         {{ echo credentials not found in native keychain; exit 1; }};;\nerase) rm {kept};;\nesac\n"
    );
    let program = dhow.directory().join("docker-credential-dhow-suite");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    |arguments, input| {
        let mut command = dhow.command(arguments);
        command.env("PATH", format!("{}:/usr/bin:/bin", dhow.directory().display()));
        dhow.finish(&mut command, input.as_bytes())
    }
}

#[test]
fn an_identity_token_is_kept_in_place_of_the_password() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let dhow = with_box();
    let registry = Registry::start(Access::Identity, Transport::Plain).unwrap();
    let (file, helped) = (path(&dhow, "auth.json"), path(&dhow, "config.json"));
    let (kept, name) = (path(&dhow, "kept"), registry.reference("team/box:1"));
    fs::write(&helped, r#"{"credsStore":"dhow-suite"}"#).unwrap();
    let run = with_helper(&dhow, &kept);
    let log_in = |flag: &str, file: &str| {
        let login = ["login", flag, file, "-u", USER, "--password-stdin", registry.address()];
        drop(run(&login, PASSWORD).ok());
    };

    log_in("--authfile", &file);
    log_in("--compat-auth-file", &helped);
    let shown = registry.passwords_shown();
    drop(run(&["push", "-q", "--authfile", &file, "box", &name], "").ok());
    drop(run(&["rmi", "box"], "").ok());
    drop(run(&["pull", "-q", "--authfile", &helped, &name], "").ok());
    let who =
        |file: &str| run(&["login", "--get-login", "--authfile", file, registry.address()], "");

    let text: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let entry = &text["auths"][registry.address()];
    assert_eq!(entry["identitytoken"], IDENTITY);
    // The password's place is empty: this is "someone:".
    assert_eq!(entry["auth"], "c29tZW9uZTo=");
    let secret: serde_json::Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert_eq!((&secret["Username"], &secret["Secret"]), (&"<token>".into(), &IDENTITY.into()));
    assert_eq!((who(&file).ok().line(), who(&helped).ok().line()), (USER, "<token>"));
    assert_eq!(registry.passwords_shown(), shown, "the password was shown again");
    let mut inspect = std::process::Command::new("skopeo");
    inspect.args(["inspect", "--raw", "--tls-verify=false", "--authfile", &file]);
    inspect.arg(format!("docker://{name}"));
    drop(dhow_testkit::outcome::run_ok(&mut inspect, dhow_testkit::outcome::LIMIT).unwrap());
}

/// The server wants the latest of its identity tokens: it stands in the file, or with the helper, when the
/// command has ended, and what else stands there is as it was.
#[test]
fn another_identity_token_takes_the_place_of_the_one_that_was_used() {
    needs_root!();
    needs_tool!("docker-registry");
    let dhow = with_box();
    let registry = Registry::start(Access::ChangingIdentity, Transport::Plain).unwrap();
    let (file, helped) = (path(&dhow, "auth.json"), path(&dhow, "config.json"));
    let kept = path(&dhow, "kept");
    fs::write(&file, r#"{"auths":{"other.example":{"identitytoken":"its own"}},"mine":1}"#)
        .unwrap();
    fs::write(&helped, r#"{"credsStore":"dhow-suite"}"#).unwrap();
    let run = with_helper(&dhow, &kept);
    let json = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let in_file = || json(&file)["auths"][registry.address()]["identitytoken"].clone();
    let with_helper = || json(&kept)["Secret"].clone();
    let shown: &dyn Fn() -> serde_json::Value = &in_file;

    for (flag, place, shown) in
        [("--authfile", &file, shown), ("--compat-auth-file", &helped, &with_helper)]
    {
        let login = ["login", flag, place, "-u", USER, "--password-stdin", registry.address()];
        drop(run(&login, PASSWORD).ok());
        let mut last = shown();
        assert!(last.as_str().unwrap().starts_with(IDENTITY), "{last}");
        let passwords = registry.passwords_shown();
        for tag in ["1", "2"] {
            let name = registry.reference(&format!("team/box:{tag}"));
            drop(run(&["push", "-q", "--authfile", place, "box", &name], "").ok());
            drop(
                run(&["image", "inspect", "--authfile", place, &format!("docker://{name}")], "")
                    .ok(),
            );
            let now = shown();
            assert_ne!(now, last);
            last = now;
        }
        assert_eq!(registry.passwords_shown(), passwords, "the password was shown again");
    }

    let text = json(&file);
    assert_eq!(
        (&text["mine"], &text["auths"]["other.example"]["identitytoken"]),
        (&1.into(), &"its own".into())
    );
    // What cannot be kept is told: the old one is good no more.
    let program = dhow.directory().join("docker-credential-dhow-suite");
    let script = fs::read_to_string(&program).unwrap().replace("store)", "store) exit 1; ");
    fs::write(&program, script).unwrap();
    let name = registry.reference("team/box:3");
    drop(run(&["push", "-q", "--authfile", &helped, "box", &name], "").ok().says("log in again"));
}

#[test]
fn somebody_at_a_terminal_chooses_what_a_short_name_means_once() {
    needs_root!();
    needs_tool!("docker-registry", "unshare");
    let dhow = with_box();
    let (one, two) = (
        Registry::start(Access::Open, Transport::Plain).unwrap(),
        Registry::start(Access::Open, Transport::Plain).unwrap(),
    );
    for registry in [&one, &two] {
        drop(dhow.run(&["push", "-q", "box", &registry.reference("tool:1")]).ok());
    }
    let conf = path(&dhow, "registries.conf");
    fs::write(
        &conf,
        format!(
            "short-name-mode = \"enforcing\"\nunqualified-search-registries = [\"{}\", \"{}\"]\n",
            one.address(),
            two.address()
        ),
    )
    .unwrap();
    // The file of choices is the machine's: here it lies on a tmpfs that only this script sees.
    let own = format!(
        "{} --root {} --runroot {}",
        dhow.program().display(),
        dhow.root().display(),
        dhow.runroot().display()
    );
    let script = format!(
        "mount -t tmpfs none /var/cache && {own} pull tool:1 </dev/null; echo code $?; \
         {own} pull -q tool:1 && {own} rmi {two} && cat /var/cache/containers/*.conf && \
         {own} run --rm -q --network none tool:1 echo was-not-asked; \
         {own} images --format '{{{{.Repository}}}}'",
        two = two.reference("tool:1"),
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]).env("CONTAINERS_REGISTRIES_CONF", &conf);

    let mut terminal = dhow_testkit::Terminal::start(&command).unwrap();

    terminal.expect("enforced but cannot prompt without a TTY");
    terminal.expect("code 1");
    terminal.expect("Which image is tool:1?");
    terminal.expect(&format!("1  {}", one.reference("tool:1")));
    terminal.expect(&format!("2  {}", two.reference("tool:1")));
    terminal.send("7\r").expect("A number from 1 to 2:");
    terminal.send("2\r");
    terminal.expect(&format!("\"tool\" = \"{}\"", two.reference("tool")));
    terminal.expect("was-not-asked");
    terminal.expect(&two.reference("tool"));
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_name_that_no_registry_of_several_has_is_told_with_what_each_says() {
    needs_root!();
    needs_tool!("docker-registry");
    let dhow = Dhow::new();
    let here = Registry::start(Access::Open, Transport::Plain).unwrap();
    let conf = path(&dhow, "registries.conf");
    // Nobody listens on port 1.
    let text = format!(
        "short-name-mode = \"disabled\"\nunqualified-search-registries = [\"{}\", \"127.0.0.1:1\"]\n",
        here.address()
    );
    fs::write(&conf, text).unwrap();
    let mut pull = dhow.command(&["pull", "-q", "no-such-tool"]);
    pull.env("CONTAINERS_REGISTRIES_CONF", &conf);

    let refused = dhow.finish(&mut pull, b"").exits(1);

    let first = here.reference("no-such-tool:latest");
    let error = refused.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
    let neither = error.find("neither from 127.0.0.1:1/no-such-tool:latest (").expect(error);
    let nor = error.find(&format!("nor from {first}: ")).expect(error);
    assert!(neither < nor, "{error}");
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
fn all_tags_of_a_repository_come_and_are_listed_in_any_order() {
    needs_root!();
    needs_tool!("docker-registry");
    let dhow = with_box();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let repository = registry.reference("team/box");
    for tag in ["b", "a", "c"] {
        let name = format!("{repository}:{tag}");
        drop(dhow.run(&["push", "-q", "--retry", "0", "--remove-signatures", "box", &name]).ok());
    }
    drop(dhow.run(&["rmi", "-af"]).ok());

    let pulled = dhow.run(&["pull", "-q", "--all-tags", &repository]).ok();

    assert_eq!(pulled.stdout.lines().count(), 3, "{pulled}");
    let list = ["images", "--noheading", "--sort", "tag", "--format", "table {{.Tag}}"];
    assert_eq!(dhow.run(&list).ok().stdout, "a\nb\nc\n");
    let one = format!("{repository}:a");
    drop(dhow.run(&["pull", "-q", "-a", &one]).exits(1).says("one image, not a repository"));
    let other = dhow.run(&["pull", "-q", "--arch", "s390x", &one]).exits(1);
    assert!(other.stderr.contains("s390x"), "{other}");
    drop(dhow.run(&["rmi", "--ignore", "nobody", &one]).ok());
    drop(dhow.run(&["rmi", "nobody"]).exits(1));
    drop(dhow.run(&["manifest", "rm", "--ignore", "nobody"]).ok());
    drop(dhow.run(&["pull", "--disable-content-trust", &one]).exits(125).says("leave it out"));
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
