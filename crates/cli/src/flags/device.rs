//! `--device`: a device node of the host's, where it appears, and what may be done with it.

use super::refuse;
use dhow_base::Result;
use dhow_engine::options::{CdiName, DeviceOption};
use std::path::PathBuf;

/// Parses `/dev/x[:/dev/y][:rwm]`.
pub(crate) fn parse(text: &str) -> Result<DeviceOption> {
    let refused = |why: &str| {
        refuse("--device", text, why)
            .hint("write HOST[:CONTAINER][:ACCESS], such as /dev/fuse or /dev/fuse:rw")
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, access) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, access] if is_access(access) => (host, host, access),
        [host, container] => (host, container, "rwm"),
        [host, container, access] => (host, container, access),
        _ => return Err(refused("too many colons")),
    };
    if !host.starts_with('/') || !container.starts_with('/') {
        return Err(refused("the paths must be absolute"));
    }
    if !is_access(access) {
        return Err(refused("the access is some of the letters r, w and m"));
    }
    Ok(DeviceOption {
        host: PathBuf::from(host),
        container: PathBuf::from(container),
        access: access.to_owned(),
    })
}

/// `--gpus`, by the names that NVIDIA's documents have: podman's meaning of docker's words.
pub(crate) fn gpus(text: &str) -> Result<Vec<CdiName>> {
    let refused = |why: &str| {
        refuse("--gpus", text, why).hint("write all, a number, or device=NAME[,NAME...]")
    };
    let bare = text.trim_matches('"');
    let names: Vec<String> = match bare.strip_prefix("device=") {
        Some(list) => list.split(',').map(str::to_owned).collect(),
        None if bare == "all" => vec![bare.to_owned()],
        None => {
            let count: u32 = bare.parse().map_err(|_| refused("neither all nor a number"))?;
            (0..count.min(1024)).map(|number| number.to_string()).collect()
        }
    };
    let named = |name: &String| format!("nvidia.com/gpu={name}").parse();
    names.iter().map(|name| named(name).map_err(|_| refused("not a name"))).collect()
}

fn is_access(text: &str) -> bool {
    let once = |letter: char| text.matches(letter).count() <= 1;
    !text.is_empty() && text.chars().all(|letter| "rwm".contains(letter)) && "rwm".chars().all(once)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_a_path_a_place_and_an_access() {
        let device = |host: &str, container: &str, access: &str| {
            Some(DeviceOption {
                host: host.into(),
                container: container.into(),
                access: access.into(),
            })
        };
        let cases = [
            ("/dev/fuse", device("/dev/fuse", "/dev/fuse", "rwm")),
            ("/dev/fuse:r", device("/dev/fuse", "/dev/fuse", "r")),
            ("/dev/a:/dev/b", device("/dev/a", "/dev/b", "rwm")),
            ("/dev/a:/dev/b:rw", device("/dev/a", "/dev/b", "rw")),
            ("/dev/a:/dev/b:rx", None),
            ("/dev/a:/dev/b:rr", None),
            ("/dev/a:/dev/b:", None),
            ("/dev/a::", None),
            ("dev/a", None),
            ("/a:/b:r:w", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).ok(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn gpus_have_the_names_of_nvidias_documents() {
        let names = |text: &str| {
            let all = gpus(text).ok()?;
            Some(all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        let cases = [
            ("all", Some("nvidia.com/gpu=all")),
            ("2", Some("nvidia.com/gpu=0 nvidia.com/gpu=1")),
            ("\"device=0,GPU-7\"", Some("nvidia.com/gpu=0 nvidia.com/gpu=GPU-7")),
            ("0", Some("")),
            ("some", None),
            ("device=", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(names(text).as_deref(), expected, "parsing {text:?}");
        }
    }
}
