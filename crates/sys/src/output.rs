//! Where a command's output goes that a user has named a file for.
//!
//! | there is | so |
//! |---|---|
//! | nothing, or a file | it gets its name when it is whole, in the place of that one |
//! | a device, a pipe, a socket of the caller's | it is written into: root could put a file in the place of `/dev/null` |
//!
//! A link leads on, as everywhere in a shell, if it may be followed at all (see [`host_path`](crate::host_path)).

use crate::host_path::{LastLink, Place};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::{fs::File, io, path::Path};

/// Where to write.
#[derive(Debug)]
pub enum Destination {
    /// A name for a file that is whole.
    Name(Place),
    /// What is to be written into.
    Open(File),
}

impl Destination {
    /// Looks at what is there. A FIFO without a reader is waited for, as by a shell.
    pub fn find(path: &Path) -> io::Result<Self> {
        let place = Place::find(path, LastLink::Followed)?;
        let there = match place.existing() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Name(place)),
            there => there?,
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&there)?.st_mode);
        // A directory is refused by who puts a file in its place.
        if matches!(kind, FileType::RegularFile | FileType::Directory) && !place.is_magic() {
            return Ok(Self::Name(place));
        }
        let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(Self::Open(rustix::fs::openat(CWD, place.path(), flags, Mode::empty())?.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::makedev;
    use std::{
        fs,
        io::{Read, Write},
        os::unix::fs::{FileTypeExt, symlink},
    };

    fn directory(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("dhow-output-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_name_that_is_free_or_a_files_is_a_name() {
        let directory = directory("names");
        let at = |name: &str| directory.join(name);
        fs::write(at("file"), "old").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("none", at("dangling")).unwrap();

        for (name, leads_to) in
            [("new", "new"), ("file", "file"), ("link", "file"), ("dangling", "none")]
        {
            let Ok(Destination::Name(place)) = Destination::find(&at(name)) else {
                panic!("{name}");
            };
            fs::write(place.path(), name).unwrap();
            assert_eq!(fs::read_to_string(at(leads_to)).unwrap(), name);
        }
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert!(Destination::find(&at("no/where")).is_err());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_device_and_a_pipe_are_written_into() {
        let directory = directory("devices");
        let at = |name: &str| directory.join(name);
        let opened = |path: &Path| match Destination::find(path) {
            Ok(Destination::Open(file)) => file,
            other => panic!("{}: {other:?}", path.display()),
        };
        let (mut reader, writer) = io::pipe().unwrap();
        let magic = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
        symlink(magic, at("out")).unwrap();

        opened(&at("out")).write_all(b"text").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();

        assert_eq!(text, "text");
        // Who may not make devices can still use the host's.
        let node = at("null");
        let mode = Mode::from_raw_mode(0o666);
        let made = rustix::fs::mknodat(CWD, &node, FileType::CharacterDevice, mode, makedev(1, 3));
        let null = if made.is_ok() { node.as_path() } else { Path::new("/dev/null") };
        if opened(null).write_all(b"x").is_ok() {
            assert!(fs::metadata(null).unwrap().file_type().is_char_device());
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
