//! dhow-store.
