//! What strangers' bytes are tried on by `fuzz/`.

/// A document about devices: understood or refused.
pub fn device_document(bytes: &[u8]) -> bool {
    crate::cdi::is_understood(bytes)
}
