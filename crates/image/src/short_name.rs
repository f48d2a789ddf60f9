//! Short names that may stand for several images: what there is to choose from, and what was chosen.
//!
//! Nobody is asked here. Who can ask the user does it before a pull, pulls what was chosen by its
//! complete name, and says afterwards that it is to be remembered, as podman does.

use crate::{Images, Place, Policy, PullOptions};
use dhow_base::Result;
use dhow_distribution::{Choice, Reference};
use dhow_state::State;

impl Images {
    /// The images among which the user is to choose before `text` is pulled; none where it stands for
    /// one, where all are to be tried, or where an image that is here will do.
    pub fn choices(
        &self,
        state: &State,
        text: &str,
        options: &PullOptions,
    ) -> Result<Vec<Reference>> {
        let source = Place::parse_or_name(text)?;
        let Place::Registry(name) = &source else { return Ok(Vec::new()) };
        let asks_nobody = options.policy == Policy::Never;
        if asks_nobody || self.suitable(state, &source, options)?.is_some() {
            return Ok(Vec::new());
        }
        let candidates = self.client()?.candidates(name)?;
        Ok(if candidates.choice == Choice::None { Vec::new() } else { candidates.references })
    }

    /// From now on a short name stands for what was chosen, for podman too.
    pub fn remember_choice(&self, text: &str, chosen: &Reference) -> Result<()> {
        let short = text.strip_prefix("docker://").unwrap_or(text);
        self.client()?.remember_choice(short, chosen)
    }
}
