//! What a plugin is asked to do: variables of the environment, and a document.

use crate::{
    Mac,
    cni::{
        Command, Outcome, Refusal, Version,
        connection::{is_device_name, is_name},
        program::Programs,
    },
};
use dhow_base::Doing;
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, os::fd::OwnedFd};

/// A call that makes sense.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) container: String,
    /// The path of the namespace; empty where there is none any more.
    pub(super) namespace: String,
    pub(super) interface: String,
    /// `CNI_ARGS`, by their names.
    pub(super) arguments: BTreeMap<String, String>,
    /// Where other plugins are.
    pub(super) programs: Programs,
    /// The name of the network.
    pub(super) name: String,
    /// The whole document.
    pub(super) document: Value,
    version: Version,
}

/// The refusal, and in which version it is to be said.
type Refused = (Refusal, Version);

impl Asked {
    /// Reads both; only what concerns all plugins alike.
    pub(super) fn parse(
        environment: &[(String, String)],
        document: &[u8],
    ) -> Result<Self, Refused> {
        let refused = |code, text: String| (Refusal::new(code, text), Version::V1_0_0);
        let of = |name: &str| {
            let found = environment.iter().rev().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let command = command(&of("CNI_COMMAND")).map_err(|refusal| (refusal, Version::V1_0_0))?;
        let missing: Vec<&str> =
            needed(command).iter().copied().filter(|name| of(name).is_empty()).collect();
        if !missing.is_empty() {
            let text = format!("required env variables [{}] missing", missing.join(","));
            return Err(refused(Refusal::BAD_ENVIRONMENT, text));
        }
        let document: Value = serde_json::from_slice(document).map_err(|error| {
            refused(Refusal::BAD_SHAPE, format!("read the network configuration: {error}"))
        })?;
        let version = Version::named_in(&document, Version::UNNAMED).map_err(|text| {
            let mut refusal =
                Refusal::new(Refusal::INCOMPATIBLE_VERSION, "incompatible CNI versions");
            let spoken = Version::ALL.map(Version::name).join(" ");
            refusal.details = format!("config is {text:?}, plugin supports [{spoken}]");
            (refusal, Version::V1_0_0)
        })?;
        let asked = Self {
            command,
            container: of("CNI_CONTAINERID"),
            namespace: of("CNI_NETNS"),
            interface: of("CNI_IFNAME"),
            arguments: pairs(&of("CNI_ARGS")).map_err(|refusal| (refusal, version))?,
            programs: Programs::of_path(&of("CNI_PATH")),
            name: document.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            document,
            version,
        };
        asked.check().map_err(|refusal| (refusal, version))?;
        Ok(asked)
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.command == Command::Version {
            return Ok(());
        }
        let environment = |text: String| Err(Refusal::new(Refusal::BAD_ENVIRONMENT, text));
        if !self.container.is_empty() && !is_name(&self.container) {
            return environment(format!("invalid characters in containerID {:?}", self.container));
        }
        if !self.interface.is_empty() && !is_device_name(&self.interface) {
            return environment(format!("{:?} is no name of an interface", self.interface));
        }
        if self.name.is_empty() {
            return Err(Refusal::new(Refusal::BAD_CONFIGURATION, "missing network name"));
        }
        if !is_name(&self.name) {
            let text = format!("invalid characters found in network name {:?}", self.name);
            return Err(Refusal::new(Refusal::BAD_CONFIGURATION, text));
        }
        Ok(())
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// The document as a plugin's own type.
    pub(super) fn configuration<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_value(self.document.clone()).map_err(|error| {
            Refusal::new(Refusal::BAD_SHAPE, format!("read the network configuration: {error}"))
        })
    }

    /// The result of the plugins before this one, where there is one.
    pub(super) fn before(&self) -> Result<Option<Outcome>, Refusal> {
        match self.document.get("prevResult") {
            None | Some(Value::Null) => Ok(None),
            Some(result) => Ok(Some(Outcome::parse(result, self.version)?)),
        }
    }

    /// The same, for plugins that cannot be the first of a list.
    pub(super) fn needed_before(&self) -> Result<Outcome, Refusal> {
        self.before()?.ok_or_else(|| {
            let text = "must be called as chained plugin: prevResult is missing";
            Refusal::new(Refusal::BAD_CONFIGURATION, text)
        })
    }

    /// What the engine asks of a capability.
    pub(super) fn runtime<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Refusal> {
        match self.document.get("runtimeConfig").and_then(|all| all.get(key)) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|error| {
                let text = format!("read runtimeConfig.{key}: {error}");
                Refusal::new(Refusal::BAD_SHAPE, text)
            }),
        }
    }

    /// The hardware address that is asked for: by the engine, by an argument, by the author.
    pub(super) fn mac(&self) -> Result<Option<Mac>, Refusal> {
        let written = self.document.get("mac").and_then(Value::as_str).map(str::to_owned);
        let of_arguments = || {
            let inner = self.document.get("args").and_then(|all| all.get("cni"));
            let inner = inner.and_then(|all| all.get("mac")).and_then(Value::as_str);
            inner.map(str::to_owned)
        };
        let asked: Option<String> = self
            .runtime("mac")?
            .or_else(of_arguments)
            .or_else(|| self.arguments.get("MAC").cloned())
            .or(written);
        match asked.filter(|text| !text.is_empty()) {
            Some(text) => Ok(Some(text.parse()?)),
            None => Ok(None),
        }
    }

    /// The addresses that are asked for: by the engine, and by arguments of either form. Each may
    /// have a length.
    pub(super) fn addresses(&self) -> Result<Vec<(IpAddr, Option<u8>)>, Refusal> {
        let mut texts: Vec<String> = self.runtime("ips")?.unwrap_or_default();
        let inner = self.document.get("args").and_then(|all| all.get("cni"));
        let inner = inner.and_then(|all| all.get("ips")).and_then(Value::as_array);
        texts.extend(inner.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        if let Some(line) = self.arguments.get("IP").filter(|line| !line.is_empty()) {
            texts.extend(line.split(',').map(|text| text.trim().to_owned()));
        }
        let address = |text: &String| {
            let (address, length) = match text.split_once('/') {
                Some((address, length)) => (address, Some(length.parse().ok()?)),
                None => (text.as_str(), None),
            };
            Some((address.parse().ok()?, length))
        };
        let parsed: Option<Vec<_>> = texts.iter().map(address).collect();
        parsed.ok_or_else(|| {
            let text = format!("{texts:?} are no addresses");
            Refusal::new(Refusal::BAD_CONFIGURATION, text)
        })
    }

    /// The container's namespace.
    pub(super) fn namespace(&self) -> Result<OwnedFd, Refusal> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&self.namespace, flags, Mode::empty())
            .doing(|| format!("open netns {:?}", self.namespace))?;
        let kind = dhow_sys::namespace::kind_of(rustix::fd::AsFd::as_fd(&opened));
        if kind.ok() != Some(rustix::thread::ThreadNameSpaceType::NETWORK) {
            let text = format!("{:?} is no network namespace", self.namespace);
            return Err(Refusal::new(Refusal::BAD_ENVIRONMENT, text));
        }
        Ok(opened)
    }

    /// The same, or nothing where it is gone.
    pub(super) fn namespace_if_there(&self) -> Option<OwnedFd> {
        (!self.namespace.is_empty()).then(|| self.namespace().ok()).flatten()
    }

    /// Containers and their devices that are still valid (GC).
    pub(super) fn valid(&self) -> Vec<(String, String)> {
        let listed = self.document.get("cni.dev/valid-attachments").and_then(Value::as_array);
        let one = |one: &Value| {
            let text = |key: &str| one.get(key).and_then(Value::as_str).map(str::to_owned);
            Some((text("containerID")?, text("ifname")?))
        };
        listed.into_iter().flatten().filter_map(one).collect()
    }
}

fn command(name: &str) -> Result<Command, Refusal> {
    use Command::{Add, Check, Del, Gc, Status, Version};
    let all = [Add, Del, Check, Gc, Status, Version];
    all.into_iter().find(|command| command.name() == name).ok_or_else(|| {
        Refusal::new(Refusal::BAD_ENVIRONMENT, format!("unknown CNI_COMMAND: {name}"))
    })
}

fn needed(command: Command) -> &'static [&'static str] {
    match command {
        Command::Add | Command::Check => {
            &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]
        }
        Command::Del => &["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
        Command::Gc | Command::Status => &["CNI_PATH"],
        Command::Version => &[],
    }
}

fn pairs(line: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let pair = |text: &str| {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            let text = format!("invalid CNI_ARGS pair {text:?}");
            Refusal::new(Refusal::BAD_ENVIRONMENT, text)
        })?;
        Ok((key.to_owned(), value.to_owned()))
    };
    line.split(';').filter(|text| !text.is_empty()).map(pair).collect()
}
