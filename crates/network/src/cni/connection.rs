//! Who is to be connected, and how: what a plugin is told of a container.

use dhow_base::{Error, Kind, Result};
use serde_json::{Map, Value};

/// A device in a container's network namespace that plugins make, look after and remove.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connection {
    /// The container's id.
    pub container: String,
    /// The path of its network namespace; empty where it is gone already (DEL).
    pub namespace: String,
    /// The name of the device in there.
    pub interface: String,
    /// `CNI_ARGS`: pairs that some plugins look at (`IP`, `MAC`, `K8S_POD_NAME`).
    pub arguments: Vec<(String, String)>,
    /// What is asked of whichever plugin has the capability: `portMappings`, `bandwidth`, `ips`,
    /// `mac`, `aliases`, `dns`, `ipRanges`.
    pub capabilities: Map<String, Value>,
}

/// The kernel's limit of a device's name, without its end.
const NAME_BYTES: usize = 15;

impl Connection {
    /// Refuses what plugins could misunderstand: names become paths, and pairs become one line.
    pub(crate) fn check(&self) -> Result<()> {
        let refused = |why: String| Err(Error::new(Kind::Invalid, why));
        if !is_name(&self.container) {
            return refused(format!("use {:?} as a container's id for plugins", self.container));
        }
        if !is_device_name(&self.interface) {
            return refused(format!("use {:?} as the name of a network device", self.interface));
        }
        if self.namespace.contains('\0') {
            return refused(format!("use {:?} as the path of a namespace", self.namespace));
        }
        let is_plain = |text: &str| !text.contains([';', '=', '\0']) && !text.is_empty();
        match self.arguments.iter().find(|(key, value)| !is_plain(key) || !is_plain(value)) {
            Some((key, value)) => refused(format!("pass {key:?} with {value:?} in CNI_ARGS")),
            None => Ok(()),
        }
    }

    /// The arguments as the environment has them.
    pub(crate) fn arguments_line(&self) -> String {
        let pairs = self.arguments.iter().map(|(key, value)| format!("{key}={value}"));
        pairs.collect::<Vec<_>>().join(";")
    }
}

/// Whether it can be the name of a network or the id of a container: the specification's rule.
pub(crate) fn is_name(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.bytes().all(is_fine)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// Whether it can be the name of a network device (`dev_valid_name` of the kernel).
pub(crate) fn is_device_name(text: &str) -> bool {
    let is_odd = |byte: u8| matches!(byte, b'/' | b':' | 0) || byte.is_ascii_whitespace();
    (1..=NAME_BYTES).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.bytes().any(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_could_misunderstand_is_refused() {
        let good = Connection {
            container: "c1".into(),
            namespace: "/run/netns/x".into(),
            interface: "eth0".into(),
            arguments: vec![("IP".into(), "10.1.2.3".into()), ("K8S_POD_NAME".into(), "p".into())],
            ..Connection::default()
        };
        assert!(good.check().is_ok());
        assert_eq!(good.arguments_line(), "IP=10.1.2.3;K8S_POD_NAME=p");

        let with = |change: &dyn Fn(&mut Connection)| {
            let mut changed = good.clone();
            change(&mut changed);
            changed.check().is_ok()
        };
        assert!(!with(&|it| it.container = "../x".into()));
        assert!(!with(&|it| it.container.clear()));
        assert!(!with(&|it| it.interface = "a-name-of-20-letters".into()));
        assert!(!with(&|it| it.interface = "a b".into()));
        assert!(!with(&|it| it.interface = "..".into()));
        assert!(!with(&|it| it.arguments[0].1 = "1;MAC=2".into()));
        assert!(!with(&|it| it.arguments[0].0.clear()));
        assert!(with(&|it| it.namespace.clear()));
    }
}
