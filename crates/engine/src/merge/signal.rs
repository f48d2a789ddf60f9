//! Signals as images and users name them.

/// The ones with names, by their numbers from 1 on.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The name of a signal as images write it: `SIGTERM`, `SIGRTMIN+3`.
pub(crate) fn signal_name(number: i32) -> String {
    let named = usize::try_from(number - 1).ok().and_then(|index| NAMES.get(index));
    match (named, number) {
        (Some(name), _) => format!("SIG{name}"),
        (None, 34) => "SIGRTMIN".to_owned(),
        (None, 35..=64) => format!("SIGRTMIN+{}", number - 34),
        (None, _) => number.to_string(),
    }
}

/// The number of a signal as images name it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
pub fn signal_number(text: &str) -> Option<i32> {
    let in_range = |number: i32| (1..=64).contains(&number).then_some(number);
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().and_then(in_range);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return offset(rest, '+').and_then(|offset| in_range(34 + offset));
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return offset(rest, '-').and_then(|offset| in_range(64 - offset));
    }
    let name = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    NAMES.iter().position(|known| *known == name).and_then(|index| i32::try_from(index + 1).ok())
}

fn offset(rest: &str, sign: char) -> Option<i32> {
    if rest.is_empty() {
        return Some(0);
    }
    rest.strip_prefix(sign)?.parse().ok().filter(|offset| (0..=30).contains(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_number_that_it_was_made_of() {
        let numbers: Vec<i32> = (1..32).chain(34..=64).collect();
        let back: Vec<i32> =
            numbers.iter().map(|number| signal_number(&signal_name(*number)).unwrap()).collect();

        assert_eq!(back, numbers);
        assert_eq!(signal_name(10), "SIGUSR1");
    }

    #[test]
    fn signals_have_names_and_numbers() {
        let cases = [
            ("15", Some(15)),
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("0", None),
            ("65", None),
            ("", None),
            ("SIGNOPE", None),
            ("RTMIN+99", None),
        ];
        for (text, expected) in cases {
            assert_eq!(signal_number(text), expected, "signal {text:?}");
        }
    }
}
