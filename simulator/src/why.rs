//! Why a schedule fails: how likely it was to fail at each moment, and from which step on it was bound to.
//!
//! From a moment on many [`Fork`]s of the run go their own ways; the share of those that fail as the schedule itself
//! does is the probability of failure at that moment. Bisection finds the first step after which nearly all fail; where
//! they fail before that step already, it goes on between the steps, down to a millisecond.
//!
//! Invariant: the answer depends on the schedule alone, not on the number of threads.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;

use crate::engine::Nanos;
use crate::fork::Fork;
use crate::run::{Engine, Run, run};
use crate::schedule::{MILLISECOND, Schedule, Step};

/// How many runs there are at most for one answer.
pub const MOST_RUNS: u32 = 4_000;
/// How many forks show the probability at one moment, at most, and how many of them run together.
const FORKS: u32 = 64;
const BATCH: u32 = 16;
/// The share of forks that fail from which on failure is bound to follow.
const BOUND: f64 = 0.95;
/// How many moments the course of the probability has at least, where there are as many steps.
const COURSE: usize = 12;

/// The probability of failure at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// How many steps of the schedule have happened, in the order of their times.
    pub steps: usize,
    /// The time, in milliseconds.
    pub at_ms: f64,
    /// How many forks have run.
    pub runs: u32,
    /// How many of them have failed.
    pub failed: u32,
    /// Their share.
    pub probability: f64,
    /// The bounds of its 95 % interval (Wilson 1927).
    pub interval: (f64, f64),
}

impl Moment {
    fn is_bound(&self) -> bool {
        self.probability >= BOUND
    }
}

/// From when on failure was bound to follow.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "since")]
pub enum Bound {
    /// From the beginning: it fails without any fault, and whatever the network does.
    Beginning,
    /// From this step on.
    Step {
        /// Its number, from 1, in the order of times.
        number: usize,
        /// The step.
        step: Step,
    },
    /// From some moment between two steps, by chance.
    Chance {
        /// How many steps had happened.
        steps: usize,
        /// The last moment at which it was not, in milliseconds.
        after_ms: f64,
        /// The first moment at which it was, in milliseconds.
        until_ms: f64,
    },
}

/// Why a schedule fails.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// The checker that fires.
    pub checker: String,
    /// What it says first.
    pub what: String,
    /// When, in milliseconds; the end of the run for what is missing then.
    pub at_ms: f64,
    /// The probability of failure over time.
    pub course: Vec<Moment>,
    /// From when on failure was bound to follow.
    pub bound: Bound,
    /// How many runs were made.
    pub runs: u32,
}

/// Finds out why a schedule fails, on this many threads. Nothing when it does not fail.
#[must_use]
pub fn why(schedule: &Schedule, threads: usize) -> Option<Why> {
    let first = run(schedule, Engine::Windowed(1));
    let violation = first.violations.first()?;
    let checker = violation.checker.clone();
    let mut search = Search { schedule, checker: &checker, threads: threads.max(1), runs: 1, course: Vec::new() };
    let bound = search.bound(violation.at);
    search.complete();
    let Search { mut course, runs, .. } = search;
    course.sort_by(|one, other| (one.steps, one.at_ms).partial_cmp(&(other.steps, other.at_ms)).expect("no NaN"));
    let (what, at_ms) = (violation.what.clone(), millis(violation.at));
    Some(Why { checker: checker.clone(), what, at_ms, course, bound, runs })
}

struct Search<'s> {
    schedule: &'s Schedule,
    checker: &'s str,
    threads: usize,
    runs: u32,
    course: Vec<Moment>,
}

impl Search<'_> {
    fn bound(&mut self, violated: Nanos) -> Bound {
        let order = self.schedule.order();
        let at = |steps: usize| self.schedule.steps[order[steps - 1]].at_ms * MILLISECOND;
        // What comes after the failure has no part in it.
        let last = (1..=order.len()).take_while(|steps| at(*steps) <= violated).last().unwrap_or(0);
        if self.after(0).is_bound() {
            return Bound::Beginning;
        }
        if !self.after(last).is_bound() {
            return self.chance(last, (if last > 0 { at(last) + 1 } else { 0 }, violated + 1));
        }
        let (mut not_yet, mut already) = (0, last);
        while already - not_yet > 1 {
            let middle = not_yet + (already - not_yet) / 2;
            if self.after(middle).is_bound() {
                already = middle;
            } else {
                not_yet = middle;
            }
        }
        let begins = if not_yet > 0 { at(not_yet) + 1 } else { 0 };
        if begins < at(already) && self.at(not_yet, at(already)).is_bound() {
            return self.chance(not_yet, (begins, at(already)));
        }
        Bound::Step { number: already, step: self.schedule.steps[order[already - 1]].clone() }
    }

    /// Halves a time between two steps until it is a millisecond.
    fn chance(&mut self, steps: usize, (mut after, mut until): (Nanos, Nanos)) -> Bound {
        while until - after > MILLISECOND {
            let middle = after + (until - after) / 2;
            if self.at(steps, middle).is_bound() {
                until = middle;
            } else {
                after = middle;
            }
        }
        Bound::Chance { steps, after_ms: millis(after), until_ms: millis(until) }
    }

    /// Looks at more moments, evenly among the steps, so that the course of the probability can be seen.
    fn complete(&mut self) {
        let steps = self.schedule.steps.len();
        for place in 0..=COURSE.min(steps) {
            let steps = steps * place / COURSE.min(steps).max(1);
            if !self.course.iter().any(|moment| moment.steps == steps) {
                self.after(steps);
            }
        }
    }

    fn after(&mut self, steps: usize) -> Moment {
        let fork = |number| Fork::after_steps(self.schedule, steps, number);
        let (failed, runs) = self.count(&fork);
        self.keep(steps, fork(0).time(), failed, runs)
    }

    fn at(&mut self, steps: usize, at: Nanos) -> Moment {
        let fork = |number| Fork::at(self.schedule, at, number);
        let (failed, runs) = self.count(&fork);
        self.keep(steps, at, failed, runs)
    }

    fn keep(&mut self, steps: usize, at: Nanos, failed: u32, runs: u32) -> Moment {
        self.runs += runs;
        let probability = f64::from(failed) / f64::from(runs.max(1));
        let moment = Moment { steps, at_ms: millis(at), runs, failed, probability, interval: wilson(failed, runs) };
        self.course.push(moment);
        moment
    }

    /// How many forks fail, of how many: fewer where it is plain that most do not.
    fn count(&self, fork: &(impl Fn(u64) -> Fork + Sync)) -> (u32, u32) {
        let (mut failed, mut runs) = (0, 0);
        while runs < FORKS && self.runs + runs + BATCH <= MOST_RUNS {
            failed += self.batch(fork, runs..runs + BATCH);
            runs += BATCH;
            if wilson(failed, runs).1 < BOUND {
                break;
            }
        }
        (failed, runs)
    }

    fn batch(&self, fork: &(impl Fn(u64) -> Fork + Sync), numbers: std::ops::Range<u32>) -> u32 {
        let (next, failed) = (AtomicU32::new(numbers.start), AtomicU32::new(0));
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    break;
                }
                let summary = Run::new(self.schedule).fork(fork(number.into())).summary();
                let fails = summary.violations.iter().any(|violation| violation.checker == self.checker);
                failed.fetch_add(u32::from(fails), Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            (1..self.threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        failed.into_inner()
    }
}

fn millis(time: Nanos) -> f64 {
    time as f64 / MILLISECOND as f64
}

/// The 95 % interval of a share (Wilson 1927).
fn wilson(hits: u32, of: u32) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if of == 0 {
        return (0.0, 1.0);
    }
    let (count, share) = (f64::from(of), f64::from(hits) / f64::from(of));
    let middle = (share + Z * Z / (2.0 * count)) / (1.0 + Z * Z / count);
    let half = Z / (1.0 + Z * Z / count) * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "fails   {} at {:.3} s: {}", self.checker, self.at_ms / 1e3, self.what)?;
        match &self.bound {
            Bound::Beginning => {
                writeln!(f, "bound   from the beginning: it fails without faults, whatever the network does")?
            }
            Bound::Step { number, step } => {
                writeln!(f, "bound   from step {number} on, at {:.3} s: {}", step.at_ms as f64 / 1e3, told(step))?;
            }
            Bound::Chance { steps, after_ms, until_ms } => {
                let (after, until) = (after_ms / 1e3, until_ms / 1e3);
                writeln!(
                    f,
                    "bound   by chance, after step {steps}, between {after:.3} s and {until:.3} s: see --trace there"
                )?;
            }
        }
        writeln!(f, "runs    {}", self.runs)?;
        write!(f, "{:>6}  {:>10}  {:>11}  95 % interval", "steps", "time", "probability")?;
        for Moment { steps, at_ms, probability, interval: (low, high), runs, failed } in &self.course {
            let bar = "#".repeat((probability * 20.0).round() as usize);
            write!(f, "\n{steps:>6}  {:>8.3} s  {:>10.1}%  ", at_ms / 1e3, probability * 100.0)?;
            write!(f, "{:>5.1}%..{:>5.1}%  {failed}/{runs}", low * 100.0, high * 100.0)?;
            if !bar.is_empty() {
                write!(f, " {bar}")?;
            }
        }
        Ok(())
    }
}

/// A step as its schedule has it, in one line.
fn told(step: &Step) -> String {
    let mut table = toml::Table::try_from(&step.event).unwrap_or_default();
    let name = table.remove("event").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    let fields: Vec<String> = table.iter().map(|(field, value)| format!("{field}={value}")).collect();
    format!("{name} {}", fields.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        let rounded = |hits, of| {
            let (low, high) = wilson(hits, of);
            ((low * 1e3).round() as u32, (high * 1e3).round() as u32)
        };
        // As in Brown, Cai and DasGupta (2001) and in R's binom package.
        assert_eq!(rounded(0, 16), (0, 194));
        assert_eq!(rounded(64, 64), (943, 1_000));
        assert_eq!(rounded(5, 10), (237, 763));
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }
}
