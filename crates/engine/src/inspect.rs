//! A container as `inspect` shows it: docker's document, made of the row, what the user asked for
//! and the configuration that runs.

mod host_config;
mod network;
mod podmans;

use crate::{Engine, merge, record::Record};
use dhow_base::{Digest, Result, clock::Moment};
use dhow_spec::runtime::Spec;
use dhow_state::containers::{Container, Phase};
use serde::Serialize;
use serde_json::{Value, json};

impl Engine {
    /// As [`Engine::inspect`], with what the container takes on disk.
    pub fn inspect_with_size(&mut self, container: &str) -> Result<Value> {
        let mut document = self.inspect(container)?;
        let row = self.look_up(container)?;
        let size = self.size_of(&row.id, row.image.as_ref())?;
        document["SizeRw"] = json!(size.written);
        document["SizeRootFs"] = json!(size.written.saturating_add(size.image));
        Ok(document)
    }

    /// Where the root lies, in docker's words. It is mounted in the container alone.
    fn graph_driver(&self, row: &Container) -> Value {
        use dhow_spec::Mount;
        let name = self.images.driver().map_or("", |driver| driver.word());
        let data = match self.root_of(row) {
            Ok(Mount::Overlay { lower, upper: Some(upper), .. }) => {
                let lower: Vec<String> =
                    lower.iter().map(|layer| layer.display().to_string()).collect();
                json!({
                    "LowerDir": lower.join(":"),
                    "UpperDir": upper.upper,
                    "WorkDir": upper.work,
                })
            }
            Ok(Mount::Bind { source, .. }) => json!({ "Dir": source }),
            // A root that is damaged is the doctor's to tell of.
            Ok(Mount::Overlay { .. } | Mount::Attached { .. }) | Err(_) => json!({}),
        };
        json!({ "Name": name, "Data": data })
    }

    /// Everything that is known of a container, as docker's `inspect` has it.
    pub fn inspect(&mut self, container: &str) -> Result<Value> {
        let row = self.look_up(container)?;
        let record = Record::parse(&row.settings)?;
        let spec = self.spec_of(&row)?;
        let image = self.images.find(
            &self.state,
            row.image.as_ref().map_or(&row.image_name, |digest| digest.as_str()),
        );
        let image_id = image.ok().flatten().map(|image| image.id.to_string());
        let networks = network::document(self, &row, &record)?;
        let mut document = document(self, &row, &record, &spec, image_id.as_deref(), &networks);
        if let Some(report) = self.health_report(&row, &record)? {
            document["State"]["Health"] = serde_json::to_value(report).unwrap_or_default();
        }
        Ok(document)
    }
}

/// What docker writes where there is no time.
const NEVER: &str = "0001-01-01T00:00:00Z";

fn document(
    engine: &Engine,
    row: &Container,
    record: &Record,
    spec: &Spec,
    image_id: Option<&str>,
    networks: &Value,
) -> Value {
    let words = record.words();
    let (path, args) =
        words.split_first().map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
    json!({
        "Id": row.id.as_str(),
        "Created": row.created.rfc3339(),
        "Path": path,
        "Args": args,
        "State": state(row),
        "Image": image_id,
        "ImageDigest": row.image.as_ref().map(Digest::as_str),
        "ResolvConfPath": engine.layout.run(&row.id).join("resolv.conf"),
        "HostnamePath": engine.layout.run(&row.id).join("hostname"),
        "HostsPath": engine.layout.run(&row.id).join("hosts"),
        "LogPath": log_path(engine, row, record),
        "OCIConfigPath": engine.layout.config(&row.id),
        "Name": format!("/{}", row.name),
        "RestartCount": row.course.restarts,
        "Driver": engine.images.driver().map_or("", |driver| driver.word()),
        "Platform": "linux",
        "AppArmorProfile": spec.process.as_ref().and_then(|process| process.apparmor_profile.as_deref()).unwrap_or(""),
        "MountLabel": spec.linux.as_ref().and_then(|linux| linux.mount_label.as_deref()).unwrap_or(""),
        "ProcessLabel": spec.process.as_ref().and_then(|process| process.selinux_label.as_deref()).unwrap_or(""),
        "ExecIDs": null,
        "HostConfig": host_config::document(row, record, spec),
        "GraphDriver": engine.graph_driver(row),
        // Memory is told by `HostConfig.Tmpfs`.
        "Mounts": record.mounts.iter().filter(|mount| mount.kind != "tmpfs").map(|mount| json!({
            "Type": mount.kind,
            "Name": mount.name,
            "Source": mount.source,
            "Destination": mount.target,
            "Driver": if mount.kind == "volume" { "local" } else { "" },
            "Mode": if mount.read_only { "ro" } else { "" },
            "RW": !mount.read_only,
            "Propagation": if mount.kind == "bind" { "rprivate" } else { "" },
        })).collect::<Vec<_>>(),
        "Config": config(row, record, spec),
        "NetworkSettings": networks,
    })
}

fn state(row: &Container) -> Value {
    let time = |moment: Option<Moment>| moment.map_or_else(|| NEVER.to_owned(), Moment::rfc3339);
    let restarting = row.phase == Phase::Restarting;
    json!({
        "Status": row.status(),
        // Docker's word for it: who waits for the next life counts as running.
        "Running": restarting || row.phase == Phase::Running,
        "Paused": row.course.paused,
        "Restarting": restarting,
        "OOMKilled": row.oom_killed,
        "Dead": false,
        "Pid": row.process.map_or(0, |process| process.pid),
        "ExitCode": row.exit_code.unwrap_or(0),
        "Error": "",
        "StartedAt": time(row.started),
        "FinishedAt": time(row.finished),
    })
}

/// Docker says nothing where there is no file.
fn log_path(engine: &Engine, row: &Container, record: &Record) -> Value {
    let log = &record.life.log;
    match log.driver.keeps_files() {
        true => json!(log.path(engine.layout.log(&row.id))),
        false => json!(""),
    }
}

pub(super) fn log_config(record: &Record) -> Value {
    let log = &record.life.log;
    let mut config = serde_json::Map::new();
    let number = |number: &dyn std::fmt::Display| Value::String(number.to_string());
    config.extend(log.limit_bytes.map(|bytes| ("max-size".to_owned(), number(&bytes))));
    config.extend(log.files.map(|files| ("max-file".to_owned(), number(&files))));
    config.extend(log.tag.as_ref().map(|tag| ("tag".to_owned(), number(tag))));
    config.extend(log.path.as_ref().map(|path| ("path".to_owned(), number(&path.display()))));
    json!({ "Type": log.driver.name(), "Config": config })
}

fn nanoseconds(milliseconds: u64) -> u64 {
    milliseconds.saturating_mul(1_000_000)
}

fn healthcheck(record: &Record) -> Value {
    let nanos = nanoseconds;
    match &record.life.health {
        Some(health) => json!({
            "Test": health.test,
            "Interval": nanos(health.interval_ms),
            "Timeout": nanos(health.timeout_ms),
            "StartPeriod": nanos(health.start_period_ms),
            "StartInterval": nanos(health.start_interval_ms),
            "Retries": health.retries,
        }),
        None => Value::Null,
    }
}

/// Docker's `null` for a list that nobody has put anything into.
fn unless_empty<T: Serialize>(list: &[T]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

/// The places of volumes that nobody has named, of the image and of `-v`.
fn volumes(record: &Record) -> Value {
    let unnamed = record.mounts.iter().filter(|mount| mount.anonymous);
    let places: serde_json::Map<_, _> =
        unnamed.map(|mount| (mount.target.clone(), json!({}))).collect();
    if places.is_empty() { Value::Null } else { Value::Object(places) }
}

/// The ports that image and user name or publish.
fn exposed_ports(record: &Record) -> Value {
    let named = record.ports.expose.iter().map(|one| (one.port, one.protocol));
    let published = record.ports.publish.iter().map(|one| (one.container_port, one.protocol));
    let ports: serde_json::Map<_, _> = named
        .chain(published)
        .map(|(port, protocol)| (format!("{port}/{}", protocol.name()), json!({})))
        .collect();
    if ports.is_empty() { Value::Null } else { Value::Object(ports) }
}

fn config(row: &Container, record: &Record, spec: &Spec) -> Value {
    let process = spec.process.clone().unwrap_or_default();
    json!({
        "Hostname": record.hostname,
        "Domainname": spec.domainname.as_deref().unwrap_or(""),
        "User": record.user,
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "ExposedPorts": exposed_ports(record),
        "Tty": record.tty,
        "OpenStdin": record.interactive,
        "StdinOnce": false,
        "Env": process.env,
        "Cmd": unless_empty(&record.command),
        "Image": row.image_name,
        "Volumes": volumes(record),
        "WorkingDir": record.workdir,
        "Entrypoint": unless_empty(&record.entrypoint),
        "OnBuild": null,
        "Labels": record.labels,
        "Healthcheck": healthcheck(record),
        "CreateCommand": record.life.command_line,
        "StopSignal": merge::signal_name(record.stop_signal),
        "StopTimeout": record.stop_timeout_seconds,
    })
}
