//! The root of a container that is being made: a snapshot above an image, or a directory of the host's; and
//! how much may be written into it.

use super::Draft;
use crate::{
    foundation::{self, Foundation},
    layout::Layout,
    volumes::quota,
};
use dhow_base::{Error, Kind, Result};
use dhow_image::Images;
use dhow_snapshot::Number as SnapshotNumber;
use dhow_spec::Mount;
use dhow_state::containers::Phase;
use dhow_sys::quota::Limits;

/// Makes the root in the size that is asked for, and says how it is mounted.
pub(super) fn make(
    images: &Images,
    layout: &Layout,
    draft: &Draft<'_>,
    (number, phase): (Option<SnapshotNumber>, Phase),
) -> Result<Mount> {
    let root = match (draft.foundation, number) {
        (Foundation::Image(image), Some(number)) => match phase {
            // It may never be started; a bound is set on all of it while it is empty.
            Phase::Created if draft.record.root_project.is_none() => {
                images.reserve_root(number, image)
            }
            _ => images.make_root(number, image),
        },
        (Foundation::Directory(directory, _), _) => {
            foundation::make(directory, images, layout, &draft.id)
        }
        (Foundation::Image(image), None) => {
            let text = format!("make a root on image {}: it has no row", image.id.short());
            Err(Error::new(Kind::Internal, text))
        }
    }?;
    bound(&root, draft)?;
    Ok(root)
}

/// Limits what the container may write into its root: what the layers hold counts for nothing.
fn bound(root: &Mount, draft: &Draft<'_>) -> Result<()> {
    let (Some(bytes), Some(project)) = (draft.options.root_bytes, draft.record.root_project) else {
        return Ok(());
    };
    let limits = Limits { bytes, inodes: 0 };
    match root {
        Mount::Overlay { upper: Some(upper), .. } => {
            quota::bound(&upper.upper, project, limits)?;
            quota::bound(&upper.work, project, limits)
        }
        _ => {
            let text = "limit the size of the root: it is a plain directory";
            Err(Error::new(Kind::Unsupported, text).hint("the overlay driver keeps changes apart"))
        }
    }
}

/// Unmounting a union syncs the whole file system below it, which takes seconds on a busy disk. What is
/// thrown away at the end need not reach the disk at all.
pub(crate) fn throw_away(root: &mut Mount) {
    if let Mount::Overlay { upper: Some(upper), .. } = root {
        upper.volatile = true;
    }
}
