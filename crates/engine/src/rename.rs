//! Giving a container another name.

use crate::Engine;
use dhow_base::{Doing, Error, Kind, Result, id::Name};
use dhow_state::{containers, events};

impl Engine {
    /// Gives a container another name, whatever it is doing.
    pub fn rename(&mut self, container: &str, name: &Name) -> Result<()> {
        let row = self.look_up(container)?;
        let doing = || format!("rename container {}", row.name);
        if row.name == name.as_str() {
            let same = Error::new(Kind::Conflict, "it has this name already");
            return Err(same).doing(doing);
        }
        let detail = serde_json::json!({ "oldName": row.name, "name": name.as_str() }).to_string();
        self.state
            .write(|write| {
                containers::rename(write, &row.id, name.as_str())?;
                events::record(write, "container", "rename", row.id.as_str(), &detail)
            })
            .doing(doing)
    }
}
