//! HTTP and HTTPS: connections, which of the two a registry speaks, and redirects.
//!
//! ```text
//! registry                          first            then
//! not on this machine               HTTPS            nothing
//! on this machine                   HTTPS, checked   HTTP, where the answer is not TLS
//! insecure, by file or by user      HTTPS, any       HTTP, where HTTPS does not work
//! ```
//!
//! What a registry speaks is found out once and remembered. Redirects are followed here and not by
//! the HTTP library, because what a redirect may see and where it may lead is ours to decide.
//!
//! This module tries everything once; it knows neither tokens nor digests.

use crate::{
    address::{Trust, follow, is_loopback, same_origin},
    config::{Config, Patience, Proxies, TlsVerify},
    content::Payload,
    names::Names,
    refusal::{Failure, is_not_tls, is_refused, of_network},
    registries::Endpoint,
    tls::Tls,
};
use dhow_base::{Error, Kind, Result};
use reqwest::{
    Client, Method, Proxy, RequestBuilder, Response,
    header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION},
};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use url::Url;

const REDIRECTS_LIMIT: usize = 5;
const USER_AGENT: &str = concat!("dhow/", env!("CARGO_PKG_VERSION"));

/// Where a registry answers, and how far it is trusted.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    /// `https://host:port/v2/`.
    pub(crate) url: Url,
    pub(crate) trust: Trust,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Sent to the origin of `url` alone, never further.
    pub(crate) authorization: Option<HeaderValue>,
    /// What is sent along; it goes to `url` and nowhere else, so its redirects are not followed.
    pub(crate) payload: Payload,
}

impl Ask {
    pub(crate) fn get(url: Url, authorization: Option<HeaderValue>) -> Self {
        let (method, headers) = (Method::GET, HeaderMap::new());
        Self { method, url, headers, authorization, payload: Payload::Nothing }
    }
}

/// An answer, from wherever the redirects led.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// Who answered at last.
    pub(crate) url: Url,
    /// Is that still the origin that was asked?
    pub(crate) at_origin: bool,
    /// Whom the user named, and how far they are trusted.
    pub(crate) base: Base,
}

/// The connections of one client.
#[derive(Debug)]
pub(crate) struct Transport {
    tls: Tls,
    tls_verify: TlsVerify,
    proxies: Proxies,
    patience: Patience,
    names: Names,
    connections: Mutex<HashMap<Group, Client>>,
    bases: Mutex<HashMap<(String, bool), Base>>,
}

/// Hosts that may share a connection pool: those with the same certificates and the same trust.
type Group = (Option<PathBuf>, Trust);

impl Transport {
    pub(crate) fn new(config: &Config) -> Self {
        let names = Names::default();
        for proxy in [&config.proxies.http, &config.proxies.https].into_iter().flatten() {
            if let Some(host) = Url::parse(proxy).ok().as_ref().and_then(Url::host_str) {
                names.trust(host);
            }
        }
        Self {
            tls: Tls::new(config),
            tls_verify: config.tls_verify,
            proxies: config.proxies.clone(),
            patience: config.patience.clone(),
            names,
            connections: Mutex::default(),
            bases: Mutex::default(),
        }
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Where `endpoint` answers. Asks it, where both HTTPS and HTTP are possible.
    pub(crate) async fn base(&self, endpoint: &Endpoint) -> Result<Base, Failure> {
        // A prefix of registries.conf can make a part of a registry insecure, so both count.
        let key = (endpoint.domain.clone(), endpoint.insecure);
        if let Some(base) = self.bases().get(&key) {
            return Ok(base.clone());
        }
        let base = self.find_base(endpoint).await?;
        self.bases().insert(key, base.clone());
        Ok(base)
    }

    /// A place that the user has named by its whole address.
    pub(crate) fn named(&self, url: &Url) -> Base {
        self.names.trust(url.host_str().unwrap_or_default());
        let insecure = self.tls_verify == TlsVerify::Never;
        let trust = if insecure { Trust::Insecure } else { Trust::Checked };
        Base { url: url.clone(), trust }
    }

    fn bases(&self) -> MutexGuard<'_, HashMap<(String, bool), Base>> {
        self.bases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find_base(&self, endpoint: &Endpoint) -> Result<Base, Failure> {
        let insecure = endpoint.insecure || self.tls_verify == TlsVerify::Never;
        let trust = if insecure { Trust::Insecure } else { Trust::Checked };
        let https = Base { url: base_url("https", &endpoint.domain)?, trust };
        self.names.trust(https.url.host_str().unwrap_or_default());
        if trust == Trust::Checked && !is_loopback(&https.url) {
            return Ok(https);
        }
        let error = match self.knock(&https.url, trust).await? {
            Ok(()) => return Ok(https),
            Err(error) => error,
        };
        // Without a port the two schemes have different ones, so a refusal says nothing of HTTP.
        let port_is_open = !is_refused(&error) || https.url.port().is_none();
        let tries_http = match trust {
            Trust::Insecure => port_is_open,
            Trust::Checked => is_not_tls(&error) || (is_refused(&error) && port_is_open),
        };
        let http = Base { url: base_url("http", &endpoint.domain)?, trust };
        if tries_http && self.knock(&http.url, trust).await?.is_ok() {
            return Ok(http);
        }
        Err(of_network(error, &https.url))
    }

    /// Does anybody answer there? What they answer does not matter.
    async fn knock(&self, url: &Url, trust: Trust) -> Result<Result<(), reqwest::Error>, Failure> {
        let request = self.connections(url, trust)?.get(url.clone());
        let answered = request.timeout(self.patience.connect).send().await;
        Ok(answered.map(drop))
    }

    /// Sends a request once and follows redirects.
    pub(crate) async fn send(&self, ask: &Ask, base: &Base) -> Result<Answer, Failure> {
        let mut url = ask.url.clone();
        let mut at_origin = true;
        for _ in 0..=REDIRECTS_LIMIT {
            let connections = self.connections(&url, self.trust_in(&url, base))?;
            let mut request = connections.request(ask.method.clone(), url.clone());
            request = request.headers(ask.headers.clone());
            if matches!(ask.payload, Payload::Nothing) && !ask.method.is_safe() {
                // Some servers want to hear that nothing comes.
                request = request.header(CONTENT_LENGTH, 0);
            }
            if let Some(authorization) = ask.authorization.as_ref().filter(|_| at_origin) {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = self.exchange(request, &ask.payload, &url).await?;
            match redirect(&response) {
                // Whoever changes something changes it where it was meant to be changed.
                Some(location) if ask.method.is_safe() => {
                    url = follow(&url, location, &base.url, base.trust)?;
                    // Once away from the origin, nothing of ours is shown even back there.
                    at_origin &= same_origin(&url, &ask.url);
                }
                _ => return Ok(Answer { response, url, at_origin, base: base.clone() }),
            }
        }
        let what = format!("follow the redirects of {}", crate::address::shown(&ask.url));
        Err(Error::new(Kind::Unavailable, format!("{what}: more than {REDIRECTS_LIMIT}")).into())
    }

    async fn exchange(
        &self,
        request: RequestBuilder,
        payload: &Payload,
        url: &Url,
    ) -> Result<Response, Failure> {
        let stall = self.patience.stall;
        match payload {
            Payload::Nothing => within(stall, url, request.send()).await,
            Payload::Bytes(bytes) => within(stall, url, request.body(bytes.clone()).send()).await,
            Payload::Part(part) => {
                let (body, pulse) = part.start();
                pulse.watch(stall, url, request.body(body).send()).await
            }
        }
    }

    /// Being insecure is a property of the registry's host, not of whomever it sends us to.
    fn trust_in(&self, url: &Url, base: &Base) -> Trust {
        if self.tls_verify == TlsVerify::Never || url.host() == base.url.host() {
            base.trust
        } else {
            Trust::Checked
        }
    }

    fn connections(&self, url: &Url, trust: Trust) -> Result<Client> {
        let shown = crate::address::shown(url);
        let mut hosts = vec![shown.as_str()];
        if url.host_str() == Some(DOCKER_HUB_HOST) {
            hosts.push("docker.io");
        }
        // What the user gave for the registry is not shown to whomever that sends us to.
        let own = self
            .tls
            .own_directory()
            .filter(|_| url.host_str().is_some_and(|host| self.names.trusts(host)));
        let directory = own.or_else(|| self.tls.directory(&hosts));
        let mut all = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let group = (directory, trust);
        if let Some(client) = all.get(&group) {
            return Ok(client.clone());
        }
        let client = self.connect(&group)?;
        all.insert(group, client.clone());
        Ok(client)
    }

    fn connect(&self, (directory, trust): &Group) -> Result<Client> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(self.tls.configuration(directory.as_deref(), *trust)?)
            .dns_resolver(self.names.clone())
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(USER_AGENT)
            .connect_timeout(self.patience.connect)
            .tcp_keepalive(Duration::from_secs(15))
            .no_proxy();
        for proxy in proxies(&self.proxies)? {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|error| {
            Error::new(Kind::Internal, "prepare connections").because(error.without_url())
        })
    }
}

/// Where Docker Hub really answers.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

fn base_url(scheme: &str, domain: &str) -> Result<Url> {
    let host = if domain == "docker.io" { DOCKER_HUB_HOST } else { domain };
    Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| {
        Error::new(Kind::Invalid, format!("use {domain:?} as a registry: {error}"))
    })
}

fn redirect(response: &Response) -> Option<&str> {
    let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response.headers().get(LOCATION).filter(|_| moved)?.to_str().ok()
}

type MakeProxy = fn(&str) -> reqwest::Result<Proxy>;

fn proxies(proxies: &Proxies) -> Result<Vec<Proxy>> {
    let except = format!("{},localhost,127.0.0.0/8,::1", proxies.except.as_deref().unwrap_or(""));
    let mut all = Vec::new();
    let both = [
        (&proxies.http, "http", (|address| Proxy::http(address)) as MakeProxy),
        (&proxies.https, "https", |address| Proxy::https(address)),
    ];
    for (address, scheme, make) in both {
        let Some(address) = address.as_deref().filter(|address| !address.is_empty()) else {
            continue;
        };
        let proxy = make(address).map_err(|_| {
            // The address is not shown: it may hold a password.
            Error::new(Kind::Invalid, format!("use the {scheme} proxy: it is no address"))
                .hint("a proxy looks like http://proxy.example:3128")
        })?;
        all.push(proxy.no_proxy(reqwest::NoProxy::from_string(&except)));
    }
    Ok(all)
}

/// Waits for a step of an exchange with `url`, but not forever.
pub(crate) async fn within<T>(
    limit: Duration,
    url: &Url,
    step: impl Future<Output = reqwest::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, step).await {
        Ok(done) => done.map_err(|error| of_network(error, url)),
        Err(_) => Err(Failure::passing(silent(url, limit))),
    }
}

/// The error of a server that has stopped talking.
pub(crate) fn silent(url: &Url, limit: Duration) -> Error {
    let host = crate::address::shown(url);
    Error::new(Kind::TimedOut, format!("wait for {host}: almost nothing came for {limit:?}"))
        .hint("check the network; the registry may be overloaded")
}
