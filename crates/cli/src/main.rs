//! The one binary.

#![no_main]

dhow_sys::entry!(dhow_cli::main);
