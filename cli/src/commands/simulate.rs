//! `nelumbo simulate`: many nodes in virtual time.
//!
//! Owns the arguments, the wall clock and the progress display; what happens is in the simulator. Many seeds use both
//! cores, one seed each; one seed uses as many threads as it is given, with the same outcome.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use nelumbo_simulator::run::{Engine, Run};
use nelumbo_simulator::scenario::{SWARM, Scenario};
use nelumbo_simulator::schedule::{CryptoChoice, Schedule};
use nelumbo_simulator::shrink::shrink;
use nelumbo_simulator::summary::Summary;

use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Scenarios:
  quiet, lossy, partition, crash-storm, byzantine, flood, churn, failover-cascade, planet
  swarm  the seed draws the scenario itself
  or a file in TOML; `nelumbo simulate lossy --print` shows one to begin with

Examples:
  nelumbo simulate lossy
  nelumbo simulate swarm --seeds 0..1000 --save failing.toml
  nelumbo simulate churn --nodes 60 --sessions 100 --set faults.crashes=200
  nelumbo simulate --replay failing.toml

Exit status: 1 when a checker has found a violation.";

/// How many runs shrinking may take.
const SHRINKING: usize = 400;

/// Simulates many nodes in virtual time, with faults and adversaries, and checks what must never happen
///
/// The nodes are the ones that run in production, their network, disks and clocks are not. The same scenario and seed
/// give the same run, byte for byte: the trace hash says so.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Simulate {
    /// A ready scenario, or a file with one
    #[arg(default_value = "quiet", conflicts_with = "replay")]
    scenario: String,
    /// What every random choice follows from
    #[arg(long, default_value_t = 0, conflicts_with = "seeds")]
    seed: u64,
    /// A range of seeds, the last one left out
    #[arg(long, value_name = "FROM..TO", value_parser = range)]
    seeds: Option<(u64, u64)>,
    /// How many nodes
    #[arg(long)]
    nodes: Option<u32>,
    /// How many sessions
    #[arg(long)]
    sessions: Option<u32>,
    /// How many signers each session has
    #[arg(long)]
    signers: Option<u32>,
    /// The cryptography: a stand-in signs nothing, and everything made with it says so
    #[arg(long, value_enum)]
    crypto: Option<Crypto>,
    /// Replaces one value of the scenario, such as `weather.loss=100000`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// How many threads one simulation uses
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Runs one event after the other instead of windows
    #[arg(long, conflicts_with = "threads")]
    global: bool,
    /// Runs a schedule from a file
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Writes the first failing schedule to a file, as small as it can be made
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Prints the scenario and runs nothing
    #[arg(long)]
    print: bool,
    /// Prints one JSON object for each seed
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Crypto {
    /// The one of production
    Real,
    /// A stand-in, free of charge
    Toy,
    /// A stand-in, each node charged the time of the real one
    ToyCharged,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("a range is FROM..TO")?;
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
    match (number(from)?, number(to)?) {
        (from, to) if from < to => Ok((from, to)),
        _ => Err("the range is empty".to_owned()),
    }
}

impl Simulate {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        if self.print {
            return output::line(self.text()?.trim_end()).map(|()| Answer::Yes);
        }
        let interrupted = Arc::new(AtomicBool::new(false));
        listen(interrupted.clone());
        let (from, to) = if self.replay.is_some() { (0, 1) } else { self.seeds.unwrap_or((self.seed, self.seed + 1)) };
        let next = AtomicU64::new(from);
        let bar = bar(to - from);
        let results = Mutex::new(Vec::new());
        let work = || -> Result<(), Failure> {
            while !interrupted.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= to {
                    break;
                }
                let schedule = self.schedule(seed)?;
                let summary = self.simulate(&schedule, &bar, to - from == 1, &interrupted);
                bar.inc(u64::from(to - from > 1));
                let kept = (!summary.violations.is_empty()).then_some(schedule);
                results.lock().unwrap_or_else(PoisonError::into_inner).push((summary, kept));
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = usize::try_from(to - from).unwrap_or(threads).min(threads);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let own = work();
            others.into_iter().map(|other| other.join().expect("simulations catch panics")).fold(own, Result::and)
        })?;
        bar.finish_and_clear();
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(summary, _)| summary.seed);
        self.tell(&results)
    }

    fn tell(&self, results: &[(Summary, Option<Schedule>)]) -> Result<Answer, Failure> {
        let many = results.len() > 1;
        for (summary, _) in results {
            if self.json {
                output::json(summary)?;
            } else if !many || !summary.violations.is_empty() {
                output::line(summary)?;
            }
        }
        if many && !self.json {
            let sum = |count: fn(&Summary) -> u64| results.iter().map(|(summary, _)| count(summary)).sum::<u64>();
            output::table(&[
                ("seeds", results.len().to_string()),
                ("sessions", sum(|summary| summary.sessions.started).to_string()),
                ("completed", sum(|summary| summary.sessions.completed).to_string()),
                ("events", sum(|summary| summary.events).to_string()),
                ("violations", sum(|summary| summary.violations.len() as u64).to_string()),
            ])?;
        }
        let Some(failing) = results.iter().find_map(|(_, kept)| kept.as_ref()) else { return Ok(Answer::Yes) };
        if let Some(file) = &self.save {
            let small = shrink(failing, SHRINKING).unwrap_or_else(|| failing.clone());
            std::fs::write(file, small.to_toml()).map_err(|error| {
                Failure::input(format_args!("{} cannot be written: {error}", file.display()), "choose another place")
            })?;
        }
        Ok(Answer::No)
    }

    fn simulate(&self, schedule: &Schedule, bar: &ProgressBar, shows: bool, interrupted: &AtomicBool) -> Summary {
        if shows {
            bar.set_length(schedule.until_ms);
        }
        let start = Instant::now();
        let engine = if self.global { Engine::Global } else { Engine::Windowed(self.threads) };
        let run = Run::new(schedule).engine(engine).go_on(|now| {
            if shows {
                bar.set_position(now / 1_000_000);
            }
            !interrupted.load(Ordering::Relaxed)
        });
        run.summary().timed(start.elapsed())
    }

    fn schedule(&self, seed: u64) -> Result<Schedule, Failure> {
        if let Some(file) = &self.replay {
            let fault = |error| Failure::input(format_args!("{}: {error}", file.display()), "replay a saved schedule");
            return Schedule::from_toml(&read(file)?).map_err(fault);
        }
        if self.scenario == SWARM {
            let mut schedule = Scenario::swarm(seed).schedule(seed);
            schedule.crypto = self.crypto.map_or(schedule.crypto, Crypto::choice);
            return Ok(schedule);
        }
        let mut settings = self.settings.clone();
        let numbers = [("nodes", self.nodes), ("sessions", self.sessions), ("signers", self.signers)];
        settings.extend(numbers.iter().filter_map(|(key, value)| value.map(|value| format!("{key}={value}"))));
        settings.extend(self.signers.map(|signers| format!("most_signers={signers}")));
        let scenario = Scenario::from_toml(&self.text()?, &settings)
            .map_err(|error| Failure::input(error, "see `nelumbo simulate --help` and `--print`"))?;
        let mut schedule = scenario.schedule(seed);
        schedule.crypto = self.crypto.map_or(schedule.crypto, Crypto::choice);
        Ok(schedule)
    }

    fn text(&self) -> Result<String, Failure> {
        match Scenario::text(&self.scenario) {
            Some(text) => Ok(text.to_owned()),
            None if self.scenario == SWARM => Err(Failure::input(
                "the swarm has no text: each seed draws its own scenario",
                "run it with --seed or --seeds",
            )),
            None => read(&PathBuf::from(&self.scenario)),
        }
    }
}

impl Crypto {
    const fn choice(self) -> CryptoChoice {
        match self {
            Self::Real => CryptoChoice::Real,
            Self::Toy => CryptoChoice::Toy,
            Self::ToyCharged => CryptoChoice::ToyCharged,
        }
    }
}

fn read(file: &std::path::Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let names = Scenario::names().collect::<Vec<_>>().join(", ");
        Failure::input(format_args!("{} cannot be read: {error}", file.display()), format_args!("ready are {names}"))
    })
}

/// Ctrl-C ends the simulation with the summary so far.
fn listen(interrupted: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
            interrupted.store(true, Ordering::Relaxed);
        }
    });
}

fn bar(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {per_sec}  {eta} left") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
