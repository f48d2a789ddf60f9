//! Names to addresses, without the C library: a static binary cannot load the modules that
//! `getaddrinfo` wants.
//!
//! `/etc/hosts` and `/etc/resolv.conf` are read at the first name. `localhost` is always this
//! machine (RFC 6761). A name that a registry sent us to must not lead to an address that it could
//! not have sent us to directly; names that the user gave may lead anywhere.

use crate::address::is_forbidden;
use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolveHosts, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    collections::HashSet,
    error::Error as StdError,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The resolver that all connections share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    resolver: OnceLock<TokioResolver>,
    /// Hosts that the user or a configuration file named.
    trusted: Mutex<HashSet<String>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("trusted", &self.trusted).finish_non_exhaustive()
    }
}

/// Why a name leads nowhere.
#[derive(Debug)]
pub(crate) enum NameError {
    /// The name exists nowhere.
    Unknown,
    /// No server could be asked, or none answered.
    Unanswered(String),
    /// It leads to an address that it must not lead to.
    Forbidden(IpAddr),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such host"),
            Self::Unanswered(why) => write!(f, "the name cannot be looked up: {why}"),
            Self::Forbidden(address) => {
                write!(f, "its name leads to {address}, an address of this machine's own link")
            }
        }
    }
}

impl StdError for NameError {}

impl Names {
    /// From now on `host` may lead to any address.
    pub(crate) fn trust(&self, host: &str) {
        let mut trusted = self.shared.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        trusted.insert(host.to_owned());
    }

    /// Did the user or a configuration file name this host?
    pub(crate) fn trusts(&self, host: &str) -> bool {
        self.shared.trusted.lock().unwrap_or_else(PoisonError::into_inner).contains(host)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let found = shared.look_up(name.as_str()).await?;
            let addresses: Addrs =
                Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

impl Shared {
    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, NameError> {
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let found = self.resolver()?.lookup_ip(host).await.map_err(|error| told(&error))?;
        let trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner).contains(host);
        permitted(found.iter().collect(), trusted)
    }

    fn resolver(&self) -> Result<&TokioResolver, NameError> {
        if let Some(resolver) = self.resolver.get() {
            return Ok(resolver);
        }
        // Without resolv.conf there is still /etc/hosts.
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
            let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default())
        });
        let options = builder.options_mut();
        options.use_hosts_file = ResolveHosts::Always;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let resolver = builder.build().map_err(|error| NameError::Unanswered(error.to_string()))?;
        Ok(self.resolver.get_or_init(|| resolver))
    }
}

/// All of a name's addresses, unless one of them is none that this name may have.
fn permitted(all: Vec<IpAddr>, trusted: bool) -> Result<Vec<IpAddr>, NameError> {
    match all.iter().find(|address| is_forbidden(**address)) {
        Some(address) if !trusted => Err(NameError::Forbidden(*address)),
        _ if all.is_empty() => Err(NameError::Unknown),
        _ => Ok(all),
    }
}

fn told(error: &NetError) -> NameError {
    if error.is_nx_domain() || error.is_no_records_found() {
        return NameError::Unknown;
    }
    NameError::Unanswered(match error {
        NetError::NoConnections => "no name server can be reached".to_owned(),
        NetError::Timeout => "the name server did not answer".to_owned(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_does_not_lead_to_the_metadata_service() {
        let addresses = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let rebound = addresses(&["192.0.2.1", "169.254.169.254"]);
        let usual = addresses(&["192.0.2.1", "2001:db8::1"]);

        assert!(matches!(permitted(rebound.clone(), false), Err(NameError::Forbidden(_))));
        assert_eq!(permitted(rebound.clone(), true).unwrap(), rebound);
        assert_eq!(permitted(usual.clone(), false).unwrap(), usual);
        assert!(matches!(permitted(Vec::new(), true), Err(NameError::Unknown)));
    }
}
