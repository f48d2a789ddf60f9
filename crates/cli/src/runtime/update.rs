//! `update`: change a container's limits, by flags or by a file.

use super::{
    Call, Command, Touches,
    grammar::{Flag, Stop, Words, bad, value},
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Doing, Error, Kind, Result, file, size::parse_bytes};
use dhow_runtime::shelf::Change;
use dhow_spec::runtime::{BlockIo, Cpu, Memory, Pids, Resources};
use rustix::fd::AsFd;
use std::path::Path;

/// The largest file with limits.
const LIMIT_BYTES: u64 = 16 << 20;

pub(super) const COMMAND: Command = Command {
    name: "update",
    about: "Change the limits of a container",
    arguments: "ID",
    count: 1..=1,
    flags: &[&FLAGS],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

const FLAGS: [Flag; 19] = [
    value(
        "resources",
        "r",
        "FILE",
        "Read `linux.resources` from a JSON file, or from - ; no other flag counts then",
    ),
    value("blkio-weight", "", "WEIGHT", "Weight of block device use, 10 to 1000"),
    value("cpu-period", "", "MICROSECONDS", "The period of --cpu-quota"),
    value("cpu-quota", "", "MICROSECONDS", "Processor time a period; -1 is no limit"),
    value("cpu-burst", "", "MICROSECONDS", "Processor time that may be saved up"),
    value("cpu-share", "", "WEIGHT", "Weight of processor use"),
    value("cpu-rt-period", "", "MICROSECONDS", "The period of --cpu-rt-runtime"),
    value("cpu-rt-runtime", "", "MICROSECONDS", "Real-time processor time a period"),
    value("cpuset-cpus", "", "LIST", "The processors to use, such as 0-3,5"),
    value("cpuset-mems", "", "LIST", "The memory nodes to use"),
    value("cpu-idle", "", "0|1", "1: run only when nobody else wants to"),
    value("kernel-memory", "", "BYTES", ""),
    value("kernel-memory-tcp", "", "BYTES", ""),
    value("memory", "", "BYTES", "Memory; -1 is no limit"),
    value("memory-reservation", "", "BYTES", "Memory that stays when others want some"),
    value("memory-swap", "", "BYTES", "Memory and swap together; -1 is no limit"),
    value("pids-limit", "", "NUMBER", "Processes and threads; -1 is no limit"),
    value("l3-cache-schema", "", "SCHEMA", "Intel RDT: the cache"),
    value("mem-bw-schema", "", "SCHEMA", "Intel RDT: the memory bandwidth"),
];

fn act(call: &Call<'_>) -> Result<u8> {
    let id = call.words.id()?;
    let mut resources = match call.words.filled("resources") {
        Some(from) => read(from)?,
        None => of_flags(&call.words)?,
    };
    forget_kernel_memory(&mut resources, call);
    follow(&mut resources);
    let change = Change {
        resources: &resources,
        l3_cache_schema: call.words.filled("l3-cache-schema"),
        mem_bw_schema: call.words.filled("mem-bw-schema"),
    };
    call.shelf.update(id, &change).map(|()| SUCCESS)
}

fn read(from: &str) -> Result<Resources> {
    let doing = || format!("read the limits from {from}");
    let bytes = match from {
        "-" => {
            let input = std::io::stdin().as_fd().try_clone_to_owned().doing(doing)?;
            file::read_fd_limited(input, LIMIT_BYTES)
        }
        path => file::read_limited(Path::new(path), LIMIT_BYTES),
    };
    dhow_spec::runtime::parse(&bytes.doing(doing)?)
        .map_err(|error| Error::new(Kind::Invalid, doing()).because(error))
}

fn of_flags(words: &Words) -> Result<Resources> {
    let text = |flag: &'static str| words.filled(flag).map(str::to_owned);
    let weight = words.number::<u16>("blkio-weight")?.filter(|weight| *weight != 0);
    Ok(Resources {
        memory: Some(Memory {
            limit: bytes(words, "memory")?,
            reservation: bytes(words, "memory-reservation")?,
            swap: bytes(words, "memory-swap")?,
            kernel: bytes(words, "kernel-memory")?,
            kernel_tcp: bytes(words, "kernel-memory-tcp")?,
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: words.number("cpu-share")?,
            quota: words.number("cpu-quota")?,
            burst: words.number("cpu-burst")?,
            period: words.number("cpu-period")?,
            realtime_runtime: words.number("cpu-rt-runtime")?,
            realtime_period: words.number("cpu-rt-period")?,
            cpus: text("cpuset-cpus"),
            mems: text("cpuset-mems"),
            idle: words.number("cpu-idle")?,
        }),
        pids: words.number("pids-limit")?.map(|limit| Pids { limit: Some(limit) }),
        block_io: weight.map(|weight| BlockIo { weight: Some(weight), ..BlockIo::default() }),
        ..Resources::default()
    })
}

/// `512m`, `1.5g`, `-1`.
fn bytes(words: &Words, flag: &'static str) -> Result<Option<i64>> {
    let parse = |text: &str| {
        if text == "-1" {
            return Ok(-1);
        }
        let bytes = parse_bytes(text).map_err(|error| bad(flag, text, &error.one_line()))?;
        i64::try_from(bytes).map_err(|_| bad(flag, text, "too large"))
    };
    words.filled(flag).map(parse).transpose()
}

/// Kernels count the memory that they use for a container as its own, and limit it with the rest.
fn forget_kernel_memory(resources: &mut Resources, call: &Call<'_>) {
    let Some(memory) = &mut resources.memory else { return };
    if memory.kernel.take().or(memory.kernel_tcp.take()).is_some() {
        call.log.warning("Kernel memory settings are ignored and will be removed");
    }
}

/// What one limit means for another that is not named.
fn follow(resources: &mut Resources) {
    if let Some(memory) = &mut resources.memory
        && memory.limit == Some(-1)
        && memory.swap.is_none()
    {
        memory.swap = Some(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::grammar::{self, Read},
        *,
    };

    fn words(typed: &[&str]) -> Words {
        let typed: Vec<String> = typed.iter().map(|&word| word.to_owned()).collect();
        match grammar::read(&[&FLAGS], &typed, Stop::Nowhere).unwrap() {
            Read::Words(words) => words,
            Read::Help => panic!("nobody asked for help"),
        }
    }

    #[test]
    fn sizes_have_units_and_times_have_none() {
        let words = words(&["--memory", "512m", "--memory-swap=-1", "--cpu-quota", "-1", "id"]);

        let resources = of_flags(&words).unwrap();

        let memory = resources.memory.unwrap();
        assert_eq!((memory.limit, memory.swap), (Some(512 << 20), Some(-1)));
        assert_eq!(resources.cpu.unwrap().quota, Some(-1));
        assert_eq!(resources.pids, None);
    }

    #[test]
    fn what_is_no_number_is_named() {
        for (flag, text) in [
            ("cpu-period", "-1"),
            ("cpu-share", "1k"),
            ("memory", "much"),
            ("memory", "9999999999g"),
            ("pids-limit", "x"),
            ("blkio-weight", "70000"),
        ] {
            let error = of_flags(&words(&[&format!("--{flag}={text}")])).unwrap_err();

            assert!(error.one_line().contains(flag), "{}", error.one_line());
        }
    }

    #[test]
    fn no_limit_of_memory_is_none_of_swap() {
        let mut resources = of_flags(&words(&["--memory=-1"])).unwrap();

        follow(&mut resources);

        assert_eq!(resources.memory.unwrap().swap, Some(-1));
    }
}
