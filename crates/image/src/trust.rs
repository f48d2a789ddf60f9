//! Whether an image may be taken from where it is: `policy.json`, asked by all who take one in or send
//! one on. Who only looks at an image elsewhere asks nobody, as skopeo has it; what is ours already
//! was asked about when it came.

use crate::{End, Images, Place, Registries, origin::Opened};
use dhow_base::{Doing, Result};
use dhow_distribution::policy::{Origin, Policy};
use rustix::fs::{Mode, OFlags};
use std::{
    os::{fd::AsRawFd, unix::ffi::OsStringExt},
    path::{Path, PathBuf},
};

impl Images {
    /// Refuses what was opened at this place, if that is what the policy says.
    pub(crate) fn permit(&self, place: &Place, opened: &Opened) -> Result<()> {
        permit(self.registries(), place, opened)
    }

    /// The same of the files that `load` reads; a stream has no path.
    pub(crate) fn permit_files(&self, transport: &'static str, path: Option<&Path>) -> Result<()> {
        permit_files(self.registries(), transport, path, None)
    }
}

impl End {
    /// Refuses what was opened here, if that is what the policy says.
    pub(crate) fn permit(&self, opened: &Opened) -> Result<()> {
        permit(self.registries(), &self.place, opened)
    }
}

fn permit(registries: &Registries, place: &Place, opened: &Opened) -> Result<()> {
    let files = |transport, path, name: &Option<String>| {
        permit_files(registries, transport, Some(path), name.as_deref())
    };
    match place {
        Place::Local(_) => Ok(()),
        Place::Layout(path, name) => files("oci", path, name),
        Place::LayoutArchive(path, name) => files("oci-archive", path, name),
        Place::DockerArchive(path, name) => files("docker-archive", path, name),
        Place::Directory(path) => files("dir", path, &None),
        Place::Registry(_) => match (Policy::load(&registries.policy)?, &opened.reference) {
            (Some(policy), Some(reference)) => policy.check(&Origin::Registry(reference)),
            _ => Ok(()),
        },
    }
}

fn permit_files(
    registries: &Registries,
    transport: &'static str,
    path: Option<&Path>,
    name: Option<&str>,
) -> Result<()> {
    let Some(policy) = Policy::load(&registries.policy)? else { return Ok(()) };
    let path = path.map(without_links).transpose()?;
    policy.check(&Origin::Files { transport, path: path.as_deref(), name })
}

/// Where a file is, without symlinks: the kernel says it of one that is open.
fn without_links(path: &Path) -> Result<PathBuf> {
    let doing = || format!("find where {} is", path.display());
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).doing(doing)?;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let target = rustix::fs::readlink(link, Vec::new()).doing(doing)?;
    Ok(std::ffi::OsString::from_vec(target.into_bytes()).into())
}
