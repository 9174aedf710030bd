//! A model checker for discovery: it tries everything that can happen while a few nodes announce themselves and search
//! for each other.
//!
//! The first node announces: it offers to sign, changes or withdraws its offer, moves to other addresses. The last one
//! searches, or wants a session with the first. What is announced goes by gossip to every node, over connections, and
//! into a DHT in which every node keeps what it accepts; a lookup is answered by any of them, in any order, with old or
//! new records, and ends at any time. From every state the fair continuation is followed: what is in flight arrives,
//! lookups are answered and end, dials succeed, and time passes.
//!
//! What is left out: renewals after half a lifetime, steps of sessions, crashes, and lookups of names that nobody
//! stores, which end at once.

mod nodes;
mod test_node;

use nelumbo_core::wire::RecordKey;

use super::search::{self, State};
use super::{Counts, Violation};
use nodes::{NameId, NodeInput, NodeStateId, Nodes, Transition, ValueId};

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryScope {
    /// How many nodes, from 2 to 8.
    pub nodes: u8,
    /// How many offers the first node makes, one after the other.
    pub offers: u8,
    /// How many times it withdraws its offer.
    pub withdrawals: u8,
    /// How many times its address changes.
    pub moves: u8,
    /// How many searches the last node begins.
    pub searches: u8,
    /// How many sessions with the first node the last one wants.
    pub sessions: u8,
    /// How many messages and puts are lost.
    pub losses: u8,
    /// How many arrive twice.
    pub duplicates: u8,
    /// How many connections are lost.
    pub disconnections: u8,
    /// How many timers fire out of turn.
    pub timers: u8,
    /// A fault that is put into the nodes on purpose, to test that it is found.
    pub fault: Option<DiscoveryFault>,
}

/// A fault that is put into the nodes on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryFault {
    /// A node forgets the announcements that it knows, and takes older ones for new.
    Forgets,
    /// Nodes sign as many announcements as they want.
    NoQuota,
    /// Time does not pass, and no lookup ends.
    NoTime,
}

/// Explores every state that discovery can reach within these bounds.
///
/// # Errors
/// The first violation, on one of the shortest paths.
///
/// # Panics
/// For a scope with fewer than 2 nodes or more than 8.
pub fn explore_discovery(scope: &DiscoveryScope) -> Result<Counts, Violation> {
    assert!((2..=8).contains(&scope.nodes), "from 2 to 8 nodes");
    let mut nodes = Nodes::new(*scope);
    let start = DiscoveryState::start(&mut nodes);
    search::explore(start, nodes)
}

/// A state of all nodes, their connections and the messages between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct DiscoveryState {
    nodes: Vec<NodeStateId>,
    /// Sorted, each once.
    in_flight: Vec<Item>,
    /// Lookups under way, and by which nodes each has been answered; sorted.
    lookups: Vec<(u8, NameId, u8)>,
    /// What each node stores for others; sorted by name.
    stored: Vec<Vec<(NameId, ValueId)>>,
    /// Connected pairs, the lower number first; sorted.
    connections: Vec<(u8, u8)>,
    budget: Budget,
}

/// A message or a record in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Item {
    Gossip { from: u8, to: u8, value: ValueId },
    Direct { from: u8, to: u8, value: ValueId },
    Put { from: u8, to: u8, name: NameId, value: ValueId },
    Dial { from: u8, to: u8 },
}

/// How many disturbances may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Budget {
    offers: u8,
    withdrawals: u8,
    moves: u8,
    searches: u8,
    sessions: u8,
    losses: u8,
    duplicates: u8,
    disconnections: u8,
    timers: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// An item arrives, and with `duplicate` is still in flight.
    Deliver {
        item: Item,
        duplicate: bool,
    },
    Lose(Item),
    /// A lookup is answered with what a node stores.
    Answer {
        node: u8,
        name: NameId,
        holder: u8,
    },
    Finish {
        node: u8,
        name: NameId,
    },
    Disconnect(u8, u8),
    Advertise,
    Withdraw,
    Move,
    FindSigners,
    Create,
    /// A node's next timer fires.
    Timer(u8),
    /// This many nanoseconds pass at every node.
    Pass(u64),
    Forget(u8),
}

impl DiscoveryState {
    /// Nodes that are not connected. Only where a session is wanted has the first one's presence left it.
    fn start(nodes: &mut Nodes) -> Result<Self, String> {
        let scope = *nodes.scope();
        let DiscoveryScope { offers, withdrawals, moves, searches, sessions, losses, duplicates, .. } = scope;
        let (disconnections, timers) = (scope.disconnections, scope.timers);
        let budget =
            Budget { offers, withdrawals, moves, searches, sessions, losses, duplicates, disconnections, timers };
        let mut state = Self {
            nodes: Vec::new(),
            in_flight: Vec::new(),
            lookups: Vec::new(),
            stored: vec![Vec::new(); usize::from(scope.nodes)],
            connections: Vec::new(),
            budget,
        };
        let first = (0..scope.nodes).map(|node| nodes.first(node)).collect::<Result<Vec<_>, _>>()?;
        state.nodes = first.iter().map(|transition| transition.next).collect();
        if sessions > 0 {
            state.take(0, &first[0]);
        }
        Ok(state)
    }

    fn count(&self) -> u8 {
        self.nodes.len() as u8
    }

    fn last(&self) -> u8 {
        self.count() - 1
    }

    fn input(&mut self, nodes: &mut Nodes, node: u8, input: NodeInput) -> Result<Option<ValueId>, String> {
        let transition = nodes.step(self.nodes[usize::from(node)], input)?;
        self.nodes[usize::from(node)] = transition.next;
        self.take(node, &transition);
        Ok(transition.accepted)
    }

    /// Adds the messages that a node has sent and the lookups that it has begun.
    fn take(&mut self, from: u8, transition: &Transition) {
        let others = (0..self.count()).filter(|to| *to != from);
        let gossip = transition.gossip.iter().flat_map(|value| {
            let value = *value;
            others.clone().map(move |to| Item::Gossip { from, to, value })
        });
        let puts = transition.puts.iter().flat_map(|(name, value)| {
            let (name, value) = (*name, *value);
            others.clone().map(move |to| Item::Put { from, to, name, value })
        });
        let sends = transition.sends.iter().map(|(to, value)| Item::Direct { from, to: *to, value: *value });
        let dials = transition.dials.iter().map(|to| Item::Dial { from, to: *to });
        let items: Vec<Item> = gossip.chain(puts).chain(sends).chain(dials).collect();
        items.into_iter().for_each(|item| self.launch(item));
        for name in &transition.lookups {
            if !self.lookups.iter().any(|(node, known, _)| (node, known) == (&from, name)) {
                self.lookups.push((from, *name, 0));
            }
        }
        self.lookups.sort_unstable();
    }

    fn launch(&mut self, item: Item) {
        if let Err(place) = self.in_flight.binary_search(&item) {
            self.in_flight.insert(place, item);
        }
    }

    fn deliver(&mut self, nodes: &mut Nodes, item: Item) -> Result<(), String> {
        match item {
            Item::Gossip { from, to, value } => drop(self.input(nodes, to, NodeInput::Gossip(from, value))?),
            Item::Direct { from, to, value } => {
                if self.connections.contains(&pair(from, to)) {
                    self.input(nodes, to, NodeInput::Direct(from, value))?;
                }
            }
            Item::Put { from, to, name, value } => self.put(nodes, from, to, (name, value))?,
            Item::Dial { from, to } => {
                if let Err(place) = self.connections.binary_search(&pair(from, to)) {
                    self.connections.insert(place, pair(from, to));
                    self.input(nodes, from, NodeInput::Connected(to))?;
                    self.input(nodes, to, NodeInput::Connected(from))?;
                }
            }
        }
        Ok(())
    }

    /// Asks a node to store a record, and checks that an older one never replaces a newer one.
    fn put(&mut self, nodes: &mut Nodes, from: u8, to: u8, (name, value): (NameId, ValueId)) -> Result<(), String> {
        let at = usize::from(to);
        let stored = self.stored[at].iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let Some(accepted) = self.input(nodes, to, NodeInput::Put(from, name, value, stored))? else { return Ok(()) };
        if let (Some(before), Some(after)) =
            (stored.and_then(|stored| nodes.issued_at(stored)), nodes.issued_at(accepted))
            && after < before
        {
            return Err(format!("node {to} stores an older record in place of a newer one: {}", nodes.name(name)));
        }
        self.stored[at].retain(|(known, _)| *known != name);
        self.stored[at].push((name, accepted));
        self.stored[at].sort_unstable();
        Ok(())
    }

    /// The value that a node stores under a name.
    fn stored_at(&self, holder: u8, name: NameId) -> Option<ValueId> {
        self.stored[usize::from(holder)].iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The nodes that can answer a lookup and have not done so yet.
    fn holders(&self, (_, name, answered): (u8, NameId, u8)) -> impl Iterator<Item = u8> {
        let is_holder = move |holder: &u8| answered >> holder & 1 == 0 && self.stored_at(*holder, name).is_some();
        (0..self.count()).filter(is_holder)
    }
}

impl State for DiscoveryState {
    type Shared = Nodes;
    type Step = Step;

    fn without_disturbances(&self) -> Self {
        Self { budget: Budget::default(), ..self.clone() }
    }

    fn steps(&self, nodes: &Nodes) -> Vec<Step> {
        let budget = self.budget;
        let mut steps = Vec::new();
        for item in self.in_flight.iter().copied() {
            steps.push(Step::Deliver { item, duplicate: false });
            let is_dial = matches!(item, Item::Dial { .. });
            steps.extend((budget.duplicates > 0 && !is_dial).then_some(Step::Deliver { item, duplicate: true }));
            steps.extend((budget.losses > 0).then_some(Step::Lose(item)));
        }
        for lookup in self.lookups.iter().copied() {
            let (node, name, _) = lookup;
            steps.extend(self.holders(lookup).map(|holder| Step::Answer { node, name, holder }));
            steps.push(Step::Finish { node, name });
        }
        let disconnections = self.connections.iter().filter(|_| budget.disconnections > 0);
        steps.extend(disconnections.map(|(one, other)| Step::Disconnect(*one, *other)));
        steps.extend((budget.offers > 0).then_some(Step::Advertise));
        let has_offered = budget.offers < nodes.scope().offers;
        steps.extend((budget.withdrawals > 0 && has_offered).then_some(Step::Withdraw));
        steps.extend((budget.moves > 0).then_some(Step::Move));
        steps.extend((budget.searches > 0).then_some(Step::FindSigners));
        steps.extend((budget.sessions > 0).then_some(Step::Create));
        for (node, state) in (0..).zip(&self.nodes) {
            let has_timer = nodes.summary(*state).deadline.is_some();
            steps.extend((budget.timers > 0 && has_timer).then_some(Step::Timer(node)));
        }
        let forgets = nodes.scope().fault == Some(DiscoveryFault::Forgets);
        steps.extend(forgets.then_some(Step::Forget(self.last())));
        steps
    }

    fn fair_step(&self, nodes: &Nodes) -> Option<Step> {
        if let Some(item) = self.in_flight.first() {
            return Some(Step::Deliver { item: *item, duplicate: false });
        }
        if nodes.scope().fault == Some(DiscoveryFault::NoTime) {
            return None;
        }
        if let Some(lookup) = self.lookups.first().copied() {
            let (node, name, _) = lookup;
            let answer = self.holders(lookup).next().map(|holder| Step::Answer { node, name, holder });
            return Some(answer.unwrap_or(Step::Finish { node, name }));
        }
        self.nodes.iter().filter_map(|state| nodes.summary(*state).deadline).min().map(Step::Pass)
    }

    fn after(&self, nodes: &mut Nodes, step: Step) -> Result<Option<Self>, String> {
        let (mut next, scope) = (self.clone(), *nodes.scope());
        match step {
            Step::Deliver { item, duplicate } => {
                if duplicate {
                    next.budget.duplicates -= 1;
                } else {
                    next.in_flight.retain(|other| *other != item);
                }
                next.deliver(nodes, item)?;
            }
            Step::Lose(item) => {
                next.budget.losses -= 1;
                next.in_flight.retain(|other| *other != item);
            }
            Step::Answer { node, name, holder } => {
                let value = self.stored_at(holder, name).expect("a holder has stored it");
                for lookup in &mut next.lookups {
                    if (lookup.0, lookup.1) == (node, name) {
                        lookup.2 |= 1 << holder;
                    }
                }
                next.input(nodes, node, NodeInput::Found(name, value))?;
            }
            Step::Finish { node, name } => {
                next.lookups.retain(|lookup| (lookup.0, lookup.1) != (node, name));
                next.input(nodes, node, NodeInput::LookupFinished(name))?;
            }
            Step::Disconnect(one, other) => {
                next.budget.disconnections -= 1;
                next.connections.retain(|connection| *connection != (one, other));
                next.input(nodes, one, NodeInput::Disconnected(other))?;
                next.input(nodes, other, NodeInput::Disconnected(one))?;
            }
            Step::Advertise => {
                next.budget.offers -= 1;
                next.input(nodes, 0, NodeInput::Advertise(scope.offers - next.budget.offers))?;
            }
            Step::Withdraw => {
                next.budget.withdrawals -= 1;
                next.input(nodes, 0, NodeInput::Withdraw)?;
            }
            Step::Move => {
                next.budget.moves -= 1;
                next.input(nodes, 0, NodeInput::Address(scope.moves - next.budget.moves))?;
            }
            Step::FindSigners => {
                next.budget.searches -= 1;
                next.input(nodes, self.last(), NodeInput::FindSigners)?;
            }
            Step::Create => {
                next.budget.sessions -= 1;
                next.input(nodes, self.last(), NodeInput::Create)?;
            }
            Step::Timer(node) => {
                next.budget.timers -= 1;
                let due = nodes.summary(self.nodes[usize::from(node)]).deadline.expect("a timer is set");
                next.input(nodes, node, NodeInput::Pass(due))?;
            }
            Step::Pass(nanos) => {
                for node in 0..self.count() {
                    next.input(nodes, node, NodeInput::Pass(nanos))?;
                }
            }
            Step::Forget(node) => drop(next.input(nodes, node, NodeInput::Forget)?),
        }
        Ok(Some(next))
    }

    /// Whether every node knows the first node's newest offer, and no session is without one of its signers.
    fn check_end(&self, nodes: &Nodes) -> Result<bool, String> {
        for (node, state) in self.nodes.iter().enumerate() {
            let searching = nodes.summary(*state).searching;
            if searching > 0 {
                return Err(format!("{searching} searches of node {node} do not end"));
            }
        }
        let newest = nodes.summary(self.nodes[0]).advertised;
        let name = RecordKey::Advertisement(nodes.keys[0]);
        let knows = |state: &NodeStateId| nodes.summary(*state).known.get(&name).copied() == newest;
        let has_all = self.nodes[1..].iter().all(knows);
        Ok(has_all && !self.nodes.iter().any(|state| nodes.summary(*state).is_lacking))
    }

    fn describe(nodes: &Nodes, step: Step) -> String {
        match step {
            Step::Deliver { item: Item::Gossip { to, value, .. }, .. } => {
                format!("node {to} hears by gossip: {}", nodes.describe(value))
            }
            Step::Deliver { item: Item::Direct { from, to, value }, .. } => {
                format!("node {to} hears from node {from}: {}", nodes.describe(value))
            }
            Step::Deliver { item: Item::Put { to, name, value, .. }, .. } => {
                format!("node {to} is to store under {}: {}", nodes.name(name), nodes.describe(value))
            }
            Step::Answer { node, name, holder } => {
                format!("node {holder} answers node {node}'s lookup of {}", nodes.name(name))
            }
            Step::Finish { node, name } => format!("node {node}'s lookup of {} ends", nodes.name(name)),
            other => format!("{other:?}"),
        }
    }

    fn node_states(nodes: &Nodes) -> usize {
        nodes.len()
    }
}

fn pair(one: u8, other: u8) -> (u8, u8) {
    (one.min(other), one.max(other))
}
