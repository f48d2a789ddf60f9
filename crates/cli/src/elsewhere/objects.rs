//! Flags of podman's commands for containers, pods and secrets.

use super::{Foreign, foreign};

pub(super) const OF_START: &[Foreign] = &[foreign(
    &["--checkpoint", "--checkpoint-dir"],
    "they are docker's experiment",
    Some("`dhow container restore` lets a container run on from its checkpoint"),
)];

pub(super) const OF_REMOVE: &[Foreign] = &[foreign(
    &["--link"],
    "links are docker's old way to find a neighbour, and there are none",
    None,
)];

const OF_SWARM: &str = "it is for volumes and secrets of a swarm, and there is no swarm";

pub(super) const OF_VOLUME: &[Foreign] = &[foreign(
    &[
        "--availability",
        "--cluster",
        "--group",
        "--limit-bytes",
        "--required-bytes",
        "--scope",
        "--secret",
        "--sharing",
        "--topology-preferred",
        "--topology-required",
        "--type",
    ],
    OF_SWARM,
    Some("`dhow volume create -o size=1g` limits a volume where the file system can"),
)];

pub(super) const OF_SECRET: &[Foreign] = &[foreign(&["--template-driver"], OF_SWARM, None)];

pub(super) const OF_POD: &[Foreign] = &[foreign(
    &["--shm-size-systemd"],
    "a pod's own process is no systemd",
    Some("the containers in it take it: `dhow run --pod NAME --shm-size-systemd SIZE`"),
)];
