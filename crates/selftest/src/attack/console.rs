//! `/dev/console` and `/dev/pts` of the image, swapped for links while the runtime binds the
//! container's terminal.

use super::{passed, while_swapping};
use crate::{Stage, Verdict, nest::Nest, stage::Done, trial::Trial, verdict::ensure};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags},
};
use std::{
    io::{IoSliceMut, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::Path,
    time::Duration,
};

/// What the container looks at; it writes nothing.
const LOOK: [&str; 5] = ["kind", "/proc/sysrq-trigger", ",", "open", "/proc/sysrq-trigger"];

pub(super) fn swapped(stage: &Stage) -> Result<Verdict> {
    let nest = Nest::build(&stage.directory().join("nest"), stage.caller.uid())?;
    let times = stage.times(15, 2000);
    let mut words = Vec::new();
    for (victim, target) in
        [("dev/console", Path::new("/proc/sysrq-trigger")), ("dev/pts", nest.path())]
    {
        let (ran, refused, swaps) = match race(stage, victim, target, times)? {
            Ok(counts) => counts,
            Err(failure) => return Ok(Verdict::Failed(format!("/{victim}: {failure}"))),
        };
        if let Some(harm) = nest.harm()? {
            return Ok(Verdict::Failed(format!("/{victim}: {harm}")));
        }
        ensure!(swaps > 0, "/{victim}: nothing was swapped");
        ensure!(ran > 0 || victim == "dev/pts", "/{victim}: all of {refused} starts were refused");
        words.push(format!("/{victim}: {ran} starts and {refused} refused over {swaps} swaps"));
    }
    Ok(passed(words.join("; ")))
}

type Counts = (u32, u32, u64);

fn race(
    stage: &Stage,
    victim: &str,
    target: &Path,
    times: u32,
) -> Result<std::result::Result<Counts, String>> {
    let mut trial = Trial::new(stage)?;
    trial.process().terminal = true;
    // A /dev of the image's own, without a tmpfs over it.
    trial.spec.mounts.retain(|mount| mount.destination != Path::new("/dev"));
    for directory in ["dev/pts", "dev/shm", "dev/mqueue"] {
        trial.make_directory(directory)?;
    }
    trial.write("dev/console", "")?;
    let evil = trial.link("dev/evil", target)?;
    let place = trial.root().join(victim);
    let (outcome, swaps) = while_swapping(&place, &evil, || {
        let (mut ran, mut refused) = (0, 0);
        for _ in 0..times {
            let (done, printed) = run_on_terminal(stage, &mut trial, &LOOK)?;
            let is_shut = !printed.contains("character") && !printed.contains("OPENED");
            match done.code {
                0 if is_shut => ran += 1,
                1 => refused += 1,
                _ => return Ok(Err(format!("{done}; printed {printed:?}"))),
            }
        }
        Ok(Ok((ran, refused)))
    })?;
    Ok(outcome.map(|(ran, refused)| (ran, refused, swaps)))
}

/// Runs the probe on a terminal, as an engine does, and collects what it prints there.
pub(super) fn run_on_terminal(
    stage: &Stage,
    trial: &mut Trial<'_>,
    words: &[&str],
) -> Result<(Done, String)> {
    trial.arrange(words)?;
    let path = trial.bundle().join("console");
    drop(std::fs::remove_file(&path));
    let listener = UnixListener::bind(&path).doing(|| "listen for the terminal")?;
    stage.give(&path)?;
    let words = ["run", "--detach", "--console-socket", "console", &trial.id];
    let spawned = stage.spawn(&trial.command(&words))?;
    let master = receive(&listener, spawned.pid())?;
    let printed = master.map(drain).transpose()?.unwrap_or_default();
    let done = spawned.end(Duration::from_secs(60))?;
    drop(trial.delete()?);
    Ok((done, printed))
}

/// The terminal's master, or nothing where the command ends without sending one.
fn receive(listener: &UnixListener, pid: u32) -> Result<Option<OwnedFd>> {
    let doing = || "wait for the terminal";
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::new(Kind::Internal, doing()))?;
    let pidfd =
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).doing(doing)?;
    let mut polled = [PollFd::new(listener, PollFlags::IN), PollFd::new(&pidfd, PollFlags::IN)];
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    poll(&mut polled, Some(&limit)).doing(doing)?;
    if !polled[0].revents().contains(PollFlags::IN) {
        return Ok(None);
    }
    let (connection, _) = listener.accept().doing(doing)?;
    receive_fd(connection.as_fd()).doing(doing)
}

fn receive_fd(socket: BorrowedFd<'_>) -> rustix::io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 4096];
    let mut message = [IoSliceMut::new(&mut bytes)];
    rustix::net::recvmsg(socket, &mut message, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok(fds.next().and_then(|mut fds| fds.next()))
}

/// Reads until the last process on the terminal is gone.
fn drain(master: OwnedFd) -> Result<String> {
    let mut file = std::fs::File::from(master);
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    // A terminal without processes answers EIO.
    while let Ok(count @ 1..) = file.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
