//! What the kernel answers: attributes of a message, and attributes inside of attributes.

use dhow_sys::netlink;

/// The length of what comes before the attributes (`struct nfgenmsg`).
const HEAD: usize = 4;

/// An attribute of a message.
pub(super) fn attribute(body: &[u8], kind: u16) -> Option<&[u8]> {
    let all = children(body.get(HEAD..)?);
    all.into_iter().find(|attribute| attribute.0 == kind).map(|attribute| attribute.1)
}

/// The attributes inside of one; none where one is cut short.
pub(super) fn children(bytes: &[u8]) -> Vec<(u16, &[u8])> {
    netlink::attributes(bytes).unwrap_or_default()
}

/// A number, with its highest byte first.
pub(super) fn big_number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|four| u32::from_be_bytes(*four))
}
