//! Simulations and sweeps for researchers: scenarios in TOML go in, tables in Arrow's C stream interface come out.
//!
//! Owns the border. Invariants: the interpreter's lock is let go while nodes run and taken for callbacks alone; what a
//! callback raises ends the run and is raised there; columns are handed over, not copied.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, RecordBatchIterator, StringArray, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use nelumbo_simulator::run::Run;
use nelumbo_simulator::scenario::{SWARM, Scenario, parameter_names};
use nelumbo_simulator::statistics::{Measure, Sample, compare, overview};
use nelumbo_simulator::sweep::{self, Folder, Plan, Row, Shard, Values};
use nelumbo_simulator::trace;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use super::locked;

type Metadata = std::collections::HashMap<String, String>;

fn wrong(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Columns of the same length, for any library that knows Arrow's PyCapsule interface.
#[pyclass(frozen)]
struct Table(RecordBatch);

#[pymethods]
impl Table {
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'p>(
        &self,
        python: Python<'p>,
        requested_schema: Option<Bound<'p, PyAny>>,
    ) -> PyResult<Bound<'p, PyCapsule>> {
        // Whoever wants other types converts; the protocol leaves that open.
        drop(requested_schema);
        let reader = RecordBatchIterator::new([Ok(self.0.clone())], self.0.schema());
        let stream = FFI_ArrowArrayStream::new(Box::new(reader));
        PyCapsule::new_with_value(python, stream, c"arrow_array_stream")
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    fn columns(&self) -> Vec<String> {
        self.0.schema().fields().iter().map(|field| field.name().clone()).collect()
    }
}

/// A table as one batch, with its units and what belongs to it.
fn batch(table: sweep::Table, metadata: Vec<(String, String)>) -> PyResult<Table> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for column in table.columns {
        let (kind, array): (DataType, ArrayRef) = match column.values {
            Values::Text(values) => (DataType::Utf8, Arc::new(StringArray::from(values))),
            Values::Whole(values) => (DataType::UInt64, Arc::new(UInt64Array::from(values))),
            Values::Number(values) => (DataType::Float64, Arc::new(Float64Array::from(values))),
        };
        let unit = (!column.unit.is_empty()).then(|| ("unit".to_owned(), column.unit.to_owned()));
        fields.push(Field::new(column.name, kind, true).with_metadata(unit.into_iter().collect::<Metadata>()));
        arrays.push(array);
    }
    let schema = Schema::new(fields).with_metadata(metadata.into_iter().collect::<Metadata>());
    RecordBatch::try_new(Arc::new(schema), arrays).map(Table).map_err(wrong)
}

/// Events of a run that wait to be shown.
#[derive(Default)]
struct Events {
    at: Vec<u64>,
    node: Vec<u32>,
    source: Vec<u32>,
    sequence: Vec<u64>,
    kind: Vec<&'static str>,
    name: Vec<String>,
    session: Vec<Option<String>>,
    bytes: Vec<u32>,
    detail: Vec<Option<String>>,
}

impl Events {
    fn push(&mut self, row: trace::Row<'_>) {
        self.at.push(row.at);
        self.node.push(row.node);
        self.source.push(row.source);
        self.sequence.push(row.sequence);
        self.kind.push(row.kind);
        self.name.push(row.name.into_owned());
        self.session.push(row.session.map(|session| session.to_string()));
        self.bytes.push(row.bytes);
        self.detail.push(row.detail);
    }

    fn batch(self) -> PyResult<Table> {
        let columns: [(&str, DataType, ArrayRef); 9] = [
            ("at", DataType::UInt64, Arc::new(UInt64Array::from(self.at))),
            ("node", DataType::UInt32, Arc::new(UInt32Array::from(self.node))),
            ("source", DataType::UInt32, Arc::new(UInt32Array::from(self.source))),
            ("sequence", DataType::UInt64, Arc::new(UInt64Array::from(self.sequence))),
            ("kind", DataType::Utf8, Arc::new(StringArray::from(self.kind))),
            ("name", DataType::Utf8, Arc::new(StringArray::from(self.name))),
            ("session", DataType::Utf8, Arc::new(StringArray::from(self.session))),
            ("bytes", DataType::UInt32, Arc::new(UInt32Array::from(self.bytes))),
            ("detail", DataType::Utf8, Arc::new(StringArray::from(self.detail))),
        ];
        let fields: Vec<Field> = columns.iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), true)).collect();
        let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map(Table).map_err(wrong)
    }
}

/// What a callback has raised, which ends what it was called by.
#[derive(Default)]
struct Raised {
    is: AtomicBool,
    what: Mutex<Option<PyErr>>,
}

impl Raised {
    fn goes_on(&self) -> bool {
        !self.is.load(Ordering::Relaxed)
    }

    fn keep<T>(&self, outcome: PyResult<T>) {
        if let Err(error) = outcome {
            locked(&self.what).get_or_insert(error);
            self.is.store(true, Ordering::Relaxed);
        }
    }

    fn out(self) -> PyResult<()> {
        locked(&self.what).take().map_or(Ok(()), Err)
    }
}

/// The scenario of a text or name, for a seed where that draws it.
fn scenario_of(source: &str, settings: &[String], seed: u64) -> PyResult<Scenario> {
    match source {
        SWARM => Scenario::swarm(seed).with(settings),
        source => Scenario::from_toml(Scenario::text(source).unwrap_or(source), settings),
    }
    .map_err(wrong)
}

/// The names of all ready scenarios.
#[pyfunction]
fn scenarios() -> Vec<&'static str> {
    Scenario::names().collect()
}

/// The full names of all parameters.
#[pyfunction]
fn parameters() -> Vec<String> {
    parameter_names().to_vec()
}

/// The text of a scenario with settings.
#[pyfunction]
fn scenario(source: &str, settings: Vec<String>, seed: u64) -> PyResult<String> {
    scenario_of(source, &settings, seed).map(|scenario| scenario.to_toml())
}

/// Runs a scenario, and returns its summary and what it contributes to measures, both as JSON.
#[pyfunction]
fn run(
    python: Python<'_>,
    source: &str,
    seed: u64,
    events: Option<Py<PyAny>>,
    batch: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<(String, String)> {
    let schedule = scenario_of(source, &[], seed)?.schedule(seed);
    let (raised, batch) = (Raised::default(), batch.max(1));
    let show = |rows: Events, whom: &Py<PyAny>| {
        raised.keep(rows.batch().and_then(|table| Python::attach(|python| whom.call1(python, (table,)).map(drop))));
    };
    let summary = python.detach(|| {
        let mut waiting = Events::default();
        let mut run = Run::new(&schedule).run_while(|so_far| {
            let told = progress.as_ref().map(|whom| {
                let share = so_far.at as f64 / (schedule.until_ms.max(1) as f64 * 1e6);
                Python::attach(|python| whom.call1(python, (share.min(1.0),)).map(drop))
            });
            raised.keep(told.unwrap_or(Ok(())));
            raised.keep(Python::attach(|python| python.check_signals()));
            raised.goes_on()
        });
        if let Some(whom) = &events {
            run = run.trace(|observed| {
                if raised.goes_on() {
                    waiting.push(trace::Row::of(observed));
                    if waiting.at.len() >= batch {
                        show(std::mem::take(&mut waiting), whom);
                    }
                }
            });
        }
        let summary = run.summary();
        if let Some(whom) = events.as_ref().filter(|_| raised.goes_on() && !waiting.at.is_empty()) {
            show(waiting, whom);
        }
        summary
    });
    raised.out()?;
    Ok((summary.to_json(), serde_json::to_string(&Sample::of(&summary)).map_err(wrong)?))
}

/// A plan with its scenario, and what has been run of it.
#[pyclass(frozen)]
struct Sweep {
    sweep: sweep::Sweep,
    rows: Mutex<Vec<Row>>,
}

#[pymethods]
impl Sweep {
    #[new]
    fn new(plan: &str, base: Option<&str>) -> PyResult<Self> {
        let plan = Plan::from_toml(plan).map_err(wrong)?;
        let base = base.map(|text| Scenario::from_toml(text, &[])).transpose().map_err(wrong)?;
        let sweep = sweep::Sweep::new(plan, base.as_ref(), env!("CARGO_PKG_VERSION")).map_err(wrong)?;
        Ok(Self { sweep, rows: Mutex::default() })
    }

    /// Runs what the folder does not have.
    fn work(
        &self,
        python: Python<'_>,
        out: &str,
        shard: &str,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let shard: Shard = shard.parse().map_err(|error: String| wrong(error))?;
        let raised = Raised::default();
        let tell = |so_far: sweep::Progress| {
            raised.keep(Python::attach(|python| {
                python.check_signals()?;
                let call = progress.as_ref().map(|whom| whom.call1(python, (so_far.ended, so_far.most)).map(drop));
                call.unwrap_or(Ok(()))
            }));
        };
        let rows = python.detach(|| -> std::io::Result<Option<Vec<Row>>> {
            let mut folder = Folder::open(Path::new(out), shard)?;
            let rows = sweep::work(&self.sweep, &mut folder, shard, threads, || raised.goes_on(), tell)?;
            if let Some(rows) = &rows {
                folder.write(&self.sweep, rows)?;
            }
            Ok(rows)
        });
        raised.out()?;
        *locked(&self.rows) = rows.map_err(|error| PyOSError::new_err(error.to_string()))?.unwrap_or_default();
        Ok(())
    }

    /// How many combinations there are, and the seeds of each.
    fn size(&self) -> (usize, u64, u64) {
        (self.sweep.cells().len(), self.sweep.plan().seeds.from, self.sweep.plan().seeds.to)
    }

    /// Whether intervals decide how many runs there are.
    fn stops(&self) -> bool {
        self.sweep.plan().stop.is_some()
    }

    /// One run as a line of JSON.
    fn one(&self, python: Python<'_>, cell: u32, seed: u64) -> PyResult<String> {
        if cell as usize >= self.sweep.cells().len() {
            return Err(wrong(format!("there is no combination {cell}")));
        }
        let row = python.detach(|| self.sweep.run(cell, seed, || true));
        serde_json::to_string(&row.expect("nobody has ended it")).map_err(wrong)
    }

    /// Takes runs as lines of JSON, in place of those that are there.
    fn take(&self, lines: Vec<String>) -> PyResult<()> {
        let rows = lines.iter().map(|line| serde_json::from_str(line).map_err(wrong));
        let mut rows = rows.collect::<PyResult<Vec<Row>>>()?;
        if rows.iter().any(|row| !self.sweep.has(row)) {
            return Err(wrong("a run is of another plan, or of another version"));
        }
        rows.sort_by_key(|row| (row.cell, row.seed));
        rows.dedup_by_key(|row| (row.cell, row.seed));
        *locked(&self.rows) = rows;
        Ok(())
    }

    fn runs(&self) -> PyResult<Table> {
        batch(self.sweep.table(&locked(&self.rows)), self.sweep.metadata())
    }

    fn cells(&self, python: Python<'_>) -> PyResult<Table> {
        let table = python.detach(|| self.sweep.cell_table(&locked(&self.rows)));
        batch(table, self.sweep.metadata())
    }

    fn plot(&self, python: Python<'_>) -> String {
        python.detach(|| self.sweep.plot(&locked(&self.rows)))
    }

    fn plan(&self) -> String {
        self.sweep.plan().to_toml()
    }
}

/// What runs come to that are given by what they contribute: each measure with its interval, as JSON.
#[pyfunction]
fn measures(python: Python<'_>, samples: Vec<String>) -> PyResult<String> {
    let samples = samples_of(&samples)?;
    let all: std::collections::BTreeMap<Measure, _> = python.detach(|| overview(&samples).into_iter().collect());
    serde_json::to_string(&all).map_err(wrong)
}

/// How two designs differ that had the same seeds: each measure, as JSON.
#[pyfunction]
fn comparison(python: Python<'_>, first: Vec<String>, second: Vec<String>) -> PyResult<String> {
    if first.len() != second.len() {
        return Err(wrong("there is one run of each design for each seed"));
    }
    let (first, second) = (samples_of(&first)?, samples_of(&second)?);
    let of = |measure: Measure| compare(measure, &first, &second).map(|comparison| (measure, comparison));
    let all: std::collections::BTreeMap<Measure, _> =
        python.detach(|| Measure::ALL.into_iter().filter_map(of).collect());
    serde_json::to_string(&all).map_err(wrong)
}

fn samples_of(lines: &[String]) -> PyResult<Vec<Sample>> {
    lines.iter().map(|line| serde_json::from_str(line).map_err(wrong)).collect()
}

/// Adds everything here to the module.
pub(super) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Table>()?;
    module.add_class::<Sweep>()?;
    module.add_function(wrap_pyfunction!(scenarios, module)?)?;
    module.add_function(wrap_pyfunction!(parameters, module)?)?;
    module.add_function(wrap_pyfunction!(scenario, module)?)?;
    module.add_function(wrap_pyfunction!(run, module)?)?;
    module.add_function(wrap_pyfunction!(measures, module)?)?;
    module.add_function(wrap_pyfunction!(comparison, module)?)
}
