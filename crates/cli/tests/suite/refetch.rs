//! Discarded layers that come back: `image refetch`.

use crate::{fixture::SOON, torment::Dice};
use dhow_testkit::{
    Access, Dhow, Registry, Transport,
    image::{Compression, Image, Layer, Layout},
    need, needs_root, needs_tool, rootfs,
    tarball::Tarball,
};
use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
};

/// A dhow with an image of two layers, one of which is long enough for a transfer to be resumed, whose
/// layers were discarded and are at a registry.
struct Away {
    dhow: Dhow,
    registry: Registry,
    gate: Gate,
    name: String,
    digest: String,
    layers: [Layer; 2],
}

impl Away {
    fn new() -> Self {
        let dhow = Dhow::new();
        let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
        let (layout, layers) = layout(dhow.directory());
        registry.push(&layout.reference("box"), "team/box:1").unwrap();
        let gate = Gate::before(&registry);
        let name = format!("{}/team/box:1", gate.address);
        drop(dhow.run(&["pull", "-q", "--tls-verify=false", &name]).ok());
        let digest = dhow.run(&["inspect", "--format", "{{.Digest}}", &name]).ok();
        let digest = digest.line().to_owned();
        let away = Self { dhow, registry, gate, name, digest, layers };
        assert_eq!((away.blobs(), away.is_indexed()), (4, true));
        away.discard();
        away
    }

    fn discard(&self) {
        drop(self.dhow.run(&["image", "discard", "--tls-verify=false", &self.name]).ok());
        assert_eq!((self.blobs(), self.is_indexed()), (2, false));
    }

    fn refetch(&self) -> [&str; 4] {
        ["image", "refetch", "--tls-verify=false", &self.name]
    }

    /// Begins to refetch, and comes back when one layer is there and the other one is being waited for.
    fn begin_to_refetch(&self) -> Child {
        self.gate.shut(&self.layers[1]);
        let mut command = self.dhow.command(&self.refetch());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = child.spawn().unwrap();
        self.gate.wait_until_somebody_waits();
        let first = need::eventually(SOON, || (self.blobs() == 3).then_some(()));
        assert!(first.is_some(), "the first layer does not come");
        child
    }

    fn blobs(&self) -> usize {
        count(&self.dhow, "blobs/sha256")
    }

    /// Do other tools find the image in the content?
    fn is_indexed(&self) -> bool {
        let index = fs::read_to_string(self.dhow.root().join("content/index.json")).unwrap();
        index.contains(&self.digest)
    }

    fn assert_well(&self) {
        assert_eq!(self.dhow.run(&["system", "check"]).ok().stdout, "all is well\n");
        assert_eq!(self.dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    }

    fn assert_nothing_came(&self) {
        assert_eq!((self.blobs(), count(&self.dhow, "ingest")), (2, 0));
        assert!(!self.is_indexed());
        self.assert_well();
    }
}

/// How many files are in a directory of the content.
fn count(dhow: &Dhow, directory: &str) -> usize {
    fs::read_dir(dhow.root().join("content").join(directory)).unwrap().count()
}

fn layout(directory: &Path) -> (Layout, [Layer; 2]) {
    let root = rootfs::busybox().unwrap();
    let layout = Layout::new(&directory.join("layout")).unwrap();
    let mut dice = Dice(11);
    let noise: Vec<u8> = (0..2 << 20).map(|_| dice.throw().to_le_bytes()[0]).collect();
    let mut tarball = Tarball::new(Vec::new());
    tarball.file("noise", &noise).unwrap();
    let layers = [
        layout.layer_of(root.path(), Compression::Gzip).unwrap(),
        layout.layer_of_tar(&tarball.finish().unwrap(), Compression::Gzip).unwrap(),
    ];
    layout.tag_image(&Image::new(layers.clone()), "box").unwrap();
    (layout, layers)
}

/// A way to a registry on which the requests for one blob are held up while it is shut.
struct Gate {
    address: String,
    held: Arc<(Mutex<Held>, Condvar)>,
}

#[derive(Default)]
struct Held {
    blob: Option<String>,
    waiting: bool,
}

impl Gate {
    fn before(registry: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let held = Arc::new((Mutex::new(Held::default()), Condvar::new()));
        let (to, holds) = (registry.address().to_owned(), Arc::clone(&held));
        thread::spawn(move || {
            for stream in listener.incoming() {
                // Without the registry, connections end as soon as they are made.
                let (Ok(here), Ok(there)) = (stream, TcpStream::connect(&to)) else { continue };
                let holds = Arc::clone(&holds);
                let (mut answers, mut asker) =
                    (there.try_clone().unwrap(), here.try_clone().unwrap());
                thread::spawn(move || io::copy(&mut answers, &mut asker));
                thread::spawn(move || pass_on(here, there, &holds));
            }
        });
        Self { address, held }
    }

    fn shut(&self, layer: &Layer) {
        let mut held = self.held.0.lock().unwrap();
        *held = Held { blob: Some(layer.digest.to_string()), waiting: false };
    }

    fn open(&self) {
        self.held.0.lock().unwrap().blob = None;
        self.held.1.notify_all();
    }

    fn wait_until_somebody_waits(&self) {
        let held = self.held.0.lock().unwrap();
        let (held, _) = self.held.1.wait_timeout_while(held, SOON, |held| !held.waiting).unwrap();
        assert!(held.waiting, "nobody asks for the blob");
    }
}

fn pass_on(mut here: TcpStream, mut there: TcpStream, held: &(Mutex<Held>, Condvar)) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = here.read(&mut buffer) {
        let asked = String::from_utf8_lossy(&buffer[..length]);
        let mut now = held.0.lock().unwrap();
        while now.blob.as_ref().is_some_and(|blob| asked.contains(blob.as_str())) {
            now.waiting = true;
            held.1.notify_all();
            now = held.1.wait(now).unwrap();
        }
        drop(now);
        if there.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

#[test]
fn what_comes_back_needs_no_registry_any_more() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let away = Away::new();

    let told = away.dhow.run(&away.refetch()).ok().stdout;

    for layer in &away.layers {
        assert!(told.contains(&format!("Fetched: {}\n", layer.digest)), "{told}");
    }
    assert!(told.contains("Total fetched space: ") && !told.contains(": 0B"), "{told}");
    assert_eq!((away.blobs(), count(&away.dhow, "ingest"), away.is_indexed()), (4, 0, true));
    away.assert_well();
    let Away { dhow, registry, name, digest, .. } = away;
    drop(registry);
    let again = dhow.run(&["image", "refetch", "--all"]).ok().stdout;
    assert_eq!(again, "Total fetched space: 0B\n");
    let saved = dhow.directory().join("saved").display().to_string();
    drop(dhow.run(&["save", "-q", "--format", "oci-dir", "-o", &saved, &name]).ok());
    let copy = format!("oci:{saved}");
    let look = ["image", "inspect", "--format", "{{.Digest}}", &copy];
    assert_eq!(dhow.run(&look).ok().line(), digest);
    // Whoever loads it checks every byte.
    let other = Dhow::new();
    let id = other.run(&["pull", "-q", &copy]).ok().line().to_owned();
    assert_eq!(other.run(&["inspect", "--format", "{{.Digest}}", &id]).ok().line(), digest);
}

#[test]
fn a_registry_that_gives_something_else_leaves_nothing_behind() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let away = Away::new();
    let file = away.registry.blob(&away.layers[1].digest);
    let good = fs::read(&file).unwrap();
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    let short = &good[..good.len() - 1];
    let long = [&good[..], b"x"].concat();

    for (what, bytes) in [("changed", &changed[..]), ("short", short), ("long", &long)] {
        fs::write(&file, bytes).unwrap();
        let refused = away.dhow.run(&away.refetch()).exits(1);

        assert!(refused.stderr.contains(&away.name), "{what}: {}", refused.stderr);
        assert!(!refused.stdout.contains("Fetched"), "{what}: {}", refused.stdout);
        away.assert_nothing_came();
    }
    fs::remove_file(&file).unwrap();
    drop(away.dhow.run(&away.refetch()).exits(1).says("hint: "));
    away.assert_nothing_came();
    let run = ["run", "--rm", "-q", &away.name, "echo", "hi"];
    assert_eq!(away.dhow.run(&run).ok().stdout, "hi\n");

    fs::write(&file, &good).unwrap();
    drop(away.dhow.run(&away.refetch()).ok());
    assert_eq!(away.blobs(), 4);
    away.assert_well();
}

#[test]
fn an_image_that_is_removed_while_its_layers_come_stays_removed() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let away = Away::new();
    let refetching = away.begin_to_refetch();
    away.assert_well();

    drop(away.dhow.run(&["rmi", &away.name]).ok());
    away.gate.open();
    let ended = refetching.wait_with_output().unwrap();

    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("no such image"), "{ended:?}");
    assert_eq!((away.blobs(), count(&away.dhow, "ingest")), (0, 0));
    assert_eq!(away.dhow.run(&["images", "-q"]).ok().stdout, "");
    away.assert_well();
}

#[test]
fn two_who_refetch_at_once_both_succeed() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let away = Away::new();
    let first = away.begin_to_refetch();
    let mut second = away.dhow.command(&away.refetch());
    let second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    away.gate.open();

    for child in [first, second] {
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
    assert_eq!((away.blobs(), count(&away.dhow, "ingest")), (4, 0));
    away.assert_well();
}

#[test]
fn one_who_was_killed_in_the_middle_leaves_nothing_that_is_not_mended() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let away = Away::new();
    let mut refetching = away.begin_to_refetch();

    refetching.kill().unwrap();
    assert_eq!(refetching.wait().unwrap().code(), None);
    away.gate.open();

    assert_eq!(away.dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    away.assert_nothing_came();
    drop(away.dhow.run(&away.refetch()).ok());
    assert_eq!((away.blobs(), away.is_indexed()), (4, true));
    away.assert_well();
}
