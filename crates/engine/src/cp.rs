//! Copying files between containers, the host and tar streams.
//!
//! ```text
//!  path ─place─▶ (directory fd, name) ─pack─▶ pipe ─unpack─▶ (directory fd, name) ◀─place─ path
//! ```
//!
//! A path is resolved from the fd of a root, so a link in a container leads within it, however often
//! it is changed meanwhile; what comes back are fds, and no path is used again. Files go as a tar
//! stream from one side to the other, so one packer and one unpacker know all that files have, and no
//! program of the container or the host is run for it.
//!
//! Where something lands is docker's rule: in an existing directory under its own name, else under
//! the name that is given; of `DIR/.` only what is in it goes.

mod place;

use crate::{
    Engine,
    rooted::{Access, Rooted},
};
use dhow_archive::{DecodeLimits, Decoder, Limits, Pack, RootEntry, Standing, Unpack, Whiteouts};
use dhow_base::{Doing, Error, Kind, Result};
use place::{Spot, Target};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use std::{
    io::{self, BufReader, BufWriter, Read, Write},
    os::fd::AsFd,
    path::Path,
    thread,
};

/// How much lies in the pipe between the two sides.
const PIPE_BYTES: usize = 1 << 20;

/// One end of a copy.
#[derive(Clone, Debug)]
pub enum CpEnd {
    /// A path of the host's, absolute.
    Host(String),
    /// A path in a container; its working directory is the root.
    Container {
        /// The container, by name or id.
        container: String,
        /// The path.
        path: String,
    },
}

/// Whose the copies are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owners {
    /// As they were, by their numbers.
    Kept,
    /// Root's in a container, and on the host the user's who copies.
    OfDestination,
}

/// How files are copied.
#[derive(Clone, Copy, Debug)]
pub struct CpOptions {
    /// Whose the copies are.
    pub owners: Owners,
    /// Whether a link that is named itself is followed.
    pub follow: bool,
    /// Whether a directory gives way to a file, and the other way round.
    pub overwrite: bool,
}

impl Engine {
    /// Copies files from one end to the other.
    pub fn cp(&mut self, from: &CpEnd, to: &CpEnd, options: CpOptions) -> Result<()> {
        let doing = || format!("copy {} to {}", shown(from), shown(to));
        let source = self.open_end(from, Access::Read).doing(doing)?;
        let target = self.open_end(to, Access::Write).doing(doing)?;
        let (from_owners, to_owners) = (&source.rooted.owners, &target.rooted.owners);
        let maker = target.rooted.maker;
        let copy = || -> Result<()> {
            let source = source.spot.source(source.rooted.root.as_fd(), options.follow)?;
            let target = target.spot.target(target.rooted.root.as_fd(), &source)?;
            let owner = owner(to, options.owners);
            let (seen_from, seen_to) = (from_owners.clone(), to_owners.clone());
            pass(
                |sink| {
                    let (name, shown) = (Path::new(&source.name), &target.shown);
                    let pack = Pack::copy().seen_by(seen_from);
                    pack.write_named(source.directory.as_fd(), name, shown, sink).map(drop)
                },
                |stream| {
                    let unpack = unpacker(&target, owner, options.overwrite, unbounded());
                    as_maker(maker, || unpack.seen_by(seen_to).apply(stream).map(drop))
                },
            )
        };
        copy().doing(doing)
    }

    /// Writes files of a container as a tar stream.
    pub fn cp_out(&mut self, from: &CpEnd, options: CpOptions, sink: &mut dyn Write) -> Result<()> {
        let doing = || format!("copy {} to the stream", shown(from));
        let source = self.open_end(from, Access::Read).doing(doing)?;
        let owners = &source.rooted.owners;
        let mut write = || -> Result<()> {
            let source = source.spot.source(source.rooted.root.as_fd(), options.follow)?;
            let mut sink = BufWriter::with_capacity(256 << 10, &mut *sink);
            let name = Path::new(&source.name);
            let shown = source.own_name();
            let pack = Pack::copy().seen_by(owners.clone());
            pack.write_named(source.directory.as_fd(), name, shown, &mut sink)?;
            sink.flush().doing(|| "write the end")
        };
        write().doing(doing)
    }

    /// Unpacks a tar stream, which may be compressed, into a directory of a container.
    pub fn cp_in(
        &mut self,
        stream: &mut (dyn Read + Send),
        to: &CpEnd,
        options: CpOptions,
    ) -> Result<()> {
        let doing = || format!("copy the stream to {}", shown(to));
        let opened = self.open_end(to, Access::Write).doing(doing)?;
        let read = || -> Result<()> {
            let target = opened.spot.directory(opened.rooted.root.as_fd())?;
            let owner = owner(to, options.owners);
            let mut plain = Decoder::detect(stream, DecodeLimits::default())?;
            let unpack = unpacker(&target, owner, options.overwrite, Limits::default());
            let unpack = unpack.seen_by(opened.rooted.owners.clone());
            as_maker(opened.rooted.maker, || unpack.apply(&mut plain).map(drop))
        };
        read().doing(doing)
    }

    fn open_end(&mut self, end: &CpEnd, access: Access) -> Result<End> {
        match end {
            CpEnd::Host(path) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let root = rustix::fs::openat(CWD, "/", flags, Mode::empty())
                    .doing(|| "open the root directory")?;
                let spot = Spot::parse(path);
                Ok(End { rooted: Rooted::new(root, spot.path.clone()), spot })
            }
            CpEnd::Container { container, path } => {
                let row = self.look_up(container)?;
                let mut spot = Spot::parse(&format!("/{path}"));
                let rooted = self.rooted(&row, &spot.path, access)?;
                spot.path.clone_from(&rooted.path);
                Ok(End { rooted, spot })
            }
        }
    }
}

/// An end that was found.
struct End {
    rooted: Rooted,
    spot: Spot,
}

fn shown(end: &CpEnd) -> String {
    match end {
        CpEnd::Host(path) => path.clone(),
        CpEnd::Container { container, path } => format!("{container}:{path}"),
    }
}

/// Does the work of the unpacker as the user whose ids the destination knows.
fn as_maker(maker: Option<(u32, u32)>, work: impl FnOnce() -> Result<()>) -> Result<()> {
    match maker {
        None => work(),
        Some((uid, gid)) => {
            let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
            dhow_sys::process::as_owner(owner, work)
                .doing(|| "make files as the container's root")?
        }
    }
}

fn owner(to: &CpEnd, owners: Owners) -> Option<(u32, u32)> {
    match (owners, to) {
        (Owners::Kept, _) => None,
        (Owners::OfDestination, CpEnd::Container { .. }) => Some((0, 0)),
        (Owners::OfDestination, CpEnd::Host(_)) => {
            Some((rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()))
        }
    }
}

fn unpacker<'d>(
    target: &'d Target,
    owner: Option<(u32, u32)>,
    overwrite: bool,
    limits: Limits,
) -> Unpack<'d> {
    let standing = if overwrite { Standing::GivesWay } else { Standing::Stays };
    let unpack = Unpack::new(target.directory.as_fd(), Whiteouts::Literal, limits)
        .with_root_entry(RootEntry::PassedOver)
        .with_standing(standing);
    match owner {
        Some((uid, gid)) => unpack.owned_by(uid, gid),
        None => unpack,
    }
}

/// What we have packed ourselves is as large as the files are.
fn unbounded() -> Limits {
    Limits {
        entries: u64::MAX,
        unpacked_bytes: u64::MAX,
        file_bytes: u64::MAX,
        depth: usize::MAX,
        remembered_bytes: usize::MAX,
        ..Limits::default()
    }
}

/// Lets one side write and the other read at the same time. If one fails, the other ends.
fn pass(
    pack: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
    unpack: impl FnOnce(&mut dyn Read) -> Result<()>,
) -> Result<()> {
    let (reader, writer) = io::pipe().doing(|| "make a pipe")?;
    // A pipe of the usual size is enough; a larger one saves turns, where the user may have one.
    let _sized = rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES);
    thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let mut sink = BufWriter::with_capacity(256 << 10, writer);
            pack(&mut sink)?;
            sink.flush().doing(|| "write the end")
        });
        let mut stream = BufReader::with_capacity(256 << 10, reader);
        let unpacked = unpack(&mut stream);
        if unpacked.is_ok() {
            // What follows the archive's end; the packer must not find the pipe closed.
            let _read = io::copy(&mut stream, &mut io::sink());
        }
        drop(stream);
        let packed = packing
            .join()
            .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "pack: the thread has panicked")));
        let is_echo = |error: &Error| error.errno() == Some(rustix::io::Errno::PIPE.raw_os_error());
        match (packed, unpacked) {
            (Err(error), Err(unpacking)) if is_echo(&error) => Err(unpacking),
            (Err(error), _) => Err(error),
            (Ok(()), unpacked) => unpacked,
        }
    })
}
