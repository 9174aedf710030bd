//! The commands, one file each.
//!
//! Owns nothing but the way from a parsed command to its code. Each file holds the arguments of its command, the help
//! with them, and `run`. `main` drives it.

pub(crate) mod chain;
mod chain_call;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod demo_node;
pub(crate) mod elect;
pub(crate) mod key;
mod key_aggregate;
mod key_generate;
mod key_passphrase;
mod key_show;
pub(crate) mod manual;
#[cfg(unix)]
pub(crate) mod operator;
pub(crate) mod sign;
pub(crate) mod simulate;
pub(crate) mod sweep;
pub(crate) mod verify;
pub(crate) mod verify_blame;

use tokio::runtime::{Builder, Runtime};

use crate::arguments::{Arguments, Command};
use crate::failure::{Answer, Failure};

/// Does what was asked.
pub(crate) fn run(Arguments { command, verbose }: Arguments) -> Result<Answer, Failure> {
    match command {
        Command::Demo(demo) => demo.run(verbose),
        Command::DemoNode(node) => node.run(),
        #[cfg(unix)]
        Command::Operator(command) => command.run(),
        Command::Key(key::Key::Generate(generate)) => generate.run(),
        Command::Key(key::Key::Show(show)) => show.run(),
        Command::Key(key::Key::Passphrase(change)) => change.run(),
        Command::Key(key::Key::Aggregate(aggregate)) => aggregate.run(),
        Command::Sign(sign) => sign.run(),
        Command::Verify(verify) => verify.run(),
        Command::VerifyBlame(verify_blame) => verify_blame.run(),
        Command::Elect(elect) => elect.run(),
        Command::Chain(chain) => chain.run(),
        Command::Simulate(simulate) => simulate.run(),
        Command::Sweep(sweep) => sweep.run(),
        Command::Completions(completions) => completions.run(),
        Command::Manual(manual) => manual.run(),
    }
}

/// A runtime of one thread, for what waits most of the time.
pub(crate) fn one_thread() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::input(error, "free some memory or file handles"))
}
