//! What plugins have made: a result, in the form of any version of the interface.
//!
//! Inside it has the newest form. A plugin of an older version, or a caller of one, gets and gives
//! the older form; what that cannot say is left out, as the reference library leaves it out.

use super::Version;
use crate::plan::InterfaceAddress;
use dhow_base::{Error, Kind, Result};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// The result of ADD.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Outcome {
    /// The devices that were made, on both sides.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// The addresses that were given.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<Ip>,
    /// The routes that were set.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Who resolves names.
    #[serde(deserialize_with = "or_default")]
    pub dns: Dns,
}

/// A device.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Its largest packet.
    #[serde(skip_serializing_if = "is_zero")]
    pub mtu: i64,
    /// The path of its namespace; the host's where empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    /// A socket that stands for the device.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub socket_path: String,
    /// Its number on the PCI bus.
    #[serde(rename = "pciID", skip_serializing_if = "String::is_empty")]
    pub pci_id: String,
}

/// An address that was given.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ip {
    /// To which of the interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<usize>,
    /// The address, and the length of its subnet.
    pub address: InterfaceAddress,
    /// Through whom the rest is reached.
    #[serde(default, deserialize_with = "text_or_none", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A route. What it leads to is kept as it was written: `10.0.0.5/8` is allowed there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Route {
    /// Where to.
    pub dst: InterfaceAddress,
    /// Through whom; through the default gateway where missing.
    #[serde(
        rename = "gw",
        default,
        deserialize_with = "text_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub gateway: Option<IpAddr>,
    /// The largest packet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mtu: i64,
    /// The largest segment of TCP that is offered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub advmss: i64,
    /// How dear it is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// In which table of routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<i64>,
    /// How far away (`rtnetlink`'s numbers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<i64>,
}

impl Route {
    /// One through a gateway, of which nothing else is said.
    pub(crate) fn through(gateway: IpAddr, dst: InterfaceAddress) -> Self {
        Self {
            dst,
            gateway: Some(gateway),
            mtu: 0,
            advmss: 0,
            priority: 0,
            table: None,
            scope: None,
        }
    }
}

/// Who resolves names.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Dns {
    /// Servers, in this order.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The domain of the container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Domains that short names are looked up in.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options of the resolver.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// More of anything than a plugin can mean.
const MOST: usize = 10_000;

impl Outcome {
    /// A result in the form of the version that it names, or else of this one.
    pub fn parse(document: &Value, otherwise: Version) -> Result<Self> {
        let version = Version::named_in(document, otherwise).map_err(|text| {
            let what = format!("read a result of version {text:?} of the interface");
            Error::new(Kind::Unsupported, what)
        })?;
        let refused = |error| {
            Error::new(Kind::Invalid, format!("read a result of version {version}")).because(error)
        };
        if !document.is_object() {
            return Err(Error::new(Kind::Invalid, "read a result: it is not an object of JSON"));
        }
        let outcome: Self = if version < Version::V0_3_0 {
            let old: Old = serde_json::from_value(document.clone()).map_err(refused)?;
            old.into()
        } else {
            serde_json::from_value(document.clone()).map_err(refused)?
        };
        outcome.check()?;
        Ok(outcome)
    }

    fn check(&self) -> Result<()> {
        if self.interfaces.len().max(self.ips.len()).max(self.routes.len()) > MOST {
            let why = format!("read a result: it has more than {MOST} entries of a kind");
            return Err(Error::new(Kind::Invalid, why));
        }
        Ok(())
    }

    /// In the form of a version.
    pub fn to_json(&self, version: Version) -> Value {
        let mut document = if version < Version::V0_3_0 {
            serde_json::to_value(Old::from(self))
        } else {
            serde_json::to_value(self)
        }
        .expect("names and addresses are JSON");
        if version < Version::NEWEST {
            for (list, fields) in [
                ("interfaces", &["mtu", "socketPath", "pciID"][..]),
                ("routes", &["mtu", "advmss", "priority", "table", "scope"][..]),
            ] {
                for entry in entries(&mut document, list) {
                    fields.iter().for_each(|field| drop(entry.shift_remove(*field)));
                }
            }
        }
        if (Version::V0_3_0..Version::V1_0_0).contains(&version) {
            for entry in entries(&mut document, "ips") {
                let is_new = entry["address"].as_str().is_some_and(|text| text.contains(':'));
                entry.shift_insert(0, "version".into(), if is_new { "6" } else { "4" }.into());
            }
        }
        let mut named = Map::new();
        named.insert("cniVersion".into(), version.name().into());
        named.extend(document.as_object().cloned().unwrap_or_default());
        Value::Object(named)
    }

    /// The addresses of the devices in the container; those that name no device are among them.
    pub fn addresses(&self) -> impl Iterator<Item = &Ip> {
        self.ips.iter().filter(|ip| {
            let device = ip.interface.and_then(|at| self.interfaces.get(at));
            device.is_none_or(|device| !device.sandbox.is_empty())
        })
    }

    /// The device in the container: the first one that has a namespace.
    pub fn device(&self) -> Option<&Interface> {
        self.interfaces.iter().find(|device| !device.sandbox.is_empty())
    }
}

fn entries<'a>(
    document: &'a mut Value,
    list: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = document.get_mut(list).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The form of 0.1.0 and 0.2.0.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Old {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip4: Option<OldIp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip6: Option<OldIp>,
    #[serde(deserialize_with = "or_default")]
    dns: Dns,
}

#[derive(Debug, Deserialize, Serialize)]
struct OldIp {
    ip: InterfaceAddress,
    #[serde(default, deserialize_with = "text_or_none", skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
}

impl From<Old> for Outcome {
    fn from(old: Old) -> Self {
        let mut outcome = Self { dns: old.dns, ..Self::default() };
        for one in [old.ip4, old.ip6].into_iter().flatten() {
            outcome.ips.push(Ip { interface: None, address: one.ip, gateway: one.gateway });
            outcome.routes.extend(one.routes);
        }
        outcome
    }
}

impl From<&Outcome> for Old {
    fn from(outcome: &Outcome) -> Self {
        let first = |is_new: bool| {
            let ip = outcome.ips.iter().find(|ip| ip.address.address.is_ipv6() == is_new)?;
            let of_it = |route: &&Route| route.dst.address.is_ipv6() == is_new;
            let routes = outcome.routes.iter().filter(of_it).cloned().collect();
            Some(OldIp { ip: ip.address, gateway: ip.gateway, routes })
        };
        Self { ip4: first(false), ip6: first(true), dns: outcome.dns.clone() }
    }
}

/// `null` is nothing, as it is for plugins that are written in Go.
fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// An empty text is no address, as it is for plugins that are written in Go.
fn text_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn newest() -> Value {
        json!({
            "cniVersion": "1.1.0",
            "interfaces": [
                {"name": "cni0", "mac": "aa:bb:cc:dd:ee:01", "mtu": 1500},
                {"name": "eth0", "mac": "aa:bb:cc:dd:ee:02", "mtu": 1400, "sandbox": "/n",
                 "socketPath": "/s", "pciID": "0000:00:1f.6"},
            ],
            "ips": [
                {"interface": 1, "address": "10.1.0.5/16", "gateway": "10.1.0.1"},
                {"interface": 1, "address": "fd00::5/64"},
            ],
            "routes": [
                {"dst": "0.0.0.0/0"},
                {"dst": "fd00:1::/64", "gw": "fd00::1", "mtu": 1300, "advmss": 1200,
                 "priority": 7, "table": 5, "scope": 0},
            ],
            "dns": {"nameservers": ["10.1.0.1"], "domain": "d", "search": ["s"], "options": ["o"]},
        })
    }

    #[test]
    fn the_newest_form_is_read_and_written_without_loss() {
        let outcome = Outcome::parse(&newest(), Version::UNNAMED).unwrap();

        assert_eq!(outcome.to_json(Version::NEWEST), newest());
        assert_eq!(outcome.device().unwrap().name, "eth0");
        assert_eq!(outcome.addresses().count(), 2);
    }

    #[test]
    fn older_forms_say_what_they_can() {
        let outcome = Outcome::parse(&newest(), Version::UNNAMED).unwrap();

        let middle = outcome.to_json(Version::V0_4_0);
        assert_eq!(
            middle["ips"][1],
            json!({"version": "6", "interface": 1, "address": "fd00::5/64"})
        );
        assert_eq!(middle["routes"][1], json!({"dst": "fd00:1::/64", "gw": "fd00::1"}));
        assert_eq!(middle["interfaces"][0], json!({"name": "cni0", "mac": "aa:bb:cc:dd:ee:01"}));
        let again = Outcome::parse(&middle, Version::NEWEST).unwrap();
        assert_eq!(again.ips, outcome.ips);
        let old = outcome.to_json(Version::V0_2_0);
        assert_eq!(
            old["ip4"],
            json!({"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]})
        );
        assert_eq!(Outcome::parse(&old, Version::NEWEST).unwrap().ips.len(), 2);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_null_is_nothing() {
        for (document, is_good) in [
            (json!({"cniVersion": "1.0.0"}), true),
            (json!({"cniVersion": "1.0.0", "ips": null, "dns": null}), true),
            (
                json!({"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.1/8", "gateway": ""}]}),
                true,
            ),
            (json!({"cniVersion": "9.0.0"}), false),
            (json!({"cniVersion": 1}), false),
            (json!({"ips": [{"address": "10.0.0.1/33"}], "cniVersion": "1.0.0"}), false),
            (json!({"ips": [{"address": "10.0.0.1"}], "cniVersion": "1.0.0"}), false),
            (
                json!({"ips": [{"address": "10.0.0.1/8", "interface": -1}], "cniVersion": "1.0.0"}),
                false,
            ),
            (json!([]), false),
            (json!("text"), false),
        ] {
            let parsed = Outcome::parse(&document, Version::NEWEST);
            assert_eq!(parsed.is_ok(), is_good, "{document}: {parsed:?}");
        }
    }

    #[test]
    fn a_damaged_result_is_refused_or_can_be_written_in_every_form() {
        let mut mutator = dhow_testkit::mutation::Mutator::new(3);

        let good =
            (0..3000).filter(|_| crate::fuzz::cni_answer(&mutator.damage(&newest()))).count();

        assert!(good > 100, "{good}");
    }
}
