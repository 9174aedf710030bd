//! Some nodes on a network, each with a desk in place of its core.
//!
//! Owns what nodes have been told and how they judge. Invariant: waiting ends, when something has happened or when
//! nothing happens for longer than anything may take. Driven by the promises.

use std::time::Duration;

use nelumbo_core::api::{GossipId, Input, OperationId, Refusal, Subnet, Topic, Verdict};
use nelumbo_core::base::Bytes;
use nelumbo_core::host::Host;
use nelumbo_core::wire::{Address, PeerId};

/// Longer than anything takes, in the network's own time.
const PATIENCE: Duration = Duration::from_secs(30);
/// After how long something is tried again.
const MOMENT: Duration = Duration::from_millis(50);
/// How often it is tried.
const TRIES: usize = 600;
/// No promise takes as many inputs.
const INPUTS: usize = 100_000;
/// How long what is kept is kept, unless that is the question.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Who knows whom at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nodes with nobody to store records at; each passes gossip on to its neighbours in a line.
    Line,
    /// Nodes that store records for each other.
    Crowd,
}

/// A network under test.
pub(crate) trait Wire {
    /// Starts nodes that are not connected.
    fn start(shape: Shape, nodes: usize) -> Self;
    /// A node's name.
    fn peer(&self, node: usize) -> PeerId;
    /// The subnet that a node's connections come from, if the network has subnets.
    fn subnet(&self, node: usize) -> Option<Subnet>;
    /// Lets a node ask for something, as its core would.
    fn act(&mut self, node: usize, act: impl FnOnce(&mut dyn Host));
    /// The next thing that a node is told; `None` when for so long there is nothing to tell.
    fn next(&mut self, patience: Duration) -> Option<(usize, Input)>;
    /// A node's process ends.
    fn stop(&mut self, node: usize);
    /// It starts again, as the same peer at the same place.
    fn restart(&mut self, node: usize);
}

/// What becomes of an offer, by the node, what it keeps and what it is offered.
type Keep = Box<dyn FnMut(usize, Option<&Bytes>, &Bytes) -> Option<Bytes>>;
/// What becomes of a publication, by the node that is told; nothing yet when there is no verdict.
type Judge = Box<dyn FnMut(usize, &[u8]) -> Option<Verdict>>;

/// See the module's documentation.
pub(crate) struct Nodes<W> {
    pub(crate) wire: W,
    /// What each node has been told so far.
    pub(crate) told: Vec<Vec<Input>>,
    pub(crate) keep: Keep,
    pub(crate) judge: Judge,
    pub(crate) lifetime: Duration,
    operations: u64,
}

impl<W: Wire> Nodes<W> {
    /// Nodes that know where the others are, and are not connected.
    pub(crate) fn strangers(shape: Shape, count: usize) -> Self {
        let mut nodes = Self {
            wire: W::start(shape, count),
            told: vec![Vec::new(); count],
            keep: Box::new(|_, _, offered| Some(offered.clone())),
            judge: Box::new(|_, _| Some(Verdict::Accept)),
            lifetime: HOUR,
            operations: 0,
        };
        nodes
            .until("each node is told its addresses", |nodes| (0..count).all(|node| !nodes.addresses(node).is_empty()));
        nodes
    }

    /// Nodes of which each is connected to the next.
    pub(crate) fn line(count: usize) -> Self {
        let mut nodes = Self::strangers(Shape::Line, count);
        (1..count).for_each(|node| nodes.dial(node - 1, node));
        nodes.until("neighbours are connected", |nodes| (1..count).all(|node| nodes.are_connected(node - 1, node)));
        nodes
    }

    /// The same, all in this topic, and so far that a publication of the first reaches the last.
    pub(crate) fn line_in(topic: &Topic, count: usize) -> Self {
        let mut nodes = Self::line(count);
        (0..count).for_each(|node| nodes.act(node, |host| host.subscribe(topic.clone())));
        // Nobody is told who has subscribed where.
        for number in 0..TRIES {
            nodes.act(0, |host| host.publish(topic.clone(), format!("is anybody there? {number}").into_bytes().into()));
            nodes.pass(MOMENT);
            if nodes.publications(count - 1).next().is_some() {
                return nodes;
            }
        }
        panic!("the last node is told nothing of what the first one publishes");
    }

    /// Nodes that are all connected and can route to each other.
    pub(crate) fn crowd(count: usize) -> Self {
        let mut nodes = Self::strangers(Shape::Crowd, count);
        let pairs: Vec<_> = (0..count).flat_map(|from| (from + 1..count).map(move |to| (from, to))).collect();
        pairs.iter().for_each(|(from, to)| nodes.dial(*from, *to));
        nodes.until("all know each other", |nodes| {
            let routes = |node: usize| {
                nodes.told[node].iter().rev().find_map(|input| match input {
                    Input::RoutingTable(peers) => Some(*peers),
                    _ => None,
                })
            };
            let know = (0..count).all(|node| routes(node) == Some(count - 1));
            know && pairs.iter().all(|(from, to)| nodes.are_connected(*from, *to))
        });
        nodes
    }

    pub(crate) fn peer(&self, node: usize) -> PeerId {
        self.wire.peer(node)
    }

    pub(crate) fn act(&mut self, node: usize, act: impl FnOnce(&mut dyn Host)) {
        self.wire.act(node, act);
    }

    pub(crate) fn dial(&mut self, from: usize, to: usize) {
        let (peer, addresses) = (self.peer(to), self.addresses(to));
        self.act(from, |host| host.dial(peer, addresses));
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let peer = self.peer(to);
        self.act(from, |host| host.send(peer, bytes.into()));
    }

    pub(crate) fn publish(&mut self, node: usize, topic: &Topic, bytes: &[u8]) {
        self.act(node, |host| host.publish(topic.clone(), bytes.into()));
    }

    pub(crate) fn store(&mut self, node: usize, key: &str, value: &Bytes) {
        let lifetime = self.lifetime;
        self.act(node, |host| host.store(key.to_owned(), value.clone(), lifetime));
    }

    pub(crate) fn begin_lookup(&mut self, node: usize, key: &str) -> OperationId {
        self.operations += 1;
        let operation = OperationId(self.operations);
        self.act(node, |host| host.lookup(operation, key.to_owned()));
        operation
    }

    /// Looks a record up, and waits for the end of that.
    pub(crate) fn lookup(&mut self, node: usize, key: &str) -> Vec<Bytes> {
        let operation = self.begin_lookup(node, key);
        self.until("the lookup ends", |nodes| nodes.told[node].contains(&Input::LookupFinished(operation)));
        self.found(node, operation)
    }

    /// Looks a record up again and again: what was stored need not be there at once, and not everywhere.
    pub(crate) fn lookup_until(&mut self, node: usize, key: &str, what: &str, mut is_it: impl FnMut(&[Bytes]) -> bool) {
        let mut found = Vec::new();
        for _ in 0..TRIES {
            found = self.lookup(node, key);
            if is_it(&found) {
                return;
            }
            self.pass(MOMENT);
        }
        panic!("{what}: it is not found, but {found:?}");
    }

    /// Waits until something is true of what nodes have been told.
    pub(crate) fn until(&mut self, what: &str, mut is_it: impl FnMut(&Self) -> bool) {
        for _ in 0..INPUTS {
            if is_it(self) {
                return;
            }
            let Some((node, input)) = self.wire.next(PATIENCE) else { break };
            self.take(node, input);
        }
        panic!("{what}: it does not happen; told was {:?}", self.told);
    }

    /// Lets what happens happen, until for this long nothing does.
    pub(crate) fn pass(&mut self, time: Duration) {
        for _ in 0..INPUTS {
            let Some((node, input)) = self.wire.next(time) else { return };
            self.take(node, input);
        }
        panic!("there is no end of it");
    }

    fn take(&mut self, node: usize, input: Input) {
        match &input {
            Input::PutRequested { id, bytes, stored, .. } => {
                let (id, kept, lifetime) = (*id, (self.keep)(node, stored.as_ref(), bytes), self.lifetime);
                self.act(node, |host| match kept {
                    Some(value) => host.accept_record(id, value, lifetime),
                    None => host.reject_record(id, Refusal::RecordKey),
                });
            }
            Input::Gossip { id, bytes, .. } => {
                let (id, verdict): (GossipId, _) = (*id, (self.judge)(node, bytes));
                if let Some(verdict) = verdict {
                    self.act(node, |host| host.verdict(id, verdict));
                }
            }
            _ => {}
        }
        self.told[node].push(input);
    }

    /// The addresses that a node was told last.
    pub(crate) fn addresses(&self, node: usize) -> Vec<Address> {
        let told = self.told[node].iter().rev().find_map(|input| match input {
            Input::Addresses(addresses) => Some(addresses.clone()),
            _ => None,
        });
        told.unwrap_or_default()
    }

    /// Whether a node takes another for connected.
    pub(crate) fn is_connected(&self, node: usize, other: usize) -> bool {
        let peer = self.peer(other);
        let last = self.told[node]
            .iter()
            .rev()
            .find(|input| matches!(input, Input::Connected(of) | Input::Disconnected(of) if *of == peer));
        matches!(last, Some(Input::Connected(_)))
    }

    pub(crate) fn are_connected(&self, one: usize, other: usize) -> bool {
        self.is_connected(one, other) && self.is_connected(other, one)
    }

    /// The messages that a node has received.
    pub(crate) fn received(&self, node: usize) -> impl Iterator<Item = (PeerId, &Bytes)> {
        self.told[node].iter().filter_map(|input| match input {
            Input::Received { from, bytes } => Some((*from, bytes)),
            _ => None,
        })
    }

    /// Whether a node has received this.
    pub(crate) fn has_received(&self, node: usize, bytes: &[u8]) -> bool {
        self.received(node).any(|(_, received)| received[..] == *bytes)
    }

    /// What a node was told of by gossip, with who passed it on.
    pub(crate) fn publications(&self, node: usize) -> impl Iterator<Item = (PeerId, &Bytes)> {
        self.told[node].iter().filter_map(|input| match input {
            Input::Gossip { from, bytes, .. } => Some((*from, bytes)),
            _ => None,
        })
    }

    /// How often a node was told of this by gossip.
    pub(crate) fn heard(&self, node: usize, bytes: &[u8]) -> usize {
        self.publications(node).filter(|(_, heard)| heard[..] == *bytes).count()
    }

    /// What a lookup has found so far.
    pub(crate) fn found(&self, node: usize, lookup: OperationId) -> Vec<Bytes> {
        let found = self.told[node].iter().filter_map(|input| match input {
            Input::Found { operation, bytes } if *operation == lookup => Some(bytes.clone()),
            _ => None,
        });
        found.collect()
    }

    /// What a node was asked to keep under a key, with what it kept then.
    pub(crate) fn offers(&self, node: usize, under: &str) -> impl Iterator<Item = (Option<&Bytes>, &Bytes)> {
        self.told[node].iter().filter_map(move |input| match input {
            Input::PutRequested { key, bytes, stored, .. } if key == under => Some((stored.as_ref(), bytes)),
            _ => None,
        })
    }
}
