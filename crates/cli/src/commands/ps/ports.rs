//! Published ports as lists show them: `0.0.0.0:8080-8081->80-81/tcp`.

use dhow_engine::options::Exposed;
use dhow_state::ports::Port;
use serde_json::{Value, json};

/// Ports that follow each other on both sides.
struct Run<'p> {
    first: &'p Port,
    count: u16,
}

impl Run<'_> {
    fn goes_on_with(&self, port: &Port) -> bool {
        let Run { first, count } = self;
        first.protocol == port.protocol
            && first.host_ip == port.host_ip
            && first.host_port.checked_add(*count) == Some(port.host_port)
            && first.container_port.checked_add(*count) == Some(port.container_port)
    }
}

fn runs(ports: &[Port]) -> Vec<Run<'_>> {
    let mut sorted: Vec<&Port> = ports.iter().collect();
    sorted.sort_by_key(|port| (&port.host_ip, &port.protocol, port.host_port, port.container_port));
    let mut runs: Vec<Run<'_>> = Vec::new();
    for port in sorted {
        match runs.last_mut() {
            Some(run) if run.goes_on_with(port) => run.count += 1,
            _ => runs.push(Run { first: port, count: 1 }),
        }
    }
    runs
}

/// The words of docker's column. A port at all addresses is shown for both versions; one that is only
/// named comes first, as there.
pub(super) fn words(ports: &[Port], exposed: &[Exposed]) -> String {
    let is_published = |one: &&Exposed| {
        let (number, protocol) = (one.port, one.protocol.name());
        ports.iter().any(|port| port.container_port == number && port.protocol == protocol)
    };
    let named = exposed.iter().filter(|one| !is_published(one));
    let mut words: Vec<String> =
        named.map(|one| format!("{}/{}", one.port, one.protocol.name())).collect();
    for Run { first, count } in runs(ports) {
        let range = |port: u16| match count {
            1 => port.to_string(),
            _ => format!("{port}-{}", port + (count - 1)),
        };
        let (host, inside) = (range(first.host_port), range(first.container_port));
        for address in addresses(&first.host_ip) {
            words.push(format!("{address}:{host}->{inside}/{}", first.protocol));
        }
    }
    words.join(", ")
}

/// An address as it stands before a port; those of all addresses where none is named.
pub(in crate::commands) fn addresses(host_ip: &str) -> Vec<String> {
    match host_ip {
        "" => vec!["0.0.0.0".to_owned(), "[::]".to_owned()],
        address if address.contains(':') => vec![format!("[{address}]")],
        address => vec![address.to_owned()],
    }
}

/// Podman's list; nothing where there are none.
pub(super) fn podmans(ports: &[Port]) -> Value {
    if ports.is_empty() {
        return Value::Null;
    }
    let one = |run: Run<'_>| {
        json!({
            "host_ip": run.first.host_ip,
            "container_port": run.first.container_port,
            "host_port": run.first.host_port,
            "range": run.count,
            "protocol": run.first.protocol,
        })
    };
    runs(ports).into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_engine::options::Protocol;

    fn port(host_ip: &str, host_port: u16, container_port: u16) -> Port {
        let (protocol, host_ip) = ("tcp".to_owned(), host_ip.to_owned());
        Port { protocol, host_ip, host_port, container_port }
    }

    #[test]
    fn ports_that_follow_each_other_are_one_word() {
        let ports = [
            port("", 8081, 81),
            port("", 8080, 80),
            port("127.0.0.1", 9000, 80),
            port("::1", 9000, 80),
            port("127.0.0.1", 9001, 90),
        ];

        let expected = "0.0.0.0:8080-8081->80-81/tcp, [::]:8080-8081->80-81/tcp, \
                        127.0.0.1:9000->80/tcp, 127.0.0.1:9001->90/tcp, [::1]:9000->80/tcp";
        assert_eq!(words(&ports, &[]), expected);
        let named = [80, 443].map(|port| Exposed { port, protocol: Protocol::Tcp });
        assert_eq!(words(&ports[1..2], &named), "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
        assert_eq!(podmans(&ports)[0]["range"], 2);
        assert_eq!(podmans(&[]), Value::Null);
    }
}
