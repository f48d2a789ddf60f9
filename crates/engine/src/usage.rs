//! What everything costs on disk. The sum is what `du` says of the root, to the block.

use crate::{Engine, list::Summary};
use dhow_base::{Digest, Result, clock::Moment, id::ContainerId};
use dhow_image::{ImageUsage, ImagesUsage, Meter};
use dhow_state::{
    containers::{self, Phase},
    volumes,
};

/// What a container costs.
#[derive(Clone, Debug)]
pub struct ContainerUsage {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Its image as the user named it.
    pub image_name: String,
    /// When it was created.
    pub created: Moment,
    /// Where in its life it is.
    pub phase: Phase,
    /// How many volumes it uses.
    pub volumes: usize,
    /// Bytes of its changes, its log and its records.
    pub size: u64,
}

/// What a container has written, and what its image holds, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ContainerSize {
    /// Its changes.
    pub written: u64,
    /// Its image.
    pub image: u64,
}

/// What a volume costs.
#[derive(Clone, Debug)]
pub struct VolumeUsage {
    /// Its name.
    pub name: String,
    /// How many containers use it.
    pub containers: usize,
    /// Its bytes.
    pub size: u64,
}

/// What everything costs.
#[derive(Clone, Debug, Default)]
pub struct DiskUsage {
    /// Images, and what was fetched of images that are not whole yet.
    pub images: ImagesUsage,
    /// How many artifacts there are, and the bytes that they hold and images do not.
    pub artifacts: (usize, u64),
    /// Containers.
    pub containers: Vec<ContainerUsage>,
    /// Volumes.
    pub volumes: Vec<VolumeUsage>,
    /// The database and the directories that hold it all.
    pub state: u64,
}

/// What one kind of thing costs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KindUsage {
    /// Which kind.
    pub kind: &'static str,
    /// How many there are.
    pub total: usize,
    /// How many of them are in use.
    pub active: usize,
    /// Their bytes.
    pub size: u64,
    /// The bytes of those that are not in use.
    pub reclaimable: u64,
}

impl KindUsage {
    /// Adds things up, of each of which it is known whether it is in use and what it costs.
    fn of(kind: &'static str, things: impl Iterator<Item = (bool, u64)>) -> Self {
        let mut usage = Self { kind, total: 0, active: 0, size: 0, reclaimable: 0 };
        for (in_use, size) in things {
            usage.total += 1;
            usage.active += usize::from(in_use);
            usage.size += size;
            usage.reclaimable += if in_use { 0 } else { size };
        }
        usage
    }
}

impl DiskUsage {
    /// The kinds one by one, by docker's names; their sizes add up to the total. Images share what
    /// they are made of, so theirs is less than the sum of each.
    pub fn kinds(&self) -> Vec<KindUsage> {
        let in_use = |image: &ImageUsage| image.containers > 0 || image.mounted;
        let images = self.images.images.iter().map(|image| (in_use(image), 0));
        let containers = self.containers.iter().map(|one| (one.phase == Phase::Running, one.size));
        let volumes = self.volumes.iter().map(|one| (one.containers > 0, one.size));
        let mut kinds = vec![
            KindUsage {
                size: self.images.size,
                reclaimable: self.images.reclaimable,
                ..KindUsage::of("Images", images)
            },
            KindUsage::of("Containers", containers),
            KindUsage::of("Local Volumes", volumes),
        ];
        let (count, size) = self.artifacts;
        if count > 0 {
            // Nothing but their names needs them, and names are in use.
            let whole = KindUsage::of("Artifacts", std::iter::once((true, size)));
            kinds.push(KindUsage { total: count, active: count, ..whole });
        }
        kinds.push(KindUsage::of("State", std::iter::once((true, self.state))));
        kinds
    }

    /// The sum of what can be removed. The database grows and shrinks when it likes.
    pub(crate) fn removable(&self) -> u64 {
        self.total().saturating_sub(self.state)
    }

    /// The sum, which `du` of the root gives as well while nothing changes.
    pub fn total(&self) -> u64 {
        self.kinds().iter().map(|kind| kind.size).sum()
    }
}

impl Engine {
    /// Measures everything below the root.
    pub fn disk_usage(&mut self) -> Result<DiskUsage> {
        let mut meter = Meter::new();
        Ok(DiskUsage {
            images: self.images.usage(&self.state, &mut meter)?,
            artifacts: self.images.artifacts_usage(&self.state, &mut meter)?,
            containers: self.containers_usage(&mut meter)?,
            volumes: self.volumes_usage(&mut meter)?,
            // Last: the meter has counted all the rest.
            state: meter.measure(self.layout.root())?,
        })
    }

    /// What one container takes.
    pub fn container_size(&mut self, container: &Summary) -> Result<ContainerSize> {
        self.size_of(&container.id, container.image.as_ref())
    }

    pub(crate) fn size_of(
        &self,
        id: &ContainerId,
        image: Option<&Digest>,
    ) -> Result<ContainerSize> {
        let meter = &mut Meter::new();
        // A root that is a directory of the host's has no snapshot, but may have what is kept above it.
        let written = self.images.container_usage(&self.state, id, meter)?
            + meter.measure(&self.layout.own_root(id))?;
        let image = match image {
            Some(digest) => self.images.find(&self.state, digest.as_str())?,
            None => None,
        };
        Ok(ContainerSize { written, image: image.map_or(0, |image| image.size) })
    }

    fn containers_usage(&self, meter: &mut Meter) -> Result<Vec<ContainerUsage>> {
        let read = self.state.read();
        let mut usages = Vec::new();
        for row in containers::list(read)? {
            let changes = self.images.container_usage(&self.state, &row.id, meter)?;
            usages.push(ContainerUsage {
                size: changes + meter.measure(&self.layout.container(&row.id))?,
                volumes: volumes::of_container(read, &row.id)?.len(),
                id: row.id,
                name: row.name,
                image_name: row.image_name,
                created: row.created,
                phase: row.phase,
            });
        }
        Ok(usages)
    }

    fn volumes_usage(&self, meter: &mut Meter) -> Result<Vec<VolumeUsage>> {
        let read = self.state.read();
        let mut usages = Vec::new();
        for (name, containers) in volumes::list_with_users(read)? {
            let size = meter.measure(&self.layout.volume(&name))?;
            usages.push(VolumeUsage { name: name.to_string(), containers, size });
        }
        Ok(usages)
    }
}
