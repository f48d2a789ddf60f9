//! The hostile program inside of a container: our own binary under another name, so that a test
//! needs no image and no shell.
//!
//! ```text
//!   dhow-probe VERB ARGUMENTS [, VERB ARGUMENTS]…
//! ```
//!
//! Each verb tries something and prints what came of it. It ends with success, since what it
//! prints is what counts, but for `measure`, which ends as what it measures does.

use crate::stage::SECRET;
use dhow_sys::attempt::{Attempt, FORBIDDEN, HARMLESS};
use rustix::fs::{CWD, RenameFlags};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::{
        fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt},
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::Command,
    time::Duration,
};

/// The name under which the binary is the probe.
pub const NAME: &str = "dhow-probe";

/// Where it lies in a container.
pub(crate) const PLACE: &str = "/dhow-probe";

/// Does what the words after the name say; returns the exit code.
pub fn main(words: &[String]) -> u8 {
    for sentence in words.split(|word| word == ",") {
        let words: Vec<&str> = sentence.iter().map(String::as_str).collect();
        match obey(&words) {
            Ok(0) => {}
            Ok(code) => return code,
            Err(error) => say(&format!("{}: {error}", words.join(" "))),
        }
    }
    0
}

fn say(line: &str) {
    // Who reads may be gone.
    drop(writeln!(io::stdout(), "{line}"));
}

fn obey(words: &[&str]) -> io::Result<u8> {
    match words {
        ["nothing"] | [] => {}
        ["wait"] => wait(),
        ["cat", path] => io::stdout().write_all(&fs::read(path)?)?,
        ["list", path] => list(path)?,
        ["fds"] => fds(&mut io::stdout())?,
        ["fds-to", path] => fds(&mut OpenOptions::new().append(true).create(true).open(path)?)?,
        ["cat-to", from, path] => {
            let bytes = fs::read(from)?;
            OpenOptions::new().append(true).create(true).open(path)?.write_all(&bytes)?;
        }
        ["kind", path] => say(&kind(Path::new(path))?),
        ["open", path] => open(path),
        ["touch", path] => touch(path),
        ["cwd"] => cwd()?,
        ["who"] => who(),
        ["swap", a, b, count] => swap(a, b, count)?,
        ["hunt"] => hunt()?,
        ["attempts"] => attempts(),
        ["attempt", name] => attempt(name)?,
        ["measure", path, command @ ..] => return measure(path, command),
        _ => say(&format!("what is {words:?}?")),
    }
    Ok(0)
}

fn wait() -> ! {
    say("up");
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn list(path: &str) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        say(&entry?.file_name().to_string_lossy());
    }
    Ok(())
}

/// Prints each of our open fds, with what it leads to, but the one that lists them.
fn fds(out: &mut dyn Write) -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        let target = fs::read_link(&path).unwrap_or_default();
        // The directory that is being read is one of them, under our number in the procfs that is
        // there, and the file that is written another.
        let is_ours = target.starts_with("/proc") && target.ends_with("fd");
        if !is_ours && !target.to_string_lossy().ends_with(".fds") {
            let number = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            writeln!(out, "{number} {}", target.display())?;
        }
    }
    Ok(())
}

/// What sort of file it is, and which device.
fn kind(path: &Path) -> io::Result<String> {
    let meta = fs::symlink_metadata(path)?;
    let sort = meta.file_type();
    let device = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    Ok(if sort.is_char_device() {
        format!("character {}:{}", device.0, device.1)
    } else if sort.is_dir() {
        format!("directory {}", fs::read_dir(path).map_or(0, Iterator::count))
    } else if sort.is_symlink() {
        "link".to_owned()
    } else {
        "file".to_owned()
    })
}

/// Opens a file for writing, and writes nothing.
fn open(path: &str) {
    let opened = OpenOptions::new().write(true).custom_flags(0o4000).open(path);
    match opened {
        Ok(_) => say(&format!("OPENED {path}")),
        Err(error) => say(&format!("refused {path}: {error}")),
    }
}

fn touch(path: &str) {
    match OpenOptions::new().write(true).create(true).truncate(false).open(path) {
        Ok(_) => say(&format!("TOUCHED {path}")),
        Err(error) => say(&format!("refused {path}: {error}")),
    }
}

/// Where we are, as the kernel says it, and what is above us.
fn cwd() -> io::Result<()> {
    let place = rustix::process::getcwd(Vec::new())?;
    let top = fs::metadata("/")?;
    let mut at = fs::metadata(".")?;
    let mut path = String::from(".");
    for _ in 0..256 {
        if (at.dev(), at.ino()) == (top.dev(), top.ino()) {
            say(&format!("inside {}", place.to_string_lossy()));
            return Ok(());
        }
        path.push_str("/..");
        at = fs::metadata(&path)?;
    }
    say(&format!("OUTSIDE {}", place.to_string_lossy()));
    Ok(())
}

fn who() {
    let mut groups: Vec<u32> =
        rustix::process::getgroups().unwrap_or_default().iter().map(|gid| gid.as_raw()).collect();
    groups.sort_unstable();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    say(&format!("uid {uid} gid {gid} groups {groups:?}"));
}

/// Swaps two names for ever, and writes down how often.
fn swap(a: &str, b: &str, count: &str) -> io::Result<()> {
    let record = OpenOptions::new().write(true).create(true).truncate(false).open(count)?;
    let mut number = 0_u64;
    loop {
        rustix::fs::renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?;
        number += 1;
        if number.is_multiple_of(1024) || number == 1 {
            // In place and of one length, so that it can be read at any time.
            record.write_all_at(format!("{number:012}").as_bytes(), 0)?;
        }
        if number == 1 {
            say("up");
        }
    }
}

/// Looks for programs that are not this one, and for files that they hold, for ever.
fn hunt() -> io::Result<()> {
    let own = fs::metadata("/proc/self/exe")?;
    say("up");
    loop {
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
                continue;
            };
            let program = format!("/proc/{pid}/exe");
            let is_foreign =
                |meta: &fs::Metadata| (meta.dev(), meta.ino()) != (own.dev(), own.ino());
            if fs::metadata(&program).is_ok_and(|meta| is_foreign(&meta)) {
                prey(pid, &program);
            }
        }
    }
}

/// A program of the runtime's: whatever can be written or read of it is a breach.
fn prey(pid: &str, program: &str) {
    // It may turn into our own program between two looks; what is opened is looked at again.
    if let Ok(mut file) = OpenOptions::new().append(true).open(program)
        && file.metadata().map(|meta| meta.ino()).ok() != own_inode()
    {
        let written = file.write_all(b"breach");
        say(&format!("BREACH opened {program} for writing: {written:?}"));
    }
    // A process of the container's may be our binary too, if it says so; its variables are the
    // container's own then.
    let path = format!("/proc/{pid}/environ");
    if fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(SECRET.1)) {
        say(&format!("BREACH read {path}"));
    }
}

fn own_inode() -> Option<u64> {
    Some(fs::metadata("/proc/self/exe").ok()?.ino())
}

/// Makes each call of the tables in a process of its own, since a filter may kill.
fn attempts() {
    for attempt in FORBIDDEN.iter().chain(HARMLESS) {
        let child = Command::new("/proc/self/exe")
            .arg0(NAME)
            .args(["attempt", attempt.name])
            .env_clear()
            .output()
            .map(|output| match output.status.signal() {
                Some(signal) => format!("signal {signal}"),
                None => String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
            });
        match child {
            Ok(answer) => say(&format!("{}: {answer}", attempt.name)),
            Err(error) => say(&format!("{}: not tried: {error}", attempt.name)),
        }
    }
}

fn attempt(name: &str) -> io::Result<()> {
    let named = |attempt: &&Attempt| attempt.name == name;
    let attempt = FORBIDDEN.iter().chain(HARMLESS).find(named).ok_or(io::ErrorKind::NotFound)?;
    match attempt.make() {
        Ok(_) => say("done"),
        Err(error) => say(&format!("errno {}", error.raw_os_error().unwrap_or(0))),
    }
    Ok(())
}

/// Runs a command and writes down its peak of memory and its processor time. The probe is small,
/// so what it measures is the command's.
fn measure(path: &str, command: &[&str]) -> io::Result<u8> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let child = Command::new(program).args(arguments).spawn()?;
    let usage = dhow_sys::process::reap_with_usage(rustix::process::Pid::from_child(&child))?;
    fs::write(path, format!("{} {}", usage.peak_bytes / 1024, usage.cpu.as_millis()))?;
    Ok(u8::try_from(usage.code).unwrap_or(u8::MAX))
}
