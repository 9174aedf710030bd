//! `nelumbo ban`: a peer that is not wanted.

use clap::Args;

use super::about::AboutPeer;
use crate::control::Request;
use crate::failure::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  nelumbo ban 12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

/// Closes every connection to a peer and allows none, until it is unbanned
///
/// The node remembers it until it is started again.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ban {
    #[command(flatten)]
    about: AboutPeer,
}

impl Ban {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.about.tell(|peer| Request::Ban { peer })
    }
}
