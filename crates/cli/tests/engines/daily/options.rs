//! What options make of an image's configuration, and of the container.

use super::WHOLE;
use crate::{
    engine::{BOX, Engine},
    steps::Steps,
};
use std::fs;

pub(super) fn steps(engine: &Engine<'_>, steps: &mut Steps) {
    merges(engine, steps);
    identities(engine, steps);
    rights(engine, steps);
    mounts(engine, steps);
    surroundings(engine, steps);
    engine.remove_all();
}

/// What a shell prints, words with one space between.
fn shell(engine: &Engine<'_>, options: &[&str], image: &str, script: &str) -> String {
    let tail = ["--entrypoint", "sh", image, "-c", script];
    let said = engine.prints(&[options, &tail[..]].concat());
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn merges(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("run: words replace the image's, and an entry point forgets them", || {
        assert_eq!(engine.prints(&[WHOLE]), "says image words\n");
        assert_eq!(engine.prints(&[WHOLE, "mine"]), "says mine\n");
        assert_eq!(engine.prints(&["--entrypoint", "echo", WHOLE]), "\n");
        assert_eq!(engine.prints(&["--entrypoint", "echo", WHOLE, "mine"]), "mine\n");
        assert_eq!(engine.prints(&["--entrypoint", "", WHOLE, "echo", "mine"]), "mine\n");
    });
    steps.step("run: nothing to run is an error", || {
        drop(engine.once(&["--entrypoint", "", WHOLE]).exits(125));
    });
    steps.step("run -e: the image's, then files', then the options'", || {
        let path = engine.world.shared().join("run.env");
        fs::write(&path, "# comment\nB=file\nC=file\nD=with space\n").unwrap();
        let path = path.display().to_string();
        let options = ["--env-file", &path, "-e", "C=option", "-e", "E=a=b", "-e", "EMPTY="];
        let script = "echo $A $B $C $D $E [$EMPTY]";
        let said = shell(engine, &options, WHOLE, script);
        assert_eq!(said, "image file option with space a=b []");
    });
    steps.step("run -e: a name alone takes the value that it has here, or none", || {
        let words = ["run", "--rm", "--network", "none", "-e", "HERE", "-e", "GONE"];
        let script = "echo $HERE; env | grep -c GONE";
        let words = engine
            .words(&[&words[..], &[BOX, "sh", "-c", script]].concat())
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = engine.world.run(&[&["env", "HERE=yes"], &words[..]].concat());
        assert_eq!(outcome.exits(1).stdout, "yes\n0\n");
    });
    steps.step("run: HOSTNAME and HOME are set, PATH where the image has none", || {
        let said = shell(engine, &["-h", "here"], BOX, "echo $HOSTNAME $HOME $PATH");
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        assert_eq!(said, format!("here /root {path}"));
        assert_eq!(shell(engine, &["-t"], BOX, "echo $TERM"), "xterm");
    });
    steps.step("run -l: the image's and the options', by name", || {
        let path = engine.world.shared().join("labels");
        fs::write(&path, "c=file\n").unwrap();
        let path = path.display().to_string();
        engine.create("labels", &["-l", "b=option", "-l", "d", "--label-file", &path, WHOLE]);
        let labels = ["a", "b", "c", "d"]
            .map(|name| engine.inspect("labels", &format!("index .Config.Labels \"{name}\"")));
        assert_eq!(labels, ["image", "option", "file", ""]);
    });
    steps.step("run: user, directory, volume and signal are the image's", || {
        engine.create("whole", &[WHOLE]);
        assert_eq!(engine.inspect("whole", ".Config.User"), "1000");
        assert_eq!(engine.inspect("whole", ".Config.WorkingDir"), "/tmp");
        assert_eq!(engine.inspect("whole", "len .Mounts"), "1");
        assert_eq!(engine.inspect("whole", "(index .Mounts 0).Destination"), "/data");
        assert_eq!(shell(engine, &[], WHOLE, "id -u; pwd; cat /data/first"), "1000 /tmp first");
        assert_eq!(shell(engine, &["-u", "0", "-w", "/etc"], WHOLE, "id -u; pwd"), "0 /etc");
    });
    steps.step("inspect: the stop signal is written as it was", || {
        assert_eq!(engine.inspect("whole", ".Config.StopSignal"), "SIGUSR1");
    });
    steps.step("inspect: Cmd and Entrypoint are the merged ones", || {
        assert_eq!(engine.inspect("whole", "json .Config.Cmd"), "[\"image\",\"words\"]");
        assert_eq!(engine.inspect("whole", "json .Config.Entrypoint"), "[\"echo\",\"says\"]");
    });
}

fn identities(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("run -u: by name or number, with the groups of the image", || {
        for (user, expected) in [
            ("user", "1000 1000"),
            ("1000", "1000 1000"),
            ("1000:2000", "1000 2000"),
            ("user:extra", "1000 2000"),
            ("4711", "4711 0"),
            ("4711:4712", "4711 4712"),
        ] {
            assert_eq!(shell(engine, &["-u", user], BOX, "id -u; id -g"), expected, "{user}");
        }
    });
    steps.step("run --group-add: names and numbers", || {
        let options = ["-u", "1000", "--group-add", "extra", "--group-add", "77"];
        let said = shell(engine, &options, BOX, "id -G");
        assert!(said.contains("2000") && said.contains("77"), "{said}");
    });
    steps.step("run -u: HOME is the user's", || {
        assert_eq!(shell(engine, &["-u", "user"], BOX, "echo $HOME"), "/home");
    });
    steps.step("run -w: a directory that is missing is made", || {
        assert_eq!(shell(engine, &["-w", "/a/b"], BOX, "pwd; stat -c %u /a"), "/a/b 0");
    });
    steps.step("run -h: the name is in the files that tell it", || {
        let script = "hostname; cat /etc/hostname; echo";
        assert_eq!(shell(engine, &["-h", "here"], BOX, script), "here here");
    });
    steps.step("run -h: the name is in /etc/hosts, also without a network", || {
        let script = "grep -q here /etc/hosts && echo there";
        assert_eq!(shell(engine, &["-h", "here"], BOX, script), "there");
    });
    steps.step("run: the host name is the short id", || {
        engine.start("named", &[BOX, "sleep", "1000"]);
        let id = engine.inspect("named", ".Id");
        assert_eq!(engine.said(&["exec", "named", "hostname"]), id[..12]);
        assert_eq!(engine.inspect("named", ".Config.Hostname"), id[..12]);
    });
    steps.step("run --add-host: a line in /etc/hosts", || {
        let script = "grep db /etc/hosts";
        assert_eq!(shell(engine, &["--add-host", "db:10.0.0.9"], BOX, script), "10.0.0.9 db");
    });
}

fn rights(engine: &Engine<'_>, steps: &mut Steps) {
    let capabilities = "grep CapEff /proc/self/status | cut -f 2";
    steps.step("run --cap-drop, --cap-add: as asked for", || {
        let options = ["--cap-drop", "all", "--cap-add", "net_raw", "--cap-add", "CAP_CHOWN"];
        assert_eq!(shell(engine, &options, BOX, capabilities), "0000000000002001");
        drop(engine.once(&["--cap-add", "BOGUS", BOX, "true"]).exits(125));
    });
    steps.step("run: docker's fourteen capabilities", || {
        assert_eq!(shell(engine, &[], BOX, capabilities), "00000000a80425fb");
    });
    steps.step("run -u: another user has no capabilities", || {
        assert_eq!(shell(engine, &["-u", "1000"], BOX, capabilities), "0000000000000000");
    });
    steps.step("run --security-opt: filters and privileges", || {
        let seccomp = "grep Seccomp: /proc/self/status | cut -f 2";
        assert_eq!(shell(engine, &[], BOX, seccomp), "2");
        let options = ["--security-opt", "seccomp=unconfined"];
        assert_eq!(shell(engine, &options, BOX, seccomp), "0");
        let privileges = "grep NoNewPrivs /proc/self/status | cut -f 2";
        let options = ["--security-opt", "no-new-privileges"];
        assert_eq!(shell(engine, &options, BOX, privileges), "1");
        let options = ["--security-opt", "no-new-privileges:true"];
        assert_eq!(shell(engine, &options, BOX, privileges), "1");
    });
    steps.step("run --ulimit, --sysctl, --oom-score-adj, --device", || {
        let options = ["--ulimit", "nofile=100:200", "--ulimit", "nproc=1024:1024"];
        assert_eq!(shell(engine, &options, BOX, "ulimit -n; ulimit -Hn"), "100 200");
        let options = ["--sysctl", "net.ipv4.ip_forward=1"];
        assert_eq!(shell(engine, &options, BOX, "cat /proc/sys/net/ipv4/ip_forward"), "1");
        let options = ["--oom-score-adj", "500"];
        assert_eq!(shell(engine, &options, BOX, "cat /proc/self/oom_score_adj"), "500");
        let options = ["--device", "/dev/loop-control:/dev/mine:r"];
        assert_eq!(shell(engine, &options, BOX, "test -c /dev/mine && echo there"), "there");
    });
    steps.step("inspect: rights and limits are told as they were asked for", || {
        let options = [
            "--cap-drop",
            "NET_RAW",
            "--group-add",
            "extra",
            "--device",
            "/dev/loop-control",
            "--ulimit",
            "nofile=100:200",
            "--shm-size",
            "2m",
            "--pids-limit",
            "50",
            "--read-only",
            "--security-opt",
            "no-new-privileges",
            "-m",
            "64m",
            "--cpus",
            "0.5",
            "--tty",
        ];
        engine.create("asked", &[&options[..], &[BOX, "true"]].concat());
        for (field, expected) in [
            (".Config.Tty", "true"),
            (".HostConfig.ReadonlyRootfs", "true"),
            (".HostConfig.ShmSize", "2097152"),
            (".HostConfig.Memory", "67108864"),
            (".HostConfig.NanoCpus", "500000000"),
            (".HostConfig.PidsLimit", "50"),
            (".HostConfig.NetworkMode", "none"),
            (".HostConfig.Privileged", "false"),
            ("json .HostConfig.GroupAdd", "[\"extra\"]"),
            ("(index .HostConfig.Devices 0).PathOnHost", "/dev/loop-control"),
        ] {
            assert_eq!(engine.inspect("asked", field), expected, "{field}");
        }
    });
    steps.step("inspect: capabilities, ulimits and options of security as they were typed", || {
        for (field, expected) in [
            ("json .HostConfig.CapDrop", "[\"NET_RAW\"]"),
            ("(index .HostConfig.Ulimits 0).Name", "nofile"),
            ("json .HostConfig.SecurityOpt", "[\"no-new-privileges\"]"),
        ] {
            assert_eq!(engine.inspect("asked", field), expected, "{field}");
        }
    });
}

fn mounts(engine: &Engine<'_>, steps: &mut Steps) {
    let here = engine.shared("binds");
    let path = |name: &str| here.join(name).display().to_string();
    fs::create_dir(here.join("there")).unwrap();
    steps.step("run -v: directories of the host, writable and not", || {
        let (first, second) = (format!("{}:/w", path("there")), format!("{}:/f:ro", path("there")));
        let script = "echo in > /w/file; cat /f/file; touch /f/x 2>&1 | grep -o Read-only";
        assert_eq!(shell(engine, &["-v", &first, "-v", &second], BOX, script), "in Read-only");
        assert_eq!(fs::read_to_string(here.join("there/file")).unwrap(), "in\n");
    });
    steps.step("run -v: a directory of the host that is missing is made", || {
        let volume = format!("{}:/x", path("made"));
        assert_eq!(shell(engine, &["-v", &volume], BOX, "ls /x"), "");
        assert!(here.join("made").is_dir());
    });
    steps.step("run --mount type=bind: a source that is missing is an error", || {
        let mount = format!("type=bind,source={},target=/x", path("none"));
        drop(engine.once(&["--mount", &mount, BOX, "true"]).exits(125));
        let mount = format!("type=bind,source={},target=/x,readonly", path("there"));
        let script = "touch /x/y 2>&1 | grep -o Read-only";
        assert_eq!(shell(engine, &["--mount", &mount], BOX, script), "Read-only");
    });
    steps.step("run --tmpfs: nothing runs from it unless asked", || {
        let script = "cp /bin/busybox /t/true; /t/true 2>/dev/null || echo no";
        assert_eq!(shell(engine, &["--tmpfs", "/t"], BOX, script), "no");
        assert_eq!(shell(engine, &["--tmpfs", "/t:exec"], BOX, script), "");
    });
    steps.step("run --tmpfs: mode and size", || {
        let option = "/t:mode=700,size=2m";
        let script = "stat -c %a /t; df -k /t | awk 'END { print $2 }'";
        assert_eq!(shell(engine, &["--tmpfs", option], BOX, script), "700 2048");
        let mount = "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770";
        assert_eq!(shell(engine, &["--mount", mount], BOX, "stat -f -c %T /t"), "tmpfs");
        assert_eq!(shell(engine, &["--mount", mount], BOX, "stat -c %a /t"), "1770");
    });
    steps.step("run --tmpfs: begins empty", || {
        assert_eq!(shell(engine, &["--tmpfs", "/data"], BOX, "ls /data"), "");
    });
    steps.step("run --read-only: the root is, a tmpfs and volumes are not", || {
        let options = ["--read-only", "--tmpfs", "/t", "-v", "/v"];
        let script = "touch /x 2>/dev/null || echo no; touch /t/x /v/x && echo yes";
        assert_eq!(shell(engine, &options, BOX, script), "no yes");
    });
    steps.step("run --read-only: /tmp is part of the root", || {
        let script = "touch /tmp/x 2>/dev/null || echo no";
        assert_eq!(shell(engine, &["--read-only"], BOX, script), "no");
    });
    steps.step("run --volumes-from: what another has mounted", || {
        engine.create("giver", &["-v", "given:/g", BOX, "true"]);
        let script = "echo 1 > /g/x; cat /g/x";
        assert_eq!(shell(engine, &["--volumes-from", "giver"], BOX, script), "1");
        let script = "touch /g/y 2>/dev/null || echo no";
        assert_eq!(shell(engine, &["--volumes-from", "giver:ro"], BOX, script), "no");
    });
    steps.step("run -v: two mounts at one place are an error", || {
        drop(engine.once(&["-v", "/a:/x", "-v", "/b:/x", BOX, "true"]).exits(125));
    });
}

fn surroundings(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("run --network none: a loopback alone", || {
        assert_eq!(shell(engine, &[], BOX, "ls /sys/class/net"), "lo");
    });
    steps.step("run --shm-size: as much shared memory", || {
        let script = "df -k /dev/shm | awk 'END { print $2 }'";
        assert_eq!(shell(engine, &["--shm-size", "2m"], BOX, script), "2048");
    });
    steps.step("run: shared memory of 64 MiB", || {
        let script = "df -k /dev/shm | awk 'END { print $2 }'";
        assert_eq!(shell(engine, &[], BOX, script), "65536");
    });
    steps.step("run --pid, --ipc, --network: another container's", || {
        engine.start("other", &["--ipc", "shareable", BOX, "sleep", "1000"]);
        for kind in ["pid", "ipc", "net"] {
            let link = format!("/proc/self/ns/{kind}");
            let others = engine.said(&["exec", "other", "readlink", &link]);
            let option = if kind == "net" { "--network".to_owned() } else { format!("--{kind}") };
            let words = ["run", "--rm", &option, "container:other", BOX, "readlink", &link];
            assert_eq!(engine.said(&words), others, "{kind}");
        }
    });
    steps.step("run --pid host, --uts host: the host's", || {
        for kind in ["pid", "uts"] {
            let link = format!("/proc/self/ns/{kind}");
            let hosts = engine.world.run(&["readlink", &link]).ok().stdout;
            let option = format!("--{kind}");
            assert_eq!(engine.prints(&[&option, "host", BOX, "readlink", &link]), hosts);
        }
    });
    steps.step("run -m: too much memory is the end", || {
        let flags = ["-m", "16m", "--memory-swap", "16m"];
        engine.start("oom", &[&flags[..], &[BOX, "sh", "-c", "tail /dev/zero"]].concat());
        engine.wait_for("oom", ".State.Running", "false");
        assert_eq!(engine.inspect("oom", ".State.ExitCode"), "137");
    });
    steps.step("run: the kernel's places are masked or read-only", || {
        let script = "cat /proc/kcore | wc -c; echo 1 > /proc/sys/kernel/panic || echo no; \
                      touch /sys/x || echo no";
        let said = shell(engine, &[], BOX, &format!("({script}) 2>/dev/null"));
        assert_eq!(said, "0 no no");
    });
}
