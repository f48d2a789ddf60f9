//! QEMU's smallest machine: a kernel, an initial file system, and a serial line that is read.
//!
//! It computes everything itself: nested virtualisation is not to be had everywhere, and where a
//! device for it is there it may still hang. The machine ends by itself, or is ended at the limit.

use dhow_base::{Doing, Error, Kind, Result};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// What to boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Path,
    pub(super) files: &'a Path,
    /// Words for the kernel, after those that every boot has.
    pub(super) words: &'a str,
    pub(super) memory_mib: u32,
    pub(super) limit: Duration,
}

/// A running machine; dropped, it is ended.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended by itself, or there is nothing more to be done about it.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Machine<'_> {
    /// Boots it and calls `hear` with each line that it prints, until it ends.
    pub(super) fn run(&self, hear: &mut dyn FnMut(&str)) -> Result<()> {
        let mut child = self.command().spawn().doing(|| "start qemu-system-x86_64")?;
        let output = child.stdout.take().expect("it was asked for");
        let running = Running(child);
        let (sender, lines) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        });
        let end = Instant::now() + self.limit;
        let heard = loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => hear(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break Ok(()),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let text = format!("boot a machine: no end within {:?}", self.limit);
                    break Err(Error::new(Kind::TimedOut, text));
                }
            }
        };
        drop(running);
        // It ends with the pipe, which has no writer any more.
        let _ended = reader.join();
        heard
    }

    fn command(&self) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-M", "microvm,acpi=off", "-accel", "tcg,thread=multi", "-cpu", "max"])
            .args(["-smp", "2", "-m", &self.memory_mib.to_string()])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-serial", "stdio"])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.files)
            .arg("-append")
            .arg(format!("console=ttyS0 panic=-1 reboot=t loglevel=1 {}", self.words))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }
}
