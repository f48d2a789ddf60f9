//! What strangers' bytes are tried on: a document goes through everything that reads it before a
//! container is made, and comes out understood or refused. The tests do so with damaged documents,
//! `fuzz/` with bytes that a fuzzer finds.
//!
//! Each function says whether the bytes were understood, and panics where a promise is broken.

use crate::{
    affinity::Affinity, capabilities::ungrantable, hooks, io_priority::Urgency, limits::Limits,
    memory_policy::Placement, options, personality::Domain, program::Program, scheduler::Policy,
};
use dhow_spec::runtime::{Process, Spec};

/// `config.json`: what was understood once is understood the same when it is written again.
pub fn configuration(bytes: &[u8]) -> bool {
    let Ok(spec) = Spec::parse(bytes) else { return false };
    let written = serde_json::to_vec(&spec).expect("a configuration is written");
    let again = Spec::parse(&written).expect("what we write we read");
    assert_eq!(again, spec, "{}", bytes.escape_ascii());
    read_all(&spec);
    true
}

/// Everything that is pure between a document and a container.
fn read_all(spec: &Spec) {
    for mount in &spec.mounts {
        if let Ok(options) = options::parse(&mount.options) {
            assert_eq!(options::parse(&mount.options).ok(), Some(options));
        }
    }
    let _checked = spec.hooks.as_ref().map(hooks::check);
    if let Some(process) = &spec.process {
        read_process(spec, process);
    }
    let Some(linux) = &spec.linux else { return };
    let _placement = linux.memory_policy.as_ref().map(Placement::parse);
    let _domain = linux.personality.as_ref().map(Domain::parse);
    if let Some(seccomp) = &linux.seccomp
        && let Ok(program) = dhow_seccomp::compile(seccomp)
    {
        assert!(program.instructions().len() <= 4096);
    }
}

fn read_process(spec: &Spec, process: &Process) {
    let _program = Program::prepare(process);
    let _limits = Limits::parse(&process.rlimits);
    let _policy = process.scheduler.as_ref().map(Policy::parse);
    let _urgency = process.io_priority.as_ref().map(Urgency::parse);
    let _affinity = process.exec_cpu_affinity.as_ref().map(Affinity::parse);
    let _missing = ungrantable(spec, process);
}

/// Mount options as a JSON list: none smuggles a second one to the filesystem.
pub fn mount_options(bytes: &[u8]) -> bool {
    let Ok(list) = serde_json::from_slice::<Vec<String>>(bytes) else { return false };
    let Ok(parsed) = options::parse(&list) else { return false };
    let has_bad_data = parsed.data.iter().any(|word| word.contains(['\0', ',']));
    assert!(!has_bad_data, "{list:?} becomes {parsed:?}");
    true
}
