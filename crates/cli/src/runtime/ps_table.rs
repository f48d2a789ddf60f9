//! What `ps -ef` says of some processes.
//!
//! The machine's `ps` looks at every process that there is, which takes longer than all the rest of
//! the command. So its usual columns are read from procfs here, for the processes that are asked
//! for. What is not plain (a user without a line in `/etc/passwd`, a terminal that is no pseudo
//! terminal, words that are not ASCII) is not guessed: there is no table then, and the machine's
//! `ps` is asked after all.

use dhow_base::clock::Moment;
use std::fs;

/// The longest account file that is read, and the longest command.
const LIMIT_BYTES: u64 = 1 << 20;
/// Ticks of the clock in a second, as procfs counts on every architecture of ours.
pub(crate) const TICKS: u64 = 100;

/// The table, heading first; nothing where something is not plain.
pub(super) fn of(pids: &[i32]) -> Option<String> {
    let accounts = text("/etc/passwd")?;
    let width = text("/proc/sys/kernel/pid_max")?.trim().parse::<u32>().ok()?;
    let width = (width - 1).to_string().len().max(5);
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
    let uptime = u64::try_from(uptime).ok()?;
    let row = |cells: [&str; 8]| {
        let [user, pid, parent, share, start, terminal, time, command] = cells;
        format!(
            "{user:<8} {pid:>width$} {parent:>width$} {share:>2} {start:>5} {terminal:<8} \
             {time:>8} {command}\n"
        )
    };
    let mut table = row(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    for pid in pids {
        // Who has ended meanwhile is in no table.
        let Some(stat) = text(&format!("/proc/{pid}/stat")) else { continue };
        let process = Process::parse(&stat)?;
        let user = user(*pid, &accounts)?;
        let age = uptime - (process.started / TICKS).min(uptime);
        table.push_str(&row([
            user,
            &pid.to_string(),
            process.parent,
            &share(process.used, age).to_string(),
            &started(age),
            &terminal(process.terminal)?,
            &time(process.used / TICKS),
            &command(*pid, &process)?,
        ]));
    }
    Some(table)
}

fn text(path: &str) -> Option<String> {
    let bytes = dhow_base::file::read_limited(path.as_ref(), LIMIT_BYTES).ok()?;
    String::from_utf8(bytes).ok()
}

/// What is needed of `/proc/<pid>/stat`.
#[derive(Debug, Eq, PartialEq)]
struct Process<'t> {
    name: &'t str,
    state: &'t str,
    parent: &'t str,
    terminal: u64,
    /// Ticks of processor time.
    used: u64,
    /// Ticks after the machine began.
    started: u64,
}

impl<'t> Process<'t> {
    /// The name in parentheses may hold anything, so fields are counted from the last one.
    fn parse(stat: &'t str) -> Option<Self> {
        let (before, after) = stat.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            name,
            state: fields.first()?,
            parent: fields.get(1)?,
            terminal: number(4)?,
            used: number(11)? + number(12)?,
            started: number(19)?,
        })
    }
}

/// The name of the effective user, where it fits.
fn user(pid: i32, accounts: &str) -> Option<&str> {
    let status = text(&format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let uid = line.split_ascii_whitespace().nth(1)?;
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    })?;
    (name.len() <= 8 && name.is_ascii()).then_some(name)
}

/// Processor time in its life, in percent of one processor.
fn share(used: u64, age_seconds: u64) -> u64 {
    (used * 100 / TICKS).checked_div(age_seconds).unwrap_or(0).min(99)
}

pub(crate) fn started(age_seconds: u64) -> String {
    let now = Moment::now();
    let age = i64::try_from(age_seconds).unwrap_or(0).saturating_mul(1_000_000_000);
    Moment::from_unix_nanoseconds(now.unix_nanoseconds() - age).briefly(now)
}

/// By its number: minor in bits 0 to 7 and 20 to 31, major between.
pub(crate) fn terminal(number: u64) -> Option<String> {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00));
    match major {
        0 => Some("?".to_owned()),
        136..=143 => Some(format!("pts/{}", minor + (major - 136) * 256)),
        _ => None,
    }
}

fn time(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let clock = format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    if days > 0 { format!("{days}-{clock}") } else { clock }
}

/// Its words; the name of one that has none, and of one that has ended.
fn command(pid: i32, process: &Process<'_>) -> Option<String> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8(words).ok()?;
    let words = words.trim_end_matches('\0').replace('\0', " ");
    let shown = match process.state {
        "Z" => format!("[{}] <defunct>", process.name),
        _ if words.is_empty() => format!("[{}]", process.name),
        _ => words,
    };
    shown.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_testkit::need;

    #[test]
    fn a_process_is_read_past_any_name() {
        let stat = "7 (a) b) S 1 7 7 34816 -1 4194560 1 0 0 0 120 30 0 0 20 0 1 0 4711 0 0\n";

        let process = Process::parse(stat).unwrap();

        let (name, state, parent) = ("a) b", "S", "1");
        let expected = Process { name, state, parent, terminal: 34816, used: 150, started: 4711 };
        assert_eq!(process, expected);
        assert_eq!(Process::parse("7 (a"), None);
    }

    #[test]
    fn terminals_times_and_shares_are_as_ps_writes_them() {
        assert_eq!(terminal(0).as_deref(), Some("?"));
        assert_eq!(terminal(34816 + 3).as_deref(), Some("pts/3"));
        assert_eq!(terminal(0x8900 + 1).as_deref(), Some("pts/257"));
        assert_eq!(terminal(0x0401), None);
        assert_eq!((time(59), time(90_061)), ("00:00:59".into(), "1-01:01:01".into()));
        assert_eq!((share(150, 3), share(150, 0), share(900, 1)), (50, 0, 99));
    }

    /// The plain twin: what the machine's `ps` says of this very process.
    #[test]
    fn the_table_is_that_of_the_machine_s_ps() {
        let Ok(asked) = std::process::Command::new("ps").args(["-ef"]).output() else {
            return need::skip("ps");
        };
        let pid = std::process::id().cast_signed();
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        let is_own = |line: &&str| line.split_whitespace().nth(1) == Some(&pid.to_string());

        let Some(own) = of(&[pid]) else {
            assert!(!need::root(), "root has a line in /etc/passwd, and this test plain words");
            return need::skip("a user with a short name in /etc/passwd");
        };

        let line = said.lines().find(is_own).unwrap();
        let mut lines = own.lines();
        assert_eq!(lines.next(), said.lines().next());
        // Between the two, processor time passes, and perhaps a minute begins.
        let still = |line: &str| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            [&cells[..3], &cells[7..]].concat().join(" ")
        };
        assert_eq!(still(lines.next().unwrap()), still(line));
    }
}
