//! A cable from a network's bridge into a container, and the bridge, which is made where it is missing.

use super::{Sides, all, refuse_advertisements, unless_there};
use crate::{
    Attachment, InterfaceAddress, Mac, Network, forwarding,
    link::{self, Link, Veth, Which},
    shaping::{self, Bucket},
};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::io::Errno;
use std::io;

impl Sides<'_> {
    /// A cable from the bridge, which is made where it is missing.
    pub(super) fn plug_in(&self, attachment: &Attachment) -> Result<()> {
        let network = &attachment.network;
        let bridge = self.bridge(network).doing(|| format!("set up bridge {}", network.device))?;
        let outside = attachment.host_interface.as_str();
        let veth = Veth {
            outside,
            namespace: self.namespace,
            inside: &attachment.interface,
            mac: attachment.mac,
            mtu: network.mtu,
        };
        let doing = || format!("make network device {outside}");
        let request = veth.request().doing(doing)?;
        match self.host.ask(request.clone()) {
            // Of a life that was killed: the kernel takes its time to clean up.
            Err(error) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {
                self.remove_outside(outside).doing(doing)?;
                self.host.ask(request).map(drop).doing(doing)?;
            }
            made => made.map(drop).doing(doing)?,
        }
        let which = Which::Name(outside);
        let wishes = vec![
            link::without_own_address(which).doing(doing)?,
            link::enslave(which, bridge.index).doing(doing)?,
        ];
        // Without IPv6 in the kernel the first is refused, and there is nothing to be kept from.
        let plugged = self.host.ask_all(wishes).doing(doing)?.pop();
        plugged
            .unwrap_or(Ok(()))
            .doing(|| format!("plug {outside} into bridge {}", network.device))?;
        if forwarding::sees_bridges() {
            // A container that asks for its own published port is led back by the bridge itself.
            self.host.ask(link::send_back(which).doing(doing)?).map(drop).doing(doing)?;
        }
        let bucket = network.ingress_bits.and_then(Bucket::usual);
        if network.vlan.is_none() && bucket.is_none() {
            return Ok(());
        }
        let port = link::find(&self.host, outside).doing(doing)?;
        let port = port.ok_or_else(|| Error::new(Kind::NotFound, format!("{outside} is gone")))?;
        if let Some(vlan) = network.vlan {
            let tagged = self.host.ask(link::tag(port.index, vlan));
            tagged.map(drop).doing(|| format!("put {outside} into VLAN {vlan}"))?;
        }
        match bucket {
            // What leaves on this side comes in on the other.
            Some(bucket) => self
                .host
                .ask(shaping::limit(port.index, bucket))
                .map(drop)
                .doing(|| format!("limit what {outside} passes on")),
            None => Ok(()),
        }
    }

    fn remove_outside(&self, name: &str) -> io::Result<()> {
        match link::find(&self.host, name)? {
            Some(old) if old.kind == "veth" => link::remove(&self.host, old.index),
            _ => Ok(()),
        }
    }

    /// The network's bridge. It is brought up last, so that one that is up is whole; several may make
    /// it at once, and each does all of it.
    fn bridge(&self, network: &Network) -> Result<Link> {
        let look = || link::find(&self.host, &network.device).doing(|| "look for it");
        let found = match look()? {
            Some(found) => found,
            None => {
                let has_vlans = network.vlan.is_some();
                let request =
                    link::bridge(&network.device, mac_of(&network.id), network.mtu, has_vlans);
                let made = self.host.ask(request.doing(|| "name it")?);
                made.map(drop).or_else(unless_there).doing(|| "make it")?;
                look()?.ok_or_else(|| Error::new(Kind::Conflict, "somebody removed it"))?
            }
        };
        if found.kind != "bridge" {
            let text = "there is a device of this name, which is no bridge";
            return Err(Error::new(Kind::Conflict, text)
                .hint("choose another name with `dhow network create --interface-name`"));
        }
        if found.is_up {
            return Ok(found);
        }
        refuse_advertisements(&network.device, None)?;
        let mut requests = Vec::new();
        for range in &network.subnets {
            if let Some(address) = range.gateway {
                let prefix = range.subnet.prefix();
                requests.push(link::address(found.index, InterfaceAddress { address, prefix }));
            }
        }
        requests.push(link::up(Which::Index(found.index)).doing(|| "name it")?);
        all(&self.host, requests)?;
        Ok(found)
    }
}

/// A bridge's own hardware address, the same at each start.
fn mac_of(id: &str) -> Mac {
    let mut bytes = [0; 6];
    for (to, from) in bytes.iter_mut().zip(id.as_bytes().rchunks(2)) {
        *to = u8::from_str_radix(std::str::from_utf8(from).unwrap_or("0"), 16).unwrap_or(0);
    }
    Mac::from_random(bytes)
}
