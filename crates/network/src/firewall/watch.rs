//! Hears when somebody changes the ruleset, so that what was flushed can be put back.
//!
//! A filter in the kernel decides what wakes this process: hundreds wait like it, and most changes are
//! starts and ends of other containers of ours, which are none of its business.

use crate::nft;
use dhow_base::{Doing, Result};
use dhow_sys::{
    closing,
    filter::Instruction,
    netlink::{Netlink, Protocol},
    packet_filter,
};
use rustix::{io::Errno, net::RecvFlags};
use std::os::fd::{AsFd, BorrowedFd};

/// The kernel's news of rulesets: `NFNLGRP_NFTABLES`, as a bit.
const GROUP: u32 = 1 << 6;

/// Where a message has its kind (`struct nlmsghdr`).
const KIND_AT: u32 = 4;

/// Where the news of a new generation has the name of the process that made it: behind two heads and
/// two numbers with heads of their own. Kernels that do not tell (before 4.16) wake nobody.
const NAME_AT: u32 = 40;

/// The first letters of the names of our own processes.
const OURS: [u8; 4] = *b"dhow";

/// A socket that is readable when somebody else changed the ruleset of this network namespace, or one
/// of us took away more than elements.
#[derive(Debug)]
pub struct Watch {
    /// None while it is dropped alone.
    socket: Option<Netlink>,
}

impl Watch {
    /// Watches the network namespace that the process is in.
    pub fn open() -> Result<Self> {
        let doing = || "watch the firewall";
        let socket = Netlink::open(Protocol::Netfilter).doing(doing)?;
        // First the filter: what comes in between would wake us for nothing.
        packet_filter::attach(socket.as_fd(), &filter()).doing(doing)?;
        socket.listen(GROUP).doing(doing)?;
        Ok(Self { socket: Some(socket) })
    }

    /// Takes what there is to hear, and says whether there was any. It does not wait.
    pub fn was_changed(&self) -> bool {
        // A message that is cut short has said enough.
        let mut buffer = [0; 64];
        let mut heard = false;
        loop {
            match rustix::net::recv(self.as_fd(), &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok(_) => heard = true,
                // Some were lost, so there were some.
                Err(Errno::NOBUFS) => heard = true,
                Err(Errno::INTR) => {}
                Err(_) => return heard,
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_ref().expect("it is there until the drop").as_fd()
    }
}

/// As for every socket of netfilter, the end may take long: see [`closing`].
impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            closing::leave_to_kernel(socket.into());
        }
    }
}

/// Keeps what takes tables, chains, rules or sets away, whoever does it, and the generation that a
/// process makes whose name is not one of ours. Several pieces of news come as one, of which the filter
/// sees the first alone; the generation comes by itself, at the end of each change.
fn filter() -> Vec<Instruction> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_WORD: u16 = 0x20;
    const IS_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let one = |code, k| Instruction { code, jt: 0, jf: 0, k };
    let if_equal = |k, jt, jf| Instruction { code: IS_EQUAL, jt, jf, k };
    // Classic BPF reads the highest byte first, and netlink writes in the machine's order.
    let kind = |kind: u16| u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    vec![
        one(LOAD_HALF, KIND_AT),
        if_equal(kind(nft::DELETE_TABLE), 6, 0),
        if_equal(kind(nft::DELETE_CHAIN), 5, 0),
        if_equal(kind(nft::DELETE_RULE), 4, 0),
        if_equal(kind(nft::DELETE_SET), 3, 0),
        if_equal(kind(nft::NEW_GENERATION), 0, 3),
        one(LOAD_WORD, NAME_AT),
        if_equal(u32::from_be_bytes(OURS), 1, 0),
        one(RETURN, u32::MAX),
        one(RETURN, 0),
    ]
}
