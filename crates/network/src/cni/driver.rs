//! Calls the plugins of a list, one after the other.
//!
//! ```text
//!  ADD    first ─▶ last, each with the result of the one before; one fails: DEL from it back to the first
//!  CHECK  first ─▶ last, each with the result of ADD
//!  DEL    last ─▶ first, each with the result of ADD; goes on after a failure
//!  GC     DEL for whoever is not valid any more, then each plugin is told who is
//! ```

use super::{
    Cached, Connection, List, Outcome, PluginConfiguration, Refusal, Version,
    cache::Cache,
    program::SEARCH_PATH,
    program::{Programs, excerpt, refusal_of},
};
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
        // Another's connection must not be taken for ours, nor overwritten.
        let Connection { container, interface, .. } = connection;
        if self.cache.read(&list.name, container, interface).doing(doing)?.is_some() {
            let text = format!("{interface} of {container} is connected already");
            return Err(Error::new(Kind::AlreadyExists, text)).doing(doing);
        }
        let mut cached =
            Cached { list: list.clone(), connection: connection.clone(), result: None };
        self.cache.write(&cached).doing(doing)?;
        let mut call = Call { list, connection, version, result: None };
        let mut reached = 0;
        let made = self.add_each(&mut call, &mut reached).and_then(|outcome| {
            cached.result.clone_from(&call.result);
            self.cache.write(&cached)?;
            Ok(outcome)
        });
        made.doing(doing).map_err(|error| self.undo(&call, reached, error))
    }

    /// Calls the plugins in their order; `reached` is the last one that was called.
    fn add_each(&self, call: &mut Call<'_>, reached: &mut usize) -> Result<Outcome> {
        for (place, plugin) in call.list.plugins.iter().enumerate() {
            *reached = place;
            call.result = Some(self.add_one(call, plugin)?);
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
        let call = Call { list, connection: &now, version, result };
        self.delete_from(&call, list.plugins.len()).doing(doing)?;
        self.cache.remove(&list.name, container, interface).doing(doing)
    }

    /// Sees whether a connection is as it was made. Lists older than 0.4.0, and those whose author
    /// does not want it, are never asked.
    pub fn check(&self, list: &List, connection: &Connection) -> Result<()> {
        let doing = || doing(Command::Check, list, connection);
        connection.check().doing(doing)?;
        let Connection { container, interface, .. } = connection;
        let cached = self.cache.read(&list.name, container, interface).doing(doing)?;
        let Some(Cached { result: Some(result), list, .. }) = cached else {
            let text = format!("{interface} of {container} is not connected");
            return Err(Error::new(Kind::NotFound, text)).doing(doing);
        };
        let version = self.version_for(&list).doing(doing)?;
        if list.disables_check || !version.has_check() {
            return Ok(());
        }
        let call = Call { list: &list, connection, version, result: Some(result) };
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
            let call = Call { list, connection: &nobody, version, result: None };
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
        let call = Call { list, connection: &nobody, version, result: None };
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
        let answer = self.programs.execute(&path, &environment, &document).doing(doing)?;
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
            .execute(&path, &environment, &document)
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

/// What is the same for all plugins of a list.
struct Call<'a> {
    list: &'a List,
    connection: &'a Connection,
    version: Version,
    result: Option<Value>,
}

impl Call<'_> {
    /// What a plugin is given: what its author wrote, with what only we know.
    fn document(&self, plugin: &PluginConfiguration) -> Map<String, Value> {
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
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, time::Instant};

    /// A directory of plugins that are shell scripts, a cache, and a log of their calls.
    struct Scene {
        directory: tempfile::TempDir,
        driver: Driver,
    }

    /// Notes each call; `$document` is what it was given.
    const HEAD: &str = "#!/bin/sh\nexec 3>>LOG\ndocument=$(cat)\n\
        echo \"${0##*/} $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS\" >&3\n";

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let driver = Driver::new(
                vec![directory.path().join("none"), directory.path().to_owned()],
                &directory.path().join("cache"),
            );
            Self { directory, driver }
        }

        fn plugin(&self, name: &str, body: &str) {
            let path = self.directory.path().join(name);
            let log = self.directory.path().join("log");
            let text = format!("{HEAD}{body}\n").replace("LOG", &log.to_string_lossy());
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        /// What the plugins were called with since the last time.
        fn calls(&self) -> Vec<String> {
            let log = self.directory.path().join("log");
            let text = fs::read_to_string(&log).unwrap_or_default();
            let _none = fs::remove_file(&log);
            text.lines().map(|line| line.trim_end().to_owned()).collect()
        }

        fn remembered(&self) -> usize {
            self.driver.connections(None).unwrap().len()
        }
    }

    fn list(version: &str, programs: &[&str]) -> List {
        let plugins: Vec<Value> = programs
            .iter()
            .map(|program| json!({"type": program, "capabilities": {"mac": true, "ips": false}}))
            .collect();
        let document = json!({"cniVersion": version, "name": "net", "plugins": plugins});
        List::parse(document.to_string().as_bytes()).unwrap().0
    }

    fn connection() -> Connection {
        Connection {
            container: "c1".into(),
            namespace: "/run/netns/x".into(),
            interface: "eth0".into(),
            arguments: vec![("A".into(), "b".into())],
            capabilities: json!({"mac": "02:00:00:00:00:01", "ips": ["10.0.0.9/8"]})
                .as_object()
                .unwrap()
                .clone(),
        }
    }

    /// Gives back the result that it was given, with an address more.
    const ADDS: &str = r#"
[ "$CNI_COMMAND" = ADD ] || exit 0
case $document in *prevResult*) n=2;; *) n=1;; esac
echo "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.$n/8\"}],\"own\":1}""#;

    /// Keeps what it was given in a file beside the log.
    const KEEPS: &str = r#"printf %s "$document" > LOG.$CNI_COMMAND
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.0.0"}'; exit 0"#;

    #[test]
    fn plugins_are_called_in_order_and_taken_back_in_reverse() {
        let scene = Scene::new();
        scene.plugin("one", ADDS);
        scene.plugin("two", ADDS);
        let list = list("1.0.0", &["one", "two"]);

        let outcome = scene.driver.add(&list, &connection()).unwrap();
        let taken = scene.driver.add(&list, &connection()).unwrap_err();
        scene.driver.check(&list, &connection()).unwrap();
        scene.driver.del(&list, &connection()).unwrap();

        assert_eq!(outcome.ips[0].address.to_string(), "10.0.0.2/8");
        assert_eq!(taken.kind(), Kind::AlreadyExists);
        let end = "c1 eth0 /run/netns/x A=b";
        let expected = ["one ADD", "two ADD", "one CHECK", "two CHECK", "two DEL", "one DEL"];
        assert_eq!(scene.calls(), expected.map(|call| format!("{call} {end}")));
        assert_eq!(scene.remembered(), 0);
        let gone = scene.driver.check(&list, &connection()).unwrap_err();
        assert_eq!(gone.kind(), Kind::NotFound);
    }

    #[test]
    fn a_plugin_is_told_what_its_author_wrote_and_what_was_asked_of_it() {
        let scene = Scene::new();
        scene.plugin("one", ADDS);
        scene.plugin("keeps", KEEPS);
        let list = list("1.0.0", &["one", "keeps"]);
        let told = |command: &str| -> Value {
            let path = scene.directory.path().join(format!("log.{command}"));
            serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
        };

        scene.driver.add(&list, &connection()).unwrap();
        scene.driver.del(&list, &connection()).unwrap();

        let added = told("ADD");
        assert_eq!(added["cniVersion"], "1.0.0");
        assert_eq!(added["name"], "net");
        assert_eq!(added["runtimeConfig"], json!({"mac": "02:00:00:00:00:01"}));
        assert_eq!(added["prevResult"]["own"], 1, "fields that we do not know go through");
        assert_eq!(told("DEL")["prevResult"], json!({"cniVersion": "1.0.0"}));
    }

    #[test]
    fn what_was_begun_is_taken_back_where_a_plugin_refuses() {
        let scene = Scene::new();
        scene.plugin("one", ADDS);
        scene.plugin(
            "two",
            r#"[ "$CNI_COMMAND" = ADD ] || exit 0
            echo '{"cniVersion":"1.0.0","code":7,"msg":"no such mode","details":"mode x"}'; exit 1"#,
        );
        scene.plugin("three", ADDS);

        let error =
            scene.driver.add(&list("1.0.0", &["one", "two", "three"]), &connection()).unwrap_err();

        assert_eq!(
            error.one_line(),
            "connect c1 to network \"net\": call the plugin \"two\" with ADD: it refuses: \
             no such mode; mode x (code 7)"
        );
        assert_eq!(error.kind(), Kind::Invalid);
        let calls: Vec<String> =
            scene.calls().iter().map(|call| call[..7].trim().to_owned()).collect();
        assert_eq!(calls, ["one ADD", "two ADD", "two DEL", "one DEL"]);
        assert_eq!(scene.remembered(), 0);
    }

    #[test]
    fn what_cannot_be_taken_back_is_remembered_and_tried_again() {
        let scene = Scene::new();
        scene.plugin("one", ADDS);
        scene.plugin("two", "echo so what >&2; exit 3");
        let list = list("1.0.0", &["one", "two"]);

        let error = scene.driver.add(&list, &connection()).unwrap_err();
        assert!(error.one_line().ends_with("it ended with exit code 3: it said \"so what\""));
        assert!(error.innermost_hint().unwrap().starts_with("taking it back failed too"));
        assert_eq!(scene.remembered(), 1);
        scene.driver.del(&list, &connection()).unwrap_err();
        assert_eq!(scene.remembered(), 1);
        scene.plugin("two", "");
        scene.driver.gc(&list, &[]).unwrap();

        assert_eq!(scene.remembered(), 0);
    }

    #[test]
    fn plugins_that_misbehave_are_named() {
        let scene = Scene::new();
        for (name, body, expected) in [
            ("garbage", "echo hello", "read its result as JSON"),
            ("silent", "true", "read its result as JSON"),
            ("array", "echo '[]'", "it is not an object of JSON"),
            ("future", r#"echo '{"cniVersion":"3.0.0"}'"#, "version \"3.0.0\""),
            ("odd", r#"echo '{"cniVersion":"1.0.0","ips":[{"address":"x"}]}'"#, "\"x\""),
            ("killed", "kill -9 $$", "signal 9"),
            (
                "endless",
                "while :; do echo 0123456789012345678901234567890123456789; done",
                "more than",
            ),
        ] {
            let body = format!("[ \"$CNI_COMMAND\" = ADD ] || exit 0\n{body}");
            scene.plugin(name, &body);
            let error = scene.driver.add(&list("1.0.0", &[name]), &connection()).unwrap_err();
            let text = error.one_line();
            assert!(text.contains(expected) && text.contains(name), "{name}: {text}");
            assert_eq!(scene.remembered(), 0, "{name}");
        }
        let error = scene.driver.add(&list("1.0.0", &["missing"]), &connection()).unwrap_err();
        assert!(error.one_line().contains("find the plugin \"missing\" in "), "{error:?}");
    }

    #[test]
    fn a_plugin_that_hangs_is_killed_with_its_children() {
        let scene = Scene::new();
        let script = "trap '' TERM INT HUP\n\
            setsid sh -c 'trap \"\" TERM; echo $$ >> LOG.pids; while :; do sleep 1; done' &\n\
            while ! [ -s LOG.pids ]; do sleep 0.01; done\n\
            echo $$ >> LOG.pids\nwhile :; do sleep 1; done";
        scene.plugin("hangs", &format!("[ \"$CNI_COMMAND\" = ADD ] || exit 0\n{script}"));
        let driver = scene.driver.clone().time_limit(Duration::from_secs(2));
        let begin = Instant::now();

        let error = driver.add(&list("1.0.0", &["hangs"]), &connection()).unwrap_err();

        assert_eq!(error.kind(), Kind::TimedOut);
        assert!(error.one_line().contains("\"hangs\""), "{error:?}");
        assert!(begin.elapsed() < Duration::from_secs(30));
        let pids = fs::read_to_string(scene.directory.path().join("log.pids")).unwrap();
        assert_eq!(pids.lines().count(), 2, "{pids}");
        for pid in pids.lines() {
            // The child is init's to reap now.
            let ended = dhow_testkit::need::eventually(Duration::from_secs(10), || {
                let status = dhow_sys::process::status(pid.parse().unwrap());
                status.map_or(true, |status| status.has_ended()).then_some(())
            });
            assert!(ended.is_some(), "{pid} lives");
        }
    }

    #[test]
    fn a_child_that_is_left_behind_does_not_hold_us_up() {
        let scene = Scene::new();
        scene.plugin("leaves", &format!("sleep 8 & {ADDS}"));
        let begin = Instant::now();

        scene.driver.add(&list("1.0.0", &["leaves"]), &connection()).unwrap();

        assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    }

    #[test]
    fn plugins_of_older_versions_are_understood_and_handed_on_in_the_lists() {
        let scene = Scene::new();
        let old = r#"{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.7/8","gateway":"10.0.0.1"}}"#;
        scene.plugin("old", &format!("[ \"$CNI_COMMAND\" = ADD ] && echo '{old}'; exit 0"));
        scene.plugin("keeps", KEEPS);

        scene.driver.add(&list("1.0.0", &["old", "keeps"]), &connection()).unwrap();

        let told = fs::read(scene.directory.path().join("log.ADD")).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(
            told["prevResult"]["ips"],
            json!([{"address": "10.0.0.7/8", "gateway": "10.0.0.1"}])
        );
        assert_eq!(told["prevResult"]["cniVersion"], "1.0.0");
    }

    #[test]
    fn the_newest_version_of_all_plugins_is_spoken_where_there_is_a_choice() {
        let scene = Scene::new();
        let speaks = |versions: &str| {
            format!(
                "[ \"$CNI_COMMAND\" = VERSION ] && echo '{{\"supportedVersions\":[{versions}]}}' && exit\n{KEEPS}"
            )
        };
        scene.plugin("new", &speaks(r#""0.4.0","1.0.0","1.1.0""#));
        scene.plugin("old", &speaks(r#""0.4.0","1.0.0""#));
        let document = json!({"cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": "net",
            "plugins": [{"type": "new"}, {"type": "old"}]});
        let list = List::parse(document.to_string().as_bytes()).unwrap().0;

        scene.driver.add(&list, &connection()).unwrap();

        let told = fs::read(scene.directory.path().join("log.ADD")).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["cniVersion"], "1.0.0");
    }

    #[test]
    fn a_plugin_of_another_version_is_asked_which_it_speaks() {
        let scene = Scene::new();
        scene.plugin(
            "old",
            r#"[ "$CNI_COMMAND" = VERSION ] && echo '{"supportedVersions":["0.3.1"]}' && exit
            [ "$CNI_COMMAND" = ADD ] || exit 0
            echo '{"code":1,"msg":"incompatible CNI versions"}'; exit 1"#,
        );

        let error = scene.driver.add(&list("1.1.0", &["old"]), &connection()).unwrap_err();

        assert_eq!(error.kind(), Kind::Unsupported);
        let hint = error.innermost_hint().unwrap();
        assert_eq!(hint, "the network is of version 1.1.0, the plugin speaks 0.3.1");
    }

    #[test]
    fn collecting_leaves_those_that_are_valid() {
        let scene = Scene::new();
        scene.plugin("keeps", KEEPS);
        let list = list("1.1.0", &["keeps"]);
        for container in ["c1", "c2", "c3"] {
            let one = Connection { container: container.into(), ..connection() };
            scene.driver.add(&list, &one).unwrap();
        }
        scene.calls();

        scene.driver.gc(&list, &[("c2".into(), "eth0".into())]).unwrap();
        scene.driver.status(&list).unwrap();

        let mut calls = scene.calls();
        calls[..2].sort();
        let end = "eth0 /run/netns/x A=b";
        assert_eq!(
            calls,
            [
                format!("keeps DEL c1 {end}"),
                format!("keeps DEL c3 {end}"),
                "keeps GC".to_owned(),
                "keeps STATUS".to_owned(),
            ]
        );
        let told = fs::read(scene.directory.path().join("log.GC")).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        let valid = json!([{"containerID": "c2", "ifname": "eth0"}]);
        assert_eq!(told["cni.dev/valid-attachments"], valid);
        assert_eq!(scene.remembered(), 1);
    }

    #[test]
    fn a_plugin_gets_no_other_fds_and_a_plain_environment() {
        let scene = Scene::new();
        let secret = scene.directory.path().join("secret");
        fs::write(&secret, "x").unwrap();
        let open = fs::File::open(&secret).unwrap();
        rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
        scene.plugin("looks", &format!("ls -l /proc/$$/fd > LOG.fds; env > LOG.env; {ADDS}"));

        scene.driver.add(&list("1.0.0", &["looks"]), &connection()).unwrap();

        let fds = fs::read_to_string(scene.directory.path().join("log.fds")).unwrap();
        assert!(fds.contains("pipe:") && !fds.contains("secret"), "{fds}");
        let environment = fs::read_to_string(scene.directory.path().join("log.env")).unwrap();
        let names: Vec<&str> =
            environment.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(!names.contains(&"HOME") && names.contains(&"CNI_PATH"), "{environment}");
    }
}
