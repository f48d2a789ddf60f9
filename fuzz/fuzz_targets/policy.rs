#![no_main]
//! Bytes as `policy.json`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_distribution::fuzz::policy(bytes);
});
