//! The program of the embedded `hello` image: it says what a container is by telling what it sees.
//!
//! It runs as a container's only process, reads `/proc` and `/sys` as any program could, and tries
//! a few things that a container must not do, each of which is harmless where it is allowed. What
//! it cannot find out it says so; it always ends with success, since it is there to be read.
//!
//! The one thing it cannot see from inside is the outside: the engine passes the inode numbers of
//! the host's namespaces in `DHOW_HOST_NAMESPACES` (`mnt:[4026531841],pid:[…],…`).

mod attempts;
mod cgroup;
mod mounts;
mod namespaces;
mod rights;

use dhow_base::file;
use std::{io::Write, path::Path, process::ExitCode};

/// Nothing in `/proc` that is read here is longer.
const LIMIT_BYTES: u64 = 1 << 20;

/// A part of what is said: a title beside its lines.
#[derive(Debug)]
struct Section {
    title: &'static str,
    lines: Vec<String>,
}

/// Says it all.
pub(crate) fn main() -> ExitCode {
    let sections = [
        process(),
        namespaces::section(crate::env::variable("DHOW_HOST_NAMESPACES").as_deref()),
        mounts::section(),
        rights::section(),
        cgroup::section(),
        network(),
        attempts::section(),
    ];
    let mut text = String::from(
        "Hello from inside a container.\n\nThis program runs on your own kernel, like any other. \
         What makes it a container\nis what the kernel lets it see, use and do:\n",
    );
    for section in &sections {
        text.push('\n');
        text.push_str(&laid_out(section));
    }
    text.push_str(
        "\nNext: `dhow run -it IMAGE sh` starts a shell, `dhow ps -a` lists containers.\n",
    );
    // Nobody may be there to read it.
    let _written = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn laid_out(section: &Section) -> String {
    let mut text = String::new();
    for (number, line) in section.lines.iter().enumerate() {
        let title = if number == 0 { section.title } else { "" };
        text.push_str(&format!("  {title:<11} {line}\n"));
    }
    text
}

fn read(path: &str) -> Option<String> {
    let bytes = file::read_limited(Path::new(path), LIMIT_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Words with commas, in lines that fit beside a title.
fn wrapped(words: &[String]) -> Vec<String> {
    const WIDTH: usize = 64;
    let mut lines: Vec<String> = Vec::new();
    for (number, word) in words.iter().enumerate() {
        let comma = if number + 1 < words.len() { "," } else { "" };
        match lines.last_mut() {
            Some(line) if line.len() + word.len() + 2 <= WIDTH => {
                line.push_str(&format!(" {word}{comma}"));
            }
            _ => lines.push(format!("{word}{comma}")),
        }
    }
    lines
}

fn process() -> Section {
    let system = rustix::system::uname();
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    let owner = match (uid, read("/proc/self/uid_map").as_deref().map(host_uid)) {
        (0, Some(Some(0))) => "root, also on the host, but see its rights below".to_owned(),
        (_, Some(Some(outside))) => format!("user {outside} on the host"),
        _ => "its user on the host is unknown".to_owned(),
    };
    let release = system.release().to_string_lossy();
    Section {
        title: "Process",
        lines: vec![
            format!(
                "pid {}, host name {}",
                std::process::id(),
                system.nodename().to_string_lossy()
            ),
            format!("user {uid}, group {gid} ({owner})"),
            format!("Linux {release}, the host's kernel: nothing is emulated"),
        ],
    }
}

/// What user of the host our user is, by the map of our user namespace.
fn host_uid(map: &str) -> Option<u64> {
    let uid = u64::from(rustix::process::getuid().as_raw());
    map.lines().find_map(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [inside, outside, length] = numbers[..] else { return None };
        let offset = uid.checked_sub(inside)?;
        (offset < length).then(|| outside.saturating_add(offset))
    })
}

fn network() -> Section {
    let lines = match read("/proc/net/dev").as_deref().map(interfaces) {
        None => vec!["unknown".to_owned()],
        Some(names) if names.is_empty() => vec!["no interfaces at all".to_owned()],
        Some(names) if names == ["lo"] => {
            vec!["lo, its own loopback, and nothing else: there is no way out or in".to_owned()]
        }
        Some(names) => vec![names.join(", ")],
    };
    Section { title: "Network", lines }
}

/// The names in `/proc/net/dev`, which has two lines of titles.
fn interfaces(table: &str) -> Vec<String> {
    let names = table.lines().skip(2).filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_the_names_before_the_colons() {
        let table = "Inter-|   Receive\n face |bytes\n    lo:  0 0\n  eth0: 1 2\n";

        assert_eq!(interfaces(table), ["lo", "eth0"]);
        assert!(interfaces("").is_empty());
    }

    #[test]
    fn lists_are_wrapped_at_words() {
        let words: Vec<String> = (0..20).map(|number| format!("word{number}")).collect();

        let lines = wrapped(&words);

        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 66), "{lines:?}");
        assert_eq!(lines.join(" ").split(", ").count(), 20);
    }

    #[test]
    fn a_section_has_its_title_once() {
        let section = Section { title: "Process", lines: vec!["a".into(), "b".into()] };

        assert_eq!(laid_out(&section), "  Process     a\n              b\n");
    }
}
