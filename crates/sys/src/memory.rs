//! The memory of a process that is about to sleep for a long time, and of one that is in a hurry.

use rustix::{
    event::{PollFd, Timespec, poll},
    mm::Advice,
};
use std::{fs::File, hint::black_box, io, os::unix::fs::FileExt, ptr};

/// How far below the caller's frame the stack is given back: deeper than anything reached.
const STACK_BYTES: usize = 256 << 10;

/// How much below the caller's frame is left alone, for the frames of the calls made here.
const MARGIN_BYTES: usize = 2 << 10;

const PAGE_BYTES: usize = 4096;

unsafe extern "C" {
    // Set by every linker for Linux: where the program's image begins, and where its code ends.
    static __executable_start: u8;
    static etext: u8;
    // Where what the file has of the program's variables ends.
    static edata: u8;
}

/// Waits as poll(2) does, after giving back to the kernel what this process can do without until it
/// wakes: free memory of the heap, the stack below the caller, and its hold on the pages of the
/// program's variables, constants and code that the file has as well, which stay in the page cache and
/// are found again at the first touch.
///
/// One function, whose calls to the kernel are part of it: every touch of other code in between would
/// take 64 KiB back.
#[inline(never)]
pub fn give_back_and_poll(
    fds: &mut [PollFd<'_>],
    timeout: Option<&Timespec>,
) -> rustix::io::Result<usize> {
    give_back();
    forget_code();
    poll(fds, timeout)
}

/// Lets the heap grow by so much at once: a call to the kernel for each 132 KiB would be half of the
/// calls of a command that prints a long list. What is not touched takes no memory. From then on, the
/// allocator no longer learns which sizes come back often, so it is for short commands without large
/// buffers.
pub fn grow_in_steps_of(bytes: i32) {
    set_allocator(libc::M_TOP_PAD, bytes);
}

fn set_allocator(option: i32, bytes: i32) {
    // SAFETY: a number of the allocator's is set, under its own lock.
    let _known_since_ever = unsafe { libc::mallopt(option, bytes) };
}

/// The largest piece of memory that is part of the heap and no mapping of its own, which would have
/// to be cleared by the kernel each time: what the allocator itself learns to do at most.
const HEAP_PIECE_BYTES: i32 = 32 << 20;

/// Takes so much memory for the heap and for the stack below the caller from the kernel at once, for a
/// command that is over in a moment and will touch all of it: page by page, as each is touched, that is
/// a fault each, of which a short command has hundreds. Memory that is freed stays with the process.
pub fn take_at_once(heap_bytes: usize, stack_bytes: usize) {
    set_allocator(libc::M_MMAP_THRESHOLD, HEAP_PIECE_BYTES);
    set_allocator(libc::M_TRIM_THRESHOLD, 2 * HEAP_PIECE_BYTES);
    // It lies at the heap's end, and is the beginning of what is given out next when it goes.
    let mut heap: Vec<u8> = Vec::with_capacity(heap_bytes);
    populate(heap.as_mut_ptr().addr(), heap_bytes);
    drop(heap);
    let here = 0_u8;
    let top = black_box(&raw const here).addr();
    populate(top.saturating_sub(stack_bytes), stack_bytes);
}

/// Has the kernel put memory behind all whole pages of a range. A kernel before 5.14 does not know how,
/// and a part of the range that is not mapped ends it: then a page comes when it is touched, as usual.
fn populate(start: usize, length_bytes: usize) {
    let first = (start + PAGE_BYTES - 1) & !(PAGE_BYTES - 1);
    let end = (start + length_bytes) & !(PAGE_BYTES - 1);
    let length_bytes = end.saturating_sub(first);
    let first = ptr::without_provenance_mut(first);
    // SAFETY: the pages are as they would be after a write that changes nothing; what lies in them stays.
    unsafe { libc::madvise(first, length_bytes, libc::MADV_POPULATE_WRITE) };
}

/// Gives to the kernel what the allocator keeps of freed memory, in all parts of the heap.
pub fn give_back_what_is_free() {
    // SAFETY: the allocator takes its own locks, and touches free memory only.
    unsafe { libc::malloc_trim(0) };
}

/// All but the code, which runs.
#[inline(never)]
fn give_back() {
    give_back_what_is_free();
    // Where there is no telling, what is held stays held.
    let _forgotten = forget_clean_data();
    forget_stack();
}

/// Lets go of those pages of variables, and of constants with addresses in them, that nobody has
/// written to: the kernel maps sixteen around each that is touched.
fn forget_clean_data() -> io::Result<()> {
    // Of a directory of one: itself, its parent, and the thread that asks.
    const LINKS_OF_ONE_THREAD: u64 = 3;
    const ENTRY_BYTES: usize = 8;
    const MOST_PAGES: usize = 256;
    const PRESENT: u64 = 1 << 63;
    const OF_A_FILE: u64 = 1 << 61;
    if rustix::fs::stat("/proc/self/task")?.st_nlink != LINKS_OF_ONE_THREAD {
        return Ok(());
    }
    let start = ((&raw const etext).addr() + PAGE_BYTES) & !(PAGE_BYTES - 1);
    let end = (&raw const edata).addr() & !(PAGE_BYTES - 1);
    // On the stack, which is given back next: to free memory would touch what was just let go.
    let mut entries = [0_u8; ENTRY_BYTES * MOST_PAGES];
    let pages = (end.saturating_sub(start) / PAGE_BYTES).min(MOST_PAGES);
    let entries = &mut entries[..pages * ENTRY_BYTES];
    let table = File::open("/proc/self/pagemap")?;
    let offset = u64::try_from(start / PAGE_BYTES * ENTRY_BYTES).map_err(io::Error::other)?;
    table.read_exact_at(entries, offset)?;
    drop(table);
    for (page, entry) in entries.as_chunks::<ENTRY_BYTES>().0.iter().enumerate() {
        let entry = u64::from_ne_bytes(*entry);
        if entry & PRESENT == 0 || entry & OF_A_FILE == 0 {
            continue;
        }
        let address = ptr::without_provenance_mut(start + page * PAGE_BYTES);
        // SAFETY: the page is the file's own, since one that was written to is a copy that belongs
        // to no file, and this is the only thread, which writes to none of them in between. So what
        // comes back is what was there.
        unsafe { libc::madvise(address, PAGE_BYTES, libc::MADV_DONTNEED) };
    }
    Ok(())
}

fn forget_stack() {
    // Another thread's stack may lie close above somebody else's memory.
    if rustix::thread::gettid() != rustix::process::getpid() {
        return;
    }
    let here = 0_u8;
    let top = (black_box(&raw const here).addr() - MARGIN_BYTES) & !(PAGE_BYTES - 1);
    let low = ptr::without_provenance_mut(top - STACK_BYTES);
    // SAFETY: the range ends well below this frame, and the frames of this call and of what it
    // calls fit into the margin, so nothing alive lies in it; below the first thread's stack there
    // is nothing else, since the kernel keeps a gap of 128 MiB for it to grow. A part that is not
    // mapped is passed over. What is read there later reads as zero, and is written first anyway.
    unsafe { libc::madvise(low, STACK_BYTES, libc::MADV_DONTNEED) };
}

#[inline(always)]
fn forget_code() {
    let start = (&raw const __executable_start).addr();
    let end = (&raw const etext).addr() & !(PAGE_BYTES - 1);
    let length_bytes = end.saturating_sub(start);
    let start = ptr::without_provenance_mut(start);
    // SAFETY: constants and code are private mappings of the program's file that nobody writes to,
    // so what comes back from the page cache is what was there.
    let _kept = unsafe { rustix::mm::madvise(start, length_bytes, Advice::LinuxDontNeed) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_kib(field: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[inline(never)]
    fn dig(depth: u32) -> u64 {
        let frame = black_box([u64::from(depth); 512]);
        if depth == 0 { frame[0] } else { frame[511] + dig(depth - 1) }
    }

    #[test]
    fn memory_that_was_taken_at_once_is_there_before_it_is_touched() {
        const HEAP_KIB: u64 = 4 << 10;
        let before = (dig(40), resident_kib("RssAnon:"));

        take_at_once(usize::try_from(HEAP_KIB << 10).unwrap(), 64 << 10);

        let taken = resident_kib("RssAnon:") - before.1;
        assert!(taken > HEAP_KIB / 2, "{taken} KiB");
        assert_eq!(dig(40), before.0);
    }

    #[test]
    fn what_was_given_back_is_there_again_when_it_is_needed() {
        let before = (dig(40), format!("{:?}", (1..100).collect::<Vec<_>>()));
        let resident = resident_kib("RssFile:");

        let timeout = Timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!(give_back_and_poll(&mut [], Some(&timeout)), Ok(0));

        let given_back = resident_kib("RssFile:");
        assert!(given_back < resident, "{given_back} of {resident} KiB are still held");
        assert_eq!((dig(40), format!("{:?}", (1..100).collect::<Vec<_>>())), before);
    }
}
