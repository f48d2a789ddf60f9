//! `port`: which ports of a container the host passes on.
//!
//! No network of dhow's passes ports on yet, so the answer is always the empty one; it is asked
//! properly all the same, since scripts do.

use super::several;
use crate::{exit::SUCCESS, flags::refuse, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_engine::Which;

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
        let port = self.port.as_deref().map(parse).transpose()?;
        let mut engine = invocation.engine()?;
        if self.all {
            engine.list(Which::Running)?;
            return Ok(SUCCESS);
        }
        let container = several::one(&mut engine, self.container)?;
        engine.run_directory(&container)?;
        match port {
            None => Ok(SUCCESS),
            Some(port) => {
                let what = format!("no port of the host leads to {port} of container {container}");
                Err(Error::new(Kind::NotFound, what))
            }
        }
    }
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
