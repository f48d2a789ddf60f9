//! The command line, tried through the real binary: a file a feature.
//!
//! One program holds all of them, so that it is linked once. Each test has a dhow of its own, with
//! private directories, and fails if it leaves anything behind.

#[cfg(test)]
mod artifact;
#[cfg(test)]
mod as_podman;
#[cfg(test)]
mod at_rest;
#[cfg(test)]
mod auto_update;
mod bad_input;
#[cfg(test)]
mod bad_table;
#[cfg(test)]
mod beside_docker;
#[cfg(test)]
mod boot;
#[cfg(test)]
mod bridge;
#[cfg(test)]
mod bundle;
#[cfg(test)]
mod checkpoint;
#[cfg(test)]
mod clone;
#[cfg(test)]
mod cni;
mod commit;
mod completion;
#[cfg(test)]
mod console_socket;
mod containers;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod cp;
mod crash;
#[cfg(test)]
mod crash_bridge;
#[cfg(test)]
mod crash_containers;
#[cfg(test)]
mod crash_images;
#[cfg(test)]
mod crash_networks;
#[cfg(test)]
mod crash_volumes;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod dhcp;
#[cfg(test)]
mod discard;
#[cfg(test)]
mod events;
mod exec;
mod exit_codes;
#[cfg(test)]
mod explain;
mod faults;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod frozen;
mod guide;
#[cfg(test)]
mod handed;
#[cfg(test)]
mod hanging;
#[cfg(test)]
mod health;
mod hello;
mod help;
#[cfg(test)]
mod host_paths;
#[cfg(test)]
mod hostile_files;
#[cfg(test)]
mod hostile_sizes;
#[cfg(test)]
mod identity;
mod images;
#[cfg(test)]
mod init;
mod input_policy;
#[cfg(test)]
mod journey;
#[cfg(test)]
mod keep_id;
#[cfg(test)]
mod layers;
mod leavings;
mod libraries;
mod lists;
#[cfg(test)]
mod liveness;
#[cfg(test)]
mod log_index;
mod logs;
#[cfg(test)]
mod loopback;
#[cfg(test)]
mod manifest;
#[cfg(test)]
mod manners;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod mounted;
#[cfg(test)]
mod mounts;
#[cfg(test)]
mod names;
#[cfg(test)]
mod network_errors;
#[cfg(test)]
mod network_options;
#[cfg(test)]
mod networks;
#[cfg(test)]
mod options;
#[cfg(test)]
mod other_runtimes;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod pods;
#[cfg(test)]
mod pods_ids;
mod pods_more;
#[cfg(test)]
mod published_ports;
mod quadlet;
#[cfg(test)]
mod real_sizes;
#[cfg(test)]
mod refetch;
#[cfg(test)]
mod registries;
#[cfg(test)]
mod rehearse;
#[cfg(test)]
mod repack;
#[cfg(test)]
mod required;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod rootfs_directory;
mod rootless;
#[cfg(test)]
mod rootless_networks;
#[cfg(test)]
mod rootless_systemd;
#[cfg(test)]
mod ruleset;
#[cfg(test)]
mod run;
#[cfg(test)]
mod runtime_budgets;
#[cfg(test)]
mod runtime_checkpoint;
#[cfg(test)]
mod runtime_errors;
#[cfg(test)]
mod runtime_exec;
#[cfg(test)]
mod runtime_life;
#[cfg(test)]
mod runtime_limits;
#[cfg(test)]
mod runtime_sockets;
#[cfg(test)]
mod runtime_spec;
#[cfg(test)]
mod runtime_systemd;
#[cfg(test)]
mod runtime_terminal;
#[cfg(test)]
mod save_load;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod selinux;
#[cfg(test)]
mod services;
mod stop;
#[cfg(test)]
mod store;
#[cfg(test)]
mod systemd;
#[cfg(test)]
mod systemd_inside;
mod terminal;
#[cfg(test)]
mod torment;
#[cfg(test)]
mod transit;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod update;
#[cfg(test)]
mod volumes;
