//! Intel's resource director: a container's share of caches and memory bandwidth (`linux.intelRdt`).
//!
//! ```text
//! <resctrl>/schemata, tasks             the group that everything is in at first: closID "/"
//! <resctrl>/<closID or id>/
//!     schemata                          what of each resource the group has, a line a resource
//!     tasks                             who is in it; children are born in it
//!     mon_groups/<id>/                  counted apart (`enableMonitoring`)
//! ```
//!
//! A group that is called like the container is the container's, and goes with it. One that the
//! configuration names is somebody else's to remove, even where it had to be made.

use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_spec::runtime::IntelRdt;
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

/// The longest table of mounts, and the longest `schemata`, that is read.
const LIMIT_BYTES: u64 = 16 << 20;

/// Directories of the kernel's own.
const RESERVED: [&str; 3] = ["info", "mon_groups", "mon_data"];

/// The group that a container is in.
#[derive(Debug)]
pub(crate) struct Group {
    root: PathBuf,
    directory: PathBuf,
    /// The directory in which the container alone is counted.
    monitored: Option<PathBuf>,
    /// What was made for it, in the order in which it goes.
    made: Vec<PathBuf>,
}

impl Group {
    /// Makes the group that the configuration asks for, or checks the one that is there.
    pub(crate) fn make(id: &str, asked: Option<&IntelRdt>) -> Result<Option<Self>> {
        let Some(asked) = asked else { return Ok(None) };
        let doing = || "use linux.intelRdt";
        Self::make_below(&mounted()?, id, asked).map(Some).doing(doing)
    }

    /// The group of a container that exists.
    pub(crate) fn open(id: &str, asked: Option<&IntelRdt>) -> Result<Option<Self>> {
        let Some(asked) = asked else { return Ok(None) };
        Self::named(&mounted()?, id, asked).map(Some).doing(|| "use linux.intelRdt")
    }

    /// Removes what a container leaves.
    pub(crate) fn remove(id: &str, asked: Option<&IntelRdt>) -> Result<()> {
        match Self::open(id, asked) {
            // Unmounted meanwhile, and gone with all groups.
            Err(error) if error.kind() == Kind::Unsupported => Ok(()),
            Err(error) => Err(error),
            Ok(None) => Ok(()),
            Ok(Some(group)) => group.remove_own(asked.is_some_and(|asked| name(asked).is_none())),
        }
    }

    fn named(root: &Path, id: &str, asked: &IntelRdt) -> Result<Self> {
        let directory = match name(asked) {
            Some("/") => root.to_owned(),
            Some(name) => root.join(checked(name)?),
            None => root.join(checked(id)?),
        };
        let monitored = asked.enable_monitoring.then(|| directory.join("mon_groups").join(id));
        Ok(Self { root: root.to_owned(), directory, monitored, made: Vec::new() })
    }

    fn make_below(root: &Path, id: &str, asked: &IntelRdt) -> Result<Self> {
        let lines = Lines::of(asked)?;
        let mut group = Self::named(root, id, asked)?;
        match group.fill(asked, &lines) {
            Ok(()) => Ok(group),
            Err(error) => {
                group.undo();
                Err(error)
            }
        }
    }

    fn fill(&mut self, asked: &IntelRdt, lines: &Lines) -> Result<()> {
        let doing = || format!("use the group {}", self.directory.display());
        if self.directory.is_dir() {
            if name(asked).is_none() {
                return Err(Error::new(Kind::AlreadyExists, "it is there already")).doing(doing);
            }
            self.compare(lines).doing(doing)?;
        } else if name(asked).is_some() && lines.is_empty() {
            let text = "it is not there, and nothing says what would be in it";
            return Err(Error::new(Kind::NotFound, text)).doing(doing);
        } else {
            let directory = self.directory.clone();
            self.make_directory(directory)?;
            for text in [&lines.combined, &lines.last].into_iter().filter(|text| !text.is_empty()) {
                self.write("schemata", text)?;
            }
        }
        match self.monitored.clone() {
            Some(monitored) => self.make_directory(monitored),
            None => Ok(()),
        }
    }

    fn make_directory(&mut self, directory: PathBuf) -> Result<()> {
        std::fs::create_dir(&directory)
            .doing(|| format!("make the group {}", directory.display()))
            .map_err(|error| self.explained(error))?;
        self.made.insert(0, directory);
        Ok(())
    }

    /// Each line that is asked for must be what the group has; of resources that are not asked for
    /// it may have anything.
    fn compare(&self, lines: &Lines) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let text = file::read_limited(&self.directory.join("schemata"), LIMIT_BYTES)?;
        let text = String::from_utf8_lossy(&text);
        let has: BTreeMap<_, _> = text.lines().filter_map(parse).collect();
        for line in lines.combined.lines().chain(lines.last.lines()) {
            let found = parse(line).is_some_and(|(resource, shares)| {
                has.get(&resource).is_some_and(|has| {
                    shares.iter().all(|(domain, share)| has.get(domain) == Some(share))
                })
            });
            if !found {
                let text = format!("its schemata do not have {line:?}");
                return Err(Error::new(Kind::Conflict, text));
            }
        }
        Ok(())
    }

    /// Puts a process into it.
    pub(crate) fn add(&self, pid: i32) -> Result<()> {
        if let Some(monitored) = &self.monitored {
            return self.write_file(&monitored.join("tasks"), &format!("{pid}\n")).and_then(|()| {
                // A monitoring group counts only who is in its parent.
                self.write("tasks", &format!("{pid}\n"))
            });
        }
        self.write("tasks", &format!("{pid}\n"))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        self.write_file(&self.directory.join(name), text)
    }

    fn write_file(&self, path: &Path, text: &str) -> Result<()> {
        // The kernel has the file, and refuses to have others made; one write is one command.
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .doing(|| format!("write {text:?} to {}", path.display()))
            .map_err(|error| self.explained(error))
    }

    /// The kernel's own words for the last failure.
    fn explained(&self, error: Error) -> Error {
        let status = file::read_limited(&self.root.join("info/last_cmd_status"), LIMIT_BYTES);
        let words = status.map(|words| String::from_utf8_lossy(&words).trim().to_owned());
        match words {
            Ok(words) if !words.is_empty() && words != "ok" => error.hint(words),
            _ => error,
        }
    }

    /// Takes back what [`Group::make`] has made.
    pub(crate) fn undo(&self) {
        for directory in &self.made {
            let _kept = std::fs::remove_dir(directory);
        }
    }

    fn remove_own(&self, is_own: bool) -> Result<()> {
        let own = is_own.then_some(&self.directory);
        let mut result = Ok(());
        for directory in self.monitored.iter().chain(own) {
            match std::fs::remove_dir(directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let removed =
                        Err(error).doing(|| format!("remove the group {}", directory.display()));
                    result = result.and(removed);
                }
                _ => {}
            }
        }
        result
    }
}

/// A change of what a container's group has, which the machine is able to do.
#[derive(Debug)]
pub(crate) struct GroupChange {
    group: Group,
    lines: Lines,
}

impl GroupChange {
    /// Puts the schemata that are given into the configuration; nothing is written yet.
    pub(crate) fn prepare(
        id: &str,
        asked: Option<&mut IntelRdt>,
        l3: Option<&str>,
        bandwidth: Option<&str>,
    ) -> Result<Self> {
        let root = match mounted() {
            Err(error) if error.kind() == Kind::Unsupported => PathBuf::new(),
            result => result?,
        };
        Self::prepare_below(&root, id, asked, l3, bandwidth)
    }

    fn prepare_below(
        root: &Path,
        id: &str,
        asked: Option<&mut IntelRdt>,
        l3: Option<&str>,
        bandwidth: Option<&str>,
    ) -> Result<Self> {
        let can = |resource: &str| {
            !root.as_os_str().is_empty() && root.join("info").join(resource).is_dir()
        };
        let refuse = |text: &str| Err(Error::new(Kind::Unsupported, text));
        if l3.is_some() && !can("L3") {
            return refuse("Intel RDT/CAT: l3 cache schema is not enabled");
        }
        if bandwidth.is_some() && !can("MB") {
            return refuse("Intel RDT/MBA: memory bandwidth schema is not enabled");
        }
        let Some(asked) = asked else {
            let text = "updating a non-existent Intel RDT configuration is not supported";
            return Err(
                Error::new(Kind::Conflict, text).hint("create the container with linux.intelRdt")
            );
        };
        let given = |text: &str| Some(text.to_owned());
        asked.l3_cache_schema = l3.map_or(asked.l3_cache_schema.take(), given);
        asked.mem_bw_schema = bandwidth.map_or(asked.mem_bw_schema.take(), given);
        Ok(Self { lines: Lines::of(asked)?, group: Group::named(root, id, asked)? })
    }

    /// Writes it. The kernel takes a line or refuses it, so that a failure changes little.
    pub(crate) fn write(&self) -> Result<()> {
        let Lines { combined, last } = &self.lines;
        [combined, last]
            .into_iter()
            .filter(|text| !text.is_empty())
            .try_for_each(|text| self.group.write("schemata", text))
    }
}

/// The group's name, where the configuration gives one.
fn name(asked: &IntelRdt) -> Option<&str> {
    asked.clos_id.as_deref().filter(|name| !name.is_empty())
}

fn checked(name: &str) -> Result<&str> {
    let is_bad =
        name.contains(['/', '\n', '\0']) || matches!(name, "." | "..") || RESERVED.contains(&name);
    if is_bad {
        return Err(Error::new(Kind::Invalid, format!("use {name:?} as the name of a group")));
    }
    Ok(name)
}

/// What is written to `schemata`, in two writes.
#[derive(Debug, Default)]
struct Lines {
    combined: String,
    last: String,
}

impl Lines {
    fn of(asked: &IntelRdt) -> Result<Self> {
        let (l3, bandwidth) = (asked.l3_cache_schema.as_deref(), asked.mem_bw_schema.as_deref());
        if bandwidth.is_some_and(|line| !line.starts_with("MB:") || line.contains('\n')) {
            let text = "use memBwSchema: it is not one line that starts with MB:";
            return Err(Error::new(Kind::Invalid, text));
        }
        let mut lines = Self::default();
        let is_bandwidth = |line: &&str| line.trim_start().starts_with("MB:");
        let of_cache = l3.into_iter().flat_map(str::lines);
        // The field that is for bandwidth has the last word on it.
        for line in of_cache.filter(|line| bandwidth.is_none() || !is_bandwidth(line)) {
            lines.combined.push_str(line);
            lines.combined.push('\n');
        }
        if let Some(line) = bandwidth {
            lines.combined.push_str(line);
            lines.combined.push('\n');
        }
        for line in asked.schemata.iter().flat_map(|line| line.lines()) {
            lines.last.push_str(line);
            lines.last.push('\n');
        }
        Ok(lines)
    }

    fn is_empty(&self) -> bool {
        self.combined.is_empty() && self.last.is_empty()
    }
}

/// `L3:0=fff;1=00f`: the resource, and each domain's share without leading zeros.
fn parse(line: &str) -> Option<(String, BTreeMap<String, String>)> {
    let (resource, shares) = line.trim().split_once(':')?;
    let shares = shares.split(';').filter_map(|share| {
        let (domain, value) = share.split_once('=')?;
        let value = value.trim().trim_start_matches('0').to_ascii_lowercase();
        Some((domain.trim().to_owned(), value))
    });
    Some((resource.trim().to_owned(), shares.collect()))
}

/// Where the kernel shows its groups.
fn mounted() -> Result<PathBuf> {
    let table = file::read_limited(Path::new("/proc/self/mountinfo"), LIMIT_BYTES)
        .doing(|| "find resctrl")?;
    String::from_utf8_lossy(&table).lines().find_map(mount_point).ok_or_else(|| {
        let text = "use linux.intelRdt: no resctrl filesystem is mounted";
        Error::new(Kind::Unsupported, text)
            .hint("mount -t resctrl resctrl /sys/fs/resctrl, where the processor can do it")
    })
}

/// The place of a line of the table, if it is resctrl's.
fn mount_point(line: &str) -> Option<PathBuf> {
    let (place, filesystem) = line.split_once(" - ")?;
    let is_resctrl = filesystem.split(' ').next() == Some("resctrl");
    is_resctrl.then(|| place.split(' ').nth(4).map(PathBuf::from)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rdt(clos_id: Option<&str>, l3: Option<&str>, mb: Option<&str>) -> IntelRdt {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        IntelRdt {
            clos_id: owned(clos_id),
            l3_cache_schema: owned(l3),
            mem_bw_schema: owned(mb),
            ..IntelRdt::default()
        }
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_group_is_called_like_the_container_and_goes_with_it() {
        let root = tempfile::tempdir().unwrap();
        let asked = rdt(None, Some("L3:0=f0;1=f\nMB:0=10"), Some("MB:0=20;1=70"));

        let group = Group::make_below(root.path(), "box", &asked).unwrap();
        group.add(17).unwrap();
        group.add(18).unwrap();

        let at = root.path().join("box");
        assert_eq!(read(&at.join("schemata")), "L3:0=f0;1=f\nMB:0=20;1=70\n");
        assert_eq!(read(&at.join("tasks")), "17\n18\n");
        assert!(Group::make_below(root.path(), "box", &asked).is_err(), "the name is taken");
        assert!(at.is_dir(), "a failed creation leaves another's group alone");
        for name in ["schemata", "tasks"] {
            std::fs::remove_file(at.join(name)).unwrap();
        }
        Group::named(root.path(), "box", &asked).unwrap().remove_own(true).unwrap();
        assert!(!at.exists());
    }

    #[test]
    fn the_whole_schemata_are_written_last() {
        let root = tempfile::tempdir().unwrap();
        let mut asked = rdt(Some("class"), Some("L3:0=1"), None);
        asked.schemata = vec!["L3:0=3".to_owned(), "L2:0=f".to_owned()];

        drop(Group::make_below(root.path(), "box", &asked).unwrap());

        let at = root.path().join("class");
        assert_eq!(read(&at.join("schemata")), "L3:0=1\nL3:0=3\nL2:0=f\n");
        // Made for the container, but named by the configuration: others may be in it.
        Group::named(root.path(), "box", &asked).unwrap().remove_own(false).unwrap();
        assert!(at.is_dir());
    }

    #[test]
    fn a_group_that_is_there_must_have_what_is_asked_for() {
        let root = tempfile::tempdir().unwrap();
        let at = root.path().join("class");
        std::fs::create_dir(&at).unwrap();
        std::fs::write(at.join("schemata"), "    L3:0=00F;1=fff\n    MB:0= 20;1=100\n").unwrap();
        let make = |l3, mb| Group::make_below(root.path(), "box", &rdt(Some("class"), l3, mb));

        assert!(make(None, None).is_ok());
        assert!(make(Some("L3:0=f"), None).is_ok());
        assert!(make(Some("L3:1=fff;0=00f"), Some("MB:0=20")).is_ok());
        for (l3, mb) in [
            (Some("L3:0=ff"), None),
            (Some("L3:2=f"), None),
            (Some("L2:0=f"), None),
            (Some("L3:0=f"), Some("MB:0=30")),
        ] {
            assert_eq!(make(l3, mb).unwrap_err().kind(), Kind::Conflict, "{l3:?} {mb:?}");
        }
        assert_eq!(read(&at.join("schemata")).lines().count(), 2, "nothing was written");
    }

    #[test]
    fn a_named_group_without_content_must_be_there() {
        let root = tempfile::tempdir().unwrap();

        let error = Group::make_below(root.path(), "box", &rdt(Some("class"), None, None));

        assert_eq!(error.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_first_group_can_be_named_and_a_container_counted_apart() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("mon_groups")).unwrap();
        let mut asked = rdt(Some("/"), None, None);
        asked.enable_monitoring = true;

        let group = Group::make_below(root.path(), "box", &asked).unwrap();
        group.add(9).unwrap();

        let counted = root.path().join("mon_groups/box");
        assert_eq!(read(&counted.join("tasks")), "9\n");
        std::fs::remove_file(counted.join("tasks")).unwrap();
        group.undo();
        assert!(!counted.exists() && root.path().exists());
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let mut asked = rdt(None, None, None);
        asked.enable_monitoring = true;

        // A plain directory has no mon_groups, as a processor that cannot count has none.
        let error = Group::make_below(root.path(), "box", &asked).unwrap_err();

        assert!(error.one_line().contains("mon_groups/box"), "{}", error.one_line());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let root = tempfile::tempdir().unwrap();
        let mut asked = rdt(None, Some("L3:0=f0"), Some("MB:0=20"));
        drop(Group::make_below(root.path(), "box", &asked).unwrap());
        let schemata = root.path().join("box/schemata");
        std::fs::write(&schemata, "").unwrap();
        let prepare = |asked: Option<&mut IntelRdt>, l3, bandwidth| {
            GroupChange::prepare_below(root.path(), "box", asked, l3, bandwidth)
        };

        let refused = [(Some("L3:0=1"), None, "l3 cache"), (None, Some("MB:0=1"), "bandwidth")];
        for (l3, bandwidth, says) in refused {
            let error = prepare(Some(&mut asked), l3, bandwidth).unwrap_err();
            assert!(error.one_line().contains(says), "{}", error.one_line());
        }
        std::fs::create_dir_all(root.path().join("info/L3")).unwrap();
        std::fs::create_dir_all(root.path().join("info/MB")).unwrap();
        assert_eq!(prepare(None, Some("L3:0=1"), None).unwrap_err().kind(), Kind::Conflict);
        assert_eq!(asked, rdt(None, Some("L3:0=f0"), Some("MB:0=20")), "nothing has changed");
        prepare(Some(&mut asked), None, Some("MB:0=70")).unwrap().write().unwrap();

        assert_eq!(read(&schemata), "L3:0=f0\nMB:0=70\n");
        assert_eq!(asked, rdt(None, Some("L3:0=f0"), Some("MB:0=70")));
        assert!(prepare(Some(&mut asked), None, Some("L3:0=1")).is_err(), "no bandwidth");
    }

    #[test]
    fn names_do_not_climb_and_bandwidth_is_one_line() {
        let root = tempfile::tempdir().unwrap();
        for name in ["..", "a/b", "/a", "info", "mon_groups", "a\nb"] {
            let error = Group::make_below(root.path(), "box", &rdt(Some(name), None, None));
            assert_eq!(error.unwrap_err().kind(), Kind::Invalid, "{name:?}");
        }
        for line in ["L3:0=1", "MB:0=1\nL3:0=1"] {
            let asked = rdt(None, None, Some(line));
            let error = Group::make_below(root.path(), "box", &asked);
            assert_eq!(error.unwrap_err().kind(), Kind::Invalid, "{line:?}");
        }
    }

    #[test]
    fn the_mount_is_found_by_its_type() {
        let line = "36 25 0:31 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw";
        let other = "36 25 0:31 / /resctrl rw,relatime - tmpfs resctrl rw";

        assert_eq!(mount_point(line), Some(PathBuf::from("/sys/fs/resctrl")));
        assert_eq!(mount_point(other), None);
    }
}
