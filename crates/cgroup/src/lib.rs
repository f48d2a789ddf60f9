//! dhow-cgroup.
