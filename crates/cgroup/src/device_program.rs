//! Device rules as a BPF program for version 2 (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15).
//!
//! The program gets `{ u32 access_type; u32 major; u32 minor; }`, with the kind of node in the low
//! half of `access_type` and the access in the high half, and returns 1 to allow. The last rule
//! that matches counts, so rules are tried from the last to the first. A rule matches if it is
//! about all of the access that is asked for.

use crate::devices::{Rule, Sort};
use dhow_sys::bpf::Instruction;

// Registers: the context comes in R1; R2 to R5 hold its parts; R0 is the answer.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 1;

// Operation codes (linux/bpf_common.h, linux/bpf.h).
const LOAD_WORD: u8 = 0x61;
const MOVE_REGISTER: u8 = 0xbc;
const MOVE_NUMBER: u8 = 0xb4;
const AND_NUMBER: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_UNEQUAL: u8 = 0x56;
const EXIT: u8 = 0x95;

// Of the context (linux/bpf.h, BPF_DEVCG_…).
const KIND_BLOCK: i32 = 1;
const KIND_CHAR: i32 = 2;
const ACCESS_MAKE: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;

/// The program for these rules; what no rule speaks about is denied.
pub(crate) fn assemble(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        Instruction::new(LOAD_WORD, KIND, CONTEXT, 0, 0),
        Instruction::new(MOVE_REGISTER, ACCESS, KIND, 0, 0),
        Instruction::new(AND_NUMBER, KIND, 0, 0, 0xffff),
        Instruction::new(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        Instruction::new(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    // What comes before a rule about everything can never count.
    let first = rules.iter().rposition(Rule::is_total).unwrap_or(0);
    for rule in rules[first..].iter().rev() {
        program.extend(instructions(rule));
    }
    if !rules.get(first).is_some_and(Rule::is_total) {
        program.extend(answer(false));
    }
    program
}

/// Checks that jump past the answer where they fail.
fn instructions(rule: &Rule) -> Vec<Instruction> {
    let mut checks = Vec::new();
    match rule.sort {
        Sort::All => {}
        Sort::Char => checks.push((KIND, KIND_CHAR)),
        Sort::Block => checks.push((KIND, KIND_BLOCK)),
    }
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        checks.extend(number.map(|number| (register, number.cast_signed())));
    }
    let mut program = Vec::new();
    let others = outside(rule);
    if others != 0 {
        program.push(Instruction::new(MOVE_REGISTER, SCRATCH, ACCESS, 0, 0));
        program.push(Instruction::new(AND_NUMBER, SCRATCH, 0, 0, others));
        checks.insert(0, (SCRATCH, 0));
    }
    let count = i16::try_from(checks.len()).expect("there are at most four checks");
    for ((register, number), place) in checks.into_iter().zip(0_i16..) {
        // Over the checks that are left and the two instructions of the answer.
        program.push(Instruction::new(JUMP_UNEQUAL, register, 0, count - place - 1 + 2, number));
    }
    program.extend(answer(rule.allow));
    program
}

/// The kinds of access that the rule says nothing about.
fn outside(rule: &Rule) -> i32 {
    [(rule.make, ACCESS_MAKE), (rule.read, ACCESS_READ), (rule.write, ACCESS_WRITE)]
        .into_iter()
        .filter(|(given, _)| !given)
        .fold(0, |bits, (_, bit)| bits | bit)
}

fn answer(allow: bool) -> [Instruction; 2] {
    [
        Instruction::new(MOVE_NUMBER, ANSWER, 0, 0, i32::from(allow)),
        Instruction::new(EXIT, 0, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::rules;
    use dhow_spec::runtime::{DeviceRule, default_spec};

    /// An interpreter of exactly the operations above.
    fn run(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> u32 {
        let context = [kind | access << 16, major, minor];
        let mut registers = [0_u32; 11];
        let mut at = 0;
        loop {
            let instruction = program[at];
            let (code, to, from, offset, number) = instruction.parts();
            let number = number.cast_unsigned();
            let (to, from) = (usize::from(to), usize::from(from));
            match code {
                LOAD_WORD => registers[to] = context[usize::try_from(offset).unwrap() / 4],
                MOVE_REGISTER => registers[to] = registers[from],
                MOVE_NUMBER => registers[to] = number,
                AND_NUMBER => registers[to] &= number,
                SHIFT_RIGHT => registers[to] >>= number,
                JUMP_UNEQUAL if registers[to] != number => at += usize::try_from(offset).unwrap(),
                JUMP_UNEQUAL => {}
                EXIT => return registers[0],
                other => panic!("operation {other:#x}"),
            }
            at += 1;
        }
    }

    /// What the rules mean, said plainly.
    fn allowed(rules: &[Rule], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let matches = |rule: &&Rule| {
            let sort = match rule.sort {
                Sort::All => true,
                Sort::Char => kind == 2,
                Sort::Block => kind == 1,
            };
            sort && rule.major.is_none_or(|number| number == major)
                && rule.minor.is_none_or(|number| number == minor)
                && (access & 1 == 0 || rule.make)
                && (access & 2 == 0 || rule.read)
                && (access & 4 == 0 || rule.write)
        };
        rules.iter().rev().find(matches).is_some_and(|rule| rule.allow)
    }

    #[test]
    fn the_program_means_what_the_rules_mean() {
        let defaults = default_spec().linux.unwrap().resources.unwrap().devices;
        let mut odd = defaults.clone();
        odd.push(DeviceRule {
            allow: false,
            kind: Some("c".into()),
            major: Some(1),
            minor: None,
            access: Some("w".into()),
        });
        for given in
            [defaults, odd, Vec::new(), vec![DeviceRule { allow: true, ..DeviceRule::default() }]]
        {
            let rules = rules(&given).unwrap();
            let program = assemble(&rules);
            for kind in [1, 2] {
                for access in 1..8 {
                    for (major, minor) in
                        [(1, 3), (1, 1), (5, 0), (136, 7), (8, 0), (10, 200), (0, 0)]
                    {
                        let expected = allowed(&rules, kind, access, major, minor);
                        let actual = run(&program, kind, access, major, minor) == 1;
                        assert_eq!(actual, expected, "kind {kind} access {access} {major}:{minor}");
                    }
                }
            }
        }
    }
}
