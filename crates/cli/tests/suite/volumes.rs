//! `volume …`, and what containers do with volumes.

use crate::fixture::{layout_of, start, wait_for_output, with_box};
use dhow_testkit::{
    Dhow,
    image::{Compression, Image, Layout},
    need, needs_root, needs_tool, outcome, rootfs,
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink},
    path::Path,
    process::Command,
};

/// A dhow with an image `full`, which has files in `/data` and says that it is a volume.
fn with_full() -> Dhow {
    let dhow = with_box();
    let root = dhow.directory().join("full");
    let data = root.join("data");
    fs::create_dir_all(data.join("deep")).unwrap();
    fs::write(data.join("file"), "from the image\n").unwrap();
    fs::hard_link(data.join("file"), data.join("deep/other")).unwrap();
    symlink("file", data.join("link")).unwrap();
    fs::set_permissions(data.join("file"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();
    for path in [data.clone(), data.join("file"), data.join("link")] {
        lchown(path, Some(33), Some(34)).unwrap();
    }
    add_image(&dhow, "full", &root, |image| image.set("Volumes", json!({"/data": {}})));
    dhow
}

/// Adds an image of busybox and of what is in a directory.
fn add_image(dhow: &Dhow, name: &str, tree: &std::path::Path, change: impl FnOnce(Image) -> Image) {
    let layout = Layout::new(&dhow.directory().join(format!("layout-{name}"))).unwrap();
    let busybox = rootfs::busybox().unwrap();
    let lower = layout.layer_of(busybox.path(), Compression::Gzip).unwrap();
    let upper = layout.layer_of(tree, Compression::Gzip).unwrap();
    layout.tag_image(&change(Image::new([lower, upper])), name).unwrap();
    drop(dhow.run(&["pull", "-q", &layout.reference(name)]).ok());
}

fn names(dhow: &Dhow) -> Vec<String> {
    dhow.run(&["volume", "ls", "-q"]).ok().stdout.lines().map(str::to_owned).collect()
}

fn inspect(dhow: &Dhow, volume: &str) -> Value {
    let text = dhow.run(&["volume", "inspect", volume]).ok().stdout;
    serde_json::from_str::<Value>(&text).unwrap()[0].take()
}

#[test]
fn a_volume_is_made_shown_and_removed() {
    needs_root!();
    let dhow = with_box();

    let made = dhow.run(&["volume", "create", "-l", "tier=db", "--uid", "5", "data"]).ok();
    let again = dhow.run(&["volume", "create", "data"]).ok();
    let nameless = dhow.run(&["volume", "create"]).ok();

    assert_eq!((made.line(), again.line(), nameless.line().len()), ("data", "data", 64));
    let document = inspect(&dhow, "data");
    let mountpoint = dhow.root().join("volumes/data/data");
    assert_eq!(document["Mountpoint"], mountpoint.to_str().unwrap());
    assert_eq!(document["Labels"]["tier"], "db");
    assert_eq!(document["Anonymous"], false);
    assert_eq!(fs::metadata(&mountpoint).unwrap().uid(), 5);
    assert_eq!(inspect(&dhow, &nameless.line()[..12])["Anonymous"], true);
    assert_eq!(dhow.run(&["volume", "ls", "-q", "--filter", "label=tier"]).ok().stdout, "data\n");
    drop(
        dhow.run(&["volume", "create", "--opt", "type=tmpfs", "data"]).exits(1).says("another way"),
    );
    drop(dhow.run(&["volume", "exists", "data"]).ok());
    drop(dhow.run(&["volume", "exists", "nothing"]).exits(1));
    let removed = dhow.run(&["volume", "rm", "nothing", "data"]).exits(1).says("no such volume");
    assert_eq!(removed.stdout, "data\n");
    drop(dhow.run(&["volume", "rm", "--force", "nothing"]).ok());
    assert!(!dhow.root().join("volumes/data").exists());
}

#[test]
fn bad_wishes_get_one_clear_error_and_make_nothing() {
    needs_root!();
    let dhow = with_box();
    let cases: [(&[&str], &str); 6] = [
        (&["-d", "cloud", "x"], "cloud"),
        (&["-o", "bogus=1", "x"], "bogus"),
        (&["-o", "device=/srv", "x"], "type is missing"),
        (&["-o", "type=nfs", "-o", "device=:/x", "-o", "o=addr=a.example", "x"], "a.example"),
        (&["a/b"], "a/b"),
        (&["-o", "o=size=much", "x"], "much"),
    ];

    for (arguments, word) in cases {
        let refused = dhow.run(&[&["volume", "create"], arguments].concat());
        drop(refused.exits(1).says(word));
    }

    assert_eq!(names(&dhow), [""; 0]);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn what_the_image_has_goes_into_an_empty_volume_and_stays() {
    needs_root!();
    let dhow = with_full();
    let see = "cat /data/file /data/deep/other /data/link; \
               stat -c '%u:%g %a %h' /data /data/file; echo mine > /data/file";
    let run = |mount: &str, script: &str| {
        dhow.run(&["run", "--rm", "-q", "-v", mount, "full", "sh", "-c", script]).ok().stdout
    };

    let first = run("kept:/data", see);
    let second = run("kept:/data", "cat /data/file; ls /data/deep");
    let bare = run("bare:/data:nocopy", "ls -A /data");
    let elsewhere = run("kept:/elsewhere", "cat /elsewhere/file");

    let lines = "from the image\n".repeat(3);
    assert_eq!(first, format!("{lines}33:34 750 3\n33:34 640 2\n"));
    assert_eq!(second, "mine\nother\n");
    assert_eq!((bare.as_str(), elsewhere.as_str()), ("", "mine\n"));
    assert_eq!(names(&dhow), ["bare", "kept"]);
}

#[test]
fn volumes_of_the_image_go_with_rm_and_stay_without_it() {
    needs_root!();
    let dhow = with_full();

    let out = dhow.run(&["run", "--rm", "-q", "full", "cat", "/data/file"]).ok();
    assert_eq!((out.stdout.as_str(), names(&dhow).len()), ("from the image\n", 0));

    for name in ["a", "b"] {
        drop(dhow.run(&["run", "-q", "--name", name, "full", "true"]).ok());
    }
    assert_eq!(names(&dhow).len(), 2);
    drop(dhow.run(&["rm", "a"]).ok());
    assert_eq!(names(&dhow).len(), 2);
    drop(dhow.run(&["rm", "-v", "b"]).ok());
    assert_eq!(names(&dhow).len(), 1);
    let ignored = ["run", "--rm", "-q", "--image-volume", "ignore", "full", "ls", "/data"];
    assert_eq!(dhow.run(&ignored).ok().stdout, "deep\nfile\nlink\n");
    let memory = ["run", "--rm", "-q", "--image-volume", "tmpfs", "full", "ls", "/data"];
    assert_eq!(dhow.run(&memory).ok().stdout, "");
    assert_eq!(names(&dhow).len(), 1);
}

#[test]
fn a_volume_that_somebody_names_is_not_thrown_away_with_a_container() {
    needs_root!();
    let dhow = with_box();
    let nameless = dhow.run(&["volume", "create"]).ok();
    let name = nameless.line();
    let mount = format!("{name}:/k");

    drop(dhow.run(&["run", "--rm", "-q", "-v", &mount, "box", "sh", "-c", "echo x > /k/f"]).ok());
    drop(dhow.run(&["run", "-q", "--name", "c", "-v", &mount, "box", "true"]).ok());
    drop(dhow.run(&["rm", "-v", "c"]).ok());

    assert_eq!(names(&dhow), [name]);
    assert_eq!(fs::read(dhow.root().join("volumes").join(name).join("data/f")).unwrap(), b"x\n");
}

#[test]
fn a_volume_in_use_stays_and_its_users_are_named() {
    needs_root!();
    let dhow = with_box();
    for name in ["one", "two"] {
        drop(dhow.run(&["create", "-q", "--name", name, "-v", "data:/d", "box", "true"]).ok());
    }

    let refused = dhow.run(&["volume", "rm", "data"]).exits(1);
    drop(dhow.run(&["volume", "rm", "-f", "data"]).exits(1).says("one, two"));

    drop(refused.says("it is used by one, two"));
    assert!(names(&dhow).contains(&"data".to_owned()));
    let links = ["volume", "ls", "--format", "{{.Name}} {{.Links}}"];
    assert_eq!(dhow.run(&links).ok().stdout, "data 2\n");
    drop(dhow.run(&["rm", "one", "two"]).ok());
    drop(dhow.run(&["volume", "rm", "data"]).ok());
}

#[test]
fn a_prune_takes_what_nobody_has_named_and_all_only_when_asked() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["volume", "create", "named"]).ok());
    drop(dhow.run(&["volume", "create", "-l", "keep", "marked"]).ok());
    let nameless = dhow.run(&["volume", "create"]).ok();
    drop(
        dhow.run(&["create", "-q", "--name", "c", "-v", "used:/u", "-v", "/own", "box", "true"])
            .ok(),
    );

    drop(dhow.run(&["volume", "prune"]).exits(1).says("--force"));
    let volumes = || dhow.run(&["volume", "ls", "-q"]).ok().stdout;
    let before = volumes();
    for answer in ["n\n", "\n", "never"] {
        drop(dhow.run_with_input(&["volume", "prune", "--all"], answer.as_bytes()).ok());
        assert_eq!(volumes(), before, "{answer:?}");
    }
    drop(dhow.run(&["system", "prune", "-f", "--filter", "until=2020-01-01"]).ok());
    assert_eq!(names(&dhow).len(), 5);
    let pruned = dhow.run_with_input(&["volume", "prune"], b"y\n").ok();
    assert!(pruned.stdout.starts_with(&format!("Deleted: {}\nTotal", nameless.line())));
    let all = dhow.run(&["volume", "prune", "-fa", "--filter", "label!=keep"]).ok();
    assert!(all.stdout.starts_with("Deleted: named\nTotal"), "{}", all.stdout);
    assert_eq!(names(&dhow).len(), 3);

    drop(dhow.run(&["system", "prune", "-f", "--volumes"]).ok());
    assert_eq!(names(&dhow), ["marked", "used"]);
}

#[test]
fn memory_as_a_volume_is_one_for_all_and_goes_with_the_last() {
    needs_root!();
    let dhow = with_box();
    let create =
        ["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m", "m"];
    drop(dhow.run(&create).ok());
    let data = dhow.root().join("volumes/m/data");
    let is_mounted =
        || fs::read_to_string("/proc/self/mountinfo").unwrap().contains(data.to_str().unwrap());

    drop(start(
        &dhow,
        &["--name", "a", "-v", "m:/m", "box", "sh", "-c", "echo x > /m/f; echo up; sleep 100"],
    ));
    wait_for_output(&dhow, "a", "up");
    let second =
        ["run", "--rm", "-q", "-v", "m:/m", "box", "sh", "-c", "cat /m/f; df -k /m | tail -n 1"];
    let second = dhow.run(&second).ok();

    assert!(
        second.stdout.starts_with("x\n") && second.stdout.contains(" 1024 "),
        "{}",
        second.stdout
    );
    assert!(is_mounted());
    drop(dhow.run(&["stop", "-t", "0", "a"]).ok());
    assert!(!is_mounted());
    drop(dhow.run(&["volume", "mount", "m"]).ok());
    assert!(is_mounted());
    drop(dhow.run(&["rm", "a"]).ok());
    drop(dhow.run(&["volume", "rm", "m"]).exits(1).says("mounted on the host"));
    drop(dhow.run(&["volume", "unmount", "m"]).ok());
    assert!(!is_mounted());
    drop(dhow.run(&["volume", "rm", "m"]).ok());
}

#[test]
fn a_directory_of_the_host_can_be_a_volume() {
    needs_root!();
    let dhow = with_box();
    let source = dhow.directory().join("source");
    fs::create_dir(&source).unwrap();
    let device = format!("device={}", source.display());
    drop(
        dhow.run(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, "b"]).ok(),
    );

    drop(dhow.run(&["run", "--rm", "-q", "-v", "b:/b", "box", "touch", "/b/file"]).ok());
    drop(dhow.run(&["volume", "rm", "b"]).ok());

    assert!(source.join("file").exists());
}

#[test]
fn what_is_in_a_volume_goes_out_and_comes_back() {
    needs_root!();
    let dhow = with_full();
    drop(dhow.run(&["run", "--rm", "-q", "-v", "from:/data", "full", "true"]).ok());
    drop(dhow.run(&["volume", "create", "to"]).ok());
    // In a volume this deletes nothing.
    fs::write(dhow.root().join("volumes/from/data/.wh.kept"), "a name").unwrap();
    fs::write(dhow.root().join("volumes/to/data/kept"), "kept").unwrap();

    let tar = dhow.run(&["volume", "export", "from"]).ok();
    drop(dhow.run_with_input(&["volume", "import", "to", "-"], &tar.bytes).ok());
    drop(dhow.run(&["volume", "export", "-o", "file.tar", "to"]).ok());

    let data = dhow.root().join("volumes/to/data");
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "from the image\n");
    assert_eq!(fs::metadata(data.join("file")).unwrap().uid(), 33);
    assert_eq!(fs::metadata(data.join("file")).unwrap().nlink(), 2);
    assert_eq!(fs::read_to_string(data.join("kept")).unwrap(), "kept");
    assert_eq!(fs::read_to_string(data.join(".wh.kept")).unwrap(), "a name");
    assert!(dhow.directory().join("file.tar").exists());
    drop(dhow.run(&["volume", "export", "-o", "no.tar", "nothing"]).exits(1));
    assert!(!dhow.directory().join("no.tar").exists());
}

#[test]
fn an_archive_does_not_get_out_of_its_volume() {
    needs_root!();
    needs_tool!("tar");
    let dhow = with_box();
    let tree = dhow.directory().join("tree");
    fs::create_dir(&tree).unwrap();
    let outside = dhow.directory().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, tree.join("link")).unwrap();
    let tar = |arguments: &[&str]| {
        let mut command = Command::new("tar");
        outcome::run(command.args(arguments).current_dir(&tree), b"", outcome::LIMIT).unwrap().ok()
    };
    drop(tar(&["-cf", "../a.tar", "link"]));
    fs::remove_file(tree.join("link")).unwrap();
    fs::create_dir(tree.join("link")).unwrap();
    fs::write(tree.join("link/escaped"), "").unwrap();
    drop(tar(&["-rf", "../a.tar", "link/escaped"]));
    drop(dhow.run(&["volume", "create", "v"]).ok());

    // Refused or kept inside, both are right; out is not.
    drop(dhow.run(&["volume", "import", "v", "a.tar"]));

    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn volumes_of_another_container_are_shared() {
    needs_root!();
    let dhow = with_full();
    drop(start(
        &dhow,
        &[
            "--name",
            "a",
            "-v",
            "named:/n",
            "full",
            "sh",
            "-c",
            "echo x > /data/new; echo up; sleep 100",
        ],
    ));
    wait_for_output(&dhow, "a", "up");
    let from = |how: &str, script: &str| {
        dhow.run(&["run", "--rm", "-q", "--volumes-from", how, "box", "sh", "-c", script])
    };

    assert_eq!(from("a", "cat /data/new; touch /n/f; ls /n").ok().stdout, "x\nf\n");
    drop(from("a:ro", "touch /data/y").exits(1).says("Read-only"));
    drop(from("nobody", "true").exits(125).says("nobody"));
    assert_eq!(names(&dhow).len(), 2, "what is shared does not go with --rm");
}

#[test]
fn a_volume_gets_the_user_of_its_container_when_asked() {
    needs_root!();
    let dhow = with_full();

    let owner = [
        "run",
        "--rm",
        "-q",
        "-u",
        "7:8",
        "-v",
        "v:/data:U",
        "full",
        "stat",
        "-c",
        "%u:%g",
        "/data",
        "/data/file",
    ];

    assert_eq!(dhow.run(&owner).ok().stdout, "7:8\n7:8\n");
}

#[test]
fn a_volume_cannot_be_made_of_the_hosts_files_by_an_image() {
    needs_root!();
    let dhow = with_box();
    let canary = dhow.directory().join("canary");
    fs::create_dir(&canary).unwrap();
    let tree = dhow.directory().join("tree");
    fs::create_dir(&tree).unwrap();
    symlink(&canary, tree.join("way")).unwrap();
    fs::write(tree.join("plain"), "").unwrap();
    let volumes = json!({"/way/in": {}, "relative/../../x": {}});
    add_image(&dhow, "odd", &tree, |image| image.set("Volumes", volumes));
    let only_link = json!({"/way/in": {}});
    add_image(&dhow, "linked", &tree, |image| image.set("Volumes", only_link));

    drop(dhow.run(&["run", "--rm", "-q", "odd", "true"]).exits(125).says("relative"));
    drop(dhow.run(&["run", "--rm", "-q", "linked", "touch", "/way/in/file"]).ok());

    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
    assert_eq!(names(&dhow).len(), 0);
}

/// Keeps a volume to its size on a disk that was made by this command.
fn keep_a_size_on(make: &[&str]) {
    let home = tempfile::Builder::new().prefix("q").tempdir().unwrap();
    let (image, disk) = (home.path().join("disk.img"), home.path().join("disk"));
    let mut new = fs::OpenOptions::new();
    new.write(true).create_new(true).open(&image).unwrap().set_len(512 << 20).unwrap();
    fs::create_dir(&disk).unwrap();
    let mut command = Command::new(make[0]);
    drop(outcome::run(command.args(&make[1..]).arg(&image), b"", outcome::LIMIT).unwrap().ok());
    let mut mount = Command::new("mount");
    mount.args(["-o", "loop,prjquota"]).args([&image, &disk]);
    if outcome::run(&mut mount, b"", outcome::LIMIT).unwrap().code != 0 {
        need::skip(&format!("a kernel with project quotas for {}", make[0]));
        return;
    }
    {
        let dhow = Dhow::below(&disk);
        let layout = layout_of(&dhow, "box", |image| image);
        drop(dhow.run(&["pull", "-q", &layout.reference("box")]).ok());
        drop(dhow.run(&["volume", "create", "-o", "o=size=2m", "small"]).ok());
        drop(dhow.run(&["volume", "create", "-o", "size=64m", "large"]).ok());
        drop(dhow.run(&["volume", "create", "-o", "o=inodes=10", "few"]).ok());
        let inside = |script: &str| {
            let mounts = ["-v", "small:/s", "-v", "large:/l", "-v", "few:/f"];
            let words = [&["run", "--rm", "-q"], &mounts[..], &["box", "sh", "-c", script]];
            dhow.run(&words.concat())
        };
        let write = |place: &str, megabytes: u32| {
            inside(&format!("dd if=/dev/zero of={place}/f bs=1M count={megabytes} && sync"))
        };

        drop(write("/l", 8).ok());
        drop(write("/s", 1).ok());
        let full = write("/s", 4).exits(1);
        let crowded =
            inside("for n in 1 2 3 4 5 6 7 8 9 10 11 12; do >/f/$n || exit 9; done").exits(9);

        // ext4 has another word for it than xfs.
        let says_full =
            |text: &str| text.contains("No space left") || text.contains("uota exceeded");
        assert!(says_full(&full.stderr) && says_full(&crowded.stderr), "{full}\n{crowded}");
        drop(write("/l", 16).ok());
        let sizes = inside("stat -c %s /l/f; stat -c %s /s/f").ok().stdout;
        let sizes: Vec<u64> = sizes.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(sizes[0], 16 << 20);
        assert!(sizes[1] <= 2 << 20, "{sizes:?}");
        // A container's root is limited alike, as often as containers come and go.
        let bounded = |size: &str, megabytes: u32| {
            let script = format!("dd if=/dev/zero of=/f bs=1M count={megabytes} && sync");
            let size = format!("size={size}");
            let run = ["run", "--rm", "-q", "--network=none", "--storage-opt", &size];
            dhow.run(&[&run[..], &["box", "sh", "-c", &script]].concat())
        };
        drop(bounded("8m", 4).ok());
        let full = bounded("2m", 4).exits(1);
        assert!(says_full(&full.stderr), "{full}");
        drop(bounded("8m", 4).ok());
        drop(bounded("much", 1).exits(125).says("--storage-opt"));
        for volume in ["small", "large", "few"] {
            drop(dhow.run(&["volume", "rm", volume]).ok());
        }
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    }
    let mut unmount = Command::new("umount");
    drop(outcome::run(unmount.arg(&disk), b"", outcome::LIMIT).unwrap().ok());
}

#[test]
fn a_size_is_kept_where_the_file_system_can() {
    needs_root!();
    needs_tool!("mkfs.ext4");
    keep_a_size_on(&["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota"]);
}

#[test]
fn a_size_is_kept_by_xfs() {
    needs_root!();
    needs_tool!("mkfs.xfs");
    keep_a_size_on(&["mkfs.xfs", "-q"]);
}

/// What the lab's machine exports to itself.
const EXPORT: &str = "/srv/export";

#[test]
fn a_volume_may_lie_on_a_server() {
    needs_root!();
    let serves =
        || fs::read_to_string("/proc/fs/nfsd/threads").is_ok_and(|count| count.trim() != "0");
    dhow_testkit::needs!(Path::new(EXPORT).is_dir() && serves(), "the lab's server of files (NFS)");
    let dhow = Dhow::new();
    let layout = layout_of(&dhow, "box", |image| image);
    drop(dhow.run(&["pull", "-q", &layout.reference("box")]).ok());
    let create = ["volume", "create", "-o", "type=nfs", "-o", "device=127.0.0.1:/"];
    let options = ["-o", "o=addr=127.0.0.1,vers=4.2,clientaddr=127.0.0.1", "far"];
    drop(dhow.run(&[&create[..], &options].concat()).ok());
    let inside = |script: &str| {
        dhow.run(&["run", "--rm", "-q", "-v", "far:/far", "box", "sh", "-c", script])
    };
    let is_mounted = || fs::read_to_string("/proc/mounts").unwrap().contains("127.0.0.1:/");

    let shown = inside("echo kept >/far/file && grep ' /far ' /proc/mounts").ok();

    assert!(shown.stdout.contains("nfs4"), "{shown}");
    assert_eq!(fs::read_to_string(Path::new(EXPORT).join("file")).unwrap(), "kept\n");
    assert!(!is_mounted(), "nobody uses it any more");
    assert_eq!(inside("cat /far/file").ok().line(), "kept");
    drop(dhow.run(&["volume", "rm", "far"]).ok());
    assert!(Path::new(EXPORT).join("file").exists(), "a volume's removal is not its server's");
    let wrong = dhow.run(&[
        "volume",
        "create",
        "-o",
        "type=nfs",
        "-o",
        "device=127.0.0.1:/nowhere",
        options[0],
        options[1],
        "lost",
    ]);
    drop(wrong.ok());
    let refused = dhow.run(&["run", "--rm", "-q", "-v", "lost:/far", "box", "true"]).exits(125);
    assert!(refused.stderr.contains("volume lost"), "{refused}");
}

#[test]
fn a_size_is_refused_where_the_file_system_cannot() {
    needs_root!();
    let disk = dhow_testkit::Disk::of(32 << 20).unwrap();
    let dhow = Dhow::below(disk.path());

    let refused = dhow.run(&["volume", "create", "-o", "o=size=2m", "small"]).exits(1);

    drop(refused.says("project quotas"));
    let layout = layout_of(&dhow, "box", |image| image);
    drop(dhow.run(&["pull", "-q", &layout.reference("box")]).ok());
    let run = ["run", "--rm", "-q", "--network=none", "--storage-opt=size=2m", "box", "true"];
    drop(dhow.run(&run).exits(125).says("project quotas"));
    let odd = ["run", "--rm", "-q", "--storage-opt=colour=red", "box", "true"];
    drop(dhow.run(&odd).exits(125).says("there is size"));
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    assert_eq!(names(&dhow), [""; 0]);
}

#[test]
fn debris_is_found_and_put_right() {
    needs_root!();
    let dhow = with_box();
    let volumes = dhow.root().join("volumes");
    drop(dhow.run(&["volume", "create", "real"]).ok());
    fs::create_dir_all(volumes.join("stray/data")).unwrap();
    fs::write(volumes.join("stray/data/precious"), "x").unwrap();
    fs::create_dir_all(volumes.join("empty/data")).unwrap();
    fs::create_dir_all(volumes.join("real/filling/half")).unwrap();

    let findings = dhow.run(&["doctor"]).exits(1).stdout;
    drop(dhow.run(&["doctor", "--repair"]).ok());

    for word in ["stray: no volume", "empty: no volume", "volume real: a copy"] {
        assert!(findings.contains(word), "{word} in {findings}");
    }
    assert_eq!(names(&dhow), ["real", "stray"]);
    assert_eq!(fs::read(volumes.join("stray/data/precious")).unwrap(), b"x");
    fs::remove_dir_all(volumes.join("real/data")).unwrap();
    let missing = dhow.run(&["doctor"]).exits(1).stdout;
    assert!(missing.contains("volume real: its files are missing"), "{missing}");
    drop(
        dhow.run(&["run", "--rm", "-q", "-v", "real:/r", "box", "true"])
            .exits(125)
            .says("its files are gone"),
    );
}
