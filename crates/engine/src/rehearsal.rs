//! What a run would make, and nothing made: the configuration of a container that is never there.
//!
//! It can be asked for again with other options, or as if the image said nothing. From what changes,
//! the doors tell where each field comes from.

use crate::{
    Engine, create, files,
    foundation::Foundation,
    hello,
    options::{CreateOptions, MountWhat, PodChoice},
    plan::{Planned, Shown},
    pods::Home,
    selinux, user_ids,
};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_image::{Image, Silent};
use dhow_spec::{image::ExecutionConfig, runtime::Spec};
use std::os::fd::AsFd;

/// A container that could be made of an image that is here.
#[derive(Debug)]
pub struct Rehearsal {
    id: ContainerId,
    foundation: Foundation,
    /// The same, whose configuration says nothing.
    silent: Foundation,
}

/// Whether the image's configuration counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ImageSays {
    /// It does.
    Everything,
    /// It is as if it were empty.
    Nothing,
}

/// What runs where neither the image nor the user names a program.
const NO_PROGRAM: &str = "(no program)";

impl Engine {
    /// Finds the image. It is not fetched: nothing is made.
    pub fn rehearse(&mut self, options: &CreateOptions) -> Result<Rehearsal> {
        let foundation = match &options.directory {
            Some(directory) => Foundation::directory(directory)?,
            None => Foundation::Image(self.image_here(options)?),
        };
        let says =
            ExecutionConfig { cmd: vec![NO_PROGRAM.to_owned()], ..ExecutionConfig::default() };
        let silent = foundation.clone().saying(says);
        Ok(Rehearsal { id: ContainerId::random()?, foundation, silent })
    }

    fn image_here(&mut self, options: &CreateOptions) -> Result<Image> {
        let here = match self.is_own_image(options)? {
            true => Some(hello::provide(&self.images, &mut self.state)?),
            false => self.images.find(&self.state, &options.image)?,
        };
        here.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("find image {}: it is not here", options.image))
                .hint(format!("`dhow pull {}` fetches it", options.image))
        })
    }

    /// The configuration that these options would make.
    pub fn rehearsed(
        &mut self,
        rehearsal: &Rehearsal,
        options: &CreateOptions,
        says: ImageSays,
    ) -> Result<Spec> {
        let home = self.home_rehearsed(options)?;
        let settled;
        let options = match &home {
            Some(home) => {
                settled = home.settle(options)?;
                &settled
            }
            None => options,
        };
        let foundation = match says {
            ImageSays::Everything => &rehearsal.foundation,
            ImageSays::Nothing => &rehearsal.silent,
        };
        let mut draft = self.draft(rehearsal.id.clone(), options, foundation)?;
        for planned in draft.plan.iter_mut().filter(|planned| planned.anonymous) {
            name_nothing(planned)?;
        }
        let read = self.state.read();
        // What is proposed to an ordinary user's is as good as taken: nothing is made.
        let _taken = user_ids::free::take(read, options, &mut draft.record.namespaces)?;
        selinux::take(read, options, &mut draft.record)?;
        let network = self.network_directory(&draft.record.namespaces.joined)?;
        let directory = self.layout.container(&draft.id);
        let root = foundation.look()?;
        let identity = draft.identity(root.as_fd())?;
        let mut files =
            files::list(&self.layout.run(&draft.id), network.as_deref(), &options.names);
        let name = options.name.as_ref().map_or("", |name| name.as_str());
        for own in create::own_files(&directory, root.as_fd(), &identity, &draft, name)? {
            files.extend(own.target.map(|target| (own.path, target)));
        }
        let mut spec = draft.spec(&identity, &files).doing(|| "make the configuration")?;
        if let Some(home) = &home {
            home.share(&mut spec, &self.layout);
        }
        Ok(spec)
    }

    /// The pod, where it is there. What only a run makes cannot be shown.
    fn home_rehearsed(&mut self, options: &CreateOptions) -> Result<Option<Home>> {
        let what = match (&options.objects.pod, &options.objects.secrets[..]) {
            (Some(PodChoice::New(_)), _) => "a pod that is new",
            (_, [_, ..]) => "secrets, of which the container gets copies",
            _ => return self.home_for(options, &Silent),
        };
        Err(Error::new(Kind::Unsupported, format!("show {what}: nothing is made in a dry run")))
    }
}

/// A volume without a name gets one when it is made, another each time; here it keeps one word.
fn name_nothing(planned: &mut Planned) -> Result<()> {
    let name = "new-volume".parse()?;
    if let (Some(old), Shown::Path(path)) = (planned.volume().cloned(), &mut planned.shown) {
        let text = path.display().to_string().replace(old.as_str(), "new-volume");
        *path = text.into();
    }
    planned.option.what = MountWhat::Volume(name);
    Ok(())
}
