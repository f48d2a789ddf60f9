//! A container as podman's `inspect` shows it: made of docker's document, of which it has most fields
//! under the same names, and of what podman tells besides.

use crate::{Engine, options::DEFAULT_NETWORK, record::Record};
use dhow_base::Result;
use dhow_spec::runtime::{OCI_VERSION, Spec};
use dhow_state::containers::{Container, Phase};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Fields of docker's that podman has as well, and means the same by.
const SHARED: [&str; 17] = [
    "Id",
    "Created",
    "Path",
    "Args",
    "ImageDigest",
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "OCIConfigPath",
    "RestartCount",
    "Driver",
    "MountLabel",
    "ProcessLabel",
    "AppArmorProfile",
    "GraphDriver",
    "NetworkSettings",
    "HostConfig",
];

/// Those that there are where the size was asked for.
const SIZES: [&str; 2] = ["SizeRw", "SizeRootFs"];

impl Engine {
    /// What docker's document of a container says, and more, in podman's form.
    pub fn inspect_as_podman(&mut self, container: &str, with_size: bool) -> Result<Value> {
        let docker = match with_size {
            true => self.inspect_with_size(container)?,
            false => self.inspect(container)?,
        };
        let row = self.look_up(container)?;
        let record = Record::parse(&row.settings)?;
        let spec = self.spec_of(&row)?;
        Ok(document(self, &docker, &row, &record, &spec))
    }
}

fn document(
    engine: &Engine,
    docker: &Value,
    row: &Container,
    record: &Record,
    spec: &Spec,
) -> Value {
    let mut fields: Map<String, Value> = SHARED
        .iter()
        .chain(SIZES.iter().filter(|name| docker.get(**name).is_some()))
        .map(|name| ((*name).to_owned(), docker[*name].clone()))
        .collect();
    let image = docker["Image"].as_str().unwrap_or_default();
    let capabilities = spec.process.clone().unwrap_or_default().capabilities.unwrap_or_default();
    let none = PathBuf::new();
    let own = json!({
        "State": state(docker, row, spec),
        "Image": image.strip_prefix("sha256:").unwrap_or(image),
        "ImageName": if record.directory.is_some() { "" } else { &row.image_name },
        "Rootfs": record.directory.as_ref().map(|directory| &directory.path).unwrap_or(&none),
        "Pod": record.pod.clone().unwrap_or_default(),
        "StaticDir": engine.layout.config(&row.id).parent(),
        "OCIRuntime": docker["HostConfig"]["Runtime"],
        "Name": row.name,
        "EffectiveCaps": capabilities.effective,
        "BoundingCaps": capabilities.bounding,
        "PidFile": record.life.pid_file.clone().unwrap_or_default(),
        "ExecIDs": [],
        "Mounts": mounts(docker, record),
        "Dependencies": [],
        "Namespace": "",
        "Config": config(docker, record, spec),
    });
    // Podman's own network has podman's name.
    if let Some(Value::Object(networks)) = fields["NetworkSettings"].get_mut("Networks")
        && let Some(usual) = networks.remove(DEFAULT_NETWORK)
    {
        networks.insert("podman".to_owned(), usual);
    }
    if let Value::Object(own) = own {
        fields.extend(own);
    }
    Value::Object(fields)
}

fn state(docker: &Value, row: &Container, spec: &Spec) -> Value {
    let mut state = docker["State"].clone();
    // For podman a container that waits for its next life does not run.
    state["Running"] = json!(row.phase == Phase::Running);
    state["OciVersion"] = json!(OCI_VERSION);
    state["ConmonPid"] = json!(row.monitor.map_or(0, |monitor| monitor.pid));
    let linux = spec.linux.clone().unwrap_or_default();
    state["CgroupPath"] = json!(linux.cgroups_path.unwrap_or_default());
    state["CheckpointedAt"] = json!(super::NEVER);
    state["RestoredAt"] = json!(super::NEVER);
    if state.get("Health").is_none() {
        state["Health"] = json!({ "Status": "", "FailingStreak": 0, "Log": null });
    }
    state
}

fn mounts(docker: &Value, record: &Record) -> Value {
    let mut mounts = docker["Mounts"].clone();
    if let Value::Array(mounts) = &mut mounts {
        for (mount, asked) in mounts.iter_mut().zip(&record.mounts) {
            mount["Options"] = json!(asked.options);
            // A tmpfs is told of in `HostConfig.Tmpfs` alone.
            mount["Mode"] = json!("");
        }
    }
    mounts
}

fn config(docker: &Value, record: &Record, spec: &Spec) -> Value {
    let mut config = docker["Config"].clone();
    let action = record.life.health.as_ref().map(|health| health.on_failure).unwrap_or_default();
    config["HealthcheckOnFailureAction"] = json!(action);
    if let Value::Object(fields) = &mut config {
        fields.retain(|name, value| name != "Healthcheck" || !value.is_null());
    }
    let umask = spec.process.as_ref().and_then(|process| process.user.umask).unwrap_or(0o022);
    config["Umask"] = json!(format!("{umask:04o}"));
    config["Timeout"] = json!(record.life.timeout_seconds.unwrap_or(0));
    config["Annotations"] = json!(spec.annotations);
    config["Secrets"] = json!(record.secrets);
    config["SystemdMode"] = json!(record.systemd);
    config
}
