#![no_main]
//! Bytes as the options of a mount.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_runtime::fuzz::mount_options(bytes);
});
