//! `content/index.json`: the names of the images, for tools that read image layouts.
//!
//! It is made from the rows after each change and never read by dhow. An image that has discarded
//! layers is not named there: who reads a layout expects to find all of it.

use crate::{Images, layout::REF_NAME};
use dhow_base::{
    Result,
    lock::{Lock, Sharing},
};
use dhow_spec::image::{Descriptor, Index};
use dhow_state::{Read, State, discards, images};

impl Images {
    /// Writes the index anew. Under a lock, so that the last writer has seen the last change.
    pub(crate) fn refresh_index(&self, state: &State) -> Result<()> {
        let directory = self.runroot.join("locks");
        dhow_base::file::make_directories(&directory, 0o700)?;
        let _lock = Lock::acquire(&directory.join("index"), Sharing::Exclusive)?;
        let index = self.index(state.read())?;
        self.store.write_index(&index)
    }

    fn index(&self, read: &Read) -> Result<Index> {
        let mut manifests = Vec::new();
        for row in images::list(read)? {
            let Some(size) = self.store.size(&row.manifest)? else { continue };
            if !discards::of_image(read, &row.manifest)?.is_empty() {
                continue;
            }
            let bare = Descriptor::new(&row.media_type, row.manifest.clone(), size);
            let names: Vec<String> = images::names(read, &row.manifest)?
                .into_iter()
                .filter(|name| !name.contains('@'))
                .collect();
            if names.is_empty() {
                manifests.push(bare.clone());
            }
            manifests.extend(names.into_iter().map(|name| {
                let mut named = bare.clone();
                named.annotations.insert(REF_NAME.to_owned(), name);
                named
            }));
        }
        Ok(Index::new(manifests))
    }
}
