//! `.container` files: the flags of `run` that their keys mean.

use super::{
    Lines, Place, missing, network,
    pod::service_name,
    truth,
    unit_file::{UnitFile, join},
};
use dhow_base::{Error, Kind, Result};
use std::path::Path;

const SECTION: &str = "Container";

/// How a key's values become a flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rule {
    /// The last value.
    Last,
    /// Each value, whole.
    Each,
    /// Each word of each value.
    Words,
    /// The flag alone, where the value is true.
    Switch,
    /// The flag with `=true` or `=false`.
    Truth,
    /// Handled by itself.
    Special,
}

/// All keys, in the order of the flags that they become.
const KEYS: &[(&str, &str, Rule)] = &[
    ("Environment", "--env", Rule::Words),
    ("EnvironmentFile", "--env-file", Rule::Each),
    ("EnvironmentHost", "--env-host", Rule::Switch),
    ("Label", "--label", Rule::Words),
    ("Annotation", "--annotation", Rule::Words),
    ("Volume", "--volume", Rule::Special),
    ("Mount", "--mount", Rule::Each),
    ("Tmpfs", "--tmpfs", Rule::Each),
    ("ShmSize", "--shm-size", Rule::Last),
    ("AddCapability", "--cap-add", Rule::Words),
    ("DropCapability", "--cap-drop", Rule::Words),
    ("AddDevice", "--device", Rule::Each),
    ("Network", "--network", Rule::Special),
    ("HostName", "--hostname", Rule::Last),
    ("User", "--user", Rule::Special),
    ("Group", "", Rule::Special),
    ("GroupAdd", "--group-add", Rule::Each),
    ("UserNS", "--userns", Rule::Last),
    ("UIDMap", "--uidmap", Rule::Each),
    ("GIDMap", "--gidmap", Rule::Each),
    ("SubUIDMap", "--subuidname", Rule::Last),
    ("SubGIDMap", "--subgidname", Rule::Last),
    ("WorkingDir", "--workdir", Rule::Last),
    ("Entrypoint", "--entrypoint", Rule::Last),
    ("HealthCmd", "--health-cmd", Rule::Last),
    ("HealthInterval", "--health-interval", Rule::Last),
    ("HealthRetries", "--health-retries", Rule::Last),
    ("HealthTimeout", "--health-timeout", Rule::Last),
    ("HealthStartPeriod", "--health-start-period", Rule::Last),
    ("HealthOnFailure", "--health-on-failure", Rule::Last),
    ("HealthStartupCmd", "--health-startup-cmd", Rule::Last),
    ("HealthStartupInterval", "--health-startup-interval", Rule::Last),
    ("HealthStartupRetries", "--health-startup-retries", Rule::Last),
    ("HealthStartupSuccess", "--health-startup-success", Rule::Last),
    ("HealthStartupTimeout", "--health-startup-timeout", Rule::Last),
    ("HealthLogDestination", "--health-log-destination", Rule::Last),
    ("HealthMaxLogCount", "--health-max-log-count", Rule::Last),
    ("HealthMaxLogSize", "--health-max-log-size", Rule::Last),
    ("LogDriver", "--log-driver", Rule::Last),
    ("LogOpt", "--log-opt", Rule::Each),
    ("Memory", "--memory", Rule::Last),
    ("PidsLimit", "--pids-limit", Rule::Last),
    ("Ulimit", "--ulimit", Rule::Each),
    ("Sysctl", "--sysctl", Rule::Words),
    ("Secret", "--secret", Rule::Each),
    ("StopSignal", "--stop-signal", Rule::Last),
    ("StopTimeout", "--stop-timeout", Rule::Last),
    ("Timezone", "--tz", Rule::Last),
    ("Pull", "--pull", Rule::Last),
    ("ReadOnly", "--read-only", Rule::Switch),
    ("ReadOnlyTmpfs", "--read-only-tmpfs", Rule::Truth),
    ("RunInit", "--init", Rule::Switch),
    ("HttpProxy", "--http-proxy", Rule::Truth),
    ("NoNewPrivileges", "--security-opt", Rule::Special),
    ("SeccompProfile", "--security-opt", Rule::Special),
    ("Mask", "--security-opt", Rule::Special),
    ("Unmask", "--security-opt", Rule::Special),
    ("SecurityLabelDisable", "--security-opt", Rule::Special),
    ("AutoUpdate", "--label", Rule::Special),
    ("PodmanArgs", "", Rule::Special),
    ("Image", "", Rule::Special),
    ("Exec", "", Rule::Special),
    ("ContainerName", "", Rule::Special),
    ("Notify", "--sdnotify", Rule::Special),
    ("Rootfs", "", Rule::Special),
    ("Pod", "", Rule::Special),
    ("PublishPort", "--publish", Rule::Each),
    ("ExposeHostPort", "--expose", Rule::Each),
    ("IP", "--ip", Rule::Last),
    ("IP6", "--ip6", Rule::Last),
    ("NetworkAlias", "--network-alias", Rule::Each),
    ("DNS", "--dns", Rule::Each),
    ("DNSOption", "--dns-option", Rule::Each),
    ("DNSSearch", "--dns-search", Rule::Each),
];

/// The service of a container: its name, and the lines of its own sections.
pub(super) fn service_of_container(
    file: &UnitFile,
    stem: &str,
    place: &Place<'_>,
) -> Result<(String, Lines)> {
    let known: Vec<&str> = KEYS.iter().map(|(key, ..)| *key).collect();
    file.check(SECTION, &known)?;
    let image = file.last(SECTION, "Image");
    let root = file.last(SECTION, "Rootfs");
    if image.is_some() && root.is_some() {
        let text = "Image= and Rootfs=: a container stands on one of them";
        return Err(Error::new(Kind::Invalid, text));
    }
    let usual = format!("systemd-{stem}");
    let name = file.last(SECTION, "ContainerName").unwrap_or(&usual);
    let words = ["run", "--quiet", "--rm", "--name", name, "--cidfile=%t/%N.cid"];
    let words = words.map(str::to_owned).to_vec();
    let mut line =
        CommandLine { file, place, words, needs: Vec::new(), pod: None, notifies: false };
    for (key, flag, rule) in KEYS {
        line.add(key, flag, *rule)?;
    }
    line.words.extend(file.words(SECTION, "PodmanArgs")?);
    match root {
        Some(directory) => line.say("--rootfs", directory),
        None => line.add_image(image.ok_or_else(|| missing("Image"))?)?,
    }
    line.words.extend(file.words(SECTION, "Exec")?);
    let CommandLine { words, needs, pod, notifies, .. } = line;
    let command = place.command;
    let mut lines = vec![
        if notifies { "Type=notify" } else { "Type=exec" }.to_owned(),
        "Environment=PODMAN_SYSTEMD_UNIT=%n".to_owned(),
        // The monitor that keeps the container writes down how it ended: it is not to be killed.
        "KillMode=process".to_owned(),
        "SyslogIdentifier=%N".to_owned(),
        format!("ExecStartPre=-{command} rm --force --ignore {name}"),
        "ExecStartPre=-/bin/rm -f %t/%N.cid".to_owned(),
        format!("ExecStart={command} {}", join(&words)),
        format!("ExecStop={command} stop --ignore {name}"),
        format!("ExecStopPost=-{command} rm --force --ignore {name}"),
    ];
    if notifies {
        // The command speaks for the container, and the monitor is what is watched.
        lines.push("NotifyAccess=all".to_owned());
    }
    if let Some(service) = pod {
        // It goes with its pod.
        lines.push(format!("Unit:BindsTo={service}"));
        lines.push(format!("Unit:After={service}"));
    }
    for service in needs {
        lines.push(format!("Unit:Requires={service}"));
        lines.push(format!("Unit:After={service}"));
    }
    Ok((format!("{stem}.service"), lines))
}

/// The command line as it grows, and the services that must have run before.
struct CommandLine<'a> {
    file: &'a UnitFile,
    place: &'a Place<'a>,
    words: Vec<String>,
    needs: Vec<String>,
    pod: Option<String>,
    /// Whether the program itself says when it is ready.
    notifies: bool,
}

impl CommandLine<'_> {
    fn add(&mut self, key: &str, flag: &str, rule: Rule) -> Result<()> {
        let file = self.file;
        let Some(last) = file.last(SECTION, key) else { return Ok(()) };
        match rule {
            Rule::Last => self.say(flag, last),
            Rule::Each => {
                file.all(SECTION, key).into_iter().for_each(|value| self.say(flag, value));
            }
            Rule::Words => {
                file.words(SECTION, key)?.iter().for_each(|value| self.say(flag, value));
            }
            Rule::Switch => {
                if truth(key, last)? {
                    self.words.push(flag.to_owned());
                }
            }
            Rule::Truth => self.words.push(format!("{flag}={}", truth(key, last)?)),
            Rule::Special => self.add_special(key, flag, last)?,
        }
        Ok(())
    }

    fn say(&mut self, flag: &str, value: &str) {
        self.words.extend([flag.to_owned(), value.to_owned()]);
    }

    fn add_special(&mut self, key: &str, flag: &str, last: &str) -> Result<()> {
        match key {
            "Volume" => self.add_volumes(flag),
            "Network" => {
                for value in self.file.all(SECTION, key) {
                    let word = network::meant(value, self.place.networks, &mut self.needs)?;
                    self.say(flag, &word);
                }
            }
            "User" => match self.file.last(SECTION, "Group") {
                Some(group) => self.say(flag, &format!("{last}:{group}")),
                None => self.say(flag, last),
            },
            "Group" if self.file.last(SECTION, "User").is_none() => {
                return Err(Error::new(Kind::Invalid, "Group=: it needs User="));
            }
            "NoNewPrivileges" if truth(key, last)? => self.say(flag, "no-new-privileges"),
            "SecurityLabelDisable" if truth(key, last)? => self.say(flag, "label=disable"),
            "SeccompProfile" => self.say(flag, &format!("seccomp={last}")),
            "Mask" | "Unmask" => {
                self.say(flag, &format!("{}={last}", key.to_ascii_lowercase()));
            }
            "Pod" => {
                let stem = last.strip_suffix(".pod").ok_or_else(|| {
                    Error::new(Kind::Invalid, format!("{key}={last}: not the name of a .pod file"))
                })?;
                self.words.push(format!("--pod-id-file=%t/{stem}-pod.pod-id"));
                self.pod = Some(service_name(stem));
            }
            "Notify" if last == "healthy" => {
                let why = "Notify=healthy: the service stays with its container and cannot wait";
                return Err(Error::new(Kind::Unsupported, why));
            }
            "Notify" if truth(key, last)? => {
                self.say(flag, "container");
                self.notifies = true;
            }
            "AutoUpdate" => self.say(flag, &format!("io.containers.autoupdate={last}")),
            // A switch that is off, or what has a place of its own in the line.
            _ => {}
        }
        Ok(())
    }

    /// A name that ends with `.volume` is another file's, and its service goes first.
    fn add_volumes(&mut self, flag: &str) {
        for value in self.file.all(SECTION, "Volume") {
            let (source, rest) = match value.split_once(':') {
                Some((source, rest)) => (source, format!(":{rest}")),
                None => (value, String::new()),
            };
            let source = match source.strip_suffix(".volume") {
                Some(stem) => {
                    self.needs.push(format!("{stem}-volume.service"));
                    let usual = || format!("systemd-{stem}");
                    self.place.volumes.get(stem).cloned().unwrap_or_else(usual)
                }
                None if source.starts_with('.') => {
                    let directory = self.place.path.parent().unwrap_or(Path::new("/"));
                    directory.join(source).to_string_lossy().into_owned()
                }
                None => source.to_owned(),
            };
            self.say(flag, &format!("{source}{rest}"));
        }
    }

    /// So is one that ends with `.image`.
    fn add_image(&mut self, image: &str) -> Result<()> {
        let Some(stem) = image.strip_suffix(".image") else {
            self.words.push(image.to_owned());
            return Ok(());
        };
        let name = self.place.images.get(stem).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("Image={image}: there is no such file"))
        })?;
        self.needs.push(format!("{stem}-image.service"));
        self.words.push(name.clone());
        Ok(())
    }
}
