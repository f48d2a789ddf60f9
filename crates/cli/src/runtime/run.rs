//! `run`: create, start, stay, delete.

use super::{
    Call, Command, Touches,
    create::{self, BIRTH, Company, Files},
    delete::delete,
    foreground::{Child, Foreground, Orphans, Signals},
    grammar::{Flag, Stop, switch},
    notify::Relay,
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Doing, Result};
use dhow_runtime::shelf::{Created, Force};
use std::os::fd::AsFd;

pub(super) const COMMAND: Command = Command {
    name: "run",
    about: "Create and start a container, and stay with it until it ends",
    arguments: "ID",
    count: 1..=1,
    flags: &[&BIRTH, &STAY],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Container,
    act,
};

/// The flags of staying.
pub(super) const STAY: [Flag; 3] = [
    switch("detach", "d", "Do not stay"),
    switch("keep", "", "Do not delete the container when it has ended"),
    switch("no-subreaper", "", "Do not take in processes that lose their parent"),
];

fn act(call: &Call<'_>) -> Result<u8> {
    let files = Files::given(call)?;
    stay_with(call, |company| create::create(call, company, files))
}

/// Stays with the container that `make` makes, unless the words say otherwise, and deletes it.
pub(super) fn stay_with(
    call: &Call<'_>,
    make: impl FnOnce(Company) -> Result<Created>,
) -> Result<u8> {
    let company = if call.words.is_on("detach") { Company::Leaves } else { Company::Stays };
    let orphans =
        if call.words.is_on("no-subreaper") { Orphans::Elsewhere } else { Orphans::TakenIn };
    if orphans == Orphans::TakenIn {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .doing(|| "take in processes that lose their parent")?;
    }
    // Taken before the process exists, so that none that is meant for it is lost.
    let signals = match company {
        Company::Stays => Some(Signals::take()?),
        Company::Leaves => None,
    };
    let created = make(company)?;
    let ended = accompany(call, created, signals, orphans);
    let keeps = call.words.is_on("keep") || company == Company::Leaves;
    if keeps && ended.is_ok() {
        return ended;
    }
    // What went wrong first is what the user must hear of.
    let deleted = delete(call, Force::Kill);
    let code = ended?;
    if let Err(error) = deleted {
        call.log.warning(&error.one_line());
    }
    Ok(code)
}

fn accompany(
    call: &Call<'_>,
    created: Created,
    signals: Option<Signals>,
    orphans: Orphans,
) -> Result<u8> {
    let id = call.words.id()?;
    let pid = created.record.init.map_or(0, |init| init.pid);
    // Whoever stays is whom the service manager should watch.
    let main = if signals.is_some() { std::process::id().cast_signed() } else { pid };
    let place = call.shelf.directory(id)?;
    let relay = call.environment.notify_socket.as_deref();
    let relay = relay.map(|host| Relay::bind(&place, host, main)).transpose()?;
    let Some(signals) = signals else {
        start(call, id)?;
        if let Some(relay) = relay {
            relay.wait(&created.pidfd)?;
        }
        return Ok(SUCCESS);
    };
    let child = Child { pid, pidfd: created.pidfd.as_fd() };
    let foreground = Foreground::new(signals, child, created.terminal, relay, orphans)?;
    start(call, id)?;
    foreground.stay()
}

/// A restored container runs already.
fn start(call: &Call<'_>, id: &str) -> Result<()> {
    if call.command == "restore" { Ok(()) } else { call.shelf.start(id) }
}
