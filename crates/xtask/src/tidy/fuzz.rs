//! Fuzz targets: what `fuzz/` calls is a function that the crates' tests call too, and each such
//! function has a target.
//!
//! The targets need a nightly compiler and are built by hand, so nothing else would notice when a
//! function is gone or a new one is forgotten.

use super::Problem;
use std::path::Path;

/// A function that a fuzzer is to call.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Entry {
    /// The folder of its crate.
    pub(super) folder: String,
    pub(super) name: String,
}

/// The functions of a crate's `fuzz.rs`.
pub(super) fn entries(folder: &str, text: &str) -> Vec<Entry> {
    let names = text.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split('(').next());
    names.map(|name| Entry { folder: folder.to_owned(), name: name.to_owned() }).collect()
}

/// Compares the targets, a path and a text each, with the functions; `calls` tells whether some test
/// of the folder calls one.
pub(super) fn check(
    manifest: &str,
    targets: &[(&Path, &str)],
    entries: &[Entry],
    calls: &dyn Fn(&Entry) -> bool,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let place = Path::new("fuzz/Cargo.toml");
    for entry in entries {
        let Entry { folder, name } = entry;
        let call = format!("dhow_{folder}::fuzz::{name}(bytes)");
        let path = format!("path = \"fuzz_targets/{name}.rs\"");
        if !manifest.contains(&path) || !targets.iter().any(|(_, text)| text.contains(&call)) {
            let what = format!("no target calls the function `{name}` of crates/{folder}");
            problems.push(Problem::new(place, 1, what, "write fuzz_targets/, and a [[bin]]"));
        }
        if !calls(entry) {
            let what = format!("no test calls the function `{name}` of crates/{folder}");
            problems.push(Problem::new(place, 1, what, "try it with damaged documents"));
        }
    }
    for (path, text) in targets {
        let is_called = |entry: &Entry| {
            text.contains(&format!("dhow_{}::fuzz::{}(bytes)", entry.folder, entry.name))
        };
        if !entries.iter().any(is_called) {
            let remedy = "call a function of a crate's module `fuzz`";
            problems.push(Problem::new(path, 1, "the target calls nothing that is there", remedy));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = "//! x\n\n/// A.\npub fn one(bytes: &[u8]) -> bool {\n}\nfn not() {}\n";

    fn problems(manifest: &str, target: &str, is_tried: bool) -> usize {
        let entries = entries("base", MODULE);
        assert_eq!(entries, [Entry { folder: "base".to_owned(), name: "one".to_owned() }]);
        let path = Path::new("fuzz/fuzz_targets/one.rs");
        check(manifest, &[(path, target)], &entries, &|_| is_tried).len()
    }

    #[test]
    fn a_target_and_its_function_belong_together() {
        let (manifest, target) = ("path = \"fuzz_targets/one.rs\"", "dhow_base::fuzz::one(bytes)");

        assert_eq!(problems(manifest, target, true), 0);
        assert_eq!(problems(manifest, target, false), 1, "no test");
        assert_eq!(problems("", target, true), 1, "no [[bin]]");
        assert_eq!(problems(manifest, "dhow_base::fuzz::two(bytes)", true), 2, "neither side");
    }
}
