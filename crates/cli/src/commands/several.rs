//! One thing done to several objects: each is tried, what failed is said, the rest goes on.

use crate::{
    console::Console,
    exit::{FAILURE, SUCCESS},
};
use dhow_base::Result;

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
