//! Quadlet files: containers, volumes, networks, images and pods described in systemd's syntax, and the services
//! that are made of them, as podman's generator makes its own.
//!
//! ```text
//!   web.container ──▶ web.service          dhow run --name systemd-web …
//!   data.volume   ──▶ data-volume.service  dhow volume create …
//!   front.network ──▶ front-network.service dhow network create …
//!   base.image    ──▶ base-image.service   dhow pull …
//!   web.pod       ──▶ web-pod.service      dhow pod create …
//! ```
//!
//! A key that would not be kept is an error that names file and key: a service that does half of
//! what its file says is worse than none.

mod container;
mod network;
mod pod;
mod unit_file;

use container::service_of_container;
use dhow_base::{Doing, Error, Kind, Result};
pub(crate) use pod::membership;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use unit_file::UnitFile;

/// A service that was made of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Service {
    /// Its file's name.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// Links that have it started: names of directories below the generator's, where they lie.
    pub(crate) links: Vec<String>,
}

/// Kinds of files that are known elsewhere and made nothing of here.
const TO_COME: [(&str, &str); 2] =
    [("kube", "nothing is played from Kubernetes files yet"), ("build", "no image is built yet")];

/// The files of some directories; of two with one name, the one of the directory named first.
pub(crate) fn find(directories: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for directory in directories {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).doing(|| format!("read {}", directory.display())),
        };
        for entry in entries {
            let path = entry.doing(|| format!("read {}", directory.display()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kinds = ["container", "volume", "image", "pod", "network", "kube", "build"];
            if kinds.iter().any(|kind| has_kind(&name, kind)) {
                files.entry(name).or_insert(path);
            }
        }
    }
    Ok(files)
}

fn has_kind(name: &str, kind: &str) -> bool {
    name.strip_suffix(kind).is_some_and(|stem| stem.ends_with('.') && stem.len() > 1)
}

/// Where a file is, and what its fellows say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The file.
    pub(crate) path: &'a Path,
    /// Our own command line.
    pub(crate) command: &'a str,
    /// The names of volumes, by the stems of their files.
    pub(crate) volumes: &'a Names,
    /// The names of images, likewise.
    pub(crate) images: &'a Names,
    /// The names of networks, likewise.
    pub(crate) networks: &'a Names,
    /// The services of the containers that each pod has, by the stems of the pods' files.
    pub(crate) members: &'a BTreeMap<String, Vec<String>>,
}

/// Names of objects by the stems of the files that describe them.
pub(crate) type Names = BTreeMap<String, String>;

/// What a file's object is called: its stem and the name; nothing where the file does not say, or
/// does not make sense, which is told when it is translated.
pub(crate) fn named(name: &str, text: &str) -> Option<(String, String)> {
    let (stem, kind) = name.rsplit_once('.')?;
    let file = UnitFile::parse(text).ok()?;
    let called = match kind {
        "volume" => file.last("Volume", "VolumeName"),
        "image" => file.last("Image", "Image"),
        "network" => file.last("Network", "NetworkName"),
        _ => None,
    }?;
    Some((stem.to_owned(), called.to_owned()))
}

/// The service of one file.
pub(crate) fn translate(place: &Place<'_>, text: &str) -> Result<Service> {
    let Place { path, command, .. } = *place;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let doing = || format!("make a service of {}", path.display());
    let (stem, kind) = name.rsplit_once('.').unwrap_or((&name, ""));
    let file = UnitFile::parse(text).doing(doing)?;
    let made = match kind {
        "container" => service_of_container(&file, stem, place),
        "volume" => service_of_volume(&file, stem, command),
        "image" => service_of_image(&file, stem, command),
        "network" => network::service_of_network(&file, stem, command),
        "pod" => pod::service_of_pod(&file, stem, place),
        _ => {
            let why = TO_COME.iter().find(|(other, _)| *other == kind);
            let why = why.map_or("there is no such kind of file", |(_, why)| why);
            Err(Error::new(Kind::Unsupported, why))
        }
    };
    let (service, lines) = made.doing(doing)?;
    let links = links(&file, &service);
    let mut unit = file;
    unit.set_source(path);
    Ok(Service { text: unit.print(&lines), name: service, links })
}

/// The lines of a service's own section.
type Lines = Vec<String>;

fn service_of_volume(file: &UnitFile, stem: &str, command: &str) -> Result<(String, Lines)> {
    let known = ["VolumeName", "Label", "Driver", "Options", "Type", "Device", "Image", "Copy"];
    file.check("Volume", &known)?;
    for refused in ["Image", "Copy"] {
        if file.last("Volume", refused).is_some() {
            return Err(Error::new(
                Kind::Unsupported,
                format!("{refused}=: a volume begins empty, and is filled at its first use"),
            ));
        }
    }
    let name =
        file.last("Volume", "VolumeName").map_or_else(|| format!("systemd-{stem}"), str::to_owned);
    let mut words = vec!["volume".to_owned(), "create".to_owned(), "--ignore".to_owned()];
    let mut say = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    for label in file.words("Volume", "Label")? {
        say("--label", label);
    }
    if let Some(driver) = file.last("Volume", "Driver") {
        say("--driver", driver.to_owned());
    }
    for (key, option) in [("Type", "type"), ("Device", "device"), ("Options", "o")] {
        if let Some(value) = file.last("Volume", key) {
            say("--opt", format!("{option}={value}"));
        }
    }
    words.push(name);
    Ok((format!("{stem}-volume.service"), oneshot(command, &words)))
}

fn service_of_image(file: &UnitFile, stem: &str, command: &str) -> Result<(String, Lines)> {
    file.check("Image", &["Image", "AuthFile", "TLSVerify", "Policy"])?;
    let image = file.last("Image", "Image").ok_or_else(|| missing("Image"))?;
    let mut words = vec!["pull".to_owned()];
    let flags = [("AuthFile", "--authfile"), ("TLSVerify", "--tls-verify"), ("Policy", "--policy")];
    for (key, flag) in flags {
        if let Some(value) = file.last("Image", key) {
            words.push(format!("{flag}={value}"));
        }
    }
    words.push(image.to_owned());
    Ok((format!("{stem}-image.service"), oneshot(command, &words)))
}

fn oneshot(command: &str, words: &[String]) -> Lines {
    vec![
        "Type=oneshot".to_owned(),
        "RemainAfterExit=yes".to_owned(),
        format!("ExecStart={command} {}", unit_file::join(words)),
        "SyslogIdentifier=%N".to_owned(),
    ]
}

fn missing(key: &str) -> Error {
    Error::new(Kind::Invalid, format!("{key}= is missing"))
}

/// Truth as systemd writes it.
fn truth(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" | "y" | "t" => Ok(true),
        "0" | "no" | "false" | "off" | "n" | "f" => Ok(false),
        _ => Err(Error::new(Kind::Invalid, format!("{key}={value}: neither yes nor no"))),
    }
}

/// A generator's services are not enabled; what `[Install]` says is done at once.
fn links(file: &UnitFile, service: &str) -> Vec<String> {
    let wishes = [("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds")];
    let mut links = Vec::new();
    for (key, kind) in wishes {
        for target in file.words("Install", key).unwrap_or_default() {
            // A target is a name and no way elsewhere.
            if !target.contains('/') {
                links.push(format!("{target}.{kind}/{service}"));
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, text: &str) -> Result<Service> {
        let path = Path::new("/etc/containers/systemd").join(name);
        let names = BTreeMap::from([("base".to_owned(), "debian:13".to_owned())]);
        let place = Place {
            path: &path,
            command: "/usr/bin/dhow",
            volumes: &Names::new(),
            images: &names,
            networks: &BTreeMap::from([("back".to_owned(), "backend".to_owned())]),
            members: &BTreeMap::from([("web".to_owned(), vec!["a.service".to_owned()])]),
        };
        translate(&place, text)
    }

    #[test]
    fn a_container_becomes_a_service() {
        let text = "[Unit]\nDescription=A web server\n\n[Container]\nImage=localhost/web:1\n\
                    Exec=serve --port 80 \"a b\"\nEnvironment=A=1 \"B=2 3\"\nVolume=data.volume:/data:ro\n\
                    ReadOnly=yes\nHealthCmd=test -e /ok\nAddCapability=NET_RAW CHOWN\n\
                    PodmanArgs=--pids-limit 5\n\n[Service]\nRestart=always\n\n[Install]\nWantedBy=default.target\n";

        let service = service("web.container", text).unwrap();

        assert_eq!(service.name, "web.service");
        assert_eq!(service.links, ["default.target.wants/web.service"]);
        let start = service.text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        assert_eq!(
            start,
            "ExecStart=/usr/bin/dhow run --quiet --rm --name systemd-web --cidfile=%t/%N.cid \
             --env A=1 --env \"B=2 3\" --volume systemd-data:/data:ro --cap-add NET_RAW --cap-add CHOWN \
             --health-cmd \"test -e /ok\" --read-only --pids-limit 5 localhost/web:1 serve --port 80 \"a b\""
        );
        for line in [
            "Description=A web server",
            "[X-Container]",
            "Restart=always",
            "SourcePath=/etc/containers/systemd/web.container",
            "Requires=data-volume.service",
            "After=data-volume.service",
        ] {
            assert!(service.text.lines().any(|other| other == line), "{line} in {}", service.text);
        }
    }

    #[test]
    fn volumes_and_images_become_services_that_run_once() {
        let volume = service("data.volume", "[Volume]\nLabel=a=b\n").unwrap();
        let image = service("base.image", "[Image]\nImage=docker.io/library/debian:13\n").unwrap();

        let web = service("web.container", "[Container]\nImage=base.image\n").unwrap();
        assert!(
            web.text.contains(" debian:13\n") && web.text.contains("After=base-image.service\n")
        );
        assert_eq!(volume.name, "data-volume.service");
        assert!(volume.text.contains("dhow volume create --ignore --label a=b systemd-data\n"));
        assert!(image.text.contains("ExecStart=/usr/bin/dhow pull docker.io/library/debian:13\n"));
    }

    #[test]
    fn a_network_is_made_before_who_is_connected_to_it() {
        let text = "[Network]\nSubnet=10.5.0.0/24\nIPv6=yes\nInternal=no\nOptions=mtu=1400\nLabel=a=b\n\
                    NetworkDeleteOnStop=true\n";
        let container = "[Container]\nImage=x\nNetwork=front.network:ip=10.5.0.7\nNetwork=back.network\n\
                         PublishPort=8080:80\nNetworkAlias=www\nDNS=10.5.0.3\n";

        let network = service("front.network", text).unwrap();
        let container = service("web.container", container).unwrap();
        let pod = service("web.pod", "[Pod]\nNetwork=front.network\nPublishPort=80:80\n").unwrap();

        assert_eq!(network.name, "front-network.service");
        for line in [
            "ExecStart=/usr/bin/dhow network create --ignore --subnet 10.5.0.0/24 --opt mtu=1400 \
             --ipv6 --label a=b systemd-front",
            "ExecStopPost=/usr/bin/dhow network rm systemd-front",
        ] {
            assert!(network.text.lines().any(|other| other == line), "{line} in {}", network.text);
        }
        for part in [
            "--network systemd-front:ip=10.5.0.7 --network backend ",
            " --publish 8080:80 ",
            " --network-alias www ",
            " --dns 10.5.0.3 ",
            "Requires=front-network.service\n",
            "After=back-network.service\n",
        ] {
            assert!(container.text.contains(part), "{part} in {}", container.text);
        }
        assert!(pod.text.contains(" --network systemd-front --publish 80:80"), "{}", pod.text);
        assert!(pod.text.contains("Requires=front-network.service\n"), "{}", pod.text);
    }

    #[test]
    fn a_pod_and_its_containers_need_each_other() {
        let pod = "[Pod]\nVolume=/srv:/srv\nNetwork=host\nStopTimeout=3\n";

        let pod = service("web.pod", pod).unwrap();
        let container = service("a.container", "[Container]\nImage=x\nPod=web.pod\n").unwrap();

        assert_eq!(pod.name, "web-pod.service");
        for line in [
            "ExecStart=/usr/bin/dhow pod create --replace --pod-id-file=%t/%N.pod-id --name \
             systemd-web --exit-policy=stop --network host --volume /srv:/srv",
            "Wants=a.service",
            "Before=a.service",
            "RemainAfterExit=yes",
        ] {
            assert!(pod.text.lines().any(|other| other == line), "{line} in {}", pod.text);
        }
        assert!(pod.text.contains("pod stop --ignore --time=3"), "{}", pod.text);
        assert!(container.text.contains(" --pod-id-file=%t/web-pod.pod-id "), "{}", container.text);
        assert!(container.text.contains("BindsTo=web-pod.service\n"), "{}", container.text);
    }

    #[test]
    fn what_would_not_be_kept_is_an_error() {
        let cases = [
            ("web.container", "[Container]\nExec=x\n", "Image="),
            ("web.container", "[Container]\nImage=x\nBogus=1\n", "Bogus"),
            ("web.container", "[Container]\nImage=x\nNetwork=a.container\n", "Network=a.container"),
            ("web.container", "[Container]\nImage=x\nExec=\"unclosed\n", "quote"),
            ("web.container", "[Container]\nImage=gone.image\n", "gone.image"),
            ("front.network", "[Network]\nInternal=perhaps\n", "Internal=perhaps"),
            ("web.pod", "[Pod]\nBogus=1\n", "Bogus"),
            ("front.network", "[Network]\nBogus=1\n", "Bogus"),
            ("a.kube", "[Kube]\n", "Kubernetes"),
            ("a.build", "[Build]\n", "built"),
            ("web.container", "no section", "line 1"),
        ];
        for (name, text, why) in cases {
            let error = service(name, text).unwrap_err();
            assert!(error.one_line().contains(why), "{}", error.one_line());
        }
    }

    #[test]
    fn of_two_files_of_one_name_the_first_counts() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (directory, name) in
            [(&one, "web.container"), (&two, "web.container"), (&two, "b.volume"), (&two, "README")]
        {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let missing = PathBuf::from("/nowhere/at/all");

        let files = find(&[missing, one.path().into(), two.path().into()]).unwrap();

        assert_eq!(
            files.keys().map(String::as_str).collect::<Vec<_>>(),
            ["b.volume", "web.container"]
        );
        assert!(files["web.container"].starts_with(one.path()));
    }
}
