//! Flags about what the process finds: variables of the caller's, clock, mask, accounts, kernel.

use super::{Surroundings, limits, pairs, parse, parse_all, refuse};
use crate::manners::Manners;
use dhow_base::Result;
use dhow_engine::options::{AccountOptions, EnvironmentOptions, Mark, SurroundingOptions, Systemd};

/// What the process finds.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Surroundings")]
pub(crate) struct SurroundingFlags {
    /// Pass on all environment variables of this command
    #[arg(long)]
    pub(super) env_host: bool,

    /// Set a variable from what the image says of it, such as PATH=${PATH}:/opt/bin
    #[arg(long, value_name = "NAME=TEXT")]
    pub(super) env_merge: Vec<String>,

    /// Take a variable of the image's away
    #[arg(long, value_name = "NAME")]
    pub(super) unsetenv: Vec<String>,

    /// Take all variables of the image's away
    #[arg(long)]
    pub(super) unsetenv_all: bool,

    /// Pass on the variables for proxies
    #[arg(long, value_name = "BOOL")]
    pub(super) http_proxy: Option<bool>,

    /// Have the clock of this time zone; local is the host's
    #[arg(long, value_name = "ZONE")]
    pub(super) tz: Option<String>,

    /// Take these rights from files that the process makes, in octal
    #[arg(long, value_name = "MASK")]
    pub(super) umask: Option<String>,

    /// Set a parameter of the kernel in the container's namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) sysctl: Vec<String>,

    /// Run in this execution domain: LINUX or LINUX32
    #[arg(long, value_name = "DOMAIN")]
    pub(super) personality: Option<String>,

    /// Keep /run, /tmp and /var/tmp of a read-only root writable
    #[arg(long, value_name = "BOOL")]
    pub(super) read_only_tmpfs: Option<bool>,

    /// Give a user without an account a line in /etc/passwd
    #[arg(long, value_name = "BOOL")]
    pub(super) passwd: Option<bool>,

    /// Give the user this line in /etc/passwd, such as '$USERNAME:x:$UID:$GID::$HOME:/bin/sh'
    #[arg(long, value_name = "LINE")]
    pub(super) passwd_entry: Option<String>,

    /// Give the group this line in /etc/group, such as '$GROUPNAME:x:$GID:$USERLIST'
    #[arg(long, value_name = "LINE")]
    pub(super) group_entry: Option<String>,

    /// Add an account of the host's to /etc/passwd
    #[arg(long, value_name = "USER")]
    pub(super) hostuser: Vec<String>,

    /// Prepare for a systemd: always, false, or true, where the program is one
    #[arg(long, value_name = "WHEN")]
    pub(super) systemd: Option<String>,

    /// Limit each piece of memory that a systemd finds to this size
    #[arg(long, value_name = "SIZE")]
    pub(super) shm_size_systemd: Option<String>,
}

/// Variables for proxies, each also in upper case.
const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

impl SurroundingFlags {
    /// What is put into the environment, or left out of it.
    pub(crate) fn environment(&self, around: Surroundings<'_>) -> Result<EnvironmentOptions> {
        if let Some(text) = self.env_merge.iter().find(|text| !text.contains('=')) {
            return Err(refuse("--env-merge", text, "the text is missing").hint("write NAME=TEXT"));
        }
        let host = if self.env_host { crate::env::all() } else { Vec::new() };
        let proxies = match self.http_proxy {
            Some(true) => proxies(around),
            _ => Vec::new(),
        };
        Ok(EnvironmentOptions {
            host,
            proxies,
            merge: self.env_merge.clone(),
            unset: self.unsetenv.clone(),
            unset_all: self.unsetenv_all,
            ..EnvironmentOptions::default()
        })
    }

    /// What else the process finds.
    pub(crate) fn options(&self, around: Surroundings<'_>) -> Result<SurroundingOptions> {
        Ok(SurroundingOptions {
            sysctls: parse_all(&self.sysctl, sysctl)?,
            personality: self.personality.as_deref().map(personality).transpose()?,
            zone: self.tz.clone(),
            umask: self.umask.as_deref().map(umask).transpose()?,
            read_only_tmpfs: self.read_only_tmpfs,
            accounts: AccountOptions {
                make: self.passwd,
                user_entry: self.passwd_entry.clone(),
                group_entry: self.group_entry.clone(),
                host_users: self.hostuser.clone(),
            },
            systemd: self.systemd(around.manners)?,
            systemd_bytes: parse(self.shm_size_systemd.as_ref(), |text| {
                limits::bytes("--shm-size-systemd", text)
            })?,
            mark: mark(around.manners),
        })
    }
}

impl SurroundingFlags {
    /// docker prepares for no systemd, and has no such flag.
    fn systemd(&self, manners: Manners) -> Result<Systemd> {
        match self.systemd.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None if manners == Manners::Docker => Ok(Systemd::Never),
            None | Some("true") => Ok(Systemd::WhereItRuns),
            Some("always") => Ok(Systemd::Always),
            Some("false") => Ok(Systemd::Never),
            Some(other) => Err(refuse("--systemd", other, "not true, false or always")),
        }
    }
}

/// The file that programs look for to find out whether they are in a container of docker's or podman's.
fn mark(manners: Manners) -> Option<Mark> {
    match manners {
        Manners::Docker => Some(Mark::Docker),
        Manners::Podman => Some(Mark::Podman),
        Manners::Dhow | Manners::Skopeo => None,
    }
}

/// The caller's variables for proxies.
fn proxies(around: Surroundings<'_>) -> Vec<String> {
    let names = PROXIES.iter().flat_map(|name| [(*name).to_owned(), name.to_ascii_uppercase()]);
    names.filter_map(|name| Some(format!("{name}={}", (around.variable)(&name)?))).collect()
}

pub(super) fn sysctl(text: &str) -> Result<(String, String)> {
    if !text.contains('=') {
        return Err(refuse("--sysctl", text, "the value is missing")
            .hint("write NAME=VALUE, such as net.ipv4.ip_forward=1"));
    }
    pairs::parse("--sysctl", text)
}

/// podman takes the names of `personality(2)`, docker has no such flag.
fn personality(text: &str) -> Result<String> {
    let name = text.to_ascii_uppercase();
    match name.strip_prefix("PER_").unwrap_or(&name) {
        name @ ("LINUX" | "LINUX32") => Ok(name.to_owned()),
        _ => Err(refuse("--personality", text, "no such domain").hint("write LINUX or LINUX32")),
    }
}

fn umask(text: &str) -> Result<u32> {
    let refused = || refuse("--umask", text, "not a mask").hint("write four octal digits: 0022");
    let is_octal = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mask = u32::from_str_radix(text, 8).ok().filter(|mask| is_octal && *mask <= 0o777);
    mask.ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::tests::world;

    #[test]
    fn masks_are_octal() {
        let cases = [
            ("0022", Some(0o22)),
            ("77", Some(0o77)),
            ("0", Some(0)),
            ("0888", None),
            ("1777", None),
            ("-1", None),
            ("+7", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(umask(text).ok(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn domains_have_the_names_of_the_specification_or_the_kernel() {
        assert_eq!(personality("per_linux32").unwrap(), "LINUX32");
        assert_eq!(personality("LINUX").unwrap(), "LINUX");
        assert!(personality("BSD").is_err());
    }

    #[test]
    fn parameters_have_a_value_that_may_be_empty() {
        assert!(sysctl("a.b").is_err() && sysctl("=1").is_err());
        assert_eq!(sysctl("a.b=").unwrap(), ("a.b".to_owned(), String::new()));
    }

    #[test]
    fn proxies_are_passed_on_when_asked_for() {
        let variable = |name: &str| (name == "HTTPS_PROXY").then(|| "p".to_owned());
        let around = Surroundings { variable: &variable, ..world() };
        let of = |http_proxy| {
            let flags = SurroundingFlags { http_proxy, ..SurroundingFlags::default() };
            flags.environment(around).unwrap().proxies
        };

        assert_eq!(of(Some(true)), ["HTTPS_PROXY=p"]);
        assert!(of(None).is_empty() && of(Some(false)).is_empty());
    }
}
