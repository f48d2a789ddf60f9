//! Where the engine's files lie.
//!
//! ```text
//! <root>/containers/<id>/       config.json  log  exit.json  lock    survives a reboot
//!                               overlays/<hex>/{upper,work}          changes of image and `:O` mounts
//!                               secrets/<name>                       as they were at the creation
//!                               checkpoint/                          its processes, as CRIU's files
//! <root>/volumes/<name>/data                                         survives everything
//!                       filling                                      a copy on its way to data
//! <root>/secrets/<id>                                                contents of secrets
//! <runroot>/locks/                                                   who works on which volume
//! <runroot>/pods/<id>/          net ipc uts shm                       what its containers share
//! <root>/cni/results/                                                what plugins were asked and said
//! <runroot>/namespaces/<id>/    net                                 of a container whose plugins know it
//! <runroot>/networks/<id>/      names                               who is called what on it
//! <runroot>/containers/<id>/    attach lock started.json             the monitor's
//!                               hosts hostname resolv.conf           bound into the container
//! <runroot>/pasta/<id>          the number of the process that connects an ordinary user's container
//! <runroot>/ground/net          an ordinary user's networks: the namespace in which they are
//!                  pasta        the number of the process that connects it
//! <runroot>/empty/              roots are mounted on it, in each container's own mount namespace
//! ```

use dhow_base::id::{ContainerId, Name};
use dhow_monitor::Home;
use std::path::{Path, PathBuf};

/// The two directories that hold everything.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    runroot: PathBuf,
}

impl Layout {
    /// `root` survives a reboot, `runroot` need not.
    pub(crate) fn new(root: PathBuf, runroot: PathBuf) -> Self {
        Self { root, runroot }
    }

    /// What survives a reboot.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What need not survive a reboot.
    pub(crate) fn runroot(&self) -> &Path {
        &self.runroot
    }

    pub(crate) fn container(&self, id: &ContainerId) -> PathBuf {
        self.root.join("containers").join(id.as_str())
    }

    /// What a container keeps above a root that is a directory of the host's.
    pub(crate) fn own_root(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("root")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    pub(crate) fn config(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("config.json")
    }

    pub(crate) fn log(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("log")
    }

    pub(crate) fn exit_record(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("exit.json")
    }

    /// The processes of a container as files.
    pub(crate) fn checkpoint(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("checkpoint")
    }

    /// A checkpoint that is not whole yet.
    pub(crate) fn checkpoint_being_made(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("checkpoint.new")
    }

    /// Held by who starts a container, or writes into the root of one that does not run.
    pub(crate) fn root_lock(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("lock")
    }

    pub(crate) fn run(&self, id: &ContainerId) -> PathBuf {
        self.runroot.join("containers").join(id.as_str())
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.runroot.join("containers")
    }

    pub(crate) fn empty(&self) -> PathBuf {
        self.runroot.join("empty")
    }

    pub(crate) fn volume(&self, name: &Name) -> PathBuf {
        self.root.join("volumes").join(name.as_str())
    }

    pub(crate) fn volume_data(&self, name: &Name) -> PathBuf {
        self.volume(name).join("data")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    pub(crate) fn volume_filling(&self, name: &Name) -> PathBuf {
        self.volume(name).join("filling")
    }

    /// Where a container's monitor is found.
    pub(crate) fn home(&self, id: &ContainerId) -> Home {
        Home { directory: self.run(id), exit_record: self.exit_record(id) }
    }

    pub(crate) fn overlays(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("overlays")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.runroot.join("locks")
    }
    pub(crate) fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    pub(crate) fn container_secrets(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("secrets")
    }

    pub(crate) fn networks(&self) -> PathBuf {
        self.runroot.join("networks")
    }

    pub(crate) fn network(&self, id: &ContainerId) -> PathBuf {
        self.networks().join(id.as_str())
    }

    /// What is remembered of plugins.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.root.join("cni")
    }

    pub(crate) fn namespaces(&self) -> PathBuf {
        self.runroot.join("namespaces")
    }

    pub(crate) fn namespace(&self, id: &ContainerId) -> PathBuf {
        self.namespaces().join(id.as_str())
    }

    pub(crate) fn pastas(&self) -> PathBuf {
        self.runroot.join("pasta")
    }

    /// Not in the run directory, which may go before the process has gone.
    pub(crate) fn pasta(&self, owner: &ContainerId) -> PathBuf {
        self.pastas().join(owner.as_str())
    }

    /// The network namespace in which an ordinary user's networks are.
    pub(crate) fn ground(&self) -> PathBuf {
        self.runroot.join("ground/net")
    }

    pub(crate) fn ground_pasta(&self) -> PathBuf {
        self.runroot.join("ground/pasta")
    }

    pub(crate) fn pods(&self) -> PathBuf {
        self.runroot.join("pods")
    }

    pub(crate) fn pod(&self, id: &ContainerId) -> PathBuf {
        self.pods().join(id.as_str())
    }
}
