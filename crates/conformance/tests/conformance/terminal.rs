//! `process.terminal`: a pseudo-terminal whose master goes to whoever asked for it. config.md,
//! section Process; the socket is runc's `--console-socket`.

use super::bundle;
use dhow_conformance::{Bundle, conformance};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{IoSliceMut, Read},
    mem::MaybeUninit,
    os::unix::net::{UnixListener, UnixStream},
    thread,
};

/// Creates and starts the container, and returns all that its terminal shows.
fn shown(bundle: &Bundle<'_>) -> String {
    let path = bundle.directory().join("console");
    let listener = UnixListener::bind(&path).unwrap();
    let waiting = thread::spawn(move || master(&listener.accept().unwrap().0));
    let created = bundle.create_with(&["--console-socket", path.to_str().unwrap()]);
    if created.code != 0 {
        drop(UnixStream::connect(&path));
    }
    drop(created.ok());
    let mut master = waiting.join().unwrap().unwrap();
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        // The end of a terminal is an error of reading.
        let _end = master.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    drop(bundle.call(&["start", bundle.id()]).ok());
    reading.join().unwrap()
}

fn master(stream: &UnixStream) -> Option<File> {
    let mut name = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut name)];
    recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next().map(File::from),
        _ => None,
    })
}

conformance! {
    /// `exec --tty --console-socket`: the entering process has a terminal of its own in the
    /// container's /dev/pts, and its size where the process says one.
    fn an_entering_process_has_a_terminal(runtime) {
        let mut bundle = bundle(runtime);
        bundle.script("while :; do sleep 1; done");
        bundle.start_detached();
        let path = bundle.directory().join("console");
        let process = bundle.directory().join("process.json");
        let mut asked = bundle.config["process"].clone();
        asked["terminal"] = json!(true);
        asked["consoleSize"] = json!({"height": 31, "width": 101});
        asked["args"] = json!(["sh", "-c", "tty; tty <&2; stty size; echo x > /dev/tty"]);
        std::fs::write(&process, asked.to_string()).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let waiting = thread::spawn(move || {
            let master = master(&listener.accept().unwrap().0);
            // The end of a terminal is an error of reading.
            let mut bytes = Vec::new();
            let _end = master.map(|mut master| master.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        });

        let outcome = bundle.detached(&["exec", "--tty", "--detach", "--console-socket",
            path.to_str().unwrap(), "--process", process.to_str().unwrap(), bundle.id()]);
        if outcome.code != 0 {
            drop(UnixStream::connect(&path));
        }

        drop(outcome.ok());
        let shown = waiting.join().unwrap();
        assert_eq!(shown, "/dev/pts/0\r\n/dev/pts/0\r\n31 101\r\nx\r\n");
    }

    /// "terminal (bool, OPTIONAL) specifies whether a terminal is attached to the process": the
    /// three streams are the terminal, it is the controlling one, and /dev/console is it as well
    /// (config-linux.md, Default Devices: "/dev/console is set up if terminal is enabled in the
    /// config by bind mounting the pseudoterminal pty to /dev/console").
    fn the_streams_are_a_terminal(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/terminal", json!(true));
        bundle.script("tty; tty <&2; stat -c %t:%T /dev/console; echo x > /dev/tty; stty -echo; ls -1 /dev/pts");

        let shown = shown(&bundle);

        assert_eq!(shown, "/dev/pts/0\r\n/dev/pts/0\r\n88:0\r\nx\r\n0\r\nptmx\r\n");
    }

    /// "consoleSize (object, OPTIONAL) specifies the console size in characters of the terminal."
    fn the_terminal_has_its_size(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/terminal", json!(true));
        bundle.set("/process/consoleSize", json!({"height": 31, "width": 101}));
        bundle.args(&["probe"]);

        let shown = shown(&bundle);

        let seen: Value = serde_json::from_str(shown.trim()).unwrap();
        assert_eq!(seen["terminals"], json!([[31, 101], [31, 101], [31, 101]]));
    }

    /// The terminal belongs to the container's user, so that it may be opened again by its name.
    fn the_terminal_is_its_users(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/terminal", json!(true));
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
        bundle.script("stat -c %u $(tty); echo again > $(tty)");

        assert_eq!(shown(&bundle), "1000\r\nagain\r\n");
    }

    /// "Runtimes MUST ignore consoleSize if terminal is false or unset."
    fn a_size_without_a_terminal_is_ignored(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/consoleSize", json!({"height": 31, "width": 101}));

        assert_eq!(bundle.see()["terminals"], json!([null, null, null]));
    }

    /// A terminal with nowhere to send its master to cannot be created: runc says so.
    fn a_terminal_without_a_socket_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/terminal", json!(true));

        let outcome = bundle.create();

        assert_ne!(outcome.code, 0, "{outcome}");
        bundle.assert_clean();
    }
}
