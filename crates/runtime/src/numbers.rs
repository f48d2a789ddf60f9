//! A list of small numbers as the kernel writes it: `0-3,7`. Processors and memory nodes are named
//! by it.

use dhow_base::{Error, Kind, Result};

/// The numbers of a list, in their order, each below `end`. `what` is what is being done, for
/// errors. An empty text names none.
pub(crate) fn parse(text: &str, end: usize, what: &str) -> Result<Vec<usize>> {
    let invalid = |why: &str| {
        Error::new(Kind::Invalid, format!("{what} {text:?}: {why}"))
            .hint("a list has numbers and ranges, such as 0-3,7")
    };
    let number = |digits: &str| match digits.parse::<usize>() {
        // `parse` takes a sign too.
        Ok(number) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(invalid("it is no list of numbers")),
    };
    let mut numbers = Vec::new();
    for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(invalid("a range goes backwards"));
        }
        if last >= end {
            return Err(invalid(&format!("the numbers end at {}", end - 1)));
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_and_ranges() {
        let cases: [(&str, Option<&[usize]>); 16] = [
            ("", Some(&[])),
            ("0", Some(&[0])),
            ("0-3,7", Some(&[0, 1, 2, 3, 7])),
            ("1, 3", Some(&[1, 3])),
            ("63", Some(&[63])),
            ("3-3", Some(&[3])),
            ("64", None),
            ("0-64", None),
            ("3-1", None),
            ("0-", None),
            ("-1", None),
            ("+1", None),
            (",", None),
            ("1,,2", None),
            ("a", None),
            ("0-18446744073709551616", None),
        ];
        for (text, expected) in cases {
            let got = parse(text, 64, "use list").ok();
            assert_eq!(got.as_deref(), expected, "{text:?}");
        }
    }
}
