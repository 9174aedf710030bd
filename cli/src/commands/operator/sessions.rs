//! `nelumbo sessions`: the sessions that the running node knows.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use nelumbo_core::api::Phase;

use super::sessions_show::Show;
use super::sessions_wait::Wait;
use crate::control::{Request, Running, Sessions as Known};
use crate::failure::{Answer, Failure};
use crate::output;

const PHASES: [&str; 8] = [
    "announced",
    "nonce-exchange",
    "partial-signature-exchange",
    "waiting",
    "failed",
    "complete",
    "aborted",
    "expired",
];

const EXAMPLES: &str = "\
Phases:
  announced                   another signer asks; approve it with `nelumbo join`, or refuse it with `nelumbo abort`
  nonce-exchange              waits for others to join
  partial-signature-exchange  waits for the others' partial signatures
  waiting                     waits for all signers to approve and to be there; goes on by itself
  failed                      the last attempt failed; `nelumbo retry` makes another one
  complete                    the signature is there
  aborted, expired            nothing follows

Examples:
  nelumbo sessions
  nelumbo sessions --phase announced --json
  nelumbo sessions show ID
  nelumbo sessions wait ID --timeout 60";

/// Lists the sessions that the node knows, shows one, or waits for its signature
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Sessions {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    node: Running,
    /// Only sessions in this phase; may be given several times
    #[arg(long, value_name = "PHASE", value_parser = phase())]
    phase: Vec<Phase>,
}

#[derive(Subcommand, Debug)]
enum Action {
    Show(Show),
    Wait(Wait),
}

impl Sessions {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Some(Action::Show(show)) => return show.run(),
            Some(Action::Wait(wait)) => return wait.run(),
            None => {}
        }
        self.node.ask(&Request::Sessions { phases: self.phase }, |Known { sessions }| {
            let rows: Vec<_> = sessions
                .iter()
                .map(|session| {
                    let joined = match session.phase {
                        Phase::Aborted | Phase::Expired => "-".to_owned(),
                        _ => format!("{} of {}", session.joined_count, session.signer_count),
                    };
                    let phase = output::name(&session.phase);
                    [session.session.to_string(), phase, session.attempt.to_string(), joined, session.suite.to_string()]
                })
                .collect();
            output::columns(["SESSION", "PHASE", "ATTEMPT", "JOINED", "SUITE"], &rows)
        })?;
        Ok(Answer::Yes)
    }
}

fn phase() -> impl TypedValueParser<Value = Phase> {
    PossibleValuesParser::new(PHASES)
        .map(|name| serde_json::from_value(name.into()).expect("the core knows every name that is possible"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_its_name() {
        for name in PHASES {
            let phase: Phase = serde_json::from_value(name.into()).expect("a phase");
            assert_eq!(output::name(&phase), name);
        }
    }
}
