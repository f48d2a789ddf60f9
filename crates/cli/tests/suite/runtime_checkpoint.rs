//! The OCI runtime's `checkpoint` and `restore`, by a CRIU that works on this kernel.

use crate::{
    bundle::Bundle,
    console_socket::{read_until, receiver},
    fixture::SOON,
};
use dhow_base::id::random_hex;
use dhow_testkit::{Outcome, need, needs, needs_root, needs_tool, outcome, rootfs};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, PipeReader, PipeWriter, Read},
    net::{TcpListener, TcpStream},
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Prints ever larger numbers.
const COUNTER: &str = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done";

/// CRIU, or the end of the test with a word on why there is none.
macro_rules! criu {
    () => {{
        needs_root!();
        needs_tool!("mmdebstrap", "busybox");
        let criu = rootfs::working_criu();
        needs!(criu.is_some(), "a criu that works on this kernel");
        criu.unwrap().to_str().unwrap().to_owned()
    }};
}

/// What a container writes into and reads from: pipes, which CRIU can replace.
struct Streams {
    output: BufReader<PipeReader>,
    _input: PipeWriter,
}

impl Streams {
    /// The next number.
    fn number(&mut self) -> u64 {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().parse().unwrap_or_else(|_| panic!("{line:?} is no number"))
    }
}

/// Runs a command whose streams a container keeps.
fn run_on_pipes(bundle: &Bundle, words: &[&str]) -> (Streams, i32) {
    let (input, typed) = std::io::pipe().unwrap();
    let (output, printed) = std::io::pipe().unwrap();
    let mut command = bundle.command(words);
    command.stdin(input).stdout(printed.try_clone().unwrap()).stderr(printed);
    let status = command.status().unwrap();
    (Streams { output: BufReader::new(output), _input: typed }, status.code().unwrap_or(-1))
}

fn counter() -> (Bundle, Streams) {
    counter_in(|_| ())
}

/// A counter in a container that is configured otherwise.
fn counter_in(change: impl FnOnce(&mut Value)) -> (Bundle, Streams) {
    let bundle = Bundle::new(&["sh", "-c", COUNTER]);
    bundle.change(change);
    let id = bundle.id.clone();
    let (streams, code) = run_on_pipes(&bundle, &["run", "--detach", &id]);
    assert_eq!(code, 0);
    (bundle, streams)
}

/// Asks criu, found at `program`, for something.
fn checkpoint(bundle: &Bundle, program: &str, words: &[&str]) -> Outcome {
    let global = ["--criu", program, "checkpoint", "--image-path", "images"];
    bundle.run(&[&global, words, &[&bundle.id]].concat())
}

/// Makes the container again from its files; what it writes into now.
fn restore(bundle: &Bundle, criu: &str, words: &[&str]) -> Streams {
    let global = ["--criu", criu, "restore", "--detach", "--image-path", "images"];
    let (mut streams, code) = run_on_pipes(bundle, &[&global, words, &[&bundle.id]].concat());
    let mut said = String::new();
    if code != 0 {
        streams.output.read_line(&mut said).unwrap();
    }
    assert_eq!(code, 0, "{said}");
    streams
}

#[test]
fn a_container_is_written_down_and_goes_on_from_there() {
    let criu = criu!();
    let (bundle, mut streams) = counter();
    needs!(bundle.is_ours(), "our own runtime");
    while streams.number() < 3 {}

    drop(checkpoint(&bundle, &criu, &[]).ok());

    assert!(bundle.leftovers().is_empty(), "left behind: {:?}", bundle.leftovers());
    let mut streams = restore(&bundle, &criu, &[]);
    let first = streams.number();
    assert!(first > 3, "it began again with {first}");
    assert_eq!(streams.number(), first + 1);
    assert_eq!(bundle.status(), "running");
    let inside = bundle.run(&["exec", &bundle.id, "sh", "-c", "echo $$; hostname"]).ok();
    assert!(inside.stdout.lines().count() == 2, "{inside:?}");
}

#[test]
fn a_container_can_go_on_after_its_checkpoint() {
    let criu = criu!();
    let (bundle, mut streams) = counter();
    needs!(bundle.is_ours(), "our own runtime");

    drop(checkpoint(&bundle, &criu, &["--leave-running"]).ok());

    assert_eq!(bundle.status(), "running");
    let number = streams.number();
    assert_eq!(streams.number(), number + 1);
}

#[test]
fn a_terminal_comes_back_by_a_console_socket() {
    let criu = criu!();
    let bundle = Bundle::new(&["sh", "-c", COUNTER]);
    needs!(bundle.is_ours(), "our own runtime");
    bundle.change(|config| config["process"]["terminal"] = json!(true));
    let socket = |name: &str| bundle.dhow.directory().join(name);
    let (first, second) = (socket("first"), socket("second"));
    let told = receiver(&first);
    let words = ["run", "--detach", "--console-socket", first.to_str().unwrap(), &bundle.id];
    drop(bundle.run_detached(&words).ok());
    let master = told.recv_timeout(SOON).unwrap();
    let kept = master.try_clone().unwrap();
    drop(read_until(master, "\r\n3\r\n"));

    drop(checkpoint(&bundle, &criu, &[]).ok());
    drop(kept);
    let told = receiver(&second);
    let words = ["restore", "--detach", "--image-path", "images", "--console-socket"];
    let words = [&["--criu", &criu], &words[..], &[second.to_str().unwrap(), &bundle.id]].concat();
    drop(bundle.run_detached(&words).ok());

    let shown = read_until(told.recv_timeout(SOON).unwrap(), "0\r\n");
    let first: u64 = shown.split("\r\n").find_map(|line| line.parse().ok()).unwrap();
    assert!(first > 3, "it began again: {shown:?}");
    let inside = bundle.run(&["exec", &bundle.id, "sh", "-c", "ls -l /proc/1/fd/1"]).ok();
    assert!(inside.stdout.contains("/dev/pts/0"), "{inside}");
}

#[test]
fn connections_come_along_where_that_is_asked_for() {
    let criu = criu!();
    // Packets are held back by rules while there is nobody to answer them.
    needs_tool!("iptables-restore");
    let script = "(while true; do echo 7; sleep 0.05; done) | nc -l -p 99 >/dev/null & \
                  until nc 127.0.0.1 99; do sleep 0.05; done";
    let bundle = Bundle::new(&["sh", "-c", script]);
    needs!(bundle.is_ours(), "our own runtime");
    let (mut streams, code) = run_on_pipes(&bundle, &["run", "--detach", &bundle.id]);
    assert_eq!(code, 0);
    let mut line = String::new();
    while line != "7\n" {
        line.clear();
        streams.output.read_line(&mut line).unwrap();
    }

    let refused = checkpoint(&bundle, &criu, &[]).exits(1);
    assert!(refused.stderr.contains("--tcp-established"), "{refused}");
    assert_eq!(bundle.status(), "running");
    assert_eq!(streams.number(), 7);

    drop(checkpoint(&bundle, &criu, &["--tcp-established"]).ok());
    let mut streams = restore(&bundle, &criu, &["--tcp-established"]);
    for _ in 0..20 {
        assert_eq!(streams.number(), 7);
    }
}

#[test]
fn a_network_namespace_of_anothers_is_joined_again() {
    let criu = criu!();
    needs_tool!("ip");
    let name = format!("dhow-{}", random_hex(6).unwrap());
    let _network = Network::named(&name);
    let place = Path::new("/run/netns").join(&name);
    let (bundle, mut streams) = counter_in(|config| {
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "network" {
                namespace["path"] = json!(place);
            }
        }
    });
    needs!(bundle.is_ours(), "our own runtime");
    while streams.number() < 3 {}

    drop(checkpoint(&bundle, &criu, &[]).ok());
    let mut streams = restore(&bundle, &criu, &[]);

    assert!(streams.number() > 3);
    let own = fs::metadata(format!("/proc/{}/ns/net", bundle.state()["pid"])).unwrap();
    let wanted = fs::metadata(&place).unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino;
    assert_eq!(inode(&own), inode(&wanted));
}

/// A network namespace with a name, as long as this lives.
struct Network<'a>(&'a str);

impl<'a> Network<'a> {
    fn named(name: &'a str) -> Self {
        let add = outcome::run(Command::new("ip").args(["netns", "add", name]), b"", SOON);
        drop(add.unwrap().ok());
        Self(name)
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        let delete = outcome::run(Command::new("ip").args(["netns", "del", self.0]), b"", SOON);
        drop(delete);
    }
}

#[test]
fn a_container_in_a_user_namespace_comes_back() {
    let criu = criu!();
    let (bundle, mut streams) = counter_in(|config| {
        let ids = json!([{ "containerID": 0, "hostID": 0, "size": 65_536 }]);
        config["linux"]["uidMappings"] = ids.clone();
        config["linux"]["gidMappings"] = ids;
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.push(json!({ "type": "user" }));
    });
    needs!(bundle.is_ours(), "our own runtime");
    while streams.number() < 3 {}

    drop(checkpoint(&bundle, &criu, &[]).ok());
    let mut streams = restore(&bundle, &criu, &[]);

    assert!(streams.number() > 3);
    let script = "echo x >/dev/null && cat /proc/self/uid_map";
    let inside = bundle.run(&["exec", &bundle.id, "sh", "-c", script]).ok();
    let words: Vec<&str> = inside.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "65536"]);
}

/// Whether CRIU finds that the kernel tells which pages were written to.
fn tracks_memory(criu: &str) -> bool {
    let mut command = Command::new(criu);
    command.args(["check", "--feature", "mem_dirty_track"]);
    outcome::run(&mut command, b"", outcome::LIMIT).is_ok_and(|asked| asked.code == 0)
}

#[test]
fn memory_is_written_ahead_where_the_kernel_tracks_it() {
    let criu = criu!();
    let (bundle, mut streams) = counter();
    needs!(bundle.is_ours(), "our own runtime");
    let ahead = ["--criu", &criu, "checkpoint", "--pre-dump", "--image-path", "ahead", &bundle.id];

    let written = bundle.run(&ahead);

    if !tracks_memory(&criu) {
        let written = written.exits(1);
        assert!(written.stderr.contains("tracking of changed memory"), "{written}");
        let rest = checkpoint(&bundle, &criu, &["--parent-path", "../ahead"]).exits(1);
        assert!(rest.stderr.contains("Tracking memory is not available"), "{rest}");
        assert_eq!(bundle.status(), "running");
        let number = streams.number();
        assert_eq!(streams.number(), number + 1);
        return;
    }
    drop(written.ok());
    assert_eq!(bundle.status(), "running");
    while streams.number() < 3 {}
    drop(checkpoint(&bundle, &criu, &["--parent-path", "../ahead"]).ok());
    let mut streams = restore(&bundle, &criu, &[]);
    assert!(streams.number() > 3);
}

/// A port that nobody has had.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that ends with its value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn pages_can_go_to_a_server() {
    let criu = criu!();
    let (bundle, mut streams) = counter();
    needs!(bundle.is_ours(), "our own runtime");
    while streams.number() < 3 {}
    let pages = bundle.path.join("pages");
    fs::create_dir(&pages).unwrap();
    let port = free_port().to_string();
    let mut server = Command::new(&criu);
    server.args(["page-server", "--images-dir"]).arg(&pages).args(["--port", &port]);
    let server = Server(server.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    assert!(need::eventually(SOON, || is_listened_to(&port).then_some(())).is_some());

    drop(checkpoint(&bundle, &criu, &["--page-server", &format!("127.0.0.1:{port}")]).ok());

    drop(server);
    let is_pages = |path: &PathBuf| path.to_string_lossy().contains("/pages-");
    let of = |directory: &Path| fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    assert!(!of(&bundle.path.join("images")).any(|path| is_pages(&path)));
    assert!(of(&pages).any(|path| is_pages(&path)));
    for path in of(&pages) {
        fs::copy(&path, bundle.path.join("images").join(path.file_name().unwrap())).unwrap();
    }
    assert!(restore(&bundle, &criu, &[]).number() > 3);
}

/// Whether somebody listens on a port, without a connection, which would be the server's only one.
fn is_listened_to(port: &str) -> bool {
    let wanted = format!(":{:04X}", port.parse::<u16>().unwrap());
    // sl, local address, remote address, state: 0A is "listen".
    fs::read_to_string("/proc/net/tcp").unwrap().lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 3 && words[1].ends_with(&wanted) && words[3] == "0A"
    })
}

/// A checkpoint whose pages are fetched, from a port on loopback.
struct Lazy {
    running: Child,
    port: String,
}

impl Lazy {
    /// Begins it, and waits until it says that its pages can be asked for.
    fn begin(bundle: &Bundle, criu: &str) -> Self {
        let port = free_port().to_string();
        let (mut told, status) = std::io::pipe().unwrap();
        // It is to be inherited by the one command.
        rustix::io::fcntl_setfd(&status, rustix::io::FdFlags::empty()).unwrap();
        let number = status.as_raw_fd().to_string();
        let server = format!("127.0.0.1:{port}");
        let words = ["--criu", criu, "checkpoint", "--image-path", "images", "--lazy-pages"];
        let words =
            [&words[..], &["--page-server", &server, "--status-fd", &number, &bundle.id]].concat();
        let mut command = bundle.command(&words);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let running = command.spawn().unwrap();
        drop(status);
        let mut byte = [1];
        told.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [0]);
        Self { running, port }
    }

    /// How it ended, and what it said.
    fn end(self) -> (Option<i32>, String) {
        let ended = self.running.wait_with_output().unwrap();
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    }
}

#[test]
fn the_status_fd_says_when_lazy_pages_can_be_asked_for() {
    let criu = criu!();
    let (bundle, _streams) = counter();
    needs!(bundle.is_ours(), "our own runtime");

    let lazy = Lazy::begin(&bundle, &criu);
    assert!(is_listened_to(&lazy.port));
    // Whoever connects and leaves has what was wanted, and the container is gone here.
    drop(TcpStream::connect(format!("127.0.0.1:{}", lazy.port)).unwrap());
    let (code, said) = lazy.end();

    assert_eq!(code, Some(0), "{said}");
    assert!(bundle.leftovers().is_empty(), "left behind: {:?}", bundle.leftovers());
    let images = bundle.path.join("images");
    let log = fs::read_to_string(images.join("dump.log")).unwrap();
    assert!(log.contains("lazy"), "{log}");
}

/// CRIU 4.2 offers pages and cannot give one away (Linux 6.18: its `splice` fails, under runc as
/// under dhow). So this tells that: pages come, or CRIU's reason does.
#[test]
fn lazy_pages_come_or_the_user_reads_why_not() {
    let criu = criu!();
    let (bundle, mut streams) = counter();
    needs!(bundle.is_ours(), "our own runtime");
    while streams.number() < 3 {}
    let lazy = Lazy::begin(&bundle, &criu);
    let images = bundle.path.join("images");
    let mut fetching = Command::new(&criu);
    fetching.args(["lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", &lazy.port]);
    fetching.arg("--images-dir").arg(&images).arg("--work-dir").arg(&images);
    let _fetching = Server(fetching.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    let socket = images.join("lazy-pages.socket");
    assert!(need::eventually(SOON, || socket.exists().then_some(())).is_some());

    // With its streams and CRIU it is a group: a CRIU that has failed waits for ever.
    let again = format!("{}-again", bundle.id);
    let (input, _typed) = std::io::pipe().unwrap();
    let (output, printed) = std::io::pipe().unwrap();
    let words = ["--criu", &criu, "restore", "--detach", "--lazy-pages", "--image-path", "images"];
    let mut restore = bundle.command(&[&words[..], &[&again]].concat());
    restore.stdin(input).stdout(printed.try_clone().unwrap()).stderr(printed).process_group(0);
    let restore = Group(restore.spawn().unwrap());
    let (code, said) = lazy.end();

    if code == Some(0) {
        let mut streams = Streams { output: BufReader::new(output), _input: _typed };
        assert!(streams.number() > 3);
    } else {
        let log = fs::read_to_string(images.join("dump.log")).unwrap();
        let reason = log.lines().rev().find_map(|line| line.split_once("Error ")).unwrap().1;
        assert!(said.contains(reason), "{said:?} does not tell {reason:?}");
        assert_eq!(bundle.status(), "running");
    }
    drop(restore);
    drop(bundle.run(&["delete", "--force", &again]));
    drop(bundle.run(&["delete", "--force", &bundle.id]).ok());
    assert!(bundle.leftovers().is_empty(), "left behind: {:?}", bundle.leftovers());
}

/// A command with all that it started; dropped, they are ended.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _reaped = self.0.wait();
    }
}

#[test]
fn what_criu_says_against_it_is_what_the_user_reads() {
    let criu = criu!();
    // A file of the host's as output cannot come along.
    let bundle = Bundle::new(&["sleep", "100"]);
    needs!(bundle.is_ours(), "our own runtime");
    bundle.start();

    let outcome = checkpoint(&bundle, &criu, &[]).exits(1);

    let outcome = outcome.says("criu/").says("dump.log");
    assert!(outcome.stderr.contains("checkpoint container"), "{outcome:?}");
    assert_eq!(bundle.status(), "running");
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_left() {
    needs_root!();
    needs_tool!("busybox");
    let bundle = Bundle::new(&["true"]);
    needs!(bundle.is_ours(), "our own runtime");
    let id = bundle.id.clone();

    let missing = checkpoint(&bundle, "criu", &[]).exits(1);
    drop(missing.says("container does not exist"));
    bundle.create();
    let created = checkpoint(&bundle, "criu", &[]).exits(1);
    drop(created.says("cannot be checkpointed in created state"));
    drop(bundle.run(&["delete", "--force", &id]).ok());
    let sleeper = Bundle::new(&["sleep", "100"]);
    sleeper.start();
    let without = checkpoint(&sleeper, "/no/such/criu", &[]).exits(1);
    drop(without.says("/no/such/criu").says("not installed"));
    assert_eq!(sleeper.status(), "running");

    let nowhere = bundle.run(&["restore", "--image-path", "/no/such/images", &id]).exits(1);
    drop(nowhere.says("/no/such/images"));
    assert!(bundle.leftovers().is_empty(), "left behind: {:?}", bundle.leftovers());
    let mode = checkpoint(&sleeper, "criu", &["--manage-cgroups-mode", "maybe"]).exits(1);
    drop(mode.says("manage-cgroups-mode"));
}
