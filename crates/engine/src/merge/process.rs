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

/// Docker's order: the engine's, then the image's, then the user's; a later value replaces an
/// earlier one in its place. Entries without a name are dropped.
pub(super) fn environment(
    options: &CreateOptions,
    image: &ExecutionConfig,
    record: &Record,
    facts: &Facts<'_>,
) -> Vec<String> {
    let mut environment = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={}", record.hostname)];
    if options.tty {
        environment.push("TERM=xterm".to_owned());
    }
    for entry in image.env.iter().chain(&options.env) {
        set_variable(&mut environment, entry);
    }
    if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
        environment.push(format!("HOME={}", facts.identity.home));
    }
    environment
}

/// Sets `NAME=value`. What has no name or no value, or a NUL, is inert: an image's `*` or bare name
/// must never bring in the host's variables (CVE-2026-57231).
pub(crate) fn set_variable(environment: &mut Vec<String>, entry: &str) {
    let Some((name, _)) = entry.split_once('=') else { return };
    if name.is_empty() || entry.contains('\0') {
        return;
    }
    let same = |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
    match environment.iter_mut().find(|other| same(other)) {
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
}
