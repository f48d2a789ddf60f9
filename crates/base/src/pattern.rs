//! Patterns in which a star is any run of letters: names of images, paths of devices.

/// A star is any run of letters. Patterns are short; each star is tried at each place.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_stars() {
        let cases = [
            ("debian", "debian", true),
            ("deb*", "debian", true),
            ("*an", "debian", true),
            ("d*b*n", "debian", true),
            ("*", "", true),
            ("deb", "debian", false),
            ("d*x*n", "debian", false),
            ("aba*ba", "aba", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
