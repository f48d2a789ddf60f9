//! Parsers of strangers' text against mutated text: nothing may panic, hang, or come out different
//! from what it went in as. The seed is fixed, so a failure can be seen again.

use crate::fuzz;

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

fn each_mutation(seeds: &[&str], check: fn(&[u8]) -> bool) {
    let mut chance = Chance(0x0dd0_5eed_0dd0_5eed);
    let mut understood = 0;
    for round in 0..ROUNDS {
        understood += u32::from(check(chance.mutate(seeds[round % seeds.len()]).as_bytes()));
    }
    assert!(understood > 100, "{understood} of {ROUNDS}");
}

#[test]
fn references_that_parse_read_back_as_themselves() {
    let digest = dhow_base::Digest::of(b"");
    let with_digest = format!("[::1]:5000/a/b-c__d:tag@{digest}");
    let seeds = ["debian", "localhost:5000/team/tool:1.0-rc", "Quay.io/a", &with_digest];

    each_mutation(&seeds, fuzz::reference);
}

#[test]
fn challenges_never_panic() {
    let seeds = [
        r#"Bearer realm="https://a/token",service="s",scope="repository:a:pull""#,
        r#"Basic realm="x, \"y\"", Digest nonce=abc=, Bearer realm=b"#,
    ];

    each_mutation(&seeds, fuzz::challenge);
}

#[test]
fn files_never_panic() {
    let auth = [
        r#"{"auths":{"quay.io/a":{"auth":"dTpw"},"https://x/v1/":{"identitytoken":"i"}}}"#,
        r#"{"credsStore":"","credHelpers":{},"auths":{"docker.io":{"username":"u"}}}"#,
    ];
    let registries =
        ["[[registry]]\nprefix='*.a.io'\nlocation='b'\n[[registry.mirror]]\nlocation='c'"];

    let policies = [
        r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a.io":[{"type":"signedBy"}]}}}"#,
    ];

    each_mutation(&auth, fuzz::auth_file);
    each_mutation(&policies, fuzz::policy);
    each_mutation(&registries, fuzz::registries);
}
