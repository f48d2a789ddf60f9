//! What strangers' text is tried on; see the runtime's module of this name.

use crate::render::template::Format;
use serde_json::json;

/// Text as a template, filled with a document: whatever it is, it ends, and the same way twice.
pub fn template(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let document = json!({
        "ID": "abc", "Labels": "a=1,b=2", "Names": ["a", "b"],
        "State": { "Pid": 7, "Running": true, "Error": null },
    });
    let filled = || Format::parse(&text).and_then(|format| format.fill(&document));
    let (once, again) = (filled(), filled());
    assert_eq!(once.as_ref().ok(), again.as_ref().ok());
    once.is_ok()
}

#[cfg(test)]
mod tests {
    use super::template;

    /// Each prefix, and each letter changed to another, of templates that use everything.
    #[test]
    fn damaged_templates_are_refused_or_understood() {
        let seeds = [
            "{{.ID}}\\t{{json .State}} {{.Label \"a\"}}",
            "{{range $i, $n := .Names}}{{if eq $n \"a\"}}{{$i}}{{else}}{{upper $n}}{{end}}{{end}}",
            "{{with .State}}{{printf \"%d %v\" .Pid .Running}}{{end}}{{/* no */}}",
            "{{define \"x\"}}{{slice .ID 1 2 | title}}{{end}}{{template \"x\" .}}{{- len .Names -}}",
        ];
        for seed in seeds {
            assert!(template(seed.as_bytes()), "{seed}");
            let mut understood = 0;
            for at in 0..seed.len() {
                understood += u32::from(template(&seed.as_bytes()[..at]));
                for letter in b"{}\".| $0x\xff" {
                    let mut bytes = seed.as_bytes().to_vec();
                    bytes[at] = *letter;
                    understood += u32::from(template(&bytes));
                }
            }
            assert!(understood > 0, "{seed}");
        }
    }
}
