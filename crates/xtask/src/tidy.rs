//! `tidy`: the rules of the house that neither the compiler nor clippy checks.
//!
//! Each rule is a function from data to problems, so that its test can show it a bad sample. A
//! problem names a file, a line, what is wrong there and what to do.

mod arrows;
mod fuzz;
mod links;
mod source;

use crate::{reference, workspace::Workspace};
use clap::Command;
use dhow_base::Result;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One thing that is not as the house wants it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    path: PathBuf,
    line: usize,
    what: String,
    remedy: String,
}

impl Problem {
    pub(crate) fn new(
        path: &Path,
        line: usize,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path.display(), self.line, self.what, self.remedy)
    }
}

/// Runs every rule on the whole tree.
pub(crate) fn check(workspace: &Workspace, command: &Command) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for package in &workspace.packages {
        let manifest = workspace.read(&package.manifest)?;
        problems.extend(arrows::check_arrows(package, &manifest));
        problems.extend(arrows::check_async_dependencies(package, &manifest));
        problems.extend(arrows::check_lints(package, &manifest));
    }
    let architecture = Path::new("ARCHITECTURE.md");
    problems.extend(arrows::check_table(architecture, &workspace.read(architecture)?));
    let files = workspace.files()?;
    for file in &files {
        problems.extend(source::check_name(file));
        if is_source(file) {
            let text = workspace.read(file)?;
            problems.extend(source::check_machine_paths(file, &text));
            problems.extend(source::check_unfinished(file, &text));
            if has_extension(file, "rs") {
                problems.extend(source::check_rust(file, &text));
            }
        }
        if has_extension(file, "md") {
            let exists = |path: &Path| workspace.root.join(path).exists();
            problems.extend(links::check_links(file, &workspace.read(file)?, &exists));
        }
    }
    problems.extend(check_fuzz(workspace, &files)?);
    problems.extend(reference::stale(command, &workspace.root)?);
    Ok(problems)
}

/// The fuzz targets against the crates' functions for them.
fn check_fuzz(workspace: &Workspace, files: &[PathBuf]) -> Result<Vec<Problem>> {
    let (mut entries, mut targets, mut tests) = (Vec::new(), Vec::new(), Vec::new());
    for file in files.iter().filter(|file| has_extension(file, "rs")) {
        let text = workspace.read(file)?;
        let parts: Vec<&str> = file.iter().filter_map(|part| part.to_str()).collect();
        match parts.as_slice() {
            ["fuzz", "fuzz_targets", _] => targets.push((file.as_path(), text)),
            ["crates", folder, "src", "fuzz.rs"] => {
                entries.extend(fuzz::entries(folder, &text));
                let after = text.split_once("mod tests").map(|(_, after)| after.to_owned());
                tests.push(((*folder).to_owned(), after.unwrap_or_default()));
            }
            ["crates", folder, ..] => tests.push(((*folder).to_owned(), text)),
            _ => {}
        }
    }
    let targets: Vec<_> = targets.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let calls = |entry: &fuzz::Entry| {
        let (called, here) = (format!("fuzz::{}", entry.name), format!("{}(", entry.name));
        tests.iter().filter(|(folder, _)| *folder == entry.folder).any(|(_, text)| {
            text.contains(&called) || text.starts_with(" {") && text.contains(&here)
        })
    };
    let manifest = workspace.read(Path::new("fuzz/Cargo.toml"))?;
    Ok(fuzz::check(&manifest, &targets, &entries, &calls))
}

fn is_source(file: &Path) -> bool {
    ["rs", "toml", "sh", "c"].iter().any(|extension| has_extension(file, extension))
        || file.starts_with(".ci")
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

/// The number of the line, counted from 1, that holds the byte `at`.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
