//! dhow-distribution.
