//! Timing of one row, and what comes out of it.
//!
//! Owns the rounds. Invariant: in every round each contestant runs once, for about the same time, and a ratio compares
//! two times of the same round. `main` drives it.

use std::time::Duration;

use crate::clock;
use crate::rivals::{Rival, Rivals};

const ROUNDS: usize = 49;
/// The programs outside, some of which take milliseconds, run in every so many rounds.
const OUTSIDE_EVERY: usize = 4;
/// How often the programs outside do a thing before it counts.
const WARM_UP: u64 = 40;
/// About how long a contestant runs in a round: long beside reading the clock.
const TURN: Duration = Duration::from_millis(4);

/// Runs an operation this many times and says how long that took; what it prepares first does not count.
pub(crate) type Operation = Box<dyn FnMut(u64) -> Duration>;

/// An operation that needs no preparation.
pub(crate) fn operation<R>(mut once: impl FnMut() -> R + 'static) -> Operation {
    Box::new(move |times| {
        let start = clock::now();
        for _ in 0..times {
            std::hint::black_box(once());
        }
        clock::now() - start
    })
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) ours: Operation,
    pub(crate) secp: Operation,
    pub(crate) k256: Option<Operation>,
    /// What the rivals outside the workspace are asked to do, and for how many signers.
    pub(crate) asked: Option<(&'static str, usize)>,
    /// The columns of the table.
    pub(crate) targets: [Option<f64>; 2],
    /// How many times faster than xpi-ts it has to be.
    pub(crate) times_xpi: Option<f64>,
}

/// The medians of a row.
pub(crate) struct Outcome {
    name: String,
    micros: [f64; 2],
    /// Ours, k256 and musig2 over libsecp256k1.
    ours: f64,
    k256: Option<f64>,
    musig2: Option<f64>,
    /// xpi-ts over ours.
    times_xpi: Option<f64>,
    targets: [Option<f64>; 2],
    target_xpi: Option<f64>,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How many times fit into a turn.
fn calibrate(operation: &mut Operation) -> u64 {
    let mut times = 1;
    loop {
        let spent = operation(times);
        if spent >= TURN / 4 {
            let fit = TURN.as_secs_f64() / spent.as_secs_f64() * times as f64;
            return (fit as u64).max(1);
        }
        times *= 4;
    }
}

impl Row {
    pub(crate) fn run(&mut self, rivals: &mut Rivals) -> Outcome {
        let mut here = vec![&mut self.ours, &mut self.secp];
        here.extend(self.k256.as_mut());
        let times: Vec<_> = here.iter_mut().map(|operation| calibrate(operation)).collect();
        let mut outside: Vec<(&mut Rival, &str, usize, u64)> = Vec::new();
        if let Some((what, signers)) = self.asked {
            for rival in rivals.all() {
                // Long enough for a compiler that compiles while it runs.
                let Some(warm) = rival.run(what, signers, WARM_UP) else { continue };
                let fit = TURN.as_secs_f64() / warm.as_secs_f64() * WARM_UP as f64;
                outside.push((rival, what, signers, (fit as u64).clamp(1, 200)));
            }
        }
        let mut seconds = vec![Vec::new(); here.len()];
        let mut seconds_outside = vec![Vec::new(); outside.len()];
        for round in 0..ROUNDS {
            for ((operation, times), seconds) in here.iter_mut().zip(&times).zip(&mut seconds) {
                seconds.push(operation(*times).as_secs_f64() / *times as f64);
            }
            if round % OUTSIDE_EVERY != 0 {
                continue;
            }
            for ((rival, what, signers, times), seconds) in outside.iter_mut().zip(&mut seconds_outside) {
                let spent = rival.run(what, *signers, *times).expect("it answered before");
                seconds.push(spent.as_secs_f64() / *times as f64);
            }
        }
        let over = |a: &[f64], b: &[f64]| median(a.iter().zip(b).map(|(a, b)| a / b).collect());
        let named = |name| outside.iter().position(|(rival, ..)| rival.name == name);
        let every = |who: usize| seconds[who].iter().step_by(OUTSIDE_EVERY).copied().collect::<Vec<_>>();
        Outcome {
            name: self.name.clone(),
            micros: [0, 1].map(|who| median(seconds[who].clone()) * 1e6),
            ours: over(&seconds[0], &seconds[1]),
            k256: seconds.get(2).map(|k256| over(k256, &seconds[1])),
            musig2: named("musig2").map(|at| over(&seconds_outside[at], &every(1))),
            times_xpi: named("xpi-ts").map(|at| over(&seconds_outside[at], &every(0))),
            targets: self.targets,
            target_xpi: self.times_xpi,
        }
    }
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".into(), |value| format!("{value:.digits$}"))
}

impl Outcome {
    pub(crate) fn heading() -> String {
        let columns =
            "| operation | ours µs | libsecp µs | ratio | first | second | k256 | musig2 | times xpi-ts | at least |";
        format!("{columns}\n|---|---|---|---|---|---|---|---|---|---|")
    }

    pub(crate) fn line(&self) -> String {
        let mark = match self.targets {
            [_, Some(second)] if self.ours <= second => " ✓✓",
            [Some(first), _] if self.ours <= first => " ✓",
            [None, None] => "",
            _ => " ✗",
        };
        format!(
            "| {} | {:.1} | {:.1} | {:.3}{mark} | {} | {} | {} | {} | {} | {} |",
            self.name,
            self.micros[0],
            self.micros[1],
            self.ours,
            cell(self.targets[0], 2),
            cell(self.targets[1], 2),
            cell(self.k256, 2),
            cell(self.musig2, 2),
            cell(self.times_xpi, 0),
            cell(self.target_xpi, 0),
        )
    }

    pub(crate) fn json(&self) -> String {
        let number = |value: Option<f64>| value.map_or("null".into(), |value| format!("{value:.4}"));
        format!(
            "{{\"operation\": \"{}\", \"ours_us\": {:.3}, \"libsecp256k1_us\": {:.3}, \"ratio\": {:.4}, \"first\": {}, \
             \"second\": {}, \"k256\": {}, \"musig2\": {}, \"times_xpi_ts\": {}, \"times_xpi_ts_at_least\": {}}}",
            self.name,
            self.micros[0],
            self.micros[1],
            self.ours,
            number(self.targets[0]),
            number(self.targets[1]),
            number(self.k256),
            number(self.musig2),
            number(self.times_xpi),
            number(self.target_xpi),
        )
    }

    pub(crate) fn misses_the_first_target(&self) -> bool {
        let slow = matches!(self.targets, [Some(first), _] if self.ours > first);
        slow || matches!((self.times_xpi, self.target_xpi), (Some(times), Some(target)) if times < target)
    }
}
