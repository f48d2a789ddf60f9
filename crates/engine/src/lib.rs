//! dhow-engine.
