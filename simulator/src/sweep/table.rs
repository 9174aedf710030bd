//! The runs of a sweep as a table in columns, each with its unit; written as CSV, and as Parquet with that feature.

use serde_json::{Value as Json, json};
use toml::Value;

use super::{Row, Sweep};
use crate::settings::units;
use crate::statistics::Sample;

/// What a column has.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Texts.
    Text(Vec<String>),
    /// Whole numbers.
    Whole(Vec<u64>),
    /// Numbers, some of which are missing.
    Number(Vec<Option<f64>>),
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The unit of its numbers; none for counts and texts.
    pub unit: &'static str,
    /// What it has.
    pub values: Values,
}

/// Columns of the same length.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// How many rows there are.
    pub rows: usize,
}

/// A number that a run contributes, with its name and unit.
type Count = (&'static str, &'static str, fn(&Sample) -> u64);

/// A value of a parameter as a text.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Values of a parameter, as numbers where all of them are numbers of one unit.
fn parameter<'v>(name: &str, values: impl Iterator<Item = &'v Value> + Clone) -> Column {
    let numbers: Option<Vec<(f64, &'static str)>> = values.clone().map(units::number).collect();
    match numbers {
        Some(numbers) if numbers.windows(2).all(|pair| pair[0].1 == pair[1].1) => Column {
            name: name.to_owned(),
            unit: numbers.first().map_or("", |(_, unit)| unit),
            values: Values::Number(numbers.into_iter().map(|(number, _)| Some(number)).collect()),
        },
        _ => Column { name: name.to_owned(), unit: "", values: Values::Text(values.map(text).collect()) },
    }
}

impl Sweep {
    /// One row for each run.
    #[must_use]
    pub fn table(&self, rows: &[Row]) -> Table {
        let whole = |name: &str, unit, of: &dyn Fn(&Row) -> u64| Column {
            name: name.to_owned(),
            unit,
            values: Values::Whole(rows.iter().map(of).collect()),
        };
        let texts = |name: &str, of: &dyn Fn(&Row) -> String| Column {
            name: name.to_owned(),
            unit: "",
            values: Values::Text(rows.iter().map(of).collect()),
        };
        let quantile = |name: &str, share: f64| Column {
            name: name.to_owned(),
            unit: "ms",
            values: Values::Number(
                rows.iter().map(|row| row.sample.latency.quantile(share).map(|nanos| nanos as f64 / 1e6)).collect(),
            ),
        };
        let mut columns = vec![
            texts("id", &|row| row.id.clone()),
            whole("cell", "", &|row| row.cell.into()),
            whole("seed", "", &|row| row.seed),
        ];
        let settings = self.cells.first().map(|cell| cell.settings.len()).unwrap_or_default();
        for place in 0..settings {
            let values = rows.iter().map(|row| &self.cells[row.cell as usize].settings[place].1);
            columns.push(parameter(&self.cells[0].settings[place].0, values));
        }
        let counts: [Count; 10] = [
            ("started", "", |sample| sample.started),
            ("completed", "", |sample| sample.completed),
            ("failed-attempts", "", |sample| sample.failed_attempts),
            ("broadcasts", "", |sample| sample.broadcasts),
            ("failovers", "", |sample| sample.failovers),
            ("messages", "", |sample| sample.messages),
            ("bytes", "B", |sample| sample.bytes),
            ("lost", "", |sample| sample.lost),
            ("events", "", |sample| sample.events),
            ("violations", "", |sample| sample.violations),
        ];
        columns.extend(counts.map(|(name, unit, of)| whole(name, unit, &|row| of(&row.sample))));
        columns.extend([quantile("latency-p50", 0.5), quantile("latency-p90", 0.9), quantile("latency-p99", 0.99)]);
        columns.push(whole("virtual-time", "ms", &|row| row.virtual_ms));
        columns.push(texts("latency", &|row| row.sample.latency.to_string()));
        columns.push(texts("trace", &|row| row.trace.clone()));
        Table { columns, rows: rows.len() }
    }

    /// One row for each combination and measure, with its interval.
    #[must_use]
    pub fn cell_table(&self, rows: &[Row]) -> Table {
        let results = self.results(rows);
        let all: Vec<_> =
            results.iter().flat_map(|cell| cell.measures.iter().map(move |entry| (cell, entry))).collect();
        let names = self.cells.first().map(|cell| cell.settings.as_slice()).unwrap_or_default();
        let mut columns: Vec<Column> =
            names.iter().map(|(name, _)| parameter(name, all.iter().map(|(cell, _)| &cell.parameters[name]))).collect();
        let number = |name: &str, of: &dyn Fn(usize) -> Option<f64>| Column {
            name: name.to_owned(),
            unit: "",
            values: Values::Number((0..all.len()).map(of).collect()),
        };
        let texts = |name: &str, of: &dyn Fn(usize) -> String| Column {
            name: name.to_owned(),
            unit: "",
            values: Values::Text((0..all.len()).map(of).collect()),
        };
        columns.push(texts("measure", &|row| all[row].1.0.name().to_owned()));
        columns.push(texts("unit", &|row| all[row].1.0.unit().to_owned()));
        columns.push(number("value", &|row| Some(all[row].1.1.value)));
        columns.push(number("low", &|row| all[row].1.1.low));
        columns.push(number("high", &|row| all[row].1.1.high));
        let seeds = all.iter().map(|(cell, _)| cell.seeds).collect();
        columns.push(Column { name: "seeds".to_owned(), unit: "", values: Values::Whole(seeds) });
        Table { columns, rows: all.len() }
    }

    /// What belongs to the table beside its columns: the plan, the scenario, the code, the seeds, and the units.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, String)> {
        let units: Vec<Json> = self.table(&[]).columns.iter().map(|column| json!([column.name, column.unit])).collect();
        // Of what varies the units are known where there is a row.
        let first = |place: usize| units::number(&self.cells[0].settings[place].1).map_or("", |(_, unit)| unit);
        let varied = self.cells.first().map(|cell| cell.settings.len()).unwrap_or_default();
        let varied: Vec<Json> =
            (0..varied).map(|place| json!([self.cells[0].settings[place].0, first(place)])).collect();
        let units: serde_json::Map<String, Json> = units
            .into_iter()
            .chain(varied)
            .map(|pair| (pair[0].as_str().unwrap_or_default().to_owned(), pair[1].clone()))
            .collect();
        let scenario = self.cells.first().and_then(|cell| cell.scenario.as_ref()).map(|(_, text)| text.clone());
        [
            ("nelumbo.plan", self.plan.to_toml()),
            ("nelumbo.scenario", scenario.unwrap_or_else(|| self.plan.scenario.clone())),
            ("nelumbo.commit", self.commit.clone()),
            ("nelumbo.seeds", self.plan.seeds.to_string()),
            ("nelumbo.units", Json::Object(units).to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

impl Table {
    /// The table as CSV (RFC 4180, with line feeds).
    #[must_use]
    pub fn csv(&self) -> String {
        let quoted = |text: &str| match text.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.to_owned(),
        };
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        let mut csv = names.join(",") + "\n";
        for row in 0..self.rows {
            for (place, column) in self.columns.iter().enumerate() {
                if place > 0 {
                    csv.push(',');
                }
                match &column.values {
                    Values::Text(values) => csv.push_str(&quoted(&values[row])),
                    Values::Whole(values) => csv.push_str(&values[row].to_string()),
                    Values::Number(values) => {
                        csv.push_str(&values[row].map_or_else(String::new, |number| number.to_string()))
                    }
                }
            }
            csv.push('\n');
        }
        csv
    }

    /// The table as Parquet, with this beside it.
    ///
    /// # Errors
    /// When the columns cannot be written.
    #[cfg(feature = "parquet")]
    pub fn parquet(&self, metadata: &[(String, String)]) -> std::io::Result<Vec<u8>> {
        use std::sync::Arc;

        use parquet::basic::Compression;
        use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
        use parquet::errors::ParquetError;
        use parquet::file::metadata::KeyValue;
        use parquet::file::properties::WriterProperties;
        use parquet::file::writer::SerializedFileWriter;
        use parquet::schema::parser::parse_message_type;

        let kind = |column: &Column| match column.values {
            Values::Text(_) => format!("required binary {} (string);", column.name),
            Values::Whole(_) => format!("required int64 {} (integer(64, false));", column.name),
            Values::Number(_) => format!("optional double {};", column.name),
        };
        let kinds: Vec<String> = self.columns.iter().map(kind).collect();
        let write = || -> Result<Vec<u8>, ParquetError> {
            let schema = parse_message_type(&format!("message runs {{ {} }}", kinds.join(" "))).map(Arc::new)?;
            let pairs = metadata.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone())).collect();
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_key_value_metadata(Some(pairs))
                .build();
            let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
            let mut group = writer.next_row_group()?;
            for column in &self.columns {
                let mut own = group.next_column()?.expect("the schema has as many columns");
                match &column.values {
                    Values::Text(values) => {
                        let values: Vec<ByteArray> = values.iter().map(|text| text.as_str().into()).collect();
                        own.typed::<ByteArrayType>().write_batch(&values, None, None)?;
                    }
                    Values::Whole(values) => {
                        let values: Vec<i64> = values.iter().map(|number| number.cast_signed()).collect();
                        own.typed::<Int64Type>().write_batch(&values, None, None)?;
                    }
                    Values::Number(values) => {
                        let levels: Vec<i16> = values.iter().map(|number| i16::from(number.is_some())).collect();
                        let values: Vec<f64> = values.iter().flatten().copied().collect();
                        own.typed::<DoubleType>().write_batch(&values, Some(&levels), None)?;
                    }
                }
                own.close()?;
            }
            group.close()?;
            writer.into_inner()
        };
        write().map_err(std::io::Error::other)
    }
}
