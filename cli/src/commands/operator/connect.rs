//! `nelumbo connect`: a connection to a peer, now.

use clap::Args;

use crate::control::{Connected, Request, Running};
use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo connect /ip4/192.0.2.7/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN
  nelumbo connect /dns4/node.example.org/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN --json";

/// Connects the node to a peer, and prints the other end
///
/// Tries once. A connection that nobody uses is closed after a while; a node that is always wanted belongs into
/// `bootstrap` of the configuration.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Connect {
    /// Where the peer is, ending with /p2p/ and its id
    #[arg(value_name = "ADDRESS")]
    address: String,
    #[command(flatten)]
    node: Running,
}

impl Connect {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Connect { address: self.address }, |Connected { address }| output::line(address))?;
        Ok(Answer::Yes)
    }
}
