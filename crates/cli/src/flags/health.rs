//! The flags of health checks.

use super::{moment, refuse};
use dhow_base::Result;
use dhow_engine::options::{HealthAction, HealthOptions, NEVER, StartupOptions};

/// How to find out whether the program works.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Health")]
pub(crate) struct HealthFlags {
    /// Check the program with this command; none for no check
    #[arg(long, visible_alias = "healthcheck-command", value_name = "COMMAND")]
    health_cmd: Option<String>,

    /// Check so often, or disable to check on demand only
    #[arg(long, visible_alias = "healthcheck-interval", value_name = "DURATION")]
    health_interval: Option<String>,

    /// Take a check that takes longer for failed
    #[arg(long, visible_alias = "healthcheck-timeout", value_name = "DURATION")]
    health_timeout: Option<String>,

    /// Take the program for unhealthy after so many failures in a row
    #[arg(long, visible_alias = "healthcheck-retries", value_name = "NUMBER")]
    health_retries: Option<u32>,

    /// Let failures not count for so long after the start
    #[arg(long, visible_alias = "healthcheck-start-period", value_name = "DURATION")]
    health_start_period: Option<String>,

    /// Check so often in the start period until the first success
    #[arg(long, value_name = "DURATION")]
    health_start_interval: Option<String>,

    /// Do this with a container that becomes unhealthy: none, kill, restart or stop
    #[arg(long, value_name = "ACTION")]
    health_on_failure: Option<String>,

    /// Check with this command before the usual checks begin
    #[arg(long, value_name = "COMMAND")]
    health_startup_cmd: Option<String>,

    /// Make the startup check so often
    #[arg(long, value_name = "DURATION")]
    health_startup_interval: Option<String>,

    /// Restart the container after so many failed startup checks
    #[arg(long, value_name = "NUMBER")]
    health_startup_retries: Option<u32>,

    /// Begin the usual checks after so many successful startup checks
    #[arg(long, value_name = "NUMBER")]
    health_startup_success: Option<u32>,

    /// Take a startup check that takes longer for failed
    #[arg(long, value_name = "DURATION")]
    health_startup_timeout: Option<String>,

    /// Keep results in this directory (local, the default, is the container's own)
    #[arg(long, value_name = "DIR")]
    health_log_destination: Option<String>,

    /// Keep so many results; 0 for all
    #[arg(long, value_name = "NUMBER")]
    health_max_log_count: Option<u32>,

    /// Keep so many bytes of a result's output; 0 for all
    #[arg(long, value_name = "NUMBER")]
    health_max_log_size: Option<u32>,

    /// Make no health checks, whatever the image says
    #[arg(long)]
    no_healthcheck: bool,
}

impl HealthFlags {
    /// What the flags ask for of a new container.
    pub(crate) fn options(&self) -> Result<HealthOptions> {
        let others = [
            ("--health-startup-interval", self.health_startup_interval.is_some()),
            ("--health-startup-retries", self.health_startup_retries.is_some()),
            ("--health-startup-success", self.health_startup_success.is_some()),
            ("--health-startup-timeout", self.health_startup_timeout.is_some()),
        ];
        match others.iter().find(|(_, is_said)| *is_said) {
            Some((flag, _)) if self.health_startup_cmd.is_none() => {
                Err(refuse(flag, "", "it needs --health-startup-cmd"))
            }
            _ => self.changes(),
        }
    }

    /// What the flags change of a container that is there.
    pub(crate) fn changes(&self) -> Result<HealthOptions> {
        if self.no_healthcheck && self.health_cmd.is_some() {
            return Err(refuse("--no-healthcheck", "true", "--health-cmd asks for a check")
                .hint("leave one of them out"));
        }
        Ok(HealthOptions {
            none: self.no_healthcheck,
            test: self.health_cmd.as_deref().map(|text| test("--health-cmd", text)).transpose()?,
            interval_ms: interval("--health-interval", self.health_interval.as_deref())?,
            timeout_ms: time("--health-timeout", self.health_timeout.as_deref())?,
            retries: self.health_retries,
            start_period_ms: time("--health-start-period", self.health_start_period.as_deref())?,
            start_interval_ms: time(
                "--health-start-interval",
                self.health_start_interval.as_deref(),
            )?,
            on_failure: self.health_on_failure.as_deref().map(action).transpose()?,
            startup: self.startup()?,
            log_count: self.health_max_log_count,
            log_bytes: self.health_max_log_size,
            log_directory: self.log_directory()?,
        })
    }

    fn startup(&self) -> Result<Option<StartupOptions>> {
        let command = self.health_startup_cmd.as_deref();
        let options = StartupOptions {
            test: command
                .map(|text| test("--health-startup-cmd", text))
                .transpose()?
                .unwrap_or_default(),
            interval_ms: time(
                "--health-startup-interval",
                self.health_startup_interval.as_deref(),
            )?,
            timeout_ms: time("--health-startup-timeout", self.health_startup_timeout.as_deref())?,
            retries: self.health_startup_retries,
            successes: self.health_startup_success,
        };
        Ok(Some(options).filter(|options| *options != StartupOptions::default()))
    }

    fn log_directory(&self) -> Result<Option<String>> {
        match self.health_log_destination.as_deref() {
            None => Ok(None),
            Some("local" | "") => Ok(Some(String::new())),
            Some("events_logger") => Err(refuse(
                "--health-log-destination",
                "events_logger",
                "results are kept in files; every change of health is an event in any case",
            )),
            Some(directory) if directory.starts_with('/') => Ok(Some(directory.to_owned())),
            Some(other) => Err(refuse("--health-log-destination", other, "not an absolute path")),
        }
    }
}

/// A command: a line for the shell, `none`, or a JSON array of words.
fn test(flag: &str, text: &str) -> Result<Vec<String>> {
    let trimmed = text.trim();
    if trimmed.eq_ignore_ascii_case("none") {
        return Ok(vec!["NONE".to_owned()]);
    }
    if trimmed.is_empty() {
        return Err(refuse(flag, text, "the command is empty").hint("none makes no checks"));
    }
    if trimmed.starts_with('[')
        && let Ok(words) = serde_json::from_str::<Vec<String>>(trimmed)
    {
        return Ok(words);
    }
    Ok(vec!["CMD-SHELL".to_owned(), text.to_owned()])
}

fn time(flag: &str, text: Option<&str>) -> Result<Option<u64>> {
    text.map(|text| moment::milliseconds(flag, text)).transpose()
}

fn interval(flag: &str, text: Option<&str>) -> Result<Option<u64>> {
    if text == Some("disable") { Ok(Some(NEVER)) } else { time(flag, text) }
}

fn action(text: &str) -> Result<HealthAction> {
    Ok(match text {
        "none" | "" => HealthAction::None,
        "kill" => HealthAction::Kill,
        "restart" => HealthAction::Restart,
        "stop" => HealthAction::Stop,
        _ => {
            return Err(refuse("--health-on-failure", text, "there is no such action")
                .hint("there are none, kill, restart and stop"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lines_words_or_none() {
        let cases: [(&str, &[&str]); 4] = [
            ("curl -f localhost", &["CMD-SHELL", "curl -f localhost"]),
            ("none", &["NONE"]),
            (r#"["CMD","a b","c"]"#, &["CMD", "a b", "c"]),
            ("[ -e /ready ]", &["CMD-SHELL", "[ -e /ready ]"]),
        ];
        for (text, expected) in cases {
            assert_eq!(test("--health-cmd", text).unwrap(), expected, "{text}");
        }
        assert!(test("--health-cmd", " ").is_err());
    }

    #[test]
    fn times_are_durations_of_go() {
        let flags = HealthFlags {
            health_interval: Some("1m30s".into()),
            health_timeout: Some("500ms".into()),
            ..HealthFlags::default()
        };
        let options = flags.options().unwrap();
        assert_eq!((options.interval_ms, options.timeout_ms), (Some(90_000), Some(500)));

        let disabled =
            HealthFlags { health_interval: Some("disable".into()), ..HealthFlags::default() };
        assert_eq!(disabled.options().unwrap().interval_ms, Some(NEVER));
        for bad in ["5", "soon", "-1s"] {
            let flags = HealthFlags { health_timeout: Some(bad.into()), ..HealthFlags::default() };
            assert!(flags.options().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_has_nothing_to_change_is_refused() {
        let alone = HealthFlags { health_startup_retries: Some(1), ..HealthFlags::default() };
        let both = HealthFlags {
            no_healthcheck: true,
            health_cmd: Some("true".into()),
            ..HealthFlags::default()
        };
        assert!(alone.options().is_err() && both.options().is_err());
        assert!(action("explode").is_err());
    }
}
