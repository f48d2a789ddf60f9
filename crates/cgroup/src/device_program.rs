//! Device rules as a BPF program for version 2 (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15; with
//! the 32-bit jumps of Linux 5.1).
//!
//! The program gets `{ u32 access_type; u32 major; u32 minor; }`, with the kind of node in the low
//! half of `access_type` and the access in the high half, and returns 1 to allow.

use crate::devices::{Access, Exception, Sort, Table};
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
const JUMP_EQUAL: u8 = 0x16;
const JUMP_UNEQUAL: u8 = 0x56;
const EXIT: u8 = 0x95;

// Of the context (linux/bpf.h, BPF_DEVCG_…).
const KIND_BLOCK: i32 = 1;
const KIND_CHAR: i32 = 2;

/// The program for a table.
pub(crate) fn assemble(table: &Table) -> Vec<Instruction> {
    let mut program = vec![
        Instruction::new(LOAD_WORD, KIND, CONTEXT, 0, 0),
        Instruction::new(MOVE_REGISTER, ACCESS, KIND, 0, 0),
        Instruction::new(AND_NUMBER, KIND, 0, 0, 0xffff),
        Instruction::new(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        Instruction::new(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for exception in &table.exceptions {
        program.extend(instructions(exception, !table.allow));
    }
    program.extend(answer(table.allow));
    program
}

/// Checks that jump past the answer where they fail.
fn instructions(exception: &Exception, allow: bool) -> Vec<Instruction> {
    let kind = match exception.sort {
        Sort::Char => KIND_CHAR,
        Sort::Block => KIND_BLOCK,
    };
    let mut checks = vec![(JUMP_UNEQUAL, KIND, kind)];
    for (register, number) in [(MAJOR, exception.major), (MINOR, exception.minor)] {
        checks.extend(number.map(|number| (JUMP_UNEQUAL, register, number.cast_signed())));
    }
    // To allow, nothing outside of the exception may be asked for; to deny, anything inside is
    // enough: who may not write must not open for reading and writing either.
    let (bits, test) = if allow {
        (!exception.access.0 & Access::ALL, JUMP_UNEQUAL)
    } else {
        (exception.access.0, JUMP_EQUAL)
    };
    let mut program = Vec::new();
    if bits != 0 {
        program.push(Instruction::new(MOVE_REGISTER, SCRATCH, ACCESS, 0, 0));
        program.push(Instruction::new(AND_NUMBER, SCRATCH, 0, 0, i32::from(bits)));
        checks.insert(0, (test, SCRATCH, 0));
    }
    let count = i16::try_from(checks.len()).expect("there are at most four checks");
    for ((test, register, number), place) in checks.into_iter().zip(0_i16..) {
        // Over the checks that are left and the two instructions of the answer.
        program.push(Instruction::new(test, register, 0, count - place - 1 + 2, number));
    }
    program.extend(answer(allow));
    program
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
    use crate::devices::default_rules;
    use dhow_spec::runtime::DeviceRule;

    /// Runs a program in an interpreter that others wrote.
    fn run(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
        let bytes: Vec<u8> = program.iter().flat_map(|instruction| bytes(*instruction)).collect();
        let machine = rbpf::EbpfVmRaw::new(Some(&bytes)).unwrap();
        let mut context = [kind | access << 16, major, minor].map(u32::to_ne_bytes).concat();
        machine.execute_program(&mut context).unwrap()
    }

    /// An instruction as a little endian machine has it.
    fn bytes(instruction: Instruction) -> [u8; 8] {
        let (code, to, from, offset, number) = instruction.parts();
        let ([offset_low, offset_high], [a, b, c, d]) =
            (offset.to_le_bytes(), number.to_le_bytes());
        [code, to | from << 4, offset_low, offset_high, a, b, c, d]
    }

    /// What rules mean for one kind of access: the last one that speaks of it decides.
    fn decided(rules: &[DeviceRule], kind: u32, letter: char, major: u32, minor: u32) -> bool {
        let speaks = |rule: &&DeviceRule| {
            let number = |rule: Option<i64>, own: u32| {
                rule.is_none_or(|number| number == -1 || number == i64::from(own))
            };
            let sort = match rule.kind.as_deref() {
                Some("c") => kind == 2,
                Some("b") => kind == 1,
                _ => true,
            };
            let access = rule.access.as_deref().is_none_or(|access| access.contains(letter));
            sort && access && number(rule.major, major) && number(rule.minor, minor)
        };
        rules.iter().rfind(speaks).is_some_and(|rule| rule.allow)
    }

    /// Rules of all kinds mixed by chance, with a known begin: the program must decide about every
    /// single access as the rules do, in the order in which they were given.
    #[test]
    fn the_program_means_what_the_rules_mean() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
        };
        let (kinds, accesses) = (["a", "b", "c"], ["r", "w", "m", "rw", "rwm", "wm"]);
        let numbers = [None, Some(-1), Some(1), Some(3), Some(8)];
        let mut tried = 0;
        for _ in 0..3000 {
            let rules: Vec<DeviceRule> = (0..random(7))
                .map(|_| DeviceRule {
                    allow: random(2) == 0,
                    kind: Some(kinds[random(3)].to_owned()),
                    major: numbers[random(5)],
                    minor: numbers[random(5)],
                    access: Some(accesses[random(6)].to_owned()),
                })
                .collect();
            // What the kernel's tables cannot say is refused, which another test shows.
            let Ok(table) = Table::new(rules.iter()) else { continue };
            tried += 1;
            let program = assemble(&table);
            for kind in [1, 2] {
                for (letter, bit) in [('m', 1), ('r', 2), ('w', 4)] {
                    for (major, minor) in [(1, 3), (1, 1), (3, 1), (8, 8), (3, 200), (200, 3)] {
                        let expected = decided(&rules, kind, letter, major, minor);
                        let actual = run(&program, kind, bit, major, minor) == 1;
                        let asked = format!("{kind} {letter} {major}:{minor} of {rules:?}");
                        assert_eq!(actual, expected, "{asked}");
                    }
                }
            }
        }
        assert!(tried > 1000, "{tried}");
    }

    /// What a table means, said plainly.
    fn allowed(table: &Table, kind: u32, access: u8, major: u32, minor: u32) -> bool {
        let matches = |one: &Exception| {
            let sort = (one.sort == Sort::Char) == (kind == 2);
            let numbers = one.major.is_none_or(|number| number == major)
                && one.minor.is_none_or(|number| number == minor);
            let access =
                if table.allow { access & one.access.0 != 0 } else { access & !one.access.0 == 0 };
            sort && numbers && access
        };
        table.allow != table.exceptions.iter().any(matches)
    }

    #[test]
    fn the_program_means_what_the_table_means() {
        let rule = |allow, kind: &str, major, minor, access: &str| DeviceRule {
            allow,
            kind: Some(kind.into()),
            major,
            minor,
            access: Some(access.into()),
        };
        let all = DeviceRule { allow: true, ..DeviceRule::default() };
        let mut odd = default_rules();
        odd.push(rule(false, "c", Some(1), None, "w"));
        odd.push(rule(true, "b", Some(8), None, "r"));
        let denied = vec![all.clone(), rule(false, "c", Some(1), Some(1), "w")];
        for given in [default_rules(), odd, denied, Vec::new(), vec![all]] {
            let table = Table::new(given.iter()).unwrap();
            let program = assemble(&table);
            for kind in [1, 2] {
                for access in 1..8_u8 {
                    for (major, minor) in
                        [(1, 3), (1, 1), (5, 0), (136, 7), (8, 0), (10, 200), (0, 0)]
                    {
                        let expected = allowed(&table, kind, access, major, minor);
                        let actual = run(&program, kind, access.into(), major, minor) == 1;
                        assert_eq!(actual, expected, "kind {kind} access {access} {major}:{minor}");
                    }
                }
            }
        }
    }

    #[test]
    fn who_may_not_write_does_not_open_for_both() {
        let all = DeviceRule { allow: true, ..DeviceRule::default() };
        let deny = DeviceRule {
            allow: false,
            kind: Some("c".into()),
            major: Some(1),
            minor: Some(1),
            access: Some("w".into()),
        };
        let program = assemble(&Table::new([all, deny].iter()).unwrap());

        assert_eq!(run(&program, 2, 2, 1, 1), 1, "to read");
        assert_eq!(run(&program, 2, 4, 1, 1), 0, "to write");
        assert_eq!(run(&program, 2, 6, 1, 1), 0, "to read and write");
    }
}
