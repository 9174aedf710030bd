//! `nelumbo requests`: what others ask this node to sign.

use clap::Args;
use nelumbo_simulator::settings::Time;

use crate::control::{Request, Running, Sessions};
use crate::failure::{Answer, Failure};
use crate::{output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo requests
  nelumbo requests --signers 3 --left '10 min'
  nelumbo sessions show ID
  nelumbo approve ID";

/// Finds the requests that need this node's key and wait for its approval, also listed ones made while it was away
///
/// What signing each does is said in one line: who is paid what, and what is unusual. What its creator says about it is
/// the last column, and nobody has checked it. A node looks for requests by itself when it comes into the network and
/// every hour; this looks now, for at most five seconds.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Requests {
    /// Only those of so many signers
    #[arg(long, value_name = "N")]
    signers: Option<usize>,
    /// Only those that have so much time left, such as '10 min'
    #[arg(long, value_name = "TIME", value_parser = values::parsed::<Time>)]
    left: Option<Time>,
    #[command(flatten)]
    node: Running,
}

impl Requests {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let left_seconds = self.left.map(|Time(left)| left.as_secs());
        let request = Request::Requests { signers: self.signers, left_seconds };
        self.node.ask(&request, |Sessions { sessions }| {
            let rows: Vec<_> = sessions
                .iter()
                .map(|session| {
                    let joined = format!("{} of {}", session.joined_count, session.signer_count);
                    let signs = session.summary.as_ref().map_or_else(String::new, ToString::to_string);
                    let creator = session.creator.to_string();
                    [session.session.to_string(), joined, signs, creator, session.description.clone()]
                })
                .collect();
            output::columns(["SESSION", "JOINED", "SIGNS", "CREATOR", "IT IS SAID"], &rows)
        })?;
        Ok(Answer::Yes)
    }
}
