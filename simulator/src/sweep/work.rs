//! Who runs what: the runs of one process, on several threads, until every combination has enough of them.
//!
//! Invariant: which runs there are in the end depends on the plan alone. Whether an interval is narrow enough is asked
//! of the first so many seeds, whatever else has ended by then.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

use super::{Folder, Row, Shard, Sweep};
use crate::statistics::Sample;

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Runs that have ended, those of before too.
    pub ended: u64,
    /// Runs that there are at most.
    pub most: u64,
    /// Events of the runs that have ended now.
    pub events: u64,
}

/// A combination on its way.
struct CellWork {
    cell: u32,
    /// The seeds that are this process's.
    seeds: Vec<u64>,
    /// How many of them have been given to somebody.
    given: usize,
    /// How many of them are wanted so far.
    wanted: usize,
    /// How many of those that are wanted have not ended.
    missing: usize,
    rows: BTreeMap<u64, Row>,
}

impl CellWork {
    const fn is_ended(&self) -> bool {
        self.missing == 0
    }

    fn insert(&mut self, row: Row) {
        if let Ok(place) = self.seeds.binary_search(&row.seed) {
            let is_new = self.rows.insert(row.seed, row).is_none();
            self.missing -= usize::from(is_new && place < self.wanted);
        }
    }

    /// Wants more seeds where those that were wanted do not suffice.
    fn look(&mut self, sweep: &Sweep) {
        while self.wanted < self.seeds.len() && self.is_ended() {
            let samples: Vec<Sample> =
                self.seeds[..self.wanted].iter().map(|seed| self.rows[seed].sample.clone()).collect();
            if sweep.is_narrow(&samples) {
                return;
            }
            let batch = sweep.plan().stop.map_or(self.seeds.len(), |stop| stop.batch as usize);
            let more = self.wanted..(self.wanted + batch).min(self.seeds.len());
            self.wanted = more.end;
            self.missing = self.seeds[more].iter().filter(|seed| !self.rows.contains_key(seed)).count();
        }
    }

    fn next(&mut self) -> Option<u64> {
        while self.given < self.wanted {
            let seed = self.seeds[self.given];
            self.given += 1;
            if !self.rows.contains_key(&seed) {
                return Some(seed);
            }
        }
        None
    }
}

struct Work<'w> {
    cells: Vec<CellWork>,
    folder: &'w mut Folder,
    running: usize,
    progress: Progress,
    error: Option<io::Error>,
}

impl Sweep {
    /// Whether a row is of this sweep, and of this code.
    #[must_use]
    pub fn has(&self, row: &Row) -> bool {
        let is_there = (row.cell as usize) < self.cells.len();
        is_there
            && (self.plan.seeds.from..self.plan.seeds.to).contains(&row.seed)
            && self.id(row.cell, row.seed) == row.id
    }

    /// The runs of a part. Where intervals decide how many there are, one process has all seeds of a combination.
    fn part(&self, shard: Shard) -> Vec<CellWork> {
        let (seeds, count) = (self.plan.seeds, u64::from(shard.count));
        let is_own = |cell: u32, seed: u64| {
            let number = if self.plan.stop.is_some() {
                cell.into()
            } else {
                u64::from(cell) * seeds.count() + (seed - seeds.from)
            };
            number % count == u64::from(shard.index)
        };
        let cell = |cell: u32| {
            let own: Vec<u64> = (seeds.from..seeds.to).filter(|seed| is_own(cell, *seed)).collect();
            CellWork { cell, seeds: own, given: 0, wanted: 0, missing: 0, rows: BTreeMap::new() }
        };
        (0..self.cells.len() as u32).map(cell).filter(|cell| !cell.seeds.is_empty()).collect()
    }
}

/// Runs a part of a sweep on so many threads, keeps each run in the folder as it ends, and returns all runs of the
/// part, in order. What has ended before is not run again. Returns nothing when `goes_on` has said no before the end;
/// what has ended by then is kept.
///
/// # Errors
/// When the folder cannot be read or written.
pub fn work(
    sweep: &Sweep,
    folder: &mut Folder,
    shard: Shard,
    threads: usize,
    goes_on: impl Fn() -> bool + Sync,
    tell: impl Fn(Progress) + Sync,
) -> io::Result<Option<Vec<Row>>> {
    let mut cells = sweep.part(shard);
    let most = cells.iter().map(|cell| cell.seeds.len() as u64).sum();
    for row in folder.ended(sweep)? {
        if let Ok(place) = cells.binary_search_by_key(&row.cell, |cell| cell.cell) {
            cells[place].insert(row);
        }
    }
    cells.iter_mut().for_each(|cell| cell.look(sweep));
    let ended = cells.iter().map(|cell| cell.rows.len() as u64).sum();
    let progress = Progress { ended, most, events: 0 };
    let (state, changed) = (Mutex::new(Work { cells, folder, running: 0, progress, error: None }), Condvar::new());
    let locked = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let worker = || {
        let mut work = locked();
        while goes_on() && work.error.is_none() {
            let found = work.cells.iter_mut().enumerate().find_map(|(place, cell)| Some((place, cell.next()?)));
            let Some((place, seed)) = found else {
                if work.running == 0 {
                    break;
                }
                // What is running may show that more is wanted.
                work = changed.wait(work).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let cell = work.cells[place].cell;
            work.running += 1;
            drop(work);
            let row = sweep.run(cell, seed, &goes_on);
            work = locked();
            work.running -= 1;
            if let Some(row) = row {
                if let Err(error) = work.folder.keep(&row) {
                    work.error = Some(error);
                }
                work.progress.ended += 1;
                work.progress.events += row.sample.events;
                work.cells[place].insert(row);
                work.cells[place].look(sweep);
                tell(work.progress);
            }
            changed.notify_all();
        }
        changed.notify_all();
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(worker);
        }
        worker();
    });
    let Work { cells, error, .. } = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = error {
        return Err(error);
    }
    if !cells.iter().all(CellWork::is_ended) {
        return Ok(None);
    }
    // Of runs of before no more than are wanted, so that tables do not depend on them.
    let rows = cells.into_iter().flat_map(|mut cell| {
        let seeds: Vec<u64> = cell.seeds[..cell.wanted].to_vec();
        seeds.into_iter().filter_map(move |seed| cell.rows.remove(&seed))
    });
    Ok(Some(rows.collect()))
}
