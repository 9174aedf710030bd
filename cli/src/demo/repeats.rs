//! The part of a demonstration in which session follows session, several of them at once.
//!
//! Owns which sessions are under way. Invariant: as many as planned are, until all have begun; and each is over when
//! every node has the one signature, which is verified here. `course` drives it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use nelumbo_core::crypto::{KeyAggContext, Signature};
use nelumbo_core::wire::SessionId;

use super::course::{Course, are_valid};
use super::crew::Arrival;
use super::messages::{Order, Report};
use crate::failure::Failure;

/// A session that is under way.
#[derive(Debug, Default)]
struct Underway {
    /// The first message that it signs, once the node that creates it has said so: the others may be faster.
    message: Option<String>,
    signed: BTreeSet<usize>,
    signatures: BTreeSet<Vec<Signature>>,
}

impl Course<'_> {
    /// Has messages 1 to `repeat` signed, `parallel` of them at once. Returns how long each took, and when the last was
    /// signed by everyone.
    pub(super) async fn repeat(
        &mut self,
        keys: &KeyAggContext,
        repeat: usize,
        parallel: usize,
    ) -> Result<(Vec<Duration>, Instant), Failure> {
        let (mut times, mut last) = (Vec::new(), Instant::now());
        // When each was asked for, by its first message, and everything that it signs.
        let mut commanded: BTreeMap<String, (Instant, Vec<Vec<u8>>)> = BTreeMap::new();
        let mut underway: BTreeMap<SessionId, Underway> = BTreeMap::new();
        let mut next = 1;
        while times.len() + 1 < repeat {
            while next < repeat && commanded.len() < parallel {
                let messages = self.plan.messages(next);
                let hex: Vec<String> = messages.iter().map(hex::encode).collect();
                commanded.insert(hex[0].clone(), (Instant::now(), messages));
                let order = Order::Sign { suite: keys.suite(), keys: keys.keys().to_vec(), messages: hex };
                self.crew.order(super::course::FIRST, order).await?;
                next += 1;
            }
            let until = tokio::time::Instant::now() + self.plan.patience;
            let Arrival { node, at, report } = self.arrival(until, "no node got another signature").await?;
            let session = match report {
                Report::Created { session, message } => {
                    underway.entry(session).or_default().message = Some(message);
                    session
                }
                Report::Signed { session, signatures } => {
                    let one = underway.entry(session).or_default();
                    one.signed.insert(node);
                    one.signatures.insert(signatures);
                    session
                }
                _ => continue,
            };
            let is_over = |one: &Underway| one.message.is_some() && one.signed.len() == self.plan.signers;
            if let Some(Underway { message: Some(message), signatures, .. }) =
                underway.get(&session).is_some_and(is_over).then(|| underway.remove(&session)).flatten()
            {
                let (began, messages) = commanded.remove(&message).unwrap_or((at, Vec::new()));
                check(keys, &messages, &signatures)?;
                times.push(at.saturating_duration_since(began));
                last = at;
                self.progress.at(times.len() + 1);
            }
        }
        Ok((times, last))
    }
}

/// That all nodes have one signature of each of these messages, and that they are valid.
fn check(keys: &KeyAggContext, messages: &[Vec<u8>], signatures: &BTreeSet<Vec<Signature>>) -> Result<(), Failure> {
    let are_valid = |signatures: &Vec<Signature>| are_valid(keys, messages, signatures);
    let problem = match (signatures.len(), signatures.iter().all(are_valid)) {
        (1, true) => return Ok(()),
        (1, false) => "the signatures do not verify",
        _ => "the nodes have different signatures of one message",
    };
    Err(Failure::unmet(problem, "this is a bug: report it"))
}
