//! Documents in which `null` stands for "not given".
//!
//! Programs in Go write an empty list or map as `null`, and read it as one. What is parsed here names
//! such fields or leaves them out, which is the same. Only a document that cannot be read otherwise is
//! looked through for it.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a document, with the members of objects that are `null` left out where need be. The error is of
/// the document as it is.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes).or_else(|error| {
        let mut document: Value = serde_json::from_slice(bytes)?;
        leave_out_nulls(&mut document);
        serde_json::from_value(document).map_err(|_| error)
    })
}

fn leave_out_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(leave_out_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::Spec;

    #[test]
    fn null_is_as_good_as_nothing() {
        let text = r#"{"ociVersion": "1.3.0", "mounts": null, "annotations": null, "hooks": null,
            "process": {"cwd": "/", "args": ["a"], "env": null, "user": {"additionalGids": null}},
            "linux": {"timeOffsets": null, "resources": {"devices": null, "unified": null}}}"#;
        let plain = r#"{"ociVersion": "1.3.0", "process": {"cwd": "/", "args": ["a"]},
            "linux": {"resources": {}}}"#;

        let read = Spec::parse(text.as_bytes()).unwrap();

        assert_eq!(read, Spec::parse(plain.as_bytes()).unwrap());
    }

    #[test]
    fn a_namespace_with_an_empty_path_is_a_new_one() {
        let text = r#"{"linux": {"namespaces": [{"type": "pid", "path": ""}, {"type": "ipc"}]}}"#;

        let linux = Spec::parse(text.as_bytes()).unwrap().linux.unwrap();

        assert!(linux.namespaces.iter().all(|namespace| namespace.path.is_none()), "{linux:?}");
    }

    #[test]
    fn what_is_wrong_besides_is_told_by_its_place() {
        let text = "{\"mounts\": null,\n \"hostname\": 3}";

        let error = Spec::parse(text.as_bytes()).unwrap_err().one_line();

        assert!(error.contains("null, expected a sequence at line 1"), "{error}");
    }
}
