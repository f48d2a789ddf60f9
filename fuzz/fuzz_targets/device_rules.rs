#![no_main]
//! Bytes as rules for devices.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_cgroup::fuzz::device_rules(bytes);
});
