//! All sessions of a node: bounded, and each id means one session for as long as its announcement is valid.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use super::machine::Session;
use crate::api::{Limits, Phase};
use crate::base::Mono;
use crate::crypto::{PublicKey, Verifier};
use crate::wire::SessionId;

/// The table of sessions.
pub(crate) struct Sessions<V: Verifier> {
    by_id: BTreeMap<SessionId, Box<Session<V>>>,
    /// Those that have not ended.
    live: BTreeSet<SessionId>,
    live_by_signer: BTreeSet<(PublicKey, SessionId)>,
    /// Those that need their signers: approved, and not ended.
    wanting: BTreeSet<SessionId>,
    /// Closed sessions: their late messages, the announcement among them, mean nothing.
    closed: BTreeSet<SessionId>,
}

impl<V: Verifier> Sessions<V> {
    pub(crate) const fn new() -> Self {
        Self {
            by_id: BTreeMap::new(),
            live: BTreeSet::new(),
            live_by_signer: BTreeSet::new(),
            wanting: BTreeSet::new(),
            closed: BTreeSet::new(),
        }
    }

    /// Whether there is room for one more session; of an unapproved one, whether its creator may have another.
    pub(crate) fn has_room(&self, limits: &Limits, creator: Option<&PublicKey>) -> bool {
        let ended = self.by_id.len() - self.live.len() + self.closed.len();
        if self.live.len() >= limits.sessions || ended >= limits.ended {
            return false;
        }
        let Some(creator) = creator else { return true };
        let live = self.live.iter().filter_map(|id| self.by_id.get(id));
        let unapproved = live.filter(|session| session.phase() == Phase::Announced);
        let (all, of_creator) = unapproved.fold((0, 0), |(all, of_creator), session| {
            (all + 1, of_creator + usize::from(session.definition().creator_key() == creator))
        });
        all < limits.unapproved && of_creator < limits.unapproved_per_creator
    }

    pub(crate) fn insert(&mut self, session: Session<V>) {
        let id = session.id();
        if !session.phase().has_ended() {
            self.live.insert(id);
            for signer in &session.definition().keys {
                self.live_by_signer.insert((*signer, id));
            }
        }
        self.by_id.insert(id, Box::new(session));
    }

    pub(crate) fn get(&self, id: &SessionId) -> Option<&Session<V>> {
        self.by_id.get(id).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: &SessionId) -> Option<&mut Session<V>> {
        self.by_id.get_mut(id).map(Box::as_mut)
    }

    pub(crate) fn is_closed(&self, id: &SessionId) -> bool {
        self.closed.contains(id)
    }

    /// Takes account of a session that has ended.
    pub(super) fn settle(&mut self, id: &SessionId) {
        let Some(session) = self.by_id.get(id) else { return };
        if !session.phase().has_ended() || !self.live.remove(id) {
            return;
        }
        for signer in &session.definition().keys {
            self.live_by_signer.remove(&(*signer, *id));
        }
    }

    /// Takes note of whether a session needs its signers. True when that is new.
    pub(super) fn set_wanting(&mut self, id: &SessionId, is_wanting: bool) -> bool {
        if is_wanting { self.wanting.insert(*id) } else { self.wanting.remove(id) }
    }

    /// Forgets an ended session but for its name.
    pub(super) fn close_id(&mut self, id: &SessionId) {
        self.settle(id);
        self.by_id.remove(id);
        self.closed.insert(*id);
    }

    /// Forgets an ended session's name too.
    pub(crate) fn remove(&mut self, id: &SessionId) {
        self.settle(id);
        self.by_id.remove(id);
        self.closed.remove(id);
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Session<V>> {
        self.by_id.values().map(Box::as_ref)
    }

    /// The sessions that this signer is part of and whose broadcast it may not have heard of.
    pub(crate) fn confirmed_with(
        &self,
        signer: &PublicKey,
        now: Mono,
        timeout: Duration,
    ) -> impl Iterator<Item = SessionId> {
        let confirmed = self.iter().filter(move |session| session.confirmation(now, timeout).is_some());
        confirmed.filter(|session| session.definition().index_of(signer).is_some()).map(Session::id)
    }

    /// The sessions that this signer is part of and that have not ended.
    pub(crate) fn live_with(&self, signer: &PublicKey) -> impl Iterator<Item = SessionId> {
        let sessions = (*signer, SessionId::from_bytes([0; 32]))..=(*signer, SessionId::from_bytes([0xFF; 32]));
        self.live_by_signer.range(sessions).map(|(_, id)| *id)
    }
}
