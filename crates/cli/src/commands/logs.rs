//! `logs`: what a container has printed.

use crate::{exit::SUCCESS, flags::moment, invocation::Invocation, tree::Act};
use dhow_base::{Doing, Result};
use dhow_monitor::log::{self, Query, Stream};
use std::io::{self, Write};

/// Show what a container has printed
///
/// What it printed to standard error goes to standard error.
#[derive(clap::Args, Debug)]
pub(crate) struct Logs {
    /// The container, by name or id
    container: String,

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
}

impl Act for Logs {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let time = |flag, text: &Option<String>| {
            text.as_deref().map(|text| moment::parse(flag, text)).transpose()
        };
        let mut query = Query {
            since: time("--since", &self.since)?,
            until: time("--until", &self.until)?,
            tail: moment::tail(&self.tail)?,
            follow: None,
        };
        let mut engine = invocation.engine()?;
        let path = engine.log_path(&self.container)?;
        if self.follow {
            query.follow = Some(engine.run_directory(&self.container)?);
        }
        self.show(log::read(&path, &query)?)
    }
}

impl Logs {
    fn show(&self, entries: log::Reader) -> Result<u8> {
        let (mut out, mut errors) = (io::stdout().lock(), io::stderr().lock());
        for entry in entries {
            let entry = entry?;
            let target: &mut dyn Write = match entry.stream {
                Stream::Stdout => &mut out,
                Stream::Stderr => &mut errors,
            };
            let mut bytes = Vec::with_capacity(entry.bytes.len() + 32);
            if self.timestamps && entry.begins_line {
                bytes.extend_from_slice(entry.time.rfc3339().as_bytes());
                bytes.push(b' ');
            }
            bytes.extend_from_slice(&entry.bytes);
            // The standard streams hold back what has no newline yet; a follower wants it now.
            target.write_all(&bytes).and_then(|()| target.flush()).doing(|| "write the log")?;
        }
        Ok(SUCCESS)
    }
}
