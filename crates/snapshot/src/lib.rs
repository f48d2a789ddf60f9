//! dhow-snapshot.
