//! Restart policies: whether a container that ended is started again, and after which pause.
//!
//! ```text
//!  the program ends ─▶ exit record ─▶ the monitor becomes `cleanup`
//!        cleanup: starts a sleeper, then in one transaction: row restarting, owner the sleeper
//!        sleeper: a process that does nothing for the pause, then becomes `cleanup --again`
//!        cleanup --again: row starting ─▶ as any start
//! ```
//!
//! The row is first: a stop takes it away from the sleeper, who finds that out when it wakes; and a
//! sleeper that was killed is a dead owner, whose work the next command does.

use crate::{
    Engine, Watch,
    end::{self, StopOptions},
    events::{Subject, tell},
    record::Record,
};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_state::{
    Owner,
    containers::{self, Container, Ended, Pause, Phase},
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// The first pause.
const SHORTEST_MS: u64 = 100;

/// Pauses double up to this.
const LONGEST_MS: u64 = 60_000;

/// Who lived so long begins with the shortest pause again.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// Whether a container is started again by itself.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When the program failed; at most so often, or without an end.
    OnFailure(Option<u32>),
    /// Whenever it ends, unless the user ends it; also after a boot.
    Always,
    /// As `Always`, but not after a boot where the user had ended it.
    UnlessStopped,
}

impl RestartPolicy {
    /// Parses docker's and podman's words: `no`, `never`, `on-failure[:n]`, `always`,
    /// `unless-stopped`.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        let invalid = |why: &str| {
            Err(Error::new(Kind::Invalid, format!("restart policy {text:?}: {why}"))
                .hint("there are no, on-failure[:NUMBER], always and unless-stopped"))
        };
        let policy = match name {
            "" | "no" | "never" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => match count.map(str::parse) {
                // Docker takes 0 for no end.
                None | Some(Ok(0)) => return Ok(Self::OnFailure(None)),
                Some(Ok(most)) => return Ok(Self::OnFailure(Some(most))),
                Some(Err(_)) => return invalid("not a number of restarts"),
            },
            _ => return invalid("there is no such policy"),
        };
        match count {
            Some(_) => invalid("only on-failure counts restarts"),
            None => Ok(policy),
        }
    }

    /// The policy's name, as docker shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure(_) => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }

    /// How often it restarts at most; 0 is without an end, as docker shows it.
    pub fn most(self) -> u32 {
        match self {
            Self::OnFailure(most) => most.unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether it starts a container again that ended by itself.
    pub(crate) fn wants_another(self, exit_code: i32, restarts: u32) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure(most) => exit_code != 0 && most.is_none_or(|most| restarts < most),
            Self::Always | Self::UnlessStopped => true,
        }
    }

    /// Whether it starts a container after a boot.
    pub(crate) fn wants_after_boot(self, stopped: bool, exit_code: Option<i32>) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure(_) => !stopped && exit_code.is_some_and(|code| code != 0),
            Self::Always => true,
            Self::UnlessStopped => !stopped,
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnFailure(Some(most)) => write!(f, "on-failure:{most}"),
            other => f.write_str(other.name()),
        }
    }
}

/// The pause before the next life, after one of this length and after the pause before it.
pub(crate) fn pause_ms(life: Duration, last_pause_ms: u64) -> u64 {
    if life >= LONG_LIFE || last_pause_ms == 0 {
        SHORTEST_MS
    } else {
        (last_pause_ms * 2).min(LONGEST_MS)
    }
}

impl Engine {
    /// Begins the pause before the next life, if the policy wants one; says whether it does.
    pub(crate) fn restarts_by_policy(
        &mut self,
        row: &Container,
        record: &Record,
        ended: &Ended,
    ) -> Result<bool> {
        let wants = record.life.restart.wants_another(ended.exit_code, row.course.restarts);
        // After a reboot it is `system boot` that says who lives again.
        if !wants || row.auto_remove || row.course.stopped || !self.same_boot(row)? {
            return Ok(false);
        }
        let life = row.started.map_or(Duration::ZERO, |started| ended.at.since(started));
        let milliseconds = pause_ms(life, row.course.pause_ms);
        let mut command = self.own_command();
        command.extend(["cleanup".into(), "--again".into(), row.id.as_str().into()]);
        let sleeper = dhow_monitor::spawn_sleeper(Duration::from_millis(milliseconds), &command)?;
        // One that was killed at once owns the pause all the same: whoever looks next ends it.
        let gone = Owner { pid: sleeper.pid, start_time: 0 };
        let owner = Owner::of(sleeper.pid)?.unwrap_or(gone);
        let is_ours = self.state.write(|write| {
            let pause = Pause { milliseconds, owner };
            let is_ours = containers::mark_restarting(write, &row.id, ended, row.process, pause)?;
            if is_ours {
                let code = ended.exit_code.to_string();
                tell(write, &Subject::of(row, record), "die", &[("exitCode", &code)])?;
            }
            Ok(is_ours)
        })?;
        // A sleeper whose row went elsewhere finds that out; it need not sleep for it.
        if !is_ours {
            dismiss(Some(owner))?;
        }
        Ok(is_ours)
    }

    /// Starts a container after its pause; for the process that has waited.
    pub fn start_after_pause(&mut self, id: &ContainerId) -> Result<()> {
        let me = Owner::current()?;
        match containers::find(self.state.read(), id)? {
            Some(row) if row.phase == Phase::Restarting && row.owner == Some(me) => {
                self.start_again(&row)
            }
            // The user has stopped or removed it, or has started it by hand.
            _ => Ok(()),
        }
    }

    /// Begins the next life of a container that waits for it.
    pub(crate) fn start_again(&mut self, row: &Container) -> Result<()> {
        let owner = Some(Owner::current()?);
        let from = [Phase::Restarting];
        let turn = self.turn(&row.id)?;
        if !self
            .state
            .write(|write| containers::advance(write, &row.id, &from, Phase::Starting, owner))?
        {
            return Ok(());
        }
        let settled = self.settle_connections(&turn, row);
        match settled.and_then(|()| self.launch(row, Watch::Detached)) {
            Ok(launched) => launched.client.detach(),
            Err(error) => {
                (self.warn)(&format!("start container {} again: {}", row.name, error.one_line()));
                let starting = Container { phase: Phase::Starting, process: None, ..row.clone() };
                self.write_exit(&turn, &starting)
            }
        }
    }

    /// Stops a container and starts it; one that does not run is started.
    pub fn restart(&mut self, container: &str, options: &StopOptions) -> Result<()> {
        let row = self.look_up(container)?;
        self.stop(row.id.as_str(), options).doing(|| format!("restart container {}", row.name))?;
        self.start(row.id.as_str(), Watch::Detached)?.client.detach()?;
        let record = Record::parse(&row.settings)?;
        self.state.write(|write| tell(write, &Subject::of(&row, &record), "restart", &[]))
    }

    /// Changes the restart policy of a container; the next end goes by it.
    pub fn set_restart_policy(&mut self, container: &str, policy: RestartPolicy) -> Result<()> {
        let row = self.look_up(container)?;
        if row.auto_remove && policy != RestartPolicy::No {
            return Err(Error::new(
                Kind::Conflict,
                format!(
                    "change the restart policy of container {}: it is removed at its end",
                    row.name
                ),
            ));
        }
        let mut record = Record::parse(&row.settings)?;
        record.life.restart = policy;
        let settings = record.to_text()?;
        self.state.write(|write| {
            containers::set_settings(write, &row.id, &settings)?;
            tell(write, &Subject::of(&row, &record), "update", &[])
        })
    }
}

/// Ends the process that waits before a life that is not to be. What is killed here only sleeps, or
/// has found out by the row that nothing is to be done.
pub(crate) fn dismiss(owner: Option<Owner>) -> Result<()> {
    let Some(handle) = owner.map(end::open).transpose()?.flatten() else { return Ok(()) };
    end::signal(&handle, end::SIGKILL).doing(|| "end the wait before a restart")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_parsed_as_docker_and_podman_write_them() {
        let cases = [
            ("no", Some(RestartPolicy::No)),
            ("never", Some(RestartPolicy::No)),
            ("", Some(RestartPolicy::No)),
            ("always", Some(RestartPolicy::Always)),
            ("unless-stopped", Some(RestartPolicy::UnlessStopped)),
            ("on-failure", Some(RestartPolicy::OnFailure(None))),
            ("on-failure:0", Some(RestartPolicy::OnFailure(None))),
            ("on-failure:3", Some(RestartPolicy::OnFailure(Some(3)))),
            ("on-failure:", None),
            ("on-failure:-1", None),
            ("always:3", None),
            ("sometimes", None),
        ];
        for (text, expected) in cases {
            assert_eq!(RestartPolicy::parse(text).ok(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn pauses_double_to_a_minute_and_begin_again_after_a_long_life() {
        let short = Duration::from_secs(1);
        let mut pauses = vec![pause_ms(short, 0)];
        for _ in 0..11 {
            pauses.push(pause_ms(short, pauses[pauses.len() - 1]));
        }

        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[11], 60_000);
        assert_eq!(pause_ms(Duration::from_secs(10), 60_000), 100);
    }

    #[test]
    fn a_policy_says_who_lives_again() {
        use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
        let cases = [
            (No, 1, 0, false),
            (Always, 0, 1000, true),
            (UnlessStopped, 0, 5, true),
            (OnFailure(None), 0, 0, false),
            (OnFailure(None), 1, 1000, true),
            (OnFailure(Some(2)), 1, 1, true),
            (OnFailure(Some(2)), 1, 2, false),
        ];
        for (policy, exit_code, restarts, expected) in cases {
            let wants = policy.wants_another(exit_code, restarts);
            assert_eq!(wants, expected, "{policy} after {exit_code}, {restarts} restarts");
        }
        assert!(Always.wants_after_boot(true, Some(0)));
        assert!(!UnlessStopped.wants_after_boot(true, Some(0)));
        assert!(UnlessStopped.wants_after_boot(false, Some(0)));
        assert!(!No.wants_after_boot(false, Some(1)));
    }
}
