//! The heap of a process that is about to sleep for a long time.

/// Gives the memory that is not used any more back to the kernel, also from between what is.
pub fn trim() {
    // SAFETY: the allocator takes its own locks, and touches free memory only.
    unsafe { libc::malloc_trim(0) };
}
