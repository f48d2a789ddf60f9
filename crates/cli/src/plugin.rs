//! dhow as a CNI plugin: the environment and standard input in, standard output out.
//!
//! ```text
//! ln /usr/bin/dhow /opt/cni/bin/bridge        (or host-local, portmap, …)
//! ```

use crate::env;
use dhow_network::cni::plugin::{Plugin, answer};
use std::{
    io::{Read, Write},
    process::ExitCode,
};

/// More than any engine sends: a list with the result of the plugins before.
const DOCUMENT_BYTES: u64 = 8 << 20;

/// Answers one call.
pub(crate) fn main(plugin: Plugin) -> ExitCode {
    let mut document = Vec::new();
    // Whoever cannot be read from has said nothing, which the plugin refuses in the form that its
    // caller understands.
    let _read = std::io::stdin().take(DOCUMENT_BYTES).read_to_end(&mut document);
    let answer = answer(plugin, &env::of_plugins(), &document);
    let written = std::io::stdout().write_all(answer.output.as_bytes());
    match written {
        Ok(()) if answer.is_success => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
