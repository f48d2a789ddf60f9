//! Labels and annotations: `key=value`, or `key` alone for an empty value.

use super::{Surroundings, refuse, variables};
use dhow_base::Result;

/// The labels of the files, then those of the flags, so that flags win.
pub(crate) fn labels(
    files: &[String],
    flags: &[String],
    around: Surroundings<'_>,
) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for path in files {
        let text = variables::read("--label-file", &around.absolute(path))?;
        // Labels have nothing to do with the environment: a key alone has the empty value.
        let empty = |_: &str| Some(String::new());
        let lines = variables::parse_file("--label-file", path, &text, &empty)?;
        for line in lines {
            all.push(parse("--label-file", &line)?);
        }
    }
    for text in flags {
        all.push(parse("--label", text)?);
    }
    Ok(all)
}

/// One `key=value`.
pub(crate) fn parse(flag: &str, text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.trim().is_empty() {
        return Err(refuse(flag, text, "the key is missing").hint("write key=value"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::tests::world;

    #[test]
    fn a_pair_is_split_at_the_first_equals_sign() {
        let cases = [
            ("a=b", Some(("a", "b"))),
            ("a", Some(("a", ""))),
            ("a=", Some(("a", ""))),
            ("a=b=c", Some(("a", "b=c"))),
            ("=b", None),
            (" =b", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let parsed = parse("--label", text).ok();
            let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(parsed, expected, "parsing {text:?}");
        }
    }

    #[test]
    fn a_key_in_a_file_does_not_read_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("labels"), "HOME\na=1\n").unwrap();
        let around = Surroundings { directory: directory.path(), ..world() };

        let all = labels(&["labels".into()], &["a=2".into()], around).unwrap();

        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(all, [pair("HOME", ""), pair("a", "1"), pair("a", "2")]);
    }
}
