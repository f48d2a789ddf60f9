#![no_main]
//! Bytes as a question to the resolver, or as an answer to it.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_network::fuzz::dns_message(bytes);
});
