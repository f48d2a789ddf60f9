//! `port`: which ports of a container the host passes on.

use super::{ps, several};
use crate::{exit::SUCCESS, flags::refuse, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_engine::Which;
use dhow_state::ports::Port as Published;

/// List the ports of a container that the host passes on
#[derive(clap::Args, Debug)]
pub(crate) struct Port {
    /// The container, by name or id
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest"])]
    container: Option<String>,

    /// Only this port of it
    #[arg(value_name = "PORT[/PROTOCOL]")]
    port: Option<String>,

    /// All containers that run
    #[arg(short, long, conflicts_with_all = ["container", "latest"])]
    all: bool,

    /// The newest container
    #[arg(short, long, conflicts_with = "container")]
    latest: bool,
}

impl Act for Port {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let wanted = self.port.as_deref().map(parse).transpose()?;
        let mut engine = invocation.engine()?;
        if self.all {
            for row in engine.list(Which::Running)? {
                for line in lines(&row.ports) {
                    invocation.console.line(&format!("{}\t{line}", row.id.short()))?;
                }
            }
            return Ok(SUCCESS);
        }
        let container = several::one(&mut engine, self.container)?;
        let (id, name) = engine.name_of(&container)?;
        let published = engine.published_ports(&id)?;
        let Some(wanted) = wanted else {
            for line in lines(&published) {
                invocation.console.line(&line)?;
            }
            return Ok(SUCCESS);
        };
        let meant = published.iter().filter(|port| word(port) == wanted);
        let places: Vec<String> = meant.flat_map(places).collect();
        if places.is_empty() {
            let what = format!("no port of the host leads to {wanted} of container {name}");
            return Err(Error::new(Kind::NotFound, what));
        }
        for place in places {
            invocation.console.line(&place)?;
        }
        Ok(SUCCESS)
    }
}

/// `80/tcp -> 0.0.0.0:8080`.
fn lines(published: &[Published]) -> Vec<String> {
    let line = |port: &Published| {
        let places = places(port).into_iter();
        places.map(|place| format!("{} -> {place}", word(port))).collect::<Vec<_>>()
    };
    published.iter().flat_map(line).collect()
}

fn word(port: &Published) -> String {
    format!("{}/{}", port.container_port, port.protocol)
}

fn places(port: &Published) -> Vec<String> {
    let addresses = ps::addresses(&port.host_ip).into_iter();
    addresses.map(|address| format!("{address}:{}", port.host_port)).collect()
}

/// A port and its protocol, as docker writes them.
fn parse(text: &str) -> Result<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let is_known = matches!(protocol, "tcp" | "udp" | "sctp");
    match number.parse::<u16>() {
        Ok(number) if number > 0 && is_known => Ok(format!("{number}/{protocol}")),
        _ => Err(refuse("PORT", text, "not a port").hint("write 80, 80/tcp or 53/udp")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_are_numbers_with_a_protocol() {
        let cases = [
            ("80", Some("80/tcp")),
            ("53/udp", Some("53/udp")),
            ("0", None),
            ("80/icmp", None),
            ("http", None),
            ("65536", None),
        ];
        for (text, expected) in cases {
            assert_eq!(super::parse(text).ok().as_deref(), expected, "{text}");
        }
    }
}
