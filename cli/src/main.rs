//! The command line of nelumbo, for people and for scripts.
//!
//! Reading order: [`arguments`] for what can be asked, `commands` for what is done, one file each, and `demo` for the
//! largest of them; `node` for a node that runs for long, `control` for how commands talk to it and `api` for how
//! programs and pages do; `values` for how
//! texts become keys and messages, [`failure`] and `output` for what the caller gets to see. Results go to standard
//! output and nothing else does; a failure is one line on standard error.

mod address;
#[cfg(unix)]
mod api;
mod arguments;
mod commands;
#[cfg(unix)]
mod contacts;
#[cfg(unix)]
mod control;
mod core_dump;
mod demo;
mod failure;
mod group;
#[cfg(unix)]
mod holdings;
#[cfg(unix)]
mod identity;
mod interruption;
mod key_file;
#[cfg(unix)]
mod link;
mod logging;
#[cfg(unix)]
mod node;
mod output;
mod passphrase;
#[cfg(unix)]
mod payment;
mod private_file;
mod psbt;
mod sealing;
#[cfg(unix)]
mod service;
mod spending;
#[cfg(unix)]
mod summary;
mod values;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use failure::Failure;

fn main() -> ExitCode {
    let result = match Arguments::try_parse() {
        Ok(arguments) => {
            logging::start(arguments.verbose);
            core_dump::forbid();
            commands::run(arguments)
        }
        Err(answer) if failure::is_help(&answer) => return output::help(&answer),
        Err(error) => Err(Failure::from(error)),
    };
    output::conclude(result)
}
