//! Events as podman shows them, under its name: other words for what happened, another line, and another
//! document.

use super::name;
use crate::render::text::escaped;
use dhow_state::events::Event;
use serde_json::{Map, Value, json};

/// What podman calls what happened.
pub(super) fn status(event: &Event) -> &str {
    match event.action.as_str() {
        "die" => "died",
        "destroy" | "delete" => "remove",
        "exec_die" => "exec_died",
        other if other.starts_with("exec_start:") => "exec",
        other if other.starts_with("health_status:") => "health_status",
        other => other,
    }
}

/// Podman's words in the fields of a template.
pub(super) fn rename(event: &Event, fields: &mut Value) {
    fields["Status"] = json!(status(event));
    fields["Action"] = json!(status(event));
}

/// Podman's line.
pub(super) fn text(event: &Event, detail: &Map<String, Value>) -> String {
    let at = event.at.rfc3339().replacen('T', " ", 1).replace('Z', " +0000 UTC");
    let (kind, status, object) = (&event.kind, status(event), escaped(&event.object));
    let of = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default();
    match kind.as_str() {
        "container" => {
            let more = detail.iter().filter(|(name, _)| !matches!(name.as_str(), "image" | "name"));
            let word =
                |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let more: String = more
                .map(|(name, value)| format!(", {}={}", escaped(name), escaped(&word(value))))
                .collect();
            let (image, name) = (escaped(of("image")), escaped(of("name")));
            format!("{at} {kind} {status} {object} (image={image}, name={name}{more})\n")
        }
        "pod" => format!("{at} {kind} {status} {object} (image=, name={})\n", escaped(of("name"))),
        "network" => {
            let name = name(event, detail);
            let (container, name) = (escaped(of("container")), escaped(&name));
            format!("{at} {kind} {status} {container} (name={name})\n")
        }
        "image" => format!("{at} {kind} {status} {object} {object}\n"),
        _ => format!("{at} {kind} {status} {object}\n"),
    }
}

/// Podman's document: what is empty is left out.
pub(super) fn document(event: &Event, detail: &Map<String, Value>) -> Value {
    let nanoseconds = event.at.unix_nanoseconds();
    let of = |name: &str| detail.get(name).and_then(Value::as_str);
    let mut document = json!({
        "ID": event.object,
        "Name": name(event, detail),
        "Status": status(event),
        "Type": event.kind,
        "time": nanoseconds.div_euclid(1_000_000_000),
        "timeNano": nanoseconds,
    });
    if event.kind == "container" {
        document["Image"] = json!(of("image").unwrap_or_default());
        let labels = detail
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "image" | "name" | "exitCode"));
        let labels: Map<String, Value> =
            labels.map(|(name, value)| (name.clone(), value.clone())).collect();
        document["Attributes"] = Value::Object(labels);
    }
    if let Some(code) = of("exitCode").and_then(|code| code.parse::<i32>().ok()) {
        document["ContainerExitCode"] = json!(code);
    }
    if let Some(health) = event.action.strip_prefix("health_status: ") {
        document["health_status"] = json!(health);
    }
    if event.kind == "network" {
        document["network"] = json!(name(event, detail));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::clock::Moment;

    fn event(kind: &str, action: &str, detail: &Value) -> (Event, Map<String, Value>) {
        let at = Moment::parse("2026-11-22T03:19:00.5Z").unwrap();
        let event = Event {
            number: 1,
            at,
            kind: kind.into(),
            action: action.into(),
            object: "abc".into(),
            detail: detail.to_string(),
        };
        (event, detail.as_object().unwrap().clone())
    }

    #[test]
    fn an_end_is_shown_as_podman_shows_it() {
        let detail = json!({"image": "box", "name": "web", "exitCode": "3", "tier": "front"});
        let (event, detail) = event("container", "die", &detail);

        assert_eq!(
            text(&event, &detail),
            "2026-11-22 03:19:00.500000000 +0000 UTC container died abc (image=box, name=web, exitCode=3, \
             tier=front)\n"
        );
        let shown = document(&event, &detail);
        assert_eq!((&shown["Status"], &shown["ContainerExitCode"]), (&json!("died"), &json!(3)));
        assert_eq!(shown["Attributes"], json!({"tier": "front"}));
        assert_eq!(shown["time"], 1_795_317_540);
    }

    #[test]
    fn each_kind_of_object_has_its_line() {
        let cases = [
            ("image", "pull", json!({}), "image pull abc abc\n"),
            ("image", "delete", json!({}), "image remove abc abc\n"),
            ("volume", "destroy", json!({}), "volume remove abc\n"),
            ("pod", "create", json!({"name": "p"}), "pod create abc (image=, name=p)\n"),
            (
                "network",
                "connect",
                json!({"name": "n", "container": "c"}),
                "network connect c (name=n)\n",
            ),
            (
                "container",
                "health_status: healthy",
                json!({"name": "w", "image": "i"}),
                "container health_status abc (image=i, name=w)\n",
            ),
            (
                "container",
                "exec_start: sh -c ls",
                json!({"name": "w", "image": "i"}),
                "container exec abc (image=i, name=w)\n",
            ),
        ];
        for (kind, action, detail, expected) in cases {
            let (event, detail) = event(kind, action, &detail);
            let line = text(&event, &detail);
            assert!(line.ends_with(expected), "{line} is not {expected}");
        }
    }
}
