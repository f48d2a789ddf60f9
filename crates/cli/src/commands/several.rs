//! One thing done to several objects: each is tried, what failed is said, the rest goes on.

use crate::{
    exit::{SUCCESS, failure, failure_to_remove},
    invocation::Invocation,
    manners::Manners,
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{Engine, Which};

/// Does `one` to each object and prints what it returns. The exit code says whether all went well.
pub(super) fn each(
    invocation: &Invocation,
    objects: &[String],
    one: impl FnMut(&str) -> Result<Option<String>>,
) -> Result<u8> {
    each_failing(invocation, objects, one, |_, manners| failure(manners))
}

/// The same, where the objects are to be removed.
pub(super) fn each_removed(
    invocation: &Invocation,
    objects: &[String],
    one: impl FnMut(&str) -> Result<Option<String>>,
) -> Result<u8> {
    each_failing(invocation, objects, one, failure_to_remove)
}

/// The highest code of all that failed says most: that one is in use, or that dhow failed.
fn each_failing(
    invocation: &Invocation,
    objects: &[String],
    mut one: impl FnMut(&str) -> Result<Option<String>>,
    code_of: impl Fn(&Error, Manners) -> u8,
) -> Result<u8> {
    let mut code = SUCCESS;
    for object in objects {
        match one(object) {
            Ok(Some(line)) => invocation.console.line(&line)?,
            Ok(None) => {}
            Err(error) => {
                invocation.console.error(&error);
                code = code.max(code_of(&error, invocation.manners));
            }
        }
    }
    Ok(code)
}

/// The container that was named, or the newest one.
pub(super) fn one(engine: &mut Engine, named: Option<String>) -> Result<String> {
    match named {
        Some(container) => Ok(container),
        None => match engine.list(Which::All)?.first() {
            Some(newest) => Ok(newest.id.to_string()),
            None => Err(Error::new(Kind::NotFound, "there is no container")),
        },
    }
}
