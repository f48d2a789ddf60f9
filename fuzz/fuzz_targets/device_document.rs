#![no_main]
//! Bytes as a document about devices (CDI).

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_engine::fuzz::device_document(bytes);
});
