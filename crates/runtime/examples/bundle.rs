//! Runs a bundle through the library, for the tests and for measuring: a single-threaded process
//! that creates, starts, waits and deletes, and tells of the end by its exit code.
//!
//! ```text
//!   bundle run ID DIRECTORY            run to the end
//!   bundle hold ID DIRECTORY           create, start on a line from standard input
//!   bundle exec ID DIRECTORY PID ARGS  one more process in a container that runs
//!   bundle repeat COUNT ID DIRECTORY   create, start, delete, COUNT times; prints microseconds
//!   bundle shelf ROOT create|start|state|kill|delete|list [ID [DIRECTORY]]
//!   bundle sealed …                    the same, from a sealed copy of itself
//! ```
//!
//! A `mount.json` beside `config.json` is the root filesystem as a mount. A terminal's output is
//! copied to standard output.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what tests read")]

use dhow_base::{Error, Kind, Result};
use dhow_runtime::shelf::{Creation, Force, Message, Shelf};
use dhow_runtime::{
    Driver, ExecRequest, Hold, Init, Keyring, Leftovers, MadeAhead, Paused, Request, Stdio,
};
use dhow_spec::{Mount, runtime::Spec};
use dhow_sys::exec::Strings;
use rustix::process::{Signal, WaitId, WaitIdOptions};
use std::{
    io::Write,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match obey(&words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{:?}: {}", error.kind(), error.one_line());
            ExitCode::from(match error.kind() {
                Kind::CommandNotFound => 127,
                Kind::CommandNotRunnable => 126,
                _ => 125,
            })
        }
    }
}

fn obey(words: &[&str]) -> Result<u8> {
    match words {
        ["sealed", words @ ..] => {
            seal();
            obey(words)
        }
        ["shelf", root, words @ ..] => shelf(&Shelf::new(Path::new(root)), words),
        ["run", id, bundle] => Bundle::open(id, bundle).and_then(|bundle| bundle.run(Hold::Not)),
        ["hold", id, bundle] => {
            Bundle::open(id, bundle).and_then(|bundle| bundle.run(Hold::UntilStart))
        }
        ["exec", id, bundle, pid, args @ ..] => {
            Bundle::open(id, bundle).and_then(|bundle| bundle.exec(pid, args))
        }
        ["repeat", count, id, bundle] => {
            Bundle::open(id, bundle).and_then(|bundle| bundle.repeat(count))
        }
        _ => Err(Error::new(Kind::Invalid, "understand the arguments")),
    }
}

/// Goes on as a copy of this program that nobody can write.
fn seal() {
    let arguments: Vec<String> = std::env::args().collect();
    let environment: Vec<String> =
        std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    let arguments = Strings::new(&arguments).expect("arguments have no zero bytes");
    let environment = Strings::new(&environment).expect("variables have no zero bytes");
    dhow_sys::seal::ensure(&arguments, &environment).expect("the program can be sealed");
}

fn shelf(shelf: &Shelf, words: &[&str]) -> Result<u8> {
    match words {
        ["create", id, bundle] => {
            shelf.create(&Creation::new(id, Path::new(bundle))).map(drop)?;
        }
        ["start", id] => shelf.start(id)?,
        ["state", id] => println!("{}", shelf.state(id)?.1.status),
        ["kill", id] => shelf.kill(id, Message::Signal(Signal::KILL))?,
        ["delete", id] => drop(shelf.delete(id, Force::Refuse)?),
        ["list"] => {
            for (outline, state) in shelf.list()? {
                println!("{} {}", outline.id, state.status);
            }
        }
        _ => return Err(Error::new(Kind::Invalid, "understand the arguments")),
    }
    Ok(0)
}

struct Bundle {
    id: String,
    path: PathBuf,
    spec: Spec,
    rootfs: Option<Mount>,
}

impl Bundle {
    fn open(id: &str, path: &str) -> Result<Self> {
        let path = PathBuf::from(path);
        let bytes = dhow_base::file::read_limited(&path.join("config.json"), 1 << 24)?;
        let rootfs = dhow_base::file::read_limited(&path.join("mount.json"), 1 << 20);
        let rootfs = rootfs.ok().map(|bytes| serde_json::from_slice(&bytes).expect("a mount"));
        Ok(Self { id: id.to_owned(), spec: Spec::parse(&bytes)?, path, rootfs })
    }

    fn request<'a>(&'a self, hold: Hold<'a>, root: &'a Path) -> Request<'a> {
        Request {
            id: &self.id,
            spec: &self.spec,
            driver: &Driver::Files,
            bundle: &self.path,
            rootfs: self.rootfs.as_ref(),
            mountpoint: root,
            stdio: Stdio::Inherit,
            hold,
            preserve_fds: 0,
            keyring: Keyring::New,
            made_ahead: MadeAhead::default(),
            network: None,
        }
    }

    fn root(&self) -> PathBuf {
        self.path.join(self.spec.root.as_ref().map_or(Path::new("rootfs"), |root| &root.path))
    }

    fn run(&self, hold: Hold<'_>) -> Result<u8> {
        let root = self.root();
        let mut container = dhow_runtime::create(&self.request(hold, &root))?;
        if matches!(hold, Hold::UntilStart) {
            println!("created {}", container.init.pid);
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).expect("standard input is open");
            if let Err(error) = container.start() {
                container.end();
                self.delete()?;
                return Err(error);
            }
        }
        let code = wait(&container.pidfd, container.terminal.as_ref());
        self.delete()?;
        Ok(code)
    }

    fn exec(&self, pid: &str, args: &[&str]) -> Result<u8> {
        let mut process = self.spec.process.clone().unwrap_or_default();
        process.args = args.iter().map(|&word| word.to_owned()).collect();
        let executed = dhow_runtime::exec(&ExecRequest {
            id: &self.id,
            init: Init::of_pid(pid.parse().expect("a process id"))?,
            spec: &self.spec,
            driver: &Driver::Files,
            bundle: &self.path,
            process: &process,
            stdio: Stdio::Inherit,
            preserve_fds: 0,
            paused: Paused::Refused,
            subgroups: &[],
        })?;
        Ok(wait(&executed.pidfd, executed.terminal.as_ref()))
    }

    fn repeat(&self, count: &str) -> Result<u8> {
        let root = self.root();
        for _ in 0..count.parse().expect("a number") {
            let begin = Instant::now();
            let mut container = dhow_runtime::create(&self.request(Hold::UntilStart, &root))?;
            container.start()?;
            wait(&container.pidfd, None);
            self.delete()?;
            println!("{}", begin.elapsed().as_micros());
        }
        Ok(0)
    }

    fn delete(&self) -> Result<()> {
        let leftovers = Leftovers {
            id: &self.id,
            spec: &self.spec,
            driver: &Driver::Files,
            bundle: &self.path,
        };
        let warnings = dhow_runtime::delete(&leftovers)?;
        warnings.into_iter().next().map_or(Ok(()), Err)
    }
}

fn wait(pidfd: &OwnedFd, terminal: Option<&OwnedFd>) -> u8 {
    if let Some(terminal) = terminal {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = rustix::io::read(terminal, &mut buffer) {
            std::io::stdout().write_all(&buffer[..count]).expect("standard output is open");
        }
    }
    let status = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
        .expect("it is our child")
        .expect("waiting blocks");
    let code = status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal));
    u8::try_from(code.unwrap_or(255)).unwrap_or(255)
}
