//! What many seeds come to: measures with intervals, and two designs side by side.

use nelumbo_simulator::statistics::{Comparison, Estimate, Measure, Sample, compare, overview};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output;

/// A number with three digits that matter.
fn short(number: f64) -> String {
    let size = number.abs();
    let digits = if size >= 100.0 || size == 0.0 { 0 } else { (2 - size.log10().floor() as i32).clamp(0, 9) as usize };
    format!("{number:.digits$}")
}

/// A value with its unit and interval.
pub(crate) fn shown(estimate: &Estimate, unit: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("{}{unit} ({} to {})", short(estimate.value), short(low), short(high)),
        _ => format!("{}{unit}", short(estimate.value)),
    }
}

/// The measures as rows of a table.
pub(super) fn rows(samples: &[Sample]) -> Vec<(&'static str, String)> {
    let row = |(measure, estimate): (Measure, Estimate)| (measure.name(), shown(&estimate, measure.unit()));
    overview(samples).into_iter().map(row).collect()
}

/// The measures as JSON.
pub(super) fn json(samples: &[Sample]) -> Value {
    let measures: serde_json::Map<String, Value> = overview(samples)
        .into_iter()
        .map(|(measure, Estimate { value, low, high, .. })| {
            (measure.name().to_owned(), json!({ "value": value, "low": low, "high": high, "unit": measure.unit() }))
        })
        .collect();
    json!({ "seeds": samples.len(), "interval": 0.95, "measures": measures })
}

/// Tells how two designs differ that had the same seeds.
pub(super) fn tell_comparison(first: &[Sample], second: &[Sample], as_json: bool) -> Result<(), Failure> {
    let compared: Vec<(Measure, Comparison)> =
        Measure::ALL.into_iter().filter_map(|measure| Some((measure, compare(measure, first, second)?))).collect();
    if as_json {
        let measures: serde_json::Map<String, Value> =
            compared.iter().map(|(measure, comparison)| (measure.name().to_owned(), json!(comparison))).collect();
        return output::json(&json!({ "seeds": first.len(), "interval": 0.95, "comparison": measures }));
    }
    let row = |(measure, Comparison { first, second, difference, p }): &(Measure, Comparison)| {
        let [first, second, difference] = [first, second, difference].map(|one| shown(one, measure.unit()));
        [measure.name().to_owned(), first, second, difference, format!("{p:.3}")]
    };
    let rows: Vec<_> = compared.iter().map(row).collect();
    output::columns(["measure", "this", "against", "difference", "p"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (number, text) in [(0.0, "0"), (1234.56, "1235"), (98.76, "98.8"), (1.0, "1.00"), (0.01234, "0.0123")] {
            assert_eq!(short(number), text);
        }
    }
}
