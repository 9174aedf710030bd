//! `nelumbo retry`: another attempt at a session.

use clap::Args;

use super::about::AboutSession;
use crate::control::Request;
use crate::failure::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  nelumbo retry ID
  nelumbo sessions --phase failed --json | jq -r '.sessions[].session' | xargs -n1 nelumbo retry";

/// Makes a new attempt at a session whose last one failed
///
/// A node makes three by itself. `nelumbo sessions` shows which sessions failed, and `nelumbo events` why.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Retry {
    #[command(flatten)]
    about: AboutSession,
}

impl Retry {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.about.tell(|session| Request::Retry { session })
    }
}
