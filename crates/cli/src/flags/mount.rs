//! `-v`, `--mount` and `--tmpfs`: what is mounted where, in three ways of writing it.
//!
//! ```text
//!   -v       [SOURCE:]TARGET[:OPTION,…]         a host path, a volume's name, or neither
//!   --mount  type=bind,source=…,target=…,…      names for everything, in any order
//!   --tmpfs  TARGET[:OPTION,…]                  memory
//! ```

mod fields;
mod idmap;

pub(crate) use fields::mount;

use super::{Surroundings, refuse};
use crate::manners::Manners;
use dhow_base::{Result, size};
use dhow_engine::options::{
    MountDetails, MountOption, MountWhat, OverlayOption, Relabel, VolumesFrom,
};
use std::path::PathBuf;

/// Options of a bind mount that go on as they are.
const PASSED: [&str; 14] = [
    "bind", "rbind", "private", "rprivate", "shared", "rshared", "slave", "rslave", "exec",
    "noexec", "suid", "nosuid", "dev", "nodev",
];

/// Options that mean nothing here: they tune the file sharing of other systems.
const IGNORED: [&str; 5] = ["copy", "cached", "delegated", "consistent", "default"];

/// One `-v`.
pub(crate) fn volume(text: &str, around: Surroundings<'_>) -> Result<MountOption> {
    let refused = |why: &str| {
        refuse("--volume", text, why)
            .hint("write SOURCE:TARGET or SOURCE:TARGET:ro, such as ./data:/data")
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        // What is no path on the right of a path is its options.
        [source, target] if target.starts_with('/') => (Some(source), target, ""),
        [target, options] if target.starts_with('/') => (None, target, options),
        [_, _] => return Err(refused("the path in the container must be absolute")),
        [source, target, options] => (Some(source), target, options),
        // The mappings of `idmap=` have colons of no other meaning.
        _ => return Err(refused("too many colons")),
    };
    let target = absolute_target(target)
        .ok_or_else(|| refused("the path in the container must be absolute and not /"))?;
    let what = match source {
        None => MountWhat::Anonymous,
        Some("") => return Err(refused("the source is missing")),
        Some(path) if path.starts_with('/') || is_relative(path) => {
            MountWhat::Bind { source: around.absolute(path), create: true }
        }
        Some(name) if name.contains('/') => {
            return Err(refuse(
                "--volume",
                text,
                "neither an absolute path nor the name of a volume",
            )
            .hint(format!("for a directory of the host write ./{name}")));
        }
        Some(name) => MountWhat::Volume(
            name.parse().map_err(|_| refused("that cannot be the name of a volume"))?,
        ),
    };
    let mut mount = plain(what, target);
    let mut overlay = Overlay::default();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let known = overlay.take(option, around)
            || volume_option(option, &mut mount).map_err(|why| refused(&why))?;
        if !known {
            return Err(refused(&format!("no such option: {option}")));
        }
    }
    mount.details.overlay = overlay.finish().map_err(refused)?;
    if let (Some(_), MountWhat::Volume(_) | MountWhat::Anonymous, true) =
        (&mount.details.overlay, &mount.what, mount.read_only)
    {
        return Err(refused("O is for writing, and ro against it"));
    }
    Ok(mount)
}

/// What most mounts are.
fn plain(what: MountWhat, target: PathBuf) -> MountOption {
    MountOption {
        what,
        target,
        read_only: false,
        options: Vec::new(),
        details: MountDetails::default(),
    }
}

/// Takes one option of a volume or of a path; whether there is such a one.
fn volume_option(option: &str, mount: &mut MountOption) -> Result<bool, String> {
    match option {
        "ro" => mount.read_only = true,
        "rw" => mount.read_only = false,
        "nocopy" => mount.details.no_copy = true,
        "z" => mount.details.relabel = Some(Relabel::Shared),
        "Z" => mount.details.relabel = Some(Relabel::Private),
        "U" => mount.details.chown = true,
        "idmap" => mount.details.idmap = Some(dhow_engine::options::IdMap::Container),
        option if option.starts_with("idmap=") => {
            mount.details.idmap = Some(idmap::parse(&option["idmap=".len()..])?);
        }
        option if PASSED.contains(&option) => mount.options.push(option.to_owned()),
        option if IGNORED.contains(&option) => {}
        _ => return Ok(false),
    }
    Ok(true)
}

/// What `O`, `upperdir=` and `workdir=` said.
#[derive(Debug, Default)]
struct Overlay {
    is_asked: bool,
    upper: Option<PathBuf>,
    work: Option<PathBuf>,
}

impl Overlay {
    fn take(&mut self, option: &str, around: Surroundings<'_>) -> bool {
        match option.split_once('=') {
            None if option == "O" => self.is_asked = true,
            Some(("upperdir", path)) => self.upper = Some(around.absolute(path)),
            Some(("workdir", path)) => self.work = Some(around.absolute(path)),
            _ => return false,
        }
        true
    }

    fn finish(self) -> Result<Option<OverlayOption>, &'static str> {
        match (self.is_asked, self.upper, self.work) {
            (false, None, None) => Ok(None),
            (false, ..) => Err("upperdir and workdir belong to O"),
            (true, None, None) => Ok(Some(OverlayOption::default())),
            (true, Some(upper), Some(work)) => {
                Ok(Some(OverlayOption { kept_in: Some((upper, work)) }))
            }
            (true, ..) => Err("upperdir and workdir go together"),
        }
    }
}

fn is_relative(path: &str) -> bool {
    matches!(path, "." | "..") || path.starts_with("./") || path.starts_with("../")
}

fn absolute_target(text: &str) -> Option<PathBuf> {
    let named = text.split('/').any(|part| !matches!(part, "" | "." | ".."));
    (text.starts_with('/') && named && !text.contains('\0')).then(|| PathBuf::from(text))
}

/// One `--volumes-from`: a container, and whether its volumes are written to.
pub(crate) fn volumes_from(text: &str) -> Result<VolumesFrom> {
    let (container, options) = text.split_once(':').unwrap_or((text, ""));
    let refused = |why: &str| {
        refuse("--volumes-from", text, why).hint("write CONTAINER, CONTAINER:ro or CONTAINER:rw")
    };
    if container.is_empty() {
        return Err(refused("the container is missing"));
    }
    let (mut read_only, mut relabel) = (None, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = Some(true),
            "rw" => read_only = Some(false),
            "z" => relabel = Some(Relabel::Shared),
            "Z" => relabel = Some(Relabel::Private),
            option => return Err(refused(&format!("no such option: {option}"))),
        }
    }
    Ok(VolumesFrom { container: container.to_owned(), read_only, relabel })
}

/// One `--tmpfs`.
pub(crate) fn tmpfs(text: &str, manners: Manners) -> Result<MountOption> {
    let refused = |why: &str| {
        refuse("--tmpfs", text, why)
            .hint("write TARGET or TARGET:OPTION,…, such as /tmp:size=64m,mode=1777")
    };
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let target =
        absolute_target(target).ok_or_else(|| refused("the path must be absolute and not /"))?;
    let mut mount = plain(MountWhat::Tmpfs, target);
    if manners == Manners::Podman {
        mount.options.push("tmpcopyup".to_owned());
    }
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            // That is what a tmpfs does unless it is told otherwise, or podman's.
            "notmpcopyup" => mount.options.retain(|option| option != "tmpcopyup"),
            option => mount.options.push(tmpfs_option(option).map_err(|why| refused(&why))?),
        }
    }
    Ok(mount)
}

fn tmpfs_option(option: &str) -> Result<String, String> {
    const FLAGS: [&str; 10] = [
        "exec",
        "noexec",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "noatime",
        "relatime",
        "nodiratime",
        "tmpcopyup",
    ];
    let bad = |why: &str| format!("{option}: {why}");
    let number = |value: &str| value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty();
    match option.split_once('=') {
        None if FLAGS.contains(&option) => Ok(option.to_owned()),
        // A tmpfs also takes a share of the memory: `size=50%`.
        Some(("size", share)) if share.strip_suffix('%').is_some_and(number) => {
            Ok(option.to_owned())
        }
        Some(("size", value)) => match size::parse_bytes(value) {
            Ok(bytes) => Ok(format!("size={bytes}")),
            Err(_) => Err(bad("not a size")),
        },
        Some(("mode", mode)) => match u32::from_str_radix(mode, 8) {
            Ok(0..=0o7777) => Ok(option.to_owned()),
            _ => Err(bad("not an octal mode")),
        },
        Some(("uid" | "gid" | "nr_inodes" | "nr_blocks", value)) if number(value) => {
            Ok(option.to_owned())
        }
        _ => Err(bad("no such option")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::tests::world;

    fn bind(source: &str, create: bool) -> MountWhat {
        MountWhat::Bind { source: source.into(), create }
    }

    fn named(name: &str) -> MountWhat {
        MountWhat::Volume(name.parse().unwrap())
    }

    fn option(what: MountWhat, target: &str, read_only: bool, options: &[&str]) -> MountOption {
        let options = options.iter().map(ToString::to_string).collect();
        let details = MountDetails::default();
        MountOption { what, target: target.into(), read_only, options, details }
    }

    #[test]
    fn volumes_are_host_paths_or_names() {
        let cases = [
            ("/a:/b", Some(option(bind("/a", true), "/b", false, &[]))),
            ("/a:/b:ro", Some(option(bind("/a", true), "/b", true, &[]))),
            ("/a:/b:ro,cached,rshared", Some(option(bind("/a", true), "/b", true, &["rshared"]))),
            ("./a:/b", Some(option(bind("/here/a", true), "/b", false, &[]))),
            (".:/b", Some(option(bind("/here", true), "/b", false, &[]))),
            ("../a:/b", Some(option(bind("/here/../a", true), "/b", false, &[]))),
            ("data:/b", Some(option(named("data"), "/b", false, &[]))),
            ("data:/b:copy,noexec", Some(option(named("data"), "/b", false, &["noexec"]))),
            ("/b", Some(option(MountWhat::Anonymous, "/b", false, &[]))),
            ("/b:ro", Some(option(MountWhat::Anonymous, "/b", true, &[]))),
            ("a/b:/c", None),
            ("-x:/c", None),
            (":/c", None),
            ("/a:b", None),
            ("a:b", None),
            ("/a:/", None),
            ("/a:/..", None),
            ("/a:/b:bogus", None),
            ("/a:/b:ro:rw", None),
            ("b", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(volume(text, world()).ok(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn few_mounts_have_details() {
        let details = |text| volume(text, world()).map(|mount| mount.details);

        assert!(details("d:/b:nocopy").unwrap().no_copy);
        assert_eq!(details("/a:/b:z").unwrap().relabel, Some(Relabel::Shared));
        assert_eq!(details("/a:/b:ro,Z").unwrap().relabel, Some(Relabel::Private));
        assert!(details("d:/b:U").unwrap().chown);
        assert_eq!(details("/a:/b:O").unwrap().overlay, Some(OverlayOption { kept_in: None }));
        assert_eq!(
            details("/a:/b:O,upperdir=./u,workdir=/w").unwrap().overlay,
            Some(OverlayOption { kept_in: Some(("/here/u".into(), "/w".into())) })
        );
        assert!(details("/a:/b:idmap").unwrap().idmap.is_some());
        assert!(details("/a:/b:idmap=uids=0-1-10;gids=0-2-10").unwrap().idmap.is_some());
        for text in ["/a:/b:O,upperdir=/u", "/a:/b:upperdir=/u,workdir=/w", "/a:/b:idmap=x"] {
            assert!(details(text).is_err(), "{text}");
        }
    }

    #[test]
    fn volumes_of_another_container_are_as_there_or_as_said() {
        let from = |text| volumes_from(text).map(|from| (from.container, from.read_only)).ok();

        assert_eq!(from("web"), Some(("web".into(), None)));
        assert_eq!(from("web:ro,z"), Some(("web".into(), Some(true))));
        assert_eq!(from("web:rw"), Some(("web".into(), Some(false))));
        assert_eq!((from(""), from(":ro"), from("web:bogus")), (None, None, None));
    }

    #[test]
    fn a_relative_path_without_a_dot_gets_the_hint_that_helps() {
        let error = volume("a/b:/c", world()).unwrap_err();

        assert_eq!(error.innermost_hint(), Some("for a directory of the host write ./a/b"));
    }

    #[test]
    fn mounts_have_named_fields() {
        let cases = [
            ("type=bind,source=/a,target=/b", Some(option(bind("/a", false), "/b", false, &[]))),
            ("type=bind,src=a,dst=/b,ro", Some(option(bind("/here/a", false), "/b", true, &[]))),
            (
                "type=bind,src=/a,destination=/b,readonly=false,bind-propagation=rslave",
                Some(option(bind("/a", false), "/b", false, &["rslave"])),
            ),
            ("src=v,target=/b", Some(option(named("v"), "/b", false, &[]))),
            (
                "type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777",
                Some(option(MountWhat::Tmpfs, "/t", false, &["size=67108864", "mode=1777"])),
            ),
            (
                "type=bind,\"source=/a,b\",target=/b",
                Some(option(bind("/a,b", false), "/b", false, &[])),
            ),
            ("type=bind,target=/b", None),
            ("type=bind,source=/a", None),
            ("type=bind,source=/a,target=b", None),
            ("type=bind,source=/a,target=/b,tmpfs-size=1m", None),
            ("type=volume,source=v,target=/b,bind-propagation=shared", None),
            ("type=tmpfs,source=/a,target=/b", None),
            ("type=image,target=/b", None),
            ("type=npipe,source=a,target=/b", None),
            ("type=bind,source=/a,target=/b,bogus", None),
            ("type=bind,source=/a,target=/b,bogus=1", None),
            ("type=bind,source=/a,target=/b,ro=maybe", None),
            ("\"type=bind", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(mount(text, world()).ok(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn a_tmpfs_has_a_target_and_checked_options() {
        let tmpfs_of = |target, read_only, options: &[&str]| {
            Some(option(MountWhat::Tmpfs, target, read_only, options))
        };
        let cases = [
            ("/x", tmpfs_of("/x", false, &[])),
            ("/x:size=64m,mode=1777", tmpfs_of("/x", false, &["size=67108864", "mode=1777"])),
            ("/x:ro,noexec,size=50%", tmpfs_of("/x", true, &["noexec", "size=50%"])),
            ("/x:uid=5,gid=6", tmpfs_of("/x", false, &["uid=5", "gid=6"])),
            ("/x:size=much", None),
            ("/x:mode=999", None),
            ("/x:mode=17777", None),
            ("/x:uid=", None),
            ("/x:bogus", None),
            ("x", None),
            ("/", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(tmpfs(text, Manners::Dhow).ok(), expected, "parsing {text:?}");
        }
    }
}
