//! What strangers' bytes are tried on; see the runtime's module of this name.

use crate::{
    cni::{List, Outcome, Refusal, Version},
    dhcp::message::Heard,
};

/// A configuration list of CNI: understood and written again without loss, or refused.
pub fn cni_list(bytes: &[u8]) -> bool {
    let Ok((list, _)) = List::parse(bytes) else { return false };
    let (again, _) = List::parse(list.to_json().to_string().as_bytes()).expect("it is a list");
    assert_eq!(again, list);
    true
}

/// What a plugin of CNI prints: a result in the form of every version, or why there is none.
pub fn cni_answer(bytes: &[u8]) -> bool {
    if let Some(refusal) = Refusal::parse(bytes) {
        let printed = refusal.to_json("1.1.0").to_string();
        assert_eq!(Refusal::parse(printed.as_bytes()), Some(refusal));
    }
    let Ok(document) = serde_json::from_slice(bytes) else { return false };
    let Ok(outcome) = Outcome::parse(&document, Version::NEWEST) else { return false };
    for version in Version::ALL {
        let written = outcome.to_json(version);
        let read = Outcome::parse(&written, Version::UNNAMED).expect("it was written by us");
        assert_eq!(read.to_json(version), written);
    }
    true
}

/// What a server of DHCP says to a device.
pub fn dhcp_message(bytes: &[u8]) -> bool {
    let mac = crate::Mac::from_random([2, 0, 0, 0, 0, 7]);
    let heard = Heard::parse(bytes, mac, 0x0102_0304);
    if let Some(Heard::Grant(grant)) = &heard {
        assert!(grant.renewal_seconds <= grant.rebinding_seconds);
        assert!(grant.rebinding_seconds <= grant.seconds, "it is asked for in time");
        assert!(grant.address.address.is_ipv4() && (1..=32).contains(&grant.address.prefix));
    }
    heard.is_some()
}

/// A question for a name, or an answer to one: understood or refused.
pub fn dns_message(bytes: &[u8]) -> bool {
    crate::resolver::is_understood(bytes)
}
