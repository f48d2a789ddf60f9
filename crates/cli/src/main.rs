//! dhow.
fn main() {}
