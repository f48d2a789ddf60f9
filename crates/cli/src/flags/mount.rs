//! `-v`, `--mount` and `--tmpfs`: what is mounted where, in three ways of writing it.
//!
//! ```text
//!   -v       [SOURCE:]TARGET[:OPTION,…]         a host path, a volume's name, or neither
//!   --mount  type=bind,source=…,target=…,…      names for everything, in any order
//!   --tmpfs  TARGET[:OPTION,…]                  memory
//! ```

use super::{Surroundings, refuse};
use dhow_base::{Result, id, id::Name, size};
use dhow_engine::options::{MountOption, MountWhat};
use std::path::PathBuf;

/// Options of a bind mount that go on as they are.
const PASSED: [&str; 14] = [
    "bind", "rbind", "private", "rprivate", "shared", "rshared", "slave", "rslave", "exec",
    "noexec", "suid", "nosuid", "dev", "nodev",
];

/// Options that mean nothing here: they tune other systems, or label for SELinux, which a kernel
/// without it takes as said and done.
const IGNORED: [&str; 6] = ["z", "Z", "nocopy", "cached", "delegated", "consistent"];

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
        _ => return Err(refused("too many colons")),
    };
    let target = absolute_target(target)
        .ok_or_else(|| refused("the path in the container must be absolute and not /"))?;
    let what = match source {
        None => MountWhat::Volume(anonymous()?),
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
    let mut mount = MountOption { what, target, read_only: false, options: Vec::new() };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            option if PASSED.contains(&option) => mount.options.push(option.to_owned()),
            option if IGNORED.contains(&option) => {}
            option => return Err(refused(&format!("no such option: {option}"))),
        }
    }
    Ok(mount)
}

fn is_relative(path: &str) -> bool {
    matches!(path, "." | "..") || path.starts_with("./") || path.starts_with("../")
}

/// A volume without a name gets docker's kind of name, 64 hex digits, by which it is known as such.
fn anonymous() -> Result<Name> {
    id::random_hex(32)?.parse()
}

fn absolute_target(text: &str) -> Option<PathBuf> {
    let named = text.split('/').any(|part| !matches!(part, "" | "." | ".."));
    (text.starts_with('/') && named && !text.contains('\0')).then(|| PathBuf::from(text))
}

/// One `--tmpfs`.
pub(crate) fn tmpfs(text: &str) -> Result<MountOption> {
    let refused = |why: &str| {
        refuse("--tmpfs", text, why)
            .hint("write TARGET or TARGET:OPTION,…, such as /tmp:size=64m,mode=1777")
    };
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let target =
        absolute_target(target).ok_or_else(|| refused("the path must be absolute and not /"))?;
    let mut mount =
        MountOption { what: MountWhat::Tmpfs, target, read_only: false, options: Vec::new() };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            option => mount.options.push(tmpfs_option(option).map_err(|why| refused(&why))?),
        }
    }
    Ok(mount)
}

fn tmpfs_option(option: &str) -> Result<String, String> {
    const FLAGS: [&str; 9] =
        ["exec", "noexec", "suid", "nosuid", "dev", "nodev", "noatime", "relatime", "nodiratime"];
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

/// One `--mount`: fields as in a line of CSV, so that a path may hold a comma in quotes.
pub(crate) fn mount(text: &str, around: Surroundings<'_>) -> Result<MountOption> {
    let refused = |why: &str| {
        refuse("--mount", text, why).hint("such as type=bind,source=/host/path,target=/path")
    };
    let mut fields = Fields::default();
    for field in split_csv(text).ok_or_else(|| refused("a quote is not closed"))? {
        fields.take(&field).map_err(|why| refused(&why))?;
    }
    let target = fields.target.as_deref().ok_or_else(|| refused("target is missing"))?;
    let target =
        absolute_target(target).ok_or_else(|| refused("target must be absolute and not /"))?;
    let what = match (fields.kind.as_deref().unwrap_or("volume"), fields.source.as_deref()) {
        ("bind", None | Some("")) => return Err(refused("source is missing")),
        ("bind", Some(path)) => {
            MountWhat::Bind { source: around.absolute(path), create: fields.create }
        }
        ("volume", None | Some("")) => MountWhat::Volume(anonymous()?),
        ("volume", Some(name)) => MountWhat::Volume(
            name.parse().map_err(|_| refused("that cannot be the name of a volume"))?,
        ),
        ("tmpfs", None | Some("")) => MountWhat::Tmpfs,
        ("tmpfs", Some(_)) => return Err(refused("a tmpfs has no source")),
        (other, _) => return Err(refused(&format!("no such type: {other}"))),
    };
    let is_tmpfs = what == MountWhat::Tmpfs;
    if fields.tmpfs_options && !is_tmpfs {
        return Err(refused("tmpfs-size and tmpfs-mode belong to type=tmpfs"));
    }
    if fields.bind_options && !matches!(what, MountWhat::Bind { .. }) {
        return Err(refused("bind options belong to type=bind"));
    }
    Ok(MountOption { what, target, read_only: fields.read_only, options: fields.options })
}

/// What the fields of a `--mount` said so far.
#[derive(Debug, Default)]
struct Fields {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    create: bool,
    options: Vec<String>,
    tmpfs_options: bool,
    bind_options: bool,
}

impl Fields {
    fn take(&mut self, field: &str) -> Result<(), String> {
        let (name, value) =
            field.split_once('=').map_or((field, None), |(name, value)| (name, Some(value)));
        let name = name.to_ascii_lowercase();
        match (name.as_str(), value) {
            ("type", Some(value)) => self.kind = Some(value.to_ascii_lowercase()),
            ("source" | "src", Some(value)) => self.source = Some(value.to_owned()),
            ("target" | "dst" | "destination", Some(value)) => self.target = Some(value.to_owned()),
            ("readonly" | "ro", value) => self.read_only = switch(field, value)?,
            ("volume-nocopy" | "consistency", _) => {}
            ("bind-create-src" | "bind-create-mountpoint", value) => {
                self.create = switch(field, value)?;
                self.bind_options = true;
            }
            ("bind-nonrecursive", value) => {
                self.bind_options = true;
                if switch(field, value)? {
                    self.options.push("bind".to_owned());
                }
            }
            ("bind-propagation", Some(value)) => {
                self.bind_options = true;
                match value {
                    "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                        self.options.push(value.to_owned());
                    }
                    _ => return Err(format!("no such propagation: {value}")),
                }
            }
            ("tmpfs-size", Some(value)) => self.tmpfs("size", value)?,
            ("tmpfs-mode", Some(value)) => self.tmpfs("mode", value)?,
            (_, None) => return Err(format!("no such field: {field}")),
            (name, Some(_)) => return Err(format!("no such field: {name}")),
        }
        Ok(())
    }

    fn tmpfs(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.tmpfs_options = true;
        self.options.push(tmpfs_option(&format!("{name}={value}"))?);
        Ok(())
    }
}

fn switch(field: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(_) => Err(format!("{field}: neither true nor false")),
    }
}

/// Splits at commas outside of double quotes; a doubled quote inside of them is one quote. `None`
/// where a quote stays open.
fn split_csv(text: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = fields.last_mut().expect("there is always one field");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                last.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => last.push(letter),
        }
    }
    (!quoted).then_some(fields)
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
        MountOption { what, target: target.into(), read_only, options }
    }

    #[test]
    fn volumes_are_host_paths_or_names() {
        let cases = [
            ("/a:/b", Some(option(bind("/a", true), "/b", false, &[]))),
            ("/a:/b:ro", Some(option(bind("/a", true), "/b", true, &[]))),
            ("/a:/b:ro,z,rshared", Some(option(bind("/a", true), "/b", true, &["rshared"]))),
            ("./a:/b", Some(option(bind("/here/a", true), "/b", false, &[]))),
            (".:/b", Some(option(bind("/here", true), "/b", false, &[]))),
            ("../a:/b", Some(option(bind("/here/../a", true), "/b", false, &[]))),
            ("data:/b", Some(option(named("data"), "/b", false, &[]))),
            ("data:/b:nocopy,noexec", Some(option(named("data"), "/b", false, &["noexec"]))),
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
    fn a_volume_without_a_source_is_anonymous() {
        for text in ["/data", "/data:ro"] {
            let mount = volume(text, world()).unwrap();

            let MountWhat::Volume(name) = mount.what else { panic!("{mount:?}") };
            assert_eq!(name.as_str().len(), 64);
            assert_eq!(mount.read_only, text.ends_with(":ro"));
        }
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
            ("type=image,source=a,target=/b", None),
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
            assert_eq!(tmpfs(text).ok(), expected, "parsing {text:?}");
        }
    }
}
