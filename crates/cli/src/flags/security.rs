//! `--security-opt`: what the container may do, as one word or `name=value`.

use super::{Surroundings, refuse};
use dhow_base::{Doing, Result, file};
use dhow_engine::options::{LabelOption, Rights, SeccompChoice};

/// The largest seccomp profile that is read; docker's default has 13 KiB.
const PROFILE_LIMIT_BYTES: u64 = 4 << 20;

const FLAG: &str = "--security-opt";

/// Puts one `--security-opt` into `rights`.
pub(crate) fn apply(text: &str, rights: &mut Rights, around: Surroundings<'_>) -> Result<()> {
    // The colon is docker's older way of writing it.
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, value) = split.map_or((text, None), |(name, value)| (name, Some(value)));
    match (name, value) {
        ("no-new-privileges", value) => {
            rights.no_new_privileges = switch(text, value.unwrap_or("true"))?;
        }
        ("seccomp", Some(value)) => rights.seccomp = seccomp(value, around)?,
        ("apparmor", Some(value)) => rights.apparmor = Some(value.to_owned()),
        ("label", Some(value)) => {
            let label: Result<LabelOption> = value.parse();
            rights.labels.push(label.doing(|| format!("{FLAG} {text}"))?);
        }
        ("mask", Some(value)) => rights.mask.extend(paths(text, value)?),
        ("proc-opts", Some(value)) => rights.proc_options.extend(process_options(text, value)?),
        ("unmask", Some("ALL" | "all")) | ("systempaths", Some("unconfined")) => {
            rights.unmask.push("ALL".to_owned());
        }
        ("unmask", Some(value)) => rights.unmask.extend(paths(text, value)?),
        _ => {
            return Err(refuse(FLAG, text, "no such option").hint(
                "there are no-new-privileges, seccomp=, apparmor=, label=, mask=, unmask=, \
                 systempaths=unconfined and proc-opts=",
            ));
        }
    }
    Ok(())
}

fn switch(text: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(refuse(FLAG, text, "neither true nor false")),
    }
}

fn seccomp(value: &str, around: Surroundings<'_>) -> Result<SeccompChoice> {
    match value {
        "unconfined" => Ok(SeccompChoice::Unconfined),
        "builtin" | "default" => Ok(SeccompChoice::Default),
        path => {
            let bytes = file::read_limited(&around.absolute(path), PROFILE_LIMIT_BYTES)
                .doing(|| format!("{FLAG} {:?}", format!("seccomp={path}")))?;
            Ok(SeccompChoice::Profile(bytes))
        }
    }
}

/// Options of procfs, which are `hidepid=` and `subset=`.
fn process_options(text: &str, value: &str) -> Result<Vec<String>> {
    let options: Vec<String> = value.split(',').map(str::to_owned).collect();
    let known = |option: &String| {
        option.split_once('=').is_some_and(|(name, value)| {
            matches!(name, "hidepid" | "subset" | "gid") && !value.is_empty()
        })
    };
    if options.iter().all(known) {
        Ok(options)
    } else {
        Err(refuse(FLAG, text, "no such option of procfs")
            .hint("there are hidepid=, subset= and gid="))
    }
}

fn paths(text: &str, value: &str) -> Result<Vec<String>> {
    let paths: Vec<String> = value.split(':').map(str::to_owned).collect();
    if paths.iter().all(|path| path.starts_with('/')) {
        Ok(paths)
    } else {
        Err(refuse(FLAG, text, "the paths must be absolute").hint("write /one:/two"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::tests::world;
    use dhow_base::Kind;

    fn rights(options: &[&str]) -> Result<Rights> {
        let mut rights = Rights::default();
        for option in options {
            apply(option, &mut rights, world())?;
        }
        Ok(rights)
    }

    #[test]
    fn options_add_up() {
        let all = rights(&[
            "no-new-privileges",
            "seccomp=unconfined",
            "apparmor=unconfined",
            "label=type:spc_t",
            "label:disable",
            "mask=/proc/a:/proc/b",
            "unmask=/proc/kcore",
            "systempaths=unconfined",
            "proc-opts=hidepid=2,subset=pid",
        ])
        .unwrap();

        assert!(all.no_new_privileges);
        assert_eq!(all.seccomp, SeccompChoice::Unconfined);
        assert_eq!(all.apparmor.as_deref(), Some("unconfined"));
        let labels: Vec<String> = all.labels.iter().map(ToString::to_string).collect();
        assert_eq!(labels, ["type:spc_t", "disable"]);
        assert_eq!(all.mask, ["/proc/a", "/proc/b"]);
        assert_eq!(all.unmask, ["/proc/kcore", "ALL"]);
        assert_eq!(all.proc_options, ["hidepid=2", "subset=pid"]);
    }

    #[test]
    fn no_new_privileges_is_a_switch_in_all_its_spellings() {
        let cases = [
            ("no-new-privileges", Some(true)),
            ("no-new-privileges:true", Some(true)),
            ("no-new-privileges=false", Some(false)),
            ("no-new-privileges=maybe", None),
        ];
        for (text, expected) in cases {
            let parsed = rights(&[text]).ok().map(|rights| rights.no_new_privileges);
            assert_eq!(parsed, expected, "parsing {text:?}");
        }
    }

    #[test]
    fn a_profile_is_read_and_a_missing_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("p.json"), "{}").unwrap();
        let around = Surroundings { directory: directory.path(), ..world() };
        let mut rights = Rights::default();

        apply("seccomp=p.json", &mut rights, around).unwrap();
        let error = apply("seccomp=gone.json", &mut rights, around).unwrap_err();

        assert_eq!(rights.seccomp, SeccompChoice::Profile(b"{}".to_vec()));
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.one_line().contains("gone.json"), "{}", error.one_line());
    }

    #[test]
    fn unknown_options_and_relative_paths_are_refused() {
        for bad in [
            "",
            "bogus",
            "bogus=1",
            "seccomp",
            "apparmor",
            "mask=a",
            "unmask=",
            "proc-opts=ro",
            "label=",
            "label=colour:red",
        ] {
            assert_eq!(rights(&[bad]).unwrap_err().kind(), Kind::Invalid, "{bad:?}");
        }
    }
}
