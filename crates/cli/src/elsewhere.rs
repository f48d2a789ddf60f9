//! Flags and commands that docker, podman or nerdctl have and dhow has not: each is refused by its name with
//! the reason, so that nobody takes a missing one for a misspelt one.
//!
//! They are not declared: what is declared is parsed at every run, and shows up in completions. They
//! are looked up here when clap has found a flag that it does not know.

mod commands;
mod images;
mod objects;

pub(crate) use commands::reason_of_command;

/// A flag of another program's.
#[derive(Clone, Copy, Debug)]
struct Foreign {
    /// Its names.
    names: &'static [&'static str],
    /// Why it is refused.
    why: &'static str,
    /// What can be done instead.
    instead: Option<&'static str>,
}

const fn foreign(
    names: &'static [&'static str],
    why: &'static str,
    instead: Option<&'static str>,
) -> Foreign {
    Foreign { names, why, instead }
}

const OF_WINDOWS: &str = "it is for containers of Windows";
const NOT_SIGNED: &str = "signatures of images are not looked at yet";

/// Those of `run` and `create`.
const OF_RUN: &[Foreign] = &[
    foreign(&["--link-local-ip"], "a device has the addresses of its network only", None),
    foreign(
        &["--link"],
        "links are docker's old way to find a neighbour",
        Some("on one network the other's name resolves; --network-alias gives it another"),
    ),
    foreign(&["--isolation", "--cpu-count", "--cpu-percent"], OF_WINDOWS, None),
    foreign(&["--io-maxbandwidth", "--io-maxiops"], OF_WINDOWS, None),
    foreign(
        &["--kernel-memory"],
        "the kernel counts its own memory as the container's and has no limit for it any more",
        Some("--memory limits both"),
    ),
    foreign(&["--use-api-socket"], "there is no API that a container could reach", None),
    foreign(
        &["--disable-content-trust"],
        NOT_SIGNED,
        Some("there is nothing to disable; leave it out"),
    ),
    foreign(
        &[
            "--verify",
            "--cosign-key",
            "--cosign-certificate-identity",
            "--cosign-certificate-identity-regexp",
            "--cosign-certificate-oidc-issuer",
            "--cosign-certificate-oidc-issuer-regexp",
        ],
        NOT_SIGNED,
        None,
    ),
    foreign(&["--decryption-key"], "layers are not decrypted", None),
    foreign(&["--ipfs-address"], "images are not fetched from IPFS", None),
    foreign(
        &["--seccomp-policy"],
        "an image does not choose its own filter",
        Some("--security-opt seccomp=FILE names one"),
    ),
    foreign(
        &["--selinux-enabled"],
        "SELinux is used where the kernel runs it",
        Some("--security-opt label=disable goes without"),
    ),
    foreign(&["--permissive"], "whether SELinux enforces is the host's affair", None),
    foreign(&["--init-ctr"], "there are no containers that run before a pod's others", None),
    foreign(&["--init-binary"], "it is nerdctl's", Some("--init-path is the other programs'")),
    foreign(&["--chrootdirs"], "the engine's files are bound at their usual places only", None),
    foreign(
        &["--attach", "-a"],
        "a container that is created has no streams yet",
        Some("leave it out; `dhow start --attach` gives them"),
    ),
    foreign(&["--conmon-pidfile"], "there is no conmon", None),
];

/// Those of `exec`.
const OF_EXEC: &[Foreign] = &[foreign(
    &["--no-session"],
    "a session is not kept anywhere where it could be left out",
    Some("leave it out"),
)];

/// Those of `update`.
const OF_UPDATE: &[Foreign] = &[foreign(
    &["--kernel-memory"],
    "the kernel counts its own memory as the container's and has no limit for it any more",
    Some("--memory limits both"),
)];

/// Those of `network create`.
const OF_NETWORK: &[Foreign] = &[
    foreign(
        &["--config-from", "--config-only"],
        "a network's settings are kept with it alone, and taken from no other",
        Some("`dhow network inspect` shows those of another to be repeated"),
    ),
    foreign(
        &["--ingress"],
        "it is the network of a swarm's gateways, and there is no swarm",
        Some("any container's ports are published with -p"),
    ),
];

/// Why a command, as it was typed, has not got a flag that others have, and what can be done.
pub(crate) fn reason(words: &str, flag: &str) -> Option<(&'static str, Option<&'static str>)> {
    let table = match words.rsplit(' ').next()? {
        "run" | "create"
            if matches!(words, "run" | "create" | "container run" | "container create") =>
        {
            OF_RUN
        }
        "create" if words == "network create" => OF_NETWORK,
        "create" | "clone" if words.starts_with("pod ") => objects::OF_POD,
        "start" if matches!(words, "start" | "container start") => objects::OF_START,
        "rm" if matches!(words, "rm" | "container rm") => objects::OF_REMOVE,
        "create" if words == "secret create" => objects::OF_SECRET,
        "create" | "ls" if words.starts_with("volume ") => objects::OF_VOLUME,
        "exec" => OF_EXEC,
        "update" => OF_UPDATE,
        "pull" if words == "pull" || words == "image pull" => images::OF_PULL,
        "push" if words == "push" || words == "image push" => images::OF_PUSH,
        "images" => images::OF_LIST,
        "ls" | "list" if words.starts_with("image ") => images::OF_LIST,
        "rmi" => images::OF_REMOVE,
        "rm" if words == "image rm" => images::OF_REMOVE,
        "save" => images::OF_SAVE,
        "load" => images::OF_LOAD,
        "history" => images::OF_HISTORY,
        "check" => images::OF_CHECK,
        "prune" if matches!(words, "image prune" | "system prune") => images::OF_PRUNE,
        "inspect" if words == "image inspect" => images::OF_INSPECT,
        _ if words.starts_with("manifest ") => images::OF_MANIFEST,
        _ if words.starts_with("artifact ") => images::OF_ARTIFACT,
        _ => return None,
    };
    // Clap names a flag with what was behind it: `--ip=1.2.3.4`.
    let name = flag.split(['=', ' ']).next()?;
    let found = table.iter().find(|foreign| foreign.names.contains(&name))?;
    Some((found.why, found.instead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Switches, command};
    use std::collections::BTreeSet;

    /// The flags of docker 28, podman 5 and nerdctl 2 together, from their documentation.
    const RUN: &str = "
        add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent
        cgroupns cidfile cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus
        cpuset-cpus cpuset-mems detach detach-keys device device-read-bps device-read-iops
        device-write-bps device-write-iops dns dns-option dns-search entrypoint env env-file gpus
        group-add health-cmd health-interval health-retries health-start-period health-timeout
        hostname init interactive ip ip6 ipc label label-file log-driver log-opt mac-address memory
        memory-reservation memory-swap memory-swappiness mount name network no-healthcheck
        oom-kill-disable oom-score-adj pid pids-limit platform privileged publish pull quiet
        read-only restart rm security-opt shm-size sig-proxy stop-signal stop-timeout sysctl tmpfs
        tty ulimit user userns uts volume volumes-from workdir device-cgroup-rule expose help
        link-local-ip network-alias publish-all cpu-count cpu-percent health-start-interval
        io-maxbandwidth io-maxiops link storage-opt use-api-socket volume-driver domainname
        isolation runtime arch authfile cert-dir cgroups chrootdirs conmon-pidfile creds
        decryption-key disable-content-trust env-host env-merge gidmap group-entry
        health-log-destination health-max-log-count health-max-log-size health-on-failure
        health-startup-cmd health-startup-interval health-startup-retries health-startup-success
        health-startup-timeout hosts-file hostuser http-proxy image-volume init-path no-hostname
        no-hosts os passwd passwd-entry permissive personality pod pod-id-file preserve-fd
        preserve-fds read-only-tmpfs replace requires retry retry-delay rmi sdnotify
        seccomp-policy secret shm-size-systemd subgidname subuidname timeout tls-verify tz uidmap
        unsetenv unsetenv-all variant cosign-certificate-identity
        cosign-certificate-identity-regexp cosign-certificate-oidc-issuer
        cosign-certificate-oidc-issuer-regexp cosign-key dns-opt init-binary ipfs-address
        kernel-memory selinux-enabled verify cgroup-conf net pidfile rdt-class rootfs systemd umask
        init-ctr";
    /// `run` only.
    const RUN_ALONE: [&str; 7] =
        ["detach", "detach-keys", "sig-proxy", "rmi", "preserve-fd", "preserve-fds", "init-ctr"];
    const EXEC: &str = "
        detach env env-file interactive privileged tty user workdir detach-keys cidfile latest
        no-session preserve-fd preserve-fds";
    const UPDATE: &str = "
        blkio-weight cpu-period cpu-quota cpu-shares cpus cpuset-cpus cpuset-mems memory
        memory-reservation memory-swap pids-limit restart cpu-rt-period cpu-rt-runtime
        blkio-weight-device device-read-bps device-read-iops device-write-bps device-write-iops env
        health-cmd health-interval health-log-destination health-max-log-count health-max-log-size
        health-on-failure health-retries health-start-period health-startup-cmd
        health-startup-interval health-startup-retries health-startup-success
        health-startup-timeout health-timeout latest memory-swappiness no-healthcheck ulimit
        unsetenv kernel-memory";

    const NETWORK: &str = "
        attachable aux-address config-from config-only driver gateway help ingress internal
        ip-range ipam-driver ipam-opt ipv4 ipv6 label opt scope subnet disable-dns dns ignore
        interface-name route";

    /// Those of docker 28.5 and podman 5.8 for images, from their help.
    const IMAGES: [(&str, &str); 24] = [
        (
            "pull",
            "all-tags arch authfile cert-dir creds decryption-key disable-content-trust os platform policy quiet
             retry retry-delay tls-verify variant",
        ),
        (
            "push",
            "all-tags authfile cert-dir compress compression-format compression-level creds digestfile
             disable-content-trust encrypt-layer encryption-key force-compression format platform quiet
             remove-signatures retry retry-delay sign-by sign-by-sigstore sign-by-sigstore-private-key
             sign-by-sq-fingerprint sign-passphrase-file tls-verify",
        ),
        ("images", "all digests filter format history no-trunc noheading quiet sort tree"),
        ("image list", "history noheading sort tree"),
        ("rmi", "all force ignore no-prune platform"),
        ("image rm", "all force ignore no-prune platform"),
        ("save", "compress format multi-image-archive output platform quiet uncompressed"),
        ("load", "input platform quiet"),
        ("import", "arch change message os platform quiet variant"),
        ("history", "format human no-trunc platform quiet"),
        (
            "login",
            "authfile cert-dir compat-auth-file get-login password password-stdin secret tls-verify username verbose",
        ),
        ("logout", "all authfile compat-auth-file"),
        ("image prune", "all build-cache external filter force"),
        ("image inspect", "format platform"),
        ("system check", "force max quick repair"),
        ("system prune", "all build external filter force volumes"),
        ("manifest create", "all amend annotation insecure tls-verify"),
        (
            "manifest add",
            "all annotation arch artifact artifact-config artifact-config-type artifact-exclude-titles
             artifact-layer-type artifact-subject artifact-type authfile cert-dir creds features os os-features
             os-version tls-verify variant",
        ),
        ("manifest annotate", "annotation arch features index os os-features os-version subject variant"),
        ("manifest inspect", "authfile insecure tls-verify verbose"),
        (
            "manifest push",
            "add-compression all authfile cert-dir compression-format compression-level creds digestfile
             force-compression format insecure purge quiet remove-signatures rm sign-by sign-by-sigstore
             sign-by-sigstore-private-key sign-by-sq-fingerprint sign-passphrase-file tls-verify",
        ),
        ("manifest rm", "ignore"),
        (
            "artifact push",
            "authfile cert-dir creds digestfile quiet retry retry-delay sign-by sign-by-sigstore
             sign-by-sigstore-private-key sign-by-sq-fingerprint sign-passphrase-file tls-verify",
        ),
        ("artifact pull", "authfile cert-dir creds decryption-key quiet retry retry-delay tls-verify"),
    ];

    /// Those of podman 5.8 for containers, pods and secrets that docker has not, or has fewer of.
    const OBJECTS: [(&str, &str); 14] = [
        ("start", "all attach checkpoint checkpoint-dir detach-keys filter interactive latest sig-proxy"),
        ("rm", "all cidfile depend filter force ignore latest link time volumes"),
        (
            "volume create",
            "availability driver gid group ignore label limit-bytes opt required-bytes scope secret sharing
             topology-preferred topology-required type uid",
        ),
        ("volume ls", "cluster filter format noheading quiet"),
        ("commit", "author change config format include-volumes iidfile message pause quiet squash"),
        ("wait", "condition exit-first-match ignore interval latest"),
        ("container runlabel", "authfile cert-dir creds display name quiet replace tls-verify"),
        ("auto-update", "authfile dry-run format rollback tls-verify"),
        ("secret create", "driver driver-opts env ignore label replace template-driver"),
        (
            "pod create",
            "add-host blkio-weight blkio-weight-device cgroup-parent cpu-shares cpus cpuset-cpus cpuset-mems
             device device-read-bps device-write-bps dns dns-option dns-search exit-policy gidmap gpus
             hostname hosts-file infra infra-command infra-conmon-pidfile infra-image infra-name ip ip6 label
             label-file mac-address memory memory-swap name network network-alias no-hostname no-hosts pid
             pod-id-file publish replace restart security-opt share share-parent shm-size shm-size-systemd
             subgidname subuidname sysctl uidmap userns uts volume volumes-from",
        ),
        ("pod ps", "ctr-ids ctr-names ctr-status filter format latest namespace no-trunc noheading quiet sort"),
        ("pod clone", "destroy gpus name restart shm-size-systemd start"),
        (
            "container checkpoint",
            "all compress create-image export file-locks ignore-rootfs ignore-volumes keep latest leave-running
             pre-checkpoint print-stats tcp-established with-previous",
        ),
        (
            "container restore",
            "all file-locks ignore-rootfs ignore-static-ip ignore-static-mac ignore-volumes import
             import-previous keep latest name pod print-stats publish tcp-close tcp-established",
        ),
    ];

    fn declared(name: &str) -> BTreeSet<String> {
        let mut all = command(Switches::Plain);
        all.build();
        let mut command = &all;
        for word in name.split(' ') {
            command = command.find_subcommand(word).expect("the command is there");
        }
        let mut names = BTreeSet::new();
        for argument in command.get_arguments() {
            names.extend(argument.get_long().map(str::to_owned));
            names.extend(argument.get_all_aliases().into_iter().flatten().map(str::to_owned));
        }
        names
    }

    fn assert_all_known(command: &str, flags: &str, but: &[&str]) {
        let declared = declared(command);
        let unknown: Vec<&str> = flags
            .split_whitespace()
            .filter(|flag| !but.contains(flag) && !declared.contains(*flag))
            .filter(|flag| reason(command, &format!("--{flag}")).is_none())
            .collect();
        assert!(unknown.is_empty(), "{command} neither has nor refuses: {}", unknown.join(" "));
    }

    #[test]
    fn every_flag_of_others_is_there_or_refused_by_name() {
        assert_all_known("run", RUN, &[]);
        assert_all_known("create", RUN, &RUN_ALONE);
        assert_all_known("exec", EXEC, &[]);
        assert_all_known("update", UPDATE, &[]);
        assert_all_known("network create", NETWORK, &[]);
        for (command, flags) in IMAGES.into_iter().chain(OBJECTS) {
            assert_all_known(command, flags, &[]);
        }
    }

    #[test]
    fn no_flag_is_both_there_and_refused() {
        for (command, table) in [
            ("create", OF_RUN),
            ("exec", OF_EXEC),
            ("update", OF_UPDATE),
            ("network create", OF_NETWORK),
            ("pull", images::OF_PULL),
            ("push", images::OF_PUSH),
            ("images", images::OF_LIST),
            ("rmi", images::OF_REMOVE),
            ("save", images::OF_SAVE),
            ("load", images::OF_LOAD),
            ("history", images::OF_HISTORY),
            ("start", objects::OF_START),
            ("rm", objects::OF_REMOVE),
            ("secret create", objects::OF_SECRET),
            ("volume create", objects::OF_VOLUME),
            ("volume ls", objects::OF_VOLUME),
            ("pod create", objects::OF_POD),
            ("pod clone", objects::OF_POD),
            ("image prune", images::OF_PRUNE),
            ("system prune", images::OF_PRUNE),
            ("image inspect", images::OF_INSPECT),
            ("system check", images::OF_CHECK),
        ] {
            let declared = declared(command);
            let names = table.iter().flat_map(|foreign| foreign.names);
            for name in names.filter_map(|name| name.strip_prefix("--")) {
                assert!(!declared.contains(name), "{command} has --{name}");
            }
        }
    }

    #[test]
    fn a_flag_is_refused_in_its_own_command_only() {
        assert!(reason("container run", "--link=db").is_some());
        assert!(reason("exec", "--link").is_none());
        assert!(reason("manifest create", "--link").is_none());
        assert!(reason("run", "--linkx").is_none());
    }
}
