//! `nelumbo close`: a session is forgotten.

use clap::Args;

use super::about::AboutSession;
use crate::control::Request;
use crate::failure::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  nelumbo close ID
  nelumbo sessions --phase complete --json | jq -r '.sessions[].session' | xargs -n1 nelumbo close";

/// Forgets a session
///
/// One that has no signature yet is aborted first; when this node had signed before, a signature may still appear, and
/// then the session comes back with it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Close {
    #[command(flatten)]
    about: AboutSession,
}

impl Close {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.about.end(|session| Request::Close { session })
    }
}
