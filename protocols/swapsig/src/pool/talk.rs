//! What participants say to each other, and that everybody gets everything.
//!
//! Owns what is sent and what is taken. Invariant: an item is taken when it proves itself, whoever passes it on; who
//! lacks one gets it from anybody who has it, however many messages are lost.

use std::collections::BTreeSet;
use std::time::Duration;

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::PublicKey;

use super::{Effect, MAX_REGISTERED, Pool, number};
use crate::content::{Content, Have, Items, Reason, Registration, Roster};

/// Who has not been heard for so long at the end is silent.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

impl Pool {
    /// The other participants, as far as they are fixed.
    fn peers(&self) -> Vec<PublicKey> {
        let own = self.book.own.key;
        let roster = self.book.roster.iter().flat_map(|roster| &roster.registrations);
        roster.map(|registration| registration.key).filter(|key| *key != own).collect()
    }

    /// Says something to all other participants.
    pub(super) fn spread(&self, items: &Items, effects: &mut Vec<Effect>) {
        effects.extend(self.peers().into_iter().map(|key| Effect::Send(key, Content::Items(items.clone()))));
    }

    /// W13: asks for what is lacking, and asks the chain.
    pub(super) fn talk(&mut self, now: Wall, effects: &mut Vec<Effect>) {
        effects.push(Effect::Look(self.query()));
        let own = self.book.own.key;
        if self.book.roster.is_none() {
            let creator = self.book.terms.creator;
            match &self.book.registration {
                Some(registration) if creator != own && self.candidate.is_none() => {
                    let registration = registration.clone();
                    let has_said = self.is_acknowledged;
                    let ask = if has_said { Content::Have(self.book.have()) } else { Content::PoolJoin(registration) };
                    effects.push(Effect::Send(creator, ask));
                }
                _ => {}
            }
            return;
        }
        if now >= self.book.terms.confirmed_until() {
            return;
        }
        let (have, is_complete) = (self.book.have(), self.book.is_complete());
        for key in self.peers() {
            if !is_complete || self.others.get(&key) != Some(&have) {
                effects.push(Effect::Send(key, Content::Have(have)));
            }
        }
    }

    /// A signer has said something.
    pub(super) fn hear(&mut self, now: Wall, from: PublicKey, content: Content, effects: &mut Vec<Effect>) {
        let is_participant = self.peers().contains(&from);
        let is_registered = self.book.registered.iter().any(|each| each.key == from);
        let is_creator = from == self.book.terms.creator;
        if is_participant || is_registered || is_creator {
            self.heard.insert(from, now);
        }
        match content {
            Content::PoolJoin(registration) => self.hear_join(now, from, registration, effects),
            Content::RegistrationAck if is_creator => self.is_acknowledged = true,
            Content::Have(have) if is_participant || is_registered => self.hear_have(from, have, effects),
            // A creator may keep the roster from somebody. Everybody else who has it passes it on.
            Content::Have(have) if self.book.roster.is_none() && have.roster.is_some() => {
                effects.push(Effect::Send(from, Content::Have(self.book.have())));
            }
            Content::Items(items) if is_participant || is_creator || items.roster.is_some() => {
                self.hear_items(items, effects);
            }
            Content::PoolAbort(reason) if is_participant || is_creator && self.book.roster.is_none() => {
                // W14: without one of its participants there is no pool. Who ends because of another is not to blame.
                let blamed = (reason == Reason::Left).then_some(from);
                self.abort(Reason::OtherLeft, blamed.into_iter().collect(), effects);
            }
            Content::PoolAbort(_) if is_registered && self.candidate.is_none() => {
                self.book.registered.retain(|each| each.key != from);
            }
            _ => {}
        }
    }

    /// W15: somebody registers with the creator.
    fn hear_join(&mut self, now: Wall, from: PublicKey, registration: Registration, effects: &mut Vec<Effect>) {
        let terms = &self.book.terms;
        if !self.book.is_creator() || registration.key != from || from == self.book.own.key {
            return;
        }
        if let Some(roster) = &self.book.roster {
            let items = Items { roster: Some(roster.clone()), ..Items::default() };
            return effects.push(Effect::Send(from, Content::Items(items)));
        }
        let registered = &mut self.book.registered;
        let is_known = registered.iter().any(|each| each.key == from);
        let is_free = !registered.iter().any(|each| each.coin == registration.coin);
        let is_open = now < terms.registered_until() && registered.len() < MAX_REGISTERED;
        if !is_known && is_free && is_open && registration.is_proven(terms) {
            registered.push(registration);
        } else if !is_known {
            return;
        }
        effects.push(Effect::Send(from, Content::RegistrationAck));
    }

    /// W16: whoever lacks something gets it.
    fn hear_have(&mut self, from: PublicKey, have: Have, effects: &mut Vec<Effect>) {
        let Some(roster) = &self.book.roster else { return };
        self.others.insert(from, have);
        let mut items = Items::default();
        if have.roster != Some(roster.hash()) {
            items.roster = Some(roster.clone());
        }
        let lacks = |bits: u16, place: usize| bits >> place & 1 == 0;
        if roster.place_of(&from).is_some() {
            items.destinations = lacking(&self.book.destinations, |place| lacks(have.destinations, place));
            items.groups = lacking(&self.book.groups, |group| lacks(have.groups, group));
            items.setups = lacking(&self.book.setups, |place| lacks(have.setups, place));
        }
        if !items.is_empty() {
            effects.push(Effect::Send(from, Content::Items(items)));
        }
    }

    /// W17: items are taken that prove themselves.
    fn hear_items(&mut self, items: Items, effects: &mut Vec<Effect>) {
        if let Some(roster) = items.roster {
            self.hear_roster(roster, effects);
        }
        let Some(roster) = &self.book.roster else { return };
        let pool = self.book.terms.id();
        for (place, destination) in items.destinations {
            let place = usize::from(place);
            let Some(registration) = roster.registrations.get(place) else { continue };
            let is_committed = destination.commitment(&pool, &registration.key) == registration.commitment;
            if self.book.destinations[place].is_none() && is_committed {
                self.book.destinations[place] = Some(destination);
            }
        }
        self.compute(effects);
        let Some(plan) = &self.plan else { return };
        for (group, signatures) in items.groups {
            let group = usize::from(group);
            if self.book.groups.get(group).is_some_and(Option::is_none) && plan.is_signed_by_group(group, &signatures) {
                self.book.groups[group] = Some(signatures);
            }
        }
        for (place, signature) in items.setups {
            let place = usize::from(place);
            // The own one comes from the own key alone.
            if self.book.place() != Some(place)
                && self.book.setups.get(place).is_some_and(Option::is_none)
                && plan.is_signed_setup(place, &signature)
            {
                self.book.setups[place] = Some(signature);
            }
        }
    }

    /// W18: the creator has said who takes part. Two answers end it, as far as nothing binds.
    fn hear_roster(&mut self, roster: Roster, effects: &mut Vec<Effect>) {
        let known = self.book.roster.as_ref().or(self.candidate.as_ref());
        if known.is_some_and(|known| known.hash() == roster.hash()) || !roster.is_sound(&self.book.terms) {
            return;
        }
        if known.is_some() {
            return self.abort(Reason::TwoRosters, [self.book.terms.creator].into(), effects);
        }
        let own = roster.registrations.iter().find(|each| each.key == self.book.own.key);
        if own.is_some() && own == self.book.registration.as_ref() {
            self.candidate = Some(roster);
        } else {
            self.abort(Reason::NotChosen, BTreeSet::new(), effects);
        }
    }
}

fn lacking<T: Clone>(list: &[Option<T>], lacks: impl Fn(usize) -> bool) -> Vec<(u8, T)> {
    let there = list.iter().enumerate().filter_map(|(place, item)| Some((place, item.as_ref()?)));
    there.filter(|(place, _)| lacks(*place)).map(|(place, item)| (number(place), item.clone())).collect()
}
