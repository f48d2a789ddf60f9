//! A directory of the host's with a canary in it, where an escape would land.
//!
//! The times of last change tell: nobody can set them back, and a file that is made and removed
//! again changes its directory's.

use dhow_base::{Doing, Result};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The directory, and what it was like.
#[derive(Debug)]
pub(crate) struct Nest {
    path: PathBuf,
    before: Vec<Plumage>,
}

/// What one file looks like.
#[derive(Debug, Eq, PartialEq)]
struct Plumage {
    name: String,
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    changed: (i64, i64),
    content: Vec<u8>,
}

impl Nest {
    /// Makes the directory, which anybody may write to: nothing but the container's walls is in
    /// an escape's way.
    pub(crate) fn build(path: &Path, owner: Option<u32>) -> Result<Self> {
        let doing = || format!("make a canary in {}", path.display());
        fs::create_dir(path).doing(doing)?;
        let canary = path.join("canary");
        fs::write(&canary, "this belongs to the host\n").doing(doing)?;
        for (file, mode) in [(path, 0o777), (&*canary, 0o666)] {
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).doing(doing)?;
            std::os::unix::fs::chown(file, owner, owner).doing(doing)?;
        }
        Ok(Self { path: path.to_owned(), before: look(path)? })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes what is there now for what should be there.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.before = look(&self.path)?;
        Ok(())
    }

    /// What is not as it was.
    pub(crate) fn harm(&self) -> Result<Option<String>> {
        let now = look(&self.path)?;
        let path = self.path.display();
        let gone = self.before.iter().find(|old| !now.iter().any(|new| new.name == old.name));
        let changed = now.iter().find(|new| !self.before.contains(new));
        Ok(match (gone, changed) {
            (Some(gone), _) => Some(format!("{} is gone from {path}", gone.name)),
            (None, Some(changed)) => {
                Some(format!("{} in {path} was made or changed", changed.name))
            }
            (None, None) => None,
        })
    }
}

fn look(path: &Path) -> Result<Vec<Plumage>> {
    let doing = || format!("look at {}", path.display());
    let mut found = vec![plumage(path, ".").doing(doing)?];
    for entry in fs::read_dir(path).doing(doing)? {
        let entry = entry.doing(doing)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        found.push(plumage(&entry.path(), &name).doing(doing)?);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn plumage(path: &Path, name: &str) -> std::io::Result<Plumage> {
    let meta = fs::symlink_metadata(path)?;
    // The change time covers the content; reading it shows a change behind the kernel's back.
    let content = if meta.is_file() && meta.len() < 1 << 20 { fs::read(path)? } else { Vec::new() };
    Ok(Plumage {
        name: name.to_owned(),
        inode: meta.ino(),
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        changed: (meta.ctime(), meta.ctime_nsec()),
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_in_a_nest_is_seen() {
        let directory = crate::stage::Directory::make().unwrap();
        let mut nest = Nest::build(&directory.path().join("nest"), None).unwrap();
        assert_eq!(nest.harm().unwrap(), None);

        fs::write(nest.path().join("egg"), "").unwrap();
        assert!(nest.harm().unwrap().is_some());
        fs::remove_file(nest.path().join("egg")).unwrap();
        assert!(nest.harm().unwrap().is_some(), "made and removed");
        nest.settle().unwrap();
        assert_eq!(nest.harm().unwrap(), None);
        // The same bytes: only the times tell.
        fs::write(nest.path().join("canary"), "this belongs to the host\n").unwrap();
        assert!(nest.harm().unwrap().is_some());
        nest.settle().unwrap();
        fs::remove_file(nest.path().join("canary")).unwrap();
        assert!(nest.harm().unwrap().unwrap().contains("gone"));
    }
}
