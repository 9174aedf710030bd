//! How a participant gets out before it is bound, and who is to blame for that.
//!
//! Owns the ends without a transaction. Invariant: whoever is bound does not get out here, but by the chain.

use std::collections::BTreeSet;

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::PublicKey;

use super::{Effect, Opened, Pool, Signing, talk};
use crate::content::{Content, Reason};

impl Pool {
    /// W10: the time for a step is over, and nothing binds this node yet.
    pub(super) fn give_up(&mut self, now: Wall, effects: &mut Vec<Effect>) {
        let terms = &self.book.terms;
        if self.book.is_committed() {
            return;
        }
        if now >= terms.signed_until() {
            let (reason, blamed) = self.missing(now);
            self.abort(reason, blamed, effects);
        } else if self.book.roster.is_none()
            && self.candidate.is_none()
            && !self.signing.contains(&Signing::Roster)
            && now >= terms.chosen_until()
        {
            self.abort(Reason::TooFew, BTreeSet::new(), effects);
        }
    }

    /// Who has kept this node waiting: whose destination is missing; then who is silent, of those whose group has not
    /// signed.
    fn missing(&self, now: Wall) -> (Reason, BTreeSet<PublicKey>) {
        let Some(roster) = &self.book.roster else { return (Reason::TooFew, BTreeSet::new()) };
        let key = |place: usize| roster.registrations[place].key;
        let own = self.book.own.key;
        let Some(plan) = &self.plan else {
            let lacking = (0..).zip(&self.book.destinations).filter(|(_, destination)| destination.is_none());
            return (Reason::TimeOver, lacking.map(|(place, _)| key(place)).collect());
        };
        let groups = plan.groups().iter().zip(&self.book.groups).filter(|(_, signatures)| signatures.is_none());
        let members = groups.flat_map(|(group, _)| group.signers.iter().map(|place| key(*place)));
        let is_silent =
            |key: &PublicKey| *key != own && self.heard.get(key).is_none_or(|heard| now.since(*heard) >= talk::SILENCE);
        (Reason::TimeOver, members.filter(is_silent).collect())
    }

    /// W11: out, before anything was bound: the coin is as free as before.
    pub(super) fn abort(&mut self, reason: Reason, blamed: BTreeSet<PublicKey>, effects: &mut Vec<Effect>) {
        if self.book.aborted.is_some() || self.book.is_committed() {
            return;
        }
        self.book.aborted = Some(reason);
        self.book.blamed.extend(blamed);
        let to: BTreeSet<PublicKey> = match &self.book.roster {
            Some(roster) => roster.registrations.iter().map(|each| each.key).collect(),
            None if self.book.is_creator() => self.book.registered.iter().map(|each| each.key).collect(),
            None => [self.book.terms.creator].into(),
        };
        let others = to.into_iter().filter(|key| *key != self.book.own.key);
        effects.extend(others.map(|key| Effect::Send(key, Content::PoolAbort(reason))));
        effects.extend(self.announced.drain(..).map(|(session, _)| Effect::Refuse(session)));
        let own = if let Opened::Yes(session) = self.opened { Some(session) } else { None };
        effects.extend(self.joined.iter().copied().chain(own).map(Effect::Refuse));
    }

    /// W12: its person wants to leave. Once this node is bound, that is to take its coin back before it is spent.
    pub(super) fn leave(&mut self, effects: &mut Vec<Effect>) {
        if self.book.is_committed() {
            self.book.is_cancelling |= self.can_leave();
        } else {
            self.abort(Reason::Left, BTreeSet::new(), effects);
        }
    }

    /// W25: its person wants the deposit back. What the delay allows does not have to wait for a settlement.
    pub(super) fn reclaim(&mut self, effects: &mut Vec<Effect>) {
        if self.blocks_left() == Some(0) {
            self.wants_back = true;
            self.take_back(Signing::Reclaim, effects);
        }
    }
}
