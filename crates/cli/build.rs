//! Tells the linker where the binary begins (`start` in dhow-sys says when and why) and how its
//! functions lie, and the program from which commit and by which compiler it is built, for
//! `--version` of the runtime. Without a repository there is no commit, and the program says none.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by variables")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if is_x86_64() && lies_where_it_is_linked() {
        println!("cargo:rustc-link-arg-bin=dhow=-Wl,-e,dhow_start");
    }
    lay_out();
    if let Some(commit) = repository().and_then(|git| commit(&git)) {
        println!("cargo:rustc-env=DHOW_COMMIT={commit}");
    }
    let compiler = std::env::var("RUSTC").ok().and_then(|program| version_of(&program));
    println!("cargo:rustc-env=DHOW_RUSTC={}", compiler.unwrap_or_default());
}

/// The functions of the runtime's commands lie side by side (`cargo xtask order` says why).
fn lay_out() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("run-path.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:rustc-link-arg-bin=dhow=-Wl,-T,{}", script.display());
}

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by variables")]
fn is_x86_64() -> bool {
    std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64")
}

/// Whether the program is no position-independent one, as `.cargo/config.toml` wants it. Whoever
/// builds with flags of their own may get one; it would fall over its own pointers before the C
/// library has set them right.
#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by variables")]
fn lies_where_it_is_linked() -> bool {
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    flags.split('\x1f').any(|flag| flag.ends_with("relocation-model=static"))
}

/// The repository that the workspace lies in. That of a linked work tree is elsewhere, and not worth
/// the search.
fn repository() -> Option<PathBuf> {
    let git = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?.join(".git");
    git.is_dir().then_some(git)
}

/// What HEAD leads to. Only what a commit writes is watched, so that nothing else costs a build.
fn commit(git: &Path) -> Option<String> {
    let head = read(git, "HEAD")?;
    let Some(reference) = head.strip_prefix("ref: ") else { return Some(head) };
    if let Some(commit) = read(git, reference) {
        return Some(commit);
    }
    let packed = read(git, "packed-refs")?;
    let found = packed.lines().find_map(|line| line.strip_suffix(reference)?.strip_suffix(' '));
    found.map(str::to_owned)
}

fn read(git: &Path, name: &str) -> Option<String> {
    let path = git.join(name);
    let text = fs::read_to_string(&path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    Some(text.trim().to_owned())
}

/// `rustc 1.95.0 (…)` without its first word and what is in brackets.
fn version_of(compiler: &str) -> Option<String> {
    let output = Command::new(compiler).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(1).map(str::to_owned)
}
