//! What all peers of a simulation share, and what the schedule does to each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nelumbo_core::api::{Command, Config, Limits, NewSession};
use nelumbo_core::crypto::{PublicKey, Suite, Tweak};
use nelumbo_core::wire::{Item, RecordKey};

use super::frame::{Frame, decode_records, encode_records};
use super::lifecycle::{INJECTION_INTERVAL, TimerKind};
use super::memory::Given;
use super::{Adversary, MakeSoftware, Observation, Peer, PeerContext, Services};
use crate::crypto::{Crypto, Meter};
use crate::engine::Nanos;
use crate::fork::Fork;
use crate::network::Transport;
use crate::random::Random;
use crate::schedule::{CryptoChoice, MILLISECOND, Misbehaviour, Schedule, ScheduledEvent, ServicesChoice, SuiteChoice};
use crate::services::gossipsub::{self, Gossipsub};
use crate::services::kademlia::{self, DialSettings, Kademlia, NodeIds, RoutingBehaviour};
use crate::services::{self, Dht, PubSub};

/// Up to how many nodes all are connected to all.
const FULL_MESH_MAX: u32 = 32;

/// When adversaries send nothing more of their own accord, at the latest, in milliseconds.
const FLOODS_END_MS: u64 = 60_000;

/// What all peers share.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) schedule: Schedule,
    /// Whether peers emit an observation for each event that arrives.
    pub(super) traced: bool,
    /// What nodes run beside signing.
    pub(super) software: Option<MakeSoftware>,
    /// Where the run leaves its schedule, if it does.
    fork: Option<Fork>,
    /// The names of all peers in the hash table, where it is Kademlia.
    node_ids: Arc<NodeIds>,
    /// Adversaries that have chosen names beside the key of a signer's record in the hash table.
    beside: Vec<u32>,
    /// Whether messages are lost, and the transport repeats presences.
    pub(super) retransmits_presences: bool,
    pub(super) limits: Limits,
    /// How many outputs may wait for the disk.
    pub(super) held: usize,
    /// Until when adversaries send messages of their own accord: floods end, so that runs do too.
    pub(super) injects_until: Nanos,
    config: Arc<Config>,
    by_node: BTreeMap<u32, Vec<(Nanos, usize)>>,
    contacts: BTreeMap<u32, BTreeSet<u32>>,
    copies: BTreeSet<u32>,
    /// Who is not there at the beginning: copies, and those who start later.
    late: BTreeSet<u32>,
    /// Machines that go back to what they were.
    resumed: BTreeSet<u32>,
}

impl Environment {
    pub(crate) fn new(schedule: Schedule, traced: bool) -> Self {
        let config = schedule.config().expect("`Schedule::check` refuses settings that make no node");
        let (mut by_node, mut contacts) = (BTreeMap::<u32, Vec<_>>::new(), BTreeMap::<u32, BTreeSet<u32>>::new());
        let (mut copies, mut late, mut resumed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (index, step) in schedule.steps.iter().enumerate() {
            if let Some(node) = step.event.node() {
                by_node.entry(node).or_default().push((step.at_ms * MILLISECOND, index));
            }
            match &step.event {
                ScheduledEvent::Create { signers, .. } if schedule.nodes > FULL_MESH_MAX => {
                    for signer in signers {
                        let others = signers.iter().filter(|other| *other != signer);
                        contacts.entry(*signer).or_default().extend(others);
                    }
                }
                ScheduledEvent::Fork { copy, .. } => {
                    copies.insert(*copy);
                    late.insert(*copy);
                }
                ScheduledEvent::Start { node } => drop(late.insert(*node)),
                ScheduledEvent::Resume { node, .. } => drop(resumed.insert(*node)),
                _ => {}
            }
        }
        let limits = config.limits;
        // Each session has at most two messages to each signer and some events behind a record.
        let held = limits.sessions.saturating_mul(300).max(1000);
        let injects_until = (schedule.healed_ms() + 20_000).min(FLOODS_END_MS) * MILLISECOND;
        let is_fair = !schedule.steps.iter().any(|step| matches!(step.event, ScheduledEvent::LinkConditions { .. }));
        let retransmits_presences = !is_fair && !schedule.loses_presences;
        let by_misbehaviour = |wanted: &[Misbehaviour]| -> BTreeSet<u32> {
            let all = schedule.steps.iter().filter_map(|step| match step.event {
                ScheduledEvent::Misbehaviour { node, misbehaviour, .. } if wanted.contains(&misbehaviour) => Some(node),
                _ => None,
            });
            all.collect()
        };
        let beside = by_misbehaviour(&[Misbehaviour::Eclipse, Misbehaviour::Poison]);
        // Adversaries that send messages of their own accord are connected to all signers, however many nodes there
        // are.
        let signers: BTreeSet<u32> = contacts.keys().copied().collect();
        for node in by_misbehaviour(&[
            Misbehaviour::Replay,
            Misbehaviour::Flood,
            Misbehaviour::Tamper,
            Misbehaviour::Sybils,
            Misbehaviour::Strangers,
            Misbehaviour::Pester,
        ]) {
            contacts.entry(node).or_default().extend(signers.iter().filter(|signer| **signer != node));
        }
        if schedule.discovery {
            contacts.clear();
        }
        Self {
            schedule,
            traced,
            software: None,
            fork: None,
            node_ids: Arc::default(),
            beside: beside.into_iter().collect(),
            retransmits_presences,
            limits,
            held,
            injects_until,
            config: Arc::new(config),
            by_node,
            contacts,
            copies,
            late,
            resumed,
        }
    }

    /// Lets nodes run this beside signing.
    pub(crate) fn with_software(self, software: Option<MakeSoftware>) -> Self {
        Self { software, ..self }
    }

    /// Lets the run leave its schedule.
    pub(crate) fn with_fork(self, fork: Option<Fork>) -> Self {
        Self { fork, ..self }
    }

    /// What random choices differ by at this time from those of the schedule.
    pub(super) fn key_at(&self, now: Nanos) -> u64 {
        self.fork.as_ref().map_or(0, |fork| fork.key_at(now))
    }

    /// The seed of what begins at this time.
    pub(super) fn seed_at(&self, now: Nanos) -> u64 {
        self.schedule.seed ^ self.key_at(now)
    }

    /// Gives the peers their names in the hash table. Adversaries choose theirs, beside the records of the first
    /// session's signers.
    pub(crate) fn with_node_ids<C: Crypto>(mut self) -> Self {
        if self.schedule.services != ServicesChoice::Modelled {
            return self;
        }
        let first = self.schedule.steps.iter().find_map(|step| match &step.event {
            ScheduledEvent::Create { signers, .. } => Some(signers.as_slice()),
            _ => None,
        });
        let victims = first.unwrap_or_default();
        let places: Vec<u64> = victims
            .iter()
            .map(|victim| services::hash(&RecordKey::Presence(self.key::<C>(*victim).1).to_string()))
            .collect();
        let chosen = self.beside.iter().zip(0_u64..).zip(places.iter().cycle());
        let chosen = chosen.map(|((node, count), place)| (*node, place ^ (count + 1))).collect();
        self.node_ids = Arc::new(NodeIds::with_chosen(self.schedule.nodes, chosen));
        self
    }

    pub(super) fn config(&self, exceeds_limits: bool) -> Arc<Config> {
        let mut config = self.config.clone();
        if exceeds_limits {
            let limits = &mut Arc::make_mut(&mut config).limits;
            (limits.sessions, limits.ended, limits.unapproved) =
                (4 * limits.sessions, 4 * limits.ended, 4 * limits.unapproved);
        }
        config
    }

    pub(super) fn meter(&self) -> Meter {
        if self.schedule.crypto == CryptoChoice::ToyCharged { Meter::counting() } else { Meter::default() }
    }

    /// A node's secret key and its public half.
    pub(crate) fn key<C: Crypto>(&self, node: u32) -> ([u8; 32], PublicKey) {
        let mut random = Random::stream(self.schedule.seed, "key", u64::from(node));
        loop {
            let secret = random.bytes32();
            if let Some(key) = C::public_key(&secret) {
                return (secret, key);
            }
        }
    }

    pub(super) fn contacts(&self, node: u32) -> BTreeSet<u32> {
        if self.schedule.nodes <= FULL_MESH_MAX && !self.schedule.discovery {
            return (0..self.schedule.nodes).filter(|other| *other != node).collect();
        }
        self.contacts.get(&node).cloned().unwrap_or_default()
    }

    /// The nodes that a node passes gossip on to. Among very many nodes there is no gossip, because their presences
    /// would outnumber everything else: presences go over connections alone. Nodes that know no others have none.
    fn neighbours(&self, node: u32) -> Vec<u32> {
        let nodes = self.schedule.nodes;
        if nodes > 256 || self.schedule.discovery {
            Vec::new()
        } else {
            services::neighbours(self.schedule.seed, node, nodes)
        }
    }

    /// A node's side of the network's services.
    pub(super) fn services(
        &self,
        node: u32,
        incarnation: u32,
        now: Nanos,
        adversary: Option<&Adversary>,
    ) -> Option<Box<Services>> {
        let (dht, pubsub) = match self.schedule.services {
            ServicesChoice::None => return None,
            ServicesChoice::Ideal => (Dht::ideal(self.schedule.nodes), PubSub::ideal(self.neighbours(node))),
            ServicesChoice::Modelled => {
                (self.kademlia(node, incarnation, now, adversary), self.gossip(node, incarnation, now))
            }
        };
        Some(Box::new(Services { routes: dht.peers(), dht, pubsub, armed: Nanos::MAX }))
    }

    /// A node's side of Kademlia. Without bootstrap nodes its routing table is as after a long time.
    fn kademlia(&self, node: u32, incarnation: u32, now: Nanos, adversary: Option<&Adversary>) -> Dht {
        let Schedule { bootstrap, transport, .. } = self.schedule;
        let seed = self.seed_at(now);
        let mut kademlia = Kademlia::new(node, self.node_ids.clone(), kademlia::Settings::default());
        if bootstrap > 0 {
            let contacts = (0..bootstrap).filter(|contact| *contact != node).collect();
            let random = Random::stream(seed, "refresh", u64::from(node) << 32 | u64::from(incarnation));
            // Streams make their own handshakes: what is left is to agree on the protocol.
            let round_trips = if transport == Transport::Datagram { DialSettings::default().round_trips } else { 1 };
            let dials = DialSettings { round_trips, ..DialSettings::default() };
            kademlia = kademlia.bootstrap(now, contacts, dials, random);
        } else {
            kademlia.fill_table(seed);
        }
        if adversary.is_some_and(|adversary| adversary.is(Misbehaviour::Eclipse)) {
            kademlia.set_behaviour(RoutingBehaviour::Eclipse(self.beside.clone()));
        } else if adversary.is_some_and(|adversary| adversary.is(Misbehaviour::Poison)) {
            kademlia.set_behaviour(RoutingBehaviour::Poison);
        }
        Dht::Kademlia(Box::new(kademlia))
    }

    fn gossip(&self, node: u32, incarnation: u32, now: Nanos) -> PubSub {
        let random = Random::stream(self.seed_at(now), "gossip", u64::from(node) << 32 | u64::from(incarnation));
        let gossip = Gossipsub::new(random, now, self.neighbours(node), gossipsub::Settings::default());
        PubSub::Gossipsub(Box::new(gossip))
    }

    pub(super) fn steps_of(&self, node: u32) -> impl Iterator<Item = (Nanos, usize)> {
        self.by_node.get(&node).into_iter().flatten().copied()
    }

    /// Whether this machine is not there at the beginning.
    pub(super) fn is_late(&self, node: u32) -> bool {
        self.late.contains(&node)
    }

    /// Whether this machine goes back to what it was, some time.
    pub(super) fn is_resumed(&self, node: u32) -> bool {
        self.resumed.contains(&node)
    }

    /// Whether this machine is a place for a copy of another.
    pub(super) fn is_copy(&self, node: u32) -> bool {
        self.copies.contains(&node)
    }
}

impl<C: Crypto> Peer<C> {
    /// Performs a step of the schedule at this peer.
    pub(super) fn on_step(&mut self, context: PeerContext<'_, '_>, step: usize) {
        let environment = self.environment.clone();
        let now = context.now();
        if environment.fork.as_ref().is_some_and(|fork| fork.omits(step)) {
            return;
        }
        match &environment.schedule.steps[step].event {
            ScheduledEvent::Create { signers, suite, items, .. } => self.create(context, step, signers, *suite, *items),
            ScheduledEvent::Crash { silent, .. } => self.crash(context, *silent),
            ScheduledEvent::Restart { .. } | ScheduledEvent::Start { .. } => self.boot(context),
            ScheduledEvent::Sleep { until_ms, .. } => self.fall_asleep(context, until_ms * MILLISECOND),
            ScheduledEvent::Owner { least_ms, most_ms, .. } => {
                let [least, most] = [*least_ms, *most_ms].map(|time| u32::try_from(time).unwrap_or(u32::MAX));
                self.application.owner_ms = (least, most);
            }
            ScheduledEvent::Device { nonces_ms, partials_ms, .. } => {
                self.plug_in((nonces_ms * MILLISECOND, partials_ms * MILLISECOND));
            }
            ScheduledEvent::Delegate { .. } => self.delegates = true,
            ScheduledEvent::DeviceAway { until_ms, .. } => self.unplug(context, until_ms * MILLISECOND),
            ScheduledEvent::DeviceRestart { .. } => self.restart_device(context),
            ScheduledEvent::Fork { copy, .. } => {
                let records = encode_records(&self.disk.records());
                let snapshot = Frame::Snapshot { node: self.index, records: &records }.encode();
                let busy = self.computes(context);
                context.send_aside(busy, *copy, &snapshot);
            }
            ScheduledEvent::Resume { since_ms, keeps_disk, open_nonces, .. } => {
                self.resume(context, since_ms * MILLISECOND, *keeps_disk, *open_nonces);
            }
            ScheduledEvent::Jump { ms, .. } => self.clock.ahead = self.clock.ahead.saturating_add(*ms),
            ScheduledEvent::Drift { ppm, .. } => {
                self.clock.set_drift(now, *ppm);
                self.armed = Nanos::MAX;
                self.arm(context);
            }
            ScheduledEvent::Disk { us, .. } => self.disk.delay = us * 1000,
            ScheduledEvent::DiskFull { until_ms, .. } => self.disk.full_until = until_ms * MILLISECOND,
            ScheduledEvent::Misbehaviour { misbehaviour, .. } => {
                let was_restless = self.adversary.as_ref().is_some_and(|adversary| adversary.is_active());
                match misbehaviour {
                    Misbehaviour::StoppedClock => self.clock.stop(now),
                    Misbehaviour::LosesRecords => self.disk.keep_undo(),
                    _ => {}
                }
                let adversary = self.adversary.get_or_insert_with(Box::<Adversary>::default);
                adversary.add(*misbehaviour);
                if !was_restless && adversary.is_active() && self.node.is_some() {
                    self.timer(context, INJECTION_INTERVAL, TimerKind::Inject, 0);
                }
            }
            ScheduledEvent::Partition { .. } | ScheduledEvent::LinkConditions { .. } => {}
        }
    }

    fn create(&mut self, context: PeerContext<'_, '_>, step: usize, signers: &[u32], suite: SuiteChoice, items: u32) {
        let suite = match suite {
            SuiteChoice::Lotus => Suite::Lotus,
            SuiteChoice::Bip340 => Suite::Bip340,
        };
        let keys = signers.iter().map(|signer| self.environment.key::<C>(*signer).1).collect();
        let mut messages = Random::stream(self.environment.schedule.seed, "message", step as u64);
        let mut session = NewSession::new(suite, keys, messages.bytes32().to_vec());
        session.election = self.environment.schedule.election;
        let more = (1..items).map(|_| Item::message(messages.bytes32().to_vec(), Tweak::None));
        session.items.extend(more);
        let command = Command::Create(Box::new(session));
        let asked = self.give(context.now(), Given::Command(command));
        context.emit(Observation::SessionRequested(asked.then(|| signers.to_vec())));
        self.settle(context);
    }

    /// This machine becomes a copy of another, as it was when the snapshot was taken.
    pub(super) fn adopt(&mut self, context: PeerContext<'_, '_>, node: u32, records: &[u8]) {
        if self.node.is_some() || !self.environment.is_copy(self.index) {
            return;
        }
        (self.secret, self.key) = self.environment.key::<C>(node);
        self.disk.adopt(decode_records(records).expect("a snapshot is what a peer sent"));
        self.boot(context);
    }
}
