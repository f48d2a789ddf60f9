//! What strangers' bytes are tried on; see the runtime's module of this name.

use crate::{Reference, Registries, challenge, credentials::AuthFile};
use std::path::Path;

/// A reference reads back as itself, however it is written.
pub fn reference(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Ok(reference) = Reference::parse(&text) else { return false };
    for written in [reference.to_string(), reference.familiar()] {
        assert_eq!(Reference::parse(&written).ok().as_ref(), Some(&reference), "{text:?}");
    }
    assert!(!reference.path().split('/').any(|part| part == ".." || part.is_empty()));
    true
}

/// A registry's `WWW-Authenticate`: a few challenges at most.
pub fn challenge(bytes: &[u8]) -> bool {
    let found = challenge::parse(&String::from_utf8_lossy(bytes)).len();
    assert!(found <= 16);
    found > 0
}

/// `auth.json`. Helper programs are not started here.
pub fn auth_file(bytes: &[u8]) -> bool {
    let Ok(file) = AuthFile::parse(bytes) else { return false };
    drop(file.in_auths("quay.io", "a/b"));
    true
}

/// `policy.json`.
pub fn policy(bytes: &[u8]) -> bool {
    crate::policy::is_policy(bytes)
}

/// `registries.conf`: where there is an answer, it names somebody to ask.
pub fn registries(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut known = Registries::default();
    let reference = Reference::parse("x.a.io/y").expect("a plain name");
    if known.add(&text, Path::new("/etc/r.conf")).is_err() {
        return false;
    }
    if let Ok(endpoints) = known.endpoints(&reference) {
        assert!(!endpoints.is_empty(), "{text:?}");
    }
    true
}
