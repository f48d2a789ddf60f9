//! What a process finds of the host beside its environment: clock, masks, accounts, kernel.

/// What is asked for of the process's surroundings.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SurroundingOptions {
    /// `--sysctl`: parameters of the kernel, in the container's namespaces.
    pub sysctls: Vec<(String, String)>,
    /// `--personality`: `LINUX` or `LINUX32`.
    pub personality: Option<String>,
    /// `--tz`: the name of a time zone, or `local`.
    pub zone: Option<String>,
    /// `--umask`.
    pub umask: Option<u32>,
    /// `--read-only-tmpfs`: memory on `/run`, `/tmp` and `/var/tmp` of a read-only root.
    pub read_only_tmpfs: Option<bool>,
    /// `--passwd`, `--passwd-entry`, `--group-entry` and `--hostuser`.
    pub accounts: AccountOptions,
    /// `--systemd`.
    pub systemd: Systemd,
    /// `--shm-size-systemd`: the limit of each piece of memory that a systemd finds.
    pub systemd_bytes: Option<u64>,
    /// The file by which programs find out that they are in a container.
    pub mark: Option<Mark>,
}

/// When a container is prepared for a systemd as its first process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Systemd {
    /// Never: docker knows of none.
    #[default]
    Never,
    /// Where its program is one by its name, as in podman.
    WhereItRuns,
    /// Whatever it runs.
    Always,
}

/// A file by which programs find out that they are in a container, and whose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// `/.dockerenv`, which is empty.
    Docker,
    /// `/run/.containerenv`, which tells those who have all rights of the container.
    Podman,
}

impl Mark {
    /// Where programs look for it.
    pub fn target(self) -> &'static str {
        match self {
            Self::Docker => "/.dockerenv",
            Self::Podman => "/run/.containerenv",
        }
    }
}

/// Lines for `/etc/passwd` and `/etc/group` of the container.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccountOptions {
    /// `--passwd`: whether a user without an account gets one.
    pub make: Option<bool>,
    /// `--passwd-entry`: the line, with `$USERNAME`, `$UID`, `$GID`, `$NAME` and `$HOME`.
    pub user_entry: Option<String>,
    /// `--group-entry`: the line, with `$GROUPNAME`, `$GID` and `$USERLIST`.
    pub group_entry: Option<String>,
    /// `--hostuser`: accounts of the host's, by name or number.
    pub host_users: Vec<String>,
}
