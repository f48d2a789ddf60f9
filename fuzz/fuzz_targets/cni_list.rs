#![no_main]
//! Bytes as a configuration list of CNI.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_network::fuzz::cni_list(bytes);
});
