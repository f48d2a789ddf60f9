#![no_main]
//! Bytes as `auth.json`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_distribution::fuzz::auth_file(bytes);
});
