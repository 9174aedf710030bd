//! The fast engine: windows of one minimum latency, blocks of machines, one or more threads.
//!
//! Invariant: a message that is sent in a window arrives in a later one, so blocks and threads run a window without
//! seeing each other, and meet only between windows. Observers get a window's observations at its end, in the order of
//! events.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::barrier::Barrier;
use super::record::Stream;
use super::stage::Stage;
use super::worker::Worker;
use super::{Machine, Nanos, Observed, Progress, Slot, Stats};
use crate::network::NetworkModel;

/// A simulation that runs in windows.
#[derive(Debug)]
pub struct Windowed<M> {
    network: NetworkModel,
    seed: u64,
    threads: usize,
    block_bits: Option<u32>,
    machines: Vec<M>,
}

impl<M: Machine + Send> Windowed<M> {
    /// A simulation of these machines on this network.
    ///
    /// # Panics
    /// When the network's least latency is zero, or it is not made for as many machines.
    #[must_use]
    pub fn new(network: NetworkModel, seed: u64, machines: Vec<M>) -> Self {
        assert_eq!(network.nodes() as usize, machines.len(), "the network is made for as many machines as there are");
        assert!(network.least_latency() > 0, "a world without a least latency runs in global order only");
        Self { network, seed, threads: 1, block_bits: None, machines }
    }

    /// Runs on this many threads. The result is the same.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Runs blocks of 2 to this power machines instead of as many as fit the cache. The result is the same.
    #[must_use]
    pub fn block_bits(mut self, bits: u32) -> Self {
        self.block_bits = Some(bits.min(31));
        self
    }

    /// Runs everything that happens before `until`, passes each window's observations to `observe`, and returns the
    /// machines. An observer that breaks ends the simulation after that window.
    pub fn run(
        self,
        until: Nanos,
        mut observe: impl FnMut(&mut Vec<Observed<M::Observation>>, Progress) -> ControlFlow<()>,
    ) -> (Vec<M>, Stats) {
        let Self { network, seed, threads, block_bits, mut machines } = self;
        let block_bits = block_bits.unwrap_or_else(|| fitting::<M>(machines.len(), threads));
        let length = network.least_latency().min(LONGEST);
        let per_block = 1_usize << block_bits;
        let blocks = machines.len().div_ceil(per_block);
        let per_worker = blocks.div_ceil(threads).max(1) * per_block;
        let mut workers = Vec::new();
        let mut first = 0_u32;
        while !machines.is_empty() {
            let rest = machines.split_off(per_worker.min(machines.len()));
            let own = std::mem::replace(&mut machines, rest);
            let count = own.len() as u32;
            let stage = Stage::new(length, block_bits, blocks);
            workers.push(Worker::new(&network, seed, first, own, stage));
            first += count;
        }
        let Some(mut leader) = (!workers.is_empty()).then(|| workers.remove(0)) else {
            return (Vec::new(), Stats::default());
        };
        let sync = WindowSync::new(workers.len() + 1, &leader, &workers, until, length);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..)
                .zip(workers)
                .map(|(index, mut worker)| {
                    let sync = &sync;
                    scope.spawn(move || {
                        sync.guard(index, &mut worker, None);
                        worker.finish()
                    })
                })
                .collect();
            sync.guard(0, &mut leader, Some(&mut observe));
            let (mut all, mut stats) = leader.finish();
            for other in others {
                let (machines, part) = other.join().unwrap_or_else(|panic| resume_unwind(panic));
                all.extend(machines);
                stats.add(&part);
            }
            (all, stats)
        })
    }
}

/// The longest that a window may be: a time in it fits into the half of a sorted key.
const LONGEST: Nanos = u32::MAX as Nanos;

/// A power of 2 that is the number of machines in a block. A block fits into a core's second cache with what happens to
/// it, and each of several threads has a few to itself.
fn fitting<M>(machines: usize, threads: usize) -> u32 {
    const BYTES: usize = 1 << 18;
    const LEAST: u32 = 10;
    let fit = (BYTES / size_of::<Slot<M>>()).max(1).ilog2().max(LEAST);
    let least = if threads > 1 { 0 } else { LEAST };
    (machines / (4 * threads)).max(1).ilog2().clamp(least, fit)
}

type Observer<'a, N> = &'a mut dyn FnMut(&mut Vec<Observed<N>>, Progress) -> ControlFlow<()>;

/// Where workers meet between windows.
struct WindowSync<N> {
    barrier: Barrier,
    /// Which blocks each worker has.
    shares: Vec<std::ops::Range<usize>>,
    /// By receiving worker: the messages that arrive in the next window.
    mail: Vec<Mutex<Vec<Vec<Stream>>>>,
    observations: Mutex<Vec<Observed<N>>>,
    next: AtomicU64,
    events: AtomicU64,
    is_over: AtomicBool,
    until: Nanos,
    length: Nanos,
}

const NEVER: u64 = u64::MAX;
/// For how many observations memory is kept from one window to the next.
const KEPT: usize = 4096;

impl<N: Send> WindowSync<N> {
    fn new<M: Machine<Observation = N>>(
        count: usize,
        leader: &Worker<'_, M>,
        others: &[Worker<'_, M>],
        until: Nanos,
        length: Nanos,
    ) -> Self {
        let mut from = 0;
        let shares = std::iter::once(leader)
            .chain(others)
            .map(|worker| {
                let share = from..from + worker.blocks();
                from = share.end;
                share
            })
            .collect();
        Self {
            barrier: Barrier::new(count),
            shares,
            mail: (0..count).map(|_| Mutex::new(Vec::new())).collect(),
            observations: Mutex::new(Vec::new()),
            next: AtomicU64::new(NEVER),
            events: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            until,
            length,
        }
    }

    /// Runs one worker through all windows, unless another worker panics. The worker that observes leads: between
    /// windows the others wait for it.
    fn guard<M: Machine<Observation = N>>(
        &self,
        me: usize,
        worker: &mut Worker<'_, M>,
        mut observe: Option<Observer<'_, N>>,
    ) -> Option<()> {
        let _attendance = self.barrier.guard();
        worker.start();
        let mut window = 0_u64;
        while window.checked_mul(self.length).is_some_and(|start| start < self.until) {
            self.post(worker.take(window));
            self.barrier.wait()?;
            let arriving = std::mem::take(&mut *lock(&self.mail[me]));
            let events = worker.stats.events;
            worker.run(window, arriving, self.until);
            self.events.fetch_add(worker.stats.events - events, Ordering::SeqCst);
            if !worker.observations.is_empty() {
                let mut observations = lock(&self.observations);
                if observations.is_empty() {
                    std::mem::swap(&mut *observations, &mut worker.observations);
                } else {
                    observations.append(&mut worker.observations);
                }
            }
            self.next.fetch_min(worker.next_window().unwrap_or(NEVER), Ordering::SeqCst);
            self.barrier.wait()?;
            let next = self.next.load(Ordering::SeqCst);
            if let Some(observe) = &mut observe {
                self.show(observe, (window + 1).saturating_mul(self.length).min(self.until));
            }
            self.barrier.wait()?;
            if self.is_over.load(Ordering::SeqCst) {
                break;
            }
            // Everyone has read it, and nobody writes it before the next barrier but one.
            self.next.store(NEVER, Ordering::SeqCst);
            window = next;
        }
        Some(())
    }

    fn show(&self, observe: &mut Observer<'_, N>, at: Nanos) {
        let mut observations = lock(&self.observations);
        let progress = Progress { at, events: self.events.load(Ordering::SeqCst) };
        observations.sort_by_key(|observed| observed.stamp);
        if observe(&mut observations, progress).is_break() {
            self.is_over.store(true, Ordering::SeqCst);
        }
        observations.clear();
        // At the start everybody has something to tell.
        observations.shrink_to(KEPT);
    }

    fn post(&self, streams: Option<Vec<Stream>>) {
        if let Some(mut streams) = streams {
            for (share, mail) in self.shares.iter().zip(&self.mail).rev() {
                let own = streams.split_off(share.start);
                lock(mail).push(own);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
