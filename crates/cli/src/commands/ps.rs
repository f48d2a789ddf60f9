//! `ps`: the list of containers, in docker's columns.

mod choice;
mod order;
mod podmans;
mod ports;
mod rows;

use crate::{
    exit::SUCCESS,
    flags::refuse,
    invocation::Invocation,
    manners::Manners,
    render::list::{Column, Shape, Sheet},
    tree::Act,
};
use choice::Choice;
use dhow_base::Result;
use dhow_engine::{ContainerSize, Engine, Summary, Which};
use order::Order;
pub(super) use ports::addresses;
use rows::Rows;
use std::{cmp::Reverse, thread, time::Duration};

const COLUMNS: &[Column] = &[
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
];

const SIZE: Column = ("SIZE", "Size");

/// As podman has them.
const NAMESPACES: &[Column] = &[
    ("CONTAINER ID", "ID"),
    ("NAMES", "Names"),
    ("PID", "Pid"),
    ("CGROUPNS", "CGroupNS"),
    ("IPC", "IPC"),
    ("MNT", "MNT"),
    ("NET", "NET"),
    ("PIDNS", "PIDNS"),
    ("USERNS", "UserNS"),
    ("UTS", "UTS"),
];

/// What a list of 5,000 containers takes.
const HEAP_STEP_BYTES: i32 = 1 << 20;

/// List containers
///
/// Those that run, unless `--all` is given. Of a filter that is given several times one must hold;
/// of labels all. A name is a regular expression.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Ps {
    /// List all containers, not only those that run
    #[arg(short, long)]
    all: bool,

    /// Accepted for podman's sake: containers of other tools are not in this list
    #[arg(long, hide = true)]
    external: bool,

    /// List only containers for which this holds: id=, name=, label=, label!=, status=, ancestor=,
    /// exited=, before=, since=, until=, volume=, network=, health=, restart-policy=,
    /// command= or pod=
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// List the newest containers, whether they run or not
    #[arg(short = 'n', long, value_name = "NUMBER")]
    last: Option<usize>,

    /// List the newest container
    #[arg(short, long, conflicts_with = "last")]
    latest: bool,

    /// Show the namespaces of containers
    #[arg(long, visible_alias = "namespace")]
    ns: bool,

    /// Print no titles above the table
    #[arg(long)]
    noheading: bool,

    /// Show the pods that containers are in
    #[arg(short, long)]
    pod: bool,

    /// Print ids only
    #[arg(short, long)]
    quiet: bool,

    /// Show what containers have written, and what they and their images take
    #[arg(short, long)]
    size: bool,

    /// Sort by command, created, id, image, names, runningfor, size or status
    #[arg(long, value_name = "FIELD")]
    sort: Option<String>,

    /// Accepted for podman's sake: what is listed is looked up anyway
    #[arg(long, hide = true)]
    sync: bool,

    /// Print ids and commands whole
    #[arg(long)]
    no_trunc: bool,

    /// Print the list again and again, at this interval
    #[arg(short, long, value_name = "SECONDS")]
    watch: Option<u64>,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for Ps {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "ID")?.by(invocation.manners);
        let order = self.sort.as_deref().map(Order::parse).transpose()?;
        Choice::check(&self.filter)?;
        if self.watch == Some(0) {
            return Err(refuse("--watch", "0", "an interval is one second at least"));
        }
        dhow_sys::memory::grow_in_steps_of(HEAP_STEP_BYTES);
        loop {
            let text = self.text(&shape, order, invocation)?;
            let Some(seconds) = self.watch else {
                invocation.console.print(text)?;
                return Ok(SUCCESS);
            };
            // The cursor goes to the top, and what was there is gone.
            invocation.console.print(format!("\u{1b}[H\u{1b}[2J{text}"))?;
            thread::sleep(Duration::from_secs(seconds));
        }
    }
}

impl Ps {
    fn text(&self, shape: &Shape, order: Option<Order>, invocation: &Invocation) -> Result<String> {
        let mut engine = invocation.engine()?;
        let choice = Choice::parse(&self.filter, &mut engine)?;
        // Who asks for a status means it, whether it is the usual one or not.
        let all = self.all || self.last().is_some() || choice.is_about_status();
        let which = if all { Which::All } else { Which::Running };
        let columns = self.columns();
        let rows = Rows::new(self.no_trunc, self.ns, |field| shape.shows(&columns, field))
            .bare(invocation.manners == Manners::Podman);
        let podmans = match invocation.manners {
            Manners::Podman => Some(podmans::Rows::of(&mut engine)?),
            _ => None,
        };
        let row = |container: &Summary, size| match &podmans {
            Some(podmans) => rows.row(container, size).with(podmans.row(container)),
            None => rows.row(container, size),
        };
        let mut sheet = Sheet::new(shape, &columns);
        let text = if self.last().is_some() || order.is_some() || self.size {
            for (container, size) in self.arranged(&mut engine, which, &choice, order)? {
                sheet.push(&row(&container, size))?;
            }
            sheet.finish()?
        } else {
            let mut newest = Vec::new();
            engine.list_each(which, |container| {
                if choice.means(&container) {
                    newest.push((Reverse(container.created), newest.len()));
                    sheet.push(&row(&container, None))?;
                }
                Ok(())
            })?;
            newest.sort_unstable();
            sheet.finish_in(newest.into_iter().map(|(_, place)| place))?
        };
        if self.noheading && shape.has_titles() {
            return Ok(text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default());
        }
        Ok(text)
    }

    /// How many of the newest are wanted.
    fn last(&self) -> Option<usize> {
        if self.latest { Some(1) } else { self.last }
    }

    /// The list where all of it must be there before a row can be printed, with what each takes where
    /// somebody wants to know.
    fn arranged(
        &self,
        engine: &mut Engine,
        which: Which,
        choice: &Choice,
        order: Option<Order>,
    ) -> Result<Vec<(Summary, Option<ContainerSize>)>> {
        let mut listed = engine.list(which)?;
        listed.retain(|container| choice.means(container));
        listed.truncate(self.last().unwrap_or(usize::MAX));
        let is_measured = self.size || order == Some(Order::Size);
        let sized = |one: Summary| {
            let size = is_measured.then(|| engine.container_size(&one)).transpose()?;
            Ok((one, size))
        };
        let mut listed = listed.into_iter().map(sized).collect::<Result<Vec<_>>>()?;
        if let Some(order) = order {
            listed
                .sort_by(|(one, size), (other, others)| order.compare(one, *size, other, *others));
        }
        Ok(listed)
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = if self.ns { NAMESPACES } else { COLUMNS }.to_vec();
        if self.pod {
            columns.extend([("POD ID", "Pod"), ("PODNAME", "PodName")]);
        }
        if self.size {
            columns.push(SIZE);
        }
        columns
    }
}

/// The containers for which all `--filter`s hold.
pub(super) fn matching(
    engine: &mut Engine,
    which: Which,
    filters: &[String],
) -> Result<Vec<Summary>> {
    Choice::check(filters)?;
    let choice = Choice::parse(filters, engine)?;
    let mut containers = engine.list(which)?;
    containers.retain(|container| choice.means(container));
    Ok(containers)
}
