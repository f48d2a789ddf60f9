//! `kill -9` at random points of everything that is done to images: the doctor finds nothing, the
//! retry succeeds, and in the end no byte is left over.

use dhow_testkit::{
    Access, Dhow, Registry, Transport,
    image::{Compression, Image, Layout},
    need, needs_root, needs_tool, outcome,
};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Kills of each operation, unless this variable says how many: 200 of each is what was asked of dhow.
const KILLS: u32 = 12;
const KILLS_VARIABLE: &str = "DHOW_TEST_KILLS";

/// Random numbers that are the same every time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A moment within a time and a bit beyond.
    fn moment(&mut self, whole: Duration) -> Duration {
        let micros = u64::try_from(whole.as_micros()).unwrap() * 11 / 10 + 1;
        Duration::from_micros(self.throw() % micros)
    }
}

/// An operation, what comes before each attempt, and what shows that an attempt has succeeded.
struct Operation<'a> {
    name: &'a str,
    before: &'a dyn Fn(),
    arguments: Vec<String>,
    after: &'a dyn Fn(),
}

/// An image whose layers take a moment: files that hardly compress, and many small ones.
fn image(directory: &Path) -> Layout {
    let layout = Layout::new(&directory.join("layout")).unwrap();
    let mut dice = Dice(7);
    let layers: Vec<_> = (0..3)
        .map(|number| {
            let tree = directory.join(format!("tree-{number}"));
            fs::create_dir(&tree).unwrap();
            let noise: Vec<u8> = (0..1_500_000).map(|_| dice.throw().to_le_bytes()[0]).collect();
            fs::write(tree.join(format!("noise-{number}")), noise).unwrap();
            for file in 0..60 {
                fs::write(tree.join(format!("small-{number}-{file}")), [number; 100]).unwrap();
            }
            layout.layer_of(&tree, Compression::Gzip).unwrap()
        })
        .collect();
    layout.tag_image(&Image::new(layers), "box").unwrap();
    layout
}

fn spawn(dhow: &Dhow, arguments: &[String]) -> Child {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = dhow.command(&arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn run(dhow: &Dhow, arguments: &[String]) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    drop(dhow.run(&arguments).ok());
}

/// Kills the operation again and again; returns how often that came before its end.
fn torment(dhow: &Dhow, dice: &mut Dice, kills: u32, operation: &Operation<'_>) -> u32 {
    let Operation { name, before, arguments, after } = operation;
    before();
    let start = Instant::now();
    run(dhow, arguments);
    let mut pace = start.elapsed();
    after();
    let mut interrupted = 0;
    for kill in 0..kills {
        before();
        let mut child = spawn(dhow, arguments);
        std::thread::sleep(dice.moment(pace));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            // What resumes has less to do than the first attempt had.
            pace = pace * 9 / 10;
        } else {
            interrupted += 1;
        }

        let doctor = dhow.run(&["doctor"]);
        assert_eq!(doctor.stdout, "all is well\n", "{name}, kill {kill}: {}", doctor.stderr);
        // Every other time the retry finds what the killed one left; else it is given up.
        if kill % 2 == 0 {
            before();
            run(dhow, arguments);
            after();
        }
    }
    interrupted
}

#[test]
fn whatever_is_killed_the_doctor_is_content_and_the_retry_succeeds() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "tar");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let dhow = Dhow::new();
    let layout = image(dhow.directory());
    let source = layout.reference("box");
    registry.push(&source, "team/box:1").unwrap();
    let name = registry.reference("team/box:1");
    let archive = dhow.directory().join("box.tar").display().to_string();
    drop(dhow.run(&["pull", "-q", &source]).ok());
    drop(dhow.run(&["save", "-q", "-o", &archive, "box"]).ok());
    drop(dhow.run(&["rmi", "-f", "box"]).ok());
    let id = || dhow.run(&["images", "-q", "--no-trunc"]).ok().stdout;
    let gone = || drop(dhow.run(&["rmi", "-af"]).ok());
    let here = || drop(dhow.run(&["pull", "-q", "--tls-verify=false", &name]).ok());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let is_here = || assert_eq!(id().lines().count(), 1);
    let is_gone = || assert_eq!(id(), "");
    let copies = dhow.directory().join("copies");
    let to_layout = format!("oci:{}:box", copies.display());
    let no_copy = || drop(fs::remove_dir_all(&copies));
    let is_copied = || {
        let digest = dhow.run(&["image", "inspect", "--format", "{{.Digest}}", &to_layout]).ok();
        let expected = dhow.run(&["image", "inspect", "--format", "{{.Digest}}", &source]).ok();
        assert_eq!(digest.stdout, expected.stdout);
    };
    let pushed = registry.reference("other/box:1");
    let is_pushed = || {
        let there = format!("docker://{pushed}");
        let arguments =
            ["image", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", &there];
        drop(dhow.run(&arguments).ok());
    };
    let saved = dhow.directory().join("saved.tar");
    let not_saved = || drop(fs::remove_file(&saved));
    let here_alone = || {
        here();
        not_saved();
    };
    let is_saved = || {
        let loaded = Dhow::new();
        drop(loaded.run(&["load", "-q", "-i", saved.to_str().unwrap()]).ok());
        not_saved();
    };
    let discarded = || {
        let held = fs::read_dir(dhow.root().join("content/blobs/sha256")).unwrap().count();
        assert_eq!(held, 2, "manifest and configuration are left");
        not_saved();
        // Whatever was discarded can be had again.
        let copy = format!("oci-archive:{}", saved.display());
        drop(dhow.run(&["image", "copy", "-q", &format!("dhow:{name}"), &copy]).ok());
    };
    // What interrupted pulls hold would be counted too.
    let gone_whole = || {
        gone();
        drop(dhow.run(&["image", "prune", "-af"]).ok());
    };
    let here_anew = || {
        gone_whole();
        here();
    };
    let root = dhow.directory().join("tree-0.tar");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(dhow.directory().join("tree-0")).arg("-cf").arg(&root).arg(".");
    drop(outcome::run_ok(&mut tar, outcome::LIMIT).unwrap());
    let root = root.display().to_string();
    let operations = [
        Operation {
            name: "save",
            before: &here_alone,
            arguments: words(&["save", "-q", "-o", saved.to_str().unwrap(), &name]),
            after: &is_saved,
        },
        Operation {
            name: "import",
            before: &gone,
            arguments: words(&["import", "-q", &root, "imported"]),
            after: &is_here,
        },
        Operation {
            name: "pull",
            before: &gone,
            arguments: words(&["pull", "-q", "--tls-verify=false", &name]),
            after: &is_here,
        },
        Operation {
            name: "load",
            before: &gone,
            arguments: words(&["load", "-q", "-i", &archive]),
            after: &is_here,
        },
        Operation {
            name: "discard",
            before: &here_anew,
            arguments: words(&["image", "discard", "--tls-verify=false", &name]),
            after: &discarded,
        },
        Operation {
            name: "pull that discards",
            before: &gone_whole,
            arguments: words(&["--discard-layers", "pull", "-q", "--tls-verify=false", &name]),
            after: &discarded,
        },
        Operation {
            name: "rmi",
            before: &here,
            arguments: words(&["rmi", "-f", &name]),
            after: &is_gone,
        },
        Operation {
            name: "prune",
            before: &here,
            arguments: words(&["image", "prune", "-af"]),
            after: &is_gone,
        },
        Operation {
            name: "copy",
            before: &no_copy,
            arguments: words(&["image", "copy", "-q", &source, &to_layout]),
            after: &is_copied,
        },
        Operation {
            name: "push",
            before: &here,
            arguments: words(&["push", "-q", "--tls-verify=false", &name, &pushed]),
            after: &is_pushed,
        },
    ];

    let mut dice = Dice(20);
    let kills = need::variable(KILLS_VARIABLE).map_or(KILLS, |count| count.parse().unwrap());
    for operation in &operations {
        // What the last kill of the one before has left is not this one's.
        gone();
        let interrupted = torment(&dhow, &mut dice, kills, operation);
        println!("{}: {interrupted} of {kills} kills came before its end", operation.name);
        assert!(interrupted > 0, "{} was interrupted {interrupted} times", operation.name);
    }

    gone();
    no_copy();
    let strays: Vec<String> = fs::read_dir(dhow.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".tmp"))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
    drop(dhow.run(&["system", "prune", "-af"]).ok());
    assert_eq!(dhow.run(&["system", "check"]).ok().stdout, "all is well\n");
    let sizes = dhow.run(&["system", "df", "--format", "{{.Type}} {{.RawSize}}"]).ok().stdout;
    assert!(sizes.starts_with("Images 0\nContainers 0\n"), "{sizes}");
    for directory in ["content/ingest", "content/blobs/sha256"] {
        let left = fs::read_dir(dhow.root().join(directory)).unwrap().count();
        assert_eq!(left, 0, "{directory}");
    }
}
