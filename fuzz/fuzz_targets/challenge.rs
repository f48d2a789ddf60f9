#![no_main]
//! Bytes as `WWW-Authenticate` of a registry.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_distribution::fuzz::challenge(bytes);
});
