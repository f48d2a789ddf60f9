//! dhow-state.
