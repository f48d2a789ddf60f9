//! A process of a container, from the runtime's copy to the container's program.
//!
//! ```text
//!   prepare   (parent)  everything parsed and allocated
//!   equip     (child)   streams, limits, working directory
//!   settle    (child)   user, capabilities: all rights are gone
//!   run       (child)   last filter, exec
//! ```
//!
//! The order is forced: limits and the bound need rights, the user's change takes them away, and the
//! working directory may be closed to the user. A filter needs either a right
//! (CAP_SYS_ADMIN, so it comes first) or the promise of no new privileges (then it comes last, and
//! need not allow what `settle` does).

use crate::{
    Stdio,
    agent::Agent,
    capabilities::Sets,
    console::{Console, LineEnds},
    io_priority::Urgency,
    limits::Limits,
    line::ChildEnd,
    mappings,
    memory_policy::Placement,
    null_streams,
    personality::Domain,
    program::Program,
    scheduler::Policy,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::{
    accounts,
    runtime::{ConsoleSize, Process, Seccomp, Spec, State},
};
use dhow_sys::{
    fds::leave_to_exec,
    filter::Instruction,
    procfs::Procfs,
    regular,
    root::{Last, Root},
};
use rustix::{
    fs::{CWD, Gid, Mode, OFlags, Uid},
    io::Errno,
    process::Pid,
};
use std::{
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

/// What a security module is told of a process.
#[derive(Debug)]
struct Label<'a> {
    /// What the module calls it.
    name: &'static str,
    value: &'a str,
    /// Files of procfs that take it, the first that does.
    files: &'static [&'static str],
    /// What they take.
    text: String,
}

/// A process, ready to become.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    process: &'a Process,
    stdio: Stdio<'a>,
    program: Program,
    capabilities: Sets,
    limits: Limits,
    groups: Vec<Gid>,
    scheduler: Option<Policy<'a>>,
    urgency: Option<Urgency>,
    domain: Option<Domain>,
    placement: Option<Placement<'a>>,
    filter: Option<Filter>,
    agent: Option<Agent<'a>>,
    ignored_signals: u64,
    inherited_mask: Option<Mode>,
    is_in_directory: bool,
}

#[derive(Debug)]
struct Filter {
    instructions: Vec<Instruction>,
    flags: u32,
    notifies: bool,
}

/// The kernel takes -1 for "as before", and before is root.
fn check_ids(user: &dhow_spec::runtime::User) -> Result<()> {
    let mut ids = [user.uid, user.gid].into_iter().chain(user.additional_gids.iter().copied());
    if ids.any(|id| id == u32::MAX) {
        let text = format!("use {} as a user or group: it is no id", u32::MAX);
        return Err(Error::new(Kind::Invalid, text));
    }
    Ok(())
}

impl<'a> Task<'a> {
    /// Parses everything, so that a bad word is found before anything is made. What a joining
    /// process does not say of its scheduling is as the container's own process has it.
    pub(crate) fn prepare(spec: &'a Spec, process: &'a Process, stdio: Stdio<'a>) -> Result<Self> {
        if !Path::new(&process.cwd).is_absolute() {
            let text = format!("use working directory {:?}: it is not absolute", process.cwd);
            return Err(Error::new(Kind::Invalid, text));
        }
        check_ids(&process.user)?;
        let linux = spec.linux.as_ref();
        let own = spec.process.as_ref();
        let scheduler = process.scheduler.as_ref().or(own.and_then(|own| own.scheduler.as_ref()));
        let io_priority =
            process.io_priority.as_ref().or(own.and_then(|own| own.io_priority.as_ref()));
        let personality = linux.and_then(|linux| linux.personality.as_ref());
        let memory_policy = linux.and_then(|linux| linux.memory_policy.as_ref());
        let seccomp = linux.and_then(|linux| linux.seccomp.as_ref());
        let filter = seccomp.map(Filter::compile).transpose()?;
        let asked = seccomp.filter(|_| filter.as_ref().is_some_and(|filter| filter.notifies));
        Ok(Self {
            process,
            stdio,
            program: Program::prepare(process)?,
            capabilities: Sets::read(process.capabilities.as_ref()),
            limits: Limits::parse(&process.rlimits)?,
            groups: process.user.additional_gids.iter().map(|&gid| Gid::from_raw(gid)).collect(),
            scheduler: scheduler.map(Policy::parse).transpose()?,
            urgency: io_priority.map(Urgency::parse).transpose()?,
            domain: personality.map(Domain::parse).transpose()?,
            placement: memory_policy.map(Placement::parse).transpose()?,
            filter,
            agent: asked.map(Agent::connect).transpose()?,
            ignored_signals: dhow_sys::signal::ignored().doing(|| "read the ignored signals")?,
            inherited_mask: None,
            is_in_directory: false,
        })
    }

    /// Whether it has a terminal of its own.
    pub(crate) fn wants_terminal(&self) -> bool {
        self.process.terminal
    }

    /// Who turns the ends of its lines into what a terminal needs.
    pub(crate) fn line_ends(&self) -> LineEnds {
        match self.stdio {
            Stdio::Shown => LineEnds::AsWritten,
            Stdio::Inherit | Stdio::Streams(_) => LineEnds::Returned,
        }
    }

    /// The program's home, where the environment did not say it.
    pub(crate) fn found_home(&self) -> Option<&str> {
        self.program.found_home()
    }

    /// The terminal's first size.
    pub(crate) fn console_size(&self) -> Option<ConsoleSize> {
        self.process.console_size
    }

    /// The working directory, absolute, inside the container.
    pub(crate) fn working_directory(&self) -> &Path {
        Path::new(&self.process.cwd)
    }

    /// A procfs for the labels of the security modules, where there are labels. It is opened while
    /// the process may still mount.
    pub(crate) fn procfs_for_labels(&self) -> Result<Option<Procfs>> {
        if self.label().is_none() {
            return Ok(None);
        }
        Procfs::private().map(Some).doing(|| "mount a procfs to set the security label")
    }

    /// Has new keys get the process's SELinux label, without which it could not use them. What the
    /// program makes gets what its policy says: an exec takes this back.
    pub(crate) fn label_keys(&self, procfs: &Procfs) {
        if let Some(label) = filled(self.process.selinux_label.as_deref()) {
            // A policy that refuses has the keyring labelled otherwise, and is obeyed.
            let _refused = procfs.write(Path::new("self/attr/keycreate"), label.as_bytes());
        }
    }

    /// Keeps the file mode mask that the caller has, for a process that names none.
    pub(crate) fn keep_mask(&mut self, mask: Mode) {
        self.inherited_mask = Some(mask);
    }

    /// What takes rights outside of a new user namespace, for the process with this number, which
    /// has just been born into one.
    pub(crate) fn grant(&self, pid: Pid) -> Result<()> {
        self.limits.raise(Some(pid))?;
        self.write_oom_score(&format!("{}/oom_score_adj", pid.as_raw_pid()))
    }

    /// As [`grant`](Self::grant), by the process itself, before it loses those rights.
    pub(crate) fn grant_itself(&self) -> Result<()> {
        self.limits.raise(None)?;
        self.write_oom_score("self/oom_score_adj")
    }

    /// How willingly the kernel kills a process. Written before the process loses the right to.
    fn write_oom_score(&self, file: &str) -> Result<()> {
        let Some(score) = self.process.oom_score_adj else { return Ok(()) };
        let doing = || format!("set oom_score_adj to {score}");
        let host = Procfs::of_host().doing(doing)?;
        host.write(Path::new(file), score.to_string().as_bytes()).doing(doing).map_err(|error| {
            match error.kind() {
                Kind::Denied => error.hint("lowering it needs CAP_SYS_RESOURCE"),
                _ => error,
            }
        })
    }

    /// Tells the agent of the filtered process with this number.
    pub(crate) fn introduce(&self, listener: BorrowedFd<'_>, pid: i32, state: State) -> Result<()> {
        match &self.agent {
            Some(agent) => agent.introduce(listener, pid, state),
            None => Err(Error::new(Kind::Internal, "take a listener that no filter asks for")),
        }
    }

    /// Takes what it is given: streams, limits, its share of the machine, its directory.
    pub(crate) fn equip(&mut self, console: Option<&Console>) -> Result<()> {
        if self.program.lacks_home() {
            self.program.set_home(&home(self.process.user.uid))?;
        }
        let user = &self.process.user;
        if let Some(console) = console {
            console.give_to(user.uid)?;
            console.take()?;
        } else {
            self.take_streams()?;
            null_streams::replace()?;
        }
        self.limits.apply()?;
        self.take_its_share()?;
        self.is_in_directory = self.enter_with_rights()?;
        Ok(())
    }

    /// Becomes the container's process in all but the program. A filter may hold from its first step
    /// on, and need not know of newer calls than this takes.
    pub(crate) fn settle(&mut self, is_user_own: bool, line: &ChildEnd) -> Result<()> {
        let user = &self.process.user;
        if !self.process.no_new_privileges {
            self.load_filter(line)?;
        }
        self.capabilities.limit()?;
        if user.uid != 0 {
            rustix::thread::set_keep_capabilities(true).doing(|| "keep the capabilities")?;
        }
        self.become_user(is_user_own)?;
        if !self.is_in_directory {
            self.enter_working_directory()?;
        }
        self.capabilities.apply()?;
        if self.process.no_new_privileges {
            rustix::thread::set_no_new_privs(true).doing(|| "give up new privileges")?;
        }
        if let Some(mask) = user.umask.map(Mode::from_raw_mode).or(self.inherited_mask) {
            rustix::process::umask(mask);
        }
        // The agent must be there when the container is created, not when it is started.
        if self.process.no_new_privileges && self.agent.is_some() {
            self.load_filter(line)?;
        }
        Ok(())
    }

    /// How the kernel treats it beside others: needs rights, and the cgroup.
    fn take_its_share(&self) -> Result<()> {
        self.scheduler.as_ref().map_or(Ok(()), Policy::apply)?;
        self.urgency.map_or(Ok(()), Urgency::apply)?;
        self.domain.map_or(Ok(()), Domain::apply)?;
        self.placement.as_ref().map_or(Ok(()), Placement::apply)
    }

    /// Finds the program without running it.
    pub(crate) fn find_program(&self) -> Result<()> {
        self.program.find()
    }

    /// Loads a filter that would wait for the exec: other code of the image's runs before it.
    pub(crate) fn load_late_filter(&mut self) -> Result<()> {
        if !self.process.no_new_privileges {
            return Ok(());
        }
        match self.filter.take_if(|filter| !filter.notifies) {
            Some(filter) => filter.load(),
            None => Ok(()),
        }
    }

    /// Runs the program; comes back with the reason why that is not possible.
    pub(crate) fn run(&self, procfs: Option<&Procfs>) -> Error {
        match self.prepare_exec(procfs) {
            Ok(()) => self.program.run(),
            Err(error) => error,
        }
    }

    fn prepare_exec(&self, procfs: Option<&Procfs>) -> Result<()> {
        if let Some(procfs) = procfs {
            self.set_label(procfs)?;
        }
        dhow_sys::signal::reset(self.ignored_signals).doing(|| "reset the signals")?;
        match &self.filter {
            Some(filter) if self.process.no_new_privileges && !filter.notifies => filter.load(),
            _ => Ok(()),
        }
    }

    fn take_streams(&self) -> Result<()> {
        let Stdio::Streams([input, output, errors]) = self.stdio else { return Ok(()) };
        let doing = || "set the standard streams";
        rustix::stdio::dup2_stdin(input).doing(doing)?;
        rustix::stdio::dup2_stdout(output).doing(doing)?;
        rustix::stdio::dup2_stderr(errors).doing(doing)
    }

    fn become_user(&self, is_user_own: bool) -> Result<()> {
        let user = &self.process.user;
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        let doing = || format!("become user {} and group {}", user.uid, user.gid);
        match dhow_sys::process::become_user(uid, gid, Some(&self.groups)) {
            // A user namespace of an ordinary user may forbid setgroups(2).
            Err(error)
                if self.groups.is_empty()
                    && error.raw_os_error() == Some(Errno::PERM.raw_os_error())
                    && (is_user_own || mappings::forbids_leaving_groups()) =>
            {
                dhow_sys::process::become_user(uid, gid, None).doing(doing)
            }
            result => result.doing(doing).map_err(|error| match error.errno() {
                Some(errno) if errno == Errno::INVAL.raw_os_error() => {
                    error.hint("the user namespace does not map these ids")
                }
                _ => error,
            }),
        }
    }

    /// Enters the working directory before the user's rights are all there are: an image may name one
    /// that is closed to them. Where these rights do not reach, as on a filesystem of somebody else's,
    /// the user's own may.
    fn enter_with_rights(&self) -> Result<bool> {
        match self.enter_working_directory() {
            Ok(()) => Ok(true),
            Err(error)
                if [Errno::ACCESS, Errno::PERM]
                    .iter()
                    .any(|errno| error.errno() == Some(errno.raw_os_error())) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Enters the working directory. The path is resolved without magic links: one of
    /// those could lead to a directory of the host's that an fd still holds (CVE-2024-21626).
    fn enter_working_directory(&self) -> Result<()> {
        let path = self.working_directory();
        if path == Path::new("/") {
            // Both a pivot and a join of a mount namespace end there.
            return Ok(());
        }
        let doing = || format!("enter the working directory {}", path.display());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::openat(CWD, "/", flags, Mode::empty()).doing(doing)?;
        let root = Root::new(top.as_fd());
        let directory = root
            .open(path, OFlags::PATH | OFlags::DIRECTORY, Last::Followed)
            .map_err(|error| Error::new(Kind::Invalid, doing()).because(error))?;
        rustix::process::fchdir(&directory).doing(doing)?;
        leave_to_exec(top);
        leave_to_exec(directory);
        let shown = rustix::process::getcwd(Vec::new()).doing(doing)?;
        if shown.as_bytes().first() != Some(&b'/') {
            return Err(Error::new(Kind::Denied, doing()));
        }
        Ok(())
    }

    fn load_filter(&self, line: &ChildEnd) -> Result<()> {
        match &self.filter {
            Some(filter) if filter.notifies => filter.load_and_deliver(line),
            Some(filter) => filter.load(),
            None => Ok(()),
        }
    }

    fn label(&self) -> Option<Label<'_>> {
        let apparmor = filled(self.process.apparmor_profile.as_deref()).map(|profile| Label {
            name: "AppArmor profile",
            value: profile,
            files: &["self/attr/apparmor/exec", "self/attr/exec"],
            text: format!("exec {profile}"),
        });
        apparmor.or_else(|| {
            filled(self.process.selinux_label.as_deref()).map(|label| Label {
                name: "SELinux label",
                value: label,
                files: &["self/attr/exec"],
                text: label.to_owned(),
            })
        })
    }

    fn set_label(&self, procfs: &Procfs) -> Result<()> {
        let Some(label) = self.label() else { return Ok(()) };
        let mut failure = None;
        for file in label.files {
            match procfs.write(Path::new(file), label.text.as_bytes()) {
                Ok(()) => return Ok(()),
                Err(error) => failure = Some(error),
            }
        }
        let text = format!("set the {} {:?}", label.name, label.value);
        let error = Error::new(Kind::Unsupported, text)
            .hint("does this kernel run the security module that it is for?");
        Err(match failure {
            Some(failure) => error.because(failure),
            None => error,
        })
    }
}

fn filled(label: Option<&str>) -> Option<&str> {
    label.filter(|label| !label.is_empty())
}

impl Filter {
    fn compile(seccomp: &Seccomp) -> Result<Self> {
        let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if is_set(&seccomp.listener_metadata) && seccomp.listener_path.is_none() {
            let text = "use linux.seccomp.listenerMetadata: listenerPath is not set";
            return Err(Error::new(Kind::Invalid, text));
        }
        let program = dhow_seccomp::compile(seccomp).doing(|| "compile the seccomp filter")?;
        let instructions = program
            .instructions()
            .iter()
            .map(|own| Instruction { code: own.code, jt: own.jt, jf: own.jf, k: own.k })
            .collect();
        Ok(Self { instructions, flags: program.flags().bits(), notifies: program.notifies() })
    }

    fn load(&self) -> Result<()> {
        dhow_sys::filter::load(&self.instructions, self.flags).doing(|| "load the seccomp filter")
    }

    fn load_and_deliver(&self, line: &ChildEnd) -> Result<()> {
        let deliver = |listener: BorrowedFd<'_>| line.deliver(listener);
        dhow_sys::courier::load_and_deliver(&self.instructions, self.flags, deliver)
            .doing(|| "load the seccomp filter and hand its listener over")
    }
}

/// Where a user is at home in the root that this process has. Accounts that cannot be read say
/// nothing, and stop nothing.
fn home(uid: u32) -> String {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let passwd =
        rustix::fs::openat(CWD, "/", flags, Mode::empty()).map_err(Into::into).and_then(|top| {
            let root = Root::new(top.as_fd());
            let read = regular::read(root, Path::new("etc/passwd"), accounts::LIMIT_BYTES);
            leave_to_exec(top);
            read
        });
    accounts::home(&passwd.unwrap_or_default(), uid)
}
