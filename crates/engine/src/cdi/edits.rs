//! What a document about devices changes in a configuration.

use super::document::{Edits, Hook, Mount, Node};
use crate::{devices, merge};
use dhow_base::Result;
use dhow_spec::runtime::{
    Device, DeviceRule, Hook as SpecHook, IntelRdt, MountPoint, NetDevice, Spec,
};

/// Makes the changes; a later one replaces an earlier one of the same name or place.
pub(super) fn apply(spec: &mut Spec, edits: &Edits) -> Result<()> {
    let process = spec.process.get_or_insert_default();
    for entry in &edits.env {
        merge::set_variable(&mut process.env, entry);
    }
    let groups = &mut process.user.additional_gids;
    // The format's own rule: root's group is never among them.
    groups.extend(edits.additional_gids.iter().copied().filter(|gid| *gid != 0));
    groups.sort_unstable();
    groups.dedup();
    let linux = spec.linux.get_or_insert_default();
    for node in &edits.device_nodes {
        let (device, rule) = found(node)?;
        linux.devices.retain(|other| other.path != device.path);
        linux.devices.push(device);
        linux.resources.get_or_insert_default().devices.push(rule);
    }
    for device in &edits.net_devices {
        let name = Some(device.name.clone()).filter(|name| !name.is_empty());
        linux.net_devices.insert(device.host_interface_name.clone(), NetDevice { name });
    }
    if let Some(shares) = &edits.intel_rdt {
        linux.intel_rdt = Some(IntelRdt {
            clos_id: shares.clos_id.clone(),
            schemata: shares.schemata.clone(),
            l3_cache_schema: shares.l3_cache_schema.clone(),
            mem_bw_schema: shares.mem_bw_schema.clone(),
            enable_monitoring: shares.enable_monitoring,
        });
    }
    for mount in &edits.mounts {
        spec.mounts.retain(|other| other.destination != mount.container_path);
        spec.mounts.push(mounted(mount));
    }
    for hook in &edits.hooks {
        add_hook(spec, hook);
    }
    Ok(())
}

/// The node with what the document leaves to the host's own.
fn found(node: &Node) -> Result<(Device, DeviceRule)> {
    let place = if node.host_path.as_os_str().is_empty() { &node.path } else { &node.host_path };
    let is_whole = !node.kind.is_empty()
        && (node.kind == "p" || (node.major.is_some() && node.minor.is_some()));
    let host = if is_whole { Device::default() } else { devices::node(place)? };
    let device = Device {
        kind: Some(node.kind.clone()).filter(|kind| !kind.is_empty()).unwrap_or(host.kind),
        path: node.path.clone(),
        major: node.major.unwrap_or(host.major),
        minor: node.minor.unwrap_or(host.minor),
        file_mode: node.file_mode.or(host.file_mode),
        uid: node.uid.or(host.uid),
        gid: node.gid.or(host.gid),
    };
    let access = if node.permissions.is_empty() { "rwm" } else { &node.permissions };
    let rule = DeviceRule {
        allow: true,
        kind: Some(device.kind.clone()),
        major: Some(device.major),
        minor: Some(device.minor),
        access: Some(access.to_owned()),
    };
    Ok((device, rule))
}

fn mounted(mount: &Mount) -> MountPoint {
    let is_bind = mount.kind.is_empty() || mount.kind == "bind" || mount.kind == "none";
    let mut options = mount.options.clone();
    if is_bind && !options.iter().any(|option| option == "bind" || option == "rbind") {
        options.push("rbind".to_owned());
    }
    MountPoint {
        destination: mount.container_path.clone(),
        kind: Some(if is_bind { "bind".to_owned() } else { mount.kind.clone() }),
        source: Some(mount.host_path.clone()),
        options,
        ..MountPoint::default()
    }
}

fn add_hook(spec: &mut Spec, hook: &Hook) {
    let hooks = spec.hooks.get_or_insert_default();
    let list = match hook.hook_name.as_str() {
        "prestart" => &mut hooks.prestart,
        "createRuntime" => &mut hooks.create_runtime,
        "createContainer" => &mut hooks.create_container,
        "startContainer" => &mut hooks.start_container,
        "poststart" => &mut hooks.poststart,
        _ => &mut hooks.poststop,
    };
    list.push(SpecHook {
        path: hook.path.clone(),
        args: hook.args.clone(),
        env: hook.env.clone(),
        timeout: hook.timeout,
    });
}

#[cfg(test)]
mod tests {
    use super::{super::document::Document, *};
    use dhow_base::Kind;

    fn applied(edits: &str) -> Result<Spec> {
        let text = format!(
            r#"{{"cdiVersion":"1.0.0","kind":"a.com/b","devices":[{{"name":"x"}}],
               "containerEdits":{{{edits}}}}}"#
        );
        let mut spec = Spec::default();
        apply(&mut spec, &Document::parse(text.as_bytes()).unwrap().container_edits)?;
        Ok(spec)
    }

    #[test]
    fn every_kind_of_change_is_made() {
        let spec = applied(
            r#""env":["A=1","A=2"],"additionalGids":[0,7,7],
               "deviceNodes":[{"path":"/dev/mine","hostPath":"/dev/null","permissions":"r"}],
               "netDevices":[{"hostInterfaceName":"eth9","name":"in0"}],
               "mounts":[{"hostPath":"/lib/x","containerPath":"/usr/x","options":["ro"]}],
               "hooks":[{"hookName":"createContainer","path":"/bin/h","args":["h","a"]}],
               "intelRdt":{"closID":"c"}"#,
        )
        .unwrap();

        let process = spec.process.unwrap();
        assert_eq!((process.env, process.user.additional_gids), (vec!["A=2".to_owned()], vec![7]));
        let linux = spec.linux.unwrap();
        assert_eq!((linux.devices[0].major, linux.devices[0].minor), (1, 3));
        let rule = &linux.resources.unwrap().devices[0];
        assert_eq!((rule.access.as_deref(), rule.minor), (Some("r"), Some(3)));
        assert_eq!(linux.net_devices["eth9"].name.as_deref(), Some("in0"));
        assert_eq!(linux.intel_rdt.unwrap().clos_id.as_deref(), Some("c"));
        assert_eq!(spec.mounts[0].options, ["ro", "rbind"]);
        assert_eq!(spec.hooks.unwrap().create_container[0].args, ["h", "a"]);
    }

    #[test]
    fn a_node_that_is_not_there_is_an_error_unless_all_is_said_of_it() {
        let missing = applied(r#""deviceNodes":[{"path":"/dev/gone"}]"#).unwrap_err();
        assert_eq!(missing.kind(), Kind::NotFound);

        let said = r#""deviceNodes":[{"path":"/dev/gone","type":"c","major":9,"minor":8}]"#;
        assert_eq!(applied(said).unwrap().linux.unwrap().devices[0].major, 9);
    }
}
