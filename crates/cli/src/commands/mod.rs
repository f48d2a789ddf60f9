//! The commands, a file each: arguments with their help, and what is called and printed.
//!
//! No rules live here: a rule in a command is a rule that the other doors do not have.

mod artifact;
mod attach;
mod auto_update;
mod checkpoint;
mod cleanup;
mod commit;
mod complete;
mod completion;
mod container_clone;
mod container_prune;
mod copy;
mod cp;
mod create;
mod delete;
mod diff;
mod doctor;
mod documents;
mod events;
mod exec;
mod exists;
mod export;
mod generate;
mod healthcheck;
mod history;
mod image_diff;
mod image_discard;
mod image_exists;
mod image_export;
mod image_mount;
mod image_prune;
mod image_referrers;
mod image_refetch;
mod image_tree;
mod image_unmount;
mod images;
mod import;
mod info;
mod init;
mod inspect;
mod journal;
mod kill;
mod list_tags;
mod load;
mod login;
mod logout;
mod logs;
mod look;
mod manifest;
mod manifest_digest;
mod mount;
mod network;
mod pause;
mod picked;
mod pod;
mod port;
mod prune;
mod ps;
mod pull;
mod push;
mod readiness;
mod recipe;
mod rehearse;
mod rename;
mod repack;
mod restart;
mod restore;
mod rm;
mod rmi;
mod run;
mod runlabel;
mod save;
mod secret;
mod selftest;
mod session;
mod several;
mod start;
mod stats;
mod stop;
mod sync;
mod system_boot;
mod system_check;
mod system_df;
mod system_prune;
mod system_quadlet;
mod tag;
mod thaw;
mod top;
mod unmount;
mod unpack;
mod unpause;
mod unshare;
mod untag;
mod update;
mod version;
mod volume;
mod wait;

use crate::tree::{Entry, Group, Switches};

/// All commands, in the order of the help.
pub(crate) const ALL: &[Entry] = &[
    Entry::new::<run::Run>("run", "Run a program in a new container").of_a_program(),
    Entry::new::<exec::Exec>("exec", "Run a program in a running container").of_a_program(),
    Entry::new::<ps::Ps>("ps", "List containers"),
    Entry::new::<logs::Logs>("logs", "Show what containers have printed"),
    Entry::new::<stop::Stop>("stop", "Stop containers"),
    Entry::new::<rm::Rm>("rm", "Remove containers"),
    Entry::new::<create::Create>("create", "Create a container without starting it").of_a_program(),
    Entry::new::<start::Start>("start", "Start containers that do not run").of_a_program(),
    Entry::new::<restart::Restart>("restart", "Stop containers and start them again"),
    Entry::new::<pause::Pause>("pause", "Freeze the processes of containers"),
    Entry::new::<unpause::Unpause>("unpause", "Let the processes of paused containers go on"),
    Entry::new::<attach::Attach>("attach", "Connect to a running container"),
    Entry::new::<kill::Kill>("kill", "Send a signal to containers"),
    Entry::new::<wait::Wait>("wait", "Wait until containers end and print their exit codes"),
    Entry::new::<events::Events>("events", "Show what happens to containers, images and the rest"),
    Entry::new::<auto_update::AutoUpdate>(
        "auto-update",
        "Replace containers whose image has a successor",
    ),
    Entry::new::<update::Update>(
        "update",
        "Change the limits, the health check and the environment of containers",
    ),
    Entry::new::<inspect::Inspect>("inspect", "Show all that is known of containers and images"),
    Entry::new::<top::Top>("top", "Show the processes of a container"),
    Entry::new::<stats::Stats>("stats", "Show what containers use"),
    Entry::new::<cp::Cp>(
        "cp",
        "Copy files between a container and the host, or between containers",
    ),
    Entry::new::<diff::Diff>("diff", "Show what files a container has otherwise than its image"),
    Entry::new::<commit::Commit>("commit", "Make an image of a container"),
    Entry::new::<export::Export>("export", "Write the root of a container as a tar file"),
    Entry::new::<rename::Rename>("rename", "Give a container another name"),
    Entry::new::<mount::Mount>("mount", "Mount the root of containers, or list what is mounted"),
    Entry::new::<unmount::Unmount>("unmount", UNMOUNT),
    Entry::new::<unmount::Unmount>("umount", UNMOUNT).hidden(),
    Entry::new::<init::Init>("init", "See that everything is there for containers to start"),
    Entry::new::<port::Port>("port", "List the ports of a container that the host passes on"),
    Entry::new::<pull::Pull>("pull", "Fetch images"),
    Entry::new::<push::Push>("push", "Send an image to a registry"),
    Entry::new::<login::Login>("login", LOGIN).apart(),
    Entry::new::<logout::Logout>("logout", LOGOUT).apart(),
    Entry::new::<images::List>("images", "List images"),
    Entry::new::<rmi::Rmi>("rmi", "Remove images"),
    Entry::new::<tag::Tag>("tag", "Give an image more names"),
    Entry::new::<untag::Untag>("untag", "Take names from an image and keep it"),
    Entry::new::<save::Save>("save", "Write images into a file"),
    Entry::new::<load::Load>("load", "Take images in from a file"),
    Entry::new::<import::Import>("import", "Make an image of the tar file of a file system"),
    Entry::new::<history::History>("history", "Show how an image was made"),
    Entry::new::<doctor::Doctor>("doctor", "Prove that nothing is broken or left behind"),
    Entry::new::<selftest::Selftest>("selftest", "Attack the runtime, to see that it holds here")
        .apart(),
    Entry::new::<info::Info>("info", "Show what is known of the machine and of what is kept here"),
    Entry::new::<unshare::Unshare>(
        "unshare",
        "Run a program as root of your containers' user namespace",
    )
    .of_a_program(),
    Entry::new::<version::Version>("version", "Show the version").apart(),
    Entry::new::<completion::Completion>("completion", "Print the completion script of a shell")
        .apart(),
    Entry::new::<cleanup::Cleanup>("cleanup", "Write down how a container ended").hidden(),
    Entry::new::<complete::Complete>("__complete", "Say what could stand where the cursor is")
        .hidden()
        .apart(),
    Entry::new::<thaw::Thaw>("thaw", "Let a container go on when standard input ends").hidden(),
];

/// The same commands under the names that docker gave them later, and those that only groups have.
pub(crate) const GROUPS: &[Group] = &[
    Group::new(
        "container",
        "Work with containers",
        &[
            ("run", "run"),
            ("exec", "exec"),
            ("ls", "ps"),
            ("logs", "logs"),
            ("stop", "stop"),
            ("rm", "rm"),
            ("remove", "rm"),
            ("create", "create"),
            ("start", "start"),
            ("restart", "restart"),
            ("pause", "pause"),
            ("unpause", "unpause"),
            ("attach", "attach"),
            ("kill", "kill"),
            ("wait", "wait"),
            ("update", "update"),
            ("inspect", "inspect"),
            ("list", "ps"),
            ("ps", "ps"),
            ("top", "top"),
            ("stats", "stats"),
            ("cp", "cp"),
            ("diff", "diff"),
            ("commit", "commit"),
            ("export", "export"),
            ("rename", "rename"),
            ("mount", "mount"),
            ("unmount", "unmount"),
            ("umount", "umount"),
            ("init", "init"),
            ("port", "port"),
            ("cleanup", "cleanup"),
        ],
        &[
            Entry::new::<exists::Exists>(
                "exists",
                "Say by the exit code whether there is a container of this name",
            ),
            Entry::new::<checkpoint::Checkpoint>(
                "checkpoint",
                "Write the processes of running containers down, by criu",
            ),
            Entry::new::<restore::Restore>(
                "restore",
                "Let containers run on from their checkpoints, by criu",
            ),
            Entry::new::<container_clone::Clone>(
                "clone",
                "Make another container like one that is there",
            ),
            Entry::new::<container_prune::Prune>("prune", "Remove containers that do not run"),
            Entry::new::<runlabel::Runlabel>(
                "runlabel",
                "Run the command that a label of an image holds",
            ),
        ],
        [
            |command| GROUPS[0].members(command, Switches::Plain),
            |command| GROUPS[0].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "image",
        "Work with images",
        &[
            ("ls", "images"),
            ("list", "images"),
            ("pull", "pull"),
            ("push", "push"),
            ("rm", "rmi"),
            ("remove", "rmi"),
            ("tag", "tag"),
            ("untag", "untag"),
            ("history", "history"),
            ("save", "save"),
            ("load", "load"),
            ("import", "import"),
        ],
        &[
            Entry::new::<look::Look>("inspect", LOOK),
            Entry::new::<copy::Copy>("copy", COPY),
            Entry::new::<list_tags::ListTags>("list-tags", LIST_TAGS).apart(),
            Entry::new::<sync::Sync>("sync", SYNC),
            Entry::new::<delete::Delete>("delete", DELETE),
            Entry::new::<manifest_digest::ManifestDigest>("manifest-digest", MANIFEST_DIGEST)
                .apart(),
            Entry::new::<image_prune::Prune>("prune", "Remove images that nobody needs"),
            Entry::new::<image_exists::Exists>(
                "exists",
                "Say by the exit code whether there is an image of this name",
            ),
            Entry::new::<image_tree::Tree>("tree", "Show the layers of an image"),
            Entry::new::<image_referrers::Referrers>(
                "referrers",
                "List what refers to an image: signatures, bills of materials and the like",
            ),
            Entry::new::<image_mount::Mount>(
                "mount",
                "Mount the root of images for reading, or list what is mounted",
            ),
            Entry::new::<image_unmount::Unmount>(
                "unmount",
                "Take the mounts of images away that `image mount` made",
            ),
            Entry::new::<image_unmount::Unmount>(
                "umount",
                "Take the mounts of images away that `image mount` made",
            )
            .hidden(),
            Entry::new::<image_discard::Discard>(
                "discard",
                "Discard the compressed layers of images, which a registry has too",
            ),
            Entry::new::<image_refetch::Refetch>(
                "refetch",
                "Fetch the compressed layers of images again that were discarded",
            ),
            Entry::new::<image_diff::Diff>(
                "diff",
                "Show what files an image has otherwise than another one",
            ),
            Entry::new::<image_export::Export>(
                "export",
                "Write the root of an image as a tar file",
            ),
            Entry::new::<unpack::Unpack>(
                "unpack",
                "Unpack an image to a bundle that can be changed",
            ),
            Entry::new::<repack::Repack>("repack", "Pack what has changed in a bundle as a layer"),
        ],
        [
            |command| GROUPS[1].members(command, Switches::Plain),
            |command| GROUPS[1].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "manifest",
        "Work with lists of images for several platforms",
        &[],
        &[
            Entry::new::<manifest::create::Create>(
                "create",
                "Make a list of images for several platforms",
            ),
            Entry::new::<manifest::add::Add>("add", "Add images to a list"),
            Entry::new::<manifest::annotate::Annotate>(
                "annotate",
                "Change what a list says of one of its images",
            ),
            Entry::new::<manifest::exists::Exists>(
                "exists",
                "Say by the exit code whether there is a list of this name",
            ),
            Entry::new::<manifest::inspect::Inspect>("inspect", "Show the document of a list"),
            Entry::new::<manifest::push::Push>(
                "push",
                "Send a list and its images to a registry or another place",
            ),
            Entry::new::<manifest::remove::Remove>("remove", "Take an image out of a list"),
            Entry::new::<manifest::rm::Rm>("rm", "Remove lists; their images stay"),
        ],
        [
            |command| GROUPS[2].members(command, Switches::Plain),
            |command| GROUPS[2].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "system",
        "Work with everything at once",
        &[("info", "info")],
        &[
            Entry::new::<system_df::Df>(
                "df",
                "Show what images, containers and volumes cost on disk",
            ),
            Entry::new::<events::Events>(
                "events",
                "Show what happens to containers, images and the rest",
            ),
            Entry::new::<system_boot::Boot>(
                "boot",
                "Start the containers that should run after a boot",
            ),
            Entry::new::<system_check::Check>("check", "Prove that everything stored is whole"),
            Entry::new::<system_quadlet::Quadlet>(
                "quadlet",
                "Make services of quadlet files, as a generator of systemd",
            )
            .apart(),
            Entry::new::<system_prune::Prune>(
                "prune",
                "Remove what is not in use: stopped containers, networks, images, interrupted pulls",
            ),
        ],
        [
            |command| GROUPS[3].members(command, Switches::Plain),
            |command| GROUPS[3].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "artifact",
        "Work with artifacts: files that registries keep",
        &[],
        &[
            Entry::new::<artifact::add::Add>("add", "Make an artifact of files"),
            Entry::new::<artifact::extract::Extract>("extract", "Write the files of an artifact"),
            Entry::new::<artifact::inspect::Inspect>(
                "inspect",
                "Show all that is known of an artifact",
            ),
            Entry::new::<artifact::ls::Ls>("ls", "List artifacts").also(&["list"]),
            Entry::new::<artifact::pull::Pull>("pull", "Fetch an artifact from a registry"),
            Entry::new::<artifact::push::Push>("push", "Send an artifact to a registry"),
            Entry::new::<artifact::rm::Rm>("rm", "Remove artifacts").also(&["remove"]),
        ],
        [
            |command| GROUPS[4].members(command, Switches::Plain),
            |command| GROUPS[4].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "volume",
        "Work with volumes: directories that outlive containers",
        &[],
        &[
            Entry::new::<volume::create::Create>("create", "Make a volume"),
            Entry::new::<volume::ls::Ls>("ls", "List volumes").also(&["list"]),
            Entry::new::<volume::inspect::Inspect>("inspect", "Show all that is known of volumes"),
            Entry::new::<volume::rm::Rm>("rm", "Remove volumes, with all that is in them")
                .also(&["remove"]),
            Entry::new::<volume::prune::Prune>(
                "prune",
                "Remove the volumes that no container uses and nobody has named",
            ),
            Entry::new::<volume::exists::Exists>(
                "exists",
                "Say by the exit code whether there is a volume of this name",
            ),
            Entry::new::<volume::export::Export>(
                "export",
                "Write what is in a volume as a tar file",
            ),
            Entry::new::<volume::import::Import>(
                "import",
                "Put what is in a tar file into a volume, over what is there",
            ),
            Entry::new::<volume::mount::Mount>(
                "mount",
                "Print where the data of volumes is on the host, mounted where it is a file system of its own",
            ),
            Entry::new::<volume::mount::Unmount>("unmount", "Take back what `volume mount` did"),
            Entry::new::<volume::reload::Reload>(
                "reload",
                "Do nothing: there are no volume plugins whose volumes could have changed",
            ),
        ],
        [
            |command| GROUPS[5].members(command, Switches::Plain),
            |command| GROUPS[5].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "secret",
        "Work with secrets: small contents that containers get and nobody else sees",
        &[],
        &[
            Entry::new::<secret::create::Create>(
                "create",
                "Make a secret of a file, of standard input or of a variable",
            ),
            Entry::new::<secret::ls::Ls>("ls", "List secrets").also(&["list"]),
            Entry::new::<secret::inspect::Inspect>(
                "inspect",
                "Show all that is known of secrets, but what is secret",
            ),
            Entry::new::<secret::rm::Rm>(
                "rm",
                "Remove secrets; containers keep what they were created with",
            )
            .also(&["remove"]),
            Entry::new::<secret::exists::Exists>(
                "exists",
                "Say by the exit code whether there is a secret of this name",
            ),
        ],
        [
            |command| GROUPS[6].members(command, Switches::Plain),
            |command| GROUPS[6].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "pod",
        "Work with pods: containers that share namespaces, limits and a life",
        &[],
        &[
            Entry::new::<pod::create::Create>(
                "create",
                "Make a pod: containers that share a network, a host name and shared memory",
            ),
            Entry::new::<pod::clone::Clone>(
                "clone",
                "Make another pod like one that is there, with its containers",
            ),
            Entry::new::<pod::ps::Ps>("ps", "List pods").also(&["ls", "list"]),
            Entry::new::<pod::inspect::Inspect>("inspect", "Show all that is known of pods"),
            Entry::new::<pod::life::Start>("start", "Start all containers of pods"),
            Entry::new::<pod::life::Stop>("stop", "Stop all containers of pods"),
            Entry::new::<pod::life::Restart>("restart", "Stop and start all containers of pods"),
            Entry::new::<pod::life::Kill>("kill", "Send a signal to all containers of pods"),
            Entry::new::<pod::pause::Pause>(
                "pause",
                "Freeze the processes of all containers of pods",
            ),
            Entry::new::<pod::pause::Unpause>(
                "unpause",
                "Let the processes of all containers of paused pods go on",
            ),
            Entry::new::<pod::logs::PodLogs>(
                "logs",
                "Show what the containers of a pod have printed",
            ),
            Entry::new::<pod::stats::Stats>("stats", "Show what the containers of pods use"),
            Entry::new::<pod::top::Top>("top", "Show the processes of all containers of a pod"),
            Entry::new::<pod::rm::Rm>("rm", "Remove pods, with their containers"),
            Entry::new::<pod::prune::Prune>(
                "prune",
                "Remove the pods of which nothing runs, with their containers",
            ),
            Entry::new::<pod::exists::Exists>(
                "exists",
                "Say by the exit code whether there is a pod of this name",
            ),
        ],
        [
            |command| GROUPS[7].members(command, Switches::Plain),
            |command| GROUPS[7].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "healthcheck",
        "Work with the health checks of containers",
        &[],
        &[Entry::new::<healthcheck::run::Run>("run", "Check the health of a container now")],
        [
            |command| GROUPS[8].members(command, Switches::Plain),
            |command| GROUPS[8].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "generate",
        "Make files for other programs",
        &[],
        &[Entry::new::<generate::systemd::Systemd>("systemd", "Print units for systemd")],
        [
            |command| GROUPS[9].members(command, Switches::Plain),
            |command| GROUPS[9].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "network",
        "Work with networks: what containers that are connected to one share",
        &[],
        &[
            Entry::new::<network::create::Create>("create", "Make a network"),
            Entry::new::<network::ls::Ls>("ls", "List networks").also(&["list"]),
            Entry::new::<network::inspect::Inspect>(
                "inspect",
                "Show all that is known of networks",
            ),
            Entry::new::<network::connect::Connect>("connect", "Connect a container to a network"),
            Entry::new::<network::disconnect::Disconnect>(
                "disconnect",
                "Disconnect a container from a network",
            ),
            Entry::new::<network::rm::Rm>("rm", "Remove networks").also(&["remove"]),
            Entry::new::<network::prune::Prune>(
                "prune",
                "Remove the networks that no container is connected to",
            ),
            Entry::new::<network::exists::Exists>(
                "exists",
                "Say by the exit code whether there is a network of this name",
            ),
            Entry::new::<network::update::Update>(
                "update",
                "Change which servers a network asks for names",
            ),
            Entry::new::<network::reload::Reload>(
                "reload",
                "Put the firewall's rules of containers back",
            ),
            Entry::new::<network::explain::Explain>(
                "explain",
                "Explain why packets for a published port pass, or do not",
            ),
        ],
        [
            |command| GROUPS[10].members(command, Switches::Plain),
            |command| GROUPS[10].members(command, Switches::WithValues),
        ],
    ),
];

const UNMOUNT: &str = "Take the mounts of containers away that `mount` made";
const LOOK: &str = "Show all that is known of an image at any place";
const COPY: &str = "Copy an image from place to place";
const LIST_TAGS: &str = "List the tags of a repository or archive";
const SYNC: &str = "Copy all images of a repository, directory or list";
const DELETE: &str = "Delete an image at a place";
const LOGIN: &str = "Log in to a registry";
const LOGOUT: &str = "Log out of a registry";
const MANIFEST_DIGEST: &str = "Print the digest that a manifest in a file has";

/// The commands that skopeo has too.
pub(crate) mod skopeo {
    use super::{
        COPY, DELETE, LIST_TAGS, LOGIN, LOGOUT, LOOK, MANIFEST_DIGEST, SYNC, copy, delete,
        list_tags, login, logout, look, manifest_digest, sync,
    };
    use crate::tree::Entry;

    /// By skopeo's names.
    pub(crate) const ALL: &[Entry] = &[
        Entry::new::<copy::Copy>("copy", COPY),
        Entry::new::<delete::Delete>("delete", DELETE),
        Entry::new::<look::Look>("inspect", LOOK),
        Entry::new::<list_tags::ListTags>("list-tags", LIST_TAGS),
        Entry::new::<manifest_digest::ManifestDigest>("manifest-digest", MANIFEST_DIGEST),
        Entry::new::<login::Login>("login", LOGIN),
        Entry::new::<logout::Logout>("logout", LOGOUT),
        Entry::new::<sync::Sync>("sync", SYNC),
    ];
}
