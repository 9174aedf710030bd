//! Direct messages on their way out.
//!
//! Owns every message from when it is taken in until it is acknowledged or failed, which happens exactly once, and
//! which connection it goes over: a direct one rather than a circuit, the newest rather than an older one, any rather
//! than one that has shown no life. Invariant: what has not been acknowledged is here, to be sent again when the
//! connection is gone, at most [`MAX_TRIES`] times; number and bytes are bounded per connection, per peer and in total.
//! Pure: it is told the time and what happened. Driven by [`super::channel`].

use std::{
    collections::{HashMap, VecDeque},
    mem,
    time::Duration,
};

use libp2p::{PeerId, swarm::ConnectionId};
use nelumbo_core::{api::OperationId, base::Bytes};
use tokio::time::Instant;

use super::{codec::MAX_DIRECT_MESSAGE, event::DirectFailure};

/// JavaScript accepts 32 streams per protocol and connection, some of which it closes late.
const MAX_ONE_SHOTS: usize = 28;
/// As many messages, or as many bytes, are on their way over one connection.
const MAX_ON_LINK: usize = 256;
const MAX_BYTES_ON_LINK: usize = 1024 * 1024;
const MAX_PER_PEER: usize = 1024;
const MAX_BYTES_PER_PEER: usize = 8 * 1024 * 1024;
const MAX_IN_TOTAL: usize = 8192;
const MAX_BYTES_IN_TOTAL: usize = 64 * 1024 * 1024;
/// A message is sent as often as this, if stream after stream breaks.
const MAX_TRIES: u8 = 4;
/// After as long without an acknowledgement messages move to another connection, if there is one.
const MOVE_AFTER: Duration = Duration::from_secs(1);
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Write these to the connection's stream of this epoch.
    Send { peer: PeerId, connection: ConnectionId, epoch: u32, messages: Vec<Bytes> },
    /// Give up the connection's stream.
    Reset { peer: PeerId, connection: ConnectionId, epoch: u32 },
    /// Send this on a stream of its own.
    OneShot { peer: PeerId, operation: OperationId, message: Bytes },
    /// Say that this one may be lost.
    Failed { peer: PeerId, operation: OperationId, failure: DirectFailure },
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct DirectQueue {
    timeout: Duration,
    peers: HashMap<PeerId, Lane>,
    /// Who may have something to send.
    ready: VecDeque<PeerId>,
    actions: VecDeque<Action>,
    /// When to look for connections that show no life; `None` while nothing is on its way.
    check: Option<Instant>,
    total: Held,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Message>,
    links: Vec<Link>,
    /// Whether the peer speaks the protocol of the channel, once that is known.
    speaks: Option<bool>,
    one_shots: usize,
    is_ready: bool,
    held: Held,
}

/// A connection.
#[derive(Debug)]
struct Link {
    connection: ConnectionId,
    is_relayed: bool,
    /// Nothing was acknowledged in time.
    is_suspect: bool,
    /// Something was acknowledged.
    is_proven: bool,
    epoch: u32,
    on_way: VecDeque<Message>,
    bytes: usize,
    /// When the first of them was sent, or the last was acknowledged.
    since: Instant,
}

#[derive(Debug)]
struct Message {
    operation: OperationId,
    bytes: Bytes,
    tries: u8,
}

/// How much there is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Held {
    messages: usize,
    bytes: usize,
}

impl Held {
    fn take(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    fn leave(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
    }

    fn has_room(&self, bytes: usize, most: usize, most_bytes: usize) -> bool {
        self.messages < most && self.bytes + bytes <= most_bytes
    }
}

impl DirectQueue {
    /// `timeout` is how long the only connection to a peer may be silent.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            peers: HashMap::new(),
            ready: VecDeque::new(),
            actions: VecDeque::new(),
            check: None,
            total: Held::default(),
        }
    }

    /// Takes a message in, or says why not.
    pub(crate) fn push(&mut self, peer: PeerId, operation: OperationId, bytes: Bytes) -> Result<(), DirectFailure> {
        let size = bytes.len();
        if size == 0 || size > MAX_DIRECT_MESSAGE {
            return Err(DirectFailure::Size);
        }
        if !self.total.has_room(size, MAX_IN_TOTAL, MAX_BYTES_IN_TOTAL) {
            return Err(DirectFailure::Backlog);
        }
        let lane = self.peers.entry(peer).or_default();
        if !lane.held.has_room(size, MAX_PER_PEER, MAX_BYTES_PER_PEER) {
            return Err(DirectFailure::Backlog);
        }
        lane.held.take(size);
        self.total.take(size);
        lane.waiting.push_back(Message { operation, bytes, tries: 0 });
        self.wake(&peer);
        Ok(())
    }

    pub(crate) fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, is_relayed: bool, now: Instant) {
        self.peers.entry(peer).or_default().links.push(Link {
            connection,
            is_relayed,
            is_suspect: false,
            is_proven: false,
            epoch: 0,
            on_way: VecDeque::new(),
            bytes: 0,
            since: now,
        });
        self.wake(&peer);
    }

    /// What was on its way over the connection waits again, before what came later.
    pub(crate) fn on_disconnected(&mut self, peer: &PeerId, connection: ConnectionId) {
        let Some(lane) = self.peers.get_mut(peer) else { return };
        if let Some(index) = lane.links.iter().position(|link| link.connection == connection) {
            let link = lane.links.remove(index);
            self.send_again(peer, link.on_way, DirectFailure::ConnectionClosed);
        }
        self.wake(peer);
        self.tidy(peer);
    }

    /// The peer has said whether it speaks the protocol.
    pub(crate) fn on_speaks(&mut self, peer: &PeerId, speaks: bool) {
        if let Some(lane) = self.peers.get_mut(peer) {
            lane.speaks = Some(speaks);
            self.wake(peer);
        }
    }

    /// The peer has so many more messages, in their order. Says which.
    pub(crate) fn on_acknowledged(
        &mut self,
        peer: &PeerId,
        connection: ConnectionId,
        epoch: u32,
        messages: u32,
        now: Instant,
    ) -> Vec<OperationId> {
        let Some(lane) = self.peers.get_mut(peer) else { return Vec::new() };
        lane.speaks = Some(true);
        let Some(link) = lane.links.iter_mut().find(|link| link.connection == connection && link.epoch == epoch) else {
            return Vec::new();
        };
        (link.is_proven, link.is_suspect, link.since) = (true, false, now);
        let mut operations = Vec::new();
        for _ in 0..messages {
            let Some(message) = link.on_way.pop_front() else { break };
            link.bytes -= message.bytes.len();
            lane.held.leave(message.bytes.len());
            self.total.leave(message.bytes.len());
            operations.push(message.operation);
        }
        self.wake(peer);
        self.tidy(peer);
        operations
    }

    /// The connection's stream is over. Before the peer has ever acknowledged anything that is taken for a sign that it
    /// does not speak the protocol, until it says otherwise.
    pub(crate) fn on_broken(&mut self, peer: &PeerId, connection: ConnectionId, epoch: u32, is_unsupported: bool) {
        let Some(lane) = self.peers.get_mut(peer) else { return };
        let Some(link) = lane.links.iter_mut().find(|link| link.connection == connection && link.epoch == epoch) else {
            return;
        };
        link.epoch += 1;
        if is_unsupported || (lane.speaks.is_none() && !link.is_proven) {
            lane.speaks = Some(false);
        }
        let on_way = link.take_on_way();
        self.send_again(peer, on_way, DirectFailure::StreamBroken);
        self.wake(peer);
    }

    /// A message on a stream of its own has arrived, or failed.
    pub(crate) fn on_one_shot_ended(&mut self, peer: &PeerId) {
        if let Some(lane) = self.peers.get_mut(peer) {
            lane.one_shots -= 1;
            lane.held.leave(0);
            self.total.leave(0);
            self.wake(peer);
            self.tidy(peer);
        }
    }

    /// Forgets what waits for a peer and what is on its way to it; what has a stream of its own ends by itself.
    pub(crate) fn give_up(&mut self, peer: &PeerId) -> Vec<OperationId> {
        let Some(lane) = self.peers.get_mut(peer) else { return Vec::new() };
        let mut forgotten = Vec::new();
        for link in &mut lane.links {
            if !link.on_way.is_empty() {
                link.epoch += 1;
                let (peer, connection, epoch) = (*peer, link.connection, link.epoch);
                self.actions.push_back(Action::Reset { peer, connection, epoch });
                forgotten.extend(link.take_on_way());
            }
        }
        forgotten.extend(lane.waiting.drain(..));
        for message in &forgotten {
            lane.held.leave(message.bytes.len());
            self.total.leave(message.bytes.len());
        }
        self.tidy(peer);
        forgotten.into_iter().map(|message| message.operation).collect()
    }

    /// Whether something waits for a peer.
    pub(crate) fn has_waiting(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|lane| !lane.waiting.is_empty())
    }

    /// How many messages wait or are on their way.
    pub(crate) fn len(&self) -> usize {
        self.total.messages
    }

    /// Whether [`next`](Self::next) has something to say.
    pub(crate) fn has_actions(&self) -> bool {
        !self.actions.is_empty() || !self.ready.is_empty()
    }

    /// The next thing to do, until there is none.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        while let Some(peer) = self.ready.front().copied() {
            if let Some(lane) = self.peers.get_mut(&peer) {
                if let Some((action, leaves)) = lane.next(peer, now) {
                    lane.held.bytes -= leaves;
                    self.total.bytes -= leaves;
                    if matches!(action, Action::Send { .. }) {
                        self.check.get_or_insert(now + CHECK_INTERVAL);
                    }
                    return Some(action);
                }
                lane.is_ready = false;
            }
            self.ready.pop_front();
        }
        None
    }

    /// When [`due`](Self::due) is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.check
    }

    /// Takes what is on its way from connections that show no life.
    pub(crate) fn due(&mut self, now: Instant) {
        if self.check.is_none_or(|check| now < check) {
            return;
        }
        self.check = None;
        let mut silent = Vec::new();
        for (peer, lane) in &self.peers {
            for link in lane.links.iter().filter(|link| !link.on_way.is_empty()) {
                let is_alone = !lane.links.iter().any(|other| other.connection != link.connection && !other.is_suspect);
                let patience = if is_alone { self.timeout } else { MOVE_AFTER.min(self.timeout) };
                if now.duration_since(link.since) >= patience {
                    silent.push((*peer, link.connection, is_alone));
                } else {
                    self.check = Some(now + CHECK_INTERVAL);
                }
            }
        }
        for (peer, connection, is_alone) in silent {
            let Some(lane) = self.peers.get_mut(&peer) else { continue };
            let Some(link) = lane.links.iter_mut().find(|link| link.connection == connection) else { continue };
            link.epoch += 1;
            link.is_suspect = true;
            self.actions.push_back(Action::Reset { peer, connection, epoch: link.epoch });
            let on_way = link.take_on_way();
            if is_alone {
                self.fail(&peer, on_way, DirectFailure::TimedOut);
            } else {
                self.send_again(&peer, on_way, DirectFailure::TimedOut);
            }
            self.wake(&peer);
        }
    }

    fn send_again(&mut self, peer: &PeerId, messages: VecDeque<Message>, failure: DirectFailure) {
        let (tired, rest): (VecDeque<_>, VecDeque<_>) =
            messages.into_iter().partition(|message| message.tries >= MAX_TRIES);
        self.fail(peer, tired, failure);
        if let Some(lane) = self.peers.get_mut(peer) {
            rest.into_iter().rev().for_each(|message| lane.waiting.push_front(message));
        }
    }

    fn fail(&mut self, peer: &PeerId, messages: VecDeque<Message>, failure: DirectFailure) {
        for message in messages {
            if let Some(lane) = self.peers.get_mut(peer) {
                lane.held.leave(message.bytes.len());
                self.total.leave(message.bytes.len());
            }
            self.actions.push_back(Action::Failed { peer: *peer, operation: message.operation, failure });
        }
    }

    fn wake(&mut self, peer: &PeerId) {
        if let Some(lane) = self.peers.get_mut(peer)
            && !lane.is_ready
            && !lane.waiting.is_empty()
            && !lane.links.is_empty()
        {
            lane.is_ready = true;
            self.ready.push_back(*peer);
        }
    }

    fn tidy(&mut self, peer: &PeerId) {
        if self.peers.get(peer).is_some_and(|lane| lane.links.is_empty() && lane.held.messages == 0) {
            self.peers.remove(peer);
        }
    }
}

impl Lane {
    /// What may leave now, and how many bytes of it are not kept.
    fn next(&mut self, peer: PeerId, now: Instant) -> Option<(Action, usize)> {
        let best = |(at, link): &(usize, &mut Link)| (!link.is_suspect, !link.is_relayed, *at);
        let (_, link) = self.links.iter_mut().enumerate().max_by_key(best)?;
        if self.speaks == Some(false) {
            if self.one_shots >= MAX_ONE_SHOTS {
                return None;
            }
            let Message { operation, bytes, .. } = self.waiting.pop_front()?;
            self.one_shots += 1;
            let size = bytes.len();
            return Some((Action::OneShot { peer, operation, message: bytes }, size));
        }
        let mut messages = Vec::new();
        while link.on_way.len() < MAX_ON_LINK
            && let Some(message) = self.waiting.front()
            && (link.on_way.is_empty() || link.bytes + message.bytes.len() <= MAX_BYTES_ON_LINK)
            && let Some(mut message) = self.waiting.pop_front()
        {
            if link.on_way.is_empty() {
                link.since = now;
            }
            message.tries += 1;
            link.bytes += message.bytes.len();
            messages.push(message.bytes.clone());
            link.on_way.push_back(message);
        }
        let (connection, epoch) = (link.connection, link.epoch);
        (!messages.is_empty()).then_some((Action::Send { peer, connection, epoch, messages }, 0))
    }
}

impl Link {
    fn take_on_way(&mut self) -> VecDeque<Message> {
        self.bytes = 0;
        mem::take(&mut self.on_way)
    }
}

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;
