//! What can be told of a configuration by looking at it alone: the sentences of config.md and
//! config-linux.md that say MUST, as far as no other part looks at the value anyway.
//!
//! Everything here holds before anything of a container exists, so a bad configuration costs one
//! error and leaves nothing.

use crate::hooks;
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{Linux, NamespaceKind, Process, Resources, Spec, Syscalls, WeightDevice};
use std::path::Path;

/// Checks a whole configuration.
pub(crate) fn configuration(spec: &Spec) -> Result<()> {
    version(&spec.oci_version)?;
    let root = spec.root.as_ref().ok_or_else(|| invalid("root property must not be empty"))?;
    if root.path.as_os_str().is_empty() {
        return Err(invalid("root.path must not be empty"));
    }
    process(spec.process.as_ref().ok_or_else(|| invalid("process property must not be empty"))?)?;
    if spec.annotations.contains_key("") {
        return Err(invalid("annotations have an empty key"));
    }
    for mount in &spec.mounts {
        if mount.destination.as_os_str().is_empty() {
            return Err(invalid("a mount has no destination"));
        }
    }
    spec.hooks.as_ref().map_or(Ok(()), hooks::check)?;
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    names(spec, linux)?;
    self::linux(linux)
}

/// `MAJOR.MINOR.PATCH` of Semantic Versioning. All of major version 1 are compatible; what a later
/// minor version adds is to be ignored where it is not known.
fn version(text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(invalid("ociVersion is missing"));
    }
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let numbers: Option<Vec<u32>> = core.split('.').map(number).collect();
    match numbers.as_deref() {
        Some([1, _, _]) => Ok(()),
        Some([_, _, _]) => Err(Error::new(
            Kind::Unsupported,
            format!("check config.json: ociVersion {text:?} is not supported"),
        )
        .hint("versions 1.0.0 to 1.3.0 of the specification are")),
        _ => Err(invalid(format!("ociVersion {text:?} is not a semantic version"))),
    }
}

fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

/// The process of a configuration or of an exec.
pub(crate) fn process(process: &Process) -> Result<()> {
    if process.cwd.is_empty() {
        return Err(invalid("Cwd property must not be empty"));
    }
    if !Path::new(&process.cwd).is_absolute() {
        return Err(invalid(format!("Cwd must be an absolute path: {:?}", process.cwd)));
    }
    if process.args.is_empty() {
        return Err(invalid("args must not be empty"));
    }
    Ok(())
}

/// Names belong to a UTS namespace; the machine's own name is nobody's to change.
fn names(spec: &Spec, linux: &Linux) -> Result<()> {
    let has_uts = linux.namespace(NamespaceKind::Uts).is_some();
    for (name, value) in [("hostname", &spec.hostname), ("domainname", &spec.domainname)] {
        if value.as_deref().is_some_and(|value| !value.is_empty()) && !has_uts {
            return Err(invalid(format!("unable to set {name} without a private UTS namespace")));
        }
    }
    Ok(())
}

fn linux(linux: &Linux) -> Result<()> {
    let maps = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    if maps && linux.namespace(NamespaceKind::User).is_none() {
        return Err(invalid(
            "user namespace mappings specified, but user namespace isn't enabled in the config",
        ));
    }
    match linux.namespace(NamespaceKind::Time) {
        None if !linux.time_offsets.is_empty() => {
            return Err(invalid(
                "time namespace offsets specified, but time namespace isn't enabled in the config",
            ));
        }
        Some(namespace) if namespace.path.is_some() && !linux.time_offsets.is_empty() => {
            return Err(invalid(
                "time namespace enabled, but both namespace path and time offsets specified -- you \
                 may only provide one",
            ));
        }
        _ => {}
    }
    for path in linux.masked_paths.iter().chain(&linux.readonly_paths) {
        if !Path::new(path).is_absolute() {
            return Err(invalid(format!("a masked or read-only path is not absolute: {path:?}")));
        }
    }
    for device in &linux.devices {
        if !device.path.is_absolute() {
            let path = device.path.display();
            return Err(invalid(format!("a device's path is not absolute: {path}")));
        }
    }
    let is_nameless = |rule: &Syscalls| rule.names.is_empty();
    if linux.seccomp.iter().flat_map(|filter| &filter.syscalls).any(is_nameless) {
        return Err(invalid("a rule of seccomp names no system call"));
    }
    linux.resources.as_ref().map_or(Ok(()), resources)
}

/// What names a device and says nothing of it.
pub(crate) fn resources(resources: &Resources) -> Result<()> {
    let weights = resources.block_io.iter().flat_map(|block_io| &block_io.weight_device);
    for WeightDevice { major, minor, weight, leaf_weight } in weights {
        if weight.is_none() && leaf_weight.is_none() {
            let text = format!("block device {major}:{minor} has no weight and no leafWeight");
            return Err(invalid(text));
        }
    }
    for (device, limit) in &resources.rdma {
        if limit.hca_handles.is_none() && limit.hca_objects.is_none() {
            let text = format!("rdma device {device:?} has no hcaHandles and no hcaObjects");
            return Err(invalid(text));
        }
    }
    Ok(())
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, format!("check config.json: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_spec::runtime::example_spec;

    #[test]
    fn versions_of_the_first_major_are_read() {
        for good in ["1.0.0", "1.0.2-dev", "1.3.0", "1.0.0-rc5", "1.99.0+build"] {
            assert!(version(good).is_ok(), "{good}");
        }
        for bad in ["", "1", "1.0", "v1.0.0", "1.0.0.0", "1.a.0", "0.9.0", "2.0.0", "1.-1.0"] {
            assert!(version(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn each_broken_promise_is_named() {
        type Break = fn(&mut Spec);
        let cases: [(&str, Break); 19] = [
            ("ociVersion", |spec| spec.oci_version.clear()),
            ("root", |spec| spec.root = None),
            ("root.path", |spec| spec.root.as_mut().unwrap().path = "".into()),
            ("process", |spec| spec.process = None),
            ("Cwd", |spec| spec.process.as_mut().unwrap().cwd.clear()),
            ("absolute", |spec| spec.process.as_mut().unwrap().cwd = "tmp".to_owned()),
            ("args", |spec| spec.process.as_mut().unwrap().args.clear()),
            ("annotations", |spec| {
                spec.annotations.insert(String::new(), "x".to_owned());
            }),
            ("destination", |spec| spec.mounts[0].destination = "".into()),
            ("poststop hook", |spec| {
                spec.hooks.get_or_insert_default().poststop.push(Default::default());
            }),
            ("hostname", |spec| {
                spec.linux.as_mut().unwrap().namespaces.clear();
            }),
            ("domainname", |spec| {
                spec.hostname = None;
                spec.domainname = Some("x".to_owned());
                spec.linux = None;
            }),
            ("mappings", |spec| {
                let map = dhow_spec::runtime::IdMapping { container_id: 0, host_id: 0, size: 1 };
                spec.linux.as_mut().unwrap().uid_mappings.push(map);
            }),
            ("time namespace", |spec| {
                let linux = spec.linux.as_mut().unwrap();
                linux.time_offsets.insert("boottime".to_owned(), Default::default());
            }),
            ("read-only path", |spec| {
                spec.linux.as_mut().unwrap().masked_paths.push("proc".to_owned());
            }),
            ("system call", |spec| {
                let filter = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                    {"names": [], "action": "SCMP_ACT_KILL"}]}"#;
                spec.linux.as_mut().unwrap().seccomp = serde_json::from_str(filter).unwrap();
            }),
            ("leafWeight", |spec| {
                let resources = spec.linux.as_mut().unwrap().resources.get_or_insert_default();
                let block_io = resources.block_io.get_or_insert_default();
                block_io.weight_device.push(Default::default());
            }),
            ("hcaObjects", |spec| {
                let resources = spec.linux.as_mut().unwrap().resources.get_or_insert_default();
                resources.rdma.insert("mlx5_1".to_owned(), Default::default());
            }),
            ("device's path", |spec| {
                spec.linux.as_mut().unwrap().devices.push(Default::default());
            }),
        ];
        assert!(configuration(&example_spec()).is_ok());
        for (word, breaks) in cases {
            let mut spec = example_spec();
            breaks(&mut spec);

            let error = configuration(&spec).expect_err(word);

            assert!(error.one_line().contains(word), "{}", error.one_line());
        }
    }
}
