//! Labels of SELinux: which ones a container's processes and files have.
//!
//! ```text
//!   /etc/selinux/config ─SELINUXTYPE─▶ /etc/selinux/<type>/contexts/lxc_contexts: process=…, file=…
//!     + two categories that no other container or pod has, chosen where the row is written
//!     + --security-opt label=user:|role:|type:|filetype:|level:
//!     ─▶ config.json: process.selinuxLabel, linux.mountLabel
//!     ─▶ what lies on the host and is shown inside: the attribute `security.selinux`
//! ```
//!
//! Where the kernel runs no SELinux, or its policy knows nothing of containers, there are no labels and
//! the options are said and done, as in docker and podman. What a label forbids is the policy's affair.

use crate::{
    options::{CreateOptions, LabelField, LabelOption, Relabel, Rights, Sharing},
    pods,
    record::{Joined, Record},
    volumes,
};
use dhow_base::{
    Doing, Error, Kind, Result, file,
    id::{ContainerId, random_hex},
};
use dhow_spec::runtime::NamespaceKind;
use dhow_state::{Read, containers};
use rustix::{fs::XattrFlags, io::Errno};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, path::Path};

/// What the kernel shows where SELinux is on.
const SWITCH: &str = "/sys/fs/selinux/enforce";
/// Where the host says which policy it has.
const CONFIG: &str = "/etc/selinux/config";
const LIMIT_BYTES: u64 = 64 << 10;
/// The attribute that holds the label of a file.
pub(crate) const ATTRIBUTE: &str = "security.selinux";
/// How many categories the policies of distributions have.
const CATEGORIES: u32 = 1024;
/// How often two categories are drawn that nobody has.
const DRAWS: usize = 4096;
/// The categories of files that are not protected by a label of their process: nobody is given them.
const OF_UNLABELLED: (u32, u32) = (1022, 1023);
/// The level of files that all containers may use.
const SHARED: &str = "s0";

/// The labels of a container; empty ones say nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Labels {
    /// Of its processes.
    pub(crate) process: String,
    /// Of what it finds in its root.
    pub(crate) files: String,
}

/// A label, taken apart. A level may have colons.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Context {
    user: String,
    role: String,
    kind: String,
    level: String,
}

impl Context {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ':').map(str::to_owned);
        let (user, role, kind) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { user, role, kind, level: parts.next().unwrap_or_default() })
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.user, self.role, self.kind)?;
        if self.level.is_empty() { Ok(()) } else { write!(f, ":{}", self.level) }
    }
}

/// What the host's policy gives to containers.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Usual {
    process: Context,
    /// Of processes below a systemd of the container's own, where the policy has a word for them.
    init: Option<Context>,
    files: Context,
}

impl Usual {
    /// Nothing where SELinux is off, or its policy has no word on containers.
    fn of_host() -> Result<Option<Self>> {
        if rustix::fs::access(SWITCH, rustix::fs::Access::EXISTS).is_err() {
            return Ok(None);
        }
        let Some(config) = text(Path::new(CONFIG))? else { return Ok(None) };
        let Some(policy) = value(&config, "SELINUXTYPE") else { return Ok(None) };
        // A file of root's, but a word all the same.
        if policy.contains(['/', '.']) {
            return Ok(None);
        }
        let path = format!("/etc/selinux/{policy}/contexts/lxc_contexts");
        Ok(text(Path::new(&path))?.as_deref().and_then(Self::parse))
    }

    /// What `lxc_contexts` says.
    fn parse(text: &str) -> Option<Self> {
        Some(Self {
            process: Context::parse(value(text, "process")?)?,
            init: value(text, "init_process").and_then(Context::parse),
            files: Context::parse(value(text, "file")?)?,
        })
    }

    fn labels(self, options: &[LabelOption], level: &str) -> Labels {
        let Self { mut process, mut files, .. } = self;
        for context in [&mut process, &mut files] {
            // A policy without levels has none to give.
            if !context.level.is_empty() {
                level.clone_into(&mut context.level);
            }
        }
        for option in options {
            let LabelOption::Field(field, value) = option else { continue };
            let fields = match field {
                LabelField::User => vec![&mut process.user, &mut files.user],
                LabelField::Role => vec![&mut process.role],
                LabelField::Type => vec![&mut process.kind],
                LabelField::FileType => vec![&mut files.kind],
                LabelField::Level => vec![&mut process.level, &mut files.level],
            };
            fields.into_iter().for_each(|field| value.clone_into(field));
        }
        Labels { process: process.to_string(), files: files.to_string() }
    }
}

/// Gives a container its labels, for the transaction that writes its row. `joined` are the containers
/// whose processes or memory it shares: it has their labels then.
pub(crate) fn take(read: &Read, options: &CreateOptions, record: &mut Record) -> Result<()> {
    let Some(usual) = Usual::of_host()? else { return Ok(()) };
    let Rights { privileged, labels: said, .. } = &options.rights;
    let namespaces = &options.namespaces;
    if *privileged
        || said.contains(&LabelOption::Disable)
        || namespaces.pid == Sharing::Host
        || namespaces.ipc == Sharing::Host
    {
        let (one, other) = OF_UNLABELLED;
        let Labels { files, .. } = usual.labels(&[], &level(one, other));
        record.selinux = Labels { process: String::new(), files };
        return Ok(());
    }
    let usual = match &usual.init {
        Some(init) if record.systemd => Usual { process: init.clone(), ..usual },
        _ => usual,
    };
    let mut said = said.clone();
    for label in labels_of(read, &record.namespaces.joined)? {
        said.extend(fields(&label));
    }
    let is_level =
        |option: &LabelOption| matches!(option, LabelOption::Field(LabelField::Level, _));
    let free = if said.iter().any(is_level) { String::new() } else { free_level(read)? };
    record.selinux = usual.labels(&said, &free);
    Ok(())
}

/// The process labels of those whose processes or memory are shared.
fn labels_of(read: &Read, joined: &[Joined]) -> Result<Vec<String>> {
    let shared = |one: &&Joined| matches!(one.kind, NamespaceKind::Pid | NamespaceKind::Ipc);
    let mut labels = Vec::new();
    for Joined { container, .. } in joined.iter().filter(shared) {
        let id: ContainerId = container.parse()?;
        if let Some(row) = containers::find(read, &id)? {
            labels.push(Record::parse(&row.settings)?.selinux.process);
        }
    }
    Ok(labels)
}

/// A label as the options that ask for it.
fn fields(label: &str) -> Vec<LabelOption> {
    let Some(context) = Context::parse(label) else { return Vec::new() };
    let Context { user, role, kind, level } = context;
    [
        (LabelField::User, user),
        (LabelField::Role, role),
        (LabelField::Type, kind),
        (LabelField::Level, level),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(field, value)| LabelOption::Field(field, value))
    .collect()
}

/// The level for all containers of a new pod, whose memory they share; none where there are no labels.
pub(crate) fn level_for_pod(read: &Read) -> Result<Option<String>> {
    match Usual::of_host()? {
        Some(usual) if !usual.process.level.is_empty() => free_level(read).map(Some),
        _ => Ok(None),
    }
}

/// A level that no container and no pod has.
fn free_level(read: &Read) -> Result<String> {
    let mut taken: BTreeSet<String> = pods::levels(read)?.into_iter().collect();
    for row in containers::list(read)? {
        let labels = Record::parse(&row.settings)?.selinux;
        taken.extend(Context::parse(&labels.process).map(|context| context.level));
    }
    for _ in 0..DRAWS {
        let drawn = random_hex(8)?;
        let number = |text: &str| u32::from_str_radix(text, 16).map_or(0, |n| n % CATEGORIES);
        let (one, other) = (number(&drawn[..8]), number(&drawn[8..]));
        let pair = (one.min(other), one.max(other));
        let level = level(pair.0, pair.1);
        if one != other && pair != OF_UNLABELLED && !taken.contains(&level) {
            return Ok(level);
        }
    }
    Err(Error::new(Kind::Exhausted, "find two categories of SELinux that no container has")
        .hint("containers that are not needed any more have some: `dhow container prune`"))
}

fn level(one: u32, other: u32) -> String {
    format!("s0:c{one},c{other}")
}

/// The label of files of this level; none where there are no labels.
pub(crate) fn files_of_level(level: Option<&str>) -> Result<Option<String>> {
    let Some(level) = level else { return Ok(None) };
    Ok(Usual::of_host()?.map(|usual| usual.labels(&[], level).files))
}

/// Labels what is made for all containers: the directory of a volume.
pub(crate) fn mark_for_all(path: &Path) -> Result<()> {
    match files_of_level(Some(SHARED))? {
        Some(label) => mark(path, &label),
        None => Ok(()),
    }
}

/// Labels a file of the engine's for those who have `label`; an empty one changes nothing.
pub(crate) fn mark(path: &Path, label: &str) -> Result<()> {
    if label.is_empty() {
        return Ok(());
    }
    match rustix::fs::lsetxattr(path, ATTRIBUTE, label.as_bytes(), XattrFlags::empty()) {
        // A file system without labels has one for all of its files.
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("label {} {label}", path.display())),
    }
}

/// As [`mark`], for whoever has a network in common.
pub(crate) fn mark_shared(path: &Path, label: &str) -> Result<()> {
    mark(path, &shared(label))
}

/// `z` and `Z`: labels all that a path of the user's holds.
pub(crate) fn relabel(path: &Path, label: &str, how: Relabel) -> Result<()> {
    if label.is_empty() {
        return Ok(());
    }
    match how {
        Relabel::Private => volumes::label(path, label),
        Relabel::Shared => volumes::label(path, &shared(label)),
    }
}

/// The label without categories: the files of all containers.
fn shared(label: &str) -> String {
    match Context::parse(label) {
        Some(context) if !context.level.is_empty() => {
            Context { level: SHARED.to_owned(), ..context }.to_string()
        }
        _ => label.to_owned(),
    }
}

fn text(path: &Path) -> Result<Option<String>> {
    match file::read_limited(path, LIMIT_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The value of a line `name = value`, with or without quotes; comments begin with `#`.
fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEDORA: &str = "process = \"system_u:system_r:container_t:s0\"\n\
                          content = \"system_u:object_r:virt_var_lib_t:s0\"\n\
                          file = \"system_u:object_r:container_file_t:s0\"\n";

    fn labels(options: &[&str]) -> Labels {
        let options: Vec<LabelOption> = options.iter().map(|text| text.parse().unwrap()).collect();
        Usual::parse(FEDORA).unwrap().labels(&options, "s0:c1,c2")
    }

    #[test]
    fn labels_are_the_policys_with_what_was_asked_for() {
        let usual = labels(&[]);
        assert_eq!(usual.process, "system_u:system_r:container_t:s0:c1,c2");
        assert_eq!(usual.files, "system_u:object_r:container_file_t:s0:c1,c2");

        let asked =
            labels(&["user:u", "role:r", "type:t", "filetype:f", "level:s0:c7", "level:s0:c8,c9"]);
        assert_eq!(asked.process, "u:r:t:s0:c8,c9");
        assert_eq!(asked.files, "u:object_r:f:s0:c8,c9");
    }

    #[test]
    fn a_policy_without_levels_gets_none() {
        let usual = Usual::parse("process=u:r:t\nfile=u:o:f # \n").unwrap();

        assert_eq!(usual.labels(&[], "s0:c1,c2").process, "u:r:t");
    }

    #[test]
    fn a_label_can_be_asked_for_by_its_fields() {
        let label = "u:r:t:s0-s0:c0.c1023";

        let again = Usual::parse(FEDORA).unwrap().labels(&fields(label), "");

        assert_eq!(again.process, label);
        assert_eq!(again.files, "u:object_r:container_file_t:s0-s0:c0.c1023");
    }

    #[test]
    fn shared_files_have_no_categories() {
        assert_eq!(shared("u:o:f:s0:c1,c2"), "u:o:f:s0");
        assert_eq!(shared("u:o:f"), "u:o:f");
    }

    #[test]
    fn comments_and_quotes_of_a_file_are_no_values() {
        let text = "# SELINUXTYPE=old\nSELINUX=enforcing\nSELINUXTYPE = \"targeted\" \n";

        assert_eq!(value(text, "SELINUXTYPE"), Some("targeted"));
        assert_eq!(value(text, "SELINUXTYP"), None);
    }
}
