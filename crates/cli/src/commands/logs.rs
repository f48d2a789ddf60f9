//! `logs`: what containers have printed.

use super::{journal, picked};
use crate::{
    console::Colour, exit::SUCCESS, flags::moment, invocation::Invocation, render::text::escaped,
    tree::Act,
};
use dhow_base::{Doing, Error, Kind, Result};
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

    /// Show what the newest container has printed
    #[arg(short, long, conflicts_with = "containers")]
    latest: bool,
}

impl Act for Logs {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let time = |flag, text: &Option<String>| {
            text.as_deref().map(|text| moment::parse(flag, text)).transpose()
        };
        let query = Query {
            since: time("--since", &self.since)?,
            until: time("--until", &self.until)?,
            tail: moment::tail(&self.tail)?,
            follow: None,
        };
        let mut engine = invocation.engine()?;
        let containers = match self.latest {
            true => vec![picked::latest(&mut engine)?],
            false => self.containers.clone(),
        };
        if self.follow && containers.len() > 1 {
            return Err(Error::new(
                Kind::Unsupported,
                "--follow: one container is followed at a time",
            )
            .hint("follow each with a command of its own"));
        }
        for (index, container) in containers.iter().enumerate() {
            let dress = self.dress(&mut engine, container, index, invocation)?;
            self.show(&mut engine, container, query.clone(), dress)?;
        }
        Ok(SUCCESS)
    }
}

/// The colours of names, by turns.
const COLOURS: [u8; 6] = [32, 33, 34, 35, 36, 31];

impl Logs {
    fn dress(
        &self,
        engine: &mut Engine,
        container: &str,
        index: usize,
        invocation: &Invocation,
    ) -> Result<Dress> {
        let mut dress = Dress { times: self.timestamps, ..Dress::default() };
        if !self.names && !self.color {
            return Ok(dress);
        }
        let document = engine.inspect(container)?;
        let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
        let word = match self.names {
            true => text("Name").trim_start_matches('/').to_owned(),
            false => text("Id").chars().take(12).collect(),
        };
        let coloured = match invocation.globals.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => io::stdout().is_terminal() && !invocation.environment.no_color,
        };
        let colour = COLOURS[index % COLOURS.len()];
        dress.prefix = match self.color && coloured {
            true => format!("\u{1b}[{colour}m{word}\u{1b}[0m "),
            false => format!("{word} "),
        };
        Ok(dress)
    }

    fn show(
        &self,
        engine: &mut Engine,
        container: &str,
        mut query: Query,
        mut dress: Dress,
    ) -> Result<()> {
        if self.follow {
            query.follow = Some(engine.run_directory(container)?);
        }
        let (path, attributes) = match engine.log(container)? {
            LogPlace::File { path, attributes } => (path, attributes),
            LogPlace::Journal(id) => return print_lines(&journal::read(&id, &query)?, &dress),
        };
        if self.details {
            let pairs = attributes.iter().map(|(name, value)| format!("{name}={value}"));
            let pairs = pairs.collect::<Vec<_>>().join(",");
            dress.details = if pairs.is_empty() { pairs } else { format!("{} ", escaped(&pairs)) };
        }
        print(log::read(&path, &query)?, &dress)
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
    let (mut out, mut errors) = (io::stdout().lock(), io::stderr().lock());
    let mut shown = Shown::default();
    while log.show(dress, &mut shown)? {
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
