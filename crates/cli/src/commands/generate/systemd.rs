//! `generate systemd`: units for systemd, of all containers or of one.

use crate::{exit::SUCCESS, flags::refuse, invocation::Invocation, tree::Act};
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use serde_json::{Value, json};
use std::fmt::Write;

/// Print units for systemd
///
/// Without a name, the unit that starts what should run after a boot (`dhow system boot`): with it,
/// restart policies hold across boots. With a name, a unit of that container alone.
#[derive(clap::Args, Debug)]
pub(crate) struct Systemd {
    /// The container, by name or id
    container: Option<String>,

    /// Write the unit to a file here, and print the file's name
    #[arg(short, long)]
    files: bool,

    /// Use the container's name and not its id
    #[arg(short, long)]
    name: bool,

    /// Refused: a quadlet file says how a container is made anew
    #[arg(long, hide = true)]
    new: bool,

    /// Let systemd start the container again: no, on-success, on-failure, on-abnormal, on-watchdog,
    /// on-abort or always
    #[arg(long, value_name = "POLICY", default_value = "on-failure")]
    restart_policy: String,

    /// Wait so many seconds before a restart
    #[arg(long, value_name = "SECONDS")]
    restart_sec: Option<u32>,

    /// Give the program so many seconds to stop
    #[arg(short = 't', long, visible_alias = "time", value_name = "SECONDS")]
    stop_timeout: Option<u32>,

    /// Leave out the comment at the top
    #[arg(long)]
    no_header: bool,

    /// Begin the unit's name with this
    #[arg(long, value_name = "PREFIX", default_value = "container")]
    container_prefix: String,

    /// Put this between prefix and name
    #[arg(long, value_name = "SEPARATOR", default_value = "-")]
    separator: String,

    /// Start after this unit
    #[arg(long, value_name = "UNIT")]
    after: Vec<String>,

    /// Need this unit
    #[arg(long, value_name = "UNIT")]
    requires: Vec<String>,

    /// Want this unit
    #[arg(long, value_name = "UNIT")]
    wants: Vec<String>,

    /// Set an environment variable of the unit
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// Print as json: an object with a unit a name
    #[arg(long, value_name = "FORMAT", value_parser = ["json"])]
    format: Option<String>,
}

const POLICIES: [&str; 7] =
    ["no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"];

/// What systemd waits beyond the time that the program is given.
const GRACE_SECONDS: u64 = 60;

impl Act for Systemd {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        if self.new {
            return Err(Error::new(Kind::Unsupported, "--new: no unit makes a container anew")
                .hint("write a quadlet file, of which `dhow system quadlet` makes units"));
        }
        if !POLICIES.contains(&self.restart_policy.as_str()) {
            return Err(refuse("--restart-policy", &self.restart_policy, "no such policy")
                .hint(format!("there are {}", POLICIES.join(", "))));
        }
        let command = own_command(invocation)?;
        let (name, unit) = match &self.container {
            None => ("dhow-boot".to_owned(), self.boot_unit(&command)),
            Some(container) => {
                let document = invocation.engine()?.inspect(container)?;
                self.container_unit(&command, &document)
            }
        };
        let file = format!("{name}.service");
        if self.files {
            let path = invocation.directory.join(&file);
            file::write_atomically(&path, unit.as_bytes(), 0o644, Durability::Cached)
                .doing(|| format!("write {}", path.display()))?;
            invocation.console.line(&path.to_string_lossy())?;
        } else if self.format.is_some() {
            invocation.console.line(&json!({ name: unit }).to_string())?;
        } else {
            invocation.console.print(unit)?;
        }
        Ok(SUCCESS)
    }
}

/// Our own command line, with the places that this run uses where they are not the usual ones.
pub(in crate::commands) fn own_command(invocation: &Invocation) -> Result<String> {
    let program = std::fs::read_link("/proc/self/exe").doing(|| "find our own binary")?;
    let mut command = quoted(&program.to_string_lossy());
    let globals = &invocation.globals;
    for (flag, path) in [("--root", &globals.root), ("--runroot", &globals.runroot)] {
        if let Some(path) = path {
            let path = quoted(&invocation.directory.join(path).to_string_lossy());
            let _written = write!(command, " {flag} {path}");
        }
    }
    Ok(command)
}

/// A word of a unit's command line: systemd splits at spaces and fills in what follows `%` and `$`.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@+,=".contains(letter);
    let word = word.replace('%', "%%").replace('$', "$$");
    if !word.is_empty() && word.chars().all(|letter| plain(letter) || matches!(letter, '%' | '$')) {
        return word;
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Systemd {
    fn boot_unit(&self, command: &str) -> String {
        let mut unit = self.header("dhow-boot.service");
        self.write_unit_section(
            &mut unit,
            "dhow: start the containers that should run",
            &["local-fs.target", "network-online.target"],
        );
        unit.push_str("\n[Service]\nType=oneshot\nRemainAfterExit=yes\n");
        self.write_environment(&mut unit);
        // The monitors that it starts stay when it has ended.
        let _written = writeln!(unit, "ExecStart={command} system boot\nKillMode=process");
        unit.push_str("\n[Install]\nWantedBy=multi-user.target default.target\n");
        unit
    }

    fn container_unit(&self, command: &str, document: &Value) -> (String, String) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let called = match self.name {
            true => text(&document["Name"]).trim_start_matches('/').to_owned(),
            false => text(&document["Id"]),
        };
        let name = match self.container_prefix.is_empty() {
            true => called.clone(),
            false => format!("{}{}{called}", self.container_prefix, self.separator),
        };
        let usual = document["Config"]["StopTimeout"].as_u64().unwrap_or(10);
        let timeout = self.stop_timeout.map_or(usual, u64::from);
        let mut unit = self.header(&format!("{name}.service"));
        self.write_unit_section(
            &mut unit,
            &format!("dhow {name}.service"),
            &["network-online.target"],
        );
        unit.push_str("\n[Service]\n");
        self.write_environment(&mut unit);
        let _written = writeln!(unit, "Restart={}", self.restart_policy);
        if let Some(seconds) = self.restart_sec {
            let _written = writeln!(unit, "RestartSec={seconds}");
        }
        // The command stays with the container, so the unit ends as the program ends.
        let _written = writeln!(
            unit,
            "TimeoutStopSec={}\nExecStart={command} start --attach --sig-proxy=false {called}\n\
             ExecStop={command} stop --timeout {timeout} {called}\nType=exec\nKillMode=process",
            timeout + GRACE_SECONDS,
        );
        unit.push_str("\n[Install]\nWantedBy=default.target\n");
        (name, unit)
    }

    fn header(&self, file: &str) -> String {
        match self.no_header {
            true => String::new(),
            false => format!("# {file}\n# made by dhow {}\n\n", env!("CARGO_PKG_VERSION")),
        }
    }

    fn write_unit_section(&self, unit: &mut String, description: &str, usual: &[&str]) {
        let list = |usual: &[&str], more: &[String]| {
            usual
                .iter()
                .map(ToString::to_string)
                .chain(more.iter().cloned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let _written = writeln!(
            unit,
            "[Unit]\nDescription={description}\nWants={}\nAfter={}",
            list(&["network-online.target"], &self.wants),
            list(usual, &self.after),
        );
        if !self.requires.is_empty() {
            let _written = writeln!(unit, "Requires={}", self.requires.join(" "));
        }
    }

    fn write_environment(&self, unit: &mut String) {
        for variable in &self.env {
            let _written = writeln!(unit, "Environment={}", quoted(variable));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_command_line_are_quoted_as_systemd_reads_them() {
        let cases = [
            ("/usr/bin/dhow", "/usr/bin/dhow"),
            ("/a b", "\"/a b\""),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            ("a\"b", "\"a\\\"b\""),
            ("", "\"\""),
        ];
        for (word, expected) in cases {
            assert_eq!(quoted(word), expected, "{word}");
        }
    }
}
