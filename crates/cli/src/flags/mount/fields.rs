//! One `--mount`: fields as in a line of CSV, so that a path may hold a comma in quotes.

use super::{PASSED, absolute_target, idmap, plain, tmpfs_option};
use crate::{
    flags::{Surroundings, refuse},
    manners::Manners,
};
use dhow_base::Result;
use dhow_engine::options::{IdMap, MountDetails, MountOption, MountWhat, Relabel};

/// One `--mount`.
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
    let what = fields.what(around).map_err(|why| refused(&why))?;
    fields.check(&what).map_err(|why| refused(&why))?;
    // An image is what it is; who wants to write on it says so.
    let read_only = fields.read_only.unwrap_or(matches!(what, MountWhat::Image(_)));
    if fields.needs_read_only && !read_only {
        return Err(refused("bind-recursive=readonly and writable are for read-only mounts"));
    }
    let mut options = fields.options;
    let says = |name: &str| name == "tmpcopyup" || name == "notmpcopyup";
    if matches!(what, MountWhat::Tmpfs)
        && around.manners == Manners::Podman
        && !fields.special.iter().any(|(name, _)| says(name))
    {
        options.push("tmpcopyup".to_owned());
    }
    let mount = plain(what, target);
    Ok(MountOption { read_only, options, details: fields.details, ..mount })
}

/// What the fields of a `--mount` said so far.
#[derive(Debug, Default)]
struct Fields {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: Option<bool>,
    create: bool,
    needs_read_only: bool,
    options: Vec<String>,
    details: MountDetails,
    /// Fields that belong to some types only, and to which.
    special: Vec<(String, &'static [&'static str])>,
}

const BIND: &[&str] = &["bind", "glob"];
const VOLUME: &[&str] = &["volume"];
const MEMORY: &[&str] = &["tmpfs"];
const OF_FILES: &[&str] = &["bind", "volume", "glob"];
const WITH_PARTS: &[&str] = &["volume", "image"];

impl Fields {
    fn take(&mut self, field: &str) -> Result<(), String> {
        let (name, value) =
            field.split_once('=').map_or((field, None), |(name, value)| (name, Some(value)));
        let lower = name.to_ascii_lowercase();
        // `U` is not `u`, and `Z` is not `z`.
        let name = match name {
            "U" => "chown",
            "Z" => name,
            _ => lower.as_str(),
        };
        if self.take_common(name, field, value)?
            || self.take_bind(name, field, value)?
            || self.take_volume(name, field, value)?
            || self.take_kernel(name, value)?
        {
            return Ok(());
        }
        Err(format!("no such field: {}", if value.is_some() { name } else { field }))
    }

    fn take_common(
        &mut self,
        name: &str,
        field: &str,
        value: Option<&str>,
    ) -> Result<bool, String> {
        match (name, value) {
            ("type", Some(value)) => self.kind = Some(value.to_ascii_lowercase()),
            ("source" | "src", Some(value)) => self.source = Some(value.to_owned()),
            ("target" | "dst" | "destination", Some(value)) => self.target = Some(value.to_owned()),
            ("readonly" | "ro", value) => self.read_only = Some(switch(field, value)?),
            ("rw" | "readwrite", value) => self.read_only = Some(!switch(field, value)?),
            // Tuning of other systems' file sharing: said and done.
            ("consistency", _) => {}
            ("z", None) | ("relabel", Some("shared")) => {
                self.details.relabel = Some(Relabel::Shared);
            }
            ("Z", None) | ("relabel", Some("private")) => {
                self.details.relabel = Some(Relabel::Private)
            }
            (flag, None) if PASSED.contains(&flag) && !flag.ends_with("bind") => {
                self.options.push(flag.to_owned());
            }
            (flag @ ("exec" | "suid" | "dev"), Some(_)) => {
                let no = if switch(field, value)? { "" } else { "no" };
                self.options.push(format!("{no}{flag}"));
            }
            ("chown", value) => {
                self.details.chown = switch(field, value)?;
                self.special.push((field.to_owned(), OF_FILES));
            }
            ("idmap", value) => {
                self.details.idmap = Some(match value {
                    None | Some("") => IdMap::Container,
                    Some(text) => idmap::parse(text)?,
                });
                self.special.push((field.to_owned(), OF_FILES));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_bind(&mut self, name: &str, field: &str, value: Option<&str>) -> Result<bool, String> {
        match (name, value) {
            ("bind-create-src" | "bind-create-mountpoint", value) => {
                self.create = switch(field, value)?;
            }
            ("bind-nonrecursive", value) => {
                if switch(field, value)? {
                    self.options.push("bind".to_owned());
                }
            }
            ("bind-recursive", Some(value)) => match value {
                "enabled" | "true" | "1" => {}
                "disabled" | "false" | "0" => self.options.push("bind".to_owned()),
                "writable" => {
                    self.details.only_top_read_only = true;
                    self.needs_read_only = true;
                }
                "readonly" => self.needs_read_only = true,
                _ => return Err(format!("no such recursion: {value}")),
            },
            ("bind-propagation", Some(value)) => match value {
                "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave"
                | "unbindable" | "runbindable" => self.options.push(value.to_owned()),
                _ => return Err(format!("no such propagation: {value}")),
            },
            _ => return Ok(false),
        }
        self.special.push((field.to_owned(), BIND));
        Ok(true)
    }

    fn take_volume(
        &mut self,
        name: &str,
        field: &str,
        value: Option<&str>,
    ) -> Result<bool, String> {
        let making = &mut self.details.making;
        let pair = |value: &str| {
            let (key, value) = value.split_once('=').unwrap_or((value, ""));
            (key.to_owned(), value.to_owned())
        };
        let mut whose = VOLUME;
        match (name, value) {
            ("volume-nocopy" | "nocopy", value) => self.details.no_copy = switch(field, value)?,
            ("volume-driver", Some(value)) => making.driver = Some(value.to_owned()),
            ("volume-label", Some(value)) => making.labels.push(pair(value)),
            ("volume-opt", Some(value)) => making.options.push(pair(value)),
            ("subpath" | "volume-subpath" | "image-subpath", Some(value)) => {
                self.details.subpath = Some(subpath(value)?);
                whose = match name {
                    "volume-subpath" => VOLUME,
                    "image-subpath" => &["image"],
                    _ => WITH_PARTS,
                };
            }
            _ => return Ok(false),
        }
        self.special.push((field.to_owned(), whose));
        Ok(true)
    }

    fn take_kernel(&mut self, name: &str, value: Option<&str>) -> Result<bool, String> {
        match (name, value) {
            ("tmpfs-size", Some(value)) => {
                self.options.push(tmpfs_option(&format!("size={value}"))?);
                self.special.push((name.to_owned(), MEMORY));
            }
            ("tmpfs-mode", Some(value)) => {
                self.options.push(tmpfs_option(&format!("mode={value}"))?);
                self.special.push((name.to_owned(), &["tmpfs", "ramfs"]));
            }
            ("tmpcopyup", None) => {
                self.options.push(name.to_owned());
                self.special.push((name.to_owned(), MEMORY));
            }
            ("notmpcopyup", None) => self.special.push((name.to_owned(), MEMORY)),
            ("uid" | "gid" | "mode" | "max", Some(value)) => {
                if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(format!("{name}={value}: not a number"));
                }
                self.options.push(format!("{name}={value}"));
                self.special.push((name.to_owned(), &["devpts"]));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn what(&self, around: Surroundings<'_>) -> Result<MountWhat, String> {
        let source = self.source.as_deref().filter(|source| !source.is_empty());
        Ok(match (self.kind.as_deref().unwrap_or("volume"), source) {
            ("bind" | "image" | "glob", None) => return Err("source is missing".to_owned()),
            ("bind", Some(path)) => {
                MountWhat::Bind { source: around.absolute(path), create: self.create }
            }
            ("volume", None) => MountWhat::Anonymous,
            ("volume", Some(name)) => MountWhat::Volume(
                name.parse().map_err(|_| "that cannot be the name of a volume".to_owned())?,
            ),
            ("image", Some(name)) => MountWhat::Image(name.to_owned()),
            ("glob", Some(pattern)) => {
                MountWhat::Glob(around.absolute(pattern).to_string_lossy().into_owned())
            }
            ("tmpfs", None) => MountWhat::Tmpfs,
            ("ramfs", None) => MountWhat::Ramfs,
            ("devpts", None) => MountWhat::Devpts,
            (kind @ ("tmpfs" | "ramfs" | "devpts"), Some(_)) => {
                return Err(format!("a {kind} has no source"));
            }
            ("npipe", _) => return Err("pipes with names are Windows's".to_owned()),
            ("cluster", _) => return Err("volumes of a cluster are swarm's".to_owned()),
            (other, _) => return Err(format!("no such type: {other}")),
        })
    }

    /// Refuses fields that belong to other types.
    fn check(&self, what: &MountWhat) -> Result<(), String> {
        let kind = match what {
            MountWhat::Bind { .. } => "bind",
            MountWhat::Volume(_) | MountWhat::Anonymous => "volume",
            MountWhat::Tmpfs => "tmpfs",
            MountWhat::Ramfs => "ramfs",
            MountWhat::Devpts => "devpts",
            MountWhat::Image(_) => "image",
            MountWhat::Glob(_) => "glob",
        };
        match self.special.iter().find(|(_, kinds)| !kinds.contains(&kind)) {
            Some((field, kinds)) => {
                Err(format!("{field} belongs to type={}", kinds.join(" or type=")))
            }
            None => Ok(()),
        }
    }
}

/// A path below a source: relative, and never out of it.
fn subpath(text: &str) -> Result<std::path::PathBuf, String> {
    let path = std::path::Path::new(text);
    let is_inside = path
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
    if text.is_empty() || !is_inside || text.contains(['\0', ',']) {
        return Err(format!("subpath {text:?}: it must be relative, without `..` and commas"));
    }
    Ok(path.to_owned())
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

    fn details(text: &str) -> MountDetails {
        mount(text, world()).unwrap().details
    }

    #[test]
    fn volumes_and_images_have_parts() {
        let part = |text| details(text).subpath;

        assert_eq!(part("src=v,dst=/b,volume-subpath=a/b"), Some("a/b".into()));
        assert_eq!(part("type=image,src=i,dst=/b,subpath=a"), Some("a".into()));
        for text in [
            "src=v,dst=/b,volume-subpath=../a",
            "src=v,dst=/b,volume-subpath=/a",
            "src=v,dst=/b,volume-subpath=",
            "type=bind,src=/a,dst=/b,subpath=x",
        ] {
            assert!(mount(text, world()).is_err(), "{text}");
        }
    }

    #[test]
    fn images_are_read_only_unless_said_otherwise() {
        let read_only = |text| mount(text, world()).unwrap().read_only;

        assert!(read_only("type=image,src=i,dst=/b"));
        assert!(!read_only("type=image,src=i,dst=/b,rw=true"));
        assert!(!read_only("src=v,dst=/b"));
    }

    #[test]
    fn a_volume_is_made_as_asked() {
        let making =
            details("src=v,dst=/b,volume-opt=type=tmpfs,volume-label=a=b,volume-nocopy").making;

        assert_eq!(making.options, [("type".to_owned(), "tmpfs".to_owned())]);
        assert_eq!(making.labels, [("a".to_owned(), "b".to_owned())]);
        assert!(details("src=v,dst=/b,volume-nocopy").no_copy);
    }

    #[test]
    fn how_far_read_only_reaches_is_said_of_read_only_mounts() {
        let writable = details("type=bind,src=/a,dst=/b,ro,bind-recursive=writable");

        assert!(writable.only_top_read_only);
        assert!(mount("type=bind,src=/a,dst=/b,bind-recursive=writable", world()).is_err());
        let alone = mount("type=bind,src=/a,dst=/b,bind-recursive=disabled", world()).unwrap();
        assert_eq!(alone.options, ["bind"]);
    }

    #[test]
    fn file_systems_of_the_kernel_have_their_own_fields() {
        let options = |text| mount(text, world()).map(|mount| mount.options).ok();

        assert_eq!(
            options("type=devpts,dst=/pts,uid=5,max=10"),
            Some(vec!["uid=5".into(), "max=10".into()])
        );
        assert_eq!(options("type=tmpfs,dst=/t,tmpcopyup"), Some(vec!["tmpcopyup".into()]));
        assert_eq!(options("type=ramfs,dst=/t,tmpfs-mode=700"), Some(vec!["mode=700".into()]));
        assert_eq!(options("type=ramfs,dst=/t,tmpfs-size=1m"), None);
        assert_eq!(
            options("type=tmpfs,dst=/t,exec,suid=false"),
            Some(vec!["exec".into(), "nosuid".into()])
        );
    }
}
