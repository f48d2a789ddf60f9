//! Real services from Debian's packages: their data outlives them, their logs rotate, their health
//! is watched, and who is stopped may finish.

use crate::fixture::{start, wait_for_state};
use dhow_testkit::{Dhow, need, needs_root, needs_tool, rootfs};
use std::{fs, time::Duration};

/// How long a service may take to answer: a database makes its files first.
const PATIENCE: Duration = Duration::from_secs(120);

fn with_services() -> Dhow {
    let dhow = Dhow::new();
    let layout = rootfs::services_image().unwrap();
    drop(dhow.run(&["pull", "-q", &layout.reference("services")]).ok());
    dhow
}

/// Waits until a command in a container succeeds, and returns what it prints.
fn answer(dhow: &Dhow, container: &str, words: &[&str]) -> String {
    let ask = || {
        let outcome = dhow.run(&[&["exec", container], words].concat());
        (outcome.code == 0).then_some(outcome.stdout)
    };
    need::eventually(PATIENCE, ask).unwrap_or_else(|| {
        let outcome = dhow.run(&[&["exec", container], words].concat());
        panic!("{outcome}\n{}", dhow.run(&["logs", container]))
    })
}

fn inspect(dhow: &Dhow, container: &str, template: &str) -> String {
    dhow.run(&["inspect", "--format", template, container]).ok().line().to_owned()
}

const POSTGRES: &str = r#"
set -e
chown postgres: /data
run="setpriv --reuid=postgres --regid=postgres --init-groups"
bin=$(echo /usr/lib/postgresql/*/bin)
test -f /data/db/PG_VERSION || $run $bin/initdb -D /data/db --auth=trust >/dev/null
exec $run $bin/postgres -D /data/db -k /tmp -c listen_addresses=
"#;

#[test]
fn a_database_may_finish_and_its_data_outlives_its_container() {
    needs_root!();
    needs_tool!("mmdebstrap");
    let dhow = with_services();
    let run = || {
        let arguments = ["--name", "db", "--stop-signal", "INT", "-v", "data:/data", "services"];
        start(&dhow, &[&arguments[..], &["sh", "-c", POSTGRES]].concat());
    };
    let sql = |text: &str| answer(&dhow, "db", &["psql", "-h/tmp", "-Upostgres", "-Atc", text]);

    run();
    answer(&dhow, "db", &["pg_isready", "-h/tmp"]);
    sql("create table kept as select generate_series(1, 1000) as number");
    // Somebody who is in the middle of something does not keep it from finishing.
    let busy = ["exec", "-d", "db", "psql", "-h/tmp", "-Upostgres", "-c", "select pg_sleep(1000)"];
    drop(dhow.run(&busy).ok());
    drop(dhow.run(&["stop", "-t", "100", "db"]).ok());

    assert_eq!(inspect(&dhow, "db", "{{.State.ExitCode}}"), "0");
    let logs = dhow.run(&["logs", "db"]).ok();
    let said = format!("{}{}", logs.stdout, logs.stderr);
    assert!(said.contains("database system is shut down"), "{said}");
    drop(dhow.run(&["rm", "db"]).ok());

    run();
    assert_eq!(sql("select sum(number) from kept"), "500500\n");
    let logs = dhow.run(&["logs", "db"]).ok();
    let said = format!("{}{}", logs.stdout, logs.stderr);
    assert!(!said.contains("not properly shut down"), "{said}");
    drop(dhow.run(&["rm", "-f", "db"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_cache_writes_its_data_when_it_is_stopped() {
    needs_root!();
    needs_tool!("mmdebstrap");
    let dhow = with_services();
    let server = ["redis-server", "--dir", "/data", "--save", "3600", "1", "--logfile", ""];
    let run = || {
        let arguments = ["--name", "cache", "-v", "cache:/data", "services"];
        start(&dhow, &[&arguments[..], &server].concat());
        assert_eq!(answer(&dhow, "cache", &["redis-cli", "ping"]), "PONG\n");
    };

    run();
    answer(&dhow, "cache", &["redis-cli", "set", "word", "kept"]);
    drop(dhow.run(&["stop", "-t", "60", "cache"]).ok());
    assert_eq!(inspect(&dhow, "cache", "{{.State.ExitCode}}"), "0");
    drop(dhow.run(&["rm", "cache"]).ok());

    run();
    assert_eq!(answer(&dhow, "cache", &["redis-cli", "get", "word"]), "kept\n");
    drop(dhow.run(&["rm", "-f", "cache"]).ok());
    dhow.assert_clean();
}

const NGINX: &str = "
daemon off;
pid /run/nginx.pid;
error_log stderr;
events {}
http { access_log /dev/stdout; server { listen 127.0.0.1:8080; return 200 'hello\\n'; } }
";

const ASK_OFTEN: &str = "
import urllib.request
for number in range(3000):
    urllib.request.urlopen(f'http://127.0.0.1:8080/{number}').read()
";

#[test]
fn the_log_of_a_web_server_rotates() {
    needs_root!();
    needs_tool!("mmdebstrap");
    let dhow = with_services();
    let configuration = dhow.directory().join("nginx.conf");
    fs::write(&configuration, NGINX).unwrap();
    let mount = format!("{}:/etc/nginx/nginx.conf:ro", configuration.display());
    let limits = ["--log-opt", "max-size=64k", "--log-opt", "max-file=3"];
    let id = start(
        &dhow,
        &[&["--name", "web", "-v", &mount], &limits[..], &["services", "nginx"]].concat(),
    );

    let fetch = "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/').read()";
    answer(&dhow, "web", &["python3", "-c", fetch]);
    drop(dhow.run(&["exec", "web", "python3", "-c", ASK_OFTEN]).ok());

    // The last line is there as soon as the monitor has read it.
    let last = || dhow.run(&["logs", "--tail", "1", "web"]).stdout.contains("/2999 ").then_some(());
    assert!(need::eventually(PATIENCE, last).is_some(), "{}", dhow.run(&["logs", "web"]));
    let lines = dhow.run(&["logs", "web"]).ok().stdout.lines().count();
    assert!((100..3000).contains(&lines), "{lines} lines are left of 3,000");
    let directory = dhow.root().join("containers").join(id);
    let logs = fs::read_dir(directory).unwrap().flatten();
    let is_log = |name: &str| name.contains("log");
    let sizes: Vec<u64> = logs
        .filter(|entry| is_log(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert!(sizes.len() <= 3 && sizes.iter().all(|size| *size <= 66 << 10), "{sizes:?}");
    drop(dhow.run(&["stop", "web"]).ok());
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

const APPLICATION: &str = "
import http.server, os
if os.path.exists('/sick'): os.remove('/sick')
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists('/sick') else 200)
        self.end_headers()
http.server.HTTPServer(('127.0.0.1', 8000), Answer).serve_forever()
";

#[test]
fn an_application_that_fails_its_check_is_started_anew() {
    needs_root!();
    needs_tool!("mmdebstrap");
    let dhow = with_services();
    let application = dhow.directory().join("application.py");
    fs::write(&application, APPLICATION).unwrap();
    let mount = format!("{}:/application.py:ro", application.display());
    let check = "python3 -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:8000/')\"";
    let health = [
        &["--health-cmd", check, "--health-interval", "1s", "--health-retries", "2"][..],
        &["--health-timeout", "60s", "--health-on-failure", "restart"],
    ]
    .concat();
    let program = ["services", "python3", "/application.py"];
    start(&dhow, &[&["--name", "app", "-v", &mount], &health[..], &program].concat());
    let is_healthy = |word: &str| {
        let there = || (inspect(&dhow, "app", "{{.State.Health.Status}}") == word).then_some(());
        assert!(need::eventually(PATIENCE, there).is_some(), "{}", dhow.run(&["inspect", "app"]));
    };

    is_healthy("healthy");
    let first = inspect(&dhow, "app", "{{.State.StartedAt}}");
    drop(dhow.run(&["exec", "app", "touch", "/sick"]).ok());

    let anew = || (inspect(&dhow, "app", "{{.State.StartedAt}}") != first).then_some(());
    assert!(need::eventually(PATIENCE, anew).is_some(), "{}", dhow.run(&["inspect", "app"]));
    is_healthy("healthy");
    wait_for_state(&dhow, "app", "running");
    drop(dhow.run(&["rm", "-f", "app"]).ok());
    dhow.assert_clean();
}
