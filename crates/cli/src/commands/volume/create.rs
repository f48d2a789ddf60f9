//! `volume create`: make a volume.

use crate::{
    exit::SUCCESS,
    flags::{pairs, refuse},
    invocation::Invocation,
    manners::Manners,
    tree::Act,
};
use dhow_base::{Error, Kind, Result, id::Name};
use dhow_engine::{VolumeOptions, options::VolumeMaking};

/// Make a volume
///
/// Prints its name. Without a name it gets one that nobody knows, and `volume prune` may take it. One
/// that is there already and was made in the same way is as good, but not under podman's name. Options are those of mount(8):
/// --opt type=tmpfs --opt device=tmpfs --opt o=size=100m, or for a directory of the host's --opt
/// type=none --opt o=bind --opt device=/srv. Without a type, --opt o= takes size=, inodes=, uid=, gid=
/// and nocopy.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// The name
    #[arg(value_name = "NAME")]
    volume: Option<String>,

    /// Name the volume
    #[arg(long, value_name = "NAME", hide = true, conflicts_with = "volume")]
    name: Option<String>,

    /// Use this driver; there is local
    #[arg(short, long, value_name = "DRIVER", default_value = "local")]
    driver: String,

    /// Add a label
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Set an option of the driver's: type, device, o, size
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,

    /// Give its directory to this user
    #[arg(long, value_name = "UID")]
    uid: Option<u32>,

    /// Give its directory to this group
    #[arg(long, value_name = "GID")]
    gid: Option<u32>,

    /// One of this name, made in whatever way, is as good
    #[arg(long)]
    ignore: bool,
}

impl Act for Create {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let name = self.volume.or(self.name).filter(|name| !name.is_empty());
        let name = name.as_deref().map(parse_name).transpose()?;
        let labels =
            self.label.iter().map(|text| pairs::parse("--label", text)).collect::<Result<_>>()?;
        let options =
            self.opt.iter().map(|text| pairs::parse("--opt", text)).collect::<Result<_>>()?;
        let making = VolumeMaking { driver: Some(self.driver), options, labels };
        let options = VolumeOptions {
            name,
            making,
            uid: self.uid,
            gid: self.gid,
            must_be_new: invocation.manners == Manners::Podman && !self.ignore,
        };
        let name = match (invocation.engine()?.create_volume(&options), &options.name) {
            (Err(error), Some(name)) if error.kind() == Kind::AlreadyExists && self.ignore => {
                name.clone()
            }
            (made, _) => made?,
        };
        invocation.console.line(name.as_str())?;
        Ok(SUCCESS)
    }
}

fn parse_name(text: &str) -> Result<Name> {
    text.parse().map_err(|error: Error| {
        let hint = error.innermost_hint().unwrap_or("choose another name").to_owned();
        refuse("NAME", text, "that cannot be the name of a volume").hint(hint)
    })
}
