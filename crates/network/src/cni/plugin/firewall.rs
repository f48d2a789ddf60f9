//! `firewall`: has the host's firewall let the forwarded packets of a container pass.
//!
//! That can be done only where the decision falls: to accept a packet in a table of our own does not
//! keep the chain FORWARD of iptables from dropping it. So the rules are in iptables' own table, under
//! the names that the reference plugin has for them, made by the host's iptables; either plugin can
//! take away what the other has made. Where there is no iptables, there is nothing to get past.

use super::asked::Asked;
use crate::cni::{
    Outcome, Refusal,
    process::{self, Ended, Run},
    program::SEARCH_PATH,
};
use dhow_base::Doing;
use serde::Deserialize;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Configuration {
    backend: String,
    iptables_admin_chain_name: String,
    ingress_policy: String,
}

const CHAIN: &str = "CNI-FORWARD";
const ADMIN: &str = "CNI-ADMIN";

/// iptables waits for its lock at most that long.
const WAIT: Duration = Duration::from_secs(60);

impl Configuration {
    fn of(asked: &Asked) -> Result<Self, Refusal> {
        let configuration: Self = asked.configuration()?;
        if !matches!(configuration.backend.as_str(), "" | "iptables") {
            let text = format!("firewall backend {:?} is not supported", configuration.backend);
            return Err(Refusal::new(Refusal::UNSUPPORTED_FIELD, text));
        }
        if !matches!(configuration.ingress_policy.as_str(), "" | "open") {
            let text = format!("ingressPolicy {:?} is not supported", configuration.ingress_policy);
            return Err(Refusal::new(Refusal::UNSUPPORTED_FIELD, text));
        }
        Ok(configuration)
    }

    fn admin_chain(&self) -> &str {
        match self.iptables_admin_chain_name.as_str() {
            "" => ADMIN,
            name => name,
        }
    }
}

/// The program that changes the rules of one version.
struct Tables {
    program: PathBuf,
}

impl Tables {
    fn of(is_ipv6: bool) -> Option<Self> {
        let name = if is_ipv6 { "ip6tables" } else { "iptables" };
        let directories = SEARCH_PATH.trim_start_matches("PATH=").split(':');
        let mut programs = directories.map(|directory| Path::new(directory).join(name));
        programs.find(|program| program.is_file()).map(|program| Self { program })
    }

    fn run(&self, words: &[&str]) -> Result<Ended, Refusal> {
        let mut arguments = vec!["-w", "30", "-t", "filter"];
        arguments.extend(words);
        let environment = [SEARCH_PATH.to_owned()];
        let doing = || format!("run {} {}", self.program.display(), words.join(" "));
        let run = Run {
            program: &self.program,
            arguments: &arguments,
            environment: &environment,
            document: b"",
        };
        Ok(process::run(&run, WAIT, None).doing(doing)?)
    }

    fn has(&self, chain: &str, rule: &[&str]) -> Result<bool, Refusal> {
        Ok(self.run(&[&["-C", chain], rule].concat())?.is_success)
    }

    fn change(&self, words: &[&str]) -> Result<(), Refusal> {
        let ended = self.run(words)?;
        if ended.is_success {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.complaint).trim().to_owned();
        let text = format!("iptables {}: {said}", words.join(" "));
        Err(Refusal::new(Refusal::OTHER, text))
    }

    /// A chain that may be there.
    fn chain(&self, name: &str) -> Result<(), Refusal> {
        if self.run(&["-S", name, "1"])?.is_success {
            return Ok(());
        }
        let made = self.change(&["-N", name]);
        // Unless somebody was quicker.
        if self.run(&["-S", name, "1"])?.is_success { Ok(()) } else { made }
    }

    fn insert(&self, chain: &str, rule: &[&str]) -> Result<(), Refusal> {
        if self.has(chain, rule)? { Ok(()) } else { self.change(&[&["-I", chain], rule].concat()) }
    }

    fn append(&self, chain: &str, rule: &[&str]) -> Result<(), Refusal> {
        if self.has(chain, rule)? { Ok(()) } else { self.change(&[&["-A", chain], rule].concat()) }
    }
}

fn to_chain() -> [&'static str; 6] {
    ["-m", "comment", "--comment", "CNI firewall plugin rules", "-j", CHAIN]
}

/// What lets a container's packets pass: answers to it, and all that it sends.
fn rules(address: &str) -> [Vec<&str>; 2] {
    let answers = ["-d", address, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"];
    let accept = ["-j", "ACCEPT"];
    [[&answers[..], &accept].concat(), [&["-s", address][..], &accept].concat()]
}

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let configuration = Configuration::of(asked)?;
    let before = asked.needed_before()?;
    for (tables, address) in addresses(&before) {
        let admin = configuration.admin_chain();
        tables.chain(admin)?;
        tables.chain(CHAIN)?;
        tables.insert("FORWARD", &to_chain())?;
        let comment = "CNI firewall plugin admin overrides";
        tables.insert(CHAIN, &["-m", "comment", "--comment", comment, "-j", admin])?;
        for rule in rules(&address) {
            tables.append(CHAIN, &rule)?;
        }
    }
    Ok(before)
}

/// The addresses as iptables has them, each with what changes the rules of its version.
fn addresses(before: &Outcome) -> Vec<(Tables, String)> {
    let one = |address: IpAddr| {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Some((Tables::of(address.is_ipv6())?, format!("{address}/{length}")))
    };
    before.ips.iter().filter_map(|ip| one(ip.address.address)).collect()
}

pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    Configuration::of(asked)?;
    let Some(before) = asked.before()? else { return Ok(()) };
    for (tables, address) in addresses(&before) {
        for rule in rules(&address) {
            if tables.has(CHAIN, &rule)? {
                tables.change(&[&["-D", CHAIN][..], &rule].concat())?;
            }
        }
    }
    Ok(())
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    Configuration::of(asked)?;
    let before = asked.needed_before()?;
    for (tables, address) in addresses(&before) {
        let is_reached = tables.has("FORWARD", &to_chain())?;
        for rule in rules(&address) {
            if !is_reached || !tables.has(CHAIN, &rule)? {
                let text = format!("the rules that let packets of {address} pass are not there");
                return Err(Refusal::new(Refusal::OTHER, text));
            }
        }
    }
    Ok(())
}
