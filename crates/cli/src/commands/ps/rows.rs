//! A container as a row of `ps`.

use super::ports;
use crate::render::{
    list::Row,
    text::{command_line, quoted, shortened},
};
use dhow_base::{
    clock::{Moment, humanly},
    size,
};
use dhow_engine::{ContainerSize, Summary};
use dhow_state::containers::Phase;

/// Letters of a command that fit its column.
const COMMAND_LIMIT: usize = 20;

/// How rows are made.
pub(super) struct Rows {
    now: Moment,
    /// Ids and commands are not shortened.
    whole: bool,
    /// Commands are not in quotes, as for podman.
    bare: bool,
    namespaces: bool,
    /// Those fields that somebody will look at.
    fields: Vec<Field>,
}

/// A field, and how it is made.
type Field = (&'static str, fn(&Rows, &Summary, Option<ContainerSize>) -> String);

const FIELDS: [Field; 18] = [
    ("Command", |rows, container, _| rows.command(container)),
    ("CreatedAt", |_, container, _| container.created.as_go_prints()),
    ("ExitCode", |_, container, _| container.exit_code.unwrap_or(0).to_string()),
    ("ID", |rows, container, _| rows.id(container).to_owned()),
    ("Image", |_, container, _| container.image_name.clone()),
    ("Labels", |_, container, _| labels(container)),
    ("LocalVolumes", |_, container, _| container.volumes.len().to_string()),
    ("Mounts", |_, container, _| container.mounts.join(",")),
    ("Names", |_, container, _| container.name.clone()),
    ("Networks", |_, container, _| container.networks.join(",")),
    ("Pid", |_, container, _| container.pid.unwrap_or(0).to_string()),
    ("Pod", |_, container, _| container.pod().0.to_owned()),
    ("PodName", |_, container, _| container.pod().1.to_owned()),
    ("Ports", |rows, container, _| rows.ports(container)),
    ("RunningFor", |rows, container, _| {
        format!("{} ago", humanly(rows.now.since(container.created)))
    }),
    ("Size", |_, _, size| size.map(shown).unwrap_or_default()),
    ("State", |_, container, _| container.status().to_owned()),
    ("Status", |rows, container, _| rows.status(container)),
];

impl Rows {
    /// With commands in no quotes, as podman shows them.
    pub(super) fn bare(self, bare: bool) -> Self {
        Self { bare, ..self }
    }

    pub(super) fn new(whole: bool, namespaces: bool, shows: impl Fn(&str) -> bool) -> Self {
        let fields = FIELDS.into_iter().filter(|(name, _)| shows(name)).collect();
        Self { now: Moment::now(), whole, bare: false, namespaces, fields }
    }

    pub(super) fn row(&self, container: &Summary, size: Option<ContainerSize>) -> Row {
        let fields = self.fields.iter().map(|(name, make)| (*name, make(self, container, size)));
        match self.namespaces {
            true => Row::new(fields.chain(namespaces(container.pid))),
            false => Row::new(fields),
        }
    }

    /// What is published, and behind it what is only named, of a container that runs.
    fn ports(&self, container: &Summary) -> String {
        match container.phase {
            Phase::Running => ports::words(&container.ports, &container.exposed),
            _ => String::new(),
        }
    }

    fn id<'c>(&self, container: &'c Summary) -> &'c str {
        if self.whole { container.id.as_str() } else { container.id.short() }
    }

    fn command(&self, container: &Summary) -> String {
        let command = command_line(&container.words);
        let command =
            if self.whole { command } else { shortened(&command, COMMAND_LIMIT).into_owned() };
        if self.bare { command } else { quoted(&command) }
    }

    fn status(&self, container: &Summary) -> String {
        let ago = |moment: Option<Moment>| moment.map(|moment| humanly(self.now.since(moment)));
        match container.phase {
            Phase::Creating | Phase::Created | Phase::Starting => "Created".to_owned(),
            Phase::Running => {
                let time = ago(container.started).unwrap_or_else(|| "an unknown time".to_owned());
                match (container.paused, container.health.as_deref()) {
                    (true, _) => format!("Up {time} (Paused)"),
                    (false, Some("starting")) => format!("Up {time} (health: starting)"),
                    (false, Some(health)) => format!("Up {time} ({health})"),
                    (false, None) => format!("Up {time}"),
                }
            }
            Phase::Restarting => {
                let code = container.exit_code.unwrap_or_default();
                let time = ago(container.finished).unwrap_or_else(|| "an unknown time".to_owned());
                format!("Restarting ({code}) {time} ago")
            }
            Phase::Exited => {
                let code = container.exit_code.unwrap_or_default();
                match ago(container.finished) {
                    Some(time) => format!("Exited ({code}) {time} ago"),
                    None => format!("Exited ({code})"),
                }
            }
            Phase::Removing => "Removal In Progress".to_owned(),
        }
    }
}

fn labels(container: &Summary) -> String {
    let labels = container.labels.iter().map(|(key, value)| format!("{key}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

fn shown(size: ContainerSize) -> String {
    let whole = size.written.saturating_add(size.image);
    format!("{} (virtual {})", size::humanly(size.written), size::humanly(whole))
}

/// The numbers of a process's namespaces; nothing where it does not run.
fn namespaces(pid: Option<i32>) -> Vec<(&'static str, String)> {
    const KINDS: [(&str, &str); 7] = [
        ("CGroupNS", "cgroup"),
        ("IPC", "ipc"),
        ("MNT", "mnt"),
        ("NET", "net"),
        ("PIDNS", "pid"),
        ("UserNS", "user"),
        ("UTS", "uts"),
    ];
    let number = |kind: &str| -> Option<String> {
        let link = std::fs::read_link(format!("/proc/{}/ns/{kind}", pid?)).ok()?;
        Some(link.to_str()?.split(['[', ']']).nth(1)?.to_owned())
    };
    KINDS.into_iter().map(|(field, kind)| (field, number(kind).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commands::ps::choice::Choice, render::list::Shape};
    use dhow_base::id::ContainerId;

    fn container(name: &str, phase: Phase) -> Summary {
        let at = Moment::parse("2026-11-22T03:00:00Z").unwrap();
        Summary::example(ContainerId::random().unwrap(), name, phase, at)
    }

    #[test]
    fn a_row_is_as_docker_shows_it() {
        let now = Moment::parse("2026-11-22T03:05:00Z").unwrap();
        let rows = Rows { now, ..Rows::new(false, false, |_| true) };
        let running = container("web", Phase::Running);
        let shape =
            Shape::of(false, Some("{{.Command}}|{{.RunningFor}}|{{.Status}}|{{.Names}}"), "ID");

        let text = shape.unwrap().print(&[], &[rows.row(&running, None)]).unwrap();

        assert_eq!(text, "\"sh -c 'sleep 1000; …\"|5 minutes ago|Up 5 minutes|web\n");
        assert_eq!(rows.status(&container("a", Phase::Exited)), "Exited (3) 5 minutes ago");
        assert_eq!(rows.status(&container("a", Phase::Created)), "Created");
        let size = ContainerSize { written: 1000, image: 2000 };
        assert_eq!(shown(size), "1kB (virtual 3kB)");
    }

    #[test]
    fn filters_that_make_no_sense_are_refused() {
        for good in ["name=^web$", "status=paused", "health=none", "exited=3", "until=1h"] {
            Choice::check(&[good.to_owned()]).unwrap();
        }
        for bad in ["name", "name=(", "bogus=1", "status=asleep", "exited=x", "health=ill"] {
            assert!(Choice::check(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
