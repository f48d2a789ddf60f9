//! Containers as users know them: the engine joins images, snapshots, rows and the monitor.
//!
//! # One container's way through here
//!
//! ```text
//! CreateOptions ─image─▶ Image ─merge─▶ Spec ─create─▶ row, snapshot, config.json
//!        ─start─▶ monitor (another process) ─▶ runtime ─▶ the program
//!        ─exit record─▶ finish ─▶ row ─remove─▶ nothing
//! ```
//!
//! Every step writes its row first. The engine has no process of its own: each command opens the
//! state, does its work and ends; what a killed command leaves, [`Engine::mend`] finds by the rows.
//!
//! # What this crate does not know
//!
//! Terminals, output formats, flags and REST: those are the doors'. It prints nothing and reads no
//! environment.

mod accounts;
mod boot;
mod bundle;
mod capabilities;
mod cdi;
mod changes;
mod checkpoint;
mod claim;
mod cp;
mod create;
mod devices;
mod doctor;
mod end;
mod events;
mod exec;
mod facts;
mod files;
mod filter;
mod foundation;
mod freeze;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod handed_over;
mod health;
mod hello;
mod history;
mod identity;
mod init;
mod inspect;
mod joining;
mod layout;
mod leavings;
mod life;
mod list;
mod logging;
mod mend;
mod merge;
mod mounted;
mod names;
mod networks;
pub mod options;
mod pid_file;
mod plan;
pub mod pods;
mod processes;
mod prune;
mod readiness;
mod ready;
mod record;
mod rehearsal;
mod rename;
mod replace;
mod required;
mod resolv_conf;
mod restart;
mod rooted;
mod secrets;
mod selinux;
mod standstill;
mod start;
mod update;
mod usage;
mod user_ids;
mod volumes;
mod wait;

pub use boot::Booted;
pub use bundle::unpack_bundle;
pub use changes::{CommitOptions, Places};
pub use checkpoint::{Afterwards, Changes, Passage, RevivalOptions, Revived};
pub use cp::{CpEnd, CpOptions, Owners};
pub use create::Created;
pub use dhow_archive::Encoding;
pub use dhow_image::{Depth, Finding, MountedContainer, Unmount};
pub use end::StopOptions;
pub use exec::Session;
pub use facts::Facts;
pub use hello::HOST_NAMESPACES;
pub use history::History;
pub use init::{INIT_ROLE, INIT_WAITS};
pub use list::{Summary, Which};
pub use merge::signal_number;
pub use networks::{
    AddressRange, Connected, Connection, Explanation, Network, NetworkDefaults, NetworkFilter,
    NetworkOptions, Pool, RemoveNetwork, UpdateNetwork,
};
pub use options::{CreateOptions, ExecOptions, RemoveOptions};
pub use processes::Sample;
pub use prune::{Pruned, Scope};
pub use readiness::{Listener, Readiness};
pub use rehearsal::{ImageSays, Rehearsal};
pub use replace::{Made, ReplaceOptions, Replaced, Updatable, UpdateSource};
pub use secrets::{Secret, SecretOptions};
pub use start::{LogPlace, Running, Watch};
pub use update::Update;
pub use usage::{ContainerSize, ContainerUsage, DiskUsage, KindUsage, VolumeUsage};
pub use volumes::{PruneVolumes, PrunedVolumes, RemoveVolume, Volume, VolumeFilter, VolumeOptions};
pub use wait::{Condition, State as WaitState};

use dhow_base::{Doing, Result};
use dhow_image::Images;
use dhow_monitor::{Handed, WaitingMonitor};
use dhow_state::State;
use layout::Layout;
use std::path::PathBuf;

/// What an engine is opened with; the doors get it from flags and environment.
#[derive(Debug)]
pub struct Settings {
    /// What survives a reboot: images, containers, volumes.
    pub root: PathBuf,
    /// What need not: sockets, locks, run directories.
    pub runroot: PathBuf,
    /// Where registries, credentials and certificates are configured.
    pub registries: dhow_image::Registries,
    /// How snapshots are kept; without it as they are, or as works best.
    pub storage_driver: Option<dhow_image::Driver>,
    /// What layers may ask for before they are refused.
    pub bounds: dhow_image::Bounds,
    /// What is done with the blobs of layers that were unpacked.
    pub layer_blobs: dhow_image::LayerBlobs,
    /// Hears of troubles that do not stop the work, one line each.
    pub warn: fn(&str),
    /// What the engine is opened for.
    pub purpose: Purpose,
    /// Whether root's containers are meant, or those of a user who is root of a namespace only.
    pub is_of_root: bool,
}

/// What an engine is opened for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Purpose {
    /// Anything.
    #[default]
    Any,
    /// To start a process in a container: its monitor comes up while the state is opened.
    Start,
    /// The same of a container that is to have a network namespace of its own, which is made as well.
    StartApart,
}

/// The engine, on one state.
#[derive(Debug)]
pub struct Engine {
    monitor: Option<WaitingMonitor>,
    layout: Layout,
    state: State,
    images: Images,
    warn: fn(&str),
    network_defaults: NetworkDefaults,
    is_of_root: bool,
    // Snapshots whose files are gone, and whose rows go with what is written next.
    gone: Vec<u64>,
}

impl Engine {
    /// Opens the state, making it at the first use, and mends what killed commands have left.
    pub fn open(settings: Settings) -> Result<Self> {
        let Settings { root, runroot, registries, storage_driver, bounds, layer_blobs, .. } =
            settings;
        let is_of_root = settings.is_of_root;
        let monitor = match settings.purpose {
            Purpose::Start => Some(WaitingMonitor::start()?),
            Purpose::StartApart => Some(WaitingMonitor::start_with_network()?),
            Purpose::Any => None,
        };
        let state = State::open(&root)?;
        let images = Images::open(&root, &runroot, registries)?;
        let images = images.stored_by(storage_driver).within(bounds).with_layer_blobs(layer_blobs);
        let layout = Layout::new(root, runroot);
        let network_defaults = NetworkDefaults::default();
        let (warn, gone) = (settings.warn, Vec::new());
        let mut engine =
            Self { monitor, layout, state, images, warn, network_defaults, is_of_root, gone };
        engine.mend().doing(|| "mend what an earlier command has left")?;
        Ok(engine)
    }

    /// A monitor to be given its job: the one that has come up meanwhile, if there is one and it need
    /// not bring anything of this process's along.
    fn waiting_monitor(&mut self, handed: Handed) -> Result<WaitingMonitor> {
        match self.monitor.take() {
            Some(waiting) if handed == Handed::default() => Ok(waiting),
            _ => WaitingMonitor::start_with(handed),
        }
    }

    /// Sends a monitor home that was not given its job, with what it has made ahead.
    fn dismiss_monitor(&mut self) {
        let dismissed = self.monitor.take().map_or(Ok(()), WaitingMonitor::dismiss);
        if let Err(error) = dismissed {
            (self.warn)(&error.one_line());
        }
    }

    /// For commands that work on images alone.
    pub fn images(&mut self) -> (&Images, &mut State) {
        (&self.images, &mut self.state)
    }
}
