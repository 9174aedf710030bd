//! A node's embedder: approves what is announced, retries what failed, broadcasts when it is its turn.

use std::collections::VecDeque;

use nelumbo_core::api::{Command, Event, Phase};
use nelumbo_core::approval::Unusual;
use nelumbo_core::wire::AbortReason;

use super::lifecycle::TimerKind;
use super::{Peer, PeerContext};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::schedule::{MILLISECOND, Misbehaviour};

/// How long an embedder takes to broadcast a signature.
const BROADCASTING: Nanos = 200 * MILLISECOND;
/// How long an embedder waits before it retries a failed session.
const PATIENCE: Nanos = 20_000 * MILLISECOND;

/// What an embedder is about to do, in the order of time: all actions of one kind take the same time.
#[derive(Debug, Default)]
pub(super) struct Application {
    pub(super) at_once: VecDeque<Command>,
    soon: VecDeque<(Nanos, Command)>,
    later: VecDeque<(Nanos, Command)>,
}

impl<C: Crypto> Peer<C> {
    pub(super) fn application_hears(&mut self, context: PeerContext<'_, '_>, event: &Event) {
        let now = context.now();
        match event {
            Event::SessionAnnounced { session, .. } => {
                self.application
                    .at_once
                    .push_back(Command::Join { session: *session, allow: [Unusual::Opaque].into() });
                if self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::AbortGriefing)) {
                    self.application.at_once.push_back(Command::Abort(*session, AbortReason::Declined));
                }
            }
            Event::ShouldBroadcast { session } => {
                let is_broken = self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::Panic));
                assert!(!is_broken, "broken on purpose");
                if self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::SilentCoordinator)) {
                    return;
                }
                if self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::LyingCoordinator)) {
                    return self.application.at_once.push_back(Command::ConfirmBroadcast(*session));
                }
                self.application.soon.push_back((now + BROADCASTING, Command::ConfirmBroadcast(*session)));
                self.timer(context, BROADCASTING, TimerKind::Application, 0);
            }
            Event::PhaseChanged { session, phase: Phase::PartialSignatureExchange, .. }
                if self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::LateRefusal)) =>
            {
                self.application.at_once.push_back(Command::Abort(*session, AbortReason::Left));
            }
            Event::AttemptFailed { session, .. } => {
                self.application.later.push_back((now + PATIENCE, Command::Retry(*session)));
                self.timer(context, PATIENCE, TimerKind::Application, 0);
            }
            _ => {}
        }
    }

    pub(super) fn application_acts(&mut self, context: PeerContext<'_, '_>) {
        let now = context.now();
        let Self { application: Application { soon, later, .. }, .. } = self;
        let mut due = Vec::new();
        for queue in [soon, later] {
            let count = queue.iter().take_while(|(at, _)| *at <= now).count();
            due.extend(queue.drain(..count).map(|(_, command)| command));
        }
        for command in due {
            let clock = self.clock.read(now);
            if let Some(node) = &mut self.node {
                // Things have moved on meanwhile: a refusal is an answer.
                let _refused = node.command(clock, command).is_err();
                self.settle(context);
            }
        }
    }
}
