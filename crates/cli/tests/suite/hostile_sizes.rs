//! Images whose layers ask for memory: windows of compression, maps of sparse files, directories without
//! number, documents of a million items. Whether they are refused or pulled, no pull takes more than
//! 64 MiB and 8 MiB a processor.

use crate::fixture::weigh;
use dhow_base::{
    Doing, Result,
    digest::{Algorithm, Hasher},
};
use dhow_testkit::{
    Access, Dhow, Disk, Registry, Transport,
    image::{Compression, Image, Layer, Layout, native_architecture},
    need, needs_root, needs_tool, outcome,
    tarball::{Entry, Tarball, What},
};
use serde_json::json;
use std::{fs, io::Write, process::Command};

type Fill<'a> = &'a dyn Fn(usize, &mut dyn Write) -> Result<()>;

/// Three layers, as many as are worked on at a time, that differ by their number.
fn three(make: &dyn Fn(usize) -> Result<Layer>) -> Vec<Layer> {
    (0..3).map(|number| make(number).unwrap()).collect()
}

fn zstd(layout: &Layout, fill: Fill<'_>) -> Vec<Layer> {
    three(&|number| layout.layer(Compression::Zstd, &|out| fill(number, out)))
}

/// Three layers of one file each, larger than any window. The frames are made here: an encoder would take
/// as much memory as it makes the decoder take, and a process begins as a copy of the one that starts it.
fn with_window(layout: &Layout, bits: u32) -> Vec<Layer> {
    const BLOCK: usize = 128 << 10;
    const BLOCKS: usize = 140 << 3;
    three(&|number| {
        let block = |is_last: bool, kind: u32, size: usize| {
            let size = u32::try_from(size).unwrap();
            (u32::from(is_last) | kind << 1 | size << 3).to_le_bytes()[..3].to_vec()
        };
        let mut head = header(b'0', BLOCK * BLOCKS);
        head[..5].copy_from_slice(format!("file{number}").as_bytes());
        seal(&mut head);
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, u8::try_from((bits - 10) << 3).unwrap()];
        frame.extend([block(false, 0, head.len()), head.to_vec()].concat());
        let repeated = [block(false, 1, BLOCK), vec![7]].concat();
        frame.extend(repeated.repeat(BLOCKS));
        frame.extend([block(true, 1, 1024), vec![0]].concat());
        let mut tar = Hasher::new(Algorithm::Sha256);
        tar.update(&head);
        (0..BLOCKS).for_each(|_| tar.update(&[7; BLOCK]));
        tar.update(&[0; 1024]);
        Ok(Layer {
            digest: layout.add_blob(&frame)?,
            diff_id: tar.finish(),
            size: frame.len() as u64,
            compression: Compression::Zstd,
        })
    })
}

/// Directories that are needed and never listed.
fn implied(number: usize, out: &mut dyn Write) -> Result<()> {
    let mut tar = Tarball::new(out);
    let long = "x".repeat(240);
    for directory in 0..20_000 {
        tar.file(&format!("{number}/{directory}-{long}/{long}/{long}/file"), b"")?;
    }
    tar.finish().map(drop)
}

/// Directories that are listed, first all of them and then what is in some.
fn listed(number: usize, out: &mut dyn Write) -> Result<()> {
    let mut tar = Tarball::new(out);
    let name = |directory: u32| format!("{number}-{directory}-{}", "x".repeat(200));
    for directory in 0..20_000 {
        tar.directory(&name(directory))?;
    }
    for directory in (0..20_000).step_by(10) {
        tar.file(&format!("{}/file", name(directory)), b"")?;
    }
    tar.finish().map(drop)
}

/// A file of half a million regions, all of them empty, in the form that has them before the
/// content.
fn regions(number: usize, out: &mut dyn Write) -> Result<()> {
    const REGIONS: usize = 1 << 19;
    let mut map = format!("{REGIONS}\n");
    for region in 0..REGIONS {
        map.push_str(&format!("{region}\n0\n"));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(512), 0);
    let records = [
        ("GNU.sparse.major", "1".to_owned()),
        ("GNU.sparse.minor", "0".to_owned()),
        ("GNU.sparse.name", format!("sparse{number}")),
        ("GNU.sparse.realsize", REGIONS.to_string()),
    ];
    let records: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    let mut put = |kind: u8, bytes: &[u8]| {
        out.write_all(&header(kind, bytes.len()))?;
        out.write_all(bytes)?;
        out.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()])
    };
    put(b'x', &records).and_then(|()| put(b'0', &map)).doing(|| "write a sparse file")?;
    out.write_all(&[0; 1024]).doing(|| "write the end")
}

/// A record of an extended header, whose length counts itself.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = (1..).find(|length: &usize| length.to_string().len() + rest.len() == *length);
    format!("{}{rest}", length.unwrap()).into_bytes()
}

fn header(kind: u8, size: usize) -> [u8; 512] {
    let mut block = [0; 512];
    block[..4].copy_from_slice(b"name");
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    block
}

fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An image that is tried, and what its refusal says; nothing where it is pulled.
struct Case {
    what: &'static str,
    layers: Vec<Layer>,
    refusal: Option<&'static str>,
}

#[test]
fn whatever_layers_ask_for_a_pull_stays_small() {
    needs_root!();
    // In memory: so many files would have the disk measured, and nothing of ours.
    let disk = Disk::of(6 << 30).unwrap();
    let dhow = Dhow::below(disk.path());
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let case = |what, layers, refusal| Case { what, layers, refusal };
    let cases = [
        case("windows of 8 MiB", with_window(&layout, 23), None),
        case("windows of 32 MiB", with_window(&layout, 25), None),
        case("windows of 64 MiB", with_window(&layout, 26), Some("bytes of memory")),
        case("implied directories", zstd(&layout, &implied), Some("bytes of")),
        case("listed directories", zstd(&layout, &listed), None),
        case("sparse regions", zstd(&layout, &regions), None),
    ];
    let limit = 64 + 8 * u64::try_from(need::processors()).unwrap();
    let mut peaks = Vec::new();

    for Case { what, layers, refusal } in cases {
        layout.tag_image(&Image::new(layers), "box").unwrap();
        let pull = ["pull", "-q", &layout.reference("box")];
        let (code, peak) = weigh(&dhow, &pull);
        peaks.push((what, peak));
        assert_eq!(code, if refusal.is_some() { 1 } else { 0 }, "{what}");
        if let Some(refusal) = refusal {
            let said = dhow.run(&pull).exits(1).stderr;
            assert!(said.contains(refusal) && said.contains("--limit"), "{what}: {said}");
        }
        drop(dhow.run(&["rmi", "-af"]).ok());
    }

    println!("{peaks:?} of {limit} MiB");
    assert!(peaks.iter().all(|(_, peak)| (1..limit).contains(peak)), "{peaks:?} of {limit} MiB");
    // Who trusts such an image says so.
    layout.tag_image(&Image::new(with_window(&layout, 26)), "box").unwrap();
    let trusting = ["--limit", "memory=64MiB", "pull", "-q", &layout.reference("box")];
    assert_eq!(weigh(&dhow, &trusting).0, 0);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

/// Directories and files without number that have long names and attributes.
fn attributes(number: usize, out: &mut dyn Write) -> Result<()> {
    let mut tar = Tarball::new(out);
    let value = vec![b'x'; 48 << 10];
    for file in 0..200 {
        let name = format!("{number}-{file}");
        let entry = Entry::new(&name, What::File).xattr("user.large", &value);
        tar.put(&entry, b"")?;
    }
    tar.finish().map(drop)
}

/// The same layers by way of a registry, archives, conversions, bundles, imports and the plain driver, whether
/// each of these takes them or not.
#[test]
fn by_whatever_way_such_layers_come_it_stays_small() {
    needs_root!();
    needs_tool!("docker-registry", "xz");
    let disk = Disk::of(6 << 30).unwrap();
    let (dhow, plain) = (Dhow::below(disk.path()), Dhow::below(disk.path()));
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let limit = 64 + 8 * u64::try_from(need::processors()).unwrap();
    let fills: [(&str, Fill<'_>); 4] = [
        ("implied", &implied),
        ("listed", &listed),
        ("regions", &regions),
        ("attributes", &attributes),
    ];
    let mut peaks = Vec::new();
    for what in ["window", "implied", "listed", "regions", "attributes"] {
        let at = |name: &str| dhow.directory().join(format!("{what}-{name}"));
        let layout = Layout::new(&at("layout")).unwrap();
        let fill = fills.iter().find(|(name, _)| *name == what).map(|(_, fill)| *fill);
        let layers = fill.map_or_else(|| with_window(&layout, 25), |fill| zstd(&layout, fill));
        layout.tag_image(&Image::new(layers.clone()), "box").unwrap();
        layout.archive(&at("archive")).unwrap();
        fs::write(at("tar"), layout.uncompressed(&layers[0]).unwrap()).unwrap();
        let mut xz = Command::new("xz");
        drop(outcome::run_ok(xz.args(["-1", "-k"]).arg(at("tar")), outcome::LIMIT).unwrap());
        let path = |name: &str| at(name).display().to_string();
        let (from, name) = (layout.reference("box"), registry.reference(&format!("{what}:1")));
        let there = format!("docker://{name}");
        let ways: [(&Dhow, &[&str]); 13] = [
            (&dhow, &["image", "copy", "-q", &from, &there]),
            (&dhow, &["pull", "-q", &name]),
            (&plain, &["--storage-driver", "plain", "pull", "-q", &name]),
            (&dhow, &["image", "export", "-o", &path("export"), &name]),
            (&dhow, &["rmi", "-af"]),
            (&dhow, &["load", "-q", "-i", &path("archive")]),
            (&dhow, &["save", "-q", "-o", &path("saved"), "localhost/box"]),
            (&dhow, &["import", &path("tar"), "imported:1"]),
            (&dhow, &["import", &path("tar.xz"), "imported:2"]),
            (
                &dhow,
                &[
                    "image",
                    "copy",
                    "--dest-compress-format",
                    "gzip",
                    &from,
                    &format!("dir:{}", path("gzip")),
                ],
            ),
            (
                &dhow,
                &[
                    "image",
                    "copy",
                    "--dest-compress-format",
                    "zstd:chunked",
                    &from,
                    &format!("dir:{}", path("chunked")),
                ],
            ),
            (
                &dhow,
                &["image", "copy", "-q", &from, &format!("docker-archive:{}:x:1", path("docker"))],
            ),
            (
                &dhow,
                &[
                    "image",
                    "unpack",
                    "--image",
                    &format!("{}:box", path("layout")),
                    &path("bundle"),
                ],
            ),
        ];
        for (dhow, words) in ways {
            let (code, peak) = weigh(dhow, words);
            let words = words.iter().take(4).copied().collect::<Vec<_>>().join(" ");
            peaks.push((what, words, code, peak));
        }
        for dhow in [&dhow, &plain] {
            drop(dhow.run(&["rmi", "-af"]).ok());
            assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
        }
        for name in ["layout", "archive", "tar", "bundle", "gzip", "chunked"] {
            drop(fs::remove_dir_all(at(name)).or_else(|_| fs::remove_file(at(name))));
        }
    }
    // A bundle comes with a list of all its paths and attributes, in umoci's form.
    let limit_of = |words: &str| limit * if words.starts_with("image unpack") { 2 } else { 1 };
    let most = peaks.iter().filter(|(_, words, _, peak)| *peak >= limit_of(words));
    let most: Vec<_> = most.collect();
    assert!(most.is_empty(), "{most:?} of {limit} MiB");
}

#[test]
fn documents_of_a_million_items_are_refused_before_they_grow() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let limit = 64 + 8 * u64::try_from(need::processors()).unwrap();
    // As text: a list of a million texts would be larger in this process than in the one that is measured.
    for field in ["history", "config"] {
        let items = match field {
            "history" => format!("[{}{{}}]", "{},".repeat(1_000_000)),
            _ => format!(r#"{{"Env":[{}""]}}"#, r#""","#.repeat(1_000_000)),
        };
        let config = format!(
            r#"{{"architecture":"{}","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}},"{field}":{items}}}"#,
            native_architecture()
        );
        let config = json!({
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": layout.add_blob(config.as_bytes()).unwrap().as_str(),
            "size": config.len(),
        });
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []});
        let descriptor = layout.add_document(&manifest, kind).unwrap();
        layout.tag(descriptor, "box").unwrap();

        let pull = ["pull", "-q", &layout.reference("box")];
        let (code, peak) = weigh(&dhow, &pull);

        assert_eq!(code, 1, "{field}");
        assert!(peak < limit, "{field}: {peak} of {limit} MiB");
        let said = dhow.run(&pull).exits(1).stderr;
        assert!(said.contains("more than 200000 items"), "{said}");
    }
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}
