//! How much memory the layers have that are worked on at the same time.
//!
//! ```text
//!  Pool ── part ──▶ Allowance of a layer: its share, as soon as it asks
//!    │
//!    └── the large part ──▶ one layer at a time; the next that needs it waits until that layer is done
//! ```
//!
//! What a layer needs by its own word (the window of its compression, the map of a sparse file, paths
//! that must be remembered) is a stranger's number. Most need little; one that needs more goes on
//! alone, and one that needs more than there is gets refused, so that the sum has a bound however
//! many layers are worked on. Who has the large part never waits for another layer, so nobody waits
//! for ever.

use crate::limits::exceeded;
use dhow_base::Result;
use dhow_sys::memory;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What the layers of one image have in common.
#[derive(Debug)]
pub struct Pool {
    share_bytes: u64,
    large_bytes: u64,
    /// Has a layer the large part?
    taken: Mutex<bool>,
    given_back: Condvar,
}

impl Pool {
    /// A pool that gives each layer `share_bytes`, and one of them `large_bytes` more.
    pub fn new(share_bytes: u64, large_bytes: u64) -> Arc<Self> {
        let (taken, given_back) = (Mutex::new(false), Condvar::new());
        Arc::new(Self { share_bytes, large_bytes, taken, given_back })
    }

    /// The part of one more layer.
    pub fn part(self: &Arc<Self>) -> Allowance {
        Allowance(Some(Arc::new(Part { pool: Arc::clone(self), state: Mutex::default() })))
    }

    fn take_large(&self) {
        let mut taken = lock(&self.taken);
        while *taken {
            taken = self.given_back.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
    }

    fn give_large(&self) {
        *lock(&self.taken) = false;
        self.given_back.notify_one();
    }
}

/// What one layer may have, shared by all who work on it; without a pool as much as it asks for.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Option<Arc<Part>>);

impl Allowance {
    /// Takes so many bytes; waits where another layer has the large part.
    pub(crate) fn take(&self, bytes: u64) -> Result<()> {
        let Some(part) = &self.0 else { return Ok(()) };
        let mut state = lock(&part.state);
        let (wanted, pool) = (state.used.saturating_add(bytes), &part.pool);
        let most = pool.share_bytes.saturating_add(pool.large_bytes);
        if wanted > most {
            return Err(exceeded("the layer", "bytes of memory", most));
        }
        if wanted > pool.share_bytes && !state.is_large {
            pool.take_large();
            state.is_large = true;
        }
        state.used = wanted;
        Ok(())
    }

    /// Gives bytes back that were taken.
    pub(crate) fn give(&self, bytes: u64) {
        if let Some(part) = &self.0 {
            let mut state = lock(&part.state);
            state.used = state.used.saturating_sub(bytes);
        }
    }

    /// What is beyond a layer's share, for decoders that must be told a limit beforehand.
    pub(crate) fn large_bytes(&self) -> u64 {
        self.0.as_ref().map_or(u64::MAX, |part| part.pool.large_bytes)
    }
}

/// Two are the same where they are one layer's.
impl PartialEq for Allowance {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Allowance {}

#[derive(Debug)]
struct Part {
    pool: Arc<Pool>,
    state: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    used: u64,
    is_large: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if lock(&self.state).is_large {
            // What was freed lies in the parts of the heap of these threads; the next have their own.
            memory::give_back_what_is_free();
            self.pool.give_large();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::Kind;
    use std::{sync::mpsc, thread};

    #[test]
    fn each_has_its_share_and_one_at_a_time_the_large_part() {
        let pool = Pool::new(10, 100);
        let (one, other) = (pool.part(), pool.part());
        one.take(10).unwrap();
        one.take(50).unwrap();
        other.take(10).unwrap();
        let (done, is_done) = mpsc::channel();

        thread::scope(|scope| {
            scope.spawn(|| {
                other.take(1).unwrap();
                done.send(()).unwrap();
            });
            // It cannot have it: this one has.
            assert!(is_done.try_recv().is_err());
            drop(one);
            is_done.recv().unwrap();
        });

        assert_eq!(other.take(100).unwrap_err().kind(), Kind::Exhausted);
        other.take(99).unwrap();
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let part = Pool::new(10, 0).part();
        for _ in 0..5 {
            part.take(10).unwrap();
            assert!(part.clone().take(1).is_err());
            part.give(10);
        }
    }
}
