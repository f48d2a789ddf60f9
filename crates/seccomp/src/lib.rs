//! dhow-seccomp.
