#![no_main]
//! Bytes as what a server of DHCP says.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_network::fuzz::dhcp_message(bytes);
});
