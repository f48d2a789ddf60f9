//! A range of addresses that share their first bits: `10.88.0.0/16`, `fd00:88::/64`.

use dhow_base::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A range in CIDR notation (RFC 4632, RFC 4291). The bits after the prefix are zero.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    first: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// The range of this length that the address is in; `None` where the length is no length of its
    /// family.
    pub fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        if prefix > bits(address) {
            return None;
        }
        let host = bits(address) - prefix;
        let first = number(address).checked_shr(host.into()).unwrap_or(0);
        let first = first.checked_shl(host.into()).unwrap_or(0);
        Some(Self { first: of_number(first, address), prefix })
    }

    /// The first address, which is the range's own name.
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// The last address; with version 4 it is everybody's (broadcast).
    pub fn last(self) -> IpAddr {
        of_number(number(self.first) | (self.size() - 1), self.first)
    }

    /// How many bits all addresses share.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether it is of version 6.
    pub fn is_ipv6(self) -> bool {
        self.first.is_ipv6()
    }

    /// Whether the address is one of the range.
    pub fn contains(self, address: IpAddr) -> bool {
        Self::around(address, self.prefix) == Some(self)
    }

    /// Whether some address is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// The address at this place, counted from [`Subnet::first`]; `None` behind the end.
    pub fn nth(self, place: u128) -> Option<IpAddr> {
        (place < self.size()).then(|| of_number(number(self.first) + place, self.first))
    }

    /// The place of an address of the range.
    pub fn place_of(self, address: IpAddr) -> Option<u128> {
        self.contains(address).then(|| number(address) - number(self.first))
    }

    /// The first and the last place that a device can have: with version 4 neither the range's name
    /// nor everybody's address, with version 6 not the routers' (RFC 4291, 2.6.1). `None` where
    /// there is none, and for ranges of one or two addresses.
    pub fn places(self) -> Option<(u128, u128)> {
        let last = if self.is_ipv6() { self.size() - 1 } else { self.size().checked_sub(2)? };
        (self.size() > 2 && last >= 1).then_some((1, last))
    }

    /// How many addresses there are; all of version 6 are one too many for a number, and one less.
    fn size(self) -> u128 {
        let host = bits(self.first) - self.prefix;
        1_u128.checked_shl(host.into()).unwrap_or(u128::MAX)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// A number as an address of the same version as `like`.
fn of_number(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => {
            let low = u32::try_from(number & u128::from(u32::MAX)).expect("it is masked");
            Ipv4Addr::from(low).into()
        }
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |why: String| {
            Error::new(Kind::Invalid, format!("use {text:?} as a subnet: {why}"))
                .hint("write an address and a length, such as 10.89.0.0/24 or fd00:89::/64")
        };
        let (address, prefix) =
            text.split_once('/').ok_or_else(|| refused("the length is missing".to_owned()))?;
        let address: IpAddr =
            address.parse().map_err(|_| refused(format!("{address:?} is not an address")))?;
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u8 = prefix
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or_else(|| refused(format!("{prefix:?} is not a length")))?;
        let subnet = Self::around(address, prefix)
            .ok_or_else(|| refused(format!("a length of {prefix} is too long")))?;
        if subnet.first != address {
            return Err(refused(format!("it is an address in {subnet}")));
        }
        Ok(subnet)
    }
}

impl TryFrom<String> for Subnet {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_and_a_length_are_a_subnet() {
        for (text, is_good) in [
            ("10.89.0.0/24", true),
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("fd00:89::/64", true),
            ("10.89.0.1/32", true),
            ("10.89.0.1/24", false),
            ("10.89.0.0/33", false),
            ("10.89.0.0/+24", false),
            ("10.89.0.0", false),
            ("10.89.0.0/", false),
            ("10.89/24", false),
            ("fd00::/129", false),
        ] {
            assert_eq!(text.parse::<Subnet>().is_ok(), is_good, "parsing {text:?}");
        }
        assert_eq!(subnet("fd00:89::/64").to_string(), "fd00:89::/64");
    }

    #[test]
    fn addresses_have_places_in_it() {
        let net = subnet("10.89.4.0/22");

        assert_eq!(net.last().to_string(), "10.89.7.255");
        assert_eq!(net.nth(257).unwrap().to_string(), "10.89.5.1");
        assert_eq!(net.nth(1024), None);
        assert_eq!(net.place_of("10.89.5.1".parse().unwrap()), Some(257));
        assert_eq!(net.place_of("10.89.8.1".parse().unwrap()), None);
        assert_eq!(net.places(), Some((1, 1022)));
        assert_eq!(subnet("10.0.0.0/31").places(), None);
        assert_eq!(subnet("10.0.0.0/30").places(), Some((1, 2)));
        assert_eq!(subnet("fd00::/126").places(), Some((1, 3)));
        assert_eq!(subnet("::/0").last().to_string(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
    }

    #[test]
    fn ranges_overlap_where_one_holds_the_other() {
        for (one, other, expected) in [
            ("10.0.0.0/8", "10.89.0.0/24", true),
            ("10.89.0.0/24", "10.0.0.0/8", true),
            ("10.89.0.0/24", "10.89.1.0/24", false),
            ("10.89.0.0/24", "fd00::/8", false),
            ("::/0", "fd00::/8", true),
        ] {
            assert_eq!(subnet(one).overlaps(subnet(other)), expected, "{one} and {other}");
        }
    }
}
