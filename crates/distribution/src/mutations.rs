//! Parsers of strangers' text against mutated text: nothing may panic, hang, or come out different
//! from what it went in as. The seed is fixed, so a failure can be seen again.

use crate::{Reference, Registries, challenge, credentials::AuthFile};
use std::path::Path;

const ROUNDS: usize = 20_000;

/// Xorshift: small, fast and always the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// Changes a few bytes: overwrites, inserts, deletes, repeats or cuts.
    fn mutate(&mut self, seed: &str) -> String {
        const SPICE: &[u8] = b"/:@.-_[]{}\"\\=, \0\n\xff%aA0";
        let mut bytes = seed.as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let spice = SPICE[self.below(SPICE.len())];
            match self.below(5) {
                0 => bytes.insert(at, spice),
                1 if at < bytes.len() => bytes[at] = spice,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.extend_from_within(at..),
                _ => bytes.truncate(at),
            }
            bytes.truncate(1 << 16);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn each_mutation(seeds: &[&str], mut check: impl FnMut(&str)) {
    let mut chance = Chance(0x0dd0_5eed_0dd0_5eed);
    for round in 0..ROUNDS {
        check(&chance.mutate(seeds[round % seeds.len()]));
    }
}

#[test]
fn references_that_parse_read_back_as_themselves() {
    let digest = dhow_base::Digest::of(b"");
    let with_digest = format!("[::1]:5000/a/b-c__d:tag@{digest}");
    let seeds = ["debian", "localhost:5000/team/tool:1.0-rc", "Quay.io/a", &with_digest];

    each_mutation(&seeds, |text| {
        if let Ok(reference) = Reference::parse(text) {
            let canonical = reference.to_string();
            assert_eq!(Reference::parse(&canonical).unwrap(), reference, "{text:?}");
            assert_eq!(Reference::parse(&reference.familiar()).unwrap(), reference, "{text:?}");
            assert!(!reference.path().split('/').any(|part| part == ".." || part.is_empty()));
        }
    });
}

#[test]
fn challenges_never_panic() {
    let seeds = [
        r#"Bearer realm="https://a/token",service="s",scope="repository:a:pull""#,
        r#"Basic realm="x, \"y\"", Digest nonce=abc=, Bearer realm=b"#,
    ];

    each_mutation(&seeds, |text| assert!(challenge::parse(text).len() <= 16));
}

#[test]
fn files_never_panic() {
    let auth = [
        r#"{"auths":{"quay.io/a":{"auth":"dTpw"},"https://x/v1/":{"identitytoken":"i"}}}"#,
        r#"{"credsStore":"","credHelpers":{},"auths":{"docker.io":{"username":"u"}}}"#,
    ];
    let registries =
        ["[[registry]]\nprefix='*.a.io'\nlocation='b'\n[[registry.mirror]]\nlocation='c'"];

    each_mutation(&auth, |text| {
        if let Ok(file) = AuthFile::parse(text.as_bytes()) {
            // Helper programs are not started here.
            drop(file.in_auths("quay.io", "a/b"));
        }
    });
    each_mutation(&registries, |text| {
        let mut known = Registries::default();
        let reference = Reference::parse("x.a.io/y").unwrap();
        if known.add(text, Path::new("/etc/r.conf")).is_ok()
            && let Ok(endpoints) = known.endpoints(&reference)
        {
            assert!(!endpoints.is_empty(), "{text:?}");
        }
    });
}
