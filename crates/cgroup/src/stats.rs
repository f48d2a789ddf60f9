//! What a cgroup uses.

/// Numbers at one moment. What the machine cannot tell is absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Processor time of all kinds, in nanoseconds.
    pub cpu_total_ns: Option<u64>,
    /// In user mode.
    pub cpu_user_ns: Option<u64>,
    /// In the kernel.
    pub cpu_system_ns: Option<u64>,
    /// Periods in which the quota held it back.
    pub cpu_throttled_periods: Option<u64>,
    /// Memory in use, in bytes.
    pub memory_bytes: Option<u64>,
    /// The most it ever used.
    pub memory_peak_bytes: Option<u64>,
    /// The limit; absent where there is none.
    pub memory_limit_bytes: Option<u64>,
    /// Page cache that could be dropped; docker shows `memory_bytes` less this.
    pub memory_inactive_file_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Their limit; absent where there is none.
    pub pids_limit: Option<u64>,
    /// Bytes read from block devices.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to them.
    pub io_write_bytes: Option<u64>,
}
