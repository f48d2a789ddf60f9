#![no_main]
//! Bytes as `registries.conf`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_distribution::fuzz::registries(bytes);
});
