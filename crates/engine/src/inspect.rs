//! A container as `inspect` shows it: docker's document, made of the row, what the user asked for
//! and the configuration that runs.

use crate::{Engine, record::Record};
use dhow_base::{Digest, Result, clock::Moment, file};
use dhow_spec::runtime::Spec;
use dhow_state::containers::{Container, Phase};
use serde_json::{Value, json};

impl Engine {
    /// Everything that is known of a container, as docker's `inspect` has it.
    pub fn inspect(&mut self, container: &str) -> Result<Value> {
        let row = self.look_up(container)?;
        let record = Record::parse(&row.settings)?;
        let bytes = file::read_limited(&self.layout.config(&row.id), 16 << 20)?;
        let spec = Spec::parse(&bytes)?;
        let image = self.images.find(
            &self.state,
            row.image.as_ref().map_or(&row.image_name, |digest| digest.as_str()),
        );
        let image_id = image.ok().flatten().map(|image| image.id.to_string());
        Ok(document(self, &row, &record, &spec, image_id.as_deref()))
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
        "LogPath": engine.layout.log(&row.id),
        "OCIConfigPath": engine.layout.config(&row.id),
        "Name": format!("/{}", row.name),
        "RestartCount": 0,
        "Driver": "overlay2",
        "Platform": "linux",
        "AppArmorProfile": spec.process.as_ref().and_then(|process| process.apparmor_profile.as_deref()).unwrap_or(""),
        "HostConfig": host_config(row, record, spec),
        "Mounts": record.mounts.iter().map(|mount| json!({
            "Type": mount.kind,
            "Name": mount.name,
            "Source": mount.source,
            "Destination": mount.target,
            "RW": !mount.read_only,
        })).collect::<Vec<_>>(),
        "Config": config(row, record, spec),
        "NetworkSettings": { "Networks": { record.network.clone(): {} }, "Ports": {} },
    })
}

fn state(row: &Container) -> Value {
    let time = |moment: Option<Moment>| moment.map_or_else(|| NEVER.to_owned(), Moment::rfc3339);
    let running = row.phase == Phase::Running;
    json!({
        "Status": row.phase.word(),
        "Running": running,
        "Paused": false,
        "Restarting": false,
        "OOMKilled": row.oom_killed,
        "Dead": false,
        "Pid": row.process.map_or(0, |process| process.pid),
        "ExitCode": row.exit_code.unwrap_or(0),
        "Error": "",
        "StartedAt": time(row.started),
        "FinishedAt": time(row.finished),
    })
}

fn host_config(row: &Container, record: &Record, spec: &Spec) -> Value {
    let linux = spec.linux.clone().unwrap_or_default();
    let binds = record.mounts.iter().filter(|mount| mount.kind != "tmpfs").map(|mount| {
        let source = if mount.name.is_empty() { &mount.source } else { &mount.name };
        let mode = if mount.read_only { "ro" } else { "rw" };
        format!("{source}:{}:{mode}", mount.target)
    });
    json!({
        "Binds": binds.collect::<Vec<_>>(),
        "NetworkMode": record.network,
        "AutoRemove": row.auto_remove,
        "CapAdd": record.cap_add,
        "CapDrop": record.cap_drop,
        "Privileged": record.privileged,
        "ReadonlyRootfs": record.read_only,
        "Memory": record.memory_bytes,
        "NanoCpus": record.nano_cpus,
        "PidsLimit": record.pids,
        "CgroupParent": "/dhow",
        "MaskedPaths": linux.masked_paths,
        "ReadonlyPaths": linux.readonly_paths,
        "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 },
        "LogConfig": { "Type": "k8s-file", "Config": {} },
    })
}

fn config(row: &Container, record: &Record, spec: &Spec) -> Value {
    let process = spec.process.clone().unwrap_or_default();
    json!({
        "Hostname": record.hostname,
        "User": record.user,
        "Tty": record.tty,
        "OpenStdin": record.interactive,
        "Env": process.env,
        "Cmd": record.command,
        "Entrypoint": record.entrypoint,
        "Image": row.image_name,
        "WorkingDir": record.workdir,
        "Labels": record.labels,
        "StopSignal": record.stop_signal.to_string(),
        "StopTimeout": record.stop_timeout_seconds,
    })
}
