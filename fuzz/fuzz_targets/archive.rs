#![no_main]
//! Bytes as a layer.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_archive::fuzz::archive(bytes);
});
