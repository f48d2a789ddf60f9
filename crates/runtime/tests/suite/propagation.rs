//! How mounts spread between host and container: by the mounts' options, and by the root's.
//!
//! Each test mounts in a mount namespace of its own, which stands for the host.

use crate::{bundle::Bundle, mounts::bind};
use dhow_testkit::{needs_root, needs_tool, outcome::Outcome};
use std::path::Path;

/// The host's part: shares `volume` and runs the container; then mounts something below it, and
/// looks for what the container has mounted there.
const HOST: &str = r#"
    mkdir volume; mount -t tmpfs none volume; mount --make-shared volume
    mkdir volume/below volume/late volume/inner
    mount -t tmpfs none volume/below; mount --make-shared volume/below
    "$@" &
    until [ -e volume/ready ]; do sleep 0.02; done
    mount -t tmpfs none volume/late; touch volume/late/marker
    touch volume/go
    until [ -e volume/done ]; do sleep 0.02; done
    [ ! -e volume/inner/marker ] || echo tells
    touch volume/end
    wait"#;

/// The container's part.
const CONTAINER: &str = r#"
    grep ' /v ' /proc/self/mountinfo | cut -d' ' -f7-8 | tr -d '0-9'
    grep ' /v/below ' /proc/self/mountinfo | cut -d' ' -f7-8 | tr -d '0-9'
    touch /v/ready
    until [ -e /v/go ]; do sleep 0.02; done
    [ ! -e /v/late/marker ] || echo hears
    mount -t tmpfs none /v/inner && touch /v/inner/marker
    mkdir /copy; mount --bind /v /copy 2> /dev/null || echo unbindable
    touch /v/done
    until [ -e /v/end ]; do sleep 0.02; done"#;

fn with_options(options: &[&str], root: Option<&str>) -> Outcome {
    let mut bundle = Bundle::new();
    bundle.may_mount();
    bundle.spec.mounts.push(bind(Path::new("volume"), "/v", options));
    bundle.spec.linux.as_mut().unwrap().rootfs_propagation = root.map(str::to_owned);
    bundle.sh_within(HOST, CONTAINER).ok()
}

#[test]
fn each_option_says_who_hears_of_whose_mounts() {
    needs_root!();
    needs_tool!("unshare");
    let cases: [(&[&str], &str); 9] = [
        (&["rbind"], "master: -\nmaster: -\nhears\n"),
        (&["rbind", "shared"], "shared:\nshared:\nhears\ntells\n"),
        (&["rbind", "rshared"], "shared:\nshared:\nhears\ntells\n"),
        (&["rbind", "slave"], "master: -\nmaster: -\nhears\n"),
        (&["rbind", "rslave"], "master: -\nmaster: -\nhears\n"),
        (&["rbind", "private"], "-\nmaster: -\n"),
        (&["rbind", "rprivate"], "-\n-\n"),
        (&["rbind", "unbindable"], "unbindable -\nmaster: -\nunbindable\n"),
        (&["rbind", "runbindable"], "unbindable -\nunbindable -\nunbindable\n"),
    ];
    for (options, expected) in cases {
        let outcome = with_options(options, None);

        let seen: Vec<&str> = outcome
            .stdout
            .lines()
            .map(|line| if line.starts_with("shared:") { "shared:" } else { line })
            .map(|line| line.trim_end().trim_end_matches(" - tmpfs").trim_end_matches(" tmpfs"))
            .collect();
        assert_eq!(format!("{}\n", seen.join("\n")), expected, "{options:?}: {outcome}");
    }
}

#[test]
fn several_options_take_effect_one_after_the_other() {
    needs_root!();
    needs_tool!("unshare");
    let outcome = with_options(&["rbind", "rprivate", "shared"], None);

    assert!(!outcome.stdout.contains("hears") && !outcome.stdout.contains("tells"), "{outcome}");
    assert!(outcome.stdout.starts_with("shared:"), "{outcome}");
}

#[test]
fn a_private_root_makes_its_volumes_private_where_they_do_not_say_otherwise() {
    needs_root!();
    needs_tool!("unshare");
    for (root, options, hears) in [
        ("rprivate", &["rbind"][..], false),
        ("private", &["rbind", "rslave"], true),
        ("rslave", &["rbind"], true),
        ("rslave", &["rbind", "rshared"], true),
        ("shared", &["rbind"], true),
    ] {
        let outcome = with_options(options, Some(root));

        assert_eq!(outcome.stdout.contains("hears"), hears, "{root} {options:?}: {outcome}");
        let tells = options.contains(&"rshared");
        assert_eq!(outcome.stdout.contains("tells"), tells, "{root} {options:?}: {outcome}");
    }
}

/// The host's part where the root itself is what spreads.
const HOST_OF_ROOT: &str = r#"
    mount --bind "$ROOT" "$ROOT"; mount --make-shared "$ROOT"
    mkdir -p "$ROOT/late" "$ROOT/inner" "$ROOT/signs"
    "$@" &
    until [ -e "$ROOT/signs/ready" ]; do sleep 0.02; done
    mount -t tmpfs none "$ROOT/late"; touch "$ROOT/late/marker" "$ROOT/signs/go"
    until [ -e "$ROOT/signs/done" ]; do sleep 0.02; done
    [ ! -e "$ROOT/inner/marker" ] || echo tells
    touch "$ROOT/signs/end"
    wait"#;

const CONTAINER_OF_ROOT: &str = r#"
    grep -E '^[0-9]+ [0-9]+ [0-9:]+ [^ ]+ / ' /proc/self/mountinfo | cut -d' ' -f7 | tr -d '0-9'
    touch /signs/ready
    until [ -e /signs/go ]; do sleep 0.02; done
    [ ! -e /late/marker ] || echo hears
    mount -t tmpfs none /inner && touch /inner/marker
    mkdir /copy; mount --bind / /copy 2> /dev/null || echo unbindable
    grep -c ' /proc .* shared:' /proc/self/mountinfo
    touch /signs/done
    until [ -e /signs/end ]; do sleep 0.02; done"#;

/// config-linux.md, "Rootfs Mount Propagation".
#[test]
fn the_root_propagates_as_it_is_told_and_never_to_the_host() {
    needs_root!();
    needs_tool!("unshare");
    for (word, expected) in [
        (None, "-\n0\n"),
        (Some("private"), "-\n0\n"),
        (Some("rprivate"), "-\n0\n"),
        (Some("slave"), "master:\nhears\n0\n"),
        (Some("rslave"), "master:\nhears\n0\n"),
        (Some("shared"), "shared:\n0\n"),
        (Some("rshared"), "shared:\n1\n"),
        (Some("unbindable"), "unbindable\nunbindable\n0\n"),
        (Some("runbindable"), "unbindable\nunbindable\n0\n"),
    ] {
        let mut bundle = Bundle::new();
        bundle.may_mount();
        bundle.spec.linux.as_mut().unwrap().rootfs_propagation = word.map(str::to_owned);
        let host = format!("ROOT={}\n{HOST_OF_ROOT}", bundle.root().display());

        let outcome = bundle.sh_within(&host, CONTAINER_OF_ROOT).ok();

        assert_eq!(outcome.stdout, expected, "{word:?}: {outcome}");
    }
}

#[test]
fn a_root_cannot_propagate_in_a_way_that_does_not_exist() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.spec.linux.as_mut().unwrap().rootfs_propagation = Some("sideways".to_owned());

    drop(bundle.run(&["true"]).exits(125).says("use rootfsPropagation \"sideways\""));
}
