//! `dhcp`: an address of a server on the device's link, kept by a process of its own.
//!
//! ```text
//!   ADD ─▶ an address is had ─▶ the process divides ─▶ one prints the result and ends
//!                                     └▶ the keeper: asks for more time … DEL ─▶ gives it back, ends
//! ```
//!
//! The reference plugin has a daemon that somebody must start. Here each lease has a keeper, which ends
//! with its device, or when its namespace is another one's. It holds a lock on its file for as long as it
//! lives; so whoever finds the file can tell.
//!
//! # On disk
//!
//! ```text
//! /run/cni/dhow-dhcp/<container>-<interface>    the keeper's number, locked by it
//! ```

use super::asked::Asked;
use crate::{
    InterfaceAddress, Tenant,
    cni::{Dns, Ip, Outcome, Refusal, Route},
    inside::within,
    link,
};
use dhow_base::{
    Doing, Error, Kind, Result, file,
    lock::{Lock, Sharing},
};
use dhow_sys::{
    clone::Side,
    netlink::{Netlink, Protocol},
    signal,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    process::{Pid, Signal},
    thread::ThreadNameSpaceType,
};
use std::{
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

const DIRECTORY: &str = "/run/cni/dhow-dhcp";

/// How often a keeper looks whether its device is there.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long the end of a keeper is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let path = file_of(asked);
    // Of a call that was killed.
    end_keeper(&path)?;
    let namespace = asked.namespace()?;
    let mac = bring_up(asked, &namespace)?;
    // As the reference calls it: who changes from one to the other keeps the address.
    let client = format!("{}/{}/{}", asked.container, asked.name, asked.interface);
    let tenant = Tenant::hold(&asked.name, &asked.interface, mac, &client, namespace.as_fd())?;
    let outcome = outcome(&tenant)?;
    match divide().doing(|| "leave a keeper of the lease behind")? {
        Side::Parent { .. } => {
            // The lease is the keeper's to give back.
            std::mem::forget(tenant);
            wait_for(&path)?;
            Ok(outcome)
        }
        Side::Child => {
            let code = keep(tenant, &path, asked).map_or(1, |()| 0);
            dhow_sys::process::leave(code)
        }
    }
}

pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    Ok(end_keeper(&file_of(asked))?)
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    if keeper(&file_of(asked))?.is_some() {
        return Ok(());
    }
    let text = format!("dhcp: nobody keeps the lease of {}", asked.interface);
    Err(Refusal::new(Refusal::OTHER, text))
}

fn file_of(asked: &Asked) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{}-{}", asked.container, asked.interface))
}

/// Whoever calls brings the device up when it has an address, and there is none without packets. Its
/// hardware address.
fn bring_up(asked: &Asked, namespace: &OwnedFd) -> Result<crate::Mac> {
    let doing = || format!("bring device {} up", asked.interface);
    let found = within(namespace.as_fd(), || {
        let netlink = Netlink::open(Protocol::Route).doing(|| "open a netlink socket")?;
        let up = link::up(link::Which::Name(&asked.interface)).doing(doing)?;
        netlink.ask(up).doing(doing)?;
        link::find(&netlink, &asked.interface).doing(doing)
    })?;
    let found = found.ok_or_else(|| Error::new(Kind::NotFound, "it is not there")).doing(doing)?;
    found.mac_text().parse::<crate::Mac>().doing(doing)
}

fn outcome(tenant: &Tenant) -> Result<Outcome> {
    let leased = tenant
        .leased()
        .ok_or_else(|| Error::new(Kind::Unavailable, "the lease is over already"))?;
    let everywhere = InterfaceAddress { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 };
    let mut routes: Vec<Route> =
        leased.gateway.iter().map(|gateway| Route::through(*gateway, everywhere)).collect();
    routes.extend(tenant.routes().into_iter().map(|(to, gateway)| {
        let to = InterfaceAddress { address: to.first(), prefix: to.prefix() };
        Route::through(gateway.into(), to)
    }));
    Ok(Outcome {
        ips: vec![Ip { interface: None, address: leased.address, gateway: leased.gateway }],
        routes,
        dns: Dns {
            nameservers: leased.servers.iter().map(ToString::to_string).collect(),
            domain: leased.searches.into_iter().next().unwrap_or_default(),
            ..Dns::default()
        },
        ..Outcome::default()
    })
}

fn divide() -> std::io::Result<Side> {
    dhow_sys::clone::clone3(ThreadNameSpaceType::empty(), None)
}

/// Waits until the keeper shows itself.
fn wait_for(path: &Path) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while keeper(path)?.is_none() {
        if Instant::now() > end {
            return Err(Error::new(Kind::TimedOut, "wait for the keeper of the lease"));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The life of a keeper.
fn keep(mut tenant: Tenant, path: &Path, asked: &Asked) -> Result<()> {
    rustix::process::setsid().doing(|| "leave the caller's session")?;
    rustix::process::chdir("/").doing(|| "leave the caller's directory")?;
    signal::block(&[Signal::TERM.as_raw()]).doing(|| "block signals")?;
    let signals = signal::Reader::new(&[Signal::TERM.as_raw()]).doing(|| "read signals")?;
    file::make_directories(Path::new(DIRECTORY), 0o700)?;
    let _lock = Lock::try_acquire(&lock_of(path), Sharing::Exclusive)?
        .ok_or_else(|| Error::new(Kind::Conflict, "another one keeps the lease"))?;
    let number = rustix::process::getpid().as_raw_pid().to_string();
    file::write_atomically(path, number.as_bytes(), 0o600, file::Durability::Cached)?;
    part_with_caller()?;
    while tenant.has_device() && is_namespace_there(asked) {
        let now = Instant::now();
        tenant.work(now);
        let wait = tenant.deadline().saturating_duration_since(now).min(LOOK_EVERY);
        let timeout = Timespec::try_from(wait).unwrap_or_default();
        let fd = tenant.fd();
        let mut fds =
            [PollFd::from_borrowed_fd(fd, PollFlags::IN), PollFd::new(signals.fd(), PollFlags::IN)];
        let _ready = poll(&mut fds, Some(&timeout));
        if signals.next_signal().ok().flatten().is_some() {
            break;
        }
    }
    drop(tenant);
    file::remove_if_there(path)?;
    file::remove_if_there(&lock_of(path))
}

/// A socket holds a namespace: who keeps one must not be the last to do so for ever.
fn is_namespace_there(asked: &Asked) -> bool {
    asked.namespace().is_ok()
}

/// Whoever called waits for the end of the streams.
fn part_with_caller() -> Result<()> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let null = rustix::fs::open("/dev/null", flags, Mode::empty()).doing(|| "open /dev/null")?;
    let doing = || "part with the caller's streams";
    rustix::stdio::dup2_stdin(&null).doing(doing)?;
    rustix::stdio::dup2_stdout(&null).doing(doing)?;
    rustix::stdio::dup2_stderr(&null).doing(doing)
}

fn lock_of(path: &Path) -> PathBuf {
    path.with_added_extension("lock")
}

/// The keeper that lives.
fn keeper(path: &Path) -> Result<Option<Pid>> {
    let bytes = match file::read_limited(path, 32) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    if Lock::try_acquire(&lock_of(path), Sharing::Exclusive)?.is_some() {
        // It has left its file, and nobody has the number for sure.
        return Ok(None);
    }
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
    Ok(number.and_then(Pid::from_raw))
}

/// Has the keeper give the lease back, and waits until it has.
fn end_keeper(path: &Path) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut was_told = false;
    while let Some(pid) = keeper(path)? {
        if !was_told {
            let _gone_already = rustix::process::kill_process(pid, Signal::TERM);
            was_told = true;
        }
        if Instant::now() > end {
            return Err(Error::new(Kind::TimedOut, "wait for the keeper of the lease to end"));
        }
        thread::sleep(PAUSE);
    }
    file::remove_if_there(path)?;
    file::remove_if_there(&lock_of(path))
}
