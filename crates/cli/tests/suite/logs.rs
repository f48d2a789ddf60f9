//! `logs`: what a container printed, while and after it ran.

use crate::fixture::{start, wait_for_output, with_box};
use dhow_testkit::needs_root;

#[test]
fn both_streams_are_kept_apart() {
    needs_root!();
    let dhow = with_box();
    drop(
        dhow.run(&[
            "run",
            "-q",
            "--name",
            "over",
            "box",
            "sh",
            "-c",
            "echo out; echo err >&2; printf end",
        ])
        .ok(),
    );

    let outcome = dhow.run(&["logs", "over"]).ok();

    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\nend", "err\n"));
}

#[test]
fn the_end_of_a_log_and_times() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["run", "-q", "--name", "over", "box", "seq", "100"]).ok());

    assert_eq!(dhow.run(&["logs", "--tail", "2", "over"]).ok().stdout, "99\n100\n");
    assert_eq!(dhow.run(&["logs", "-n", "0", "over"]).ok().stdout, "");
    assert_eq!(dhow.run(&["logs", "--since", "2100-01-01", "over"]).ok().stdout, "");
    assert_eq!(dhow.run(&["logs", "--since", "1h", "over"]).ok().stdout.lines().count(), 100);
    let timed = dhow.run(&["logs", "-t", "-n", "1", "over"]).ok().stdout;
    let (time, text) = timed.trim_end().split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.len() == 30 && text == "100", "{timed}");
}

#[test]
fn a_log_is_followed_to_the_end() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sh", "-c", "echo first; sleep 1; echo last"]);

    let outcome = dhow.run(&["logs", "-f", "web"]).ok();

    assert_eq!(outcome.stdout, "first\nlast\n");
}

#[test]
fn output_is_kept_while_no_command_runs() {
    needs_root!();
    let dhow = with_box();
    start(
        &dhow,
        &[
            "--name",
            "web",
            "box",
            "sh",
            "-c",
            "for i in 1 2 3; do echo $i; sleep 0.1; done; sleep 100",
        ],
    );

    wait_for_output(&dhow, "web", "3\n");

    assert_eq!(dhow.run(&["logs", "web"]).ok().stdout, "1\n2\n3\n");
}

#[test]
fn dockers_form_is_written_and_read() {
    needs_root!();
    let dhow = with_box();
    let options = ["--log-driver", "json-file", "--log-opt", "tag={{.Name}}"];
    let script = "echo '<out>'; echo err >&2; printf end";
    drop(
        dhow.run(
            &[&["run", "-q", "--name", "web"][..], &options, &["box", "sh", "-c", script]].concat(),
        )
        .ok(),
    );

    let path = dhow.run(&["inspect", "-f", "{{.LogPath}}", "web"]).ok().line().to_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let outcome = dhow.run(&["logs", "web"]).ok();
    let details = dhow.run(&["logs", "--details", "web"]).ok().stdout;

    let start = r#"{"log":"\u003cout\u003e\n","stream":"stdout","attrs":{"tag":"web"},"time":""#;
    assert!(text.lines().any(|line| line.starts_with(start) && line.ends_with("Z\"}")), "{text}");
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("<out>\nend", "err\n"));
    assert_eq!(details, "tag=web <out>\ntag=web end");
    assert_eq!(
        dhow.run(&["inspect", "-f", "{{.HostConfig.LogConfig.Type}}", "web"]).ok().line(),
        "json-file"
    );
}

#[test]
fn a_log_is_set_aside_at_its_limit_and_read_across() {
    needs_root!();
    let dhow = with_box();
    let options = ["--log-opt", "max-size=2k", "--log-opt", "max-file=3"];
    drop(
        dhow.run(
            &[&["run", "-q", "--name", "web"][..], &options, &["box", "seq", "10000"]].concat(),
        )
        .ok(),
    );

    let path = dhow.run(&["inspect", "-f", "{{.LogPath}}", "web"]).ok().line().to_owned();
    let shown = dhow.run(&["logs", "web"]).ok().stdout;

    for name in [path.clone(), format!("{path}.1"), format!("{path}.2")] {
        assert!(std::path::Path::new(&name).exists(), "{name}");
    }
    assert!(!std::path::Path::new(&format!("{path}.3")).exists());
    assert!(shown.ends_with("9999\n10000\n"), "{}", &shown[shown.len().saturating_sub(50)..]);
    assert!(shown.lines().count() < 10_000);
}

#[test]
fn a_log_may_lie_elsewhere_or_nowhere() {
    needs_root!();
    let dhow = with_box();
    let path = dhow.directory().join("web.log");
    let option = format!("path={}", path.display());
    drop(dhow.run(&["run", "-q", "--name", "web", "--log-opt", &option, "box", "echo", "hi"]).ok());
    drop(dhow.run(&["run", "-q", "--name", "none", "--log-driver=none", "box", "echo", "hi"]).ok());

    assert!(std::fs::read_to_string(&path).unwrap().ends_with("stdout F hi\n"));
    assert_eq!(dhow.run(&["logs", "--names", "web"]).ok().stdout, "web hi\n");
    drop(dhow.run(&["logs", "none"]).exits(1).says("driver none keeps none"));
    let run =
        |flags: &[&str]| dhow.run(&[&["run", "--rm", "-q"], flags, &["box", "true"]].concat());
    drop(run(&["--log-driver", "syslog"]).exits(125).says("syslog"));
    drop(run(&["--log-driver", "bogus"]).exits(125).says("no such driver"));
    drop(run(&["--log-driver", "none", "--log-opt", "max-size=1k"]).exits(125).says("max-size"));
    drop(run(&["--log-opt", "tag={{.Bogus}}", "--log-driver=json-file"]).exits(125).says("tag"));
}
