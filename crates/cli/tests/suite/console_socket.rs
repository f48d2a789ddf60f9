//! The other end of a console socket, as conmon and containerd have one: it is handed one fd.

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use std::{
    fs,
    io::{IoSliceMut, Read},
    mem::MaybeUninit,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::mpsc::{Receiver, channel},
    thread,
};

/// Who waits for one fd on a socket, as conmon and containerd do.
pub(crate) fn receiver(path: &Path) -> Receiver<OwnedFd> {
    let listener = UnixListener::bind(path).unwrap();
    let (tell, told) = channel();
    thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let _told = tell.send(receive(&socket));
    });
    told
}

fn receive(socket: &UnixStream) -> OwnedFd {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 100];
    let slices = &mut [IoSliceMut::new(&mut bytes)];
    rustix::net::recvmsg(socket, slices, &mut control, RecvFlags::empty()).unwrap();
    let mut fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    fds.next().and_then(|mut fds| fds.next()).expect("the message has an fd")
}

/// Reads a terminal until this text is there; all that was read.
pub(crate) fn read_until(master: OwnedFd, text: &str) -> String {
    let mut file = fs::File::from(master);
    let mut seen = String::new();
    let mut piece = [0; 1000];
    while !seen.contains(text) {
        let count = file.read(&mut piece).unwrap_or(0);
        assert!(count > 0, "{text:?} is not in {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    seen
}
