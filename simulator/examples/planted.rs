//! Asks of each planted defect from which step on its schedule was bound to fail, as a table.

#![allow(clippy::print_stdout)]

#[path = "../tests/planted/mod.rs"]
mod planted;

use std::process::ExitCode;
use std::time::Instant;

use nelumbo_simulator::why::{Bound, why};

fn main() -> ExitCode {
    // A defect may be a panic, in each of its forks.
    std::panic::set_hook(Box::new(|_| {}));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut found, mut longest, mut most) = (0, 0.0_f64, 0);
    println!("| defect | steps | planted | found | runs | s |\n|---|---|---|---|---|---|");
    for number in 0..planted::COUNT {
        let (schedule, name, step) = planted::planted(number);
        let start = Instant::now();
        let Some(why) = why(&schedule, threads) else {
            println!("| {name} | {} | {step} | it does not fail | | |", schedule.steps.len());
            continue;
        };
        let took = start.elapsed().as_secs_f64();
        (longest, most) = (longest.max(took), most.max(why.runs));
        let place = match &why.bound {
            Bound::Beginning => "the beginning".to_owned(),
            Bound::Step { number, .. } => number.to_string(),
            Bound::Chance { steps, after_ms, until_ms } => format!("{steps}, {after_ms:.0}..{until_ms:.0} ms"),
        };
        found += u32::from(matches!(why.bound, Bound::Step { number, .. } if number.abs_diff(step) <= 1));
        println!("| {name} | {} | {step} | {place} | {} | {took:.1} |", schedule.steps.len(), why.runs);
    }
    println!("\n{found} of {} within a step; at most {most} runs and {longest:.1} s", planted::COUNT);
    if found >= 18 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
