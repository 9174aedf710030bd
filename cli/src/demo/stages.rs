//! The parts of a demonstration, each of which waits for something from every node.
//!
//! Owns what has come and what is missing. Invariant: a stage that is not complete can name what it waits for. `course`
//! drives them.

use std::collections::BTreeSet;
use std::time::Instant;

use nelumbo_core::crypto::{PublicKey, Signature};
use nelumbo_core::wire::SessionId;

use super::messages::Report;

/// A part of a demonstration.
pub(super) trait Stage {
    /// Takes a report; those that it does not wait for mean nothing to it.
    fn take(&mut self, node: usize, at: Instant, report: Report);
    /// How far it is: of `nodes` nodes.
    fn done(&self) -> usize;
    /// What it waits for, for people. None when it is complete.
    fn missing(&self) -> Option<String>;
}

/// All nodes listen.
pub(super) struct Starting {
    pub(super) nodes: Vec<Option<(PublicKey, String)>>,
    /// Only the first one is awaited yet.
    pub(super) first_only: bool,
}

impl Stage for Starting {
    fn take(&mut self, node: usize, _: Instant, report: Report) {
        if let Report::Started { key, address } = report {
            self.nodes[node].get_or_insert((key, address));
        }
    }

    fn done(&self) -> usize {
        self.nodes.iter().flatten().count()
    }

    fn missing(&self) -> Option<String> {
        let awaited = if self.first_only { &self.nodes[..1] } else { &self.nodes };
        named(awaited, Option::is_none).map(|nodes| format!("{nodes} did not start to listen"))
    }
}

/// Every node is connected to every other.
pub(super) struct Meeting {
    pub(super) met: Vec<usize>,
}

impl Stage for Meeting {
    fn take(&mut self, node: usize, _: Instant, report: Report) {
        if let Report::Met { others } = report {
            self.met[node] = others;
        }
    }

    fn done(&self) -> usize {
        self.met.iter().filter(|met| **met + 1 == self.met.len()).count()
    }

    fn missing(&self) -> Option<String> {
        let others = self.met.len() - 1;
        let nodes = named(&self.met, |met| *met < others)?;
        let fewest = self.met.iter().min().copied().unwrap_or(0);
        Some(format!("{nodes} did not find every other node (one of them found {fewest} of {others})"))
    }
}

/// Every node has the signature of one session.
pub(super) struct Signing {
    pub(super) exchanged: Vec<Option<Instant>>,
    pub(super) signed: Vec<Option<Instant>>,
    pub(super) signatures: BTreeSet<(SessionId, Vec<Signature>)>,
}

impl Stage for Signing {
    fn take(&mut self, node: usize, at: Instant, report: Report) {
        match report {
            Report::NoncesExchanged { .. } => {
                self.exchanged[node].get_or_insert(at);
            }
            Report::Signed { session, signatures } => {
                // Whoever was handed the signature has not seen the nonces.
                self.exchanged[node].get_or_insert(at);
                self.signed[node].get_or_insert(at);
                self.signatures.insert((session, signatures));
            }
            _ => {}
        }
    }

    fn done(&self) -> usize {
        self.signed.iter().flatten().count()
    }

    fn missing(&self) -> Option<String> {
        let unsigned = named(&self.signed, Option::is_none)?;
        Some(match named(&self.exchanged, Option::is_none) {
            Some(nodes) => format!("{nodes} did not get the nonces of all signers"),
            None => format!("{unsigned} did not get the signature"),
        })
    }
}

/// The nodes for which something holds, as people count them: "node 3", "nodes 2, 3 and 7". None if there are none.
pub(super) fn named<T>(nodes: &[T], holds: impl Fn(&T) -> bool) -> Option<String> {
    let numbers =
        nodes.iter().zip(1..).filter(|(node, _)| holds(node)).map(|(_, number): (_, usize)| number.to_string());
    let mut numbers: Vec<String> = numbers.collect();
    let last = numbers.pop()?;
    Some(if numbers.is_empty() { format!("node {last}") } else { format!("nodes {} and {last}", numbers.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let now = Instant::now();
        let mut meeting = Meeting { met: vec![0; 3] };
        for (node, others) in [(0, 2), (1, 1)] {
            meeting.take(node, now, Report::Met { others });
        }
        assert_eq!(meeting.done(), 1);
        let missing = meeting.missing().expect("two are lonely");
        assert_eq!(missing, "nodes 2 and 3 did not find every other node (one of them found 0 of 2)");
        for node in [1, 2] {
            meeting.take(node, now, Report::Met { others: 2 });
        }
        assert_eq!((meeting.done(), meeting.missing()), (3, None));
        assert_eq!(named(&[true, false, true, true], |it| *it).as_deref(), Some("nodes 1, 3 and 4"));
    }

    #[test]
    fn a_session_is_over_when_everyone_has_the_signatures() {
        let (now, session, signatures) =
            (Instant::now(), SessionId::from_bytes([2; 32]), vec![Signature::from_bytes([3; 64])]);
        let mut signing = Signing { exchanged: vec![None; 2], signed: vec![None; 2], signatures: BTreeSet::new() };
        assert_eq!(signing.missing().as_deref(), Some("nodes 1 and 2 did not get the nonces of all signers"));
        signing.take(0, now, Report::NoncesExchanged { session });
        signing.take(1, now, Report::Signed { session, signatures: signatures.clone() });
        assert_eq!((signing.done(), signing.missing().as_deref()), (1, Some("node 1 did not get the signature")));
        signing.take(0, now, Report::Signed { session, signatures });
        assert_eq!((signing.done(), signing.missing(), signing.signatures.len()), (2, None, 1));
    }
}
