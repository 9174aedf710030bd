//! A machine that sleeps: it hears nothing and does nothing, and has lost its connections when it wakes up.
//!
//! Invariant: what is due while a machine sleeps happens after it has woken up, but for a crash, which is what happens
//! to a machine whose battery is empty. Driven by the schedule.

use super::frame::Frame;
use super::lifecycle::{GIVE_UP, TimerKind};
use super::{Peer, PeerContext};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::network::Reliability;
use crate::schedule::ScheduledEvent;

impl<C: Crypto> Peer<C> {
    /// The machine falls asleep until then, if it is running.
    pub(super) fn fall_asleep(&mut self, context: PeerContext<'_, '_>, until: Nanos) {
        let now = context.now();
        if self.node.is_none() || until <= now {
            return;
        }
        self.clock.sleep(now, until);
        self.timer(context, until - now, TimerKind::Wake, 0);
        // The others give a connection up when nothing has come over it for so long.
        if until - now > GIVE_UP {
            self.say_bye(context, GIVE_UP);
        }
        context.set_network(false);
    }

    pub(super) fn wake_up(&mut self, context: PeerContext<'_, '_>) {
        let now = context.now();
        self.clock.wake(now);
        context.set_network(true);
        self.say_bye(context, 0);
        let lost: Vec<u32> = self.connections.up.keys().copied().collect();
        lost.into_iter().for_each(|peer| self.disconnect(context, peer));
        // The monotonic clock has stood still: what was due is due later.
        self.armed = Nanos::MAX;
        self.arm(context);
    }

    /// Whether this waits until the machine is awake.
    pub(super) fn sleeps_through(&self, kind: TimerKind, step: usize) -> bool {
        match kind {
            TimerKind::Wake => false,
            TimerKind::Schedule => !matches!(self.environment.schedule.steps[step].event, ScheduledEvent::Crash { .. }),
            _ => true,
        }
    }

    fn say_bye(&self, context: PeerContext<'_, '_>, delay: Nanos) {
        for peer in self.connections.up.keys() {
            self.carry(context, delay, *peer, &Frame::Bye.encode(), Reliability::Retransmit);
        }
    }
}
