//! Which addresses a network gets: those that were asked for, or the first that nobody has.

use dhow_base::{Error, Kind, Result, id::random_hex};
use dhow_network::{HostRoute, Subnet};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

/// Where engines look for plugins, and where distributions put them.
const PLUGINS: [&str; 5] = [
    "/usr/local/libexec/cni",
    "/usr/libexec/cni",
    "/usr/local/lib/cni",
    "/usr/lib/cni",
    "/opt/cni/bin",
];

/// Subnets of one size, one beside the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pool {
    /// All of them.
    pub base: Subnet,
    /// The length of the prefix of each.
    pub prefix: u8,
}

/// How networks get addresses where nobody chooses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NetworkDefaults {
    /// What the usual network gets.
    pub usual: Subnet,
    /// What others get, one after the other.
    pub pools: Vec<Pool>,
    /// Where lists of plugins are, each of which is a network.
    pub lists: PathBuf,
    /// Where plugins are, the first place first.
    pub plugins: Vec<PathBuf>,
    /// How long one plugin may take; missing where no configuration was read, which leaves to each
    /// network what it has.
    pub plugin_limit_s: Option<u64>,
}

impl Default for NetworkDefaults {
    /// As podman has it.
    fn default() -> Self {
        let subnet = |text: &str| text.parse().expect("it is written as a subnet");
        let bases =
            ["10.89.0.0/16", "10.90.0.0/15", "10.92.0.0/14", "10.96.0.0/11", "10.128.0.0/9"];
        Self {
            usual: subnet("10.88.0.0/16"),
            pools: bases.map(|base| Pool { base: subnet(base), prefix: 24 }).to_vec(),
            lists: "/etc/cni/net.d".into(),
            plugins: PLUGINS.map(PathBuf::from).to_vec(),
            plugin_limit_s: None,
        }
    }
}

/// Some addresses of a subnet, from the first to the last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddressRange {
    /// The first.
    pub first: IpAddr,
    /// The last.
    pub last: IpAddr,
}

impl From<Subnet> for AddressRange {
    fn from(subnet: Subnet) -> Self {
        Self { first: subnet.first(), last: subnet.last() }
    }
}

/// Addresses that somebody has.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) subnet: Subnet,
    /// Who, for the user to read.
    pub(super) by: String,
}

/// What the host's routes take. Those through devices of our own networks are told of by rows.
pub(super) fn of_routes(routes: &[HostRoute], own: &BTreeSet<String>) -> Vec<Taken> {
    let foreign = routes.iter().filter(|route| {
        !route.is_default() && !route.device.as_ref().is_some_and(|device| own.contains(device))
    });
    foreign
        .map(|route| {
            let device = route.device.as_deref().map(|device| format!(" through {device}"));
            let by = format!("the host's route to {}{}", route.to, device.unwrap_or_default());
            Taken { subnet: route.to, by }
        })
        .collect()
}

/// Refuses a subnet of which somebody has addresses.
pub(super) fn check_free(subnet: Subnet, taken: &[Taken]) -> Result<()> {
    match taken.iter().find(|other| other.subnet.overlaps(subnet)) {
        None => Ok(()),
        Some(other) => {
            let what = format!("use subnet {subnet}: it overlaps {}", other.by);
            Err(Error::new(Kind::Conflict, what).hint("choose another, or none and get a free one"))
        }
    }
}

/// The first subnet of the pools of which nobody has an address.
pub(super) fn first_free(pools: &[Pool], taken: &[Taken]) -> Result<Subnet> {
    for pool in pools.iter().filter(|pool| !pool.base.is_ipv6()) {
        let mut next = pool.base.first();
        while let Some(subnet) = Subnet::around(next, pool.prefix) {
            let blocking = taken.iter().find(|other| other.subnet.overlaps(subnet));
            let Some(blocking) = blocking else { return Ok(subnet) };
            // Whatever is larger than a subnet is left behind as a whole.
            let end = blocking.subnet.last().max(subnet.last());
            let Some(behind) = pool.base.place_of(end).and_then(|place| place.checked_add(1))
            else {
                break;
            };
            let Some(behind) = pool.base.nth(behind) else { break };
            next = behind;
        }
    }
    let bases: Vec<String> = pools.iter().map(|pool| pool.base.to_string()).collect();
    let text = format!("find a free subnet: all of {} are taken", bases.join(", "));
    Err(Error::new(Kind::Exhausted, text).hint("choose one with --subnet"))
}

/// A subnet of version 6 of this host's own (RFC 4193), of which nobody has an address.
pub(super) fn local_ipv6(taken: &[Taken]) -> Result<Subnet> {
    const TRIES: usize = 16;
    for _ in 0..TRIES {
        let random = u64::from_str_radix(&random_hex(5)?, 16)
            .map_err(|error| Error::new(Kind::Internal, "make a random number").because(error))?;
        let first = u128::from(0xfd << 40 | random) << 80;
        let subnet = Subnet::around(Ipv6Addr::from(first).into(), 64)
            .expect("64 is the length of a prefix of version 6");
        if taken.iter().all(|other| !other.subnet.overlaps(subnet)) {
            return Ok(subnet);
        }
    }
    let text = "find a free subnet of version 6: routes of the host lead to all that were tried";
    Err(Error::new(Kind::Exhausted, text).hint("choose one with --subnet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(subnets: &[&str]) -> Vec<Taken> {
        let one = |text: &&str| Taken { subnet: text.parse().unwrap(), by: "somebody".to_owned() };
        subnets.iter().map(one).collect()
    }

    fn pool(base: &str, prefix: u8) -> Pool {
        Pool { base: base.parse().unwrap(), prefix }
    }

    #[test]
    fn the_first_free_subnet_is_behind_what_others_have() {
        let pools = [pool("10.89.0.0/23", 24), pool("10.90.0.0/16", 24)];
        for (others, expected) in [
            (&[][..], "10.89.0.0/24"),
            (&["10.89.0.128/25"], "10.89.1.0/24"),
            (&["10.89.0.0/24", "10.89.1.7/32"], "10.90.0.0/24"),
            (&["10.89.0.0/16", "10.90.0.0/17"], "10.90.128.0/24"),
            (&["fd00::/8", "10.88.0.0/16"], "10.89.0.0/24"),
        ] {
            let found = first_free(&pools, &taken(others)).unwrap();
            assert_eq!(found.to_string(), expected, "{others:?}");
        }
        let error = first_free(&pools, &taken(&["10.0.0.0/8"])).unwrap_err();
        assert_eq!(error.kind(), Kind::Exhausted);
        assert_eq!(
            first_free(&pools[..1], &taken(&["10.89.0.0/23"])).unwrap_err().kind(),
            Kind::Exhausted
        );
        assert!(first_free(&[], &[]).is_err());
    }

    #[test]
    fn an_overlap_is_refused_with_whom() {
        let others = taken(&["10.89.0.0/24"]);

        assert!(check_free("10.89.1.0/24".parse().unwrap(), &others).is_ok());
        for subnet in ["10.89.0.0/24", "10.89.0.128/25", "10.0.0.0/8"] {
            let error = check_free(subnet.parse().unwrap(), &others).unwrap_err();
            assert!(error.one_line().contains("somebody"), "{}", error.one_line());
        }
    }

    #[test]
    fn a_subnet_of_version_6_is_local_and_of_chance() {
        let one = local_ipv6(&[]).unwrap();
        let other = local_ipv6(&[]).unwrap();

        assert_ne!(one, other);
        let local: Subnet = "fd00::/8".parse().unwrap();
        assert!(local.contains(one.first()) && one.prefix() == 64, "{one}");
        assert_eq!(local_ipv6(&taken(&["fd00::/8"])).unwrap_err().kind(), Kind::Exhausted);
    }
}
