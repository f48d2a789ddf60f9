#![no_main]
//! Bytes as the name of an image.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_distribution::fuzz::reference(bytes);
});
