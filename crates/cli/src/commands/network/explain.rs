//! `network explain`: why a packet for a published port passes, or does not.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    render::list::{Column, Row, Shape},
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::Explanation;
use dhow_network::{Outcome, Protocol};
use std::net::IpAddr;

const COLUMNS: &[Column] =
    &[("CONTAINER", "Container"), ("PORT", "Port"), ("RESULT", "Result"), ("FINDING", "Finding")];

/// Explain why packets for a published port pass, or do not
///
/// Looks at everything that a packet meets on its way from the host's port to the container: who
/// holds the port, dhow's own rules, whether the host forwards packets, and what the rules of others
/// (nftables and iptables) do with it. The exit code is 1 where something stops it for certain.
#[derive(clap::Args, Debug)]
pub(crate) struct Explain {
    /// The port of the host's, such as 8080 or 53/udp
    #[arg(value_name = "PORT[/PROTOCOL]")]
    port: String,

    /// Explain for packets from this address; otherwise it is not known where they come from
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for Explain {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(false, self.format.as_deref(), "Container")?.by(invocation.manners);
        let (port, protocol) = parse_port(&self.port)?;
        let all = invocation.engine()?.explain_port(port, protocol, self.from)?;
        let rows: Vec<Row> = all.iter().flat_map(rows).collect();
        invocation.console.print(shape.print(COLUMNS, &rows)?)?;
        let findings = all.iter().flat_map(|one| &one.findings);
        let stops =
            findings.map(|finding| finding.verdict).any(|verdict| verdict == Outcome::Stops);
        Ok(if stops { FAILURE } else { SUCCESS })
    }
}

fn parse_port(text: &str) -> Result<(u16, Protocol)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse::<u16>().ok().filter(|port| is_number && *port != 0);
    let number = number.ok_or_else(|| {
        Error::new(Kind::Invalid, format!("use {text:?} as a port"))
            .hint("write a number from 1 to 65535, with the protocol if it is not tcp: 53/udp")
    })?;
    Ok((number, protocol.parse()?))
}

fn rows(one: &Explanation) -> Vec<Row> {
    let row = |finding: &dhow_network::Finding| {
        let result = match finding.verdict {
            Outcome::Passes => "passes",
            Outcome::Stops => "stops",
            Outcome::Unclear => "unclear",
        };
        Row::new([
            ("About", finding.about.to_owned()),
            ("Container", one.name.clone()),
            ("Finding", finding.text.clone()),
            ("ID", one.owner.to_string()),
            ("Port", one.port.clone()),
            ("Result", result.to_owned()),
        ])
    };
    one.findings.iter().map(row).collect()
}
