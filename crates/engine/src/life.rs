//! How a container lives: what `run` and `create` say of it beyond its configuration, and what the
//! row keeps of that.

use crate::{
    health::{self, HealthOptions, HealthRecord},
    logging::{self, LogOptions, LogRecord},
    readiness::Readiness,
    restart::RestartPolicy,
};
use dhow_base::{Error, Kind, Result};
use dhow_spec::image::ExecutionConfig;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// What the flags say of a container's life.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LifeOptions {
    /// `--restart`; the pod's where nothing is said, or none.
    pub restart: Option<RestartPolicy>,
    /// `--init`.
    pub init: bool,
    /// `--init-path`, absolute; our own binary where missing.
    pub init_path: Option<PathBuf>,
    /// `--rmi`: at its end its image goes too, unless others use it.
    pub remove_image: bool,
    /// `--pidfile`, absolute: where the number of its first process is written.
    pub pid_file: Option<PathBuf>,
    /// `--timeout`: the program is killed after so many seconds.
    pub timeout_seconds: Option<u32>,
    /// `--health-…`.
    pub health: HealthOptions,
    /// `--log-…`.
    pub log: LogOptions,
    /// `--sdnotify`.
    pub readiness: Readiness,
    /// `--preserve-fds`: how many of the command's fds its first life has, from 3 on.
    pub preserve_fds: u32,
    /// `--runtime`: a program that makes the container in our runtime's place.
    pub runtime: Option<PathBuf>,
    /// The command line that asks for it, so that another container can be made in the same way.
    pub command_line: Vec<String>,
    /// Where that was: relative paths start there.
    pub directory: String,
    /// What it is to take the place of.
    pub succession: Option<Succession>,
}

/// A container's way into the place of another, as long as it has not come to its end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Succession {
    /// The id of the one that goes.
    pub old: String,
    /// The name that the new one gets.
    pub name: String,
    /// The process that does it, and when that was started.
    pub by: (i32, u64),
}

/// The same, as the row keeps it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct LifeRecord {
    pub(crate) restart: RestartPolicy,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) init: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) remove_image: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<HealthRecord>,
    /// Whether its program says when it is ready.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) says_ready: bool,
    pub(crate) log: LogRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) command_line: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) directory: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) succession: Option<Succession>,
}

/// What the row keeps of the options.
pub(crate) fn record(
    options: &LifeOptions,
    image: &ExecutionConfig,
    labels: &BTreeMap<String, String>,
    env: &[String],
    auto_remove: bool,
) -> Result<LifeRecord> {
    let restart = options.restart.unwrap_or_default();
    if auto_remove && restart != RestartPolicy::No {
        return Err(Error::new(
            Kind::Invalid,
            format!("--rm and --restart {restart}: one removes what the other keeps"),
        )
        .hint("leave one of them out"));
    }
    Ok(LifeRecord {
        restart,
        remove_image: options.remove_image,
        pid_file: options.pid_file.clone(),
        init: options.init || options.init_path.is_some(),
        timeout_seconds: options.timeout_seconds.filter(|seconds| *seconds > 0),
        health: health::record(&options.health, image)?,
        log: logging::record(&options.log, labels, env)?,
        says_ready: options.readiness == Readiness::ByProgram,
        runtime: options.runtime.clone(),
        command_line: options.command_line.clone(),
        directory: options.directory.clone(),
        succession: options.succession.clone(),
    })
}
