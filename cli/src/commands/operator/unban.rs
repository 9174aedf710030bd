//! `nelumbo unban`: a peer is wanted again.

use clap::Args;

use super::about::AboutPeer;
use crate::control::Request;
use crate::failure::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  nelumbo unban 12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

/// Forgets what is held against a peer, and lets it connect again
///
/// Works for peers that were banned by hand, and for those that the node has graylisted or banned by itself.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Unban {
    #[command(flatten)]
    about: AboutPeer,
}

impl Unban {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.about.tell(|peer| Request::Unban { peer })
    }
}
