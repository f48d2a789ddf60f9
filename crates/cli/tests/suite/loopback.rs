//! Published ports at `::1`, where no packet can be led to a container: what is sent there arrives.

use crate::fixture::{start, with_networked_box};
use dhow_testkit::{Dhow, HostNetwork, need};
use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

const SOON: Duration = Duration::from_secs(20);

/// What a program on the host says to this input, when it has come to an end.
fn said(host: &HostNetwork, words: &[&str], input: &[u8]) -> Option<String> {
    let mut child = host
        .command(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that refuses reads nothing.
    let _written = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn eventually_said(dhow: &Dhow, words: &[&str], input: &[u8]) -> String {
    need::eventually(SOON, || said(dhow.host(), words, input))
        .unwrap_or_else(|| panic!("{words:?} got no answer"))
}

#[test]
fn what_is_sent_to_a_published_port_at_the_loopback_of_ipv6_arrives() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    let publish = ["-p", "8080:80", "-p", "[::1]:8081:80", "-p", "127.0.0.1:8082:80"];
    let serve = ["box", "httpd", "-f", "-h", "/etc"];
    start(&dhow, &[&["--name=web"], &publish[..], &serve].concat());
    let fetch = |host: &str| format!("http://{host}/passwd");

    for host in ["[::1]:8080", "localhost:8080", "[::1]:8081", "127.0.0.1:8080"] {
        let text = eventually_said(&dhow, &["busybox", "wget", "-q", "-O-", &fetch(host)], b"");
        assert!(text.contains("root:"), "{host}: {text}");
    }

    let elsewhere = fetch("[::1]:8082");
    assert_eq!(said(dhow.host(), &["busybox", "wget", "-q", "-O-", &elsewhere], b""), None);
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    assert_eq!(
        said(dhow.host(), &["busybox", "wget", "-q", "-O-", &fetch("[::1]:8080")], b""),
        None
    );
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_lot_of_bytes_arrive_whole_and_an_end_of_one_direction_leaves_the_other_open() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    // The answer comes when all has been read.
    let serve = ["box", "nc", "-ll", "-p", "80", "-e", "md5sum"];
    start(&dhow, &[&["--name=sums", "-p", "8080:80"], &serve[..]].concat());
    let bytes: Vec<u8> = (0..40_u32 << 20).map(|at| (at * 7 + at / 251).to_le_bytes()[0]).collect();
    let mut summed =
        Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    summed.stdin.take().unwrap().write_all(&bytes).unwrap();
    let expected = String::from_utf8(summed.wait_with_output().unwrap().stdout).unwrap();
    let talk = ["busybox", "nc", "::1", "8080"];
    eventually_said(&dhow, &talk, b"are you there");

    let sums: Vec<Option<String>> = std::thread::scope(|scope| {
        let (host, bytes) = (dhow.host(), &bytes);
        let one = || scope.spawn(|| said(host, &talk, bytes));
        let all = [one(), one(), one()];
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });

    assert_eq!(sums, vec![Some(expected); 3]);
    drop(dhow.run(&["rm", "-f", "-t", "0", "sums"]).ok());
}

#[test]
fn datagrams_at_the_loopback_of_ipv6_are_answered() {
    if !HostNetwork::is_possible() {
        return;
    }
    if need::tool("python3").is_none() {
        return need::skip("python3");
    }
    let dhow = with_networked_box();
    start(&dhow, &["--name=echo", "-p", "7070:7/udp", "box", "sleep", "600"]);
    let pid = dhow.run(&["inspect", "--format", "{{.State.Pid}}", "echo"]).ok().line().to_owned();
    let answers = "import socket\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        s.bind(('', 7))\n\
        while True:\n    \
            s.sendto(*s.recvfrom(999))";
    let mut server = Command::new("nsenter")
        .args(["-t", &pid, "-n", "--", "python3", "-c", answers])
        .spawn()
        .unwrap();
    let asks = "import socket\n\
        for n in range(3):\n    \
            s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n    \
            s.settimeout(3)\n    \
            s.sendto(b'word %d' % n, ('::1', 7070))\n    \
            print(s.recvfrom(99)[0].decode())";

    let answers = eventually_said(&dhow, &["python3", "-c", asks], b"");

    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(answers, "word 0\nword 1\nword 2\n");
    drop(dhow.run(&["rm", "-f", "-t", "0", "echo"]).ok());
}
