//! What a C library would load by itself, planted in the image. The kernel notes when a file is
//! read: none of these is.

use super::{console::run_on_terminal, passed};
use crate::{Stage, Verdict, trial::Trial, verdict::ensure};
use dhow_base::{Doing, Result};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

const PLANTED: [&str; 24] = [
    "lib64/ld-linux-x86-64.so.2",
    "lib/ld-linux-aarch64.so.1",
    "lib/ld-musl-x86_64.so.1",
    "lib/x86_64-linux-gnu/libc.so.6",
    "lib/x86_64-linux-gnu/libnss_files.so.2",
    "lib/x86_64-linux-gnu/libnss_dns.so.2",
    "lib/x86_64-linux-gnu/libnss_compat.so.2",
    "lib/x86_64-linux-gnu/libgcc_s.so.1",
    "lib/x86_64-linux-gnu/libresolv.so.2",
    "lib64/libc.so.6",
    "lib64/libnss_files.so.2",
    "usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
    "usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache",
    "usr/lib/locale/locale-archive",
    "usr/lib/locale/C.utf8/LC_CTYPE",
    "usr/share/locale/locale.alias",
    "etc/ld.so.cache",
    "etc/ld.so.preload",
    "etc/nsswitch.conf",
    "etc/gai.conf",
    "etc/host.conf",
    "etc/resolv.conf",
    "etc/localtime",
    "etc/ssl/openssl.cnf",
];

pub(super) fn loaded(stage: &Stage) -> Result<Verdict> {
    let mut trial = Trial::new(stage)?;
    let mut planted = Vec::new();
    for place in PLANTED {
        if let Some(parent) = Path::new(place).parent().and_then(Path::to_str) {
            trial.make_directory(parent)?;
        }
        planted.push(trial.write(place, "hostile\n")?);
    }
    for file in &planted {
        make_old(file)?;
    }
    if !reading_is_noted(&trial)? {
        return Ok(Verdict::Skipped(
            "the file system does not note when files are read".to_owned(),
        ));
    }

    let environment =
        ["LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8", "GCONV_PATH=/lib", "TZ=:/etc/localtime"];
    trial.process().env.extend(environment.map(str::to_owned));
    let running = trial.start(&["wait"])?;
    for flags in [&[][..], &["--user", "0:0"], &["--cwd", "/srv"]] {
        let done = trial.exec(flags, &["nothing"])?;
        ensure!(done.code == 0, "exec {flags:?}: {done}");
    }
    drop(trial.delete()?);
    drop(running);
    trial.process().terminal = true;
    let (done, _) = run_on_terminal(stage, &mut trial, &["nothing"])?;
    ensure!(done.code == 0, "on a terminal: {done}");

    let read: Vec<&PathBuf> = planted.iter().filter(|file| was_read(file)).collect();
    ensure!(read.is_empty(), "somebody read {read:?}");
    Ok(passed(format!("{} files unread in 6 commands", planted.len())))
}

/// Sets the time of last reading back, so that the next one is noted (relatime).
fn make_old(file: &Path) -> Result<()> {
    let time = Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: now() };
    rustix::fs::utimensat(CWD, file, &times, AtFlags::empty())
        .doing(|| format!("set the times of {}", file.display()))
}

fn now() -> Timespec {
    Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW }
}

fn was_read(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.atime() != 1_000_000)
}

fn reading_is_noted(trial: &Trial<'_>) -> Result<bool> {
    let file = trial.write("etc/control", "read me\n")?;
    make_old(&file)?;
    fs::read(&file).doing(|| "read the control")?;
    Ok(was_read(&file))
}
