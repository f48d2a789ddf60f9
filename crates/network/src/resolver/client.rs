//! Who has asked, and where the answer goes.

use rustix::net::SocketAddrAny;

/// Who has asked.
#[derive(Clone, Debug)]
pub(super) enum Client {
    /// Whoever sent a packet from there.
    Packet(SocketAddrAny),
    /// The connection of this number.
    Stream(u64),
}
