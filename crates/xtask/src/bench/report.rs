//! What was measured, as a table for people and as JSON for programs.

use super::stopwatch::Spent;
use dhow_testkit::need;
use serde_json::{Value, json};
use std::{fmt::Write, fs, path::Path, process::Command, thread, time::Duration};

/// The circumstances of a run.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    kernel: String,
    cores: usize,
    load_before: String,
    load_after: String,
    versions: Vec<(String, String)>,
}

impl Machine {
    /// Looks at kernel, cores, load and the versions of everybody.
    pub(crate) fn look(dhow: &Path) -> Self {
        let peers = ["crun", "runc", "podman", "docker", "skopeo"];
        let mut versions = vec![("dhow".to_owned(), version_of(dhow))];
        for peer in peers {
            let path = need::tool(peer);
            let version = path.map_or_else(|| "not installed".to_owned(), |path| version_of(&path));
            versions.push((peer.to_owned(), version));
        }
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cores: thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load_before: load(),
            load_after: String::new(),
            versions,
        }
    }

    /// Looks at the load when all is done.
    pub(crate) fn look_again(&mut self) {
        self.load_after = load();
    }
}

fn version_of(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let number =
        first.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    number.unwrap_or("unknown").trim_end_matches(',').to_owned()
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The times of one contender in one row.
#[derive(Clone, Debug, Default)]
struct Series {
    name: String,
    times: Vec<Duration>,
    cpu: Vec<Duration>,
}

impl Series {
    fn median(&self) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => Duration::ZERO,
            length if length % 2 == 1 => sorted[middle],
            _ => (sorted[middle - 1] + sorted[middle]) / 2,
        }
    }

    fn minimum(&self) -> Duration {
        self.times.iter().min().copied().unwrap_or_default()
    }

    /// How many processors were at work, on average.
    fn cores(&self) -> f64 {
        let sum = |times: &[Duration]| times.iter().sum::<Duration>().as_secs_f64();
        let took = sum(&self.times);
        if took > 0.0 { sum(&self.cpu) / took } else { 0.0 }
    }
}

/// One row's outcome.
#[derive(Clone, Debug)]
pub(crate) struct RowReport {
    name: String,
    series: Vec<Series>,
    missing: Vec<(String, String)>,
}

impl RowReport {
    pub(crate) fn new(name: String, missing: Vec<(String, String)>) -> Self {
        Self { name, series: Vec::new(), missing }
    }

    /// Adds what one round took.
    pub(crate) fn add(&mut self, contender: &str, spent: Spent) {
        let known = self.series.iter().position(|series| series.name == contender);
        let at = known.unwrap_or_else(|| {
            self.series.push(Series { name: contender.to_owned(), ..Series::default() });
            self.series.len() - 1
        });
        self.series[at].times.push(spent.took);
        self.series[at].cpu.push(spent.cpu);
    }

    /// Notes that a contender failed, with its words.
    pub(crate) fn leave_out(&mut self, contender: &str, said: &str) {
        if !self.missing.iter().any(|(name, _)| name == contender) {
            self.missing.push((contender.to_owned(), said.to_owned()));
        }
    }

    fn dhow(&self) -> Option<&Series> {
        self.series.iter().find(|series| series.name == "dhow")
    }

    /// How many times dhow's time fits into the other's; above one, dhow is faster.
    fn times_faster(&self, other: &Series) -> Option<f64> {
        let ours = self.dhow()?.median().as_secs_f64();
        // A row may show dhow several times, in other circumstances.
        (ours > 0.0 && !other.name.starts_with("dhow")).then(|| other.median().as_secs_f64() / ours)
    }
}

/// All of a run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<RowReport>,
}

impl Report {
    /// Did dhow itself do what it was asked in every row?
    pub(crate) fn dhow_worked(&self) -> bool {
        let failed = |row: &RowReport| row.missing.iter().any(|(name, _)| name == "dhow");
        !self.rows.iter().any(failed)
    }

    /// Markdown, ready for docs/performance.md.
    pub(crate) fn table(&self) -> String {
        let machine = &self.machine;
        let versions = machine.versions.iter().map(|(name, version)| format!("{name} {version}"));
        let mut text = format!(
            "Linux {}, {} cores, load {} before and {} after.\n{}.\n\n\
             | row | who | rounds | median ms | minimum ms | cores busy | dhow is faster by |\n\
             |---|---|---:|---:|---:|---:|---:|\n",
            machine.kernel,
            machine.cores,
            machine.load_before,
            machine.load_after,
            versions.collect::<Vec<_>>().join(", "),
        );
        for row in &self.rows {
            for series in &row.series {
                let ratio = row.times_faster(series);
                let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.1} times"));
                // Writing into a string cannot fail.
                let _written = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {:.2} | {ratio} |",
                    row.name,
                    series.name,
                    series.times.len(),
                    milliseconds(series.median()),
                    milliseconds(series.minimum()),
                    series.cores(),
                );
            }
            for (name, reason) in &row.missing {
                let reason = reason.replace('|', "\\|");
                let _written = writeln!(
                    text,
                    "| {} | {name} | 0 | missing | missing | | {reason} |",
                    row.name
                );
            }
        }
        text
    }

    /// The same with every single time.
    pub(crate) fn json(&self) -> String {
        let machine = &self.machine;
        let versions: serde_json::Map<String, Value> =
            machine.versions.iter().map(|(name, version)| (name.clone(), json!(version))).collect();
        let document = json!({
            "kernel": machine.kernel,
            "cores": machine.cores,
            "load": {"before": machine.load_before, "after": machine.load_after},
            "versions": versions,
            "rows": self.rows.iter().map(row_value).collect::<Vec<_>>(),
        });
        document.to_string()
    }
}

fn row_value(row: &RowReport) -> Value {
    let contenders: Vec<Value> = row
        .series
        .iter()
        .map(|series| {
            json!({
                "name": series.name,
                "median_ms": series.median().as_secs_f64() * 1000.0,
                "minimum_ms": series.minimum().as_secs_f64() * 1000.0,
                "cores_busy": series.cores(),
                "dhow_is_faster_by": row.times_faster(series),
                "times_ms": series.times.iter().map(|t| t.as_secs_f64() * 1000.0).collect::<Vec<_>>(),
            })
        })
        .collect();
    let missing: Vec<Value> =
        row.missing.iter().map(|(name, why)| json!({"name": name, "reason": why})).collect();
    json!({"row": row.name, "contenders": contenders, "missing": missing})
}

fn milliseconds(time: Duration) -> String {
    let value = time.as_secs_f64() * 1000.0;
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut row = RowReport::new("run".into(), vec![("docker".into(), "not installed".into())]);
        for (ours, theirs) in [(4, 40), (2, 100), (3, 60), (3, 60)] {
            let spent = |took, cpu| Spent {
                took: Duration::from_millis(took),
                cpu: Duration::from_millis(cpu),
            };
            row.add("dhow", spent(ours, 2 * ours));
            row.add("podman", spent(theirs, theirs));
        }
        let machine = Machine {
            kernel: "6.18".into(),
            cores: 2,
            load_before: "0.10".into(),
            load_after: "0.90".into(),
            versions: vec![("dhow".into(), "0.1.0".into())],
        };
        Report { machine, rows: vec![row] }
    }

    #[test]
    fn the_table_shows_medians_minima_ratios_and_who_is_missing() {
        let table = report().table();

        assert!(
            table.contains("| run | podman | 4 | 60.00 | 40.00 | 1.00 | 20.0 times |"),
            "{table}"
        );
        assert!(table.contains("| run | dhow | 4 | 3.00 | 2.00 | 2.00 |  |"), "{table}");
        assert!(
            table.contains("| run | docker | 0 | missing | missing | | not installed |"),
            "{table}"
        );
    }

    #[test]
    fn the_document_holds_every_time() {
        let document: Value = serde_json::from_str(&report().json()).unwrap();

        let podman = &document["rows"][0]["contenders"][1];
        assert_eq!(podman["times_ms"].as_array().unwrap().len(), 4);
        assert_eq!(podman["dhow_is_faster_by"], 20.0);
        assert_eq!(document["versions"]["dhow"], "0.1.0");
    }

    #[test]
    fn a_failing_dhow_is_noticed_and_a_missing_peer_is_not_its_fault() {
        let mut report = report();
        assert!(report.dhow_worked());

        report.rows[0].leave_out("dhow", "it ended with 125");

        assert!(!report.dhow_worked());
    }
}
