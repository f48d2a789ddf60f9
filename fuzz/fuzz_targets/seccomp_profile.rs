#![no_main]
//! Bytes as `seccomp.json`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_seccomp::fuzz::seccomp_profile(bytes);
});
