//! Flags about networks: which ones, under which names and addresses, and through which ports.

use super::{
    namespaces::{self, Named},
    refuse,
};
use dhow_base::Result;
use dhow_engine::options::{
    ConnectionOptions, DEFAULT_NETWORK, Exposed, Mac, NetworkMode, PASTA, PortOptions, Publication,
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// How a container or a pod talks, and is reached.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Network")]
pub(crate) struct ConnectionFlags {
    /// Connect to a network (bridge unless said); or use none, the host's (host), a container's
    /// (container:NAME) or the one at a path (ns:PATH)
    #[arg(long, visible_alias = "net", value_name = "NETWORK[:OPTION=VALUE,...]")]
    pub(crate) network: Vec<String>,

    /// Let neighbours find the container by this name too
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    pub(super) network_alias: Vec<String>,

    /// Use this address of the network
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ip: Option<String>,

    /// Use this address of version 6
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ip6: Option<String>,

    /// Use this hardware address
    #[arg(long, value_name = "ADDRESS")]
    pub(super) mac_address: Option<String>,

    /// Reach a port of the container through one of the host
    #[arg(short, long, value_name = "[ADDRESS:][PORT:]PORT[/PROTOCOL]")]
    pub(crate) publish: Vec<String>,
}

/// The same for a container, whose image names ports.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkFlags {
    #[command(flatten)]
    pub(crate) connection: ConnectionFlags,

    /// Publish every port that the image names, each through one that is free
    #[arg(short = 'P', long)]
    pub(super) publish_all: bool,

    /// Name a port on which the container listens
    #[arg(long, value_name = "PORT[/PROTOCOL]")]
    pub(super) expose: Vec<String>,
}

impl ConnectionFlags {
    /// Which networks, and how it is connected to them.
    pub(crate) fn mode(&self) -> Result<NetworkMode> {
        let mut mode = self.named()?;
        if !self.asks_for_connection() {
            return Ok(mode);
        }
        if mode == NetworkMode::Unsaid {
            mode = NetworkMode::Networks(vec![ConnectionOptions::to(DEFAULT_NETWORK)]);
        }
        let NetworkMode::Networks(connections) = &mut mode else {
            let flag = self.first_of_connections();
            return Err(refuse(
                flag.0,
                flag.1,
                "the container is connected to no network of its own",
            )
            .hint("name one with --network"));
        };
        for connection in connections.iter_mut() {
            for alias in &self.network_alias {
                connection.aliases.push(host_name("--network-alias", alias)?);
            }
        }
        let [connection] = connections.as_mut_slice() else {
            return match self.first_of_connections() {
                ("--network-alias", _) => Ok(mode),
                (flag, text) => Err(refuse(flag, text, "there is more than one network")
                    .hint("write --network NAME:ip=ADDRESS,mac=ADDRESS for each")),
            };
        };
        if let Some(text) = &self.ip {
            connection.ip = Some(ip("--ip", text)?);
        }
        if let Some(text) = &self.ip6 {
            connection.ip6 = Some(ip6("--ip6", text)?);
        }
        if let Some(text) = &self.mac_address {
            connection.mac = Some(mac("--mac-address", text)?);
        }
        Ok(mode)
    }

    /// Whether something is said of a connection that is not the network's name.
    pub(super) fn asks_for_connection(&self) -> bool {
        !self.network_alias.is_empty()
            || self.ip.is_some()
            || self.ip6.is_some()
            || self.mac_address.is_some()
    }

    /// The flag about one connection that an error is to name.
    fn first_of_connections(&self) -> (&'static str, &str) {
        let single =
            [("--ip", &self.ip), ("--ip6", &self.ip6), ("--mac-address", &self.mac_address)];
        let single = single.into_iter().find_map(|(flag, text)| Some((flag, text.as_deref()?)));
        let alias = self.network_alias.first().map_or("", String::as_str);
        single.unwrap_or(("--network-alias", alias))
    }

    fn named(&self) -> Result<NetworkMode> {
        let mut connections: Vec<ConnectionOptions> = Vec::new();
        for text in &self.network {
            match one(text)? {
                Meant::Connections(more) => connections.extend(more),
                Meant::Mode(mode) if self.network.len() == 1 => return Ok(mode),
                Meant::Mode(_) => {
                    return Err(refuse("--network", text, "it does not go with other networks"));
                }
            }
        }
        for (place, connection) in connections.iter().enumerate() {
            if connections[..place].iter().any(|other| other.network == connection.network) {
                return Err(refuse("--network", &connection.network, "it is named twice"));
            }
        }
        Ok(match connections.is_empty() {
            true => NetworkMode::Unsaid,
            false => NetworkMode::Networks(connections),
        })
    }

    /// The ports that are published.
    pub(crate) fn published(&self) -> Result<Vec<Publication>> {
        let parsed = self.publish.iter().map(|text| Publication::parse(text));
        Ok(parsed.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// What `containers.conf` says of networks counts where the flags say nothing.
    /// Its words for users without rights of root are passed over: the file is everybody's.
    pub(crate) fn fill(&mut self, netns: Option<&String>) {
        let netns = netns.filter(|text| !text.is_empty() && !is_for_users(text));
        // Who asks for something of a connection wants one.
        if self.network.is_empty() && !self.asks_for_connection() {
            self.network.extend(netns.cloned());
        }
    }
}

impl NetworkFlags {
    /// Through which ports it is reached.
    pub(crate) fn ports(&self) -> Result<PortOptions> {
        let publish = self.connection.published()?;
        let mut expose = Vec::new();
        for text in &self.expose {
            expose.extend(
                Exposed::parse(text).map_err(|error| refuse("--expose", text, error.one_line()))?,
            );
        }
        Ok(PortOptions { publish, publish_all: self.publish_all, expose })
    }
}

/// What one `--network` means.
enum Meant {
    Mode(NetworkMode),
    Connections(Vec<ConnectionOptions>),
}

/// Podman's words for networks of users without rights of root.
fn is_for_users(text: &str) -> bool {
    matches!(text.split(':').next(), Some(PASTA | SLIRP))
}

/// What podman had before pasta.
const SLIRP: &str = "slirp4netns";

/// `pasta:-t,auto,--no-map-gw`: pasta's own words, with commas. Those that say for which namespace it
/// works, or how it lives, are not the user's.
fn words_of_pasta(text: &str, words: &str) -> Result<Vec<String>> {
    const OURS: [&str; 14] = [
        "--netns",
        "--userns",
        "--pid",
        "-P",
        "--foreground",
        "-f",
        "--runas",
        "--fd",
        "-F",
        "--log-file",
        "-l",
        "--pcap",
        "-p",
        "--config-net",
    ];
    let words: Vec<String> =
        words.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let is_ours = |word: &&String| OURS.iter().any(|own| word.split('=').next() == Some(own));
    match words.iter().find(is_ours) {
        Some(word) => Err(refuse("--network", text, format!("{word} is not for users to say"))),
        None => Ok(words),
    }
}

fn one(text: &str) -> Result<Meant> {
    match text {
        "" | "default" | "private" => {
            return Ok(Meant::Connections(vec![ConnectionOptions::to(DEFAULT_NETWORK)]));
        }
        "none" => return Ok(Meant::Mode(NetworkMode::None)),
        "host" => return Ok(Meant::Mode(NetworkMode::Host)),
        _ => {}
    }
    match namespaces::named("--network", text)? {
        Some(Named::Container(name)) => return Ok(Meant::Mode(NetworkMode::Container(name))),
        Some(Named::Path(path)) => return Ok(Meant::Mode(NetworkMode::Path(path))),
        None => {}
    }
    match text.split_once(':').unwrap_or((text, "")) {
        (PASTA, words) => return Ok(Meant::Mode(NetworkMode::Pasta(words_of_pasta(text, words)?))),
        (SLIRP, _) => {
            return Err(refuse("--network", text, "there is no slirp4netns here")
                .hint("pasta does what it did, and keeps the client's address"));
        }
        _ => {}
    }
    if text.contains('=') && !text.contains(':') || text.starts_with("name=") {
        return Ok(Meant::Connections(vec![fields(text)?]));
    }
    if let Some((name, options)) = text.split_once(':') {
        let mut connection = ConnectionOptions::to(name);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            set(&mut connection, text, option)?;
        }
        return Ok(Meant::Connections(vec![connection]));
    }
    Ok(Meant::Connections(text.split(',').map(ConnectionOptions::to).collect()))
}

/// Docker's long form: `name=front,alias=web,ip=10.89.0.7`.
fn fields(text: &str) -> Result<ConnectionOptions> {
    let mut connection = ConnectionOptions::default();
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("name", name)) => name.clone_into(&mut connection.network),
            _ => set(&mut connection, text, field)?,
        }
    }
    if connection.network.is_empty() {
        return Err(refuse("--network", text, "the name is missing").hint("write name=NETWORK,…"));
    }
    Ok(connection)
}

/// `KEY=VALUE` of a connection, by podman's or docker's word.
fn set(connection: &mut ConnectionOptions, text: &str, option: &str) -> Result<()> {
    let Some((key, value)) = option.split_once('=') else {
        return Err(refuse("--network", text, format!("{option:?} is not KEY=VALUE")));
    };
    match key {
        "alias" => connection.aliases.push(host_name("--network", value)?),
        "ip" => match value.parse::<Ipv6Addr>() {
            Ok(address) => connection.ip6 = Some(address),
            Err(_) => connection.ip = Some(ip("--network", value)?),
        },
        "ip6" => connection.ip6 = Some(ip6("--network", value)?),
        "mac" | "mac-address" => connection.mac = Some(mac("--network", value)?),
        "interface_name" | "interface-name" => {
            connection.interface = Some(interface("--network", value)?);
        }
        _ => {
            return Err(refuse("--network", text, format!("there is no option {key:?}"))
                .hint("there are alias, ip, ip6, mac and interface_name"));
        }
    }
    Ok(())
}

pub(crate) fn ip(flag: &str, text: &str) -> Result<Ipv4Addr> {
    text.parse().map_err(|_| {
        refuse(flag, text, "not an address of version 4").hint("write one such as 10.89.0.7")
    })
}

pub(crate) fn ip6(flag: &str, text: &str) -> Result<Ipv6Addr> {
    text.parse().map_err(|_| {
        refuse(flag, text, "not an address of version 6").hint("write one such as fd00:89::7")
    })
}

pub(crate) fn mac(flag: &str, text: &str) -> Result<Mac> {
    text.parse::<Mac>().map_err(|error| refuse(flag, text, error.one_line()))
}

/// A name that can stand in a question for addresses (RFC 1123, and underscores as in names of
/// containers).
pub(crate) fn host_name(flag: &str, text: &str) -> Result<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty()
        || text.len() > 253
        || !text.chars().all(is_word)
        || text.starts_with(['-', '.'])
    {
        return Err(refuse(flag, text, "not a name of a host")
            .hint("a name has letters, digits, hyphens, underscores and dots"));
    }
    Ok(text.to_owned())
}

/// A name that the kernel takes for a device.
pub(crate) fn interface(flag: &str, text: &str) -> Result<String> {
    let is_bad = |c: char| matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control();
    if text.is_empty()
        || text.len() > 15
        || matches!(text, "." | ".." | "lo")
        || text.contains(is_bad)
    {
        return Err(refuse(flag, text, "not a name for a network device")
            .hint("write at most 15 letters, such as eth1"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(networks: &[&str]) -> Result<NetworkMode> {
        let network = networks.iter().map(|&text| text.to_owned()).collect();
        ConnectionFlags { network, ..ConnectionFlags::default() }.mode()
    }

    #[test]
    fn modes_are_words_and_everything_else_names_a_network() {
        assert_eq!(mode(&[]).unwrap(), NetworkMode::Unsaid);
        assert_eq!(mode(&["none"]).unwrap(), NetworkMode::None);
        assert_eq!(mode(&["host"]).unwrap(), NetworkMode::Host);
        let web = NetworkMode::Container("web".to_owned());
        assert_eq!(mode(&["container:web"]).unwrap(), web);
        let names = |mode: NetworkMode| -> Vec<String> {
            mode.connections().iter().map(|one| one.network.clone()).collect()
        };
        assert_eq!(names(mode(&["bridge"]).unwrap()), ["bridge"]);
        assert_eq!(names(mode(&["front", "back"]).unwrap()), ["front", "back"]);
        assert_eq!(names(mode(&["front,back"]).unwrap()), ["front", "back"]);
        for bad in [&["none", "front"][..], &["front", "front"], &["container:"], &["ns:x"]] {
            assert!(mode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_connection_is_described_in_podman_s_words_and_in_docker_s() {
        let expected = ConnectionOptions {
            network: "front".to_owned(),
            aliases: vec!["web".to_owned(), "www".to_owned()],
            ip: Some("10.89.0.7".parse().unwrap()),
            ip6: Some("fd00::7".parse().unwrap()),
            mac: Some("02:42:0a:59:00:07".parse().unwrap()),
            ..ConnectionOptions::default()
        };
        let docker = "name=front,alias=web,alias=www,ip=10.89.0.7,ip6=fd00::7,\
                      mac-address=02:42:0a:59:00:07";
        let podman = "front:alias=web,alias=www,ip=10.89.0.7,ip=fd00::7,mac=02:42:0a:59:00:07";

        for text in [docker, podman] {
            assert_eq!(
                mode(&[text]).unwrap().connections(),
                std::slice::from_ref(&expected),
                "{text}"
            );
        }
        for bad in ["front:ip=x", "front:colour=red", "alias=web", "front:ip", "front:alias=-x"] {
            assert!(mode(&[bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_of_one_network() {
        let flags = |networks: &[&str]| ConnectionFlags {
            network: networks.iter().map(|&text| text.to_owned()).collect(),
            ip: Some("10.88.0.7".to_owned()),
            ..ConnectionFlags::default()
        };

        let unsaid = flags(&[]).mode().unwrap();
        assert_eq!(unsaid.connections()[0].network, DEFAULT_NETWORK);
        assert!(unsaid.connections()[0].ip.is_some());
        assert!(flags(&["a", "b"]).mode().is_err());
        assert!(flags(&["host"]).mode().is_err());
    }
}
