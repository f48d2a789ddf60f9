//! Health checks: what is found, where it is shown, and what follows from it.

use crate::fixture::{SOON, layout_of, start, wait_for_state, with_box};
use dhow_testkit::{Dhow, need, needs_root};
use serde_json::{Value, json};

fn inspect(dhow: &Dhow, container: &str) -> Value {
    let text = dhow.run(&["inspect", container]).ok().stdout;
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}

fn wait_for_health(dhow: &Dhow, container: &str, status: &str) {
    let there = need::eventually(SOON, || {
        (inspect(dhow, container)["State"]["Health"]["Status"] == status).then_some(())
    });
    assert!(there.is_some(), "{}", inspect(dhow, container)["State"]);
}

#[test]
fn a_check_that_succeeds_makes_a_container_healthy_and_a_later_failure_unhealthy() {
    needs_root!();
    let dhow = with_box();
    let check = ["--health-cmd", "echo looked; test -e /ok", "--health-interval", "100ms"];
    let rest = ["--health-retries", "2", "box", "sh", "-c", "touch /ok; sleep 100"];
    start(&dhow, &[&["--name", "web"][..], &check, &rest].concat());

    wait_for_health(&dhow, "web", "healthy");
    let shown = need::eventually(SOON, || {
        dhow.run(&["ps"]).ok().stdout.contains("(healthy)").then_some(())
    });
    assert!(shown.is_some());
    assert!(dhow.run(&["ps", "-q", "--filter", "health=healthy"]).ok().stdout.len() > 10);
    drop(dhow.run(&["exec", "web", "rm", "/ok"]).ok());
    wait_for_health(&dhow, "web", "unhealthy");

    let health = &inspect(&dhow, "web")["State"]["Health"];
    assert!(health["FailingStreak"].as_u64().unwrap() >= 2, "{health}");
    let log = health["Log"].as_array().unwrap();
    assert!(log.len() <= 5 && log.last().unwrap()["Output"] == "looked\n", "{health}");
    assert_eq!(log.last().unwrap()["ExitCode"], 1);
    drop(dhow.run(&["wait", "--condition", "unhealthy", "web"]).ok());
    let told = dhow.run(&["events", "--since", "1h", "--stream=false"]).ok().stdout;
    assert!(told.contains("health_status: healthy") && told.contains("health_status: unhealthy"));
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_check_that_hangs_is_cut_off() {
    needs_root!();
    let dhow = with_box();
    let check = ["--health-cmd", "sleep 100", "--health-interval=50ms", "--health-timeout=200ms"];
    start(
        &dhow,
        &[&["--name", "web", "--health-retries=1"][..], &check, &["box", "sleep", "100"]].concat(),
    );

    wait_for_health(&dhow, "web", "unhealthy");

    let health = inspect(&dhow, "web")["State"]["Health"].clone();
    assert_eq!(health["Log"][0]["ExitCode"], -1);
    assert!(health["Log"][0]["Output"].as_str().unwrap().contains("exceeded timeout"));
}

#[test]
fn the_images_check_is_used_changed_and_left_out() {
    needs_root!();
    let dhow = Dhow::new();
    let check =
        json!({"Test": ["CMD", "test", "-e", "/ok"], "Interval": 100_000_000, "Retries": 1});
    let layout = layout_of(&dhow, "web", |image| image.set("Healthcheck", check));
    drop(dhow.run(&["pull", "-q", &layout.reference("web")]).ok());
    start(&dhow, &["--name", "image", "web", "sleep", "100"]);
    start(&dhow, &["--name", "none", "--no-healthcheck", "web", "sleep", "100"]);

    wait_for_health(&dhow, "image", "unhealthy");

    assert!(inspect(&dhow, "none")["State"]["Health"].is_null());
    assert_eq!(inspect(&dhow, "image")["Config"]["Healthcheck"]["Test"][0], "CMD");
}

#[test]
fn a_check_on_demand_counts() {
    needs_root!();
    let dhow = with_box();
    let check = ["--health-cmd", "test -e /ok", "--health-interval=disable", "--health-retries=1"];
    start(&dhow, &[&["--name", "web"][..], &check, &["box", "sleep", "100"]].concat());
    start(&dhow, &["--name", "none", "box", "sleep", "100"]);

    let outcome = dhow.run(&["healthcheck", "run", "web"]).exits(1);
    assert_eq!(outcome.stdout, "unhealthy\n");
    drop(dhow.run(&["exec", "web", "touch", "/ok"]).ok());
    drop(dhow.run(&["healthcheck", "run", "web"]).ok());

    wait_for_health(&dhow, "web", "healthy");
    drop(dhow.run(&["healthcheck", "run", "none"]).exits(1).says("no health check"));
    drop(dhow.run(&["stop", "-t", "0", "none"]).ok());
    drop(dhow.run(&["healthcheck", "run", "none"]).exits(1).says("not running"));
}

#[test]
fn an_unhealthy_container_is_killed_stopped_or_restarted() {
    needs_root!();
    let dhow = with_box();
    let begin = |name: &str, action: &str| {
        let check = ["--health-cmd", "test ! -e /bad", "--health-interval=100ms"];
        let action = ["--health-retries=1", "--health-on-failure", action];
        let rest = ["box", "sh", "-c", "test -e /was || touch /bad; touch /was; exec sleep 100"];
        start(&dhow, &[&["--name", name, "--stop-timeout=1"][..], &check, &action, &rest].concat());
    };
    begin("kill", "kill");
    begin("stop", "stop");

    wait_for_state(&dhow, "kill", "exited");
    wait_for_state(&dhow, "stop", "exited");

    assert_eq!(dhow.run(&["wait", "kill"]).ok().stdout, "137\n");
    begin("again", "restart");
    let restarted = need::eventually(SOON, || {
        let told =
            dhow.run(&["events", "--since", "1h", "--stream=false", "--filter", "event=restart"]);
        told.stdout.contains("name=again").then_some(())
    });
    assert!(restarted.is_some());
    wait_for_state(&dhow, "again", "running");
    drop(dhow.run(&["rm", "-fa"]).ok());
    dhow.assert_clean();
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    needs_root!();
    let dhow = with_box();
    let run = |flags: &[&str]| {
        dhow.run(&[&["run", "--rm", "-q"], flags, &["box", "true"]].concat()).exits(125)
    };

    drop(run(&["--health-interval", "soon"]).says("not a duration"));
    drop(run(&["--health-on-failure", "explode"]).says("no such action"));
    drop(run(&["--health-startup-retries", "1"]).says("--health-startup-cmd"));
    drop(run(&["--no-healthcheck", "--health-cmd", "true"]).says("--no-healthcheck"));
}

#[test]
fn an_update_changes_the_checks_of_a_container_that_runs() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "1000"]);
    let update = |flags: &[&str]| dhow.run(&[&["update"], flags, &["web"]].concat());
    let health = || inspect(&dhow, "web")["State"]["Health"].clone();
    let boot = inspect(&dhow, "web")["State"]["Pid"].clone();

    drop(update(&["--health-interval", "1s"]).exits(1).says("no health check to change"));
    // There was none: it is checked from now on, without a new life.
    drop(update(&["--health-cmd", "test -e /ok", "--health-interval", "50ms"]).ok());
    drop(update(&["--health-retries", "1"]).ok());
    wait_for_health(&dhow, "web", "unhealthy");
    drop(dhow.run(&["exec", "web", "touch", "/ok"]).ok());
    wait_for_health(&dhow, "web", "healthy");
    // What the same command has found stays known.
    drop(update(&["--health-max-log-count", "2", "--health-timeout", "20s"]).ok());
    assert_eq!(health()["Status"], "healthy");
    let few = need::eventually(SOON, || {
        (health()["Log"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    assert!(few.is_some(), "{}", health());
    assert_eq!(inspect(&dhow, "web")["Config"]["Healthcheck"]["Timeout"], 20_000_000_000_u64);
    // Another command knows nothing yet.
    drop(update(&["--health-cmd", "false", "--health-interval", "disable"]).ok());
    assert_eq!(health()["Status"], "starting");
    drop(update(&["--health-startup-cmd", "true", "--health-startup-interval", "50ms"]).ok());
    drop(update(&["--health-startup-success", "2", "--health-on-failure", "stop"]).ok());
    assert_eq!(inspect(&dhow, "web")["State"]["Pid"], boot, "it is the same life");
    drop(update(&["--no-healthcheck"]).ok());
    assert!(health().is_null() && !dhow.run(&["ps"]).ok().stdout.contains("(starting)"));
    drop(dhow.run(&["healthcheck", "run", "web"]).exits(1).says("no health check"));

    // The next life is checked by what was said last, also where nobody was there to be told.
    drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
    drop(update(&["--health-cmd", "true", "--health-interval", "50ms"]).ok());
    drop(dhow.run(&["start", "web"]).ok());
    wait_for_health(&dhow, "web", "healthy");
    let long = "x".repeat(70_000);
    drop(update(&["--health-cmd", &long]).exits(1).says("too long"));
    wait_for_health(&dhow, "web", "healthy");
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}
