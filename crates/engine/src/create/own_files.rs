//! Files that lie with a container: accounts and names of hosts as it is to have them, and the mark by which
//! programs find out that they are in a container.

use super::Draft;
use crate::{
    accounts,
    identity::{self, Identity},
    options::{HostsBase, Mark, UserNamespace},
    plan::Planned,
    user_ids,
};
use dhow_base::Result;
use std::{
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

/// A file that lies with a container.
#[derive(Debug)]
pub(crate) struct OwnFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// Where it is bound, where it is not only read at each start.
    pub(crate) target: Option<&'static str>,
}

/// Files of the image's that the container gets changed, and the mark of who made it.
pub(crate) fn own_files(
    directory: &Path,
    root: BorrowedFd<'_>,
    identity: &Identity,
    draft: &Draft<'_>,
    name: &str,
) -> Result<Vec<OwnFile>> {
    let mut files = Vec::new();
    let file = |name: &str, bytes, target| OwnFile { path: directory.join(name), bytes, target };
    if draft.options.names.hosts_base == HostsBase::Image {
        files.push(file("hosts", identity::read_accounts(root, "etc/hosts")?, None));
    }
    let kept;
    let mut asked = &draft.options.surroundings.accounts;
    if let UserNamespace::KeepId { .. } = draft.options.namespaces.user {
        kept = accounts::with_name_of(asked, user_ids::caller()?)?;
        asked = &kept;
    }
    if accounts::is_asked(asked) {
        let passwd = identity::read_accounts(root, "etc/passwd")?;
        let group = identity::read_accounts(root, "etc/group")?;
        let added = accounts::added(asked, identity, &draft.record.workdir, (&passwd, &group))?;
        let passwd = added.passwd.map(|bytes| file("passwd", bytes, Some("/etc/passwd")));
        files.extend(passwd);
        files.extend(added.group.map(|bytes| file("group", bytes, Some("/etc/group"))));
    }
    // What somebody mounts around it is theirs, and no file is made in it.
    let is_around = |mark: &Mark| {
        let target = Path::new(mark.target());
        let hides = |planned: &Planned| target.parent() == Some(Path::new(&planned.option.target));
        draft.plan.iter().any(hides)
    };
    if let Some(mark) = draft.options.surroundings.mark.filter(|mark| !is_around(mark)) {
        files.push(file("mark", marked(mark, draft, name), Some(mark.target())));
    }
    Ok(files)
}

/// What the file says by which programs find out that they are in a container.
fn marked(mark: Mark, draft: &Draft<'_>, name: &str) -> Vec<u8> {
    match mark {
        Mark::Podman if draft.record.privileged => format!(
            "engine=\"dhow-{}\"\nname=\"{}\"\nid=\"{}\"\nimage=\"{}\"\nimageid=\"{}\"\nrootless={}\n",
            env!("CARGO_PKG_VERSION"),
            name,
            draft.id,
            draft.options.image,
            draft.foundation.image().map_or("", |image| image.id.hex()),
            u8::from(!rustix::process::geteuid().is_root()),
        )
        .into_bytes(),
        Mark::Podman | Mark::Docker => Vec::new(),
    }
}
