//! `image mount`: the root of an image, to be looked into on the host.

use crate::{
    exit::SUCCESS,
    flags::images::every_image,
    invocation::Invocation,
    manners::Manners,
    render::list::{Column, Row, Shape},
    tree::Act,
};
use dhow_base::Result;
use dhow_image::{CompleteNames, Mounted};

const COLUMNS: &[Column] = &[("IMAGE", "Image"), ("USERS", "Users"), ("MOUNTPOINT", "Mountpoint")];

/// podman's list has no titles.
const PODMANS_COLUMNS: &[Column] = &[("IMAGE", "Image"), ("MOUNTPOINT", "Mountpoint")];

/// Mount the root of images for reading, or list what is mounted
///
/// Prints where. Who mounts an image that is mounted already is counted, and it stays until as many
/// have called `image unmount`. Devices and set-user-id programs of the image count for nothing there.
/// Nothing is mounted any more after a reboot.
#[derive(clap::Args, Debug)]
pub(crate) struct Mount {
    /// The images, by name or id; none to list what is mounted
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,

    /// Mount all images
    #[arg(short, long, conflicts_with = "images")]
    all: bool,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for Mount {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(false, self.format.as_deref(), "Mountpoint")?.by(invocation.manners);
        if self.all || !self.images.is_empty() {
            invocation.sees_mounts("mount an image")?;
        }
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let named = if self.all { every_image(images, state)? } else { self.images };
        let mut mounted = Vec::with_capacity(named.len());
        for image in &named {
            match images.mount(state, image) {
                Ok(one) => mounted.push(one),
                Err(error) => {
                    // As if the command had not been: each of them counts those who want it.
                    for one in &mounted {
                        let manifest = one.image.manifest.as_str();
                        images.unmount(state, manifest, dhow_image::Unmount::One)?;
                    }
                    return Err(error);
                }
            }
        }
        if let ([one], None, false) = (&mounted[..], &self.format, self.all) {
            invocation.console.line(&one.path.to_string_lossy())?;
            return Ok(SUCCESS);
        }
        if named.is_empty() && !self.all {
            mounted = images.mounted(state)?;
        }
        let rows: Vec<Row> = mounted.iter().map(|one| row(one, invocation.manners)).collect();
        let podmans = invocation.manners == Manners::Podman;
        let columns = if podmans { PODMANS_COLUMNS } else { COLUMNS };
        invocation.console.print(shape.print_titled(columns, &rows, podmans)?)?;
        Ok(SUCCESS)
    }
}

fn row(mounted: &Mounted, manners: Manners) -> Row {
    let Mounted { image, path, users } = mounted;
    let tags = match manners {
        Manners::Podman => CompleteNames::of(&image.names, &image.manifest).tagged,
        _ => image.tags(),
    };
    let name = tags.first().map_or_else(|| image.id.short().to_owned(), ToString::to_string);
    Row::new([
        ("ID", image.id.to_string()),
        ("Image", name),
        ("Mountpoint", path.display().to_string()),
        ("Users", users.to_string()),
    ])
}
