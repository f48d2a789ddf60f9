//! What strangers' bytes are tried on; see the runtime's module of this name.

use crate::{device_program, devices::Table};
use dhow_spec::runtime::DeviceRule;

/// Rules for devices as a JSON list: refused, or a program that the kernel would read.
pub fn device_rules(bytes: &[u8]) -> bool {
    let Ok(rules) = serde_json::from_slice::<Vec<DeviceRule>>(bytes) else { return false };
    let Ok(table) = Table::with_defaults(&rules) else { return false };
    assert!(!device_program::assemble(&table).is_empty());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_testkit::mutation::Mutator;

    #[test]
    fn damaged_rules_are_refused_or_become_programs() {
        let rules = serde_json::json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
            {"allow": true, "type": "b", "major": 8, "access": "m"},
            {"allow": false, "type": "a", "major": -1, "minor": -1},
        ]);
        let mut mutator = Mutator::new(9);
        let tried = 20_000;

        let read = (0..tried).filter(|_| device_rules(&mutator.damage(&rules))).count();

        assert!(read > 100 && read < tried, "{read} of {tried}");
    }
}
