//! Which devices a cgroup may use, from `config.json`'s rules to a table.
//!
//! Rules are read in order and a later one overrides an earlier one where both match. The table is
//! what is left of them: a default, and exceptions to it. It is written into version 1's files, or
//! becomes version 2's program (`device_program`), with the same meaning: an exception that allows
//! must cover all of the access that is asked for, one that denies any of it.

use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{DeviceRule, HARMLESS_DEVICES};

/// What every container may do: make any node, and use the harmless ones. The rest is denied.
///
/// These are the rules that runc adds, without `/dev/net/tun`, which not every container needs.
pub fn default_rules() -> Vec<DeviceRule> {
    let rule = |kind: &str, major, minor, access: &str| DeviceRule {
        allow: true,
        kind: Some(kind.to_owned()),
        major,
        minor,
        access: Some(access.to_owned()),
    };
    let mut rules = vec![rule("c", None, None, "m"), rule("b", None, None, "m")];
    let harmless = HARMLESS_DEVICES.map(|(major, minor)| rule("c", Some(major), minor, "rwm"));
    rules.extend(harmless);
    rules
}

/// What sort of node an exception is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sort {
    Char,
    Block,
}

/// Kinds of access, as bits in the order of `BPF_DEVCG_ACC_…` (linux/bpf.h).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Access(pub(crate) u8);

impl Access {
    const LETTERS: [(char, u8); 3] = [('m', 1), ('r', 2), ('w', 4)];
    pub(crate) const ALL: u8 = 7;

    fn parse(text: &str) -> Option<Self> {
        text.chars().try_fold(Self(0), |access, letter| {
            let (_, bit) = Self::LETTERS.iter().find(|(known, _)| *known == letter)?;
            Some(Self(access.0 | bit))
        })
    }

    pub(crate) fn text(self) -> String {
        let given = Self::LETTERS.iter().filter(|(_, bit)| self.0 & bit != 0);
        given.map(|(letter, _)| letter).collect()
    }
}

/// Devices to which the opposite of the default applies. No number means any.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exception {
    pub(crate) sort: Sort,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) access: Access,
}

impl Exception {
    fn is_about_the_same(&self, other: &Self) -> bool {
        (self.sort, self.major, self.minor) == (other.sort, other.major, other.minor)
    }

    /// Whether every device of `other` is one of these.
    fn covers(&self, other: &Self) -> bool {
        let any_or = |own: Option<u32>, other| own.is_none() || own == other;
        self.sort == other.sort
            && any_or(self.major, other.major)
            && any_or(self.minor, other.minor)
    }

    /// Whether some device is in both.
    fn meets(&self, other: &Self) -> bool {
        let agree = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.sort == other.sort
            && agree(self.major, other.major)
            && agree(self.minor, other.minor)
            && self.access.0 & other.access.0 != 0
    }

    fn line(&self) -> String {
        let sort = match self.sort {
            Sort::Char => 'c',
            Sort::Block => 'b',
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |n| n.to_string());
        format!("{sort} {}:{} {}", number(self.major), number(self.minor), self.access.text())
    }
}

/// A default and the exceptions to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Table {
    pub(crate) allow: bool,
    pub(crate) exceptions: Vec<Exception>,
}

impl Table {
    /// What the rules come to; they start from nothing being allowed.
    pub(crate) fn new<'a>(rules: impl Iterator<Item = &'a DeviceRule>) -> Result<Self> {
        let mut table = Self { allow: false, exceptions: Vec::new() };
        for rule in rules {
            table.apply(rule)?;
        }
        Ok(table)
    }

    /// What is given, and what every container has.
    pub(crate) fn with_defaults(given: &[DeviceRule]) -> Result<Self> {
        Self::new(given.iter().chain(&default_rules()))
    }

    fn apply(&mut self, rule: &DeviceRule) -> Result<()> {
        let checked = Checked::new(rule)?;
        if checked.is_total() {
            self.allow = rule.allow;
            self.exceptions.clear();
            return Ok(());
        }
        for exception in checked.exceptions() {
            if rule.allow == self.allow {
                self.take_out(&exception)?;
            } else {
                self.put_in(exception);
            }
        }
        Ok(())
    }

    fn put_in(&mut self, exception: Exception) {
        match self.exceptions.iter_mut().find(|other| other.is_about_the_same(&exception)) {
            Some(other) => other.access.0 |= exception.access.0,
            None => self.exceptions.push(exception),
        }
    }

    fn take_out(&mut self, rule: &Exception) -> Result<()> {
        for exception in &mut self.exceptions {
            if rule.covers(exception) {
                exception.access.0 &= !rule.access.0;
            } else if rule.meets(exception) {
                // The kernel's tables cannot say "these but for that one".
                let text = format!(
                    "restrict devices: {} was named before, {} out of it cannot be excepted",
                    exception.line(),
                    rule.line()
                );
                return Err(Error::new(Kind::Unsupported, text)
                    .hint("name the devices one by one instead of excepting some of a range"));
            }
        }
        self.exceptions.retain(|exception| exception.access.0 != 0);
        Ok(())
    }

    /// Whether nothing is denied.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.allow && self.exceptions.is_empty()
    }

    /// Version 1: the file that takes the default, and the line for it.
    pub(crate) fn total_line(&self) -> (&'static str, &'static str) {
        (file(self.allow), "a")
    }

    /// Version 1: the file that takes the exceptions, and their lines.
    pub(crate) fn exception_lines(&self) -> (&'static str, Vec<String>) {
        (file(!self.allow), self.exceptions.iter().map(Exception::line).collect())
    }
}

fn file(allow: bool) -> &'static str {
    if allow { "devices.allow" } else { "devices.deny" }
}

/// A rule whose words make sense.
struct Checked {
    sorts: &'static [Sort],
    major: Option<u32>,
    minor: Option<u32>,
    access: Access,
}

impl Checked {
    fn new(given: &DeviceRule) -> Result<Self> {
        let invalid = |why: String| Error::new(Kind::Invalid, format!("restrict devices: {why}"));
        let sorts: &[Sort] = match given.kind.as_deref() {
            None | Some("a" | "") => &[Sort::Char, Sort::Block],
            Some("c" | "u") => &[Sort::Char],
            Some("b") => &[Sort::Block],
            Some(other) => return Err(invalid(format!("{other:?} is none of a, b, c"))),
        };
        let number = |value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(value) => u32::try_from(value)
                .map(Some)
                .map_err(|_range| invalid(format!("{value} is not a device number"))),
        };
        let letters = given.access.as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
        let access = Access::parse(letters)
            .ok_or_else(|| invalid(format!("access {letters:?} is not of r, w, m")))?;
        Ok(Self { sorts, major: number(given.major)?, minor: number(given.minor)?, access })
    }

    fn is_total(&self) -> bool {
        self.sorts.len() == 2
            && self.major.is_none()
            && self.minor.is_none()
            && self.access.0 == Access::ALL
    }

    fn exceptions(&self) -> impl Iterator<Item = Exception> {
        let (major, minor, access) = (self.major, self.minor, self.access);
        self.sorts.iter().map(move |sort| Exception { sort: *sort, major, minor, access })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, kind: &str, major: i64, minor: i64, access: &str) -> DeviceRule {
        DeviceRule {
            allow,
            kind: Some(kind.to_owned()),
            major: Some(major),
            minor: Some(minor),
            access: Some(access.to_owned()),
        }
    }

    fn lines(rules: &[DeviceRule]) -> String {
        let table = Table::new(rules.iter()).unwrap();
        format!("{} {}", table.total_line().0, table.exception_lines().1.join(", "))
    }

    #[test]
    fn rules_come_to_a_default_and_exceptions() {
        let all = |allow| rule(allow, "a", -1, -1, "rwm");
        let cases: [(&[DeviceRule], &str); 9] = [
            (&[], "devices.deny "),
            (&[DeviceRule::default()], "devices.deny "),
            (&[all(true)], "devices.allow "),
            (&[all(false), rule(true, "c", 1, 3, "rw")], "devices.deny c 1:3 rw"),
            (&[rule(true, "c", 1, 3, "r"), rule(true, "c", 1, 3, "w")], "devices.deny c 1:3 rw"),
            (
                &[rule(true, "c", 1, 3, "rwm"), rule(false, "c", 1, -1, "w")],
                "devices.deny c 1:3 mr",
            ),
            (&[rule(true, "b", 8, 0, "rw"), all(false)], "devices.deny "),
            (&[all(true), rule(false, "b", 8, -1, "w")], "devices.allow b 8:* w"),
            (&[rule(true, "a", -1, -1, "m")], "devices.deny c *:* m, b *:* m"),
        ];
        for (rules, expected) in cases {
            assert_eq!(lines(rules), expected, "{rules:?}");
        }
    }

    #[test]
    fn what_a_table_cannot_say_is_refused_and_not_forgotten() {
        let rules = [rule(true, "c", 1, -1, "rw"), rule(false, "c", 1, 1, "w")];

        let error = Table::new(rules.iter()).unwrap_err();

        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.one_line().contains("c 1:1 w"), "{}", error.one_line());
    }

    #[test]
    fn nonsense_is_refused() {
        for given in [
            rule(true, "x", 1, 1, "r"),
            rule(true, "c", -2, 1, "r"),
            rule(true, "c", 1, 1 << 40, "r"),
            rule(true, "c", 1, 1, "q"),
        ] {
            let error = Table::new(std::iter::once(&given)).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{given:?}");
        }
    }

    #[test]
    fn the_default_rules_open_null_and_not_memory() {
        let table = Table::new(default_rules().iter()).unwrap();
        let has = |major, minor| {
            let about = |one: &&Exception| one.major == Some(major) && one.minor == minor;
            table.exceptions.iter().any(|one| about(&one))
        };

        assert!(!table.allow);
        assert!(has(1, Some(3)) && has(136, None));
        assert!(!has(1, Some(1)));
    }
}
