//! The table of differences: where a runtime does something else, and which sentence decides.
//!
//! It is data twice: the suite fails when a row is no longer true, or when a difference has no
//! row, and `docs/conformance.md` shows it to readers.

use crate::runtime::Name;

/// One test that one runtime does not pass.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Who differs.
    pub runtime: Name,
    /// The test, by its path in the suite.
    pub test: &'static str,
    /// What it does instead.
    pub instead: &'static str,
    /// The sentence of the specification, or the behaviour, that decides.
    pub decides: &'static str,
}

const fn row(
    runtime: Name,
    test: &'static str,
    instead: &'static str,
    decides: &'static str,
) -> Difference {
    Difference { runtime, test, instead, decides }
}

/// All that are known.
pub const DIFFERENCES: &[Difference] = &[
    row(
        Name::Crun,
        "cgroups::a_value_that_the_kernel_refuses_is_an_error",
        "fails, but leaves the cgroups it made",
        "runtime.md, Errors: \"generating an error MUST leave the state of the environment as if the operation were never attempted\"",
    ),
    row(
        Name::Crun,
        "cgroups::resuming_what_runs_is_an_error",
        "succeeds without a word",
        "runc: \"container not paused\"",
    ),
    row(
        Name::Crun,
        "cgroups::statistics_are_printed",
        "has no command `events`",
        "runc: `events --stats`",
    ),
    row(
        Name::Crun,
        "devices::a_device_where_another_file_is_is_refused",
        "puts the device over the file",
        NODE,
    ),
    row(
        Name::Crun,
        "devices::an_unknown_kind_of_device_is_refused",
        "runs without the device",
        INVALID,
    ),
    row(
        Name::Crun,
        "exec::options_change_the_process",
        "`--env` replaces the whole environment, so that nothing is found in PATH",
        "runc: `exec --env` adds to the environment of the container's process",
    ),
    row(
        Name::Crun,
        "exec::the_process_has_the_containers_rights",
        "the process may gain privileges although the container's may not",
        "runc: `exec` without `--process` takes the container's process, with its noNewPrivileges",
    ),
    row(Name::Crun, "features::both_versions_are_accepted", "has no command `features`", FEATURES),
    row(Name::Crun, "features::every_mount_option_is_taken", "has no command `features`", FEATURES),
    row(Name::Crun, "features::the_hooks_are_all_six", "has no command `features`", FEATURES),
    row(
        Name::Crun,
        "features::the_linux_part_names_what_the_suite_tries",
        "has no command `features`",
        FEATURES,
    ),
    row(Name::Crun, "hooks::hooks_read_the_state", "says created while it creates", HOOKS_STATE),
    row(
        Name::Crun,
        "lifecycle::a_program_that_cannot_run_is_named",
        "says \"open executable: Permission denied\" of a file that cannot be executed",
        "runc: `exec: \"/etc/hostname\": permission denied`",
    ),
    row(
        Name::Crun,
        "lifecycle::an_unknown_signal_is_an_error",
        "succeeds without a word",
        "runc: `unknown signal \"NONSENSE\"`",
    ),
    row(
        Name::Crun,
        "lifecycle::later_versions_of_the_specification_are_accepted",
        "knows 1.0 alone",
        "config.md, Specification version: 1.x are compatible by SemVer v2.0.0",
    ),
    row(
        Name::Crun,
        "mounts::bind_mounts_propagate_as_they_are_told",
        "a shared mount is private after all",
        "config.md, Linux mount options: `shared` is a MUST",
    ),
    row(
        Name::Crun,
        "mounts::options_of_loudness_and_laziness_are_taken",
        "hands `loud` to the filesystem, which refuses it",
        OPTIONS,
    ),
    row(
        Name::Crun,
        "mounts::options_of_versions_are_taken",
        "hands `iversion` to the filesystem, which refuses it",
        OPTIONS,
    ),
    row(
        Name::Crun,
        "mounts::options_that_can_be_seen_are_there",
        "`rw` after `ro` does not undo it",
        "mount(8): the last one of two options that contradict each other holds",
    ),
    row(
        Name::Crun,
        "mounts::symbolic_links_are_not_followed_where_that_is_said",
        "hands `nosymfollow` to the filesystem, which refuses it",
        "config.md, Linux mount options: `nosymfollow` is a SHOULD",
    ),
    row(
        Name::Crun,
        "namespaces::a_namespace_that_is_listed_twice_is_refused",
        "makes it once",
        "config-linux.md, Namespaces: \"If a namespaces field contains duplicated namespaces with same type, the runtime MUST generate an error.\"",
    ),
    row(
        Name::Crun,
        "namespaces::a_time_namespace_has_its_offsets",
        "ends with \"write to sync socket: Connection reset by peer\"",
        TIME,
    ),
    row(Name::Crun, "process::a_limit_that_is_given_twice_is_refused", "the last one holds", TWICE),
    row(
        Name::Crun,
        "process::a_relative_working_directory_is_refused",
        "takes it as relative to the root",
        "config.md, Process: \"cwd … This value MUST be an absolute path.\"",
    ),
    row(
        Name::Crun,
        "root::an_unknown_propagation_is_refused",
        "runs as if nothing were said",
        INVALID,
    ),
    row(
        Name::Crun,
        "seccomp::metadata_without_a_listener_is_refused",
        "runs, and drops it",
        "config-linux.md, Seccomp: \"listenerMetadata … This field MUST NOT be set if listenerPath is not set.\"",
    ),
    row(
        Name::Crun,
        "user::an_unknown_capability_is_a_warning",
        "runs without a word",
        "config.md, Linux Process: \"Any value which cannot be mapped to a relevant kernel interface … MUST be logged as a warning by the runtime.\"",
    ),
    row(
        Name::Runc,
        "devices::a_device_where_another_file_is_is_refused",
        "leaves the file as it is",
        NODE,
    ),
    row(
        Name::Runc,
        "features::every_mount_option_is_taken",
        "names `defaults` and hands it to the filesystem, which refuses it",
        "features.md, Mount Options: \"The runtime MUST recognize the elements in this array as the options of mounts objects\"",
    ),
    row(
        Name::Runc,
        "hooks::a_failing_poststop_hook_is_a_warning",
        "the hooks after the failed one do not run",
        "runtime.md, Lifecycle: \"If any poststop hook fails, the runtime MUST log a warning, but the remaining hooks and lifecycle continue as if the hook had succeeded.\"",
    ),
    row(Name::Runc, "hooks::hooks_read_the_state", "says created to poststart hooks", HOOKS_STATE),
    row(
        Name::Runc,
        "hooks::hooks_run_at_their_time",
        "runs poststart hooks as part of create",
        "config.md, Poststart: \"The poststart hooks MUST be called after the user-specified process is executed but before the start operation returns.\"",
    ),
    row(
        Name::Runc,
        "lifecycle::a_version_that_is_none_is_refused",
        "runs",
        "config.md, Specification version: \"MUST be in SemVer v2.0.0 format\"",
    ),
    row(Name::Runc, "lifecycle::the_next_major_version_is_refused", "runs", INVALID),
    row(
        Name::Runc,
        "mounts::a_mount_with_mappings_shows_mapped_owners",
        "runs, and shows the owners as they are",
        "config.md, Mounts: \"If uidMappings or gidMappings are specified for the mount, the runtime MUST use those values for the mount's mapping.\"",
    ),
    row(
        Name::Runc,
        "mounts::the_option_of_defaults_is_taken",
        "hands it to the filesystem, which refuses it",
        OPTIONS,
    ),
    row(
        Name::Runc,
        "namespaces::a_time_namespace_has_its_offsets",
        "knows no time namespace (runc has it since 1.2)",
        TIME,
    ),
    row(
        Name::Runc,
        "namespaces::the_container_has_its_names",
        "leaves the domain name (runc has it since 1.2)",
        "config.md, Domainname: \"specifies the container's domainname as seen by processes running inside the container\"",
    ),
    row(Name::Runc, "process::a_limit_that_is_given_twice_is_refused", "the last one holds", TWICE),
    row(
        Name::Runc,
        "root::the_root_propagates_as_it_is_told",
        "a shared root is private after all",
        "config-linux.md, Rootfs Mount Propagation: \"shared\"",
    ),
    row(
        Name::Runc,
        "seccomp::flags_are_taken",
        "says that it does not support flags (runc has them since 1.2)",
        "config-linux.md, Seccomp: \"flags (array of strings, OPTIONAL) - list of flags to use with seccomp(2)\"",
    ),
    row(
        Name::Runc,
        "seccomp::metadata_without_a_listener_is_refused",
        "runs, and drops it",
        "config-linux.md, Seccomp: \"listenerMetadata … This field MUST NOT be set if listenerPath is not set.\"",
    ),
];

const TWICE: &str = "config.md, POSIX process: \"If rlimits contains duplicated entries with same type, the runtime MUST generate an error.\"";
const INVALID: &str = "config.md, Valid values: \"Runtimes MUST generate an error when invalid or unsupported values are encountered.\"";
const OPTIONS: &str = "config.md, Linux mount options: the option is a MUST of the table";
const NODE: &str = "config-linux.md, Devices: \"If a file already exists at path that does not match the requested device, the runtime MUST generate an error.\"";
const HOOKS_STATE: &str = "runtime.md, State: \"created: the runtime has finished the create operation\"; \"running: the container process has executed the user-specified program\"";
const FEATURES: &str = "features.md (version 1.1 of the specification; crun has it since 1.8.6)";
const TIME: &str = "config-linux.md, Namespaces: \"time\"; Offset for Time Namespace";

/// The row for a runtime and a test.
pub fn of(runtime: Name, test: &str) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|row| row.runtime == runtime && row.test == test)
}
