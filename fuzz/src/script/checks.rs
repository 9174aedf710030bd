//! Checks what must hold between honest nodes, whatever the others do.
//!
//! Invariants: a signature that completes a session is valid, durable and, among honest signers alone, the only one; no
//! honest node is blamed for anything that it did not do. Driven by the script's world with every event.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::{AttemptFailure, Command, Event};
use nelumbo_core::crypto::{PublicKey, Signature, Verifier};
use nelumbo_core::node::Node;
use nelumbo_core::wire::{PeerId, SessionId};

use super::super::disk::Disk;

pub(super) struct Checks {
    honest: BTreeMap<PublicKey, PeerId>,
    signatures: BTreeMap<SessionId, Vec<Signature>>,
    aborted: BTreeSet<(SessionId, PublicKey)>,
    confirmed: BTreeSet<(SessionId, PublicKey)>,
    pub(super) completed: usize,
    pub(super) failed: usize,
}

impl Checks {
    pub(super) fn new(honest: BTreeMap<PublicKey, PeerId>) -> Self {
        Self {
            honest,
            signatures: BTreeMap::new(),
            aborted: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            completed: 0,
            failed: 0,
        }
    }

    /// Notes a command that an honest node's embedder has given.
    pub(super) fn on_command(&mut self, key: PublicKey, command: &Command, is_done: bool) {
        match command {
            Command::Abort(session, _) | Command::Close(session) if is_done => {
                self.aborted.insert((*session, key));
            }
            Command::ConfirmBroadcast(session) if is_done => {
                self.confirmed.insert((*session, key));
            }
            _ => {}
        }
    }

    pub(super) fn event<V: Verifier + Default>(&mut self, node: &Node<V>, disk: &Disk, event: &Event) {
        match event {
            Event::SessionCompleted { session, signatures, .. } => self.on_completed(node, disk, session, signatures),
            Event::AttemptFailed { session, failure, .. } => self.on_failed(node, session, failure),
            Event::SessionAborted { session, by, .. } => {
                let is_theirs = !self.honest.contains_key(by) || self.aborted.contains(&(*session, *by));
                assert!(is_theirs, "an honest signer is said to have aborted a session and has not");
            }
            Event::BroadcastClaimed { session, by } => {
                let is_theirs = !self.honest.contains_key(by) || self.confirmed.contains(&(*session, *by));
                assert!(is_theirs, "an honest signer is said to have confirmed a broadcast and has not");
            }
            Event::PeerGraylisted { peer, refusal, .. } | Event::ShouldBan { peer, refusal } => {
                let is_honest = self.honest.values().any(|honest| honest == peer);
                assert!(!is_honest, "an honest peer is punished for {refusal:?}");
            }
            _ => {}
        }
    }

    fn on_completed<V: Verifier + Default>(
        &mut self,
        node: &Node<V>,
        disk: &Disk,
        session: &SessionId,
        signatures: &[Signature],
    ) {
        self.completed += 1;
        for signature in signatures {
            assert!(disk.holds(session, signature.as_bytes()), "a signature was told before it was durable");
        }
        let Some(view) = node.view().session(session) else { return };
        let definition = &view.definition;
        let verifier = V::default();
        let messages = definition.messages().expect("a completed session has messages");
        assert_eq!(signatures.len(), messages.len(), "a session is signed as a whole");
        for ((item, message), signature) in definition.items.iter().zip(&messages).zip(signatures) {
            let keys = verifier.aggregate_keys(definition.suite, &definition.keys, &item.tweak);
            let keys = keys.unwrap_or_else(|_| panic!("a completed session has keys that aggregate"));
            assert!(verifier.verify_final(&keys, message, signature), "a signature does not verify");
        }
        if self.all_honest(&definition.keys) {
            let first = self.signatures.entry(*session).or_insert_with(|| signatures.to_vec());
            assert_eq!(first, signatures, "honest signers finished one session with two signatures");
        }
    }

    fn on_failed<V: Verifier>(&mut self, node: &Node<V>, session: &SessionId, failure: &AttemptFailure) {
        self.failed += 1;
        let is_honest = |key: &PublicKey| self.honest.contains_key(key);
        match failure {
            AttemptFailure::InvalidPartial(faults) => {
                let is_honest = faults.iter().any(|fault| is_honest(&fault.signer));
                assert!(!is_honest, "an honest signer is named for an invalid partial signature");
            }
            AttemptFailure::InvalidNonce(fault) => {
                assert!(!is_honest(&fault.signer), "an honest signer is named for an invalid nonce");
            }
            AttemptFailure::SplitView(_) | AttemptFailure::NoncesCancel => {
                let view = node.view().session(session);
                let all_honest = view.is_some_and(|view| self.all_honest(&view.definition.keys));
                assert!(!all_honest, "{failure:?} among honest signers alone");
            }
            _ => {}
        }
    }

    fn all_honest(&self, keys: &[PublicKey]) -> bool {
        keys.iter().all(|key| self.honest.contains_key(key))
    }
}
