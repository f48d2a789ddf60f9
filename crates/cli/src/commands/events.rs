//! `events`: what happens to containers, images and the rest, as it happens.

mod podmans;

use crate::{
    exit::SUCCESS,
    flags::{moment, refuse},
    invocation::Invocation,
    manners::Manners,
    render::{template::Format, text::escaped},
    tree::Act,
};
use dhow_base::Result;
use dhow_state::events::Event;
use serde_json::{Map, Value, json};

/// Show what happens to containers, images and the rest
///
/// From now on until it is interrupted; with `--since` also what was, with `--until` up to a time.
#[derive(clap::Args, Debug)]
pub(crate) struct Events {
    /// Show only events for which this holds: container=, image=, volume=, pod=, type=, event= or
    /// label=
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Print as json (one object a line) or by a template such as '{{.Action}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Show what was since a time (2026-11-22T03:19:00Z) or a duration (10m) too
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Show nothing after a time or a duration, and end there
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Go on with what is yet to happen
    #[arg(long, value_name = "BOOL", default_value_t = true)]
    stream: bool,

    /// Do not shorten ids; they never are
    #[arg(long, hide = true)]
    no_trunc: bool,
}

impl Act for Events {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let time = |flag, text: &Option<String>| {
            text.as_deref().map(|text| moment::parse(flag, text)).transpose()
        };
        let (since, until) = (time("--since", &self.since)?, time("--until", &self.until)?);
        let filters =
            self.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
        let shape = Shape::of(self.format.as_deref(), invocation.manners)?;
        let engine = invocation.engine()?;
        let mut history = engine.events(since, until, self.stream)?;
        loop {
            let page = history.next_page()?;
            if page.is_empty() {
                return Ok(SUCCESS);
            }
            let mut text = String::new();
            for event in &page {
                let detail = detail(event);
                let made = made_before(event, invocation.manners);
                for event in made.iter().chain([event]) {
                    if passes(event, &detail, &filters) {
                        text.push_str(&shape.line(event, &detail)?);
                    }
                }
            }
            invocation.console.print(text)?;
        }
    }
}

/// Docker makes a process of `exec` and starts it then, and tells of both. Here that is one step, of which two
/// are told.
fn made_before(event: &Event, manners: Manners) -> Option<Event> {
    let command = event.action.strip_prefix("exec_start: ")?;
    let action = format!("exec_create: {command}");
    (manners != Manners::Podman).then(|| Event { action, ..event.clone() })
}

fn detail(event: &Event) -> Map<String, Value> {
    serde_json::from_str(&event.detail).unwrap_or_default()
}

/// How events are printed.
struct Shape {
    form: Form,
    manners: Manners,
}

enum Form {
    Text,
    Json,
    Lines(Format),
}

impl Shape {
    fn of(format: Option<&str>, manners: Manners) -> Result<Self> {
        let form = match format {
            None | Some("") => Form::Text,
            Some("json" | "{{json .}}") => Form::Json,
            Some(text) => Form::Lines(Format::parse_with_attributes(text)?),
        };
        Ok(Self { form, manners })
    }

    fn line(&self, event: &Event, detail: &Map<String, Value>) -> Result<String> {
        let is_podman = self.manners == Manners::Podman;
        Ok(match &self.form {
            Form::Text if is_podman => podmans::text(event, detail),
            Form::Text => text(event, detail),
            Form::Json if is_podman => format!("{}\n", podmans::document(event, detail)),
            Form::Json => format!("{}\n", document(event, detail)),
            Form::Lines(format) => {
                let mut fields = fields(event, detail);
                if is_podman {
                    podmans::rename(event, &mut fields);
                }
                format!("{}\n", format.fill(&fields)?)
            }
        })
    }
}

/// Docker's line: time, type, action, id, and the attributes by name.
fn text(event: &Event, detail: &Map<String, Value>) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let attributes =
        detail.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(&word(value))));
    let attributes = attributes.collect::<Vec<_>>().join(", ");
    let attributes = if attributes.is_empty() { attributes } else { format!(" ({attributes})") };
    let Event { at, kind, action, object, .. } = event;
    format!("{} {kind} {} {}{attributes}\n", at.rfc3339(), escaped(action), escaped(object))
}

/// Docker's document.
fn document(event: &Event, detail: &Map<String, Value>) -> Value {
    let nanoseconds = event.at.unix_nanoseconds();
    let mut document = json!({
        "Type": event.kind,
        "Action": event.action,
        "Actor": { "ID": event.object, "Attributes": detail },
        "scope": "local",
        "time": nanoseconds.div_euclid(1_000_000_000),
        "timeNano": nanoseconds,
    });
    if event.kind == "container" {
        document["status"] = json!(event.action);
        document["id"] = json!(event.object);
        document["from"] = detail.get("image").cloned().unwrap_or_default();
    }
    document
}

/// What the object of an event is called.
fn name(event: &Event, detail: &Map<String, Value>) -> String {
    let named = detail.get("name").and_then(Value::as_str);
    let named = named.filter(|_| matches!(event.kind.as_str(), "container" | "pod" | "network"));
    named.unwrap_or(&event.object).to_owned()
}

/// What templates may name: docker's fields and podman's.
fn fields(event: &Event, detail: &Map<String, Value>) -> Value {
    let of = |name: &str| detail.get(name).cloned().unwrap_or_else(|| json!(""));
    let network = match event.kind.as_str() {
        "network" => of("name"),
        _ => json!(""),
    };
    let nanoseconds = event.at.unix_nanoseconds();
    json!({
        "Type": event.kind,
        "Action": event.action,
        "Status": event.action,
        "Actor": { "ID": event.object, "Attributes": detail },
        "Attributes": detail,
        "ID": event.object,
        "Name": name(event, detail),
        "Network": network,
        "PodID": "",
        "Details": detail,
        "Error": "",
        "ToHumanReadable": podmans::text(event, detail).trim_end(),
        "Image": of("image"),
        "From": of("image"),
        "ContainerExitCode": of("exitCode"),
        "HealthStatus": event.action.strip_prefix("health_status: ").unwrap_or_default(),
        "Scope": "local",
        "Time": nanoseconds.div_euclid(1_000_000_000),
        "TimeNano": nanoseconds,
    })
}

/// One `--filter`.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Filter {
    Object(&'static str, String),
    Kind(String),
    Action(String),
    Label(String, Option<String>),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            refuse("--filter", text, why)
                .hint("there are container=, image=, volume=, pod=, type=, event= and label=")
        };
        let (key, value) = text.split_once('=').ok_or_else(|| refused("the value is missing"))?;
        let value = value.to_owned();
        Ok(match key {
            "container" => Self::Object("container", value),
            "image" => Self::Object("image", value),
            "volume" => Self::Object("volume", value),
            "pod" => Self::Object("pod", value),
            "network" => Self::Object("network", value),
            "type" => Self::Kind(value),
            "event" | "status" | "action" => Self::Action(value),
            "label" => match value.split_once('=') {
                Some((name, value)) => Self::Label(name.to_owned(), Some(value.to_owned())),
                None => Self::Label(value, None),
            },
            // There is one host and one daemon's worth of events.
            "daemon" | "scope" if value == "local" => Self::Kind(String::new()),
            _ => return Err(refused("no such filter")),
        })
    }

    fn holds(&self, event: &Event, detail: &Map<String, Value>) -> bool {
        let of = |name: &str| detail.get(name).and_then(Value::as_str);
        match self {
            // The events of a container are those of its image too, as docker has it.
            Self::Object("image", image) if event.kind == "container" => {
                of("image").is_some_and(|other| is_image(image, other))
            }
            Self::Object(kind, name) => {
                event.kind == *kind
                    && (event.object == *name
                        || of("name") == Some(name)
                        || (*kind == "image" && is_image(name, &event.object))
                        || (name.len() >= 3 && event.object.starts_with(name.as_str())))
            }
            Self::Kind(kind) => kind.is_empty() || event.kind == *kind,
            Self::Action(action) => {
                event.action == *action
                    || event.action.split_once(':').is_some_and(|(word, _)| word == action)
                    || podmans::status(event) == action
            }
            Self::Label(name, value) => {
                of(name).is_some_and(|other| value.as_ref().is_none_or(|value| value == other))
            }
        }
    }
}

fn is_image(wanted: &str, name: &str) -> bool {
    wanted == name || name.rsplit_once(':').is_some_and(|(bare, _)| bare == wanted)
}

/// Filters of one kind are alternatives, except labels; those of different kinds must all hold.
fn passes(event: &Event, detail: &Map<String, Value>, filters: &[Filter]) -> bool {
    let same = |one: &Filter, other: &Filter| match (one, other) {
        (Filter::Object(one, _), Filter::Object(other, _)) => one == other,
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    };
    filters.iter().all(|filter| match filter {
        Filter::Label(..) => filter.holds(event, detail),
        _ => filters
            .iter()
            .filter(|other| same(filter, other))
            .any(|other| other.holds(event, detail)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::clock::Moment;

    fn event(kind: &str, action: &str, object: &str, detail: &Value) -> Event {
        let at = Moment::parse("2026-11-22T03:19:00.5Z").unwrap();
        Event {
            number: 1,
            at,
            kind: kind.into(),
            action: action.into(),
            object: object.into(),
            detail: detail.to_string(),
        }
    }

    #[test]
    fn an_event_is_shown_as_docker_shows_it() {
        let event = event(
            "container",
            "die",
            "abc",
            &json!({"image": "box", "name": "web", "exitCode": "3"}),
        );
        let detail = detail(&event);

        let line = text(&event, &detail);

        assert!(line.starts_with("2026-11-22T03:19:00.500000000Z container die abc ("), "{line}");
        assert!(line.contains("exitCode=3") && line.contains("name=web"), "{line}");
        let document = document(&event, &detail);
        assert_eq!(document["Actor"]["Attributes"]["exitCode"], "3");
        assert_eq!((&document["status"], &document["from"]), (&json!("die"), &json!("box")));
        assert_eq!(document["timeNano"].as_i64().unwrap() / 1_000_000_000, document["time"]);
        let with =
            |text: &str, manners| Shape::of(Some(text), manners).unwrap().line(&event, &detail);
        let words = "{{.Type}} {{.Name}} {{.Actor.ID}} {{.Status}}";
        assert_eq!(with(words, Manners::Dhow).unwrap(), "container web abc die\n");
        assert_eq!(with(words, Manners::Podman).unwrap(), "container web abc died\n");
        let missing = with("{{.Actor.Attributes.tier}}", Manners::Docker).unwrap();
        assert_eq!(missing, "<no value>\n");
        assert!(with("{{.Bogus}}", Manners::Docker).is_err());
    }

    #[test]
    fn filters_of_one_kind_are_alternatives() {
        let event = event(
            "container",
            "health_status: healthy",
            "abcdef",
            &json!({"image": "box:1", "name": "web", "tier": "front"}),
        );
        let cases: [(&[&str], bool); 14] = [
            (&[], true),
            (&["container=web"], true),
            (&["container=abcd"], true),
            (&["container=db"], false),
            (&["container=db", "container=web"], true),
            (&["image=box"], true),
            (&["image=box:2"], false),
            (&["type=container", "event=health_status"], true),
            (&["event=died"], false),
            (&["label=tier"], true),
            (&["label=tier=back"], false),
            (&["container=web", "volume=data"], false),
            (&["type=image"], false),
            (&["scope=local"], true),
        ];
        for (texts, expected) in cases {
            let filters: Vec<_> = texts.iter().map(|text| Filter::parse(text).unwrap()).collect();
            assert_eq!(passes(&event, &detail(&event), &filters), expected, "{texts:?}");
        }
        assert!(Filter::parse("bogus=1").is_err() && Filter::parse("type").is_err());
    }
}
