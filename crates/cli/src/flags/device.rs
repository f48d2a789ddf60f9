//! `--device`: a device node of the host's, where it appears, and what may be done with it.

use super::refuse;
use dhow_base::Result;
use dhow_engine::options::DeviceOption;
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
}
