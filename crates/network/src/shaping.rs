//! Limits of bandwidth: what `tc` does, as messages (`rtnetlink.h`, `pkt_sched.h`, `pkt_cls.h`).

use dhow_sys::netlink::{Netlink, Request, attributes, number_at};
use std::io;

const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;

const TBF_PARAMETERS: u16 = 1;
const TBF_RATE64: u16 = 4;
const TBF_BURST: u16 = 6;

const U32_CLASS: u16 = 1;
const U32_SELECTION: u16 = 5;
const U32_ACTIONS: u16 = 7;
const MIRROR_PARAMETERS: u16 = 2;

/// Where a queue hangs: where packets leave, and where they come in.
const ROOT: u32 = 0xffff_ffff;
const INGRESS: u32 = 0xffff_fff1;
/// The queue's own number: `1:` and `ffff:`.
const FIRST: u32 = 0x0001_0000;
const LAST: u32 = 0xffff_0000;

/// Packets wait at most that long for their turn.
const LATENCY_MS: u64 = 25;

/// The kernel's clock of queues: so many nanoseconds are a tick (`/proc/net/psched`).
const TICK_NS: u64 = 64;

/// `ETH_P_ALL` in the order of the net.
const ALL_PROTOCOLS: u32 = 0x0300;

const CREATE: libc::c_int = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;

/// A rate, and how much may go at once after a rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bucket {
    /// Bytes a second.
    pub(crate) rate: u64,
    /// Bytes.
    pub(crate) burst: u32,
}

impl Bucket {
    /// From bits a second alone: an eighth of a second's worth may go at once, and no less than a few
    /// large packets, since one that is larger than the burst would never go.
    pub(crate) fn usual(rate: u64) -> Option<Self> {
        Self::of_bits(rate, (rate / 8).max(8 * 65536))
    }

    /// From bits a second, and bits; none where there is no limit.
    pub(crate) fn of_bits(rate: u64, burst: u64) -> Option<Self> {
        let burst = u32::try_from(burst / 8).unwrap_or(u32::MAX);
        (rate >= 8).then_some(Self { rate: rate / 8, burst })
    }
}

/// `struct tcmsg`.
fn head(index: i32, own: u32, parent: u32, info: u32) -> Vec<u8> {
    let mut head = vec![0; 4];
    head.extend(index.to_ne_bytes());
    for number in [own, parent, info] {
        head.extend(number.to_ne_bytes());
    }
    head
}

/// Limits what leaves by a device.
pub(crate) fn limit(index: i32, bucket: Bucket) -> Request {
    let Bucket { rate, burst } = bucket;
    let small = u32::try_from(rate).unwrap_or(u32::MAX);
    let waiting = rate.saturating_mul(LATENCY_MS) / 1000;
    let limit = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(burst);
    // The time in which the burst would go at the rate.
    let nanoseconds = u128::from(burst) * 1_000_000_000 / u128::from(rate.max(1));
    let buffer = u32::try_from(nanoseconds / u128::from(TICK_NS)).unwrap_or(u32::MAX);
    // `struct tc_tbf_qopt`: two of `struct tc_ratespec`, and three numbers.
    let mut parameters = vec![0; 8];
    // Ethernet (`TC_LINKLAYER_ETHERNET`): no table of rates is needed.
    parameters[1] = 1;
    parameters.extend(small.to_ne_bytes());
    parameters.extend([0; 12]);
    for number in [limit, buffer, 0] {
        parameters.extend(number.to_ne_bytes());
    }
    let mut request = Request::new(RTM_NEWQDISC, CREATE, &head(index, FIRST, ROOT, 0));
    request.text(TCA_KIND, "tbf").expect("it has no zero byte");
    request.nest(TCA_OPTIONS, |options| {
        options.attribute(TBF_PARAMETERS, &parameters);
        options.attribute(TBF_BURST, &burst.to_ne_bytes());
        if u64::from(small) != rate {
            options.attribute(TBF_RATE64, &rate.to_ne_bytes());
        }
    });
    request
}

/// A place for filters where packets come in by a device.
pub(crate) fn ingress(index: i32) -> Request {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut request = Request::new(RTM_NEWQDISC, flags, &head(index, LAST, INGRESS, 0));
    request.text(TCA_KIND, "ingress").expect("it has no zero byte");
    request
}

/// Has all that comes in by a device leave by another one.
pub(crate) fn redirect(from: i32, to: i32) -> Request {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    // The priority of the filter is in the upper half.
    let info = (1 << 16) | ALL_PROTOCOLS;
    let mut request = Request::new(RTM_NEWTFILTER, flags, &head(from, 0, LAST, info));
    request.text(TCA_KIND, "u32").expect("it has no zero byte");
    // `struct tc_u32_sel` with one key that fits everything; it ends there (`TC_U32_TERMINAL`).
    let mut selection = vec![1, 0, 1, 0];
    selection.extend([0; 12 + 16]);
    // `struct tc_mirred`: no number of its own, stolen (`TC_ACT_STOLEN`), out of the other device
    // (`TCA_EGRESS_REDIR`).
    let mut mirror = Vec::new();
    for number in [0_u32, 0, 4, 0, 0, 1] {
        mirror.extend(number.to_ne_bytes());
    }
    mirror.extend(to.to_ne_bytes());
    request.nest(TCA_OPTIONS, |options| {
        options.attribute(U32_CLASS, &(FIRST | 1).to_ne_bytes());
        options.attribute(U32_SELECTION, &selection);
        options.nest(U32_ACTIONS, |actions| {
            actions.nest(1, |action| {
                action.text(TCA_KIND, "mirred").expect("it has no zero byte");
                action.nest(TCA_OPTIONS, |options| {
                    options.attribute(MIRROR_PARAMETERS, &mirror);
                });
            });
        });
    });
    request
}

/// The bytes a second that may leave by a device, where they are limited.
pub(crate) fn limit_of(netlink: &Netlink, index: i32) -> io::Result<Option<u64>> {
    let request = Request::unanswered(RTM_GETQDISC, libc::NLM_F_DUMP, &head(index, 0, 0, 0));
    for answer in netlink.ask(request)? {
        if number_at(&answer.body, 4) != Some(index.unsigned_abs()) {
            continue;
        }
        let all = answer.body.get(20..).and_then(attributes).unwrap_or_default();
        let value = |kind| all.iter().find(|one| one.0 == kind).map(|one| one.1);
        if value(TCA_KIND) != Some(b"tbf\0") {
            continue;
        }
        let inner = value(TCA_OPTIONS).and_then(attributes).unwrap_or_default();
        let of = |kind| inner.iter().find(|one| one.0 == kind).map(|one| one.1);
        let large =
            of(TBF_RATE64).and_then(|bytes| Some(u64::from_ne_bytes(bytes.try_into().ok()?)));
        let small = of(TBF_PARAMETERS).and_then(|bytes| number_at(bytes, 8)).map(u64::from);
        return Ok(large.or(small));
    }
    Ok(None)
}
