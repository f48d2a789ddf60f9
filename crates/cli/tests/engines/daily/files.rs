//! Files of containers and what becomes of them: `cp`, `diff`, `commit`, `export`, `import`, `save`,
//! `load`.

use crate::{
    engine::{BOX, Engine},
    steps::Steps,
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{chown, symlink},
    path::PathBuf,
};

pub(super) fn steps(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("files", &[BOX, "sleep", "1000"]);
    copies(engine, steps, &tree(engine));
    changes(engine, steps);
    commits(engine, steps);
    archives(engine, steps);
    engine.remove_all();
}

/// A tree to be copied, in a directory where copies may land.
fn tree(engine: &Engine<'_>) -> PathBuf {
    let here = engine.shared("cp");
    fs::create_dir_all(here.join("tree/inner")).unwrap();
    fs::write(here.join("tree/inner/one"), "one").unwrap();
    chown(here.join("tree/inner/one"), Some(123), Some(456)).unwrap();
    symlink("inner/one", here.join("tree/link")).unwrap();
    here
}

fn copies(engine: &Engine<'_>, steps: &mut Steps, here: &std::path::Path) {
    let path = |name: &str| here.join(name).display().to_string();
    let inside = |script: &str| engine.said(&["exec", "files", "sh", "-c", script]);
    steps.step("cp: things land where cp -a would put them", || {
        drop(engine.run(&["cp", &path("tree"), "files:/new"]).ok());
        drop(engine.run(&["cp", &path("tree"), "files:/tmp"]).ok());
        drop(engine.run(&["cp", &path("tree/."), "files:/root"]).ok());
        drop(engine.run(&["cp", &path("tree/inner/one"), "files:/two"]).ok());
        let script = "cat /new/inner/one /tmp/tree/inner/one /root/inner/one /two";
        assert_eq!(inside(script), "oneoneoneone");
        assert_eq!(inside("readlink /new/link"), "inner/one");
    });
    steps.step("cp: out again, as a file, a directory, and its content", || {
        drop(engine.run(&["cp", "files:/new", &path("back")]).ok());
        assert_eq!(fs::read_to_string(here.join("back/inner/one")).unwrap(), "one");
        assert_eq!(fs::read_link(here.join("back/link")).unwrap().to_str(), Some("inner/one"));
        drop(engine.run(&["cp", "files:/new/inner/one", &path("file")]).ok());
        assert_eq!(fs::read_to_string(here.join("file")).unwrap(), "one");
        fs::create_dir(here.join("content")).unwrap();
        drop(engine.run(&["cp", "files:/new/.", &path("content")]).ok());
        assert_eq!(fs::read_to_string(here.join("content/inner/one")).unwrap(), "one");
    });
    steps.step("cp -L: what a link leads to", || {
        drop(engine.run(&["cp", "-L", "files:/new/link", &path("followed")]).ok());
        assert!(!here.join("followed").is_symlink());
        assert_eq!(fs::read_to_string(here.join("followed")).unwrap(), "one");
    });
    steps.step("cp: a link is copied as a link", || {
        drop(engine.run(&["cp", "files:/new/link", &path("as-link")]).ok());
        assert!(here.join("as-link").is_symlink());
    });
    steps.step("cp: what goes into a container is root's", || {
        drop(engine.run(&["cp", &path("tree"), "files:/owned"]).ok());
        assert_eq!(inside("stat -c '%u %g' /owned/inner/one"), "0 0");
    });
    steps.step("cp -a: owners stay", || {
        drop(engine.run(&["cp", "-a", &path("tree"), "files:/kept"]).ok());
        assert_eq!(inside("stat -c '%u %g' /kept/inner/one"), "123 456");
    });
    steps.step("cp: what is not there and what does not fit is refused", || {
        engine.fails(&["cp", "files:/none", &path("x")]);
        engine.fails(&["cp", &path("none"), "files:/x"]);
        engine.fails(&["cp", &path("tree"), "files:/etc/passwd"]);
        engine.fails(&["cp", &path("tree/inner/one"), "files:/none/"]);
        engine.fails(&["cp", "gone:/etc", &path("x")]);
    });
    steps.step("cp: a tar stream in and out", || {
        let said = engine.run(&["cp", "files:/new/inner", "-"]).ok();
        let listed = engine.world.run_with_input(&["tar", "-tf", "-"], &said.bytes).ok().stdout;
        let names: Vec<&str> = listed.lines().map(|name| name.trim_end_matches('/')).collect();
        assert_eq!(names, ["inner", "inner/one"]);
        drop(engine.run_with_input(&["cp", "-", "files:/home"], &said.bytes).ok());
        assert_eq!(inside("cat /home/inner/one"), "one");
    });
    steps.step("cp: into and out of what does not run", || {
        drop(engine.run(&["stop", "-t", "0", "files"]).ok());
        drop(engine.run(&["cp", &path("tree"), "files:/late"]).ok());
        drop(engine.run(&["cp", "files:/late/inner/one", &path("late")]).ok());
        assert_eq!(fs::read_to_string(here.join("late")).unwrap(), "one");
        let said = engine.run(&["cp", "files:/late/inner", "-"]).ok();
        drop(engine.run_with_input(&["cp", "-", "files:/late"], &said.bytes).ok());
        drop(engine.run(&["start", "files"]).ok());
        assert_eq!(inside("cat /late/inner/one"), "one");
    });
    steps.step("cp: a volume of what does not run", || {
        engine.create("stopped", &["-v", "cp-data:/v", BOX, "sleep", "1000"]);
        drop(engine.run(&["cp", &path("tree/inner/one"), "stopped:/v/one"]).ok());
        assert_eq!(engine.prints(&["-v", "cp-data:/v", BOX, "cat", "/v/one"]), "one");
        drop(engine.run(&["cp", "stopped:/v/one", &path("volume")]).ok());
        assert_eq!(fs::read_to_string(here.join("volume")).unwrap(), "one");
        engine.remove(&["stopped"]);
    });
    steps.step("cp: from one container to another", || {
        engine.start("second", &[BOX, "sleep", "1000"]);
        drop(engine.run(&["cp", "files:/new/inner/one", "second:/one"]).ok());
        assert_eq!(engine.said(&["exec", "second", "cat", "/one"]), "one");
        engine.remove(&["second"]);
    });
}

fn changes(engine: &Engine<'_>, steps: &mut Steps) {
    let script = "rm /bin/vi; echo x >> /etc/passwd; mkdir -p /new/made; touch /new/made/file";
    drop(engine.run(&["exec", "files", "sh", "-c", script]).ok());
    steps.step("diff: what was added, changed and removed", || {
        let said = engine.run(&["diff", "files"]).ok().stdout;
        let said: BTreeSet<&str> = said.lines().collect();
        for line in ["A /new", "A /new/made/file", "C /etc", "C /etc/passwd", "C /bin", "D /bin/vi"]
        {
            assert!(said.contains(line), "{line} in {said:?}");
        }
        engine.fails(&["diff", "gone"]);
    });
    steps.step("diff: nothing where nothing was changed", || {
        engine.start("plain", &["-v", "/mounted/here", BOX, "sleep", "1000"]);
        let said = engine.run(&["diff", "plain"]).ok().stdout;
        engine.remove(&["plain"]);
        assert_eq!(said, "");
    });
}

fn commits(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("source", &["-e", "A=1", "-l", "from=source", BOX, "sleep", "1000"]);
    drop(engine.run(&["exec", "source", "sh", "-c", "echo 1 > /one; rm /bin/vi"]).ok());
    let made = "box.example/made:1";
    steps.step("commit: an image with what was changed", || {
        let changes = ["-c", "CMD [\"cat\", \"/one\"]", "-c", "ENV B=2", "-c", "LABEL x=y"];
        let words = [&["commit", "-a", "me"], &changes[..], &["source", made]];
        drop(engine.run(&words.concat()).ok());
        assert_eq!(engine.prints(&[made]), "1\n");
        let outcome = engine.once(&[made, "sh", "-c", "ls /bin/vi; echo $A$B"]).ok();
        assert_eq!(outcome.stdout, "12\n");
        let format = "{{.Author}} {{len .RootFS.Layers}} {{.Config.Labels.x}}";
        assert_eq!(engine.said(&["image", "inspect", "--format", format, made]), "me 2 y");
        assert_eq!(engine.inspect("source", ".State.Running"), "true");
    });
    steps.step("commit -m: a message in the history", || {
        drop(engine.run(&["commit", "-m", "why", "source", made]).ok());
        assert!(engine.run(&["history", made]).ok().stdout.contains("why"));
    });
    steps.step("commit: without a name prints an id", || {
        let id = engine.said(&["commit", "source"]);
        assert_eq!(engine.prints(&[&id, "cat", "/one"]), "1\n");
        drop(engine.run(&["rmi", &id]).ok());
    });
    steps.step("commit: what makes no sense is refused", || {
        engine.fails(&["commit", "-c", "RUN true", "source", "box.example/x:1"]);
        engine.fails(&["commit", "source", "Bad Name"]);
        engine.fails(&["commit", "gone", "box.example/x:1"]);
    });
}

fn archives(engine: &Engine<'_>, steps: &mut Steps) {
    let path = |name: &str| engine.world.shared().join(name).display().to_string();
    steps.step("export, import: an image of one layer", || {
        drop(engine.run(&["export", "-o", &path("root.tar"), "source"]).ok());
        let import = ["import", "-c", "CMD [\"cat\", \"/one\"]", "-m", "why"];
        let root = path("root.tar");
        let words = [&import[..], &[&root, "box.example/flat:1"]].concat();
        drop(engine.run(&words).ok());
        assert_eq!(engine.prints(&["box.example/flat:1"]), "1\n");
        let piped = engine.run(&["export", "source"]).ok();
        drop(engine.run_with_input(&["import", "-", "box.example/piped:1"], &piped.bytes).ok());
        assert_eq!(engine.prints(&["box.example/piped:1", "cat", "/one"]), "1\n");
        engine.fails(&["export", "-o", &path("none.tar"), "gone"]);
        engine.fails(&["import", &path("none.tar")]);
    });
    steps.step("save, load: several images in one archive", || {
        let both = ["box.example/flat:1", "box.example/piped:1"];
        drop(engine.run(&[&["save", "-o", &path("two.tar")], &both[..]].concat()).ok());
        drop(engine.run(&[&["rmi"], &both[..]].concat()).ok());
        let said = engine.run(&["load", "-i", &path("two.tar")]).ok().stdout;
        for name in both {
            assert!(said.contains(name), "{name} in {said}");
            assert_eq!(engine.prints(&[name, "cat", "/one"]), "1\n");
        }
        engine.fails(&["save", "-o", &path("x.tar"), "box.example/gone:1"]);
        engine.fails(&["load", "-i", &path("gone.tar")]);
    });
    steps.step("save, load: by pipes", || {
        let saved = engine.run(&["save", "box.example/flat:1"]).ok();
        drop(engine.run(&["rmi", "box.example/flat:1"]).ok());
        drop(engine.run_with_input(&["load"], &saved.bytes).ok());
        assert_eq!(engine.prints(&["box.example/flat:1", "cat", "/one"]), "1\n");
    });
}
