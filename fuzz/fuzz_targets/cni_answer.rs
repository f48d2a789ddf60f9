#![no_main]
//! Bytes as what a plugin of CNI prints.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_network::fuzz::cni_answer(bytes);
});
