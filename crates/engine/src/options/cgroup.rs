//! Where a container's control group is, and what is written into it as it stands.

use dhow_spec::runtime::DeviceRule;

/// The control group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupOptions {
    /// `--cgroup-parent`.
    pub parent: Option<String>,
    /// `--cgroups`.
    pub making: CgroupMaking,
    /// `--cgroup-conf`: files of version 2 by name, written as they are.
    pub files: Vec<(String, String)>,
    /// `--device-cgroup-rule`.
    pub device_rules: Vec<DeviceRule>,
    /// `--rdt-class`: the share of caches and memory bandwidth.
    pub rdt_class: Option<String>,
}

/// Whether a control group is made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CgroupMaking {
    /// It is. podman's word for leaving the monitor out of it, `no-conmon`, means the same here:
    /// the monitor is never in it.
    #[default]
    Enabled,
    /// It is not, so nothing can be limited.
    Disabled,
}
