//! Writing our own images into files: what `docker save` and `podman save` do.

use crate::{
    CopyOptions, Dialect, Images, Packing, Place,
    copy::Shipment,
    image::missing,
    place::{
        archive_target::{ArchiveTarget, Form},
        directory::DirectoryTarget,
        layout_target::LayoutTarget,
        local,
        target::{Accepts, Target},
    },
};
use dhow_archive::Encoding;
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_spec::image::Platform;
use dhow_state::State;
use std::{
    fmt,
    io::Write,
    path::{Path, PathBuf},
};

/// In which form images are saved.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SaveForm {
    /// What `docker load` reads.
    #[default]
    DockerArchive,
    /// A tar file of an OCI image layout.
    OciArchive,
    /// An OCI image layout in a directory.
    OciDirectory,
    /// One image as a directory of files, with Docker's manifest.
    DockerDirectory,
}

/// Where saved images go.
pub enum SaveTo {
    /// A file or directory.
    Path(PathBuf),
    /// A stream, for archives.
    Stream(Box<dyn Write + Send>),
}

impl fmt::Debug for SaveTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({})", path.display()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// How to save.
#[derive(Clone, Copy, Debug, Default)]
pub struct SaveOptions {
    /// The form.
    pub form: SaveForm,
    /// Compress layers that are not, in a directory.
    pub compress: bool,
}

/// An image and the names under which it is saved.
struct Chosen {
    manifest: Digest,
    text: String,
    names: Vec<String>,
}

impl Images {
    /// Saves images under the names by which they were asked for. On failure there is no file.
    pub fn save(
        &self,
        state: &State,
        images: &[String],
        to: SaveTo,
        options: SaveOptions,
    ) -> Result<()> {
        let chosen = self.chosen(state, images)?;
        let is_one = options.form == SaveForm::DockerDirectory;
        if is_one && chosen.len() > 1 {
            let what = "a directory of this form holds one image; save the others elsewhere";
            return Err(Error::new(Kind::Invalid, what));
        }
        let (target, accepts) = open(to, options.form)?;
        for image in &chosen {
            self.save_one(state, image, target.as_ref(), accepts, options)
                .doing(|| format!("save image {}", image.text))?;
        }
        target.finish()
    }

    /// The images that are meant, each once with all names that were said.
    fn chosen(&self, state: &State, images: &[String]) -> Result<Vec<Chosen>> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for text in images {
            let row = self.find_row(state.read(), text)?.ok_or_else(|| missing(text))?;
            // An id and a digest are no names to give to others.
            let name = self.stored_name(state, text)?.filter(|name| !name.contains('@'));
            match chosen.iter_mut().find(|other| other.manifest == row.manifest) {
                Some(other) => other.names.extend(name),
                None => chosen.push(Chosen {
                    manifest: row.manifest,
                    text: text.clone(),
                    names: name.into_iter().collect(),
                }),
            }
        }
        Ok(chosen)
    }

    fn save_one(
        &self,
        state: &State,
        image: &Chosen,
        target: &dyn Target,
        accepts: Accepts,
        options: SaveOptions,
    ) -> Result<()> {
        let opened = local::open(self, state, image.manifest.as_str())?;
        let docker = options.form == SaveForm::DockerDirectory;
        let copy = CopyOptions {
            format: docker.then_some(Dialect::Docker),
            packing: match options.compress {
                true => Packing::Pack(Encoding::Gzip),
                false => Packing::Keep,
            },
            ..CopyOptions::default()
        };
        let shipment = Shipment::load(&opened, &copy, accepts, &Platform::host(), self.spool())?;
        shipment.send(target, &image.names, &crate::Silent).map(drop)
    }
}

fn open(to: SaveTo, form: SaveForm) -> Result<(Box<dyn Target>, Accepts)> {
    let archive = match form {
        SaveForm::DockerArchive => Some(Form::Docker),
        SaveForm::OciArchive => Some(Form::Layout),
        SaveForm::OciDirectory | SaveForm::DockerDirectory => None,
    };
    let path = match (to, archive) {
        (SaveTo::Stream(sink), Some(archive)) => {
            return Ok((
                Box::new(ArchiveTarget::stream(archive, sink)),
                accepts(form, Path::new("")),
            ));
        }
        (SaveTo::Stream(_), None) => {
            return Err(Error::new(Kind::Invalid, "a directory cannot go to standard output")
                .hint("name it with --output"));
        }
        (SaveTo::Path(path), _) => path,
    };
    let target: Box<dyn Target> = match (form, archive) {
        (_, Some(archive)) => Box::new(ArchiveTarget::replace(archive, &path)?),
        (SaveForm::OciDirectory, None) => Box::new(LayoutTarget::open(&path, None, None)?),
        (_, None) => Box::new(DirectoryTarget::open(&path)?),
    };
    Ok((target, accepts(form, &path)))
}

fn accepts(form: SaveForm, path: &Path) -> Accepts {
    let path = path.to_owned();
    Accepts::of(&match form {
        SaveForm::DockerArchive => Place::DockerArchive(path, None),
        SaveForm::OciArchive => Place::LayoutArchive(path, None),
        SaveForm::OciDirectory => Place::Layout(path, None),
        SaveForm::DockerDirectory => Place::Directory(path),
    })
}
