//! The peers that this node hears from: how much each may send, and what became of those who broke the rules.
//!
//! A neighbour answers for what it could have checked before passing it on, and for nothing else. Penalties fade; what
//! remains above a threshold closes the door for a while, and repeated offences for longer.
//!
//! Invariant: bounded by `Limits`; a neighbour in bad standing is never forgotten before its time is over. Driven by the
//! gate.

use alloc::sync::Arc;
use core::time::Duration;

use super::Channel;
use super::quota::Bucket;
use crate::api::{Config, Refusal, Standing};
use crate::base::{HashKey, HashedMap, Mono};
use crate::wire::PeerId;

const GRAYLIST_FOR: Duration = Duration::from_secs(60 * 60);
const BLACKLIST_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// A ban is at most this many times as long as the first.
const LONGEST_BAN: u32 = 32;
/// In this time half of a penalty fades.
const FADING: Duration = Duration::from_secs(10 * 60);

/// What a neighbour's behaviour has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Penalty {
    Graylisted { time: Duration },
    Blacklisted { time: Duration },
}

#[derive(Clone, Copy, Debug, Default)]
struct Neighbour {
    messages: Bucket,
    reserved: Bucket,
    bytes: Bucket,
    penalty: u32,
    penalty_at: Mono,
    standing: Standing,
    /// When the standing ends; a ban by hand has no end.
    until: Option<Mono>,
    bans: u32,
}

impl Neighbour {
    fn refresh(&mut self, now: Mono) {
        let halvings = now.since(self.penalty_at).as_nanos() / FADING.as_nanos();
        if halvings > 0 {
            self.penalty = self.penalty.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0);
            self.penalty_at = now;
        }
        if self.until.is_some_and(|until| until <= now) {
            (self.standing, self.until) = (Standing::Good, None);
        }
    }

    fn is_forgettable(&self) -> bool {
        self.standing == Standing::Good && self.penalty == 0 && self.bans == 0
    }
}

/// All neighbours.
#[derive(Debug)]
pub(crate) struct Neighbours {
    by_peer: HashedMap<PeerId, Neighbour>,
    all_messages: Bucket,
    all_bytes: Bucket,
    config: Arc<Config>,
}

impl Neighbours {
    pub(super) fn new(config: Arc<Config>, hash_key: HashKey) -> Self {
        let by_peer = HashedMap::new(hash_key);
        Self { by_peer, all_messages: Bucket::default(), all_bytes: Bucket::default(), config }
    }

    /// Lets a message of this size in, or says why not. Nothing of the message has been looked at.
    pub(crate) fn charge(&mut self, peer: &PeerId, channel: Channel, size: usize, now: Mono) -> Result<(), Refusal> {
        if size > channel.max_size() {
            return Err(Refusal::Oversized);
        }
        let Self { by_peer, all_messages, all_bytes, config } = self;
        let limits = &config.limits;
        let neighbour = account(by_peer, limits.neighbours, peer, now).ok_or(Refusal::Full)?;
        match neighbour.standing {
            Standing::Good => {}
            Standing::Graylisted => return Err(Refusal::Graylisted),
            Standing::Blacklisted => return Err(Refusal::Blacklisted),
        }
        let size = size as u64;
        if !neighbour.messages.take(limits.messages_per_peer, 1, now)
            || !neighbour.bytes.take(limits.bytes_per_peer, size, now)
        {
            return Err(Refusal::PeerQuota);
        }
        let is_reserved = neighbour.reserved.take(limits.messages_reserved_per_peer, 1, now);
        if is_reserved || (all_messages.take(limits.messages, 1, now) && all_bytes.take(limits.bytes, size, now)) {
            Ok(())
        } else {
            Err(Refusal::TotalQuota)
        }
    }

    /// Whether so many messages and bytes would all be let in now.
    pub(crate) fn affords(&self, peer: &PeerId, messages: usize, bytes: usize, now: Mono) -> bool {
        let (limits, messages, bytes) = (&self.config.limits, messages as u64, bytes as u64);
        let (mut all_messages, mut all_bytes) = (self.all_messages, self.all_bytes);
        let mut neighbour = self.by_peer.get(peer).copied().unwrap_or_default();
        neighbour.refresh(now);
        neighbour.standing == Standing::Good
            && neighbour.messages.take(limits.messages_per_peer, messages, now)
            && neighbour.bytes.take(limits.bytes_per_peer, bytes, now)
            && (neighbour.reserved.take(limits.messages_reserved_per_peer, messages, now)
                || (all_messages.take(limits.messages, messages, now) && all_bytes.take(limits.bytes, bytes, now)))
    }

    /// Holds a refusal against the neighbour that could have avoided it.
    pub(crate) fn blame(&mut self, peer: &PeerId, refusal: Refusal, now: Mono) -> Option<Penalty> {
        let penalty = refusal.penalty();
        let limits = &self.config.limits;
        let neighbour = account(&mut self.by_peer, limits.neighbours, peer, now).filter(|_| penalty > 0)?;
        neighbour.penalty = neighbour.penalty.saturating_add(penalty);
        if neighbour.penalty >= limits.blacklist_at && neighbour.standing != Standing::Blacklisted {
            let time = BLACKLIST_FOR.saturating_mul((1 << neighbour.bans.min(16)).min(LONGEST_BAN));
            neighbour.bans += 1;
            (neighbour.standing, neighbour.until) = (Standing::Blacklisted, Some(now.after(time)));
            Some(Penalty::Blacklisted { time })
        } else if neighbour.penalty >= limits.graylist_at && neighbour.standing == Standing::Good {
            (neighbour.standing, neighbour.until) = (Standing::Graylisted, Some(now.after(GRAYLIST_FOR)));
            Some(Penalty::Graylisted { time: GRAYLIST_FOR })
        } else {
            None
        }
    }

    /// Bans a peer by hand, until it is unbanned. False when there is no room to remember it.
    pub(crate) fn ban(&mut self, peer: &PeerId, now: Mono) -> bool {
        let neighbour = account(&mut self.by_peer, self.config.limits.neighbours, peer, now);
        neighbour.map(|neighbour| (neighbour.standing, neighbour.until) = (Standing::Blacklisted, None)).is_some()
    }

    /// Forgets everything that is held against a peer. False when there was nothing.
    pub(crate) fn unban(&mut self, peer: &PeerId) -> bool {
        self.by_peer.remove(peer).is_some_and(|neighbour| !neighbour.is_forgettable())
    }

    /// What a peer's standing is.
    pub(crate) fn standing(&self, peer: &PeerId, now: Mono) -> (Standing, u32) {
        let mut neighbour = self.by_peer.get(peer).copied().unwrap_or_default();
        neighbour.refresh(now);
        (neighbour.standing, neighbour.penalty)
    }

    /// How many peers stand like this.
    pub(crate) fn count(&self, standing: Standing) -> usize {
        self.by_peer.count(|_, neighbour| neighbour.standing == standing)
    }
}

/// A peer's account, if there is one or room for one among so many.
fn account<'a>(
    by_peer: &'a mut HashedMap<PeerId, Neighbour>,
    capacity: usize,
    peer: &PeerId,
    now: Mono,
) -> Option<&'a mut Neighbour> {
    if by_peer.len() >= capacity && !by_peer.contains(peer) {
        by_peer.retain(|_, neighbour| {
            neighbour.refresh(now);
            !neighbour.is_forgettable()
        });
        if by_peer.len() >= capacity {
            return None;
        }
    }
    let neighbour = by_peer.or_insert_with(*peer, Neighbour::default);
    neighbour.refresh(now);
    Some(neighbour)
}
