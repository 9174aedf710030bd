//! `nelumbo sweep`: one scenario with parameters that vary, many seeds of each, and what they come to.
//!
//! Owns the arguments, the progress display and what is printed; runs, tables and the plot are the simulator's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use nelumbo_simulator::scenario::{SWARM, Scenario};
use nelumbo_simulator::statistics::Measure;
use nelumbo_simulator::sweep::{self, CellResult, Folder, Plan, Row, Seeds, Shard, work};
use serde_json::json;

use super::simulate::statistics::shown;
use super::simulate::{bar, listen};
use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo sweep quiet --vary loss=0%,5%,10%,20%,30% --out loss
  nelumbo sweep lossy --vary loss=0%,10%,20% --vary stall=500ms,2s --seeds 0..50 --measure latency-p90 --out stall
  nelumbo sweep plan.toml --out results --shard 3/16
  nelumbo sweep plan.toml --out results      the rest of it, and the tables of all parts

A plan is a file in TOML; --print shows the one that the arguments make. Files in the folder: runs.csv has a row for
each run (runs.parquet too, in a build with `--features parquet`), cells.csv the measures with 95 % intervals, plot.svg
the picture, runs*.jsonl what a later call need not run again.

Exit status: 1 when a checker has found a violation, or the sweep was interrupted; the same command goes on with it.";

/// Simulates a scenario with parameters that vary, and says with intervals what comes of it
///
/// Runs every combination of the parameters with every seed, on all cores, and draws the measure with its 95 %
/// intervals. What has ended before in the same folder is not run again.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sweep {
    /// A plan in TOML, or a scenario: a ready one, or a file with one
    plan: String,
    /// The folder for tables, the plot, and what has been run
    #[arg(long, value_name = "DIR", required_unless_present = "print")]
    out: Option<PathBuf>,
    /// Runs one of N parts: 0/N to N-1/N, for arrays of jobs; without it, what no part has run, and the tables of all
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Lets a parameter vary, as `loss=0%,10%,20%`; several give every combination, the first is the plot's axis
    #[arg(long, value_name = "PARAMETER=VALUE,VALUE")]
    vary: Vec<String>,
    /// Sets a parameter for all runs, as `stall=500ms`
    #[arg(long = "set", value_name = "PARAMETER=VALUE")]
    settings: Vec<String>,
    /// The seeds of each combination, the last one left out; 0..20 if nobody says
    #[arg(long, value_name = "FROM..TO")]
    seeds: Option<Seeds>,
    /// What is plotted: latency-p50, latency-p90, latency-p99, latency-mean, completed, failed-attempts, broadcasts,
    /// failovers, messages, bytes
    #[arg(long, value_parser = measure)]
    measure: Option<Measure>,
    /// How many runs at once; as many as there are cores if nobody says
    #[arg(long)]
    threads: Option<usize>,
    /// Prints the plan and runs nothing
    #[arg(long)]
    print: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

fn measure(name: &str) -> Result<Measure, String> {
    let names = || Measure::ALL.map(Measure::name).join(", ");
    Measure::ALL.into_iter().find(|measure| measure.name() == name).ok_or_else(|| format!("there are {}", names()))
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::input(error, "see `nelumbo sweep --help`; the book lists all parameters")
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let names = Scenario::names().collect::<Vec<_>>().join(", ");
        let remedy = format!("give a plan, a file with a scenario, or a ready one: {names}");
        Failure::input(format_args!("{} cannot be read: {error}", file.display()), remedy)
    })
}

impl Sweep {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let sweep = self.sweep()?;
        if self.print {
            return output::line(sweep.plan().to_toml().trim_end()).map(|()| Answer::Yes);
        }
        let out = self.out.as_deref().expect("clap asks for it");
        let unwritable =
            |error| Failure::input(format_args!("{}: {error}", out.display()), "choose another place, or make room");
        let shard = self.shard.unwrap_or(Shard::WHOLE);
        let mut folder = Folder::open(out, shard).map_err(unwritable)?;
        let interrupted = Arc::new(AtomicBool::new(false));
        listen(interrupted.clone());
        let (bar, begun) = (bar(1), Instant::now());
        let threads = self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let goes_on = || !interrupted.load(Ordering::Relaxed);
        let rows = work(&sweep, &mut folder, shard, threads, goes_on, |progress| {
            bar.set_length(progress.most);
            bar.set_position(progress.ended);
            let rate = progress.events as f64 / begun.elapsed().as_secs_f64().max(1e-3);
            bar.set_message(format!("{} of {} runs, {:.0} k events/s", progress.ended, progress.most, rate / 1e3));
        });
        bar.finish_and_clear();
        let Some(rows) = rows.map_err(unwritable)? else {
            let remedy = "give the same command to go on with it";
            return Err(Failure::unmet("the sweep was interrupted; what has ended is kept", remedy));
        };
        let files = folder.write(&sweep, &rows).map_err(unwritable)?;
        self.tell(&sweep, &rows, out, &files)
    }

    /// What the plan and the arguments say.
    fn sweep(&self) -> Result<sweep::Sweep, Failure> {
        let is_ready = self.plan == SWARM || Scenario::text(&self.plan).is_some();
        let path = Path::new(&self.plan);
        let (mut plan, folder) = match is_ready {
            true => (Plan::new(&self.plan), Path::new("")),
            false => {
                let text = read(path)?;
                let is_plan = toml::from_str::<toml::Table>(&text).is_ok_and(|table| !table.contains_key("nodes"));
                match is_plan {
                    true => {
                        let plan = Plan::from_toml(&text).map_err(|error| wrong(format!("{}: {error}", self.plan)))?;
                        (plan, path.parent().unwrap_or(Path::new("")))
                    }
                    false => (Plan::new(&self.plan), Path::new("")),
                }
            }
        };
        self.vary.iter().try_for_each(|text| plan.vary(text)).map_err(wrong)?;
        self.settings.iter().try_for_each(|text| plan.set(text)).map_err(wrong)?;
        plan.seeds = self.seeds.unwrap_or(plan.seeds);
        plan.measure = self.measure.unwrap_or(plan.measure);
        let base = match plan.scenario.as_str() {
            SWARM => None,
            name => {
                let text = match Scenario::text(name) {
                    Some(text) => text.to_owned(),
                    None => read(&folder.join(name))?,
                };
                Some(Scenario::from_toml(&text, &[]).map_err(|error| wrong(format!("{name}: {error}")))?)
            }
        };
        sweep::Sweep::new(plan, base.as_ref(), env!("NELUMBO_VERSION")).map_err(wrong)
    }

    fn tell(&self, sweep: &sweep::Sweep, rows: &[Row], out: &Path, files: &[String]) -> Result<Answer, Failure> {
        let results = sweep.results(rows);
        let is_sound = results.iter().all(|result| result.violations == 0);
        if self.json {
            output::json(&json!({
                "plan": sweep.plan(),
                "commit": sweep.commit(),
                "interval": 0.95,
                "runs": rows.len(),
                "cells": results,
                "files": files,
            }))?;
        } else {
            table(sweep, &results)?;
            output::line("")?;
            for file in files {
                output::line(out.join(file).display())?;
            }
        }
        Ok(if is_sound { Answer::Yes } else { Answer::No })
    }
}

fn table(sweep: &sweep::Sweep, results: &[CellResult]) -> Result<(), Failure> {
    let measure = sweep.plan().measure;
    let heading = ["parameters", measure.name(), Measure::Completed.name(), "seeds", "violations"];
    let row = |result: &CellResult| {
        let parameters: Vec<String> = result
            .parameters
            .iter()
            .map(|(name, value)| format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        let shown = |measure: Measure| {
            result.measures.get(&measure).map_or_else(|| "none".to_owned(), |one| shown(one, measure.unit()))
        };
        [
            parameters.join(", "),
            shown(measure),
            shown(Measure::Completed),
            result.seeds.to_string(),
            result.violations.to_string(),
        ]
    };
    output::columns(heading, &results.iter().map(row).collect::<Vec<_>>())
}
