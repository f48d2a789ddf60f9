//! The rows of containers: created, run many at once, listed in crowds, and what they have printed.

use super::{Contender, Engine, Field, RESIDENT, Step, settle, timed};
use dhow_base::Result;

/// Calls an engine so many times at once, and fails where one of the calls did.
const AT_ONCE: &str = r#"
count=$1; shift
for number in $(seq $count); do "$@" & calls="$calls $!"; done
for call in $calls; do wait $call || exit 1; done
"#;
/// Makes so many containers, eight at a time.
const MANY: &str = r#"
count=$1; shift
for number in $(seq $count); do
    "$@" >/dev/null & test $((number % 8)) -ne 0 || wait
done
wait
"#;
/// What a container prints for the row `logs`: 512 MiB in lines of 128 bytes.
const CHATTER: &str = "yes $(seq -s, 37 | head -c 127) | head -c 536870912";

impl Field {
    /// One container a round, which is taken away before the next.
    pub(super) fn creates(&mut self) -> Result<Vec<Contender>> {
        let image = self.supply()?;
        let created = |engine: &Engine| {
            let mut words = vec!["create", "--name", RESIDENT, "--network", "none"];
            words.extend(engine.run);
            words.extend([image.as_str(), "true"]);
            let mut contender = timed(engine, &words);
            let remove = Step::Prepare(engine.words(&["rm", "-f", RESIDENT]));
            contender.steps.insert(0, remove);
            contender
        };
        Ok(self.engines.iter().map(created).collect())
    }

    /// `run --rm` a hundred times at once.
    pub(super) fn crowds(&mut self) -> Result<Vec<Contender>> {
        let image = self.supply()?;
        let crowd = |engine: &Engine| {
            let mut words = vec!["run", "--rm", "--network", "none"];
            words.extend(engine.run);
            words.extend([image.as_str(), "true"]);
            let mut steps: Vec<String> =
                ["sh", "-c", AT_ONCE, "sh", "100"].map(str::to_owned).to_vec();
            steps.extend(engine.words(&words));
            Contender {
                name: engine.name.to_owned(),
                place: engine.place,
                steps: vec![settle(), Step::Time(steps)],
            }
        };
        Ok(self.engines.iter().map(crowd).collect())
    }

    /// `ps -a` with so many containers.
    pub(super) fn crowded(&mut self, count: usize, engines: &[Engine]) -> Result<Vec<Contender>> {
        let image = self.supply()?;
        let mut contenders = Vec::new();
        for engine in engines {
            let mut words = vec!["create", "--network", "none"];
            words.extend(engine.run);
            words.extend([image.as_str(), "true"]);
            let mut many: Vec<String> =
                ["sh", "-c", MANY, "sh", &count.to_string()].map(str::to_owned).to_vec();
            many.extend(engine.words(&words));
            self.quietly(engine.place, &many);
            contenders.push(timed(engine, &["ps", "-a"]));
        }
        Ok(contenders)
    }

    /// `logs` of a container that has printed half a gigabyte.
    pub(super) fn chatters(&mut self) -> Result<Vec<Contender>> {
        let image = self.supply()?;
        let mut contenders = Vec::new();
        for engine in self.engines.clone() {
            let mut words = vec!["run", "--name", RESIDENT, "--network", "none"];
            words.extend(engine.run);
            words.extend([image.as_str(), "sh", "-c", CHATTER]);
            let silent = ["sh", "-c", "exec \"$@\" >/dev/null", "sh"];
            let quiet = |words: Vec<String>| {
                silent.iter().map(|word| (*word).to_owned()).chain(words).collect::<Vec<_>>()
            };
            self.quietly(engine.place, &quiet(engine.words(&words)));
            let shown = Step::Time(quiet(engine.words(&["logs", RESIDENT])));
            contenders.push(Contender {
                name: engine.name.to_owned(),
                place: engine.place,
                steps: vec![shown],
            });
        }
        Ok(contenders)
    }

    /// Takes the containers of a row away.
    pub(super) fn dismiss(&mut self) {
        for engine in self.engines.clone() {
            self.quietly(engine.place, &removal(&engine));
        }
    }
}

/// The command that removes all containers of an engine.
pub(super) fn removal(engine: &Engine) -> Vec<String> {
    let script = "ids=$(\"$@\" ps -aq); test -z \"$ids\" || \"$@\" rm -f $ids >/dev/null";
    let mut words: Vec<String> = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    words.extend(engine.words(&[]));
    words
}
