//! Failures of the network and refusals of registries, in our words.
//!
//! What a registry says about a refusal is shown, but it is a stranger's text: it is cut short, and
//! characters that steer a terminal are left out. Addresses are shown without their query, since
//! that is where storage services carry signatures.

use crate::{address::shown, names::NameError};
use dhow_base::{Error, Kind};
use reqwest::StatusCode;
use rustls::CertificateError;
use serde::Deserialize;
use std::{error::Error as StdError, io, time::Duration};
use url::Url;

const SAID_LIMIT_CHARS: usize = 300;

/// A failure, and whether trying again makes sense.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The next try may succeed, but not before the pause that was asked for.
    Passing { error: Error, pause: Option<Duration> },
    /// Every try would end like this.
    Lasting(Error),
}

impl Failure {
    pub(crate) fn passing(error: Error) -> Self {
        Self::Passing { error, pause: None }
    }

    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Passing { error, .. } | Self::Lasting(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

/// What went wrong below HTTP.
pub(crate) fn of_network(error: reqwest::Error, url: &Url) -> Failure {
    let error = error.without_url();
    let host = shown(url);
    let reach = |kind, why: String| {
        Error::new(kind, format!("reach {host} by {}", url.scheme())).because(why)
    };
    if let Some(cause) = find::<NameError>(&error) {
        return match cause {
            NameError::Unanswered(_) => Failure::passing(
                reach(Kind::Unavailable, cause.to_string())
                    .hint("check the network and /etc/resolv.conf"),
            ),
            NameError::Unknown => Failure::Lasting(
                reach(Kind::Unavailable, cause.to_string())
                    .hint(format!("check the registry's name, {host}")),
            ),
            NameError::Forbidden(_) => Failure::Lasting(reach(Kind::Denied, cause.to_string())),
        };
    }
    if let Some(rustls::Error::InvalidCertificate(why)) = find::<rustls::Error>(&error) {
        let (why, hint) = certificate_words(why, &host);
        return Failure::Lasting(reach(Kind::Denied, why).hint(hint));
    }
    let refused = find::<io::Error>(&error)
        .is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused);
    let why = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(&error) };
    let error = reach(Kind::Unavailable, why);
    Failure::passing(if refused {
        error.hint(format!("no registry listens at {host}; check the name and the port"))
    } else {
        error.hint("check the network, and the proxy if there is one")
    })
}

fn certificate_words(why: &CertificateError, host: &str) -> (String, String) {
    let trust_it = format!(
        "put its authority's certificate into /etc/containers/certs.d/{host}/ca.crt, or name the \
         registry insecure in registries.conf"
    );
    match why {
        CertificateError::UnknownIssuer => {
            ("its certificate is signed by an unknown authority".into(), trust_it)
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("its certificate has expired".into(), "check this machine's clock".into())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("its certificate is not valid yet".into(), "check this machine's clock".into())
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (format!("its certificate is not for {host}"), "check the registry's name".into())
        }
        other => (format!("its certificate is not accepted: {other}"), trust_it),
    }
}

/// Does the other side, by what it sent, not speak TLS at all?
pub(crate) fn is_not_tls(error: &reqwest::Error) -> bool {
    match find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidMessage(_)) => true,
        Some(_) => false,
        None => find::<io::Error>(error).is_some_and(|cause| {
            matches!(
                cause.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
            )
        }),
    }
}

/// Did nobody listen?
pub(crate) fn is_refused(error: &reqwest::Error) -> bool {
    find::<io::Error>(error).is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}

/// Looks for an error of type `T` in the chain, also inside of `io::Error`s, whose `source` leaves
/// out the error that they wrap.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(link) = next {
        if let Some(found) = link.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = link.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => link.source(),
        };
    }
    None
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// What a registry answered that is not what was asked for.
#[derive(Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) status: StatusCode,
    /// Who answered.
    pub(crate) url: &'a Url,
    /// The registry as the user knows it, for the hints.
    pub(crate) domain: &'a str,
    /// The beginning of the answer's body.
    pub(crate) body: &'a [u8],
    /// `Retry-After`.
    pub(crate) pause: Option<Duration>,
}

impl Refusal<'_> {
    pub(crate) fn failure(&self, longest_pause: Duration) -> Failure {
        let Self { status, domain, .. } = self;
        let said = match said(self.body) {
            Some(said) => format!(": {said}"),
            // The answer to a HEAD has no body in which a registry would say so.
            None if status.as_u16() == 401 => ": authentication required".to_owned(),
            None => String::new(),
        };
        let what = format!("{} answered {status}{said}", shown(self.url));
        let error = |kind| Error::new(kind, what.clone());
        match status.as_u16() {
            401 => error(Kind::Denied)
                .hint(format!("check the name, or log in to {domain} with `dhow login` or --creds"))
                .into(),
            403 => error(Kind::Denied)
                .hint(format!("check the name, or log in to {domain} as somebody who may"))
                .into(),
            404 => error(Kind::NotFound).hint("check the name and the tag").into(),
            408 | 429 | 500 | 502..=504 => {
                match self.pause.filter(|pause| *pause > longest_pause) {
                    Some(pause) => error(Kind::Unavailable)
                        .hint(format!("it asks to wait for {} seconds", pause.as_secs()))
                        .into(),
                    None => Failure::Passing { error: error(Kind::Unavailable), pause: self.pause },
                }
            }
            416 => error(Kind::Corrupt).into(),
            405 | 415 | 501 => error(Kind::Unsupported).into(),
            _ => error(Kind::Unavailable).into(),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    errors: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The registry's own reason, if its answer has the specified form.
fn said(body: &[u8]) -> Option<String> {
    let body: Body = serde_json::from_slice(body).ok()?;
    let first = body.errors.into_iter().next()?;
    let text = match (first.code.as_str(), first.message.as_str()) {
        ("", "") => return None,
        ("", only) | (only, "") => only.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    Some(tame(&text))
}

/// Cuts a stranger's text and leaves out what a terminal would obey.
pub(crate) fn tame(text: &str) -> String {
    // The ranges are the marks that turn the direction of text around.
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { ' ' } else { c }).take(SAID_LIMIT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str, pause: Option<u64>) -> Failure {
        let url = Url::parse("https://r.io:5000/v2/a?sig=hunter2").unwrap();
        let refusal = Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            url: &url,
            domain: "r.io",
            body: body.as_bytes(),
            pause: pause.map(Duration::from_secs),
        };
        refusal.failure(Duration::from_secs(60))
    }

    #[test]
    fn a_registrys_reason_is_shown_tamed() {
        let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"\u001b[31mno\u202e"}]}"#;

        let error = failure(404, body, None).into_error();

        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(
            error.to_string(),
            "r.io:5000 answered 404 Not Found: MANIFEST_UNKNOWN:  [31mno "
        );
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(10_000));
        assert!(failure(500, &long, None).into_error().to_string().len() < 500);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let cases = [
            (401, None, Kind::Denied, false),
            (403, None, Kind::Denied, false),
            (404, None, Kind::NotFound, false),
            (416, None, Kind::Corrupt, false),
            (418, None, Kind::Unavailable, false),
            (429, None, Kind::Unavailable, true),
            (429, Some(5), Kind::Unavailable, true),
            (429, Some(3600), Kind::Unavailable, false),
            (500, None, Kind::Unavailable, true),
            (501, None, Kind::Unsupported, false),
            (503, Some(1), Kind::Unavailable, true),
        ];
        for (status, pause, kind, passes) in cases {
            let failure = failure(status, "<html>", pause);
            assert_eq!(matches!(failure, Failure::Passing { .. }), passes, "{status} {pause:?}");
            assert_eq!(failure.into_error().kind(), kind, "{status} {pause:?}");
        }
    }
}
