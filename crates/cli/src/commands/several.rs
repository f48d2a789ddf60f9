//! One thing done to several objects: each is tried, what failed is said, the rest goes on.

use crate::{
    console::Console,
    exit::{FAILURE, SUCCESS},
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{Engine, Which};

/// Does `one` to each object and prints what it returns. The exit code says whether all went well.
pub(super) fn each(
    console: Console,
    objects: &[String],
    mut one: impl FnMut(&str) -> Result<Option<String>>,
) -> Result<u8> {
    let mut code = SUCCESS;
    for object in objects {
        match one(object) {
            Ok(Some(line)) => console.line(&line)?,
            Ok(None) => {}
            Err(error) => {
                console.error(&error);
                code = FAILURE;
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
