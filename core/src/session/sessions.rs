//! All sessions of a node: bounded, and each id means one session for as long as its announcement is valid.
//!
//! What others ask for never takes the room of what this node has created or approved, and none of those who ask takes
//! the room of the others. When there are too many, requests that wait for approval give way to better ones, and
//! sessions that have ended to newer ones; of these the ids stay, which is little. Driven by `Node`.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::closed::ClosedSessions;
use super::machine::Session;
use crate::api::{Limits, Phase, Refusal};
use crate::base::{Mono, Now};
use crate::crypto::{PublicKey, Verifier};
use crate::wire::SessionId;

/// What this node knows of somebody who asks it to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acquaintance {
    /// Nothing.
    Stranger,
    /// Its peer is connected and has shown the key itself.
    Connected,
    /// It has signed with this node, or is about to.
    CoSigner,
}

impl Acquaintance {
    const ALL: [Self; 3] = [Self::Stranger, Self::Connected, Self::CoSigner];

    /// How many of so many requests are theirs, whoever else asks.
    const fn share(self, of: usize) -> usize {
        match self {
            Self::Stranger | Self::Connected => of / 4,
            Self::CoSigner => of - 2 * (of / 4),
        }
    }
}

/// A session that waits for this node's approval.
struct Request {
    creator: PublicKey,
    /// What was known of the creator when it asked.
    from: Acquaintance,
    number: u64,
}

struct Entry<V: Verifier> {
    session: Box<Session<V>>,
    /// Its place in the order in which sessions ended.
    number: u64,
}

/// The table of sessions.
pub(crate) struct Sessions<V: Verifier> {
    by_id: BTreeMap<SessionId, Entry<V>>,
    requests: BTreeMap<SessionId, Request>,
    /// Those that were created or approved and have not ended.
    pub(super) live: BTreeSet<SessionId>,
    live_by_signer: BTreeSet<(PublicKey, SessionId)>,
    /// Those that were created or approved and have ended, oldest first.
    ended: BTreeMap<u64, SessionId>,
    /// Those that ended before they were approved, oldest first.
    refused: BTreeMap<u64, SessionId>,
    /// Their late messages, the announcement among them, mean nothing.
    closed: ClosedSessions,
    count: u64,
}

impl<V: Verifier> Sessions<V> {
    pub(crate) const fn new() -> Self {
        Self {
            by_id: BTreeMap::new(),
            requests: BTreeMap::new(),
            live: BTreeSet::new(),
            live_by_signer: BTreeSet::new(),
            ended: BTreeMap::new(),
            refused: BTreeMap::new(),
            closed: ClosedSessions::new(),
            count: 0,
        }
    }

    /// Whether this node may create one more session, and which request gives way to it. Nothing that others do stands
    /// in the way.
    pub(crate) fn room_for_own(&self, limits: &Limits) -> Option<Option<SessionId>> {
        if self.live.len() >= limits.sessions {
            return None;
        }
        let is_full = self.live.len() + self.requests.len() >= limits.sessions;
        let way = Acquaintance::ALL.into_iter().find_map(|from| self.oldest_of_most(from));
        Some(way.map(|(id, _)| id).filter(|_| is_full))
    }

    /// Whether there is room for so many more nonces among the sessions that were created or approved, or among those
    /// that wait for it.
    pub(super) fn has_slots(&self, more: usize, is_request: bool, limits: &Limits) -> bool {
        let slots = |id| self.get(id).map_or(0, |session| session.definition().slots());
        let taken: usize =
            if is_request { self.requests.keys().map(slots).sum() } else { self.live.iter().map(slots).sum() };
        taken.saturating_add(more) <= limits.slots
    }

    /// Whether one more request of this creator is taken, and which one gives way to it. Those who have signed with
    /// this node have half of the room, connected peers and strangers a quarter each; what one of them does not need
    /// the others may use until it does. Among equals whoever has the most loses its oldest to whoever has fewer.
    pub(crate) fn room_for_request(
        &self,
        limits: &Limits,
        creator: &PublicKey,
        from: Acquaintance,
    ) -> Result<Option<SessionId>, Refusal> {
        let own = self.requests.values().filter(|request| request.creator == *creator).count();
        if own >= limits.unapproved_per_creator {
            return Err(Refusal::Requests);
        }
        let room = limits.unapproved.min(limits.sessions.saturating_sub(self.live.len()));
        if self.requests.len() < room {
            return Ok(None);
        }
        let taken = |of: Acquaintance| self.requests.values().filter(|request| request.from == of).count();
        let excess = |of: &Acquaintance| taken(*of).saturating_sub(of.share(room));
        let loser = match Acquaintance::ALL.into_iter().max_by_key(excess) {
            Some(loser) if taken(from) < from.share(room) => loser,
            _ => from,
        };
        match self.oldest_of_most(loser) {
            Some((id, most)) if loser != from || most > own + 1 => Ok(Some(id)),
            _ => Err(Refusal::Requests),
        }
    }

    /// The oldest request of whoever of these has the most, and how many that are.
    fn oldest_of_most(&self, from: Acquaintance) -> Option<(SessionId, usize)> {
        let requests = || self.requests.iter().filter(|(_, request)| request.from == from);
        let mut counts = BTreeMap::<PublicKey, usize>::new();
        requests().for_each(|(_, request)| *counts.entry(request.creator).or_default() += 1);
        let (creator, most) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        let of_creator = requests().filter(|(_, request)| request.creator == creator);
        of_creator.min_by_key(|(_, request)| request.number).map(|(id, _)| (*id, most))
    }

    /// Whether this node may approve a session: its id has to be kept for as long as it could be announced again.
    pub(crate) fn may_approve(&self, id: &SessionId, limits: &Limits) -> bool {
        !self.requests.contains_key(id) || self.live.len() + self.ended.len() + self.closed.kept() < limits.closed
    }

    /// Takes a session; `from` is what is known of its creator, when it waits for approval.
    pub(crate) fn insert(&mut self, session: Session<V>, from: Acquaintance) {
        let (id, number) = (session.id(), self.next());
        match session.phase() {
            Phase::Announced => {
                let creator = *session.definition().creator_key();
                self.requests.insert(id, Request { creator, from, number });
            }
            phase if phase.has_ended() => drop(self.ended.insert(number, id)),
            _ => self.index(id, &session.definition().keys),
        }
        self.by_id.insert(id, Entry { session: Box::new(session), number });
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn index(&mut self, id: SessionId, signers: &[PublicKey]) {
        self.live.insert(id);
        self.live_by_signer.extend(signers.iter().map(|signer| (*signer, id)));
    }

    pub(crate) fn get(&self, id: &SessionId) -> Option<&Session<V>> {
        self.by_id.get(id).map(|entry| &*entry.session)
    }

    pub(crate) fn get_mut(&mut self, id: &SessionId) -> Option<&mut Session<V>> {
        self.by_id.get_mut(id).map(|entry| &mut *entry.session)
    }

    pub(crate) fn is_closed(&self, id: &SessionId) -> bool {
        self.closed.contains(id)
    }

    /// Whether this node has created or approved the session: only then are its signers looked for.
    pub(crate) fn is_approved(&self, id: &SessionId) -> bool {
        self.live.contains(id) || self.by_id.get(id).is_some_and(|entry| self.ended.contains_key(&entry.number))
    }

    /// Takes account of a session that is waiting no more. True when it has just been approved.
    pub(crate) fn approve(&mut self, id: &SessionId) -> bool {
        let Some(session) = self.get(id) else { return false };
        let definition = session.definition().clone();
        if matches!(session.phase(), Phase::Announced | Phase::Aborted | Phase::Expired)
            || self.requests.remove(id).is_none()
        {
            return false;
        }
        self.index(*id, &definition.keys);
        true
    }

    /// Takes account of a session that has ended. True the first time.
    pub(crate) fn settle(&mut self, id: &SessionId) -> bool {
        self.approve(id);
        if !self.get(id).is_some_and(|session| session.phase().has_ended()) {
            return false;
        }
        let was_request = self.requests.remove(id).is_some();
        if !self.unindex(id) && !was_request {
            return false;
        }
        let number = self.next();
        if let Some(entry) = self.by_id.get_mut(id) {
            entry.number = number;
        }
        let ended = if was_request { &mut self.refused } else { &mut self.ended };
        ended.insert(number, *id);
        true
    }

    fn unindex(&mut self, id: &SessionId) -> bool {
        if !self.live.remove(id) {
            return false;
        }
        if let Some(Entry { session, .. }) = self.by_id.get(id) {
            for signer in &session.definition().keys {
                self.live_by_signer.remove(&(*signer, *id));
            }
        }
        true
    }

    /// An ended session that is one too many: the oldest, first of those that nobody has to broadcast any more, last of
    /// those of which a signature may still appear.
    pub(crate) fn surplus(&self, limits: &Limits, now: Mono) -> Option<SessionId> {
        if self.refused.len() > limits.unapproved {
            return self.refused.values().next().copied();
        }
        if self.ended.len() <= limits.ended {
            return None;
        }
        let is_over = |id: &&SessionId| {
            self.get(id).is_none_or(|session| session.broadcasting_for(now).is_none() && !session.may_complete())
        };
        let is_complete = |id: &&SessionId| self.get(id).is_none_or(|session| !session.may_complete());
        let ended = || self.ended.values();
        ended().find(is_over).or_else(|| ended().find(is_complete)).or_else(|| ended().next()).copied()
    }

    /// Forgets a session but for its id, until both clocks show that. Which ids that were kept already make room for
    /// it.
    pub(super) fn close_id(&mut self, id: &SessionId, until: Now, now: Now, limits: &Limits) -> Vec<SessionId> {
        // Nobody else can announce what this node has created, and nothing is lost when it is asked again about what
        // it has refused; but a nonce that it has shown must not be followed by another.
        let may_go =
            self.by_id.get(id).is_some_and(|entry| entry.session.is_own() || self.refused.contains_key(&entry.number));
        self.remove(id);
        self.closed.insert(*id, until, !may_go, now, limits.closed)
    }

    /// Forgets a session altogether.
    pub(crate) fn remove(&mut self, id: &SessionId) {
        self.unindex(id);
        self.requests.remove(id);
        if let Some(entry) = self.by_id.remove(id) {
            self.ended.remove(&entry.number);
            self.refused.remove(&entry.number);
        }
    }

    /// Forgets the ids whose time is over.
    pub(crate) fn expire_closed(&mut self, now: Now) -> Vec<SessionId> {
        self.closed.expire(now)
    }

    /// The clocks have parted: when the first id may be forgotten is another time.
    pub(crate) fn recount_closed(&mut self, now: Now) {
        self.closed.recount(now);
    }

    /// When the first id may be forgotten.
    pub(crate) fn closed_deadline(&self) -> Option<Mono> {
        self.closed.deadline()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Session<V>> {
        self.by_id.values().map(|entry| &*entry.session)
    }

    /// The sessions that have ended and that this signer is part of, whose broadcast it may not have heard of, or whose
    /// signature it may know.
    pub(crate) fn ended_with(
        &self,
        signer: &PublicKey,
        now: Mono,
        timeout: Duration,
    ) -> impl Iterator<Item = SessionId> {
        let is_open =
            move |session: &&Session<V>| session.may_complete() || session.confirmation(now, timeout).is_some();
        let of_signer = |session: &&Session<V>| session.definition().index_of(signer).is_some();
        self.iter().filter(is_open).filter(of_signer).map(Session::id)
    }

    /// The sessions that this signer is part of, that this node has created or approved, and that have not ended.
    pub(crate) fn live_with(&self, signer: &PublicKey) -> impl Iterator<Item = SessionId> {
        let sessions = (*signer, SessionId::from_bytes([0; 32]))..=(*signer, SessionId::from_bytes([0xFF; 32]));
        self.live_by_signer.range(sessions).map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secp256k1;

    #[test]
    fn half_of_all_requests_are_co_signers_and_a_quarter_each_the_others() {
        for (of, expected) in [(0, [0, 0, 0]), (3, [0, 0, 3]), (4, [1, 1, 2]), (64, [16, 16, 32]), (103, [25, 25, 53])]
        {
            assert_eq!(Acquaintance::ALL.map(|acquaintance| acquaintance.share(of)), expected);
        }
    }

    #[test]
    fn where_no_id_is_kept_none_is_waited_for() {
        assert_eq!(Sessions::<Secp256k1>::new().closed_deadline(), None);
    }
}
