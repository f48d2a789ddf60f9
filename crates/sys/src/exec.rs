//! `execve(2)` and `execveat(2)`, with everything built beforehand: between a filter's loading and
//! the exec nothing is allocated.

use std::{
    ffi::{CStr, CString, NulError},
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

/// A terminated array of strings, as exec takes it.
#[derive(Debug)]
pub struct Strings {
    strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl Strings {
    /// Copies the strings; one with a zero byte inside is refused.
    pub fn new<S: AsRef<str>>(strings: &[S]) -> Result<Self, NulError> {
        let strings = strings
            .iter()
            .map(|string| CString::new(string.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(ptr::null());
        Ok(Self { strings, pointers })
    }

    /// Adds a string at the end.
    pub fn push(&mut self, string: &str) -> Result<(), NulError> {
        let string = CString::new(string)?;
        let end = self.pointers.len() - 1;
        self.pointers[end] = string.as_ptr();
        self.pointers.push(ptr::null());
        // A string's bytes stay where they are when its owner moves.
        self.strings.push(string);
        Ok(())
    }

    /// The strings.
    pub fn as_slice(&self) -> &[CString] {
        &self.strings
    }
}

/// Replaces the program; returns only where that failed.
pub fn execve(path: &CStr, arguments: &Strings, environment: &Strings) -> io::Error {
    // SAFETY: `path` is terminated; both arrays end with a null pointer and their elements point
    // at terminated strings that the same `Strings` owns and never changes.
    unsafe {
        libc::execve(path.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    }
    io::Error::last_os_error()
}

/// Replaces the program by the file behind `file`; returns only where that failed.
pub fn fexecve(file: BorrowedFd<'_>, arguments: &Strings, environment: &Strings) -> io::Error {
    const EMPTY: &CStr = c"";
    // SAFETY: as in `execve`; the path is a constant.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            EMPTY.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}
