//! `nelumbo simulate why`: the step from which a schedule was bound to fail.

use std::path::PathBuf;

use clap::Args;
use nelumbo_simulator::schedule::Schedule;
use nelumbo_simulator::why::why;

use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo simulate swarm --seeds 0..1000 --save failing.toml
  nelumbo simulate why failing.toml";

/// Shows how likely a failing schedule was to fail at each moment, and from which step on it was bound to
///
/// The schedule runs again up to a moment; from there on no further fault begins, and the network and the nodes'
/// applications make other random choices, many times over. The share of the runs that fail in the same way is the
/// probability of failure at that moment, shown with its 95 % interval. There are at most 4,000 runs, on all cores.
/// Exit status 1 when the schedule fails, 0 when it does not.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Why {
    /// The schedule, as --save has written it
    file: PathBuf,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

impl Why {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let fault =
            |error| Failure::input(format_args!("{}: {error}", self.file.display()), "ask about what --save wrote");
        let schedule = Schedule::from_toml(&super::read(&self.file)?).map_err(fault)?;
        // A failure may be a panic, in each of the runs.
        std::panic::set_hook(Box::new(|_| {}));
        let found = why(&schedule, std::thread::available_parallelism().map_or(1, usize::from));
        let _silent = std::panic::take_hook();
        if self.json {
            output::json(&found)?;
        } else if let Some(found) = &found {
            output::line(found)?;
        } else {
            output::line("no checker fires: this schedule does not fail")?;
        }
        Ok(if found.is_some() { Answer::No } else { Answer::Yes })
    }
}
