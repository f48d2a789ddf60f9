//! The order of a list of containers.

use crate::flags::refuse;
use dhow_base::Result;
use dhow_engine::{ContainerSize, Summary};
use std::cmp::Ordering;

/// What is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    Command,
    Created,
    Id,
    Image,
    Names,
    RunningFor,
    Size,
    Status,
}

impl Order {
    pub(super) fn parse(word: &str) -> Result<Self> {
        Ok(match word {
            "command" => Self::Command,
            "created" => Self::Created,
            "id" => Self::Id,
            "image" => Self::Image,
            "names" => Self::Names,
            "runningfor" => Self::RunningFor,
            "size" => Self::Size,
            "status" => Self::Status,
            _ => {
                return Err(refuse("--sort", word, "there is no such field").hint(
                    "there are command, created, id, image, names, runningfor, size and status",
                ));
            }
        })
    }

    pub(super) fn compare(
        self,
        one: &Summary,
        one_size: Option<ContainerSize>,
        other: &Summary,
        other_size: Option<ContainerSize>,
    ) -> Ordering {
        let written = |size: Option<ContainerSize>| size.map(|size| size.written);
        match self {
            Self::Command => one.words.cmp(&other.words),
            Self::Created => one.created.cmp(&other.created),
            Self::Id => one.id.as_str().cmp(other.id.as_str()),
            Self::Image => one.image_name.cmp(&other.image_name),
            Self::Names => one.name.cmp(&other.name),
            Self::RunningFor => one.started.cmp(&other.started),
            Self::Size => written(one_size).cmp(&written(other_size)),
            Self::Status => one.status().cmp(other.status()),
        }
    }
}
