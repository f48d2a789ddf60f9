//! Accounts that a container gets beside its image's: lines for `/etc/passwd` and `/etc/group`.
//!
//! The files are the image's with lines added. They lie with the container, are bound over the
//! image's, and are made once, so that what the container writes into them stays.

use crate::{identity::Identity, options::AccountOptions};
use dhow_base::{Error, Kind, Result, file};
use dhow_spec::accounts::{LIMIT_BYTES, accounts, groups};
use std::path::Path;

/// What the two files are to hold; nothing where the image's will do.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Added {
    /// `/etc/passwd`.
    pub(crate) passwd: Option<Vec<u8>>,
    /// `/etc/group`.
    pub(crate) group: Option<Vec<u8>>,
}

/// Whether anything may have to be added.
pub(crate) fn is_asked(asked: &AccountOptions) -> bool {
    asked.make != Some(false)
        && (asked.make.is_some()
            || asked.user_entry.is_some()
            || asked.group_entry.is_some()
            || !asked.host_users.is_empty())
}

/// Who keeps their id inside has their name there too, as in podman, where the host knows one.
pub(crate) fn with_name_of(asked: &AccountOptions, uid: u32) -> Result<AccountOptions> {
    let mut asked = asked.clone();
    if asked.make == Some(false) || asked.user_entry.is_some() {
        return Ok(asked);
    }
    asked.make = Some(true);
    let passwd = match file::read_limited(Path::new("/etc/passwd"), LIMIT_BYTES) {
        Err(error) if error.kind() == Kind::NotFound => Vec::new(),
        result => result?,
    };
    let name = accounts(&passwd).find(|account| account.uid == uid).map(|account| account.name);
    if let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok())
        && !name.contains('$')
    {
        asked.user_entry = Some(format!("{name}:*:$UID:$GID:$NAME:$HOME:/bin/sh"));
    }
    Ok(asked)
}

/// podman's rule: the process's user and group get a line each where the image has none for them.
pub(crate) fn added(
    asked: &AccountOptions,
    identity: &Identity,
    workdir: &str,
    files: (&[u8], &[u8]),
) -> Result<Added> {
    let (passwd, group) = files;
    let (uid, gid) = (identity.user.uid, identity.user.gid);
    let mut users = Vec::new();
    for wanted in &asked.host_users {
        let line = of_host(wanted)?;
        if !accounts(passwd).any(|account| line.starts_with(&[account.name, b":"].concat())) {
            users.push(line);
        }
    }
    let has_user = |bytes: &[u8]| accounts(bytes).any(|account| account.uid == uid);
    if !has_user(passwd) && !users.iter().any(|line| has_user(line)) {
        let entry = asked.user_entry.as_deref();
        let entry = entry.unwrap_or("$USERNAME:*:$UID:$GID:$NAME:$HOME:/bin/sh");
        let names = [
            ("$USERNAME", uid.to_string()),
            ("$UID", uid.to_string()),
            ("$GID", gid.to_string()),
            ("$NAME", "container user".to_owned()),
            ("$HOME", workdir.to_owned()),
        ];
        users.push(line("--passwd-entry", entry, &names)?);
    }
    let mut entries = Vec::new();
    if !groups(group).any(|entry| entry.gid == gid) {
        let entry = asked.group_entry.as_deref().unwrap_or("$GROUPNAME:x:$GID:$USERLIST");
        let names = [
            ("$GROUPNAME", gid.to_string()),
            ("$GID", gid.to_string()),
            ("$USERLIST", uid.to_string()),
        ];
        entries.push(line("--group-entry", entry, &names)?);
    }
    Ok(Added { passwd: with_lines(passwd, &users), group: with_lines(group, &entries) })
}

fn line(flag: &str, entry: &str, names: &[(&str, String)]) -> Result<Vec<u8>> {
    if entry.contains(['\n', '\0']) {
        return Err(Error::new(Kind::Invalid, format!("{flag} {entry:?}: it is not one line")));
    }
    let filled =
        names.iter().fold(entry.to_owned(), |text, (name, value)| text.replace(name, value));
    Ok(filled.into_bytes())
}

fn with_lines(bytes: &[u8], lines: &[Vec<u8>]) -> Option<Vec<u8>> {
    if lines.is_empty() {
        return None;
    }
    let mut whole = bytes.to_vec();
    if !whole.is_empty() && !whole.ends_with(b"\n") {
        whole.push(b'\n');
    }
    for line in lines {
        whole.extend_from_slice(line);
        whole.push(b'\n');
    }
    Some(whole)
}

/// The line of an account of the host's, by its name or number.
fn of_host(wanted: &str) -> Result<Vec<u8>> {
    let bytes = file::read_limited(Path::new("/etc/passwd"), LIMIT_BYTES)?;
    find(&bytes, wanted).ok_or_else(|| {
        Error::new(Kind::NotFound, format!("--hostuser {wanted:?}: the host has no such account"))
            .hint("/etc/passwd of the host lists them")
    })
}

fn find(passwd: &[u8], wanted: &str) -> Option<Vec<u8>> {
    let mut lines = passwd.split(|byte| *byte == b'\n');
    let line = lines.find(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let (name, uid) = (fields.next(), fields.nth(1));
        uid.is_some() && [name, uid].contains(&Some(wanted.as_bytes()))
    })?;
    Some(line.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_spec::runtime::User;

    fn of(uid: u32, gid: u32) -> Identity {
        Identity { user: User { uid, gid, ..User::default() }, home: "/".to_owned() }
    }

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh";
    const GROUP: &[u8] = b"root:x:0:\n";

    #[test]
    fn who_has_an_account_gets_none() {
        let asked = AccountOptions { make: Some(true), ..AccountOptions::default() };

        assert_eq!(added(&asked, &of(0, 0), "/", (PASSWD, GROUP)).unwrap(), Added::default());
    }

    #[test]
    fn a_stranger_gets_a_line_in_both_files() {
        let asked = AccountOptions { make: Some(true), ..AccountOptions::default() };

        let added = added(&asked, &of(7, 8), "/work", (PASSWD, GROUP)).unwrap();

        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
        assert_eq!(
            text(added.passwd),
            "root:x:0:0:root:/root:/bin/sh\n7:*:7:8:container user:/work:/bin/sh\n"
        );
        assert_eq!(text(added.group), "root:x:0:\n8:x:8:7\n");
    }

    #[test]
    fn an_entry_of_the_users_is_filled_and_is_one_line() {
        let entry = |text: &str| AccountOptions {
            user_entry: Some(text.to_owned()),
            ..AccountOptions::default()
        };
        let passwd = |text: &str| added(&entry(text), &of(7, 0), "/w", (b"", GROUP));

        assert_eq!(passwd("me:x:$UID:$GID::$HOME:").unwrap().passwd.unwrap(), b"me:x:7:0::/w:\n");
        assert_eq!(passwd("a\nb").unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn accounts_of_the_hosts_are_found_by_name_or_number() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nme:x:7:7::/home/me:/bin/sh\n";

        assert_eq!(find(passwd, "me"), find(passwd, "7"));
        assert!(find(passwd, "me").unwrap().starts_with(b"me:"));
        assert_eq!(find(passwd, "x"), None);
        assert_eq!(find(passwd, ""), None);
    }
}
