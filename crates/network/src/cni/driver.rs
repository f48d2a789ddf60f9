//! Calls the plugins of a list, one after the other.
//!
//! ```text
//!  ADD    first ─▶ last, each with the result of the one before; one fails: DEL from it back to the first
//!  CHECK  first ─▶ last, each with the result of ADD
//!  DEL    last ─▶ first, each with the result of ADD; goes on after a failure
//!  GC     DEL for whoever is not valid any more, then each plugin is told who is
//! ```

mod call;

use super::{
    Cached, Connection, List, Outcome, PluginConfiguration, Refusal, Version,
    cache::Cache,
    program::{Programs, SEARCH_PATH, excerpt, refusal_of},
};
use call::Call;
use dhow_base::{Doing, Error, Kind, Result};
use serde_json::{Map, Value, json};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What a plugin is asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// Make a connection.
    Add,
    /// Take one away; it may be gone.
    Del,
    /// See whether one is as it was made.
    Check,
    /// Take away what belongs to no valid connection.
    Gc,
    /// Say whether ADD can be expected to work.
    Status,
    /// Say which versions are spoken.
    Version,
}

/// Who calls plugins: where they are, and where results are kept.
#[derive(Clone, Debug)]
pub struct Driver {
    programs: Programs,
    cache: Cache,
}

impl Command {
    /// As `CNI_COMMAND` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

impl Driver {
    /// Plugins are looked up in the directories, in this order; results are kept below `cache`.
    pub fn new(directories: Vec<PathBuf>, cache: &Path) -> Self {
        Self { programs: Programs::new(directories), cache: Cache::new(cache) }
    }

    /// A plugin that runs longer is killed.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.programs = self.programs.time_limit(limit);
        self
    }

    /// Connects a container. After an error nothing of it is left, as far as the plugins can undo it.
    pub fn add(&self, list: &List, connection: &Connection) -> Result<Outcome> {
        let doing = || doing(Command::Add, list, connection);
        connection.check().doing(doing)?;
        let version = self.version_for(list).doing(doing)?;
        let guard = self.cache.guard(connection, &list.name).doing(doing)?;
        // Another's connection must not be taken for ours, nor overwritten.
        let Connection { container, interface, .. } = connection;
        if self.cache.read(&list.name, container, interface).doing(doing)?.is_some() {
            let text = format!("{interface} of {container} is connected already");
            return Err(Error::new(Kind::AlreadyExists, text)).doing(doing);
        }
        let mut cached =
            Cached { list: list.clone(), connection: connection.clone(), result: None };
        self.cache.write(&cached).doing(doing)?;
        let mut call = Call { list, connection, version, result: None, guard: Some(guard) };
        let mut reached = 0;
        let made = self.add_each(&mut call, &mut cached, &mut reached);
        made.doing(doing).map_err(|error| self.undo(&call, reached, error))
    }

    /// Calls the plugins in their order; `reached` is the last one that was called. What each has made is
    /// remembered before the next one is called: some take nothing away of which they are not told.
    fn add_each(
        &self,
        call: &mut Call<'_>,
        cached: &mut Cached,
        reached: &mut usize,
    ) -> Result<Outcome> {
        for (place, plugin) in call.list.plugins.iter().enumerate() {
            *reached = place;
            call.result = Some(self.add_one(call, plugin)?);
            cached.result.clone_from(&call.result);
            self.cache.write(cached)?;
        }
        let result = call.result.as_ref().unwrap_or(&Value::Null);
        Outcome::parse(result, call.version)
    }

    /// The result of a plugin, in the list's version.
    fn add_one(&self, call: &Call<'_>, plugin: &PluginConfiguration) -> Result<Value> {
        let answer = self.call(Command::Add, call, plugin)?;
        let said = || format!("believe the plugin {:?}", plugin.program);
        let document: Value = serde_json::from_slice(&answer)
            .map_err(|error| {
                let what = "read its result as JSON";
                Error::new(Kind::Invalid, what).because(error).hint(excerpt(&answer))
            })
            .doing(said)?;
        let outcome = Outcome::parse(&document, call.version).doing(said)?;
        // What it names itself goes through as it is, with fields that we may not know.
        match Version::named_in(&document, call.version) {
            Ok(version) if version == call.version && document.get("cniVersion").is_some() => {
                Ok(document)
            }
            _ => Ok(outcome.to_json(call.version)),
        }
    }

    /// Takes away what the first plugins have made. The one that failed is told too: it may have
    /// come half-way.
    fn undo(&self, call: &Call<'_>, reached: usize, error: Error) -> Error {
        let Connection { container, interface, .. } = call.connection;
        let undone = self
            .delete_from(call, reached)
            .and_then(|()| self.cache.remove(&call.list.name, container, interface));
        match undone {
            Ok(()) => error,
            // What is remembered stays, so that it can be tried again.
            Err(failure) => {
                error.hint(format!("taking it back failed too: {}", failure.one_line()))
            }
        }
    }

    fn delete_from(&self, call: &Call<'_>, last: usize) -> Result<()> {
        let mut first_failure = Ok(());
        for plugin in list_until(call.list, last).iter().rev() {
            let done = self.call(Command::Del, call, plugin).map(drop);
            first_failure = first_failure.and(done);
        }
        first_failure
    }

    /// Disconnects a container; one that is not connected is fine. It goes on after a failure, and
    /// can be called again.
    ///
    /// The list is the one that it was connected with, even if it has been changed meanwhile; `list`
    /// is for a connection of which nothing is remembered.
    pub fn del(&self, list: &List, connection: &Connection) -> Result<()> {
        let doing = || doing(Command::Del, list, connection);
        connection.check().doing(doing)?;
        let Connection { container, interface, .. } = connection;
        let guard = self.cache.guard(connection, &list.name).doing(doing)?;
        let cached = self.cache.read(&list.name, container, interface).doing(doing)?;
        let mut now = connection.clone();
        if let Some(before) = &cached {
            // Who asks after a crash may know no more than the name.
            if now.capabilities.is_empty() {
                now.capabilities.clone_from(&before.connection.capabilities);
            }
            if now.arguments.is_empty() {
                now.arguments.clone_from(&before.connection.arguments);
            }
        }
        let list = cached.as_ref().map_or(list, |cached| &cached.list);
        let version = self.version_for(list).doing(doing)?;
        let result = cached.as_ref().and_then(|cached| cached.result.clone());
        let call = Call { list, connection: &now, version, result, guard: Some(guard) };
        self.delete_from(&call, list.plugins.len()).doing(doing)?;
        self.cache.remove(&list.name, container, interface).doing(doing)
    }

    /// Sees whether a connection is as it was made. Lists older than 0.4.0, and those whose author
    /// does not want it, are never asked.
    pub fn check(&self, list: &List, connection: &Connection) -> Result<()> {
        let doing = || doing(Command::Check, list, connection);
        connection.check().doing(doing)?;
        let Connection { container, interface, .. } = connection;
        let guard = self.cache.guard(connection, &list.name).doing(doing)?;
        let cached = self.cache.read(&list.name, container, interface).doing(doing)?;
        let Some(Cached { result: Some(result), list, .. }) = cached else {
            let text = format!("{interface} of {container} is not connected");
            return Err(Error::new(Kind::NotFound, text)).doing(doing);
        };
        let version = self.version_for(&list).doing(doing)?;
        if list.disables_check || !version.has_check() {
            return Ok(());
        }
        let call =
            Call { list: &list, connection, version, result: Some(result), guard: Some(guard) };
        for plugin in &list.plugins {
            self.call(Command::Check, &call, plugin).doing(doing)?;
        }
        Ok(())
    }

    /// Disconnects all but these (container and interface), and lets the plugins take away what
    /// belongs to none of them. It goes on after a failure.
    pub fn gc(&self, list: &List, valid: &[(String, String)]) -> Result<()> {
        let doing = || format!("collect what is left of network {:?}", list.name);
        let is_valid = |connection: &Connection| {
            let same = |(container, interface): &&(String, String)| {
                *container == connection.container && *interface == connection.interface
            };
            valid.iter().any(|one| same(&one))
        };
        let mut first_failure = Ok(());
        for cached in self.cache.all(Some(&list.name)).doing(doing)? {
            if !is_valid(&cached.connection) {
                first_failure = first_failure.and(self.del(&cached.list, &cached.connection));
            }
        }
        let version = self.version_for(list).doing(doing)?;
        if version.has_collection() && !list.disables_collection {
            let nobody = Connection::default();
            let call = Call { list, connection: &nobody, version, result: None, guard: None };
            for plugin in &list.plugins {
                let mut document = call.document(plugin);
                for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
                    document.insert(key.into(), attachments(valid));
                }
                let done = self.ask(Command::Gc, &call, plugin, &document).map(drop);
                first_failure = first_failure.and(done);
            }
        }
        first_failure.doing(doing)
    }

    /// Whether the plugins expect that ADD works. Before 1.1.0 they cannot be asked; that they are
    /// there is looked at in any case.
    pub fn status(&self, list: &List) -> Result<()> {
        let doing = || format!("ask for the status of network {:?}", list.name);
        for plugin in &list.plugins {
            self.programs.find(&plugin.program).doing(doing)?;
        }
        let version = self.version_for(list).doing(doing)?;
        if !version.has_collection() {
            return Ok(());
        }
        let nobody = Connection::default();
        let call = Call { list, connection: &nobody, version, result: None, guard: None };
        for plugin in &list.plugins {
            self.call(Command::Status, &call, plugin).doing(doing)?;
        }
        Ok(())
    }

    /// The versions that a plugin speaks, as it names them.
    pub fn versions_of(&self, program: &str) -> Result<Vec<String>> {
        let doing = || format!("ask the plugin {program:?} for its versions");
        let environment = self.environment(Command::Version, None);
        let document = json!({"cniVersion": Version::NEWEST.name()});
        let path = self.programs.find(program).doing(doing)?;
        let answer = self.programs.execute(&path, &environment, &document, None).doing(doing)?;
        let answer: Value = serde_json::from_slice(&answer)
            .map_err(|error| Error::new(Kind::Invalid, "read its answer as JSON").because(error))
            .doing(doing)?;
        let listed = answer.get("supportedVersions").and_then(Value::as_array);
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        Ok(listed.map(str::to_owned).collect())
    }

    /// What is remembered of connections: of one network, or of all.
    pub fn connections(&self, network: Option<&str>) -> Result<Vec<Cached>> {
        self.cache.all(network)
    }

    /// What is remembered of a container's device.
    pub fn connection(
        &self,
        network: &str,
        container: &str,
        interface: &str,
    ) -> Result<Option<Cached>> {
        self.cache.read(network, container, interface)
    }

    /// The version to speak: plugins are asked only where the author leaves a choice.
    fn version_for(&self, list: &List) -> Result<Version> {
        let [first, _, ..] = list.versions[..] else { return Ok(list.newest()) };
        let mut candidates = list.versions.clone();
        for plugin in &list.plugins {
            let spoken = self.versions_of(&plugin.program)?;
            candidates.retain(|version| spoken.iter().any(|text| text == version.name()));
        }
        Ok(candidates.into_iter().max().unwrap_or(first))
    }

    fn call(
        &self,
        command: Command,
        call: &Call<'_>,
        plugin: &PluginConfiguration,
    ) -> Result<Vec<u8>> {
        let mut document = call.document(plugin);
        let is_told = match command {
            Command::Add => true,
            Command::Del | Command::Check => call.version.has_check(),
            Command::Gc | Command::Status | Command::Version => false,
        };
        if let Some(result) = call.result.as_ref().filter(|_| is_told) {
            document.insert("prevResult".into(), result.clone());
        }
        self.ask(command, call, plugin, &document)
    }

    fn ask(
        &self,
        command: Command,
        call: &Call<'_>,
        plugin: &PluginConfiguration,
        document: &Map<String, Value>,
    ) -> Result<Vec<u8>> {
        let connection = Some(call.connection);
        let connection = connection.filter(|_| !matches!(command, Command::Gc | Command::Status));
        let environment = self.environment(command, connection);
        let document = Value::Object(document.clone());
        let path = self.programs.find(&plugin.program)?;
        let answered = self
            .programs
            .execute(&path, &environment, &document, call.guard.as_ref())
            .doing(|| format!("call the plugin {:?} with {}", plugin.program, command.name()));
        answered.map_err(|error| self.explained(error, plugin, call.version))
    }

    /// What can be said about a refusal that the plugin cannot know.
    fn explained(&self, error: Error, plugin: &PluginConfiguration, version: Version) -> Error {
        if refusal_of(&error).is_none_or(|found| found.code != Refusal::INCOMPATIBLE_VERSION) {
            return error;
        }
        match self.versions_of(&plugin.program) {
            Ok(spoken) if !spoken.is_empty() => error.hint(format!(
                "the network is of version {version}, the plugin speaks {}",
                spoken.join(", ")
            )),
            _ => error,
        }
    }

    fn environment(&self, command: Command, connection: Option<&Connection>) -> Vec<String> {
        let nobody = Connection::default();
        let of = connection.unwrap_or(&nobody);
        vec![
            SEARCH_PATH.to_owned(),
            format!("CNI_COMMAND={}", command.name()),
            format!("CNI_CONTAINERID={}", of.container),
            format!("CNI_NETNS={}", of.namespace),
            format!("CNI_IFNAME={}", of.interface),
            format!("CNI_ARGS={}", of.arguments_line()),
            format!("CNI_PATH={}", self.programs.path()),
        ]
    }
}

fn list_until(list: &List, last: usize) -> &[PluginConfiguration] {
    list.plugins.get(..=last).unwrap_or(&list.plugins)
}

fn attachments(valid: &[(String, String)]) -> Value {
    let one = |(container, interface): &(String, String)| json!({"containerID": container, "ifname": interface});
    valid.iter().map(one).collect()
}

fn doing(command: Command, list: &List, connection: &Connection) -> String {
    let Connection { container, .. } = connection;
    match command {
        Command::Add => format!("connect {container} to network {:?}", list.name),
        Command::Del => format!("disconnect {container} from network {:?}", list.name),
        _ => format!("check the connection of {container} to network {:?}", list.name),
    }
}

#[cfg(test)]
mod tests;
