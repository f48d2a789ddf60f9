//! Flags about namespaces: with whom each is shared, and which ids the container has.

use super::refuse;
use dhow_base::{Error, Result};
use dhow_engine::options::{NamespaceOptions, Sharing, UserNamespace};
use dhow_spec::runtime::IdMapping;
use std::path::PathBuf;

/// With whom the container shares what.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Namespaces")]
pub(crate) struct NamespaceFlags {
    /// See the processes of the host (host), of a container (container:NAME) or none but one's own
    #[arg(long, value_name = "MODE")]
    pub(super) pid: Option<String>,

    /// Share memory and queues with the host, with a container, or with nobody (private, none)
    #[arg(long, value_name = "MODE")]
    pub(super) ipc: Option<String>,

    /// Have the host's name (host), a container's, or one's own (private)
    #[arg(long, value_name = "MODE")]
    pub(super) uts: Option<String>,

    /// See the control groups of the host (host), of a container, or one's own (private)
    #[arg(long, value_name = "MODE")]
    pub(super) cgroupns: Option<String>,

    #[command(flatten)]
    pub(super) ids: IdFlags,
}

/// Which ids the container has.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Namespaces")]
pub(crate) struct IdFlags {
    /// Have ids of one's own: auto, keep-id, nomap, container:NAME, ns:PATH, or the host's (host)
    #[arg(long, value_name = "MODE")]
    pub(super) userns: Option<String>,

    /// Map user ids of the container to ids of the host
    #[arg(long, value_name = "CONTAINER:HOST[:COUNT]")]
    pub(super) uidmap: Vec<String>,

    /// Map group ids of the container to ids of the host
    #[arg(long, value_name = "CONTAINER:HOST[:COUNT]")]
    pub(super) gidmap: Vec<String>,

    /// Map the user ids that /etc/subuid gives to this name
    #[arg(long, value_name = "NAME")]
    pub(super) subuidname: Option<String>,

    /// Map the group ids that /etc/subgid gives to this name
    #[arg(long, value_name = "NAME")]
    pub(super) subgidname: Option<String>,
}

impl NamespaceFlags {
    /// What the flags ask for.
    pub(crate) fn options(&self) -> Result<NamespaceOptions> {
        let sharing = |flag: &str, text: &Option<String>, own: &[(&str, Sharing)]| {
            text.as_deref().map_or(Ok(Sharing::Unsaid), |text| sharing(flag, text, own))
        };
        let ipc = [("none", Sharing::Bare), ("shareable", Sharing::Shareable)];
        Ok(NamespaceOptions {
            pid: sharing("--pid", &self.pid, &[])?,
            ipc: sharing("--ipc", &self.ipc, &ipc)?,
            uts: sharing("--uts", &self.uts, &[])?,
            cgroup: sharing("--cgroupns", &self.cgroupns, &[])?,
            user: self.ids.user()?,
        })
    }
}

impl IdFlags {
    /// What they ask for.
    pub(super) fn user(&self) -> Result<UserNamespace> {
        let uids = mappings("--uidmap", &self.uidmap)?;
        let gids = mappings("--gidmap", &self.gidmap)?;
        let has_maps = !uids.is_empty() || !gids.is_empty();
        let has_names = self.subuidname.is_some() || self.subgidname.is_some();
        match &self.userns {
            Some(text) if (has_maps || has_names) && text != "private" => {
                Err(refuse("--userns", text, "it does not go with --uidmap, --gidmap and the like")
                    .hint("leave one of them out"))
            }
            Some(text) if text != "private" => user(text),
            Some(text) if !has_maps && !has_names => {
                Err(refuse("--userns", text, "which ids the container has is not said")
                    .hint("say so with --uidmap or --subuidname, or use --userns auto"))
            }
            _ if has_maps && has_names => {
                let flag = if self.subuidname.is_some() { "--subuidname" } else { "--subgidname" };
                let name = self.subuidname.as_ref().or(self.subgidname.as_ref());
                Err(refuse(
                    flag,
                    name.map_or("", String::as_str),
                    "it does not go with --uidmap and --gidmap",
                ))
            }
            // As podman has it: one list of the two stands for both.
            _ if has_maps => Ok(UserNamespace::Mapped {
                uids: if uids.is_empty() { gids.clone() } else { uids.clone() },
                gids: if gids.is_empty() { uids } else { gids },
            }),
            _ => match (&self.subuidname, &self.subgidname) {
                (None, None) => Ok(UserNamespace::Unsaid),
                (user, group) => {
                    let either = user.as_ref().or(group.as_ref()).cloned().unwrap_or_default();
                    Ok(UserNamespace::Ranges {
                        user: user.clone().unwrap_or_else(|| either.clone()),
                        group: group.clone().unwrap_or(either),
                    })
                }
            },
        }
    }
}

pub(super) fn sharing(flag: &str, text: &str, own: &[(&str, Sharing)]) -> Result<Sharing> {
    if let Some((_, sharing)) = own.iter().find(|(word, _)| *word == text) {
        return Ok(sharing.clone());
    }
    match text {
        "" | "private" => Ok(Sharing::Private),
        "host" => Ok(Sharing::Host),
        _ => match named(flag, text)? {
            Some(Named::Container(name)) => Ok(Sharing::Container(name)),
            Some(Named::Path(path)) => Ok(Sharing::Path(path)),
            None => {
                let words: String = own.iter().map(|(word, _)| format!("{word}, ")).collect();
                Err(refuse(flag, text, "no such mode")
                    .hint(format!("write private, host, {words}container:NAME or ns:PATH")))
            }
        },
    }
}

/// A namespace that belongs to somebody.
pub(super) enum Named {
    /// To a container.
    Container(String),
    /// To whoever has this file.
    Path(PathBuf),
}

/// `container:NAME` or `ns:PATH`.
pub(super) fn named(flag: &str, text: &str) -> Result<Option<Named>> {
    match text.split_once(':') {
        Some(("container", "")) => Err(refuse(flag, text, "the container is missing")),
        Some(("container", name)) => Ok(Some(Named::Container(name.to_owned()))),
        Some(("ns", path)) if path.starts_with('/') => Ok(Some(Named::Path(path.into()))),
        Some(("ns", _)) => Err(refuse(flag, text, "the path must be absolute")),
        _ => Ok(None),
    }
}

fn user(text: &str) -> Result<UserNamespace> {
    let (mode, options) = text.split_once(':').unwrap_or((text, ""));
    match mode {
        "" if options.is_empty() => Ok(UserNamespace::Unsaid),
        "host" if options.is_empty() => Ok(UserNamespace::Host),
        "nomap" if options.is_empty() => Ok(UserNamespace::NoMap),
        "auto" => automatic(text, options),
        "keep-id" => keep_id(text, options),
        _ => match named("--userns", text)? {
            Some(Named::Container(name)) => Ok(UserNamespace::Container(name)),
            Some(Named::Path(path)) => Ok(UserNamespace::Path(path)),
            None => Err(refuse("--userns", text, "no such mode").hint(
                "write auto, keep-id, nomap, host, container:NAME or ns:PATH, or use --uidmap",
            )),
        },
    }
}

fn automatic(text: &str, options: &str) -> Result<UserNamespace> {
    let (mut size, mut uids, mut gids) = (None, Vec::new(), Vec::new());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", number)) => size = Some(count(text, number)?),
            Some(("uidmapping", mapping)) => uids.push(self::mapping("--userns", mapping)?),
            Some(("gidmapping", mapping)) => gids.push(self::mapping("--userns", mapping)?),
            _ => return Err(unknown(text, option, "size=, uidmapping= and gidmapping=")),
        }
    }
    Ok(UserNamespace::Auto { size, uids, gids })
}

fn keep_id(text: &str, options: &str) -> Result<UserNamespace> {
    let (mut uid, mut gid) = (None, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("uid", number)) => uid = Some(id(text, number)?),
            Some(("gid", number)) => gid = Some(id(text, number)?),
            _ => return Err(unknown(text, option, "uid= and gid=")),
        }
    }
    Ok(UserNamespace::KeepId { uid, gid })
}

fn unknown(text: &str, option: &str, known: &str) -> Error {
    refuse("--userns", text, format!("there is no option {option:?}"))
        .hint(format!("there are {known}"))
}

fn id(text: &str, number: &str) -> Result<u32> {
    match number.parse::<u32>() {
        // The last one is no id: the kernel takes it for none.
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(refuse("--userns", text, format!("{number:?} is no id"))
            .hint("ids are numbers up to 4294967294, as in keep-id:uid=1000,gid=1000")),
    }
}

fn count(text: &str, number: &str) -> Result<u32> {
    match number.parse::<u32>() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(refuse("--userns", text, format!("{number:?} is no size"))
            .hint("a size is a number of ids, as in auto:size=65536")),
    }
}

fn mappings(flag: &str, texts: &[String]) -> Result<Vec<IdMapping>> {
    super::parse_all(texts, |text| mapping(flag, text))
}

/// `0:100000:65536`; one id where the count is left out.
fn mapping(flag: &str, text: &str) -> Result<IdMapping> {
    let refused = |why: &str| {
        refuse(flag, text, why).hint("write CONTAINER:HOST[:COUNT], such as 0:100000:65536")
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (inside, outside, count) = match parts[..] {
        [inside, outside] => (inside, outside, "1"),
        [inside, outside, count] => (inside, outside, count),
        _ => return Err(refused("not two or three numbers")),
    };
    // A sign is podman's for a mapping that adds to others, which there is not.
    let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
        true => part.parse::<u32>().map_err(|_| refused("not a number")),
        false => Err(refused("not a number")),
    };
    let mapping = IdMapping {
        container_id: number(inside)?,
        host_id: number(outside)?,
        size: number(count)?,
    };
    let ends = [mapping.container_id, mapping.host_id].map(|first| first.checked_add(mapping.size));
    if mapping.size == 0 || ends.contains(&None) {
        return Err(refused("the range is empty or goes beyond the last id"));
    }
    Ok(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(change: impl FnOnce(&mut NamespaceFlags)) -> Result<NamespaceOptions> {
        let mut flags = NamespaceFlags::default();
        change(&mut flags);
        flags.options()
    }

    #[test]
    fn modes_are_words_containers_or_paths() {
        let cases = [
            ("host", Some(Sharing::Host)),
            ("", Some(Sharing::Private)),
            ("private", Some(Sharing::Private)),
            ("container:web", Some(Sharing::Container("web".into()))),
            ("ns:/proc/1/ns/pid", Some(Sharing::Path("/proc/1/ns/pid".into()))),
            ("ns:relative", None),
            ("container:", None),
            ("shareable", None),
            ("bogus", None),
        ];
        for (text, expected) in cases {
            let parsed = flags(|flags| flags.pid = Some(text.into())).ok();
            assert_eq!(parsed.map(|options| options.pid), expected, "parsing {text:?}");
        }
        assert_eq!(flags(|f| f.ipc = Some("none".into())).unwrap().ipc, Sharing::Bare);
        assert_eq!(flags(|f| f.ipc = Some("shareable".into())).unwrap().ipc, Sharing::Shareable);
    }

    #[test]
    fn user_namespaces_have_more_modes() {
        let user =
            |text: &str| flags(|flags| flags.ids.userns = Some(text.into())).map(|all| all.user);
        let range = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let auto = |size, uids| UserNamespace::Auto { size, uids, gids: Vec::new() };

        assert_eq!(user("auto").unwrap(), auto(None, Vec::new()));
        assert_eq!(
            user("auto:size=10,uidmapping=0:5:1").unwrap(),
            auto(Some(10), vec![range(0, 5, 1)])
        );
        assert_eq!(
            user("keep-id:uid=3,gid=4").unwrap(),
            UserNamespace::KeepId { uid: Some(3), gid: Some(4) }
        );
        assert_eq!(user("container:x").unwrap(), UserNamespace::Container("x".into()));
        for bad in ["auto:size=0", "auto:x=1", "keep-id:uid=-1", "host:x", "bogus", "private"] {
            assert!(user(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mappings_are_ranges_and_one_list_stands_for_both() {
        let cases = [
            ("0:100000:65536", true),
            ("5:6", true),
            ("0:1:0", false),
            ("0:4294967295:2", false),
            ("0", false),
            ("a:b:c", false),
            ("+0:1:1", false),
        ];
        for (text, is_fine) in cases {
            let parsed = flags(|flags| flags.ids.uidmap = vec![text.into()]);
            assert_eq!(parsed.is_ok(), is_fine, "parsing {text:?}");
            if let Ok(NamespaceOptions { user: UserNamespace::Mapped { uids, gids }, .. }) = parsed
            {
                assert_eq!(uids, gids);
            }
        }
    }

    #[test]
    fn two_words_for_the_ids_are_one_too_many() {
        let both = flags(|flags| {
            flags.ids.userns = Some("auto".into());
            flags.ids.uidmap = vec!["0:1:1".into()];
        });
        let names = flags(|flags| {
            flags.ids.subuidname = Some("me".into());
            flags.ids.gidmap = vec!["0:1:1".into()];
        });

        assert!(both.is_err() && names.is_err());
        let one = flags(|flags| flags.ids.subgidname = Some("me".into())).unwrap().user;
        assert_eq!(one, UserNamespace::Ranges { user: "me".into(), group: "me".into() });
    }
}
