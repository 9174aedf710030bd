//! The names of everything that can be set in a scenario, and its text without what is as usual.

use std::fmt::Write;
use std::sync::LazyLock;

use nelumbo_core::api::Limits;
use toml::{Table, Value};

use super::{LatencyParams, Scenario};
use crate::settings::{Overlay, Protocol};

/// What has no default, with some value.
const LEAST: &str =
    "name = ''\nnodes = 3\nsessions = 1\nsigners = 3\nworkload = '20 s'\nlatency = { kind = 'regions' }";

/// The fields that have no default.
const REQUIRED: [&str; 6] = ["name", "nodes", "sessions", "signers", "workload", "latency"];

static USUAL: LazyLock<Scenario> = LazyLock::new(|| toml::from_str(LEAST).expect("it has every field that it needs"));

static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names = Vec::new();
    // Written in the order of the fields, which a table does not have.
    let text = toml::to_string(&*USUAL).expect("a scenario has nothing that TOML lacks");
    let mut section = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| section != "latency.") {
            names.push(format!("{section}{name}"));
        }
    }
    let latency = names.iter().position(|name| name.contains('.')).unwrap_or(names.len());
    names.splice(latency..latency, LatencyParams::FIELDS.map(|field| format!("latency.{field}")));
    names.extend(Overlay::<Protocol>::default().flat().map(|(name, _)| format!("protocol.{name}")));
    names.extend(Overlay::<Limits>::default().flat().map(|(name, _)| format!("limits.{name}")));
    names
});

/// The full names of all parameters, in the order of the reference.
#[must_use]
pub fn names() -> &'static [String] {
    &NAMES
}

/// The text of a scenario: what has no default, and what differs from it, in the order of the reference.
pub(super) fn text(scenario: &Scenario) -> String {
    let (mut table, usual) = (scenario.table(), USUAL.table());
    table.retain(|name, value| {
        if REQUIRED.contains(&name) {
            return true;
        }
        match (&mut *value, usual.get(name)) {
            (Value::Table(fields), Some(Value::Table(usual))) => {
                fields.retain(|field, value| usual.get(field) != Some(value));
                !fields.is_empty()
            }
            (value, usual) => usual != Some(&*value),
        }
    });
    let (mut lines, mut sections) = (String::new(), String::new());
    let mut seen: Vec<&str> = Vec::new();
    for name in names().iter().map(|name| name.split('.').next().unwrap_or(name)) {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        match table.get(name) {
            Some(Value::Table(fields)) => {
                let _ = write!(sections, "\n[{name}]\n{}", section(name, fields));
            }
            Some(value) => {
                let _ = writeln!(lines, "{name} = {value}");
            }
            None => {}
        }
    }
    lines + &sections
}

fn section(name: &str, fields: &Table) -> String {
    let place = |field: &str| {
        let full = format!("{name}.{field}");
        names().iter().position(|name| *name == full || name.starts_with(&format!("{full}.")))
    };
    let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
    fields.sort_by_key(|(field, _)| place(field));
    fields.iter().fold(String::new(), |mut lines, (field, value)| {
        let _ = writeln!(lines, "{field} = {value}");
        lines
    })
}
