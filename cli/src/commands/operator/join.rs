//! `nelumbo join`: the approval of a session.

use clap::Args;

use super::about::AboutSession;
use crate::control::Request;
use crate::failure::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  nelumbo sessions show ID && nelumbo approve ID
  nelumbo join lotus://musig2/join/ID";

/// Takes part in a session that another signer has announced
///
/// This approves what is signed: look at it first, with `nelumbo sessions show`.
#[derive(Args, Debug)]
#[command(visible_alias = "approve", after_help = EXAMPLES)]
pub(crate) struct Join {
    #[command(flatten)]
    about: AboutSession,
}

impl Join {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.about.tell(|session| Request::Join { session })
    }
}
