//! What follows from the chain, once this node is bound to a pool.
//!
//! Owns the way out at every step. Invariants: all that is decided follows from one look at the chain, so that a
//! reorganisation undoes a decision by itself; whoever is bound has its coin, its deposit, or what the settlement pays
//! it, and goes on until that is buried.

use std::collections::BTreeSet;

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::crypto::lotus::OutPoint;

use super::{Effect, Pool, Signing};
use crate::chain::{Query, View};
use crate::content::{Place, Registration};
use crate::plan::{Alone, Plan, cancellation};
use crate::terms::{FINAL, GRACE};

impl Pool {
    /// What is asked of the chain: coins until the roster is fixed, then all that can happen to the pool.
    pub(super) fn query(&self) -> Query {
        let book = &self.book;
        let mut query = Query::default();
        let mut add_coins = |registrations: &[Registration]| {
            for registration in registrations {
                query.transactions.insert(registration.coin.txid);
                query.outputs.insert(registration.coin);
            }
        };
        match (&book.roster, &self.candidate) {
            (Some(roster), _) | (None, Some(roster)) => add_coins(&roster.registrations),
            (None, None) => add_coins(&book.registered),
        }
        if let (Some(plan), Some(own)) = (&self.plan, book.place()) {
            let setups = (0..plan.participants()).map(|place| *plan.setup_txid(place).as_bytes());
            let back = [*self.cancellation().txid().as_bytes(), *plan.reclaim(own).txid().as_bytes()];
            query.transactions.extend(setups.chain([*plan.settlement_txid().as_bytes()]).chain(back));
            query.outputs.extend((0..plan.participants()).map(|place| Place::from(plan.deposit(place))));
        }
        query
    }

    pub(super) fn cancellation(&self) -> Alone {
        cancellation(&self.book.terms, self.book.own.coin.into(), &self.book.own.key)
    }

    /// The rules of whoever is bound.
    pub(super) fn follow_chain(&mut self, now: Wall, effects: &mut Vec<Effect>) {
        let (Some(plan), Some(view), Some(own)) = (&self.plan, &self.view, self.book.place()) else { return };
        if !self.book.is_committed() {
            return;
        }
        let chain = Chain { plan, view, coins: self.book.coins() };
        // W19: others may have been faster, and this node's setup is theirs to broadcast.
        let is_any_seen = (0..plan.participants()).any(|place| chain.has_setup(place));
        self.book.is_started |= is_any_seen;
        // W20: what cannot be undone any more, whichever way the money went.
        let settled = view.confirmations(&plan.settlement_txid());
        let spent_by = view.spender(&chain.coins[own]).filter(|spender| *spender != plan.setup_txid(own));
        let went = spent_by.or_else(|| view.spender(&plan.deposit(own)));
        if went.and_then(|txid| view.confirmations(&txid)).is_some_and(|count| count >= FINAL) {
            self.is_over = true;
            return;
        }
        if settled.is_some() {
            return;
        }
        // W21: setups that are not there are broadcast again, while nobody takes its coin back for seeing none.
        let is_late = now >= self.book.terms.cancelled_from();
        let is_going = (is_any_seen || self.book.is_started && !is_late) && !self.book.is_cancelling;
        for (place, setup) in self.book.setups.iter().enumerate().filter(|_| is_going) {
            if let Some(signature) = setup.as_ref().filter(|_| chain.is_coin_free(place)) {
                effects.push(Effect::Broadcast(plan.signed_setup(place, signature)));
            }
        }
        // W22: all deposits are confirmed; the settlement is broadcast.
        let confirmations = u32::from(self.book.terms.confirmations);
        let is_possible = (0..plan.participants()).all(|place| chain.has_deposit(place, confirmations));
        if is_possible && !self.wants_back {
            let signatures = self.book.groups.iter().map(|group| group.as_deref().unwrap_or_default());
            effects.push(Effect::Broadcast(plan.signed_settlement(signatures)));
        }
        // W23: the delay is over; the deposit comes back, unless the settlement can still have it.
        let delay = u32::from(self.book.terms.delay);
        let wanted = if is_possible && !self.wants_back { delay + GRACE } else { delay };
        let is_reclaimed = chain.has_deposit(own, wanted);
        // W24: nobody has begun in time, or this setup does not get into a block; the coin comes back.
        let is_stuck = is_late && !is_any_seen || now >= self.book.terms.confirmed_until();
        let is_cancelled = chain.is_coin_free(own) && (is_stuck || self.book.is_cancelling);
        let cheats = self.double_spenders(&chain, now);
        if is_cancelled && !self.book.is_cancelling {
            let lacking = self.book.setups.iter().enumerate().filter(|(_, setup)| setup.is_none());
            let blamed: Vec<PublicKey> = lacking.map(|(place, _)| self.book.key(place)).collect();
            self.book.blamed.extend(blamed);
            self.book.is_cancelling = true;
        }
        let cheats: Vec<PublicKey> = cheats.into_iter().map(|place| self.book.key(place)).collect();
        let own_key = self.book.own.key;
        self.book.blamed.extend(cheats.into_iter().filter(|key| *key != own_key));
        if is_reclaimed {
            self.take_back(Signing::Reclaim, effects);
        } else if is_cancelled {
            self.take_back(Signing::Cancel, effects);
        }
    }

    /// Whose coins were spent otherwise although setups are there. Whoever has taken its coin back in time, because it
    /// saw none, has done as it should.
    fn double_spenders(&self, chain: &Chain<'_>, now: Wall) -> BTreeSet<usize> {
        let terms = &self.book.terms;
        let is_any_seen = (0..chain.coins.len()).any(|place| chain.has_setup(place));
        let is_spent = |place: &usize| {
            let coin = chain.coins[*place];
            let back = || cancellation(terms, coin, &self.book.key(*place)).txid();
            let is_setup = |spender| spender == chain.plan.setup_txid(*place);
            let is_fair = |spender| is_setup(spender) || now >= terms.cancelled_from() && spender == back();
            is_any_seen && chain.view.spender(&coin).is_some_and(|spender| !is_fair(spender))
        };
        (0..chain.coins.len()).filter(is_spent).collect()
    }

    /// Broadcasts what pays this node alone, or has it signed first.
    pub(super) fn take_back(&mut self, signing: Signing, effects: &mut Vec<Effect>) {
        let (Some(plan), Some(own), Some(view)) = (&self.plan, self.book.place(), &self.view) else { return };
        let replay_protection = view.replay_protection;
        let back = if signing == Signing::Reclaim { plan.reclaim(own) } else { self.cancellation() };
        match self.returns.get(&(signing, replay_protection)) {
            Some(signature) => effects.push(Effect::Broadcast(back.signed(signature))),
            None => {
                let single = back.single(&self.book.terms, replay_protection);
                self.ask(signing, |_| single, effects);
            }
        }
    }
}

/// A pool as the chain shows it.
pub(super) struct Chain<'a> {
    pub(super) plan: &'a Plan,
    pub(super) view: &'a View,
    pub(super) coins: Vec<OutPoint>,
}

impl Chain<'_> {
    pub(super) fn has_setup(&self, place: usize) -> bool {
        self.view.confirmations(&self.plan.setup_txid(place)).is_some()
    }

    fn is_coin_free(&self, place: usize) -> bool {
        !self.has_setup(place) && self.view.spender(&self.coins[place]).is_none()
    }

    /// Whether a deposit is confirmed so often and not spent.
    pub(super) fn has_deposit(&self, place: usize, confirmations: u32) -> bool {
        let count = self.view.confirmations(&self.plan.setup_txid(place));
        count.is_some_and(|count| count >= confirmations) && self.view.spender(&self.plan.deposit(place)).is_none()
    }
}
