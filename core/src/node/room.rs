//! Who asks this node to sign, and how sessions make room for others.

use super::Node;
use crate::api::TimerReason;
use crate::base::Wall;
use crate::crypto::{PublicKey, Verifier};
use crate::journal::Record;
use crate::session::Acquaintance;
use crate::wire::SessionId;

impl<V: Verifier> Node<V> {
    /// What this node knows of whoever asks it to sign.
    pub(super) fn acquaintance(&self, key: &PublicKey) -> Acquaintance {
        if self.reputations.has_earned(key) || self.sessions.live_with(key).next().is_some() {
            Acquaintance::CoSigner
        } else if self.presences.is_connected(key) {
            Acquaintance::Connected
        } else {
            Acquaintance::Stranger
        }
    }

    /// Forgets a request that nobody has answered. Its creator may ask again.
    pub(super) fn give_way(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        self.forget(id, None);
    }

    /// Closes the oldest of too many sessions that have ended.
    pub(super) fn make_room(&mut self) {
        while let Some(id) = self.sessions.surplus(&self.config.limits, self.now.mono) {
            self.retire(id);
        }
    }

    /// Forgets a session that has ended, but for its id: as long as its announcement could be shown again, also after a
    /// restart.
    pub(super) fn retire(&mut self, id: SessionId) {
        if let Some(until) = self.sessions.get(&id).map(|session| session.definition().expires_at) {
            self.forget(id, Some(Record::Closed { until }));
            self.keep_id(id, until);
        }
    }

    pub(super) fn keep_id(&mut self, id: SessionId, until: Wall) {
        let gone = self.sessions.close(&id, self.expiry(until), &self.config.limits);
        for id in gone {
            self.persist(&id, None);
        }
        self.watch_closed();
    }

    pub(super) fn forget_ids(&mut self) {
        let gone = self.sessions.expire_closed(self.now.mono);
        for id in gone {
            self.persist(&id, None);
        }
        self.watch_closed();
    }

    fn watch_closed(&mut self) {
        match self.sessions.closed_deadline() {
            Some(at) => self.timers.set(TimerReason::Closed, at),
            None => self.timers.cancel(&TimerReason::Closed),
        }
    }
}
