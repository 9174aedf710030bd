#![doc = include_str!("../README.md")]
//!
//! Owns the rounds of a node: who is in, what was signed, who is left out. Invariants: this node signs only the
//! transaction that it makes itself from who takes part, and only if it is in as it wanted; whoever does not sign in
//! time is left out by name. Its node drives it, and nothing needs a record: what was signed binds nobody until all
//! have, and then pays everybody.
#![forbid(unsafe_code)]

mod round;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nelumbo_core::api::CommandError;
use nelumbo_core::approval::Unusual;
use nelumbo_core::crypto::{Network, PublicKey, Signature};
use nelumbo_core::protocol::{Protocol, ProtocolContext};
use nelumbo_core::wire::{Data, Label, Resource, ResourceId};
use serde::{Deserialize, Serialize};

pub use round::*;

/// How often what has no answer is said again.
const AGAIN: Duration = Duration::from_secs(2);
/// How often a transaction is broadcast again, in milliseconds: a reorganisation may have forgotten it.
const A_MINUTE: u64 = 60_000;
/// How long an attempt waits for signatures, in milliseconds.
const PATIENCE: u64 = 20_000;
/// How many rounds a node is in, or knows of.
const MAX_ROUNDS: usize = 64;
/// As long as a round is announced at most, in milliseconds.
const A_DAY: u64 = 86_400_000;

type RoundId = [u8; 32];

/// What the embedder wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// A round of its own, with its own part. Its key is filled in.
    Create(Terms, Entry),
    /// To take part in a round that was found. Its key is filled in.
    Join(RoundId, Entry),
    /// To look for rounds, and be told which key is this node's.
    Discover,
}

/// What the embedder is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The key to whose hash coins have to be paid.
    Key(PublicKey),
    /// A round was found.
    Found(RoundId, Terms),
    /// A search is over.
    SearchFinished,
    /// These have not signed, and are left out of the next attempt.
    Blamed(RoundId, BTreeSet<PublicKey>),
    /// All have signed: the transaction is to be broadcast. It comes again until the round's time is over.
    Broadcast(RoundId, Vec<u8>),
    /// The round is over, and this node has not seen a transaction. Where another one has, the chain shows it.
    Failed(RoundId),
    /// What it wanted was not done.
    Refused(String),
}

/// What participants say to each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Message {
    /// To the creator: let me in.
    Enter(RoundId, Entry),
    /// From the creator: these take part in this attempt. Sign.
    Propose(RoundId, u64, Vec<Entry>),
    /// To the creator: the signature over the own input in this attempt.
    Sign(RoundId, u64, Signature),
    /// From the creator: all have signed.
    Done(RoundId, u64, Vec<Signature>),
}

/// A round that this node is in.
#[derive(Debug)]
struct Round {
    terms: Terms,
    own: Entry,
    /// The creator's: who wants to take part, and has not been left out.
    entered: BTreeMap<PublicKey, Entry>,
    blamed: BTreeSet<PublicKey>,
    attempt: Option<(u64, Attempt)>,
    /// By input.
    signatures: BTreeMap<usize, Signature>,
    /// When the attempt began, or the transaction was broadcast last.
    since: u64,
    /// What all have signed.
    transaction: Option<Vec<u8>>,
    is_done: bool,
}

/// The protocol.
#[derive(Debug)]
pub struct CoinJoin {
    network: Network,
    rounds: BTreeMap<RoundId, Round>,
    known: BTreeMap<RoundId, Terms>,
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("encoding into memory cannot fail")
}

fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Event {
    /// What the node's event says.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

impl Command {
    /// As the node's command takes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

impl CoinJoin {
    /// For keys of this network.
    #[must_use]
    pub const fn new(network: Network) -> Self {
        Self { network, rounds: BTreeMap::new(), known: BTreeMap::new() }
    }

    fn command(&mut self, context: &mut ProtocolContext, command: Command) -> Result<(), String> {
        let (id, terms, own) = match command {
            Command::Discover => {
                context.event(encode(&Event::Key(context.own_key)));
                context.search();
                return Ok(());
            }
            Command::Create(terms, own) => {
                let terms = Terms { creator: context.own_key, ..terms };
                let lifetime = terms.until.as_millis().saturating_sub(context.now.wall.as_millis());
                let lifetime = Duration::from_millis(lifetime.min(A_DAY));
                context.announce(label(&hex(&terms.id())), Data::new(encode(&terms)), lifetime);
                (terms.id(), terms, own)
            }
            Command::Join(id, own) => {
                (id, self.known.get(&id).cloned().ok_or("look for rounds first; this one is not known")?, own)
            }
        };
        let own = Entry { key: context.own_key, ..own };
        let is_free = self.rounds.values().all(|round| round.is_done || round.own.outpoint() != own.outpoint());
        if !terms.is_sound() || !own.is_sound(&terms) || !is_free || self.rounds.len() >= MAX_ROUNDS {
            return Err("such a round cannot be, or the coin is too small or in another one".into());
        }
        // After a crash the person is asked again: nothing that was signed costs more than was agreed to.
        let is_creator = terms.creator == own.key;
        let entered = is_creator.then(|| (own.key, own.clone())).into_iter().collect();
        let (blamed, signatures) = (BTreeSet::new(), BTreeMap::new());
        let round = Round {
            terms,
            own,
            entered,
            blamed,
            attempt: None,
            signatures,
            since: 0,
            transaction: None,
            is_done: false,
        };
        self.rounds.insert(id, round);
        self.go_on(context);
        Ok(())
    }

    /// Says again what has no answer, and begins the attempts that are due.
    fn go_on(&mut self, context: &mut ProtocolContext) {
        let now = context.now.wall.as_millis();
        for (id, round) in &mut self.rounds {
            if let (Some(transaction), true) = (&round.transaction, now >= round.since + A_MINUTE) {
                round.since = now;
                context.event(encode(&Event::Broadcast(*id, transaction.clone())));
            }
            if round.is_done || context.now.wall >= round.terms.until {
                if !std::mem::replace(&mut round.is_done, true) {
                    context.event(encode(&Event::Failed(*id)));
                }
            } else if round.terms.creator != round.own.key {
                let input = round.own_input();
                match (&round.attempt, input.and_then(|input| round.signatures.get(&input))) {
                    (Some((number, _)), Some(signature)) => {
                        context.send(round.terms.creator, encode(&Message::Sign(*id, *number, *signature)));
                        // After a crash the creator knows nobody.
                        context.send(round.terms.creator, encode(&Message::Enter(*id, round.own.clone())));
                    }
                    (None, _) => context.send(round.terms.creator, encode(&Message::Enter(*id, round.own.clone()))),
                    _ => {}
                }
            } else {
                round.collect(context, id, now, self.network);
            }
        }
        self.rounds.retain(|_, round| !round.is_done || context.now.wall < round.terms.until);
        if !self.rounds.is_empty()
            && let Err(error) = context.set_timer(label("again"), AGAIN)
        {
            context.event(encode(&Event::Refused(error.to_string())));
        }
    }

    fn hear(&mut self, context: &mut ProtocolContext, from: &PublicKey, message: Message) -> Option<()> {
        let network = self.network;
        match message {
            Message::Enter(id, entry) => {
                let round = self.rounds.get_mut(&id).filter(|round| round.is_creator())?;
                let is_wanted = entry.key == *from && entry.is_sound(&round.terms) && !round.blamed.contains(from);
                if is_wanted && round.attempt.is_none() && round.entered.len() < round.terms.participants.into() {
                    round.entered.insert(*from, entry);
                }
            }
            Message::Propose(id, number, entries) => {
                let round = self.rounds.get_mut(&id).filter(|round| round.terms.creator == *from && !round.is_done)?;
                if round.is_creator() || round.attempt.as_ref().is_some_and(|(known, _)| *known >= number) {
                    return None;
                }
                let attempt = Attempt::new(&round.terms, entries)?;
                // Whoever is in it as it wanted is paid as it wanted: everybody makes the transaction by itself.
                attempt.entries().iter().find(|entry| **entry == round.own)?;
                round.begin(context, &id, (number, attempt), network);
            }
            Message::Sign(id, number, signature) => {
                let round = self.rounds.get_mut(&id).filter(|round| round.is_creator())?;
                let (current, attempt) = round.attempt.as_ref()?;
                let input = attempt.entries().iter().position(|entry| entry.key == *from)?;
                if round.is_done {
                    round.finish(context, &id);
                } else if *current == number && attempt.is_signed(input, &signature) {
                    round.signatures.insert(input, signature);
                    round.finish(context, &id);
                }
            }
            Message::Done(id, number, signatures) => {
                let round = self.rounds.get_mut(&id).filter(|round| !round.is_creator() && !round.is_done)?;
                let (_, attempt) = round.attempt.as_ref().filter(|(current, _)| *current == number)?;
                let is_signed = |(input, signature)| attempt.is_signed(input, signature);
                if signatures.len() == attempt.entries().len() && signatures.iter().enumerate().all(is_signed) {
                    let transaction = attempt.signed(&signatures);
                    round.end(context, &id, transaction);
                }
            }
        }
        Some(())
    }
}

impl Round {
    fn is_creator(&self) -> bool {
        self.terms.creator == self.own.key
    }

    fn own_input(&self) -> Option<usize> {
        self.attempt.as_ref()?.1.entries().iter().position(|entry| entry.key == self.own.key)
    }

    /// The creator begins an attempt when enough are there, and another one without those who have not signed in time.
    fn collect(&mut self, context: &mut ProtocolContext, id: &RoundId, now: u64, network: Network) {
        let is_full = self.entered.len() == usize::from(self.terms.participants);
        let number = match &self.attempt {
            // Later than any that was begun before a crash.
            None if is_full => now,
            Some((number, attempt)) if now >= self.since + PATIENCE => {
                let entries = attempt.entries().iter().enumerate();
                let missing = entries.filter(|(input, _)| !self.signatures.contains_key(input));
                let blamed: BTreeSet<PublicKey> = missing.map(|(_, entry)| entry.key).collect();
                self.entered.retain(|key, _| !blamed.contains(key));
                self.blamed.extend(&blamed);
                context.event(encode(&Event::Blamed(*id, blamed)));
                now.max(number + 1)
            }
            Some((number, attempt)) => {
                // Those who have not signed may not have heard.
                let entries = attempt.entries().iter().enumerate();
                for (_, entry) in entries.filter(|(input, _)| !self.signatures.contains_key(input)) {
                    context.send(entry.key, encode(&Message::Propose(*id, *number, attempt.entries().to_vec())));
                }
                return;
            }
            None => return,
        };
        let Some(attempt) = Attempt::new(&self.terms, self.entered.values().cloned().collect()) else {
            self.is_done = true;
            return context.event(encode(&Event::Failed(*id)));
        };
        for entry in attempt.entries().iter().filter(|entry| entry.key != self.own.key) {
            context.send(entry.key, encode(&Message::Propose(*id, number, attempt.entries().to_vec())));
        }
        self.since = now;
        self.begin(context, id, (number, attempt), network);
    }

    /// Signs the own input of an attempt.
    fn begin(&mut self, context: &mut ProtocolContext, id: &RoundId, attempt: (u64, Attempt), network: Network) {
        self.signatures.clear();
        self.attempt = Some(attempt);
        let (Some(input), Some((_, attempt))) = (self.own_input(), &self.attempt) else { return };
        let allow = [Unusual::ScriptPath, Unusual::PaysSigner].into();
        context.sign(label(&hex(id)), attempt.single(network, input), allow);
    }

    /// The creator has all signatures: it tells everybody, and again whoever asks.
    fn finish(&mut self, context: &mut ProtocolContext, id: &RoundId) {
        let Some((number, attempt)) = self.attempt.as_ref() else { return };
        if self.signatures.len() < attempt.entries().len() {
            return;
        }
        let signatures: Vec<Signature> = self.signatures.values().copied().collect();
        let transaction = (!self.is_done).then(|| attempt.signed(&signatures));
        for entry in attempt.entries().iter().filter(|entry| entry.key != self.own.key) {
            context.send(entry.key, encode(&Message::Done(*id, *number, signatures.clone())));
        }
        if let Some(transaction) = transaction {
            self.end(context, id, transaction);
        }
    }

    fn end(&mut self, context: &mut ProtocolContext, id: &RoundId, transaction: Vec<u8>) {
        (self.is_done, self.since) = (true, context.now.wall.as_millis());
        context.event(encode(&Event::Broadcast(*id, transaction.clone())));
        self.transaction = Some(transaction);
    }
}

impl Protocol for CoinJoin {
    fn name(&self) -> Label {
        label("coinjoin")
    }

    fn accepts_message(&self, _: &PublicKey, payload: &[u8]) -> bool {
        postcard::from_bytes::<Message>(payload).is_ok()
    }

    fn accepts_resource(&self, author: &PublicKey, resource: &Resource) -> bool {
        resource.data.as_ref().is_none_or(|data| {
            let terms: Option<Terms> = postcard::from_bytes(data.as_bytes()).ok();
            terms.is_some_and(|terms| {
                terms.creator == *author && terms.is_sound() && hex(&terms.id()) == resource.name.as_str()
            })
        })
    }

    fn on_command(&mut self, context: &mut ProtocolContext, payload: &[u8]) {
        let command = postcard::from_bytes(payload).map_err(|_| "this is no command of coinjoin".to_owned());
        if let Err(why) = command.and_then(|command| self.command(context, command)) {
            context.event(encode(&Event::Refused(why)));
        }
    }

    fn on_message(&mut self, context: &mut ProtocolContext, from: &PublicKey, payload: &[u8]) {
        if let Ok(message) = postcard::from_bytes(payload) {
            self.hear(context, from, message);
        }
    }

    fn on_found(&mut self, context: &mut ProtocolContext, _: &ResourceId, resource: &Resource) {
        let terms: Option<Terms> = resource.data.as_ref().and_then(|data| postcard::from_bytes(data.as_bytes()).ok());
        self.known.retain(|_, terms| context.now.wall < terms.until);
        if let Some(terms) = terms.filter(|_| self.known.len() < MAX_ROUNDS) {
            self.known.insert(terms.id(), terms.clone());
            context.event(encode(&Event::Found(terms.id(), terms)));
        }
    }

    fn on_search_finished(&mut self, context: &mut ProtocolContext, _: Result<usize, CommandError>) {
        context.event(encode(&Event::SearchFinished));
    }

    fn on_timer(&mut self, context: &mut ProtocolContext, _: &Label) {
        self.go_on(context);
    }

    fn on_signature(&mut self, context: &mut ProtocolContext, name: &Label, signed: Result<Signature, CommandError>) {
        let Some((id, round)) = self.rounds.iter_mut().find(|(id, _)| hex(*id) == name.as_str()) else { return };
        let (Some(input), Ok(signature)) = (round.own_input(), signed) else { return };
        // One of an attempt before is none of this one.
        let is_signed = |(_, attempt): &&(u64, Attempt)| attempt.is_signed(input, &signature);
        let Some((number, _)) = round.attempt.as_ref().filter(is_signed) else { return };
        round.signatures.insert(input, signature);
        if round.is_creator() {
            round.finish(context, id);
        } else {
            context.send(round.terms.creator, encode(&Message::Sign(*id, *number, signature)));
        }
    }
}
