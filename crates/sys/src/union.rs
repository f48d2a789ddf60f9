//! A [`Mount`] made real but attached nowhere: an fd to look into, or to attach with `move_mount`.
//!
//! Nobody else sees such a mount, no path leads to it, and it goes when the last fd of it closes.
//! Linux 5.2. Layers are given one by one, which has no limit on their number (Linux 6.5). Before,
//! the kernel takes them in one string of 255 bytes, in which no comma may be: there they are given
//! by the numbers of fds, which is room for 64 layers and more.

mod mapped;

pub use mapped::{Owners, open_mapped};

use crate::{
    loop_device::LoopDevice,
    mount::{Attributes, Propagation, Reach, copy, set_attributes},
    procfs::Procfs,
};
use dhow_spec::{Mount, mount::OverlayUpper};
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd,
        fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    },
};
use std::{
    error, fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Which of the many steps failed, where the errno alone would not tell.
#[derive(Debug)]
pub struct Failure {
    /// The step, with the path it was about or the kernel's own words.
    pub step: String,
    /// The errno.
    pub source: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.step)
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

/// For callers who only pass it on; the kind stays.
impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.source.kind(), failure)
    }
}

/// Names the step that failed.
fn failed<E: Into<io::Error>>(step: impl FnOnce() -> String) -> impl FnOnce(E) -> Failure {
    |source| Failure { step: step(), source: source.into() }
}

/// Mounts without attaching.
pub fn open(mount: &Mount) -> Result<OwnedFd, Failure> {
    open_labelled(mount, None)
}

/// As [`open`]; the files of a union have this label of SELinux. A directory's have those that they
/// have on disk.
pub fn open_labelled(mount: &Mount, label: Option<&str>) -> Result<OwnedFd, Failure> {
    match mount {
        Mount::Overlay { lower, upper, userxattr } => {
            overlay(&Layers { lower, upper: upper.as_ref(), userxattr: *userxattr, label })
        }
        Mount::Bind { source, read_only: false } => bind(source, Propagation::Private),
        Mount::Bind { source, read_only: true } => bind_read_only(source),
        Mount::Attached { at } => attached(at),
    }
}

/// A copy of a directory's mount, with what is mounted below it.
pub fn bind(source: &Path, propagation: Propagation) -> Result<OwnedFd, Failure> {
    let step = || format!("open the directory {}", source.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, source, flags, Mode::empty()).map_err(failed(step))?;
    let attributes = Attributes::propagating(propagation);
    copy(place.as_fd(), attributes, Reach::WholeTree).map_err(failed(step))
}

/// A copy of a root that is mounted for somebody to look into, without what is kept from that one.
fn attached(at: &Path) -> Result<OwnedFd, Failure> {
    let root = bind(at, Propagation::Private)?;
    let attributes = Attributes {
        set: MountAttrFlags::empty(),
        clear: MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID,
        propagation: None,
    };
    set_attributes(root.as_fd(), attributes, Reach::ThisMount)
        .map_err(failed(|| format!("take {} as the root", at.display())))?;
    Ok(root)
}

/// As [`bind`], private; what is mounted below stays as it is.
fn bind_read_only(source: &Path) -> Result<OwnedFd, Failure> {
    let root = bind(source, Propagation::Private)?;
    let attributes = Attributes::setting(MountAttrFlags::MOUNT_ATTR_RDONLY);
    set_attributes(root.as_fd(), attributes, Reach::ThisMount)
        .map_err(failed(|| format!("make {} read-only", source.display())))?;
    Ok(root)
}

/// How many layers the running kernel takes in one union: 500 (`OVL_MAX_STACK`), or before Linux
/// 6.5 as many as there is surely room for in its string, whatever the numbers of fds are.
pub fn most_layers() -> usize {
    most_layers_of(&rustix::system::uname().release().to_string_lossy())
}

fn most_layers_of(release: &str) -> usize {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse::<u32>().ok()).unwrap_or(0);
    if (next(), next()) >= (6, 5) { 500 } else { 60 }
}

/// What is to be united.
#[derive(Clone, Copy)]
struct Layers<'l> {
    lower: &'l [PathBuf],
    upper: Option<&'l OverlayUpper>,
    userxattr: bool,
    /// The SELinux label of all files.
    label: Option<&'l str>,
}

fn overlay(layers: &Layers<'_>) -> Result<OwnedFd, Failure> {
    // A union of one read-only layer is that layer; the kernel refuses it as an overlay.
    if let ([only], None) = (layers.lower, layers.upper) {
        return if is_image(only) { erofs(only) } else { bind_read_only(only) };
    }
    match overlay_of_many(layers) {
        // An older kernel takes every word without a comma and refuses the whole, without a reason.
        Err(Failure { step, source })
            if step == SILENT && source.raw_os_error() == Some(Errno::INVAL.raw_os_error()) =>
        {
            overlay_by_numbers(layers)
        }
        result => result,
    }
}

/// Is it a file that holds a file system? Its name tells, so that a start needs not ask the disk.
fn is_image(layer: &Path) -> bool {
    layer.extension().is_some_and(|extension| extension == "erofs")
}

/// Mounts an EROFS that lies in a file (Linux 6.12); through a loop device where the kernel wants a
/// disk.
pub fn erofs(image: &Path) -> Result<OwnedFd, Failure> {
    match erofs_of(image, image) {
        Err(failure) if failure.source.raw_os_error() == Some(Errno::NOTBLK.raw_os_error()) => {
            erofs_by_loop_device(image)
        }
        result => result,
    }
}

/// As [`erofs`], through a loop device: the mount keeps it, and it frees itself when the mount
/// goes.
pub fn erofs_by_loop_device(image: &Path) -> Result<OwnedFd, Failure> {
    let step = || format!("attach the layer {} to a loop device", image.display());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(CWD, image, flags, Mode::empty()).map_err(failed(step))?;
    let device = LoopDevice::attach(file.as_fd()).map_err(failed(step))?;
    erofs_of(device.path(), image)
}

fn erofs_of(source: &Path, image: &Path) -> Result<OwnedFd, Failure> {
    let step = || format!("mount the layer {}", image.display());
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(failed(|| "open the EROFS filesystem".to_owned()))?;
    fsconfig_set_string(context.as_fd(), "source", source).map_err(failed(step))?;
    fsconfig_create(context.as_fd()).map_err(failed(|| explained(context.as_fd(), step())))?;
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
        .map_err(failed(step))
}

/// What is said of a mount for whose failure the kernel had no words.
const SILENT: &str = "mount the overlay";

/// One layer a call (Linux 6.5); one that is mounted nowhere by its fd (Linux 6.13).
fn overlay_of_many(layers: &Layers<'_>) -> Result<OwnedFd, Failure> {
    let context = open_context(layers)?;
    // A mount that is attached nowhere goes with its fd, and the union takes it when it is made.
    let mut images = Vec::new();
    for layer in layers.lower {
        let step = || format!("use {} as a layer", layer.display());
        if is_image(layer) {
            let image = erofs(layer)?;
            fsconfig_set_fd(context.as_fd(), "lowerdir+", &image).map_err(failed(step))?;
            images.push(image);
            continue;
        }
        fsconfig_set_string(context.as_fd(), "lowerdir+", layer).map_err(|errno| match errno {
            Errno::INVAL => failed(|| SILENT.to_owned())(errno),
            _ => failed(step)(errno),
        })?;
    }
    if let Some(upper) = layers.upper {
        set_upper(context.as_fd(), upper, [&upper.upper, &upper.work])?;
    }
    let mounted = mount(context.as_fd());
    drop(images);
    mounted
}

/// All layers in one string, by fds: the names `3:4:5` are looked up in a directory of them.
fn overlay_by_numbers(layers: &Layers<'_>) -> Result<OwnedFd, Failure> {
    let Layers { lower, upper, .. } = layers;
    let opened = lower.iter().map(|layer| open_layer(layer)).collect::<Result<Vec<_>, _>>()?;
    let written = upper.map(|upper| [&upper.upper, &upper.work].map(|layer| open_layer(layer)));
    let number = |layer: &OwnedFd| PathBuf::from(layer.as_raw_fd().to_string());
    let numbers: Vec<String> = opened.iter().map(|layer| layer.as_raw_fd().to_string()).collect();
    let context = open_context(layers)?;
    fsconfig_set_string(context.as_fd(), "lowerdir", numbers.join(":")).map_err(failed(|| {
        format!("use {} layers: before Linux 6.5 there is room for some 64", lower.len())
    }))?;
    let mut kept = Vec::new();
    if let (Some(upper), Some([above, work])) = (upper, written) {
        kept = vec![above?, work?];
        set_upper(context.as_fd(), upper, [&number(&kept[0]), &number(&kept[1])])?;
    }
    let mounted = in_directory_of_fds(|| mount(context.as_fd()))?;
    drop((opened, kept));
    mounted
}

fn open_context(layers: &Layers<'_>) -> Result<OwnedFd, Failure> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(failed(|| "open the overlay filesystem".to_owned()))?;
    if layers.userxattr {
        fsconfig_set_flag(context.as_fd(), "userxattr")
            .map_err(failed(|| "keep the overlay's notes in user attributes".to_owned()))?;
    }
    if let Some(label) = layers.label {
        fsconfig_set_string(context.as_fd(), "context", label)
            .map_err(failed(|| format!("give the overlay the label {label}")))?;
    }
    Ok(context)
}

fn mount(context: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    fsconfig_create(context).map_err(failed(|| explained(context, SILENT.to_owned())))?;
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(failed(|| SILENT.to_owned()))
}

fn open_layer(layer: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, layer, flags, Mode::empty())
        .map_err(failed(|| format!("use {} as a layer", layer.display())))
}

/// Does something while the working directory is the one of this process's fds.
fn in_directory_of_fds<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    let doing = || "enter the directory of our own fds".to_owned();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let before = rustix::fs::openat(CWD, ".", flags, Mode::empty()).map_err(failed(doing))?;
    let fds = Procfs::of_host()
        .and_then(|host| host.open(Path::new("self/fd"), OFlags::PATH | OFlags::DIRECTORY))
        .map_err(failed(doing))?;
    rustix::process::fchdir(fds).map_err(failed(doing))?;
    let done = work();
    rustix::process::fchdir(before)
        .map_err(failed(|| "come back to the working directory".to_owned()))?;
    Ok(done)
}

/// The writable layer, under the names by which the kernel finds its two directories.
fn set_upper(
    context: BorrowedFd<'_>,
    upper: &OverlayUpper,
    names: [&PathBuf; 2],
) -> Result<(), Failure> {
    let keys = [("upperdir", &upper.upper), ("workdir", &upper.work)];
    for ((key, path), name) in keys.into_iter().zip(names) {
        fsconfig_set_string(context, key, name)
            .map_err(failed(|| format!("use {} as the overlay's {key}", path.display())))?;
    }
    if upper.volatile {
        fsconfig_set_flag(context, "volatile")
            .map_err(failed(|| "make the overlay volatile".to_owned()))?;
    }
    Ok(())
}

/// The step with the kernel's own words for its failure, which it keeps in the context.
fn explained(context: BorrowedFd<'_>, step: String) -> String {
    let mut buffer = [0_u8; 512];
    let count = rustix::io::read(context, &mut buffer).unwrap_or(0);
    let words = String::from_utf8_lossy(&buffer[..count]);
    match words.trim_end().trim_start_matches("e ") {
        "" => step,
        words => format!("{step} ({words})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_kernels_take_fewer_layers() {
        for (release, most) in [
            ("6.18.1", 500),
            ("6.5.0-14-generic", 500),
            ("7.0", 500),
            ("6.4.16", 60),
            ("6.1.0-13-cloud-amd64", 60),
            ("5.15.0", 60),
            ("unheard of", 60),
        ] {
            assert_eq!(most_layers_of(release), most, "{release}");
        }
    }

    #[test]
    fn a_failure_keeps_its_step_and_its_kind() {
        let missing = Mount::Bind { source: PathBuf::from("/no/such/layer"), read_only: true };

        let failure = open(&missing).unwrap_err();

        assert_eq!(failure.step, "open the directory /no/such/layer");
        assert_eq!(io::Error::from(failure).kind(), io::ErrorKind::NotFound);
    }
}
