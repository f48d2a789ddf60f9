//! What a container must not be able to do, tried.
//!
//! Everything here is harmless where it is allowed, as in a privileged container: files are opened
//! and not written, what is made is thrown away, and nothing is set to what it was not before.

use super::Section;
use rustix::{
    fs::{Access, Mode, OFlags},
    io::Errno,
    mount::FsOpenFlags,
    net::{AddressFamily, SocketType},
};

/// Something to try, in words and in deed.
type Attempt = (&'static str, fn() -> Result);

/// What came of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Result {
    Refused(Errno),
    Hidden,
    Allowed,
}

pub(super) fn section() -> Section {
    let attempts: [Attempt; 8] = [
        ("see the processes of the host", see_processes),
        ("read the kernel's memory", read_kernel_memory),
        ("change a setting of the kernel", change_setting),
        ("change the devices in /sys", change_devices),
        ("mount a filesystem", mount),
        ("load a module into the kernel", load_module),
        ("rename its host", rename_host),
        ("use the kernel's crypto sockets", use_cryptography),
    ];
    let mut lines = vec!["it was tried, just now, to:".to_owned()];
    lines.extend(attempts.map(|(what, attempt)| format!("{what:<33}{}", word(&attempt()))));
    Section { title: "Walls", lines }
}

fn word(result: &Result) -> String {
    match result {
        Result::Refused(errno) => {
            let text = std::io::Error::from(*errno).to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
            format!("refused: {text}")
        }
        Result::Hidden => "hidden: there is nothing to see".to_owned(),
        Result::Allowed => "ALLOWED".to_owned(),
    }
}

fn result<T>(result: rustix::io::Result<T>) -> Result {
    // What was got goes at once.
    result.map_or_else(Result::Refused, |_got| Result::Allowed)
}

/// In a PID namespace of its own, process 1 is the container's and the host's are not there.
fn see_processes() -> Result {
    let Ok(list) = std::fs::read_dir("/proc") else { return Result::Hidden };
    let own = std::process::id();
    let names = list.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let others = names.filter_map(|name| name.parse::<u32>().ok()).filter(|pid| *pid != own);
    if others.count() == 0 { Result::Hidden } else { Result::Allowed }
}

fn read_kernel_memory() -> Result {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::open("/proc/kcore", flags, Mode::empty()) {
        Ok(file) => match rustix::io::read(&file, [0_u8; 16].as_mut_slice()) {
            // It is covered by /dev/null.
            Ok(0) => Result::Hidden,
            read => result(read),
        },
        Err(Errno::NOENT) => Result::Hidden,
        Err(errno) => Result::Refused(errno),
    }
}

fn change_setting() -> Result {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    result(rustix::fs::open("/proc/sys/kernel/core_pattern", flags, Mode::empty()))
}

fn change_devices() -> Result {
    result(rustix::fs::access("/sys/devices", Access::WRITE_OK))
}

/// The first step of a mount, which makes a filesystem that nobody sees.
fn mount() -> Result {
    result(rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC))
}

/// Nothing at all is no module, so even who may load one loads none.
fn load_module() -> Result {
    match rustix::system::init_module(&[], c"") {
        Err(Errno::NOEXEC | Errno::INVAL | Errno::FAULT) => Result::Allowed,
        other => result(other),
    }
}

fn rename_host() -> Result {
    result(rustix::system::sethostname(rustix::system::uname().nodename().to_bytes()))
}

/// `AF_ALG` wrote into the page cache of others in 2026 (CVE-2026-31431); containers do without.
fn use_cryptography() -> Result {
    const ALG: u16 = 38;
    result(rustix::net::socket(AddressFamily::from_raw(ALG), SocketType::SEQPACKET, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_read_as_sentences() {
        assert_eq!(word(&Result::Refused(Errno::PERM)), "refused: operation not permitted");
        assert_eq!(word(&Result::Allowed), "ALLOWED");
    }

    #[test]
    fn trying_does_no_harm() {
        let before = rustix::system::uname().nodename().to_owned();

        let section = section();

        assert_eq!(section.lines.len(), 9);
        assert_eq!(rustix::system::uname().nodename(), before.as_c_str());
    }
}
