//! A node's owner: approves what is announced, retries what failed, broadcasts when it is its turn.

use std::collections::VecDeque;

use nelumbo_core::api::{Command, Event};
use nelumbo_core::approval::Unusual;
use nelumbo_core::wire::AbortReason;

use super::life::Purpose;
use super::{Peer, Port};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::schedule::{Deed, MILLISECOND};

/// How long an owner takes to broadcast a signature.
const BROADCASTING: Nanos = 200 * MILLISECOND;
/// How long an owner waits before it tries again by hand.
const PATIENCE: Nanos = 20_000 * MILLISECOND;

/// What an owner is about to do, in the order of time: all of one kind take the same time.
#[derive(Debug, Default)]
pub(super) struct Owner {
    pub(super) at_once: VecDeque<Command>,
    soon: VecDeque<(Nanos, Command)>,
    later: VecDeque<(Nanos, Command)>,
}

impl<C: Crypto> Peer<C> {
    pub(super) fn owner_hears(&mut self, context: Port<'_, '_>, event: &Event) {
        let now = context.now();
        match event {
            Event::SessionAnnounced { session, .. } => {
                self.owner.at_once.push_back(Command::Join { session: *session, allow: [Unusual::Opaque].into() });
                if self.deeds.as_mut().is_some_and(|deeds| deeds.does(Deed::AbortGriefing)) {
                    self.owner.at_once.push_back(Command::Abort(*session, AbortReason::Declined));
                }
            }
            Event::ShouldBroadcast { session } => {
                let is_broken = self.deeds.as_mut().is_some_and(|deeds| deeds.does(Deed::Panic));
                assert!(!is_broken, "broken on purpose");
                if self.deeds.as_mut().is_some_and(|deeds| deeds.does(Deed::SilentCoordinator)) {
                    return;
                }
                if self.deeds.as_mut().is_some_and(|deeds| deeds.does(Deed::LyingCoordinator)) {
                    return self.owner.at_once.push_back(Command::ConfirmBroadcast(*session));
                }
                self.owner.soon.push_back((now + BROADCASTING, Command::ConfirmBroadcast(*session)));
                self.timer(context, BROADCASTING, Purpose::Owner, 0);
            }
            Event::AttemptFailed { session, .. } => {
                self.owner.later.push_back((now + PATIENCE, Command::Retry(*session)));
                self.timer(context, PATIENCE, Purpose::Owner, 0);
            }
            _ => {}
        }
    }

    pub(super) fn owner_acts(&mut self, context: Port<'_, '_>) {
        let now = context.now();
        let Self { owner: Owner { soon, later, .. }, .. } = self;
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
