//! docker's and containers' `seccomp.json`: a profile with conditions.
//!
//! It is the specification's profile, with an `archMap` instead of `architectures`, and with rules
//! that hold only for some architectures, capabilities or kernels (`includes`, `excludes`). Here
//! the conditions are resolved for one container. A rule with a field that is not known is refused
//! rather than taken without it: the field might have been what limits the rule.

use crate::Arch;
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{Action, Arg, Operator, Seccomp, Syscalls};
use serde::Deserialize;
use std::{path::PathBuf, str::FromStr};

/// docker's own profile has 13 KiB.
const LARGEST_BYTES: usize = 1 << 20;

/// A kernel's version, for rules that need a newest one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Kernel {
    /// Before the first dot.
    pub major: u32,
    /// After the first dot.
    pub minor: u32,
}

impl FromStr for Kernel {
    type Err = Error;

    /// Reads `4.8`, or a release as `uname` tells it: `6.18.44-cloud`.
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '.').map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part[..digits].parse().ok()
        });
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(Error::new(Kind::Invalid, format!("read kernel version {text:?}"))
                .hint("a version has two numbers, such as 4.8")),
        }
    }
}

/// Reads a profile and resolves its conditions for one container: its capabilities
/// (`CAP_SYS_ADMIN`, as in `process.capabilities.bounding`) and the machine it runs on.
pub fn parse<S: AsRef<str>>(
    bytes: &[u8],
    capabilities: &[S],
    arch: Arch,
    kernel: Kernel,
) -> Result<Seccomp> {
    let invalid = |why: String| Error::new(Kind::Invalid, format!("read seccomp profile: {why}"));
    if bytes.len() > LARGEST_BYTES {
        return Err(invalid(format!("{} bytes, more than {LARGEST_BYTES}", bytes.len())));
    }
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
    let held: Vec<&str> = capabilities.iter().map(AsRef::as_ref).collect();
    let container = Container { held: &held, arch, kernel };
    let architectures = document.architectures(arch).map_err(|why| invalid(why.to_owned()))?;
    let default_errno_ret = errno(document.default_errno_ret, document.default_errno.as_deref())
        .map_err(|why| invalid(format!("the default action: {why}")))?;
    let mut syscalls = Vec::with_capacity(document.syscalls.len());
    for (index, rule) in document.syscalls.into_iter().enumerate() {
        let kept = rule.resolve(&container);
        syscalls.extend(kept.map_err(|why| invalid(format!("syscalls[{index}]: {why}")))?);
    }
    Ok(Seccomp {
        default_action: document.default_action,
        default_errno_ret,
        architectures,
        flags: document.flags,
        listener_path: document.listener_path,
        listener_metadata: document.listener_metadata,
        syscalls,
    })
}

/// For whom conditions are resolved.
struct Container<'a> {
    held: &'a [&'a str],
    arch: Arch,
    kernel: Kernel,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: Action,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default)]
    default_errno: Option<String>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    listener_path: Option<PathBuf>,
    #[serde(default)]
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

impl Document {
    fn architectures(&self, native: Arch) -> std::result::Result<Vec<String>, &'static str> {
        let listed = self.architectures.clone().unwrap_or_default();
        let map = self.arch_map.as_deref().unwrap_or_default();
        if !listed.is_empty() && !map.is_empty() {
            return Err("it has both architectures and archMap");
        }
        let entry = map.iter().find(|entry| entry.architecture == native.profile_name());
        Ok(entry.map_or(listed, |entry| {
            let also = entry.sub_architectures.iter().flatten();
            std::iter::once(&entry.architecture).chain(also).cloned().collect()
        }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchMap {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: Action,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default)]
    errno: Option<String>,
    #[serde(default)]
    args: Option<Vec<RuleArg>>,
    #[serde(default)]
    includes: Option<Condition>,
    #[serde(default)]
    excludes: Option<Condition>,
    #[serde(default, rename = "comment")]
    _comment: Option<String>,
}

impl Rule {
    /// The rule without conditions, where they hold.
    fn resolve(self, container: &Container<'_>) -> std::result::Result<Option<Syscalls>, String> {
        let includes = self.includes.unwrap_or_default();
        let excludes = self.excludes.unwrap_or_default();
        if !includes.all(container)? || excludes.any(container)? {
            return Ok(None);
        }
        let mut names = self.names.unwrap_or_default();
        match self.name {
            Some(_) if !names.is_empty() => return Err("it has both name and names".to_owned()),
            Some(name) => names.push(name),
            None => {}
        }
        let args = self.args.unwrap_or_default().into_iter().map(RuleArg::resolve).collect();
        let errno_ret = errno(self.errno_ret, self.errno.as_deref())?;
        Ok(Some(Syscalls { names, action: self.action, errno_ret, args }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleArg {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: Operator,
}

impl RuleArg {
    fn resolve(self) -> Arg {
        Arg { index: self.index, value: self.value, value_two: self.value_two, op: self.op }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

impl Condition {
    /// As `includes`: the architecture is listed, every capability is held, the kernel is not
    /// older. What is not named holds.
    fn all(&self, container: &Container<'_>) -> std::result::Result<bool, String> {
        let arches = self.arches.as_deref().unwrap_or_default();
        let caps = self.caps.as_deref().unwrap_or_default();
        Ok((arches.is_empty() || self.names(container.arch))
            && caps.iter().all(|cap| container.held.contains(&cap.as_str()))
            && self.is_new_enough(container.kernel)?.unwrap_or(true))
    }

    /// As `excludes`: any of it keeps the rule out. What is not named does not.
    fn any(&self, container: &Container<'_>) -> std::result::Result<bool, String> {
        let caps = self.caps.as_deref().unwrap_or_default();
        Ok(self.names(container.arch)
            || caps.iter().any(|cap| container.held.contains(&cap.as_str()))
            || self.is_new_enough(container.kernel)?.unwrap_or(false))
    }

    fn names(&self, arch: Arch) -> bool {
        self.arches.iter().flatten().any(|name| name == arch.go_name())
    }

    fn is_new_enough(&self, kernel: Kernel) -> std::result::Result<Option<bool>, String> {
        let Some(text) = self.min_kernel.as_deref() else { return Ok(None) };
        let oldest: Kernel = text.parse().map_err(|error: Error| error.to_string())?;
        Ok(Some(kernel >= oldest))
    }
}

/// containers' profiles give the errno by number and by name; docker's by number.
fn errno(number: Option<u32>, name: Option<&str>) -> std::result::Result<Option<u32>, String> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(number) };
    let named = ERRNOS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    match (number, named) {
        (_, None) => Err(format!("errno {name:?} is not known")),
        (Some(number), Some(named)) if number != named => {
            Err(format!("errnoRet {number} is not {name}, which is {named}"))
        }
        (_, named) => Ok(named),
    }
}

/// `asm-generic/errno.h`, which all supported architectures share.
#[rustfmt::skip]
static ERRNOS: [(&str, u32); 133] = [
    ("EPERM", 1), ("ENOENT", 2), ("ESRCH", 3), ("EINTR", 4), ("EIO", 5), ("ENXIO", 6), ("E2BIG", 7),
    ("ENOEXEC", 8), ("EBADF", 9), ("ECHILD", 10), ("EAGAIN", 11), ("EWOULDBLOCK", 11),
    ("ENOMEM", 12), ("EACCES", 13), ("EFAULT", 14), ("ENOTBLK", 15), ("EBUSY", 16), ("EEXIST", 17),
    ("EXDEV", 18), ("ENODEV", 19), ("ENOTDIR", 20), ("EISDIR", 21), ("EINVAL", 22), ("ENFILE", 23),
    ("EMFILE", 24), ("ENOTTY", 25), ("ETXTBSY", 26), ("EFBIG", 27), ("ENOSPC", 28), ("ESPIPE", 29),
    ("EROFS", 30), ("EMLINK", 31), ("EPIPE", 32), ("EDOM", 33), ("ERANGE", 34), ("EDEADLK", 35),
    ("EDEADLOCK", 35), ("ENAMETOOLONG", 36), ("ENOLCK", 37), ("ENOSYS", 38), ("ENOTEMPTY", 39),
    ("ELOOP", 40), ("ENOMSG", 42), ("EIDRM", 43), ("ECHRNG", 44), ("EL2NSYNC", 45), ("EL3HLT", 46),
    ("EL3RST", 47), ("ELNRNG", 48), ("EUNATCH", 49), ("ENOCSI", 50), ("EL2HLT", 51), ("EBADE", 52),
    ("EBADR", 53), ("EXFULL", 54), ("ENOANO", 55), ("EBADRQC", 56), ("EBADSLT", 57), ("EBFONT", 59),
    ("ENOSTR", 60), ("ENODATA", 61), ("ETIME", 62), ("ENOSR", 63), ("ENONET", 64), ("ENOPKG", 65),
    ("EREMOTE", 66), ("ENOLINK", 67), ("EADV", 68), ("ESRMNT", 69), ("ECOMM", 70), ("EPROTO", 71),
    ("EMULTIHOP", 72), ("EDOTDOT", 73), ("EBADMSG", 74), ("EOVERFLOW", 75), ("ENOTUNIQ", 76),
    ("EBADFD", 77), ("EREMCHG", 78), ("ELIBACC", 79), ("ELIBBAD", 80), ("ELIBSCN", 81),
    ("ELIBMAX", 82), ("ELIBEXEC", 83), ("EILSEQ", 84), ("ERESTART", 85), ("ESTRPIPE", 86),
    ("EUSERS", 87), ("ENOTSOCK", 88), ("EDESTADDRREQ", 89), ("EMSGSIZE", 90), ("EPROTOTYPE", 91),
    ("ENOPROTOOPT", 92), ("EPROTONOSUPPORT", 93), ("ESOCKTNOSUPPORT", 94), ("ENOTSUP", 95),
    ("EOPNOTSUPP", 95), ("EPFNOSUPPORT", 96), ("EAFNOSUPPORT", 97), ("EADDRINUSE", 98),
    ("EADDRNOTAVAIL", 99), ("ENETDOWN", 100), ("ENETUNREACH", 101), ("ENETRESET", 102),
    ("ECONNABORTED", 103), ("ECONNRESET", 104), ("ENOBUFS", 105), ("EISCONN", 106),
    ("ENOTCONN", 107), ("ESHUTDOWN", 108), ("ETOOMANYREFS", 109), ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111), ("EHOSTDOWN", 112), ("EHOSTUNREACH", 113), ("EALREADY", 114),
    ("EINPROGRESS", 115), ("ESTALE", 116), ("EUCLEAN", 117), ("ENOTNAM", 118), ("ENAVAIL", 119),
    ("EISNAM", 120), ("EREMOTEIO", 121), ("EDQUOT", 122), ("ENOMEDIUM", 123), ("EMEDIUMTYPE", 124),
    ("ECANCELED", 125), ("ENOKEY", 126), ("EKEYEXPIRED", 127), ("EKEYREVOKED", 128),
    ("EKEYREJECTED", 129), ("EOWNERDEAD", 130), ("ENOTRECOVERABLE", 131), ("ERFKILL", 132),
];
