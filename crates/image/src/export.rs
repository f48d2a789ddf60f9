//! An image's root as a tar stream: what a container of it would see, in one layer.
//!
//! The order is that of the names, and nothing of the moment is in it: the same image gives the same
//! bytes each time.

use crate::{
    Image, Images, SaveTo,
    place::landing::{Landing, Taken},
};
use dhow_archive::{Builder, MappedOwners, Pack};
use dhow_base::{Doing, Result};
use dhow_spec::Mount;
use dhow_state::State;
use std::{
    io::{self, BufWriter, Write},
    os::fd::AsFd,
};

const BUFFER_BYTES: usize = 256 << 10;

impl Images {
    /// Writes the root of an image. On failure there is no file.
    pub fn export(&self, state: &State, text: &str, to: SaveTo) -> Result<()> {
        let image = self.look_up(state, text)?;
        land(to, |sink| write(&image, sink)).doing(|| format!("export image {text}"))
    }
}

/// Writes a root that is mounted, as those owners see it. On failure there is no file.
pub fn export_root(root: &Mount, owners: Option<&MappedOwners>, to: SaveTo) -> Result<()> {
    land(to, |sink| write_root(root, owners, sink))
}

fn land(to: SaveTo, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    match to {
        SaveTo::Stream(mut sink) => fill(&mut sink),
        SaveTo::Path(path) => {
            let landing = Landing::for_user(&path)?;
            fill(&mut landing.file())?;
            landing.land(Taken::Replace)
        }
    }
}

fn write(image: &Image, sink: &mut dyn Write) -> Result<()> {
    if image.chain.is_empty() {
        // No layer says what even the root is like.
        return Builder::new(sink).finish().map(drop);
    }
    write_root(&image.view()?, None, sink)
}

fn write_root(root: &Mount, owners: Option<&MappedOwners>, sink: &mut dyn Write) -> Result<()> {
    let mut sink = BufWriter::with_capacity(BUFFER_BYTES, sink);
    let root = dhow_sys::union::open(root).map_err(io::Error::from).doing(|| "mount it unseen")?;
    Pack::tree().seen_by(owners.cloned()).write(root.as_fd(), &mut sink)?;
    sink.flush().doing(|| "write the end")
}
