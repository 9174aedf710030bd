//! The page around numbers and plots.

use std::fmt::Write;

use super::{Report, diagram, escaped, plot, timeline};
use crate::schedule::MILLISECOND;
use crate::summary::{Percentiles, Summary, grouped};

const STYLE: &str = include_str!("style.css");

/// Shows the course of the session that is chosen.
const SCRIPT: &str = "\
const choice = document.getElementById('choice');
const show = () => document.querySelectorAll('.course').forEach(one => { one.hidden = one.id !== choice.value; });
if (choice) { choice.addEventListener('change', show); show(); }";

/// How many sessions can be chosen from.
const CHOICES: usize = 40;

pub(super) fn page(report: &Report, summary: &Summary) -> String {
    let title = format!("{} · seed {}", escaped(&summary.scenario), summary.seed);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><main>\
         <h1>{title}</h1>"
    );
    if summary.crypto != "real" {
        let crypto = escaped(&summary.crypto);
        let _ =
            write!(html, "<p class=\"warning\">Stand-in cryptography ({crypto}): these signatures sign nothing.</p>");
    }
    verdict(&mut html, summary);
    numbers(&mut html, summary);
    parameters(&mut html, report);
    plots(&mut html, report, summary);
    troubles(&mut html, report, summary);
    courses(&mut html, report);
    let _ = writeln!(
        html,
        "<footer>nelumbo · trace {} · the same scenario and seed give the same run</footer>\
         </main><script>{SCRIPT}</script></body></html>",
        summary.trace_hash
    );
    html
}

fn verdict(html: &mut String, summary: &Summary) {
    if summary.violations.is_empty() {
        html.push_str("<p class=\"verdict good\">No checker has found a violation.</p>");
        return;
    }
    let _ = write!(html, "<div class=\"verdict bad\"><p>{} violations</p><ul>", summary.violations.len());
    for violation in summary.violations.iter().take(20) {
        let node = violation.node.map(|node| format!(", node {node}")).unwrap_or_default();
        let (checker, what) = (escaped(&violation.checker), escaped(&violation.what));
        let _ = write!(html, "<li><b>{checker}</b> at {:.3} s{node}: {what}</li>", violation.at as f64 / 1e9);
    }
    html.push_str("</ul></div>");
}

fn numbers(html: &mut String, summary: &Summary) {
    let sessions = &summary.sessions;
    let seconds = summary.virtual_ms as f64 / 1e3;
    html.push_str("<dl>");
    let mut cell = |name: &str, value: String| {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    };
    let list = |pairs: Vec<String>| if pairs.is_empty() { "none".to_owned() } else { pairs.join(", ") };
    let spread = |of: Percentiles| format!("{:.1} / {:.1} / {:.1}", of.p50, of.p99, of.max);
    cell("nodes", grouped(summary.nodes.into()));
    cell("virtual time", format!("{seconds:.1} s"));
    cell("events", grouped(summary.events));
    cell("messages", format!("{} ({} bytes)", grouped(summary.messages), grouped(summary.bytes)));
    cell("sessions", format!("{} of {} complete", grouped(sessions.completed), grouped(sessions.started)));
    cell("latency p50 / p99 / most", format!("{} ms", spread(summary.latency_ms)));
    cell("in one-way delays", spread(summary.one_way_delays));
    cell("broadcasts", format!("{} ({} turns passed)", grouped(summary.broadcasts), grouped(summary.failovers)));
    let faults = summary.faults.iter().filter(|(_, count)| **count > 0);
    cell("messages in trouble", list(faults.map(|(name, count)| format!("{name} {}", grouped(*count))).collect()));
    cell("reasons", list(sessions.by_reason.iter().map(|(why, count)| format!("{} {count}", escaped(why))).collect()));
    cell(
        "misbehaviours",
        list(
            summary.misbehaviours.iter().map(|(kind, count)| format!("{} {}", kind.name(), grouped(*count))).collect(),
        ),
    );
    cell("refusals", grouped(summary.refusals));
    html.push_str("</dl>");
}

/// What the run was made with: the schedule, its steps counted by kind.
fn parameters(html: &mut String, report: &Report) {
    let mut table = toml::Table::try_from(&report.schedule).unwrap_or_default();
    // It is not written down where it is as usual, and decides on what loss means.
    let transport = report.schedule.transport.name();
    table.entry("transport").or_insert_with(|| transport.into());
    let mut rows: Vec<(String, String)> = Vec::new();
    for (name, value) in std::mem::take(&mut table) {
        match value {
            toml::Value::Array(items) if name == "steps" => {
                let mut counts = std::collections::BTreeMap::<String, u64>::new();
                for event in items.iter().filter_map(|step| step.get("event").and_then(toml::Value::as_str)) {
                    *counts.entry(event.to_owned()).or_default() += 1;
                }
                rows.extend(counts.into_iter().map(|(event, count)| (format!("steps: {event}"), grouped(count))));
            }
            toml::Value::Array(items) if items.is_empty() => {}
            toml::Value::Array(items) if items.len() > 8 => {
                rows.push((name, format!("{} values", grouped(items.len() as u64))));
            }
            toml::Value::Table(fields) => {
                rows.extend(fields.iter().map(|(field, value)| (format!("{name}.{field}"), shown(value))));
            }
            // What is not there.
            toml::Value::Boolean(false) | toml::Value::Integer(0) if name != "seed" => {}
            value => rows.push((name, shown(&value))),
        }
    }
    html.push_str("<details open><summary>Parameters</summary><dl class=\"parameters\">");
    for (name, value) in rows {
        let _ = write!(html, "<div><dt>{}</dt><dd>{}</dd></div>", escaped(&name), escaped(&value));
    }
    html.push_str("</dl></details>");
}

fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => u64::try_from(*number).map_or_else(|_| number.to_string(), grouped),
        value => value.to_string(),
    }
}

fn section(html: &mut String, title: &str, hint: &str, content: &str) {
    let _ = write!(html, "<section><h2>{title}</h2><p class=\"hint\">{hint}</p>{content}</section>");
}

fn plots(html: &mut String, report: &Report, summary: &Summary) {
    html.push_str("<div class=\"pair\">");
    section(
        html,
        "Latency",
        "From the command to the signature, at each signer. The line is the share of all that took at most as long.",
        &plot::histogram(&report.latencies_ms, "milliseconds"),
    );
    let busy = [&report.created_ms, &report.completed_ms].into_iter().flatten().copied().fold(0.0, f64::max);
    let until = busy.max(1.0) * 1.05 / 1e3;
    let seconds = |times: &[f64]| times.iter().map(|at| at / 1e3).collect::<Vec<_>>();
    let (created, completed) = (seconds(&report.created_ms), seconds(&report.completed_ms));
    section(
        html,
        "Completion",
        "Sessions that were created, and signers that had their signature, by when.",
        &plot::steps(
            &[("created", "second", &created), ("signatures at signers", "first", &completed)],
            "seconds",
            until,
        ),
    );
    let mut messages: Vec<(String, u64)> =
        report.messages.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
    messages.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    section(html, "Messages by kind", "What arrived, transports and services included.", &plot::bars(&messages));
    let failed = seconds(&report.failed_ms);
    let until = (summary.virtual_ms as f64 / 1e3).max(1.0);
    section(
        html,
        "Failovers",
        "Turns of coordinators that passed without a broadcast, as each signer saw them.",
        &plot::steps(&[("turns passed", "first", &failed)], "seconds", until),
    );
    html.push_str("</div>");
}

fn troubles(html: &mut String, report: &Report, summary: &Summary) {
    let (drawing, left_out) = timeline::map(&report.schedule, &report.outages, summary.virtual_ms * MILLISECOND);
    let mut hint = "A row for each node in trouble: <span class=\"key cut\"></span> cut off, \
                    <span class=\"key outward\"></span> not heard, <span class=\"key inward\"></span> deaf, \
                    <span class=\"key down\"></span> down."
        .to_owned();
    if left_out > 0 {
        let _ = write!(hint, " {left_out} more nodes are left out.");
    }
    section(html, "Who could not be reached", &hint, &drawing);
}

fn courses(html: &mut String, report: &Report) {
    // Those that went wrong first, then the slowest.
    let mut all: Vec<_> = report.courses.iter().collect();
    all.sort_by_key(|(session, course)| (course.is_complete(), std::cmp::Reverse(course.took()), **session));
    all.truncate(CHOICES);
    let mut content = String::new();
    if all.is_empty() {
        content = plot::nothing();
    } else {
        content.push_str("<select id=\"choice\">");
        for (index, (session, course)) in all.iter().enumerate() {
            let _ = write!(content, "<option value=\"course-{index}\">{}</option>", escaped(&course.title(session)));
        }
        content.push_str("</select>");
        for (index, (_, course)) in all.iter().enumerate() {
            let hidden = if index == 0 { "" } else { " hidden" };
            let drawing = diagram::diagram(course);
            let _ = write!(content, "<div class=\"course\" id=\"course-{index}\"{hidden}>{drawing}</div>");
        }
    }
    let hint = "Messages, and what they led to; a row for each moment, counted from the command. \
                A dashed arrow with a cross is a message that was lost.";
    section(html, "The course of a session", hint, &content);
}
