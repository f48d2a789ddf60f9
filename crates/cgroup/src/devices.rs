//! Which devices a container may use.

use dhow_spec::runtime::DeviceRule;

/// What every container may use: make any node, and use the harmless ones.
pub fn default_rules() -> Vec<DeviceRule> {
    Vec::new()
}
