//! How networks get addresses where nobody chooses, by `[network]` in containers.conf.

use crate::containers_conf::ContainersConf;
use dhow_base::{Error, Kind, Result};
use dhow_engine::{Engine, NetworkDefaults, Pool};
use dhow_network::{Subnet, cni};

/// Tells the engine; where the files say nothing, that too, since they may have said something before.
pub(crate) fn apply(conf: &ContainersConf, engine: &mut Engine) -> Result<()> {
    engine.set_network_defaults(network_defaults(conf)?);
    Ok(())
}

/// What the files say, and podman's own choice for the rest.
fn network_defaults(conf: &ContainersConf) -> Result<NetworkDefaults> {
    let mut defaults = NetworkDefaults::default();
    if let Some(text) = &conf.network.default_subnet {
        defaults.usual = subnet("default_subnet", text)?;
    }
    if let Some(pools) = &conf.network.default_subnet_pools {
        defaults.pools = pools
            .iter()
            .map(|pool| {
                let base = subnet("default_subnet_pools", &pool.base)?;
                if pool.size < base.prefix() || pool.size > 30 {
                    let text = format!(
                        "default_subnet_pools: {base} has no subnets of size {}",
                        pool.size
                    );
                    return Err(invalid(&text));
                }
                Ok(Pool { base, prefix: pool.size })
            })
            .collect::<Result<_>>()?;
    }
    let places = conf.network.cni_plugin_dirs.as_ref().map(|list| &list.items);
    if let Some(places) = places.filter(|places| !places.is_empty()) {
        defaults.plugins = places.iter().map(Into::into).collect();
    }
    if let Some(directory) = conf.network.network_config_dir.as_ref().filter(|it| !it.is_empty()) {
        defaults.lists = directory.into();
    }
    defaults.plugin_limit_s = Some(plugin_limit_s(conf)?);
    Ok(defaults)
}

/// A key of our own; podman has none for it.
fn plugin_limit_s(conf: &ContainersConf) -> Result<u64> {
    match conf.network.cni_plugin_timeout {
        None => Ok(cni::TIME_LIMIT.as_secs()),
        Some(limit_s @ 1..=86_400) => Ok(limit_s),
        Some(limit_s) => {
            let text = format!("cni_plugin_timeout: {limit_s} is not from 1 to 86400 seconds");
            Err(invalid(&text))
        }
    }
}

fn subnet(key: &str, text: &str) -> Result<Subnet> {
    let subnet: Subnet = text.parse().map_err(|error: Error| invalid(key).because(error))?;
    if subnet.is_ipv6() {
        return Err(invalid(&format!("{key}: {subnet} is of version 6")));
    }
    Ok(subnet)
}

fn invalid(text: &str) -> Error {
    Error::new(Kind::Invalid, format!("[network] in containers.conf: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn pools_are_those_of_the_file() {
        let text = "[network]\ndefault_subnet = \"10.50.0.0/16\"\n\
                    default_subnet_pools = [{base = \"10.51.0.0/16\", size = 26}]\n";
        let conf = ContainersConf::parse(Path::new("/etc/x.conf"), text).unwrap();

        let defaults = network_defaults(&conf).unwrap();

        assert_eq!(defaults.usual.to_string(), "10.50.0.0/16");
        assert_eq!(defaults.plugin_limit_s, Some(120));
        let [pool] = defaults.pools[..] else { panic!("one pool") };
        assert_eq!((pool.base.to_string().as_str(), pool.prefix), ("10.51.0.0/16", 26));
        for bad in [
            "default_subnet = \"10.50.0.1/16\"",
            "default_subnet = \"fd00::/64\"",
            "default_subnet_pools = [{base = \"10.51.0.0/16\", size = 8}]",
            "default_subnet_pools = [{base = \"10.51.0.0/16\", size = 31}]",
            "cni_plugin_timeout = 0",
            "cni_plugin_timeout = 86401",
        ] {
            let conf =
                ContainersConf::parse(Path::new("/x"), &format!("[network]\n{bad}\n")).unwrap();
            assert!(network_defaults(&conf).is_err(), "{bad}");
        }
    }
}
