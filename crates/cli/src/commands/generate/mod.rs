//! `generate`: files for other programs.

pub(super) mod systemd;

pub(super) use systemd::own_command;
