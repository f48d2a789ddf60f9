//! Which devices a cgroup may use, from `config.json`'s rules to checked ones.
//!
//! Rules are read in order and a later one overrides an earlier one where both match. Version 1's
//! files do that by themselves; for version 2 a program is assembled
//! (`device_program`).

use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::DeviceRule;

/// What sort of node a rule is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sort {
    All,
    Char,
    Block,
}

/// A checked rule. No number means any.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rule {
    pub(crate) allow: bool,
    pub(crate) sort: Sort,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) make: bool,
}

/// A line for one of version 1's two files.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Line {
    pub(crate) file: &'static str,
    pub(crate) text: String,
}

/// Checks the rules.
pub(crate) fn rules(given: &[DeviceRule]) -> Result<Vec<Rule>> {
    given.iter().map(Rule::check).collect()
}

/// Version 1's form of the rules.
pub(crate) fn lines(given: &[DeviceRule]) -> Result<Vec<Line>> {
    let line = |rule: Rule| {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        Line { file, text: rule.to_line() }
    };
    Ok(rules(given)?.into_iter().map(line).collect())
}

impl Rule {
    fn check(given: &DeviceRule) -> Result<Self> {
        let invalid = |why: &str| Error::new(Kind::Invalid, format!("restrict devices: {why}"));
        let sort = match given.kind.as_deref() {
            None | Some("a" | "") => Sort::All,
            Some("c" | "u") => Sort::Char,
            Some("b") => Sort::Block,
            Some(other) => return Err(invalid(&format!("{other:?} is none of a, b, c"))),
        };
        let number = |value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(value) => u32::try_from(value)
                .map(Some)
                .map_err(|_| invalid(&format!("{value} is not a device number"))),
        };
        let access = given.access.as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
        if let Some(other) = access.chars().find(|letter| !"rwm".contains(*letter)) {
            return Err(invalid(&format!("access {other:?} is none of r, w, m")));
        }
        Ok(Self {
            allow: given.allow,
            sort,
            major: number(given.major)?,
            minor: number(given.minor)?,
            read: access.contains('r'),
            write: access.contains('w'),
            make: access.contains('m'),
        })
    }

    /// Does it speak about every device and every access?
    pub(crate) fn is_total(&self) -> bool {
        self.sort == Sort::All
            && self.major.is_none()
            && self.minor.is_none()
            && self.read
            && self.write
            && self.make
    }

    fn to_line(self) -> String {
        if self.is_total() {
            return "a".to_owned();
        }
        let sort = match self.sort {
            Sort::All => 'a',
            Sort::Char => 'c',
            Sort::Block => 'b',
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let mut line = format!("{sort} {}:{} ", number(self.major), number(self.minor));
        for (letter, given) in [('r', self.read), ('w', self.write), ('m', self.make)] {
            if given {
                line.push(letter);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: &str, major: i64, minor: i64, access: &str) -> DeviceRule {
        DeviceRule {
            allow: true,
            kind: Some(kind.to_owned()),
            major: Some(major),
            minor: Some(minor),
            access: Some(access.to_owned()),
        }
    }

    #[test]
    fn rules_become_lines() {
        let given = [DeviceRule::default(), rule("c", 1, 3, "rw"), rule("b", 8, -1, "")];

        let lines = lines(&given).unwrap();

        let texts: Vec<_> = lines.iter().map(|line| (line.file, line.text.as_str())).collect();
        let expected =
            [("devices.deny", "a"), ("devices.allow", "c 1:3 rw"), ("devices.allow", "b 8:* rwm")];
        assert_eq!(texts, expected);
    }

    #[test]
    fn nonsense_is_refused() {
        for given in [
            rule("x", 1, 1, "r"),
            rule("c", -2, 1, "r"),
            rule("c", 1, 1 << 40, "r"),
            rule("c", 1, 1, "q"),
        ] {
            assert!(rules(std::slice::from_ref(&given)).is_err(), "{given:?}");
        }
    }
}
