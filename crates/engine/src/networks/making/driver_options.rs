//! `--opt`: what drivers of networks can be told, in docker's words and in podman's.

use super::{device_name, invalid, unsupported};
use crate::networks::Settings;
use dhow_base::Result;
use dhow_network::{Driver, HostPolicy, Isolation, Mode};

/// Sets what an option of the driver's says, in docker's words or podman's.
pub(super) fn set(settings: &mut Settings, key: &str, value: &str) -> Result<()> {
    let made = &mut settings.made;
    let driver = made.driver;
    let only = |wanted: Driver| {
        let text = format!("it is one of {} networks", wanted.word());
        if driver == wanted { Ok(()) } else { Err(invalid(text)) }
    };
    match key {
        "mtu" | "com.docker.network.driver.mtu" => made.mtu = Some(number(value, 68, 65535)?),
        "vlan" => {
            only(Driver::Bridge)?;
            let vlan = number(value, 1, 4094)?;
            made.vlan = Some(u16::try_from(vlan).expect("it is at most 4094"));
        }
        "ingress" => {
            only(Driver::Bridge)?;
            made.ingress_bits = Some(bits(value)?);
        }
        "egress" => made.egress_bits = Some(bits(value)?),
        "metric" => made.metric = Some(number(value, 0, u32::MAX)?),
        "isolate" if value == "strict" => made.isolation = Isolation::Isolated,
        "isolate" => {
            let isolated = truth(value)?;
            made.isolation = if isolated { Isolation::Isolated } else { Isolation::Open };
        }
        "input_policy" | "forward_policy" => {
            only(Driver::Bridge)?;
            let known = HostPolicy::ALL.into_iter().find(|known| known.word() == value);
            let policy = known.ok_or_else(|| invalid("it is obey or ignore"))?;
            match key {
                "input_policy" => made.input_policy = policy,
                _ => made.forward_policy = policy,
            }
        }
        "no_default_route" => made.default_route = !truth(value)?,
        "com.docker.network.bridge.name" => {
            only(Driver::Bridge)?;
            made.device = device_name(value)?;
        }
        "com.docker.network.bridge.enable_ip_masquerade" => made.masquerade = truth(value)?,
        "com.docker.network.bridge.gateway_mode_ipv4"
        | "com.docker.network.bridge.gateway_mode_ipv6" => {
            made.masquerade = match value {
                "nat" => true,
                "routed" => false,
                _ => return Err(unsupported("there are nat and routed")),
            };
        }
        "com.docker.network.bridge.enable_icc" if truth(value)? => {}
        "com.docker.network.bridge.host_binding_ipv4" if value == "0.0.0.0" => {}
        "com.docker.network.container_iface_prefix"
        | "com.docker.network.container_interface_prefix" => {
            if value.len() > 11 {
                return Err(invalid("it leaves no room for a number"));
            }
            settings.interface_prefix = Some(device_name(value)?);
        }
        "parent" if driver != Driver::Bridge => made.device = device_name(value)?,
        "mode" | "macvlan_mode" | "ipvlan_mode" if driver != Driver::Bridge => {
            made.mode = Some(mode(driver, value)?);
        }
        "sysctls" => {
            for pair in value.split(',') {
                let (key, value) = sysctl(pair)?;
                made.sysctls.insert(key, value);
            }
        }
        "com.docker.network.bridge.enable_icc"
        | "com.docker.network.bridge.host_binding_ipv4"
        | "bclim"
        | "vrf"
        | "host_interface_name"
        | "ipvlan_flag" => return Err(unsupported("this dhow does not know how")),
        _ => return Err(invalid(format!("a {} network has no such option", driver.word()))),
    }
    Ok(())
}

fn number(text: &str, least: u32, most: u32) -> Result<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (least..=most).contains(number));
    number.ok_or_else(|| invalid(format!("it is a number from {least} to {most}")))
}

/// Bits a second, as `tc` writes them: `10mbit`, `500kbit`, `8000`.
fn bits(text: &str) -> Result<u64> {
    let refused = || invalid("it is bits a second, such as 10mbit or 500kbit");
    let lower = text.to_ascii_lowercase();
    let short = lower.strip_suffix("bit").unwrap_or(&lower);
    let (digits, factor) = match short.as_bytes().last() {
        Some(b'k') => (&short[..short.len() - 1], 1_000),
        Some(b'm') => (&short[..short.len() - 1], 1_000_000),
        Some(b'g') => (&short[..short.len() - 1], 1_000_000_000),
        _ => (short, 1),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| is_number).ok_or_else(refused)?;
    number.checked_mul(factor).filter(|rate| *rate >= 8000).ok_or_else(refused)
}

/// As Go's `strconv.ParseBool` has it.
fn truth(text: &str) -> Result<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(invalid("it is true or false")),
    }
}

fn mode(driver: Driver, word: &str) -> Result<Mode> {
    let modes = Mode::all_of(driver);
    modes.iter().copied().find(|mode| mode.word() == word).ok_or_else(|| {
        let words: Vec<&str> = modes.iter().map(|mode| mode.word()).collect();
        invalid(format!("{} has the modes {}", driver.word(), words.join(", ")))
    })
}

fn sysctl(pair: &str) -> Result<(String, String)> {
    let refused = || invalid(format!("{pair:?} is not KEY=VALUE with a key of net."));
    let (key, value) = pair.split_once('=').ok_or_else(refused)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_sound = key.starts_with("net.")
        && key.bytes().all(allowed)
        && key.split('.').all(|part| !part.is_empty());
    if is_sound { Ok((key.to_owned(), value.to_owned())) } else { Err(refused()) }
}
