//! One participant's part in one pool: a machine that is told what has happened and says what it wants.
//!
//! Owns the order of steps. Invariants: this node signs for one roster of a pool, and only transactions that it has
//! computed itself; it signs its setup when it has the whole settlement signed, and no setup is broadcast before; what
//! it says follows the record of it ([`Effect::Persist`] comes first). Its protocol, or a test, drives it. The numbers
//! W1… name the transitions of `docs/src/machines.md`.
//!
//! Everything but the record is found again by asking: each rule of [`advance`](Pool::advance) looks at what is there,
//! not at what has been done, so that a restart is no case of its own.

mod effect;
mod ledger;
mod out;
mod status;
mod talk;

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{PublicKey, Signature};
use nelumbo_core::single::Single;
use nelumbo_core::wire::{Definition, SessionId};

use crate::book::{Book, Own};
use crate::chain::{CoinState, View};
use crate::content::{Have, Items, Place, Reason, Registration, Roster};
use crate::plan::Plan;
use crate::terms::{MIN_PARTICIPANTS, PoolId, Terms};

pub use effect::{Effect, Input, Signing};
pub use status::{Phase, Status};

/// How many announced sessions wait for the destinations that tell what they have to be.
const MAX_ANNOUNCED: usize = 32;
/// How many registrations a creator looks into.
const MAX_REGISTERED: usize = 40;

/// The session of the group that this node opens sessions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opened {
    No,
    Asked,
    Yes(SessionId),
}

/// One participant's part in one pool.
#[derive(Clone, Debug)]
pub struct Pool {
    book: Book,
    written: Vec<u8>,
    plan: Option<Plan>,
    /// A roster whose coins have not been seen yet.
    candidate: Option<Roster>,
    /// What the creator has asked to be signed as the roster.
    chosen: Vec<Registration>,
    /// What is being signed.
    signing: BTreeSet<Signing>,
    /// Made when needed, by whether it is replay-protected.
    returns: BTreeMap<(Signing, bool), Signature>,
    is_acknowledged: bool,
    opened: Opened,
    announced: Vec<(SessionId, Box<Definition>)>,
    joined: BTreeSet<SessionId>,
    /// What others have said that they have.
    others: BTreeMap<PublicKey, Have>,
    /// When others were heard last.
    heard: BTreeMap<PublicKey, Wall>,
    view: Option<View>,
    /// Its person wants the deposit back as soon as that can be.
    wants_back: bool,
    /// Coins of those who have kept pools from their end.
    spoiled: BTreeSet<Place>,
    told: Option<Status>,
    is_over: bool,
}

impl Pool {
    /// W1: takes part in a pool, as its creator if `own.key` is that. The terms must have been
    /// [checked](Terms::check).
    #[must_use]
    pub fn new(terms: Terms, own: Own) -> Self {
        Self::with(Book::new(terms, own), Vec::new())
    }

    /// W2: goes on after a restart, from what was persisted last. Nothing if that is no record.
    #[must_use]
    pub fn restored(record: &[u8]) -> Option<Self> {
        Some(Self::with(Book::from_bytes(record)?, record.to_vec()))
    }

    const fn with(book: Book, written: Vec<u8>) -> Self {
        Self {
            book,
            written,
            plan: None,
            candidate: None,
            chosen: Vec::new(),
            signing: BTreeSet::new(),
            returns: BTreeMap::new(),
            is_acknowledged: false,
            opened: Opened::No,
            announced: Vec::new(),
            joined: BTreeSet::new(),
            others: BTreeMap::new(),
            heard: BTreeMap::new(),
            view: None,
            wants_back: false,
            spoiled: BTreeSet::new(),
            told: None,
            is_over: false,
        }
    }

    /// The pool's name.
    #[must_use]
    pub fn id(&self) -> PoolId {
        self.book.terms.id()
    }

    /// What it is.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.book.terms
    }

    /// What this node has put in.
    #[must_use]
    pub fn own(&self) -> &Own {
        &self.book.own
    }

    /// Its transactions, once everybody's destination is here.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Whether the coin may still be bound to the pool, so that it must not serve in another one.
    #[must_use]
    pub fn needs_coin(&self) -> bool {
        self.book.aborted.is_none() && !self.is_over
    }

    /// Whether its person can still leave: the deposit is not made.
    #[must_use]
    pub fn can_leave(&self) -> bool {
        !(self.book.is_committed() && self.has_own_setup())
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// With these coins it has nothing to do any more: whoever has registered them has kept a pool from its end.
    pub fn avoid(&mut self, coins: BTreeSet<Place>) {
        self.spoiled = coins;
    }

    fn coin(&self, view: &View, registration: &Registration) -> CoinState {
        let is_spoiled = self.spoiled.contains(&registration.coin) && registration.key != self.book.own.key;
        if is_spoiled { CoinState::Bad } else { view.coin(&self.book.terms, registration) }
    }

    /// Takes what has happened, and says what is to be done.
    #[must_use]
    pub fn handle(&mut self, now: Wall, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.is_over {
            return effects;
        }
        let is_tick = matches!(input, Input::Tick);
        let mut is_fresh = false;
        match input {
            Input::Tick => {}
            Input::Message(from, content) => self.hear(now, from, content, &mut effects),
            Input::View(view) => {
                self.view = Some(view);
                is_fresh = true;
            }
            Input::Signed(signing, signature) => self.signed(signing, signature, &mut effects),
            Input::Created(session) => self.opened = session.map_or(Opened::No, Opened::Yes),
            Input::Announced(session, definition) => {
                if self.announced.len() < MAX_ANNOUNCED {
                    self.announced.push((session, definition));
                }
            }
            Input::Completed(session, signatures) => self.completed(session, &signatures, &mut effects),
            Input::Ended(session) => {
                self.joined.remove(&session);
                if self.opened == Opened::Yes(session) {
                    self.opened = Opened::No;
                }
            }
            Input::Leave => self.leave(&mut effects),
            Input::Reclaim => self.reclaim(&mut effects),
        }
        self.advance(now, is_fresh, &mut effects);
        if is_tick && !self.is_over {
            self.talk(now, &mut effects);
        }
        self.tell(&mut effects);
        let record = self.book.to_bytes();
        if record != self.written && !self.is_over {
            effects.insert(0, Effect::Persist(record.clone()));
            self.written = record;
        }
        effects
    }

    /// The rules, in the order of the phases.
    fn advance(&mut self, now: Wall, is_fresh: bool, effects: &mut Vec<Effect>) {
        if self.book.aborted.is_none() {
            self.register(now, effects);
            self.choose(now, is_fresh, effects);
            self.fix(is_fresh, effects);
            self.compute(effects);
            self.sign_settlement(now, effects);
            self.sign_setup(now, effects);
            self.start(now, effects);
            self.give_up(now, effects);
        }
        if self.book.aborted.is_some() {
            self.is_over = true;
        } else if is_fresh {
            self.follow_chain(now, effects);
        }
    }

    fn ask(&mut self, signing: Signing, single: impl FnOnce(&Self) -> Single, effects: &mut Vec<Effect>) {
        if !self.signing.contains(&signing) {
            effects.push(Effect::Sign(signing, Box::new(single(self))));
            self.signing.insert(signing);
        }
    }

    /// W3: the registration is signed first, and then said.
    fn register(&mut self, now: Wall, effects: &mut Vec<Effect>) {
        let Book { terms, own, .. } = &self.book;
        if self.book.registration.is_none() && now < terms.registered_until() {
            let commitment = own.destination.commitment(&terms.id(), &own.key);
            let statement = Registration::statement(terms, own.coin, commitment);
            self.ask(Signing::Registration, |_| Single::Statement(statement), effects);
        }
    }

    /// W4: the creator takes those whose coins are as they have to be, in the order in which they have come, when the
    /// pool is full or the time for registration is over.
    fn choose(&mut self, now: Wall, is_fresh: bool, effects: &mut Vec<Effect>) {
        let Book { terms, own, registered, roster, .. } = &self.book;
        let (true, true, None, Some(view)) = (is_fresh, self.book.is_creator(), roster, &self.view) else { return };
        if self.signing.contains(&Signing::Roster) || self.candidate.is_some() || now >= terms.chosen_until() {
            return;
        }
        let is_sound = |each: &&Registration| self.coin(view, each) == CoinState::Sound;
        let mut chosen: Vec<Registration> = registered.iter().filter(is_sound).cloned().collect();
        chosen.truncate(terms.participants.into());
        let is_enough = chosen.len() == usize::from(terms.participants)
            || now >= terms.registered_until() && chosen.len() >= MIN_PARTICIPANTS;
        if is_enough && chosen.iter().any(|each| each.key == own.key) {
            chosen.sort_by_key(|each| each.key);
            let statement = Roster::statement(terms, &chosen);
            self.chosen = chosen;
            self.ask(Signing::Roster, |_| Single::Statement(statement), effects);
        }
    }

    /// W5: a roster becomes this node's, for ever, when all of its coins are as they have to be; then the own
    /// destination is said.
    fn fix(&mut self, is_fresh: bool, effects: &mut Vec<Effect>) {
        let (true, Some(candidate), Some(view)) = (is_fresh, &self.candidate, &self.view) else { return };
        let states: Vec<(PublicKey, CoinState)> = (candidate.registrations.iter())
            .map(|registration| (registration.key, self.coin(view, registration)))
            .collect();
        let bad: BTreeSet<PublicKey> =
            states.iter().filter(|(_, state)| *state == CoinState::Bad).map(|(key, _)| *key).collect();
        if !bad.is_empty() {
            return self.abort(Reason::BadCoin, bad, effects);
        }
        if states.iter().all(|(_, state)| *state == CoinState::Sound)
            && let Some(roster) = self.candidate.take()
        {
            self.book.fix(roster);
            let place = self.book.place().expect("a roster without this node is no candidate");
            let own = self.book.own.destination.clone();
            self.book.destinations[place] = Some(own.clone());
            let roster = self.book.roster.clone().filter(|_| self.book.is_creator());
            self.spread(&Items { roster, destinations: vec![(number(place), own)], ..Items::default() }, effects);
        }
    }

    /// W6: all destinations are here, and with them the transactions.
    fn compute(&mut self, effects: &mut Vec<Effect>) {
        let (None, Some(roster)) = (&self.plan, &self.book.roster) else { return };
        let Some(destinations) = self.book.destinations.iter().cloned().collect::<Option<Vec<_>>>() else { return };
        match Plan::new(&self.book.terms, roster, &destinations) {
            Ok(plan) => self.plan = Some(plan),
            Err((reason, places)) => {
                let blamed = places.into_iter().map(|place| roster.registrations[place].key).collect();
                self.abort(reason, blamed, effects);
            }
        }
    }

    /// W7: each group signs its inputs in a session; who opens one asks for it, and who is asked compares it with what
    /// it has to be.
    fn sign_settlement(&mut self, now: Wall, effects: &mut Vec<Effect>) {
        let (Some(plan), Some(own)) = (&self.plan, self.book.place()) else { return };
        let is_in_time = now < self.book.terms.signed_until();
        for (session, definition) in std::mem::take(&mut self.announced) {
            let group = plan.group_of(&definition).filter(|_| is_in_time);
            let is_mine = group.is_some_and(|group| plan.groups()[group].signers.contains(&own));
            if is_mine {
                self.joined.insert(session);
            }
            effects.push(if is_mine { Effect::Join(session) } else { Effect::Refuse(session) });
        }
        let opens = plan.groups().iter().position(|group| group.depositors[0] == own);
        if let Some(group) = opens.filter(|group| self.book.groups[*group].is_none() && is_in_time)
            && self.opened == Opened::No
        {
            self.opened = Opened::Asked;
            effects.push(Effect::Create(Box::new(plan.session(group))));
        }
    }

    /// W8: the settlement is signed by all groups; this node signs its setup, and from now on is bound to the pool.
    fn sign_setup(&mut self, now: Wall, effects: &mut Vec<Effect>) {
        let (Some(plan), Some(own)) = (&self.plan, self.book.place()) else { return };
        if self.book.has_settlement() && self.book.setups[own].is_none() && now < self.book.terms.signed_until() {
            let setup = plan.setup(own);
            self.ask(Signing::Setup, |_| setup, effects);
        }
    }

    /// W9: all setups are signed, in time; all are broadcast.
    fn start(&mut self, now: Wall, effects: &mut Vec<Effect>) {
        let Book { terms, is_started, is_cancelling, .. } = &self.book;
        if *is_started || *is_cancelling || !self.book.is_complete() || now >= terms.signed_until() {
            return;
        }
        let Some(plan) = &self.plan else { return };
        self.book.is_started = true;
        let setups = self.book.setups.iter().enumerate();
        let signed = setups.filter_map(|(place, setup)| Some(plan.signed_setup(place, setup.as_ref()?)));
        effects.extend(signed.map(Effect::Broadcast));
    }

    /// Whether the own setup was seen on the chain.
    fn has_own_setup(&self) -> bool {
        let (Some(plan), Some(view), Some(own)) = (&self.plan, &self.view, self.book.place()) else { return false };
        view.confirmations(&plan.setup_txid(own)).is_some()
    }

    /// What the key has signed.
    fn signed(&mut self, signing: Signing, signature: Option<Signature>, effects: &mut Vec<Effect>) {
        self.signing.remove(&signing);
        let Some(signature) = signature else { return };
        let Book { terms, own, .. } = &self.book;
        match signing {
            Signing::Registration if self.book.registration.is_none() => {
                let commitment = own.destination.commitment(&terms.id(), &own.key);
                let registration = Registration { key: own.key, coin: own.coin, commitment, proof: signature };
                if self.book.is_creator() {
                    self.book.registered.insert(0, registration.clone());
                }
                self.book.registration = Some(registration);
            }
            Signing::Roster if self.book.roster.is_none() && self.candidate.is_none() => {
                self.candidate = Some(Roster { registrations: std::mem::take(&mut self.chosen), signature });
            }
            Signing::Setup => {
                let (Some(plan), Some(place)) = (&self.plan, self.book.place()) else { return };
                if self.book.setups[place].is_none() && plan.is_signed_setup(place, &signature) {
                    self.book.setups[place] = Some(signature);
                    self.spread(&Items { setups: vec![(number(place), signature)], ..Items::default() }, effects);
                }
            }
            Signing::Cancel | Signing::Reclaim => {
                let replay_protection = self.view.as_ref().is_some_and(|view| view.replay_protection);
                self.returns.insert((signing, replay_protection), signature);
                self.take_back(signing, effects);
            }
            _ => {}
        }
    }

    /// A session of a group of this node's has its signatures. Which one's shows by what they sign.
    fn completed(&mut self, session: SessionId, signatures: &[Signature], effects: &mut Vec<Effect>) {
        self.joined.remove(&session);
        let Some(plan) = &self.plan else { return };
        let group = (0..plan.groups().len())
            .find(|group| self.book.groups[*group].is_none() && plan.is_signed_by_group(*group, signatures));
        if let Some(group) = group {
            self.book.groups[group] = Some(signatures.to_vec());
            self.spread(&Items { groups: vec![(number(group), signatures.to_vec())], ..Items::default() }, effects);
        }
    }
}

/// What simulations look at.
#[cfg(feature = "simulation")]
impl Pool {
    /// The record, as it would be persisted.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        self.book.to_bytes()
    }

    pub(crate) fn setup_signature(&self) -> Option<Signature> {
        self.book.setups[self.book.place()?]
    }

    pub(crate) fn place(&self) -> Option<usize> {
        self.book.place()
    }

    pub(crate) fn keys(&self) -> Vec<PublicKey> {
        let roster = self.book.roster.iter().flat_map(|roster| &roster.registrations);
        roster.map(|registration| registration.key).collect()
    }

    pub(crate) fn has_settlement(&self) -> bool {
        self.book.has_settlement()
    }

    pub(crate) fn own_setup(&mut self) -> Option<nelumbo_core::crypto::lotus::Txid> {
        self.compute(&mut Vec::new());
        Some(self.plan.as_ref()?.setup_txid(self.book.place()?))
    }
}

/// A place as messages have it.
fn number(place: usize) -> u8 {
    u8::try_from(place).expect("a pool has few participants")
}
