//! `--format`: Go's templates over documents, with the functions that docker adds.

use dhow_base::{Error, Kind, Result};
use gotmpl::{MissingKey, Template, Value as Datum};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// A template says what it wants in a few thousand iterations; more is an endless loop.
const ITERATION_LIMIT: u64 = 1_000_000;

/// A parsed `--format`.
pub(crate) struct Format {
    template: Template,
    text: String,
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Format").field(&self.text).finish()
    }
}

impl Format {
    /// Parses a template.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Self::parse_with(text, MissingKey::Error)
    }

    /// As [`Format::parse`], for documents with attributes that only some have: what is missing there is
    /// `<no value>`, as in docker.
    pub(crate) fn parse_with_attributes(text: &str) -> Result<Self> {
        match text.contains("Attributes.") {
            true => Self::parse_with(text, MissingKey::Invalid),
            false => Self::parse(text),
        }
    }

    fn parse_with(text: &str, missing: MissingKey) -> Result<Self> {
        // Shells pass `\t` and `\n` on as two letters; docker takes them for one.
        let unescaped = called(&text.replace("\\t", "\t").replace("\\n", "\n"));
        let template = Template::new("format")
            .missing_key(missing)
            .max_range_iters(ITERATION_LIMIT)
            .func("json", |values| Ok(string(json_text(values.first()))))
            .func("upper", |values| Ok(string(words(values).to_uppercase())))
            .func("lower", |values| Ok(string(words(values).to_lowercase())))
            .func("join", |values| Ok(string(joined(values))))
            .func("title", |values| Ok(string(titled(&words(values)))))
            .func("split", |values| Ok(split(values)))
            .func("pad", |values| Ok(string(padded(values))))
            .func("truncate", |values| Ok(string(truncated(values))))
            .func("label", |values| Ok(string(label(values))))
            .parse(&unescaped)
            .map_err(|error| bad(text, error))?;
        // What is no function is found out only when it is called, which on an empty list it is not.
        if let Err(error @ gotmpl::TemplateError::UndefinedFunction(_)) =
            template.execute_to_string(&Datum::Nil)
        {
            return Err(bad(text, error));
        }
        Ok(Self { template, text: text.to_owned() })
    }

    /// The same, with columns also where a space alone stands between two cells, as podman has it.
    pub(crate) fn in_columns(self) -> Self {
        Self::parse(&self.text.replace("}} {{", "}}\t{{")).unwrap_or(self)
    }

    /// Whether a field of a document may be used: it is named, or the document is used as a whole.
    pub(crate) fn may_use(&self, field: &str) -> bool {
        let whole = self.text.match_indices('.').any(|(at, _)| {
            !self.text[at + 1..].starts_with(|letter: char| letter.is_ascii_uppercase())
        });
        // A label is found in the field that has them all.
        whole || self.text.contains(field) || (field == "Labels" && self.text.contains("Label"))
    }

    /// What the template makes of a document.
    pub(crate) fn fill(&self, document: &Value) -> Result<String> {
        self.filled(document).map_err(|error| {
            let place = place_of(&self.text, &error);
            let bad = bad(&self.text, error);
            match place {
                Some((line, column)) => {
                    Error::new(Kind::Invalid, format!("at {line}:{column}")).because(bad)
                }
                None => bad,
            }
        })
    }
}

/// How many fields of a template may be called otherwise in the document.
const OTHERWISE_LIMIT: usize = 16;

impl Format {
    /// docker and podman name fields by Go's structs, whose names begin with a capital letter, where the
    /// document may write `Id` for `ID` or `annotations` for `Annotations`. What is not there is therefore
    /// looked for by the letters alone.
    fn filled(&self, document: &Value) -> Result<String, gotmpl::TemplateError> {
        let mut result = self.template.execute_to_string(&datum(document));
        let mut named = document.clone();
        for _ in 0..OTHERWISE_LIMIT {
            let Err(gotmpl::TemplateError::MissingKey { key }) = &result else { break };
            if !key.starts_with(|letter: char| letter.is_ascii_uppercase())
                || !also_called(&mut named, key)
            {
                break;
            }
            result = self.template.execute_to_string(&datum(&named));
        }
        result
    }
}

/// Gives every object that has a field of these letters, not only the first one, a field that is written
/// so; whether there was one.
fn also_called(value: &mut Value, key: &str) -> bool {
    match value {
        Value::Array(values) => {
            values.iter_mut().filter_map(|value| also_called(value, key).then_some(())).count() > 0
        }
        Value::Object(fields) => {
            let inside = fields
                .values_mut()
                .filter_map(|value| also_called(value, key).then_some(()))
                .count();
            let same = |(name, _): &(&String, &Value)| name.eq_ignore_ascii_case(key);
            let found = match fields.contains_key(key) {
                true => None,
                false => fields.iter().find(same).map(|(_, value)| value.clone()),
            };
            let is_found = found.is_some();
            fields.extend(found.map(|value| (key.to_owned(), value)));
            inside > 0 || is_found
        }
        _ => false,
    }
}

fn bad(text: &str, error: gotmpl::TemplateError) -> Error {
    Error::new(Kind::Invalid, format!("--format {text:?}"))
        .because(error)
        .hint("write a template such as '{{.ID}}'; `--format json` shows the fields")
}

/// Docker's rows have a method that looks a label up, `{{.Label "name"}}`; fields have no methods here.
fn called(text: &str) -> String {
    const METHOD: &str = ".Label ";
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(METHOD) {
        let (before, after) = (&rest[..at], rest[at + METHOD.len()..].trim_start());
        let quote = after.chars().next().filter(|letter| matches!(letter, '"' | '`'));
        let end = quote.and_then(|quote| after[1..].find(quote));
        let Some(end) = end else {
            made.push_str(&rest[..at + METHOD.len()]);
            rest = &rest[at + METHOD.len()..];
            continue;
        };
        let (name, next) = after.split_at(end + 2);
        let (before, dollar) = match before.strip_suffix('$') {
            Some(before) => (before, "$"),
            None => (before, ""),
        };
        made.push_str(&format!("{before}(label {dollar}.Labels {name})"));
        rest = next;
    }
    made.push_str(rest);
    made
}

/// Where in a template the field stands that is not there, by line and column.
fn place_of(text: &str, error: &gotmpl::TemplateError) -> Option<(usize, usize)> {
    let gotmpl::TemplateError::MissingKey { key } = error else { return None };
    let field = format!(".{key}");
    let ends = |at: &usize| {
        let next = text[at + field.len()..].chars().next();
        !next.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    };
    let at = text.match_indices(&field).map(|(at, _)| at).find(ends)?;
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
}

fn datum(value: &Value) -> Datum {
    match value {
        Value::Null => Datum::Nil,
        Value::Bool(flag) => Datum::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Datum::Int(number),
            (None, Some(number)) => Datum::Uint(number),
            (None, None) => Datum::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => string(text.clone()),
        Value::Array(values) => Datum::List(values.iter().map(datum).collect()),
        Value::Object(fields) => Datum::Map(Arc::new(
            fields.iter().map(|(name, value)| (Arc::from(name.as_str()), datum(value))).collect(),
        )),
    }
}

fn string(text: String) -> Datum {
    Datum::String(text.into())
}

fn json_text(value: Option<&Datum>) -> String {
    value.map_or(Value::Null, json).to_string()
}

fn json(value: &Datum) -> Value {
    match value {
        Datum::Bool(flag) => Value::Bool(*flag),
        Datum::Int(number) => Value::from(*number),
        Datum::Uint(number) => Value::from(*number),
        Datum::Float(number) => Value::from(*number),
        Datum::String(text) => Value::from(&**text),
        Datum::List(values) => values.iter().map(json).collect(),
        Datum::Map(fields) => Value::Object(
            fields.iter().map(|(name, value)| (name.to_string(), json(value))).collect(),
        ),
        _ => Value::Null,
    }
}

fn words(values: &[Datum]) -> String {
    values.first().map(ToString::to_string).unwrap_or_default()
}

fn joined(values: &[Datum]) -> String {
    let separator = values.get(1).map(ToString::to_string).unwrap_or_default();
    match values.first() {
        Some(Datum::List(list)) => {
            list.iter().map(ToString::to_string).collect::<Vec<_>>().join(&separator)
        }
        other => other.map(ToString::to_string).unwrap_or_default(),
    }
}

fn split(values: &[Datum]) -> Datum {
    let text = words(values);
    let separator = values.get(1).map(ToString::to_string).unwrap_or_default();
    Datum::List(text.split(separator.as_str()).map(|part| string(part.to_owned())).collect())
}

fn number(values: &[Datum], place: usize) -> usize {
    match values.get(place) {
        Some(Datum::Int(number)) => usize::try_from(*number).unwrap_or(0).min(1 << 16),
        _ => 0,
    }
}

/// `pad TEXT BEFORE AFTER`: blanks around a text that is not empty.
fn padded(values: &[Datum]) -> String {
    let text = words(values);
    if text.is_empty() {
        return text;
    }
    format!("{}{text}{}", " ".repeat(number(values, 1)), " ".repeat(number(values, 2)))
}

/// `truncate TEXT LENGTH`.
fn truncated(values: &[Datum]) -> String {
    words(values).chars().take(number(values, 1)).collect()
}

/// `label LABELS NAME`, of labels as a list shows them or as a document has them.
fn label(values: &[Datum]) -> String {
    let name = values.get(1).map(ToString::to_string).unwrap_or_default();
    match values.first() {
        Some(Datum::Map(labels)) => {
            labels.get(name.as_str()).map(ToString::to_string).unwrap_or_default()
        }
        Some(Datum::String(labels)) => {
            let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).collect()
        }
        _ => String::new(),
    }
}

fn titled(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_found_by_the_name_that_go_has_for_it() {
        let document = json!({
            "Id": "abc",
            "Manifest": {"annotations": {"key": "value"}, "layers": [{"size": 3}]},
            "Both": {"size": 1, "Size": 2},
        });
        let cases = [
            ("{{.ID}} {{.Id}}", Some("abc abc")),
            ("{{index .Manifest.Annotations \"key\"}} {{len .Manifest.Layers}}", Some("value 1")),
            ("{{range .Manifest.Layers}}{{.Size}}{{end}} {{.Both.Size}}", Some("3 2")),
            ("{{.iD}}", None),
            ("{{.Bogus}}", None),
        ];
        for (text, expected) in cases {
            let filled = Format::parse(text).unwrap().fill(&document).ok();
            assert_eq!(filled.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn templates_are_those_of_docker() {
        let document = json!({
            "ID": "abc",
            "State": {"Running": true, "Pid": 7, "Error": null},
            "Names": ["a", "b"],
            "Labels": {"x": "1"},
        });
        let cases = [
            ("{{.ID}}", Some("abc")),
            ("{{.State.Pid}}\\t{{.State.Running}}", Some("7\ttrue")),
            ("{{json .Labels}}", Some(r#"{"x":"1"}"#)),
            ("{{json .State.Error}}", Some("null")),
            ("{{join .Names \",\"}}", Some("a,b")),
            ("{{range .Names}}<{{.}}>{{end}}", Some("<a><b>")),
            ("{{if .State.Running}}up{{else}}down{{end}}", Some("up")),
            ("{{index .Labels \"x\"}}", Some("1")),
            ("{{upper .ID}} {{title .ID}} {{len .Names}}", Some("ABC Abc 2")),
            ("{{.Label \"x\"}}|{{$.Label `x`}}|{{.Label}}", None),
            ("{{.Label \"x\"}}|{{$.Label `x`}}|{{.Label \"y\"}}", Some("1|1|")),
            ("{{pad .ID 1 2}}|{{pad \"\" 1 2}}|{{truncate .ID 2}}", Some(" abc  ||ab")),
            ("{{with .State}}{{.Pid}}{{end}}", Some("7")),
            ("{{$n := .ID}}{{$n | upper | printf \"%5s\"}}", Some("  ABC")),
            ("{{range $i, $n := .Names}}{{$i}}{{$n}} {{end}}", Some("0a 1b ")),
            ("{{if and (eq .ID \"abc\") (not (lt .State.Pid 3))}}y{{end}}", Some("y")),
            ("{{slice .ID 1 2}} {{println .ID}}", Some("b abc\n")),
            ("{{join (split \"a,b\" \",\") \"-\"}}", Some("a-b")),
            (
                "{{json .}}",
                Some(
                    "{\"ID\":\"abc\",\"Labels\":{\"x\":\"1\"},\"Names\":[\"a\",\"b\"],\"State\":{\"Error\":null,\"Pid\":7,\"Running\":true}}",
                ),
            ),
            ("{{.Bogus}}", None),
            ("{{", None),
            ("{{bogus}}", None),
        ];
        for (text, expected) in cases {
            let filled = Format::parse(text).and_then(|format| format.fill(&document)).ok();
            assert_eq!(filled.as_deref(), expected, "filling {text:?}");
        }
    }

    #[test]
    fn an_error_says_where() {
        let document = json!({"ID": "abc", "Names": ["a"]});
        let cases = [
            ("{{.ID}} {{.Bogus}}", "1:11"),
            ("{{.ID}}\n{{.Nam}}", "2:3"),
            ("{{.ID}} {{", "1:"),
            ("{{nofunction .ID}}", "nofunction"),
        ];
        for (text, expected) in cases {
            let error = Format::parse(text).and_then(|format| format.fill(&document)).unwrap_err();
            assert!(error.one_line().contains(expected), "{text:?}: {}", error.one_line());
        }
    }
}
