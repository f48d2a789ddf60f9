//! What is in a volume as a tar file, and back. A volume is no layer: a file that is called as a
//! whiteout is a file like any other, and none deletes another.

use super::{Volumes, lock};
use crate::Engine;
use dhow_archive::{DecodeLimits, Decoder, Limits, Pack, Unpack, Whiteouts};
use dhow_base::{Doing, Result, id::Name};
use dhow_state::volumes;
use rustix::fs::{Mode, OFlags};
use std::{
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
};

impl Engine {
    /// Writes what is in a volume as a tar file.
    pub fn export_volume(&mut self, text: &str, to: &mut dyn Write) -> Result<()> {
        let name = volumes::look_up(self.state.read(), text)?.name;
        self.volumes_mut()
            .looked_into(&name, |data| {
                Pack::copy().write(data.as_fd(), to)?;
                Ok(())
            })
            .doing(|| format!("export volume {name}"))
    }

    /// Puts what is in a tar file, compressed or not, into a volume, over what is there.
    pub fn import_volume(&mut self, text: &str, from: &mut dyn Read) -> Result<()> {
        let name = volumes::look_up(self.state.read(), text)?.name;
        self.volumes_mut()
            .looked_into(&name, |data| {
                let mut stream = Decoder::detect(from, DecodeLimits::default())?;
                Unpack::new(data.as_fd(), Whiteouts::Literal, Limits::default())
                    .apply(&mut stream)?;
                Ok(())
            })
            .doing(|| format!("import into volume {name}"))
    }
}

impl Volumes<'_> {
    /// Does something with a volume's data, mounted where it is a file system of its own.
    fn looked_into(&mut self, name: &Name, work: impl FnOnce(OwnedFd) -> Result<()>) -> Result<()> {
        let _lock = lock(self.layout, name)?;
        if self.settled(name)?.is_none() {
            self.present(name)?;
        }
        let row = self.present(name)?;
        self.attach(&row)?;
        let path = self.layout.volume_data(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let done = rustix::fs::open(&path, flags, Mode::empty())
            .doing(|| format!("open {}", path.display()))
            .and_then(work);
        let detached = self.detach_unused(name, None);
        done.and(detached)
    }
}
