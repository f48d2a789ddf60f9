//! `ps`: the list of containers, in docker's columns.

use crate::{
    exit::SUCCESS,
    flags::refuse,
    invocation::Invocation,
    render::{
        list::{Column, Row, Shape},
        text::{command_line, quoted, shortened},
    },
    tree::Act,
};
use dhow_base::{
    Result,
    clock::{Moment, humanly},
};
use dhow_engine::{Engine, Summary, Which};
use dhow_state::containers::Phase;

const COLUMNS: &[Column] = &[
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
];

/// Letters of a command that fit its column.
const COMMAND_LIMIT: usize = 20;

/// List containers
///
/// Those that run, unless `--all` is given.
#[derive(clap::Args, Debug)]
pub(crate) struct Ps {
    /// List all containers, not only those that run
    #[arg(short, long)]
    all: bool,

    /// List only containers for which this holds: id=, name=, label=, status=, ancestor= or exited=
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// List the newest containers, whether they run or not
    #[arg(short = 'n', long, value_name = "NUMBER")]
    last: Option<usize>,

    /// List the newest container
    #[arg(short, long, conflicts_with = "last")]
    latest: bool,

    /// Print ids only
    #[arg(short, long)]
    quiet: bool,

    /// Do not shorten ids and commands
    #[arg(long)]
    no_trunc: bool,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for Ps {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "ID")?;
        let filters =
            self.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
        let last = if self.latest { Some(1) } else { self.last };
        // Who asks for a status means it, whether it is the usual one or not.
        let by_status =
            filters.iter().any(|filter| matches!(filter, Filter::Status(_) | Filter::Exited(_)));
        let all = self.all || last.is_some() || by_status;
        let which = if all { Which::All } else { Which::Running };
        let now = Moment::now();
        let rows: Vec<Row> = invocation
            .engine()?
            .list(which)?
            .into_iter()
            .filter(|container| passes(container, &filters))
            .take(last.unwrap_or(usize::MAX))
            .map(|container| row(&container, now, self.no_trunc))
            .collect();
        invocation.console.print(shape.print(COLUMNS, &rows)?)?;
        Ok(SUCCESS)
    }
}

fn row(container: &Summary, now: Moment, whole: bool) -> Row {
    let command = command_line(&container.words);
    let (id, command) = if whole {
        (container.id.as_str(), quoted(&command))
    } else {
        (container.id.short(), quoted(&shortened(&command, COMMAND_LIMIT)))
    };
    let labels = container.labels.iter().map(|(key, value)| format!("{key}={value}"));
    Row::new([
        ("Command", command),
        ("CreatedAt", container.created.rfc3339()),
        ("ID", id.to_owned()),
        ("Image", container.image_name.clone()),
        ("Labels", labels.collect::<Vec<_>>().join(",")),
        ("Mounts", container.mounts.join(",")),
        ("Names", container.name.clone()),
        ("Networks", container.network.clone()),
        ("Ports", String::new()),
        ("RunningFor", format!("{} ago", humanly(now.since(container.created)))),
        ("State", container.status().to_owned()),
        ("Status", status(container, now)),
    ])
}

fn status(container: &Summary, now: Moment) -> String {
    let ago = |moment: Option<Moment>| moment.map(|moment| humanly(now.since(moment)));
    match container.phase {
        Phase::Creating | Phase::Created | Phase::Starting => "Created".to_owned(),
        Phase::Running => {
            let time = ago(container.started).unwrap_or_else(|| "an unknown time".to_owned());
            match (container.course.paused, container.course.health.as_deref()) {
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

/// The containers for which all `--filter`s hold.
pub(super) fn matching(
    engine: &mut Engine,
    which: Which,
    filters: &[String],
) -> Result<Vec<Summary>> {
    let filters = filters.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
    let mut containers = engine.list(which)?;
    containers.retain(|container| passes(container, &filters));
    Ok(containers)
}

/// One `--filter`.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Filter {
    Id(String),
    Name(String),
    Label(String, Option<String>),
    Status(String),
    Health(String),
    Restart(String),
    Ancestor(String),
    Exited(i32),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            refuse("--filter", text, why)
                .hint("there are id=, name=, label=, status=, health=, restart-policy=, ancestor= and exited=")
        };
        let (key, value) = text.split_once('=').ok_or_else(|| refused("the value is missing"))?;
        let value = value.to_owned();
        Ok(match key {
            "id" => Self::Id(value),
            "name" => Self::Name(value),
            "label" => match value.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), Some(value.to_owned())),
                None => Self::Label(value, None),
            },
            "status" => {
                let known =
                    ["created", "running", "exited", "removing", "paused", "restarting", "dead"];
                if !known.contains(&value.as_str()) {
                    return Err(refused("no such status"));
                }
                Self::Status(value)
            }
            "health" => {
                if !["starting", "healthy", "unhealthy", "none"].contains(&value.as_str()) {
                    return Err(refused("no such health"));
                }
                Self::Health(value)
            }
            "restart-policy" => Self::Restart(value),
            "ancestor" => Self::Ancestor(value),
            "exited" => Self::Exited(value.parse().map_err(|_| refused("not an exit code"))?),
            _ => return Err(refused("no such filter")),
        })
    }

    fn holds(&self, container: &Summary) -> bool {
        match self {
            Self::Id(start) => container.id.as_str().starts_with(start.as_str()),
            Self::Name(part) => container.name.contains(part.strip_prefix('/').unwrap_or(part)),
            Self::Label(key, value) => container.labels.iter().any(|(other, found)| {
                other == key && value.as_ref().is_none_or(|value| value == found)
            }),
            Self::Status(word) => container.status() == word,
            Self::Health(word) => container.course.health.as_deref().unwrap_or("none") == word,
            Self::Restart(policy) => {
                container.restart.name() == policy || container.restart.to_string() == *policy
            }
            Self::Ancestor(image) => {
                let named = &container.image_name;
                named == image
                    || named.rsplit_once(':').is_some_and(|(name, _)| name == image)
                    || container.image.as_ref().is_some_and(|digest| digest.as_str() == image)
            }
            Self::Exited(code) => {
                container.phase == Phase::Exited && container.exit_code == Some(*code)
            }
        }
    }
}

/// Filters of one kind are alternatives, except labels; those of different kinds must all hold.
fn passes(container: &Summary, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| {
        let alternatives = filters
            .iter()
            .filter(|other| std::mem::discriminant(*other) == std::mem::discriminant(filter));
        match filter {
            Filter::Label(..) => filter.holds(container),
            _ => alternatives.into_iter().any(|other| other.holds(container)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::id::ContainerId;
    use dhow_engine::options::RestartPolicy;
    use dhow_state::containers::Course;

    fn container(name: &str, phase: Phase) -> Summary {
        let at = Moment::parse("2026-11-22T03:00:00Z").unwrap();
        Summary {
            id: ContainerId::random().unwrap(),
            name: name.to_owned(),
            image_name: "box:1".to_owned(),
            image: None,
            words: vec!["sh".into(), "-c".into(), "sleep 1000; echo".into()],
            phase,
            exit_code: (phase == Phase::Exited).then_some(3),
            created: at,
            started: Some(at),
            finished: Some(at),
            pid: None,
            labels: vec![("tier".into(), "web".into())],
            network: "none".to_owned(),
            mounts: Vec::new(),
            course: Course::default(),
            restart: RestartPolicy::No,
        }
    }

    #[test]
    fn a_row_is_as_docker_shows_it() {
        let now = Moment::parse("2026-11-22T03:05:00Z").unwrap();
        let running = container("web", Phase::Running);
        let shape =
            Shape::of(false, Some("{{.Command}}|{{.RunningFor}}|{{.Status}}|{{.Names}}"), "ID");

        let text = shape.unwrap().print(COLUMNS, &[row(&running, now, false)]).unwrap();

        assert_eq!(text, "\"sh -c 'sleep 1000; …\"|5 minutes ago|Up 5 minutes|web\n");
        assert_eq!(status(&container("a", Phase::Exited), now), "Exited (3) 5 minutes ago");
        assert_eq!(status(&container("a", Phase::Created), now), "Created");
    }

    #[test]
    fn filters_of_one_kind_are_alternatives() {
        let web = container("web-1", Phase::Running);
        let cases: [(&[&str], bool); 12] = [
            (&[], true),
            (&["name=web"], true),
            (&["name=db"], false),
            (&["name=db", "name=web"], true),
            (&["name=web", "status=exited"], false),
            (&["status=running"], true),
            (&["label=tier"], true),
            (&["label=tier=web"], true),
            (&["label=tier=web", "label=other"], false),
            (&["ancestor=box"], true),
            (&["ancestor=box:2"], false),
            (&["exited=3"], false),
        ];
        for (texts, expected) in cases {
            let filters: Vec<_> = texts.iter().map(|text| Filter::parse(text).unwrap()).collect();
            assert_eq!(passes(&web, &filters), expected, "{texts:?}");
        }
        for bad in ["name", "bogus=1", "status=asleep", "exited=x"] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
    }
}
