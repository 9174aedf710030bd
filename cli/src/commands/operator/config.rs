//! `nelumbo config`: what a node is set to.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::failure::{Answer, Failure};
use crate::node::{self, DataFolder};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo config check && kill -HUP $(cat ~/.local/share/nelumbo/lock)
  nelumbo config check --file new.toml --json
  nelumbo config show --json | jq -r '.\"limits.sessions\"'";

/// Checks and shows what config.toml says
///
/// A running node reads it again at SIGHUP: what is approved without asking, the log and the election count at once,
/// everything else after a restart. A file that is wrong changes nothing.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Checks the file: every name, every value, and that they go together
    ///
    /// Exit status 0 when a node could live with it, 1 when it could not.
    #[command(after_help = EXAMPLES)]
    Check(What),
    /// Prints every setting with its value, set or not
    #[command(after_help = EXAMPLES)]
    Show(What),
}

#[derive(Args, Debug)]
struct What {
    #[command(flatten)]
    data: DataFolder,
    /// Takes this file instead of config.toml in the data folder
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Prints one JSON object: for `check` the fields `file`, `sound` and `problem`, for `show` one for each setting
    #[arg(long)]
    json: bool,
}

impl What {
    fn path(&self) -> Result<PathBuf, Failure> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => Ok(self.data.open()?.config()),
        }
    }
}

impl Config {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Check(what) => {
                let path = what.path()?;
                let read = node::Config::read(&path).map(drop);
                if what.json {
                    let problem = read.as_ref().err().map(ToString::to_string);
                    output::json(&json!({ "file": path, "sound": read.is_ok(), "problem": problem }))?;
                    return Ok(if read.is_ok() { Answer::Yes } else { Answer::No });
                }
                read.map_err(Failure::into_answer)?;
            }
            Action::Show(what) => {
                let config = node::Config::read(&what.path()?)?;
                if what.json {
                    output::json(&config.flat())?;
                } else {
                    let shown = |value: &serde_json::Value| match value {
                        serde_json::Value::String(text) => text.clone(),
                        value => value.to_string(),
                    };
                    let rows: Vec<[String; 2]> =
                        config.flat().iter().map(|(name, value)| [name.clone(), shown(value)]).collect();
                    output::columns(["SETTING", "VALUE"], &rows)?;
                }
            }
        }
        Ok(Answer::Yes)
    }
}
