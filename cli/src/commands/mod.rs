//! The commands, one file each.
//!
//! Owns nothing but the way from a parsed command to its code. Each file holds the arguments of its command, the help
//! with them, and `run`. `main` drives it.

pub(crate) mod abort;
pub(crate) mod ban;
pub(crate) mod close;
pub(crate) mod completions;
pub(crate) mod confirm;
pub(crate) mod create;
pub(crate) mod demo;
pub(crate) mod demo_node;
pub(crate) mod elect;
pub(crate) mod events;
pub(crate) mod join;
pub(crate) mod key;
mod key_aggregate;
mod key_generate;
mod key_show;
pub(crate) mod node;
mod node_init;
mod node_run;
pub(crate) mod pardon;
pub(crate) mod peers;
pub(crate) mod retry;
pub(crate) mod sessions;
mod sessions_show;
mod sessions_wait;
pub(crate) mod sign;
pub(crate) mod simulate;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod verify;
pub(crate) mod verify_blame;

use crate::arguments::{Arguments, Command};
use crate::failure::{Answer, Failure};

/// Does what was asked.
pub(crate) fn run(Arguments { command, verbose }: Arguments) -> Result<Answer, Failure> {
    match command {
        Command::Demo(demo) => demo.run(verbose),
        Command::DemoNode(node) => node.run(),
        Command::Key(key::Key::Generate(generate)) => generate.run(),
        Command::Key(key::Key::Show(show)) => show.run(),
        Command::Key(key::Key::Aggregate(aggregate)) => aggregate.run(),
        Command::Sign(sign) => sign.run(),
        Command::Verify(verify) => verify.run(),
        Command::VerifyBlame(verify_blame) => verify_blame.run(),
        Command::Elect(elect) => elect.run(),
        Command::Simulate(simulate) => simulate.run(),
        Command::Node(node) => node.run(),
        Command::Stop(stop) => stop.run(),
        Command::Stats(stats) => stats.run(),
        Command::Peers(peers) => peers.run(),
        Command::Ban(ban) => ban.run(),
        Command::Pardon(pardon) => pardon.run(),
        Command::Create(create) => create.run(),
        Command::Sessions(sessions) => sessions.run(),
        Command::Join(join) => join.run(),
        Command::Abort(abort) => abort.run(),
        Command::Retry(retry) => retry.run(),
        Command::Confirm(confirm) => confirm.run(),
        Command::Close(close) => close.run(),
        Command::Events(events) => events.run(),
        Command::Completions(completions) => completions.run(),
    }
}
