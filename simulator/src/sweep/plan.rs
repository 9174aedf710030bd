//! The plan of a sweep, in TOML.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::random::Random;
use crate::scenario::parameter_names;
use crate::settings::{Setting, Time, units, with_nearest};
use crate::statistics::Measure;

/// The most combinations of a plan.
const MAX_CELLS: usize = 100_000;

/// The most runs of a plan.
const MAX_RUNS: u64 = 100_000_000;

/// A range of seeds, the last one left out: `0..100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seeds {
    /// The first one.
    pub from: u64,
    /// The one after the last.
    pub to: u64,
}

impl Seeds {
    /// How many.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.to - self.from
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").ok_or("a range is FROM..TO")?;
        let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
        match (number(from)?, number(to)?) {
            (from, to) if from < to => Ok(Self { from, to }),
            _ => Err("the range is empty".to_owned()),
        }
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

impl TryFrom<String> for Seeds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Seeds> for String {
    fn from(seeds: Seeds) -> Self {
        seeds.to_string()
    }
}

/// One of several processes that share a sweep: `0/4` to `3/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

impl Shard {
    /// The whole sweep.
    pub const WHOLE: Self = Self { index: 0, count: 1 };
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("a shard is I/N with I from 0 to N - 1, such as 0/4".to_owned()),
        }
    }
}

/// When a combination has seeds enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Half of the interval's width over the measure, in millionths, at which it is narrow enough.
    #[serde(with = "units::share")]
    pub width: u32,
    /// After each how many seeds that is asked.
    #[serde(default = "default_batch")]
    pub batch: u64,
}

const fn default_batch() -> u64 {
    10
}

const fn default_seeds() -> Seeds {
    Seeds { from: 0, to: 20 }
}

const fn default_measure() -> Measure {
    Measure::LatencyP50
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// A ready scenario, or a file with one.
    pub scenario: String,
    /// The seeds of each combination, at most.
    #[serde(default = "default_seeds")]
    pub seeds: Seeds,
    /// What is plotted, and has to be narrow to stop.
    #[serde(default = "default_measure")]
    pub measure: Measure,
    /// What varies along the plot; if absent, the first that is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// How many combinations are drawn at random; 0 where nothing is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub points: u32,
    /// Parameters that all runs have.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub set: Table,
    /// Parameters with a list of values each, of which every combination is run.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub vary: Table,
    /// Parameters that are drawn at random for each combination: between two values, or one of a list.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub draw: Table,
    /// Ends a combination when its interval is narrow enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
}

const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The name that has all its tables before it.
fn full(name: &str, value: Value) -> Result<(String, Value), String> {
    let setting = Setting::new(name, value).among(parameter_names())?;
    Ok((setting.name(), setting.value().clone()))
}

/// The entries of a table and of those in it, down to what is no table.
fn flat(prefix: &str, table: &Table) -> Vec<(String, Value)> {
    let entry = |(name, value): (&String, &Value)| match value {
        Value::Table(inner) => flat(&format!("{prefix}{name}."), inner),
        value => vec![(format!("{prefix}{name}"), value.clone())],
    };
    table.iter().flat_map(entry).collect()
}

fn lists(table: &Table) -> Result<Vec<(String, Vec<Value>)>, String> {
    let list = |(name, value): (String, Value)| match full(&name, value)? {
        (name, Value::Array(values)) if !values.is_empty() => Ok((name, values)),
        (name, _) => Err(format!("{name} varies over a list of values, such as [\"0%\", \"10%\"]")),
    };
    flat("", table).into_iter().map(list).collect()
}

impl Plan {
    /// A plan of one combination: this scenario.
    #[must_use]
    pub fn new(scenario: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            seeds: default_seeds(),
            measure: default_measure(),
            x: None,
            points: 0,
            set: Table::new(),
            vary: Table::new(),
            draw: Table::new(),
            stop: None,
        }
    }

    /// Reads a plan from TOML.
    ///
    /// # Errors
    /// What is wrong, in words, with the line.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let mut plan: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            format!("line {line}: {}", with_nearest(error.message()))
        })?;
        plan.x = plan.x.map(|x| full(&x, Value::Boolean(true)).map(|(name, _)| name)).transpose()?;
        Ok(plan)
    }

    /// The plan as TOML.
    ///
    /// # Panics
    /// Never: every plan has a form in TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a plan has nothing that TOML lacks")
    }

    /// Lets a parameter vary over values in one text: `loss=0%,10%,20%`.
    ///
    /// # Errors
    /// An unknown name, with the nearest that there is.
    pub fn vary(&mut self, text: &str) -> Result<(), String> {
        let (name, values) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not PARAMETER=VALUE,VALUE, such as loss=0%,10%"))?;
        let value = |value: &str| format!("value={value}").parse::<Setting>().map(|setting| setting.value().clone());
        let values = values.split(',').map(value).collect::<Result<Vec<Value>, String>>()?;
        let (name, values) = full(name.trim(), Value::Array(values))?;
        self.x.get_or_insert_with(|| name.clone());
        self.vary.insert(name, values);
        Ok(())
    }

    /// Sets a parameter for all runs: `stall=500ms`.
    ///
    /// # Errors
    /// An unknown name, with the nearest that there is.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let setting = text.parse::<Setting>()?.among(parameter_names())?;
        self.set.insert(setting.name(), setting.value().clone());
        Ok(())
    }

    pub(super) fn fixed(&self) -> Result<Vec<Setting>, String> {
        let setting = |(name, value): (String, Value)| Setting::new(&name, value).among(parameter_names());
        flat("", &self.set).into_iter().map(setting).collect()
    }

    /// All combinations, each with the full names of what varies.
    pub(super) fn cells(&self) -> Result<Vec<Vec<(String, Value)>>, String> {
        if self.stop.is_some_and(|stop| stop.batch < 2 || stop.width == 0) {
            return Err("stop.batch is 2 or more, and stop.width above 0%".to_owned());
        }
        let (varied, drawn) = (lists(&self.vary)?, lists(&self.draw)?);
        if drawn.is_empty() != (self.points == 0) {
            return Err("`points` says how many combinations of `draw` there are: both or none".to_owned());
        }
        let points = self.points.max(1) as usize;
        let count = varied.iter().fold(points, |count, (_, values)| count.saturating_mul(values.len()));
        if count > MAX_CELLS || (count as u64).saturating_mul(self.seeds.count()) > MAX_RUNS {
            return Err(format!(
                "at most {MAX_CELLS} combinations and {MAX_RUNS} runs; these are {count} combinations"
            ));
        }
        let mut cells = vec![Vec::new()];
        for (name, values) in varied {
            let with = |cell: &Vec<(String, Value)>| -> Vec<Vec<(String, Value)>> {
                let more = |value: &Value| [cell.as_slice(), &[(name.clone(), value.clone())]].concat();
                values.iter().map(more).collect()
            };
            cells = cells.iter().flat_map(with).collect();
        }
        let mut all = Vec::with_capacity(count);
        for point in 0..points as u64 {
            let draw = |(name, values): &(String, Vec<Value>)| {
                let mut random = Random::stream(point, name, 0);
                drawn_value(values, &mut random).map(|value| (name.clone(), value))
            };
            let point = drawn.iter().map(draw).collect::<Result<Vec<_>, String>>()?;
            all.extend(cells.iter().map(|cell| [cell.as_slice(), &point].concat()));
        }
        Ok(all)
    }
}

/// One value: between two numbers, or one of the list.
fn drawn_value(values: &[Value], random: &mut Random) -> Result<Value, String> {
    let between = |low: u64, high: u64, random: &mut Random| {
        if low <= high { Ok(random.within(low, high)) } else { Err("the first value is above the second".to_owned()) }
    };
    match values {
        [Value::Integer(low), Value::Integer(high)] if *low >= 0 && *high >= 0 => {
            between(low.unsigned_abs(), high.unsigned_abs(), random).map(|number| Value::Integer(number as i64))
        }
        [Value::String(low), Value::String(high)] => {
            if let (Some(low), Some(high)) = (units::share::parse(low), units::share::parse(high)) {
                let millionths = between(low.into(), high.into(), random)?;
                return Ok(Value::String(units::share::text(millionths as u32)));
            }
            if let (Ok(Time(low)), Ok(Time(high))) = (low.parse(), high.parse()) {
                let millis = between(low.as_millis() as u64, high.as_millis() as u64, random)?;
                return Ok(Value::String(Time(std::time::Duration::from_millis(millis)).to_string()));
            }
            Ok(values[random.below(2) as usize].clone().clone())
        }
        values => Ok(values[random.below(values.len() as u64) as usize].clone()),
    }
}
