//! Plots as SVG: steps, histograms with their cumulated share, and bars.
//!
//! Invariant: coordinates are finite whatever the data, and colours are the page's.

use std::fmt::Write;

use crate::summary::grouped;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 44.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 42.0;

/// A number in short form, without digits that do not matter.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 1e7 => format!("{:.0} M", number / 1e6),
        size if size >= 1e4 => format!("{:.0} k", number / 1e3),
        size if size >= 10.0 || number.fract() == 0.0 => format!("{number:.0}"),
        _ => format!("{number:.1}"),
    }
}

/// About five round steps that cover what there is.
pub(crate) fn ticks(most: f64) -> Vec<f64> {
    let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
    let rough = most / 5.0;
    let power = 10_f64.powi(rough.log10().floor() as i32);
    let step = [1.0, 2.0, 5.0, 10.0].map(|round| round * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (0..=(most / step).ceil() as u32).map(|count| f64::from(count) * step).collect()
}

/// Two axes and what is drawn between them.
struct Axes {
    svg: String,
    most: (f64, f64),
}

impl Axes {
    fn new(most: (f64, f64), names: (&str, &str)) -> Self {
        let (across, upwards) = (ticks(most.0), ticks(most.1));
        let most = (across.last().copied().unwrap_or(1.0), upwards.last().copied().unwrap_or(1.0));
        let mut axes = Self { svg: format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">"), most };
        for tick in upwards {
            let y = axes.y(tick);
            axes.line("grid", (LEFT, y), (WIDTH - RIGHT, y));
            axes.text("end", LEFT - 6.0, y + 4.0, &short(tick));
        }
        for tick in across {
            let x = axes.x(tick);
            axes.line("tick", (x, HEIGHT - BOTTOM), (x, HEIGHT - BOTTOM + 4.0));
            axes.text("middle", x, HEIGHT - BOTTOM + 17.0, &short(tick));
        }
        axes.line("axis", (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM));
        axes.text("middle", (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 6.0, names.0);
        let (x, y) = (13.0, (TOP + HEIGHT - BOTTOM) / 2.0);
        let name = names.1;
        let _ =
            write!(axes.svg, "<text transform=\"translate({x} {y}) rotate(-90)\" text-anchor=\"middle\">{name}</text>");
        axes
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + value / self.most.0 * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.most.1 * (HEIGHT - TOP - BOTTOM)
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let _ =
            write!(self.svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
    }

    fn text(&mut self, anchor: &str, x: f64, y: f64, text: &str) {
        let _ = write!(self.svg, "<text text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }

    fn path(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let _ = write!(self.svg, "<path class=\"line {class}\" d=\"");
        for (count, (x, y)) in points.enumerate() {
            let _ = write!(self.svg, "{}{:.1} {:.1}", if count == 0 { 'M' } else { 'L' }, self.x(x), self.y(y));
        }
        self.svg.push_str("\"/>");
    }

    fn done(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// How often values of each size occur, with the share of all that are at most as large.
pub(super) fn histogram(values: &[f64], name: &str) -> String {
    if values.is_empty() {
        return nothing();
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // A few far outliers would press everything else into one bar; they are in the last one.
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    let (whole, most) = (at(1.0), at(0.99) * 1.25);
    let most = if whole > 4.0 * most { most } else { whole };
    let last = ticks(most).last().copied().unwrap_or(1.0);
    let bins = 40_usize;
    let mut counts = vec![0_u32; bins];
    for value in &sorted {
        counts[((value / last * bins as f64) as usize).min(bins - 1)] += 1;
    }
    let highest = counts.iter().copied().max().unwrap_or(1);
    let mut axes = Axes::new((most, f64::from(highest)), (name, "how many"));
    for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (from, to) = (axes.x(last * bin as f64 / bins as f64), axes.x(last * (bin + 1) as f64 / bins as f64));
        let top = axes.y(f64::from(*count));
        let (width, height) = ((to - from - 1.0).max(1.0), HEIGHT - BOTTOM - top);
        let low = last * bin as f64 / bins as f64;
        let _ = write!(
            axes.svg,
            "<rect class=\"bar\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
             <title>from {low:.1}: {count}</title></rect>"
        );
    }
    let full = axes.most.1;
    let shares = (0..=100).map(|step| last * f64::from(step) / 100.0).map(|x| {
        let below = sorted.partition_point(|value| *value <= x);
        (x, below as f64 / sorted.len() as f64 * full)
    });
    axes.path("second", shares.collect::<Vec<_>>().into_iter());
    for share in [0.0, 0.5, 1.0] {
        let y = axes.y(full * share) + 4.0;
        let percent = format!("{:.0} %", share * 100.0);
        axes.text("start", WIDTH - RIGHT + 5.0, y, &percent);
    }
    axes.done()
}

/// How many have happened by when: a line of steps for each list of times.
pub(super) fn steps(lists: &[(&str, &str, &[f64])], name: &str, until: f64) -> String {
    let most = lists.iter().map(|(_, _, times)| times.len()).max().unwrap_or(0);
    if most == 0 {
        return nothing();
    }
    let mut axes = Axes::new((until, most as f64), (name, "how many"));
    for (index, (label, class, times)) in lists.iter().enumerate() {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        // More points than pixels say nothing.
        let stride = sorted.len().div_ceil(600).max(1);
        let mut points = vec![(0.0, 0.0)];
        for (count, at) in sorted.iter().enumerate().filter(|(count, _)| (count + 1) % stride == 0) {
            points.push((*at, count as f64 + 1.0 - stride as f64));
            points.push((*at, count as f64 + 1.0));
        }
        points.push((until, sorted.len() as f64));
        axes.path(class, points.into_iter());
        let y = TOP + 12.0 + 16.0 * index as f64;
        axes.line(&format!("line {class}"), (LEFT + 10.0, y - 4.0), (LEFT + 30.0, y - 4.0));
        axes.text("start", LEFT + 36.0, y, &format!("{label} ({})", times.len()));
    }
    axes.done()
}

/// A bar for each name.
pub(super) fn bars(values: &[(String, u64)]) -> String {
    let Some(most) = values.iter().map(|(_, value)| *value).max().filter(|most| *most > 0) else { return nothing() };
    let height = 12.0 + 22.0 * values.len() as f64;
    let left = 110.0;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">");
    for (index, (name, value)) in values.iter().enumerate() {
        let (y, width) = (6.0 + 22.0 * index as f64, (*value as f64 / most as f64 * (WIDTH - left - 80.0)).max(1.0));
        let (text_y, end) = (y + 13.0, left + width + 6.0);
        let _ = write!(
            svg,
            "<text text-anchor=\"end\" x=\"{:.1}\" y=\"{text_y:.1}\">{name}</text>\
             <rect class=\"bar\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"16\"/>\
             <text x=\"{end:.1}\" y=\"{text_y:.1}\">{}</text>",
            left - 8.0,
            grouped(*value),
        );
    }
    svg.push_str("</svg>");
    svg
}

pub(super) fn nothing() -> String {
    "<p class=\"none\">none</p>".into()
}
