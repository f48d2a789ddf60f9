//! What is known of the engine itself.

use crate::Engine;
use dhow_base::Result;
use std::path::PathBuf;

/// Where and how the engine keeps things.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What survives a reboot.
    pub root: PathBuf,
    /// What need not.
    pub runroot: PathBuf,
    /// The driver of snapshots.
    pub storage_driver: &'static str,
    /// `1` or `2`: by what limits are kept here.
    pub cgroup_version: &'static str,
    /// What protects containers here, in docker's words.
    pub security: Vec<String>,
}

impl Engine {
    /// Looks at where the engine is and what the machine has for it.
    pub fn facts(&mut self) -> Result<Facts> {
        let has = |path: &str| std::path::Path::new(path).exists();
        let mut security = Vec::new();
        if has("/sys/kernel/security/apparmor/profiles") {
            security.push("name=apparmor".to_owned());
        }
        security.push("name=seccomp,profile=builtin".to_owned());
        if has("/sys/fs/selinux/enforce") {
            security.push("name=selinux".to_owned());
        }
        security.push("name=cgroupns".to_owned());
        if !self.is_of_root {
            security.push("name=rootless".to_owned());
        }
        Ok(Facts {
            root: self.layout.root().to_owned(),
            runroot: self.layout.runroot().to_owned(),
            storage_driver: self.images.driver()?.word(),
            cgroup_version: if has("/sys/fs/cgroup/cgroup.controllers") { "2" } else { "1" },
            security,
        })
    }
}
