//! `nelumbo node`: a long-running node with a data folder.

use clap::{Args, Subcommand};

use super::node_init::Init;
use super::node_run::Run;
use crate::failure::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  nelumbo node init --network testnet --bootstrap /dns4/node.example.org/tcp/4001/p2p/12D3KooW...
  nelumbo node
  nelumbo node --json --passphrase-file /run/secrets/nelumbo
  nelumbo peers
  nelumbo stop

Connections: the preset in config.toml decides how many are kept and allowed, `connections` there overrides it, and the
environment variables P2P_MIN_CONNECTIONS and P2P_MAX_CONNECTIONS override both.

Exit status: 0 when it was stopped, 1 when it could not go on, 2 when it could not start as given, 4 when the passphrase
is wrong.";

/// Runs a node, which takes part in sessions until it is stopped
///
/// Everything that belongs to the node is in its data folder, which is made by `nelumbo node init`: the key, sealed
/// with a passphrase; its identity on the network; config.toml; the journal of its sessions; the socket over which the
/// other commands talk to it. Without a command, the node runs.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Node {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand, Debug)]
enum Action {
    Init(Init),
    Run(Run),
}

impl Node {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Some(Action::Init(init)) => init.run(),
            Some(Action::Run(run)) => run.run(),
            None => self.run.run(),
        }
    }
}
