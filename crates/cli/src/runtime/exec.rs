//! `exec`: one more process in a container, from flags or from a file with a whole process.

use super::{
    Call, Command, Touches,
    create::{Company, Files, terminal},
    foreground::{self, Child, Foreground, Orphans, Signals},
    grammar::{Flag, Stop, Words, bad, misused, switch, value},
};
use crate::exit::SUCCESS;
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_runtime::{Paused, Subgroup, shelf::Visit};
use dhow_spec::runtime::Process;
use std::{
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// The largest file that describes a process.
const LIMIT_BYTES: u64 = 16 << 20;

pub(super) const COMMAND: Command = Command {
    name: "exec",
    about: "Run one more process in a container",
    arguments: "ID COMMAND [ARGUMENT...] | --process FILE ID",
    count: 1..=usize::MAX,
    flags: &[&FLAGS],
    stop: Stop::AfterFirst,
    // So that a failure is told apart from the process's own code.
    failure: 255,
    touches: Touches::Container,
    act,
};

const FLAGS: [Flag; 17] = [
    value("console-socket", "", "SOCKET", "Send the terminal's master to this unix socket"),
    value("pidfd-socket", "", "SOCKET", "Send a pidfd of the process to this unix socket"),
    value("cwd", "", "DIR", "Run in this directory of the container"),
    value("env", "e", "NAME=VALUE", "Set an environment variable"),
    switch("tty", "t", "Give the process a terminal"),
    value("user", "u", "UID[:GID]", "Run as this user, by number"),
    value("additional-gids", "g", "GID", "Add a group, by number"),
    value("process", "p", "FILE", "Read the whole process from a JSON file"),
    switch("detach", "d", "Do not stay"),
    value("pid-file", "", "FILE", "Write the process's number to this file"),
    value("process-label", "", "LABEL", "Set the process's SELinux label"),
    value("apparmor", "", "PROFILE", "Set the process's AppArmor profile"),
    switch("no-new-privs", "", "Never let the process gain rights"),
    value("cap", "c", "CAPABILITY", "Add a capability"),
    value("preserve-fds", "", "NUMBER", "Leave the process so many more files open, from 3 on"),
    value("cgroup", "", "[CONTROLLER:]PATH", "Run below the container's cgroup, where PATH is"),
    switch("ignore-paused", "", "Go into a paused container, and run when it is resumed"),
];

fn act(call: &Call<'_>) -> Result<u8> {
    enter(call).doing(|| "exec failed")
}

fn enter(call: &Call<'_>) -> Result<u8> {
    let words = &call.words;
    let id = words.id()?;
    let files = Files::given(call)?;
    let mut process = described(call, id)?;
    let company = if words.is_on("detach") { Company::Leaves } else { Company::Stays };
    if process.terminal && company == Company::Stays {
        // It is the image of ours from its first moment on.
        process.console_size = foreground::own_size().or(process.console_size);
    }
    let path = |flag: &'static str| words.filled(flag).map(PathBuf::from);
    let (console_socket, pidfd_socket) = (path("console-socket"), path("pidfd-socket"));
    let pid_file = path("pid-file");
    let signals = match company {
        Company::Stays => Some(Signals::take()?),
        Company::Leaves => None,
    };
    let executed = call.shelf.exec(
        &Visit {
            id,
            terminal: terminal(console_socket.as_deref(), company),
            pidfd_socket: pidfd_socket.as_deref(),
            pid_file: pid_file.as_deref(),
            preserve_fds: files.count,
            paused: if words.is_on("ignore-paused") { Paused::Entered } else { Paused::Refused },
            subgroups: &subgroups(words)?,
        },
        &process,
    )?;
    let Some(signals) = signals else { return Ok(SUCCESS) };
    let child = Child { pid: executed.pid, pidfd: executed.pidfd.as_fd() };
    Foreground::new(signals, child, executed.terminal, None, Orphans::Elsewhere)?.stay()
}

/// The process of the file, or the container's own changed by flags.
fn described(call: &Call<'_>, id: &str) -> Result<Process> {
    if let Some(path) = call.words.filled("process") {
        let doing = || format!("read the process from {path}");
        let bytes = file::read_limited(Path::new(path), LIMIT_BYTES).doing(doing)?;
        return dhow_spec::runtime::parse(&bytes)
            .map_err(|error| Error::new(Kind::Invalid, doing()).because(error));
    }
    let mut process = call.shelf.record(id)?.spec.process.unwrap_or_default();
    process.args = call.words.arguments.get(1..).unwrap_or_default().to_vec();
    if process.args.is_empty() {
        return Err(misused("exec args cannot be empty"));
    }
    change(&mut process, &call.words)?;
    Ok(process)
}

fn change(process: &mut Process, words: &Words) -> Result<()> {
    let text = |flag: &'static str| words.filled(flag).map(str::to_owned);
    // A terminal of the first process's does not make one for this.
    process.terminal = words.is_on("tty");
    process.cwd = text("cwd").unwrap_or_else(|| process.cwd.clone());
    process.apparmor_profile = text("apparmor").or_else(|| process.apparmor_profile.take());
    process.selinux_label = text("process-label").or_else(|| process.selinux_label.take());
    process.no_new_privileges = words.switched("no-new-privs").unwrap_or(process.no_new_privileges);
    process.env.extend(words.texts("env").map(str::to_owned));
    if let Some(text) = words.filled("user") {
        (process.user.uid, process.user.gid) = user(text, process.user.gid)?;
    }
    for text in words.texts("additional-gids") {
        let gid = text.parse().map_err(|_| bad("additional-gids", text, "not a number"))?;
        process.user.additional_gids.push(gid);
    }
    add_capabilities(process, words);
    Ok(())
}

fn add_capabilities(process: &mut Process, words: &Words) {
    let mut names = words.texts("cap").peekable();
    if names.peek().is_none() {
        return;
    }
    let sets = process.capabilities.get_or_insert_default();
    // An ambient capability must be inheritable, so it is not one where nothing is.
    let keeps = !sets.inheritable.is_empty();
    for name in names {
        let mut given = vec![&mut sets.bounding, &mut sets.effective, &mut sets.permitted];
        if keeps {
            given.extend([&mut sets.inheritable, &mut sets.ambient]);
        }
        for set in given {
            if !set.iter().any(|own| own == name) {
                set.push(name.to_owned());
            }
        }
    }
}

/// Numbers only: names are the engine's business, which knows the container's accounts.
fn user(text: &str, gid: u32) -> Result<(u32, u32)> {
    let number = |digits: &str, what: &str| {
        // Digits only: the library would take a sign too.
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| digits.parse::<u32>().ok()).flatten();
        number
            .filter(|number| *number != u32::MAX)
            .ok_or_else(|| misused(format!("bad {what}: {digits:?}")).hint("write UID or UID:GID"))
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid, "uid")?, number(gid, "gid")?)),
        None => Ok((number(text, "uid")?, gid)),
    }
}

/// `path` for version 2, `controller[,controller]:path`, any number of them, for version 1.
fn subgroups(words: &Words) -> Result<Vec<Subgroup>> {
    let texts: Vec<&str> = words.texts("cgroup").collect();
    let mut subgroups: Vec<Subgroup> = Vec::new();
    for text in &texts {
        let invalid = |why: &str| misused(format!("invalid --cgroup argument: {text} ({why})"));
        let (controllers, path) = match text.split_once(':') {
            Some((names, path)) => (names.split(',').map(str::to_owned).collect(), path),
            None if texts.len() > 1 => return Err(invalid("missing <controller>: prefix")),
            None => (Vec::new(), *text),
        };
        for name in &controllers {
            if name.is_empty() {
                return Err(invalid("empty <controller> prefix"));
            }
            if subgroups.iter().any(|other| other.controllers.contains(name)) {
                return Err(invalid(&format!("controller {name} specified multiple times")));
            }
        }
        subgroups.push(Subgroup { controllers, path: path.to_owned() });
    }
    Ok(subgroups)
}

#[cfg(test)]
mod tests {
    use super::{
        super::grammar::{self, Read},
        *,
    };

    fn words(typed: &[&str]) -> Words {
        let typed: Vec<String> = typed.iter().map(|&word| word.to_owned()).collect();
        match grammar::read(&[&FLAGS], &typed, Stop::AfterFirst).unwrap() {
            Read::Words(words) => words,
            Read::Help => panic!("nobody asked for help"),
        }
    }

    #[test]
    fn users_are_numbers() {
        assert_eq!(user("5", 7).unwrap(), (5, 7));
        assert_eq!(user("5:6", 7).unwrap(), (5, 6));
        for bad in ["", "root", "5:", ":6", "-1", "+5", " 5", "4294967295", "4294967296"] {
            assert!(user(bad, 0).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sub_cgroups_are_a_path_or_have_controllers() {
        let read = |typed: &[&str]| subgroups(&words(typed)).map_err(|error| error.one_line());
        let group = |controllers: &[&str], path: &str| Subgroup {
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            path: path.to_owned(),
        };

        assert_eq!(read(&["--cgroup", "a/b"]).unwrap(), [group(&[], "a/b")]);
        assert_eq!(
            read(&["--cgroup=cpu,cpuacct:x", "--cgroup", "memory:y:z"]).unwrap(),
            [group(&["cpu", "cpuacct"], "x"), group(&["memory"], "y:z")]
        );
        for bad in [
            &["--cgroup", ":x"][..],
            &["--cgroup=a:x", "--cgroup=a:y"],
            &["--cgroup=a:x", "--cgroup=y"],
        ] {
            assert!(read(bad).unwrap_err().contains("invalid --cgroup"), "{bad:?}");
        }
    }

    #[test]
    fn flags_change_the_containers_own_process() {
        let mut process = Process { terminal: true, cwd: "/a".to_owned(), ..Process::default() };
        process.no_new_privileges = true;

        change(
            &mut process,
            &words(&["--no-new-privs=false", "-e", "A=1", "-g", "5", "-c", "CAP_KILL", "-u", "3"]),
        )
        .unwrap();

        assert!(!process.terminal && !process.no_new_privileges);
        assert_eq!((process.user.uid, &process.user.additional_gids[..]), (3, &[5][..]));
        assert_eq!((process.cwd.as_str(), process.env.as_slice()), ("/a", &["A=1".to_owned()][..]));
        let sets = process.capabilities.unwrap();
        assert_eq!(sets.effective, ["CAP_KILL"]);
        assert!(sets.ambient.is_empty());
    }
}
