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
        // Shells pass `\t` and `\n` on as two letters; docker takes them for one.
        let unescaped = text.replace("\\t", "\t").replace("\\n", "\n");
        let template = Template::new("format")
            .missing_key(MissingKey::Error)
            .max_range_iters(ITERATION_LIMIT)
            .func("json", |values| Ok(string(json_text(values.first()))))
            .func("upper", |values| Ok(string(words(values).to_uppercase())))
            .func("lower", |values| Ok(string(words(values).to_lowercase())))
            .func("join", |values| Ok(string(joined(values))))
            .func("title", |values| Ok(string(titled(&words(values)))))
            .func("split", |values| Ok(split(values)))
            .parse(&unescaped)
            .map_err(|error| bad(text, error))?;
        Ok(Self { template, text: text.to_owned() })
    }

    /// What the template makes of a document.
    pub(crate) fn fill(&self, document: &Value) -> Result<String> {
        self.template.execute_to_string(&datum(document)).map_err(|error| bad(&self.text, error))
    }
}

fn bad(text: &str, error: gotmpl::TemplateError) -> Error {
    Error::new(Kind::Invalid, format!("--format {text:?}"))
        .because(error)
        .hint("write a template such as '{{.ID}}'; `--format json` shows the fields")
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

fn titled(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            ("{{.Bogus}}", None),
            ("{{", None),
            ("{{bogus}}", None),
        ];
        for (text, expected) in cases {
            let filled = Format::parse(text).and_then(|format| format.fill(&document)).ok();
            assert_eq!(filled.as_deref(), expected, "filling {text:?}");
        }
    }
}
