//! All attacks against the built binary: as root, and as an ordinary user with one id or a range.
//!
//! `DHOW_FULL=1` tries each as often as its text says, which takes hours.

use dhow_selftest::{ATTACKS, Caller, Effort, Mapping, Verdict, play};
use dhow_testkit::{dhow, need, needs, needs_root, needs_tool};

/// Who owns nothing on the host, and ids that nobody has.
const NOBODY: u32 = 65_534;
const RANGE: Mapping = Mapping::Range(2_000_000_000, 65_536);

#[expect(clippy::print_stdout, reason = "how often it was tried is worth reading")]
fn attack(name: &str, caller: Caller) {
    let attack = ATTACKS.iter().find(|attack| attack.name == name).expect("it is in the list");
    let effort = if need::is_full() { Effort::Full } else { Effort::Quick };

    match play(attack, &dhow::program(), caller, effort) {
        Verdict::Passed(words) => println!("{name}, {}: {words}", caller.word()),
        Verdict::Skipped(reason) => need::skip(&reason),
        Verdict::Failed(words) => panic!("{name}, {}: {words}", caller.word()),
    }
}

macro_rules! attacks {
    ($($module:ident $name:literal),+ $(,)?) => {
        /// The names that have tests.
        const TRIED: &[&str] = &[$($name),+];

        $(mod $module {
            use super::*;

            #[test]
            fn by_root() {
                needs_root!();
                attack($name, Caller::Root);
            }

            #[test]
            fn by_a_user() {
                needs_root!();
                attack($name, Caller::User(NOBODY, Mapping::Single));
            }

            #[test]
            fn by_a_user_with_ranges() {
                needs_root!();
                needs_tool!("newuidmap", "newgidmap", "unshare", "setpriv");
                needs!(std::path::Path::new("/etc/subuid").exists(), "/etc/subuid");
                attack($name, Caller::User(NOBODY, RANGE));
            }
        })+
    };
}

attacks! {
    a01_dev_link "dev-link",
    a02_system_links "system-links",
    a03_volume "volume",
    a04_null "null",
    a05_console "console",
    a06_procfs "procfs",
    a07_directory "directory",
    a08_fds "fds",
    a09_binary "binary",
    a10_libraries "libraries",
    a11_parameters "parameters",
    a12_capabilities "capabilities",
    a13_calls "calls",
    a14_cgroup "cgroup",
    a15_identity "identity",
    a16_accounts "accounts",
    a17_host_paths "host-paths",
}

#[test]
fn every_attack_has_its_tests() {
    let names: Vec<&str> = ATTACKS.iter().map(|attack| attack.name).collect();

    assert_eq!(names, TRIED);
}
