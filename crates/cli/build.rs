//! Tells the linker where the binary begins; see `start` in dhow-sys.

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by variables")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        println!("cargo:rustc-link-arg-bin=dhow=-Wl,-e,dhow_start");
    }
}
