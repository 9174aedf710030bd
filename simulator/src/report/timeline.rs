//! A timeline of outages: a row for each node, time from left to right, partitions and crashes as bars.
//!
//! Invariant: as many rows as there are nodes with an outage, up to a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{milliseconds, plot};
use crate::engine::Nanos;
use crate::network::Direction;
use crate::schedule::{MILLISECOND, Schedule, ScheduledEvent};

/// How many nodes are shown.
const ROWS: usize = 60;
const WIDTH: f64 = 1080.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const ROW: f64 = 14.0;

/// When nodes were down.
#[derive(Debug, Default)]
pub(super) struct Outages {
    down: BTreeMap<u32, Nanos>,
    over: Vec<(u32, Nanos, Nanos)>,
}

impl Outages {
    pub(super) fn on_down(&mut self, at: Nanos, node: u32) {
        self.down.insert(node, at);
    }

    pub(super) fn on_up(&mut self, at: Nanos, node: u32) {
        if let Some(since) = self.down.remove(&node) {
            self.over.push((node, since, at));
        }
    }

    fn all(&self, until: Nanos) -> impl Iterator<Item = (u32, Nanos, Nanos)> {
        let open = self.down.iter().map(move |(node, since)| (*node, *since, until));
        self.over.iter().copied().chain(open)
    }
}

struct Bar {
    node: u32,
    from: Nanos,
    until: Nanos,
    class: &'static str,
    title: String,
}

fn partitions(schedule: &Schedule) -> Vec<Bar> {
    let mut bars = Vec::new();
    for step in &schedule.steps {
        let ScheduledEvent::Partition { until_ms, members, direction, flapping_ms } = &step.event else { continue };
        let (class, words) = match direction {
            Direction::Both => ("cut", "cut off from the others"),
            Direction::Outward => ("cut outward", "not heard by the others"),
            Direction::Inward => ("cut inward", "deaf to the others"),
            Direction::Everywhere => ("cut", "without a network"),
        };
        let rhythm = if *flapping_ms > 0 { format!(", on and off each {flapping_ms} ms") } else { String::new() };
        let (from, until) = (step.at_ms * MILLISECOND, until_ms * MILLISECOND);
        let title = format!("{words}{rhythm}, {} ms to {until_ms} ms", step.at_ms);
        bars.extend(members.iter().map(|node| Bar { node: *node, from, until, class, title: title.clone() }));
    }
    bars
}

/// The timeline as SVG, with a note of how many nodes it leaves out.
pub(super) fn map(schedule: &Schedule, outages: &Outages, until: Nanos) -> (String, usize) {
    let mut all = partitions(schedule);
    all.extend(outages.all(until).map(|(node, from, until)| {
        let title = format!("down, {:.0} ms to {:.0} ms", milliseconds(from), milliseconds(until));
        Bar { node, from, until, class: "down", title }
    }));
    let nodes: BTreeSet<u32> = all.iter().map(|bar| bar.node).collect();
    if nodes.is_empty() {
        return (plot::nothing(), 0);
    }
    let rows: BTreeMap<u32, usize> = nodes.iter().take(ROWS).copied().zip(0..).collect();
    // The rest after the last trouble is empty: most of it is left out.
    let end = all.iter().map(|bar| bar.until).max().unwrap_or(1).min(until);
    let end = (end + end / 20).max(1);
    let height = 34.0 + ROW * rows.len() as f64;
    let x = |at: Nanos| LEFT + at.min(end) as f64 / end as f64 * (WIDTH - LEFT - RIGHT);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">");
    for (node, row) in &rows {
        let y = ROW * *row as f64;
        let (middle, text) = (y + ROW / 2.0, y + ROW - 3.0);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\"/>\
             <text text-anchor=\"end\" x=\"{:.1}\" y=\"{text:.1}\">node {node}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
        );
    }
    for bar in &all {
        let Some(row) = rows.get(&bar.node) else { continue };
        let (left, top) = (x(bar.from), ROW * *row as f64 + 2.0);
        let (width, class, title) = ((x(bar.until) - left).max(1.5), bar.class, &bar.title);
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\">\
             <title>node {}: {title}</title></rect>",
            ROW - 4.0,
            bar.node,
        );
    }
    for seconds in plot::ticks(end as f64 / 1e9).into_iter().filter(|seconds| seconds * 1e9 <= end as f64) {
        let (x, y) = (x((seconds * 1e9) as Nanos), height - 8.0);
        let _ = write!(svg, "<text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{} s</text>", plot::short(seconds));
    }
    svg.push_str("</svg>");
    (svg, nodes.len().saturating_sub(ROWS))
}
