//! Why a packet for a published port passes, or does not: its way, one finding for each thing on it.

use crate::{
    Firewall, Held, HostPolicy, Network, Outlet, Plan, Publication, conntrack,
    firewall::{
        Client, TABLE,
        gate::{self, Gate},
    },
    forwarding,
    nft::{Hook, Judge, Judgement, Nft, Packet, Version},
    pasta,
    reach::host_routes,
};
use dhow_base::{Kind, Result};
use rustix::net::{AddressFamily, SocketType, socket};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};

/// What was found at one place of the way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub about: &'static str,
    /// What it means for the packet.
    pub verdict: Outcome,
    /// What was found.
    pub text: String,
}

/// What a finding means for a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It goes on.
    Passes,
    /// It goes no further.
    Stops,
    /// It depends on what is not known.
    Unclear,
}

/// Explains one published port of a plan, for packets from an address or from anywhere, in the network
/// namespace that the process is in. The container runs, or did when the plan was made.
pub fn explain(plan: &Plan, port: &Publication, from: Option<IpAddr>) -> Result<Vec<Finding>> {
    if let Some(outlet) = &plan.outlet {
        return passed_on(outlet, port, from);
    }
    let mut findings = vec![held(port)];
    let fits = |target: &IpAddr| {
        from.is_none_or(|from| from.is_ipv4() == target.is_ipv4())
            && port.host.is_none_or(|host| host.is_ipv4() == target.is_ipv4())
    };
    let targets: Vec<IpAddr> = plan.targets().filter(fits).collect();
    if targets.is_empty() {
        let version = from.map_or("", |from| if from.is_ipv4() { "IPv4 " } else { "IPv6 " });
        let text =
            format!("the container has no {version}address that a published port could lead to");
        findings.push(Finding { about: "address", verdict: Outcome::Stops, text });
    }
    for target in targets {
        findings.push(input(plan, port, target, from)?);
        let alone = Plan { publications: vec![port.clone()], ..plan.clone() };
        findings.push(rule(&alone, port, target)?);
        findings.push(forwarded(target));
        findings.push(others(plan, port, target, from)?);
    }
    findings.extend(legacy());
    Ok(findings)
}

/// An ordinary user's port: a program of the user's takes what comes to it, and no rule of ours is on its
/// way, nor anything that is forwarded.
fn passed_on(outlet: &Outlet, port: &Publication, from: Option<IpAddr>) -> Result<Vec<Finding>> {
    let device = from.and_then(|from| device_towards(from).transpose()).transpose()?;
    let version = match port.host.or(from) {
        Some(address) => Version::of(address),
        None => Version::of(Ipv4Addr::UNSPECIFIED.into()),
    };
    let packet = Packet {
        input_index: device.as_deref().and_then(index_of),
        input: device,
        source: from,
        ..gate::packet(port, version)
    };
    let (verdict, text) = match from.is_some_and(conntrack::is_own) {
        true => (Outcome::Passes, "programs of the host pass by its INPUT chains".to_owned()),
        false => said_to_program(port, &packet),
    };
    let input = Finding { about: "input", verdict, text };
    let to = port.container_port;
    let (verdict, text) = match pasta::lives(&outlet.pid_file)? {
        true => (Outcome::Passes, format!("pasta passes it on to port {to} of the container")),
        false => {
            let text = format!(
                "the pasta that passes it on to port {to} of the container is gone; \
                 `restart` of the container brings one"
            );
            (Outcome::Stops, text)
        }
    };
    Ok(vec![held(port), input, Finding { about: "pasta", verdict, text }])
}

/// What the host's INPUT chains say of a packet for a program, to whoever may read them.
fn said_to_program(port: &Publication, packet: &Packet) -> (Outcome, String) {
    let name = format!("port {}/{}", port.host_port, port.protocol.name());
    let judged = || {
        let nft = Nft::open()?;
        Gate::among(&nft, nft.chains()?)?.judge(packet)
    };
    match judged() {
        Ok(Judgement::Dropped(by)) => {
            (Outcome::Stops, format!("{name} of the host is closed by {by}"))
        }
        Ok(Judgement::Passes) => {
            (Outcome::Passes, format!("nobody's INPUT chains close {name} of the host"))
        }
        Ok(Judgement::Perhaps(by)) => {
            (Outcome::Unclear, format!("{name} of the host may be closed by {by}"))
        }
        Err(_) => {
            let text = format!(
                "{name} of the host may be closed by its INPUT chains, which only root may read: \
                 `nft list ruleset`"
            );
            (Outcome::Unclear, text)
        }
    }
}

/// Whether the port is bound: by the process that keeps the container.
fn held(port: &Publication) -> Finding {
    let name = format!("{}/{}", port.host_port, port.protocol.name());
    let (verdict, text) = match Held::bind(std::slice::from_ref(port)) {
        Err(error) if error.kind() == Kind::Conflict => {
            (Outcome::Passes, format!("port {name} of the host is held"))
        }
        Ok(_) => {
            let text = format!(
                "nobody holds port {name} of the host: the process that keeps the container is gone"
            );
            (Outcome::Unclear, text)
        }
        Err(error) => (Outcome::Unclear, error.one_line()),
    };
    Finding { about: "port", verdict, text }
}

/// What the host's INPUT chains say of it, as they would of a packet for a program of the host's.
fn input(plan: &Plan, port: &Publication, target: IpAddr, from: Option<IpAddr>) -> Result<Finding> {
    let device = from.and_then(|from| device_towards(from).transpose()).transpose()?;
    let firewall = Firewall::open()?;
    let (verdict, text) = match exempt(plan.network_of(target), from, device.as_deref(), &firewall)?
    {
        Some(why) => (Outcome::Passes, why),
        None => {
            let packet = Packet {
                input_index: device.as_deref().and_then(index_of),
                input: device.clone(),
                source: from,
                ..gate::packet(port, Version::of(target))
            };
            judged(port, &packet, &firewall)?
        }
    };
    Ok(Finding { about: "input", verdict, text })
}

/// Why the host's INPUT chains are not asked about a packet.
fn exempt(
    network: &Network,
    from: Option<IpAddr>,
    device: Option<&str>,
    firewall: &Firewall,
) -> Result<Option<String>> {
    if network.input_policy == HostPolicy::Ignore {
        let text = format!("network {} does not ask the host's INPUT chains", network.name);
        return Ok(Some(text));
    }
    if from.is_some_and(conntrack::is_own) {
        return Ok(Some("programs of the host pass by its INPUT chains".to_owned()));
    }
    let is_inside = device.map(|device| firewall.has_bridge(device)).transpose()?;
    let text = "containers pass by the host's INPUT chains";
    Ok(is_inside.is_some_and(|is_inside| is_inside).then(|| text.to_owned()))
}

/// What INPUT does with a packet, or what is done to find that out.
fn judged(port: &Publication, packet: &Packet, firewall: &Firewall) -> Result<(Outcome, String)> {
    let nft = Nft::open()?;
    let gate = Gate::among(&nft, nft.chains()?)?;
    let name = format!("port {}/{}", port.host_port, port.protocol.name());
    let by = match gate.judge(packet)? {
        Judgement::Dropped(by) => {
            return Ok((Outcome::Stops, format!("{name} of the host is closed by {by}")));
        }
        Judgement::Passes if !gate::has_legacy() => {
            let text = format!("nobody's INPUT chains close {name} of the host");
            return Ok((Outcome::Passes, text));
        }
        Judgement::Passes => "iptables-legacy".to_owned(),
        Judgement::Perhaps(by) => by,
    };
    let text = format!("{name} of the host may be closed by {by}");
    if let (Some(from), Some(device)) = (packet.source, packet.input.as_deref()) {
        let client = Client { device, from, protocol: port.protocol, port: port.host_port };
        if firewall.has_admitted(&client)? {
            let text = format!("{text}, which has let {from} through just now");
            return Ok((Outcome::Passes, text));
        }
    }
    let text = format!("{text}: a client's first packet is sent there to find out");
    Ok((Outcome::Unclear, text))
}

/// Whether our own rules lead it to the container.
fn rule(plan: &Plan, port: &Publication, target: IpAddr) -> Result<Finding> {
    let leads = Firewall::open()?.leads(plan, target)?;
    let to = std::net::SocketAddr::new(target, port.container_port);
    let (verdict, text) = if leads {
        (Outcome::Passes, format!("table inet {TABLE} leads it to {to}"))
    } else {
        let text = format!(
            "table inet {TABLE} does not lead it to {to}; `network reload` puts the rules back"
        );
        (Outcome::Stops, text)
    };
    Ok(Finding { about: "rule", verdict, text })
}

fn forwarded(target: IpAddr) -> Finding {
    let name =
        if target.is_ipv6() { "net.ipv6.conf.all.forwarding" } else { "net.ipv4.ip_forward" };
    let (verdict, text) = match forwarding::is_allowed(target.is_ipv6()) {
        Some(true) => (Outcome::Passes, format!("the host forwards packets ({name})")),
        Some(false) => {
            (Outcome::Stops, format!("the host forwards no packets: {name} is 0, by somebody else"))
        }
        None => (Outcome::Unclear, format!("{name} cannot be read")),
    };
    Finding { about: "forwarding", verdict, text }
}

/// What the rules of others do where packets are forwarded.
fn others(
    plan: &Plan,
    port: &Publication,
    target: IpAddr,
    from: Option<IpAddr>,
) -> Result<Finding> {
    let of_target = plan
        .attachments
        .iter()
        .find(|attachment| attachment.addresses.iter().any(|own| own.address == target));
    let device = from.and_then(|from| device_towards(from).transpose()).transpose()?;
    let packet = Packet {
        input_index: device.as_deref().and_then(index_of),
        input: device,
        output: of_target.map(|attachment| attachment.network.device.clone()),
        source: from,
        version: Version::of(target),
        destination: Some(target),
        protocol: port.protocol.number(),
        port: port.container_port,
        is_published: true,
    };
    let nft = Nft::open()?;
    let judge = Judge::at(&nft, Hook::Forward, TABLE)?;
    let (verdict, text) = match judge.judge(&packet)? {
        Judgement::Passes => {
            (Outcome::Passes, format!("nobody else's rules drop what is forwarded to {target}"))
        }
        Judgement::Dropped(by) => {
            let text = format!("what is forwarded to {target} is dropped by {by}{}", hint(&by));
            (Outcome::Stops, text)
        }
        Judgement::Perhaps(by) => {
            let text = format!("what is forwarded to {target} may be dropped by {by}");
            (Outcome::Unclear, text)
        }
    };
    Ok(Finding { about: "others", verdict, text })
}

/// What helps where a policy has everybody's packets dropped that no rule names, as docker and ufw set it.
fn hint(by: &str) -> &'static str {
    match by {
        "the policy of chain FORWARD in table ip filter" => {
            ", as docker and ufw set it; a network made with `-o forward_policy=ignore` does not ask it, and \
             beside docker `iptables -I DOCKER-USER -j ACCEPT` lets all pass"
        }
        by if by.starts_with("the policy of ") => {
            "; a network made with `-o forward_policy=ignore` does not ask it"
        }
        _ => "",
    }
}

/// The device by which packets from an address come in, if they come by the way that leads there.
fn device_towards(address: IpAddr) -> Result<Option<String>> {
    let routes = host_routes()?.into_iter().filter(|route| route.to.contains(address));
    let best = routes.max_by_key(|route| (route.to.prefix(), std::cmp::Reverse(route.metric)));
    Ok(best.and_then(|route| route.device))
}

/// The kernel's number of a device.
fn index_of(device: &str) -> Option<u32> {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    rustix::net::netdevice::name_to_index(&socket, device).ok()
}

/// Rules of the older iptables, which cannot be seen from here.
fn legacy() -> Option<Finding> {
    gate::has_legacy().then(|| Finding {
        about: "others",
        verdict: Outcome::Unclear,
        text: "iptables-legacy has rules too, which are not looked at: see `iptables-legacy -S`"
            .to_owned(),
    })
}
