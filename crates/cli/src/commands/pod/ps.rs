//! `pod ps`: the list of pods.

use crate::{
    exit::SUCCESS,
    flags::refuse,
    invocation::Invocation,
    render::list::{Column, Row, Shape},
    tree::Act,
};
use dhow_base::{
    Result,
    clock::{Moment, humanly},
};
use dhow_engine::pods::Pod;

const COLUMNS: &[Column] = &[
    ("POD ID", "ID"),
    ("NAME", "Name"),
    ("STATUS", "Status"),
    ("CREATED", "Created"),
    ("INFRA ID", "InfraID"),
    ("# OF CONTAINERS", "NumberOfContainers"),
];

/// List pods
#[derive(clap::Args, Debug)]
pub(crate) struct Ps {
    /// List only pods for which this holds: id=, name=, label=, status=, ctr-names=, ctr-ids= or ctr-status=
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// List the newest pod
    #[arg(short, long)]
    latest: bool,

    /// Do not shorten ids
    #[arg(long)]
    no_trunc: bool,

    /// Print ids only
    #[arg(short, long)]
    quiet: bool,

    /// Print the table without titles
    #[arg(short, long)]
    noheading: bool,

    /// Add a column with the ids of the containers
    #[arg(long)]
    ctr_ids: bool,

    /// Add a column with the names of the containers
    #[arg(long)]
    ctr_names: bool,

    /// Add a column with what the containers do
    #[arg(long)]
    ctr_status: bool,

    /// Add a column with what is shared
    #[arg(long, alias = "namespace")]
    ns: bool,

    /// Sort by this: created, id, name, status or number
    #[arg(long, value_name = "FIELD", default_value = "created")]
    sort: String,
}

impl Act for Ps {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "ID")?.by(invocation.manners);
        let filters =
            self.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
        let mut pods = invocation.engine()?.pods()?;
        pods.truncate(if self.latest { 1 } else { usize::MAX });
        self.order(&mut pods)?;
        let now = Moment::now();
        let rows: Vec<Row> = pods
            .iter()
            .filter(|pod| filters.iter().all(|filter| filter.holds(pod)))
            .map(|pod| row(pod, now, self.no_trunc))
            .collect();
        let mut columns = COLUMNS.to_vec();
        let more = [
            (self.ctr_ids, ("IDS", "ContainerIds")),
            (self.ctr_names, ("NAMES", "ContainerNames")),
            (self.ctr_status, ("STATUSES", "ContainerStatuses")),
            (self.ns, ("NAMESPACES", "Namespaces")),
        ];
        columns
            .extend(more.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, column)| column));
        let text = shape.print_titled(&columns, &rows, self.noheading)?;
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}

impl Ps {
    fn order(&self, pods: &mut [Pod]) -> Result<()> {
        match self.sort.as_str() {
            // As the rows come.
            "created" => {}
            "id" => pods.sort_by(|a, b| a.id.cmp(&b.id)),
            "name" => pods.sort_by(|a, b| a.name.cmp(&b.name)),
            "status" => pods.sort_by_key(Pod::status),
            "number" => pods.sort_by_key(|pod| pod.members.len()),
            other => {
                return Err(refuse("--sort", other, "no such field")
                    .hint("there are created, id, name, status and number"));
            }
        }
        Ok(())
    }
}

fn row(pod: &Pod, now: Moment, whole: bool) -> Row {
    let short =
        |id: &dhow_base::id::ContainerId| if whole { id.as_str() } else { id.short() }.to_owned();
    let joined = |words: Vec<String>| words.join(",");
    let labels = pod.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let shared = pod.shared.iter().map(|what| what.word().to_owned()).collect();
    let statuses = pod.members.iter().map(|one| one.phase.word().to_owned()).collect();
    Row::new([
        ("Cgroup", pod.cgroup.clone().unwrap_or_default()),
        ("ContainerIds", joined(pod.members.iter().map(|one| short(&one.id)).collect())),
        ("ContainerNames", joined(pod.members.iter().map(|one| one.name.clone()).collect())),
        ("ContainerStatuses", joined(statuses)),
        ("Created", format!("{} ago", humanly(now.since(pod.created)))),
        ("ID", short(&pod.id)),
        ("Id", short(&pod.id)),
        ("InfraID", pod.infra.as_ref().map(short).unwrap_or_default()),
        ("Labels", joined(labels)),
        ("Name", pod.name.to_string()),
        ("Namespaces", joined(shared)),
        ("NumberOfContainers", pod.members.len().to_string()),
        ("Status", pod.status().to_owned()),
    ])
}

/// One `--filter`.
enum Filter {
    Id(String),
    Name(String),
    Label(String, Option<String>),
    Status(String),
    MemberNames(String),
    MemberIds(String),
    MemberStatus(String),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let refused = || {
            refuse("--filter", text, "no such filter")
                .hint("there are id=, name=, label=, status=, ctr-names=, ctr-ids= and ctr-status=")
        };
        let (key, value) = text.split_once('=').ok_or_else(refused)?;
        let value = value.to_owned();
        Ok(match key {
            "id" => Self::Id(value),
            "name" => Self::Name(value),
            "label" => match value.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), Some(value.to_owned())),
                None => Self::Label(value, None),
            },
            "status" => Self::Status(value),
            "ctr-names" => Self::MemberNames(value),
            "ctr-ids" => Self::MemberIds(value),
            "ctr-status" => Self::MemberStatus(value),
            _ => return Err(refused()),
        })
    }

    fn holds(&self, pod: &Pod) -> bool {
        match self {
            Self::Id(start) => pod.id.as_str().starts_with(start.as_str()),
            Self::Name(part) => pod.name.as_str().contains(part.as_str()),
            Self::Label(key, value) => pod
                .labels
                .get(key)
                .is_some_and(|found| value.as_ref().is_none_or(|value| value == found)),
            Self::Status(word) => pod.status().eq_ignore_ascii_case(word),
            Self::MemberNames(part) => {
                pod.members.iter().any(|one| one.name.contains(part.as_str()))
            }
            Self::MemberIds(start) => {
                pod.members.iter().any(|one| one.id.as_str().starts_with(start.as_str()))
            }
            Self::MemberStatus(word) => pod.members.iter().any(|one| one.phase.word() == word),
        }
    }
}
