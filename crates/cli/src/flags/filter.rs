//! `--filter`, as docker and podman know it, for every command that lists or prunes.
//!
//! `KEY=VALUE`; several of one key are alternatives, those of different keys must all hold. Labels
//! must all hold, each as `label=NAME` or `label=NAME=VALUE`, and `label!=` says what must not be.

use super::{moment, refuse};
use dhow_base::{Error, Result, clock::Moment};

/// One key that a command's filters may have.
pub(crate) type Key = &'static str;

/// The filters of one command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters {
    pairs: Vec<Pair>,
}

/// One filter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pair {
    text: String,
    pub(crate) key: Key,
    pub(crate) negated: bool,
    pub(crate) value: String,
}

impl Pair {
    /// The value as a name and, after `=`, what it must be.
    pub(crate) fn label(&self) -> Label {
        match self.value.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (self.value.clone(), None),
        }
    }

    /// The value as a truth value.
    pub(crate) fn switch(&self) -> Result<bool> {
        self.parsed(crate::tree::switch)
    }

    /// The value as a moment.
    pub(crate) fn moment(&self) -> Result<Moment> {
        moment::parse("--filter", &self.value)
    }

    /// The value made into something else.
    pub(crate) fn parsed<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> Result<T> {
        parse(&self.value).map_err(|why| {
            refuse("--filter", &self.text, why).hint("`--help` says what filters take")
        })
    }
}

/// A label that must be there, with this value where there is one.
pub(crate) type Label = (String, Option<String>);

impl Filters {
    /// Parses the flags of a command that knows these keys.
    pub(crate) fn parse(texts: &[String], known: &[Key]) -> Result<Self> {
        let pair = |text: &String| pair(text, known);
        Ok(Self { pairs: texts.iter().map(pair).collect::<Result<_>>()? })
    }

    /// Each filter made into something else.
    pub(crate) fn each<T>(&self, make: impl Fn(&Pair) -> Result<T>) -> Result<Vec<T>> {
        self.pairs.iter().map(make).collect()
    }

    fn of<'f>(&'f self, key: &str) -> impl Iterator<Item = &'f Pair> {
        self.pairs.iter().filter(move |pair| pair.key == key)
    }

    /// The values that are given for a key.
    pub(crate) fn values<'f>(&'f self, key: &str) -> impl Iterator<Item = &'f str> {
        self.of(key).map(|pair| pair.value.as_str())
    }

    /// Whether any filter has one of these keys.
    pub(crate) fn has(&self, keys: &[&str]) -> bool {
        self.pairs.iter().any(|pair| keys.contains(&pair.key))
    }

    /// Whether one of the values for a key holds; where none is given, yes.
    pub(crate) fn any(&self, key: &str, holds: impl FnMut(&str) -> bool) -> bool {
        let mut values = self.values(key).peekable();
        values.peek().is_none() || values.any(holds)
    }

    /// The values for a key, each made into something else.
    pub(crate) fn parsed<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>> {
        self.of(key).map(|pair| pair.parsed(&parse)).collect()
    }

    /// The truth value that is given last for a key.
    pub(crate) fn switch(&self, key: &str) -> Result<Option<bool>> {
        Ok(self.parsed(key, crate::tree::switch)?.pop())
    }

    /// The earliest of the moments that are given for a key.
    pub(crate) fn moment(&self, key: &str) -> Result<Option<Moment>> {
        let moments = self.of(key).map(Pair::moment);
        Ok(moments.collect::<Result<Vec<_>>>()?.into_iter().min())
    }

    /// The labels that must be there, and those that must not.
    pub(crate) fn labels(&self) -> (Vec<Label>, Vec<Label>) {
        let with = |negated| self.of("label").filter(move |pair| pair.negated == negated);
        (with(false).map(Pair::label).collect(), with(true).map(Pair::label).collect())
    }

    /// Whether an object with these labels is meant.
    pub(crate) fn mean_labels(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        self.of("label").all(|pair| {
            let (name, wanted) = pair.label();
            let found = value(&name);
            let holds = found.is_some_and(|found| wanted.is_none_or(|wanted| wanted == found));
            holds != pair.negated
        })
    }
}

fn pair(text: &str, known: &[Key]) -> Result<Pair> {
    let refused = |why: &str| refused(text, why, known);
    let (key, value) = text.split_once('=').ok_or_else(|| refused("the value is missing"))?;
    let (key, negated) = match key.strip_suffix('!') {
        Some(key) => (key, true),
        None => (key, false),
    };
    let key = key.trim().to_ascii_lowercase();
    if key == "is-task" {
        return Err(refuse("--filter", text, "tasks are of docker's swarm, which dhow has not"));
    }
    let found = known.iter().find(|known| **known == key);
    let key = *found.ok_or_else(|| refused("no such filter"))?;
    if negated && key != "label" {
        return Err(refused("only a label can be asked not to be there"));
    }
    Ok(Pair { text: text.to_owned(), key, negated, value: value.to_owned() })
}

fn refused(text: &str, why: &str, known: &[Key]) -> Error {
    let names: Vec<String> = known.iter().map(|key| format!("{key}=")).collect();
    refuse("--filter", text, why).hint(format!("there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Filters {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Filters::parse(&texts, &["id", "label", "dangling", "until"]).unwrap()
    }

    #[test]
    fn filters_of_one_key_are_alternatives() {
        let filters = filters(&["id=a", "id=b"]);

        assert!(filters.any("id", |value| value == "b"));
        assert!(!filters.any("id", |value| value == "c"));
        assert!(filters.any("label", |_| false));
        assert!(filters.has(&["id"]) && !filters.has(&["label"]));
    }

    #[test]
    fn labels_must_all_hold() {
        let value = |name: &str| (name == "tier").then(|| "web".to_owned());
        let cases: [(&[&str], bool); 6] = [
            (&["label=tier"], true),
            (&["label=tier=web"], true),
            (&["label=tier=db"], false),
            (&["label=tier", "label=other"], false),
            (&["label!=other"], true),
            (&["label!=tier=web"], false),
        ];
        for (texts, expected) in cases {
            assert_eq!(filters(texts).mean_labels(value), expected, "{texts:?}");
        }
        let (with, without) = filters(&["label=a=1", "label=b", "label!=c=d=e"]).labels();
        assert_eq!(with, [("a".into(), Some("1".into())), ("b".into(), None)]);
        assert_eq!(without, [("c".into(), Some("d=e".into()))]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in ["id", "bogus=1", "id!=a", "is-task=true"] {
            let error = Filters::parse(&[bad.to_owned()], &["id"]).unwrap_err();
            assert!(error.one_line().contains(bad), "{}", error.one_line());
        }
        assert!(filters(&["dangling=perhaps"]).switch("dangling").is_err());
        assert_eq!(filters(&["dangling=1"]).switch("dangling").unwrap(), Some(true));
        assert!(filters(&["until=yesterday"]).moment("until").is_err());
    }
}
