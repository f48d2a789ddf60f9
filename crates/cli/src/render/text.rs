//! Text for people: made safe for terminals, shortened, quoted as docker does.

use std::borrow::Cow;

/// Escapes what steers a terminal or turns text around, so that one line stays one line and says
/// what it says.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if steers(letter) {
            safe.extend(letter.escape_default());
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

/// Whether a text is of letters, digits and signs of ASCII alone: each takes a byte and a column.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Controls, and the marks that change the direction of what follows ("trojan source").
fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `limit` letters, the last of which says that there are more.
pub(crate) fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
            short.push('…');
            Cow::Owned(short)
        }
    }
}

/// In double quotes, as Go's `%q` writes it, which is how docker shows commands.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            letter if steers(letter) && letter.is_ascii() => {
                out.push_str(&format!("\\x{:02x}", u32::from(letter)));
            }
            letter if steers(letter) => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// A command line for people: words with spaces, or without letters, are in single quotes.
pub(crate) fn command_line(words: &[String]) -> String {
    let mut line = String::new();
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            line.push(' ');
        }
        let quote = if word.is_empty() || word.contains(char::is_whitespace) { "'" } else { "" };
        for part in [quote, word, quote] {
            line.push_str(part);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        let cases = [
            ("plain ä 漢", "plain ä 漢"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{9b}x\u{7f}", "\\u{9b}x\\u{7f}"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ];
        for (text, safe) in cases {
            assert_eq!(escaped(text), safe);
        }
    }

    #[test]
    fn long_text_ends_with_an_ellipsis_within_the_limit() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
        assert_eq!(shortened("äöüäöü", 3), "äö…");
        assert_eq!(shortened("", 3), "");
    }

    #[test]
    fn quotes_are_those_of_go() {
        assert_eq!(quoted("sh -c 'a \"b\"'"), r#""sh -c 'a \"b\"'""#);
        assert_eq!(quoted("a\n\u{1b}\\"), r#""a\n\x1b\\""#);
        assert_eq!(command_line(&["sh".into(), "-c".into(), "echo hi".into()]), "sh -c 'echo hi'");
    }
}
