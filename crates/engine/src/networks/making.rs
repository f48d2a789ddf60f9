//! What a network is to be, made of what was asked for.

mod addresses;
mod driver_options;

use super::{
    Settings, USUAL_DEVICE,
    subnets::{self, AddressRange, NetworkDefaults, Taken},
};
use dhow_base::{
    Doing, Error, Kind, Result,
    id::{ContainerId, Name},
};
use dhow_network::{Driver, HostRoute, Isolation, Network as Made, Route, Subnet};
use std::{collections::BTreeMap, net::IpAddr};

/// A network to make.
#[derive(Clone, Debug, Default)]
pub struct NetworkOptions {
    /// Its name; without one it gets a number.
    pub name: Option<Name>,
    /// `--driver`: bridge, macvlan or ipvlan; bridge without.
    pub driver: Option<String>,
    /// `--opt`.
    pub options: Vec<(String, String)>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// `--subnet`.
    pub subnets: Vec<Subnet>,
    /// `--gateway`, each of one of the subnets.
    pub gateways: Vec<IpAddr>,
    /// `--ip-range`, each of one of the subnets.
    pub ranges: Vec<AddressRange>,
    /// `--aux-address`: addresses that no container gets.
    pub reserved: Vec<(String, IpAddr)>,
    /// `--ipam-driver`: default, dhcp or none.
    pub ipam: Option<String>,
    /// `--ipam-opt`.
    pub ipam_options: Vec<(String, String)>,
    /// `--ipv4`; as the subnets are without.
    pub ipv4: Option<bool>,
    /// `--ipv6`.
    pub ipv6: bool,
    /// `--internal`.
    pub internal: bool,
    /// Whether packets pass to other networks, unless an option says so.
    pub isolation: Isolation,
    /// `--interface-name`: the device on the host.
    pub device: Option<String>,
    /// `--route`.
    pub routes: Vec<Route>,
    /// `--dns`.
    pub servers: Vec<IpAddr>,
    /// `--disable-dns`.
    pub without_names: bool,
    /// `--attachable`.
    pub attachable: bool,
}

/// What is around a network that is to be made.
#[derive(Debug)]
pub(super) struct Around<'a> {
    /// The addresses that others have.
    pub(super) taken: Vec<Taken>,
    /// The devices of other networks.
    pub(super) devices: BTreeMap<String, String>,
    /// The host's routes.
    pub(super) routes: &'a [HostRoute],
    /// How addresses are chosen.
    pub(super) defaults: &'a NetworkDefaults,
}

/// The settings of a network; nothing is made yet.
pub(super) fn settings(
    options: &NetworkOptions,
    id: &ContainerId,
    around: &Around<'_>,
) -> Result<Settings> {
    let made = Made {
        driver: driver(options.driver.as_deref())?,
        internal: options.internal,
        isolation: options.isolation,
        resolves_names: !options.without_names,
        servers: options.servers.clone(),
        ..Made::default()
    };
    let mut settings = Settings {
        made,
        labels: options.labels.iter().cloned().collect(),
        options: options.options.iter().cloned().collect(),
        ipam: ipam(options.ipam.as_deref())?.to_owned(),
        ipam_options: options.ipam_options.iter().cloned().collect(),
        attachable: options.attachable,
        ..Settings::default()
    };
    for (key, value) in &options.options {
        driver_options::set(&mut settings, key, value)
            .doing(|| format!("use the network option {key}={value}"))?;
    }
    choose_device(&mut settings.made, options.device.as_deref(), id, around)?;
    addresses::choose(&mut settings, options, around)?;
    for route in &options.routes {
        addresses::check_route(&settings.made, route)?;
    }
    settings.made.routes.clone_from(&options.routes);
    Ok(settings)
}

/// The settings of the usual network.
pub(super) fn usual(id: &ContainerId, around: &Around<'_>) -> Result<Settings> {
    let usual = around.defaults.usual;
    let subnet = match subnets::check_free(usual, &around.taken) {
        Ok(()) => usual,
        Err(_) => subnets::first_free(&around.defaults.pools, &around.taken)?,
    };
    let options = NetworkOptions { subnets: vec![subnet], ..NetworkOptions::default() };
    let mut settings = settings(&options, id, around)?;
    // Another state's usual network may be on this host.
    if !device_exists(USUAL_DEVICE) {
        USUAL_DEVICE.clone_into(&mut settings.made.device);
    }
    Ok(settings)
}

fn driver(word: Option<&str>) -> Result<Driver> {
    let refused = |kind, why: &str| {
        let text = format!("use the network driver {}: {why}", word.unwrap_or_default());
        Err(Error::new(kind, text).hint("there are bridge, macvlan and ipvlan"))
    };
    match word {
        None | Some("bridge" | "default" | "") => Ok(Driver::Bridge),
        Some("macvlan") => Ok(Driver::Macvlan),
        Some("ipvlan") => Ok(Driver::Ipvlan),
        Some("host" | "none" | "null") => refused(Kind::Conflict, "there is one such network only"),
        Some("overlay") => refused(Kind::Unsupported, "it takes a swarm, and there is none"),
        Some(_) => refused(Kind::Unsupported, "there is no such driver"),
    }
}

fn ipam(word: Option<&str>) -> Result<&'static str> {
    match word {
        None | Some("default" | "host-local" | "") => Ok("default"),
        Some("dhcp") => Ok("dhcp"),
        Some("none" | "null") => Ok("none"),
        Some(other) => {
            let text = format!("use the IPAM driver {other}: there is no such driver");
            Err(Error::new(Kind::Unsupported, text)
                .hint("there are default (also called host-local), dhcp and none"))
        }
    }
}

fn invalid(why: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, why)
}

fn unsupported(why: &str) -> Error {
    Error::new(Kind::Unsupported, why)
}

/// A name that the kernel takes for a device, and that is no path.
pub(super) fn device_name(text: &str) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=15).contains(&text.len()) && text.bytes().all(allowed) && !matches!(text, "." | "..") {
        return Ok(text.to_owned());
    }
    Err(invalid(format!("{text:?} cannot be the name of a network device"))
        .hint("a device's name has up to 15 letters, digits, dots, hyphens and underscores"))
}

/// Whether the host has a device of this name.
fn device_exists(name: &str) -> bool {
    let family = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM);
    rustix::net::socket(family.0, family.1, None)
        .is_ok_and(|socket| rustix::net::netdevice::name_to_index(&socket, name).is_ok())
}

fn choose_device(
    made: &mut Made,
    asked: Option<&str>,
    id: &ContainerId,
    around: &Around<'_>,
) -> Result<()> {
    if let Some(asked) = asked {
        made.device = device_name(asked)?;
    }
    if made.driver == Driver::Bridge {
        if made.device.is_empty() {
            made.device = format!("dh-{}", id.short());
        }
        return match around.devices.get(&made.device) {
            Some(other) => {
                let text = format!("use the bridge {}: network {other} has it", made.device);
                Err(Error::new(Kind::Conflict, text))
            }
            None => Ok(()),
        };
    }
    if made.device.is_empty() {
        let defaults = around.routes.iter().filter(|route| route.is_default());
        let way_out =
            defaults.filter(|route| route.device.is_some()).min_by_key(|route| route.metric);
        let way_out = way_out.and_then(|route| route.device.clone());
        made.device = way_out.ok_or_else(|| {
            invalid(format!(
                "find a device for {}: the host has no default route",
                made.driver.word()
            ))
            .hint("name one of the host's devices: --opt parent=DEVICE")
        })?;
    }
    if device_exists(&made.device) {
        return Ok(());
    }
    let text = format!("use the device {}: the host has none of this name", made.device);
    Err(Error::new(Kind::NotFound, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_network::{HostPolicy, Mode};

    fn made(change: impl FnOnce(&mut NetworkOptions)) -> Result<Settings> {
        let mut options = NetworkOptions::default();
        change(&mut options);
        let defaults = NetworkDefaults::default();
        let taken = ["10.89.0.0/24", "192.168.7.0/24"];
        let taken =
            taken.map(|subnet| Taken { subnet: subnet.parse().unwrap(), by: "x".to_owned() });
        let around = Around {
            taken: taken.to_vec(),
            devices: BTreeMap::from([("br-other".to_owned(), "other".to_owned())]),
            routes: &[],
            defaults: &defaults,
        };
        settings(&options, &"ab".repeat(32).parse().unwrap(), &around)
    }

    fn with_option(key: &str, value: &str) -> Result<Settings> {
        made(|options| options.options = vec![(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn without_a_wish_it_is_a_bridge_of_the_next_free_subnet() {
        let settings = made(|_| {}).unwrap();

        let Made { driver, device, subnets, isolation, masquerade, .. } = settings.made;
        assert_eq!((driver, device.as_str()), (Driver::Bridge, "dh-abababababab"));
        assert_eq!((isolation, masquerade), (Isolation::Isolated, true));
        assert_eq!(subnets.len(), 1);
        assert_eq!(subnets[0].subnet.to_string(), "10.89.1.0/24");
        assert_eq!(subnets[0].gateway.unwrap().to_string(), "10.89.1.1");
    }

    #[test]
    fn gateways_and_ranges_go_to_the_subnet_that_they_are_in() {
        let settings = made(|options| {
            options.subnets = vec!["10.1.0.0/16".parse().unwrap(), "fd00:1::/64".parse().unwrap()];
            options.gateways = vec!["fd00:1::7".parse().unwrap(), "10.1.0.9".parse().unwrap()];
            options.ranges = vec![AddressRange::from("10.1.0.0/24".parse::<Subnet>().unwrap())];
            options.reserved = vec![("router".to_owned(), "10.1.0.3".parse().unwrap())];
        })
        .unwrap();

        let [four, six] = &settings.made.subnets[..] else { panic!("two subnets") };
        assert_eq!(four.gateway.unwrap().to_string(), "10.1.0.9");
        assert_eq!(six.gateway.unwrap().to_string(), "fd00:1::7");
        let (first, last) = four.leased.unwrap();
        assert_eq!((first.to_string(), last.to_string()), ("10.1.0.1".into(), "10.1.0.255".into()));
        assert_eq!(settings.reserved_addresses().len(), 3);
    }

    #[test]
    fn options_are_docker_s_and_podman_s() {
        assert_eq!(with_option("mtu", "9000").unwrap().made.mtu, Some(9000));
        assert_eq!(
            with_option("com.docker.network.driver.mtu", "1400").unwrap().made.mtu,
            Some(1400)
        );
        assert_eq!(with_option("ingress", "10mbit").unwrap().made.ingress_bits, Some(10_000_000));
        assert_eq!(with_option("egress", "64000").unwrap().made.egress_bits, Some(64_000));
        assert_eq!(with_option("vlan", "7").unwrap().made.vlan, Some(7));
        assert_eq!(with_option("isolate", "false").unwrap().made.isolation, Isolation::Open);
        let ignoring = with_option("input_policy", "ignore").unwrap();
        assert_eq!(ignoring.made.input_policy, HostPolicy::Ignore);
        assert_eq!(ignoring.made.forward_policy, HostPolicy::Obey);
        let ignoring = with_option("forward_policy", "ignore").unwrap();
        assert_eq!(ignoring.made.forward_policy, HostPolicy::Ignore);
        assert!(!with_option("no_default_route", "1").unwrap().made.default_route);
        let name = "com.docker.network.bridge.name";
        assert_eq!(with_option(name, "br-web").unwrap().made.device, "br-web");
        let routed = with_option("com.docker.network.bridge.gateway_mode_ipv4", "routed");
        assert!(!routed.unwrap().made.masquerade);
        let sysctls =
            with_option("sysctls", "net.ipv4.conf.eth0.rp_filter=2").unwrap().made.sysctls;
        assert_eq!(sysctls["net.ipv4.conf.eth0.rp_filter"], "2");
        for (key, value) in [
            ("mtu", "10"),
            ("mtu", "+1500"),
            ("mtu", "big"),
            ("ingress", "fast"),
            ("ingress", "8"),
            ("egress", "99999999999gbit"),
            ("vlan", "4095"),
            ("vlan", "0"),
            ("isolate", "maybe"),
            ("input_policy", "maybe"),
            ("forward_policy", "maybe"),
            ("mode", "bridge"),
            ("parent", "eth0"),
            ("bogus", "1"),
            ("sysctls", "kernel.hostname=x"),
            ("sysctls", "net..x=1"),
            ("com.docker.network.bridge.name", "a/b"),
            ("com.docker.network.bridge.name", "br-other"),
            ("com.docker.network.bridge.name", "longer-than-a-name"),
            ("com.docker.network.bridge.enable_icc", "false"),
        ] {
            assert!(with_option(key, value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_are_refused() {
        let subnet = |text: &str| text.parse::<Subnet>().unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        type Change<'a> = &'a dyn Fn(&mut NetworkOptions);
        let cases: [(&str, Change<'_>); 12] = [
            ("overlap", &|one| one.subnets = vec![subnet("192.168.0.0/16")]),
            ("two of a version", &|one| {
                one.subnets = vec![subnet("10.1.0.0/24"), subnet("10.2.0.0/24")]
            }),
            ("too small", &|one| one.subnets = vec![subnet("10.1.0.0/31")]),
            ("all there are", &|one| one.subnets = vec![subnet("0.0.0.0/0")]),
            ("of groups", &|one| one.subnets = vec![subnet("224.1.0.0/16")]),
            ("loopback", &|one| one.subnets = vec![subnet("127.1.0.0/16")]),
            ("gateway without subnet", &|one| one.gateways = vec![ip("10.1.0.1")]),
            ("gateway for all", &|one| {
                one.subnets = vec![subnet("10.1.0.0/24")];
                one.gateways = vec![ip("10.1.0.255")];
            }),
            ("range outside", &|one| {
                one.subnets = vec![subnet("10.1.0.0/24")];
                one.ranges = vec![AddressRange { first: ip("10.1.0.9"), last: ip("10.1.1.9") }];
            }),
            ("range backwards", &|one| {
                one.subnets = vec![subnet("10.1.0.0/24")];
                one.ranges = vec![AddressRange { first: ip("10.1.0.9"), last: ip("10.1.0.8") }];
            }),
            ("no version", &|one| one.ipv4 = Some(false)),
            ("DHCP on a bridge", &|one| one.ipam = Some("dhcp".to_owned())),
        ];
        for (what, change) in cases {
            assert!(made(|options| change(options)).is_err(), "{what}");
        }
    }

    #[test]
    fn a_driver_stands_on_a_device_of_the_host_s() {
        let parent = |driver: &str, parent: &str, mode: &str| {
            made(|options| {
                options.driver = Some(driver.to_owned());
                options.options = [("parent", parent), ("mode", mode)]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .to_vec();
                options.subnets = vec!["192.168.7.0/24".parse().unwrap()];
            })
        };

        assert_eq!(parent("macvlan", "lo", "vepa").unwrap().made.mode, Some(Mode::Vepa));
        assert_eq!(parent("ipvlan", "lo", "l3s").unwrap().made.mode, Some(Mode::L3s));
        assert!(parent("ipvlan", "lo", "vepa").is_err());
        assert_eq!(parent("macvlan", "nowhere0", "bridge").unwrap_err().kind(), Kind::NotFound);
        for driver in ["host", "overlay", "bogus"] {
            assert!(made(|options| options.driver = Some(driver.to_owned())).is_err(), "{driver}");
        }
    }
}
