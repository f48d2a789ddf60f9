//! The flags of `run` and `create` that take from other objects: volumes of other containers, the
//! image's volumes, secrets, a pod.

use super::{limits, mount, refuse};
use dhow_base::Result;
use dhow_engine::options::{
    ImageVolumes, ObjectOptions, PodChoice, RootDirectory, SecretOption, SecretWay,
};

/// What a container takes from other objects.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Other objects")]
pub(crate) struct ObjectFlags {
    /// Take a directory of the host as the root in the place of an image; with :O its changes are kept apart
    #[arg(long, conflicts_with_all = ["pull", "platform"])]
    rootfs: bool,

    /// Mount what another container has mounted of volumes and of the host
    #[arg(long, value_name = "CONTAINER[:ro]")]
    volumes_from: Vec<String>,

    /// Make the image's volumes anonymous volumes (bind, anonymous), memory (tmpfs) or nothing (ignore)
    #[arg(long, visible_alias = "builtin-volume", value_name = "HOW")]
    pub(super) image_volume: Option<String>,

    /// Make new volumes by this driver; there is local
    #[arg(long, value_name = "DRIVER")]
    volume_driver: Option<String>,

    /// Give the container a secret, as a file below /run/secrets or as a variable
    #[arg(long, value_name = "NAME[,type=mount|env][,target=TARGET]")]
    secret: Vec<String>,

    /// Start these containers before this one
    #[arg(long, value_name = "CONTAINER", value_delimiter = ',')]
    requires: Vec<String>,

    /// Limit the container's root: size=SIZE, where the file system keeps project quotas
    #[arg(long, value_name = "NAME=VALUE")]
    storage_opt: Vec<String>,

    /// Put the container into a pod, or into a new one (new:NAME)
    #[arg(long, value_name = "POD")]
    pub(crate) pod: Option<String>,

    /// Put the container into the pod whose id is in this file
    #[arg(long, value_name = "FILE", conflicts_with = "pod")]
    pub(crate) pod_id_file: Option<String>,
}

impl ObjectFlags {
    /// The root that is no image's, where one is meant.
    pub(crate) fn directory(
        &self,
        text: &str,
        around: super::Surroundings<'_>,
    ) -> Result<Option<RootDirectory>> {
        if !self.rootfs {
            return Ok(None);
        }
        let (path, is_below) = match text.rsplit_once(':') {
            Some((path, "O")) => (path, true),
            // Where ids are mapped, its files are always shown with the container's.
            Some((path, "idmap")) => (path, false),
            Some((_, "")) | None => (text, false),
            Some((_, option)) => {
                let why = format!("no such option: {option}");
                return Err(refuse("--rootfs", text, why).hint("there are O and idmap"));
            }
        };
        Ok(Some(RootDirectory { path: around.absolute(path), is_below }))
    }

    /// How much the root may take, where that is limited.
    pub(crate) fn root_bytes(&self) -> Result<Option<u64>> {
        let Some(text) = self.storage_opt.last() else { return Ok(None) };
        let size = text.split_once('=').filter(|(name, _)| *name == "size");
        let Some((_, size)) = size else {
            return Err(refuse("--storage-opt", text, "there is no such option")
                .hint("there is size, such as size=10g"));
        };
        match limits::bytes("--storage-opt", size)? {
            0 => Err(refuse("--storage-opt", text, "nothing could be written")),
            bytes => Ok(Some(bytes)),
        }
    }

    /// What the flags ask for.
    pub(crate) fn options(&self, around: super::Surroundings<'_>) -> Result<ObjectOptions> {
        if let Some(driver) = self.volume_driver.as_deref().filter(|driver| *driver != "local") {
            return Err(refuse("--volume-driver", driver, "there is no such driver")
                .hint("there is local; its options mount nfs, tmpfs and directories"));
        }
        Ok(ObjectOptions {
            volumes_from: self
                .volumes_from
                .iter()
                .map(|text| mount::volumes_from(text))
                .collect::<Result<_>>()?,
            image_volumes: image_volumes(self.image_volume.as_deref())?,
            secrets: self.secret.iter().map(|text| secret(text)).collect::<Result<_>>()?,
            pod: match (&self.pod, &self.pod_id_file) {
                (Some(text), _) => Some(pod(text)?),
                (None, Some(path)) => Some(pod_in_file(path, around)?),
                (None, None) => None,
            },
            requires: self.requires.clone(),
            infra: false,
        })
    }
}

fn image_volumes(text: Option<&str>) -> Result<ImageVolumes> {
    let Some(text) = text else { return Ok(ImageVolumes::Anonymous) };
    match text {
        "anonymous" | "bind" => Ok(ImageVolumes::Anonymous),
        "tmpfs" => Ok(ImageVolumes::Tmpfs),
        "ignore" => Ok(ImageVolumes::Ignored),
        _ => Err(refuse("--image-volume", text, "neither anonymous, bind, tmpfs nor ignore")),
    }
}

fn pod(text: &str) -> Result<PodChoice> {
    let refused = || refuse("--pod", text, "that cannot be the name of a pod");
    match text.strip_prefix("new:") {
        Some("") => Ok(PodChoice::New(None)),
        Some(name) => Ok(PodChoice::New(Some(name.parse().map_err(|_| refused())?))),
        None if text.is_empty() => Err(refused()),
        None => Ok(PodChoice::Existing(text.to_owned())),
    }
}

fn pod_in_file(path: &str, around: super::Surroundings<'_>) -> Result<PodChoice> {
    let bytes = dhow_base::file::read_limited(&around.absolute(path), 4096)
        .map_err(|error| refuse("--pod-id-file", path, error.one_line()))?;
    let text = String::from_utf8_lossy(&bytes);
    match text.trim() {
        "" => Err(refuse("--pod-id-file", path, "there is no id in it")),
        id => Ok(PodChoice::Existing(id.to_owned())),
    }
}

/// `NAME[,type=mount|env][,target=…][,uid=…][,gid=…][,mode=…]`.
fn secret(text: &str) -> Result<SecretOption> {
    let refused = |why: &str| {
        refuse("--secret", text, why)
            .hint("write NAME, NAME,type=env,target=VARIABLE or NAME,mode=0400")
    };
    let (mut name, mut kind, mut target) = (None, "mount", None);
    let (mut uid, mut gid, mut mode) = (None, None, None);
    for (position, field) in text.split(',').enumerate() {
        match field.split_once('=') {
            None if position == 0 && !field.is_empty() => name = Some(field),
            Some(("source" | "src", value)) => name = Some(value),
            Some(("type", value @ ("mount" | "env"))) => kind = value,
            Some(("target", value)) if !value.is_empty() => target = Some(value),
            Some(("uid", value)) => {
                uid = Some(value.parse().map_err(|_| refused("uid is no number"))?)
            }
            Some(("gid", value)) => {
                gid = Some(value.parse().map_err(|_| refused("gid is no number"))?)
            }
            Some(("mode", value)) => {
                let bits = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o7777);
                mode = Some(bits.ok_or_else(|| refused("mode is not octal"))?);
            }
            _ => return Err(refused(&format!("no such field: {field}"))),
        }
    }
    let name =
        name.filter(|name| !name.is_empty()).ok_or_else(|| refused("the name is missing"))?;
    let way = match kind {
        "env" if uid.is_some() || gid.is_some() || mode.is_some() => {
            return Err(refused("a variable has no owner and no mode"));
        }
        "env" => match target {
            Some(variable) if variable.contains(['=', '\0']) => {
                return Err(refused("that cannot be the name of a variable"));
            }
            variable => SecretWay::Variable(variable.map(str::to_owned)),
        },
        _ => SecretWay::File {
            target: target.map(Into::into),
            uid: uid.unwrap_or(0),
            gid: gid.unwrap_or(0),
            mode: mode.unwrap_or(0o444),
        },
    };
    Ok(SecretOption { secret: name.to_owned(), way })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_files_unless_they_are_variables() {
        let way = |text| secret(text).map(|secret| secret.way).ok();

        assert_eq!(way("key"), Some(SecretWay::File { target: None, uid: 0, gid: 0, mode: 0o444 }));
        assert_eq!(
            way("source=key,target=/k,uid=5,gid=6,mode=400"),
            Some(SecretWay::File { target: Some("/k".into()), uid: 5, gid: 6, mode: 0o400 })
        );
        assert_eq!(way("key,type=env"), Some(SecretWay::Variable(None)));
        assert_eq!(way("key,type=env,target=K"), Some(SecretWay::Variable(Some("K".into()))));
        for text in
            ["", "key,bogus=1", "type=env", "key,mode=9", "key,type=env,uid=1", "key,type=x"]
        {
            assert_eq!(way(text), None, "{text}");
        }
    }

    #[test]
    fn a_pod_is_there_or_new() {
        assert_eq!(pod("web").unwrap(), PodChoice::Existing("web".into()));
        assert_eq!(pod("new:").unwrap(), PodChoice::New(None));
        assert_eq!(pod("new:web").unwrap(), PodChoice::New(Some("web".parse().unwrap())));
        assert!(pod("").is_err() && pod("new:a/b").is_err());
    }
}
