//! The picture of a sweep: a measure against what varies, with intervals, as one SVG in light and in dark.
//!
//! Invariant: coordinates are finite whatever the data, and nothing is loaded from anywhere.

use std::fmt::Write;

use toml::Value;

use super::{CellResult, Sweep};
use crate::report::escaped;
use crate::report::plot::{short, ticks};
use crate::settings::units;
use crate::statistics::Estimate;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 84.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 68.0;
const RIGHT: f64 = 36.0;

/// The most series; further ones are in the table alone.
const SERIES: usize = 8;

const STYLE: &str = "\
svg{--paper:#fff;--ink:#1b1f24;--soft:#5b6570;--grid:#e4e8ec;--axis:#9aa4ae;\
--s0:#2563c9;--s1:#c2410c;--s2:#0f766e;--s3:#9333a8;--s4:#a16207;--s5:#be123c;--s6:#4d7c0f;--s7:#475569;\
background:var(--paper);font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
@media(prefers-color-scheme:dark){svg{--paper:#14171b;--ink:#e8ecf0;--soft:#9aa5b1;--grid:#272c33;--axis:#5b6570;\
--s0:#7aa8f5;--s1:#f59b6b;--s2:#5ccdc0;--s3:#d19be0;--s4:#e0bb5a;--s5:#f28ba0;--s6:#a9cf67;--s7:#a8b3c0}}\
text{fill:var(--ink);font-size:14px}.title{font-size:20px;font-weight:600}.soft{fill:var(--soft);font-size:13px}\
.grid{stroke:var(--grid)}.axis{stroke:var(--axis)}.band{opacity:.16;stroke:none}\
.line{fill:none;stroke-width:2.5;stroke-linejoin:round}.whisker{stroke-width:1.5}";

/// Where a value is on the axis.
enum Axis<'v> {
    /// Numbers in a unit, from 0 or the least to the most.
    Numbers { most: f64, ticks: Vec<f64>, unit: &'static str },
    /// Anything else, evenly.
    Names(Vec<&'v Value>),
}

impl<'v> Axis<'v> {
    fn of(values: &[&'v Value]) -> Self {
        let numbers: Option<Vec<(f64, &'static str)>> = values.iter().map(|value| units::number(value)).collect();
        match numbers {
            Some(numbers)
                if !numbers.is_empty()
                    && numbers.iter().all(|(number, unit)| *unit == numbers[0].1 && *number >= 0.0) =>
            {
                let all = ticks(numbers.iter().map(|(number, _)| *number).fold(0.0, f64::max));
                Self::Numbers { most: all.last().copied().unwrap_or(1.0), ticks: all, unit: numbers[0].1 }
            }
            _ => {
                let mut names: Vec<&Value> = Vec::new();
                values.iter().for_each(|value| {
                    if !names.contains(value) {
                        names.push(value);
                    }
                });
                Self::Names(names)
            }
        }
    }

    fn x(&self, value: &Value) -> f64 {
        let share = match self {
            Self::Numbers { most, .. } => units::number(value).map_or(0.0, |(number, _)| number / most),
            Self::Names(names) => {
                let place = names.iter().position(|name| *name == value).unwrap_or(0);
                (place as f64 + 0.5) / names.len().max(1) as f64
            }
        };
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Places with their labels.
    fn labels(&self) -> Vec<(f64, String)> {
        match self {
            Self::Numbers { most, ticks, .. } => {
                let x = |tick: &f64| LEFT + tick / most * (WIDTH - LEFT - RIGHT);
                ticks.iter().map(|tick| (x(tick), label(*tick))).collect()
            }
            Self::Names(names) => names.iter().map(|name| (self.x(name), plain(name))).collect(),
        }
    }
}

/// A number without digits that do not matter, and with separators between thousands.
fn label(number: f64) -> String {
    if number.abs() < 10.0 && number.fract() != 0.0 {
        let text = format!("{number:.3}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    if number.abs() >= 1e6 {
        return short(number);
    }
    let whole = format!("{number:.0}");
    let groups: Vec<&str> =
        whole.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Results that are the same but for what varies along the axis.
struct Series<'r> {
    name: String,
    points: Vec<(&'r Value, &'r Estimate)>,
}

fn series<'r>(x: &str, sweep: &Sweep, results: &'r [CellResult]) -> Vec<Series<'r>> {
    let mut all: Vec<Series<'r>> = Vec::new();
    for result in results {
        let Some(estimate) = result.measures.get(&sweep.plan().measure) else { continue };
        let others = result.parameters.iter().filter(|(name, _)| *name != x);
        let name: Vec<String> = others
            .map(|(name, value)| format!("{} {}", name.rsplit('.').next().unwrap_or(name), plain(value)))
            .collect();
        let (name, point) = (name.join(", "), (&result.parameters[x], estimate));
        match all.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => all.push(Series { name, points: vec![point] }),
        }
    }
    all
}

/// Draws it.
pub(super) fn plot(sweep: &Sweep, results: &[CellResult]) -> String {
    let (plan, measure) = (sweep.plan(), sweep.plan().measure);
    let x = sweep.x().unwrap_or_default();
    let mut all = if x.is_empty() { Vec::new() } else { series(x, sweep, results) };
    let left_out = all.len().saturating_sub(SERIES);
    all.truncate(SERIES);
    let values: Vec<&Value> = all.iter().flat_map(|series| series.points.iter().map(|(value, _)| *value)).collect();
    let axis = Axis::of(&values);
    let highest = |series: &Series<'_>| {
        series.points.iter().map(|(_, one)| one.high.unwrap_or(one.value).max(one.value)).fold(0.0, f64::max)
    };
    let steps = ticks(all.iter().map(highest).fold(0.0, f64::max));
    let most = steps.last().copied().unwrap_or(1.0);
    let y = |value: f64| HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM);
    let unit = if measure.unit().is_empty() { String::new() } else { format!(" ({})", measure.unit()) };
    let (title, code) = (format!("{}{unit}", measure.title()), escaped(sweep.commit()));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
         <title>{title}</title><style>{STYLE}</style>\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"var(--paper)\"/>\
         <text class=\"title\" x=\"28\" y=\"38\">{title}</text>\
         <text class=\"soft\" x=\"28\" y=\"60\">{}</text>",
        escaped(&subtitle(sweep, results, left_out)),
    );
    for step in &steps {
        let (at, right) = (y(*step), WIDTH - RIGHT);
        let class = if *step == 0.0 { "axis" } else { "grid" };
        let _ = write!(
            svg,
            "<line class=\"{class}\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>\
             <text class=\"soft\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 12.0,
            at + 4.5,
            label(*step),
        );
    }
    for (at, text) in axis.labels() {
        let (foot, below) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 22.0);
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{at:.1}\" y1=\"{foot}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>\
             <text class=\"soft\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{below}\">{}</text>",
            foot + 5.0,
            escaped(&text),
        );
    }
    let x_unit = match &axis {
        Axis::Numbers { unit, .. } if !unit.is_empty() => format!(" ({unit})"),
        _ => String::new(),
    };
    let _ = write!(
        svg,
        "<text text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}{x_unit}</text>\
         <text class=\"soft\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">nelumbo {code}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 22.0,
        escaped(x),
        WIDTH - RIGHT,
        HEIGHT - 22.0,
    );
    for (place, one) in all.iter().enumerate() {
        draw(&mut svg, place, one, &axis, &y);
    }
    if all.len() > 1 {
        for (place, one) in all.iter().enumerate() {
            let at = TOP + 18.0 + 22.0 * place as f64;
            let _ = write!(
                svg,
                "<line class=\"line\" stroke=\"var(--s{place})\" x1=\"{}\" y1=\"{:.1}\" x2=\"{}\" y2=\"{:.1}\"/>\
                 <text x=\"{}\" y=\"{at:.1}\">{}</text>",
                LEFT + 18.0,
                at - 5.0,
                LEFT + 46.0,
                at - 5.0,
                LEFT + 56.0,
                escaped(&one.name),
            );
        }
    }
    if all.is_empty() {
        let what = if x.is_empty() { "nothing varies" } else { "nothing to measure" };
        let _ = write!(
            svg,
            "<text class=\"soft\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{what} in {}</text>",
            WIDTH / 2.0,
            HEIGHT / 2.0,
            escaped(&plan.scenario),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// What was run, in a line.
fn subtitle(sweep: &Sweep, results: &[CellResult], left_out: usize) -> String {
    let plan = sweep.plan();
    let seeds = results.iter().map(|result| result.seeds);
    let seeds = match (seeds.clone().min().unwrap_or(0), seeds.max().unwrap_or(0)) {
        (least, most) if least == most => format!("{most} seeds each"),
        (least, most) => format!("{least} to {most} seeds each"),
    };
    let set = plan.fixed().unwrap_or_default();
    let set: Vec<String> = set
        .iter()
        .map(|setting| format!("{} {}", setting.name().rsplit('.').next().unwrap_or_default(), plain(setting.value())))
        .collect();
    let mut parts = vec![plan.scenario.clone()];
    parts.extend(set);
    parts.extend([seeds, "95 % intervals".to_owned()]);
    if left_out > 0 {
        parts.push(format!("{left_out} more series in cells.csv"));
    }
    parts.join(" · ")
}

/// Draws a series: the band of its intervals, a line, and each point with its own.
fn draw(svg: &mut String, place: usize, series: &Series<'_>, axis: &Axis<'_>, y: &dyn Fn(f64) -> f64) {
    let mut points: Vec<(f64, &Value, &Estimate)> =
        series.points.iter().map(|(value, estimate)| (axis.x(value), *value, *estimate)).collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let is_line = matches!(axis, Axis::Numbers { .. });
    let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
        let parts: Vec<String> = points.map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        parts.join("L")
    };
    let low = |estimate: &Estimate| y(estimate.low.unwrap_or(estimate.value).max(0.0));
    let high = |estimate: &Estimate| y(estimate.high.unwrap_or(estimate.value));
    if is_line {
        let there = path(&mut points.iter().map(|(x, _, estimate)| (*x, high(estimate))));
        let back = path(&mut points.iter().rev().map(|(x, _, estimate)| (*x, low(estimate))));
        let line = path(&mut points.iter().map(|(x, _, estimate)| (*x, y(estimate.value))));
        let _ = write!(
            svg,
            "<path class=\"band\" fill=\"var(--s{place})\" d=\"M{there}L{back}Z\"/>\
             <path class=\"line\" stroke=\"var(--s{place})\" d=\"M{line}\"/>"
        );
    }
    for (x, value, estimate) in points {
        let (top, foot, at) = (high(estimate), low(estimate), y(estimate.value));
        let interval = match (estimate.low, estimate.high) {
            (Some(low), Some(high)) => format!(" ({} to {})", label(low), label(high)),
            _ => String::new(),
        };
        let _ = write!(
            svg,
            "<g stroke=\"var(--s{place})\"><line class=\"whisker\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" \
             y2=\"{foot:.1}\"/><line class=\"whisker\" x1=\"{0:.1}\" y1=\"{top:.1}\" x2=\"{1:.1}\" y2=\"{top:.1}\"/>\
             <line class=\"whisker\" x1=\"{0:.1}\" y1=\"{foot:.1}\" x2=\"{1:.1}\" y2=\"{foot:.1}\"/></g>\
             <circle cx=\"{x:.1}\" cy=\"{at:.1}\" r=\"4\" fill=\"var(--s{place})\" stroke=\"var(--paper)\" \
             stroke-width=\"1.5\"><title>{2}: {3}{interval}</title></circle>",
            x - 4.0,
            x + 4.0,
            escaped(&plain(value)),
            label(estimate.value),
        );
    }
}
