//! Several jobs at once, on threads that end with the call.

use dhow_base::{Error, Result};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Jobs at a time; most of them wait for a network.
pub(crate) const PARALLEL: usize = 6;
/// Questions at a time: each is one small request, and all the work is the server's.
pub(crate) const QUESTIONS: usize = 64;

/// Does all jobs, several at once, in about their order. The first failure stops what has not begun
/// and is returned.
pub(crate) fn each<J: Send, T: Send>(
    jobs: Vec<J>,
    work: impl Fn(J) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    at_once(PARALLEL, jobs, work)
}

/// As [`each`], with so many at once.
pub(crate) fn at_once<J: Send, T: Send>(
    most: usize,
    jobs: Vec<J>,
    work: impl Fn(J) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = jobs.len().min(most);
    let queue = Mutex::new(jobs.into_iter());
    let (done, failed) = (Mutex::new(Vec::new()), Mutex::new(None::<Error>));
    let stop = AtomicBool::new(false);
    let next = || {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        queue.lock().unwrap_or_else(PoisonError::into_inner).next()
    };
    let run = || {
        while let Some(job) = next() {
            match work(job) {
                Ok(result) => done.lock().unwrap_or_else(PoisonError::into_inner).push(result),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        }
    };
    if threads <= 1 {
        run();
    } else {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(run);
            }
        });
    }
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::Kind;

    #[test]
    fn all_jobs_are_done_unless_one_fails() {
        let mut doubled = each((0..100).collect(), |job: u32| Ok(job * 2)).unwrap();
        doubled.sort_unstable();
        let failed = each((0..100).collect(), |job: u32| {
            if job == 7 { Err(Error::new(Kind::Invalid, "seven")) } else { Ok(job) }
        });

        assert_eq!(doubled, (0..100).map(|job| job * 2).collect::<Vec<u32>>());
        assert_eq!(failed.unwrap_err().to_string(), "seven");
        assert!(each(Vec::<u32>::new(), Ok).unwrap().is_empty());
    }
}
