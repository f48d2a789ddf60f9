//! Debian's cloud kernel, unpacked and not installed: `target/lab/<package>/`.

use dhow_base::{Doing, Error, Kind, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The package that names the newest one.
const NEWEST: &str = "linux-image-cloud-amd64";

/// A kernel on the disk.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Its image, to boot.
    pub(super) image: PathBuf,
    /// Its release, which names the folder of its modules: `6.1.0-56-cloud-amd64`.
    pub(super) release: String,
    directory: PathBuf,
}

impl Kernel {
    /// Fetches and unpacks it where it is not there yet.
    pub(super) fn prepare(target: &Path) -> Result<Self> {
        let package = newest()?;
        let directory = target.join("lab").join(&package);
        if !directory.is_dir() {
            fetch(&package, &directory)?;
        }
        let release = package.strip_prefix("linux-image-").unwrap_or(&package).to_owned();
        Ok(Self { image: directory.join(format!("boot/vmlinuz-{release}")), release, directory })
    }

    /// The file of a module, and those of the modules that it needs, in the order to load them.
    pub(super) fn module(&self, name: &str) -> Result<Vec<PathBuf>> {
        let modules = self.directory.join("lib/modules").join(&self.release);
        let listing = fs::read_to_string(modules.join("modules.dep"))
            .doing(|| format!("read what the modules of {} need", self.release))?;
        let line = listing.lines().find_map(|line| {
            let (path, needs) = line.split_once(':')?;
            path.ends_with(&format!("/{name}.ko")).then_some((path, needs))
        });
        let (path, needs) = line.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("find module {name} of kernel {}", self.release))
        })?;
        let last_first = needs.split_whitespace().rev();
        Ok(last_first.chain([path]).map(|path| modules.join(path)).collect())
    }
}

fn newest() -> Result<String> {
    let text = said(Command::new("apt-cache").args(["depends", NEWEST]))?;
    let mut names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let name = names.find(|name| name.starts_with("linux-image-"));
    name.map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::NotFound, format!("find the kernel behind package {NEWEST}"))
            .hint("run apt-get update")
    })
}

/// Unpacks beside the place and renames, so that a half kernel is never taken for one.
fn fetch(package: &str, directory: &Path) -> Result<()> {
    let above = directory.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(above).doing(|| format!("make {}", above.display()))?;
    let own = tempfile::tempdir_in(above).doing(|| "make a directory for a kernel")?;
    said(Command::new("apt-get").args(["-q", "-q", "download", package]).current_dir(&own))?;
    let archive = fs::read_dir(&own)
        .doing(|| "look for the downloaded package")?
        .filter_map(std::result::Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| Error::new(Kind::NotFound, format!("download package {package}")))?;
    let tree = own.path().join("tree");
    said(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&tree))?;
    let release = package.strip_prefix("linux-image-").unwrap_or(package);
    said(Command::new("depmod").arg("--basedir").arg(&tree).arg(release))?;
    match fs::rename(&tree, directory) {
        Err(_) if directory.is_dir() => Ok(()),
        result => result.doing(|| format!("put the kernel at {}", directory.display())),
    }
}

/// Runs a command that must succeed; what it printed.
pub(super) fn said(command: &mut Command) -> Result<String> {
    let doing = format!("run {command:?}");
    let output = command.stdin(Stdio::null()).output().doing(|| doing.clone())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(Kind::Unavailable, format!("{doing}: {errors}")))
}
