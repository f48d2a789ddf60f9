//! Names for containers that nobody named: an adjective and a noun of the sea.

use dhow_base::{Error, Kind, Result, id::random_hex};

const ADJECTIVES: [&str; 64] = [
    "able", "amber", "ample", "azure", "bold", "brave", "bright", "brisk", "calm", "clear",
    "coral", "crisp", "daring", "deft", "eager", "early", "fair", "fleet", "fond", "fresh",
    "gentle", "glad", "golden", "grand", "hardy", "hazy", "honest", "humble", "ivory", "jolly",
    "keen", "kind", "lively", "loyal", "lucid", "mellow", "merry", "misty", "modest", "neat",
    "nimble", "noble", "patient", "placid", "plucky", "proud", "quick", "quiet", "ready", "sharp",
    "silver", "sober", "steady", "stout", "sunny", "swift", "tidy", "trim", "true", "vivid",
    "warm", "wise", "witty", "young",
];

const NOUNS: [&str; 64] = [
    "albatross",
    "anchor",
    "anchovy",
    "atoll",
    "barge",
    "bay",
    "beacon",
    "bosun",
    "bow",
    "breeze",
    "buoy",
    "cape",
    "captain",
    "cargo",
    "chart",
    "clam",
    "compass",
    "cove",
    "crab",
    "crew",
    "current",
    "deck",
    "dolphin",
    "dory",
    "dune",
    "eddy",
    "estuary",
    "ferry",
    "fjord",
    "gale",
    "galley",
    "gull",
    "harbor",
    "haven",
    "heron",
    "hull",
    "island",
    "jetty",
    "keel",
    "kelp",
    "ketch",
    "lagoon",
    "lantern",
    "lighthouse",
    "mast",
    "monsoon",
    "narwhal",
    "oar",
    "otter",
    "pearl",
    "pelican",
    "pier",
    "pilot",
    "port",
    "reef",
    "rudder",
    "sail",
    "shoal",
    "skiff",
    "sloop",
    "spar",
    "tide",
    "wave",
    "wharf",
];

/// A random name. After the first tries it gets a number, so that thousands fit.
pub(crate) fn random(attempt: usize) -> Result<String> {
    let hex = random_hex(4)?;
    let number = u32::from_str_radix(&hex, 16)
        .map_err(|error| Error::new(Kind::Internal, "make a random name").because(error))?;
    let pick = |list: &[&'static str; 64], shift: u32| list[((number >> shift) & 63) as usize];
    let name = format!("{}_{}", pick(&ADJECTIVES, 0), pick(&NOUNS, 6));
    Ok(if attempt < 2 { name } else { format!("{name}_{}", number >> 12) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_names_are_names_and_later_ones_have_a_number() {
        assert!(random(0).unwrap().parse::<dhow_base::id::Name>().is_ok());
        assert_eq!(random(0).unwrap().matches('_').count(), 1);
        assert_eq!(random(5).unwrap().matches('_').count(), 2);
    }
}
