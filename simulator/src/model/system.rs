//! All nodes, the messages in flight between them, and the nonces and signatures that they have sent so far.
//!
//! Owns the steps that are possible next, and the checks over all nodes. Invariant: a state of the system is a value,
//! and equal states have equal futures.

use nelumbo_core::api::Phase;
use nelumbo_core::crypto::Signature;
use nelumbo_core::wire::Content;

use super::node_states::{MessageId, NodeInput, NodeSet, NodeStateId, NodeStates, Transition};
use super::search::State;
use super::{Fault, Scope};

/// A state of the whole system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SystemState {
    nodes: Vec<NodeSlot>,
    /// Messages in flight: receiver and message; sorted.
    in_flight: Vec<(u8, MessageId)>,
    /// The nonces and partial signatures that have left their authors, each with the node that sent it; sorted.
    revealed: Vec<(u8, MessageId)>,
    signature: Option<Signature>,
    /// How many disturbances may still happen.
    budget: Budget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct NodeSlot {
    state: NodeStateId,
    /// Which signer it is. A copy has a place of its own after all others.
    signer: u8,
    is_up: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Budget {
    timers: u8,
    crashes: u8,
    duplicates: u8,
    confirmations: u8,
    aborts: u8,
    jumps: u8,
    equivocations: u8,
    clones: u8,
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
    /// Its wall clock jumps ahead, or back.
    Jump(u8),
    /// The last signer shows this node another nonce than its own.
    Equivocate { to: u8, message: MessageId },
    /// It is copied, and both go on.
    Clone(u8),
    /// This many nanoseconds pass at every node.
    Pass(u64),
}

impl SystemState {
    /// The state in which the first node has just created the session.
    pub(super) fn start(scope: &Scope, node_states: &mut NodeStates) -> Result<Self, String> {
        let nodes = (0..scope.signers)
            .map(|signer| Ok(NodeSlot { state: node_states.first(signer)?, signer, is_up: true }))
            .collect::<Result<_, String>>()?;
        let Scope { timers, crashes, duplicates, confirmations, aborts, jumps, equivocations, clones, .. } = *scope;
        let budget = Budget { timers, crashes, duplicates, confirmations, aborts, jumps, equivocations, clones };
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
        let Budget { timers, crashes, duplicates, confirmations, aborts, jumps, equivocations, clones } = self.budget;
        let liar = scope.signers - 1;
        for (to, message) in self.in_flight.iter().copied() {
            let deliver = |duplicate, crash| Step::Deliver { to, message, duplicate, crash };
            steps.push(deliver(false, false));
            steps.extend((duplicates > 0).then(|| deliver(true, false)));
            steps.extend((crashes > 0).then(|| deliver(false, true)));
            let lies = equivocations > 0 && node_states.statement(message).author == liar;
            steps.extend(lies.then_some(Step::Equivocate { to, message }));
        }
        for (node, NodeSlot { state, is_up, .. }) in (0..).zip(self.nodes.iter().copied()) {
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
            steps.extend((jumps > 0).then_some(Step::Jump(node)));
            steps.extend((clones > 0).then_some(Step::Clone(node)));
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
                if system.is_deaf(node_states, to, message) {
                    return Ok(Some(system));
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
            Step::Jump(node) => {
                system.budget.jumps -= 1;
                system.apply(node_states, node, NodeInput::Jump, false)?;
            }
            Step::Equivocate { to, message } => {
                let Some(forged) = node_states.forge(message) else { return Ok(None) };
                system.budget.equivocations -= 1;
                system.in_flight.retain(|other| *other != (to, message));
                system.send(to, forged);
            }
            Step::Clone(node) => {
                system.budget.clones -= 1;
                let NodeSlot { state, signer, .. } = system.nodes[usize::from(node)];
                let copy = system.nodes.len() as u8;
                let connected = system.signers_up(signer);
                system.nodes.push(NodeSlot { state, signer, is_up: true });
                system.apply(node_states, copy, NodeInput::Copy(connected), false)?;
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
        let mut signed = self.revealed.iter().filter(|(_, message)| is_partial(node_states, *message));
        let is_told = |(node, _): &(u8, MessageId)| {
            let NodeSlot { state, signer, is_up } = self.nodes[usize::from(*node)];
            !is_up || node_states.is_doubtful(signer) || node_states.summary(state).phase == Some(Phase::Complete)
        };
        if complete > 0
            && let Some((node, _)) = signed.find(|revealed| !is_told(revealed))
        {
            return Err(format!("node {node} has signed, and is not told of the signature"));
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
            for receiver in self.up() {
                if self.nodes[usize::from(receiver)].signer == to {
                    self.send(receiver, message);
                }
            }
            self.reveal(node_states, node, message)?;
        }
        Ok(true)
    }

    fn send(&mut self, to: u8, message: MessageId) {
        if let Err(place) = self.in_flight.binary_search(&(to, message)) {
            self.in_flight.insert(place, (to, message));
        }
    }

    /// Whether a node does not hear a signature: a fault that is put in on purpose.
    fn is_deaf(&self, node_states: &NodeStates, to: u8, message: MessageId) -> bool {
        let phase = node_states.summary(self.nodes[usize::from(to)].state).phase;
        node_states.scope().fault == Some(Fault::Deaf)
            && phase == Some(Phase::Aborted)
            && matches!(node_states.statement(message).content, Content::Finalized { .. })
    }

    /// The signers that are up, but for this one.
    fn signers_up(&self, but: u8) -> NodeSet {
        let up = self.nodes.iter().filter(|place| place.is_up && place.signer != but);
        up.fold(0, |set, place| set | 1 << place.signer)
    }

    /// Tells all others that a signer is connected or not, unless a copy of it is up.
    fn tell(&mut self, node_states: &mut NodeStates, signer: u8, input: NodeInput) -> Result<(), String> {
        let others = self.up().into_iter().filter(|other| self.nodes[usize::from(*other)].signer != signer);
        for other in others.collect::<Vec<_>>() {
            self.apply(node_states, other, input, false)?;
        }
        Ok(())
    }

    fn has_copies(&self) -> bool {
        self.nodes.iter().zip(0..).any(|(place, node)| place.signer != node)
    }

    fn has_copy(&self, node: u8) -> bool {
        let signer = self.nodes[usize::from(node)].signer;
        self.up().into_iter().any(|other| other != node && self.nodes[usize::from(other)].signer == signer)
    }

    fn crash(&mut self, node_states: &mut NodeStates, node: u8) -> Result<(), String> {
        self.budget.crashes -= 1;
        self.nodes[usize::from(node)].is_up = false;
        self.in_flight.retain(|(to, _)| *to != node);
        let signer = self.nodes[usize::from(node)].signer;
        if self.has_copy(node) { Ok(()) } else { self.tell(node_states, signer, NodeInput::Disconnected(signer)) }
    }

    fn restart(&mut self, node_states: &mut NodeStates, node: u8) -> Result<(), String> {
        let signer = self.nodes[usize::from(node)].signer;
        let connected = self.signers_up(signer);
        self.nodes[usize::from(node)].is_up = true;
        self.apply(node_states, node, NodeInput::Boot(connected), false)?;
        if self.has_copy(node) { Ok(()) } else { self.tell(node_states, signer, NodeInput::Connected(signer)) }
    }

    /// Checks that no nonce is used twice: an author sends one nonce in an attempt, no nonce in two attempts, and signs
    /// once with it; two copies of it send no nonce that the other has sent. And that nothing new is sent when the
    /// session's time is over by the sender's clock.
    fn reveal(&mut self, node_states: &NodeStates, node: u8, message: MessageId) -> Result<(), String> {
        let NodeSlot { state, signer, .. } = self.nodes[usize::from(node)];
        let new = node_states.statement(message);
        let is_share = nonce(&new.content).is_some() || is_partial(node_states, message);
        // What others have said is passed on.
        if !is_share || new.author != signer {
            return Ok(());
        }
        let Err(place) = self.revealed.binary_search(&(node, message)) else { return Ok(()) };
        if node_states.summary(state).is_ahead {
            return Err(format!("node {node} takes part in attempt {} after the end", new.attempt));
        }
        for (sender, known) in self.revealed.iter().copied() {
            let (is_same_node, is_known_partial) = (sender == node, is_partial(node_states, known));
            let known = node_states.statement(known);
            if known.author != new.author {
                continue;
            }
            let is_same_attempt = known.attempt == new.attempt;
            let fault = match (nonce(&known.content), nonce(&new.content)) {
                (Some(before), Some(now)) if is_same_node && is_same_attempt && before != now => {
                    "shows two nonces in attempt"
                }
                (Some(before), Some(now)) if !(is_same_node && is_same_attempt) && before == now => {
                    "shows a nonce again in attempt"
                }
                // Two different ones, because the same one has been seen above.
                _ if is_same_node && is_same_attempt && is_known_partial && is_partial(node_states, message) => {
                    "signs twice in attempt"
                }
                _ => continue,
            };
            return Err(format!("node {node} {fault} {}", new.attempt));
        }
        self.revealed.insert(place, (node, message));
        Ok(())
    }

    /// Checks that there are no two final signatures, neither for an attempt nor for the session. Two copies of a
    /// signer may each finish an attempt of its own with the others, in two valid signatures of one message.
    fn record_signature(&mut self, signature: Option<Signature>) -> Result<(), String> {
        match (self.signature, signature) {
            (Some(before), Some(now)) if before != now && !self.has_copies() => {
                Err("there are two final signatures".to_owned())
            }
            (before, now) => {
                self.signature = before.or(now);
                Ok(())
            }
        }
    }
}

fn is_partial(node_states: &NodeStates, message: MessageId) -> bool {
    matches!(node_states.statement(message).content, Content::Partial { .. })
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
