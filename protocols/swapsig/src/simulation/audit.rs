//! What must be true of a pool, whatever happened in it.
//!
//! Owns the invariants. It looks at the ledger, and at nothing that a pool says of itself but whether it is over.

use std::collections::BTreeMap;

use nelumbo_chain::ScriptPayload;
use nelumbo_core::crypto::{PublicKey, Suite};

use super::{Behaviour, Person, World};
use crate::content::coin_script;
use crate::{Phase, Pool};

/// Where somebody's money is in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Its output was paid: the pool is complete.
    Completed,
    /// Its coin was never spent.
    Untouched,
    /// Coin or deposit came back, less fees.
    Refunded,
    /// There is less than there has to be.
    Lost,
}

/// What became of the people of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many honest people there are of each fate.
    pub fates: BTreeMap<Fate, usize>,
}

impl World {
    fn unspent(&self, script: &[u8]) -> Vec<u64> {
        let payloads = ScriptPayload::of(script);
        payloads.iter().flat_map(|payload| self.ledger.unspent(payload)).map(|each| each.output.value).collect()
    }

    /// What became of somebody's money.
    #[must_use]
    pub fn fate(&self, person: &Person) -> Fate {
        let (paid, own) = (self.unspent(&person.destination.script), self.unspent(&coin_script(&person.key)));
        let total: u64 = own.iter().sum();
        match paid[..] {
            [value] if value == self.terms.denomination && own.is_empty() => Fate::Completed,
            [] if self.spender(person.coin).is_none() && total == self.terms.coin() => Fate::Untouched,
            [] if total + self.terms.max_fees() >= self.terms.coin() => Fate::Refunded,
            _ => Fate::Lost,
        }
    }

    /// Whether everybody has what it has to have, at the end.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub fn audit(&self) -> Result<Tally, String> {
        let mut tally = Tally::default();
        for (number, person) in self.people.iter().enumerate() {
            if !person.behaviour.is_honest() || person.is_gone {
                continue;
            }
            let fate = self.fate(person);
            *tally.fates.entry(fate).or_default() += 1;
            if fate == Fate::Lost {
                return Err(format!("person {number} has lost money: {:?}", person.phases));
            }
            if !person.is_over {
                return Err(format!("the pool of person {number} never ends: {:?}", person.phases));
            }
            let said = person.status.as_ref().map(|status| status.phase);
            let fits = match fate {
                Fate::Completed => said == Some(Phase::Complete),
                Fate::Untouched => said == Some(Phase::Aborted),
                _ => said == Some(Phase::Refunded),
            };
            if !fits {
                return Err(format!("person {number} is {fate:?} and is told {said:?}"));
            }
        }
        self.check_settlement()?;
        self.check_blame()?;
        // What was signed before is void afterwards, and is sent all the same.
        if let Some(broken) = self.broken.first().filter(|_| self.setting.replay_protection.is_none()) {
            return Err(format!("the ledger was sent what it cannot take: {broken}"));
        }
        Ok(tally)
    }

    /// Where nothing is lost and nobody lies, honest people name no honest one: that takes words of one to another
    /// which nobody else has heard, or a network that keeps some of them apart.
    fn check_blame(&self) -> Result<(), String> {
        let setting = &self.setting;
        let is_clear = setting.loss == 0 && setting.crashes.is_empty() && setting.alone.is_none();
        let has_liars = self.people.iter().any(|person| matches!(person.behaviour, Behaviour::Lies));
        if !is_clear || has_liars || !setting.vanish.is_empty() {
            return Ok(());
        }
        let honest = |person: &&Person| person.behaviour.is_honest();
        let keys: Vec<PublicKey> = self.people.iter().filter(honest).map(|person| person.key).collect();
        let blamed = self.people.iter().filter(honest).filter_map(|person| person.status.as_ref());
        match blamed.flat_map(|status| &status.blamed).find(|key| keys.contains(key)) {
            Some(key) => Err(format!("{key} is honest and was blamed")),
            None => Ok(()),
        }
    }

    /// All or nothing: where one destination is paid, each is, once, by one transaction.
    fn check_settlement(&self) -> Result<(), String> {
        let paid: Vec<usize> =
            self.people.iter().map(|person| self.unspent(&person.destination.script).len()).collect();
        let participants = self.people.iter().filter_map(|person| person.status.as_ref()?.participants).max();
        let count: usize = paid.iter().sum();
        if paid.iter().any(|count| *count > 1) || count > 0 && Some(count) != participants.map(usize::from) {
            return Err(format!("outputs of {participants:?} participants were paid so often: {paid:?}"));
        }
        Ok(())
    }

    /// What must be true at every moment: a coin is spent by its setup only when its owner has the whole settlement
    /// signed, over crashes too.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub fn check(&mut self) -> Result<(), String> {
        for number in 0..self.people.len() {
            let person = &self.people[number];
            let (Some(spender), Some(disk)) = (self.spender(person.coin), &person.disk) else { continue };
            let txid = Some(spender.txid(Suite::Lotus));
            if !person.behaviour.is_honest() || person.checked == txid {
                continue;
            }
            let mut pool = Pool::restored(disk).ok_or("a record cannot be read")?;
            if pool.own_setup() == txid && !pool.has_settlement() {
                return Err(format!("person {number} has deposited without a settlement"));
            }
            if spender.outputs.len() != 1 {
                return Err(format!("the coin of person {number} was spent by something else"));
            }
            self.people[number].checked = txid;
        }
        Ok(())
    }
}
