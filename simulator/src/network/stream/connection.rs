//! One end of a connection: what waits, what is under way, and when to send it again.
//!
//! Loss is found as RFC 9002 finds it, which is what Linux's TCP does too with selective acknowledgements (RFC 8985): a
//! packet is lost when one that was sent three packets, or about a round trip, later has been acknowledged. When
//! nothing comes back at all, a timeout that doubles each time sends again.
//!
//! Invariant: a chunk is in exactly one of three places until it is acknowledged: it waits, is under way, or is to be
//! sent again. Does no I/O: packets go to an [`Outbox`]. Driven by [`Stack`](super::Stack).

use std::collections::{BTreeMap, VecDeque};

use super::congestion::Congestion;
use super::packet::{Chunk, ConnectionId, Packet};
use super::reassembly::{CHANNELS, PREFIX, Reassembly};
use super::round_trips::RoundTrips;
use super::stack::Outbox;
use super::{GIVE_UP, Parameters};
use crate::engine::Nanos;

/// After how many later packets an unacknowledged one is lost.
const REORDERING: u64 = 3;
/// After how many timeouts in a row QUIC takes its window for wrong.
const PERSISTENT: u32 = 3;
/// How often a timeout doubles at most.
const DOUBLINGS: u32 = 6;

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// This end dials: the step that waits for its answer, since when, and how often it was sent.
    Dialling {
        step: u8,
        since: Nanos,
        tries: u32,
    },
    /// The other end dials; this one has answered this step at that time.
    Accepting {
        step: u8,
        since: Nanos,
    },
    Open,
}

/// A message that is not all under way.
#[derive(Debug)]
struct Waiting {
    /// When the machine is done with what comes before it.
    ready: Nanos,
    stream: u64,
    /// Where it begins in the stream.
    offset: u64,
    bytes: Vec<u8>,
    /// How much of it has been cut off.
    cut: usize,
}

/// A packet that is under way.
#[derive(Debug)]
struct Sent {
    at: Nanos,
    bytes: usize,
    chunks: Vec<Chunk>,
}

#[derive(Debug)]
pub(super) struct Connection {
    parameters: &'static Parameters,
    pub(super) id: ConnectionId,
    peer: u32,
    phase: Phase,
    waiting: VecDeque<Waiting>,
    again: VecDeque<Chunk>,
    sent: BTreeMap<u64, Sent>,
    under_way: usize,
    next_number: u64,
    next_stream: u64,
    /// Where the next message begins in each stream that goes on.
    ends: BTreeMap<u64, u64>,
    largest_acknowledged: Option<u64>,
    congestion: Congestion,
    round_trips: RoundTrips,
    /// When an unacknowledged packet counts as lost, because later ones have arrived.
    lost_at: Option<Nanos>,
    /// How many timeouts there have been since something last came back.
    timeouts: u32,
    /// When something was acknowledged, or the connection had nothing under way.
    progress_at: Nanos,
    /// When anything came from the other end.
    heard_at: Nanos,
    last_sent: Nanos,
    /// When it last looked at what may go.
    pumped_at: Nanos,
    reassembly: Reassembly,
    /// Whether something has arrived that has not been acknowledged.
    owes: bool,
    /// When the earliest timer that is set is due.
    armed: Nanos,
    /// When the last packet of this end arrives: paths keep the order of packets.
    pub(super) path: Nanos,
}

impl Connection {
    fn new(parameters: &'static Parameters, id: ConnectionId, peer: u32, phase: Phase, now: Nanos) -> Self {
        Self {
            parameters,
            id,
            peer,
            phase,
            waiting: VecDeque::new(),
            again: VecDeque::new(),
            sent: BTreeMap::new(),
            under_way: 0,
            next_number: 0,
            next_stream: CHANNELS,
            ends: BTreeMap::new(),
            largest_acknowledged: None,
            congestion: Congestion::new(parameters.segment),
            round_trips: RoundTrips::default(),
            lost_at: None,
            timeouts: 0,
            progress_at: now,
            heard_at: now,
            last_sent: now,
            pumped_at: now,
            reassembly: Reassembly::default(),
            owes: false,
            armed: Nanos::MAX,
            path: 0,
        }
    }

    /// Dials a peer.
    pub(super) fn dial(parameters: &'static Parameters, now: Nanos, (own, peer): (u32, u32), out: &mut Outbox) -> Self {
        let id = ConnectionId { since: now, dialler: own };
        let phase = Phase::Dialling { step: 0, since: now, tries: 0 };
        let mut connection = Self::new(parameters, id, peer, phase, now);
        out.packet(peer, parameters.headers, &Packet::Dial { id, step: 0 });
        connection.arm(now, out);
        connection
    }

    /// Is dialled.
    pub(super) fn accept(parameters: &'static Parameters, now: Nanos, peer: u32, id: ConnectionId) -> Self {
        Self::new(parameters, id, peer, Phase::Accepting { step: 0, since: now }, now)
    }

    /// Takes over the messages of a connection that was dialled at the same time and has sent none of them.
    pub(super) fn inherit(&mut self, mut other: Self) {
        std::mem::swap(&mut self.waiting, &mut other.waiting);
        std::mem::swap(&mut self.ends, &mut other.ends);
        (self.next_stream, self.path) = (other.next_stream, other.path);
    }

    /// Whether its handshake is still under way, by this end.
    pub(super) const fn is_dialling(&self) -> bool {
        matches!(self.phase, Phase::Dialling { .. })
    }

    /// Sends a message, as soon as the machine is done with what it does before: after all others of its channel, or on
    /// a stream of its own.
    pub(super) fn send(&mut self, now: Nanos, ready: Nanos, channel: Option<u8>, message: &[u8], out: &mut Outbox) {
        let length = u32::try_from(message.len()).expect("a message is below 4 GiB");
        let mut bytes = Vec::with_capacity(PREFIX + message.len());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(message);
        let channel = if self.parameters.is_ordered { Some(0) } else { channel };
        let (stream, offset) = match channel.map(u64::from) {
            Some(stream) => {
                let end = self.ends.entry(stream).or_default();
                let offset = *end;
                *end += bytes.len() as u64;
                (stream, offset)
            }
            None => {
                self.next_stream += 1;
                (self.next_stream - 1, 0)
            }
        };
        if self.sent.is_empty() && now.saturating_sub(self.last_sent) > self.timeout() {
            self.congestion.on_idle();
        }
        self.waiting.push_back(Waiting { ready, stream, offset, bytes, cut: 0 });
        self.pump(now, out);
    }

    /// A step of the other end's handshake has arrived.
    pub(super) fn on_dial(&mut self, now: Nanos, step: u8, out: &mut Outbox) {
        if let Phase::Accepting { step: before, since } = self.phase
            && step > before
        {
            self.round_trips.measure(now - since);
            self.phase = Phase::Accepting { step, since: now };
        }
        out.packet(self.peer, self.parameters.headers, &Packet::Accept { id: self.id, step });
        self.arm(now, out);
    }

    /// The answer to a step of this end's handshake has arrived.
    pub(super) fn on_accept(&mut self, now: Nanos, answered: u8, out: &mut Outbox) {
        let Phase::Dialling { step, since, tries } = self.phase else { return };
        if answered != step {
            return;
        }
        if tries == 0 {
            self.round_trips.measure(now - since);
        }
        self.heard_at = now;
        if step + 1 < self.parameters.round_trips {
            self.phase = Phase::Dialling { step: step + 1, since: now, tries: 0 };
            let next = Packet::Dial { id: self.id, step: step + 1 };
            out.packet(self.peer, self.parameters.headers, &next);
            self.arm(now, out);
        } else {
            self.phase = Phase::Open;
            self.pump(now, out);
        }
    }

    /// A packet of the open connection has arrived.
    pub(super) fn on_data(
        &mut self,
        now: Nanos,
        (number, arrived, chunks): (Option<u64>, &[(u64, u64)], Vec<Chunk>),
        out: &mut Outbox,
    ) {
        if let Phase::Accepting { .. } = self.phase {
            // Whoever sends this has the answer to the last step.
            self.phase = Phase::Open;
        }
        self.heard_at = now;
        self.on_acknowledgement(now, arrived, out);
        if let Some(number) = number {
            self.owes = true;
            let peer = self.peer;
            self.reassembly.on_packet(number, chunks, |message| out.message(peer, message));
        }
        self.pump(now, out);
    }

    /// What has arrived is acknowledged, unless a packet of this end's own has done so.
    pub(super) fn settle(&mut self, now: Nanos, out: &mut Outbox) {
        if self.owes {
            self.emit(now, None, Vec::new(), out);
        }
    }

    fn on_acknowledgement(&mut self, now: Nanos, arrived: &[(u64, u64)], out: &mut Outbox) {
        let mut newly = Vec::new();
        for (first, last) in arrived {
            let numbers: Vec<u64> = self.sent.range(first..=last).map(|(number, _)| *number).collect();
            newly.extend(numbers.into_iter().filter_map(|number| Some((number, self.sent.remove(&number)?))));
        }
        let Some(largest) = newly.iter().map(|(number, _)| *number).max() else { return };
        for (number, sent) in &newly {
            self.under_way -= sent.bytes;
            self.congestion.on_acknowledged(*number, sent.bytes);
            if *number == largest && self.largest_acknowledged.is_none_or(|before| before < largest) {
                self.round_trips.measure(now - sent.at);
            }
        }
        self.largest_acknowledged = self.largest_acknowledged.max(Some(largest));
        (self.timeouts, self.progress_at) = (0, now);
        self.find_losses(now, out);
    }

    /// Takes packets for lost that were sent well before one that has been acknowledged.
    fn find_losses(&mut self, now: Nanos, out: &mut Outbox) {
        self.lost_at = None;
        let Some(largest) = self.largest_acknowledged else { return };
        let patience = self.round_trips.patience(self.parameters);
        let mut lost = Vec::new();
        for (number, sent) in self.sent.range(..largest) {
            if number + REORDERING <= largest || sent.at + patience <= now {
                lost.push(*number);
            } else {
                self.lost_at = Some(self.lost_at.map_or(sent.at + patience, |at| at.min(sent.at + patience)));
            }
        }
        for number in lost {
            self.congestion.on_lost(number, self.next_number);
            self.withdraw(number, out);
        }
    }

    /// A packet is under way no more: its chunks go again, after those that are to go again already.
    fn withdraw(&mut self, number: u64, out: &mut Outbox) {
        if let Some(sent) = self.sent.remove(&number) {
            self.under_way -= sent.bytes;
            self.again.extend(sent.chunks);
            out.retransmitted += 1;
        }
    }

    fn timeout(&self) -> Nanos {
        self.round_trips.timeout(self.parameters) << self.timeouts.min(DOUBLINGS)
    }

    /// When the timeout is over for what is under way.
    fn times_out_at(&self) -> Option<Nanos> {
        let (_, oldest) = self.sent.first_key_value()?;
        let since = if self.parameters.restarts { oldest.at.max(self.progress_at) } else { self.last_sent };
        Some(since + self.timeout())
    }

    /// When the other end has been silent for too long.
    fn given_up_at(&self) -> Nanos {
        self.heard_at.max(self.progress_at) + GIVE_UP
    }

    /// When [`on_time`](Self::on_time) is to be called next.
    fn deadline(&self) -> Option<Nanos> {
        match self.phase {
            Phase::Dialling { since, tries, .. } => {
                Some(self.given_up_at().min(since + (self.parameters.first_timeout << tries)))
            }
            // What waits, waits for the other end.
            Phase::Accepting { since, .. } => Some(since + GIVE_UP),
            Phase::Open => {
                let given_up = (!self.sent.is_empty()).then(|| self.given_up_at());
                let ready = self.waiting.front().map(|waiting| waiting.ready).filter(|_| self.again.is_empty());
                // What was ready when this was last looked at waits for the window, and not for time.
                let ready = ready.filter(|ready| *ready > self.pumped_at);
                [self.times_out_at(), self.lost_at, given_up, ready].into_iter().flatten().min()
            }
        }
    }

    /// Time has passed. Returns whether the connection goes on.
    pub(super) fn on_time(&mut self, now: Nanos, out: &mut Outbox) -> bool {
        if now < self.armed {
            return true;
        }
        self.armed = Nanos::MAX;
        match self.phase {
            Phase::Dialling { step, since, tries } => {
                if now >= self.given_up_at() {
                    return false;
                }
                if now >= since + (self.parameters.first_timeout << tries) {
                    self.phase = Phase::Dialling { step, since, tries: tries + 1 };
                    out.retransmitted += 1;
                    let again = Packet::Dial { id: self.id, step };
                    out.packet(self.peer, self.parameters.headers, &again);
                }
            }
            Phase::Accepting { since, .. } if now >= since + GIVE_UP => return false,
            Phase::Accepting { .. } => {}
            Phase::Open => {
                if !self.sent.is_empty() && now >= self.given_up_at() {
                    return false;
                }
                if self.lost_at.is_some_and(|at| at <= now) {
                    self.find_losses(now, out);
                }
                if self.times_out_at().is_some_and(|at| at <= now) {
                    self.on_timeout(now, out);
                }
                self.pump(now, out);
            }
        }
        self.arm(now, out);
        true
    }

    fn on_timeout(&mut self, now: Nanos, out: &mut Outbox) {
        self.timeouts += 1;
        if self.parameters.restarts {
            if self.timeouts == 1 {
                self.congestion.on_collapse(self.under_way, self.next_number, 1);
            }
            let all: Vec<u64> = self.sent.keys().copied().collect();
            all.into_iter().for_each(|number| self.withdraw(number, out));
            return;
        }
        if self.timeouts == PERSISTENT {
            self.congestion.on_collapse(self.under_way, self.next_number, 2);
        }
        // A probe goes whatever the window says.
        if let Some((_, oldest)) = self.sent.pop_first() {
            self.under_way -= oldest.bytes;
            out.retransmitted += 1;
            self.emit(now, Some(oldest.bytes), oldest.chunks, out);
        }
    }

    /// Sends what may go now.
    fn pump(&mut self, now: Nanos, out: &mut Outbox) {
        self.pumped_at = now;
        while self.phase == Phase::Open {
            let Some(next) = self.next_length(now) else {
                self.congestion.on_drained(self.under_way);
                break;
            };
            if !self.congestion.admits(self.under_way, next.min(self.parameters.segment)) {
                break;
            }
            let chunks = self.cut(now);
            let bytes = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
            self.emit(now, Some(bytes), chunks, out);
        }
        self.arm(now, out);
    }

    /// How many bytes are ready to go, if any; a segment stands for more.
    fn next_length(&self, now: Nanos) -> Option<usize> {
        let again = self.again.iter().map(|chunk| chunk.bytes.len());
        let ready = self.waiting.iter().take_while(|waiting| waiting.ready <= now);
        let mut length = 0;
        for bytes in again.chain(ready.map(|waiting| waiting.bytes.len() - waiting.cut)) {
            length += bytes;
            if length >= self.parameters.segment {
                break;
            }
        }
        (length > 0).then_some(length)
    }

    /// Cuts off a packet's worth: first what goes again.
    fn cut(&mut self, now: Nanos) -> Vec<Chunk> {
        let (mut room, mut chunks) = (self.parameters.segment, Vec::new());
        while self.again.front().is_some_and(|chunk| chunk.bytes.len() <= room)
            && let Some(chunk) = self.again.pop_front()
        {
            room -= chunk.bytes.len();
            chunks.push(chunk);
        }
        while self.again.is_empty()
            && room > 0
            && let Some(waiting) = self.waiting.front_mut().filter(|waiting| waiting.ready <= now)
        {
            let length = room.min(waiting.bytes.len() - waiting.cut);
            let bytes = waiting.bytes[waiting.cut..waiting.cut + length].into();
            chunks.push(Chunk { stream: waiting.stream, offset: waiting.offset + waiting.cut as u64, bytes });
            (waiting.cut, room) = (waiting.cut + length, room - length);
            if waiting.cut == waiting.bytes.len() {
                self.waiting.pop_front();
            }
        }
        chunks
    }

    /// Sends a packet: of data with so many bytes, or an acknowledgement alone.
    fn emit(&mut self, now: Nanos, data: Option<usize>, chunks: Vec<Chunk>, out: &mut Outbox) {
        // Each packet says all that has arrived, so that a lost acknowledgement is made up for by the next one.
        let arrived = self.reassembly.arrived();
        self.owes = false;
        let number = data.map(|_| self.next_number);
        let packet = Packet::Data { id: self.id, number, arrived, chunks };
        out.packet(self.peer, self.parameters.headers + data.unwrap_or(0), &packet);
        let Packet::Data { chunks, .. } = packet else { return };
        if let Some(bytes) = data {
            if self.sent.is_empty() && self.timeouts == 0 {
                self.progress_at = now;
            }
            self.sent.insert(self.next_number, Sent { at: now, bytes, chunks });
            self.under_way += bytes;
            self.next_number += 1;
            self.last_sent = now;
        }
    }

    /// Sets a timer for the deadline, unless an earlier one is set.
    fn arm(&mut self, now: Nanos, out: &mut Outbox) {
        if let Some(at) = self.deadline()
            && at < self.armed
        {
            self.armed = at.max(now + 1);
            out.wake(self.peer, self.armed);
        }
    }
}
