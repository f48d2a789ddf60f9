#![no_main]
//! Bytes as `config.json`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_runtime::fuzz::configuration(bytes);
});
