//! The folder of a sweep: a line for each run that has ended, and the tables of all when they are there.
//!
//! Owns the files. Invariants: a line is written when its run has ended, and a torn one, of a process that was killed,
//! is as if it was not there; tables replace what was there as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::{Row, Shard, Sweep};

/// The folder of a sweep, and of which part of it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    shard: Shard,
    journal: File,
}

/// The name of the files of a part, without what says what they are.
fn stem(shard: Shard) -> String {
    match shard {
        Shard::WHOLE => "runs".to_owned(),
        Shard { index, count } => format!("runs-{index}-of-{count}"),
    }
}

impl Folder {
    /// Opens a folder, which is made if there is none.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn open(path: &Path, shard: Shard) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let file = path.join(stem(shard)).with_extension("jsonl");
        let mut journal = OpenOptions::new().create(true).append(true).read(true).open(&file)?;
        // What was torn ends here, so that what comes next is a line of its own.
        if fs::read(&file)?.last().is_some_and(|last| *last != b'\n') {
            journal.write_all(b"\n")?;
        }
        Ok(Self { path: path.to_owned(), shard, journal })
    }

    /// The runs of this sweep that have ended before: those of this part, and for the whole those of every part.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn ended(&self, sweep: &Sweep) -> io::Result<Vec<Row>> {
        let is_whole = self.shard == Shard::WHOLE;
        let own = [stem(self.shard), stem(Shard::WHOLE)];
        let mut rows = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(stem) = name.strip_suffix(".jsonl").filter(|stem| stem.starts_with("runs")) else { continue };
            if !is_whole && own.iter().all(|own| own != stem) {
                continue;
            }
            for line in BufReader::new(File::open(&path)?).split(b'\n') {
                if let Ok(row) = serde_json::from_slice::<Row>(&line?)
                    && sweep.has(&row)
                {
                    rows.insert((row.cell, row.seed), row);
                }
            }
        }
        Ok(rows.into_values().collect())
    }

    /// Keeps a run that has ended.
    pub(super) fn keep(&mut self, row: &Row) -> io::Result<()> {
        let mut line = serde_json::to_vec(row).map_err(io::Error::other)?;
        line.push(b'\n');
        self.journal.write_all(&line)
    }

    /// Writes the tables of these runs, and for the whole sweep what they come to, with the plot. Returns the names of
    /// the files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, sweep: &Sweep, rows: &[Row]) -> io::Result<Vec<String>> {
        let (table, stem) = (sweep.table(rows), stem(self.shard));
        let mut files = vec![(format!("{stem}.csv"), table.csv().into_bytes())];
        #[cfg(feature = "parquet")]
        files.push((format!("{stem}.parquet"), table.parquet(&sweep.metadata())?));
        if self.shard == Shard::WHOLE {
            files.push(("cells.csv".to_owned(), sweep.cell_table(rows).csv().into_bytes()));
            files.push(("plot.svg".to_owned(), sweep.plot(rows).into_bytes()));
            let metadata: BTreeMap<_, _> = sweep.metadata().into_iter().collect();
            let text = serde_json::to_string_pretty(&metadata).map_err(io::Error::other)?;
            files.push(("sweep.json".to_owned(), text.into_bytes()));
        }
        for (name, content) in &files {
            // As a whole: first beside it, then in its place.
            let beside = self.path.join(format!(".{name}.{}", std::process::id()));
            fs::write(&beside, content)?;
            fs::rename(&beside, self.path.join(name))?;
        }
        Ok(files.into_iter().map(|(name, _)| name).collect())
    }
}
