//! A small file system of the test's own, which can be full without hurting anybody.

use crate::{need, outcome};
use dhow_base::{Doing, Error, Kind, Result, file};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    ffi::CString,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

/// How long making and mounting a file system may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A mounted file system. Dropping it unmounts it, whatever is still open there.
#[derive(Debug)]
pub struct Disk {
    directory: TempDir,
    /// The file that a file system with blocks lies in.
    image: Option<PathBuf>,
}

/// File systems with blocks, each made by a tool of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// btrfs, by `mkfs.btrfs`.
    Btrfs,
    /// ext4, by `mkfs.ext4`.
    Ext4,
    /// xfs with shared blocks, by `mkfs.xfs`.
    Xfs,
}

impl Format {
    /// The tool that a test needs for it.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Btrfs => "mkfs.btrfs",
            Self::Ext4 => "mkfs.ext4",
            Self::Xfs => "mkfs.xfs",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Btrfs => "btrfs",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
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
        Ok(Self { directory, image: None })
    }

    /// Makes a file system in a file and mounts it through a loop device. Needs root and the tool
    /// of the format; the file takes what is written, not its size.
    pub fn formatted(format: Format, size_bytes: u64) -> Result<Self> {
        let doing = || format!("make a disk of {}", format.name());
        let directory = tempfile::Builder::new().prefix("s").tempdir().doing(doing)?;
        let image = directory.path().with_extension("img");
        file::create_new(&image, 0o600)?.set_len(size_bytes).doing(doing)?;
        let disk = Self { directory, image: Some(image.clone()) };
        let missing = || Error::new(Kind::NotFound, format!("find {}", format.tool()));
        let tool = need::tool(format.tool()).ok_or_else(missing)?;
        outcome::run_ok(Command::new(tool).arg("-q").arg(&image), LIMIT).doing(doing)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", format.name(), "-o", "loop"]).arg(&image).arg(disk.path());
        outcome::run_ok(&mut mount, LIMIT).doing(doing)?;
        Ok(disk)
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
        if let Some(image) = &self.image {
            let _removed = std::fs::remove_file(image);
        }
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
