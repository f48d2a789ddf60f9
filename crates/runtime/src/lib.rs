//! dhow-runtime.
