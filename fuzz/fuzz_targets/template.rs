#![no_main]
//! Bytes as the template of `--format`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _understood = dhow_cli::fuzz::template(bytes);
});
