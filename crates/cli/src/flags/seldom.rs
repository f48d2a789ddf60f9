//! Flags that few command lines have, and that the others need not pay for.
//!
//! To declare a flag costs some thousand instructions and more than a kilobyte, whether it is given or
//! not: of `run` and `create`, that was a quarter of all that `create` does. So a command line is read
//! by a brief tree first, in which the groups of flags that are [`Seldom`] given are not declared. What
//! it understands, the whole tree understands alike; a line that has one of those flags is an error to
//! it, and is read by the whole tree then (see `crate::parse`). Each flag is declared in one place, and
//! help and errors come from the whole tree alone.
//!
//! ```text
//!   brief tree:  mark, flags           ─▶ Seldom(T::default())
//!   any other:         flags and T's   ─▶ Seldom(what T's flags say)
//! ```

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::Error};
use std::ops::{Deref, DerefMut};

/// The id of what marks a brief tree, and the matches that come of one.
const MARK: &str = "brief";

/// No word of a command line has this byte in it.
const UNSPEAKABLE: &str = "\0";

/// The mark is among so many: flags of the whole program's may have come down before it.
const FIRST: usize = 16;

/// A group of flags that a brief tree goes without. Without any of them given, it has to be what its
/// default is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seldom<T>(T);

/// Makes a tree a brief one, before flags are declared in it.
pub(crate) fn briefly(command: Command) -> Command {
    command.arg(Arg::new(MARK).long(UNSPEAKABLE).action(ArgAction::SetTrue).hide(true))
}

fn is_brief(command: &Command) -> bool {
    command.get_arguments().take(FIRST).any(|argument| argument.get_id() == MARK)
}

fn is_of_brief(matches: &ArgMatches) -> bool {
    matches!(matches.try_get_one::<bool>(MARK), Ok(Some(_)))
}

impl<T: Args + Default> Args for Seldom<T> {
    fn augment_args(command: Command) -> Command {
        if is_brief(&command) { command } else { T::augment_args(command) }
    }

    fn augment_args_for_update(command: Command) -> Command {
        if is_brief(&command) { command } else { T::augment_args_for_update(command) }
    }
}

impl<T: FromArgMatches + Default> FromArgMatches for Seldom<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        if is_of_brief(matches) {
            return Ok(Self::default());
        }
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        if is_of_brief(matches) { Ok(()) } else { self.0.update_from_arg_matches(matches) }
    }
}

impl<T> Deref for Seldom<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Seldom<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
