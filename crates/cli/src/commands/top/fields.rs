//! Podman's fields of `top`, read from procfs.

use crate::{
    render::table,
    runtime::ps_table::{self, TICKS},
};
use dhow_base::file;
use std::path::Path;

/// The longest file of procfs, or of accounts, that is read.
const LIMIT_BYTES: u64 = 1 << 20;
const PAGE_KIB: u64 = 4;

/// One field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Field {
    Args,
    Comm,
    Elapsed,
    Group,
    HostPid,
    Nice,
    Parent,
    Pid,
    ProcessGroup,
    RealGroup,
    RealUser,
    Resident,
    Share,
    Started,
    State,
    Terminal,
    Time,
    Uid,
    User,
    Virtual,
}

/// By their names and titles.
const ALL: [(&str, &str, Field); 24] = [
    ("args", "COMMAND", Field::Args),
    ("comm", "COMMAND", Field::Comm),
    ("etime", "ELAPSED", Field::Elapsed),
    ("group", "GROUP", Field::Group),
    ("hgroup", "HGROUP", Field::Group),
    ("hpid", "HPID", Field::HostPid),
    ("huser", "HUSER", Field::User),
    ("nice", "NI", Field::Nice),
    ("ni", "NI", Field::Nice),
    ("ppid", "PPID", Field::Parent),
    ("pid", "PID", Field::Pid),
    ("pgid", "PGID", Field::ProcessGroup),
    ("rgroup", "RGROUP", Field::RealGroup),
    ("ruser", "RUSER", Field::RealUser),
    ("rss", "RSS", Field::Resident),
    ("pcpu", "%CPU", Field::Share),
    ("stime", "STIME", Field::Started),
    ("state", "STATE", Field::State),
    ("tty", "TTY", Field::Terminal),
    ("time", "TIME", Field::Time),
    ("uid", "UID", Field::Uid),
    ("user", "USER", Field::User),
    ("vsz", "VSZ", Field::Virtual),
    ("tgid", "TGID", Field::Pid),
];

/// Those that podman shows where none is named.
pub(super) const USUAL: &str = "user,pid,ppid,pcpu,etime,tty,time,args";

/// A field with its title.
pub(super) type Titled = (&'static str, Field);

impl Field {
    /// The fields that words with commas name; nothing where one of them is none.
    pub(super) fn parse_all(words: &[String]) -> Option<Vec<Titled>> {
        let names: Vec<&str> = words
            .iter()
            .flat_map(|word| word.split([',', ' ']))
            .map(|name| name.trim_start_matches('%'))
            .filter(|name| !name.is_empty())
            .collect();
        let titled = |name: &&str| {
            let (_, title, field) = ALL.iter().find(|(known, ..)| known == name)?;
            Some((*title, *field))
        };
        if names.is_empty() { None } else { names.iter().map(titled).collect() }
    }
}

/// The table of some processes. Numbers of processes are those that they have in their own
/// container, but for `hpid`.
pub(super) fn table(pids: &[i32], fields: &[Titled]) -> String {
    let mut rows = vec![fields.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>()];
    let machine = Machine::read();
    for pid in pids {
        // Who has ended meanwhile is in no table.
        let Some(process) = Process::read(*pid) else { continue };
        rows.push(fields.iter().map(|(_, field)| process.show(*field, &machine)).collect());
    }
    table::lay_out(&rows)
}

fn text(path: &str) -> Option<String> {
    let bytes = file::read_limited(Path::new(path), LIMIT_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What is the same for all processes.
struct Machine {
    uptime_seconds: u64,
}

impl Machine {
    fn read() -> Self {
        let uptime = text("/proc/uptime").unwrap_or_default();
        let seconds = uptime.split('.').next().and_then(|seconds| seconds.parse().ok());
        Self { uptime_seconds: seconds.unwrap_or(0) }
    }
}

/// What procfs says of one process.
struct Process {
    pid: i32,
    name: String,
    /// The fields of `stat` after the name.
    stat: Vec<String>,
    status: String,
    arguments: String,
    /// The accounts of its own root.
    root: String,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = text(&format!("/proc/{pid}/stat"))?;
        let (before, after) = stat.rsplit_once(')')?;
        let arguments = text(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Some(Self {
            pid,
            name: before.split_once('(')?.1.to_owned(),
            stat: after.split_ascii_whitespace().map(str::to_owned).collect(),
            status: text(&format!("/proc/{pid}/status"))?,
            arguments: arguments.trim_end_matches('\0').replace('\0', " "),
            root: format!("/proc/{pid}/root"),
        })
    }

    fn number(&self, place: usize) -> u64 {
        self.stat.get(place).and_then(|field| field.parse().ok()).unwrap_or(0)
    }

    /// A field of a line of `status`.
    fn status(&self, name: &str, place: usize) -> &str {
        let line = self.status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_ascii_whitespace().nth(place)).unwrap_or("?")
    }

    /// The last of the numbers that a process has in the namespaces that it is in.
    fn own_pid(&self, line: &str) -> String {
        let line = self.status.lines().find_map(|found| found.strip_prefix(line));
        let last = line.and_then(|line| line.split_ascii_whitespace().last());
        last.map_or_else(|| self.pid.to_string(), str::to_owned)
    }

    fn show(&self, field: Field, machine: &Machine) -> String {
        let used = self.number(11) + self.number(12);
        let age = machine.uptime_seconds.saturating_sub(self.number(19) / TICKS);
        match field {
            Field::Args if self.arguments.is_empty() => format!("[{}]", self.name),
            Field::Args => self.arguments.clone(),
            Field::Comm => self.name.clone(),
            Field::Elapsed => elapsed(age),
            Field::Group => self.account("group", self.status("Gid:", 1)),
            Field::RealGroup => self.account("group", self.status("Gid:", 0)),
            Field::User => self.account("passwd", self.status("Uid:", 1)),
            Field::RealUser => self.account("passwd", self.status("Uid:", 0)),
            Field::Uid => self.status("Uid:", 1).to_owned(),
            Field::HostPid => self.pid.to_string(),
            Field::Pid => self.own_pid("NSpid:"),
            Field::ProcessGroup => self.own_pid("NSpgid:"),
            Field::Parent => self.parent(),
            Field::Nice => self.stat.get(16).cloned().unwrap_or_default(),
            Field::Resident => (self.number(21) * PAGE_KIB).to_string(),
            Field::Virtual => (self.number(20) / 1024).to_string(),
            Field::Share => share(used, age),
            Field::Started => ps_table::started(age),
            Field::State => self.stat.first().cloned().unwrap_or_default(),
            Field::Terminal => ps_table::terminal(self.number(4)).unwrap_or_else(|| "?".to_owned()),
            Field::Time => elapsed(used / TICKS),
        }
    }

    /// The parent, by the number that it has in the same namespace; 0 where it is not in it.
    fn parent(&self) -> String {
        let parent = self.stat.get(1).cloned().unwrap_or_default();
        let depth = |status: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            line.map_or(0, |line| line.split_ascii_whitespace().count())
        };
        let Some(status) = text(&format!("/proc/{parent}/status")) else { return "0".to_owned() };
        if depth(&status) < depth(&self.status) {
            return "0".to_owned();
        }
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        line.and_then(|line| line.split_ascii_whitespace().last()).unwrap_or("0").to_owned()
    }

    /// The name of an account, by the files in the process's own root; else its number. No link is
    /// followed there, which might lead anywhere.
    fn account(&self, file: &str, number: &str) -> String {
        let name = accounts(&self.root, file).and_then(|accounts| {
            accounts.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                (fields.nth(1)? == number).then(|| name.to_owned())
            })
        });
        name.unwrap_or_else(|| number.to_owned())
    }
}

/// A file of accounts below a root, if it is a plain one.
fn accounts(root: &str, name: &str) -> Option<String> {
    use dhow_sys::root::{Last, Root};
    use rustix::fs::{CWD, FileType, Mode, OFlags};
    use std::{io::Read, os::fd::AsFd};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, flags, Mode::empty()).ok()?;
    let path = Path::new("etc").join(name);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let place = Root::new(root.as_fd()).place(&path, Last::NoLinks).ok()?;
    // Only what is a plain file is opened: a pipe would wait, a device do what it does.
    let stat = rustix::fs::fstat(&place).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let file = Root::new(root.as_fd()).open(&path, flags, Last::NoLinks).ok()?;
    let mut text = String::new();
    std::fs::File::from(file).take(LIMIT_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// `1h2m3s`-like spans as podman writes them.
fn elapsed(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match () {
        () if hours > 0 => format!("{hours}h{minutes}m{rest}s"),
        () if minutes > 0 => format!("{minutes}m{rest}s"),
        () => format!("{rest}s"),
    }
}

/// Processor time in its life, in percent of one processor.
fn share(used: u64, age_seconds: u64) -> String {
    let thousandths = (used * 100_000 / TICKS).checked_div(age_seconds).unwrap_or(0);
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_fields_or_options_of_ps() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();

        let fields = Field::parse_all(&words("pid,%cpu args"));

        assert_eq!(fields, None);
        let fields = Field::parse_all(&words("pid,pcpu args")).unwrap();
        let titles: Vec<&str> = fields.iter().map(|(title, _)| *title).collect();
        assert_eq!(titles, ["PID", "%CPU", "COMMAND"]);
        assert_eq!(Field::parse_all(&words("-o pid,cmd")), None);
        assert_eq!(Field::parse_all(&[]), None);
    }

    #[test]
    fn our_own_process_has_a_row() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let fields = Field::parse_all(&["hpid,ppid,state,comm,vsz".to_owned()]).unwrap();

        let text = table(&[pid, i32::MAX], &fields);

        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 2, "{text}");
        assert!(rows[1].starts_with(&pid.to_string()), "{text}");
    }

    #[test]
    fn spans_and_shares_are_written_as_podman_does() {
        assert_eq!(
            (elapsed(7), elapsed(67), elapsed(3667)),
            ("7s".into(), "1m7s".into(), "1h1m7s".into())
        );
        assert_eq!(share(50, 10), "5.000");
        assert_eq!(share(50, 0), "0.000");
    }
}
