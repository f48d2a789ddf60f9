//! `bandwidth`: limits of what a container receives and sends.
//!
//! Both are token buckets (`tbf`) on the host. What the container receives leaves by the host's end of
//! its cable. What it sends comes in there, where nothing can wait, so a device that stands in for it
//! (`ifb`) gets all of that, and lets it out again at its own pace.

use super::{
    asked::Asked,
    device::{Inside, ask, host, unless_there},
};
use crate::{
    cni::{Interface, Outcome, Refusal},
    link::{self, Link},
    shaping::{self, Bucket},
};
use dhow_base::{
    Doing,
    digest::{Algorithm, Hasher},
};
use dhow_sys::netlink::Netlink;
use serde::Deserialize;

/// Rates in bits a second, and bursts in bits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Limits {
    ingress_rate: u64,
    ingress_burst: u64,
    egress_rate: u64,
    egress_burst: u64,
}

impl Limits {
    /// What the engine asks for, or else what the author wrote.
    fn of(asked: &Asked) -> Result<Self, Refusal> {
        let limits: Self = match asked.runtime("bandwidth")? {
            Some(limits) => limits,
            None => asked.configuration()?,
        };
        for (what, rate, burst) in [
            ("ingress", limits.ingress_rate, limits.ingress_burst),
            ("egress", limits.egress_rate, limits.egress_burst),
        ] {
            let text = match (rate, burst) {
                (0, 0) => continue,
                (0, _) => format!("if burst is set, rate must also be set ({what})"),
                (_, 0) => format!("if rate is set, burst must also be set ({what})"),
                (_, burst) if burst / 8 >= u64::from(u32::MAX) => {
                    format!("burst cannot be more than 4GB ({what})")
                }
                _ => continue,
            };
            return Err(Refusal::new(Refusal::BAD_CONFIGURATION, text));
        }
        Ok(limits)
    }

    fn ingress(&self) -> Option<Bucket> {
        Bucket::of_bits(self.ingress_rate, self.ingress_burst)
    }

    fn egress(&self) -> Option<Bucket> {
        Bucket::of_bits(self.egress_rate, self.egress_burst)
    }
}

/// The name of the device that stands in: the reference's, which finds it again by it.
fn stand_in(asked: &Asked) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(asked.name.as_bytes());
    hasher.update(asked.container.as_bytes());
    format!("bwp{}", &hasher.finish().hex()[..12])
}

/// The host's end of the container's cable.
fn cable(asked: &Asked, host: &Netlink, before: &Outcome) -> Result<Link, Refusal> {
    let missing = |text: &str| Refusal::new(Refusal::OTHER, text);
    let namespace = asked.namespace()?;
    let inside = Inside::open(&namespace)?.find(&asked.interface)?;
    let other = inside.other.ok_or_else(|| missing("the container's device is no cable"))?;
    let doing = || "look for the host's end of the cable";
    let found = link::at(host, other).doing(doing)?;
    let is_named = |found: &Link| before.interfaces.iter().any(|one| one.name == found.name);
    let text = "no veth peer of container interface found in host ns";
    found.filter(is_named).ok_or_else(|| missing(text))
}

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let limits = Limits::of(asked)?;
    let mut outcome = asked.needed_before()?;
    if limits.ingress().is_none() && limits.egress().is_none() {
        return Ok(outcome);
    }
    let host = host()?;
    let cable = cable(asked, &host, &outcome)?;
    if let Some(bucket) = limits.ingress() {
        ask(&host, shaping::limit(cable.index, bucket), || format!("limit {}", cable.name))?;
    }
    if let Some(bucket) = limits.egress() {
        let name = stand_in(asked);
        let doing = || format!("make the device {name}");
        let request = link::stand_in(&name, cable.mtu).doing(doing)?;
        host.ask(request).map(drop).or_else(unless_there).doing(doing)?;
        let gone = || Refusal::new(Refusal::OTHER, format!("{name:?} is gone again"));
        let made = link::find(&host, &name).doing(doing)?.ok_or_else(gone)?;
        let limited = redirect(&host, &cable, &made, bucket);
        if let Err(refusal) = limited {
            let _first_failure_counts = host.ask(link::delete(made.index));
            return Err(refusal);
        }
        let mac = made.mac_text();
        outcome.interfaces.push(Interface { name, mac, ..Interface::default() });
    }
    Ok(outcome)
}

fn redirect(host: &Netlink, from: &Link, to: &Link, bucket: Bucket) -> Result<(), Refusal> {
    let doing = || format!("lead what comes in by {} through {}", from.name, to.name);
    host.ask(shaping::ingress(from.index)).map(drop).or_else(unless_there).doing(doing)?;
    ask(host, shaping::redirect(from.index, to.index), doing)?;
    Ok(ask(host, shaping::limit(to.index, bucket), || format!("limit {}", to.name))?)
}

/// The limit of what it receives goes with its cable.
pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    let name = stand_in(asked);
    let host = host()?;
    let doing = || format!("remove the device {name}");
    match link::find(&host, &name).doing(doing)? {
        Some(found) => Ok(ask(&host, link::delete(found.index), doing)?),
        None => Ok(()),
    }
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let limits = Limits::of(asked)?;
    let before = asked.needed_before()?;
    let host = host()?;
    let failed = |text: String| Err(Refusal::new(Refusal::OTHER, text));
    if let Some(bucket) = limits.ingress() {
        let cable = cable(asked, &host, &before)?;
        if shaping::limit_of(&host, cable.index).doing(|| "look for limits")? != Some(bucket.rate) {
            return failed(format!("{} has another limit", cable.name));
        }
    }
    if let Some(bucket) = limits.egress() {
        let name = stand_in(asked);
        let doing = || format!("look for {name}");
        let Some(found) = link::find(&host, &name).doing(doing)? else {
            return failed(format!("{name} is gone"));
        };
        if shaping::limit_of(&host, found.index).doing(doing)? != Some(bucket.rate) {
            return failed(format!("{name} has another limit"));
        }
    }
    Ok(())
}
