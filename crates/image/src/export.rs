//! An image's root as a tar stream: what a container of it would see, in one layer.
//!
//! The order is that of the names, and nothing of the moment is in it: the same image gives the same
//! bytes each time.

use crate::{
    Image, Images, SaveTo,
    place::landing::{Landing, Taken},
};
use dhow_archive::{Builder, Pack};
use dhow_base::{Doing, Result};
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
        let doing = || format!("export image {text}");
        match to {
            SaveTo::Stream(sink) => write(&image, sink).doing(doing),
            SaveTo::Path(path) => {
                let landing = Landing::begin(&path).doing(doing)?;
                write(&image, landing.file()).doing(doing)?;
                landing.land(Taken::Replace).doing(doing)
            }
        }
    }
}

fn write(image: &Image, sink: impl Write) -> Result<()> {
    let mut sink = BufWriter::with_capacity(BUFFER_BYTES, sink);
    if image.chain.is_empty() {
        // No layer says what even the root is like.
        Builder::new(&mut sink).finish()?;
    } else {
        let root = dhow_sys::union::open(&image.view()?)
            .map_err(io::Error::from)
            .doing(|| "mount it unseen")?;
        Pack::tree().write(root.as_fd(), &mut sink)?;
    }
    sink.flush().doing(|| "write the end")
}
