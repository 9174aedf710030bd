//! `nelumbo confirm`: the broadcast of a signature is done.

use clap::Args;

use super::about::AboutSession;
use crate::control::Request;
use crate::failure::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  nelumbo confirm ID";

/// Says that the signature of a session has been broadcast
///
/// The other signers are told, so that nobody else takes a turn.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Confirm {
    #[command(flatten)]
    about: AboutSession,
}

impl Confirm {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.about.tell(|session| Request::Confirm { session })
    }
}
