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

const NO_TASK: &str = "config-linux.md, PIDs: \"`0` is a valid limit value for the `pids` cgroup controller from the kernel's perspective and SHOULD be treated as such by runtimes\" (version 1.3 of the specification)";
const OWNERSHIP: &str = "config-linux.md, Cgroup ownership: \"Runtimes SHOULD change the cgroup ownership if and only if the cgroup filesystem is to be mounted read/write\"";
const OWNER: &str =
    "config-linux.md, Cgroup ownership: \"the user that will execute the container process\"";
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
        "cgroups::no_task_at_all_is_a_limit",
        "knows 1.0 of the specification alone, where that was no limit",
        NO_TASK,
    ),
    row(
        Name::Runc,
        "cgroups::no_task_at_all_is_a_limit",
        "passes it over (runc heeds it since 1.4)",
        NO_TASK,
    ),
    row(
        Name::Crun,
        "cgroups::a_group_that_may_only_be_read_stays_the_runtimes",
        "gives it to the container's root all the same",
        OWNERSHIP,
    ),
    row(
        Name::Crun,
        "cgroups::a_group_to_manage_is_that_of_the_user_who_runs",
        "leaves it to root where there is no user namespace",
        OWNER,
    ),
    row(
        Name::Runc,
        "cgroups::a_group_that_may_be_written_is_the_containers_own",
        "leaves it to the host's root, unless systemd makes it",
        OWNERSHIP,
    ),
    row(
        Name::Runc,
        "cgroups::a_group_to_manage_is_that_of_the_user_who_runs",
        "leaves it to root, unless systemd makes it",
        OWNER,
    ),
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
    row(Name::Crun, "features::every_mount_option_works", "has no command `features`", FEATURES),
    row(Name::Crun, "features::every_hook_runs", "has no command `features`", FEATURES),
    row(Name::Crun, "features::every_namespace_is_made", "has no command `features`", FEATURES),
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
        Name::Crun,
        "features::every_action_and_operator_of_filters_works",
        "has no command `features`",
        FEATURES,
    ),
    row(
        Name::Crun,
        "features::every_architecture_and_flag_of_filters_is_taken",
        "has no command `features`",
        FEATURES,
    ),
    row(Name::Crun, "features::every_capability_is_given", "has no command `features`", FEATURES),
    row(
        Name::Crun,
        "features::every_kind_of_cgroup_is_used",
        "has no command `features`",
        FEATURES,
    ),
    row(Name::Crun, "features::every_memory_policy_is_set", "has no command `features`", FEATURES),
    row(
        Name::Crun,
        "features::labels_and_shares_are_set_or_refused_by_name",
        "has no command `features`",
        FEATURES,
    ),
    row(Name::Crun, "features::mounts_are_mapped", "has no command `features`", FEATURES),
    row(Name::Crun, "features::network_devices_move", "has no command `features`", FEATURES),
    row(
        Name::Crun,
        "features::unsafe_annotations_are_named",
        "has no command `features`",
        FEATURES,
    ),
    row(
        Name::Crun,
        "features::what_is_no_mount_option_is_refused_by_name",
        "has no command `features`",
        FEATURES,
    ),
    row(
        Name::Crun,
        "features::what_is_no_namespace_is_refused_by_name",
        "has no command `features`",
        FEATURES,
    ),
    row(
        Name::Crun,
        "features::what_is_no_word_of_filters_is_refused_by_name",
        "has no command `features`",
        FEATURES,
    ),
    row(
        Name::Crun,
        "hooks::a_failing_hook_of_start_destroys_the_container",
        "`start` succeeds without a word",
        START,
    ),
    row(
        Name::Crun,
        "scheduling::an_entering_process_is_on_its_processors",
        "knows no such affinity (crun has it since 1.21)",
        "config.md, Linux Process: \"execCPUAffinity\" (version 1.2.1 of the specification)",
    ),
    row(
        Name::Crun,
        "scheduling::the_input_output_priority_is_the_named_one",
        "knows no such priorities",
        "config.md, Linux Process: \"ioPriority\" (version 1.1 of the specification)",
    ),
    row(
        Name::Crun,
        "scheduling::the_policy_is_the_named_one",
        "knows no schedulers (crun has them since 1.8.5)",
        SCHEDULER,
    ),
    row(
        Name::Crun,
        "scheduling::what_is_no_policy_is_refused",
        "knows no schedulers (crun has them since 1.8.5)",
        SCHEDULER,
    ),
    row(
        Name::Runc,
        "devices::a_device_where_another_file_is_is_refused",
        "leaves the file as it is",
        NODE,
    ),
    row(
        Name::Runc,
        "features::every_mount_option_works",
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
    row(
        Name::Runc,
        "features::every_architecture_and_flag_of_filters_is_taken",
        "refuses architectures of two byte orders in one filter, which libseccomp cannot do",
        "features-linux.md, Seccomp: \"The runtime MUST recognize the elements in this array in the architectures property\"",
    ),
    row(
        Name::Runc,
        "features::every_memory_policy_is_set",
        "knows no memory policies (runc has them since 1.4)",
        "features-linux.md, MemoryPolicy (version 1.3 of the specification)",
    ),
    row(
        Name::Runc,
        "features::labels_and_shares_are_set_or_refused_by_name",
        "hands the label to each filesystem, which refuses it without a word about SELinux; knows no share of caches in its features",
        "config-linux.md, Mount Label; features-linux.md, Intel RDT",
    ),
    row(
        Name::Runc,
        "features::mounts_are_mapped",
        "knows no mapped mounts (runc has them since 1.2)",
        "features-linux.md, MountExtensions",
    ),
    row(
        Name::Runc,
        "features::network_devices_move",
        "knows no network devices (runc has them since 1.4)",
        "features-linux.md, NetDevices (version 1.3 of the specification)",
    ),
    row(
        Name::Runc,
        "features::unsafe_annotations_are_named",
        "names none (runc does since 1.2)",
        "features.md, Unsafe annotations in config.json",
    ),
    row(
        Name::Runc,
        "features::what_is_no_word_of_filters_is_refused_by_name",
        "knows no flag and names none (runc has them since 1.2)",
        INVALID,
    ),
    row(
        Name::Runc,
        "hooks::a_failing_hook_of_start_destroys_the_container",
        "runs the hooks of poststart as part of create, and a failing startContainer hook is no failure of `start`",
        START,
    ),
    row(
        Name::Runc,
        "scheduling::an_entering_process_is_on_its_processors",
        "knows no such affinity (runc has it since 1.3)",
        "config.md, Linux Process: \"execCPUAffinity\" (version 1.2.1 of the specification)",
    ),
    row(
        Name::Runc,
        "scheduling::the_input_output_priority_is_the_named_one",
        "knows no such priorities (runc has them since 1.2)",
        "config.md, Linux Process: \"ioPriority\" (version 1.1 of the specification)",
    ),
    row(
        Name::Runc,
        "scheduling::the_policy_is_the_named_one",
        "knows no schedulers (runc has them since 1.2)",
        SCHEDULER,
    ),
    row(
        Name::Runc,
        "scheduling::what_is_no_policy_is_refused",
        "knows no schedulers (runc has them since 1.2)",
        SCHEDULER,
    ),
];

const TWICE: &str = "config.md, POSIX process: \"If rlimits contains duplicated entries with same type, the runtime MUST generate an error.\"";
const INVALID: &str = "config.md, Valid values: \"Runtimes MUST generate an error when invalid or unsupported values are encountered.\"";
const OPTIONS: &str = "config.md, Linux mount options: the option is a MUST of the table";
const NODE: &str = "config-linux.md, Devices: \"If a file already exists at path that does not match the requested device, the runtime MUST generate an error.\"";
const HOOKS_STATE: &str = "runtime.md, State: \"created: the runtime has finished the create operation\"; \"running: the container process has executed the user-specified program\"";
const FEATURES: &str = "features.md (version 1.1 of the specification; crun has it since 1.8.6)";
const START: &str = "runtime.md, Lifecycle: \"If any poststart hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12.\"";
const SCHEDULER: &str =
    "config.md, Linux Process: \"scheduler\" (version 1.1 of the specification)";
const TIME: &str = "config-linux.md, Namespaces: \"time\"; Offset for Time Namespace";

/// The row for a runtime and a test.
pub fn of(runtime: Name, test: &str) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|row| row.runtime == runtime && row.test == test)
}
