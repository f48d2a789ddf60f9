//! `epoll(7)`: one fd that says whether any of some sockets has something to do.

use dhow_base::{Doing, Result};
use rustix::{
    event::{
        Timespec,
        epoll::{CreateFlags, Event, EventData, EventFlags, add, create, modify, wait},
    },
    io::Errno,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How many sockets are looked after before others of the process have their turn.
const MOST_AT_ONCE: usize = 64;

/// Sockets under numbers of the caller's choice. A socket that is closed is forgotten by itself.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { epoll: create(CreateFlags::CLOEXEC).doing(|| "watch sockets")? })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Watches one more socket.
    pub(crate) fn add(
        &self,
        socket: impl AsFd,
        number: u64,
        flags: EventFlags,
    ) -> Result<(), Errno> {
        add(&self.epoll, socket, EventData::new_u64(number), flags)
    }

    /// Watches a socket for something else.
    pub(crate) fn change(
        &self,
        socket: impl AsFd,
        number: u64,
        flags: EventFlags,
    ) -> Result<(), Errno> {
        modify(&self.epoll, socket, EventData::new_u64(number), flags)
    }

    /// The numbers of the sockets that have something to do now.
    pub(crate) fn ready(&self) -> Vec<u64> {
        let mut events = Vec::<Event>::with_capacity(MOST_AT_ONCE);
        let now = Timespec::default();
        // Interrupted or without memory: whoever calls asks again soon.
        let _count = wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&now));
        events.iter().map(|event| event.data.u64()).collect()
    }
}
