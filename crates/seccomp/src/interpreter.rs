//! Runs filters in tests, as strictly as the kernel's checker is.

use crate::Instruction;

/// `struct seccomp_data`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Data {
    pub(crate) number: u32,
    pub(crate) arch: u32,
    pub(crate) args: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            16..=60 if offset.is_multiple_of(4) => {
                let arg = self.args[(offset as usize - 16) / 8];
                let half = if offset.is_multiple_of(8) { arg & 0xffff_ffff } else { arg >> 32 };
                u32::try_from(half).unwrap()
            }
            _ => panic!("load from offset {offset}"),
        }
    }
}

/// What the filter returns, and how many instructions that took.
pub(crate) fn run(program: &[Instruction], data: &Data) -> (u32, usize) {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        steps += 1;
        at += 1;
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        match code {
            0x20 => accumulator = data.word(k),
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x45 => at += jump(accumulator & k != 0),
            0x06 => return (k, steps),
            _ => panic!("instruction {code:#x}"),
        }
    }
}
