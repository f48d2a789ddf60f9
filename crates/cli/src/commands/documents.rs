//! `inspect` of one kind of objects: each is looked up, what failed is said, the rest is shown.

use super::look::pretty;
use crate::{
    exit::{SUCCESS, failure},
    invocation::Invocation,
    render::template::Format,
};
use dhow_base::Result;
use serde_json::Value;

/// What `inspect` found, and the exit code so far.
#[derive(Debug)]
pub(super) struct Documents {
    format: Option<Format>,
    pub(super) found: Vec<Value>,
    code: u8,
}

impl Documents {
    /// Nothing yet, to be shown as `--format` says.
    pub(super) fn new(format: Option<&str>) -> Result<Self> {
        let format = match format {
            None | Some("" | "json") => None,
            Some(text) => Some(Format::parse(text)?),
        };
        Ok(Self { format, found: Vec::new(), code: SUCCESS })
    }

    /// Takes what a lookup gave, or says why it failed.
    pub(super) fn take(&mut self, document: Result<Value>, invocation: &Invocation) {
        match document {
            Ok(document) => self.found.push(document),
            Err(error) => {
                invocation.console.error(&error);
                self.code = failure(invocation.manners);
            }
        }
    }

    /// The exit code so far.
    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// Prints all as an array, or a line for each where there is a template.
    pub(super) fn print(self, invocation: &Invocation) -> Result<u8> {
        let all = Value::Array(self.found.clone());
        self.print_as(&all, invocation)
    }

    /// As [`Documents::print`], with another document where there is no template.
    pub(super) fn print_as(self, all: &Value, invocation: &Invocation) -> Result<u8> {
        let text = match &self.format {
            Some(format) => {
                let line = |document| Ok(format!("{}\n", format.fill(document)?));
                self.found.iter().map(line).collect::<Result<String>>()?.into_bytes()
            }
            None => pretty(all)?,
        };
        invocation.console.print(text)?;
        Ok(self.code)
    }
}
