//! Mount options: the words of `config.json` become flags, once, before anything is mounted.

use dhow_base::{Error, Kind, Result};
use dhow_sys::mount::{Propagation, Reach};
use rustix::mount::{MountAttrFlags, MountFlags};

/// What a list of options asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Options {
    /// Attributes of the mount to set.
    pub(crate) set: MountAttrFlags,
    /// Attributes to clear.
    pub(crate) clear: MountAttrFlags,
    /// Attributes to set on the whole tree (`rro` and the like).
    pub(crate) set_tree: MountAttrFlags,
    /// Attributes to clear on the whole tree.
    pub(crate) clear_tree: MountAttrFlags,
    /// Flags of the filesystem itself.
    pub(crate) filesystem: MountFlags,
    /// How it propagates.
    pub(crate) propagation: Option<(Propagation, Reach)>,
    /// A bind mount, of the mount alone or with what is below it.
    pub(crate) bind: Option<Reach>,
    /// Mapped ids.
    pub(crate) idmap: Option<Reach>,
    /// A tmpfs starts with what is below it.
    pub(crate) copy_up: bool,
    /// What only the filesystem understands, as it came.
    pub(crate) data: Vec<String>,
}

/// Attributes of a mount: the word, whether it sets or clears, and what.
const ATTRIBUTES: [(&str, bool, MountAttrFlags); 15] = [
    ("ro", true, MountAttrFlags::MOUNT_ATTR_RDONLY),
    ("rw", false, MountAttrFlags::MOUNT_ATTR_RDONLY),
    ("nosuid", true, MountAttrFlags::MOUNT_ATTR_NOSUID),
    ("suid", false, MountAttrFlags::MOUNT_ATTR_NOSUID),
    ("nodev", true, MountAttrFlags::MOUNT_ATTR_NODEV),
    ("dev", false, MountAttrFlags::MOUNT_ATTR_NODEV),
    ("noexec", true, MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ("exec", false, MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ("nodiratime", true, MountAttrFlags::MOUNT_ATTR_NODIRATIME),
    ("diratime", false, MountAttrFlags::MOUNT_ATTR_NODIRATIME),
    ("nosymfollow", true, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
    ("symfollow", false, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
    ("noatime", true, MountAttrFlags::MOUNT_ATTR_NOATIME),
    ("strictatime", true, MountAttrFlags::MOUNT_ATTR_STRICTATIME),
    ("relatime", true, MountAttrFlags::MOUNT_ATTR_RELATIME),
];

/// The access time's mode is one field, not bits: the other modes' negations choose the default.
const DEFAULT_ATIME: [&str; 3] = ["atime", "nostrictatime", "norelatime"];

const FILESYSTEM: [(&str, bool, MountFlags); 8] = [
    ("sync", true, MountFlags::SYNCHRONOUS),
    ("async", false, MountFlags::SYNCHRONOUS),
    ("dirsync", true, MountFlags::DIRSYNC),
    ("lazytime", true, MountFlags::LAZYTIME),
    ("nolazytime", false, MountFlags::LAZYTIME),
    ("silent", true, MountFlags::SILENT),
    ("loud", false, MountFlags::SILENT),
    ("mand", true, MountFlags::PERMIT_MANDATORY_FILE_LOCKING),
];

const PROPAGATIONS: [(&str, Propagation); 4] = [
    ("shared", Propagation::Shared),
    ("slave", Propagation::Slave),
    ("private", Propagation::Private),
    ("unbindable", Propagation::Unbindable),
];

/// Words that mean nothing to a mount that is made once, by the kernel itself.
const IGNORED: [&str; 6] = ["defaults", "iversion", "noiversion", "nomand", "remount", "copy"];

/// Parses the options of one mount.
pub(crate) fn parse(options: &[String]) -> Result<Options> {
    let mut parsed = Options {
        set: MountAttrFlags::empty(),
        clear: MountAttrFlags::empty(),
        set_tree: MountAttrFlags::empty(),
        clear_tree: MountAttrFlags::empty(),
        filesystem: MountFlags::empty(),
        propagation: None,
        bind: None,
        idmap: None,
        copy_up: false,
        data: Vec::new(),
    };
    for option in options {
        parsed.take(option)?;
    }
    Ok(parsed)
}

impl Options {
    fn take(&mut self, option: &str) -> Result<()> {
        match option {
            "bind" => self.bind = self.bind.or(Some(Reach::ThisMount)),
            "rbind" => self.bind = Some(Reach::WholeTree),
            "idmap" => self.idmap = Some(Reach::ThisMount),
            "ridmap" => self.idmap = Some(Reach::WholeTree),
            "tmpcopyup" => self.copy_up = true,
            _ if IGNORED.contains(&option) => {}
            _ if self.take_attribute(option) => {}
            _ if self.take_propagation(option) => {}
            _ if let Some((_, set, flag)) = FILESYSTEM.iter().find(|found| found.0 == option) => {
                self.filesystem.set(*flag, *set);
            }
            _ if option.contains(['\0', ',']) => {
                let text = format!("use mount option {option:?}: it has a comma or a zero byte");
                return Err(Error::new(Kind::Invalid, text));
            }
            _ => self.data.push(option.to_owned()),
        }
        Ok(())
    }

    /// `ro`, `noexec`, …, and with an `r` in front the same for the whole tree.
    fn take_attribute(&mut self, option: &str) -> bool {
        let found = |word: &str| {
            if DEFAULT_ATIME.contains(&word) {
                return Some((true, MountAttrFlags::MOUNT_ATTR_RELATIME));
            }
            ATTRIBUTES.iter().find(|found| found.0 == word).map(|found| (found.1, found.2))
        };
        let (sets, clears, (set, flag)) = if let Some(plain) = found(option) {
            (&mut self.set, &mut self.clear, plain)
        } else if let Some(tree) = option.strip_prefix('r').and_then(found) {
            (&mut self.set_tree, &mut self.clear_tree, tree)
        } else {
            return false;
        };
        let is_atime = MountAttrFlags::MOUNT_ATTR__ATIME.contains(flag);
        if is_atime {
            // The kernel wants the whole field cleared when one of its values is set.
            sets.remove(MountAttrFlags::MOUNT_ATTR__ATIME);
            clears.insert(MountAttrFlags::MOUNT_ATTR__ATIME);
            sets.insert(flag);
        } else {
            // The last word counts.
            sets.set(flag, set);
            clears.set(flag, !set);
        }
        true
    }

    fn take_propagation(&mut self, option: &str) -> bool {
        let found = |word: &str| PROPAGATIONS.iter().find(|found| found.0 == word);
        if let Some((_, propagation)) = found(option) {
            self.propagation = Some((*propagation, Reach::ThisMount));
            true
        } else if let Some((_, propagation)) = option.strip_prefix('r').and_then(found) {
            self.propagation = Some((*propagation, Reach::WholeTree));
            true
        } else {
            false
        }
    }

    /// Whether any attribute changes.
    pub(crate) fn changes_mount(&self) -> bool {
        !(self.set | self.clear).is_empty()
    }

    /// The same as flags of `mount(2)`, for a filesystem that is mounted in one call.
    pub(crate) fn mount_flags(&self) -> MountFlags {
        const PAIRS: [(MountAttrFlags, MountFlags); 7] = [
            (MountAttrFlags::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
            (MountAttrFlags::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
            (MountAttrFlags::MOUNT_ATTR_NODEV, MountFlags::NODEV),
            (MountAttrFlags::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
            (MountAttrFlags::MOUNT_ATTR_NODIRATIME, MountFlags::NODIRATIME),
            (MountAttrFlags::MOUNT_ATTR_NOATIME, MountFlags::NOATIME),
            (MountAttrFlags::MOUNT_ATTR_STRICTATIME, MountFlags::STRICTATIME),
        ];
        let set = self.set | self.set_tree;
        let mut flags = self.filesystem;
        for (attribute, flag) in PAIRS {
            if set.contains(attribute) {
                flags |= flag;
            }
        }
        if set.contains(MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW) {
            flags |= MountFlags::NOSYMFOLLOW;
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Options {
        parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_last_of_two_contrary_words_counts() {
        let options = parse_words("ro nosuid rw");

        assert_eq!(options.set, MountAttrFlags::MOUNT_ATTR_NOSUID);
        assert_eq!(options.clear, MountAttrFlags::MOUNT_ATTR_RDONLY);
    }

    #[test]
    fn an_r_in_front_reaches_the_whole_tree() {
        let options = parse_words("rbind rro rnoatime rslave");

        assert_eq!(options.bind, Some(Reach::WholeTree));
        assert!(options.set_tree.contains(MountAttrFlags::MOUNT_ATTR_RDONLY));
        assert!(options.set_tree.contains(MountAttrFlags::MOUNT_ATTR_NOATIME));
        assert!(options.clear_tree.contains(MountAttrFlags::MOUNT_ATTR__ATIME));
        assert_eq!(options.propagation, Some((Propagation::Slave, Reach::WholeTree)));
        assert!(options.set.is_empty() && options.data.is_empty());
    }

    #[test]
    fn unknown_words_are_the_filesystem_s_own() {
        let options = parse_words("mode=755 size=64k strictatime newinstance");

        assert_eq!(options.data, ["mode=755", "size=64k", "newinstance"]);
        assert!(options.mount_flags().contains(MountFlags::STRICTATIME));
    }

    #[test]
    fn an_option_cannot_smuggle_a_second_one() {
        assert!(parse(&["size=1,uid=0".to_owned()]).is_err());
    }
}
