//! systemd's syntax: sections, keys, words in quotes.

use dhow_base::{Error, Kind, Result};
use std::{fmt::Write, path::Path};

/// A file in systemd's syntax, in its own order.
#[derive(Clone, Debug, Default)]
pub(super) struct UnitFile {
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl UnitFile {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut file = Self::default();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let mut line = line.trim().to_owned();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            while let Some(begun) = line.strip_suffix('\\') {
                // A comment in the middle of a value is passed over.
                let next = lines
                    .by_ref()
                    .map(|(_, next)| next.trim())
                    .find(|next| !next.starts_with(['#', ';']));
                line = format!("{} {}", begun.trim_end(), next.unwrap_or_default());
            }
            file.take(&line).ok_or_else(|| {
                Error::new(
                    Kind::Invalid,
                    format!("read line {}: {line:?} is no KEY=VALUE of a [Section]", index + 1),
                )
            })?;
        }
        Ok(file)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if !self.sections.iter().any(|(other, _)| other == name) {
                self.sections.push((name.to_owned(), Vec::new()));
            }
            // Of a section that comes twice, the rest goes to the end, where later values are.
            let index = self.sections.iter().position(|(other, _)| other == name)?;
            let section = self.sections.remove(index);
            self.sections.push(section);
            return Some(());
        }
        let (key, value) = line.split_once('=')?;
        let (_, values) = self.sections.last_mut()?;
        values.push((key.trim().to_owned(), value.trim().to_owned()));
        Some(())
    }

    fn values<'a>(&'a self, section: &str, key: &str) -> Vec<&'a str> {
        let mut found = Vec::new();
        let sections = self.sections.iter().filter(|(name, _)| name == section);
        for (other, value) in sections.flat_map(|(_, values)| values) {
            match (other == key, value.is_empty()) {
                // An empty value takes the ones before it back.
                (true, true) => found.clear(),
                (true, false) => found.push(value.as_str()),
                (false, _) => {}
            }
        }
        found
    }

    /// The last value of a key.
    pub(super) fn last<'a>(&'a self, section: &str, key: &str) -> Option<&'a str> {
        self.values(section, key).pop()
    }

    /// All values of a key, whole.
    pub(super) fn all<'a>(&'a self, section: &str, key: &str) -> Vec<&'a str> {
        self.values(section, key)
    }

    /// All values of a key, taken apart into words.
    pub(super) fn words(&self, section: &str, key: &str) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for value in self.values(section, key) {
            all.extend(split(value)?);
        }
        Ok(all)
    }

    /// Refuses keys of a section that are not known.
    pub(super) fn check(&self, section: &str, known: &[&str]) -> Result<()> {
        let Some((_, values)) = self.sections.iter().find(|(name, _)| name == section) else {
            return Err(Error::new(Kind::Invalid, format!("section [{section}] is missing")));
        };
        match values.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, _)) => Err(Error::new(
                Kind::Unsupported,
                format!("{key}=: section [{section}] has no such key here"),
            )),
            None => Ok(()),
        }
    }

    /// Notes where the service comes from.
    pub(super) fn set_source(&mut self, path: &Path) {
        self.add("Unit", "SourcePath", path.to_string_lossy().into_owned());
    }

    fn add(&mut self, section: &str, key: &str, value: String) {
        let index = self.sections.iter().position(|(name, _)| name == section);
        let index = index.unwrap_or_else(|| {
            self.sections.insert(0, (section.to_owned(), Vec::new()));
            0
        });
        self.sections[index].1.push((key.to_owned(), value));
    }

    /// The service: the file's sections, its own ones under names that systemd passes over, and
    /// `lines` in `[Service]`; those that begin with `Unit:` in `[Unit]`.
    pub(super) fn print(&self, lines: &[String]) -> String {
        let mut file = self.clone();
        for line in lines {
            let (section, line) = match line.strip_prefix("Unit:") {
                Some(line) => ("Unit", line),
                None => ("Service", line.as_str()),
            };
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            // What the file says of the service's type and stop goes before ours.
            if key.starts_with("Exec") || section == "Unit" || file.last(section, key).is_none() {
                file.add(section, key, value.to_owned());
            }
        }
        let mut text = String::new();
        for (name, values) in &file.sections {
            let own = ["Container", "Volume", "Image"].contains(&name.as_str());
            let prefix = if own { "X-" } else { "" };
            let _written = writeln!(text, "[{prefix}{name}]");
            for (key, value) in values {
                let _written = writeln!(text, "{key}={value}");
            }
            text.push('\n');
        }
        text
    }
}

/// The words of a value, as systemd takes it apart: at spaces, quotes around, backslashes before.
pub(super) fn split(value: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (' ' | '\t', None) => words.extend(word.take()),
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, Some(open)) if letter == open => quote = None,
            ('\\', _) => match letters.next() {
                Some('n') => word.get_or_insert_default().push('\n'),
                Some('t') => word.get_or_insert_default().push('\t'),
                Some(letter) => word.get_or_insert_default().push(letter),
                None => word.get_or_insert_default().push('\\'),
            },
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(Error::new(Kind::Invalid, format!("take {value:?} apart: a quote is open")));
    }
    words.extend(word);
    Ok(words)
}

/// The other way round. What systemd fills in (`%h`) stays as it is.
pub(super) fn join(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    quoted.join(" ")
}

fn quoted(word: &str) -> String {
    let needs = word.is_empty() || word.contains([' ', '\t', '\n', '"', '\'', '\\', ';']);
    if !needs {
        return word.to_owned();
    }
    let escaped =
        word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_apart_and_put_together() {
        let cases: [(&str, &[&str]); 6] = [
            ("a b  c", &["a", "b", "c"]),
            (r#""a b" c"#, &["a b", "c"]),
            (r#"A="b c""#, &["A=b c"]),
            (r"'it is' a\ b", &["it is", "a b"]),
            (r#""" x"#, &["", "x"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            let words = split(text).unwrap();
            assert_eq!(words, expected, "{text}");
            assert_eq!(split(&join(&words)).unwrap(), expected, "{text}");
        }
        assert!(split("\"open").is_err());
    }

    #[test]
    fn later_values_add_and_an_empty_one_takes_back() {
        let text = "[A]\nk=1\nk=2\n# comment\n[B]\nx=y\\\n  # comment\n  z\n[A]\nk=\nk=3\n";

        let file = UnitFile::parse(text).unwrap();

        assert_eq!(file.all("A", "k"), ["3"]);
        assert_eq!(file.last("B", "x"), Some("y z"));
        assert!(file.check("A", &["k"]).is_ok() && file.check("A", &[]).is_err());
        assert!(UnitFile::parse("k=v").is_err() && UnitFile::parse("[A]\nword").is_err());
    }
}
