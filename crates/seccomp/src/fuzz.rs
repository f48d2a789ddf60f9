//! What strangers' bytes are tried on; see the runtime's module of this name.

use crate::{Arch, Kernel, compile_for, profile};
use dhow_spec::runtime::Seccomp;

/// A `seccomp.json`: refused, or a profile that is the same when it is written and read again, and
/// compiles for each architecture or is refused by then.
pub fn seccomp_profile(bytes: &[u8]) -> bool {
    let kernel = Kernel { major: 6, minor: 18 };
    let Ok(profile) = profile::parse(bytes, &["CAP_SYS_ADMIN"], Arch::X86_64, kernel) else {
        return false;
    };
    let written = serde_json::to_string(&profile).expect("a profile is written");
    let again: Seccomp = serde_json::from_str(&written).expect("what we write we read");
    assert_eq!(again, profile, "{written}");
    for arch in Arch::ALL {
        if let Ok(program) = compile_for(&profile, arch) {
            assert!(program.instructions().len() <= 4096);
        }
    }
    true
}
