//! Which image a short name means: asked where there is somebody to ask, and remembered.

use crate::{
    console::Console,
    prompt::{self, Echo},
};
use dhow_base::{Error, Kind, Result};
use dhow_image::{Images, Reference};
use std::fmt::Write;

/// How often somebody may mistype.
const TRIES: u32 = 3;

/// What to pull where a name was typed.
#[derive(Debug)]
pub(crate) struct Choice {
    typed: String,
    chosen: Option<Reference>,
}

impl Choice {
    /// Asks if there is anything to choose from. Without anybody at a terminal it stays what was
    /// typed, and the pull decides.
    pub(crate) fn make(typed: &str, from: impl FnOnce() -> Result<Vec<Reference>>) -> Result<Self> {
        let typed = typed.to_owned();
        if !prompt::is_possible() {
            return Ok(Self { typed, chosen: None });
        }
        let all = from()?;
        let chosen = if all.is_empty() { None } else { Some(ask(&typed, all)?) };
        Ok(Self { typed, chosen })
    }

    /// The name to pull by.
    pub(crate) fn name(&self) -> String {
        self.chosen.as_ref().map_or_else(|| self.typed.clone(), Reference::to_string)
    }

    /// What was chosen was the right one. That it cannot be remembered is no failure.
    pub(crate) fn keep(&self, images: &Images, console: Console) {
        let Some(chosen) = &self.chosen else { return };
        if let Err(error) = images.remember_choice(&self.typed, chosen) {
            console.warning(&error.one_line());
        }
    }
}

fn ask(typed: &str, mut all: Vec<Reference>) -> Result<Reference> {
    let mut question = format!("Which image is {typed}?\n");
    for (number, reference) in (1..).zip(&all) {
        // Writing to a string cannot fail.
        let _written = writeln!(question, "  {number}  {reference}");
    }
    question.push_str("Number [1]: ");
    for _ in 0..TRIES {
        let answer = prompt::ask(&question, Echo::On)?;
        let answer = answer.trim();
        let number = if answer.is_empty() { Ok(1) } else { answer.parse::<usize>() };
        match number {
            Ok(number) if (1..=all.len()).contains(&number) => {
                return Ok(all.swap_remove(number - 1));
            }
            _ => question = format!("A number from 1 to {}: ", all.len()),
        }
    }
    Err(Error::new(Kind::Invalid, format!("choose an image for {typed}: none was chosen")))
}
