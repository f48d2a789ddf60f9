//! dhow-sys.
