//! The peers that this node hears from: how much each may send, and what became of those who broke the rules.
//!
//! A neighbour answers for what it could have checked before passing it on, and for nothing else. Penalties fade; what
//! remains above a threshold closes the door for a while, and repeated offences for longer.
//!
//! Invariants: bounded by `Limits`; at the cap whoever is held the least against makes room, of several the one that
//! has been silent the longest. Bans take no more than half of the room and end before their time only when there are
//! more; those by hand never do. What ends is said. Driven by the gate.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::quota::Bucket;
use crate::api::{Config, Quota, Refusal, Standing, Traffic};
use crate::base::{HashKey, HashedMap, Mono, Timers};
use crate::wire::PeerId;

const GRAYLIST_FOR: Duration = Duration::from_secs(60 * 60);
const BLACKLIST_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// A ban is at most this many times as long as the first.
const LONGEST_BAN: u32 = 32;
/// In this time half of a penalty fades.
const FADING: Duration = Duration::from_secs(10 * 60);
/// So many messages of a graylisted peer are looked at, so that whoever goes on breaking the rules is banned, at next
/// to no cost, and whoever only goes on talking is not.
const SAMPLE: Quota = Quota { burst: 10, every: Duration::from_secs(6) };

/// What a neighbour's behaviour has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Penalty {
    Graylisted { time: Duration },
    Blacklisted { time: Duration },
}

/// What is to be done with a message that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// Listen to it.
    Full,
    /// See only whether its sender breaks the rules again.
    Sample,
}

#[derive(Clone, Copy, Debug, Default)]
struct Neighbour {
    messages: Bucket,
    reserved: Bucket,
    bytes: Bucket,
    sample: Bucket,
    penalty: u32,
    penalty_at: Mono,
    standing: Standing,
    bans: u32,
    /// When the last ban ended.
    cleared_at: Mono,
    /// When it was heard last.
    heard: Mono,
    traffic: Traffic,
}

impl Neighbour {
    /// How long the next ban will be.
    fn next_ban(&self) -> Duration {
        BLACKLIST_FOR.saturating_mul((1 << self.bans.min(16)).min(LONGEST_BAN))
    }

    fn refresh(&mut self, now: Mono) {
        let halvings = now.since(self.penalty_at).as_nanos() / FADING.as_nanos();
        if halvings > 0 {
            self.penalty = self.penalty.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0);
            self.penalty_at = now;
        }
        // Who has behaved for as long as it would be banned next begins afresh.
        if self.standing == Standing::Good && now.since(self.cleared_at) >= self.next_ban() {
            self.bans = 0;
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
    /// When bad standings end; a ban by hand has no end.
    ends: Timers<PeerId>,
    /// Whose standing has ended before its time, and what it was.
    released: Vec<(PeerId, Standing)>,
    all_messages: Bucket,
    all_bytes: Bucket,
    config: Arc<Config>,
}

impl Neighbours {
    pub(super) fn new(config: Arc<Config>, hash_key: HashKey) -> Self {
        Self {
            by_peer: HashedMap::new(hash_key),
            ends: Timers::new(),
            released: Vec::new(),
            all_messages: Bucket::default(),
            all_bytes: Bucket::default(),
            config,
        }
    }

    /// Lets a message of this size in, or says why not. Nothing of the message has been looked at.
    pub(crate) fn charge(&mut self, peer: &PeerId, size: usize, now: Mono) -> Result<Hearing, Refusal> {
        self.make_room(peer, now);
        let Self { by_peer, all_messages, all_bytes, config, .. } = self;
        let limits = &config.limits;
        let neighbour = account(by_peer, limits.neighbours, peer, now).ok_or(Refusal::Full)?;
        neighbour.traffic.messages += 1;
        neighbour.traffic.bytes += size as u64;
        match neighbour.standing {
            Standing::Good => {}
            Standing::Graylisted if neighbour.sample.take(SAMPLE, 1, now) => return Ok(Hearing::Sample),
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
            Ok(Hearing::Full)
        } else {
            Err(Refusal::TotalQuota)
        }
    }

    /// Whether so many messages and bytes would all be let in now.
    pub(crate) fn affords(&self, peer: &PeerId, messages: usize, bytes: usize, now: Mono) -> bool {
        let (limits, messages, bytes) = (&self.config.limits, messages as u64, bytes as u64);
        let (mut all_messages, mut all_bytes) = (self.all_messages, self.all_bytes);
        let mut neighbour = self.by_peer.get(peer).copied().unwrap_or_default();
        neighbour.standing == Standing::Good
            && neighbour.messages.take(limits.messages_per_peer, messages, now)
            && neighbour.bytes.take(limits.bytes_per_peer, bytes, now)
            && (neighbour.reserved.take(limits.messages_reserved_per_peer, messages, now)
                || (all_messages.take(limits.messages, messages, now) && all_bytes.take(limits.bytes, bytes, now)))
    }

    /// Holds a refusal against the neighbour that could have avoided it.
    pub(crate) fn blame(&mut self, peer: &PeerId, refusal: Refusal, now: Mono) -> Option<Penalty> {
        if let Some(neighbour) = self.by_peer.get_mut(peer) {
            neighbour.traffic.refused += 1;
        }
        let penalty = refusal.penalty();
        if penalty == 0 {
            return None;
        }
        self.make_room(peer, now);
        let limits = &self.config.limits;
        let (capacity, graylist_at, blacklist_at) = (limits.neighbours, limits.graylist_at, limits.blacklist_at);
        let neighbour = account(&mut self.by_peer, capacity, peer, now)?;
        neighbour.penalty = neighbour.penalty.saturating_add(penalty);
        let (standing, penalty) = (neighbour.standing, neighbour.penalty);
        if penalty >= blacklist_at && standing != Standing::Blacklisted && self.make_room_for_ban() {
            let neighbour = self.by_peer.get_mut(peer)?;
            let time = neighbour.next_ban();
            neighbour.bans += 1;
            neighbour.standing = Standing::Blacklisted;
            self.ends.set(*peer, now.after(time));
            Some(Penalty::Blacklisted { time })
        } else if penalty >= graylist_at && standing == Standing::Good {
            self.by_peer.get_mut(peer)?.standing = Standing::Graylisted;
            self.ends.set(*peer, now.after(GRAYLIST_FOR));
            Some(Penalty::Graylisted { time: GRAYLIST_FOR })
        } else {
            None
        }
    }

    /// Bans a peer by hand, until it is unbanned. False when there is no room to remember it.
    pub(crate) fn ban(&mut self, peer: &PeerId, now: Mono) -> bool {
        self.make_room(peer, now);
        let is_banned = self.by_peer.get(peer).is_some_and(|known| known.standing == Standing::Blacklisted);
        if !is_banned && !self.make_room_for_ban() {
            return false;
        }
        let Some(neighbour) = account(&mut self.by_peer, self.config.limits.neighbours, peer, now) else {
            return false;
        };
        neighbour.standing = Standing::Blacklisted;
        self.ends.cancel(peer);
        true
    }

    /// Forgets everything that is held against a peer. False when there was nothing.
    pub(crate) fn unban(&mut self, peer: &PeerId) -> bool {
        self.ends.cancel(peer);
        self.by_peer.remove(peer).is_some_and(|neighbour| !neighbour.is_forgettable())
    }

    /// A peer whose bad standing is over, and what it was.
    pub(crate) fn pop_ended(&mut self, now: Mono) -> Option<(PeerId, Standing)> {
        if let Some(released) = self.released.pop() {
            return Some(released);
        }
        let peer = self.ends.pop_due(now)?;
        let neighbour = self.by_peer.get_mut(&peer)?;
        neighbour.cleared_at = now;
        Some((peer, core::mem::take(&mut neighbour.standing)))
    }

    /// When the next bad standing is over.
    pub(crate) fn next_end(&self) -> Option<Mono> {
        self.ends.next().map(|(at, _)| *at)
    }

    /// What a peer's standing is.
    pub(crate) fn standing(&self, peer: &PeerId, now: Mono) -> (Standing, u32) {
        let mut neighbour = self.by_peer.get(peer).copied().unwrap_or_default();
        neighbour.refresh(now);
        (neighbour.standing, neighbour.penalty)
    }

    /// What has come from a peer.
    pub(crate) fn traffic(&self, peer: &PeerId) -> Traffic {
        self.by_peer.get(peer).map(|neighbour| neighbour.traffic).unwrap_or_default()
    }

    /// How many peers stand like this.
    pub(crate) fn count(&self, standing: Standing) -> usize {
        self.by_peer.count(|_, neighbour| neighbour.standing == standing)
    }

    /// Lets one peer be forgotten if there is no room for this one: of those that are not banned the one that is held
    /// the least against.
    fn make_room(&mut self, peer: &PeerId, now: Mono) {
        let capacity = self.config.limits.neighbours;
        if self.by_peer.len() < capacity || self.by_peer.contains(peer) {
            return;
        }
        self.by_peer.retain(|_, neighbour| {
            neighbour.refresh(now);
            !neighbour.is_forgettable()
        });
        if self.by_peer.len() >= capacity {
            let least = self.by_peer.lowest(|_, neighbour| {
                let Neighbour { standing, bans, penalty, heard, .. } = *neighbour;
                (standing != Standing::Blacklisted).then_some((standing, bans, penalty, heard))
            });
            least.copied().into_iter().for_each(|least| self.release(&least));
        }
    }

    /// Whether there may be one more ban; the one that ends first makes room.
    fn make_room_for_ban(&mut self) -> bool {
        let most = self.config.limits.neighbours.div_ceil(2);
        if self.count(Standing::Blacklisted) < most {
            return true;
        }
        let ends = &self.ends;
        let first = self.by_peer.lowest(
            |peer, neighbour| {
                if neighbour.standing == Standing::Blacklisted { ends.at(peer) } else { None }
            },
        );
        let Some(first) = first.copied() else { return false };
        self.release(&first);
        true
    }

    /// Forgets a peer, whatever is held against it.
    fn release(&mut self, peer: &PeerId) {
        self.ends.cancel(peer);
        if let Some(neighbour) = self.by_peer.remove(peer).filter(|neighbour| neighbour.standing != Standing::Good) {
            self.released.push((*peer, neighbour.standing));
        }
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
        return None;
    }
    let neighbour = by_peer.or_insert_with(*peer, Neighbour::default);
    neighbour.refresh(now);
    neighbour.heard = now;
    Some(neighbour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Network;

    #[test]
    fn a_ban_is_twice_as_long_as_the_one_before_until_its_peer_has_behaved_for_as_long() {
        let mut config = Config::new(Network::Regtest);
        config.limits.graylist_at = u32::MAX;
        let mut neighbours = Neighbours::new(Arc::new(config), HashKey::from_bytes([1; 32]));
        let (peer, mut now) = (PeerId::from_bytes(&[1]).expect("short"), Mono::ZERO.after(BLACKLIST_FOR));
        let mut ban = |good_for: u32| {
            now = now.after(BLACKLIST_FOR.saturating_mul(good_for));
            let mut penalties = (0..100).filter_map(|_| neighbours.blame(&peer, Refusal::Malformed, now));
            let Some(Penalty::Blacklisted { time }) = penalties.next() else { panic!("a hundred are enough") };
            now = now.after(time);
            assert_eq!(neighbours.pop_ended(now), Some((peer, Standing::Blacklisted)));
            time.as_secs() / BLACKLIST_FOR.as_secs()
        };
        assert_eq!([0, 1, 3, 8].map(&mut ban), [1, 2, 4, 1]);
        assert_eq!([1; 6].map(ban), [2, 4, 8, 16, 32, 32], "none is longer");
    }

    #[test]
    fn of_what_a_graylisted_peer_says_a_sample_is_looked_at() {
        let mut config = Config::new(Network::Regtest);
        config.limits.graylist_at = 10;
        let mut neighbours = Neighbours::new(Arc::new(config), HashKey::from_bytes([1; 32]));
        let (peer, now) = (PeerId::from_bytes(&[1]).expect("short"), Mono::ZERO.after(BLACKLIST_FOR));
        let penalty = neighbours.blame(&peer, Refusal::Malformed, now);
        assert_eq!(penalty, Some(Penalty::Graylisted { time: GRAYLIST_FOR }));
        let burst = SAMPLE.burst;
        assert!((0..burst).all(|_| neighbours.charge(&peer, 1, now) == Ok(Hearing::Sample)));
        assert_eq!(neighbours.charge(&peer, 1, now), Err(Refusal::Graylisted));
        assert_eq!(neighbours.charge(&peer, 1, now.after(SAMPLE.every)), Ok(Hearing::Sample));
    }
}
