//! `system quadlet`: services of quadlet files, as a generator of systemd makes them.

use super::generate::own_command;
use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    quadlet::{self, Names, Place, Service},
    tree::Act,
};
use dhow_base::{
    Doing, Result,
    file::{self, Durability},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Make services of quadlet files, as a generator of systemd
///
/// The files are looked for where podman looks for them. A script of one line below
/// /usr/lib/systemd/system-generators makes it a generator: exec dhow system quadlet "$1".
#[derive(clap::Args, Debug)]
pub(crate) struct Quadlet {
    /// Write the services here
    #[arg(value_name = "DIR", required_unless_present = "dry_run")]
    output: Option<PathBuf>,

    /// Print the services and write nothing
    #[arg(long, visible_alias = "dryrun")]
    dry_run: bool,

    /// Take the files of the user and not those of the machine
    #[arg(long)]
    user: bool,
}

/// What a file may hold.
const LIMIT_BYTES: u64 = 1 << 20;

impl Act for Quadlet {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let command = own_command(invocation)?;
        let mut texts = BTreeMap::new();
        for (name, path) in quadlet::find(&self.directories(invocation))? {
            let bytes = file::read_limited(&path, LIMIT_BYTES)?;
            texts.insert(name, (path, String::from_utf8_lossy(&bytes).into_owned()));
        }
        let names_of = |kind: &str| -> Names {
            let files = texts.iter().filter(|(name, _)| name.ends_with(kind));
            files.filter_map(|(name, (_, text))| quadlet::named(name, text)).collect()
        };
        let (volumes, images) = (names_of(".volume"), names_of(".image"));
        let networks = names_of(".network");
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, (_, text)) in &texts {
            if let Some((pod, service)) = quadlet::membership(name, text) {
                members.entry(pod).or_default().push(service);
            }
        }
        let mut code = SUCCESS;
        for (path, text) in texts.values() {
            let place = Place {
                path,
                command: &command,
                volumes: &volumes,
                images: &images,
                networks: &networks,
                members: &members,
            };
            let made = quadlet::translate(&place, text)
                .and_then(|service| self.give(&service, invocation));
            if let Err(error) = made {
                invocation.console.error(&error);
                code = FAILURE;
            }
        }
        Ok(code)
    }
}

impl Quadlet {
    /// Where podman looks, the most important first.
    fn directories(&self, invocation: &Invocation) -> Vec<PathBuf> {
        if let Some(paths) = &invocation.environment.quadlet_directories {
            return paths.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        }
        let machine =
            ["/run/containers/systemd", "/etc/containers/systemd", "/usr/share/containers/systemd"];
        if !self.user {
            return machine.map(PathBuf::from).to_vec();
        }
        let environment = &invocation.environment;
        let home = environment.home.as_ref().map(|home| home.join(".config"));
        let own = environment.config_home.clone().or(home);
        let uid = rustix::process::getuid().as_raw();
        let users = PathBuf::from("/etc/containers/systemd/users");
        own.map(|own| own.join("containers/systemd"))
            .into_iter()
            .chain([users.join(uid.to_string()), users])
            .collect()
    }

    fn give(&self, service: &Service, invocation: &Invocation) -> Result<()> {
        let Some(output) = self.output.as_ref().filter(|_| !self.dry_run) else {
            let text = format!("---{}---\n{}", service.name, service.text);
            return invocation.console.print(text);
        };
        let output = invocation.directory.join(output);
        file::make_directories(&output, 0o755)?;
        let path = output.join(&service.name);
        file::write_atomically(&path, service.text.as_bytes(), 0o644, Durability::Cached)?;
        service.links.iter().try_for_each(|link| make_link(&output.join(link), &service.name))
    }
}

fn make_link(link: &Path, service: &str) -> Result<()> {
    let doing = || format!("link {}", link.display());
    if let Some(directory) = link.parent() {
        file::make_directories(directory, 0o755)?;
    }
    file::remove_if_there(link)?;
    rustix::fs::symlink(format!("../{service}"), link).doing(doing)
}
