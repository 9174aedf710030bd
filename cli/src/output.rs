//! What the caller sees: results on standard output, one line of failure on standard error.
//!
//! Owns every write to the two streams but the log and the progress display. Invariant: a reader that has gone away
//! (`nelumbo … | head -1`) is no failure.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use nelumbo_core::wire::Harmless;
use serde::Serialize;

use crate::failure::{Answer, Failure};

/// Prints a result as one line.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    written(writeln!(io::stdout().lock(), "{text}"))
}

/// Prints one of many lines; `false` when nobody reads them any more.
pub(crate) fn next_line(text: impl Display) -> Result<bool, Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => written(result).map(|()| true),
    }
}

/// Prints bytes as they are.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), Failure> {
    written(io::stdout().lock().write_all(bytes))
}

/// Prints a result as one JSON object in one line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(json_text(value))
}

/// A result as one JSON object in one line.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("results are made of texts, numbers and lists")
}

/// The name that a value of an enumeration has in JSON.
pub(crate) fn name(value: &impl Serialize) -> String {
    json_text(value).trim_matches('"').to_owned()
}

/// Prints named values, one below the other. Some are texts of others, so all of them are made harmless.
pub(crate) fn table(rows: &[(&str, String)]) -> Result<(), Failure> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().try_for_each(|(name, value)| line(format_args!("{name:width$}  {}", Harmless(value))))
}

/// Prints rows below a heading, in columns. Some are texts of others, so all of them are made harmless.
pub(crate) fn columns<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
    let heading = heading.map(str::to_owned);
    let harmless = |row: &[String; N]| std::array::from_fn(|column| Harmless(&row[column]).to_string());
    let lines: Vec<[String; N]> = std::iter::once(heading).chain(rows.iter().map(harmless)).collect();
    let width = |column: usize| lines.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    lines.iter().try_for_each(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        line(cells.collect::<Vec<_>>().join("  ").trim_end())
    })
}

/// Prints what the parser has to say to someone who asked for it.
pub(crate) fn help(answer: &clap::Error) -> ExitCode {
    let text = answer.render();
    let stream: &dyn Fn(&str) -> io::Result<()> = if answer.use_stderr() {
        &|text| io::stderr().lock().write_all(text.as_bytes())
    } else {
        &|text| io::stdout().lock().write_all(text.as_bytes())
    };
    let is_terminal = if answer.use_stderr() { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = if is_terminal { text.ansi().to_string() } else { text.to_string() };
    match written(stream(&text)) {
        Ok(()) => ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2)),
        Err(failure) => conclude(Err(failure)),
    }
}

/// Tells a failure, and ends the program's story with its exit status.
pub(crate) fn conclude(result: Result<Answer, Failure>) -> ExitCode {
    match result {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(failure) => {
            // Nobody is left to be told when this fails.
            let _ = writeln!(io::stderr().lock(), "error: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::input(format_args!("standard output: {error}"), "send it somewhere that takes it"))
        }
        _ => Ok(()),
    }
}
