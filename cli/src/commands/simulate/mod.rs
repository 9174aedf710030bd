//! `nelumbo simulate`: many nodes in virtual time.
//!
//! Owns the arguments, the wall clock and the progress display; what happens is in the simulator. Many seeds use both
//! cores, one seed each; one seed uses as many threads as it is given, with the same outcome.

mod diff;
mod outputs;
mod recording;
pub(crate) mod statistics;
mod why;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use nelumbo_simulator::run::{Engine, Run};
use nelumbo_simulator::scenario::{SWARM, Scenario};
use nelumbo_simulator::schedule::{CryptoChoice, MILLISECOND, Schedule};
use nelumbo_simulator::shrink::shrink;
use nelumbo_simulator::statistics::Sample;
use nelumbo_simulator::summary::Summary;
use nelumbo_simulator::sweep::Seeds;

use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Scenarios:
  quiet, lossy, partition, crash-storm, byzantine, flood, eclipse, churn, discovery, nat, failover-cascade,
  people, crowd, strangers, planet, million
  swarm  the seed draws the scenario itself
  or a file in TOML; `nelumbo simulate lossy --print` shows one to begin with

Examples:
  nelumbo simulate lossy --report lossy.html
  nelumbo simulate swarm --seeds 0..1000 --save failing.toml
  nelumbo simulate churn --nodes 60 --sessions 100 --set crashes=200 --set stall=500ms
  nelumbo simulate replay failing.toml --trace failing.jsonl
  nelumbo simulate why failing.toml
  nelumbo simulate replay node.recording --trace node.jsonl

Exit status: 1 when a checker has found a violation, two traces differ, or a recorded node comes out otherwise.";

/// How many runs shrinking may take.
const SHRINKING: usize = 400;

/// Simulates many nodes in virtual time, with faults and adversaries, and checks what must never happen
///
/// The nodes are the ones that run in production, their network, disks and clocks are not. The same scenario and seed
/// give the same run, byte for byte: the trace hash says so.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Simulate {
    #[command(subcommand)]
    action: Option<Action>,
    /// A ready scenario, or a file with one
    #[arg(default_value = "quiet")]
    scenario: String,
    /// What every random choice follows from
    #[arg(long, default_value_t = 0, conflicts_with = "seeds")]
    seed: u64,
    /// A range of seeds, the last one left out
    #[arg(long, value_name = "FROM..TO")]
    seeds: Option<Seeds>,
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
    /// Sets one parameter of the scenario: `link.loss=10%`, or just `stall=500ms`; may be given several times
    #[arg(long = "set", value_name = "PARAMETER=VALUE")]
    settings: Vec<String>,
    /// Runs each seed a second time with this set too, and says how the two designs differ, with intervals and the p of
    /// a paired test; may be given several times
    #[arg(long, value_name = "PARAMETER=VALUE", requires = "seeds")]
    against: Vec<String>,
    /// Prints the scenario, with what is set, and runs nothing
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    runs: Runs,
}

#[derive(Debug, Subcommand)]
enum Action {
    Diff(diff::Diff),
    Replay(Replay),
    Why(why::Why),
}

/// Runs again what a file has: a schedule, or what a live node was given
///
/// A schedule is what `--save` has written; it runs with all checkers. A recording is what `nelumbo node --record` has
/// written: a node is given the same once more, its events are told with their times, and what it wants is compared
/// step by step with what the recorded one wanted. Of a recording there are --trace FILE.jsonl and --json alone.
#[derive(Args, Debug)]
struct Replay {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    runs: Runs,
}

/// How to run, and what to leave behind.
#[derive(Args, Debug)]
struct Runs {
    /// How many threads one simulation uses
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Runs one event after the other instead of windows
    #[arg(long, conflicts_with = "threads")]
    sequential: bool,
    /// Writes the first failing schedule to a file, as small as it can be made
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    outputs: outputs::Outputs,
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

impl Simulate {
    pub(super) fn run(mut self) -> Result<Answer, Failure> {
        match self.action.take() {
            Some(Action::Diff(diff)) => return diff.run(),
            Some(Action::Replay(replay)) => return replay.run(),
            Some(Action::Why(why)) => return why.run(),
            None => {}
        }
        if self.print {
            let settings = self.settings();
            let text = match (Scenario::text(&self.scenario), settings.is_empty()) {
                (Some(text), true) => text.to_owned(),
                _ => self.scenario(self.seed, &settings)?.to_toml(),
            };
            return output::line(text.trim_end()).map(|()| Answer::Yes);
        }
        let settings = self.settings();
        let seeds = self.seeds.unwrap_or(Seeds { from: self.seed, to: self.seed.saturating_add(1) });
        let results = self.runs.all(seeds, |seed| Ok(self.scenario(seed, &settings)?.schedule(seed)))?;
        if self.against.is_empty() {
            return self.runs.tell(&results);
        }
        let settings = [settings, self.against.clone()].concat();
        let others = self.runs.all(seeds, |seed| Ok(self.scenario(seed, &settings)?.schedule(seed)))?;
        self.runs.tell_comparison(&results, &others)
    }

    /// What `--set` and the shorter arguments say.
    fn settings(&self) -> Vec<String> {
        let mut settings = self.settings.clone();
        let numbers = [("nodes", self.nodes), ("sessions", self.sessions), ("signers", self.signers)];
        settings.extend(numbers.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}"))));
        settings.extend(self.signers.map(|signers| format!("max-signers={signers}")));
        settings.extend(self.crypto.map(|crypto| format!("crypto={}", crypto.choice().name())));
        settings
    }

    fn scenario(&self, seed: u64, settings: &[String]) -> Result<Scenario, Failure> {
        let scenario = match self.scenario.as_str() {
            SWARM => Scenario::swarm(seed).with(settings),
            _ => Scenario::from_toml(&self.text()?, settings),
        };
        scenario.map_err(|error| {
            Failure::input(error, "`nelumbo simulate --print` shows a scenario, and the book lists all parameters")
        })
    }

    fn text(&self) -> Result<String, Failure> {
        Scenario::text(&self.scenario).map_or_else(|| read(&PathBuf::from(&self.scenario)), |text| Ok(text.to_owned()))
    }
}

impl Replay {
    fn run(self) -> Result<Answer, Failure> {
        if recording::is_recording(&self.file) {
            return self.runs.recording(&self.file);
        }
        let text = read(&self.file)?;
        let results = self.runs.all(Seeds { from: 0, to: 1 }, |_| {
            let fault =
                |error| Failure::input(format_args!("{}: {error}", self.file.display()), "replay what --save wrote");
            Schedule::from_toml(&text).map_err(fault)
        })?;
        self.runs.tell(&results)
    }
}

/// A run's summary, and its schedule when it has failed.
type Ran = (Summary, Option<Schedule>);

impl Runs {
    /// Lives through a live node's recording.
    fn recording(&self, file: &std::path::Path) -> Result<Answer, Failure> {
        let trace = self.outputs.trace_alone().filter(|_| self.save.is_none() && !self.sequential && self.threads == 1);
        let trace = trace.ok_or_else(|| {
            Failure::input(
                "a recording is one node without checkers",
                "leave out all but --trace FILE.jsonl and --json",
            )
        })?;
        recording::replay(file, trace, self.json)
    }

    /// Runs every seed.
    fn all(
        &self,
        Seeds { from, to }: Seeds,
        schedule: impl Fn(u64) -> Result<Schedule, Failure> + Sync,
    ) -> Result<Vec<Ran>, Failure> {
        if to - from > 1 && !self.outputs.is_empty() {
            return Err(Failure::input("a trace and a report are about one run", "leave out --seeds, and give --seed"));
        }
        let interrupted = Arc::new(AtomicBool::new(false));
        listen(interrupted.clone());
        let bar = bar(to - from);
        let results = if to - from == 1 {
            vec![self.one(schedule(from)?, &bar, &interrupted)?]
        } else {
            self.many((from, to), schedule, &bar, &interrupted)?
        };
        bar.finish_and_clear();
        Ok(results)
    }

    /// Runs one schedule, with everything that there is to leave behind.
    fn one(&self, schedule: Schedule, bar: &ProgressBar, interrupted: &AtomicBool) -> Result<Ran, Failure> {
        bar.set_length(schedule.until_ms);
        let open = self.outputs.open(&schedule)?;
        let start = Instant::now();
        let run = Run::new(&schedule).engine(self.engine()).run_while(|progress| {
            bar.set_position(progress.at / MILLISECOND);
            let rate = progress.events as f64 / start.elapsed().as_secs_f64().max(1e-3);
            bar.set_message(format!("{:.0} k events/s", rate / 1e3));
            !interrupted.load(Ordering::Relaxed)
        });
        let mut summary = open.attach(run).summary().timed(start.elapsed());
        summary.bytes_per_node = peak_memory() / u64::from(summary.nodes.max(1));
        open.finish(&summary)?;
        let kept = (!summary.violations.is_empty()).then_some(schedule);
        Ok((summary, kept))
    }

    /// Runs a schedule for each seed, one on each core.
    fn many(
        &self,
        (from, to): (u64, u64),
        schedule: impl Fn(u64) -> Result<Schedule, Failure> + Sync,
        bar: &ProgressBar,
        interrupted: &AtomicBool,
    ) -> Result<Vec<Ran>, Failure> {
        let (next, events, begun) = (AtomicU64::new(from), AtomicU64::new(0), Instant::now());
        let results = Mutex::new(Vec::new());
        let work = || -> Result<(), Failure> {
            while !interrupted.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= to {
                    break;
                }
                let (schedule, start) = (schedule(seed)?, Instant::now());
                let run = Run::new(&schedule).engine(self.engine());
                let summary = run.run_while(|_| !interrupted.load(Ordering::Relaxed)).summary().timed(start.elapsed());
                let events = events.fetch_add(summary.events, Ordering::Relaxed) + summary.events;
                bar.set_message(format!("{:.0} k events/s", events as f64 / begun.elapsed().as_secs_f64() / 1e3));
                bar.inc(1);
                let kept = (!summary.violations.is_empty()).then_some(schedule);
                results.lock().unwrap_or_else(PoisonError::into_inner).push((summary, kept));
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            others.into_iter().map(|other| other.join().expect("simulations catch panics")).fold(own, Result::and)
        })?;
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(summary, _)| summary.seed);
        Ok(results)
    }

    const fn engine(&self) -> Engine {
        if self.sequential { Engine::Sequential } else { Engine::Windowed(self.threads) }
    }

    fn tell(&self, results: &[Ran]) -> Result<Answer, Failure> {
        let many = results.len() > 1;
        for (summary, _) in results {
            if self.json {
                output::json(summary)?;
            } else if !many || !summary.violations.is_empty() {
                output::line(summary)?;
            }
        }
        let samples: Vec<Sample> = results.iter().map(|(summary, _)| Sample::of(summary)).collect();
        if many && self.json {
            output::json(&statistics::json(&samples))?;
        } else if many {
            let sum = |count: fn(&Sample) -> u64| samples.iter().map(count).sum::<u64>();
            let measures = statistics::rows(&samples);
            let mut rows: Vec<_> = measures.into_iter().filter(|(name, _)| *name != "completed").collect();
            rows.extend([
                ("seeds", results.len().to_string()),
                ("sessions", sum(|sample| sample.started).to_string()),
                ("completed", sum(|sample| sample.completed).to_string()),
                ("events", sum(|sample| sample.events).to_string()),
                ("violations", sum(|sample| sample.violations).to_string()),
            ]);
            output::table(&rows)?;
        }
        let Some(failing) = results.iter().find_map(|(_, kept)| kept.as_ref()) else { return Ok(Answer::Yes) };
        if let Some(file) = &self.save {
            let small = shrink(failing, SHRINKING).unwrap_or_else(|| failing.clone());
            std::fs::write(file, small.to_toml()).map_err(|error| outputs::unwritable(file, error))?;
        }
        Ok(Answer::No)
    }

    /// Tells how two designs differ; the same seeds in the same order.
    fn tell_comparison(&self, results: &[Ran], others: &[Ran]) -> Result<Answer, Failure> {
        let samples = |results: &[Ran]| results.iter().map(|(summary, _)| Sample::of(summary)).collect::<Vec<_>>();
        let (first, second) = (samples(results), samples(others));
        if first.len() != second.len() {
            return Err(Failure::input("the runs were interrupted", "let them end, or give fewer seeds"));
        }
        statistics::tell_comparison(&first, &second, self.json)?;
        let is_sound = first.iter().chain(&second).all(|sample| sample.violations == 0);
        Ok(if is_sound { Answer::Yes } else { Answer::No })
    }
}

/// The most memory that this process has had, in bytes, where the system tells.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kilobytes = line.trim().trim_end_matches("kB").trim().parse::<u64>();
    kilobytes.unwrap_or(0).saturating_mul(1024)
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
pub(super) fn listen(interrupted: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
            interrupted.store(true, Ordering::Relaxed);
        }
    });
}

pub(super) fn bar(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent} %  {msg}  {eta} left") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
