//! What of the kernel's settings (`/proc/sys/net`) a network needs on the host, and why.
//!
//! They are set where they are not as they must be, and stay: nobody knows who else relies on them.

use crate::{Driver, Network};
use dhow_base::{Error, Kind, Result};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const SETTINGS: &str = "/proc/sys/net";

/// Has the kernel of this network namespace let a network's packets pass.
pub(crate) fn allow(network: &Network) -> Result<()> {
    if network.driver != Driver::Bridge || network.internal {
        return Ok(());
    }
    let has = |is_ipv6| network.subnets.iter().any(|range| range.subnet.is_ipv6() == is_ipv6);
    if has(false) {
        // Packets go between the bridge and the host's other devices.
        forward(false)?;
        // A port published at 127.0.0.1 leads to the container: the packet leaves by the bridge under
        // that address until its source is changed, and the answer is for it. The firewall drops
        // what a container itself sends to such addresses.
        route_loopback(&network.device)?;
    }
    if has(true) {
        forward(true)?;
    }
    Ok(())
}

/// Has packets of a version forwarded.
pub(crate) fn forward(is_ipv6: bool) -> Result<()> {
    if is_ipv6 { forward_ipv6() } else { set("ipv4/ip_forward", "1") }
}

/// Lets addresses of the loopback pass by a device. Whoever asks for it drops what is sent to them from
/// there.
pub(crate) fn route_loopback(device: &str) -> Result<()> {
    set(&format!("ipv4/conf/{device}/route_localnet"), "1")
}

/// Whether packets of a version are forwarded; `None` where the kernel does not know that version.
pub(crate) fn is_allowed(is_ipv6: bool) -> Option<bool> {
    let name = if is_ipv6 { "ipv6/conf/all/forwarding" } else { "ipv4/ip_forward" };
    read(name).map(|value| value != "0")
}

/// Whether rules may meet packets that only pass a bridge (`br_netfilter`): it is in the kernel, and
/// whoever loaded it can turn it on at any time.
pub(crate) fn sees_bridges() -> bool {
    path("bridge/bridge-nf-call-iptables").exists()
}

/// A host that forwards IPv6 takes no routes from advertisements any more (`accept_ra` 1 means: unless
/// forwarding), and would lose its own way out; those devices are told to take them nevertheless.
fn forward_ipv6() -> Result<()> {
    if is_allowed(true) == Some(true) {
        return Ok(());
    }
    let devices = fs::read_dir(path("ipv6/conf")).into_iter().flatten().flatten();
    for device in devices {
        let name = format!("ipv6/conf/{}/accept_ra", device.file_name().to_string_lossy());
        if read(&name).as_deref() == Some("1") {
            set(&name, "2")?;
        }
    }
    set("ipv6/conf/all/forwarding", "1")
}

fn set(name: &str, value: &str) -> Result<()> {
    if read(name).as_deref() == Some(value) {
        return Ok(());
    }
    let written = fs::write(path(name), value);
    match written {
        // The device went away, and its network with it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written.map_err(|error| {
            let dotted = name.replace('/', ".");
            let kind = match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Denied,
                _ => Kind::Internal,
            };
            Error::new(kind, format!("set net.{dotted} to {value} for the network"))
                .because(error)
                .hint(format!("set it beforehand: sysctl -w net.{dotted}={value}"))
        }),
    }
}

fn read(name: &str) -> Option<String> {
    Some(fs::read_to_string(path(name)).ok()?.trim().to_owned())
}

fn path(name: &str) -> PathBuf {
    Path::new(SETTINGS).join(name)
}
