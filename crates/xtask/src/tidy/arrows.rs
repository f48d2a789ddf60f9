//! Which crate may use which, as ARCHITECTURE.md draws it.
//!
//! The table is data: a new crate gets a row here and in ARCHITECTURE.md in the same commit, and the
//! two are compared.

use super::{Problem, line_of};
use crate::workspace::{Package, Purpose, folder_of};
use std::{collections::BTreeSet, path::Path};

/// One crate of the house.
struct Room {
    name: &'static str,
    /// Tests may use what lies on the same floor or below, never above.
    floor: u8,
    /// What the crate itself may use.
    uses: &'static [&'static str],
}

const fn room(name: &'static str, floor: u8, uses: &'static [&'static str]) -> Room {
    Room { name, floor, uses }
}

const ROOMS: [Room; 20] = [
    room("base", 0, &[]),
    room("spec", 0, &["base"]),
    room("sys", 0, &["base", "spec"]),
    room("testkit", 0, &["base"]),
    room("conformance", 0, &["base", "testkit"]),
    room("archive", 1, &["base", "spec", "sys"]),
    room("cgroup", 1, &["base", "spec", "sys"]),
    room("distribution", 1, &["base", "spec"]),
    room("monitor", 1, &["base", "spec", "sys", "runtime", "network"]),
    room("network", 1, &["base", "spec", "sys"]),
    room("runtime", 1, &["base", "spec", "sys", "cgroup", "seccomp"]),
    room("seccomp", 1, &["base", "spec"]),
    room("selftest", 1, &["base", "spec", "sys", "seccomp"]),
    room("snapshot", 1, &["base", "spec", "sys"]),
    room("state", 1, &["base", "spec", "sys"]),
    room("store", 1, &["base", "spec"]),
    room(
        "image",
        2,
        &["base", "spec", "sys", "distribution", "store", "archive", "snapshot", "state"],
    ),
    room(
        "engine",
        3,
        &[
            "base", "spec", "sys", "image", "snapshot", "archive", "store", "monitor", "network",
            "cgroup", "seccomp", "state",
        ],
    ),
    room(
        "cli",
        4,
        &[
            "base",
            "spec",
            "sys",
            "archive",
            "cgroup",
            "distribution",
            "engine",
            "image",
            "monitor",
            "network",
            "runtime",
            "seccomp",
            "selftest",
            "snapshot",
            "state",
            "store",
        ],
    ),
    room("xtask", 5, &["base", "cli", "conformance", "seccomp", "sys", "testkit"]),
];

/// The one crate that may have an async runtime for now, and the words by which one is known.
const ASYNC_ROOMS: [&str; 1] = ["distribution"];
const ASYNC_CRATES: [&str; 8] = [
    "tokio",
    "futures-util",
    "futures",
    "async-trait",
    "reqwest",
    "hyper",
    "hickory-resolver",
    "smol",
];

/// May code of this folder await?
pub(super) fn may_be_async(folder: &str) -> bool {
    ASYNC_ROOMS.contains(&folder)
}

fn find(folder: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == folder)
}

/// Every arrow to another crate of the workspace must be in the table.
pub(super) fn check_arrows(package: &Package, manifest: &str) -> Vec<Problem> {
    let Some(room) = find(package.folder()) else {
        let what = format!("the crate {} is not in the table of arrows", package.name);
        let remedy = "add its row to crates/xtask/src/tidy/arrows.rs and to ARCHITECTURE.md";
        return vec![Problem::new(&package.manifest, 1, what, remedy)];
    };
    let mut problems = Vec::new();
    for dependency in &package.dependencies {
        let folder = folder_of(&dependency.name);
        let ours = dependency.name.starts_with("dhow-") || folder == "xtask";
        if ours && !is_allowed(room, folder, dependency.purpose) {
            let what = format!("{} may not use {}", package.name, dependency.name);
            let remedy = "take another way, or change the architecture first";
            let line = line_in(manifest, &dependency.name);
            problems.push(Problem::new(&package.manifest, line, what, remedy));
        }
    }
    problems
}

fn is_allowed(room: &Room, folder: &str, purpose: Purpose) -> bool {
    match purpose {
        Purpose::Normal | Purpose::Build => room.uses.contains(&folder),
        Purpose::Development => find(folder).is_some_and(|other| other.floor <= room.floor),
    }
}

/// An async runtime, or a crate that brings one, belongs to the doors.
pub(super) fn check_async_dependencies(package: &Package, manifest: &str) -> Vec<Problem> {
    if may_be_async(package.folder()) {
        return Vec::new();
    }
    let found = package.dependencies.iter().filter(|dependency| {
        dependency.purpose == Purpose::Normal && ASYNC_CRATES.contains(&dependency.name.as_str())
    });
    let problem = |name: &str| {
        let what = format!("{} brings async code into {}", name, package.name);
        let remedy = "only distribution may be async";
        Problem::new(&package.manifest, line_in(manifest, name), what, remedy)
    };
    found.map(|dependency| problem(&dependency.name)).collect()
}

/// What readers are told must be what is enforced.
pub(super) fn check_table(file: &Path, text: &str) -> Vec<Problem> {
    let remedy = "make ARCHITECTURE.md and crates/xtask/src/tidy/arrows.rs say the same";
    let rows = rows_of(text);
    let mut problems = Vec::new();
    for (line, name, uses) in &rows {
        let what = match find(name) {
            None => format!("the crate {name} is drawn but has no row in the table of arrows"),
            Some(room) if told(room).is_some_and(|told| told != *uses) => {
                format!("{name} is drawn with other arrows than it has")
            }
            Some(_) => continue,
        };
        problems.push(Problem::new(file, *line, what, remedy));
    }
    for room in &ROOMS {
        if !rows.iter().any(|(_, name, _)| *name == room.name) {
            let what = format!("the crate {} is not drawn", room.name);
            problems.push(Problem::new(file, 1, what, remedy));
        }
    }
    problems
}

/// The arrows that the drawing must name: those to the ground's base and spec go without saying.
/// Nothing where the drawing says it in words.
fn told(room: &Room) -> Option<BTreeSet<&'static str>> {
    let in_words = ["cli", "testkit", "xtask"].contains(&room.name);
    let besides = room.uses.iter().copied().filter(|used| !["base", "spec"].contains(used));
    (!in_words).then(|| besides.collect())
}

/// The rows `| names | what | uses |` of the table, by line and name.
fn rows_of(text: &str) -> Vec<(usize, &str, BTreeSet<&str>)> {
    let mut rows = Vec::new();
    let lines = text.lines().enumerate();
    let table = lines.skip_while(|(_, line)| !line.starts_with("| crate |")).skip(2);
    for (number, line) in table.take_while(|(_, line)| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let uses = cells.get(2).copied().unwrap_or_default();
        for name in cells[0].split(", ") {
            rows.push((number + 1, name, uses.split_whitespace().collect()));
        }
    }
    rows
}

/// All but `sys` take the workspace's lints, which forbid unsafe code.
pub(super) fn check_lints(package: &Package, manifest: &str) -> Vec<Problem> {
    let inherits = manifest.contains("[lints]\nworkspace = true");
    if inherits || package.folder() == "sys" {
        return Vec::new();
    }
    let what = format!("{} does not take the workspace's lints", package.name);
    let remedy = "add `[lints]` with `workspace = true`";
    vec![Problem::new(&package.manifest, 1, what, remedy)]
}

fn line_in(manifest: &str, name: &str) -> usize {
    manifest.find(&format!("\n{name}")).map_or(1, |at| line_of(manifest, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;
    use serde_json::json;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let list: Vec<_> =
            dependencies.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
        let document = json!({
            "workspace_root": "/w",
            "packages": [{
                "name": name,
                "manifest_path": "/w/crates/x/Cargo.toml",
                "dependencies": list,
            }],
        });
        Workspace::from_metadata(&document).packages.remove(0)
    }

    #[test]
    fn arrows_of_the_table_are_allowed_and_others_are_not() {
        let cases = [
            ("dhow-image", "dhow-store", None, true),
            ("dhow-engine", "dhow-image", None, true),
            ("dhow-engine", "serde", None, true),
            ("dhow-store", "dhow-snapshot", None, false),
            ("dhow-cli", "dhow-testkit", None, false),
            ("dhow-cli", "dhow-testkit", Some("dev"), true),
            ("dhow-store", "dhow-testkit", Some("dev"), true),
            ("dhow-image", "dhow-engine", Some("dev"), false),
            ("dhow-store", "dhow-archive", Some("dev"), true),
            ("dhow-engine", "dhow-runtime", Some("build"), false),
        ];
        for (from, to, kind, allowed) in cases {
            let problems = check_arrows(&package(from, &[(to, kind)]), "");
            assert_eq!(problems.is_empty(), allowed, "{from} to {to} as {kind:?}: {problems:?}");
        }
    }

    #[test]
    fn a_forbidden_arrow_is_shown_where_it_is_written() {
        let manifest = "[dependencies]\nserde = \"1\"\ndhow-engine.workspace = true\n";

        let problems = check_arrows(&package("dhow-store", &[("dhow-engine", None)]), manifest);

        assert!(problems[0].to_string().starts_with("crates/x/Cargo.toml:3: "), "{problems:?}");
    }

    #[test]
    fn a_drawing_with_other_arrows_is_found() {
        let head = "| crate | what | may use |\n|---|---|---|\n";
        let drawn = |uses: &str| {
            let text = format!("{head}| attic | old | |\n| monitor | lives | {uses} |\n");
            let problems = check_table(Path::new("ARCHITECTURE.md"), &text);
            let about = |word: &str| problems.iter().filter(|one| one.what.contains(word)).count();
            (about("monitor"), about("attic"), about("not drawn"))
        };

        assert_eq!(drawn("runtime sys network"), (0, 1, ROOMS.len() - 1));
        assert_eq!(drawn("runtime sys network engine"), (1, 1, ROOMS.len() - 1));
    }

    #[test]
    fn a_crate_without_a_row_is_a_problem() {
        assert_eq!(check_arrows(&package("dhow-attic", &[]), "").len(), 1);
    }

    #[test]
    fn every_room_uses_only_rooms_of_its_own_floor_or_below() {
        for room in &ROOMS {
            for used in room.uses.iter().filter(|used| **used != "runtime") {
                let floor = find(used).unwrap().floor;
                assert!(floor < room.floor || floor <= 1, "{} uses {used}", room.name);
            }
        }
    }

    #[test]
    fn async_runtimes_stay_at_the_doors() {
        let tokio = [("tokio", None)];

        assert_eq!(check_async_dependencies(&package("dhow-engine", &tokio), "").len(), 1);
        assert_eq!(check_async_dependencies(&package("dhow-distribution", &tokio), "").len(), 0);
    }

    #[test]
    fn only_sys_has_lints_of_its_own() {
        let own = "[lints.rust]\nunsafe_code = \"allow\"\n";

        assert_eq!(check_lints(&package("dhow-store", &[]), own).len(), 1);
        assert_eq!(check_lints(&package("dhow-sys", &[]), own).len(), 0);
        assert_eq!(
            check_lints(&package("dhow-store", &[]), "[lints]\nworkspace = true\n").len(),
            0
        );
    }
}
