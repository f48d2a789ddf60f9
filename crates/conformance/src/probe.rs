//! The program that tests put into containers: it prints, as JSON, what its process sees.
//!
//! Its words are paths to look at: what they are, what their first bytes say, and whether they may
//! be opened for writing. Nothing is ever written. What cannot be read is told as an error's name,
//! since a container without /proc is one of the things to see.

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags},
    io::Errno,
};
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::{self, Read, Write},
    os::fd::AsFd,
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let mut report = see();
    report["files"] = paths.iter().map(|path| (path.clone(), file(path))).collect();
    match writeln!(io::stdout(), "{report}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn see() -> Value {
    let system = rustix::system::uname();
    let shown = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    json!({
        "args": std::env::args().collect::<Vec<_>>(),
        "env": std::env::vars().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "cwd": std::env::current_dir().ok(),
        "pid": std::process::id(),
        "session": rustix::process::getsid(None).map(|pid| pid.as_raw_pid()).ok(),
        "hostname": shown(system.nodename()),
        "domainname": shown(system.domainname()),
        "machine": shown(system.machine()),
        "status": status(),
        "limits": limits(),
        "mounts": mounts(),
        "cgroup": lines("/proc/self/cgroup"),
        "namespaces": links("/proc/self/ns"),
        "fds": links("/proc/self/fd"),
        "oom_score_adj": text("/proc/self/oom_score_adj"),
        "personality": text("/proc/self/personality"),
        "uid_map": lines("/proc/self/uid_map"),
        "gid_map": lines("/proc/self/gid_map"),
        "setgroups": text("/proc/self/setgroups"),
        "time_offsets": lines("/proc/self/timens_offsets"),
        "scheduling": scheduling(),
        "devices": directory("/dev"),
        "terminals": terminals(),
    })
}

fn text(path: &str) -> Value {
    match fs::read_to_string(path) {
        Ok(text) => json!(text.trim_end()),
        Err(error) => json!({"error": name_of(&error)}),
    }
}

fn lines(path: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

/// `/proc/self/status` by its names.
fn status() -> Map<String, Value> {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    pairs.map(|(name, value)| (name.to_owned(), json!(words(value)))).collect()
}

/// `/proc/self/limits` by its names: soft and hard.
fn limits() -> Map<String, Value> {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let row = |line: &str| {
        let (name, values) = line.split_at_checked(26)?;
        let values: Vec<&str> = values.split_whitespace().take(2).collect();
        Some((name.trim().to_owned(), json!(values)))
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// `/proc/self/mountinfo`, in its order, without the numbers that differ each time.
fn mounts() -> Vec<Value> {
    let row = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        Some(json!({
            "root": left.get(3),
            "at": left.get(4),
            "options": left.get(5)?.split(',').collect::<Vec<_>>(),
            "propagation": left.get(6..),
            "type": right.first(),
            "source": right.get(1),
            "super": right.get(2)?.split(',').collect::<Vec<_>>(),
        }))
    };
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines().filter_map(row).collect()
}

fn links(path: &str) -> Map<String, Value> {
    let list = fs::read_dir(path).into_iter().flatten().flatten();
    let own = format!("/proc/{}/fd", std::process::id());
    let pairs = list.filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?.display().to_string();
        // The directory that is being read is open only for that.
        (target != own).then(|| (entry.file_name().to_string_lossy().into_owned(), json!(target)))
    });
    pairs.collect()
}

/// Fields of `/proc/self/stat`, counted as proc_pid_stat(5) counts them.
fn scheduling() -> Value {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit_once(") ").map(|(_, after)| after).unwrap_or_default();
    let fields: Vec<&str> = after.split(' ').collect();
    let field = |number: usize| fields.get(number - 3).copied();
    json!({"nice": field(19), "priority": field(40), "policy": field(41)})
}

fn directory(path: &str) -> Map<String, Value> {
    let list = fs::read_dir(path).into_iter().flatten().flatten();
    let pairs = list.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, stat(&entry.path()))
    });
    pairs.collect()
}

fn stat(path: &Path) -> Value {
    let stat = match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(errno) => return json!({"error": errno_name(errno)}),
    };
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => "c",
        FileType::BlockDevice => "b",
        FileType::Directory => "d",
        FileType::RegularFile => "f",
        FileType::Symlink => "l",
        FileType::Fifo => "p",
        _ => "?",
    };
    let mut seen = json!({
        "kind": kind,
        "mode": format!("{:o}", stat.st_mode & 0o7777),
        "uid": stat.st_uid,
        "gid": stat.st_gid,
    });
    match kind {
        "c" | "b" => {
            let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            seen["device"] = json!(format!("{major}:{minor}"));
        }
        "l" => seen["target"] = json!(fs::read_link(path).ok()),
        _ => {}
    }
    seen
}

fn file(path: &str) -> Value {
    let mut seen = stat(Path::new(path));
    seen["read"] = match read(path) {
        Ok(text) => json!({"text": text}),
        Err(error) => json!({"error": name_of(&error)}),
    };
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    seen["write"] = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(_) => json!("may"),
        Err(errno) => json!(errno_name(errno)),
    };
    seen
}

/// The beginning of a file; the names in a directory.
fn read(path: &str) -> io::Result<String> {
    if Path::new(path).is_dir() {
        let names = fs::read_dir(path)?.flatten();
        let mut names: Vec<String> =
            names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        return Ok(names.join("\n"));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// For each standard stream: whether it is a terminal, and of which size.
fn terminals() -> Vec<Value> {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    [input.as_fd(), output.as_fd(), errors.as_fd()]
        .into_iter()
        .map(|stream| match rustix::termios::tcgetwinsize(stream) {
            Ok(size) => json!([size.ws_row, size.ws_col]),
            Err(_) => Value::Null,
        })
        .collect()
}

fn name_of(error: &io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.to_string(), |raw| errno_name(Errno::from_raw_os_error(raw)))
}

fn errno_name(errno: Errno) -> String {
    match errno {
        Errno::ACCESS => "EACCES".to_owned(),
        Errno::PERM => "EPERM".to_owned(),
        Errno::NOENT => "ENOENT".to_owned(),
        Errno::ROFS => "EROFS".to_owned(),
        Errno::ISDIR => "EISDIR".to_owned(),
        Errno::NODEV => "ENODEV".to_owned(),
        Errno::NXIO => "ENXIO".to_owned(),
        Errno::IO => "EIO".to_owned(),
        other => format!("errno {}", other.raw_os_error()),
    }
}
