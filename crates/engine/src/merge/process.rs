//! The process: its words, its environment, its directory.

use super::Facts;
use crate::{options::CreateOptions, record::Record};
use dhow_base::{Error, Kind, Result};
use dhow_spec::image::ExecutionConfig;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The words that the container runs: the user's entrypoint resets the image's command.
pub(super) fn words(
    options: &CreateOptions,
    image: &ExecutionConfig,
) -> Result<(Vec<String>, Vec<String>)> {
    let entrypoint = options.entrypoint.clone().unwrap_or_else(|| image.entrypoint.clone());
    let command = match (&options.command[..], &options.entrypoint) {
        ([], None) => image.cmd.clone(),
        (command, _) => command.to_vec(),
    };
    if entrypoint.is_empty() && command.is_empty() {
        return Err(Error::new(
            Kind::Invalid,
            format!("run {}: no command is given", options.image),
        )
        .hint("the image names no command either; write one after the image"));
    }
    Ok((entrypoint, command))
}

/// Who the container runs as, as it was asked for.
pub(super) fn user<'a>(options: &'a CreateOptions, image: &'a ExecutionConfig) -> &'a str {
    options.user.as_deref().unwrap_or(&image.user)
}

/// The directory that the process starts in.
pub(super) fn workdir(options: &CreateOptions, image: &ExecutionConfig) -> Result<String> {
    let wanted = options.workdir.as_deref().unwrap_or(&image.working_dir);
    let wanted = if wanted.is_empty() { "/" } else { wanted };
    if !wanted.starts_with('/') {
        // An image's relative directory starts at the root, as in docker; a user's is an error.
        if options.workdir.is_none() {
            return Ok(format!("/{wanted}"));
        }
        return Err(Error::new(Kind::Invalid, format!("use {wanted:?} as the working directory"))
            .hint("the working directory is an absolute path in the container"));
    }
    Ok(wanted.to_owned())
}

/// The order of both docker and podman: the engine's, then the caller's where it was asked for, then
/// the image's, then the user's; a later value replaces an earlier one in its place. Entries without
/// a name are dropped.
pub(super) fn environment(
    options: &CreateOptions,
    image: &ExecutionConfig,
    record: &Record,
    facts: &Facts<'_>,
) -> Vec<String> {
    let asked = &options.environment;
    let mut environment = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={}", record.hostname)];
    if options.tty {
        environment.push("TERM=xterm".to_owned());
    }
    for entry in asked.defaults.iter().chain(&asked.host).chain(&asked.proxies).chain(&image.env) {
        set_variable(&mut environment, entry);
    }
    if asked.unset_all {
        environment.clear();
    }
    environment.retain(|entry| !asked.unset.iter().any(|name| is_named(entry, name)));
    for entry in &asked.merge {
        let filled = filled(entry, &environment);
        set_variable(&mut environment, &filled);
    }
    for entry in &options.env {
        set_variable(&mut environment, entry);
    }
    if !asked.unset.iter().any(|name| name == "HOME")
        && !environment.iter().any(|entry| is_named(entry, "HOME"))
    {
        environment.push(format!("HOME={}", facts.identity.home));
    }
    environment
}

fn is_named(entry: &str, name: &str) -> bool {
    entry.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
}

/// podman's `--env-merge`: `$NAME` and `${NAME}` in the value are what they are so far, and nothing
/// where they are not; a backslash keeps the next letter.
fn filled(entry: &str, environment: &[String]) -> String {
    let (name, mut rest) = entry.split_once('=').unwrap_or((entry, ""));
    let mut text = format!("{name}=");
    let value = |name: &str| {
        let found = environment.iter().find(|other| is_named(other, name));
        found.map_or("", |found| &found[name.len() + 1..])
    };
    while let Some(at) = rest.find(['$', '\\']) {
        text.push_str(&rest[..at]);
        let (sign, after) = rest[at..].split_at(1);
        rest = after;
        if sign == "\\" {
            let kept = rest.chars().next().map_or(0, char::len_utf8);
            text.push_str(&rest[..kept]);
            rest = &rest[kept..];
            continue;
        }
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let plain = || {
            let ends = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_';
            rest.split_at(rest.find(ends).unwrap_or(rest.len()))
        };
        let (name, after) = braced.unwrap_or_else(plain);
        text.push_str(if name.is_empty() { "$" } else { value(name) });
        rest = after;
    }
    text + rest
}

/// Sets `NAME=value`. What has no name or no value, or a NUL, is inert: an image's `*` or bare name
/// must never bring in the host's variables (CVE-2026-57231).
pub(crate) fn set_variable(environment: &mut Vec<String>, entry: &str) {
    let Some((name, _)) = entry.split_once('=') else { return };
    if name.is_empty() || entry.contains('\0') {
        return;
    }
    match environment.iter_mut().find(|other| is_named(other, name)) {
        Some(other) => entry.clone_into(other),
        None => environment.push(entry.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::merged, *};

    #[test]
    fn the_users_word_goes_before_the_images_and_the_images_before_the_engines() {
        let mut options = CreateOptions::of("web");
        options.env = vec!["X=user".into(), "NEW=1".into()];
        options.command = vec!["c".into()];

        let (spec, record) = merged(&options).unwrap();

        let process = spec.process.unwrap();
        assert_eq!(process.args, ["/entry", "c"]);
        assert_eq!(process.env, ["PATH=/bin", "HOSTNAME=box", "X=user", "NEW=1", "HOME=/var/www"]);
        assert_eq!((process.cwd.as_str(), record.user.as_str()), ("/work", "33"));
        assert_eq!(record.stop_signal, 3);
    }

    #[test]
    fn an_entrypoint_of_the_users_resets_the_images_command() {
        let mut options = CreateOptions::of("web");
        options.entrypoint = Some(vec!["/mine".into()]);
        assert_eq!(merged(&options).unwrap().0.process.unwrap().args, ["/mine"]);

        options.entrypoint = Some(vec![]);
        assert_eq!(merged(&options).unwrap_err().kind(), Kind::Invalid, "nothing is left to run");
    }

    #[test]
    fn the_callers_environment_lies_below_the_images_and_the_users() {
        let mut options = CreateOptions::of("web");
        options.environment.host = vec!["X=host".into(), "Y=host".into(), "PATH=/host".into()];
        options.environment.proxies = vec!["http_proxy=p".into(), "Y=proxy".into()];
        options.env = vec!["Z=user".into()];

        let environment = merged(&options).unwrap().0.process.unwrap().env;

        assert_eq!(
            environment,
            [
                "PATH=/bin",
                "HOSTNAME=box",
                "X=image",
                "Y=proxy",
                "http_proxy=p",
                "Z=user",
                "HOME=/var/www"
            ]
        );
    }

    #[test]
    fn names_can_be_taken_away_again() {
        let environment = |change: fn(&mut CreateOptions)| {
            let mut options = CreateOptions::of("web");
            change(&mut options);
            merged(&options).unwrap().0.process.unwrap().env
        };

        let some = environment(|options| {
            options.environment.unset = vec!["X".into(), "HOME".into(), "HOSTNAME".into()];
        });
        let all = environment(|options| {
            options.environment.unset_all = true;
            options.env = vec!["A=1".into()];
        });

        assert_eq!(some, ["PATH=/bin"]);
        assert_eq!(all, ["A=1", "HOME=/var/www"]);
    }

    #[test]
    fn merged_values_are_filled_with_what_is_so_far() {
        let environment = ["PATH=/bin".to_owned(), "X=1".to_owned()];
        for (entry, expected) in [
            ("PATH=${PATH}:/mine", "PATH=/bin:/mine"),
            ("Y=$X-$NONE-${X}", "Y=1--1"),
            ("Y=\\$X", "Y=$X"),
            ("Y=a$", "Y=a$"),
            ("Y=${X", "Y=${X"),
            ("Y", "Y="),
        ] {
            assert_eq!(filled(entry, &environment), expected, "{entry}");
        }
    }
}
