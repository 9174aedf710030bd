//! A barrier at which threads wait for each other by spinning: a window of a small simulation is over before a sleeping
//! thread would have woken up.
//!
//! Invariant: nobody waits for a thread that has panicked. Driven by the windowed engine.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{panicking, yield_now};

/// How often a waiting thread looks before it yields to others; tens of microseconds.
const LOOKS: u32 = 1 << 10;

#[derive(Debug)]
pub(super) struct Barrier {
    threads: usize,
    arrived: AtomicUsize,
    /// How many times all threads have met here.
    met: AtomicUsize,
    is_broken: AtomicBool,
}

impl Barrier {
    pub(super) const fn new(threads: usize) -> Self {
        let (arrived, met, is_broken) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        Self { threads, arrived, met, is_broken }
    }

    /// To be held by each thread for as long as others may wait for it.
    pub(super) const fn guard(&self) -> PanicGuard<'_> {
        PanicGuard(self)
    }

    /// Waits until all threads are here. None when one of them has panicked.
    pub(super) fn wait(&self) -> Option<()> {
        let met = self.met.load(Ordering::SeqCst);
        if self.arrived.fetch_add(1, Ordering::SeqCst) + 1 == self.threads {
            self.arrived.store(0, Ordering::SeqCst);
            self.met.store(met.wrapping_add(1), Ordering::SeqCst);
            return Some(());
        }
        let mut looks = 0;
        while self.met.load(Ordering::SeqCst) == met {
            if self.is_broken.load(Ordering::SeqCst) {
                return None;
            }
            if looks < LOOKS {
                looks += 1;
                spin_loop();
            } else {
                yield_now();
            }
        }
        Some(())
    }
}

/// Breaks its barrier when its thread panics.
pub(super) struct PanicGuard<'a>(&'a Barrier);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if panicking() {
            self.0.is_broken.store(true, Ordering::SeqCst);
        }
    }
}
