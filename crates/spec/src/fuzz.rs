//! What strangers' bytes are tried on; see the runtime's module of this name.

use crate::image::Document;

/// A manifest or an index, by a media type that comes before the first line's end: a document is one
/// thing whatever it was given as, or refused.
pub fn manifest(bytes: &[u8]) -> bool {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (given, document) = bytes.split_at(at);
    let given = String::from_utf8_lossy(given);
    let Ok(parsed) = Document::parse(document, &given) else { return false };
    let again = Document::parse(document, &given).expect("it was read before");
    assert_eq!(format!("{parsed:?}"), format!("{again:?}"));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each prefix, and each byte changed, of a manifest and of an index.
    #[test]
    fn damaged_manifests_are_refused_or_understood() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let descriptor = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":0}}"#);
        let seeds = [
            format!(
                "application/vnd.oci.image.manifest.v1+json\n{{\"schemaVersion\":2,\"config\":\
                 {descriptor},\"layers\":[{descriptor}]}}"
            ),
            format!(
                "application/vnd.oci.image.index.v1+json\n{{\"schemaVersion\":2,\"manifests\":\
                 [{descriptor}]}}"
            ),
        ];
        for seed in &seeds {
            assert!(manifest(seed.as_bytes()), "{seed}");
            let mut understood = 0;
            for at in 0..seed.len() {
                let mut bytes = seed.clone().into_bytes();
                for other in [b'"', b'0', b'}', b',', bytes[at] ^ 1] {
                    bytes[at] = other;
                    understood += u32::from(manifest(&bytes));
                }
                let _cut = manifest(&seed.as_bytes()[..at]);
            }
            assert!(understood > 0, "{seed}");
        }
    }
}
