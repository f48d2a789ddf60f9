//! `rtnetlink(7)`, as much as it takes to hand a network device to another namespace.
//!
//! A [`Route`] is a socket of the network namespace that the process was in when it was opened, and
//! stays one of that namespace, wherever the process goes. Every call here is one request and its
//! whole answer. The formats are the kernel's own, in this machine's byte order.

use crate::netlink::{Answer, Netlink, Protocol, Request, attributes, broken, number_at as number};
use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// The length of a link's head, and of an address's.
const LINK_HEAD: usize = 16;
const ADDRESS_HEAD: usize = 8;

// Attributes of an address (`if_addr.h`), which libc does not name.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;

/// Flags of an address that are the kernel's to set.
const STATE_OF_ADDRESS: u32 = libc::IFA_F_PERMANENT | libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;

/// A connection to a network namespace.
#[derive(Debug)]
pub struct Route {
    netlink: Netlink,
}

/// A network device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: i32,
    /// Whether it is up, as far as its administrator is concerned.
    pub is_up: bool,
}

/// An address of a network device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    family: u8,
    prefix: u8,
    scope: u8,
    flags: u32,
    /// Attributes, by their numbers.
    values: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// Whether the device has it for good: it was not leased.
    pub fn is_lasting(&self) -> bool {
        self.flags & libc::IFA_F_PERMANENT != 0
    }

    /// Whether it means the same everywhere: it is not one of this link's alone.
    pub fn is_global(&self) -> bool {
        self.scope == libc::RT_SCOPE_UNIVERSE
    }
}

impl Route {
    /// Opens a connection to the network namespace that the process is in.
    pub fn open() -> io::Result<Self> {
        Netlink::open(Protocol::Route).map(|netlink| Self { netlink })
    }

    /// The device of this name; `ENODEV` where there is none.
    pub fn link(&self, name: &str) -> io::Result<Link> {
        let mut request = Request::new(libc::RTM_GETLINK, 0, &link_head(0, 0, 0));
        request.device(libc::IFLA_IFNAME, name)?;
        let answers = self.ask(request)?;
        let found = answers.iter().find(|answer| answer.kind == libc::RTM_NEWLINK);
        let body = found.map(|answer| answer.body.as_slice()).unwrap_or_default();
        let (Some(index), Some(flags)) = (number(body, 4), number(body, 8)) else {
            return Err(broken());
        };
        let is_up = flags & libc::IFF_UP.unsigned_abs() != 0;
        Ok(Link { index: i32::try_from(index).map_err(|_| broken())?, is_up })
    }

    /// The largest number that a device has in this namespace.
    pub fn largest_index(&self) -> io::Result<i32> {
        let dump = libc::NLM_F_DUMP;
        let answers = self.ask(Request::new(libc::RTM_GETLINK, dump, &link_head(0, 0, 0)))?;
        let links = answers.iter().filter(|answer| answer.kind == libc::RTM_NEWLINK);
        let largest = links.filter_map(|answer| number(&answer.body, 4)).max().unwrap_or(0);
        i32::try_from(largest).map_err(|_| broken())
    }

    /// The name of the device of this number.
    pub fn name_of(&self, index: i32) -> io::Result<String> {
        let answers = self.ask(Request::new(libc::RTM_GETLINK, 0, &link_head(index, 0, 0)))?;
        let found = answers.iter().find(|answer| answer.kind == libc::RTM_NEWLINK);
        let body = found.map(|answer| answer.body.as_slice()).unwrap_or_default();
        let (_, name) = attributes(body.get(LINK_HEAD..).unwrap_or_default())
            .ok_or_else(broken)?
            .into_iter()
            .find(|attribute| attribute.0 == libc::IFLA_IFNAME)
            .ok_or_else(broken)?;
        let name = CStr::from_bytes_until_nul(name).map_err(|_| broken())?;
        Ok(name.to_string_lossy().into_owned())
    }

    /// The addresses of a device.
    pub fn addresses(&self, link: Link) -> io::Result<Vec<Address>> {
        let dump = libc::NLM_F_DUMP;
        let answers = self.ask(Request::new(libc::RTM_GETADDR, dump, &[0; ADDRESS_HEAD]))?;
        Ok(answers
            .iter()
            .filter(|answer| answer.kind == libc::RTM_NEWADDR)
            .filter(|answer| number(&answer.body, 4) == Some(link.index.unsigned_abs()))
            .filter_map(|answer| parse_address(&answer.body))
            .collect())
    }

    /// Hands a device over to the namespace behind `namespace`, under a name. The kernel takes it
    /// down on the way, and its addresses away.
    pub fn hand_over(&self, link: Link, namespace: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        self.hand(link, namespace, name, None)
    }

    /// As [`hand_over`](Self::hand_over), under a number of the caller's choice there, by which it
    /// is found whatever name it gets: one that ends with `%d` is a pattern. Linux 5.13.
    pub fn hand_over_as(
        &self,
        link: Link,
        namespace: BorrowedFd<'_>,
        name: &str,
        index: i32,
    ) -> io::Result<()> {
        self.hand(link, namespace, name, Some(index))
    }

    fn hand(
        &self,
        link: Link,
        namespace: BorrowedFd<'_>,
        name: &str,
        index: Option<i32>,
    ) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, 0, &link_head(link.index, 0, 0));
        request.attribute(libc::IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        request.device(libc::IFLA_IFNAME, name)?;
        if let Some(index) = index {
            request.attribute(libc::IFLA_NEW_IFINDEX, &index.to_ne_bytes());
        }
        self.ask(request).map(drop)
    }

    /// Brings a device up.
    pub fn bring_up(&self, link: Link) -> io::Result<()> {
        let up = libc::IFF_UP.unsigned_abs();
        self.ask(Request::new(libc::RTM_NEWLINK, 0, &link_head(link.index, up, up))).map(drop)
    }

    /// Gives an address to a device.
    pub fn add_address(&self, link: Link, address: &Address) -> io::Result<()> {
        let mut head = vec![address.family, address.prefix, 0, address.scope];
        head.extend(link.index.to_ne_bytes());
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = Request::new(libc::RTM_NEWADDR, flags, &head);
        for (kind, value) in &address.values {
            request.attribute(*kind, value);
        }
        request.attribute(IFA_FLAGS, &(address.flags & !STATE_OF_ADDRESS).to_ne_bytes());
        self.ask(request).map(drop)
    }

    fn ask(&self, request: Request) -> io::Result<Vec<Answer>> {
        self.netlink.ask(request)
    }
}

fn link_head(index: i32, flags: u32, change: u32) -> [u8; LINK_HEAD] {
    let mut head = [0; LINK_HEAD];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..12].copy_from_slice(&flags.to_ne_bytes());
    head[12..16].copy_from_slice(&change.to_ne_bytes());
    head
}

fn parse_address(body: &[u8]) -> Option<Address> {
    let &[family, prefix, flags, scope] = body.first_chunk::<4>()?;
    let mut address = Address { family, prefix, scope, flags: flags.into(), values: Vec::new() };
    for (kind, value) in attributes(body.get(ADDRESS_HEAD..)?)? {
        match kind {
            IFA_FLAGS => address.flags = number(value, 0)?,
            IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST => address.values.push((kind, value.to_vec())),
            _ => {}
        }
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_found_with_its_addresses() {
        let route = Route::open().unwrap();

        let link = route.link("lo").unwrap();
        let addresses = route.addresses(link).unwrap();

        assert_eq!(link.index, 1);
        if link.is_up {
            let local = [(IFA_ADDRESS, vec![127, 0, 0, 1]), (IFA_LOCAL, vec![127, 0, 0, 1])];
            assert!(addresses.iter().any(|found| found.values[..2] == local), "{addresses:?}");
            assert!(!addresses.iter().any(Address::is_global), "{addresses:?}");
        }
    }

    #[test]
    fn a_missing_device_and_a_long_name_are_errors() {
        let route = Route::open().unwrap();

        let missing = route.link("none-such").unwrap_err();
        let long = route.link("a-name-of-20-letters").unwrap_err();

        assert_eq!(missing.raw_os_error(), Some(libc::ENODEV));
        assert_eq!(long.raw_os_error(), Some(libc::ERANGE));
    }

    #[test]
    fn an_address_that_is_cut_short_is_none() {
        assert!(parse_address(&[2, 24, 0]).is_none());
        assert!(parse_address(&[2, 24, 0, 0, 7, 0, 0, 0, 9, 0, 1, 0, 1]).is_none());
    }
}
