//! `nelumbo abort`: the end of a session without a signature.

use clap::Args;

use super::about::AboutSession;
use crate::control::Request;
use crate::failure::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  nelumbo abort ID";

/// Refuses a session, or leaves one that has no signature yet
///
/// All signers are needed, and all of them are told. When this node had signed before, the others may have the signature
/// already: the answer says so (`may_complete` with --json), and a signature that appears is taken and told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Abort {
    #[command(flatten)]
    about: AboutSession,
}

impl Abort {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.about.end(|session| Request::Abort { session })
    }
}
