//! How data looks: tables, templates, JSON, progress; and text that is safe on a terminal.

pub(crate) mod list;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod text;
