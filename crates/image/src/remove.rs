//! Removing images, by docker's rules.
//!
//! ```text
//!  by a name, and others lead to it     the name goes
//!  by its last name, or by its id       the image goes, with what no other image holds
//!  by its id, under several names       refused, unless forced
//!  used by a container, or mounted      refused
//! ```

use crate::{Images, image::missing, names, pull::release};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_state::{
    Owner, Read, State, Write, containers, events,
    images::{self, Image as Row},
    lists,
    mounts::{self, Object},
};

/// What became of one image that was to be removed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Removed {
    /// The names that no longer lead to it.
    pub untagged: Vec<String>,
    /// Its id, if it is gone.
    pub deleted: Option<Digest>,
}

impl Images {
    /// Removes images by names or ids. With `force`, names that are left do not protect one that
    /// is meant by its id; containers always do.
    ///
    /// Each is tried; the first failure is returned after all of them.
    pub fn remove(
        &self,
        state: &mut State,
        images: &[String],
        force: bool,
    ) -> Result<Vec<Removed>> {
        let (mut removed, mut failed) = (Vec::new(), None);
        for text in images {
            match self.remove_one(state, text, force).doing(|| format!("remove image {text}")) {
                Ok(all) => removed.extend(all),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if !removed.is_empty() {
            self.sweep(state)?;
            self.refresh_index(state)?;
        }
        failed.map_or(Ok(removed), Err)
    }

    fn remove_one(&self, state: &mut State, text: &str, force: bool) -> Result<Vec<Removed>> {
        let me = Owner::current()?;
        let name = self.stored_name(state, text)?;
        if let Some(name) = name {
            return state.write(|write| by_name(write, text, &name, me)).map(|one| vec![one]);
        }
        let first = self.find_row(state.read(), text)?.ok_or_else(|| missing(text))?;
        state.write(|write| {
            // Several manifests may have the one configuration that the id names.
            let rows = images::find_by_config(write, &first.config)?;
            for row in &rows {
                check_unused(write, row)?;
                if !force {
                    check_names(write, row)?;
                }
            }
            rows.iter().map(|row| delete(write, row, me)).collect()
        })
    }
}

fn by_name(write: &Write<'_>, text: &str, name: &str, me: Owner) -> Result<Removed> {
    let row = images::find_by_name(write, name)?.ok_or_else(|| missing(text))?;
    let tags = tags(write, &row)?;
    let others: Vec<&String> = tags.iter().filter(|tag| *tag != name).collect();
    // A digest does not keep an image whose last tag goes, but it is not such a tag itself.
    if others.is_empty() || (name.contains('@') && tags.is_empty()) {
        check_unused(write, &row)?;
        return delete(write, &row, me);
    }
    if name.contains('@') {
        return Err(Error::new(Kind::Conflict, format!("it is also called {}", tags.join(", ")))
            .hint("remove it by its names, or by its id with --force"));
    }
    let mut untagged = vec![name.to_owned()];
    let repository = names::repository(name);
    if !others.iter().any(|other| names::repository(other) == repository) {
        // The digests of a repository go with its last tag.
        let digests = images::names(write, &row.manifest)?;
        untagged.extend(
            digests
                .into_iter()
                .filter(|name| name.contains('@') && names::repository(name) == repository),
        );
    }
    for name in &untagged {
        images::delete_name(write, name)?;
    }
    events::record(write, "image", "untag", name, "{}")?;
    Ok(Removed { untagged, deleted: None })
}

fn tags(write: &Write<'_>, row: &Row) -> Result<Vec<String>> {
    let names = images::names(write, &row.manifest)?;
    Ok(names.into_iter().filter(|name| !name.contains('@')).collect())
}

fn check_names(write: &Write<'_>, row: &Row) -> Result<()> {
    let tags = tags(write, row)?;
    if tags.len() < 2 {
        return Ok(());
    }
    Err(Error::new(Kind::Conflict, format!("it has several names: {}", tags.join(", ")))
        .hint("remove it by its names, or use --force"))
}

/// Is a container made of it, or is it mounted?
pub(crate) fn is_in_use(read: &Read, manifest: &Digest) -> Result<bool> {
    Ok(!containers::list_of_image(read, manifest)?.is_empty()
        || mounts::find(read, &Object::Image(manifest.clone()))?.is_some())
}

fn check_unused(write: &Write<'_>, row: &Row) -> Result<()> {
    if let Some(list) = lists::of_image(write, &row.manifest)?.first() {
        return Err(Error::new(Kind::Conflict, format!("list {list} names it"))
            .hint(format!("`dhow manifest rm {list}` removes the list")));
    }
    if mounts::find(write, &Object::Image(row.manifest.clone()))?.is_some() {
        return Err(Error::new(Kind::Conflict, "it is mounted")
            .hint(format!("`dhow image unmount {}` takes the mount away", row.config.short())));
    }
    let users = containers::list_of_image(write, &row.manifest)?;
    let Some(first) = users.first() else { return Ok(()) };
    let more =
        if users.len() > 1 { format!(" and {} more", users.len() - 1) } else { String::new() };
    Err(Error::new(
        Kind::Conflict,
        format!("container {} ({}){more} uses it", first.name, first.id.short()),
    )
    .hint(format!("`dhow rm {}` removes the container", first.name)))
}

fn delete(write: &Write<'_>, row: &Row, me: Owner) -> Result<Removed> {
    let untagged = images::names(write, &row.manifest)?;
    release(write, &row.manifest, me)?;
    events::record(write, "image", "delete", row.config.as_str(), "{}")?;
    Ok(Removed { untagged, deleted: Some(row.config.clone()) })
}
