//! Being let in: from a registry's challenge to the `Authorization` that answers it.
//!
//! ```text
//!  401 Bearer realm, service, scope ──▶ GET realm?service&scope   (password, or nobody)
//!                                       POST realm                (identity token, or a password
//!                                                                  where GET is not known)
//!                                 ◀── token, good for some seconds; at a login perhaps also an
//!                                     identity token, to be shown in place of the password
//!  401 Basic ──▶ name and password, as they are
//! ```
//!
//! One repository at one registry has one session. What its token is good for adds up: who pushes
//! after having looked gets a token for both (see [`crate::scope`]). When ten blobs find their token expired at the
//! same moment, one of them fetches the new one and nine wait for it.
//!
//! A registry may name any token server, and dhow cannot know whose it is. So credentials go there
//! over HTTPS only (or within this machine), and never on to a third place.

use crate::{
    address::{is_forbidden, is_loopback, literal, shown},
    challenge::{self, Challenge},
    content::Payload,
    credentials::{Credentials, Keyring, Secret},
    login,
    refusal::{Failure, Refusal, tame},
    registries::Endpoint,
    scope::Scopes,
    transport::{Ask, Base, Transport, within},
};
use data_encoding::BASE64;
use dhow_base::{Error, Kind, Result};
use reqwest::{
    Method, Response,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};
use url::{Url, form_urlencoded};

/// Tokens that carry many rights are long; none is this long.
const TOKEN_LIMIT_BYTES: usize = 256 << 10;
/// What a token server means that does not say how long its token is good.
const USUAL_LIFE: Duration = Duration::from_secs(60);
/// A token this close to its end is not used any more.
const MARGIN: Duration = Duration::from_secs(5);
const NOTICES_LIMIT: usize = 100;
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// All sessions of a client.
#[derive(Debug)]
pub(crate) struct Sessions {
    keyring: Keyring,
    /// The user's own credentials, for registries but not for mirrors.
    given: Option<Credentials>,
    all: Mutex<HashMap<Place, Arc<AsyncMutex<Session>>>>,
    notices: Mutex<Vec<String>>,
    /// Whether this is a login, which wants something to keep in place of the password.
    wants_identity: AtomicBool,
    /// By domain, the identity tokens that servers gave and that are kept nowhere else: the latest is
    /// the one to show.
    identities: Mutex<HashMap<String, Secret>>,
    /// Held from looking an identity token up until the one that came for it is kept.
    turn: AsyncMutex<()>,
}

/// Domain and repository.
type Place = (String, String);

#[derive(Debug, Default)]
struct Session {
    /// Looked up at the first challenge; the inner `None` means that there are none.
    credentials: Option<Option<Credentials>>,
    /// All that it has been let in for so far.
    scopes: Scopes,
    proof: Option<Proof>,
}

impl Session {
    /// The proof, if it is still good and serves for `scopes`.
    fn proof_for(&self, scopes: &Scopes) -> Option<&Proof> {
        self.proof.as_ref().filter(|proof| proof.is_good() && proof.serves_for(scopes))
    }
}

/// A question that was refused with a challenge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused<'a> {
    pub(crate) endpoint: &'a Endpoint,
    /// The challenge.
    pub(crate) response: &'a Response,
    /// What had been sent along all the same.
    pub(crate) sent: Option<&'a HeaderValue>,
    /// What the question needs.
    pub(crate) scopes: &'a Scopes,
}

/// What is sent, and until when it is good.
#[derive(Clone, Debug)]
struct Proof {
    header: HeaderValue,
    until: Option<Instant>,
    /// What a token was asked for; a password serves for everything.
    scopes: Option<Scopes>,
}

impl Proof {
    fn new(scheme: &str, secret: &str) -> Result<Self> {
        let mut header = HeaderValue::from_str(&format!("{scheme} {secret}")).map_err(|_| {
            Error::new(Kind::Invalid, "use a token or password: a header cannot hold it")
        })?;
        header.set_sensitive(true);
        Ok(Self { header, until: None, scopes: None })
    }

    fn basic(user: &str, password: &Secret) -> Result<Self> {
        let both = format!("{user}:{}", password.reveal());
        Self::new("Basic", &BASE64.encode(both.as_bytes()))
    }

    fn is_good(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    fn serves_for(&self, scopes: &Scopes) -> bool {
        self.scopes.as_ref().is_none_or(|granted| granted.cover(scopes))
    }
}

impl Sessions {
    pub(crate) fn new(keyring: Keyring, given: Option<Credentials>) -> Self {
        Self {
            keyring,
            given,
            all: Mutex::default(),
            notices: Mutex::default(),
            wants_identity: AtomicBool::new(false),
            identities: Mutex::default(),
            turn: AsyncMutex::default(),
        }
    }

    /// What to send along to `endpoint` for `scopes`, as far as we know without asking.
    pub(crate) async fn current(
        &self,
        endpoint: &Endpoint,
        scopes: &Scopes,
    ) -> Option<HeaderValue> {
        let session = self.session(endpoint);
        let session = session.lock().await;
        session.proof_for(scopes).map(|proof| proof.header.clone())
    }

    /// Answers the challenge in `refused`.
    pub(crate) async fn renew(
        &self,
        transport: &Transport,
        base: &Base,
        refused: &Refused<'_>,
    ) -> Result<HeaderValue, Failure> {
        let Refused { endpoint, response, sent, scopes } = *refused;
        let session = self.session(endpoint);
        let mut session = session.lock().await;
        if let Some(proof) = session.proof_for(scopes)
            && Some(&proof.header) != sent
        {
            return Ok(proof.header.clone());
        }
        let credentials = match &session.credentials {
            Some(credentials) => credentials.clone(),
            None => self.look_up(endpoint).await?,
        };
        session.credentials = Some(credentials.clone());
        let (credentials, _turn) = self.latest(endpoint, credentials).await?;
        let challenge = choose(response.headers(), credentials.as_ref());
        let scopes = session.scopes.clone().and(scopes);
        let visit = Visit { sessions: self, transport, endpoint, base, scopes: scopes.clone() };
        let Granted { proof, identity } = visit.answer(challenge, credentials.clone()).await?;
        if let Some(token) = identity {
            self.keep(endpoint, credentials, token).await;
        }
        let header = proof.header.clone();
        // Only what was granted is asked for again: a repository that is closed to us, and that a
        // blob would only have been mounted from, must not close this one.
        session.scopes = scopes;
        session.proof = Some(proof);
        Ok(header)
    }

    /// From now on a token server is asked for what can be kept in place of a password.
    pub(crate) fn ask_for_identity(&self) {
        self.wants_identity.store(true, Ordering::Relaxed);
    }

    /// What the token server of a registry gave to be kept in place of the password.
    pub(crate) fn take_identity(&self, domain: &str) -> Option<Secret> {
        self.identities().remove(domain)
    }

    /// A server may give another identity token each time that one is shown, and then the old one is
    /// good no more: so who shows one waits for its turn, and then looks which is the latest.
    async fn latest(
        &self,
        endpoint: &Endpoint,
        credentials: Option<Credentials>,
    ) -> Result<(Option<Credentials>, Option<AsyncMutexGuard<'_, ()>>)> {
        let Some(Credentials::IdentityToken { user, .. }) = &credentials else {
            return Ok((credentials, None));
        };
        let turn = self.turn.lock().await;
        let own = self.identities().get(&endpoint.domain).cloned();
        let latest = match own {
            Some(token) => Some(Credentials::IdentityToken { user: user.clone(), token }),
            // Another command may have been given another one since.
            None => self.look_up(endpoint).await?,
        };
        Ok((latest, Some(turn)))
    }

    /// Keeps what a server gave: in place of the identity token that was shown, wherever that one is
    /// kept, else until the end of this command.
    async fn keep(&self, endpoint: &Endpoint, shown: Option<Credentials>, token: Secret) {
        let domain = &endpoint.domain;
        match shown {
            Some(Credentials::IdentityToken { token: old, .. }) if old == token => return,
            Some(Credentials::IdentityToken { token: old, .. }) if !self.is_given(endpoint) => {
                match self.replace(domain, old, token.clone()).await {
                    Ok(true) => {
                        self.identities().remove(domain);
                        return;
                    }
                    Ok(false) => {}
                    Err(error) => self.notice(format!(
                        "{domain} wants another identity token from now on, which could not be kept ({}): \
                         log in again with `dhow login {domain}`",
                        error.one_line()
                    )),
                }
            }
            _ => {}
        }
        self.identities().insert(domain.clone(), token);
    }

    async fn replace(&self, domain: &str, old: Secret, new: Secret) -> Result<bool> {
        let (keyring, domain) = (self.keyring.clone(), domain.to_owned());
        tokio::task::spawn_blocking(move || login::replace_identity(&keyring, &domain, &old, &new))
            .await
            .map_err(|error| Error::new(Kind::Internal, "keep an identity token").because(error))?
    }

    /// Are the credentials for it the user's own, for this command alone?
    fn is_given(&self, endpoint: &Endpoint) -> bool {
        self.given.is_some() && !endpoint.mirror
    }

    fn identities(&self) -> MutexGuard<'_, HashMap<String, Secret>> {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Things that the user may want to know, each once.
    pub(crate) fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn notice(&self, text: String) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() < NOTICES_LIMIT && !notices.contains(&text) {
            notices.push(text);
        }
    }

    fn session(&self, endpoint: &Endpoint) -> Arc<AsyncMutex<Session>> {
        let key = (endpoint.domain.clone(), endpoint.path.clone());
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(key).or_default())
    }

    async fn look_up(&self, endpoint: &Endpoint) -> Result<Option<Credentials>> {
        if self.is_given(endpoint) {
            return Ok(self.given.clone());
        }
        let keyring = self.keyring.clone();
        let (domain, path) = (endpoint.domain.clone(), endpoint.path.clone());
        tokio::task::spawn_blocking(move || keyring.find(&domain, &path))
            .await
            .map_err(|error| Error::new(Kind::Internal, "look for credentials").because(error))?
    }
}

/// What lets us in, and what may be shown next time.
struct Granted {
    proof: Proof,
    identity: Option<Secret>,
}

impl From<Proof> for Granted {
    fn from(proof: Proof) -> Self {
        Self { proof, identity: None }
    }
}

/// The challenge to answer: a token where one is offered, else the password if there is one.
fn choose(headers: &HeaderMap, credentials: Option<&Credentials>) -> Option<Challenge> {
    let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let all: Vec<Challenge> = texts.flat_map(challenge::parse).collect();
    let bearer = all.iter().find(|offer| matches!(offer, Challenge::Bearer { .. }));
    let basic = || all.iter().find(|_| matches!(credentials, Some(Credentials::Password { .. })));
    bearer.or_else(basic).cloned()
}

/// One attempt to be let in.
struct Visit<'a> {
    sessions: &'a Sessions,
    transport: &'a Transport,
    endpoint: &'a Endpoint,
    base: &'a Base,
    scopes: Scopes,
}

impl Visit<'_> {
    async fn answer(
        &self,
        challenge: Option<Challenge>,
        credentials: Option<Credentials>,
    ) -> Result<Granted, Failure> {
        match (challenge, credentials) {
            (_, Some(Credentials::RegistryToken(token))) => {
                Ok(Proof::new("Bearer", token.reveal())?.into())
            }
            (Some(Challenge::Bearer { realm, service, scope }), credentials) => {
                let realm = self.realm(&realm, credentials.is_some())?;
                // What the registry names counts too: it may know repositories by other names.
                let named = Scopes::parse(&scope.unwrap_or_default());
                let scopes = self.scopes.clone().and(&named);
                let to_keep = self.sessions.wants_identity.load(Ordering::Relaxed);
                let wish = Wish { service, scopes, to_keep };
                self.token(&realm, &wish, credentials).await
            }
            (Some(Challenge::Basic), Some(Credentials::Password { user, password })) => {
                Ok(Proof::basic(&user, &password)?.into())
            }
            _ => {
                let domain = &self.endpoint.domain;
                Err(Error::new(
                    Kind::Denied,
                    format!("enter {domain}: unauthorized: authentication required"),
                )
                .hint(format!("log in to {domain} with `dhow login {domain}`, or use --creds"))
                .into())
            }
        }
    }

    /// The token server's address, if it may be asked.
    fn realm(&self, text: &str, with_credentials: bool) -> Result<Url> {
        let domain = &self.endpoint.domain;
        let text = tame(text);
        let refuse = |why: &str| {
            let what = format!("ask for a token for {domain}: its token server {text:?} {why}");
            Error::new(Kind::Denied, what)
        };
        let realm = Url::parse(&text).map_err(|_| refuse("is no address"))?;
        let registry = &self.base.url;
        let same_host = realm.host() == registry.host();
        let near = same_host || (is_loopback(&realm) && is_loopback(registry));
        match realm.scheme() {
            "https" => {}
            "http" if !with_credentials => {}
            "http" if near && (is_loopback(&realm) || registry.scheme() == "http") => {}
            "http" => return Err(refuse("would get the password over plain HTTP")),
            _ => return Err(refuse("is not reached by HTTP")),
        }
        if literal(&realm).is_some_and(is_forbidden) && !same_host {
            return Err(refuse("is an address of this machine's own link"));
        }
        if !realm.username().is_empty() || realm.password().is_some() {
            return Err(refuse("holds a password"));
        }
        if with_credentials && !near && !same_site(&realm, registry) {
            let server = shown(&realm);
            self.sessions
                .notice(format!("{domain} sent the login on to its token server {server}"));
        }
        Ok(realm)
    }

    async fn token(
        &self,
        realm: &Url,
        wish: &Wish,
        credentials: Option<Credentials>,
    ) -> Result<Granted, Failure> {
        let began = Instant::now();
        let ask = match &credentials {
            Some(Credentials::IdentityToken { token, .. }) => wish.by_identity(realm, token),
            Some(Credentials::Password { user, password }) => {
                let proof = Proof::basic(user, password)?;
                wish.by_query(realm, Some(user), Some(proof.header))
            }
            _ => wish.by_query(realm, None, None),
        };
        let mut answer = self.transport.send(&ask, self.base).await?;
        if let Some(Credentials::Password { user, password }) = &credentials
            && matches!(answer.response.status().as_u16(), 404 | 405)
        {
            // Some servers only know OAuth2's way.
            let ask = wish.by_password(realm, user, password);
            answer = self.transport.send(&ask, self.base).await?;
        }
        let patience = self.transport.patience();
        let pause = crate::fetcher::retry_after(answer.response.headers());
        let (status, mut response) = (answer.response.status(), answer.response);
        let reading = crate::fetcher::read_limited(&mut response, TOKEN_LIMIT_BYTES);
        let body = within(patience.stall, &answer.url, async { Ok(reading.await) }).await?;
        let domain = &self.endpoint.domain;
        if !status.is_success() {
            let body = body.unwrap_or_default();
            let refusal = Refusal { status, url: &answer.url, domain, body: &body, pause };
            return Err(refusal.failure(patience.longest_pause));
        }
        let body = body?;
        let bad = |why: &str| {
            Error::new(Kind::Unavailable, format!("ask {} for a token: {why}", shown(&answer.url)))
        };
        // serde's own text could quote the token.
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|_| bad("its answer is not the expected JSON"))?;
        let life = answer.expires_in.map_or(USUAL_LIFE, Duration::from_secs);
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| bad("its answer holds no token"))?;
        // A year is as good as forever, and cannot overflow the clock.
        let life = life.clamp(MARGIN * 2, Duration::from_secs(365 * 86_400)) - MARGIN;
        let (until, scopes) = (Some(began + life), Some(wish.scopes.clone()));
        let proof = Proof { until, scopes, ..Proof::new("Bearer", &token)? };
        let identity = answer.refresh_token.filter(|token| !token.is_empty()).map(Secret::new);
        Ok(Granted { proof, identity })
    }
}

/// What a token should be good for.
struct Wish {
    service: Option<String>,
    scopes: Scopes,
    /// Whether an identity token is wanted too.
    to_keep: bool,
}

/// By this name token servers know which program asks.
const CLIENT: &str = "dhow";

impl Wish {
    fn by_query(&self, realm: &Url, user: Option<&str>, proof: Option<HeaderValue>) -> Ask {
        let mut url = realm.clone();
        let mut query = url.query_pairs_mut();
        if let Some(service) = &self.service {
            query.append_pair("service", service);
        }
        for scope in self.scopes.texts() {
            query.append_pair("scope", &scope);
        }
        if let Some(user) = user {
            query.append_pair("account", user);
        }
        if self.to_keep && user.is_some() {
            query.append_pair("client_id", CLIENT).append_pair("offline_token", "true");
        }
        drop(query);
        Ask::get(url, proof)
    }

    fn by_identity(&self, realm: &Url, token: &Secret) -> Ask {
        self.by_form(realm, &[("grant_type", "refresh_token"), ("refresh_token", token.reveal())])
    }

    fn by_password(&self, realm: &Url, user: &str, password: &Secret) -> Ask {
        let access = if self.to_keep { "offline" } else { "online" };
        let all = [
            ("grant_type", "password"),
            ("access_type", access),
            ("username", user),
            ("password", password.reveal()),
        ];
        self.by_form(realm, &all)
    }

    fn by_form(&self, realm: &Url, grant: &[(&str, &str)]) -> Ask {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("service", self.service.as_deref().unwrap_or_default())
            .append_pair("scope", &self.scopes.to_string())
            .append_pair("client_id", CLIENT)
            .extend_pairs(grant)
            .finish();
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, FORM)]);
        let payload = Payload::Bytes(form.into());
        Ask { method: Method::POST, url: realm.clone(), headers, authorization: None, payload }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}

/// Do two hosts share their last two labels, as `auth.docker.io` and `registry-1.docker.io` do?
fn same_site(one: &Url, other: &Url) -> bool {
    let site = |url: &Url| {
        let name = url.domain()?;
        let mut labels = name.rsplit('.');
        Some((labels.next()?.to_owned(), labels.next()?.to_owned()))
    };
    site(one).is_some() && site(one) == site(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{address::Trust, config::Config};

    /// Asks whether a registry may name this token server; gives the error or the notices.
    fn realm(registry: &str, realm: &str, with_credentials: bool) -> Result<Vec<String>> {
        let sessions = Sessions::new(Keyring::new(Vec::new()), None);
        let transport = Transport::new(&Config::default());
        let base = Base { url: Url::parse(registry).unwrap(), trust: Trust::Checked };
        let (domain, path) = (shown(&base.url), "a".to_owned());
        let endpoint = Endpoint { domain, path, insecure: false, mirror: false };
        let visit = Visit {
            sessions: &sessions,
            transport: &transport,
            endpoint: &endpoint,
            base: &base,
            scopes: Scopes::pull("a"),
        };
        visit.realm(realm, with_credentials)?;
        Ok(sessions.take_notices())
    }

    #[test]
    fn a_password_goes_to_another_place_over_https_only_and_not_unnoticed() {
        let hub = "https://registry-1.docker.io/v2/";
        let near = "http://127.0.0.1:5000/v2/";
        let plain = "http://registry.lan:5000/v2/";
        let cases = [
            (hub, "https://auth.docker.io/token", true, Some(0)),
            (hub, "https://tokens.example.com/", true, Some(1)),
            (hub, "https://tokens.example.com/", false, Some(0)),
            (hub, "http://auth.docker.io/token", true, None),
            (hub, "http://auth.docker.io/token", false, Some(0)),
            (hub, "http://127.0.0.1/token", true, None),
            (near, "http://localhost:5001/token", true, Some(0)),
            (near, "http://auth.lan/token", true, None),
            (plain, "http://registry.lan:5001/token", true, Some(0)),
            (plain, "http://auth.lan/token", true, None),
            ("https://registry.lan/v2/", "http://registry.lan/token", true, None),
            (hub, "http://169.254.169.254/token", false, None),
            (hub, "http://[::ffff:169.254.169.254]/token", false, None),
        ];
        for (registry, server, with_credentials, notices) in cases {
            let result = realm(registry, server, with_credentials);
            let count = result.as_ref().ok().map(Vec::len);
            assert_eq!(count, notices, "{registry} names {server}: {result:?}");
        }
    }

    #[test]
    fn a_proof_is_not_shown() {
        let proof = Proof::basic("me", &Secret::new("hunter2")).unwrap();

        assert!(!format!("{proof:?}").contains("bWU6aHVudGVyMg"), "{proof:?}");
        assert!(Proof::new("Bearer", "a\r\nX: b").is_err());
    }
}
