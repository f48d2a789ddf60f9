//! `.pod` files: a pod, and a service that its containers belong to.
//!
//! ```text
//!   web.pod ──▶ web-pod.service   makes the pod; wants the services of its containers, which end with it
//! ```
//!
//! No process keeps a pod, so its service is one that has run and remains.

use super::{
    Lines, Place, network,
    unit_file::{UnitFile, join},
};
use dhow_base::Result;

const SECTION: &str = "Pod";

/// The keys that are flags: those whose every value counts, and those whose last one does.
const EACH: [(&str, &str); 7] = [
    ("PublishPort", "--publish"),
    ("Volume", "--volume"),
    ("AddHost", "--add-host"),
    ("DNS", "--dns"),
    ("DNSOption", "--dns-option"),
    ("DNSSearch", "--dns-search"),
    ("Label", "--label"),
];
const LAST: [(&str, &str); 4] = [
    ("ShmSize", "--shm-size"),
    ("HostName", "--hostname"),
    ("ExitPolicy", "--exit-policy"),
    ("UserNS", "--userns"),
];

/// The name of a pod's service.
pub(super) fn service_name(stem: &str) -> String {
    format!("{stem}-pod.service")
}

/// The service of a pod.
pub(super) fn service_of_pod(
    file: &UnitFile,
    stem: &str,
    place: &Place<'_>,
) -> Result<(String, Lines)> {
    let flags = EACH.iter().chain(&LAST).map(|(key, _)| *key);
    let others = ["PodName", "Network", "PodmanArgs", "StopTimeout"];
    file.check(SECTION, &flags.chain(others).collect::<Vec<_>>())?;
    let usual = format!("systemd-{stem}");
    let name = file.last(SECTION, "PodName").unwrap_or(&usual);
    let mut words = ["pod", "create", "--replace", "--pod-id-file=%t/%N.pod-id", "--name", name]
        .map(str::to_owned)
        .to_vec();
    if file.last(SECTION, "ExitPolicy").is_none() {
        words.push("--exit-policy=stop".to_owned());
    }
    let mut needs = Vec::new();
    for value in file.all(SECTION, "Network") {
        words.extend(["--network".to_owned(), network::meant(value, place.networks, &mut needs)?]);
    }
    for (key, flag) in EACH {
        for value in file.all(SECTION, key) {
            words.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    for (key, flag) in LAST {
        if let Some(value) = file.last(SECTION, key) {
            words.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    words.extend(file.words(SECTION, "PodmanArgs")?);
    let command = place.command;
    let time = file.last(SECTION, "StopTimeout").unwrap_or("10");
    let mut lines = vec![
        "Type=oneshot".to_owned(),
        "RemainAfterExit=yes".to_owned(),
        "SyslogIdentifier=%N".to_owned(),
        format!("ExecStart={command} {}", join(&words)),
        format!("ExecStop=-{command} pod stop --ignore --time={time} --pod-id-file=%t/%N.pod-id"),
        format!("ExecStopPost=-{command} pod rm --force --ignore --pod-id-file=%t/%N.pod-id"),
        "ExecStopPost=-/bin/rm -f %t/%N.pod-id".to_owned(),
    ];
    for service in needs {
        lines.push(format!("Unit:Requires={service}"));
        lines.push(format!("Unit:After={service}"));
    }
    for member in place.members.get(stem).into_iter().flatten() {
        lines.push(format!("Unit:Wants={member}"));
        lines.push(format!("Unit:Before={member}"));
    }
    Ok((service_name(stem), lines))
}

/// The pod that a `.container` file puts its container into, and that one's service.
pub(crate) fn membership(name: &str, text: &str) -> Option<(String, String)> {
    let stem = name.strip_suffix(".container")?;
    let file = UnitFile::parse(text).ok()?;
    let pod = file.last("Container", "Pod")?.strip_suffix(".pod")?;
    Some((pod.to_owned(), format!("{stem}.service")))
}
