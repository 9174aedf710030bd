//! `nelumbo simulate diff`: the first event in which two traces differ.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use nelumbo_simulator::trace::diff::{Difference, diff};
use serde::Serialize;

use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo simulate lossy --seed 1 --trace one.jsonl
  nelumbo simulate lossy --seed 2 --trace other.jsonl
  nelumbo simulate diff one.jsonl other.jsonl";

/// Shows the first event in which two traces differ
///
/// Both are traces in JSON lines, as `--trace FILE.jsonl` writes them. Exit status 1 when they differ.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Diff {
    /// The one trace
    left: PathBuf,
    /// The other
    right: PathBuf,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    same: bool,
    row: Option<u64>,
    before: &'a [String],
    left: Option<&'a str>,
    right: Option<&'a str>,
}

fn open(file: &Path) -> Result<BufReader<File>, Failure> {
    File::open(file).map(BufReader::new).map_err(|error| unreadable(file, error))
}

fn unreadable(file: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::input(format_args!("{} cannot be read: {error}", file.display()), "give two traces in JSON lines")
}

impl Diff {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        for file in [&self.left, &self.right] {
            if file.extension().is_none_or(|ending| ending != "jsonl") {
                return Err(unreadable(file, "it is no trace in JSON lines (.jsonl)"));
            }
        }
        let found = diff(open(&self.left)?, open(&self.right)?).map_err(|error| unreadable(&self.left, error))?;
        if self.json {
            let told = found.as_ref();
            output::json(&Told {
                same: told.is_none(),
                row: told.map(|difference| difference.row),
                before: told.map_or(&[], |difference| &difference.before),
                left: told.and_then(|difference| difference.left.as_deref()),
                right: told.and_then(|difference| difference.right.as_deref()),
            })?;
        } else {
            match &found {
                None => output::line("the traces are the same")?,
                Some(difference) => self.tell(difference)?,
            }
        }
        Ok(if found.is_none() { Answer::Yes } else { Answer::No })
    }

    fn tell(&self, Difference { row, before, left, right }: &Difference) -> Result<(), Failure> {
        output::line(format_args!("the traces differ from row {row} on"))?;
        before.iter().try_for_each(|line| output::line(format_args!("  {line}")))?;
        for (sign, file, line) in [("<", &self.left, left), (">", &self.right, right)] {
            match line {
                Some(line) => output::line(format_args!("{sign} {line}"))?,
                None => output::line(format_args!("{sign} {} has ended", file.display()))?,
            }
        }
        Ok(())
    }
}
