//! Connections of the hash table where dials take time: a request waits until there is a connection to its receiver.
//!
//! Owns the connected peers, the dials with the messages that wait for them, and since when each connection has owed an
//! answer. Invariant: a connection that does not answer in time is closed, and a dial ends after its timeout at the
//! latest. Driven by [`Kademlia`](super::Kademlia).

use std::collections::BTreeMap;

use super::SECOND;
use super::message::Message;
use crate::engine::Nanos;

/// The parameters of dials. The defaults are those of our nodes and of libp2p over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialSettings {
    /// How many round trips a dial takes: TCP, the negotiation of Noise, Noise, the negotiation of Yamux.
    pub round_trips: u8,
    /// After how long a dial to a peer that does not answer fails, and a connection is closed.
    pub timeout: Nanos,
}

impl Default for DialSettings {
    fn default() -> Self {
        Self { round_trips: 4, timeout: 10 * SECOND }
    }
}

#[derive(Debug)]
struct Dial {
    since: Nanos,
    waiting: Vec<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Dials {
    settings: DialSettings,
    /// Since when each connected peer has owed an answer, if it does.
    connected: BTreeMap<u32, Option<Nanos>>,
    dialled: BTreeMap<u32, Dial>,
}

impl Dials {
    pub(super) const fn new(settings: DialSettings) -> Self {
        Self { settings, connected: BTreeMap::new(), dialled: BTreeMap::new() }
    }

    pub(super) fn is_connected(&self, peer: u32) -> bool {
        self.connected.contains_key(&peer)
    }

    pub(super) fn connected(&self) -> impl Iterator<Item = u32> {
        self.connected.keys().copied()
    }

    /// What to send now so that a peer gets this message: the message, the first step of a handshake before it, or
    /// nothing yet.
    pub(super) fn send(&mut self, now: Nanos, to: u32, message: Vec<u8>, is_answered: bool) -> Option<Vec<u8>> {
        if let Some(owes) = self.connected.get_mut(&to) {
            if is_answered {
                owes.get_or_insert(now);
            }
            return Some(message);
        }
        let dial = self.dialled.entry(to).or_insert_with(|| Dial { since: now, waiting: Vec::new() });
        dial.waiting.push(message);
        (dial.waiting.len() == 1).then(|| Message::Handshake { left: 2 * self.settings.round_trips - 1 }.encode())
    }

    /// A connected peer has shown that it is there.
    pub(super) fn on_activity(&mut self, from: u32) {
        if let Some(owes) = self.connected.get_mut(&from) {
            *owes = None;
        }
    }

    /// A step of a handshake has arrived. Returns what to send then.
    pub(super) fn on_handshake(&mut self, now: Nanos, from: u32, left: u8) -> Vec<Vec<u8>> {
        match left {
            // The dial has come through.
            0 => {
                let Some(Dial { waiting, .. }) = self.dialled.remove(&from) else { return Vec::new() };
                self.connected.insert(from, Some(now));
                waiting
            }
            // The other end's has, and serves what this end has waited for as well.
            1 => {
                let waiting = self.dialled.remove(&from).map(|dial| dial.waiting).unwrap_or_default();
                self.connected.insert(from, (!waiting.is_empty()).then_some(now));
                std::iter::once(Message::Handshake { left: 0 }.encode()).chain(waiting).collect()
            }
            left => vec![Message::Handshake { left: left - 1 }.encode()],
        }
    }

    pub(super) fn close(&mut self, peer: u32) {
        self.connected.remove(&peer);
    }

    /// Closes connections that have owed an answer for too long, and returns the peers to which a dial has failed.
    pub(super) fn fail_timed_out(&mut self, now: Nanos) -> Vec<u32> {
        let is_late = |since: Nanos| since + self.settings.timeout <= now;
        self.connected.retain(|_, owes| !owes.is_some_and(is_late));
        let failed: Vec<u32> =
            self.dialled.iter().filter(|(_, dial)| is_late(dial.since)).map(|(peer, _)| *peer).collect();
        failed.iter().for_each(|peer| drop(self.dialled.remove(peer)));
        failed
    }

    pub(super) fn deadline(&self) -> Option<Nanos> {
        let owed = self.connected.values().flatten();
        owed.chain(self.dialled.values().map(|dial| &dial.since)).min().map(|since| since + self.settings.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(bytes: &[u8]) -> u8 {
        let Some(Message::Handshake { left }) = Message::decode(bytes) else { panic!("no handshake: {bytes:?}") };
        left
    }

    #[test]
    fn a_request_waits_for_the_handshake_and_the_next_does_not() {
        let (mut here, mut there) = (Dials::new(DialSettings::default()), Dials::new(DialSettings::default()));
        let mut said = here.send(0, 1, vec![9], true).expect("a greeting");
        assert_eq!(here.send(0, 1, vec![8], true), None, "it waits for the same dial");
        for _ in 0..3 {
            let answer = there.on_handshake(0, 0, left(&said)).pop().expect("a step");
            said = here.on_handshake(0, 1, left(&answer)).pop().expect("a step");
        }
        let last = there.on_handshake(0, 0, left(&said)).pop().expect("the eighth step");
        assert!(there.is_connected(0) && !here.is_connected(1));
        assert_eq!(here.on_handshake(0, 1, left(&last)), [[9], [8]]);
        assert_eq!(here.send(0, 1, vec![7], true), Some(vec![7]));
    }

    #[test]
    fn who_does_not_answer_costs_the_whole_time() {
        let mut dials = Dials::new(DialSettings::default());
        assert!(dials.send(SECOND, 1, vec![9], true).is_some());
        assert_eq!((dials.deadline(), dials.fail_timed_out(11 * SECOND - 1)), (Some(11 * SECOND), vec![]));
        assert_eq!((dials.fail_timed_out(11 * SECOND), dials.deadline()), (vec![1], None));
    }

    #[test]
    fn a_connection_closes_that_owes_an_answer_for_too_long() {
        let mut dials = Dials::new(DialSettings::default());
        dials.on_handshake(0, 1, 1);
        assert_eq!(dials.send(0, 1, vec![9], false), Some(vec![9]));
        assert_eq!(dials.deadline(), None, "what is not answered is not waited for");
        assert!(dials.send(SECOND, 1, vec![9], true).is_some());
        dials.on_activity(1);
        assert_eq!(dials.deadline(), None);
        assert!(dials.send(2 * SECOND, 1, vec![9], true).is_some());
        assert_eq!((dials.fail_timed_out(12 * SECOND), dials.is_connected(1)), (vec![], false));
    }
}
