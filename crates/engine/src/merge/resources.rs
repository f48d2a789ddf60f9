//! What the container may use: limits of the control group and of processes.

use super::Facts;
use crate::options::{BlockIoOptions, CgroupMaking, CreateOptions, Limits};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{
    BlockIo, Cpu, IntelRdt, Linux, Memory, Pids, Resources, Rlimit, ThrottleDevice, WeightDevice,
};
use rustix::fs::FileType;
use std::path::{Path, PathBuf};

const CPU_PERIOD_US: u64 = 100_000;

/// Sets the control group's limits. Rules for devices are a matter of rights.
pub(super) fn set_resources(
    linux: &mut Linux,
    options: &CreateOptions,
    facts: &Facts<'_>,
) -> Result<()> {
    let resources = linux.resources.get_or_insert_default();
    let devices = std::mem::take(&mut resources.devices);
    *resources = limited(&options.limits, facts.processors)?;
    resources.devices = devices;
    resources.unified = options.cgroup.files.iter().cloned().collect();
    if options.cgroup.making == CgroupMaking::Disabled && *resources != unlimited(resources) {
        return Err(Error::new(Kind::Invalid, "limit resources of a container without a cgroup")
            .hint("leave the limits out, or --cgroups=disabled"));
    }
    if let Some(class) = &options.cgroup.rdt_class {
        linux.intel_rdt = Some(IntelRdt { clos_id: Some(class.clone()), ..IntelRdt::default() });
    }
    Ok(())
}

/// What is left when every limit is taken away.
fn unlimited(resources: &Resources) -> Resources {
    Resources { devices: resources.devices.clone(), ..Resources::default() }
}

/// The limits as a configuration has them, for a new container or as a change to one.
pub(crate) fn limited(limits: &Limits, processors: fn() -> usize) -> Result<Resources> {
    let memory = memory(limits)?;
    let pids = limits.pids.map(|pids| Pids { limit: Some(if pids <= 0 { -1 } else { pids }) });
    Ok(Resources {
        memory: (memory != Memory::default()).then_some(memory),
        cpu: cpu(limits, processors)?,
        pids,
        block_io: block_io(&limits.block_io)?,
        ..Resources::default()
    })
}

/// The limits of a pod's cgroup.
pub(crate) fn pod_resources(limits: &Limits) -> Result<Resources> {
    limited(limits, processors)
}

/// How many processors there are for this process: a look at the files of its cgroup, a dozen calls.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The kernel refuses less than a few pages anyway; docker's bound is kept, and its sentence.
const LEAST_MEMORY_BYTES: u64 = 6 << 20;

fn memory(limits: &Limits) -> Result<Memory> {
    let invalid =
        |why: &str| Err(Error::new(Kind::Invalid, format!("set the memory limit: {why}")));
    if limits.memory_bytes.is_some_and(|bytes| bytes < LEAST_MEMORY_BYTES) {
        return invalid("the least is 6 MiB");
    }
    if let Some(swap) = limits.memory_swap_bytes
        && swap >= 0
    {
        match limits.memory_bytes {
            None => return invalid("--memory-swap needs --memory"),
            Some(memory) if swap.unsigned_abs() < memory => {
                return invalid("--memory-swap counts memory too and must not be below --memory");
            }
            Some(_) => {}
        }
    }
    if let (Some(memory), Some(reservation)) =
        (limits.memory_bytes, limits.memory_reservation_bytes)
        && reservation > memory
    {
        return invalid("--memory-reservation must not be above --memory");
    }
    if limits.memory_swappiness.is_some_and(|percent| percent > 100) {
        return invalid("--memory-swappiness is between 0 and 100");
    }
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    Ok(Memory {
        limit: limits.memory_bytes.map(signed),
        swap: limits.memory_swap_bytes,
        reservation: limits.memory_reservation_bytes.map(signed),
        swappiness: limits.memory_swappiness,
        disable_oom_killer: limits.oom_kill_disable.then_some(true),
        ..Memory::default()
    })
}

fn cpu(limits: &Limits, processors: fn() -> usize) -> Result<Option<Cpu>> {
    check_times(limits)?;
    let (quota, period) = match limits.nano_cpus {
        None => (limits.cpu_quota, limits.cpu_period),
        Some(nano) => (Some(quota_of(nano, processors())?), Some(CPU_PERIOD_US)),
    };
    let cpu = Cpu {
        quota,
        period,
        shares: limits.cpu_shares,
        realtime_runtime: limits.cpu_rt_runtime,
        realtime_period: limits.cpu_rt_period,
        cpus: limits.cpuset_cpus.clone(),
        mems: limits.cpuset_mems.clone(),
        ..Cpu::default()
    };
    Ok((cpu != Cpu::default()).then_some(cpu))
}

/// Docker's bounds, which are the kernel's, and docker's refusal of two words for one thing.
fn check_times(limits: &Limits) -> Result<()> {
    let invalid =
        |why: &str| Err(Error::new(Kind::Invalid, format!("set the processor limit: {why}")));
    if limits.nano_cpus.is_some() && (limits.cpu_quota.is_some() || limits.cpu_period.is_some()) {
        return invalid("--cpus says what --cpu-quota and --cpu-period say; use one of the two");
    }
    if limits.cpu_period.is_some_and(|period| !(1_000..=1_000_000).contains(&period)) {
        return invalid("--cpu-period is between 1000 and 1000000 microseconds");
    }
    if limits.cpu_quota.is_some_and(|quota| quota > 0 && quota < 1_000) {
        return invalid("--cpu-quota is at least 1000 microseconds, or -1");
    }
    if let (Some(runtime), Some(period)) = (limits.cpu_rt_runtime, limits.cpu_rt_period)
        && runtime > 0
        && runtime.unsigned_abs() > period
    {
        return invalid("--cpu-rt-runtime must not be above --cpu-rt-period");
    }
    Ok(())
}

fn quota_of(nano: u64, processors: usize) -> Result<i64> {
    let most = processors as u64 * 1_000_000_000;
    if nano < 10_000_000 || nano > most {
        return Err(Error::new(
            Kind::Invalid,
            format!("set the processor limit: --cpus must be between 0.01 and {processors}"),
        )
        .hint(format!("this machine has {processors} processors")));
    }
    Ok(i64::try_from(nano / (1_000_000_000 / CPU_PERIOD_US)).unwrap_or(i64::MAX))
}

fn block_io(asked: &BlockIoOptions) -> Result<Option<BlockIo>> {
    if asked.is_empty() {
        return Ok(None);
    }
    let weight = |flag: &str, weight: u16| {
        if (10..=1000).contains(&weight) {
            return Ok(weight);
        }
        Err(Error::new(Kind::Invalid, format!("{flag} {weight}: a weight is between 10 and 1000")))
    };
    let mut weight_device = Vec::new();
    for (path, number) in &asked.weight_devices {
        let (major, minor) = numbers("--blkio-weight-device", path)?;
        let number = Some(weight("--blkio-weight-device", *number)?);
        weight_device.push(WeightDevice { major, minor, weight: number, leaf_weight: None });
    }
    let said = asked.weight.filter(|number| *number != 0);
    Ok(Some(BlockIo {
        weight: said.map(|number| weight("--blkio-weight", number)).transpose()?,
        weight_device,
        throttle_read_bps_device: rates("--device-read-bps", &asked.read_bps)?,
        throttle_write_bps_device: rates("--device-write-bps", &asked.write_bps)?,
        throttle_read_iops_device: rates("--device-read-iops", &asked.read_iops)?,
        throttle_write_iops_device: rates("--device-write-iops", &asked.write_iops)?,
        ..BlockIo::default()
    }))
}

fn rates(flag: &str, asked: &[(PathBuf, u64)]) -> Result<Vec<ThrottleDevice>> {
    let rate = |(path, rate): &(PathBuf, u64)| {
        let (major, minor) = numbers(flag, path)?;
        Ok(ThrottleDevice { major, minor, rate: *rate })
    };
    asked.iter().map(rate).collect()
}

/// The numbers of a block device of the host's.
fn numbers(flag: &str, path: &Path) -> Result<(i64, i64)> {
    let doing = || format!("{flag} {}", path.display());
    let status = rustix::fs::stat(path).doing(doing)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::BlockDevice {
        return Err(Error::new(Kind::Invalid, format!("{}: it is not a block device", doing())));
    }
    let number = status.st_rdev;
    Ok((rustix::fs::major(number).into(), rustix::fs::minor(number).into()))
}

/// The limits of the process.
pub(crate) fn rlimits(limits: &Limits) -> Vec<Rlimit> {
    let rlimit = |ulimit: &crate::options::Ulimit| Rlimit {
        kind: format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase()),
        soft: ulimit.soft,
        hard: ulimit.hard,
    };
    limits.ulimits.iter().map(rlimit).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::merged, *};

    #[test]
    fn limits_outside_of_sense_are_refused() {
        let with = |change: fn(&mut Limits)| {
            let mut options = CreateOptions::of("web");
            change(&mut options.limits);
            merged(&options).map(|(spec, _)| spec.linux.unwrap().resources.unwrap())
        };
        assert_eq!(
            with(|l| l.nano_cpus = Some(1_500_000_000)).unwrap().cpu.unwrap().quota,
            Some(150_000)
        );
        assert!(with(|l| l.nano_cpus = Some(3_000_000_000)).is_err());
        assert!(with(|l| l.memory_bytes = Some(4096)).is_err());
        assert!(with(|l| l.memory_swap_bytes = Some(1 << 30)).is_err());
        assert_eq!(with(|l| l.pids = Some(0)).unwrap().pids.unwrap().limit, Some(-1));
    }

    #[test]
    fn times_of_processors_have_dockers_bounds() {
        type Change = fn(&mut Limits);
        let cases: [(Change, bool); 9] = [
            (|l| l.cpu_period = Some(999), false),
            (|l| l.cpu_period = Some(1_000), true),
            (|l| l.cpu_period = Some(1_000_001), false),
            (|l| l.cpu_quota = Some(999), false),
            (|l| l.cpu_quota = Some(-1), true),
            (|l| (l.cpu_quota, l.nano_cpus) = (Some(5_000), Some(1_000_000_000)), false),
            (|l| (l.cpu_rt_runtime, l.cpu_rt_period) = (Some(2), Some(1)), false),
            (|l| l.memory_swappiness = Some(101), false),
            (|l| l.memory_swappiness = Some(0), true),
        ];
        for (index, (change, is_fine)) in cases.into_iter().enumerate() {
            let mut limits = Limits::default();
            change(&mut limits);
            assert_eq!(limited(&limits, || 2).is_ok(), is_fine, "case {index}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_written() {
        assert_eq!(limited(&Limits::default(), || 2).unwrap(), Resources::default());
    }

    #[test]
    fn weights_are_bounded_and_rates_need_a_block_device() {
        let io = |change: fn(&mut BlockIoOptions)| {
            let mut asked = BlockIoOptions::default();
            change(&mut asked);
            block_io(&asked).map_err(|error| error.kind())
        };
        assert_eq!(io(|asked| asked.weight = Some(500)).unwrap().unwrap().weight, Some(500));
        assert_eq!(io(|asked| asked.weight = Some(9)), Err(Kind::Invalid));
        assert_eq!(io(|asked| asked.read_bps = vec![("/dev/null".into(), 1)]), Err(Kind::Invalid));
        assert_eq!(io(|asked| asked.read_bps = vec![("/dev/gone".into(), 1)]), Err(Kind::NotFound));
    }

    #[test]
    fn without_a_cgroup_nothing_is_limited() {
        let mut options = CreateOptions::of("web");
        options.cgroup.making = CgroupMaking::Disabled;
        assert!(merged(&options).is_ok());

        options.limits.pids = Some(5);
        assert_eq!(merged(&options).unwrap_err().kind(), Kind::Invalid);
    }
}
