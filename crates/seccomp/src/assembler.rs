//! Classic BPF, written from the end to the start.
//!
//! Jumps in classic BPF only go forward, so whoever writes backwards knows every target's place
//! when the jump is written, and there are no fix-ups. A conditional jump reaches 255
//! instructions; what is further away gets a plain jump, or a second copy of the return, nearby.

use crate::Instruction;

/// Loads a word of `seccomp_data` into the accumulator (`BPF_LD | BPF_W | BPF_ABS`).
const LOAD: u16 = 0x20;
/// Jumps always (`BPF_JMP | BPF_JA`).
const GO: u16 = 0x05;
/// Masks the accumulator (`BPF_ALU | BPF_AND | BPF_K`).
const AND: u16 = 0x54;
/// Returns a constant (`BPF_RET | BPF_K`).
const RETURN: u16 = 0x06;

/// A jump's condition on the accumulator, unsigned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Test {
    Equal = 0x15,
    Greater = 0x25,
    GreaterOrEqual = 0x35,
}

/// Where control goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// Out, with this value.
    Return(u32),
    /// To code that is already written: its place, counted from the end.
    At(usize),
}

/// A program in the making.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// The last instruction first.
    reversed: Vec<Instruction>,
    /// The nearest return of each value. A handful of values, so a list is the quickest map.
    returns: Vec<(u32, usize)>,
}

impl Assembler {
    /// Goes to `yes` where the accumulator passes, else to `no`.
    pub(crate) fn branch(&mut self, test: Test, k: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.reach(yes), self.reach(no));
        let (jt, jf) = (self.short(yes), self.short(no));
        self.push(Instruction { code: test as u16, jt, jf, k })
    }

    /// Loads the word at `offset`, then goes on at `then`.
    pub(crate) fn load(&mut self, offset: u32, then: Target) -> Target {
        self.before(then, LOAD, offset)
    }

    /// Masks the accumulator, then goes on at `then`.
    pub(crate) fn and(&mut self, mask: u32, then: Target) -> Target {
        self.before(then, AND, mask)
    }

    /// The finished program, which starts at `entry`.
    pub(crate) fn finish(mut self, entry: Target) -> Vec<Instruction> {
        self.fall_through(entry);
        self.reversed.reverse();
        self.reversed
    }

    /// Writes an instruction that falls through into `then`.
    fn before(&mut self, then: Target, code: u16, k: u32) -> Target {
        self.fall_through(then);
        self.push(Instruction { code, jt: 0, jf: 0, k })
    }

    /// Makes the instruction written last the one at `target`, or one that leads there.
    fn fall_through(&mut self, target: Target) {
        match target {
            Target::Return(value) => {
                self.push(Instruction { code: RETURN, jt: 0, jf: 0, k: value });
            }
            Target::At(place) if place + 1 == self.reversed.len() => {}
            Target::At(place) => {
                self.go(place);
            }
        }
    }

    /// A place from which `target` is had, and which a conditional jump can reach.
    fn reach(&mut self, target: Target) -> usize {
        match target {
            Target::Return(value) => {
                let known = self.returns.iter().position(|(known, _)| *known == value);
                if let Some(at) = known
                    && self.is_near(self.returns[at].1)
                {
                    return self.returns[at].1;
                }
                let place = self.reversed.len();
                self.push(Instruction { code: RETURN, jt: 0, jf: 0, k: value });
                match known {
                    Some(at) => self.returns[at].1 = place,
                    None => self.returns.push((value, place)),
                }
                place
            }
            Target::At(place) if self.is_near(place) => place,
            Target::At(place) => self.go(place),
        }
    }

    // A branch reaches two targets one after the other, and each may write one instruction; the
    // first must still be in reach after the second.
    fn is_near(&self, place: usize) -> bool {
        self.reversed.len() - place < 254
    }

    fn short(&self, place: usize) -> u8 {
        u8::try_from(self.reversed.len() - place - 1).expect("`reach` keeps targets near")
    }

    fn go(&mut self, place: usize) -> usize {
        let k = u32::try_from(self.reversed.len() - place - 1).expect("programs are short");
        self.push(Instruction { code: GO, jt: 0, jf: 0, k });
        self.reversed.len() - 1
    }

    fn push(&mut self, instruction: Instruction) -> Target {
        self.reversed.push(instruction);
        Target::At(self.reversed.len() - 1)
    }
}
