//! What the container may use: limits of the control group and of processes.

use super::Facts;
use crate::options::Limits;
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{Cpu, Linux, Memory, Pids, Resources, Rlimit};

const CPU_PERIOD_US: u64 = 100_000;

pub(super) fn set_resources(linux: &mut Linux, limits: &Limits, facts: &Facts<'_>) -> Result<()> {
    let resources = linux.resources.get_or_insert_with(Resources::default);
    if limits.memory_bytes.is_some()
        || limits.memory_swap_bytes.is_some()
        || limits.memory_reservation_bytes.is_some()
    {
        resources.memory = Some(memory(limits)?);
    }
    resources.cpu = cpu(limits, facts.processors)?;
    if let Some(pids) = limits.pids {
        resources.pids = Some(Pids { limit: Some(if pids <= 0 { -1 } else { pids }) });
    }
    Ok(())
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
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    Ok(Memory {
        limit: limits.memory_bytes.map(signed),
        swap: limits.memory_swap_bytes,
        reservation: limits.memory_reservation_bytes.map(signed),
        ..Memory::default()
    })
}

fn cpu(limits: &Limits, processors: usize) -> Result<Option<Cpu>> {
    if limits.nano_cpus.is_none()
        && limits.cpu_shares.is_none()
        && limits.cpuset_cpus.is_none()
        && limits.cpuset_mems.is_none()
    {
        return Ok(None);
    }
    let quota = match limits.nano_cpus {
        None => None,
        Some(nano) => {
            let most = processors as u64 * 1_000_000_000;
            if nano < 10_000_000 || nano > most {
                return Err(Error::new(
                    Kind::Invalid,
                    format!(
                        "set the processor limit: --cpus must be between 0.01 and {processors}"
                    ),
                )
                .hint(format!("this machine has {processors} processors")));
            }
            i64::try_from(nano / (1_000_000_000 / CPU_PERIOD_US)).ok()
        }
    };
    Ok(Some(Cpu {
        quota,
        period: quota.map(|_| CPU_PERIOD_US),
        shares: limits.cpu_shares,
        cpus: limits.cpuset_cpus.clone(),
        mems: limits.cpuset_mems.clone(),
        ..Cpu::default()
    }))
}

pub(super) fn rlimits(limits: &Limits) -> Vec<Rlimit> {
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
    use crate::options::CreateOptions;

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
}
