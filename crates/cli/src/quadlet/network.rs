//! `.network` files, and what `Network=` means in the files of containers and pods.
//!
//! ```text
//!   front.network ──▶ front-network.service   makes the network, once; it stays when the service ends
//! ```

use super::{Lines, Names, oneshot, unit_file::UnitFile};
use dhow_base::{Error, Kind, Result};

const SECTION: &str = "Network";

/// The keys that are flags: those whose every value counts, those whose last one does, and those that
/// are true or false.
const EACH: [(&str, &str); 5] = [
    ("Subnet", "--subnet"),
    ("Gateway", "--gateway"),
    ("IPRange", "--ip-range"),
    ("DNS", "--dns"),
    ("Options", "--opt"),
];
const LAST: [(&str, &str); 3] = [
    ("Driver", "--driver"),
    ("IPAMDriver", "--ipam-driver"),
    ("InterfaceName", "--interface-name"),
];
const SWITCHES: [(&str, &str); 3] =
    [("Internal", "--internal"), ("IPv6", "--ipv6"), ("DisableDNS", "--disable-dns")];

/// The service of a network.
pub(super) fn service_of_network(
    file: &UnitFile,
    stem: &str,
    command: &str,
) -> Result<(String, Lines)> {
    let flags = EACH.iter().chain(&LAST).chain(&SWITCHES).map(|(key, _)| *key);
    let others = ["NetworkName", "Label", "NetworkDeleteOnStop", "PodmanArgs"];
    file.check(SECTION, &flags.chain(others).collect::<Vec<_>>())?;
    let usual = usual_name(stem);
    let name = file.last(SECTION, "NetworkName").unwrap_or(&usual);
    let mut words = ["network", "create", "--ignore"].map(str::to_owned).to_vec();
    for (key, flag) in EACH {
        for value in file.all(SECTION, key) {
            words.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    for (key, flag) in LAST {
        if let Some(value) = file.last(SECTION, key) {
            words.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    for (key, flag) in SWITCHES {
        if let Some(value) = file.last(SECTION, key)
            && super::truth(key, value)?
        {
            words.push(flag.to_owned());
        }
    }
    for label in file.words(SECTION, "Label")? {
        words.extend(["--label".to_owned(), label]);
    }
    words.extend(file.words(SECTION, "PodmanArgs")?);
    words.push(name.to_owned());
    let mut lines = oneshot(command, &words);
    if let Some(value) = file.last(SECTION, "NetworkDeleteOnStop")
        && super::truth("NetworkDeleteOnStop", value)?
    {
        lines.push(format!("ExecStopPost={command} network rm {name}"));
    }
    Ok((service_name(stem), lines))
}

fn usual_name(stem: &str) -> String {
    format!("systemd-{stem}")
}

fn service_name(stem: &str) -> String {
    format!("{stem}-network.service")
}

/// What `--network` is to say for a value of `Network=`. A name that ends with `.network` is another
/// file's, and its service goes first.
pub(super) fn meant(value: &str, networks: &Names, needs: &mut Vec<String>) -> Result<String> {
    let (name, rest) = match value.split_once(':') {
        Some((name, rest)) => (name, format!(":{rest}")),
        None => (value, String::new()),
    };
    if name.ends_with(".container") {
        let text = format!("Network={value}: another file's container is not known by its file");
        return Err(Error::new(Kind::Unsupported, text).hint("write container:NAME"));
    }
    let Some(stem) = name.strip_suffix(".network") else { return Ok(value.to_owned()) };
    needs.push(service_name(stem));
    let name = networks.get(stem).cloned().unwrap_or_else(|| usual_name(stem));
    Ok(format!("{name}{rest}"))
}
