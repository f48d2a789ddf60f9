//! Pulls one image into a root of its own: `pull ROOT RUNROOT SOURCE`. The crash tests kill it at
//! many points, and it is what pulls are timed and weighed with: it prints the image's id and then
//! the most memory that it had, in KiB.

use dhow_base::Result;
use dhow_image::{Images, PullOptions, Registries, Silent};
use dhow_state::State;
use std::path::Path;

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "an example says what came of it")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, root, runroot, source] = &arguments[..] else {
        eprintln!("usage: pull ROOT RUNROOT SOURCE");
        return 2.into();
    };
    match pull(Path::new(root), Path::new(runroot), source) {
        Ok(id) => {
            println!("{id}\n{}", peak_kib().unwrap_or_default());
            0.into()
        }
        Err(error) => {
            eprintln!("{}", error.one_line());
            1.into()
        }
    }
}

fn pull(root: &Path, runroot: &Path, source: &str) -> Result<String> {
    let mut state = State::open(root)?;
    let images = Images::open(root, runroot, Registries::default())?;
    images.mend(&mut state)?;
    let image = images.pull(&mut state, source, &PullOptions::default(), &Silent)?;
    Ok(image.id.to_string())
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
