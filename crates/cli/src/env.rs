//! The environment, read in this one file and passed down as values.
//!
//! | variable | what it says |
//! |---|---|
//! | `DHOW_ROOT`, `DHOW_RUNROOT` | where things are kept, as `--root` and `--runroot` |
//! | `DHOW_STORAGE_DRIVER` | how snapshots are kept, as `--storage-driver` |
//! | `DHOW_DISCARD_LAYERS` | whether layers' blobs go once they are unpacked, as `--discard-layers` |
//! | `DHOW_LIMITS` | what images may ask for, as `--limit`, with commas |
//! | `HOME` and `XDG_…` | the same for users who are not root, and where their settings are |
//! | `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, also in lower case | the way to registries |
//! | `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG` | where credentials are |
//! | `CONTAINERS_REGISTRIES_CONF` | where registries.conf is |
//! | `CONTAINERS_CONF`, `CONTAINERS_CONF_OVERRIDE` | where containers.conf is, and one more after it |
//! | `SOURCE_DATE_EPOCH` | the time of what is made, for images that are the same each time |
//! | `SSL_CERT_FILE` | which certificates are trusted |
//! | `DBUS_SESSION_BUS_ADDRESS` | where the user's systemd is reached |
//! | `TMPDIR` | where conversions of images are spooled |
//! | `NO_COLOR`, `TERM`, `COLUMNS` | what the terminal can show |
//! | `QUADLET_UNIT_DIRS` | where quadlet files are, with colons |
//! | `NOTIFY_SOCKET`, `LISTEN_FDS`, `LISTEN_PID` | what a service manager has for a container |
//! | `DHOW_USER_NAMESPACE` | in `dhow unshare`: whose namespace it is |
//! | `CNI_COMMAND` and other `CNI_…` | what a CNI plugin is asked to do |
//!
//! `-e NAME` and `--env-file` may name any variable; they ask [`variable`].

use std::{ffi::OsString, path::PathBuf};

/// Tells programs of `dhow unshare` whose user namespace they are in.
pub(crate) const USER_NAMESPACE: &str = "DHOW_USER_NAMESPACE";

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) root: Option<PathBuf>,
    pub(crate) runroot: Option<PathBuf>,
    pub(crate) storage_driver: Option<String>,
    pub(crate) discard_layers: Option<String>,
    pub(crate) limits: Option<String>,
    pub(crate) home: Option<PathBuf>,
    pub(crate) data_home: Option<PathBuf>,
    pub(crate) runtime_dir: Option<PathBuf>,
    pub(crate) config_home: Option<PathBuf>,
    pub(crate) cache_home: Option<PathBuf>,
    pub(crate) http_proxy: Option<String>,
    pub(crate) https_proxy: Option<String>,
    pub(crate) no_proxy: Option<String>,
    pub(crate) auth_file: Option<PathBuf>,
    pub(crate) docker_config: Option<PathBuf>,
    pub(crate) registries_conf: Option<PathBuf>,
    pub(crate) quadlet_directories: Option<String>,
    pub(crate) containers_conf: Option<PathBuf>,
    pub(crate) containers_conf_override: Option<PathBuf>,
    pub(crate) certificates: Option<PathBuf>,
    pub(crate) tmpdir: Option<PathBuf>,
    pub(crate) session_bus: Option<String>,
    pub(crate) no_color: bool,
    pub(crate) term: Option<String>,
    pub(crate) columns: Option<usize>,
    pub(crate) notify_socket: Option<PathBuf>,
    /// Whose user namespace this is, in a shell of `dhow unshare`.
    pub(crate) user_namespace: Option<u32>,
    /// How many sockets are open from 3 on, and for which process.
    pub(crate) listening: Option<(u32, u32)>,
}

impl Environment {
    /// Reads it. Empty variables count as missing, which is how they are usually taken back.
    pub(crate) fn read() -> Self {
        let path = |name| raw(name).map(PathBuf::from);
        // A web server once let strangers set HTTP_PROXY in upper case; curl therefore reads it in
        // lower case only. dhow is no CGI program, and users expect both.
        let either = |lower, upper| text(lower).or_else(|| text(upper));
        Self {
            root: path("DHOW_ROOT"),
            runroot: path("DHOW_RUNROOT"),
            storage_driver: text("DHOW_STORAGE_DRIVER"),
            discard_layers: text("DHOW_DISCARD_LAYERS"),
            limits: text("DHOW_LIMITS"),
            home: path("HOME"),
            data_home: path("XDG_DATA_HOME"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            config_home: path("XDG_CONFIG_HOME"),
            cache_home: path("XDG_CACHE_HOME"),
            http_proxy: either("http_proxy", "HTTP_PROXY"),
            https_proxy: either("https_proxy", "HTTPS_PROXY"),
            no_proxy: either("no_proxy", "NO_PROXY"),
            auth_file: path("REGISTRY_AUTH_FILE"),
            docker_config: path("DOCKER_CONFIG"),
            registries_conf: path("CONTAINERS_REGISTRIES_CONF"),
            quadlet_directories: text("QUADLET_UNIT_DIRS"),
            containers_conf: path("CONTAINERS_CONF"),
            containers_conf_override: path("CONTAINERS_CONF_OVERRIDE"),
            certificates: path("SSL_CERT_FILE"),
            tmpdir: path("TMPDIR"),
            session_bus: text("DBUS_SESSION_BUS_ADDRESS"),
            no_color: raw("NO_COLOR").is_some(),
            term: text("TERM"),
            columns: text("COLUMNS").and_then(|columns| columns.parse().ok()),
            notify_socket: path("NOTIFY_SOCKET"),
            user_namespace: number(USER_NAMESPACE),
            listening: number("LISTEN_FDS").zip(number("LISTEN_PID")),
        }
    }

    /// How many sockets a service manager has opened for this process, from 3 on. Those of another
    /// process's are an inheritance that nobody meant.
    pub(crate) fn listen_fds(&self, own: impl FnOnce() -> u32) -> u32 {
        self.listening.filter(|(_, pid)| *pid == own()).map_or(0, |(count, _)| count)
    }
}

/// The value of a variable that the user named; `None` where it is not set or is not UTF-8.
pub(crate) fn variable(name: &str) -> Option<String> {
    // `var_os` panics on names that cannot be variables.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    any(name)?.into_string().ok()
}

/// All variables that are text, as `NAME=value`, for who asks for all of them.
pub(crate) fn all() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            Some(format!("{}={}", name.into_string().ok()?, value.into_string().ok()?))
        })
        .collect()
}

/// Whether this process was started as a plugin.
pub(crate) fn calls_plugin() -> bool {
    raw("CNI_COMMAND").is_some()
}

/// What a plugin is told: the variables that are its.
pub(crate) fn of_plugins() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("CNI_"))
        .collect()
}

fn number(name: &str) -> Option<u32> {
    text(name)?.parse().ok()
}

fn text(name: &str) -> Option<String> {
    raw(name)?.into_string().ok()
}

fn raw(name: &str) -> Option<OsString> {
    any(name).filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "this is the one file that reads the environment")]
fn any(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_another_process_are_not_ours() {
        let environment = Environment { listening: Some((2, 7)), ..Environment::default() };

        assert_eq!((environment.listen_fds(|| 7), environment.listen_fds(|| 8)), (2, 0));
    }

    #[test]
    fn names_that_cannot_be_variables_have_no_value() {
        for name in ["", "A=B", "A\0", "DHOW_SURELY_UNSET"] {
            assert_eq!(variable(name), None, "{name:?}");
        }
        assert!(variable("PATH").is_some());
    }
}
