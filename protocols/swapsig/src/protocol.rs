//! Pools as a protocol of a node.
//!
//! Owns the pools of a node, their records, the search for others, and what the embedder says and is told. Invariants:
//! one coin is in one pool; what is signed belongs to a pool that the embedder has entered. Its node drives it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nelumbo_core::api::{CommandError, Event as NodeEvent};
use nelumbo_core::approval::Summary;
use nelumbo_core::crypto::{Network, PublicKey, Signature};
use nelumbo_core::protocol::{Protocol, ProtocolContext};
use nelumbo_core::wire::{AbortReason, Data, Definition, Label, Resource, ResourceId, SessionId};
use serde::{Deserialize, Serialize};

use crate::book::Own;
use crate::chain::{Query, View};
use crate::content::{Destination, Message, Place};
use crate::plan::{DESCRIPTION, allowed};
use crate::pool::{Effect, Input, Phase, Pool, Signing, Status};
use crate::terms::{PoolFilter, PoolId, Terms};
use crate::{decode, encode};

/// How often a pool looks at the chain and asks for what it lacks.
const TICK: Duration = Duration::from_secs(3);
/// How many pools a node is in at once.
const MAX_POOLS: usize = 16;
/// How many pools of others are known.
const MAX_KNOWN: usize = 256;
/// How many coins are avoided.
const MAX_SPOILED: usize = 1_024;
const SPOILED: &str = "spoiled";

/// What the embedder wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A pool of its own, in which it takes part.
    CreatePool(Box<NewPool>),
    /// To take part in a pool that was found.
    JoinPool {
        /// The pool.
        pool: PoolId,
        /// The coin: paid to this node's key's hash, worth exactly [`Terms::coin`], with its burn beside it.
        coin: Place,
        /// Where the pool pays.
        destination: Destination,
    },
    /// To leave. Once everything of its own is signed, that costs a fee; once its setup is there, it is not possible.
    LeavePool(PoolId),
    /// To have the deposit back, once the delay is over. It comes back by itself too, if the settlement cannot have it.
    ReclaimDeposit(PoolId),
    /// To look for pools.
    DiscoverPools(PoolFilter),
    /// To be told where its pools stand, and which key is its own.
    Status,
    /// An answer to [`Event::Look`].
    Seen {
        /// The pool that has asked.
        pool: PoolId,
        /// What there is.
        view: View,
    },
}

/// A pool that is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPool {
    /// Its terms. Creator and time are filled in.
    pub terms: Terms,
    /// As for [`Command::JoinPool`].
    pub coin: Place,
    /// As for [`Command::JoinPool`].
    pub destination: Destination,
}

/// What the embedder is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The search has found a pool.
    Found(Box<Terms>),
    /// The search is over.
    SearchFinished,
    /// A pool of its own stands so now.
    Changed(Box<Status>),
    /// A pool of its own is over, and nothing is left to do.
    Over(Box<Status>),
    /// Where its pools stand.
    Pools {
        /// The key to whose hash coins have to be paid.
        key: PublicKey,
        /// The pools.
        pools: Vec<Status>,
    },
    /// A pool wants to know this of the chain: answer with [`Command::Seen`].
    Look {
        /// Which pool.
        pool: PoolId,
        /// What.
        query: Query,
    },
    /// A transaction is to be broadcast. It may be there already.
    Broadcast {
        /// Of which pool.
        pool: PoolId,
        /// The transaction.
        transaction: Vec<u8>,
    },
    /// What it wanted of this pool is under way: it has left, or takes its deposit back.
    Underway(PoolId),
    /// What it wanted was not done, and why.
    Refused(String),
}

impl Command {
    /// As [`nelumbo_core::api::Command::ProtocolCommand`] takes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

impl Event {
    /// What [`NodeEvent::ProtocolEvent`] says.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

/// The protocol.
#[derive(Debug)]
pub struct SwapSig {
    network: Network,
    pools: BTreeMap<PoolId, Pool>,
    known: BTreeMap<PoolId, Terms>,
    spoiled: Vec<Place>,
    sessions: BTreeMap<SessionId, PoolId>,
    /// Which of its pools are announced.
    announced: BTreeSet<PoolId>,
    filter: PoolFilter,
}

impl SwapSig {
    /// For keys of this network.
    #[must_use]
    pub const fn new(network: Network) -> Self {
        Self {
            network,
            pools: BTreeMap::new(),
            known: BTreeMap::new(),
            spoiled: Vec::new(),
            sessions: BTreeMap::new(),
            announced: BTreeSet::new(),
            filter: PoolFilter { denomination: None, min_participants: None, max_delay: None, open_at: None },
        }
    }

    fn command(&mut self, context: &mut ProtocolContext, command: Command) -> Result<(), String> {
        match command {
            Command::CreatePool(new) => {
                let NewPool { mut terms, coin, destination } = *new;
                (terms.network, terms.creator, terms.created_at) = (self.network, context.own_key, context.now.wall);
                self.enter(context, terms.clone(), coin, destination)?;
                self.announce(context, &terms);
            }
            Command::JoinPool { pool, coin, destination } => {
                let unknown = || format!("there is no pool {pool} among those that were found; look for pools first");
                let terms = self.known.get(&pool).cloned().ok_or_else(unknown)?;
                if context.now.wall >= terms.registered_until() {
                    return Err(format!("the time to register for {pool} is over; look for another pool"));
                }
                self.enter(context, terms, coin, destination)?;
            }
            Command::LeavePool(pool) => {
                let own = self.own(pool)?;
                if !own.can_leave() {
                    return Err(format!("the deposit in {pool} is made; otherwise {}", own.status().otherwise()));
                }
                self.drive(context, pool, Input::Leave);
                context.event(encode(&Event::Underway(pool)));
            }
            Command::ReclaimDeposit(pool) => {
                let status = self.own(pool)?.status();
                match status.blocks_left {
                    Some(0) => {
                        self.drive(context, pool, Input::Reclaim);
                        context.event(encode(&Event::Underway(pool)));
                    }
                    Some(blocks) => {
                        return Err(format!(
                            "the delay of {pool} is over in {blocks} blocks; until then others can settle"
                        ));
                    }
                    None => {
                        let Status { phase, .. } = status;
                        return Err(format!("in {pool} ({phase}) this node has no deposit that it could take back"));
                    }
                }
            }
            Command::DiscoverPools(filter) => {
                self.filter = filter;
                context.search();
            }
            Command::Status => {
                let pools = self.pools.values().map(Pool::status).collect();
                context.event(encode(&Event::Pools { key: context.own_key, pools }));
            }
            Command::Seen { pool, view } => self.drive(context, pool, Input::View(view)),
        }
        Ok(())
    }

    fn own(&self, pool: PoolId) -> Result<&Pool, String> {
        self.pools.get(&pool).ok_or_else(|| format!("this node is in no pool {pool}"))
    }

    fn enter(
        &mut self,
        context: &mut ProtocolContext,
        terms: Terms,
        coin: Place,
        destination: Destination,
    ) -> Result<(), String> {
        let id = terms.id();
        terms.check().map_err(|error| error.to_string())?;
        if !destination.is_standard() {
            return Err("the destination is no address that nodes pay to; give another one".into());
        }
        if self.pools.contains_key(&id) {
            return Err(format!("this node is in {id} already"));
        }
        if self.pools.values().any(|pool| pool.own().coin == coin && pool.needs_coin()) {
            return Err("this coin is in another pool; make another one, or leave that pool first".into());
        }
        if self.pools.len() >= MAX_POOLS {
            return Err(format!("this node is in {MAX_POOLS} pools; wait for one to end"));
        }
        let own = Own { key: context.own_key, coin, destination };
        let mut pool = Pool::new(terms, own);
        pool.avoid(self.spoiled.iter().copied().collect());
        self.pools.insert(id, pool);
        self.drive(context, id, Input::Tick);
        self.wake(context);
        Ok(())
    }

    fn announce(&mut self, context: &mut ProtocolContext, terms: &Terms) {
        let lifetime = Duration::from_secs(terms.registration.into());
        context.announce(label(&terms.id().to_string()), Data::new(encode(terms)), lifetime);
        self.announced.insert(terms.id());
    }

    fn wake(&self, context: &mut ProtocolContext) {
        if !self.pools.is_empty() {
            // Without room for one timer nothing at all happens in time, and the embedder has to know.
            if let Err(error) = context.set_timer(label("tick"), TICK) {
                context.event(encode(&Event::Refused(error.to_string())));
            }
        }
    }

    /// Tells a pool, and does what it wants.
    fn drive(&mut self, context: &mut ProtocolContext, id: PoolId, input: Input) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        for effect in pool.handle(context.now.wall, input) {
            match effect {
                Effect::Persist(record) => {
                    if let Err(error) = context.persist(label(&id.to_string()), record) {
                        // What follows would be said without a record of it.
                        return context.event(encode(&Event::Refused(error.to_string())));
                    }
                }
                Effect::Send(to, content) => context.send(to, Message { pool: id, content }.to_bytes()),
                Effect::Sign(signing, single) => context.sign(sign_name(id, signing), *single, allowed()),
                Effect::Create(session) => context.create(label(&id.to_string()), *session),
                Effect::Join(session) => {
                    self.sessions.insert(session, id);
                    context.join(session, allowed());
                }
                Effect::Refuse(session) => context.abort(session, AbortReason::Declined),
                Effect::Look(query) => context.event(encode(&Event::Look { pool: id, query })),
                Effect::Broadcast(transaction) => context.event(encode(&Event::Broadcast { pool: id, transaction })),
                Effect::Told(status) => {
                    spoil(&mut self.spoiled, context, &status.spoiled);
                    if status.phase > Phase::Registration && self.announced.remove(&id) {
                        context.announce(label(&id.to_string()), None, TICK);
                    }
                    context.event(encode(&Event::Changed(status)));
                }
                Effect::Over(status) => {
                    spoil(&mut self.spoiled, context, &status.spoiled);
                    if self.announced.remove(&id) {
                        context.announce(label(&id.to_string()), None, TICK);
                    }
                    context.remove_record(&label(&id.to_string()));
                    context.event(encode(&Event::Over(status)));
                }
            }
        }
        if self.pools.get(&id).is_some_and(Pool::is_over) {
            self.pools.remove(&id);
            self.sessions.retain(|_, pool| *pool != id);
        }
    }

    /// Whom a session belongs to; every pool where that is not known any more.
    fn pools_of(&self, session: &SessionId) -> Vec<PoolId> {
        self.sessions.get(session).map_or_else(|| self.pools.keys().copied().collect(), |pool| vec![*pool])
    }
}

impl Protocol for SwapSig {
    fn name(&self) -> Label {
        label("swapsig")
    }

    fn on_registered(&mut self, context: &mut ProtocolContext) {
        let records: Vec<(Label, Vec<u8>)> =
            context.records().map(|(name, record)| (name.clone(), record.to_vec())).collect();
        for (name, record) in records {
            if name.as_str() == SPOILED {
                self.spoiled = decode(&record).unwrap_or_default();
            } else if let Some(pool) = Pool::restored(&record) {
                self.pools.insert(pool.id(), pool);
            }
        }
        let spoiled: BTreeSet<Place> = self.spoiled.iter().copied().collect();
        self.pools.values_mut().for_each(|pool| pool.avoid(spoiled.clone()));
        let is_open = |pool: &&Pool| pool.phase() == Phase::Registration && pool.terms().creator == context.own_key;
        let open: Vec<Terms> = self.pools.values().filter(is_open).map(|pool| pool.terms().clone()).collect();
        open.iter().for_each(|terms| self.announce(context, terms));
        self.wake(context);
    }

    fn accepts_message(&self, _: &PublicKey, payload: &[u8]) -> bool {
        Message::from_bytes(payload).is_some()
    }

    fn accepts_resource(&self, author: &PublicKey, resource: &Resource) -> bool {
        let Some(data) = &resource.data else { return true };
        let terms: Option<Terms> = decode(data.as_bytes());
        terms.is_some_and(|terms| {
            terms.creator == *author && terms.id().to_string() == resource.name.as_str() && terms.check().is_ok()
        })
    }

    fn on_message(&mut self, context: &mut ProtocolContext, from: &PublicKey, payload: &[u8]) {
        let Some(Message { pool, content }) = Message::from_bytes(payload) else { return };
        self.drive(context, pool, Input::Message(*from, content));
    }

    fn on_command(&mut self, context: &mut ProtocolContext, payload: &[u8]) {
        let command = decode(payload).ok_or_else(|| "this is no command of swapsig".to_owned());
        if let Err(why) = command.and_then(|command| self.command(context, command)) {
            context.event(encode(&Event::Refused(why)));
        }
    }

    fn on_found(&mut self, context: &mut ProtocolContext, _: &ResourceId, resource: &Resource) {
        let terms = resource.data.as_ref().and_then(|data| decode::<Terms>(data.as_bytes()));
        let Some(terms) = terms.filter(|terms| terms.network == self.network && self.filter.takes(terms)) else {
            return;
        };
        let now = context.now.wall;
        self.known.retain(|_, known| now < known.registered_until());
        if self.known.len() < MAX_KNOWN {
            self.known.insert(terms.id(), terms.clone());
            context.event(encode(&Event::Found(Box::new(terms))));
        }
    }

    fn on_search_finished(&mut self, context: &mut ProtocolContext, _: Result<usize, CommandError>) {
        context.event(encode(&Event::SearchFinished));
    }

    fn on_timer(&mut self, context: &mut ProtocolContext, _: &Label) {
        let pools: Vec<PoolId> = self.pools.keys().copied().collect();
        pools.into_iter().for_each(|pool| self.drive(context, pool, Input::Tick));
        self.wake(context);
    }

    fn on_created(&mut self, context: &mut ProtocolContext, name: &Label, created: Result<SessionId, CommandError>) {
        let Ok(id) = name.as_str().parse::<PoolId>() else { return };
        let session = created.ok();
        self.sessions.extend(session.map(|session| (session, id)));
        self.drive(context, id, Input::Created(session));
    }

    fn on_announced(
        &mut self,
        context: &mut ProtocolContext,
        session: &SessionId,
        definition: &Definition,
        _: &Summary,
    ) -> bool {
        let words = definition.details.description.as_str().strip_prefix(DESCRIPTION).unwrap_or_default();
        let id = words.split(' ').next().and_then(|id| id.parse::<PoolId>().ok());
        let Some(id) = id.filter(|id| self.pools.contains_key(id)) else { return false };
        self.sessions.insert(*session, id);
        self.drive(context, id, Input::Announced(*session, Box::new(definition.clone())));
        true
    }

    fn on_session(&mut self, context: &mut ProtocolContext, session: &SessionId, event: &NodeEvent) {
        let input = match event {
            NodeEvent::SessionCompleted { signatures, .. } => Input::Completed(*session, signatures.clone()),
            NodeEvent::SessionAborted { .. } | NodeEvent::SessionExpired { .. } | NodeEvent::SessionClosed { .. } => {
                Input::Ended(*session)
            }
            _ => return,
        };
        for pool in self.pools_of(session) {
            self.drive(context, pool, input.clone());
        }
        // The settlement is everybody's to broadcast, and it is not this signature alone that makes it.
        if matches!(input, Input::Completed(..)) {
            context.confirm_broadcast(*session);
        } else {
            self.sessions.remove(session);
        }
    }

    fn on_signature(&mut self, context: &mut ProtocolContext, name: &Label, signed: Result<Signature, CommandError>) {
        let found = self.pools.keys().find_map(|id| {
            let signing = Signing::ALL.into_iter().find(|signing| sign_name(*id, *signing) == *name)?;
            Some((*id, signing))
        });
        if let Some((id, signing)) = found {
            self.drive(context, id, Input::Signed(signing, signed.ok()));
        }
    }

    fn on_refused(&mut self, context: &mut ProtocolContext, session: &SessionId, _: &CommandError) {
        for pool in self.pools_of(session) {
            self.drive(context, pool, Input::Ended(*session));
        }
    }
}

fn label(text: &str) -> Label {
    text.parse().expect("hexadecimal digits and words are labels")
}

/// Under which name a pool has something signed.
fn sign_name(pool: PoolId, signing: Signing) -> Label {
    label(&format!("{}-{}", signing.letter(), &pool.to_string()[..62]))
}

/// Coins that are avoided from now on; the oldest make room.
fn spoil(known: &mut Vec<Place>, context: &mut ProtocolContext, coins: &BTreeSet<Place>) {
    let before = known.len();
    known.extend(coins.iter().filter(|coin| !known.contains(coin)).copied().collect::<Vec<_>>());
    if known.len() == before {
        return;
    }
    known.drain(..known.len().saturating_sub(MAX_SPOILED));
    if let Err(error) = context.persist(label(SPOILED), encode(known)) {
        context.event(encode(&Event::Refused(error.to_string())));
    }
}
