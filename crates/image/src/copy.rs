//! Copying an image from place to place.
//!
//! ```text
//!  open the source ─▶ Shipment: manifests, the blobs they name ─▶ (conversion) ─▶ open the target
//!     ─▶ blobs, several at once: has? mount? else stream ─▶ manifests, then the top ─▶ finish
//! ```
//!
//! Blobs stream from the one place into the other; nothing is kept here but what a conversion has to
//! spool. A failure before the last step leaves nothing at the target that can be found.

use crate::{
    Dialect, End, Images, Packing, Place,
    convert::{Conversion, Converted, Member, Spools},
    list::member_source,
    origin::{Found, Opened, Origin},
    place::{
        local::stored_name,
        target::{Accepts, Content, Role, Target},
    },
    progress::{Event, Phase, Progress},
    tarfile::Spool,
    workers,
};
use crossbeam_channel::RecvTimeoutError;
use dhow_archive::{Compression, Encoding};
use dhow_base::{Digest, Doing, Error, Kind, Result, clock::Moment};
use dhow_distribution::{Arrival, Reference};
use dhow_spec::image::{Descriptor, Document, Index, Platform, media_type};
use dhow_state::{State, images, places};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    thread,
    time::Duration,
};

/// How often it is told how far the sending has come.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What is copied where a name leads to images for several platforms.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MultiArch {
    /// The image for this platform.
    #[default]
    System,
    /// All of them, and the index.
    All,
    /// The index alone; its images are there already.
    IndexOnly,
}

/// How to copy.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// Another platform than this machine's.
    pub platform: Option<Platform>,
    /// What of an index is copied.
    pub multi_arch: MultiArch,
    /// Whose documents the copy has; the source's, where the target takes them.
    pub format: Option<Dialect>,
    /// What is done to layers.
    pub packing: Packing,
    /// How hard layers are compressed.
    pub level: Option<i32>,
    /// Fail rather than change a digest.
    pub preserve_digests: bool,
    /// More names for the copy, in an archive.
    pub additional_tags: Vec<String>,
    /// Leave signatures behind.
    pub remove_signatures: bool,
    /// Leave layers uncompressed that nobody has compressed yet.
    pub keep_plain: bool,
}

/// What a copy has made.
#[derive(Clone, Debug)]
pub struct Copied {
    /// The digest of the manifest or index at the target.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// The image's id, where one image was copied.
    pub id: Option<Digest>,
    /// How many blobs were sent; the others were there.
    pub sent: usize,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Images {
    /// Copies an image from one place to another. The state is needed where one of them is ours.
    pub fn copy(
        &self,
        state: Option<&mut State>,
        from: &End,
        to: &End,
        options: &CopyOptions,
        progress: &dyn Progress,
    ) -> Result<Copied> {
        self.copy_between(state, from, to, options, progress)
            .doing(|| format!("copy {} to {}", from.place, to.place))
    }

    pub(crate) fn copy_between(
        &self,
        state: Option<&mut State>,
        from: &End,
        to: &End,
        options: &CopyOptions,
        progress: &dyn Progress,
    ) -> Result<Copied> {
        let platform = options.platform.clone().unwrap_or_else(Platform::host);
        let opened = self.open_end(state.as_deref(), from, &platform)?;
        from.permit(&opened)?;
        let accepts = Accepts::of(&to.place);
        let shipment = Shipment::load(&opened, options, accepts, &platform, self.spool())?;
        if let Place::Local(name) = &to.place {
            return self.take_in(state, name, shipment, (from, &opened), progress);
        }
        let target = to.target()?;
        progress.begin(&format!("to {}", to.place), &shipment.layers());
        let blobs: Vec<Digest> = shipment.blobs.iter().map(|blob| blob.digest.clone()).collect();
        let copied = shipment.send(target.as_ref(), &options.additional_tags, progress)?;
        target.finish()?;
        if let (Place::Registry(_), Some(state)) = (&to.place, state) {
            let repository = to.reference()?.name();
            state.write(|write| places::note(write, &repository, &blobs, Moment::now()))?;
        }
        Ok(copied)
    }

    /// Makes a shipment one of our own images.
    fn take_in(
        &self,
        state: Option<&mut State>,
        name: &str,
        shipment: Shipment,
        (from, opened): (&End, &Opened),
        progress: &dyn Progress,
    ) -> Result<Copied> {
        let state = state
            .ok_or_else(|| Error::new(Kind::Internal, "store an image without the database"))?;
        if !shipment.is_image() {
            return self.take_in_list(state, name, shipment, (from, opened), progress);
        }
        let names = vec![stored_name(name)?];
        let (found, notes) = shipment.into_found(names)?;
        let image = self.take_any(state, name, &found, progress)?;
        Ok(Copied {
            digest: image.manifest,
            media_type: image.media_type,
            id: Some(image.id),
            sent: 0,
            notes,
        })
    }

    /// Makes a shipment of many images one of our lists, and its images ours.
    fn take_in_list(
        &self,
        state: &mut State,
        name: &str,
        shipment: Shipment,
        (from, opened): (&End, &Opened),
        progress: &dyn Progress,
    ) -> Result<Copied> {
        if shipment.members.is_empty() {
            return Err(Error::new(Kind::Unsupported, "keep a list here without its images")
                .hint("--all copies them too"));
        }
        let Shipment { top, members, origin, notes, .. } = shipment;
        let mut taken = Taken::default();
        for member in members {
            let digest = member.descriptor.digest.clone();
            if is_image(&member)? {
                let found = Found {
                    manifest: member.descriptor,
                    bytes: member.bytes,
                    names: Vec::new(),
                    origin: Arc::clone(&origin),
                };
                let was_here = images::find(state.read(), &digest)?.is_some();
                let image = self.take_any(state, name, &found, progress);
                if let Err(error) = image {
                    self.give_back(state, &taken)?;
                    return Err(error);
                }
                if !was_here {
                    taken.new.push(digest.clone());
                }
                taken.members.push((digest, None));
            } else {
                // What is no image, such as a build's record, stays where it is, if that has a name.
                let source = member_source(&from.place, opened.reference.as_ref(), &digest);
                taken.members.push((digest, source));
            }
        }
        let written = self.keep_list(state, name, &top.bytes, &taken.members);
        if written.is_err() {
            self.give_back(state, &taken)?;
        }
        written?;
        let Descriptor { digest, media_type, .. } = top.descriptor;
        Ok(Copied { digest, media_type, id: None, sent: 0, notes })
    }

    /// Removes what only a failed copy has brought.
    fn give_back(&self, state: &mut State, taken: &Taken) -> Result<()> {
        let new: Vec<String> = taken.new.iter().map(ToString::to_string).collect();
        if new.is_empty() { Ok(()) } else { self.remove(state, &new, true).map(drop) }
    }

    /// Makes an image ours whatever its platform is: who names a file means what is in it.
    pub(crate) fn take_any(
        &self,
        state: &mut State,
        wanted: &str,
        found: &Found,
        progress: &dyn Progress,
    ) -> Result<crate::Image> {
        self.take(state, wanted, found, &found.own_platform()?, progress)
    }
}

/// The images of a list that have become ours, and the other members, each with its place.
#[derive(Debug, Default)]
struct Taken {
    members: Vec<(Digest, Option<String>)>,
    /// Those that were not here before.
    new: Vec<Digest>,
}

/// Has it layers that can be unpacked?
fn is_image(member: &Member) -> Result<bool> {
    Ok(match Document::parse(&member.bytes, &member.descriptor.media_type)? {
        Document::Index(_) => false,
        Document::Manifest(manifest) => {
            let is_layer =
                |layer: &Descriptor| Compression::of_media_type(&layer.media_type).is_some();
            manifest.artifact_type.is_none() && manifest.layers.iter().all(is_layer)
        }
    })
}

/// What is to be sent.
#[derive(Debug)]
pub(crate) struct Shipment {
    top: Member,
    members: Vec<Member>,
    blobs: Vec<Descriptor>,
    /// Which of the blobs are no layers.
    configs: HashSet<Digest>,
    origin: Arc<dyn Origin>,
    signatures: Vec<Vec<u8>>,
    /// The repositories that are known to have a blob.
    known: HashMap<Digest, Vec<Reference>>,
    notes: Vec<String>,
}

impl Shipment {
    /// Reads all manifests, and converts what the target wants otherwise.
    pub(crate) fn load(
        opened: &Opened,
        options: &CopyOptions,
        accepts: Accepts,
        platform: &Platform,
        spool: Spool<'_>,
    ) -> Result<Self> {
        let packing = match options.packing {
            _ if accepts.plain_layers => Packing::Unpack,
            Packing::Keep if opened.made_up && accepts.packs && !options.keep_plain => {
                Packing::Pack(Encoding::Gzip)
            }
            asked => asked,
        };
        let conversion = Conversion {
            dialect: accepts.dialect.or(options.format),
            packing,
            level: options.level,
            spool,
        };
        if let (Some(only), Some(asked)) = (accepts.dialect, options.format)
            && only != asked
        {
            let what = format!("the destination takes no manifests but {}", only.word());
            return Err(Error::new(Kind::Unsupported, what));
        }
        let signatures =
            if options.remove_signatures { Vec::new() } else { opened.signatures.clone() };
        if !signatures.is_empty() && !accepts.signatures {
            return Err(Error::new(Kind::Unsupported, "the destination keeps no signatures")
                .hint("--remove-signatures leaves them behind"));
        }
        let (top, members) = chosen(opened, options, accepts, platform)?;
        let mut shipment = Self {
            top,
            members,
            blobs: Vec::new(),
            configs: HashSet::new(),
            origin: Arc::clone(&opened.origin),
            signatures,
            known: HashMap::new(),
            notes: Vec::new(),
        };
        let before = shipment.top.descriptor.digest.clone();
        shipment.convert(&conversion)?;
        let changed = shipment.top.descriptor.digest != before;
        if changed && options.preserve_digests {
            return Err(Error::new(Kind::Unsupported, "the copy would have another digest")
                .hint("without --preserve-digests it is made"));
        }
        if changed && !shipment.signatures.is_empty() {
            return Err(Error::new(Kind::Unsupported, "the copy would make its signatures wrong")
                .hint("--remove-signatures leaves them behind"));
        }
        if options.multi_arch != MultiArch::IndexOnly || shipment.is_image() {
            shipment.list_blobs()?;
        }
        let known = |blob: &Descriptor| (blob.digest.clone(), opened.known(&blob.digest));
        shipment.known = shipment.blobs.iter().map(known).collect();
        Ok(shipment)
    }

    fn is_image(&self) -> bool {
        !media_type::is_index(&self.top.descriptor.media_type)
    }

    fn convert(&mut self, conversion: &Conversion<'_>) -> Result<()> {
        let mut spools = Spools::default();
        if self.is_image() {
            self.top = conversion.image(&self.top, &self.origin, &mut spools)?;
        } else {
            let mut changed = HashMap::new();
            for member in &mut self.members {
                let old = member.descriptor.digest.clone();
                *member = conversion.image(member, &self.origin, &mut spools)?;
                changed.insert(old, member.descriptor.clone());
            }
            self.top = conversion.index(&self.top, &changed)?;
        }
        self.notes.append(&mut spools.notes);
        self.notes.dedup();
        let base = Arc::clone(&self.origin);
        self.origin = Arc::new(Converted { base, spools });
        Ok(())
    }

    /// Every blob once, the largest first, so that none of them is alone at the end.
    fn list_blobs(&mut self) -> Result<()> {
        let images = if self.is_image() { std::slice::from_ref(&self.top) } else { &self.members };
        let mut seen = HashSet::new();
        let mut blobs = Vec::new();
        for image in images {
            let Document::Manifest(manifest) =
                Document::parse(&image.bytes, &image.descriptor.media_type)?
            else {
                continue;
            };
            self.configs.insert(manifest.config.digest.clone());
            let new = manifest.own_blobs().filter(|blob| seen.insert(blob.digest.clone()));
            blobs.extend(new.cloned());
        }
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        self.blobs = blobs;
        Ok(())
    }

    /// Sends everything to a target.
    pub(crate) fn send(
        self,
        target: &dyn Target,
        names: &[String],
        progress: &dyn Progress,
    ) -> Result<Copied> {
        let sent = self.send_blobs(target, progress)?;
        workers::each(self.members.iter().collect(), |member: &Member| {
            target.put_manifest(&member.descriptor, &member.bytes, Role::Member)
        })?;
        target.put_signatures(&self.signatures)?;
        target.put_manifest(&self.top.descriptor, &self.top.bytes, Role::Top(names))?;
        Ok(Copied {
            id: self.id()?,
            digest: self.top.descriptor.digest,
            media_type: self.top.descriptor.media_type,
            sent,
            notes: self.notes,
        })
    }

    /// The layers and their sizes, for those who show them.
    pub(crate) fn layers(&self) -> Vec<(Digest, u64)> {
        let layers = self.blobs.iter().filter(|blob| self.is_layer(blob));
        layers.map(|blob| (blob.digest.clone(), blob.size)).collect()
    }

    fn is_layer(&self, blob: &Descriptor) -> bool {
        !self.configs.contains(&blob.digest)
    }

    /// Sends the blobs that are not there, several at once, and tells meanwhile how far they are.
    /// Returns how many went over the line.
    fn send_blobs(&self, target: &dyn Target, progress: &dyn Progress) -> Result<usize> {
        let contents: Vec<Content> = self
            .blobs
            .iter()
            .map(|blob| {
                let known = self.known.get(&blob.digest).cloned().unwrap_or_default();
                Content::new(&self.origin, blob).known_in(known)
            })
            .collect();
        let (end, ended) = crossbeam_channel::bounded::<()>(0);
        let sent = thread::scope(|scope| {
            scope.spawn(|| {
                while ended.recv_timeout(TELL_EVERY) == Err(RecvTimeoutError::Timeout) {
                    contents.iter().for_each(|content| self.tell_how_far(content, progress));
                }
            });
            let sent = workers::each(contents.iter().collect(), |content: &Content| {
                self.send_blob(target, content, progress)
            });
            drop(end);
            sent
        })?;
        Ok(sent.into_iter().filter(|arrival| *arrival == Some(Arrival::Sent)).count())
    }

    /// How the blob came there; `None` where it was there.
    fn send_blob(
        &self,
        target: &dyn Target,
        content: &Content,
        progress: &dyn Progress,
    ) -> Result<Option<Arrival>> {
        let blob = &content.descriptor;
        if target.has(blob)? {
            self.tell(blob, Phase::There, blob.size, progress);
            return Ok(None);
        }
        self.tell(blob, Phase::Sending, 0, progress);
        let arrival = target.put(content)?;
        let phase = match arrival {
            Arrival::Mounted => Phase::Mounted,
            Arrival::Sent => Phase::Done,
        };
        self.tell(blob, phase, blob.size, progress);
        Ok(Some(arrival))
    }

    fn tell_how_far(&self, content: &Content, progress: &dyn Progress) {
        let (blob, done) = (&content.descriptor, content.read_so_far());
        if done > 0 && done < blob.size {
            self.tell(blob, Phase::Sending, done, progress);
        }
    }

    fn tell(&self, blob: &Descriptor, phase: Phase, done: u64, progress: &dyn Progress) {
        if self.is_layer(blob) {
            progress.layer(&Event { layer: &blob.digest, phase, done, total: blob.size });
        }
    }

    fn id(&self) -> Result<Option<Digest>> {
        match Document::parse(&self.top.bytes, &self.top.descriptor.media_type)? {
            Document::Manifest(manifest) => Ok(Some(manifest.config.digest)),
            Document::Index(_) => Ok(None),
        }
    }

    fn into_found(self, names: Vec<String>) -> Result<(Found, Vec<String>)> {
        let Member { descriptor, bytes } = self.top;
        let found = Found { manifest: descriptor, bytes, names, origin: self.origin };
        Ok((found, self.notes))
    }
}

/// The document that is copied, and its members.
fn chosen(
    opened: &Opened,
    options: &CopyOptions,
    accepts: Accepts,
    platform: &Platform,
) -> Result<(Member, Vec<Member>)> {
    let top = Member { descriptor: opened.top.clone(), bytes: opened.bytes.clone() };
    let index = match Document::parse(&opened.bytes, &opened.top.media_type)? {
        Document::Manifest(_) => return Ok((top, Vec::new())),
        Document::Index(index) => index,
    };
    if options.multi_arch != MultiArch::System && !accepts.indexes {
        let what = "the destination holds one image for one platform, and the source is a list";
        return Err(Error::new(Kind::Unsupported, what)
            .hint("without --all the image for this platform is copied"));
    }
    match options.multi_arch {
        MultiArch::System => {
            let descriptor = index.choose(platform)?;
            Ok((member(opened, descriptor)?, Vec::new()))
        }
        MultiArch::All => Ok((top, members(opened, &index)?)),
        MultiArch::IndexOnly => Ok((top, Vec::new())),
    }
}

fn members(opened: &Opened, index: &Index) -> Result<Vec<Member>> {
    let mut seen = HashSet::new();
    let each = index.manifests.iter().filter(|entry| seen.insert(&entry.digest)).collect();
    let mut members = workers::each(each, |descriptor| member(opened, descriptor))?;
    // In the index's order again, so that a copy is the same every time.
    let place = |digest: &Digest| index.manifests.iter().position(|own| own.digest == *digest);
    members.sort_by_key(|member| place(&member.descriptor.digest));
    Ok(members)
}

fn member(opened: &Opened, descriptor: &Descriptor) -> Result<Member> {
    let bytes = opened.origin.manifest(descriptor)?;
    let mut bare =
        Descriptor::new(&descriptor.media_type, descriptor.digest.clone(), descriptor.size);
    bare.platform.clone_from(&descriptor.platform);
    Ok(Member { descriptor: bare, bytes })
}
