#![no_main]
//! Bytes as a manifest or an index.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_spec::fuzz::manifest(bytes);
});
