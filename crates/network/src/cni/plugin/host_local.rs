//! `host-local`: addresses of ranges that this host hands out.
//!
//! Each range set gives one address, the next one after the last that was given. What the
//! configuration has in the old form (`subnet` and its companions beside `type`) is the first set.

use super::{asked::Asked, store::Store};
use crate::{
    InterfaceAddress, Subnet,
    cni::{Dns, Ip, Outcome, Refusal, Route},
};
use dhow_base::{Error, Kind, file};
use serde::Deserialize;
use std::{
    collections::HashMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Where addresses are kept that no configuration wants elsewhere.
const DIRECTORY: &str = "/var/lib/cni/networks";

/// The file of a resolver is short.
const RESOLVER_BYTES: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
struct Configuration {
    ipam: Option<Addresses>,
}

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Addresses {
    subnet: Option<String>,
    range_start: Option<IpAddr>,
    range_end: Option<IpAddr>,
    gateway: Option<IpAddr>,
    ranges: Vec<Vec<Written>>,
    routes: Vec<Route>,
    data_dir: Option<PathBuf>,
    resolv_conf: Option<PathBuf>,
}

/// A range as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    subnet: String,
    range_start: Option<IpAddr>,
    range_end: Option<IpAddr>,
    gateway: Option<IpAddr>,
}

/// A range that makes sense: places in a subnet, both included.
#[derive(Clone, Copy, Debug)]
struct Range {
    subnet: Subnet,
    first: u128,
    last: u128,
    gateway: Option<IpAddr>,
}

/// A configuration that makes sense.
struct Sets {
    sets: Vec<Vec<Range>>,
    directory: PathBuf,
    addresses: Addresses,
}

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let wishes = Sets::of(asked)?;
    let dns = match &wishes.addresses.resolv_conf {
        Some(path) => resolver(path)?,
        None => Dns::default(),
    };
    let mut wanted: Vec<IpAddr> =
        asked.addresses()?.into_iter().map(|(address, _)| address).collect();
    let store = Store::open(&wishes.directory, &asked.name)?;
    let mut taken = store.taken()?;
    let owner = (asked.container.as_str(), asked.interface.as_str());
    let mut given: Vec<(IpAddr, Ip)> = Vec::new();
    let done = wishes.sets.iter().enumerate().try_for_each(|(place, set)| {
        let (address, range) = choose(set, &mut wanted, &taken, owner, store.last(place))?;
        store.take(address, owner, place)?;
        taken.insert(address, (owner.0.to_owned(), owner.1.to_owned()));
        let prefix = range.subnet.prefix();
        let ip = Ip {
            interface: None,
            address: InterfaceAddress { address, prefix },
            gateway: range.gateway,
        };
        given.push((address, ip));
        Ok(())
    });
    let done = done.and_then(|()| match wanted.first() {
        None => Ok(()),
        Some(_) => {
            let texts: Vec<String> = wanted.iter().map(IpAddr::to_string).collect();
            let text = format!("requested IPs {} do not fit into any range", texts.join(", "));
            Err(Refusal::new(Refusal::BAD_CONFIGURATION, text))
        }
    });
    if let Err(refusal) = done {
        for (address, _) in given {
            store.free(address)?;
        }
        return Err(refusal);
    }
    Ok(Outcome {
        ips: given.into_iter().map(|(_, ip)| ip).collect(),
        routes: wishes.addresses.routes,
        dns,
        ..Outcome::default()
    })
}

/// An address of a set that is free: one of those that are wanted, or else the next one after the
/// last.
fn choose(
    set: &[Range],
    wanted: &mut Vec<IpAddr>,
    taken: &HashMap<IpAddr, (String, String)>,
    owner: (&str, &str),
    last: Option<IpAddr>,
) -> Result<(IpAddr, Range), Refusal> {
    let range_of = |address: IpAddr| set.iter().find(|range| range.has(address)).copied();
    if let Some(at) = wanted.iter().position(|address| range_of(*address).is_some()) {
        let address = wanted.remove(at);
        let range = range_of(address).expect("it was found by it");
        if range.gateway == Some(address) {
            let text = format!("requested ip {address} is subnet's gateway");
            return Err(Refusal::new(Refusal::OTHER, text));
        }
        if taken.contains_key(&address) {
            let subnet = range.subnet;
            let text = format!("requested IP address {address} is not available in range {subnet}");
            return Err(Refusal::new(Refusal::OTHER, text));
        }
        return Ok((address, range));
    }
    let has = |held: &IpAddr, (id, name): &(String, String)| {
        id == owner.0 && name == owner.1 && range_of(*held).is_some()
    };
    if let Some((address, _)) = taken.iter().find(|(address, who)| has(address, who)) {
        let (id, name) = owner;
        let text = format!(
            "{address} has been allocated to {id}, duplicate allocation of {name} is not allowed"
        );
        return Err(Refusal::new(Refusal::OTHER, text));
    }
    next(set, taken, last).ok_or_else(|| {
        let texts: Vec<String> = set.iter().map(Range::text).collect();
        let text = format!("no IP addresses available in range set: {}", texts.join(","));
        Refusal::new(Refusal::OTHER, text)
    })
}

/// Goes once round all ranges of a set, beginning behind the last address. Only as many are looked at
/// as can be taken.
fn next(
    set: &[Range],
    taken: &HashMap<IpAddr, (String, String)>,
    last: Option<IpAddr>,
) -> Option<(IpAddr, Range)> {
    let begin = last.and_then(|last| {
        let at = set.iter().position(|range| range.has(last))?;
        Some((at, set[at].subnet.place_of(last)?))
    });
    let (at, place) = begin.unwrap_or((0, u128::MAX));
    let count = set.len();
    let (before, after): (Vec<_>, Vec<_>) = match begin {
        Some(_) => {
            let here = set[at];
            let behind = (place < here.last).then(|| Range { first: place + 1, ..here });
            let others = (1..count).map(|step| set[(at + step) % count]);
            let front = Range { last: place, ..here };
            (behind.into_iter().chain(others).collect(), vec![front])
        }
        None => (set.to_vec(), Vec::new()),
    };
    before.into_iter().chain(after).find_map(|range| {
        (range.first..=range.last)
            .take(taken.len() + 2)
            .filter_map(|place| range.subnet.nth(place))
            .find(|address| !taken.contains_key(address) && range.gateway != Some(*address))
            .map(|address| {
                let whole = set.iter().find(|one| one.has(address)).copied();
                (address, whole.unwrap_or(range))
            })
    })
}

pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    let wishes = Sets::of(asked)?;
    if !Store::is_there(&wishes.directory, &asked.name) {
        return Ok(());
    }
    let store = Store::open(&wishes.directory, &asked.name)?;
    for (address, (container, interface)) in store.taken()? {
        // Files of old versions name no device.
        let is_its = interface == asked.interface || interface.is_empty();
        if container == asked.container && is_its {
            store.free(address)?;
        }
    }
    Ok(())
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let wishes = Sets::of(asked)?;
    let store = Store::open(&wishes.directory, &asked.name)?;
    let mut taken = store.taken()?.into_values();
    let has_one = taken.any(|(container, interface)| {
        container == asked.container && (interface == asked.interface || interface.is_empty())
    });
    if has_one {
        return Ok(());
    }
    let text = format!("host-local: Failed to find address added by container {}", asked.container);
    Err(Refusal::new(Refusal::OTHER, text))
}

pub(super) fn gc(asked: &Asked) -> Result<(), Refusal> {
    let wishes = Sets::of(asked)?;
    if !Store::is_there(&wishes.directory, &asked.name) {
        return Ok(());
    }
    let valid = asked.valid();
    let store = Store::open(&wishes.directory, &asked.name)?;
    for (address, owner) in store.taken()? {
        let same_container = || valid.iter().any(|one| one.0 == owner.0);
        let is_valid = valid.contains(&owner) || (owner.1.is_empty() && same_container());
        if !is_valid {
            store.free(address)?;
        }
    }
    Ok(())
}

pub(super) fn status(asked: &Asked) -> Result<(), Refusal> {
    Sets::of(asked).map(drop)
}

impl Sets {
    fn of(asked: &Asked) -> Result<Self, Refusal> {
        let Configuration { ipam } = asked.configuration()?;
        let Some(addresses) = ipam else {
            return Err(Refusal::new(Refusal::BAD_CONFIGURATION, "IPAM config missing 'ipam' key"));
        };
        let mut written: Vec<Vec<Written>> = asked.runtime("ipRanges")?.unwrap_or_default();
        if let Some(subnet) = &addresses.subnet {
            written.push(vec![Written {
                subnet: subnet.clone(),
                range_start: addresses.range_start,
                range_end: addresses.range_end,
                gateway: addresses.gateway,
            }]);
        }
        written.extend(addresses.ranges.iter().cloned());
        if written.is_empty() || written.iter().any(Vec::is_empty) {
            return Err(Refusal::new(Refusal::BAD_CONFIGURATION, "no IP ranges specified"));
        }
        let sets: Result<Vec<Vec<Range>>, Error> =
            written.iter().map(|set| set.iter().map(Range::parse).collect()).collect();
        let sets = sets?;
        let all: Vec<&Range> = sets.iter().flatten().collect();
        for (at, one) in all.iter().enumerate() {
            if let Some(other) = all[..at].iter().find(|other| one.overlaps(other)) {
                let text = format!("ranges {} and {} overlap", other.text(), one.text());
                return Err(Refusal::new(Refusal::BAD_CONFIGURATION, text));
            }
        }
        let directory = addresses.data_dir.clone().unwrap_or_else(|| DIRECTORY.into());
        Ok(Self { sets, directory, addresses })
    }
}

impl Range {
    fn parse(written: &Written) -> Result<Self, Error> {
        let refused = |why: &str| {
            Error::new(Kind::Invalid, format!("use the range {}: {why}", written.subnet))
        };
        // The reference takes an address of the subnet for the subnet's name, and refuses it; so do we.
        let subnet: Subnet = written.subnet.parse()?;
        let Some((lowest, highest)) = subnet.places() else {
            return Err(refused("it is too small to allocate from"));
        };
        let place = |address: Option<IpAddr>, otherwise: u128| match address {
            Some(address) => subnet
                .place_of(address)
                .filter(|place| (lowest..=highest).contains(place))
                .ok_or_else(|| refused(&format!("{address} is not in it"))),
            None => Ok(otherwise),
        };
        let first = place(written.range_start, lowest)?;
        let last = place(written.range_end, highest)?;
        if first > last {
            return Err(refused("its end is before its start"));
        }
        let gateway = written.gateway.or_else(|| subnet.nth(1));
        Ok(Self { subnet, first, last, gateway })
    }

    fn has(&self, address: IpAddr) -> bool {
        let place = self.subnet.place_of(address);
        place.is_some_and(|place| (self.first..=self.last).contains(&place))
    }

    fn overlaps(&self, other: &Self) -> bool {
        let ends = [self.first, self.last].map(|place| self.subnet.nth(place));
        let others = [other.first, other.last].map(|place| other.subnet.nth(place));
        ends.iter().flatten().any(|end| other.has(*end))
            || others.iter().flatten().any(|end| self.has(*end))
    }

    fn text(&self) -> String {
        let end = |place| self.subnet.nth(place).map(|end| end.to_string()).unwrap_or_default();
        format!("{}-{}", end(self.first), end(self.last))
    }
}

/// Who resolves names, from a file in the form of `/etc/resolv.conf`.
fn resolver(path: &Path) -> Result<Dns, Refusal> {
    let bytes = file::read_limited(path, RESOLVER_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut dns = Dns::default();
    for line in text.lines().map(str::trim) {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => dns.nameservers.extend(words.next()),
            Some("domain") => dns.domain = words.next().unwrap_or_default(),
            Some("search") => dns.search.extend(words),
            Some("options") => dns.options.extend(words),
            _ => {}
        }
    }
    Ok(dns)
}

#[cfg(test)]
mod tests {
    use crate::cni::plugin::{Plugin, answer};
    use dhow_testkit::mutation::Mutator;
    use serde_json::json;

    /// STATUS reads the whole configuration and touches nothing.
    #[test]
    fn a_damaged_configuration_is_refused_with_a_reason_or_makes_sense() {
        let document = json!({
            "cniVersion": "1.1.0", "name": "net",
            "runtimeConfig": {"ipRanges": [[{"subnet": "fd00::/64", "rangeStart": "fd00::7"}]]},
            "ipam": {
                "type": "host-local", "subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.9",
                "ranges": [[{"subnet": "10.2.0.0/16", "gateway": "10.2.0.1"}, {"subnet": "10.3.0.0/30"}]],
                "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1", "mtu": 1400}],
                "resolvConf": "/none", "dataDir": "/none",
            },
        });
        let variables = [("CNI_COMMAND", "STATUS"), ("CNI_PATH", "/none")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut mutator = Mutator::new(17);
        let mut good = 0;
        for _ in 0..4000 {
            let answer = answer(Plugin::HostLocal, &variables, &mutator.damage(&document));
            good += usize::from(answer.is_success);
            let refusal: serde_json::Value =
                serde_json::from_str(&answer.output).unwrap_or_default();
            assert!(answer.is_success || refusal["code"].as_u64() > Some(0), "{answer:?}");
        }
        assert!((200..3800).contains(&good), "{good}");
    }
}
