//! `logs`: what containers have printed.

use super::{journal, picked};
use crate::{
    console::Colour, exit::SUCCESS, flags::moment, invocation::Invocation, manners::Manners,
    render::text::escaped, tree::Act,
};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_engine::{Engine, LogPlace};
use dhow_monitor::log::{self, Dress, Query, Shown, Stream};
use std::io::{self, IsTerminal, Write};

/// Show what containers have printed
///
/// What they printed to standard error goes to standard error.
#[derive(clap::Args, Debug)]
pub(crate) struct Logs {
    /// The containers, by name or id
    #[arg(value_name = "CONTAINER", required_unless_present = "latest")]
    containers: Vec<String>,

    /// Show what the newest container has printed
    #[arg(short, long, conflicts_with = "containers")]
    latest: bool,

    #[command(flatten)]
    said: Said,
}

/// What of it is shown, and how.
#[derive(clap::Args, Debug)]
pub(super) struct Said {
    /// Go on until the container ends
    #[arg(short, long)]
    follow: bool,

    /// Show so many lines from the end, or all
    #[arg(
        short = 'n',
        long,
        default_value = "all",
        value_name = "LINES",
        allow_negative_numbers = true
    )]
    tail: String,

    /// Show nothing older than a time (2026-11-22T03:19:00Z) or a duration (10m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Show nothing younger than a time or a duration
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Show the time of each line
    #[arg(short, long)]
    timestamps: bool,

    /// Show what goes along with each line: the tag, labels and variables of --log-opt
    #[arg(long)]
    details: bool,

    /// Show the container's name before each line
    #[arg(long)]
    names: bool,

    /// Show the name or id before each line in a colour of the container's own
    #[arg(long)]
    color: bool,

    /// Whether the id stands before each line.
    #[arg(skip)]
    ids: bool,
}

impl Said {
    /// The same with the container's id before each line, unless its name is there.
    pub(super) fn with_ids(self) -> Self {
        Self { ids: true, ..self }
    }

    fn query(&self) -> Result<Query> {
        let time = |flag, text: &Option<String>| {
            text.as_deref().map(|text| moment::parse(flag, text)).transpose()
        };
        Ok(Query {
            since: time("--since", &self.since)?,
            until: time("--until", &self.until)?,
            tail: moment::tail(&self.tail)?,
            follow: None,
        })
    }
}

impl Act for Logs {
    fn act(mut self, invocation: &Invocation) -> Result<u8> {
        let query = self.said.query()?;
        // Podman's users tell by it which of them has said a line.
        self.said.ids |= invocation.manners == Manners::Podman && self.containers.len() > 1;
        let mut engine = invocation.engine()?;
        let containers = match self.latest {
            true => vec![picked::latest(&mut engine)?],
            false => self.containers.clone(),
        };
        if self.said.follow && containers.len() > 1 {
            return self.follow_all(&mut engine, &containers, &query, invocation);
        }
        for (index, container) in containers.iter().enumerate() {
            match self.open(&mut engine, container, index, query.clone(), invocation)? {
                Opened::File(log, dress) => print(log, &dress)?,
                Opened::Journal(id, query, dress) => {
                    print_lines(&journal::read(&id, &query)?, &dress)?;
                }
            }
        }
        Ok(SUCCESS)
    }
}

/// The colours of names, by turns.
const COLOURS: [u8; 6] = [32, 33, 34, 35, 36, 31];

/// A log that is to be shown.
enum Opened {
    File(log::Reader, Dress),
    Journal(ContainerId, Query, Dress),
}

impl Logs {
    /// The logs of these containers.
    pub(super) fn of(containers: Vec<String>, said: Said) -> Self {
        Self { containers, latest: false, said }
    }

    fn dress(
        &self,
        engine: &mut Engine,
        container: &str,
        index: usize,
        invocation: &Invocation,
    ) -> Result<Dress> {
        let said = &self.said;
        let mut dress = Dress { times: said.timestamps, ..Dress::default() };
        if !said.names && !said.color && !said.ids {
            return Ok(dress);
        }
        let (id, name) = engine.name_of(container)?;
        let word = if said.names { name } else { id.short().to_owned() };
        let coloured = match invocation.globals.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => io::stdout().is_terminal() && !invocation.environment.no_color,
        };
        let colour = COLOURS[index % COLOURS.len()];
        dress.prefix = match said.color && coloured {
            true => format!("\u{1b}[{colour}m{word}\u{1b}[0m "),
            false => format!("{word} "),
        };
        Ok(dress)
    }

    fn open(
        &self,
        engine: &mut Engine,
        container: &str,
        index: usize,
        mut query: Query,
        invocation: &Invocation,
    ) -> Result<Opened> {
        let mut dress = self.dress(engine, container, index, invocation)?;
        if self.said.follow {
            query.follow = Some(engine.run_directory(container)?);
        }
        let (path, attributes) = match engine.log(container)? {
            LogPlace::File { path, attributes } => (path, attributes),
            LogPlace::Journal(id) => return Ok(Opened::Journal(id, query, dress)),
        };
        if self.said.details {
            let pairs = attributes.iter().map(|(name, value)| format!("{name}={value}"));
            let pairs = pairs.collect::<Vec<_>>().join(",");
            dress.details = if pairs.is_empty() { pairs } else { format!("{} ", escaped(&pairs)) };
        }
        Ok(Opened::File(log::read(&path, &query)?, dress))
    }

    /// Follows several, each in a thread, until all have ended.
    fn follow_all(
        &self,
        engine: &mut Engine,
        containers: &[String],
        query: &Query,
        invocation: &Invocation,
    ) -> Result<u8> {
        let mut opened = Vec::new();
        for (index, container) in containers.iter().enumerate() {
            match self.open(engine, container, index, query.clone(), invocation)? {
                Opened::File(log, dress) => opened.push((log, dress)),
                Opened::Journal(..) => {
                    let text = format!("--follow: the log of {container} is in the journal");
                    return Err(Error::new(Kind::Unsupported, text)
                        .hint("follow it with a command of its own"));
                }
            }
        }
        std::thread::scope(|scope| {
            let followers: Vec<_> = opened
                .into_iter()
                .map(|(log, dress)| scope.spawn(move || print(log, &dress)))
                .collect();
            let ended = followers.into_iter().map(|follower| {
                follower
                    .join()
                    .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "follow a log in a thread")))
            });
            ended.collect::<Result<Vec<()>>>()
        })?;
        Ok(SUCCESS)
    }
}

fn print_lines(lines: &[journal::Line], dress: &Dress) -> Result<()> {
    let (mut out, mut errors) = (io::stdout().lock(), io::stderr().lock());
    for line in lines {
        let mut bytes = dress.prefix.clone().into_bytes();
        if dress.times {
            bytes.extend_from_slice(line.time.rfc3339().as_bytes());
            bytes.push(b' ');
        }
        bytes.extend_from_slice(&line.bytes);
        let target: &mut dyn Write = match line.stream {
            Stream::Stdout => &mut out,
            Stream::Stderr => &mut errors,
        };
        target.write_all(&bytes).and_then(|()| target.flush()).doing(|| "write the log")?;
    }
    Ok(())
}

fn print(mut log: log::Reader, dress: &Dress) -> Result<()> {
    let mut shown = Shown::default();
    while log.show(dress, &mut shown)? {
        // Others may print what they follow in between.
        let (mut out, mut errors) = (io::stdout().lock(), io::stderr().lock());
        let mut rest = &shown.bytes[..];
        for (stream, count) in &shown.runs {
            let (bytes, after) = rest.split_at(*count);
            rest = after;
            let target: &mut dyn Write = match stream {
                Stream::Stdout => &mut out,
                Stream::Stderr => &mut errors,
            };
            // The standard streams hold back what has no newline yet; a follower wants it now.
            target.write_all(bytes).and_then(|()| target.flush()).doing(|| "write the log")?;
        }
        shown.clear();
    }
    Ok(())
}
