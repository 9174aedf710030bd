//! The bindings' machines and signers, and a record of every call and of what it gave, for another build of the core to
//! be compared with.
//!
//! Invariant: nothing is recorded but inside of [`record`]. Driven by the target `ffi`.

use std::cell::RefCell;

use nelumbo_ffi::Error;
use serde_json::json;

thread_local! {
    static CALLS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What was called meanwhile: JSON lists of what is called, of which, the texts, the times and what came back.
pub(crate) fn record(act: impl FnOnce()) -> Vec<String> {
    CALLS.set(Some(Vec::new()));
    act();
    CALLS.take().expect("it was set")
}

/// Takes account of a call of machine or signer `of`; times are text, since JSON has not all of them.
fn note(what: &str, of: usize, texts: &[&str], times: (f64, f64), gave: impl FnOnce() -> String) {
    CALLS.with_borrow_mut(|calls| {
        if let Some(calls) = calls {
            let times = [times.0, times.1].map(|time| format!("{time:?}"));
            calls.push(json!([what, of, texts, times, gave()]).to_string());
        }
    });
}

fn given<T>(outcome: &Result<T, Error>, show: impl FnOnce(&T) -> String) -> String {
    outcome.as_ref().map_or_else(Error::to_json, show)
}

/// How many calls there were: a new name.
fn fresh() -> usize {
    CALLS.with_borrow(|calls| calls.as_ref().map_or(0, Vec::len))
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

pub(crate) struct Machine(nelumbo_ffi::Machine, usize);

impl Machine {
    pub(crate) fn new(params: &str, secret: &[u8], seed: &[u8], mono: f64, wall: f64) -> Result<Self, Error> {
        let (name, made) = (fresh(), nelumbo_ffi::Machine::new(params, secret, seed, mono, wall));
        let texts = [params, &hex(secret), &hex(seed)];
        note("machine", name, &texts, (mono, wall), || given(&made, |_| "null".into()));
        made.map(|made| Self(made, name))
    }

    pub(crate) fn handle(&mut self, mono: f64, wall: f64, inputs: &str) -> Result<(), Error> {
        let outcome = self.0.handle(mono, wall, inputs);
        note("handle", self.1, &[inputs], (mono, wall), || given(&outcome, |()| "null".into()));
        outcome
    }

    pub(crate) fn command(&mut self, mono: f64, wall: f64, command: &str) -> Result<u64, Error> {
        let outcome = self.0.command(mono, wall, command);
        note("command", self.1, &[command], (mono, wall), || given(&outcome, u64::to_string));
        outcome
    }

    pub(crate) fn poll(&mut self) -> String {
        let outputs = self.0.poll();
        note("poll", self.1, &[], (0.0, 0.0), || outputs.clone());
        outputs
    }

    pub(crate) fn view(&self) -> String {
        let view = self.0.view();
        note("view", self.1, &[], (0.0, 0.0), || view.clone());
        view
    }

    pub(crate) fn deadline(&self) -> Option<f64> {
        let at = self.0.deadline();
        note("deadline", self.1, &[], (0.0, 0.0), || at.map_or("null".into(), |at| format!("{at:?}")));
        at
    }
}

pub(crate) struct Signer(nelumbo_ffi::Signer, usize);

impl Signer {
    pub(crate) fn new(secret: &[u8], seed: &[u8]) -> Result<Self, Error> {
        let (name, made) = (fresh(), nelumbo_ffi::Signer::new(secret, seed));
        note("signer", name, &[&hex(secret), &hex(seed)], (0.0, 0.0), || given(&made, |_| "null".into()));
        made.map(|made| Self(made, name))
    }

    pub(crate) fn key(&self) -> String {
        self.0.key()
    }

    pub(crate) fn describe(&self, request: &str) -> Result<String, Error> {
        let outcome = self.0.describe(request);
        note("describe", self.1, &[request], (0.0, 0.0), || given(&outcome, String::clone));
        outcome
    }

    pub(crate) fn answer(&mut self, request: &str) -> Result<String, Error> {
        let outcome = self.0.answer(request);
        note("answer", self.1, &[request], (0.0, 0.0), || given(&outcome, String::clone));
        outcome
    }
}

pub(crate) fn call(question: &str) -> Result<String, Error> {
    let outcome = nelumbo_ffi::call(question);
    note("call", 0, &[question], (0.0, 0.0), || given(&outcome, String::clone));
    outcome
}
