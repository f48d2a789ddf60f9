//! The files that every container gets from the engine: `/etc/hosts`, `/etc/hostname` and
//! `/etc/resolv.conf`, bound over the image's own.
//!
//! They lie in the container's run directory, so they are made anew at each start and vanish with a
//! reboot. A container may write to them; nobody else reads them.

use crate::{
    options::{HostsBase, NameOptions},
    record::Record,
    resolv_conf, selinux,
};
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use dhow_network::{Driver, Network, Plan};
use rustix::fs::{Mode, OFlags};
use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const LIMIT_BYTES: u64 = 1 << 20;

/// What docker's file begins with.
const LOCALHOST: &str = "127.0.0.1\tlocalhost\n\
                         ::1\tlocalhost ip6-localhost ip6-loopback\n\
                         fe00::0\tip6-localnet\n\
                         ff00::0\tip6-mcastprefix\n\
                         ff02::1\tip6-allnodes\n\
                         ff02::2\tip6-allrouters\n";

/// The names of the host, by podman's word and by docker's.
const HOST: [&str; 2] = ["host.containers.internal", "host.docker.internal"];

/// Those that go with a network.
pub(crate) const OF_NETWORK: [&str; 2] = ["hosts", "resolv.conf"];

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

/// Writes the three files; `plan` has the container's networks.
pub(crate) fn write(run: &Path, record: &Record, plan: Option<&Plan>) -> Result<()> {
    let resolv_conf = match plan {
        Some(plan) => resolv_conf::with_networks(&record.names, plan)?,
        None => resolv_conf::without_networks(&record.names, record.network == "host")?,
    };
    let contents = [
        ("hosts", hosts(record, plan)?),
        ("hostname", format!("{}\n", record.hostname).into_bytes()),
        ("resolv.conf", resolv_conf),
    ];
    for (name, bytes) in contents {
        let path = run.join(name);
        file::remove_if_there(&path)?;
        file::write_new(&path, &bytes, 0o644, Durability::Cached)?;
        belong_to_root(&path, record)?;
        selinux::mark(&path, &record.selinux.files)?;
    }
    Ok(())
}

/// Gives a file to the root of the container, where that is another than ours.
pub(crate) fn belong_to_root(path: &Path, record: &Record) -> Result<()> {
    if record.namespaces.owners_on_disk().is_none() {
        return Ok(());
    }
    let (uid, gid) = record.namespaces.on_disk(0, 0)?;
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
        .doing(|| format!("give {} to the container", path.display()))
}

/// Writes other addresses of a container that runs into its file of hosts, in place: the file is bound
/// into it. All other lines stay, also those that the container has written.
pub(crate) fn readdress(
    run: &Path,
    record: &Record,
    before: &[IpAddr],
    now: &[IpAddr],
) -> Result<()> {
    let path = run.join("hosts");
    let doing = || format!("write {}", path.display());
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, Mode::empty()).doing(doing)?;
    let text = file::read_fd_limited(fd.try_clone().doing(doing)?, LIMIT_BYTES).doing(doing)?;
    let changed = readdressed(&String::from_utf8_lossy(&text), record, before, now);
    let file = File::from(fd);
    file.write_all_at(changed.as_bytes(), 0).doing(doing)?;
    file.set_len(changed.len() as u64).doing(doing)
}

/// Writes the file of servers for names anew, in place, of a container that has a resolver from now on.
pub(crate) fn rewrite_resolv_conf(run: &Path, record: &Record, plan: &Plan) -> Result<()> {
    let path = run.join("resolv.conf");
    let doing = || format!("write {}", path.display());
    let bytes = resolv_conf::with_networks(&record.names, plan)?;
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(&path, flags, Mode::empty()).doing(doing)?);
    file.write_all_at(&bytes, 0).doing(doing)?;
    file.set_len(bytes.len() as u64).doing(doing)
}

fn readdressed(text: &str, record: &Record, before: &[IpAddr], now: &[IpAddr]) -> String {
    let gone: Vec<String> = before
        .iter()
        .filter(|address| !now.contains(address))
        .map(|address| own_line(*address, record))
        .collect();
    let stays = |line: &&str| !gone.iter().any(|own| own.trim_end() == line.trim_end());
    let mut changed: String = text.lines().filter(stays).map(|line| format!("{line}\n")).collect();
    for address in now.iter().filter(|address| !before.contains(address)) {
        changed.push_str(&own_line(*address, record));
    }
    changed
}

/// What the file begins with, names of its own where nobody else gives them, the user's, and last, as
/// in docker, the container's own addresses. Behind those is the host, as in podman.
fn hosts(record: &Record, plan: Option<&Plan>) -> Result<Vec<u8>> {
    let names = &record.names;
    let is_host = record.network == "host";
    let alone = || if plan.is_some() { LOCALHOST.into() } else { hosts_alone(&record.hostname) };
    let mut text = match &names.hosts_base {
        HostsBase::Unsaid if is_host => of_host(Path::new("/etc/hosts"))?,
        HostsBase::Unsaid | HostsBase::None => alone(),
        HostsBase::Image => Vec::new(),
        HostsBase::File(path) => of_host(path)?,
    };
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    if matches!(names.hosts_base, HostsBase::File(_)) && !has_word(&text, "localhost") {
        text.extend(alone());
    }
    for (name, address) in &names.hosts {
        text.extend(format!("{address}\t{name}\n").into_bytes());
    }
    let gateway = names.host_address.or_else(|| gateway(plan));
    if !names.host_gateway.is_empty() {
        let host = is_host.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let address = gateway.or(host).ok_or_else(no_gateway)?;
        for name in &names.host_gateway {
            text.extend(format!("{address}\t{name}\n").into_bytes());
        }
    }
    for attachment in plan.into_iter().flat_map(|plan| &plan.attachments) {
        for own in &attachment.addresses {
            text.extend(own_line(own.address, record).into_bytes());
        }
    }
    let of_host: Vec<_> = HOST.into_iter().filter(|name| !has_word(&text, name)).collect();
    if let Some(address) = gateway.filter(|_| !of_host.is_empty()) {
        text.extend(format!("{address}\t{}\n", of_host.join(" ")).into_bytes());
    }
    Ok(text)
}

/// The address and the name of the container itself, with its domain before it where it has one.
fn own_line(address: IpAddr, record: &Record) -> String {
    let name = &record.hostname;
    match &record.names.domain {
        Some(domain) => format!("{address}\t{name}.{domain} {name}\n"),
        None => format!("{address}\t{name}\n"),
    }
}

/// Where the host is for a container: the first gateway of its networks, one of a way out before
/// others.
fn gateway(plan: Option<&Plan>) -> Option<IpAddr> {
    let gateway_of = |network: &Network| network.subnets.iter().find_map(|range| range.gateway);
    let all = || plan.into_iter().flat_map(|plan| &plan.attachments).map(|one| &one.network);
    // The host is no neighbour of what stands on one of its devices.
    let is_bridge = |network: &&Network| match network.driver {
        Driver::Bridge => true,
        Driver::Cni => !network.device.is_empty(),
        Driver::Macvlan | Driver::Ipvlan => false,
    };
    let bridges = || all().filter(is_bridge);
    let mut open = bridges().filter(|network| !network.internal);
    open.find_map(gateway_of).or_else(|| bridges().find_map(gateway_of))
}

fn no_gateway() -> Error {
    Error::new(Kind::Invalid, "use host-gateway as an address: no network has one")
        .hint("connect the container to a bridge, or name an address")
}

fn has_word(text: &[u8], word: &str) -> bool {
    String::from_utf8_lossy(text).split_ascii_whitespace().any(|found| found == word)
}

fn hosts_alone(hostname: &str) -> Vec<u8> {
    format!(
        "127.0.0.1\tlocalhost {hostname}\n\
         ::1\tlocalhost ip6-localhost ip6-loopback {hostname}\n"
    )
    .into_bytes()
}

pub(crate) fn of_host(path: &Path) -> Result<Vec<u8>> {
    match file::read_limited(path, LIMIT_BYTES) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).doing(|| "copy a file of the host's for the container"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_network::{Attachment, InterfaceAddress, Range, Subnet};
    use std::os::unix::fs::MetadataExt;

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

        write(run.path(), &record(NameOptions::default()), None).unwrap();
        write(run.path(), &record(NameOptions::default()), None).unwrap();

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
        String::from_utf8(hosts(&record(names), None).unwrap()).unwrap()
    }

    fn plan(networks: &[(&str, &str, bool)]) -> Plan {
        let attachment = |&(own, gateway, internal): &(&str, &str, bool)| Attachment {
            network: Network {
                subnets: vec![Range {
                    subnet: Subnet::around(own.parse().unwrap(), 24).unwrap(),
                    gateway: Some(gateway.parse().unwrap()),
                    leased: None,
                }],
                internal,
                ..Network::default()
            },
            interface: "eth0".to_owned(),
            host_interface: "dv-0".to_owned(),
            mac: "02:42:0a:58:00:05".parse().unwrap(),
            addresses: vec![InterfaceAddress { address: own.parse().unwrap(), prefix: 24 }],
        };
        Plan { attachments: networks.iter().map(attachment).collect(), ..Plan::default() }
    }

    #[test]
    fn a_container_with_networks_finds_itself_at_its_addresses_and_the_host_at_its_gateway() {
        let names = NameOptions {
            hosts: vec![("db".to_owned(), "10.0.0.1".parse().unwrap())],
            host_gateway: vec!["gate".to_owned()],
            ..NameOptions::default()
        };
        let plan = plan(&[("10.1.0.5", "10.1.0.1", true), ("10.2.0.5", "10.2.0.1", false)]);
        let text =
            |record: &Record| String::from_utf8(hosts(record, Some(&plan)).unwrap()).unwrap();

        let whole = text(&record(names.clone()));
        assert!(whole.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost"), "{whole}");
        assert!(
            whole.ends_with(
                "\n10.0.0.1\tdb\n10.2.0.1\tgate\n10.1.0.5\tbox\n10.2.0.5\tbox\n\
                 10.2.0.1\thost.containers.internal host.docker.internal\n"
            ),
            "{whole}"
        );
        let hosts = vec![("host.docker.internal".to_owned(), "10.9.9.9".parse().unwrap())];
        let own = NameOptions { hosts, domain: Some("lan".to_owned()), ..NameOptions::default() };
        let whole = text(&record(own));
        assert!(whole.contains("\n10.1.0.5\tbox.lan box\n"), "{whole}");
        assert!(whole.ends_with("\thost.containers.internal\n"), "the user's word counts: {whole}");
    }

    #[test]
    fn other_addresses_are_written_in_place_and_all_else_stays() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join("hosts");
        let plan = plan(&[("10.1.0.5", "10.1.0.1", false)]);
        write(run.path(), &record(NameOptions::default()), Some(&plan)).unwrap();
        let inode = std::fs::metadata(&path).unwrap().ino();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}10.7.7.7\tmine\n")).unwrap();
        let [old, new] = ["10.1.0.5", "10.2.0.7"].map(|text| text.parse().unwrap());

        readdress(run.path(), &record(NameOptions::default()), &[old], &[old, new]).unwrap();
        let both = std::fs::read_to_string(&path).unwrap();
        readdress(run.path(), &record(NameOptions::default()), &[old, new], &[new]).unwrap();
        let one = std::fs::read_to_string(&path).unwrap();

        assert_eq!(both, format!("{text}10.7.7.7\tmine\n10.2.0.7\tbox\n"));
        assert_eq!(one, both.replace("10.1.0.5\tbox\n", ""));
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    }

    #[test]
    fn without_a_gateway_nothing_has_its_address() {
        let names = NameOptions { host_gateway: vec!["x".to_owned()], ..NameOptions::default() };

        let error = hosts(&record(names.clone()), None).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        let of_host = Record { network: "host".to_owned(), ..record(names) };

        assert!(hosts(&of_host, None).unwrap().ends_with(b"127.0.0.1\tx\n"));
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
