//! How people behave, and what becomes of what their pools want.
//!
//! Owns the ways of cheating. Each can be played by one person alone, but for collusion, which takes a whole group.

use nelumbo_chain::build::{Coin, Payment, Recovery, Selection, Unlock, build};
use nelumbo_chain::ledger::{Ledger, Reject};
use nelumbo_core::crypto::lotus::{OutPoint, Transaction, TxOutput, Txid};
use nelumbo_core::crypto::{KeyAggContext, PublicKey, SecretKey, Signature, Suite, Tweak, schnorr};

use super::session::{Session, sign};
use super::{Parcel, World};
use crate::chain::look;
use crate::content::{Content, Items, Place, Reason, Registration, Roster, coin_script};
use crate::{Effect, Input, Phase, Plan};

/// How somebody behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// As it should.
    Honest,
    /// Is gone for good from this phase on.
    Vanishes(Phase),
    /// Breaks what it passes on, says that it has nothing, and that it leaves.
    Lies,
    /// Spends its coin otherwise in this phase.
    DoubleSpends(Phase),
    /// Keeps the signatures of its groups to itself.
    Hoards,
    /// Does not approve sessions.
    Declines,
    /// Says nothing to this one, and passes nothing on from it.
    Censors(usize),
    /// As creator, signs two rosters.
    Equivocates,
    /// Keeps its setup's signature to itself, and broadcasts everything when the others take their coins back.
    Withholds,
    /// Takes the deposits of groups that are of such people alone before the settlement does.
    Colludes,
}

impl Behaviour {
    /// Whether it is the first of them.
    #[must_use]
    pub const fn is_honest(self) -> bool {
        matches!(self, Self::Honest)
    }
}

impl World {
    /// Does what somebody's pool wants, or what its person makes of that. What comes of it at once is returned.
    pub(super) fn act(&mut self, number: usize, effect: Effect) -> Vec<Input> {
        match effect {
            Effect::Persist(record) => self.people[number].disk = Some(record),
            Effect::Send(to, content) => {
                for content in self.twisted(number, &to, content) {
                    self.send(number, &to, content);
                }
            }
            Effect::Sign(signing, single) => {
                let signature = self.people[number].sign(&single);
                return vec![Input::Signed(signing, signature)];
            }
            Effect::Create(new) => {
                let (key, now, nonce) = (self.people[number].key, self.wall(), self.random.bytes32());
                let session = Session::new(*new, &key, now, nonce);
                let id = session.id;
                self.sessions.insert(id, session);
                return vec![Input::Created(Some(id))];
            }
            Effect::Join(session) => self.approve(number, session),
            Effect::Refuse(session) => {
                let Some(found) = self.sessions.get_mut(&session).filter(|found| found.signatures.is_none()) else {
                    return Vec::new();
                };
                found.is_refused = true;
                let members = found.keys().to_vec();
                let people = self.people.iter().enumerate();
                let told: Vec<usize> =
                    people.filter(|(_, person)| members.contains(&person.key)).map(|(who, _)| who).collect();
                told.into_iter().for_each(|who| self.post(who, 50, Parcel::Ended(session)));
            }
            Effect::Look(query) => return vec![Input::View(look(&self.ledger, &query))],
            Effect::Broadcast(transaction) => self.broadcast(number, transaction),
            Effect::Told(status) => {
                if status.phase == Phase::Complete && self.settled_at.is_none() {
                    self.settled_at = Some(self.now);
                }
                let person = &mut self.people[number];
                if person.phases.last() != Some(&status.phase) {
                    person.phases.push(status.phase);
                }
                person.status = Some(*status);
                if let Behaviour::Vanishes(phase) = person.behaviour {
                    person.is_gone |= person.phases.contains(&phase);
                }
            }
            Effect::Over(status) => {
                let person = &mut self.people[number];
                person.phases.push(status.phase);
                (person.status, person.is_over, person.disk) = (Some(*status), true, None);
            }
        }
        Vec::new()
    }

    fn approve(&mut self, number: usize, id: nelumbo_core::wire::SessionId) {
        let person = &self.people[number];
        if person.behaviour == Behaviour::Declines {
            return;
        }
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.waits_for(&person.key)) else { return };
        session.approved.insert(person.key);
        if session.approved.len() < session.keys().len() {
            return;
        }
        let keys = session.keys().to_vec();
        let members: Vec<usize> = (0..self.people.len()).filter(|who| keys.contains(&self.people[*who].key)).collect();
        // Who signs last can keep the signature: the others never see it.
        let hoarders: Vec<usize> =
            members.iter().copied().filter(|who| self.people[*who].behaviour == Behaviour::Hoards).collect();
        if members.iter().any(|who| self.people[*who].is_gone) {
            return;
        }
        let secrets: Vec<&SecretKey> = members.iter().map(|who| &*self.people[*who].secret).collect();
        session.sign(&secrets);
        for member in if hoarders.is_empty() { members } else { hoarders } {
            let after = self.random.within(10, 300);
            self.post(member, after, Parcel::Completed(id));
        }
    }

    fn broadcast(&mut self, number: usize, transaction: Vec<u8>) {
        let person = &mut self.people[number];
        if person.behaviour == Behaviour::Withholds && !person.has_cheated {
            return person.kept.push(transaction);
        }
        self.submit(number, &transaction);
    }

    fn submit(&mut self, number: usize, transaction: &[u8]) {
        let seconds = self.seconds();
        match self.ledger.submit(transaction, seconds) {
            Ok(_)
            | Err(
                Reject::AlreadyInChain
                | Reject::MempoolConflict
                | Reject::InputsMissingOrSpent
                // The delay counts from a block that a reorganisation has moved.
                | Reject::NonBip68Final,
            ) => {}
            Err(reject) => self.broken.push(format!("person {number}: {reject}")),
        }
    }

    /// What somebody says instead.
    fn twisted(&mut self, number: usize, to: &PublicKey, content: Content) -> Vec<Content> {
        let person = &self.people[number];
        let receiver = self.people.iter().position(|other| other.key == *to);
        match (person.behaviour, content) {
            (Behaviour::Censors(victim), content) => {
                let passes_on = |content: &Content| match content {
                    Content::Items(items) => {
                        items.destinations.iter().any(|(place, _)| self.place_is(number, *place, victim))
                            || items.setups.iter().any(|(place, _)| self.place_is(number, *place, victim))
                    }
                    _ => false,
                };
                if receiver == Some(victim) || passes_on(&content) { Vec::new() } else { vec![content] }
            }
            (Behaviour::Withholds, Content::Items(mut items)) => {
                let own = person.pool.as_ref().and_then(|pool| pool.place());
                items.setups.retain(|(place, _)| Some(usize::from(*place)) != own);
                if items.is_empty() { Vec::new() } else { vec![Content::Items(items)] }
            }
            (Behaviour::Hoards, Content::Items(mut items)) => {
                items.groups.clear();
                if items.is_empty() { Vec::new() } else { vec![Content::Items(items)] }
            }
            (Behaviour::Equivocates, Content::Items(mut items)) => {
                if let (Some(roster), true) = (&items.roster, receiver.is_some_and(|receiver| receiver % 2 == 1)) {
                    items.roster = Some(self.other_roster(number, roster));
                }
                vec![Content::Items(items)]
            }
            (Behaviour::Lies, content) => self.lies(content),
            (_, content) => vec![content],
        }
    }

    fn place_is(&self, number: usize, place: u8, victim: usize) -> bool {
        let pool = self.people[number].pool.as_ref();
        let keys = pool.map(|pool| pool.keys()).unwrap_or_default();
        keys.get(usize::from(place)) == Some(&self.people[victim].key)
    }

    /// Another roster, signed as well: in it the creator has committed to another destination.
    fn other_roster(&mut self, number: usize, roster: &Roster) -> Roster {
        let mut registrations = roster.registrations.clone();
        let own = self.people[number].key;
        let place = registrations.iter().position(|each| each.key == own).expect("the creator takes part");
        let commitment = [9; 32];
        let statement = Registration::statement(&self.terms, registrations[place].coin, commitment);
        let proof = self.people[number].sign(&nelumbo_core::single::Single::Statement(statement));
        registrations[place].commitment = commitment;
        registrations[place].proof = proof.expect("it signs");
        let statement = Roster::statement(&self.terms, &registrations);
        let signature = self.people[number].sign(&nelumbo_core::single::Single::Statement(statement));
        Roster { registrations, signature: signature.expect("it signs") }
    }

    fn lies(&mut self, content: Content) -> Vec<Content> {
        let wrong = Signature::from_bytes([7; 64]);
        match (content, self.random.below(6)) {
            (Content::Items(mut items), 0..=3) => {
                items.destinations.iter_mut().for_each(|(_, destination)| destination.salt[0] ^= 1);
                items.setups.iter_mut().for_each(|(_, signature)| *signature = wrong);
                items.groups.iter_mut().for_each(|(group, signatures)| {
                    *group ^= 1;
                    signatures.push(wrong);
                });
                if let Some(roster) = &mut items.roster {
                    roster.registrations.reverse();
                }
                vec![Content::Items(items)]
            }
            (Content::Have(mut have), 0..=3) => {
                (have.destinations, have.groups, have.setups) = (0, u16::MAX, 0);
                have.roster = Some([3; 32]);
                vec![Content::Have(have), Content::Items(Items { setups: vec![(255, wrong)], ..Items::default() })]
            }
            (content, 4) if self.random.chance(20_000) => vec![content, Content::PoolAbort(Reason::Left)],
            (content, _) => vec![content],
        }
    }

    /// What somebody does by itself.
    pub(super) fn misbehave(&mut self, number: usize) {
        let person = &self.people[number];
        if person.has_cheated || person.is_gone {
            return;
        }
        let phase = person.status.as_ref().map(|status| status.phase);
        match person.behaviour {
            Behaviour::DoubleSpends(when) if person.phases.contains(&when) => {
                self.people[number].has_cheated = true;
                self.spend_coin(number);
            }
            Behaviour::Withholds if self.wall() > self.terms.cancelled_from() => {
                self.people[number].has_cheated = true;
                for transaction in std::mem::take(&mut self.people[number].kept) {
                    self.submit(number, &transaction);
                }
            }
            Behaviour::Colludes if phase == Some(Phase::SetupConfirm) => self.take_deposits(number),
            _ => {}
        }
    }

    fn spend_coin(&mut self, number: usize) {
        let person = &self.people[number];
        let output = TxOutput { value: self.terms.coin(), script_pubkey: coin_script(&person.key) };
        let outpoint = OutPoint::from(person.coin);
        let coin = Coin { outpoint, output, unlock: Unlock::PublicKeyHash(person.key) };
        let payment = Payment { selection: Selection::All, ..Payment::new(Vec::new(), Ledger::faucet_script()) };
        let unsigned = build(&[coin], &payment).expect("it is enough");
        let digest = unsigned.digests(self.ledger.replay_protected())[0];
        let signature = schnorr::sign(Suite::Lotus, &person.secret, &digest, None).expect("32 bytes");
        let signed = unsigned.finalize(&[signature]).expect("one input");
        self.submit(number, &signed.to_bytes());
    }

    /// The deposits whose groups are of colluders alone go to the faucet.
    fn take_deposits(&mut self, number: usize) {
        let Some((plan, keys)) = self.people[number].pool.as_ref().and_then(|pool| Some((pool.plan()?, pool.keys())))
        else {
            return;
        };
        let who = |place: &usize| self.people.iter().find(|person| person.key == keys[*place]).expect("a person");
        let mut stolen = Vec::new();
        for group in plan.groups() {
            let members: Vec<_> = group.signers.iter().map(who).collect();
            if members.iter().all(|person| person.behaviour == Behaviour::Colludes) {
                let secrets: Vec<&SecretKey> = members.iter().map(|person| &*person.secret).collect();
                let keys: Vec<PublicKey> = members.iter().map(|person| person.key).collect();
                for place in &group.depositors {
                    stolen.push(self.theft(plan, *place, &who(place).key, &keys, &secrets));
                }
            }
        }
        self.people[number].has_cheated = true;
        stolen.iter().for_each(|transaction| self.submit(number, transaction));
    }

    fn theft(
        &self,
        plan: &Plan,
        place: usize,
        owner: &PublicKey,
        keys: &[PublicKey],
        secrets: &[&SecretKey],
    ) -> Vec<u8> {
        let recovery = Recovery { delay: self.terms.blocks(), key: *owner };
        let internal_key = KeyAggContext::new(Suite::Lotus, keys).expect("sound keys").challenge_key();
        let output = recovery.output(&internal_key).expect("a key").script_pubkey();
        let output = TxOutput { value: self.terms.deposit(), script_pubkey: output };
        let coin = Coin { outpoint: plan.deposit(place), output, unlock: Unlock::KeyPath };
        let payment = Payment { selection: Selection::All, ..Payment::new(Vec::new(), Ledger::faucet_script()) };
        let unsigned = build(&[coin], &payment).expect("it is enough");
        let digest = unsigned.digests(self.ledger.replay_protected())[0];
        let tweak = Tweak::Taproot { merkle_root: Some(recovery.merkle_root()) };
        let signature = sign(secrets, &tweak, &digest);
        unsigned.finalize(&[signature]).expect("one input").to_bytes()
    }

    /// The ids of what has spent coins and deposits.
    #[must_use]
    pub fn transactions(&self) -> Vec<Txid> {
        let mut found = Vec::new();
        let mut open: Vec<Place> = self.people.iter().map(|person| person.coin).collect();
        while let Some(place) = open.pop() {
            let Some(transaction) = self.spender(place) else { continue };
            let txid = transaction.txid(Suite::Lotus);
            // A setup has one output, which is spent as well.
            if !found.contains(&txid) {
                found.push(txid);
                open.extend((0..transaction.outputs.len() as u32).map(|index| Place { txid: *txid.as_bytes(), index }));
            }
        }
        found
    }

    /// Which transaction spends a coin, in the chain or waiting.
    pub(super) fn spender(&self, place: Place) -> Option<Transaction> {
        let (txid, _) = self.ledger.spender(&OutPoint::from(place))?;
        self.ledger.transaction(&txid).map(|located| located.transaction.clone())
    }
}
