//! A sequence diagram as SVG: time goes downwards, with a row for each time at which something happens.
//!
//! Invariant: no word covers another one. Marks of a signer at one time stand below each other; the name of a message
//! stands where there is room on its arrow, and is left out where there is none: its colour and a hint say it too.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::milliseconds;
use super::sequence::{Course, Item};
use crate::engine::Nanos;

const COLUMN: f64 = 200.0;
/// Room for words beside the last line.
const RIGHT: f64 = 60.0;
const LEFT: f64 = 110.0;
const TOP: f64 = 34.0;
const ROW: f64 = 17.0;
/// How wide a letter is about, and how high a line of words.
const LETTER: f64 = 6.6;
const LINE: f64 = 13.0;

/// A place that words take: left, right and bottom.
type Place = (f64, f64, f64);

/// Where words stand already.
#[derive(Default)]
struct Words(Vec<Place>);

impl Words {
    fn has_room(&self, (left, right, bottom): Place) -> bool {
        !self.0.iter().any(|other| left < other.1 && other.0 < right && (bottom - other.2).abs() < LINE)
    }
}

/// Where each moment is.
struct Rows(Vec<(Nanos, f64)>);

impl Rows {
    /// A row for each moment, as high as the most marks of one signer need.
    fn new(items: &[Item]) -> Self {
        let mut lines = BTreeMap::<Nanos, BTreeMap<u32, usize>>::new();
        for item in items {
            match item {
                Item::Message { sent, arrived, .. } => {
                    for at in [*sent].into_iter().chain(*arrived) {
                        lines.entry(at).or_default();
                    }
                }
                Item::Mark { node, at, .. } => *lines.entry(*at).or_default().entry(*node).or_default() += 1,
            }
        }
        let mut y = TOP + 20.0;
        let rows = lines.into_iter().map(|(at, marks)| {
            let row = (at, y);
            y += ROW * marks.values().copied().max().unwrap_or(1).max(1) as f64;
            row
        });
        Self(rows.collect())
    }

    fn y(&self, at: Nanos) -> f64 {
        let row = self.0.partition_point(|(moment, _)| *moment < at);
        self.0.get(row).map_or(TOP, |(_, y)| *y)
    }
}

pub(super) fn diagram(course: &Course) -> String {
    let rows = Rows::new(&course.items);
    let x = |node: u32| {
        let column = course.signers.iter().position(|signer| *signer == node).unwrap_or(course.signers.len());
        LEFT + COLUMN * (column as f64 + 0.5)
    };
    let width = LEFT + COLUMN * course.signers.len() as f64 + RIGHT;
    let height = rows.0.last().map_or(TOP, |(_, y)| *y) + 3.0 * ROW;
    let mut svg = format!("<svg class=\"sequence\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\">");
    for (at, y) in &rows.0 {
        let passed = milliseconds(*at - course.asked.min(*at));
        let (x, y) = (LEFT - 30.0, y + 4.0);
        let _ = write!(svg, "<text text-anchor=\"end\" x=\"{x:.1}\" y=\"{y:.1}\">{passed:.1} ms</text>");
    }
    for node in &course.signers {
        let (x, end) = (x(*node), height - 8.0);
        let _ = write!(
            svg,
            "<text class=\"who\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"18\">node {node}</text>\
             <line class=\"life\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{end:.1}\"/>"
        );
    }
    // Marks are drawn over arrows; they and crosses have their places before the names of messages.
    let (mut marks, mut words) = (String::new(), Words::default());
    let mut stacked = BTreeMap::<(u32, Nanos), usize>::new();
    for item in &course.items {
        if let Item::Mark { node, at, text, class } = item {
            let line = stacked.entry((*node, *at)).or_default();
            let (x, y) = (x(*node), rows.y(*at) + ROW * *line as f64);
            *line += 1;
            let (left, bottom) = (x + 8.0, y + 4.0);
            words.0.push((x - 5.0, left + LETTER * text.len() as f64, bottom));
            let _ = write!(
                marks,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\
                 <text class=\"{class}\" x=\"{left:.1}\" y=\"{bottom:.1}\">{text}</text>",
            );
        }
    }
    for item in &course.items {
        if let Item::Message { from, to, sent, arrived: None, .. } = item {
            let (x, y) = (x(*from).midpoint(x(*to)), rows.y(*sent) + ROW / 2.0);
            words.0.push((x - 5.0, x + 5.0, y + 4.0));
        }
    }
    for item in &course.items {
        if let Item::Message { from, to, sent, arrived, kind } = item {
            let ends = ((x(*from), rows.y(*sent)), (x(*to), arrived.map_or(rows.y(*sent) + ROW, |at| rows.y(at))));
            arrow(&mut svg, &mut words, kind, ends, arrived.is_none());
        }
    }
    svg.push_str(&marks);
    svg.push_str("</svg>");
    if course.left_out > 0 {
        let _ = write!(svg, "<p class=\"none\">and {} more messages and events</p>", course.left_out);
    }
    svg
}

/// Draws a message from one place to another; one that is lost ends halfway.
fn arrow(svg: &mut String, words: &mut Words, kind: &str, (start, end): ((f64, f64), (f64, f64)), is_lost: bool) {
    let on_the_way = |share: f64| (start.0 + (end.0 - start.0) * share, start.1 + (end.1 - start.1) * share);
    let (x1, y1) = start;
    let (x2, y2) = if is_lost { on_the_way(0.5) } else { end };
    let lost = if is_lost { " lost" } else { "" };
    let _ = write!(
        svg,
        "<g class=\"message {kind}{lost}\"><title>{kind}{lost}</title>\
         <line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
    if is_lost {
        let (left, right, up, down) = (x2 - 4.0, x2 + 4.0, y2 - 4.0, y2 + 4.0);
        let cross = format!("M{left:.1} {up:.1}L{right:.1} {down:.1}M{left:.1} {down:.1}L{right:.1} {up:.1}");
        let _ = write!(svg, "<path class=\"cross\" d=\"{cross}\"/>");
    } else {
        let back = x2 + if x2 > x1 { -6.0 } else { 6.0 };
        let (up, down) = (y2 - 4.0, y2 + 4.0);
        let _ = write!(svg, "<path d=\"M{x2:.1} {y2:.1}L{back:.1} {up:.1}L{back:.1} {down:.1}Z\"/>");
    }
    // Nearer to the receiver, so that names from one sender stand apart.
    let half = LETTER * kind.len() as f64 / 2.0;
    let shares: &[f64] = if is_lost { &[0.3, 0.2, 0.4] } else { &[0.62, 0.7, 0.54, 0.78, 0.46, 0.84, 0.38, 0.3, 0.22] };
    let places = shares.iter().map(|share| on_the_way(*share));
    if let Some((x, y)) = places.map(|(x, y)| (x, y - 3.0)).find(|(x, y)| words.has_room((x - half, x + half, *y))) {
        words.0.push((x - half, x + half, y));
        let _ = write!(svg, "<text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{kind}</text>");
    }
    svg.push_str("</g>");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of all words of a diagram, as it was drawn.
    fn places(svg: &str) -> Vec<Place> {
        let number = |tag: &str, name: &str| -> f64 {
            let (_, rest) = tag.split_once(&format!(" {name}=\"")).expect("it has a place");
            rest.split('"').next().expect("quoted").parse().expect("a number")
        };
        let texts = svg.split("<text").skip(1).filter_map(|rest| rest.split_once("</text>").map(|(tag, _)| tag));
        texts
            .map(|tag| {
                let (head, word) = tag.split_once('>').expect("a word");
                let (x, wide) = (number(head, "x"), LETTER * word.len() as f64);
                let left = if head.contains("middle") {
                    x - wide / 2.0
                } else if head.contains("\"end\"") {
                    x - wide
                } else {
                    x
                };
                (left, left + wide, number(head, "y"))
            })
            .collect()
    }

    #[test]
    fn no_word_covers_another_one_however_many_signers_there_are() {
        for signers in [2_u32, 5, 9] {
            let all: Vec<u32> = (0..signers).collect();
            let mut course = Course::new(1_000, &all);
            for (from, to) in all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to))).filter(|(a, b)| a != b)
            {
                let arrived = ((from + to) % 4 > 0).then_some(90_000_000 + u64::from(to % 3) * 1_000_000);
                course.items.push(Item::Message { from, to, sent: 1_000, arrived, kind: "announce" });
            }
            for node in &all {
                for text in ["creates", "attempt 1", "invalid partial signature"] {
                    let at = 90_000_000;
                    course.items.push(Item::Mark { node: *node, at, text: text.into(), class: "mark" });
                }
            }
            let svg = diagram(&course);
            let places = places(&svg);
            assert!(places.len() > 5 * signers as usize, "{svg}");
            for (index, place) in places.iter().enumerate() {
                assert!(Words(places[..index].to_vec()).has_room(*place), "{signers} signers: {place:?}");
            }
            let lost = course.items.iter().filter(|item| matches!(item, Item::Message { arrived: None, .. })).count();
            assert!(signers == 2 || lost > 0);
            assert_eq!(svg.matches("class=\"cross\"").count(), lost, "each lost message has its cross");
        }
    }
}
