//! The rows of networks: containers on each engine's usual bridge, every engine on an island of its own.
//!
//! ```text
//!   an island: a mount and a network namespace       its peer: another one
//!     one engine, its bridge ────── 192.0.2.1 ═══════ 192.0.2.2  iperf3 -c
//! ```
//!
//! They cannot share one: docker has the host drop whatever others forward. Engines have storage of their
//! own there, into which the small image is loaded from an archive, since the registry is on the machine's
//! loopback. With an island go its bridges, rules and addresses.

use super::{
    super::{docker, stopwatch::Outpost, stopwatch::Timed},
    Contender, Engine, Field, Place, RESIDENT, Step,
    containers::removal,
    dhow_engine, podman_engine, shown, timed,
};
use crate::complain;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_testkit::need;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Keeps the names of network namespaces, which are mounts, inside; puts the peer beside the island and a
/// cable between them.
const SETTLE: &str = r#"
mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns &&
ip netns add peer &&
ip link add peer type veth peer name eth0 netns peer &&
ip address add 192.0.2.1/24 dev peer && ip link set peer up &&
ip -n peer address add 192.0.2.2/24 dev eth0 && ip -n peer link set eth0 up"#;

/// Sends so many bytes by a program of the rest of the words. The server may not listen yet when it is first
/// asked; newer iperf3 looks only once in an interval whether it has sent enough.
const SEND: &str = r#"
bytes=$1; shift
for i in $(seq 100); do
    said=$("$@" -i 0.1 --connect-timeout 2000 -n "$bytes" 2>&1) && exit 0
    sleep 0.05
done
echo "$said" >&2
exit 1"#;

/// Sends to the address that a file says, after the rest of the words have written it where it is empty.
const SEND_TO: &str = r#"
bytes=$1 file=$2; shift 2
test -s "$file" || "$@" > "$file"
exec sh -c "$SEND" sh "$bytes" iperf3 -c "$(cat "$file")" -p 5201"#;

/// By which way bytes come to a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// From the peer through a published port.
    Port,
    /// From the host over the bridge.
    Bridge,
}

/// An engine on a network of its own. Goes with all that it made there.
#[derive(Debug)]
pub(super) struct Island {
    engine: Engine,
    outpost: Outpost,
    home: PathBuf,
}

impl Island {
    /// Moves an engine, and gives it the image of an archive.
    fn settle(peer: &Engine, home: PathBuf, archive: &Path) -> Result<Self> {
        fs::create_dir_all(&home).doing(|| format!("make {}", home.display()))?;
        let mut outpost = Outpost::with_own_network()?;
        must(&mut outpost, &["sh", "-c", SETTLE].map(str::to_owned))?;
        let program = Path::new(&peer.prefix[0]);
        let engine = match peer.name {
            "dhow" => dhow_engine(program, &home),
            "podman" => podman_with_networks(program, &home),
            _ => docker::start(&home, &mut outpost)?,
        };
        let engine = Engine { place: Place::Island(engine.name), ..engine };
        let mut island = Self { engine, outpost, home };
        island.must(&["load", "--quiet", "-i", &shown(archive)])?;
        Ok(island)
    }

    pub(super) fn time(&mut self, words: &[String]) -> Result<Timed> {
        self.outpost.time(words)
    }

    fn must(&mut self, words: &[&str]) -> Result<()> {
        must(&mut self.outpost, &self.engine.words(words))
    }

    /// What sends so many bytes to the container.
    fn sending(&self, way: Way, bytes: &str) -> Vec<String> {
        if way == Way::Port {
            let program = "ip netns exec peer iperf3 -c 192.0.2.1 -p 5301".split(' ');
            return ["sh", "-c", SEND, "sh", bytes]
                .into_iter()
                .chain(program)
                .map(str::to_owned)
                .collect();
        }
        let file = shown(&self.home.join("address"));
        let send = format!("SEND={SEND}");
        let mut words =
            ["env", &send, "sh", "-c", SEND_TO, "sh", bytes, &file].map(str::to_owned).to_vec();
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        words.extend(self.engine.words(&["inspect", "-f", address, RESIDENT]));
        words
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        for words in [removal(&self.engine), docker::stop(&self.home)] {
            if let Err(error) = must(&mut self.outpost, &words) {
                complain(&format!("warning: {}", error.one_line()));
            }
        }
    }
}

impl Field {
    /// The island of an engine that has one.
    pub(super) fn island(&mut self, engine: &str) -> Result<&mut Island> {
        let mut islands = self.islands.iter_mut();
        islands
            .find(|island| island.engine.name == engine)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("find the island of {engine}")))
    }

    /// Moves engines to islands, where they are not on one; the name of the image that is there.
    fn settle_islands(&mut self, engines: &[Engine]) -> Result<String> {
        let image = self.supply()?;
        let archive = self.home.path().join("box.tar");
        if !archive.exists() {
            let to = shown(&archive);
            let save = ["save", "--quiet", "--format", "docker-archive", "-o", &to, &image];
            self.quietly(Place::Host, &self.engines[0].words(&save));
        }
        for engine in engines {
            if self.island(engine.name).is_ok() {
                continue;
            }
            let home = self.home.path().join(format!("island-{}", engine.name));
            match Island::settle(engine, home, &archive) {
                Ok(island) => self.islands.push(island),
                Err(error) => {
                    complain(&format!("warning: without {}: {}", engine.name, error.one_line()));
                }
            }
        }
        Ok(image)
    }

    /// A container with a published port, set up and taken away.
    pub(super) fn published(&mut self) -> Result<Vec<Contender>> {
        let image = self.settle_islands(&self.engines.clone())?;
        let run = |island: &Island| {
            let mut words = vec!["run", "--rm", "-p", "8080:80"];
            words.extend(island.engine.run);
            words.extend([image.as_str(), "true"]);
            timed(&island.engine, &words)
        };
        Ok(self.islands.iter().map(run).collect())
    }

    /// Starts of containers that differ in their networks alone.
    pub(super) fn beginnings(&mut self) -> Result<Vec<Contender>> {
        self.lives(["create"].as_slice(), &["start", RESIDENT])
    }

    /// Removals of such containers while they run.
    pub(super) fn ends(&mut self) -> Result<Vec<Contender>> {
        self.lives(["run", "-d"].as_slice(), &["rm", "-f", "-t", "0", RESIDENT])
    }

    /// What is timed of dhow's containers with a network and a port, with a network, and without.
    fn lives(&mut self, making: &[&str], timed_words: &[&str]) -> Result<Vec<Contender>> {
        let image = self.settle_islands(&self.engines.clone()[..1])?;
        let island = self.island("dhow")?;
        let life = |(name, network): (&str, &[&str])| {
            let before = [making, &["--name", RESIDENT], network, &[&image, "sleep", "1000"]];
            let mut contender = timed(&island.engine, timed_words);
            let prepared = [&["rm", "-f", "-t", "0", RESIDENT][..], &before.concat()];
            let prepared = prepared.map(|words| Step::Prepare(island.engine.words(words)));
            contender.steps.splice(0..0, prepared);
            contender.name = name.to_owned();
            contender
        };
        let networks: [(&str, &[&str]); 3] = [
            ("dhow", &["-p", "8080:80"]),
            ("dhow without a port", &[]),
            ("dhow without a network", &["--network", "none"]),
        ];
        Ok(networks.map(life).to_vec())
    }

    /// Bytes to a program in a container.
    pub(super) fn senders(&mut self, way: Way) -> Result<Vec<Contender>> {
        if need::tool("iperf3").is_none() {
            return Err(
                Error::new(Kind::NotFound, "find iperf3").hint("install Debian's package iperf3")
            );
        }
        let image = self.settle_islands(&self.engines.clone())?;
        let mut contenders = Vec::new();
        for island in &mut self.islands {
            let mut words = vec!["run", "-d", "--name", RESIDENT, "-p", "5301:5201"];
            // The program and its libraries are the machine's.
            for directory in ["/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro"] {
                words.extend(["-v", directory]);
            }
            words.extend(island.engine.run);
            words.extend([image.as_str(), "/usr/bin/iperf3", "-s"]);
            island.must(&words)?;
            let send = |bytes: &str| island.sending(way, bytes);
            contenders.push(Contender {
                name: island.engine.name.to_owned(),
                place: island.engine.place,
                steps: vec![Step::Prepare(send("1K")), Step::Time(send("8G"))],
            });
        }
        Ok(contenders)
    }
}

/// Podman with networks of its own besides.
fn podman_with_networks(program: &Path, home: &Path) -> Engine {
    let mut engine = podman_engine(program, home);
    let networks = shown(&home.join("podman").join("networks"));
    engine.prefix.extend(["--network-config-dir".to_owned(), networks]);
    engine
}

fn must(outpost: &mut Outpost, words: &[String]) -> Result<()> {
    let Timed { code, said, .. } = outpost.time(words)?;
    if code == 0 {
        return Ok(());
    }
    let doing = format!("run `{}` on an island: {said}", words.join(" "));
    Err(Error::new(Kind::Unavailable, doing))
}
