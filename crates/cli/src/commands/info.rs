//! `info`: the machine, the engine on it, and what it keeps.
//!
//! The document has docker's fields, and podman's `host`, `store` and `version` beside them; what has
//! no meaning for an engine without a daemon is left out.

use super::{look::pretty, version::VERSION};
use crate::{exit::SUCCESS, invocation::Invocation, render::template::Format, tree::Act};
use dhow_base::{Result, clock::Moment, file, size};
use dhow_engine::{Facts, Which};
use dhow_spec::image::Platform;
use dhow_state::containers::Phase;
use serde_json::{Value, json};
use std::path::Path;

/// Show what is known of the machine and of what is kept here
///
/// As text, as json, or by a template such as '{{.Driver}}' or '{{.host.arch}}'.
#[derive(clap::Args, Debug)]
pub(crate) struct Info {
    /// Print as json or by a template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for Info {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let format = match self.format.as_deref() {
            None | Some("" | "json") => None,
            Some(text) => Some(Format::parse(text)?),
        };
        let document = document(invocation)?;
        let text = match (format, self.format.as_deref()) {
            (Some(format), _) => {
                let document = with_fields_of_podman(document);
                format!("{}\n", format.fill(&document)?).into_bytes()
            }
            (None, Some("json")) => pretty(&document)?,
            (None, _) => text(&document).into_bytes(),
        };
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}

fn document(invocation: &Invocation) -> Result<Value> {
    let mut engine = invocation.engine()?;
    let containers = engine.list(Which::All)?;
    let count = |phase: Phase| containers.iter().filter(|one| one.phase == phase).count();
    let (running, all) = (count(Phase::Running), containers.len());
    let facts = engine.facts()?;
    let (images, state) = engine.images();
    let images = images.outlines(state)?.len();
    let machine = Machine::look(invocation.user.is_none());
    let mut document = docker(&facts, &machine);
    let counts = json!({
        "Containers": all,
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": all - running,
        "Images": images,
    });
    merge(&mut document, counts);
    merge(&mut document, podman(&facts, &machine, [all, running, images]));
    Ok(document)
}

/// Podman's templates name fields as its program does, and not as its documents: `{{.Host.Arch}}`.
fn with_fields_of_podman(mut document: Value) -> Value {
    for (field, name) in [("host", "Host"), ("store", "Store"), ("version", "Version")] {
        document[name] = as_podman_names(&document[field]);
    }
    document
}

fn as_podman_names(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let name = |field: &str| match field {
        "os" => "OS".to_owned(),
        "cpus" => "CPUs".to_owned(),
        "ociRuntime" => "OCIRuntime".to_owned(),
        "cgroupVersion" => "CgroupsVersion".to_owned(),
        _ => field[..1].to_ascii_uppercase() + &field[1..],
    };
    fields.iter().map(|(field, value)| (name(field), as_podman_names(value))).collect()
}

fn merge(document: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (document, more) {
        fields.extend(more);
    }
}

/// What the machine is.
struct Machine {
    platform: Platform,
    kernel: String,
    host_name: String,
    system: String,
    processors: usize,
    memory: u64,
    swap: u64,
    uptime_seconds: i64,
    is_root: bool,
}

impl Machine {
    fn look(is_root: bool) -> Self {
        let (uname, sysinfo) = (rustix::system::uname(), rustix::system::sysinfo());
        let unit = u64::from(sysinfo.mem_unit);
        Self {
            platform: Platform::host(),
            kernel: uname.release().to_string_lossy().into_owned(),
            host_name: uname.nodename().to_string_lossy().into_owned(),
            system: system(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory: sysinfo.totalram.saturating_mul(unit),
            swap: sysinfo.totalswap.saturating_mul(unit),
            uptime_seconds: sysinfo.uptime,
            is_root,
        }
    }
}

/// What the distribution calls itself.
fn system() -> String {
    let bytes = file::read_limited(Path::new("/etc/os-release"), 64 << 10).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

fn docker(facts: &Facts, machine: &Machine) -> Value {
    json!({
        "ID": facts.root.display().to_string(),
        "Driver": facts.storage_driver,
        "DockerRootDir": facts.root,
        "SystemTime": Moment::now().rfc3339(),
        "LoggingDriver": "k8s-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": facts.cgroup_version,
        "KernelVersion": machine.kernel,
        "OperatingSystem": machine.system,
        "OSType": machine.platform.os,
        "Architecture": machine.platform.architecture,
        "NCPU": machine.processors,
        "MemTotal": machine.memory,
        "Name": machine.host_name,
        "ServerVersion": VERSION,
        "DefaultRuntime": "dhow",
        "Runtimes": { "dhow": { "path": "dhow" } },
        "SecurityOptions": facts.security,
        "Plugins": { "Volume": ["local"], "Network": ["host", "none"], "Log": ["k8s-file"] },
        "LiveRestoreEnabled": true,
        "Swarm": { "LocalNodeState": "inactive" },
        "Warnings": null,
    })
}

fn podman(facts: &Facts, machine: &Machine, [all, running, images]: [usize; 3]) -> Value {
    json!({
        "host": {
            "arch": machine.platform.architecture,
            "cgroupManager": "cgroupfs",
            "cgroupVersion": format!("v{}", facts.cgroup_version),
            "cpus": machine.processors,
            "distribution": { "distribution": machine.system },
            "hostname": machine.host_name,
            "idMappings": {
                "gidmap": id_map(machine, "gid_map"),
                "uidmap": id_map(machine, "uid_map"),
            },
            "kernel": machine.kernel,
            "logDriver": "k8s-file",
            "memTotal": machine.memory,
            "swapTotal": machine.swap,
            "ociRuntime": { "name": "dhow", "version": VERSION },
            "os": machine.platform.os,
            "security": { "rootless": !machine.is_root, "seccompEnabled": true },
            "uptime": dhow_base::clock::humanly(std::time::Duration::from_secs(
                machine.uptime_seconds.unsigned_abs()
            )),
        },
        "store": {
            "containerStore": { "number": all, "running": running, "stopped": all - running },
            "graphDriverName": facts.storage_driver,
            "graphRoot": facts.root,
            "runRoot": facts.runroot,
            "imageStore": { "number": images },
            "volumePath": facts.root.join("volumes"),
        },
        "version": { "Version": VERSION, "OsArch": format!("{}/{}", machine.platform.os, machine.platform.architecture) },
    })
}

/// Which ids an ordinary user's containers have of the host's; root's have all as they are.
fn id_map(machine: &Machine, file: &str) -> Value {
    if machine.is_root {
        return Value::Null;
    }
    let text = std::fs::read_to_string(Path::new("/proc/self").join(file)).unwrap_or_default();
    let numbers = |line: &str| line.split_whitespace().map(|word| word.parse().ok()).collect();
    let lines = text.lines().filter_map(numbers);
    let range = |numbers: Vec<u32>| match numbers[..] {
        [inside, outside, size] => {
            Some(json!({"container_id": inside, "host_id": outside, "size": size}))
        }
        _ => None,
    };
    lines.filter_map(range).collect()
}

fn text(document: &Value) -> String {
    const LINES: [(&str, &str); 19] = [
        ("Containers", "Containers"),
        (" Running", "ContainersRunning"),
        (" Paused", "ContainersPaused"),
        (" Stopped", "ContainersStopped"),
        ("Images", "Images"),
        ("Server Version", "ServerVersion"),
        ("Storage Driver", "Driver"),
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
        ("Default Runtime", "DefaultRuntime"),
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
        ("Total Memory", "MemTotal"),
        ("Name", "Name"),
        ("Root Dir", "DockerRootDir"),
    ];
    let mut text = String::new();
    for (title, field) in LINES {
        let value = match (&document[field], field) {
            (Value::Number(number), "MemTotal") => size::binary(number.as_u64().unwrap_or(0)),
            (Value::String(word), _) => word.clone(),
            (other, _) => other.to_string(),
        };
        text.push_str(&format!("{title}: {value}\n"));
    }
    text
}
