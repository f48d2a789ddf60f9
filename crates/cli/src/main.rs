//! The one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    dhow_cli::main()
}
