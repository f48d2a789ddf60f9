//! The commands, a file each: arguments with their help, and what is called and printed.
//!
//! No rules live here: a rule in a command is a rule that the other doors do not have.

mod asked;
mod attach;
mod cleanup;
mod completion;
mod create;
mod doctor;
mod exec;
mod history;
mod image_prune;
mod image_tree;
mod images;
mod inspect;
mod kill;
mod login;
mod logout;
mod logs;
mod ps;
mod pull;
mod push;
mod rm;
mod rmi;
mod run;
mod selftest;
mod session;
mod several;
mod start;
mod stop;
mod system_check;
mod system_df;
mod system_prune;
mod tag;
mod untag;
mod wait;

use crate::tree::{Entry, Group, Switches};

/// All commands, in the order of the help.
pub(crate) const ALL: &[Entry] = &[
    Entry::new::<run::Run>("run", "Run a program in a new container").of_a_program(),
    Entry::new::<exec::Exec>("exec", "Run a program in a running container").of_a_program(),
    Entry::new::<ps::Ps>("ps", "List containers"),
    Entry::new::<logs::Logs>("logs", "Show what a container has printed"),
    Entry::new::<stop::Stop>("stop", "Stop containers"),
    Entry::new::<rm::Rm>("rm", "Remove containers"),
    Entry::new::<create::Create>("create", "Create a container without starting it").of_a_program(),
    Entry::new::<start::Start>("start", "Start containers that do not run").of_a_program(),
    Entry::new::<attach::Attach>("attach", "Connect to a running container"),
    Entry::new::<kill::Kill>("kill", "Send a signal to containers"),
    Entry::new::<wait::Wait>("wait", "Wait until containers end and print their exit codes"),
    Entry::new::<inspect::Inspect>("inspect", "Show all that is known of containers and images"),
    Entry::new::<pull::Pull>("pull", "Fetch images"),
    Entry::new::<push::Push>("push", "Send an image to a registry"),
    Entry::new::<login::Login>("login", "Log in to a registry"),
    Entry::new::<logout::Logout>("logout", "Log out of a registry"),
    Entry::new::<images::List>("images", "List images"),
    Entry::new::<rmi::Rmi>("rmi", "Remove images"),
    Entry::new::<tag::Tag>("tag", "Give an image more names"),
    Entry::new::<untag::Untag>("untag", "Take names from an image and keep it"),
    Entry::new::<history::History>("history", "Show how an image was made"),
    Entry::new::<doctor::Doctor>("doctor", "Prove that nothing is broken or left behind"),
    Entry::new::<selftest::Selftest>("selftest", "Attack the runtime, to see that it holds here"),
    Entry::new::<completion::Completion>("completion", "Print the completion script of a shell"),
    Entry::new::<cleanup::Cleanup>("cleanup", "Write down how a container ended").hidden(),
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
            ("create", "create"),
            ("start", "start"),
            ("attach", "attach"),
            ("kill", "kill"),
            ("wait", "wait"),
            ("inspect", "inspect"),
        ],
        &[],
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
            ("pull", "pull"),
            ("push", "push"),
            ("rm", "rmi"),
            ("tag", "tag"),
            ("untag", "untag"),
            ("history", "history"),
            ("inspect", "inspect"),
        ],
        &[
            Entry::new::<image_prune::Prune>("prune", "Remove images that nobody needs"),
            Entry::new::<image_tree::Tree>("tree", "Show the layers of an image"),
        ],
        [
            |command| GROUPS[1].members(command, Switches::Plain),
            |command| GROUPS[1].members(command, Switches::WithValues),
        ],
    ),
    Group::new(
        "system",
        "Work with everything at once",
        &[],
        &[
            Entry::new::<system_df::Df>(
                "df",
                "Show what images, containers and volumes cost on disk",
            ),
            Entry::new::<system_check::Check>("check", "Prove that everything stored is whole"),
            Entry::new::<system_prune::Prune>(
                "prune",
                "Remove what is not in use: stopped containers, images, interrupted pulls",
            ),
        ],
        [
            |command| GROUPS[2].members(command, Switches::Plain),
            |command| GROUPS[2].members(command, Switches::WithValues),
        ],
    ),
];
