//! The command line that made a container, read once more to make another like it.
//!
//! ```text
//!  dhow run --memory 1g      box sleep 9       as it was said
//!  dhow run --memory 1g  ▲   box sleep 9       what the other one is to have otherwise goes there:
//!                        └── --memory=2g       the later word counts
//! ```
//!
//! The words are kept, and not what they meant then: so the other one can be made a third time. What
//! they take from their surroundings (variables, files, `containers.conf`) they take from ours.

use crate::{
    flags::{Surroundings, container::ContainerFlags},
    invocation::Invocation,
    manners::Manners,
    tree::{self, Switches},
};
use clap::FromArgMatches;
use dhow_base::{Error, Kind, Result};
use dhow_engine::{CreateOptions, Made, options::LifeOptions};
use std::path::Path;

/// How a container was made.
#[derive(Clone, Debug)]
pub(super) struct Recipe(Made);

impl Recipe {
    pub(super) fn of(made: Made) -> Self {
        Self(made)
    }

    /// The same with more flags, and perhaps another image.
    pub(super) fn with(mut self, flags: Vec<String>, image: Option<String>) -> Result<Self> {
        let flags_read = self.read()?;
        let tail = flags_read.image_and_command.len();
        let words = &mut self.0.words;
        if flags.iter().any(|flag| flag.starts_with("--pod=")) {
            // They do not go together.
            take_out(words, "--pod-id-file", tail);
        }
        let place = words.len().saturating_sub(tail);
        if let (Some(image), Some(word)) = (image, words.get_mut(place)) {
            *word = image;
        }
        // Two dashes end the flags.
        let ends_flags = place > 0 && words[place - 1] == "--";
        let place = place - usize::from(ends_flags);
        words.splice(place..place, flags);
        Ok(self)
    }

    /// What it asks for.
    pub(super) fn options(&self, invocation: &Invocation) -> Result<CreateOptions> {
        let Made { words, directory, .. } = &self.0;
        let directory_then = Path::new(directory);
        let (manners, world) = (self.manners(), invocation.surroundings());
        let around = Surroundings { directory: directory_then, manners, ..world };
        let flags = self.read()?.with_defaults(&invocation.containers_conf()?, around)?;
        let options = flags.options(around)?;
        let life = LifeOptions {
            command_line: words.clone(),
            directory: directory.clone(),
            ..options.life.clone()
        };
        Ok(CreateOptions { life, ..options })
    }

    /// Those of the name that was called then.
    fn manners(&self) -> Manners {
        self.0.words.first().map_or(Manners::Dhow, |program| Manners::of_program(program))
    }

    fn read(&self) -> Result<ContainerFlags> {
        let unknown = || {
            let text = format!(
                "make another container like {}: nobody knows how it was made",
                self.0.name
            );
            Error::new(Kind::Unsupported, text)
                .hint("it is known of containers of `dhow run` and `dhow create`")
        };
        let tree = self.manners().declare(tree::command(Switches::WithValues));
        let command = tree.args_override_self(true);
        let matches = command.try_get_matches_from(&self.0.words).map_err(|_| unknown())?;
        let (_, inner, _) = tree::chosen(&matches).ok_or_else(unknown)?;
        ContainerFlags::from_arg_matches(inner).map_err(|_| unknown())
    }
}

/// Takes a flag and its value out of the words before the last `tail`.
fn take_out(words: &mut Vec<String>, flag: &str, tail: usize) {
    let end = words.len().saturating_sub(tail);
    let with_value = format!("{flag}=");
    let found = words[..end].iter().position(|word| word == flag || word.starts_with(&with_value));
    if let Some(place) = found {
        let count = if words[place] == flag { 2 } else { 1 };
        words.drain(place..(place + count).min(end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::id::ContainerId;

    fn with(words: &[&str], flags: &[&str], image: Option<&str>) -> Result<String> {
        let made = Made {
            id: ContainerId::random().unwrap(),
            name: "a".into(),
            image_name: "box".into(),
            image: None,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            directory: "/".into(),
        };
        let flags = flags.iter().map(|word| (*word).to_owned()).collect();
        let recipe = Recipe::of(made).with(flags, image.map(str::to_owned))?;
        drop(recipe.read()?);
        Ok(recipe.0.words.join(" "))
    }

    #[test]
    fn other_words_go_before_the_image() {
        let cases: [(&[&str], Option<&str>, &str); 4] = [
            (
                &["dhow", "run", "-it", "--name", "a", "box", "--name", "x"],
                None,
                "dhow run -it --name a --name=b box --name x",
            ),
            (
                &["dhow", "--root", "/r", "container", "create", "--", "box", "-t"],
                None,
                "dhow --root /r container create --name=b -- box -t",
            ),
            (&["dhow", "create", "box"], Some("crate"), "dhow create --name=b crate"),
            (
                &["dhow", "run", "-m1g", "--name=a", "box", "--", "x"],
                Some("crate"),
                "dhow run -m1g --name=a --name=b crate -- x",
            ),
        ];
        for (words, image, expected) in cases {
            assert_eq!(with(words, &["--name=b"], image).unwrap(), expected, "{words:?}");
        }
    }

    #[test]
    fn the_later_word_counts() {
        let words = with(&["dhow", "run", "-m", "1g", "box"], &["--memory=2g"], None).unwrap();
        assert_eq!(words, "dhow run -m 1g --memory=2g box");
    }

    #[test]
    fn another_pod_takes_the_place_of_the_file_of_one() {
        for file in [&["--pod-id-file", "f"][..], &["--pod-id-file=f"]] {
            let words = [&["dhow", "run"], file, &["box", "--pod-id-file", "x"]].concat();
            let words = with(&words, &["--pod=b"], None).unwrap();
            assert_eq!(words, "dhow run --pod=b box --pod-id-file x");
        }
    }

    #[test]
    fn what_nobody_said_is_told() {
        assert_eq!(with(&[], &[], None).unwrap_err().kind(), Kind::Unsupported);
        assert_eq!(with(&["dhow", "ps"], &[], None).unwrap_err().kind(), Kind::Unsupported);
    }
}
