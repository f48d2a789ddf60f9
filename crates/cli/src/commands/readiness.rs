//! Telling a service manager that a container is ready.

use crate::{
    flags::refuse,
    invocation::Invocation,
    runtime::notify::{Relay, tell_ready},
};
use dhow_base::Result;
use dhow_engine::{Condition, Engine, Listener, Readiness, Running, WaitState};
use std::time::Duration;

/// How often it is looked whether a container is healthy.
const PAUSE: Duration = Duration::from_millis(100);

/// Refuses what cannot be waited for by who stays with the container.
pub(super) fn check(asked: Readiness, attached: bool) -> Result<()> {
    if asked == Readiness::ByHealth && attached {
        return Err(refuse("--sdnotify", "healthy", "it goes with --detach"));
    }
    Ok(())
}

/// Tells the service manager, where there is one, as soon as what was asked for has come. Who stays with
/// the container goes on meanwhile.
pub(super) fn tell(
    engine: &mut Engine,
    running: &mut Running,
    asked: Readiness,
    attached: bool,
    invocation: &Invocation,
) -> Result<()> {
    let Some(host) = &invocation.environment.notify_socket else { return Ok(()) };
    let main = running.monitor;
    match asked {
        Readiness::ByStart => tell_ready(host, main),
        Readiness::ByProgram => {
            let Some(Listener { socket, process }) = running.listener.take() else { return Ok(()) };
            let relay = Relay::on(socket, host, main)?;
            if attached {
                // It ends with this process at the latest.
                drop(std::thread::spawn(move || relay.wait(&process)));
                return Ok(());
            }
            relay.wait(&process)
        }
        Readiness::ByHealth => {
            let healthy =
                [Condition::State(WaitState::Healthy), Condition::State(WaitState::Exited)];
            // The exit code where it has ended before.
            match engine.wait_for(running.id.as_str(), &healthy, PAUSE)? {
                -1 => tell_ready(host, main),
                _ => Ok(()),
            }
        }
        Readiness::Unasked | Readiness::Never => Ok(()),
    }
}
