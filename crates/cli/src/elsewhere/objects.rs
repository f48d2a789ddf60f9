//! Flags of podman's commands for containers, pods and secrets.

use super::{Foreign, foreign};

pub(super) const OF_COMMIT: &[Foreign] = &[foreign(
    &["--config"],
    "a configuration is not read from a file",
    Some("--change sets a field of it"),
)];

pub(super) const OF_WAIT: &[Foreign] = &[foreign(
    &["--exit-first-match"],
    "all containers that are named are waited for",
    Some("wait for each by a command of its own, in the background"),
)];

pub(super) const OF_RUNLABEL: &[Foreign] = &[foreign(
    &["--authfile", "--cert-dir", "--creds", "--tls-verify"],
    "the image has to be here",
    Some("`dhow pull` takes these flags"),
)];

pub(super) const OF_AUTO_UPDATE: &[Foreign] = &[foreign(
    &["--authfile", "--tls-verify"],
    "registries are spoken to as by any command",
    Some("`dhow login` and registries.conf say how"),
)];

pub(super) const OF_POD: &[Foreign] = &[
    foreign(&["--gpus"], "devices are of containers", Some("give --gpus to the containers")),
    foreign(&["--shm-size-systemd"], "nothing is prepared for a systemd in a container yet", None),
];
