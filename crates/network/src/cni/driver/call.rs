//! One round of calls: what is the same for all plugins of a list, and what each one is given.

use super::super::{Connection, List, PluginConfiguration, Version, guard::Guard};
use serde_json::{Map, Value};

/// What is the same for all plugins of a list.
pub(super) struct Call<'a> {
    pub(super) list: &'a List,
    pub(super) connection: &'a Connection,
    pub(super) version: Version,
    pub(super) result: Option<Value>,
    /// Held while its plugins are at work; missing where they are asked about nobody.
    pub(super) guard: Option<Guard>,
}

impl Call<'_> {
    /// What a plugin is given: what its author wrote, with what only we know.
    pub(super) fn document(&self, plugin: &PluginConfiguration) -> Map<String, Value> {
        let mut document = plugin.document.clone();
        document.insert("cniVersion".into(), self.version.name().into());
        document.insert("name".into(), self.list.name.clone().into());
        let asked = self.connection.capabilities.iter();
        let asked: Map<String, Value> = asked
            .filter(|(name, _)| plugin.has_capability(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !asked.is_empty() {
            document.insert("runtimeConfig".into(), asked.into());
        }
        document
    }
}
