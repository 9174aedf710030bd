//! Sweeps: one scenario with parameters that vary, and many seeds of each.
//!
//! Owns the plan, which runs there are of it, who runs which, what is kept of each, and the tables and the plot that
//! come of all. Invariants: a run is known by an id that follows from its parameters, its seed and the code; what is
//! kept of a run does not depend on when and where it ran; so tables follow from the plan and the code alone, whether
//! one process made them or many.

mod folder;
mod plan;
mod plot;
mod table;
mod work;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::random::{fold_all, mix};
use crate::run::{Engine, Run};
use crate::scenario::Scenario;
use crate::settings::{Setting, units};
use crate::statistics::{Estimate, Measure, Sample, estimate, overview};

pub use folder::Folder;
pub use plan::{Plan, Seeds, Shard, Stop};
pub use table::{Column, Table, Values};
pub use work::{Progress, work};

/// One combination of parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What varies, under its full name, with its value here.
    pub settings: Vec<(String, Value)>,
    /// Its scenario and that as a text; nothing where each seed draws its own.
    scenario: Option<(Scenario, String)>,
}

/// What is kept of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What its parameters, its seed and the code make.
    pub id: String,
    /// Which combination of parameters.
    pub cell: u32,
    /// The seed.
    pub seed: u64,
    /// The hash over every event.
    pub trace: String,
    /// How much virtual time has passed, in milliseconds.
    pub virtual_ms: u64,
    /// What it contributes to the measures.
    pub sample: Sample,
}

/// A plan with everything that it means.
#[derive(Clone, Debug)]
pub struct Sweep {
    plan: Plan,
    cells: Vec<Cell>,
    fixed: Vec<Setting>,
    commit: String,
}

/// A combination of parameters, and what its runs come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellResult {
    /// What varies, with its value here.
    pub parameters: BTreeMap<String, Value>,
    /// How many seeds there were.
    pub seeds: u64,
    /// How many violations checkers have found.
    pub violations: u64,
    /// Each measure that there is something to measure of.
    pub measures: BTreeMap<Measure, Estimate>,
}

impl Sweep {
    /// The sweep of a plan. `base` is the plan's scenario; nothing for the swarm, whose seeds draw their own. `commit`
    /// says which code runs.
    ///
    /// # Errors
    /// What is wrong with the plan, in words.
    pub fn new(plan: Plan, base: Option<&Scenario>, commit: &str) -> Result<Self, String> {
        let fixed = plan.fixed()?;
        let varied = plan.cells()?;
        if let Some(x) = &plan.x {
            let is_varied = |(name, _): &(String, Value)| name == x;
            if !varied.iter().any(|cell| cell.iter().any(is_varied)) {
                return Err(format!("x is `{x}`, which does not vary"));
            }
        }
        let cell = |settings: Vec<(String, Value)>| {
            let all =
                fixed.iter().cloned().chain(settings.iter().map(|(name, value)| Setting::new(name, value.clone())));
            let scenario = match base {
                Some(base) => Some(base.with_settings(all).map(|scenario| (scenario.clone(), scenario.to_toml()))?),
                None => Scenario::swarm(0).with_settings(all).map(|_| None)?,
            };
            Ok(Cell { settings, scenario })
        };
        let cells = varied.into_iter().map(cell).collect::<Result<Vec<Cell>, String>>()?;
        Ok(Self { plan, cells, fixed, commit: commit.to_owned() })
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The combinations of parameters.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Which code runs.
    #[must_use]
    pub fn commit(&self) -> &str {
        &self.commit
    }

    fn scenario(&self, cell: u32, seed: u64) -> Scenario {
        let cell = &self.cells[cell as usize];
        cell.scenario.as_ref().map(|(scenario, _)| scenario.clone()).unwrap_or_else(|| {
            let varied = cell.settings.iter().map(|(name, value)| Setting::new(name, value.clone()));
            let all = self.fixed.iter().cloned().chain(varied);
            let own = Scenario::swarm(seed);
            // What does not fit a world that is drawn leaves it as it is.
            own.with_settings(all).unwrap_or(own)
        })
    }

    /// The id of a run.
    #[must_use]
    pub fn id(&self, cell: u32, seed: u64) -> String {
        let text = match &self.cells[cell as usize].scenario {
            Some((_, text)) => text,
            None => &self.scenario(cell, seed).to_toml(),
        };
        let text = format!("{text}\n{seed}\n{}", self.commit);
        let half = |start: u64| mix(fold_all(mix(start), text.as_bytes()));
        format!("{:016x}{:016x}", half(1), half(2))
    }

    /// Runs one combination with one seed. It ends early, with nothing, when `goes_on` says no.
    pub fn run(&self, cell: u32, seed: u64, mut goes_on: impl FnMut() -> bool) -> Option<Row> {
        let schedule = self.scenario(cell, seed).schedule(seed);
        let mut has_ended = true;
        let summary = Run::new(&schedule).engine(Engine::Windowed(1)).run_while(|_| {
            has_ended = goes_on();
            has_ended
        });
        let summary = summary.summary();
        has_ended.then(|| Row {
            id: self.id(cell, seed),
            cell,
            seed,
            trace: summary.trace_hash.clone(),
            virtual_ms: summary.virtual_ms,
            sample: Sample::of(&summary),
        })
    }

    /// What the runs of each combination come to; combinations without runs are left out.
    #[must_use]
    pub fn results(&self, rows: &[Row]) -> Vec<CellResult> {
        let of = |(cell, place): (&Cell, u32)| {
            let samples = samples(rows, place);
            (!samples.is_empty()).then(|| CellResult {
                parameters: cell.settings.iter().cloned().collect(),
                seeds: samples.len() as u64,
                violations: samples.iter().map(|sample| sample.violations).sum(),
                measures: overview(&samples).into_iter().collect(),
            })
        };
        self.cells.iter().zip(0..).filter_map(of).collect()
    }

    /// The plan's measure against what varies, as a picture in SVG.
    #[must_use]
    pub fn plot(&self, rows: &[Row]) -> String {
        plot::plot(self, &self.results(rows))
    }

    /// What varies on the plot's axis: what the plan says, or the first that is a number.
    fn x(&self) -> Option<&str> {
        let settings = self.cells.first().map(|cell| cell.settings.as_slice()).unwrap_or_default();
        let numbers = settings.iter().find(|(_, value)| units::number(value).is_some());
        self.plan.x.as_deref().or(numbers.or(settings.first()).map(|(name, _)| name.as_str()))
    }

    /// Whether a combination needs no more than these seeds, in the order of the seeds.
    fn is_narrow(&self, samples: &[Sample]) -> bool {
        let Some(stop) = &self.plan.stop else { return false };
        let width = estimate(self.plan.measure, samples).and_then(|estimate| estimate.relative_width());
        width.is_some_and(|width| width * 1e6 <= f64::from(stop.width))
    }
}

/// What the runs of a combination contribute, in the order of their seeds.
fn samples(rows: &[Row], cell: u32) -> Vec<Sample> {
    let mut own: Vec<&Row> = rows.iter().filter(|row| row.cell == cell).collect();
    own.sort_by_key(|row| row.seed);
    own.into_iter().map(|row| row.sample.clone()).collect()
}
