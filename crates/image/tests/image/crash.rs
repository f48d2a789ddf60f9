//! `kill -9` at many points of a pull: the next command names and mends what is left, the next
//! pull goes on from it, and nothing else remains.

use crate::room::Room;
use dhow_image::Depth;
use dhow_snapshot::Driver;
use dhow_state::images;
use dhow_testkit::{
    Access, Registry, Transport,
    image::{Compression, Image},
    need::eventually,
    needs_tool,
};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const KILLS: u32 = 24;

/// The example `pull`, which cargo builds beside the tests.
pub(crate) fn program() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let directory = this.ancestors().nth(2).unwrap();
    directory.join("examples/pull")
}

fn spawn(room: &Room, root: &Path, source: &str) -> Child {
    Command::new(program())
        .arg(root)
        .arg(room.runroot())
        .arg(source)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// An image that takes a moment: several layers, each more than what is worth resuming.
fn slow_image(room: &Room) -> String {
    let mut noise = 1_u32;
    let layers: Vec<_> = (0..6)
        .map(|number| {
            // Hardly compressible, so that blobs are large too.
            let content: String = (0..3_000_000)
                .map(|_| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    char::from(b'0' + u8::try_from(noise >> 26).unwrap())
                })
                .collect();
            let names: Vec<String> = (0..30).map(|file| format!("l{number}-{file}")).collect();
            let files: Vec<(&str, &str)> = names
                .iter()
                .enumerate()
                .map(|(at, name)| (name.as_str(), &content[at * 100_000..(at + 1) * 100_000]))
                .collect();
            room.layer_in(&files, Compression::Gzip)
        })
        .collect();
    room.layout.tag_image(&Image::new(layers), "slow").unwrap();
    room.layout.reference("slow")
}

#[test]
fn a_killed_pull_is_mended_and_resumed() {
    for driver in [Driver::Overlay, Driver::Plain] {
        let mut room = Room::with(driver);
        let source = slow_image(&room);
        survive_kills(&mut room, &source, "slow");
    }
}

#[test]
fn a_killed_pull_from_a_registry_is_mended_and_resumed() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let source = slow_image(&room);
    registry.push(&source, "slow:1").unwrap();
    let name = registry.reference("slow:1");

    survive_kills(&mut room, &name, &name);

    // What had come was not fetched again: the registry was asked for the rest of blobs.
    let rests = registry.requests().iter().filter(|request| request.ends_with(" 206")).count();
    assert!(rests > 0, "no pull has resumed a blob");
}

/// Kills pulls at many points; each time nothing but a resumable rest is left, and in the end there
/// is the image.
fn survive_kills(room: &mut Room, source: &str, name: &str) {
    let names = [name.to_owned()];
    let start = Instant::now();
    assert!(spawn(room, &room.root(), source).wait().unwrap().success());
    let whole = start.elapsed();
    room.images.remove(&mut room.state, &names, false).unwrap();
    room.assert_empty();

    let mut interrupted = 0;
    // The first pull can be far slower than the others, and one that resumes has less to do: who
    // came too late comes earlier the next time.
    let mut paces = [whole; 3];
    for kill in 0..KILLS {
        let pace = &mut paces[usize::try_from(kill % 3).unwrap()];
        let mut child = spawn(room, &room.root(), source);
        std::thread::sleep(*pace * (kill % 8 + 1) / 9 + Duration::from_micros(137) * kill);
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            *pace /= 2;
        } else {
            interrupted += 1;
        }

        room.images.mend(&mut room.state).unwrap();
        let findings = room.images.doctor(&room.state, Depth::Content).unwrap();
        assert!(findings.is_empty(), "{source}, kill {kill}: {findings:#?}");
        // Every third time the next attempt starts from nothing.
        if kill % 3 == 2 {
            room.images.forget_interrupted(&mut room.state).unwrap();
            let _removed = room.images.remove(&mut room.state, &names, false);
            room.assert_empty();
        }
    }
    let image = room.pull(source).unwrap();

    assert!(interrupted > KILLS / 4, "only {interrupted} of {KILLS} pulls were interrupted");
    for number in 0..6 {
        let name = format!("l{number}-29");
        assert_eq!(room.content(&image, &name).map(|text| text.len()), Some(100_000));
    }
    room.assert_healthy();
    room.images.remove(&mut room.state, &names, false).unwrap();
    room.assert_empty();
}

#[test]
fn an_interrupted_pull_waits_for_its_next_attempt_but_not_over_a_reboot() {
    let mut room = Room::new();
    let source = slow_image(&room);
    // Killed as soon as its row is there.
    let mut child = spawn(&room, &room.root(), &source);
    let row = eventually(Duration::from_secs(60), || {
        images::unfinished(room.state.read()).unwrap().pop()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let mut row = row.unwrap();

    room.images.mend(&mut room.state).unwrap();
    let kept = images::find(room.state.read(), &row.manifest).unwrap().is_some();
    row.boot = Some("an earlier one".into());
    room.state.write(|write| images::begin(write, &row)).unwrap();
    let mended = room.images.mend(&mut room.state).unwrap();

    assert!(kept);
    assert_eq!(mended.pulls, 1);
    room.assert_empty();
}
