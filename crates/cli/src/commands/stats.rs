//! `stats`: what containers use, again and again.

use super::several;
use crate::{
    exit::SUCCESS,
    flags::refuse,
    invocation::Invocation,
    render::list::{Column, Row, Shape},
    tree::Act,
};
use dhow_base::{
    Kind, Result,
    clock::{Moment, humanly},
    size,
};
use dhow_engine::{Engine, Sample, Which};
use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    thread,
    time::Duration,
};

const COLUMNS: &[Column] = &[
    ("CONTAINER ID", "ID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
];

/// Between the two looks of which the first line is made.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// Show what containers use
///
/// Again and again, until it is interrupted, unless `--no-stream` is given. Memory does not count the
/// page cache that the kernel takes back first.
#[derive(clap::Args, Debug)]
pub(crate) struct Stats {
    /// The containers, by name or id; all that run unless any is named
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,

    /// Show all containers, not only those that run
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,

    /// The newest container
    #[arg(short, long, conflicts_with_all = ["containers", "all"])]
    latest: bool,

    #[command(flatten)]
    looks: Looks,
}

/// How it is looked, and shown.
#[derive(clap::Args, Debug)]
pub(super) struct Looks {
    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Look again after so many seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "1")]
    interval: u64,

    /// Do not clear the terminal between two looks
    #[arg(long)]
    no_reset: bool,

    /// Look once
    #[arg(long)]
    no_stream: bool,

    /// Do not shorten ids
    #[arg(long)]
    no_trunc: bool,
}

impl Act for Stats {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        self.looks.go_on(COLUMNS, invocation, |engine| self.look(engine))
    }
}

impl Looks {
    /// Looks and shows, until it is interrupted or once.
    pub(super) fn go_on(
        &self,
        columns: &[Column],
        invocation: &Invocation,
        look: impl Fn(&mut Engine) -> Result<Vec<Seen>>,
    ) -> Result<u8> {
        let shape = Shape::of(false, self.format.as_deref(), "ID")?.by(invocation.manners);
        if self.interval == 0 {
            return Err(refuse("--interval", "0", "an interval is one second at least"));
        }
        let mut engine = invocation.engine()?;
        let mut before = look(&mut engine)?;
        let mut pause = FIRST_LOOK;
        loop {
            thread::sleep(pause);
            let now = look(&mut engine)?;
            let rows: Vec<Row> = now.iter().map(|seen| self.row(seen, &before)).collect();
            let text = shape.print(columns, &rows)?;
            if self.no_stream {
                invocation.console.print(text)?;
                return Ok(SUCCESS);
            }
            let clears = !self.no_reset && self.format.is_none() && io::stdout().is_terminal();
            let clear = if clears { "\u{1b}[H\u{1b}[2J" } else { "" };
            invocation.console.print(format!("{clear}{text}"))?;
            before = now;
            pause = Duration::from_secs(self.interval);
        }
    }
}

/// A container, and what it uses if it runs.
pub(super) struct Seen {
    /// As it was named.
    word: String,
    id: String,
    name: String,
    sample: Option<Sample>,
    /// The id of the pod that it is in, where pods are looked at.
    pod: String,
}

impl Seen {
    /// A container of a pod's that runs.
    pub(super) fn of(sample: Sample, pod: &str) -> Self {
        Self {
            word: sample.id.to_string(),
            id: sample.id.to_string(),
            name: sample.name.clone(),
            sample: Some(sample),
            pod: pod.to_owned(),
        }
    }
}

impl Stats {
    /// Looks at the containers that are meant now.
    fn look(&self, engine: &mut Engine) -> Result<Vec<Seen>> {
        if !self.containers.is_empty() || self.latest {
            let words = match self.latest {
                true => vec![several::one(engine, None)?],
                false => self.containers.clone(),
            };
            return words.iter().map(|word| named(engine, word)).collect();
        }
        let which = if self.all { Which::All } else { Which::Running };
        let mut seen = Vec::new();
        for container in engine.list(which)? {
            let id = container.id.to_string();
            // Who has ended since it was listed uses nothing.
            let sample = engine.sample(&id).ok();
            if sample.is_some() || self.all {
                let pod = String::new();
                seen.push(Seen { word: id.clone(), id, name: container.name, sample, pod });
            }
        }
        Ok(seen)
    }
}

impl Looks {
    fn row(&self, seen: &Seen, before: &[Seen]) -> Row {
        let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
        let id = if self.no_trunc { seen.id.clone() } else { short(&seen.id) };
        let earlier: HashMap<&str, &Sample> = before
            .iter()
            .filter_map(|seen| Some((seen.id.as_str(), seen.sample.as_ref()?)))
            .collect();
        let mut fields = vec![
            ("Container", seen.word.clone()),
            ("CID", id.clone()),
            ("ID", id),
            ("Name", seen.name.clone()),
            ("Pod", seen.pod.clone()),
        ];
        match &seen.sample {
            Some(sample) => {
                fields.extend(numbers(sample, earlier.get(seen.id.as_str()).copied()));
            }
            None => fields.extend(
                [
                    "CPUPerc",
                    "MemUsage",
                    "MemUsageBytes",
                    "MemPerc",
                    "NetIO",
                    "BlockIO",
                    "PIDs",
                    "CPU",
                    "AVGCPU",
                    "UpTime",
                ]
                .map(|field| (field, "--".to_owned())),
            ),
        }
        Row::new(fields)
    }
}

/// A container that was named; one that does not run uses nothing, one that is not there is an error.
fn named(engine: &mut Engine, word: &str) -> Result<Seen> {
    match engine.sample(word) {
        Ok(sample) => Ok(Seen {
            word: word.to_owned(),
            id: sample.id.to_string(),
            name: sample.name.clone(),
            sample: Some(sample),
            pod: String::new(),
        }),
        Err(error) if error.kind() == Kind::Conflict => {
            let (id, name) = engine.name_of(word)?;
            let pod = String::new();
            Ok(Seen { word: word.to_owned(), id: id.to_string(), name, sample: None, pod })
        }
        Err(error) => Err(error),
    }
}

fn numbers(now: &Sample, before: Option<&Sample>) -> Vec<(&'static str, String)> {
    let both = |one: u64, other: u64, write: fn(u64) -> String| {
        format!("{} / {}", write(one), write(other))
    };
    let (span_ns, used_ns) = match before {
        Some(before) => (
            now.at.saturating_duration_since(before.at).as_nanos(),
            now.cpu_ns.saturating_sub(before.cpu_ns),
        ),
        None => (0, 0),
    };
    let life = now.started.map(|started| Moment::now().since(started)).unwrap_or_default();
    let cpu = percent(used_ns.into(), span_ns);
    vec![
        ("CPUPerc", cpu.clone()),
        ("CPU", cpu),
        ("AVGCPU", percent(now.cpu_ns.into(), life.as_nanos())),
        ("MemUsage", both(now.memory_bytes, now.memory_limit_bytes, size::binary)),
        (
            "MemUsageBytes",
            both(now.memory_bytes, now.memory_limit_bytes, |bytes| bytes.to_string()),
        ),
        ("MemPerc", percent(now.memory_bytes.into(), now.memory_limit_bytes.into())),
        ("NetIO", both(now.received_bytes, now.sent_bytes, size::humanly)),
        ("BlockIO", both(now.read_bytes, now.written_bytes, size::humanly)),
        ("PIDs", now.pids.to_string()),
        ("UpTime", humanly(life)),
    ]
}

/// One of the other, in hundredths of a percent.
fn percent(part: u128, whole: u128) -> String {
    let hundredths = part.saturating_mul(10_000).checked_div(whole).unwrap_or(0);
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_two_places() {
        assert_eq!(percent(1, 3), "33.33%");
        assert_eq!(percent(250, 100), "250.00%");
        assert_eq!(percent(1, 0), "0.00%");
    }
}
