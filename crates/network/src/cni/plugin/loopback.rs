//! `loopback`: the loopback device, up.

use super::{asked::Asked, device::Inside};
use crate::cni::{Interface, Ip, Outcome, Refusal};

/// What it is called in every namespace, whatever name we are given.
const NAME: &str = "lo";

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let namespace = asked.namespace()?;
    let inside = Inside::open(&namespace)?;
    let found = inside.up(NAME)?;
    // Whoever was before us has said all.
    if let Some(before) = asked.before()? {
        return Ok(before);
    }
    let device = Interface {
        name: NAME.to_owned(),
        mac: found.mac_text(),
        sandbox: asked.namespace.clone(),
        ..Interface::default()
    };
    let addresses = inside.addresses(&found)?;
    let ip = |address| Ip { interface: Some(0), address, gateway: None };
    Ok(Outcome {
        interfaces: vec![device],
        ips: addresses.into_iter().map(ip).collect(),
        ..Outcome::default()
    })
}

pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    match asked.namespace_if_there() {
        Some(namespace) => Inside::open(&namespace)?.down(NAME),
        None => Ok(()),
    }
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let namespace = asked.namespace()?;
    if Inside::open(&namespace)?.find(NAME)?.is_up {
        Ok(())
    } else {
        Err(Refusal::new(Refusal::OTHER, "loopback interface is down"))
    }
}
