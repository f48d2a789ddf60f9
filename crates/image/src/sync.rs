//! Many images at once: what is in a repository, a directory or a list, to a registry or directory.
//!
//! ```text
//!  source ─▶ tasks, one a tag ─▶ many at once: same digest there? ──yes──▶ nothing
//!                                                └─no─▶ copy, several at once
//! ```
//!
//! Where there is nothing to do a tag costs one HEAD at each registry and no more.

use crate::{
    CopyOptions, End, Images, Packing, Place,
    place::directory::digest_at,
    sync_list::{Listed, Wanted},
    workers,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_distribution::Reference;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Directories deep below the source are not looked into.
const DEPTH_LIMIT: usize = 16;

/// Where the images are.
#[derive(Debug)]
pub enum SyncFrom {
    /// A repository with all its tags, or one tag of it.
    Repository(String),
    /// A directory and all images below it.
    Directory(PathBuf),
    /// A list in YAML.
    List(PathBuf),
}

/// Where the images are to be.
#[derive(Clone, Debug)]
pub enum SyncTo {
    /// Below this name in a registry.
    Registry(String),
    /// Below this directory.
    Directory(PathBuf),
}

/// One side of a sync, and how registries are reached from there.
#[derive(Debug)]
pub struct SyncSide<P> {
    /// The place.
    pub place: P,
    /// How its registries are reached.
    pub way: End,
}

/// How to do it.
#[derive(Clone, Debug, Default)]
pub struct SyncOptions {
    /// How each image is copied.
    pub copy: CopyOptions,
    /// Keep the whole name of the source below the destination, not only its last part.
    pub scoped: bool,
    /// Go on with the others when one fails.
    pub keep_going: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// What is put behind each tag.
    pub append_suffix: String,
}

/// What became of an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SyncOutcome {
    /// It was copied, or would have been.
    Copied,
    /// It was there already.
    Same,
    /// It could not be copied.
    Failed,
}

/// Somebody who listens. Called from several threads.
pub trait SyncProgress: Sync {
    /// Something became of an image.
    fn image(&self, from: &Place, to: &Place, outcome: SyncOutcome);
}

/// What became of all of them.
#[derive(Debug, Default)]
pub struct Synced {
    /// How many were copied.
    pub copied: usize,
    /// The manifests that are at the destination now, by place.
    pub digests: Vec<(Place, Digest)>,
    /// How many were there.
    pub same: usize,
    /// How many repositories or directories they came from.
    pub sources: usize,
    /// What failed.
    pub failed: Vec<Error>,
}

/// How many repositories of registries they come from.
fn repositories(tasks: &[Task]) -> usize {
    let names = tasks.iter().filter_map(|task| match &task.from.place {
        Place::Registry(name) => Reference::parse(name).ok().map(|name| name.name()),
        _ => None,
    });
    names.collect::<BTreeSet<_>>().len()
}

/// One image.
#[derive(Debug)]
struct Task {
    from: End,
    /// Where its name stands below the destination.
    suffix: String,
}

/// How far an image has come.
enum Step {
    /// It is not there.
    Copy(Box<(Task, End)>),
    /// It is there, or could not be.
    Done(Result<Arrival>),
}

/// An image that came through.
struct Arrival {
    outcome: SyncOutcome,
    /// What the destination has now; nothing where it was only said what would be done.
    there: Option<(Place, Digest)>,
}

impl Images {
    /// Copies all images of a source that are not at the destination yet.
    pub fn sync(
        &self,
        source: &SyncSide<SyncFrom>,
        target: &SyncSide<SyncTo>,
        options: &SyncOptions,
        progress: &dyn SyncProgress,
    ) -> Result<Synced> {
        let (from, to, destination) = (&source.way, &target.way, &target.place);
        let tasks = match &source.place {
            SyncFrom::Repository(name) => of_repository(from, name)?,
            SyncFrom::Directory(path) => of_directory(from, path)?,
            SyncFrom::List(path) => of_list(from, path)?,
        };
        if tasks.is_empty() {
            return Err(Error::new(Kind::NotFound, "No images to sync found"));
        }
        if let SyncTo::Directory(path) = destination {
            dhow_base::file::make_directories(path, 0o755)?;
        }
        let sources = match &source.place {
            SyncFrom::Repository(_) | SyncFrom::Directory(_) => 1,
            SyncFrom::List(_) => repositories(&tasks),
        };
        // One connection pool for all; made before the threads so that they share it.
        if matches!(destination, SyncTo::Registry(_)) {
            to.client()?;
        }
        let told = |task: &Task, to: &End, done: Result<Arrival>| {
            let outcome = done.as_ref().map_or(SyncOutcome::Failed, |arrival| arrival.outcome);
            progress.image(&task.from.place, &to.place, outcome);
            match done {
                Err(error) if !options.keep_going => Err(error),
                done => Ok(done),
            }
        };
        let looked = workers::at_once(workers::QUESTIONS, tasks, |task| {
            let to = to.at(place_of(destination, &task.suffix, options));
            match already_there(&task.from, &to, &options.copy) {
                Ok(None) => Ok(Step::Copy(Box::new((task, to)))),
                Ok(Some(digest)) => {
                    let there = Some((to.place.clone(), digest));
                    let same = Arrival { outcome: SyncOutcome::Same, there };
                    told(&task, &to, Ok(same)).map(Step::Done)
                }
                Err(error) => told(&task, &to, Err(error)).map(Step::Done),
            }
        })?;
        let done = workers::each(looked, |step| match step {
            Step::Copy(one) => {
                let (task, to) = *one;
                told(&task, &to, self.sync_one(&task.from, &to, options))
            }
            Step::Done(outcome) => Ok(outcome),
        })?;
        let mut synced = Synced { sources, ..Synced::default() };
        for arrival in done {
            match arrival {
                Ok(arrival) => {
                    match arrival.outcome {
                        SyncOutcome::Copied => synced.copied += 1,
                        SyncOutcome::Same | SyncOutcome::Failed => synced.same += 1,
                    }
                    synced.digests.extend(arrival.there);
                }
                Err(error) => synced.failed.push(error),
            }
        }
        synced.digests.sort_by_cached_key(|(place, _)| place.to_string());
        Ok(synced)
    }

    fn sync_one(&self, from: &End, to: &End, options: &SyncOptions) -> Result<Arrival> {
        let outcome = SyncOutcome::Copied;
        if options.dry_run {
            return Ok(Arrival { outcome, there: None });
        }
        if let Place::Directory(path) = &to.place
            && let Some(parent) = path.parent()
        {
            dhow_base::file::make_directories(parent, 0o755)?;
        }
        let copied = self.copy(None, from, to, &options.copy, &crate::Silent)?;
        Ok(Arrival { outcome, there: Some((to.place.clone(), copied.digest)) })
    }
}

/// The digest, if the very image is at the destination. A copy in another form has another digest, so
/// there the copy itself finds out what is missing.
fn already_there(from: &End, to: &End, options: &CopyOptions) -> Result<Option<Digest>> {
    if options.format.is_some() || options.packing != Packing::Keep {
        return Ok(None);
    }
    let Some(wanted) = digest_of(from, None)? else { return Ok(None) };
    let there = digest_of(to, Some(&wanted))?;
    Ok(there.filter(|there| *there == wanted))
}

fn digest_of(end: &End, like: Option<&Digest>) -> Result<Option<Digest>> {
    match &end.place {
        Place::Registry(_) => {
            let reference = end.reference()?;
            if let (Some(digest), None) = (reference.digest(), like) {
                return Ok(Some(digest.clone()));
            }
            let repository = match like {
                // The destination is the registry itself, never one of its mirrors.
                Some(_) => end.client()?.destination(&reference)?,
                None => end.client()?.repository(&reference)?,
            };
            repository.peek(&reference)
        }
        Place::Directory(path) => {
            let usual = Digest::of(b"");
            Ok(digest_at(path, like.unwrap_or(&usual)))
        }
        _ => Ok(None),
    }
}

/// The place of an image below the destination.
fn place_of(destination: &SyncTo, suffix: &str, options: &SyncOptions) -> Place {
    let last = suffix.rsplit('/').next().unwrap_or(suffix);
    let name = if options.scoped { suffix } else { last };
    let name = format!("{name}{}", options.append_suffix);
    match destination {
        SyncTo::Registry(base) => Place::Registry(format!("{}/{name}", base.trim_end_matches('/'))),
        SyncTo::Directory(base) => Place::Directory(base.join(name)),
    }
}

fn task(from: &End, reference: &Reference) -> Task {
    let name = reference.to_string();
    Task { from: from.at(Place::Registry(name.clone())), suffix: name }
}

fn of_repository(from: &End, name: &str) -> Result<Vec<Task>> {
    let has_tag =
        name.contains('@') || name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let reference = from.at(Place::Registry(name.to_owned())).reference()?;
    // Made here, so that all tasks share connections and tokens.
    let client = from.client()?;
    if has_tag {
        return Ok(vec![task(from, &reference)]);
    }
    let tags = client.repository(&reference)?.tags().doing(|| format!("sync {name}"))?;
    tags.iter().map(|tag| Ok(task(from, &reference.with_tag(tag)?))).collect()
}

/// Every directory below `base` that holds an image.
fn of_directory(from: &End, base: &Path) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    let mut next = vec![(base.to_owned(), 0)];
    while let Some((path, depth)) = next.pop() {
        if path.join("manifest.json").is_file() {
            let below = path.strip_prefix(base).unwrap_or(&path);
            // The source itself may be an image; then its own name counts.
            let named = if below.as_os_str().is_empty() {
                Path::new(base.file_name().unwrap_or_default())
            } else {
                below
            };
            let suffix = named.to_string_lossy().into_owned();
            tasks.push(Task { from: from.at(Place::Directory(path)), suffix });
            continue;
        }
        let entries = fs::read_dir(&path).doing(|| format!("list {}", path.display()))?;
        for entry in entries.flatten() {
            // Links are not followed: they could lead around in circles.
            if depth < DEPTH_LIMIT && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                next.push((entry.path(), depth + 1));
            }
        }
    }
    tasks.sort_by(|one, other| one.suffix.cmp(&other.suffix));
    Ok(tasks)
}

fn of_list(from: &End, path: &Path) -> Result<Vec<Task>> {
    let list = Listed::read(path)?;
    let mut tasks = Vec::new();
    for registry in &list {
        let end = from.of_registry(registry);
        // Made here, so that all tasks share connections and tokens.
        end.client()?;
        for (repository, wanted) in &registry.repositories {
            let name = format!("{}/{repository}", registry.domain);
            let reference = Reference::parse(&name).doing(|| format!("read {}", path.display()))?;
            let tags = match wanted {
                Wanted::These(tags) => tags.clone(),
                other => {
                    let all = end.client()?.repository(&reference)?.tags();
                    let all = all.doing(|| format!("sync {name}"))?;
                    all.into_iter().filter(|tag| other.has(tag)).collect()
                }
            };
            for tag in tags {
                let reference = match tag.parse::<Digest>() {
                    Ok(digest) => reference.with_digest(digest),
                    Err(_) => reference.with_tag(&tag)?,
                };
                tasks.push(task(&end, &reference));
            }
        }
    }
    Ok(tasks)
}
