//! All nodes, the messages in flight between them, and the nonces and signatures that they have sent so far.
//!
//! Owns the steps that are possible next, and the checks over all nodes. Invariant: a state of the system is a value,
//! and equal states have equal futures.

use nelumbo_core::api::Phase;
use nelumbo_core::crypto::Signature;
use nelumbo_core::wire::Content;

use super::node_states::{MessageId, NodeInput, NodeSet, NodeStateId, NodeStates, Statement, Transition};
use super::search::State;
use super::{Fault, Scope};

/// A state of the whole system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SystemState {
    nodes: Vec<NodeSlot>,
    /// Messages in flight: receiver and message; sorted.
    in_flight: Vec<(u8, MessageId)>,
    /// The nonces and partial signatures that have left their authors; sorted.
    revealed: Vec<MessageId>,
    signature: Option<Signature>,
    /// How many disturbances may still happen.
    budget: Budget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct NodeSlot {
    state: NodeStateId,
    is_up: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Budget {
    timers: u8,
    crashes: u8,
    duplicates: u8,
    confirmations: u8,
    aborts: u8,
}

/// A step of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A message arrives, and with `duplicate` is still in flight.
    Deliver { to: u8, message: MessageId, duplicate: bool, crash: bool },
    /// A node's next timer fires.
    Timer { node: u8, crash: bool },
    /// A node crashes, and everything in flight to it is lost.
    Crash(u8),
    /// It restarts.
    Restart(u8),
    /// Its embedder confirms the broadcast.
    Confirm(u8),
    /// Its embedder aborts the session.
    Abort(u8),
    /// This many nanoseconds pass at every node.
    Pass(u64),
}

impl SystemState {
    /// The state in which the first node has just created the session.
    pub(super) fn start(scope: &Scope, node_states: &mut NodeStates) -> Result<Self, String> {
        let nodes = (0..scope.signers)
            .map(|node| Ok(NodeSlot { state: node_states.first(node)?, is_up: true }))
            .collect::<Result<_, String>>()?;
        let Scope { timers, crashes, duplicates, confirmations, aborts, .. } = *scope;
        let budget = Budget { timers, crashes, duplicates, confirmations, aborts };
        let mut system = Self { nodes, in_flight: Vec::new(), revealed: Vec::new(), signature: None, budget };
        system.apply(node_states, 0, NodeInput::Create, false)?;
        Ok(system)
    }
}

impl State for SystemState {
    type Shared = NodeStates;
    type Step = Step;

    fn without_disturbances(&self) -> Self {
        Self { budget: Budget::default(), ..self.clone() }
    }

    fn steps(&self, node_states: &NodeStates) -> Vec<Step> {
        let scope = node_states.scope();
        let mut steps = Vec::new();
        let Budget { timers, crashes, duplicates, confirmations, aborts } = self.budget;
        for (to, message) in self.in_flight.iter().copied() {
            let deliver = |duplicate, crash| Step::Deliver { to, message, duplicate, crash };
            steps.push(deliver(false, false));
            steps.extend((duplicates > 0).then(|| deliver(true, false)));
            steps.extend((crashes > 0).then(|| deliver(false, true)));
        }
        for (node, NodeSlot { state, is_up }) in (0..).zip(self.nodes.iter().copied()) {
            let summary = node_states.summary(state);
            if !is_up {
                steps.extend(scope.returns.then_some(Step::Restart(node)));
                continue;
            }
            if timers > 0 && summary.deadline.is_some() {
                steps.push(Step::Timer { node, crash: false });
                steps.extend((crashes > 0).then_some(Step::Timer { node, crash: true }));
            }
            steps.extend((crashes > 0).then_some(Step::Crash(node)));
            steps.extend((confirmations > 0 && summary.due && !summary.confirmed).then_some(Step::Confirm(node)));
            let is_open = summary.phase.is_some_and(|phase| !phase.has_ended());
            steps.extend((aborts > 0 && is_open).then_some(Step::Abort(node)));
        }
        steps
    }

    /// Everything in flight arrives, then crashed nodes restart, then time passes.
    fn fair_step(&self, node_states: &NodeStates) -> Option<Step> {
        let scope = node_states.scope();
        if let Some((to, message)) = self.in_flight.first().copied() {
            return Some(Step::Deliver { to, message, duplicate: false, crash: false });
        }
        let down = (0..).zip(&self.nodes).find(|(_, place)| !place.is_up);
        if let Some((node, _)) = down.filter(|_| scope.returns) {
            return Some(Step::Restart(node));
        }
        let up = self.nodes.iter().filter(|place| place.is_up);
        let next = up.filter_map(|place| node_states.summary(place.state).deadline).min()?;
        (scope.fault != Some(Fault::NoTime)).then_some(Step::Pass(next))
    }

    /// `None` for a crash in a step that writes nothing, because that is a crash before it.
    fn after(&self, node_states: &mut NodeStates, step: Step) -> Result<Option<Self>, String> {
        let mut system = self.clone();
        match step {
            Step::Deliver { to, message, duplicate, crash } => {
                if duplicate {
                    system.budget.duplicates -= 1;
                } else {
                    system.in_flight.retain(|other| *other != (to, message));
                }
                if !system.apply(node_states, to, NodeInput::Deliver(message), crash)? {
                    return Ok(None);
                }
            }
            Step::Timer { node, crash } => {
                system.budget.timers -= 1;
                let due = node_states.summary(system.nodes[usize::from(node)].state).deadline.expect("a timer is set");
                if !system.apply(node_states, node, NodeInput::Pass(due), crash)? {
                    return Ok(None);
                }
            }
            Step::Crash(node) => system.crash(node_states, node)?,
            Step::Restart(node) => system.restart(node_states, node)?,
            Step::Confirm(node) => {
                system.budget.confirmations -= 1;
                system.apply(node_states, node, NodeInput::Confirm, false)?;
            }
            Step::Abort(node) => {
                system.budget.aborts -= 1;
                system.apply(node_states, node, NodeInput::Abort, false)?;
            }
            Step::Pass(nanos) => {
                for node in system.up() {
                    system.apply(node_states, node, NodeInput::Pass(nanos), false)?;
                }
            }
        }
        system.clear(node_states)?;
        Ok(Some(system))
    }

    /// Whether every node that is up has the signature.
    fn check_end(&self, node_states: &NodeStates) -> Result<bool, String> {
        let summary: Vec<_> =
            self.nodes.iter().filter(|place| place.is_up).map(|place| node_states.summary(place.state)).collect();
        for (node, summary) in self.up().into_iter().zip(&summary) {
            let Some(phase) = summary.phase else { continue };
            if !phase.has_ended() && phase != Phase::Failed && phase != Phase::Waiting {
                return Err(format!("node {node} waits in phase {phase:?} for what never comes"));
            }
        }
        let complete = summary.iter().filter(|summary| summary.phase == Some(Phase::Complete)).count();
        if complete > 0 && !summary.iter().any(|summary| summary.due || summary.confirmed) {
            return Err("there is a signature, and nobody who may broadcast it".to_owned());
        }
        Ok(complete == summary.len())
    }

    fn describe(node_states: &NodeStates, step: Step) -> String {
        let statement = |message: MessageId| {
            let statement = node_states.statement(message);
            let content = format!("{:?}", statement.content);
            let kind = content.split([' ', '{']).next().unwrap_or_default().to_owned();
            format!("{kind} of node {} in attempt {}", statement.author, statement.attempt)
        };
        match step {
            Step::Deliver { to, message, duplicate, crash } => {
                let duplicate = if duplicate { ", and again later" } else { "" };
                let crash = if crash { ", and it crashes after its records" } else { "" };
                format!("node {to} hears the {}{duplicate}{crash}", statement(message))
            }
            Step::Timer { node, crash: false } => format!("a timer of node {node}"),
            Step::Timer { node, crash: true } => format!("a timer of node {node}, and it crashes after its records"),
            other => format!("{other:?}"),
        }
    }

    fn node_states(node_states: &NodeStates) -> usize {
        node_states.len()
    }
}

impl SystemState {
    /// Drops messages in flight that their receiver has: a nonce or partial signature that changes nothing now changes
    /// nothing until the receiver restarts.
    fn clear(&mut self, node_states: &mut NodeStates) -> Result<(), String> {
        let mut in_flight = Vec::with_capacity(self.in_flight.len());
        for (to, message) in self.in_flight.iter().copied() {
            let state = self.nodes[usize::from(to)].state;
            let content = &node_states.statement(message).content;
            if nonce(content).is_none() && !matches!(content, Content::Partial { .. }) {
                in_flight.push((to, message));
                continue;
            }
            let Transition { next, sends, .. } = node_states.step(state, NodeInput::Deliver(message))?;
            if next != state || !sends.is_empty() {
                in_flight.push((to, message));
            }
        }
        self.in_flight = in_flight;
        Ok(())
    }

    fn up(&self) -> Vec<u8> {
        (0..).zip(&self.nodes).filter(|(_, place)| place.is_up).map(|(node, _)| node).collect()
    }

    /// Applies an input to one node. With `crash` the node crashes after its records are durable and before its
    /// messages leave; false if it wrote no record.
    fn apply(&mut self, node_states: &mut NodeStates, node: u8, input: NodeInput, crash: bool) -> Result<bool, String> {
        let Transition { next, sends, wrote } = node_states.step(self.nodes[usize::from(node)].state, input)?;
        self.nodes[usize::from(node)].state = next;
        self.record_signature(node_states.summary(next).signature)?;
        if crash {
            if wrote {
                self.crash(node_states, node)?;
            }
            return Ok(wrote);
        }
        for (to, message) in sends {
            if self.nodes[usize::from(to)].is_up
                && let Err(place) = self.in_flight.binary_search(&(to, message))
            {
                self.in_flight.insert(place, (to, message));
            }
            self.reveal(node_states, message)?;
        }
        Ok(true)
    }

    fn crash(&mut self, node_states: &mut NodeStates, node: u8) -> Result<(), String> {
        self.budget.crashes -= 1;
        self.nodes[usize::from(node)].is_up = false;
        self.in_flight.retain(|(to, _)| *to != node);
        for other in self.up() {
            self.apply(node_states, other, NodeInput::Disconnected(node), false)?;
        }
        Ok(())
    }

    fn restart(&mut self, node_states: &mut NodeStates, node: u8) -> Result<(), String> {
        let up = self.up();
        let connected: NodeSet = up.iter().map(|other| 1 << other).sum();
        self.nodes[usize::from(node)].is_up = true;
        self.apply(node_states, node, NodeInput::Boot(connected), false)?;
        for other in up {
            self.apply(node_states, other, NodeInput::Connected(node), false)?;
        }
        Ok(())
    }

    /// Checks that no nonce is used twice: an author sends one nonce in an attempt, no nonce in two attempts, and signs
    /// once with it.
    fn reveal(&mut self, node_states: &NodeStates, message: MessageId) -> Result<(), String> {
        let Err(place) = self.revealed.binary_search(&message) else { return Ok(()) };
        let new = node_states.statement(message);
        let of_author =
            self.revealed.iter().map(|known| node_states.statement(*known)).filter(|known| known.author == new.author);
        let is_partial = |statement: &Statement| matches!(statement.content, Content::Partial { .. });
        for known in of_author {
            let is_same_attempt = known.attempt == new.attempt;
            let fault = match (nonce(&known.content), nonce(&new.content)) {
                (Some(before), Some(now)) if is_same_attempt && before != now => "shows two nonces in attempt",
                (Some(before), Some(now)) if !is_same_attempt && before == now => "shows a nonce again in attempt",
                // Two different ones, because the same one has been seen above.
                _ if is_same_attempt && is_partial(known) && is_partial(new) => "signs twice in attempt",
                _ => continue,
            };
            return Err(format!("node {} {fault} {}", new.author, new.attempt));
        }
        if nonce(&new.content).is_some() || is_partial(new) {
            self.revealed.insert(place, message);
        }
        Ok(())
    }

    /// Checks that there are no two final signatures, neither for an attempt nor for the session.
    fn record_signature(&mut self, signature: Option<Signature>) -> Result<(), String> {
        match (self.signature, signature) {
            (Some(before), Some(now)) if before != now => Err("there are two final signatures".to_owned()),
            (before, now) => {
                self.signature = before.or(now);
                Ok(())
            }
        }
    }
}

fn nonce(content: &Content) -> Option<&[nelumbo_core::crypto::PublicNonce]> {
    content.nonces()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_final_signature_is_noticed() {
        let scope = Scope { signers: 2, ..Scope::default() };
        let mut system = SystemState::start(&scope, &mut NodeStates::new(scope)).expect("the start is sound");
        let [one, other] = [Signature::from_bytes([1; 64]), Signature::from_bytes([2; 64])];
        assert_eq!(system.record_signature(Some(one)), Ok(()));
        assert_eq!(system.record_signature(None), Ok(()));
        assert_eq!(system.record_signature(Some(one)), Ok(()));
        assert!(system.record_signature(Some(other)).is_err());
    }
}
