//! What becomes of peers that break the rules, and when that ends: told to the host, which closes and opens
//! connections, and to the embedder. How much is held against whom is the gate's.

use super::Node;
use crate::api::{CommandError, Event, Output, Refusal, Standing, TimerReason};
use crate::crypto::Verifier;
use crate::gate::Penalty;
use crate::wire::PeerId;

impl<V: Verifier> Node<V> {
    /// Counts a refusal, and holds it against the neighbour that could have avoided it.
    pub(super) fn penalize(&mut self, peer: &PeerId, result: Result<(), Refusal>) {
        let Err(refusal) = result else { return };
        tracing::debug!(%peer, ?refusal, "refused");
        self.refusals.count(refusal);
        let peer = *peer;
        match self.gate.penalize(&peer, refusal, self.environment.now.mono) {
            None => {}
            Some(Penalty::Graylisted { time }) => {
                let seconds = time.as_secs();
                self.outbox.push(Output::Event(Event::PeerGraylisted { peer, seconds, refusal }));
            }
            Some(Penalty::Blacklisted { time }) => {
                self.outbox.push(Output::Event(Event::ShouldBan { peer, refusal }));
                let (seconds, refusal) = (Some(time.as_secs()), Some(refusal));
                self.outbox.push(Output::Event(Event::PeerBlacklisted { peer, seconds, refusal }));
                self.outbox.push(Output::Ban(peer));
            }
        }
    }

    /// Says of whom nothing is held any more that it is listened to again.
    pub(super) fn end_standings(&mut self) {
        while let Some((peer, standing)) = self.gate.pop_ended_standing(self.environment.now.mono) {
            if standing == Standing::Blacklisted {
                self.outbox.push(Output::Event(Event::PeerUnbanned { peer }));
                self.outbox.push(Output::Unban(peer));
            } else {
                self.outbox.push(Output::Event(Event::PeerUngraylisted { peer }));
            }
        }
        match self.gate.next_standing_end() {
            Some(at) => self.timers.set(TimerReason::Standing, at),
            None => self.timers.cancel(&TimerReason::Standing),
        }
    }

    pub(super) fn ban(&mut self, peer: PeerId) -> Result<(), CommandError> {
        if !self.gate.ban(&peer, self.environment.now.mono) {
            return Err(CommandError::TooManyPeers);
        }
        self.outbox.push(Output::Event(Event::PeerBlacklisted { peer, seconds: None, refusal: None }));
        self.outbox.push(Output::Ban(peer));
        Ok(())
    }

    pub(super) fn unban(&mut self, peer: PeerId) -> Result<(), CommandError> {
        if !self.gate.unban(&peer) {
            return Err(CommandError::NotBanned(peer));
        }
        self.outbox.push(Output::Event(Event::PeerUnbanned { peer }));
        self.outbox.push(Output::Unban(peer));
        Ok(())
    }
}
