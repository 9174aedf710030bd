//! Where a pool stands, in words and numbers.
//!
//! Owns the phases. Invariant: the phase is read off the record and the last look at the chain, and decides nothing.

use std::collections::BTreeSet;
use std::fmt;

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::PublicKey;
use serde::{Deserialize, Serialize};

use super::ledger::Chain;
use super::{Effect, Pool};
use crate::content::{Place, Reason};
use crate::terms::{PoolId, Terms};

/// How far a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// People register, and the creator says who takes part.
    Registration,
    /// Destinations are shown.
    Reveal,
    /// The settlement is signed, and then the setups.
    Settlement,
    /// This node is bound: everything of its own is signed.
    Setup,
    /// Setups are broadcast.
    SetupConfirm,
    /// The settlement is broadcast.
    SettlementConfirm,
    /// The settlement is confirmed.
    Complete,
    /// The coin is taken back before it was deposited.
    Cancelling,
    /// The deposit is taken back.
    Reclaiming,
    /// Coin or deposit are back.
    Refunded,
    /// Nothing was bound, and nothing will be.
    Aborted,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Registration,
        Self::Reveal,
        Self::Settlement,
        Self::Setup,
        Self::SetupConfirm,
        Self::SettlementConfirm,
        Self::Complete,
        Self::Cancelling,
        Self::Reclaiming,
        Self::Refunded,
        Self::Aborted,
    ];

    /// The steps of a pool that goes well, before it is complete: in each somebody can vanish.
    pub const STEPS: [Self; 6] =
        [Self::Registration, Self::Reveal, Self::Settlement, Self::Setup, Self::SetupConfirm, Self::SettlementConfirm];

    /// Its name in commands and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Reveal => "reveal",
            Self::Settlement => "settlement",
            Self::Setup => "setup",
            Self::SetupConfirm => "setup-confirm",
            Self::SettlementConfirm => "settlement-confirm",
            Self::Complete => "complete",
            Self::Cancelling => "cancelling",
            Self::Reclaiming => "reclaiming",
            Self::Refunded => "refunded",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a pool stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The pool.
    pub pool: PoolId,
    /// What it is.
    pub terms: Terms,
    /// The coin that this node has registered.
    pub coin: Place,
    /// How far it is.
    pub phase: Phase,
    /// How many take part, once that is fixed.
    pub participants: Option<u8>,
    /// How many of those whose turn it is have done their part: registered, shown a destination, signed, deposited.
    pub done: u8,
    /// Until when the step may take; then what [`Self::otherwise`] says happens.
    pub until: Option<Wall>,
    /// Why it was left.
    pub reason: Option<Reason>,
    /// Who has kept it from its end, as far as this node saw.
    pub blamed: BTreeSet<PublicKey>,
    /// The coins of those.
    pub spoiled: BTreeSet<Place>,
    /// The settlement's id, once it is known.
    pub settlement: Option<[u8; 32]>,
    /// After how many more blocks this node takes its deposit back alone, if there is one.
    pub blocks_left: Option<u32>,
}

impl Status {
    /// What happens when nobody does anything any more.
    #[must_use]
    pub fn otherwise(&self) -> String {
        match self.phase {
            Phase::Registration | Phase::Reveal | Phase::Settlement => {
                "the pool ends, and the coin stays where it is".into()
            }
            Phase::Setup => "this node takes its coin back, for a fee".into(),
            Phase::SetupConfirm | Phase::Reclaiming => match self.blocks_left {
                Some(0) => "this node takes its deposit back now".into(),
                Some(blocks) => format!("this node takes its deposit back alone, in {blocks} blocks"),
                None => "this node takes its coin back, for a fee".into(),
            },
            Phase::SettlementConfirm => "the settlement is mined".into(),
            Phase::Cancelling => "the coin comes back with the next block".into(),
            Phase::Complete | Phase::Refunded | Phase::Aborted => "nothing: it is over".into(),
        }
    }
}

impl Pool {
    /// How far the pool is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let book = &self.book;
        if book.aborted.is_some() {
            return Phase::Aborted;
        }
        if book.roster.is_none() {
            return Phase::Registration;
        }
        let (Some(plan), Some(own)) = (&self.plan, book.place()) else { return Phase::Reveal };
        if !book.is_committed() {
            return Phase::Settlement;
        }
        let Some(view) = &self.view else { return Phase::Setup };
        let confirmations = u32::from(book.terms.confirmations);
        let is_deep = |count: u32| count >= confirmations;
        let chain = Chain { plan, view, coins: book.coins() };
        if let Some(count) = view.confirmations(&plan.settlement_txid()) {
            return if is_deep(count) { Phase::Complete } else { Phase::SettlementConfirm };
        }
        let back = |spender: Option<_>, going| {
            let count = spender.and_then(|txid| view.confirmations(&txid));
            if count.is_some_and(is_deep) { Phase::Refunded } else { going }
        };
        if chain.has_setup(own) {
            let spender = view.spender(&plan.deposit(own));
            let is_late = chain.has_deposit(own, book.terms.delay.into());
            return match spender {
                Some(_) => back(spender, Phase::Reclaiming),
                None if is_late => Phase::Reclaiming,
                None => Phase::SetupConfirm,
            };
        }
        let spender = view.spender(&chain.coins[own]);
        if spender.is_some() || book.is_cancelling {
            return back(spender, Phase::Cancelling);
        }
        if book.is_started { Phase::SetupConfirm } else { Phase::Setup }
    }

    /// Where the pool stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let book = &self.book;
        let phase = self.phase();
        let count = |here: usize| u8::try_from(here).unwrap_or(u8::MAX);
        let done = match phase {
            Phase::Registration => count(book.registered.len()),
            Phase::Reveal => count(book.destinations.iter().filter(|item| item.is_some()).count()),
            Phase::Settlement => count(book.groups.iter().filter(|item| item.is_some()).count()),
            Phase::Setup => count(book.setups.iter().filter(|item| item.is_some()).count()),
            _ => self.deposited(),
        };
        let until = match phase {
            Phase::Registration if book.is_creator() || self.is_acknowledged => Some(book.terms.chosen_until()),
            Phase::Registration => Some(book.terms.registered_until()),
            Phase::Reveal | Phase::Settlement => Some(book.terms.signed_until()),
            Phase::Setup => Some(book.terms.cancelled_from()),
            _ => None,
        };
        let roster = book.roster.iter().flat_map(|roster| &roster.registrations);
        let spoiled = roster.filter(|each| book.blamed.contains(&each.key)).map(|each| each.coin);
        Status {
            pool: self.id(),
            terms: book.terms.clone(),
            coin: book.own.coin,
            phase,
            participants: book.roster.as_ref().map(|roster| count(roster.registrations.len())),
            done,
            until,
            reason: book.aborted,
            blamed: book.blamed.clone(),
            spoiled: spoiled.collect(),
            settlement: self.plan.as_ref().map(|plan| *plan.settlement_txid().as_bytes()),
            blocks_left: self.blocks_left(),
        }
    }

    fn deposited(&self) -> u8 {
        let (Some(plan), Some(view)) = (&self.plan, &self.view) else { return 0 };
        let chain = Chain { plan, view, coins: self.book.coins() };
        let here = (0..plan.participants()).filter(|place| chain.has_setup(*place)).count();
        u8::try_from(here).unwrap_or(u8::MAX)
    }

    pub(super) fn blocks_left(&self) -> Option<u32> {
        let (plan, view, own) = (self.plan.as_ref()?, self.view.as_ref()?, self.book.place()?);
        let count = view.confirmations(&plan.setup_txid(own))?;
        let is_unspent = view.spender(&plan.deposit(own)).is_none();
        is_unspent.then(|| u32::from(self.book.terms.delay).saturating_sub(count))
    }

    /// Tells what has changed.
    pub(super) fn tell(&mut self, effects: &mut Vec<Effect>) {
        let status = self.status();
        if self.is_over {
            effects.push(Effect::Over(Box::new(status)));
        } else if self.told.as_ref() != Some(&status) {
            effects.push(Effect::Told(Box::new(status.clone())));
            self.told = Some(status);
        }
    }
}
