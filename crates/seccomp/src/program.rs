//! A compiled filter, and the way to it.
//!
//! ```text
//!   profile ─▶ rules (action, conditions) ─▶ verdict a call number ─▶ ranges of equal verdicts
//!           ─▶ binary search over the ranges ─▶ one program with a section an architecture
//! ```
//!
//! What a profile means follows libseccomp and runc, since profiles are written against them:
//!
//! * the native architecture is always filtered, whether listed or not; a call of an architecture
//!   that is not listed kills the process;
//! * unknown names are skipped, as are rules whose action is the default one;
//! * a rule without conditions wins over those with conditions, and the first such rule over later
//!   ones; of several that match, the strictest wins (libseccomp leaves that open);
//! * a rule with two conditions on one argument stands for one rule a condition;
//! * where registers have 32 bits, 32 bits are compared, of the argument and of the rule's value;
//! * where the default action refuses, calls newer than the newest that the profile names fail with
//!   ENOSYS, so that programs fall back to older calls instead of giving up;
//! * on 32-bit x86, a rule for `socket`, `semop` and the like also holds for the same call made
//!   through `socketcall` and `ipc`. Unlike libseccomp, a rule that loosens under conditions does
//!   not: the arguments lie in memory there, so that the conditions cannot be checked.

use crate::{
    Arch,
    arch::{Call, Width, X32_BIT},
    assembler::{Assembler, Target, Test},
    multiplex,
};
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{Action, Arg, Operator, Seccomp, Syscalls};

/// One instruction of classic BPF; the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// How the filter is to be loaded; see `seccomp(2)`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Flags {
    bits: u32,
}

impl Flags {
    const TSYNC: u32 = 1 << 0;
    const LOG: u32 = 1 << 1;
    const SPEC_ALLOW: u32 = 1 << 2;
    const WAIT_KILLABLE_RECV: u32 = 1 << 5;

    /// Those that a profile may name, in alphabetical order.
    pub const NAMED: [(&str, Self); 4] = [
        ("SECCOMP_FILTER_FLAG_LOG", Self { bits: Self::LOG }),
        ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", Self { bits: Self::SPEC_ALLOW }),
        ("SECCOMP_FILTER_FLAG_TSYNC", Self { bits: Self::TSYNC }),
        ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", Self { bits: Self::WAIT_KILLABLE_RECV }),
    ];

    /// `SECCOMP_FILTER_FLAG_…` as `seccomp(2)` takes them, without `NEW_LISTENER`, which the caller
    /// adds where [`Program::notifies`] says so.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// Reads the profile's flags. None at all means `SPEC_ALLOW`, as in runc: the mitigation
    /// that its absence switches on costs far more than it gives on today's processors.
    fn parse(names: &[String], notifies: bool) -> Result<Self> {
        let mut bits = if names.is_empty() { Self::SPEC_ALLOW } else { 0 };
        for name in names {
            let named = Self::NAMED.iter().find(|named| named.0 == name);
            bits |= named.map(|named| named.1.bits).ok_or_else(|| {
                Error::new(Kind::Invalid, format!("use seccomp flag {name:?}: it is not known"))
            })?;
        }
        // The kernel refuses TSYNC with a listener, and WAIT_KILLABLE_RECV without one. Neither
        // means anything there: the container's init has one thread, and nobody is to be waited for.
        bits &= if notifies { !Self::TSYNC } else { !Self::WAIT_KILLABLE_RECV };
        Ok(Self { bits })
    }
}

/// A filter, ready to be loaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program {
    instructions: Vec<Instruction>,
    flags: Flags,
    notifies: bool,
}

impl Program {
    /// The instructions, at most 4096.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// How to load it.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// Whether some call asks a listener, so that loading must make one.
    pub fn notifies(&self) -> bool {
        self.notifies
    }
}

/// `BPF_MAXINSNS`.
const LONGEST: usize = 4096;

/// Compiles a profile for the architecture that this program was built for.
pub fn compile(profile: &Seccomp) -> Result<Program> {
    compile_for(profile, Arch::NATIVE)
}

/// Compiles a profile as a machine of architecture `native` would.
pub fn compile_for(profile: &Seccomp, native: Arch) -> Result<Program> {
    let rules = Rules::new(profile)?;
    let arches = arches(profile, native)?;
    let instructions = assemble(&rules, &arches);
    if instructions.len() > LONGEST {
        let length = instructions.len();
        return Err(Error::new(
            Kind::Invalid,
            format!("compile seccomp profile: {length} instructions, the kernel takes {LONGEST}"),
        )
        .hint("use fewer rules with conditions on arguments"));
    }
    let flags = Flags::parse(&profile.flags, rules.notifies)?;
    Ok(Program { instructions, flags, notifies: rules.notifies })
}

/// What the filter returns: `SECCOMP_RET_…` and its data.
pub(crate) mod verdict {
    use super::{Action, Error, Kind, Result};

    pub(crate) const KILL_PROCESS: u32 = 0x8000_0000;
    const KILL_THREAD: u32 = 0x0000_0000;
    const TRAP: u32 = 0x0003_0000;
    const ERRNO: u32 = 0x0005_0000;
    const NOTIFY: u32 = 0x7fc0_0000;
    const TRACE: u32 = 0x7ff0_0000;
    const LOG: u32 = 0x7ffc_0000;
    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 1;
    pub(crate) const ENOSYS: u32 = ERRNO | 38;

    /// The largest errno that a call can return (`MAX_ERRNO`).
    const LARGEST_ERRNO: u32 = 4095;

    /// The value for an action; `data` is `errnoRet`.
    pub(crate) fn of(action: Action, data: Option<u32>) -> Result<u32> {
        let (base, largest) = match action {
            Action::Kill | Action::KillThread => (KILL_THREAD, 0),
            Action::KillProcess => (KILL_PROCESS, 0),
            Action::Trap => (TRAP, 0),
            Action::Errno => (ERRNO, LARGEST_ERRNO),
            Action::Trace => (TRACE, u32::from(u16::MAX)),
            Action::Allow => (ALLOW, 0),
            Action::Log => (LOG, 0),
            Action::Notify => (NOTIFY, 0),
        };
        match data {
            None if largest > 0 => Ok(base | EPERM),
            None => Ok(base),
            Some(data) if data <= largest => Ok(base | data),
            Some(data) => Err(Error::new(
                Kind::Invalid,
                format!("use errnoRet {data} with seccomp action {action:?}"),
            )),
        }
    }

    /// The kernel's order of filters: less is stricter.
    pub(crate) fn strictness(value: u32) -> i32 {
        (value & 0xffff_0000).cast_signed()
    }

    /// Whether a new call may be left to the default action. A tracer emulates what it likes, so
    /// it is to see new calls too.
    pub(crate) fn lets_pass(value: u32) -> bool {
        matches!(value & 0xffff_0000, ALLOW | LOG | TRACE)
    }
}

/// `__ARM_NR_BASE`: calls such as `set_tls`, far above the others.
const ARM_PRIVATE: u32 = 0xf_0000;

/// One alternative: all conditions hold, then `value` is returned.
#[derive(Clone, Copy, Debug)]
struct Alternative<'a> {
    value: u32,
    conditions: &'a [Arg],
}

/// A rule of the profile, checked.
struct Rule<'a> {
    names: &'a [String],
    /// Absent where the action is the default one: the rule then only says which calls the
    /// profile knows.
    value: Option<u32>,
    args: &'a [Arg],
    /// One argument is asked twice, so that each condition is a rule of its own.
    split: bool,
}

struct Rules<'a> {
    default: u32,
    list: Vec<Rule<'a>>,
    notifies: bool,
}

impl<'a> Rules<'a> {
    fn new(profile: &'a Seccomp) -> Result<Self> {
        if profile.default_action == Action::Notify {
            return Err(Error::new(
                Kind::Invalid,
                "use SCMP_ACT_NOTIFY as the default seccomp action: nobody could then answer",
            ));
        }
        let default = verdict::of(profile.default_action, profile.default_errno_ret)?;
        let list = profile
            .syscalls
            .iter()
            .map(|syscalls| Rule::new(syscalls, default))
            .collect::<Result<Vec<_>>>()?;
        let notifies = profile.syscalls.iter().any(|rule| rule.action == Action::Notify);
        Ok(Self { default, list, notifies })
    }

    /// What each call number of one architecture gets, in ranges without gaps from `first` up to
    /// `last`; the last range is open.
    fn ranges(&self, arch: Arch, first: u32, last: u32) -> Vec<Piece<'_>> {
        let (mut entries, newest) = self.entries(arch);
        // Stable, so that the first rule without conditions stays the first.
        entries.sort_by_key(|(number, _)| *number);
        let newest = newest.filter(|_| !verdict::lets_pass(self.default)).unwrap_or(last);
        let mut pieces = Pieces { list: Vec::with_capacity(entries.len() / 2), next: first };
        let gap = |pieces: &mut Pieces<'_>, end: u32| {
            pieces.put_until(end.min(newest.saturating_add(1)), Verdict::Always(self.default));
            pieces.put_until(end, Verdict::Always(verdict::ENOSYS));
        };
        for group in entries.chunk_by(|a, b| a.0 == b.0) {
            gap(&mut pieces, group[0].0);
            pieces.put_until(group[0].0 + 1, Verdict::decide(group));
        }
        gap(&mut pieces, last);
        pieces.list
    }

    /// Each rule under each number that it holds for, and the newest call that is named.
    fn entries(&self, arch: Arch) -> (Vec<(u32, Alternative<'_>)>, Option<u32>) {
        let mut entries = Vec::with_capacity(512);
        let mut newest = None;
        for rule in &self.list {
            for name in rule.names {
                let Some(number) = Call::named(name).and_then(|call| call.number(arch)) else {
                    if arch == Arch::X86 {
                        self.multiplexed(rule, name, &mut entries);
                    }
                    continue;
                };
                // Numbers are given in order, but for arm's private ones.
                if number < ARM_PRIVATE || arch != Arch::Arm {
                    newest = newest.max(Some(number));
                }
                entries.extend(rule.alternatives().map(|alternative| (number, alternative)));
                if arch == Arch::X86 {
                    self.multiplexed(rule, name, &mut entries);
                }
            }
        }
        (entries, newest)
    }

    /// The same call through `socketcall` or `ipc`.
    fn multiplexed<'b>(
        &'b self,
        rule: &Rule<'b>,
        name: &str,
        entries: &mut Vec<(u32, Alternative<'b>)>,
    ) {
        let (Some(value), Some(way)) = (rule.value, multiplex::of(name)) else { return };
        let tightens = verdict::strictness(value) < verdict::strictness(self.default);
        if rule.args.is_empty() || tightens {
            entries.push((way.number, Alternative { value, conditions: way.conditions() }));
        }
    }
}

impl<'a> Rule<'a> {
    fn new(syscalls: &'a Syscalls, default: u32) -> Result<Self> {
        let shown = || syscalls.names.first().map_or("no call", String::as_str);
        let mut seen = [false; 6];
        let mut split = false;
        for arg in &syscalls.args {
            let seen = usize::try_from(arg.index).ok().and_then(|index| seen.get_mut(index));
            let Some(seen) = seen else {
                return Err(Error::new(
                    Kind::Invalid,
                    format!(
                        "compile seccomp rule for {}: calls have no argument {}",
                        shown(),
                        arg.index
                    ),
                ));
            };
            split |= std::mem::replace(seen, true);
        }
        if syscalls.action == Action::Notify && syscalls.names.iter().any(|name| name == "write") {
            return Err(Error::new(
                Kind::Invalid,
                "use SCMP_ACT_NOTIFY for write: the container's init could not report the listener",
            ));
        }
        let value = verdict::of(syscalls.action, syscalls.errno_ret)?;
        let value = (value != default).then_some(value);
        Ok(Self { names: &syscalls.names, value, args: &syscalls.args, split })
    }

    fn alternatives(&self) -> impl Iterator<Item = Alternative<'a>> {
        let size = if self.split { 1 } else { self.args.len().max(1) };
        let whole = self.args.is_empty().then_some(self.args);
        let value = self.value;
        let all = whole.into_iter().chain(self.args.chunks(size));
        all.filter_map(move |conditions| value.map(|value| Alternative { value, conditions }))
    }
}

/// What a call number gets.
#[derive(Clone, Debug, PartialEq)]
enum Verdict<'a> {
    Always(u32),
    /// The first alternative whose conditions hold, else the default.
    Depends(Vec<(u32, &'a [Arg])>),
}

impl<'a> Verdict<'a> {
    fn decide(group: &[(u32, Alternative<'a>)]) -> Self {
        if let Some((_, always)) = group.iter().find(|(_, one)| one.conditions.is_empty()) {
            return Self::Always(always.value);
        }
        let mut list: Vec<_> = group.iter().map(|(_, one)| (one.value, one.conditions)).collect();
        list.sort_by_key(|(value, _)| verdict::strictness(*value));
        Self::Depends(list)
    }
}

/// A range of call numbers from `first` up to the next piece's.
#[derive(Clone, Debug)]
struct Piece<'a> {
    first: u32,
    verdict: Verdict<'a>,
}

struct Pieces<'a> {
    list: Vec<Piece<'a>>,
    next: u32,
}

impl<'a> Pieces<'a> {
    /// Gives the numbers from the end of what is there up to `end` a verdict.
    fn put_until(&mut self, end: u32, verdict: Verdict<'a>) {
        if end > self.next {
            self.put(verdict);
            self.next = end;
        }
    }

    fn put(&mut self, verdict: Verdict<'a>) {
        if self.list.last().is_none_or(|last| last.verdict != verdict) {
            self.list.push(Piece { first: self.next, verdict });
        }
    }
}

/// The architectures to filter, the native one first.
fn arches(profile: &Seccomp, native: Arch) -> Result<Vec<Arch>> {
    let mut arches = vec![native];
    for name in &profile.architectures {
        match Arch::from_profile_name(name) {
            Some(arch) if arches.contains(&arch) => {}
            Some(arch) => arches.push(arch),
            None if Arch::is_foreign(name) => {}
            None => {
                return Err(Error::new(
                    Kind::Invalid,
                    format!("use seccomp architecture {name:?}: it is not known"),
                ));
            }
        }
    }
    Ok(arches)
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

fn assemble(rules: &Rules<'_>, arches: &[Arch]) -> Vec<Instruction> {
    let mut code = Assembler::default();
    let mut entry = Target::Return(verdict::KILL_PROCESS);
    // Written backwards, so that the native architecture is asked for first.
    for arch in arches.iter().rev() {
        let pieces = match arch {
            Arch::X32 => continue,
            Arch::X86_64 => x86_64(rules, arches.contains(&Arch::X32)),
            arch => rules.ranges(*arch, 0, u32::MAX),
        };
        let search = search(&mut code, &pieces, rules.default, arch.width());
        let section = code.load(NUMBER, search);
        entry = code.branch(Test::Equal, arch.audit(), section, entry);
    }
    let entry = code.load(ARCH, entry);
    code.finish(entry)
}

/// The ranges of x86_64, and of x32, which shares its audit number.
fn x86_64<'a>(rules: &'a Rules<'_>, with_x32: bool) -> Vec<Piece<'a>> {
    let mut pieces = rules.ranges(Arch::X86_64, 0, X32_BIT - 1);
    let last = pieces.last().map(|piece| piece.verdict.clone());
    if with_x32 {
        pieces.extend(rules.ranges(Arch::X32, X32_BIT, u32::MAX - 1));
    } else {
        let verdict = Verdict::Always(verdict::KILL_PROCESS);
        pieces.push(Piece { first: X32_BIT, verdict });
    }
    // A tracer writes -1 over the number of a call that is to be skipped. That is no call of x32.
    if let Some(verdict) = last {
        pieces.push(Piece { first: u32::MAX, verdict });
    }
    pieces
}

/// A binary search for the call number, which is in the accumulator.
fn search(code: &mut Assembler, pieces: &[Piece<'_>], default: u32, width: Width) -> Target {
    match pieces {
        [] => Target::Return(default),
        [piece] => match &piece.verdict {
            Verdict::Always(value) => Target::Return(*value),
            Verdict::Depends(list) => alternatives(code, list, default, width),
        },
        _ => {
            let (low, high) = pieces.split_at(pieces.len() / 2);
            let above = search(code, high, default, width);
            let below = search(code, low, default, width);
            code.branch(Test::GreaterOrEqual, high[0].first, above, below)
        }
    }
}

/// Tries the alternatives in their order.
fn alternatives(
    code: &mut Assembler,
    list: &[(u32, &[Arg])],
    default: u32,
    width: Width,
) -> Target {
    list.iter().rev().fold(Target::Return(default), |otherwise, (value, conditions)| {
        conditions.iter().rev().fold(Target::Return(*value), |then, arg| {
            condition(code, *arg, width, (then, otherwise))
        })
    })
}

/// A comparison of one argument.
fn condition(code: &mut Assembler, arg: Arg, width: Width, (yes, no): (Target, Target)) -> Target {
    let word = Word { offset: offset(arg), width };
    match arg.op {
        Operator::Equal => masked(code, word, u64::MAX, arg.value, (yes, no)),
        Operator::NotEqual => masked(code, word, u64::MAX, arg.value, (no, yes)),
        Operator::MaskedEqual => masked(code, word, arg.value, arg.value_two, (yes, no)),
        Operator::GreaterOrEqual => above(code, word, Test::GreaterOrEqual, arg.value, (yes, no)),
        Operator::Greater => above(code, word, Test::Greater, arg.value, (yes, no)),
        Operator::Less => above(code, word, Test::GreaterOrEqual, arg.value, (no, yes)),
        Operator::LessOrEqual => above(code, word, Test::Greater, arg.value, (no, yes)),
    }
}

/// Where an argument lies, and how much of it the kernel looks at.
#[derive(Clone, Copy, Debug)]
struct Word {
    offset: u32,
    width: Width,
}

fn masked(
    code: &mut Assembler,
    word: Word,
    mask: u64,
    wanted: u64,
    (yes, no): (Target, Target),
) -> Target {
    let ((mask_high, mask_low), (high, low)) = (halves(mask), halves(wanted));
    let then = masked_word(code, word.offset, mask_low, low, (yes, no));
    match word.width {
        Width::Half => then,
        Width::Whole => masked_word(code, word.offset + 4, mask_high, high, (then, no)),
    }
}

fn masked_word(
    code: &mut Assembler,
    offset: u32,
    mask: u32,
    wanted: u32,
    (yes, no): (Target, Target),
) -> Target {
    if wanted & !mask != 0 {
        return no;
    }
    if mask == 0 || yes == no {
        return yes;
    }
    let then = code.branch(Test::Equal, wanted, yes, no);
    let then = if mask == u32::MAX { then } else { code.and(mask, then) };
    code.load(offset, then)
}

/// The high word first, where there is one.
fn above(
    code: &mut Assembler,
    word: Word,
    test: Test,
    bound: u64,
    (yes, no): (Target, Target),
) -> Target {
    let (high, low) = halves(bound);
    let low = code.branch(test, low, yes, no);
    let low = code.load(word.offset, low);
    if word.width == Width::Half {
        return low;
    }
    let equal = code.branch(Test::Equal, high, low, no);
    let greater = code.branch(Test::Greater, high, yes, equal);
    code.load(word.offset + 4, greater)
}

/// Where the low word of an argument lies; both supported families are little-endian.
fn offset(arg: Arg) -> u32 {
    ARGS + 8 * arg.index
}

fn halves(value: u64) -> (u32, u32) {
    let low = u32::try_from(value & u64::from(u32::MAX)).expect("masked to 32 bits");
    let high = u32::try_from(value >> 32).expect("shifted to 32 bits");
    (high, low)
}

/// The same filter, a comparison a call number: what the binary search is tested against.
#[cfg(test)]
pub(crate) fn linear(profile: &Seccomp, native: Arch) -> Result<Vec<Instruction>> {
    let rules = Rules::new(profile)?;
    let arches = arches(profile, native)?;
    let mut code = Assembler::default();
    let mut entry = Target::Return(verdict::KILL_PROCESS);
    for arch in arches.iter().filter(|arch| **arch != Arch::X32) {
        let mut section = linear_section(&mut code, &rules, *arch);
        if *arch == Arch::X86_64 {
            let x32 = match arches.contains(&Arch::X32) {
                true => linear_section(&mut code, &rules, Arch::X32),
                false => Target::Return(verdict::KILL_PROCESS),
            };
            let split = code.branch(Test::GreaterOrEqual, X32_BIT, x32, section);
            section = code.branch(Test::Equal, u32::MAX, section, split);
        }
        let section = code.load(NUMBER, section);
        entry = code.branch(Test::Equal, arch.audit(), section, entry);
    }
    let entry = code.load(ARCH, entry);
    Ok(code.finish(entry))
}

#[cfg(test)]
fn linear_section(code: &mut Assembler, rules: &Rules<'_>, arch: Arch) -> Target {
    let (entries, newest) = rules.entries(arch);
    let mut section = Target::Return(rules.default);
    if let Some(newest) = newest.filter(|_| !verdict::lets_pass(rules.default)) {
        section = code.branch(Test::Greater, newest, Target::Return(verdict::ENOSYS), section);
    }
    let mut numbers: Vec<_> = entries.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        let group: Vec<_> = entries.iter().filter(|entry| entry.0 == number).copied().collect();
        let verdict = match Verdict::decide(&group) {
            Verdict::Always(value) => Target::Return(value),
            Verdict::Depends(list) => alternatives(code, &list, rules.default, arch.width()),
        };
        section = code.branch(Test::Equal, number, verdict, section);
    }
    section
}
