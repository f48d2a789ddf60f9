//! Values as people write them: the text format of GVariant, in which annotations give systemd's
//! properties (`uint64 5000000`, `'inactive-or-failed'`, `['a', 'b']`).
//!
//! As much of it as properties need: numbers, truth, texts, arrays, tuples, variants, and types in
//! front of a value, as a word or as `@signature`. Dictionaries and `nothing` are left out: no
//! property that can be set has their types.

use super::value::{Malformed, Value, split_type};

/// How deep brackets may be nested.
const DEPTH_LIMIT: usize = 16;

/// Reads one value that takes up the whole text.
pub(crate) fn parse_variant(text: &str) -> Result<Value, Malformed> {
    let mut parser = Parser { rest: text };
    let value = parser.value(None, 0)?;
    parser.skip_spaces();
    if parser.rest.is_empty() { Ok(value) } else { Err(Malformed("something follows the value")) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: char) -> bool {
        self.skip_spaces();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// A value, of the wanted type where one is wanted.
    fn value(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, Malformed> {
        if depth > DEPTH_LIMIT {
            return Err(Malformed("it is nested too deeply"));
        }
        self.skip_spaces();
        match self.rest.chars().next() {
            Some('[') => self.array(wanted, depth),
            Some('(') => self.tuple(wanted, depth),
            Some('<') => self.variant(depth),
            Some('\'' | '"') => typed_text(self.quoted()?, wanted),
            Some('@') => {
                self.rest = &self.rest[1..];
                let signature = self.word();
                match split_type(signature)? {
                    (one, "") => self.value(Some(one), depth + 1),
                    _ => Err(Malformed("a type in front of a value")),
                }
            }
            Some(_) => self.bare(wanted, depth),
            None => Err(Malformed("there is no value")),
        }
    }

    fn word(&mut self) -> &'a str {
        let ends = |letter: char| letter.is_whitespace() || ",])>".contains(letter);
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A number, truth, or the name of a type before a value.
    fn bare(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, Malformed> {
        let word = self.word();
        let named = match word {
            "true" | "false" => return typed_truth(word == "true", wanted),
            "boolean" => "b",
            "byte" => "y",
            "int16" => "n",
            "uint16" => "q",
            "int32" => "i",
            "uint32" => "u",
            "int64" => "x",
            "uint64" => "t",
            "double" => "d",
            "string" => "s",
            "objectpath" => "o",
            "signature" => "g",
            _ => return number(word, wanted),
        };
        self.value(Some(named), depth + 1)
    }

    fn array(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, Malformed> {
        let element = match wanted {
            None => None,
            Some(wanted) => Some(wanted.strip_prefix('a').ok_or(Malformed("an array's type"))?),
        };
        let items = self.items('[', ']', depth, |_| Ok(element))?;
        // The first element's type is everybody's where none is given.
        let element = match (element, items.first()) {
            (Some(element), _) => element.to_owned(),
            (None, Some(first)) => first.signature(),
            (None, None) => return Err(Malformed("an empty array needs its type, as in @as []")),
        };
        if items.iter().any(|item| item.signature() != element) {
            return Err(Malformed("an array's elements are of several types"));
        }
        Ok(Value::Array(element, items))
    }

    fn tuple(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, Malformed> {
        let mut kinds = match wanted {
            None => None,
            Some(wanted) => Some(
                wanted
                    .strip_prefix('(')
                    .and_then(|wanted| wanted.strip_suffix(')'))
                    .ok_or(Malformed("a tuple's type"))?,
            ),
        };
        let fields = self.items('(', ')', depth, |_| {
            let Some(rest) = kinds else { return Ok(None) };
            let (one, after) = split_type(rest)?;
            kinds = Some(after);
            Ok(Some(one))
        })?;
        if fields.is_empty() || kinds.is_some_and(|rest| !rest.is_empty()) {
            return Err(Malformed("a tuple's length"));
        }
        Ok(Value::Struct(fields))
    }

    /// Values with commas between them.
    fn items<'t>(
        &mut self,
        open: char,
        close: char,
        depth: usize,
        mut kind: impl FnMut(usize) -> Result<Option<&'t str>, Malformed>,
    ) -> Result<Vec<Value>, Malformed> {
        let mut items = Vec::new();
        if !self.take(open) {
            return Err(Malformed("a bracket"));
        }
        while !self.take(close) {
            if !items.is_empty() && !self.take(',') {
                return Err(Malformed("a comma is missing"));
            }
            // A tuple of one has a comma behind it.
            if !items.is_empty() && self.take(close) {
                break;
            }
            items.push(self.value(kind(items.len())?, depth + 1)?);
        }
        Ok(items)
    }

    fn variant(&mut self, depth: usize) -> Result<Value, Malformed> {
        if !self.take('<') {
            return Err(Malformed("a bracket"));
        }
        let value = self.value(None, depth + 1)?;
        if self.take('>') { Ok(Value::variant(value)) } else { Err(Malformed("a bracket")) }
    }

    fn quoted(&mut self) -> Result<String, Malformed> {
        let mut letters = self.rest.char_indices();
        let quote = letters.next().ok_or(Malformed("a text's begin"))?.1;
        let mut text = String::new();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => match letters.next().ok_or(Malformed("a text's end"))?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    same @ ('\\' | '\'' | '"') => text.push(same),
                    _ => return Err(Malformed("a letter behind a backslash")),
                },
                _ if letter == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\0' => return Err(Malformed("a NUL in a text")),
                _ => text.push(letter),
            }
        }
        Err(Malformed("a text's end"))
    }
}

fn typed_text(text: String, wanted: Option<&str>) -> Result<Value, Malformed> {
    match wanted {
        None | Some("s") => Ok(Value::Text(text)),
        Some("o") if text.starts_with('/') => Ok(Value::Path(text)),
        Some("g") if text.is_ascii() && text.len() < 256 => Ok(Value::Signature(text)),
        Some(_) => Err(Malformed("a text where another type is wanted")),
    }
}

fn typed_truth(is_true: bool, wanted: Option<&str>) -> Result<Value, Malformed> {
    match wanted {
        None | Some("b") => Ok(Value::Bool(is_true)),
        Some(_) => Err(Malformed("a truth where another type is wanted")),
    }
}

/// Without a type it is an `int32`, or a `double` where it has a point.
fn number(word: &str, wanted: Option<&str>) -> Result<Value, Malformed> {
    let is_double = !word.starts_with("0x") && word.contains(['.', 'e', 'E']);
    let kind = wanted.unwrap_or(if is_double { "d" } else { "i" });
    if kind == "d" {
        let parsed = word.parse::<f64>().ok().filter(|number| number.is_finite());
        return parsed.map(Value::Double).ok_or(Malformed("a number"));
    }
    let (digits, is_negative) = match word.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (word.strip_prefix('+').unwrap_or(word), false),
    };
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    // `from_str_radix` takes a second sign, which nobody means.
    if !digits.starts_with(|letter: char| letter.is_ascii_hexdigit()) {
        return Err(Malformed("a number"));
    }
    let size = i128::from(u64::from_str_radix(digits, radix).map_err(|_| Malformed("a number"))?);
    integer(if is_negative { -size } else { size }, kind)
        .ok_or(Malformed("a number does not fit its type"))
}

fn integer(number: i128, kind: &str) -> Option<Value> {
    Some(match kind {
        "y" => Value::Byte(number.try_into().ok()?),
        "n" => Value::I16(number.try_into().ok()?),
        "q" => Value::U16(number.try_into().ok()?),
        "i" => Value::I32(number.try_into().ok()?),
        "u" => Value::U32(number.try_into().ok()?),
        "x" => Value::I64(number.try_into().ok()?),
        "t" => Value::U64(number.try_into().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_they_are_written() {
        let texts = |items: &[&str]| {
            Value::Array("s".into(), items.iter().map(|item| Value::text(*item)).collect())
        };
        let cases = [
            ("true", Value::Bool(true)),
            (" 5 ", Value::I32(5)),
            ("-7", Value::I32(-7)),
            ("0x1f", Value::I32(31)),
            ("017", Value::I32(15)),
            ("0", Value::I32(0)),
            ("1.5", Value::Double(1.5)),
            ("uint64 18446744073709551615", Value::U64(u64::MAX)),
            ("@t 5", Value::U64(5)),
            ("byte 0xff", Value::Byte(255)),
            ("'inactive-or-failed'", Value::text("inactive-or-failed")),
            (r#""it's \"so\"""#, Value::text("it's \"so\"")),
            ("objectpath '/a/b'", Value::Path("/a/b".into())),
            ("['a', 'b']", texts(&["a", "b"])),
            ("@as []", texts(&[])),
            ("@at [1, 2]", Value::Array("t".into(), vec![Value::U64(1), Value::U64(2)])),
            ("('a', uint32 1)", Value::Struct(vec![Value::text("a"), Value::U32(1)])),
            ("(1,)", Value::Struct(vec![Value::I32(1)])),
            ("<'x'>", Value::variant(Value::text("x"))),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_variant(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let cases = [
            "",
            "bare",
            "'open",
            "[1, 'a']",
            "[]",
            "[1 2]",
            "[1,",
            "uint32 -1",
            "byte 256",
            "1 2",
            "()",
            "@ 1",
            "@as 1",
            "uint64 'x'",
            "--1",
            "0x",
            "1e999",
            "'a\0b'",
            "<1",
            "boolean 1",
            "@(us) (1, 'a', 2)",
            "objectpath 'a'",
            "é",
        ];
        for text in cases {
            assert!(parse_variant(text).is_err(), "{text:?}");
        }
        assert!(parse_variant(&"[".repeat(1000)).is_err());
        assert!(parse_variant(&"@t ".repeat(1000)).is_err());
    }
}
