//! What a filter's actions do to a program, seen from inside.

use crate::bundle::Bundle;
use dhow_spec::runtime::{Action, Arg, Operator, Seccomp, Syscalls};
use dhow_testkit::needs_root;

fn rule(names: &[&str], action: Action, errno_ret: Option<u32>) -> Syscalls {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Syscalls { names, action, errno_ret, args: Vec::new() }
}

fn filter(syscalls: Vec<Syscalls>) -> Option<Seccomp> {
    Some(Seccomp {
        default_action: Action::Allow,
        default_errno_ret: None,
        architectures: Vec::new(),
        flags: Vec::new(),
        listener_path: None,
        listener_metadata: None,
        syscalls,
    })
}

/// The shell's child makes the call; 159 is 128 and SIGSYS.
#[test]
fn every_action_does_what_it_is_called() {
    needs_root!();
    let cases = [
        (Action::Allow, None, "0", ""),
        (Action::Log, None, "0", ""),
        (Action::Errno, None, "1", "Operation not permitted"),
        (Action::Errno, Some(28), "1", "No space left on device"),
        (Action::Kill, None, "159", ""),
        (Action::KillThread, None, "159", ""),
        (Action::KillProcess, None, "159", ""),
        (Action::Trap, None, "159", ""),
        // Without a tracer there is nobody to ask.
        (Action::Trace, Some(7), "1", "Function not implemented"),
    ];
    for (action, errno_ret, code, words) in cases {
        for no_new_privileges in [false, true] {
            let mut bundle = Bundle::new();
            bundle.process().no_new_privileges = no_new_privileges;
            let rules = vec![rule(&["mkdir", "mkdirat"], action, errno_ret)];
            bundle.spec.linux.as_mut().unwrap().seccomp = filter(rules);

            let outcome = bundle.sh("(mkdir /made) 2>&1; echo code $?").ok();

            let last = outcome.stdout.lines().last().unwrap_or_default();
            assert_eq!(last, format!("code {code}"), "{action:?}: {outcome}");
            assert!(outcome.stdout.contains(words), "{action:?}: {outcome}");
            let is_made = bundle.root().join("made").exists();
            assert_eq!(is_made, code == "0", "{action:?}");
        }
    }
}

#[test]
fn a_condition_lets_the_other_calls_through() {
    needs_root!();
    let mut bundle = Bundle::new();
    let third = Arg { index: 0, value: 2, value_two: 0, op: Operator::Equal };
    let mut refused = rule(&["umask"], Action::Errno, Some(1));
    // umask fails for one value only, which the shell does not look at: the mask stays.
    refused.args = vec![third];
    bundle.process().user.umask = Some(0o077);
    bundle.spec.linux.as_mut().unwrap().seccomp = filter(vec![refused]);

    let outcome = bundle.sh("umask 2; umask; umask 3; umask").ok();

    assert_eq!(outcome.stdout, "0077\n0003\n");
}

/// Names that no kernel here has are no reason to refuse a profile that is written for many.
#[test]
fn unknown_calls_are_passed_over_and_unknown_words_are_not() {
    needs_root!();
    let mut bundle = Bundle::new();
    let mut profile = filter(vec![rule(&["call_of_tomorrow", "mkdir"], Action::Errno, Some(5))]);
    profile.as_mut().unwrap().flags = vec!["SECCOMP_FILTER_FLAG_LOG".to_owned()];
    bundle.spec.linux.as_mut().unwrap().seccomp = profile.clone();
    assert!(bundle.sh("mkdir /made 2>&1").exits(1).stdout.contains("Input/output error"));

    profile.as_mut().unwrap().flags = vec!["SECCOMP_FILTER_FLAG_NEW_LISTENER".to_owned()];
    bundle.spec.linux.as_mut().unwrap().seccomp = profile.clone();
    drop(bundle.run(&["true"]).exits(125).says("SECCOMP_FILTER_FLAG_NEW_LISTENER"));

    let mut profile = filter(Vec::new()).unwrap();
    profile.architectures = vec!["SCMP_ARCH_Z80".to_owned()];
    bundle.spec.linux.as_mut().unwrap().seccomp = Some(profile);
    drop(bundle.run(&["true"]).exits(125).says("SCMP_ARCH_Z80"));
}
