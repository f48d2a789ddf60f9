//! Which keys `containers.conf` may have: those that are obeyed here, those of podman's that mean nothing
//! here, and none else.

use super::{Containers, Engine, Network};
use std::path::Path;

/// Keys of podman's (5.8) `[containers]` that are not obeyed; docs/configuration.md says why.
const PASSED_OVER_CONTAINERS: &[&str] =
    &["interface_name", "keyring", "label_users", "log_path", "prepare_volume_on_create"];

const PASSED_OVER_ENGINE: &[&str] = &[
    "active_service",
    "add_compression",
    "cgroup_manager",
    "chown_copied_files",
    "compat_api_enforce_docker_hub",
    "compose_providers",
    "compose_warning_logs",
    "compression_format",
    "compression_level",
    "conmon_env_vars",
    "conmon_path",
    "conmonrs_path",
    "conmonrs_env_vars",
    "database_backend",
    "enable_port_reservation",
    "env",
    "events_container_create_inspect_data",
    "events_logfile_max_size",
    "events_logfile_path",
    "events_logger",
    "exit_command_delay",
    "healthcheck_events",
    "helper_binaries_dir",
    "hooks_dir",
    "image_copy_tmp_dir",
    "image_default_format",
    "image_default_transport",
    "image_parallel_copies",
    "kube_generate_type",
    "lock_type",
    "machine_enabled",
    "multi_image_archive",
    "namespace",
    "network_cmd_options",
    "network_cmd_path",
    "no_pivot_root",
    "num_locks",
    "platform_to_oci_runtime",
    "remote",
    "retry",
    "retry_delay",
    "runtime_supports_json",
    "runtime_supports_kvm",
    "runtime_supports_nocgroup",
    "runtime_supports_nocgroups",
    "runtimes_flags",
    "service_destinations",
    "service_timeout",
    "ssh_config",
    "static_dir",
    "tmp_dir",
    "volume_path",
    "volume_plugin_timeout",
    "volume_plugins",
];

const PASSED_OVER_NETWORK: &[&str] = &[
    "default_network",
    "default_rootless_network_cmd",
    "dns_bind_port",
    "firewall_driver",
    "netavark_plugin_dirs",
    "network_backend",
    "pasta_options",
];

/// Tables that are about other programs, or other commands. (`service_destinations` is a table of the
/// engine's, and one of its own in the file that Debian's podman brings.)
const PASSED_OVER_TABLES: &[&str] =
    &["configmaps", "farms", "machine", "podmansh", "secrets", "service_destinations"];

/// What is to be told of a file's keys that nobody knows; for a file that has been understood.
pub(super) fn unknown(path: &Path, text: &str) -> Option<String> {
    let document: toml::Table = toml::from_str(text).ok()?;
    let mut unknown = Vec::new();
    for (table, value) in &document {
        let known = match table.as_str() {
            "containers" => [Containers::KEYS, PASSED_OVER_CONTAINERS],
            "engine" => [Engine::KEYS, PASSED_OVER_ENGINE],
            "network" => [Network::KEYS, PASSED_OVER_NETWORK],
            other if PASSED_OVER_TABLES.contains(&other) => continue,
            other => {
                unknown.push(other.to_owned());
                continue;
            }
        };
        let keys = value.as_table().into_iter().flat_map(toml::Table::keys);
        let strange = keys.filter(|key| !known.concat().contains(&key.as_str()));
        unknown.extend(strange.map(|key| format!("{table}.{key}")));
    }
    let names = unknown.join(", ");
    (!unknown.is_empty()).then(|| format!("{}: nobody knows the key {names}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        unknown(Path::new("/etc/x.conf"), text)
    }

    #[test]
    fn keys_that_nobody_knows_are_told_with_their_table_and_file() {
        let text = "[containers]\ntz = \"local\"\ntzz = \"x\"\nkeyring = true\n[machine]\ncpus = 1\n\
                    [engine.runtimes]\nx = [\"/x\"]\n[odd]\na = 1\n";

        let told = told(text).unwrap();

        assert_eq!(told, "/etc/x.conf: nobody knows the key containers.tzz, odd");
    }

    #[test]
    fn every_known_key_is_in_the_documentation_and_none_is_known_twice() {
        let page = include_str!("../../../../docs/configuration.md");
        let tables = [
            (Containers::KEYS, PASSED_OVER_CONTAINERS),
            (Engine::KEYS, PASSED_OVER_ENGINE),
            (Network::KEYS, PASSED_OVER_NETWORK),
            (PASSED_OVER_TABLES, &[]),
        ];
        for (obeyed, passed_over) in tables {
            for key in obeyed.iter().chain(passed_over) {
                assert!(
                    page.contains(&format!("`{key}`")),
                    "docs/configuration.md says nothing of {key}"
                );
            }
            let twice: Vec<_> = obeyed.iter().filter(|key| passed_over.contains(key)).collect();
            assert!(twice.is_empty(), "{twice:?}");
        }
    }

    /// The file that podman's package ships names every key of its time.
    #[test]
    fn podmans_own_file_has_no_key_that_nobody_knows() {
        let path = Path::new("/usr/share/containers/containers.conf");
        let Ok(shipped) = std::fs::read_to_string(path) else {
            dhow_testkit::need::skip("podman's containers.conf");
            return;
        };
        let is_key = |name: &str| {
            let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            !name.is_empty() && name.bytes().all(letter)
        };
        let mut table = String::new();
        let mut count = 0;
        for line in shipped.lines().map(|line| line.trim_start_matches('#')) {
            if let Some(heading) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                heading.clone_into(&mut table);
            } else if let Some((name, _)) = line.split_once('=')
                && is_key(name.trim_end())
                && !table.contains('.')
            {
                let name = name.trim_end();
                count += 1;
                assert_eq!(told(&format!("[{table}]\n{name} = 1\n")), None, "{table}.{name}");
            }
        }
        assert!(count > 50, "only {count} keys were found");
    }
}
