//! `WWW-Authenticate`: which proof a registry asks for (RFC 9110, 11.6.1).
//!
//! ```text
//! Bearer realm="https://auth.example/token",service="registry",scope="repository:a:pull"
//! Basic realm="files", Bearer realm="…"        several in one header, or in several headers
//! ```
//!
//! The text comes from a stranger: it is limited, and what cannot be read is left out rather than
//! guessed at.

const HEADER_LIMIT_BYTES: usize = 8 << 10;
const CHALLENGES_LIMIT: usize = 16;
const PARAMETERS_LIMIT: usize = 32;

/// One way in that a registry offers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Challenge {
    /// Name and password.
    Basic,
    /// A token from the server at `realm`.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// Reads one header's challenges, in their order; schemes that we do not know are left out.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    if header.len() > HEADER_LIMIT_BYTES {
        return Vec::new();
    }
    let mut cursor = Cursor { rest: header };
    let mut challenges = Vec::new();
    while challenges.len() < CHALLENGES_LIMIT {
        cursor.skip(|c| c == ',' || c == ' ' || c == '\t');
        let scheme = cursor.token();
        if scheme.is_empty() {
            break;
        }
        let parameters = cursor.parameters();
        challenges.extend(challenge(scheme, &parameters));
    }
    challenges
}

fn challenge(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let get = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    if scheme.eq_ignore_ascii_case("basic") {
        Some(Challenge::Basic)
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Some(Challenge::Bearer {
            realm: get("realm")?,
            service: get("service"),
            scope: get("scope"),
        })
    } else {
        None
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(skipped);
    }

    fn token(&mut self) -> &'a str {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    /// Reads `name=value` pairs until something else begins: the next scheme, or rubbish, which is
    /// then skipped up to the next comma.
    fn parameters(&mut self) -> Vec<(String, String)> {
        let mut parameters = Vec::new();
        loop {
            self.skip(|c| c == ',' || c == ' ' || c == '\t');
            let before = self.rest;
            let name = self.token();
            self.skip(|c| c == ' ' || c == '\t');
            match self.rest.strip_prefix('=') {
                Some(rest) if !name.is_empty() => self.rest = rest,
                _ if name.is_empty() && !self.rest.is_empty() => {
                    self.rest = self.rest.split_once(',').map_or("", |(_, rest)| rest);
                    continue;
                }
                _ => {
                    self.rest = before;
                    return parameters;
                }
            }
            self.skip(|c| c == ' ' || c == '\t');
            let value = self.value();
            if parameters.len() < PARAMETERS_LIMIT {
                parameters.push((name.to_owned(), value));
            }
        }
    }

    /// A token or a quoted string. A missing closing quote ends with the header.
    fn value(&mut self) -> String {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', ' ', '\t']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return value.to_owned();
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &quoted[at + 1..];
                    return value;
                }
                '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
                c => value.push(c),
            }
        }
        self.rest = "";
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull""#;
        let cases = [
            (
                hub,
                vec![bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/debian:pull"),
                )],
            ),
            (r#"Basic realm="Registry, with a comma""#, vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                r#"Basic realm="a", Bearer realm="b",scope="repository:a:pull,push""#,
                vec![Challenge::Basic, bearer("b", None, Some("repository:a:pull,push"))],
            ),
            (
                r#"Negotiate, Digest realm="d", nonce="x", BEARER REALM = b , Service=s"#,
                vec![bearer("b", Some("s"), None)],
            ),
            ("Negotiate YII=, Basic", vec![Challenge::Basic]),
            (
                r#"Bearer realm="quote \" and \\ backslash""#,
                vec![bearer("quote \" and \\ backslash", None, None)],
            ),
            (r#"Bearer realm="unclosed"#, vec![bearer("unclosed", None, None)]),
            (r#"Bearer service="no realm""#, vec![]),
            (r#"Bearer realm="""#, vec![]),
            (r#"Bearer ===, "", realm="b""#, vec![bearer("b", None, None)]),
            ("", vec![]),
            (",,, ,", vec![]),
            ("é", vec![]),
        ];
        for (header, expected) in cases {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn huge_headers_are_not_read() {
        let many = "Basic, ".repeat(100);

        assert_eq!(parse(&"Basic ".repeat(10_000)), []);
        assert_eq!(parse(&many).len(), CHALLENGES_LIMIT);
    }
}
