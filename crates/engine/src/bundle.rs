//! A bundle for any OCI runtime from an image of a layout: its root and its configuration.
//!
//! Nothing is noted in the state: the bundle is the user's.

use crate::{
    capabilities, identity,
    merge::{capability_sets, set_variable},
};
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use dhow_image::Bounds;
use dhow_spec::{
    image::{ImageConfig, Platform},
    runtime::{Process, Root, Spec, example_spec},
};
use rustix::fs::{Mode, OFlags};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

/// Where programs are looked for unless the image says.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Unpacks an image of the layout at `layout` to a new bundle, with a `config.json` as the image's
/// configuration asks for. On failure nothing is left.
pub fn unpack_bundle(
    layout: &Path,
    name: Option<&str>,
    platform: Option<&Platform>,
    bundle: &Path,
    bounds: &Bounds,
) -> Result<()> {
    let unpacked = dhow_image::unpack(layout, name, platform, bundle, bounds)?;
    let configure = || -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let root = rustix::fs::open(&unpacked.rootfs, flags, Mode::empty())
            .doing(|| format!("open {}", unpacked.rootfs.display()))?;
        let spec = configuration(&unpacked.config, root.as_fd())?;
        let text = serde_json::to_string_pretty(&spec).map_err(|error| {
            Error::new(Kind::Internal, "write the configuration").because(error)
        })?;
        let path = bundle.join("config.json");
        file::write_new(&path, format!("{text}\n").as_bytes(), 0o644, Durability::Cached)
    };
    let configured = configure().doing(|| format!("configure bundle {}", bundle.display()));
    if configured.is_err() {
        // The failure to configure is the one to tell.
        let _discarded = unpacked.discard();
    }
    configured
}

/// The image's configuration as one of the runtime, by the specification's table of conversion.
fn configuration(image: &ImageConfig, root: BorrowedFd<'_>) -> Result<Spec> {
    let wanted = &image.config;
    let identity = identity::resolve(&wanted.user, &[], root)?;
    let mut env = vec![PATH.to_owned(), "TERM=xterm".to_owned()];
    set_variable(&mut env, &format!("HOME={}", identity.home));
    for variable in &wanted.env {
        set_variable(&mut env, variable);
    }
    let names = capabilities::choose(None, &[], &[], false, u64::MAX)?;
    let words: Vec<String> = wanted.entrypoint.iter().chain(&wanted.cmd).cloned().collect();
    let cwd = if wanted.working_dir.is_empty() { "/" } else { &wanted.working_dir };
    Ok(Spec {
        process: Some(Process {
            terminal: true,
            args: if words.is_empty() { vec!["sh".to_owned()] } else { words },
            env,
            cwd: cwd.to_owned(),
            capabilities: Some(capability_sets(&names, identity.user.uid)),
            user: identity.user,
            ..Process::default()
        }),
        root: Some(Root { path: "rootfs".into(), readonly: false }),
        annotations: annotations(image),
        ..example_spec()
    })
}

/// What has no other place in the runtime's configuration; labels of the same name win.
fn annotations(image: &ImageConfig) -> BTreeMap<String, String> {
    let ports: Vec<&str> = image.config.exposed_ports.keys().map(String::as_str).collect();
    let said = [
        ("os", image.os.clone()),
        ("architecture", image.architecture.clone()),
        ("variant", image.variant.clone().unwrap_or_default()),
        ("author", image.author.clone().unwrap_or_default()),
        ("created", image.created.clone().unwrap_or_default()),
        ("stopSignal", image.config.stop_signal.clone().unwrap_or_default()),
        ("exposedPorts", ports.join(",")),
    ];
    let mut annotations: BTreeMap<String, String> = said
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value))
        .collect();
    annotations.extend(image.config.labels.clone());
    annotations
}
