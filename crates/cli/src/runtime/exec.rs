//! `exec`: one more process in a container, from flags or from a file with a whole process.

use super::run;
use crate::{exit::SUCCESS, flags::refuse};
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use dhow_runtime::shelf::Shelf;
use dhow_spec::runtime::Process;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use std::{
    io::IoSlice,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

/// The largest file that describes a process.
const LIMIT_BYTES: u64 = 16 << 20;

/// Run one more process in a running container
#[derive(clap::Args, Debug)]
pub(super) struct Exec {
    /// Read the whole process from a JSON file
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,

    /// Give the process a terminal, whose master goes to --console-socket
    #[arg(short, long)]
    tty: bool,

    /// Send the terminal's master to this socket
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,

    /// Do not stay
    #[arg(short, long)]
    detach: bool,

    /// Write the process's number to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Run in this directory of the container
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,

    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// Run as this user, by number
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,

    /// Add a group, by number
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,

    /// Add a capability
    #[arg(short, long, value_name = "CAPABILITY")]
    cap: Vec<String>,

    /// Never let the process gain rights
    #[arg(long)]
    no_new_privs: bool,

    /// Leave the process so many files open, from 3 on
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    preserve_fds: u32,

    /// The container's id, and what to run in it
    #[arg(
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        value_names = ["ID", "COMMAND"]
    )]
    id_and_command: Vec<String>,
}

impl Exec {
    pub(super) fn act(&self, shelf: &Shelf) -> Result<u8> {
        let (id, command) = self
            .id_and_command
            .split_first()
            .ok_or_else(|| Error::new(Kind::Invalid, "the container's id is missing"))?;
        let process = self.described(shelf, id, command)?;
        if process.terminal && self.console_socket.is_none() {
            return Err(Error::new(Kind::Invalid, "give the process a terminal")
                .hint("--console-socket takes its master; `dhow exec -it` needs none"));
        }
        let executed = shelf.exec(id, &process, self.preserve_fds)?;
        if let (Some(terminal), Some(socket)) = (&executed.terminal, &self.console_socket) {
            hand_out(terminal.as_fd(), socket)?;
        }
        if let Some(path) = &self.pid_file {
            let text = executed.pid.to_string();
            file::write_atomically(path, text.as_bytes(), 0o644, Durability::Cached)?;
        }
        if self.detach { Ok(SUCCESS) } else { run::wait(executed.pidfd.as_fd()) }
    }

    /// The process of the file, or the container's own changed by flags.
    fn described(&self, shelf: &Shelf, id: &str, command: &[String]) -> Result<Process> {
        let mut process = match &self.process {
            Some(path) => {
                let doing = || format!("read the process from {}", path.display());
                let bytes = file::read_limited(path, LIMIT_BYTES).doing(doing)?;
                serde_json::from_slice(&bytes)
                    .map_err(|error| Error::new(Kind::Invalid, doing()).because(error))?
            }
            None => Process {
                terminal: false,
                args: Vec::new(),
                ..shelf.record(id)?.spec.process.unwrap_or_default()
            },
        };
        if !command.is_empty() {
            process.args = command.to_vec();
        }
        if process.args.is_empty() {
            return Err(Error::new(
                Kind::Invalid,
                format!("execute in container {id}: no command is given"),
            ));
        }
        process.terminal |= self.tty;
        process.no_new_privileges |= self.no_new_privs;
        process.env.extend(self.env.iter().cloned());
        process.user.additional_gids.extend(&self.additional_gids);
        if let Some(cwd) = &self.cwd {
            process.cwd.clone_from(cwd);
        }
        if let Some(text) = &self.user {
            (process.user.uid, process.user.gid) = user(text, process.user.gid)?;
        }
        self.add_capabilities(&mut process);
        Ok(process)
    }

    fn add_capabilities(&self, process: &mut Process) {
        let sets = process.capabilities.get_or_insert_default();
        for name in &self.cap {
            for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
                if !set.contains(name) {
                    set.push(name.clone());
                }
            }
        }
    }
}

/// Numbers only: names are the engine's business, which knows the container's accounts.
fn user(text: &str, gid: u32) -> Result<(u32, u32)> {
    let number = |digits: &str| {
        digits
            .parse()
            .map_err(|_| refuse("--user", text, "not numbers").hint("write UID or UID:GID"))
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, number(gid)?)),
        None => Ok((number(text)?, gid)),
    }
}

/// Sends the terminal's master to whoever listens (runc's protocol: one message with the fd).
fn hand_out(terminal: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let doing = || format!("send the terminal to {}", path.display());
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .doing(doing)?;
    let address = SocketAddrUnix::new(path).doing(doing)?;
    rustix::net::connect(&socket, &address).doing(doing)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [terminal];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Error::new(Kind::Internal, doing()));
    }
    let name = [IoSlice::new(b"/dev/pts/ptmx")];
    rustix::net::sendmsg(&socket, &name, &mut control, SendFlags::NOSIGNAL).doing(doing)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers() {
        assert_eq!(user("5", 7).unwrap(), (5, 7));
        assert_eq!(user("5:6", 7).unwrap(), (5, 6));
        for bad in ["", "root", "5:", ":6", "-1", "4294967296"] {
            assert!(user(bad, 0).is_err(), "{bad:?}");
        }
    }
}
