//! Messages in packets: IP and UDP around them, as they travel when there is no address yet.

use dhow_sys::filter::Instruction;
use std::net::Ipv4Addr;

/// The ports of servers and of clients.
const SERVER: u16 = 67;
const CLIENT: u16 = 68;

const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const UDP: u8 = 17;
const HOPS: u8 = 64;

/// A message of a client's as a packet.
pub(super) fn wrap(message: &[u8], from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let length = |more: usize| u16::try_from(message.len() + more).expect("ours are short");
    let mut packet = vec![0x45, 0];
    packet.extend(length(IP_BYTES + UDP_BYTES).to_be_bytes());
    packet.extend([0, 0, 0, 0, HOPS, UDP, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut datagram = Vec::new();
    datagram.extend(CLIENT.to_be_bytes());
    datagram.extend(SERVER.to_be_bytes());
    datagram.extend(length(UDP_BYTES).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(message);
    let mut covered = [from.octets(), to.octets()].concat();
    covered.extend([0, UDP]);
    covered.extend(length(UDP_BYTES).to_be_bytes());
    covered.extend(&datagram);
    // A sum of zero means that there is none.
    let sum = Some(checksum(&covered)).filter(|sum| *sum != 0).unwrap_or(u16::MAX);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    packet.extend(datagram);
    packet
}

/// The message of a server's in a packet; `None` where it is none.
///
/// The checksum of UDP is not looked at: a sender on the same machine leaves it to a card that never
/// sees the packet.
pub(super) fn unwrap(packet: &[u8]) -> Option<&[u8]> {
    let head = packet.get(..IP_BYTES)?;
    let head_bytes = usize::from(head[0] & 0xf) * 4;
    let fragment = u16::from_be_bytes([head[6], head[7]]) & 0x3fff;
    if head[0] >> 4 != 4 || head_bytes < IP_BYTES || head[9] != UDP || fragment != 0 {
        return None;
    }
    // What a link adds to be long enough is no part of it.
    let whole = packet.get(..usize::from(u16::from_be_bytes([head[2], head[3]])))?;
    let datagram = whole.get(head_bytes..)?;
    let ports = datagram.get(..4)?;
    let is_answer = ports == [SERVER.to_be_bytes(), CLIENT.to_be_bytes()].concat();
    let length = usize::from(u16::from_be_bytes([*datagram.get(4)?, *datagram.get(5)?]));
    is_answer.then(|| datagram.get(UDP_BYTES..length)).flatten()
}

/// The sum of the internet (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("it was folded to 16 bits")
}

/// Keeps packets of UDP to a client's port, and nothing else.
pub(super) fn filter() -> Vec<Instruction> {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_BEHIND: u16 = 0x48;
    const LENGTH_OF_HEAD: u16 = 0xb1;
    const IS_EQUAL: u16 = 0x15;
    const HAS_BITS: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let one = |code, k| Instruction { code, jt: 0, jf: 0, k };
    let test = |code, k, jt, jf| Instruction { code, jt, jf, k };
    vec![
        one(LOAD_BYTE, 9),
        test(IS_EQUAL, UDP.into(), 0, 6),
        one(LOAD_HALF, 6),
        test(HAS_BITS, 0x1fff, 4, 0),
        one(LENGTH_OF_HEAD, 0),
        one(LOAD_HALF_BEHIND, 2),
        test(IS_EQUAL, CLIENT.into(), 0, 1),
        one(RETURN, u32::MAX),
        one(RETURN, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_out_of_a_servers_packet_only() {
        let mut packet = wrap(b"hello", Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        assert_eq!(unwrap(&packet), None, "it is a client's");
        packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
        packet.extend([0; 20]);

        assert_eq!(unwrap(&packet), Some(&b"hello"[..]));
        for length in 0..33 {
            assert_eq!(unwrap(&packet[..length]), None);
        }
        for (at, byte) in [(0, 0x65), (0, 0x41), (9, 6), (6, 0x20), (25, 200), (3, 9)] {
            let mut bad = packet.clone();
            bad[at] = byte;
            assert_eq!(unwrap(&bad), None, "byte {at}");
        }
    }

    #[test]
    fn sums_are_those_that_others_find() {
        let packet = wrap(b"x", Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        // Over what it covers, itself included, the sum is nothing.
        assert_eq!(checksum(&packet[..20]), 0);
    }
}
