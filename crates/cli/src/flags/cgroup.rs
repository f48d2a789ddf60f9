//! Flags about the control group: where it is, whether it is made, what is written into it.

use super::{pairs, parse_all, refuse};
use dhow_base::Result;
use dhow_engine::options::{CgroupMaking, CgroupOptions};
use dhow_spec::runtime::DeviceRule;

/// The container's control group.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Control group")]
pub(crate) struct CgroupFlags {
    /// Make the control group below this one
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup_parent: Option<String>,

    /// Make a control group (enabled, no-conmon) or none (disabled)
    #[arg(long, value_name = "MODE")]
    pub(super) cgroups: Option<String>,

    /// Write a file of the control group, with version 2
    #[arg(long, value_name = "FILE=TEXT")]
    pub(super) cgroup_conf: Vec<String>,

    /// Allow devices by their numbers, such as 'c 10:200 rwm'
    #[arg(long, value_name = "RULE")]
    pub(super) device_cgroup_rule: Vec<String>,

    /// Use this class of caches and memory bandwidth (Intel RDT)
    #[arg(long, value_name = "CLASS")]
    pub(super) rdt_class: Option<String>,
}

impl CgroupFlags {
    /// What the flags ask for.
    pub(crate) fn options(&self) -> Result<CgroupOptions> {
        Ok(CgroupOptions {
            parent: self.cgroup_parent.clone().filter(|path| !path.is_empty()),
            making: self.cgroups.as_deref().map_or(Ok(CgroupMaking::Enabled), making)?,
            files: parse_all(&self.cgroup_conf, |text| pairs::parse("--cgroup-conf", text))?,
            device_rules: parse_all(&self.device_cgroup_rule, device_rule)?,
            rdt_class: self.rdt_class.clone(),
        })
    }
}

fn making(text: &str) -> Result<CgroupMaking> {
    match text {
        "enabled" | "no-conmon" => Ok(CgroupMaking::Enabled),
        "disabled" => Ok(CgroupMaking::Disabled),
        "split" => Err(refuse("--cgroups", text, "the monitor has no control group of its own")
            .hint("enabled is what comes closest")),
        _ => {
            Err(refuse("--cgroups", text, "no such mode")
                .hint("write enabled, disabled or no-conmon"))
        }
    }
}

/// `c 10:200 rwm`, as the kernel writes them: kind, numbers or stars, access.
fn device_rule(text: &str) -> Result<DeviceRule> {
    let refused = |why: &str| {
        refuse("--device-cgroup-rule", text, why)
            .hint("write the kind (a, b or c), the numbers and the access, such as 'c 10:200 rwm'")
    };
    let [kind, numbers, access] = text.split_ascii_whitespace().collect::<Vec<_>>()[..] else {
        return Err(refused("not three words"));
    };
    if !matches!(kind, "a" | "b" | "c") {
        return Err(refused("the kind is a, b or c"));
    }
    let number = |text: &str| match text {
        "*" => Ok(None),
        _ => text.parse::<u32>().map(|number| Some(number.into())),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(|| refused("there is no colon"))?;
    let is_access = !access.is_empty() && access.chars().all(|letter| "rwm".contains(letter));
    if !is_access {
        return Err(refused("the access is some of the letters r, w and m"));
    }
    Ok(DeviceRule {
        allow: true,
        kind: Some(kind.to_owned()),
        major: number(major).map_err(|_| refused("the major number is no number"))?,
        minor: number(minor).map_err(|_| refused("the minor number is no number"))?,
        access: Some(access.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_three_words() {
        let cases = [
            ("c 10:200 rwm", Some((Some(10), Some(200)))),
            ("b 8:* r", Some((Some(8), None))),
            ("a *:* rwm", Some((None, None))),
            ("c 10:200", None),
            ("x 1:1 r", None),
            ("c 1 r", None),
            ("c -1:1 r", None),
            ("c 1:1 rx", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let parsed = device_rule(text).ok().map(|rule| (rule.major, rule.minor));
            assert_eq!(parsed, expected, "parsing {text:?}");
        }
    }

    #[test]
    fn a_mode_is_known_or_refused_with_the_others() {
        assert_eq!(making("no-conmon").unwrap(), CgroupMaking::Enabled);
        assert_eq!(making("disabled").unwrap(), CgroupMaking::Disabled);
        assert!(making("split").is_err() && making("").is_err());
    }
}
