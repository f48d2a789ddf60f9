//! The files that every container gets from the engine: `/etc/hosts`, `/etc/hostname` and
//! `/etc/resolv.conf`, bound over the image's own.
//!
//! They lie in the container's run directory, so they are made anew at each start and vanish with a
//! reboot. A container may write to them; nobody else reads them.

use crate::{
    options::{HostsBase, NameOptions},
    record::Record,
};
use dhow_base::{
    Doing, Kind, Result,
    file::{self, Durability},
};
use std::path::{Path, PathBuf};

const LIMIT_BYTES: u64 = 1 << 20;

/// Where each file lies and where it is bound. `network` is the run directory of whoever has the
/// network, whose names are also those of the hosts.
pub(crate) fn list(
    run: &Path,
    network: Option<&Path>,
    names: &NameOptions,
) -> Vec<(PathBuf, &'static str)> {
    let at_network = network.unwrap_or(run);
    let all = [
        (!names.no_hosts, at_network.join("hosts"), "/etc/hosts"),
        (!names.no_hostname, run.join("hostname"), "/etc/hostname"),
        (!names.no_resolv_conf, at_network.join("resolv.conf"), "/etc/resolv.conf"),
    ];
    let bound = all.into_iter().filter(|(is_bound, ..)| *is_bound);
    bound.map(|(_, path, target)| (path, target)).collect()
}

/// Writes the three files.
pub(crate) fn write(run: &Path, record: &Record) -> Result<()> {
    let is_host = record.network == "host";
    let contents = [
        ("hosts", hosts(record, is_host)?),
        ("hostname", format!("{}\n", record.hostname).into_bytes()),
        ("resolv.conf", resolv_conf(&record.names, is_host)?),
    ];
    for (name, bytes) in contents {
        let path = run.join(name);
        file::remove_if_there(&path)?;
        file::write_new(&path, &bytes, 0o644, Durability::Cached)?;
    }
    Ok(())
}

/// What the file begins with, names of its own where nobody else gives them, then the user's: docker
/// puts those last.
fn hosts(record: &Record, is_host: bool) -> Result<Vec<u8>> {
    let names = &record.names;
    let mut text = match &names.hosts_base {
        HostsBase::Unsaid if is_host => of_host(Path::new("/etc/hosts"))?,
        HostsBase::Unsaid | HostsBase::None => hosts_alone(&record.hostname),
        HostsBase::Image => Vec::new(),
        HostsBase::File(path) => of_host(path)?,
    };
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    if matches!(names.hosts_base, HostsBase::File(_)) && !has_word(&text, "localhost") {
        text.extend(hosts_alone(&record.hostname));
    }
    for (name, address) in &names.hosts {
        text.extend(format!("{address}\t{name}\n").into_bytes());
    }
    Ok(text)
}

fn has_word(text: &[u8], word: &str) -> bool {
    String::from_utf8_lossy(text).split_ascii_whitespace().any(|found| found == word)
}

/// Docker's rule: what the user says of servers, domains or options replaces the host's lines of
/// that kind. Without the host's network there is nothing of the host's.
fn resolv_conf(names: &NameOptions, is_host: bool) -> Result<Vec<u8>> {
    let host = match is_host {
        true => of_host(Path::new("/etc/resolv.conf"))?,
        false => Vec::new(),
    };
    let said = !names.servers.is_empty()
        || !names.searches.is_empty()
        || !names.resolver_options.is_empty();
    if !said {
        return Ok(host);
    }
    let mut text = String::new();
    for line in String::from_utf8_lossy(&host).lines() {
        let word = line.split_ascii_whitespace().next().unwrap_or_default();
        let is_replaced = match word {
            "nameserver" => !names.servers.is_empty(),
            "search" | "domain" => !names.searches.is_empty(),
            "options" => !names.resolver_options.is_empty(),
            _ => false,
        };
        if !is_replaced {
            text.push_str(&format!("{line}\n"));
        }
    }
    // A lone dot takes the host's domains away and puts none in their place.
    let searches: Vec<&str> =
        names.searches.iter().map(String::as_str).filter(|domain| *domain != ".").collect();
    if !searches.is_empty() {
        text.push_str(&format!("search {}\n", searches.join(" ")));
    }
    for server in &names.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !names.resolver_options.is_empty() {
        text.push_str(&format!("options {}\n", names.resolver_options.join(" ")));
    }
    Ok(text.into_bytes())
}

fn hosts_alone(hostname: &str) -> Vec<u8> {
    format!(
        "127.0.0.1\tlocalhost {hostname}\n\
         ::1\tlocalhost ip6-localhost ip6-loopback {hostname}\n"
    )
    .into_bytes()
}

fn of_host(path: &Path) -> Result<Vec<u8>> {
    match file::read_limited(path, LIMIT_BYTES) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).doing(|| "copy a file of the host's for the container"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(names: NameOptions) -> Record {
        Record {
            hostname: "box".to_owned(),
            network: "none".to_owned(),
            names,
            ..Record::default()
        }
    }

    #[test]
    fn files_are_replaced_and_a_planted_link_is_not_followed() {
        let run = tempfile::tempdir().unwrap();
        let victim = run.path().join("victim");
        std::os::unix::fs::symlink(&victim, run.path().join("hosts")).unwrap();

        write(run.path(), &record(NameOptions::default())).unwrap();
        write(run.path(), &record(NameOptions::default())).unwrap();

        assert!(!victim.exists());
        let hosts = std::fs::read_to_string(run.path().join("hosts")).unwrap();
        assert!(hosts.contains("localhost box"), "{hosts}");
        assert_eq!(std::fs::read(run.path().join("resolv.conf")).unwrap(), b"");
    }

    #[test]
    fn the_users_names_come_last_as_in_docker() {
        let hosts = vec![("db".to_owned(), "10.0.0.1".parse().unwrap())];
        let text = hosts_text(NameOptions { hosts, ..NameOptions::default() });

        assert!(text.starts_with("127.0.0.1\tlocalhost box\n"), "{text}");
        assert!(text.ends_with("\n10.0.0.1\tdb\n"), "{text}");
    }

    #[test]
    fn a_file_of_the_hosts_gets_the_names_that_it_lacks() {
        let base = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(base.path(), "1.2.3.4 there").unwrap();
        let of = |base: HostsBase| {
            hosts_text(NameOptions { hosts_base: base, ..NameOptions::default() })
        };

        let text = of(HostsBase::File(base.path().to_owned()));

        assert!(text.starts_with("1.2.3.4 there\n127.0.0.1\tlocalhost box\n"), "{text}");
        assert!(of(HostsBase::None).starts_with("127.0.0.1"));
    }

    fn hosts_text(names: NameOptions) -> String {
        String::from_utf8(hosts(&record(names), false).unwrap()).unwrap()
    }

    #[test]
    fn what_is_said_of_resolving_is_written_and_a_dot_is_no_domain() {
        let names = NameOptions {
            servers: vec!["9.9.9.9".parse().unwrap()],
            searches: vec!["a.example".to_owned(), "b.example".to_owned()],
            resolver_options: vec!["ndots:2".to_owned()],
            ..NameOptions::default()
        };
        let text =
            |names: &NameOptions| String::from_utf8(resolv_conf(names, false).unwrap()).unwrap();

        assert_eq!(
            text(&names),
            "search a.example b.example\nnameserver 9.9.9.9\noptions ndots:2\n"
        );
        let none = NameOptions { searches: vec![".".to_owned()], ..NameOptions::default() };
        assert_eq!(text(&none), "");
    }

    #[test]
    fn files_that_are_the_images_are_not_bound() {
        let run = Path::new("/run/x");
        let names = NameOptions { no_hosts: true, no_hostname: true, ..NameOptions::default() };

        assert_eq!(list(run, None, &names), [(run.join("resolv.conf"), "/etc/resolv.conf")]);
        let of_other = list(run, Some(Path::new("/run/y")), &NameOptions::default());
        assert_eq!(of_other[0].0, Path::new("/run/y/hosts"));
        assert_eq!(of_other[1].0, Path::new("/run/x/hostname"));
    }
}
