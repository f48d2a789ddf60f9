//! `container checkpoint`: running containers become files.

use super::{init::Named, several::each};
use crate::{
    console::Console,
    flags::{foreign::refuse_any, refuse},
    invocation::Invocation,
    outfile,
    tree::Act,
};
use dhow_base::Result;
use dhow_engine::{Afterwards, Changes, Encoding, Engine, RevivalOptions, Revived, Which};
use serde_json::{Map, Value, json};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Write the processes of running containers down, by criu
///
/// The containers end, and `container restore` lets them run on from there, also after a reboot, or with
/// --export on another machine that has the image. Prints the ids.
#[derive(clap::Args, Debug)]
pub(crate) struct Checkpoint {
    #[command(flatten)]
    named: Named,

    /// Let the containers go on
    #[arg(short = 'R', long)]
    leave_running: bool,

    /// Keep criu's log and statistics with the files
    #[arg(short, long)]
    keep: bool,

    #[command(flatten)]
    way: Way,

    /// Write the checkpoint, with what the container has changed of its image, to a file
    #[arg(short, long, value_name = "FILE")]
    export: Option<String>,

    /// With --export, compress by this: zstd, gzip or none
    #[arg(short, long, value_name = "ALGORITHM", default_value = "zstd", requires = "export")]
    compress: String,

    /// With --export, leave out what the container has changed of its image
    #[arg(long, requires = "export")]
    ignore_rootfs: bool,

    /// With --export, leave out what is in volumes, which has to be said
    #[arg(long, requires = "export")]
    ignore_volumes: bool,

    /// Print how long it took and what criu has counted, as JSON, instead of the ids
    #[arg(long)]
    print_stats: bool,

    /// Refused: --export writes a file
    #[arg(long, value_name = "IMAGE", hide = true)]
    create_image: Option<String>,

    /// Refused: the memory is written with the rest
    #[arg(short = 'P', long, hide = true)]
    pre_checkpoint: bool,

    /// Refused with --pre-checkpoint
    #[arg(long, hide = true)]
    with_previous: bool,
}

/// What was done, of which times are told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    Checkpoint,
    Restore,
}

/// What `--print-stats` prints, in podman's form.
#[derive(Debug)]
pub(super) struct Statistics {
    work: Work,
    begun: Instant,
    containers: Vec<Value>,
}

impl Statistics {
    pub(super) fn new(work: Work) -> Self {
        Self { work, begun: Instant::now(), containers: Vec::new() }
    }

    /// Keeps what is to be printed of a container; otherwise its id is the line to print.
    pub(super) fn take(&mut self, revived: &Revived, is_printed: bool) -> Option<String> {
        if !is_printed {
            return Some(revived.id.to_string());
        }
        let runtime = match self.work {
            Work::Checkpoint => "runtime_checkpoint_duration",
            Work::Restore => "runtime_restore_duration",
        };
        let counted: Map<String, Value> =
            revived.statistics.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
        self.containers.push(json!({
            "Id": revived.id.as_str(),
            runtime: micros(revived.took),
            "criu_statistics": counted,
        }));
        None
    }

    pub(super) fn print(&self, is_printed: bool, console: Console) -> Result<()> {
        if !is_printed {
            return Ok(());
        }
        let whole = match self.work {
            Work::Checkpoint => "podman_checkpoint_duration",
            Work::Restore => "podman_restore_duration",
        };
        let document =
            json!({ whole: micros(self.begun.elapsed()), "container_statistics": self.containers });
        console.print(format!("{document:#}\n"))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How criu works, both times.
#[derive(clap::Args, Debug)]
pub(super) struct Way {
    /// Take open TCP connections along
    #[arg(long)]
    tcp_established: bool,

    /// Take locks of files along
    #[arg(long)]
    file_locks: bool,

    /// Use this criu
    #[arg(long, value_name = "PROGRAM", default_value = "criu")]
    criu: PathBuf,
}

impl Way {
    pub(super) fn options(&self, keep: bool) -> RevivalOptions {
        RevivalOptions {
            criu: self.criu.clone(),
            tcp_established: self.tcp_established,
            tcp_close: false,
            file_locks: self.file_locks,
            keep,
        }
    }
}

impl Act for Checkpoint {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        self.check()?;
        let passage =
            self.export.as_ref().map(|path| self.passage(path, invocation)).transpose()?;
        let options = self.way.options(self.keep);
        let afterwards = if self.leave_running { Afterwards::GoOn } else { Afterwards::End };
        let mut engine = invocation.engine()?;
        let all = self.named.all;
        let names = match all {
            true => running(&mut engine)?,
            false => self.named.picked().names(&mut engine, Which::Running, invocation)?,
        };
        if let (Some(passage), [_, second, ..]) = (&passage, &names[..]) {
            return Err(refuse("--export", &passage.shown(), "it takes one container")
                .hint(format!("export {second} with a command of its own")));
        }
        let mut told = Statistics::new(Work::Checkpoint);
        let code = each(invocation, &names, |container| {
            if let Some(passage) = &passage {
                passage.check(&mut engine, container)?;
            }
            let written = engine.checkpoint(container, &options, afterwards)?;
            if let Some(passage) = &passage {
                passage.write(&mut engine, written.id.as_str())?;
                if !self.keep {
                    engine.forget_checkpoint(written.id.as_str())?;
                }
            }
            Ok(told.take(&written, self.print_stats))
        })?;
        told.print(self.print_stats, invocation.console)?;
        Ok(code)
    }
}

/// A file that a checkpoint goes into.
struct Export {
    path: PathBuf,
    encoding: Encoding,
    changes: Changes,
    without_volumes: bool,
}

impl Export {
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// What would be missing in it has to be known before.
    fn check(&self, engine: &mut Engine, container: &str) -> Result<()> {
        if self.without_volumes || !engine.has_volumes(container)? {
            return Ok(());
        }
        Err(refuse("--export", &self.shown(), "what is in its volumes does not go along")
            .hint("`dhow volume export` writes it; --ignore-volumes says that this is known"))
    }

    /// It is there when it is whole.
    fn write(&self, engine: &mut Engine, container: &str) -> Result<()> {
        outfile::fill(&self.path, 0o600, |sink| {
            engine.export_checkpoint(container, sink, self.encoding, self.changes)
        })
    }
}

fn running(engine: &mut Engine) -> Result<Vec<String>> {
    let running = engine.list(Which::Running)?.into_iter();
    Ok(running.map(|container| container.id.to_string()).collect())
}

impl Checkpoint {
    fn passage(&self, path: &str, invocation: &Invocation) -> Result<Export> {
        Ok(Export {
            path: invocation.surroundings().absolute(path),
            encoding: match self.compress.as_str() {
                "zstd" => Encoding::Zstd,
                "gzip" => Encoding::Gzip,
                "none" => Encoding::Plain,
                other => return Err(refuse("--compress", other, "neither zstd, gzip nor none")),
            },
            changes: if self.ignore_rootfs { Changes::Left } else { Changes::Taken },
            without_volumes: self.ignore_volumes,
        })
    }

    fn check(&self) -> Result<()> {
        let image = [("--create-image", self.create_image.is_some())];
        refuse_any(image, "a checkpoint becomes a file by --export, and no image yet")?;
        let before =
            [("--pre-checkpoint", self.pre_checkpoint), ("--with-previous", self.with_previous)];
        refuse_any(
            before,
            "the memory is written with the rest; ahead of it, yet by no test of ours",
        )
    }
}
