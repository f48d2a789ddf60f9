//! What a token is good for: `repository:team/tool:pull,push`, several of them at once.
//!
//! A mount of a blob needs two, `pull,push` here and `pull` there. A token that is good for more
//! serves for less, so what a session has been asked for adds up.
//!
//! Registries write scopes into their challenges. What has another form than the usual one is kept
//! as it is and passed on, since a token server may know what it means.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A registry may ask for so many; the rest is not asked for.
const SCOPES_LIMIT: usize = 32;

/// Actions by what they are done to, `repository:team/tool`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    pub(crate) fn pull(path: &str) -> Self {
        Self::parse(&format!("repository:{path}:pull"))
    }

    pub(crate) fn push(path: &str) -> Self {
        Self::parse(&format!("repository:{path}:pull,push"))
    }

    pub(crate) fn delete(path: &str) -> Self {
        Self::parse(&format!("repository:{path}:pull,push,delete"))
    }

    /// Reads scopes that are separated by spaces.
    pub(crate) fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for scope in text.split_ascii_whitespace() {
            // The name in the middle may hold colons, those of a port.
            let (what, actions) = match scope.rsplit_once(':') {
                Some((what, actions)) if what.contains(':') => (what, actions),
                _ => (scope, ""),
            };
            let actions = actions.split(',').filter(|action| !action.is_empty());
            scopes.insert(what, actions.map(str::to_owned).collect());
        }
        scopes
    }

    /// These and the others.
    #[must_use]
    pub(crate) fn and(mut self, others: &Self) -> Self {
        for (what, actions) in &others.0 {
            self.insert(what, actions.clone());
        }
        self
    }

    /// Is everything that `others` allow allowed by these?
    pub(crate) fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|(what, actions)| {
            self.0.get(what).is_some_and(|allowed| actions.is_subset(allowed))
        })
    }

    /// One text for each, as a token server's address wants them.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(what, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            // A scope without actions was kept as it came.
            if actions.is_empty() { what.clone() } else { format!("{what}:{}", actions.join(",")) }
        })
    }

    fn insert(&mut self, what: &str, actions: BTreeSet<String>) {
        if self.0.len() < SCOPES_LIMIT || self.0.contains_key(what) {
            self.0.entry(what.to_owned()).or_default().extend(actions);
        }
    }
}

/// All in one text, as a form wants them.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.texts().collect();
        f.write_str(&texts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_add_up_and_read_back() {
        let cases = [
            ("repository:a/b:pull", "repository:a/b:pull"),
            ("repository:a:push,pull repository:a:delete", "repository:a:delete,pull,push"),
            ("repository:h:5000/a:pull", "repository:h:5000/a:pull"),
            ("registry:catalog:*  repository:a:pull", "registry:catalog:* repository:a:pull"),
            ("odd", "odd"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(Scopes::parse(text).to_string(), expected, "{text:?}");
        }
        let many: Vec<String> =
            (0..100).map(|number| format!("repository:{number}:pull")).collect();
        assert_eq!(Scopes::parse(&many.join(" ")).texts().count(), SCOPES_LIMIT);
    }

    #[test]
    fn more_rights_serve_for_fewer() {
        let mount = Scopes::push("a").and(&Scopes::pull("b"));

        assert!(mount.cover(&Scopes::pull("a")) && mount.cover(&Scopes::push("a")));
        assert!(mount.cover(&Scopes::default()));
        assert!(!mount.cover(&Scopes::push("b")) && !mount.cover(&Scopes::delete("a")));
        assert!(!Scopes::default().cover(&Scopes::pull("a")));
    }
}
