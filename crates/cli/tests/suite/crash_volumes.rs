//! `kill -9` at random points of what is done to volumes, secrets and pods: nothing half is taken
//! for whole, the doctor finds nothing, the retry succeeds.

use crate::fixture::with_box;
use dhow_testkit::{
    Dhow,
    image::{Compression, Image, Layout},
    needs_root, rootfs,
};
use serde_json::json;
use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

/// Kills of each operation.
const KILLS: u64 = 14;
const FILES: usize = 150;

/// A dhow with an image `many` that has many files for its volume.
fn with_many() -> Dhow {
    let dhow = with_box();
    let tree = dhow.directory().join("many");
    for number in 0..FILES {
        let directory = tree.join(format!("data/{}", number % 10));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(number.to_string()), vec![b'x'; 20_000]).unwrap();
    }
    let layout = Layout::new(&dhow.directory().join("layout-many")).unwrap();
    let busybox = rootfs::busybox().unwrap();
    let lower = layout.layer_of(busybox.path(), Compression::Gzip).unwrap();
    let upper = layout.layer_of(&tree, Compression::Gzip).unwrap();
    let image = Image::new([lower, upper]).set("Volumes", json!({"/data": {}}));
    layout.tag_image(&image, "many").unwrap();
    drop(dhow.run(&["pull", "-q", &layout.reference("many")]).ok());
    dhow
}

/// The words of a command.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Kills a command after each of so many parts of the time that it takes.
pub(crate) fn killed(dhow: &Dhow, arguments: &dyn Fn(u64) -> Vec<String>, after: &dyn Fn(u64)) {
    let words = arguments(KILLS);
    let begin = Instant::now();
    drop(dhow.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).ok());
    let whole = begin.elapsed();
    after(KILLS);
    for number in 0..KILLS {
        let words = arguments(number);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = dhow.command(&words);
        let null = Stdio::null;
        let mut child = command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
        let part = u32::try_from(number + 1).unwrap();
        std::thread::sleep(
            whole * part / u32::try_from(KILLS).unwrap() + Duration::from_micros(300),
        );
        child.kill().unwrap();
        child.wait().unwrap();
        after(number);
    }
}

#[test]
fn the_first_use_of_a_volume_killed_anywhere_leaves_the_whole_or_nothing() {
    needs_root!();
    let dhow = with_many();
    let words = |number: u64| {
        let mount = format!("v{number}:/data");
        ["create", "-q", "-v", &mount, "many", "true"].map(str::to_owned).to_vec()
    };
    let whole = |number: u64| {
        let mount = format!("v{number}:/data");
        let count = [
            "run",
            "--rm",
            "-q",
            "-v",
            &mount,
            "many",
            "sh",
            "-c",
            "find /data -type f -size +19k | wc -l",
        ];
        assert_eq!(dhow.run(&count).ok().line(), FILES.to_string());
        drop(dhow.run(&["rm", "-fa"]).ok());
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
        drop(dhow.run(&["volume", "rm", &format!("v{number}")]).ok());
    };

    killed(&dhow, &words, &whole);

    let left: Vec<_> = fs::read_dir(dhow.root().join("volumes")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn volumes_made_and_removed_under_kills_leave_nothing() {
    needs_root!();
    let dhow = with_box();
    let create = |_| ["volume", "create", "-l", "a=b", "v"].map(str::to_owned).to_vec();
    let then_there = |_| {
        drop(dhow.run(&["volume", "create", "-l", "a=b", "v"]).ok());
        drop(dhow.run(&["volume", "rm", "v"]).ok());
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    };
    let remove = |number: u64| {
        drop(dhow.run(&["volume", "create", &format!("w{number}")]).ok());
        ["volume", "rm", &format!("w{number}")].map(str::to_owned).to_vec()
    };
    let then_gone = |number: u64| {
        drop(dhow.run(&["volume", "rm", "-f", &format!("w{number}")]).ok());
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    };

    killed(&dhow, &create, &then_there);
    killed(&dhow, &remove, &then_gone);

    assert_eq!(dhow.run(&["volume", "ls", "-q"]).ok().stdout, "");
}

#[test]
fn pods_and_secrets_under_kills_leave_nothing() {
    needs_root!();
    let dhow = with_box();
    fs::write(dhow.directory().join("content"), "content").unwrap();
    let secret = |_| ["secret", "create", "--replace", "s", "content"].map(str::to_owned).to_vec();
    let then_known = |_| {
        drop(dhow.run(&["secret", "create", "--replace", "s", "content"]).ok());
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    };
    drop(dhow.run(&["pod", "create", "p"]).ok());
    let pod = |_| ["run", "--rm", "-q", "--pod", "p", "box", "true"].map(str::to_owned).to_vec();
    let then_rests = |_| {
        drop(dhow.run(&["rm", "-fa"]).ok());
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
        assert_eq!(dhow.run(&["pod", "ps", "-q"]).ok().stdout.lines().count(), 1);
    };

    killed(&dhow, &secret, &then_known);
    killed(&dhow, &pod, &then_rests);

    drop(dhow.run(&["pod", "rm", "-f", "p"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_removal_with_volumes_killed_anywhere_takes_both_or_neither() {
    needs_root!();
    let dhow = with_box();
    let words = |number: u64| {
        let name = format!("c{number}");
        let create = ["create", "-q", "--name", &name, "-v", "/one", "-v", "/two", "box", "true"];
        drop(dhow.run(&create).ok());
        ["rm", "-v", &name].map(str::to_owned).to_vec()
    };
    let both = |_number: u64| {
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
        let containers = dhow.run(&["ps", "-aq"]).ok().stdout.lines().count();
        let volumes = dhow.run(&["volume", "ls", "-q"]).ok().stdout.lines().count();
        assert_eq!(volumes, containers * 2);
    };

    killed(&dhow, &words, &both);

    drop(dhow.run(&["rm", "-fa", "-v"]).ok());
    both(0);
    assert_eq!(dhow.run(&["volume", "ls", "-q"]).ok().stdout, "");
    dhow.assert_clean();
}
