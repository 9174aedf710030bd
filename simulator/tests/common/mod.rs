//! What the scripts share: a session among all nodes, everyone approving it, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nelumbo_core::api::{Command, Event};
use nelumbo_core::crypto::{KeyAggContext, PublicKey, Signature, Suite, Tweak, schnorr};
use nelumbo_core::election::Method;
use nelumbo_core::wire::SessionId;
use nelumbo_simulator::{Seen, Simulation};

pub(crate) const MESSAGE: [u8; 32] = [7; 32];

pub(crate) fn create(simulation: &mut Simulation, node: usize, signers: usize, suite: Suite) {
    let keys = (0..signers).map(|index| simulation.key(index)).collect();
    let command =
        Command::Create { suite, keys, tweak: Tweak::None, message: MESSAGE.to_vec(), election: Method::Lexicographic };
    simulation.command(node, command).expect("the session is sound");
}

/// What came of it: at which node the session completed when, with which signature.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) completed: BTreeMap<usize, (Duration, Signature)>,
    pub(crate) sessions: BTreeSet<SessionId>,
    pub(crate) seen: Vec<Seen>,
}

/// Runs until this many nodes have the signature, or `stop` says so; everyone approves everything at once.
pub(crate) fn run(
    simulation: &mut Simulation,
    signers: usize,
    limit: Duration,
    mut stop: impl FnMut(&Simulation) -> bool,
) -> Outcome {
    let mut outcome = Outcome::default();
    let end = simulation.now() + limit;
    while outcome.completed.len() < signers
        && let Some(seen) = simulation.next_event(end.saturating_sub(simulation.now()), &mut stop)
    {
        match &seen.event {
            Event::SessionAnnounced { session, .. } => {
                simulation.command(seen.node, Command::Join(*session)).expect("an announced session can be joined");
            }
            Event::SessionCompleted { session, signature, .. } => {
                outcome.sessions.insert(*session);
                outcome.completed.insert(seen.node, (seen.at, *signature));
            }
            _ => {}
        }
        outcome.seen.push(seen);
    }
    outcome
}

pub(crate) fn check(simulation: &Simulation, signers: usize, suite: Suite, outcome: &Outcome) {
    assert_eq!(outcome.completed.len(), signers, "{:#?}", outcome.seen);
    assert_eq!(outcome.sessions.len(), 1);
    assert_eq!(simulation.violations(), []);
    let mut keys: Vec<PublicKey> = (0..signers).map(|index| simulation.key(index)).collect();
    keys.sort_unstable();
    let aggregate = KeyAggContext::new(suite, &keys).unwrap().aggregate_key();
    let signatures: BTreeSet<Signature> = outcome.completed.values().map(|(_, signature)| *signature).collect();
    assert_eq!(signatures.len(), 1, "all signers have the same signature");
    for signature in &signatures {
        assert!(schnorr::verify(suite, &aggregate, &MESSAGE, signature));
    }
}
