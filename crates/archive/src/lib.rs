//! dhow-archive.
