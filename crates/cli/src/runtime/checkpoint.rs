//! `checkpoint`: a running container becomes files; and what `restore` shares with it.

use super::{
    Call, Command, Touches, absolute,
    grammar::{Flag, Stop, bad, switch, value},
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::Result;
use dhow_runtime::shelf::{Checkpoint, Force, Revival};
use std::path::{Path, PathBuf};

pub(super) const COMMAND: Command = Command {
    name: "checkpoint",
    about: "Write a running container down, by criu",
    arguments: "ID",
    count: 1..=1,
    flags: &[&REVIVAL, &WRITING],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

/// Where the files are, unless it is said.
const IMAGES: &str = "checkpoint";

/// The flags that both directions have.
pub(super) const REVIVAL: [Flag; 11] = [
    value("image-path", "", "DIR", "The directory of the files; `checkpoint` where missing"),
    value("work-path", "", "DIR", "Where criu works and writes its log"),
    value("manage-cgroups-mode", "", "MODE", "How cgroups come back: soft, full, strict, ignore"),
    value("empty-ns", "", "KIND", "Namespaces that come back empty: network"),
    switch("tcp-established", "", "Take open TCP connections along"),
    switch("ext-unix-sk", "", "Take unix sockets along whose other ends are outside"),
    switch("shell-job", "", "Allow a process that has the caller's terminal"),
    switch("file-locks", "", "Take locks of files along"),
    switch("auto-dedup", "", "Throw away pages that a later file has too"),
    switch("lazy-pages", "", "Let pages come when they are touched"),
    switch("link-remap", "", "Link open files again that are unlinked"),
];

const WRITING: [Flag; 6] = [
    value("parent-path", "", "DIR", "An earlier --pre-dump, relative to the files' directory"),
    value("page-server", "", "ADDRESS:PORT", "Send pages to a criu page server"),
    value("status-fd", "", "NUMBER", "Tell this file when lazy pages can be asked for"),
    switch("leave-running", "", "Let the container go on"),
    switch("pre-dump", "", "Write the memory only, and let the container go on"),
    switch("tcp-skip-in-flight", "", "Leave connections out that are not established yet"),
];

fn act(call: &Call<'_>) -> Result<u8> {
    let id = call.words.id()?;
    let places = Places::given(call)?;
    let checkpoint = Checkpoint {
        revival: places.revival(call)?,
        parent: call.words.filled("parent-path"),
        leave_running: call.words.is_on("leave-running"),
        pre_dump: call.words.is_on("pre-dump"),
        tcp_skip_in_flight: call.words.is_on("tcp-skip-in-flight"),
        page_server: call.words.filled("page-server").map(page_server).transpose()?,
        status_fd: call.words.number("status-fd")?,
    };
    call.shelf.checkpoint(id, &checkpoint)?;
    if !checkpoint.leave_running && !checkpoint.pre_dump {
        call.shelf.delete(id, Force::Kill)?;
    }
    Ok(SUCCESS)
}

fn page_server(text: &str) -> Result<(&str, u16)> {
    let wrong = || bad("page-server", text, "not ADDRESS:PORT");
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    if address.is_empty() { Err(wrong()) } else { Ok((address, port)) }
}

/// Paths, absolute: criu works elsewhere.
#[derive(Debug)]
pub(super) struct Places {
    program: PathBuf,
    images: PathBuf,
    work: Option<PathBuf>,
}

impl Places {
    /// Those of the command line.
    pub(super) fn given(call: &Call<'_>) -> Result<Self> {
        let path = |flag: &str| call.words.filled(flag).map(Path::new);
        Ok(Self {
            program: call.globals.filled("criu").unwrap_or("criu").into(),
            images: absolute(path("image-path").unwrap_or(Path::new(IMAGES)))?,
            work: path("work-path").map(absolute).transpose()?,
        })
    }

    /// What both directions are told.
    pub(super) fn revival<'a>(&'a self, call: &'a Call<'_>) -> Result<Revival<'a>> {
        if let Some(other) = call.words.texts("empty-ns").find(|kind| *kind != "network") {
            return Err(bad("empty-ns", other, "not network, which is all that can be empty"));
        }
        Ok(Revival {
            program: &self.program,
            images: &self.images,
            work: self.work.as_deref(),
            cgroups: call.words.filled("manage-cgroups-mode"),
            tcp_established: call.words.is_on("tcp-established"),
            external_unix_sockets: call.words.is_on("ext-unix-sk"),
            shell_job: call.words.is_on("shell-job"),
            file_locks: call.words.is_on("file-locks"),
            auto_dedup: call.words.is_on("auto-dedup"),
            lazy_pages: call.words.is_on("lazy-pages"),
            link_remap: call.words.is_on("link-remap"),
            tcp_close: false,
            empty_network: call.words.texts("empty-ns").next().is_some(),
        })
    }
}
