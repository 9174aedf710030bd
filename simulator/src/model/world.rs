//! All nodes, what is in flight between them, and what they have shown so far.
//!
//! Owns what may happen next, and what may not have happened. Invariant: a world is a value; equal worlds have equal
//! futures.

use nelumbo_core::api::Phase;
use nelumbo_core::crypto::Signature;
use nelumbo_core::wire::Content;

use super::local::{Cause, Effect, LocalId, Locals, MessageId, Nodes, Saying};
use super::{Fault, Scope};

/// A state of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    nodes: Vec<Place>,
    /// To whom, and what; sorted.
    flight: Vec<(u8, MessageId)>,
    /// The nonces and partial signatures that have left their authors; sorted.
    shown: Vec<MessageId>,
    signature: Option<Signature>,
    /// What may still happen.
    left: Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    local: LocalId,
    is_up: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Left {
    timers: u8,
    crashes: u8,
    copies: u8,
    confirmations: u8,
    aborts: u8,
}

/// Something that happens to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A message arrives, and with `copy` is still in flight.
    Deliver { to: u8, message: MessageId, copy: bool, crash: bool },
    /// A node's next timer fires.
    Timer { node: u8, crash: bool },
    /// A node is gone, with everything in flight to it.
    Crash(u8),
    /// It is back.
    Restart(u8),
    /// Its owner has broadcast.
    Confirm(u8),
    /// Its owner refuses.
    Abort(u8),
    /// As much time passes everywhere.
    Pass(u64),
}

impl World {
    /// The first node has just created the session.
    pub(super) fn start(scope: &Scope, locals: &mut Locals) -> Result<Self, String> {
        let nodes = (0..scope.signers)
            .map(|node| Ok(Place { local: locals.first(node)?, is_up: true }))
            .collect::<Result<_, String>>()?;
        let Scope { timers, crashes, copies, confirmations, aborts, .. } = *scope;
        let left = Left { timers, crashes, copies, confirmations, aborts };
        let mut world = Self { nodes, flight: Vec::new(), shown: Vec::new(), signature: None, left };
        world.happen(locals, 0, Cause::Create, false)?;
        Ok(world)
    }

    /// The same world in which nothing happens out of turn any more.
    pub(super) fn calm(&self) -> Self {
        Self { left: Left::default(), ..self.clone() }
    }

    /// All that can happen next.
    pub(super) fn steps(&self, scope: &Scope, locals: &Locals) -> Vec<Step> {
        let mut steps = Vec::new();
        let Left { timers, crashes, copies, confirmations, aborts } = self.left;
        for (to, message) in self.flight.iter().copied() {
            let deliver = |copy, crash| Step::Deliver { to, message, copy, crash };
            steps.push(deliver(false, false));
            steps.extend((copies > 0).then(|| deliver(true, false)));
            steps.extend((crashes > 0).then(|| deliver(false, true)));
        }
        for (node, Place { local, is_up }) in (0..).zip(self.nodes.iter().copied()) {
            let facts = locals.facts(local);
            if !is_up {
                steps.extend(scope.returns.then_some(Step::Restart(node)));
                continue;
            }
            if timers > 0 && facts.deadline.is_some() {
                steps.push(Step::Timer { node, crash: false });
                steps.extend((crashes > 0).then_some(Step::Timer { node, crash: true }));
            }
            steps.extend((crashes > 0).then_some(Step::Crash(node)));
            steps.extend((confirmations > 0 && facts.due && !facts.confirmed).then_some(Step::Confirm(node)));
            let is_open = facts.phase.is_some_and(|phase| !phase.has_ended());
            steps.extend((aborts > 0 && is_open).then_some(Step::Abort(node)));
        }
        steps
    }

    /// What happens when nobody disturbs: everything arrives, then the crashed come back, then time passes. `None` at the
    /// end.
    pub(super) fn fair_step(&self, scope: &Scope, locals: &Locals) -> Option<Step> {
        if let Some((to, message)) = self.flight.first().copied() {
            return Some(Step::Deliver { to, message, copy: false, crash: false });
        }
        let down = (0..).zip(&self.nodes).find(|(_, place)| !place.is_up);
        if let Some((node, _)) = down.filter(|_| scope.returns) {
            return Some(Step::Restart(node));
        }
        let up = self.nodes.iter().filter(|place| place.is_up);
        let next = up.filter_map(|place| locals.facts(place.local).deadline).min()?;
        (scope.fault != Some(Fault::NoTime)).then_some(Step::Pass(next))
    }

    /// The world after a step; `None` for a crash in a step that writes nothing, because that is a crash before it.
    pub(super) fn after(&self, locals: &mut Locals, step: Step) -> Result<Option<Self>, String> {
        let mut world = self.clone();
        match step {
            Step::Deliver { to, message, copy, crash } => {
                if copy {
                    world.left.copies -= 1;
                } else {
                    world.flight.retain(|other| *other != (to, message));
                }
                if !world.happen(locals, to, Cause::Deliver(message), crash)? {
                    return Ok(None);
                }
            }
            Step::Timer { node, crash } => {
                world.left.timers -= 1;
                let due = locals.facts(world.nodes[usize::from(node)].local).deadline.expect("a timer is set");
                if !world.happen(locals, node, Cause::Pass(due), crash)? {
                    return Ok(None);
                }
            }
            Step::Crash(node) => world.crash(locals, node)?,
            Step::Restart(node) => world.restart(locals, node)?,
            Step::Confirm(node) => {
                world.left.confirmations -= 1;
                world.happen(locals, node, Cause::Confirm, false)?;
            }
            Step::Abort(node) => {
                world.left.aborts -= 1;
                world.happen(locals, node, Cause::Abort, false)?;
            }
            Step::Pass(nanos) => {
                for node in world.up() {
                    world.happen(locals, node, Cause::Pass(nanos), false)?;
                }
            }
        }
        world.clear(locals)?;
        Ok(Some(world))
    }

    /// Drops from the flight what its receiver has: a nonce or partial signature that means nothing to it now means
    /// nothing to it for the rest of its life.
    fn clear(&mut self, locals: &mut Locals) -> Result<(), String> {
        let mut flight = Vec::with_capacity(self.flight.len());
        for (to, message) in self.flight.iter().copied() {
            let local = self.nodes[usize::from(to)].local;
            let content = &locals.saying(message).content;
            if nonce(content).is_none() && !matches!(content, Content::Partial { .. }) {
                flight.push((to, message));
                continue;
            }
            let Effect { next, sends, .. } = locals.step(local, Cause::Deliver(message))?;
            if next != local || !sends.is_empty() {
                flight.push((to, message));
            }
        }
        self.flight = flight;
        Ok(())
    }

    fn up(&self) -> Vec<u8> {
        (0..).zip(&self.nodes).filter(|(_, place)| place.is_up).map(|(node, _)| node).collect()
    }

    /// Something happens to one node. With `crash` it dies after its records and before its messages; false if it wrote
    /// none.
    fn happen(&mut self, locals: &mut Locals, node: u8, cause: Cause, crash: bool) -> Result<bool, String> {
        let Effect { next, sends, wrote } = locals.step(self.nodes[usize::from(node)].local, cause)?;
        self.nodes[usize::from(node)].local = next;
        self.note_signature(locals.facts(next).signature)?;
        if crash {
            if wrote {
                self.crash(locals, node)?;
            }
            return Ok(wrote);
        }
        for (to, message) in sends {
            if self.nodes[usize::from(to)].is_up
                && let Err(place) = self.flight.binary_search(&(to, message))
            {
                self.flight.insert(place, (to, message));
            }
            self.show(locals, message)?;
        }
        Ok(true)
    }

    fn crash(&mut self, locals: &mut Locals, node: u8) -> Result<(), String> {
        self.left.crashes -= 1;
        self.nodes[usize::from(node)].is_up = false;
        self.flight.retain(|(to, _)| *to != node);
        for other in self.up() {
            self.happen(locals, other, Cause::Lost(node), false)?;
        }
        Ok(())
    }

    fn restart(&mut self, locals: &mut Locals, node: u8) -> Result<(), String> {
        let up = self.up();
        let met: Nodes = up.iter().map(|other| 1 << other).sum();
        self.nodes[usize::from(node)].is_up = true;
        self.happen(locals, node, Cause::Boot(met), false)?;
        for other in up {
            self.happen(locals, other, Cause::Met(node), false)?;
        }
        Ok(())
    }

    /// No nonce is used twice: an author shows one nonce in an attempt, no nonce in two, and signs once with it.
    fn show(&mut self, locals: &Locals, message: MessageId) -> Result<(), String> {
        let Err(place) = self.shown.binary_search(&message) else { return Ok(()) };
        let new = locals.saying(message);
        let of_author = self.shown.iter().map(|known| locals.saying(*known)).filter(|known| known.author == new.author);
        let is_partial = |saying: &Saying| matches!(saying.content, Content::Partial { .. });
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
            self.shown.insert(place, message);
        }
        Ok(())
    }

    /// There are no two final signatures: not for an attempt, and not for the session either.
    fn note_signature(&mut self, signature: Option<Signature>) -> Result<(), String> {
        match (self.signature, signature) {
            (Some(before), Some(now)) if before != now => Err("there are two final signatures".to_owned()),
            (before, now) => {
                self.signature = before.or(now);
                Ok(())
            }
        }
    }

    /// Where nothing happens any more: whether everyone who is up has the signature, or what is wrong with that end.
    pub(super) fn judge_end(&self, locals: &Locals) -> Result<bool, String> {
        let facts: Vec<_> =
            self.nodes.iter().filter(|place| place.is_up).map(|place| locals.facts(place.local)).collect();
        for (node, facts) in self.up().into_iter().zip(&facts) {
            let Some(phase) = facts.phase else { continue };
            if !phase.has_ended() && phase != Phase::Failed {
                return Err(format!("node {node} waits in phase {phase:?} for what never comes"));
            }
        }
        let complete = facts.iter().filter(|facts| facts.phase == Some(Phase::Complete)).count();
        if complete > 0 && !facts.iter().any(|facts| facts.due || facts.confirmed) {
            return Err("there is a signature, and nobody who may broadcast it".to_owned());
        }
        Ok(complete == facts.len())
    }
}

fn nonce(content: &Content) -> Option<&nelumbo_core::crypto::PublicNonce> {
    match content {
        Content::Announce { nonce, .. } | Content::Join { nonce } => Some(nonce),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_final_signature_is_noticed() {
        let scope = Scope { signers: 2, ..Scope::default() };
        let mut world = World::start(&scope, &mut Locals::new(scope)).expect("the start is sound");
        let [one, other] = [Signature::from_bytes([1; 64]), Signature::from_bytes([2; 64])];
        assert_eq!(world.note_signature(Some(one)), Ok(()));
        assert_eq!(world.note_signature(None), Ok(()));
        assert_eq!(world.note_signature(Some(one)), Ok(()));
        assert!(world.note_signature(Some(other)).is_err());
    }
}
