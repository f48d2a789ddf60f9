//! Which namespaces are the container's own.

use crate::options::NetworkMode;
use dhow_spec::runtime::{Linux, NamespaceKind};

pub(super) fn set_network(linux: &mut Linux, network: NetworkMode) {
    if network == NetworkMode::Host {
        linux.namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
    }
}
