//! Who a process runs as: `user[:group]` and the container's own `/etc/passwd` and `/etc/group`.
//!
//! The files come from strangers. They are opened below the container's root only, must be regular
//! and are read up to a limit: no code of the image's and no name service of the host's is asked.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::{
    accounts::{self, Account, LIMIT_BYTES, accounts, parse_id},
    runtime::User,
};
use dhow_sys::{regular, root::Root};
use std::{io, os::fd::BorrowedFd, path::Path};

/// An identity and what follows from it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    /// The numbers.
    pub(crate) user: User,
    /// The home directory; `/` where the accounts do not say.
    pub(crate) home: String,
}

/// Resolves what the user or the image asked for (`""` is root) in the accounts below `root`.
pub(crate) fn resolve(wanted: &str, groups: &[String], root: BorrowedFd<'_>) -> Result<Identity> {
    let doing = || format!("find user {wanted:?} in the container");
    let passwd = read_accounts(root, "etc/passwd").doing(doing)?;
    let group = read_accounts(root, "etc/group").doing(doing)?;
    resolve_in(wanted, groups, &passwd, &group).doing(doing)
}

fn resolve_in(wanted: &str, groups: &[String], passwd: &[u8], group: &[u8]) -> Result<Identity> {
    let (user, primary) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let account = match parse_id(user)? {
        Some(uid) => accounts(passwd).find(|account| account.uid == uid).unwrap_or(Account {
            name: b"",
            uid,
            gid: 0,
            home: b"/",
        }),
        None => {
            accounts(passwd).find(|account| account.name == user.as_bytes()).ok_or_else(|| {
                Error::new(Kind::NotFound, format!("no user {user} in /etc/passwd of the image"))
                    .hint("use a numeric id, or a user that the image has")
            })?
        }
    };
    let gid = match primary.filter(|primary| !primary.is_empty()) {
        Some(primary) => group_id(primary, group)?,
        None => account.gid,
    };
    let mut additional_gids = Vec::new();
    // An explicit group replaces the account's own, the supplementary ones too, as in docker.
    if primary.is_none() && !account.name.is_empty() {
        let member =
            |entry: &accounts::Group<'_>| entry.members().any(|member| member == account.name);
        additional_gids.extend(accounts::groups(group).filter(member).map(|entry| entry.gid));
    }
    for wanted in groups {
        additional_gids.push(group_id(wanted, group)?);
    }
    additional_gids.sort_unstable();
    additional_gids.dedup();
    additional_gids.truncate(65_536);
    let home = String::from_utf8_lossy(account.home).into_owned();
    Ok(Identity {
        user: User { uid: account.uid, gid, umask: None, additional_gids },
        home: if home.starts_with('/') { home } else { "/".to_owned() },
    })
}

fn group_id(wanted: &str, group: &[u8]) -> Result<u32> {
    if let Some(gid) = parse_id(wanted)? {
        return Ok(gid);
    }
    accounts::groups(group)
        .find(|entry| entry.name == wanted.as_bytes())
        .map(|entry| entry.gid)
        .ok_or_else(|| {
            Error::new(Kind::NotFound, format!("no group {wanted} in /etc/group of the image"))
                .hint("use a numeric id, or a group that the image has")
        })
}

/// The content of an account file; nothing where there is none.
pub(crate) fn read_accounts(root: BorrowedFd<'_>, path: &str) -> Result<Vec<u8>> {
    match regular::read(Root::new(root), Path::new(path), LIMIT_BYTES) {
        Err(error) if missing(&error) => Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            Err(Error::new(Kind::Invalid, format!("/{path} is not a regular file")))
        }
        result => result.doing(|| format!("read /{path}")),
    }
}

/// A root without accounts is fine, also one where a link or a file stands in the way.
fn missing(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::FileType;
    use std::os::fd::AsFd;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\nweb:x:33:33::/var/www:/bin/false\n\
          1000:x:5:5::/trap:/bin/sh\nme:x:1000:100::/home/me:/bin/sh\n";
    const GROUP: &[u8] = b"root:x:0:\nwheel:x:10:root,me\nusers:x:100:\nweb:x:33:\n";

    fn numbers(wanted: &str) -> Option<(u32, u32, Vec<u32>, String)> {
        let identity = resolve_in(wanted, &[], PASSWD, GROUP).ok()?;
        Some((identity.user.uid, identity.user.gid, identity.user.additional_gids, identity.home))
    }

    #[test]
    fn users_resolve_as_in_docker() {
        let cases = [
            ("", Some((0, 0, vec![10], "/root"))),
            ("root", Some((0, 0, vec![10], "/root"))),
            ("web", Some((33, 33, vec![], "/var/www"))),
            ("33", Some((33, 33, vec![], "/var/www"))),
            ("1000", Some((1000, 100, vec![10], "/home/me"))),
            ("me:web", Some((1000, 33, vec![], "/home/me"))),
            ("4711", Some((4711, 0, vec![], "/"))),
            ("4711:4712", Some((4711, 4712, vec![], "/"))),
            ("00", Some((0, 0, vec![10], "/root"))),
            ("nobody", None),
            ("me:nogroup", None),
            ("+0", None),
            (" 0", None),
            ("-1", None),
            ("4294967295", None),
            ("4294967296", None),
            ("٣", None),
        ];
        for (wanted, expected) in cases {
            let expected = expected.map(|(uid, gid, more, home)| (uid, gid, more, home.to_owned()));
            assert_eq!(numbers(wanted), expected, "user {wanted:?}");
        }
    }

    #[test]
    fn account_files_that_are_not_files_do_not_hang_or_lead_out() {
        let directory = tempfile::tempdir().unwrap();
        let etc = directory.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        let root = std::fs::File::open(directory.path()).unwrap();
        assert_eq!(resolve("", &[], root.as_fd()).unwrap().user, User::default());

        std::os::unix::fs::symlink("/etc/passwd", etc.join("passwd")).unwrap();
        assert_eq!(
            resolve("", &[], root.as_fd()).unwrap().home,
            "/",
            "a link to itself is no account file"
        );

        std::fs::remove_file(etc.join("passwd")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            etc.join("passwd"),
            FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o644),
            0,
        )
        .unwrap();
        assert_eq!(resolve("", &[], root.as_fd()).unwrap_err().kind(), Kind::Invalid);

        std::fs::remove_file(etc.join("passwd")).unwrap();
        std::fs::File::create_new(etc.join("passwd")).unwrap().set_len(10 << 30).unwrap();
        assert_eq!(resolve("", &[], root.as_fd()).unwrap_err().kind(), Kind::Exhausted);
    }
}
