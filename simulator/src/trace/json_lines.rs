//! A trace as JSON lines: easy to search, and what `diff` compares.

use std::io::{self, Write};

use super::{Row, Trace};

pub(super) struct JsonLines<W>(pub(super) W);

impl<W: Write> Trace for JsonLines<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, row)?;
        self.0.write_all(b"\n")
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}
