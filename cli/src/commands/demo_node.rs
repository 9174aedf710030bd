//! `nelumbo demo-node`: one node of a demonstration with `--processes`. Not for people.

use clap::Args;

use crate::commands::one_thread;
use crate::demo;
use crate::failure::{Answer, Failure};

/// Runs one node of a demonstration; orders come on standard input, reports go to standard output
#[derive(Args, Debug)]
pub(crate) struct DemoNode {}

impl DemoNode {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        // One thread: a node waits most of the time, and each thread costs memory.
        one_thread()?.block_on(demo::serve());
        Ok(Answer::Yes)
    }
}
