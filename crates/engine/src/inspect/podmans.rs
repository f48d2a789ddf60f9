//! A container as podman's `inspect` shows it: made of docker's document, of which it has most fields
//! under the same names, and of what podman tells besides.

use crate::{Engine, health::HealthRecord, options::DEFAULT_NETWORK, record::Record};
use dhow_base::{Result, size};
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
        "ImageName": if record.directory.is_some() { String::new() } else { with_tag(&row.image_name) },
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
    let host_config = &mut fields["HostConfig"];
    host_config["LogConfig"] = log_config(docker, record);
    host_config["Ulimits"] = ulimits(spec);
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

/// A name of an image as podman writes it, which never leaves the tag out.
fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or_default();
    let is_whole = name.is_empty() || last.contains([':', '@']);
    if is_whole { name.to_owned() } else { format!("{name}:latest") }
}

/// Where the log is and how large it may become, with units as `--log-opt max-size` has them.
fn log_config(docker: &Value, record: &Record) -> Value {
    let log = &record.life.log;
    json!({
        "Type": log.driver.name(),
        "Config": null,
        "Path": docker["LogPath"],
        "Tag": log.tag.clone().unwrap_or_default(),
        "Size": log.limit_bytes.map_or_else(|| "0B".to_owned(), size::binary),
    })
}

/// By the kernel's names; what has no limit is -1.
fn ulimits(spec: &Spec) -> Value {
    let limits = spec.process.iter().flat_map(|process| &process.rlimits);
    let number = |number: u64| match number {
        u64::MAX => json!(-1),
        number => json!(number),
    };
    let limit = limits.map(|limit| {
        json!({ "Name": limit.kind, "Soft": number(limit.soft), "Hard": number(limit.hard) })
    });
    limit.collect()
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

/// What podman has of a health check that docker has not.
fn health_of(config: &mut Value, health: &HealthRecord) {
    config["HealthLogDestination"] = json!(health.log_directory.as_deref().unwrap_or("local"));
    config["HealthMaxLogCount"] = json!(health.log_count);
    config["HealthMaxLogSize"] = json!(health.log_bytes);
    if let Some(startup) = &health.startup {
        config["StartupHealthCheck"] = json!({
            "Test": startup.test,
            "Interval": super::nanoseconds(startup.interval_ms),
            "Timeout": super::nanoseconds(startup.timeout_ms),
            "Retries": startup.retries,
            "Successes": startup.successes,
        });
    }
}

fn config(docker: &Value, record: &Record, spec: &Spec) -> Value {
    let mut config = docker["Config"].clone();
    let action = record.life.health.as_ref().map(|health| health.on_failure).unwrap_or_default();
    config["HealthcheckOnFailureAction"] = json!(action);
    if let Some(health) = &record.life.health {
        health_of(&mut config, health);
    }
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
