//! The `HostConfig` of a container's document: what was asked of the host, read from what runs.
//!
//! Every field of docker's is there. One that no flag of dhow's sets has the value that docker writes
//! where it was not asked for.

use super::unless_empty;
use crate::record::Record;
use dhow_spec::runtime::{Linux, NamespaceKind, Resources, Spec, ThrottleDevice};
use dhow_state::containers::Container;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(super) fn document(row: &Container, record: &Record, spec: &Spec) -> Value {
    let linux = spec.linux.clone().unwrap_or_default();
    let mut document = asked(row, record, spec);
    let mut add = |more: Value| {
        if let (Value::Object(fields), Value::Object(more)) = (&mut document, more) {
            fields.extend(more);
        }
    };
    add(namespaces(record, &linux));
    add(limits(record, &linux.resources.clone().unwrap_or_default()));
    add(json!({
        "MaskedPaths": linux.masked_paths,
        "ReadonlyPaths": linux.readonly_paths,
        "Sysctls": linux.sysctl,
        "ShmSize": shared_memory(spec),
        "CgroupParent": cgroup_parent(&linux),
    }));
    document
}

fn asked(row: &Container, record: &Record, spec: &Spec) -> Value {
    let named = |kind: &str| matches!(kind, "bind" | "volume" | "image");
    let binds = record.mounts.iter().filter(|mount| named(&mount.kind) && !mount.anonymous);
    let binds = binds.map(|mount| {
        let source = if mount.name.is_empty() { &mount.source } else { &mount.name };
        let mode = if mount.read_only { "ro" } else { "rw" };
        format!("{source}:{}:{mode}", mount.target)
    });
    let tmpfs = record.mounts.iter().filter(|mount| mount.kind == "tmpfs");
    let tmpfs: serde_json::Map<_, _> =
        tmpfs.map(|mount| (mount.target.clone(), json!(mount.options.join(",")))).collect();
    let process = spec.process.clone().unwrap_or_default();
    let ulimits = process.rlimits.iter().map(|limit| {
        let name = limit.kind.trim_start_matches("RLIMIT_").to_ascii_lowercase();
        json!({ "Name": name, "Soft": limit.soft, "Hard": limit.hard })
    });
    json!({
        "Binds": unless_empty(&binds.collect::<Vec<_>>()),
        "Tmpfs": tmpfs,
        "ContainerIDFile": "",
        "LogConfig": super::log_config(record),
        "NetworkMode": record.network,
        "PortBindings": super::network::port_bindings(record),
        "RestartPolicy": {
            "Name": record.life.restart.name(),
            "MaximumRetryCount": record.life.restart.most(),
        },
        "Init": record.life.init,
        "AutoRemove": row.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": unless_empty(&record.asked.volumes_from),
        "ConsoleSize": [0, 0],
        "CapAdd": unless_empty(&record.cap_add),
        "CapDrop": unless_empty(&record.cap_drop),
        "Dns": record.names.servers,
        "DnsOptions": record.names.resolver_options,
        "DnsSearch": record.names.searches,
        "ExtraHosts": extra_hosts(record),
        "GroupAdd": unless_empty(&record.asked.groups),
        "Links": null,
        "OomScoreAdj": process.oom_score_adj.unwrap_or(0),
        "Privileged": record.privileged,
        "PublishAllPorts": record.ports.publish_all,
        "ReadonlyRootfs": record.read_only,
        "SecurityOpt": unless_empty(&record.asked.security),
        "Runtime": record.life.runtime.as_ref().map_or("dhow".into(), |path| path.to_string_lossy()),
        "Isolation": "",
        "Ulimits": ulimits.collect::<Vec<_>>(),
    })
}

fn extra_hosts(record: &Record) -> Value {
    let hosts = record.names.hosts.iter().map(|(name, address)| format!("{name}:{address}"));
    let gateways = record.names.host_gateway.iter().map(|name| format!("{name}:host-gateway"));
    let hosts: Vec<String> = hosts.chain(gateways).collect();
    if hosts.is_empty() { Value::Null } else { json!(hosts) }
}

/// How large the shared memory may become, in bytes; 0 where it is not the container's own.
fn shared_memory(spec: &Spec) -> u64 {
    let own = spec.mounts.iter().find(|mount| mount.destination == Path::new("/dev/shm"));
    let size = own.and_then(|mount| mount.options.iter().find_map(|o| o.strip_prefix("size=")));
    match size.map(|text| (text.strip_suffix('k'), text)) {
        Some((Some(kibibytes), _)) => kibibytes.parse::<u64>().map_or(0, |count| count << 10),
        Some((None, bytes)) => bytes.parse().unwrap_or(0),
        None => 0,
    }
}

/// The control group above the container's.
fn cgroup_parent(linux: &Linux) -> &str {
    let path = linux.cgroups_path.as_deref().unwrap_or_default();
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// By docker's words: `private`, `shareable`, `host`, or what was joined.
fn namespaces(record: &Record, linux: &Linux) -> Value {
    let asked = &record.namespaces;
    let joined = |kind: NamespaceKind| {
        let joined = asked.joined.iter().find(|joined| joined.kind == kind)?;
        Some(format!("container:{}", joined.container))
    };
    let shown = |kind: NamespaceKind| match linux.namespace(kind) {
        Some(namespace) => match &namespace.path {
            Some(path) => format!("ns:{}", path.display()),
            None if kind == NamespaceKind::Ipc && asked.ipc == "shareable" => asked.ipc.clone(),
            None => "private".to_owned(),
        },
        None => "host".to_owned(),
    };
    let mode = |kind: NamespaceKind| joined(kind).unwrap_or_else(|| shown(kind));
    // Docker writes nothing for these where they are the container's own.
    let own_is_empty = |kind: NamespaceKind| match mode(kind) {
        mode if mode == "private" => String::new(),
        mode => mode,
    };
    let users = if linux.namespace(NamespaceKind::User).is_some() { "private" } else { "" };
    json!({
        "CgroupnsMode": mode(NamespaceKind::Cgroup),
        "IpcMode": mode(NamespaceKind::Ipc),
        "Cgroup": "",
        "PidMode": own_is_empty(NamespaceKind::Pid),
        "UTSMode": own_is_empty(NamespaceKind::Uts),
        "UsernsMode": users,
    })
}

/// The rates of devices by their paths; by their numbers where the row is of before paths were kept.
fn rates(asked: &[(PathBuf, u64)], set: &[ThrottleDevice]) -> Value {
    if asked.is_empty() {
        let by_number = set.iter().map(|device| {
            json!({ "Path": format!("{}:{}", device.major, device.minor), "Rate": device.rate })
        });
        return unless_empty(&by_number.collect::<Vec<_>>());
    }
    asked.iter().map(|(path, rate)| json!({ "Path": path, "Rate": rate })).collect()
}

fn limits(record: &Record, resources: &Resources) -> Value {
    let memory = resources.memory.clone().unwrap_or_default();
    let cpu = resources.cpu.clone().unwrap_or_default();
    let block = resources.block_io.clone().unwrap_or_default();
    let asked = &record.asked;
    let weights = asked.block_io.weights.iter();
    let weights = weights.map(|(path, weight)| json!({ "Path": path, "Weight": weight }));
    let devices = asked.devices.iter().map(|device| {
        json!({
            "PathOnHost": device.host,
            "PathInContainer": device.container,
            "CgroupPermissions": device.access,
        })
    });
    json!({
        "CpuShares": cpu.shares.unwrap_or(0),
        "Memory": record.memory_bytes,
        "NanoCpus": record.nano_cpus,
        "BlkioWeight": block.weight.unwrap_or(0),
        "BlkioWeightDevice": weights.collect::<Vec<_>>(),
        "BlkioDeviceReadBps": rates(&asked.block_io.read_bps, &block.throttle_read_bps_device),
        "BlkioDeviceWriteBps": rates(&asked.block_io.write_bps, &block.throttle_write_bps_device),
        "BlkioDeviceReadIOps": rates(&asked.block_io.read_iops, &block.throttle_read_iops_device),
        "BlkioDeviceWriteIOps": rates(&asked.block_io.write_iops, &block.throttle_write_iops_device),
        // What `--cpus` has made of it is told by `NanoCpus`.
        "CpuPeriod": if record.nano_cpus > 0 { 0 } else { cpu.period.unwrap_or(0) },
        "CpuQuota": if record.nano_cpus > 0 { 0 } else { cpu.quota.unwrap_or(0) },
        "CpuRealtimePeriod": cpu.realtime_period.unwrap_or(0),
        "CpuRealtimeRuntime": cpu.realtime_runtime.unwrap_or(0),
        "CpusetCpus": cpu.cpus.unwrap_or_default(),
        "CpusetMems": cpu.mems.unwrap_or_default(),
        "Devices": devices.collect::<Vec<_>>(),
        "DeviceCgroupRules": unless_empty(&asked.device_rules),
        "DeviceRequests": null,
        "MemoryReservation": memory.reservation.unwrap_or(0),
        "MemorySwap": memory.swap.unwrap_or(0),
        "MemorySwappiness": memory.swappiness,
        "OomKillDisable": memory.disable_oom_killer.unwrap_or(false),
        "PidsLimit": record.pids,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    })
}
