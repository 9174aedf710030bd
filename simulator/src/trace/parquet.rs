//! A trace as a Parquet table: times as differences, texts by dictionary, compressed.
//!
//! Invariant: the columns are the fields of [`Row`], in their order. Unsigned numbers keep their bits.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::{Row, Trace};

const SCHEMA: &str = "message trace {
    required int64 at;
    required int32 node (integer(32, false));
    required int32 source (integer(32, false));
    required int64 sequence (integer(64, false));
    required binary kind (string);
    required binary name (string);
    optional binary session (string);
    required int32 bytes (integer(32, false));
    optional binary digest (string);
    optional binary detail (string);
}";

/// How many rows are written together.
const GROUP: usize = 65_536;

#[derive(Default)]
struct Columns {
    at: Vec<i64>,
    node: Vec<i32>,
    source: Vec<i32>,
    sequence: Vec<i64>,
    kind: Vec<ByteArray>,
    name: Vec<ByteArray>,
    session: Texts,
    bytes: Vec<i32>,
    digest: Texts,
    detail: Texts,
}

/// A column of texts, some of which are missing.
#[derive(Default)]
struct Texts {
    values: Vec<ByteArray>,
    levels: Vec<i16>,
}

impl Texts {
    fn push(&mut self, text: Option<&str>) {
        self.levels.push(i16::from(text.is_some()));
        self.values.extend(text.map(ByteArray::from));
    }
}

pub(super) struct Parquet<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Columns,
}

impl<W: Write + Send> Parquet<W> {
    pub(super) fn new(file: W) -> io::Result<Self> {
        let schema = parse_message_type(SCHEMA).map(Arc::new).map_err(failed)?;
        let at = ColumnPath::from("at");
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_column_dictionary_enabled(at.clone(), false)
            .set_column_encoding(at, Encoding::DELTA_BINARY_PACKED)
            .build();
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(failed)?;
        Ok(Self { writer, columns: Columns::default() })
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let Columns { at, node, source, sequence, kind, name, session, bytes, digest, detail } =
            std::mem::take(&mut self.columns);
        if at.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        column::<Int64Type, W>(&mut group, &at, None)?;
        column::<Int32Type, W>(&mut group, &node, None)?;
        column::<Int32Type, W>(&mut group, &source, None)?;
        column::<Int64Type, W>(&mut group, &sequence, None)?;
        column::<ByteArrayType, W>(&mut group, &kind, None)?;
        column::<ByteArrayType, W>(&mut group, &name, None)?;
        column::<ByteArrayType, W>(&mut group, &session.values, Some(&session.levels))?;
        column::<Int32Type, W>(&mut group, &bytes, None)?;
        column::<ByteArrayType, W>(&mut group, &digest.values, Some(&digest.levels))?;
        column::<ByteArrayType, W>(&mut group, &detail.values, Some(&detail.levels))?;
        group.close().map(drop)
    }
}

fn column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.expect("the schema has as many columns");
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn failed(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

impl<W: Write + Send> Trace for Parquet<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let columns = &mut self.columns;
        columns.at.push(row.at.cast_signed());
        columns.node.push(row.node.cast_signed());
        columns.source.push(row.source.cast_signed());
        columns.sequence.push(row.sequence.cast_signed());
        columns.kind.push(row.kind.into());
        columns.name.push((&*row.name).into());
        columns.session.push(row.session.map(|session| session.to_string()).as_deref());
        columns.bytes.push(row.bytes.cast_signed());
        columns.digest.push(row.digest.as_deref());
        columns.detail.push(row.detail.as_deref());
        if columns.at.len() < GROUP { Ok(()) } else { self.flush().map_err(failed) }
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        self.flush().map_err(failed)?;
        self.writer.close().map(drop).map_err(failed)
    }
}
