//! dhow-monitor.
