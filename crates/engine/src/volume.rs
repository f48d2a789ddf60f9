//! Named volumes: directories that outlive containers.

use crate::{
    layout::Layout,
    options::{CreateOptions, MountWhat},
};
use dhow_base::{
    Result, file,
    id::{ContainerId, Name},
};
use dhow_state::{State, volumes};
use std::path::PathBuf;

/// Makes the volumes that `options` name, where they are missing, and notes who uses them. Gives
/// their directories, in the order of the mounts.
///
/// The row is there before the directory, so what a `kill -9` leaves is a row whose directory the
/// next use makes.
pub(crate) fn provide(
    state: &mut State,
    layout: &Layout,
    id: &ContainerId,
    options: &CreateOptions,
) -> Result<Vec<PathBuf>> {
    let names: Vec<&Name> = options
        .mounts
        .iter()
        .filter_map(|mount| match &mount.what {
            MountWhat::Volume(name) => Some(name),
            MountWhat::Bind { .. } | MountWhat::Tmpfs => None,
        })
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    state.write(|write| names.iter().try_for_each(|name| volumes::hold(write, name, id)))?;
    names
        .into_iter()
        .map(|name| {
            let data = layout.volume_data(name);
            file::make_directories(&layout.volume(name), 0o711)?;
            file::make_directories(&data, 0o755)?;
            Ok(data)
        })
        .collect()
}
