//! What an address is, as far as trust goes: this machine, the link's own neighbourhood, or out
//! there; and which address may send us to which other one.
//!
//! Addresses are judged after `url` has parsed them, so `0x7f.1`, `2130706433` and
//! `[::ffff:127.0.0.1]` are the loopback address that a connection would reach.

use dhow_base::{Error, Kind, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Does the host lie on this machine? A name counts only where it is `localhost`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => canonical(address).is_loopback(),
        None => false,
    }
}

/// Addresses that a machine's own infrastructure answers at, its metadata service above all
/// (169.254.169.254): a registry has no business sending us there.
pub(crate) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified(),
        IpAddr::V6(address) => match canonical(address) {
            IpAddr::V4(address) => is_forbidden(address.into()),
            IpAddr::V6(address) => {
                // The second is the metadata service's address in some clouds.
                address.is_unicast_link_local()
                    || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                    || address.is_unspecified()
            }
        },
    }
}

/// The IPv4 address inside a mapped or translated (NAT64, RFC 6052) IPv6 address.
fn canonical(address: Ipv6Addr) -> IpAddr {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Ipv4Addr::new(a, b, c, d).into()
        }
        _ => address.to_canonical(),
    }
}

/// The address itself where the host is one, not a name.
pub(crate) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

/// Scheme, host and port are the same, so what is secret to one may be said to the other.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// The host and its port, if that is not the scheme's usual one.
pub(crate) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// May a plain HTTP connection be made at all?
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Trust {
    /// Certificates are checked; plain HTTP is for this machine only.
    Checked,
    /// registries.conf or the user says: anything goes.
    Insecure,
}

/// Where `from` sends us by its `Location` header, if we may follow. `registry` is whom the user
/// named; going back there is always allowed.
pub(crate) fn follow(from: &Url, location: &str, registry: &Url, trust: Trust) -> Result<Url> {
    let refuse = |why: String| {
        Err(Error::new(Kind::Denied, format!("follow a redirect of {}: {why}", shown(from))))
    };
    let Ok(mut to) = from.join(location) else {
        return refuse("it leads to no address".into());
    };
    // Names and passwords in an address would be sent as if they were the user's.
    if !to.username().is_empty() || to.password().is_some() {
        return refuse(format!("its address for {} holds a password", shown(&to)));
    }
    to.set_fragment(None);
    let plain_is_fine =
        trust == Trust::Insecure || is_loopback(&to) || to.host() == registry.host();
    match to.scheme() {
        "https" => {}
        "http" if from.scheme() == "https" => {
            return refuse(format!("it leads from HTTPS to plain HTTP at {}", shown(&to)));
        }
        "http" if plain_is_fine => {}
        "http" => return refuse(format!("it leads to plain HTTP at {}", shown(&to))),
        scheme => return refuse(format!("it leads to {scheme}:, which is not HTTP")),
    }
    if literal(&to).is_some_and(is_forbidden) && to.host() != registry.host() {
        return refuse(format!(
            "it leads to {}, an address of this machine's own link",
            shown(&to)
        ));
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        let cases = [
            ("http://localhost", true),
            ("http://LOCALHOST:5000", true),
            ("http://127.8.8.8:5000", true),
            ("http://0x7f.1", true),
            ("http://2130706433", true),
            ("http://[::1]:5000", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_loopback(&url(text)), expected, "{text}");
        }
    }

    #[test]
    fn link_local_addresses_are_forbidden_in_every_spelling() {
        let cases = [
            ("http://169.254.169.254", true),
            ("http://2852039166", true),
            ("http://0251.0376.0251.0376", true),
            ("http://[::ffff:169.254.169.254]", true),
            ("http://[64:ff9b::a9fe:a9fe]", true),
            ("http://[fe80::1]", true),
            ("http://[fd00:ec2::254]", true),
            ("http://0.0.0.0", true),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]", false),
        ];
        for (text, expected) in cases {
            assert_eq!(literal(&url(text)).is_some_and(is_forbidden), expected, "{text}");
        }
    }

    #[test]
    fn redirects_go_nowhere_unsafe() {
        let cases = [
            (
                "https://r.io/v2/a",
                "https://cdn.io/x?sig=1",
                Trust::Checked,
                Ok("https://cdn.io/x?sig=1"),
            ),
            ("https://r.io/v2/a", "/v2/b", Trust::Checked, Ok("https://r.io/v2/b")),
            ("https://r.io/v2/a", "//cdn.io/x#f", Trust::Checked, Ok("https://cdn.io/x")),
            ("https://r.io/v2/a", "http://cdn.io/x", Trust::Checked, Err("plain HTTP")),
            ("https://r.io/v2/a", "http://r.io/x", Trust::Insecure, Err("plain HTTP")),
            ("https://r.io/v2/a", "file:///etc/shadow", Trust::Checked, Err("file:")),
            ("https://r.io/v2/a", "gopher://r.io/", Trust::Insecure, Err("gopher:")),
            ("https://r.io/v2/a", "https://169.254.169.254/x", Trust::Insecure, Err("own link")),
            ("https://r.io/v2/a", "https://u:p@cdn.io/x", Trust::Checked, Err("password")),
            ("https://r.io/v2/a", "https://", Trust::Checked, Err("no address")),
            (
                "http://127.0.0.1:5000/a",
                "http://localhost:80/x",
                Trust::Checked,
                Ok("http://localhost/x"),
            ),
            ("http://127.0.0.1:5000/a", "http://cdn.io/x", Trust::Checked, Err("plain HTTP")),
            ("http://127.0.0.1:5000/a", "http://cdn.io/x", Trust::Insecure, Ok("http://cdn.io/x")),
        ];
        for (from, location, trust, expected) in cases {
            let from = url(from);
            let followed = follow(&from, location, &from, trust);
            match (followed, expected) {
                (Ok(to), Ok(expected)) => assert_eq!(to.as_str(), expected, "{from} to {location}"),
                (Err(error), Err(why)) => {
                    assert_eq!(error.kind(), Kind::Denied);
                    assert!(error.to_string().contains(why), "{from} to {location}: {error}");
                }
                (followed, _) => panic!("{from} to {location}: {followed:?}"),
            }
        }
        let registry = url("https://169.254.1.1/v2/");
        assert!(follow(&registry, "https://169.254.1.1/x", &registry, Trust::Checked).is_ok());
    }
}
