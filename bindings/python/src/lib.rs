//! The core as Python's module `nelumbo._native`; `python/nelumbo` has the package around it.
//!
//! Owns the border: texts go in and out, the interpreter's lock is let go while the core works, and panics end here.

mod simulation;

use std::sync::{Mutex, MutexGuard, PoisonError};

use nelumbo_ffi::{Error, Guarded, guard};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(_native, NativeError, PyException, "Why nothing was done, as JSON.");

fn raised<T>(outcome: Result<T, Error>) -> PyResult<T> {
    outcome.map_err(|error| NativeError::new_err(error.to_json()))
}

/// One signer's node.
#[pyclass(frozen)]
struct Machine(Mutex<Guarded<nelumbo_ffi::Machine>>);

/// A key alone.
#[pyclass(frozen)]
struct Signer(Mutex<Guarded<nelumbo_ffi::Signer>>);

/// No panic gets as far as the lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl Machine {
    #[new]
    fn new(params: &str, secret: &[u8], seed: &[u8], mono_ms: f64, wall_ms: f64) -> PyResult<Self> {
        let made = guard(|| nelumbo_ffi::Machine::new(params, secret, seed, mono_ms, wall_ms));
        raised(made).map(|machine| Self(Mutex::new(Guarded::new(machine))))
    }

    fn handle(&self, python: Python<'_>, mono_ms: f64, wall_ms: f64, inputs: &str) -> PyResult<()> {
        raised(python.detach(|| locked(&self.0).run(|machine| machine.handle(mono_ms, wall_ms, inputs))))
    }

    fn command(&self, python: Python<'_>, mono_ms: f64, wall_ms: f64, command: &str) -> PyResult<u64> {
        raised(python.detach(|| locked(&self.0).run(|machine| machine.command(mono_ms, wall_ms, command))))
    }

    fn poll(&self, python: Python<'_>) -> PyResult<String> {
        raised(python.detach(|| locked(&self.0).run(|machine| Ok(machine.poll()))))
    }

    fn deadline(&self) -> PyResult<Option<f64>> {
        raised(locked(&self.0).run(|machine| Ok(machine.deadline())))
    }

    fn view(&self, python: Python<'_>) -> PyResult<String> {
        raised(python.detach(|| locked(&self.0).run(|machine| Ok(machine.view()))))
    }
}

#[pymethods]
impl Signer {
    #[new]
    fn new(secret: &[u8], seed: &[u8]) -> PyResult<Self> {
        raised(guard(|| nelumbo_ffi::Signer::new(secret, seed))).map(|signer| Self(Mutex::new(Guarded::new(signer))))
    }

    fn key(&self) -> PyResult<String> {
        raised(locked(&self.0).run(|signer| Ok(signer.key())))
    }

    fn describe(&self, request: &str) -> PyResult<String> {
        raised(locked(&self.0).run(|signer| signer.describe(request)))
    }

    fn answer(&self, request: &str) -> PyResult<String> {
        raised(locked(&self.0).run(|signer| signer.answer(request)))
    }
}

/// Answers a question that needs no machine.
#[pyfunction]
fn call(question: &str) -> PyResult<String> {
    raised(guard(|| nelumbo_ffi::call(question)))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("NativeError", module.py().get_type::<NativeError>())?;
    module.add_class::<Machine>()?;
    module.add_class::<Signer>()?;
    simulation::add(module)?;
    module.add_function(wrap_pyfunction!(call, module)?)
}
