//! From nonces to a signature: the two rounds of one attempt.
//!
//! Invariants: a phase is left in the same step in which its condition holds, whatever brought it about; the record
//! that the nonce is spent precedes the request for the partial signature.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::attempt::{Culprits, Partial};
use super::machine::Session;
use crate::api::{AttemptCause, AttemptFailure, Event, ItemFault, Phase, Refusal};
use crate::base::Bytes;
use crate::crypto::{PublicNonce, Signature, Verifier};
use crate::effect::Context;
use crate::evidence::{Evidence, Exhibit, MAX_EVIDENCE};

/// What a signer can do again and again in one attempt, and is told of once: one proof is enough, and whoever repeats
/// it fills nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Misdeed {
    TwoNonces,
    TwoPartials,
    FalseSignature,
}

impl<V: Verifier> Session<V> {
    pub(super) fn on_nonces(
        &mut self,
        context: &mut Context<'_, V>,
        from: usize,
        attempt: u32,
        nonces: Vec<PublicNonce>,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        if self.phase == Phase::Waiting && attempt <= self.number {
            // Its approval counts; that this attempt has lapsed here it does not know.
            self.tell_of_waiting(context, from..from + 1);
            return Ok(());
        }
        self.check_attempt(attempt)?;
        if attempt > self.number {
            // S9: another signer has begun a new attempt; the old one is dead, and so is this node's nonce in it.
            if self.phase == Phase::Announced {
                self.reset_attempt(context, attempt);
            } else {
                let cause = AttemptCause::Followed(self.definition.keys[from]);
                self.next_attempt(context, attempt, cause);
            }
        }
        let stored = self.live_mut().attempt.store_nonces(from, nonces, bytes.clone());
        if stored == Err(Refusal::Equivocation) {
            let first = self.live_ref().attempt.nonce_exhibit(from);
            self.accuse_of_equivocation(context, (from, Misdeed::TwoNonces), first, bytes);
        }
        if stored? {
            let signer = self.definition.keys[from];
            context.event(Event::SignerJoined { session: self.id, attempt, signer });
            self.arrived(context);
        }
        Ok(())
    }

    pub(super) fn on_partial(
        &mut self,
        context: &mut Context<'_, V>,
        from: usize,
        attempt: u32,
        partial: Partial,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        self.check_attempt(attempt)?;
        if attempt > self.number {
            // It is over all nonces, and this node has shown none there.
            return Err(Refusal::Attempt);
        }
        let stored = self.live_mut().attempt.store_partial(from, partial, bytes.clone());
        if stored == Err(Refusal::Equivocation) {
            let first = self.live_ref().attempt.partial_exhibit(from);
            self.accuse_of_equivocation(context, (from, Misdeed::TwoPartials), first, bytes);
        }
        if stored? {
            self.arrived(context);
        }
        Ok(())
    }

    /// Whether a contribution to this attempt can still count.
    fn check_attempt(&self, attempt: u32) -> Result<(), Refusal> {
        let is_over = matches!(self.phase, Phase::Failed | Phase::Waiting);
        if attempt < self.number || (attempt == self.number && is_over) {
            return Err(Refusal::StaleAttempt);
        }
        Ok(())
    }

    fn accuse_of_equivocation(
        &mut self,
        context: &mut Context<'_, V>,
        (signer, misdeed): (usize, Misdeed),
        first: Option<Exhibit>,
        second: Bytes,
    ) {
        if let Some(first) = first
            && self.accused.insert((signer, self.number, misdeed))
        {
            let (definition, second) = ((*self.definition).clone(), Exhibit(second));
            self.accuse(context, signer, Evidence::Equivocation { definition, first, second });
        }
    }

    fn accuse(&self, context: &mut Context<'_, V>, signer: usize, evidence: Evidence) {
        assert!(evidence.length() <= MAX_EVIDENCE, "the limits of a session bound what proves anything of it");
        let (session, signer) = (self.id, self.definition.keys[signer]);
        context.event(Event::SignerMisbehaved { session, signer, evidence: Box::new(evidence) });
    }

    /// S10: another signer has the signatures. They are believed because they verify, not because of who says so.
    pub(super) fn on_finalized(
        &mut self,
        context: &mut Context<'_, V>,
        from: usize,
        signatures: Vec<Signature>,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        let entropy = context.batch_entropy.bytes32();
        if let Some(item) = self.invalid_item(context.verifier, &signatures, &entropy) {
            if self.accused.insert((from, self.number, Misdeed::FalseSignature)) {
                let (definition, item) = ((*self.definition).clone(), index(item));
                let finalized = Exhibit(bytes);
                self.accuse(context, from, Evidence::InvalidSignature { definition, item, finalized });
            }
            return Err(Refusal::FinalSignature);
        }
        self.complete(context, signatures);
        Ok(())
    }

    fn arrived(&mut self, context: &mut Context<'_, V>) {
        if matches!(self.phase, Phase::NonceExchange | Phase::PartialSignatureExchange) {
            self.progress(context);
        }
        self.advance(context);
    }

    /// Leaves every phase whose condition holds.
    pub(super) fn advance(&mut self, context: &mut Context<'_, V>) {
        if self.phase == Phase::NonceExchange && self.live_ref().attempt.has_all_nonces() {
            self.sign(context);
        }
        if self.phase == Phase::PartialSignatureExchange && self.live_ref().attempt.has_all_partials() {
            self.combine(context);
        }
    }

    /// S11: all nonces are here. This node's are spent from here on, whatever happens; its signer is asked for the
    /// partial signatures once that is durable.
    fn sign(&mut self, context: &mut Context<'_, V>) {
        let live = self.live.as_mut().expect("a session that exchanges nonces is live");
        if let Err((item, error)) = live.attempt.open_rounds(context.verifier, &live.items, &self.definition) {
            let nonces = live.attempt.nonce_exhibits();
            let failure = match error.culprit() {
                Some(signer) => {
                    let (definition, item) = ((*self.definition).clone(), index(item));
                    self.accuse(context, signer, Evidence::InvalidNonce { definition, item, nonces });
                    AttemptFailure::InvalidNonce(ItemFault { signer: self.definition.keys[signer], item })
                }
                None => AttemptFailure::NoncesCancel,
            };
            return self.fail(context, failure);
        }
        self.spent = true;
        self.record(context);
        self.enter(context, Phase::PartialSignatureExchange);
        self.ask_signer(context);
    }

    /// S12: all partial signatures are here: add them up, and look for a culprit only when that fails.
    fn combine(&mut self, context: &mut Context<'_, V>) {
        let live = self.live_ref();
        let entropy = context.batch_entropy.bytes32();
        let wrong = match live.attempt.combine(context.verifier, &live.items, &entropy) {
            Ok(signatures) => return self.complete(context, signatures),
            Err(wrong) => wrong,
        };
        let Culprits { invalid, other_nonces } = live.attempt.culprits(context.verifier, &live.items, &wrong, &entropy);
        let mut faults = Vec::new();
        for (signer, item) in invalid {
            let (attempt, item) = (&self.live_ref().attempt, index(item));
            if let Some(partial) = attempt.partial_exhibit(signer) {
                let (definition, nonces) = ((*self.definition).clone(), attempt.nonce_exhibits());
                self.accuse(context, signer, Evidence::InvalidPartial { definition, item, nonces, partial });
            }
            faults.push(ItemFault { signer: self.definition.keys[signer], item });
        }
        let failure = if faults.is_empty() {
            let keys = other_nonces.into_iter().map(|index| self.definition.keys[index]).collect();
            AttemptFailure::SplitView(keys)
        } else {
            AttemptFailure::InvalidPartial(faults)
        };
        self.fail(context, failure);
    }
}

/// An item's index as messages and events name it.
fn index(item: usize) -> u32 {
    u32::try_from(item).expect("a definition bounds its items")
}
