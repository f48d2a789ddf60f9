//! `load` of files that strangers made on purpose: each is refused with its reason, writes nothing
//! outside and leaves nothing behind.

use crate::bad_input::{assert_nothing_left, assert_one_line};
use dhow_base::Digest;
use dhow_testkit::{
    Canary, Dhow,
    image::{Compression, Image, Layer, Layout, native_architecture},
    needs_root,
    tarball::{Entry, Tarball, What},
};
use serde_json::{Value, json};
use std::fs;

/// A small image that is whole, and the place where parts of others are made.
struct Workshop {
    dhow: Dhow,
    layout: Layout,
    layer: Layer,
    tar: Vec<u8>,
    config: Vec<u8>,
}

impl Workshop {
    fn open() -> Self {
        let dhow = Dhow::new();
        let layout = Layout::new(&dhow.directory().join("workshop")).unwrap();
        let mut tar = Tarball::in_memory();
        tar.file("hello", b"hello").unwrap();
        let tar = tar.finish().unwrap();
        let layer = layout.layer_of_tar(&tar, Compression::Plain).unwrap();
        let config = Image::new([layer.clone()]).configuration();
        Self { dhow, layout, layer, tar, config }
    }

    fn gzipped(&self, bytes: &[u8]) -> Vec<u8> {
        let layer = self.layout.layer_of_tar(bytes, Compression::Gzip).unwrap();
        fs::read(self.layout.blob(&layer.digest)).unwrap()
    }

    /// What `docker save` writes of the whole image, but for what `spoil` does.
    fn saved(&self, spoil: impl FnOnce(&mut Saved)) -> Vec<u8> {
        let mut saved = Saved {
            table: json!([{"Config": "c.json", "RepoTags": ["box:1"], "Layers": ["l.tar"]}]),
            files: vec![
                (Entry::new("c.json", What::File), self.config.clone()),
                (Entry::new("l.tar", What::File), self.tar.clone()),
            ],
        };
        spoil(&mut saved);
        saved.pack()
    }
}

struct Saved {
    table: Value,
    files: Vec<(Entry, Vec<u8>)>,
}

impl Saved {
    fn file(&mut self, name: &str, bytes: &[u8]) {
        self.files.push((Entry::new(name, What::File), bytes.to_vec()));
    }

    fn entry(&mut self, entry: Entry) {
        self.files.push((entry, Vec::new()));
    }

    /// Something else instead of the file with this name.
    fn replace(&mut self, name: &str, what: What, bytes: &[u8]) {
        self.files.retain(|(entry, _)| entry.name != name.as_bytes());
        self.files.push((Entry::new(name, what), bytes.to_vec()));
    }

    fn pack(&self) -> Vec<u8> {
        let mut tar = Tarball::in_memory();
        for (entry, bytes) in &self.files {
            tar.put(entry, bytes).unwrap();
        }
        tar.file("manifest.json", self.table.to_string().as_bytes()).unwrap();
        tar.finish().unwrap()
    }
}

/// A file, the flags with which it is loaded, and what is said of it.
struct Case {
    what: &'static str,
    file: Vec<u8>,
    flags: &'static [&'static str],
    words: Vec<String>,
}

fn case(what: &'static str, file: Vec<u8>, words: &[&str]) -> Case {
    Case { what, file, flags: &[], words: words.iter().map(|&word| word.to_owned()).collect() }
}

impl Case {
    fn with(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    fn is_refused(&self, dhow: &Dhow) {
        let path = dhow.directory().join("hostile.tar");
        fs::write(&path, &self.file).unwrap();
        let from_file = [self.flags, &["load", "-q", "-i", path.to_str().unwrap()]].concat();
        let from_pipe = [self.flags, &["load", "-q"]].concat();
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();

        let outcomes = [dhow.run(&from_file), dhow.run_with_input(&from_pipe, &self.file)];

        for outcome in outcomes {
            eprintln!("{}: {}", self.what, outcome.stderr.trim_end());
            assert_one_line(&outcome.exits(1), &words);
        }
        assert_eq!(dhow.run(&["images", "-q"]).ok().stdout, "", "{}", self.what);
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n", "{}", self.what);
    }
}

#[test]
fn archives_of_docker_that_lie_are_refused() {
    needs_root!();
    let shop = Workshop::open();
    let canary = Canary::hatch(&shop.dhow.directory().join("canary")).unwrap();
    let outside = canary.path().to_str().unwrap().to_owned();
    let spoilt = |spoil: &dyn Fn(&mut Saved)| shop.saved(|saved| spoil(saved));
    let link = |target: &str| What::Symlink(target.into());
    let more = |table: Value| spoilt(&|saved| saved.table = table.clone());
    let other_layer = {
        let mut tar = Tarball::in_memory();
        tar.file("other", b"other").unwrap();
        tar.finish().unwrap()
    };
    let cases = [
        case("no table", more(Value::Null), &["manifest.json"]),
        case("an empty table", more(json!([])), &["holds no image"]),
        case(
            "a configuration that is not there",
            spoilt(&|saved| saved.table[0]["Config"] = "gone.json".into()),
            &["gone.json"],
        ),
        case(
            "a layer that is not there",
            spoilt(&|saved| saved.table[0]["Layers"][0] = "gone.tar".into()),
            &["gone.tar"],
        ),
        case(
            "names that climb out",
            spoilt(&|saved| saved.table[0]["Config"] = format!("../../..{outside}").into()),
            &["canary"],
        ),
        case(
            "an absolute link to a file of the host",
            spoilt(&|saved| saved.replace("c.json", link(&outside), b"")),
            &["c.json"],
        ),
        case(
            "a link that climbs out",
            spoilt(&|saved| {
                saved.replace("l.tar", link(&format!("../../../../..{outside}")), b"");
            }),
            &["l.tar"],
        ),
        case(
            "a hard link to a file of the host",
            spoilt(&|saved| {
                saved.replace("l.tar", What::HardLink(outside.clone().into_bytes()), b"");
            }),
            &["l.tar"],
        ),
        case(
            "links in a circle",
            spoilt(&|saved| {
                saved.replace("c.json", link("d.json"), b"");
                saved.entry(Entry::new("d.json", link("c.json")));
            }),
            &["c.json", "too many links"],
        ),
        case(
            "a device for a configuration",
            spoilt(&|saved| saved.replace("c.json", What::Character(1, 5), b"")),
            &["c.json"],
        ),
        case(
            "an entry that climbs out",
            spoilt(&|saved| saved.file("../canary", b"gone")),
            &["..", "canary"],
        ),
        case(
            "two tables of contents",
            spoilt(&|saved| saved.file("manifest.json", b"[]")),
            &["manifest.json", "twice"],
        ),
        case(
            "two configurations under one name",
            spoilt(&|saved| saved.file("c.json", b"{}")),
            &["c.json", "twice"],
        ),
        case(
            "two layers of one length under one name",
            spoilt(&|saved| saved.file("l.tar", &other_layer)),
            &["l.tar", "twice"],
        ),
        case(
            "a layer that the configuration does not know",
            spoilt(&|saved| saved.replace("l.tar", What::File, &other_layer)),
            &[shop.layer.diff_id.short()],
        ),
        case(
            "the same, compressed",
            spoilt(&|saved| saved.replace("l.tar", What::File, &shop.gzipped(&other_layer))),
            &[shop.layer.diff_id.short()],
        ),
        case(
            "half a layer",
            spoilt(&|saved| saved.replace("l.tar", What::File, &shop.tar[..700])),
            &[shop.layer.diff_id.short()],
        ),
        case(
            "more layers than the configuration has",
            spoilt(&|saved| saved.table[0]["Layers"] = json!(["l.tar", "l.tar"])),
            &["2 layers", "1"],
        ),
        case(
            "a configuration that is none",
            spoilt(&|saved| saved.replace("c.json", What::File, b"[1, 2")),
            &["configuration c.json"],
        ),
        case(
            "an archive that ends early",
            {
                let whole = spoilt(&|_| ());
                whole[..1200].to_vec()
            },
            &["ends"],
        ),
        case("no archive", vec![b'x'; 2048], &["archive"]),
        case("an archive of something else", shop.tar.clone(), &["no archive of images"]),
    ];

    for case in cases {
        case.is_refused(&shop.dhow);
    }

    canary.assert_alive();
}

#[test]
fn archives_that_ask_for_too_much_are_refused() {
    needs_root!();
    let shop = Workshop::open();
    let spoilt = |spoil: &dyn Fn(&mut Saved)| shop.saved(|saved| spoil(saved));
    let image = json!({"Config": "c.json", "Layers": []});
    let many = |count: usize| {
        spoilt(&|saved| {
            for number in 0..count {
                saved.file(&format!("stray/{number}"), b"");
            }
        })
    };
    let sparse = |real_size: &str, map: &[u8]| {
        let entry = Entry::new("c.json", What::File)
            .record("GNU.sparse.major", b"1")
            .record("GNU.sparse.minor", b"0")
            .record("GNU.sparse.realsize", real_size.as_bytes())
            .record("GNU.sparse.name", b"c.json");
        let mut map = map.to_vec();
        map.resize(512, 0);
        spoilt(&|saved| {
            saved.files.remove(0);
            saved.files.push((entry.clone(), map.clone()));
        })
    };
    let zeros = spoilt(&|saved| saved.file("zeros", &vec![0; 8 << 20]));
    let cases = [
        case("a sparse file", sparse("1000", b"1\n0\n0\n"), &["c.json", "sparse"]),
        case(
            "a sparse file of 8 EiB",
            sparse("9223372036854775807", b"1\n0\n0\n"),
            &["c.json", "limit"],
        ),
        case(
            "a sparse file of ten billion regions",
            sparse("1000", b"9999999999\n"),
            &["c.json", "limit"],
        ),
        case("many files", many(1000), &["limit of 1000 entries"]).with(&["--limit=entries=1000"]),
        case("many names", many(1000), &["remembered"]).with(&["--limit=remembered=10000"]),
        case("zeros that were compressed", shop.gzipped(&zeros), &["times as many"])
            .with(&["--limit=ratio=100", "--limit=ratio-from=1048576"]),
        case("more than there may be", shop.gzipped(&zeros), &["limit of 1048576 unpacked bytes"])
            .with(&["--limit=unpacked=1048576"]),
        case(
            "more images than a table may have",
            spoilt(&|saved| saved.table = vec![image.clone(); 1001].into()),
            &["1000 images"],
        ),
        case(
            "more layers than an image may have",
            spoilt(&|saved| saved.table[0]["Layers"] = vec![json!("l.tar"); 1001].into()),
            &["limit of 1000 layers"],
        ),
        case(
            "a table that is too long",
            spoilt(&|saved| saved.table[0]["RepoTags"][0] = "x".repeat(5 << 20).into()),
            &["manifest.json", "bytes"],
        ),
        case(
            "a configuration that is too long",
            spoilt(&|saved| saved.replace("c.json", What::File, &vec![b' '; 9 << 20])),
            &["c.json", "bytes"],
        ),
    ];

    for case in cases {
        case.is_refused(&shop.dhow);
    }
}

#[test]
fn layouts_that_lie_are_refused() {
    needs_root!();
    let shop = Workshop::open();
    let canary = Canary::hatch(&shop.dhow.directory().join("canary")).unwrap();
    let out = format!("../{}", "../".repeat(20)) + canary.path().to_str().unwrap();
    let mut climbing = Tarball::in_memory();
    climbing.file(&out, b"gone").unwrap();
    let mut following = Tarball::in_memory();
    following.symlink("link", canary.path().parent().unwrap().to_str().unwrap()).unwrap();
    following.file("link/canary", b"gone").unwrap();
    let image = |layer: &[u8]| {
        let layer = shop.layout.layer_of_tar(layer, Compression::Gzip).unwrap();
        shop.layout.add_image(&Image::new([layer])).unwrap()
    };
    let whole = image(&shop.tar);
    let changed = |field: &str, value: Value| {
        let mut changed = whole.clone();
        changed[field] = value;
        changed
    };
    let (wrong_digest, no_digest) = (Digest::of(b"wrong"), Digest::of(b"none"));
    let wrong_layer = {
        let layer = Layer { diff_id: wrong_digest.clone(), ..shop.layer.clone() };
        shop.layout.add_image(&Image::new([layer])).unwrap()
    };
    let index_type = "application/vnd.oci.image.index.v1+json";
    let indexed = |mut entry: Value| {
        entry["platform"] = json!({"os": "linux", "architecture": native_architecture()});
        let index = json!({"schemaVersion": 2, "mediaType": index_type, "manifests": [entry]});
        shop.layout.add_document(&index, index_type).unwrap()
    };
    let nested = indexed(indexed(whole.clone()));
    // A blob whose bytes are others than its name says.
    let false_blob = shop.layout.blob(&wrong_digest);
    fs::write(&false_blob, vec![b' '; usize::try_from(whole["size"].as_u64().unwrap()).unwrap()])
        .unwrap();
    let rows: [(&str, Value, &[&str]); 8] = [
        (
            "an image that is not there",
            changed("digest", json!(no_digest.as_str())),
            &[no_digest.short()],
        ),
        (
            "an image that is something else",
            changed("digest", json!(wrong_digest.as_str())),
            &[wrong_digest.short(), "its content has digest"],
        ),
        ("a size that lies", changed("size", json!(7)), &["expected 7"]),
        ("a digest that is a path", changed("digest", json!("sha256:../../canary")), &["digest"]),
        ("another kind than it is", changed("mediaType", json!(index_type)), &["but was given as"]),
        ("an index within an index", nested, &["index within an index"]),
        ("a layer that the configuration does not know", wrong_layer, &[wrong_digest.short()]),
        ("a layer that climbs out", image(&climbing.finish().unwrap()), &[".."]),
    ];

    for (what, descriptor, words) in rows {
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        fs::write(shop.layout.path().join("index.json"), index.to_string()).unwrap();
        let archive = shop.dhow.directory().join("layout.tar");
        shop.layout.archive(&archive).unwrap();
        let bytes = fs::read(&archive).unwrap();
        fs::remove_file(&archive).unwrap();
        case(what, bytes, words).is_refused(&shop.dhow);
        let directory = shop.layout.path().to_str().unwrap();
        let refused = shop.dhow.run(&["load", "-q", "-i", directory]).exits(1);
        assert_one_line(&refused, words);
    }
    // A layer that goes through its own link is one that other tools take: it stays in its root.
    shop.layout.tag(image(&following.finish().unwrap()), "following").unwrap();
    drop(shop.dhow.run(&["pull", "-q", &shop.layout.reference("following")]).ok());
    drop(shop.dhow.run(&["rmi", "-af"]).ok());

    canary.assert_alive();
    assert_nothing_left(&shop.dhow);
}

/// What is found by a digest has that digest: no file can give its image another's.
#[test]
fn a_file_cannot_pass_for_what_another_digest_means() {
    needs_root!();
    let shop = Workshop::open();
    let digest = Digest::of(b"what a registry has");
    let trusted = format!("registry.example.com/debian@{digest}");
    let odd = "\u{1b}[31mred";
    let file = shop.saved(|saved| {
        saved.table[0]["RepoTags"] = json!(["box:1", trusted, odd]);
    });

    let loaded = shop.dhow.run_with_input(&["load", "-q"], &file).ok();

    assert_eq!(loaded.stdout, "Loaded image: localhost/box:1\n");
    let warnings: Vec<&str> = loaded.stderr.lines().collect();
    assert!(warnings[0].contains(&trusted) && warnings[0].contains("only found"), "{warnings:?}");
    assert!(warnings[1].contains("red") && warnings[1].contains("no name"), "{warnings:?}");
    assert!(!loaded.stderr.contains('\u{1b}'), "{warnings:?}");
    drop(shop.dhow.run(&["inspect", &trusted]).exits(1));
    drop(shop.dhow.run(&["rmi", "box:1"]).ok());
    let path = shop.dhow.directory().join("named.tar");
    fs::write(&path, &file).unwrap();
    let source = format!("docker-archive:{}", path.display());
    let pulled = shop.dhow.run(&["pull", "-q", &source]).ok();
    assert!(pulled.stderr.contains(&trusted) && pulled.stderr.contains("only found"), "{pulled}");
    assert!(pulled.stderr.contains("no name for an image"), "{pulled}");
    assert!(!pulled.stderr.contains('\u{1b}'), "{pulled}");
    drop(shop.dhow.run(&["inspect", &trusted]).exits(1));
    drop(shop.dhow.run(&["rmi", "box:1"]).ok());

    let descriptor = shop.layout.add_image(&Image::new([shop.layer.clone()])).unwrap();
    shop.layout.tag(descriptor, &trusted).unwrap();
    let loaded = shop.dhow.run(&["load", "-q", "-i", shop.layout.path().to_str().unwrap()]).ok();

    assert!(loaded.stdout.starts_with("Loaded image: sha256:"), "{loaded}");
    assert!(loaded.stderr.contains("only found"), "{loaded}");
    drop(shop.dhow.run(&["inspect", &trusted]).exits(1));
    drop(shop.dhow.run(&["import", "-", &trusted]).exits(1));
    drop(shop.dhow.run(&["rmi", "-af"]).ok());
    assert_nothing_left(&shop.dhow);
}

#[test]
fn what_is_repeated_alike_and_linked_within_is_loaded() {
    needs_root!();
    let shop = Workshop::open();
    let file = shop.saved(|saved| {
        // As old archives of docker share layers, and as those repeat themselves that are appended to.
        saved.replace("l.tar", What::Symlink("../deep/layer.tar".into()), b"");
        saved.files.last_mut().unwrap().0.name = b"wide/l.tar".to_vec();
        saved.file("deep/layer.tar", &shop.tar);
        saved.file("c.json", &shop.config);
        saved.table[0]["Layers"][0] = "./wide//l.tar".into();
        saved.table = json!([saved.table[0], saved.table[0]]);
    });

    let loaded = shop.dhow.run_with_input(&["load", "-q"], &shop.gzipped(&file)).ok();

    assert_eq!(loaded.stdout, "Loaded image: localhost/box:1\nLoaded image: localhost/box:1\n");
    assert_eq!(loaded.stderr, "");
    drop(shop.dhow.run(&["doctor"]).ok());
}
