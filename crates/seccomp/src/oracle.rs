//! libseccomp as an oracle: the same profile must give the same answers.
//!
//! Needs gcc and libseccomp's headers; says so and passes where they are missing. libseccomp is
//! linked into a helper that lives for the test only, never into the product.

use crate::{
    Arch, Instruction, Kernel,
    arch::{Call, X32_BIT},
    compile_for, default_profile,
    interpreter::{Data, run},
    profile,
    program::verdict,
    random::Random,
    table::CALLS,
};
use dhow_spec::runtime::{Action, Arg, Operator, Seccomp, Syscalls};
use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

/// The helper, built once a test.
struct Oracle {
    _directory: tempfile::TempDir,
    program: PathBuf,
}

impl Oracle {
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("oracle");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/oracle.c");
        let built = Command::new("gcc")
            .args(["-O1", "-o"])
            .arg(&program)
            .args([source, "-lseccomp"])
            .stderr(Stdio::null())
            .status();
        if built.is_ok_and(|status| status.success()) {
            return Some(Self { _directory: directory, program });
        }
        eprintln!("skipped: needs gcc and libseccomp-dev");
        None
    }

    fn ask(&self, mode: &str, input: &str) -> Result<Vec<u8>, String> {
        let mut child = Command::new(&self.program)
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// libseccomp's number of each call; negative where it has none.
    fn numbers(&self) -> BTreeMap<(usize, String), i64> {
        let names: Vec<_> = CALLS.iter().map(|call| call.0).collect();
        let answer = String::from_utf8(self.ask("names", &names.join("\n")).unwrap()).unwrap();
        answer
            .lines()
            .map(|line| {
                let mut words = line.split(' ');
                let arch = words.next().unwrap().parse().unwrap();
                let number = words.next().unwrap().parse().unwrap();
                ((arch, words.next().unwrap().to_owned()), number)
            })
            .collect()
    }

    fn compile(&self, profile: &Seccomp, arches: &[Arch]) -> Result<Vec<Instruction>, String> {
        let default = verdict::of(profile.default_action, profile.default_errno_ret).unwrap();
        let mut text = format!("{default}\n");
        for arch in arches {
            text.push_str(&format!("arch {}\n", *arch as usize));
        }
        for rule in &profile.syscalls {
            let action = verdict::of(rule.action, rule.errno_ret).unwrap();
            if action == default {
                continue;
            }
            for name in &rule.names {
                text.push_str(&format!("rule {action} {name} {}", rule.args.len()));
                for arg in &rule.args {
                    let op = arg.op as usize + 1;
                    text.push_str(&format!(" {} {op} {} {}", arg.index, arg.value, arg.value_two));
                }
                text.push('\n');
            }
        }
        let bytes = self.ask("bpf", &text)?;
        let word = |bytes: &[u8]| u16::from_ne_bytes(bytes.try_into().unwrap());
        Ok(bytes
            .chunks_exact(8)
            .map(|one| Instruction {
                code: word(&one[..2]),
                jt: one[2],
                jf: one[3],
                k: u32::from_ne_bytes(one[4..].try_into().unwrap()),
            })
            .collect())
    }
}

/// Every number that any kernel gives a call, each with and without the marker of x32, and both
/// sides of every place where the meaning of a number changes.
fn numbers() -> impl Iterator<Item = u32> {
    let plain = (0..1100).chain(0xe_fff0..0xf_0020);
    let marked = plain.clone().map(|number| number | X32_BIT);
    let edges = [0x3fff_fff0..0x4000_0000, 0x7fff_fff0..0x8000_0010, 0xffff_fff0..u32::MAX];
    plain.chain(marked).chain(edges.into_iter().flatten()).chain([u32::MAX])
}

/// Values on both sides of everything that rules compare with.
fn interesting(profile: &Seccomp, arch: Arch) -> Vec<u64> {
    let mut values: Vec<u64> = vec![0, 1, 2, 16, 0x1_0001, 0x7fff_ffff, 0xffff_ffff];
    for arg in profile.syscalls.iter().flat_map(|rule| &rule.args) {
        for value in [arg.value, arg.value_two] {
            values.extend([value.wrapping_sub(1), value, value.wrapping_add(1)]);
            values.extend([value | (1 << 32), value | (1 << 17), !value]);
        }
    }
    // libseccomp compares only the lower halves for conventions with 32-bit pointers; x32 has
    // registers of 64 bits all the same, and we compare them.
    if arch == Arch::X32 {
        values.iter_mut().for_each(|value| *value &= u64::from(u32::MAX));
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// Whether a call with this number is of this convention: the marker tells x32 from x86_64. Elsewhere
/// it is a number like any other.
fn belongs(number: u32, arch: Arch) -> bool {
    match arch {
        // A tracer's -1 is no call of x32.
        Arch::X86_64 => number < X32_BIT || number == u32::MAX,
        Arch::X32 => number >= X32_BIT,
        Arch::X86 | Arch::Aarch64 | Arch::Arm => true,
    }
}

/// Compares both programs everywhere but at `skipped` calls.
fn compare(
    profile: &Seccomp,
    (ours, theirs): (&[Instruction], &[Instruction]),
    arch: Arch,
    skipped: &HashSet<u32>,
) {
    let default = verdict::of(profile.default_action, profile.default_errno_ret).unwrap();
    let newest = profile
        .syscalls
        .iter()
        .flat_map(|rule| &rule.names)
        .filter_map(|name| Call::named(name)?.number(arch))
        .filter(|number| *number < 0xf_0000 || arch != Arch::Arm)
        .max()
        .filter(|_| !verdict::lets_pass(default));
    let values = interesting(profile, arch);
    let asked = profile.syscalls.iter().filter(|rule| !rule.args.is_empty());
    let conditional: HashSet<u32> = asked
        .flat_map(|rule| &rule.names)
        .filter_map(|name| Call::named(name)?.number(arch))
        // socketcall and ipc ask for all of theirs.
        .chain([102, 117])
        .collect();
    for number in numbers().filter(|number| belongs(*number, arch) && !skipped.contains(number)) {
        // A call whose arguments no rule asks for has one meaning; a few values show that.
        let step = if conditional.contains(&number) { 1 } else { 17 };
        for (at, value) in values.iter().enumerate().step_by(step) {
            let other = values[(at * 7 + 3) % values.len()];
            let args = [*value, other, *value, other, *value, other];
            let data = Data { number, arch: arch.audit(), args };
            let (mine, _) = run(ours, &data);
            let (mut wanted, _) = run(theirs, &data);
            if wanted == default && newest.is_some_and(|newest| number > newest) {
                wanted = verdict::ENOSYS;
            }
            let rules = || {
                let named = |name: &String| Call::named(name)?.number(arch);
                let of_number =
                    |rule: &&Syscalls| rule.names.iter().any(|name| named(name) == Some(number));
                let rules = profile.syscalls.iter().filter(of_number);
                rules.map(|rule| (rule.action, &rule.args)).collect::<Vec<_>>()
            };
            assert!(
                mine == wanted,
                "call {number} of {arch:?} with {args:x?}: {mine:#x}, not {wanted:#x}: {:#x?}",
                rules()
            );
        }
    }
}

/// Calls that libseccomp does not know yet.
fn unknown(oracle: &Oracle, arch: Arch) -> HashSet<u32> {
    let numbers = oracle.numbers();
    CALLS
        .iter()
        .filter(|(name, _, _)| numbers[&(arch as usize, (*name).to_owned())] < 0)
        .filter_map(|(name, _, _)| Call::named(name)?.number(arch))
        .collect()
}

#[test]
fn numbers_are_libseccomps() {
    let Some(oracle) = Oracle::new() else { return };
    let mut unknown = HashSet::new();

    for ((arch, name), theirs) in oracle.numbers() {
        let ours = Call::named(&name).unwrap().number(Arch::ALL[arch]).map(i64::from);
        match ours {
            Some(ours) if theirs >= 0 => {
                assert_eq!(ours, theirs, "{name} of {:?}", Arch::ALL[arch])
            }
            Some(_) => drop(unknown.insert(name)),
            None => assert!(theirs < 0, "{name} of {:?} is {theirs}", Arch::ALL[arch]),
        }
    }

    eprintln!("libseccomp here does not know {} calls: {unknown:?}", unknown.len());
    assert!(unknown.len() < 60);
}

#[test]
fn the_default_profile_means_the_same_to_libseccomp() {
    let Some(oracle) = Oracle::new() else { return };
    // libseccomp lets socketcall make sockets where any rule for socket permits; see `default`.
    let stricter = HashSet::from([102]);
    let sets: [&[&str]; 4] = [
        &[],
        &["CAP_SYS_ADMIN"],
        &["CAP_BPF", "CAP_SYSLOG", "CAP_PERFMON", "CAP_SYS_CHROOT"],
        &["CAP_SYS_PTRACE", "CAP_SYS_MODULE", "CAP_SYS_TIME", "CAP_SYS_NICE"],
    ];
    for (native, also) in [(Arch::X86_64, Arch::X86), (Arch::Aarch64, Arch::Arm)] {
        for held in sets {
            let profile = default_profile(native, held);
            let ours = compile_for(&profile, native).unwrap();
            let theirs = oracle.compile(&profile, &[native, also]).unwrap();
            for arch in [native, also] {
                let mut skipped = unknown(&oracle, arch);
                if arch == Arch::X86 {
                    skipped.extend(&stricter);
                }
                compare(&profile, (ours.instructions(), &theirs), arch, &skipped);
            }
        }
    }
}

#[test]
fn the_profile_of_this_machine_means_the_same_to_libseccomp() {
    let Some(oracle) = Oracle::new() else { return };
    let path = "/usr/share/containers/seccomp.json";
    let Ok(bytes) = std::fs::read(path) else {
        eprintln!("skipped: needs {path} of containers-common");
        return;
    };
    let kernel = Kernel { major: 6, minor: 1 };
    for held in [&[][..], &["CAP_SYS_ADMIN", "CAP_AUDIT_WRITE"]] {
        let profile = profile::parse(&bytes, held, Arch::X86_64, kernel).unwrap();
        let ours = compile_for(&profile, Arch::X86_64).unwrap();
        let arches = [Arch::X86_64, Arch::X86, Arch::X32];
        let theirs = oracle.compile(&profile, &arches).unwrap();
        for arch in arches {
            compare(&profile, (ours.instructions(), &theirs), arch, &unknown(&oracle, arch));
        }
    }
}

fn random_profile(random: &mut Random) -> Seccomp {
    const ACTIONS: [Action; 6] = [
        Action::Allow,
        Action::Errno,
        Action::KillProcess,
        Action::Trap,
        Action::Log,
        Action::KillThread,
    ];
    const OPERATORS: [Operator; 7] = [
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Equal,
        Operator::GreaterOrEqual,
        Operator::Greater,
        Operator::MaskedEqual,
    ];
    let default_action = ACTIONS[random.below(ACTIONS.len())];
    let mut used = HashSet::new();
    let mut syscalls = Vec::new();
    for _ in 0..1 + random.below(40) {
        let name = CALLS[random.below(CALLS.len())].0;
        let ways = crate::multiplex::of(name).is_some();
        if !used.insert(name) || ways || name == "socketcall" || name == "ipc" {
            continue;
        }
        let action = ACTIONS[random.below(ACTIONS.len())];
        let (first, count, together) = (random.index(6), random.below(4), random.below(2) == 0);
        let mut arg = |index| {
            let op = OPERATORS[random.below(OPERATORS.len())];
            let value = random.value();
            let masked = op == Operator::MaskedEqual;
            let value_two = if masked { random.value() & value } else { 0 };
            Arg { index, value, value_two, op }
        };
        let args: Vec<Arg> = (0..3).map(|step| arg((first + step) % 6)).take(count).collect();
        let rule = |args: &[Arg]| Syscalls {
            names: vec![name.to_owned()],
            action,
            errno_ret: None,
            args: args.to_vec(),
        };
        // Several rules that each ask several arguments are left out: libseccomp 2.5.4 merges them
        // into a tree that answers wrongly (a >= 100 and b != 1, or a < 50 and b < 60, lets a = 1,
        // b = 70 through).
        if together {
            syscalls.push(rule(&args));
        } else {
            syscalls.extend(args.chunks(1).map(rule));
        }
    }
    Seccomp {
        default_action,
        default_errno_ret: None,
        architectures: vec!["SCMP_ARCH_X86".to_owned()],
        flags: Vec::new(),
        listener_path: None,
        listener_metadata: None,
        syscalls,
    }
}

#[test]
fn random_profiles_mean_the_same_to_libseccomp() {
    let Some(oracle) = Oracle::new() else { return };
    let mut random = Random::new(7);
    let skipped = [Arch::X86_64, Arch::X86].map(|arch| (arch, unknown(&oracle, arch)));
    let (mut compared, mut refused) = (0, 0);
    for _ in 0..100 {
        let profile = random_profile(&mut random);
        let ours = compile_for(&profile, Arch::X86_64).unwrap();
        let Ok(theirs) = oracle.compile(&profile, &[Arch::X86_64, Arch::X86]) else {
            refused += 1;
            continue;
        };
        for (arch, skipped) in &skipped {
            compare(&profile, (ours.instructions(), &theirs), *arch, skipped);
        }
        compared += 1;
    }
    assert!(compared > refused, "{compared} compared, {refused} refused");
}
