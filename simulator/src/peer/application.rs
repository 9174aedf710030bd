//! A node's embedder: approves what is announced, at once or when its owner comes to it, retries what failed,
//! broadcasts when it is its turn.

use std::collections::VecDeque;

use nelumbo_core::api::{Command, Event, Phase};
use nelumbo_core::approval::Unusual;
use nelumbo_core::wire::{AbortReason, SessionId};

use super::adversary::UNWANTED;
use super::lifecycle::TimerKind;
use super::memory::Given;
use super::{Peer, PeerContext};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::schedule::{MILLISECOND, Misbehaviour};

/// How long an embedder takes to broadcast a signature.
const BROADCASTING: Nanos = 200 * MILLISECOND;
/// How long an embedder waits before it retries a failed session.
const PATIENCE: Nanos = 20_000 * MILLISECOND;

/// What an embedder is about to do.
#[derive(Debug, Default)]
pub(super) struct Application {
    pub(super) at_once: VecDeque<Command>,
    /// By when it is due, in this order.
    later: Vec<(Nanos, Command)>,
    /// How long its owner takes to look at what is announced, at least and at most, in milliseconds.
    pub(super) owner_ms: (u32, u32),
}

impl Application {
    /// Forgets everything but whose it is.
    pub(super) fn crash(&mut self) {
        *self = Self { owner_ms: self.owner_ms, ..Self::default() };
    }
}

impl<C: Crypto> Peer<C> {
    /// The embedder gives this command after a while.
    fn intend(&mut self, context: PeerContext<'_, '_>, delay: Nanos, command: Command) {
        let application = &mut self.application;
        if delay == 0 {
            return application.at_once.push_back(command);
        }
        let due = context.now() + delay;
        let place = application.later.partition_point(|(earlier, _)| *earlier <= due);
        application.later.insert(place, (due, command));
        self.timer(context, delay, TimerKind::Application, 0);
    }

    pub(super) fn application_hears(&mut self, context: PeerContext<'_, '_>, event: &Event) {
        match event {
            Event::SessionAnnounced { session, summary, .. } if summary.description == UNWANTED => {
                self.intend(context, 0, Command::Abort(*session, AbortReason::Declined));
            }
            Event::SessionAnnounced { session, .. } => self.consider(context, *session),
            Event::ShouldBroadcast { session } => {
                let is_broken = self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::Panic));
                assert!(!is_broken, "broken on purpose");
                if self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::SilentCoordinator)) {
                    return;
                }
                if self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::LyingCoordinator)) {
                    return self.intend(context, 0, Command::ConfirmBroadcast(*session));
                }
                self.intend(context, BROADCASTING, Command::ConfirmBroadcast(*session));
            }
            Event::PhaseChanged { session, phase: Phase::PartialSignatureExchange, .. }
                if self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::LateRefusal)) =>
            {
                self.intend(context, 0, Command::Abort(*session, AbortReason::Left));
            }
            Event::AttemptFailed { session, .. } => self.intend(context, PATIENCE, Command::Retry(*session)),
            _ => {}
        }
    }

    /// The owner looks at a request after a while.
    fn consider(&mut self, context: PeerContext<'_, '_>, session: SessionId) {
        let (least, most) = self.application.owner_ms;
        let [least, most] = [least, most].map(|time| Nanos::from(time) * MILLISECOND);
        let delay = if most == 0 { 0 } else { self.random.within(least, most) };
        let join = Command::Join { session, allow: [Unusual::Opaque].into() };
        self.intend(context, delay, join);
        if self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::AbortGriefing)) {
            self.intend(context, delay, Command::Abort(session, AbortReason::Declined));
        }
    }

    /// The owner finds requests that nobody has looked at.
    pub(super) fn look_again(&mut self, context: PeerContext<'_, '_>) {
        let sessions = self.node.iter().flat_map(|node| node.view().sessions().collect::<Vec<_>>());
        let announced: Vec<SessionId> =
            sessions.filter(|session| session.phase == Phase::Announced).map(|session| session.id).collect();
        announced.into_iter().for_each(|session| self.consider(context, session));
    }

    pub(super) fn application_acts(&mut self, context: PeerContext<'_, '_>) {
        let now = context.now();
        while self.application.later.first().is_some_and(|(due, _)| *due <= now) {
            let (_, command) = self.application.later.remove(0);
            if self.node.is_some() {
                // Things have moved on meanwhile: a refusal is an answer.
                let _taken = self.give(now, Given::Command(command));
                self.settle(context);
            }
        }
    }
}
