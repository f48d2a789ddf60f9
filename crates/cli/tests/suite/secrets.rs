//! `secret …` and `--secret`: a container gets it, and nobody else sees it.

use crate::fixture::{start, with_box};
use dhow_testkit::{Dhow, needs_root};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const CONTENT: &str = "t0p-s3cret-content";

fn with_secret() -> Dhow {
    let dhow = with_box();
    drop(
        dhow.run_with_input(&["secret", "create", "-l", "tier=db", "key", "-"], CONTENT.as_bytes())
            .ok(),
    );
    dhow
}

/// The files below a directory that hold the content.
fn holders(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            found.extend(holders(&path));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            if bytes.windows(CONTENT.len()).any(|window| window == CONTENT.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_secret_is_made_listed_and_removed() {
    needs_root!();
    let dhow = with_secret();

    let listed =
        dhow.run(&["secret", "ls", "--format", "{{.ID}} {{.Name}} {{.Driver}}"]).ok().stdout;
    let id = listed.split(' ').next().unwrap().to_owned();

    assert_eq!((id.len(), listed.contains(" key file")), (25, true), "{listed}");
    let shown = dhow.run(&["secret", "inspect", &id[..10]]).ok().stdout;
    assert!(shown.contains("\"tier\": \"db\"") && !shown.contains(CONTENT), "{shown}");
    let asked = dhow.run(&["secret", "inspect", "--showsecret", "key"]).ok().stdout;
    assert!(asked.contains(CONTENT), "{asked}");
    drop(dhow.run_with_input(&["secret", "create", "key", "-"], b"x").exits(1).says("--replace"));
    let kept = dhow.run_with_input(&["secret", "create", "--ignore", "key", "-"], b"x").ok();
    let there = dhow.run(&["secret", "inspect", "--format", "{{.ID}}", "key"]).ok();
    assert_eq!(kept.line(), there.line());
    drop(dhow.run_with_input(&["secret", "create", "--replace", "key", "-"], b"new").ok());
    assert_eq!(dhow.run(&["secret", "ls", "-q"]).ok().line(), id, "it is the same secret");
    drop(dhow.run_with_input(&["secret", "create", "empty", "-"], b"").exits(1).says("0 bytes"));
    drop(dhow.run(&["secret", "create", "-d", "pass", "x", "/dev/null"]).exits(1).says("pass"));
    drop(dhow.run(&["secret", "exists", "key"]).ok());
    drop(dhow.run(&["secret", "rm", "key"]).ok());
    drop(dhow.run(&["secret", "exists", "key"]).exits(1));
    drop(dhow.run(&["secret", "rm", "key"]).exits(1).says("no such secret"));
    assert_eq!(holders(&dhow.root()), [""; 0]);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_container_gets_it_as_a_file_or_as_a_variable() {
    needs_root!();
    let dhow = with_secret();
    let run = |secret: &[&str], script: &str| {
        let arguments = [&["run", "--rm", "-q"], secret, &["box", "sh", "-c", script]].concat();
        dhow.run(&arguments)
    };

    let file = run(
        &["--secret", "key"],
        "cat /run/secrets/key; stat -c ' %u:%g %a' /run/secrets/key; touch /run/secrets/key || echo no",
    );
    let placed = run(
        &["--secret", "key,target=/other/place,uid=5,gid=6,mode=0400"],
        "cat /other/place; stat -c ' %u:%g %a' /other/place",
    );
    let variable = run(&["--secret", "key,type=env,target=KEY"], "echo $KEY");
    let missing = run(&["--secret", "nothing"], "true");

    assert_eq!(file.ok().stdout, format!("{CONTENT} 0:0 444\nno\n"));
    assert_eq!(placed.ok().stdout, format!("{CONTENT} 5:6 400\n"));
    assert_eq!(variable.ok().stdout, format!("{CONTENT}\n"));
    drop(missing.exits(125).says("nothing"));
}

#[test]
fn it_is_nowhere_but_in_its_files() {
    needs_root!();
    let dhow = with_secret();
    let arguments =
        ["--name", "c", "--secret", "key", "--secret", "key,type=env", "box", "sleep", "100"];
    let id = start(&dhow, &arguments);

    let held = holders(&dhow.root());
    let run_files = holders(&dhow.runroot());
    let inspected = dhow.run(&["inspect", "c"]).ok().stdout;
    let inside = dhow.run(&["exec", "c", "sh", "-c", "echo $key"]).ok().stdout;

    let allowed = ["/secrets/", &format!("/containers/{id}/secrets/")[..]];
    for path in &held {
        assert!(allowed.iter().any(|place| path.contains(place)), "{path}");
    }
    assert_eq!(run_files, [""; 0]);
    assert!(!inspected.contains(CONTENT));
    assert_eq!(inside, format!("{CONTENT}\n"));
    for directory in ["secrets".to_owned(), format!("containers/{id}/secrets")] {
        let mode = fs::metadata(dhow.root().join(directory)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
    drop(dhow.run(&["rm", "-f", "c"]).ok());
    assert_eq!(holders(&dhow.root()).len(), 1);
}

#[test]
fn a_container_keeps_what_it_was_created_with() {
    needs_root!();
    let dhow = with_secret();
    let create =
        ["create", "-q", "--name", "c", "--secret", "key", "box", "cat", "/run/secrets/key"];
    drop(dhow.run(&create).ok());
    drop(dhow.run(&["secret", "rm", "key"]).ok());

    assert_eq!(dhow.run(&["start", "-a", "c"]).ok().stdout, CONTENT);
}

#[test]
fn a_secret_of_a_variable_and_debris() {
    needs_root!();
    let dhow = with_box();
    let mut command = dhow.command(&["secret", "create", "--env", "v", "MY_SECRET"]);
    command.env("MY_SECRET", CONTENT);

    drop(dhow.finish(&mut command, b"").ok());
    fs::write(dhow.root().join("secrets/stray"), "x").unwrap();

    assert_eq!(holders(&dhow.root()).len(), 1);
    let findings = dhow.run(&["doctor"]).exits(1).stdout;
    assert!(findings.contains("stray: no secret has this id"), "{findings}");
    drop(dhow.run(&["secret", "create", "--env", "w", "NOT_SET"]).exits(1).says("NOT_SET"));
}
