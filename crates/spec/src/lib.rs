//! dhow-spec.
