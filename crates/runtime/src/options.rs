//! Mount options: the words of `config.json` become flags, once, before anything is mounted.

use dhow_base::{Error, Kind, Result};
use dhow_sys::mount::{Propagation, Reach};
use rustix::mount::{MountAttrFlags, MountFlags};
use std::path::PathBuf;

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
    /// How it propagates: one change after the other.
    pub(crate) propagation: Vec<(Propagation, Reach)>,
    /// A bind mount, of the mount alone or with what is below it.
    pub(crate) bind: Option<Reach>,
    /// Mapped ids.
    pub(crate) idmap: Option<Reach>,
    /// A tmpfs starts with what is below it.
    pub(crate) copy_up: bool,
    /// What is mounted there already changes.
    pub(crate) remount: bool,
    /// What only the filesystem understands, as it came.
    pub(crate) data: Vec<String>,
}

/// What a word does.
#[derive(Clone, Copy, Debug)]
enum Effect {
    /// Nothing: it names the default, or is about what the kernel does by itself.
    Nothing,
    /// Sets an attribute of the mount, or clears it; with an `r` in front on the whole tree.
    Attribute(bool, MountAttrFlags),
    /// Chooses how access times are kept; with an `r` in front on the whole tree.
    AccessTime(MountAttrFlags),
    /// Sets a flag of the filesystem, or clears it.
    Filesystem(bool, MountFlags),
    /// Changes how the mount propagates; with an `r` in front the whole tree.
    Propagation(Propagation),
    /// A bind mount.
    Bind(Reach),
    /// Mapped ids.
    IdMap(Reach),
    /// A tmpfs with the files that it would hide.
    CopyUp,
    /// A change of what is mounted there already.
    Remount,
}

// Flags that rustix has no name for.
const POSIX_ACL: MountFlags = MountFlags::from_bits_retain(1 << 16);
const I_VERSION: MountFlags = MountFlags::from_bits_retain(1 << 23);

/// Every word that is not a filesystem's own: what the parser knows and what `features` lists.
const WORDS: [(&str, Effect); 43] = [
    ("acl", Effect::Filesystem(true, POSIX_ACL)),
    ("async", Effect::Filesystem(false, MountFlags::SYNCHRONOUS)),
    // The access time's mode is one field, not bits: negations choose the default.
    ("atime", Effect::AccessTime(MountAttrFlags::MOUNT_ATTR_RELATIME)),
    ("bind", Effect::Bind(Reach::ThisMount)),
    ("defaults", Effect::Nothing),
    ("dev", Effect::Attribute(false, MountAttrFlags::MOUNT_ATTR_NODEV)),
    ("diratime", Effect::Attribute(false, MountAttrFlags::MOUNT_ATTR_NODIRATIME)),
    ("dirsync", Effect::Filesystem(true, MountFlags::DIRSYNC)),
    ("exec", Effect::Attribute(false, MountAttrFlags::MOUNT_ATTR_NOEXEC)),
    ("idmap", Effect::IdMap(Reach::ThisMount)),
    ("iversion", Effect::Filesystem(true, I_VERSION)),
    ("lazytime", Effect::Filesystem(true, MountFlags::LAZYTIME)),
    ("loud", Effect::Filesystem(false, MountFlags::SILENT)),
    ("mand", Effect::Filesystem(true, MountFlags::PERMIT_MANDATORY_FILE_LOCKING)),
    ("noacl", Effect::Filesystem(false, POSIX_ACL)),
    ("noatime", Effect::AccessTime(MountAttrFlags::MOUNT_ATTR_NOATIME)),
    ("nodev", Effect::Attribute(true, MountAttrFlags::MOUNT_ATTR_NODEV)),
    ("nodiratime", Effect::Attribute(true, MountAttrFlags::MOUNT_ATTR_NODIRATIME)),
    ("noexec", Effect::Attribute(true, MountAttrFlags::MOUNT_ATTR_NOEXEC)),
    ("noiversion", Effect::Filesystem(false, I_VERSION)),
    ("nolazytime", Effect::Filesystem(false, MountFlags::LAZYTIME)),
    ("nomand", Effect::Filesystem(false, MountFlags::PERMIT_MANDATORY_FILE_LOCKING)),
    ("norelatime", Effect::AccessTime(MountAttrFlags::MOUNT_ATTR_RELATIME)),
    ("nostrictatime", Effect::AccessTime(MountAttrFlags::MOUNT_ATTR_RELATIME)),
    ("nosuid", Effect::Attribute(true, MountAttrFlags::MOUNT_ATTR_NOSUID)),
    ("nosymfollow", Effect::Attribute(true, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW)),
    ("private", Effect::Propagation(Propagation::Private)),
    ("rbind", Effect::Bind(Reach::WholeTree)),
    ("relatime", Effect::AccessTime(MountAttrFlags::MOUNT_ATTR_RELATIME)),
    ("remount", Effect::Remount),
    ("ridmap", Effect::IdMap(Reach::WholeTree)),
    ("ro", Effect::Attribute(true, MountAttrFlags::MOUNT_ATTR_RDONLY)),
    ("rw", Effect::Attribute(false, MountAttrFlags::MOUNT_ATTR_RDONLY)),
    ("shared", Effect::Propagation(Propagation::Shared)),
    ("silent", Effect::Filesystem(true, MountFlags::SILENT)),
    ("slave", Effect::Propagation(Propagation::Slave)),
    ("strictatime", Effect::AccessTime(MountAttrFlags::MOUNT_ATTR_STRICTATIME)),
    ("suid", Effect::Attribute(false, MountAttrFlags::MOUNT_ATTR_NOSUID)),
    ("symfollow", Effect::Attribute(false, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW)),
    ("sync", Effect::Filesystem(true, MountFlags::SYNCHRONOUS)),
    ("tmpcopyup", Effect::CopyUp),
    ("unbindable", Effect::Propagation(Propagation::Unbindable)),
    // A word between engines and their volumes that asks nothing of the kernel.
    ("copy", Effect::Nothing),
];

const SUBPATH: &str = "subpath=";
const MOUNT_NAMESPACE: &str = "mount-namespace=";

/// From here on in [`WORDS`] nothing is listed.
const UNLISTED: usize = 42;

/// The mount options that the runtime understands itself, in alphabetical order: `mountOptions` of
/// the specification's features document.
pub fn mount_options() -> Vec<String> {
    let recursive = WORDS.iter().filter(|word| word.1.is_recursive_with_r());
    let mut words: Vec<String> = WORDS[..UNLISTED]
        .iter()
        .map(|word| word.0.to_owned())
        .chain(recursive.map(|word| format!("r{}", word.0)))
        .collect();
    words.sort_unstable();
    words
}

impl Effect {
    /// Whether the word with an `r` in front reaches the whole tree.
    fn is_recursive_with_r(self) -> bool {
        matches!(self, Self::Attribute(..) | Self::AccessTime(_) | Self::Propagation(_))
    }

    /// What an option does and how far it reaches, where it is a known word.
    fn of(option: &str) -> Option<(Self, Reach)> {
        let found = |word: &str| WORDS.iter().find(|known| known.0 == word).map(|known| known.1);
        if let Some(effect) = found(option) {
            return Some((effect, Reach::ThisMount));
        }
        let effect = option.strip_prefix('r').and_then(found)?;
        effect.is_recursive_with_r().then_some((effect, Reach::WholeTree))
    }
}

/// How a mount propagates that is called so, `rshared` or `private`, and how far that reaches.
pub(crate) fn propagation(word: &str) -> Option<(Propagation, Reach)> {
    match Effect::of(word)? {
        (Effect::Propagation(propagation), reach) => Some((propagation, reach)),
        _ => None,
    }
}

/// Parses the options of one mount.
pub(crate) fn parse(options: &[String]) -> Result<Options> {
    let mut parsed = Options {
        set: MountAttrFlags::empty(),
        clear: MountAttrFlags::empty(),
        set_tree: MountAttrFlags::empty(),
        clear_tree: MountAttrFlags::empty(),
        filesystem: MountFlags::empty(),
        propagation: Vec::new(),
        bind: None,
        idmap: None,
        copy_up: false,
        remount: false,
        data: Vec::new(),
    };
    for option in options {
        parsed.take(option)?;
    }
    Ok(parsed)
}

impl Options {
    fn take(&mut self, option: &str) -> Result<()> {
        let Some((effect, reach)) = Effect::of(option) else { return self.take_data(option) };
        match effect {
            Effect::Nothing => {}
            Effect::Attribute(is_set, flag) => {
                let (set, clear) = self.attributes(reach);
                // The last word counts.
                set.set(flag, is_set);
                clear.set(flag, !is_set);
            }
            Effect::AccessTime(mode) => {
                let (set, clear) = self.attributes(reach);
                // The kernel wants the whole field cleared when one of its values is set.
                set.remove(MountAttrFlags::MOUNT_ATTR__ATIME);
                clear.insert(MountAttrFlags::MOUNT_ATTR__ATIME);
                set.insert(mode);
            }
            Effect::Filesystem(is_set, flag) => self.filesystem.set(flag, is_set),
            Effect::Propagation(propagation) => self.propagation.push((propagation, reach)),
            Effect::Bind(reach) => {
                let is_tree = self.bind == Some(Reach::WholeTree) || reach == Reach::WholeTree;
                self.bind = Some(if is_tree { Reach::WholeTree } else { Reach::ThisMount });
            }
            Effect::IdMap(reach) => self.idmap = Some(reach),
            Effect::CopyUp => self.copy_up = true,
            Effect::Remount => self.remount = true,
        }
        Ok(())
    }

    fn attributes(&mut self, reach: Reach) -> (&mut MountAttrFlags, &mut MountAttrFlags) {
        match reach {
            Reach::ThisMount => (&mut self.set, &mut self.clear),
            Reach::WholeTree => (&mut self.set_tree, &mut self.clear_tree),
        }
    }

    fn take_data(&mut self, option: &str) -> Result<()> {
        if option.contains(['\0', ',']) {
            let text = format!("use mount option {option:?}: it has a comma or a zero byte");
            return Err(Error::new(Kind::Invalid, text));
        }
        if !option.is_empty() {
            self.data.push(option.to_owned());
        }
        Ok(())
    }

    /// Takes `subpath=` out of the words, which for a bind mount or a union names the path in the
    /// source that is mounted. It is a word of dhow's engine.
    pub(crate) fn take_subpath(&mut self) -> Option<PathBuf> {
        self.take_path(SUBPATH)
    }

    /// Takes `mount-namespace=` out of the words, which for a bind mount names the mount namespace
    /// in which the source is looked for. It is a word of dhow's engine, too.
    pub(crate) fn take_mount_namespace(&mut self) -> Option<PathBuf> {
        self.take_path(MOUNT_NAMESPACE)
    }

    fn take_path(&mut self, name: &str) -> Option<PathBuf> {
        let at = self.data.iter().position(|word| word.starts_with(name))?;
        self.data.remove(at).strip_prefix(name).map(PathBuf::from)
    }

    /// Whether any attribute changes.
    pub(crate) fn changes_mount(&self) -> bool {
        !(self.set | self.clear).is_empty()
    }

    /// The attributes of a mount that is new, and so a tree of its own.
    pub(crate) fn attributes_of_new(&self) -> MountAttrFlags {
        self.set | self.set_tree
    }

    /// The flags of the filesystem itself as the words that `fsconfig(2)` takes; the others have no
    /// meaning there.
    pub(crate) fn filesystem_words(&self) -> impl Iterator<Item = &'static str> {
        let own = [
            ("sync", MountFlags::SYNCHRONOUS),
            ("dirsync", MountFlags::DIRSYNC),
            ("lazytime", MountFlags::LAZYTIME),
            ("mand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING),
        ];
        let set = self.filesystem;
        own.into_iter().filter(move |(_, flag)| set.contains(*flag)).map(|(word, _)| word)
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
        let set = self.attributes_of_new();
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
        assert_eq!(options.propagation, [(Propagation::Slave, Reach::WholeTree)]);
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

    /// The words of config.md, "Linux mount options", of version 1.3.0.
    #[test]
    fn every_word_of_the_specification_is_known_and_listed_once() {
        let specified = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud \
             noatime nodev nodiratime noexec noiversion nolazytime norelatime nostrictatime nosuid \
             nosymfollow private ratime rbind rdev rdiratime relatime remount rexec rnoatime \
             rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate \
             rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared \
             silent slave strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap mand \
             nomand rnodev acl noacl";
        let listed = mount_options();

        for word in specified.split_whitespace() {
            assert!(listed.iter().any(|own| own == word), "{word} is missing");
            assert!(parse_words(word).data.is_empty(), "{word} is not understood");
        }
        assert!(listed.is_sorted_by(|a, b| a < b), "{listed:?}");
        assert_eq!(listed.len(), specified.split_whitespace().count());
    }

    #[test]
    fn contrary_words_end_where_they_began() {
        for (word, opposite) in [
            ("ro", "rw"),
            ("nosuid", "suid"),
            ("nodev", "dev"),
            ("noexec", "exec"),
            ("nodiratime", "diratime"),
            ("nosymfollow", "symfollow"),
        ] {
            let options = parse_words(&format!("{word} {opposite} r{word} r{opposite}"));

            assert!(options.set.is_empty() && options.set_tree.is_empty(), "{word}: {options:?}");
            assert_eq!(options.clear, parse_words(word).set, "{word}");
            assert_eq!(options.clear_tree, parse_words(word).set, "{word}");
        }
        for (word, opposite) in
            [("sync", "async"), ("lazytime", "nolazytime"), ("silent", "loud"), ("acl", "noacl")]
        {
            assert!(parse_words(&format!("{word} {opposite}")).filesystem.is_empty(), "{word}");
        }
    }
}
