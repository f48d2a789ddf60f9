//! A small file system of the test's own, which can be full without hurting anybody.

use dhow_base::{Doing, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{ffi::CString, path::Path};
use tempfile::TempDir;

/// A mounted tmpfs. Dropping it unmounts it, whatever is still open there.
#[derive(Debug)]
pub struct Disk {
    directory: TempDir,
}

impl Disk {
    /// Mounts one of this size. Needs root.
    pub fn of(size_bytes: u64) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("s")
            .tempdir()
            .doing(|| "make a directory for a disk")?;
        let options = CString::new(format!("size={size_bytes},mode=0755"))
            .expect("a number holds no NUL byte");
        mount("tmpfs", directory.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
            .doing(|| format!("mount a tmpfs on {}", directory.path().display()))?;
        Ok(Self { directory })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever still uses it keeps it until it ends; the name is free at once.
        let _unmounted = unmount(self.directory.path(), UnmountFlags::DETACH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needs_root;
    use std::io::ErrorKind;

    #[test]
    fn a_disk_is_full_when_it_is_full() {
        needs_root!();
        let disk = Disk::of(1 << 20).unwrap();

        std::fs::write(disk.path().join("fits"), vec![0_u8; 500_000]).unwrap();
        let error = std::fs::write(disk.path().join("big"), vec![0_u8; 1_000_000]).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let path = disk.path().to_owned();
        drop(disk);
        assert!(!path.exists());
    }
}
