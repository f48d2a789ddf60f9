//! What of a plan's devices is not where it was made: somebody took it away, or changed it.
//!
//! It looks at the side of the bridges alone, in the network namespace that the process is in. What a container
//! has done with its own end is its own business.

use crate::{Attachment, Driver, Plan, link};
use dhow_base::{Doing, Result};
use dhow_sys::netlink::{Netlink, Protocol};

/// A connection of which something is missing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Missing {
    /// The network's name.
    pub network: String,
    /// What is missing, in words.
    pub what: String,
}

/// What is missing of a plan whose container or pod runs.
pub fn missing(plan: &Plan) -> Result<Vec<Missing>> {
    let host = Netlink::open(Protocol::Route).doing(|| "open a netlink socket")?;
    let bridged = plan.attachments.iter().filter(|one| one.network.driver == Driver::Bridge);
    let mut all = Vec::new();
    for attachment in bridged {
        let network = attachment.network.name.clone();
        let found = of_attachment(&host, attachment)
            .doing(|| format!("look at the devices of network {network}"))?;
        all.extend(found.map(|what| Missing { network, what }));
    }
    Ok(all)
}

fn of_attachment(host: &Netlink, attachment: &Attachment) -> Result<Option<String>> {
    let (device, outside) = (&attachment.network.device, &attachment.host_interface);
    let find = |name: &str| link::find(host, name).doing(|| format!("look for device {name}"));
    let Some(bridge) = find(device)?.filter(|found| found.kind == "bridge") else {
        return Ok(Some(format!("the bridge {device} is gone")));
    };
    if !bridge.is_up {
        return Ok(Some(format!("the bridge {device} is down")));
    }
    let has =
        link::addresses(host, bridge.index).doing(|| format!("list addresses of {device}"))?;
    for address in attachment.network.subnets.iter().filter_map(|range| range.gateway) {
        if !has.iter().any(|own| own.address == address) {
            return Ok(Some(format!("the bridge {device} has not the address {address} any more")));
        }
    }
    match find(outside)? {
        None => Ok(Some(format!("the device {outside} is gone"))),
        Some(port) if port.bridge != Some(bridge.index) => {
            Ok(Some(format!("the device {outside} is not on the bridge {device} any more")))
        }
        Some(_) => Ok(None),
    }
}
