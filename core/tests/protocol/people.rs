//! People take their time: they approve in any order, minutes to hours apart, and come and go. Real nodes at the
//! settings that users have, with clocks and messages in hand.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::{AttemptCause, Command, CommandError, Config, Event, Input, NewSession, Phase};
use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::{Network, Suite};
use nelumbo_core::wire::{PeerId, SessionId};

use crate::common::{TestNode, approve};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
/// How long a message takes.
const DELAY: u64 = 100 * MILLISECOND;

/// Some nodes and what is on its way between them.
struct People {
    nodes: Vec<TestNode>,
    time: u64,
    links: BTreeSet<(usize, usize)>,
    /// By the time at which it arrives, and the order in which it was sent.
    in_flight: BTreeMap<(u64, u64), (usize, usize, Bytes)>,
    sent: u64,
    /// Since when each node has the signature.
    signed_at: BTreeMap<usize, u64>,
    config: Config,
}

impl People {
    /// So many, all connected to each other.
    fn connected(count: usize) -> Self {
        let mut people = Self::strangers(count, Config::new(Network::Regtest));
        for one in 0..count {
            (0..one).for_each(|other| people.connect(one, other));
        }
        people.run_until(SECOND);
        people
    }

    fn strangers(count: usize, config: Config) -> Self {
        let node = |index| TestNode::of(number(index), config.clone(), Vec::new(), 1);
        let (links, in_flight, signed_at) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { nodes: (0..count).map(node).collect(), time: 0, links, in_flight, sent: 0, signed_at, config }
    }

    fn connect(&mut self, one: usize, other: usize) {
        self.links.insert((one.min(other), one.max(other)));
        self.input(one, Input::Connected(peer(other)));
        self.input(other, Input::Connected(peer(one)));
    }

    fn disconnect(&mut self, one: usize, other: usize) {
        self.links.remove(&(one.min(other), one.max(other)));
        self.in_flight.retain(|_, (from, to, _)| (*from, *to) != (one, other) && (*from, *to) != (other, one));
        self.input(one, Input::Disconnected(peer(other)));
        self.input(other, Input::Disconnected(peer(one)));
    }

    /// The process dies and starts again, with its journal.
    fn restart(&mut self, index: usize) {
        let others: Vec<_> = (0..self.nodes.len()).filter(|other| self.is_linked(index, *other)).collect();
        others.iter().for_each(|other| self.disconnect(index, *other));
        let records = self.nodes[index].records.clone().into_iter().collect();
        self.nodes[index] = TestNode::start(number(index), self.config.clone(), records, 2, (self.time, 0));
        others.iter().for_each(|other| self.connect(index, *other));
    }

    fn is_linked(&self, one: usize, other: usize) -> bool {
        self.links.contains(&(one.min(other), one.max(other)))
    }

    fn input(&mut self, index: usize, input: Input) {
        self.nodes[index].time = self.time.max(1) - 1;
        self.nodes[index].input(input);
        self.collect(index);
    }

    fn command(&mut self, index: usize, command: Command) -> Result<(), CommandError> {
        self.nodes[index].time = self.time;
        let result = self.nodes[index].command(command);
        self.collect(index);
        result
    }

    fn collect(&mut self, index: usize) {
        for (to, message) in std::mem::take(&mut self.nodes[index].sent) {
            let to = (0..self.nodes.len()).find(|other| peer(*other) == to).expect("nodes know each other alone");
            if self.is_linked(index, to) {
                self.sent += 1;
                self.in_flight.insert((self.time + DELAY, self.sent), (index, to, message.bytes));
            }
        }
        if self.nodes[index].events.iter().any(|event| matches!(event, Event::SessionCompleted { .. })) {
            self.signed_at.entry(index).or_insert(self.time);
        }
    }

    /// Everything happens that is to happen until then.
    fn run_until(&mut self, time: u64) {
        loop {
            let message = self.in_flight.first_key_value().map(|((at, _), _)| *at);
            let timers = self.nodes.iter().map(|node| node.node.deadline().map(|deadline| deadline.at.as_nanos()));
            let timers: Vec<_> = timers.collect();
            let timer = timers.iter().flatten().min().copied();
            let Some(next) = message.into_iter().chain(timer).min().filter(|next| *next <= time) else { break };
            self.time = self.time.max(next);
            if message == Some(next) {
                let (_, (from, to, bytes)) = self.in_flight.pop_first().expect("it was looked at");
                self.input(to, Input::Received { from: peer(from), bytes });
            } else {
                let index = timers.iter().position(|at| *at == timer).expect("it is one of them");
                self.input(index, Input::Tick);
            }
        }
        self.time = time;
    }

    /// The first node asks all of them to sign.
    fn create(&mut self) -> SessionId {
        let keys = self.nodes.iter().map(|node| node.key).collect();
        self.command(0, Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![7; 32])))).unwrap();
        self.nodes[0].node.view().sessions().next().expect("it is there").id
    }

    /// After how many one-way delays the last of them had the signature.
    fn delays_since(&self, time: u64) -> u64 {
        assert_eq!(self.signed_at.len(), self.nodes.len(), "everyone has it: {:?}", self.signed_at);
        let last = self.signed_at.values().max().expect("somebody is there");
        assert_eq!((last - time) % DELAY, 0);
        (last - time) / DELAY
    }

    fn attempts(&self, session: SessionId) -> BTreeSet<u32> {
        let attempt = |node: &TestNode| node.node.view().session(&session).map(|session| session.attempt);
        self.nodes.iter().filter_map(attempt).collect()
    }

    fn phases(&self, session: SessionId) -> Vec<Option<Phase>> {
        let phase = |node: &TestNode| node.node.view().session(&session).map(|session| session.phase);
        self.nodes.iter().map(phase).collect()
    }

    fn nothing_has_failed(&self) {
        for event in self.nodes.iter().flat_map(|node| &node.events) {
            assert!(!matches!(event, Event::AttemptFailed { .. } | Event::SignerMisbehaved { .. }), "{event:?}");
        }
        for node in &self.nodes {
            let others = self.nodes.iter().filter(|other| other.key != node.key);
            assert!(others.into_iter().all(|other| node.node.view().reputation(&other.key) >= 50));
        }
    }
}

fn number(index: usize) -> u8 {
    index as u8 + 1
}

fn peer(index: usize) -> PeerId {
    PeerId::from_bytes(&[number(index)]).expect("one byte names a peer")
}

#[test]
fn the_last_approval_is_followed_by_the_signature_in_three_delays_whenever_it_comes() {
    // S16, S17, R5
    for minutes in [1, 9, 11, 41, 115, 119] {
        let mut people = People::connected(2);
        let (start, session) = (people.time, people.create());
        let approved_at = start + minutes * MINUTE;
        people.run_until(approved_at);
        assert!(people.signed_at.is_empty());
        let expected = if minutes < 10 { Phase::NonceExchange } else { Phase::Waiting };
        assert_eq!(people.phases(session), [Some(expected), Some(Phase::Announced)], "{minutes}");
        let (sent, has_lapsed) = (people.sent, minutes > 10);
        people.command(1, approve(session)).unwrap();
        people.run_until(approved_at + SECOND);
        // Within an attempt the creator's nonce is there already.
        assert_eq!(people.delays_since(approved_at), if has_lapsed { 3 } else { 2 }, "{minutes}");
        assert!(!has_lapsed || people.sent - sent == 4, "a nonce and a partial signature of each");
        assert_eq!(people.attempts(session), [if has_lapsed { 2 } else { 1 }].into());
        people.nothing_has_failed();
    }
}

#[test]
fn the_time_of_a_session_is_over_to_the_minute_for_those_who_wait_too() {
    // E3
    let mut people = People::connected(2);
    let session = people.create();
    people.run_until(people.time + 120 * MINUTE);
    assert_eq!(people.command(1, approve(session)), Err(CommandError::Expired(session)));
    assert!(people.nodes[0].events.contains(&Event::SessionExpired { session, may_complete: false }));
}

#[test]
fn five_people_approve_in_any_order_minutes_to_an_hour_apart() {
    // S9, S16, S17
    for (order, gaps) in [
        ([1, 2, 3, 4], [3, 11, 27, 61]),
        ([4, 3, 2, 1], [61, 27, 11, 3]),
        ([2, 4, 1, 3], [12, 12, 12, 12]),
        ([3, 1, 4, 2], [1, 60, 1, 50]),
        ([1, 4, 2, 3], [1, 30, 0, 30]),
    ] {
        let mut people = People::connected(5);
        let session = people.create();
        let mut time = people.time;
        for (place, (node, gap)) in order.into_iter().zip(gaps).enumerate() {
            time += gap * MINUTE;
            people.run_until(time);
            assert!(people.signed_at.is_empty());
            people.command(node, approve(session)).unwrap();
            if place < 3 && gaps[place + 1] > 0 {
                people.run_until(time + SECOND);
                let approved = people.phases(session);
                let approved = approved.iter().filter(|phase| **phase == Some(Phase::NonceExchange)).count();
                assert_eq!(approved, 1 + order[..=place].len(), "all who have approved take part");
            }
        }
        people.run_until(time + SECOND);
        assert_eq!(people.delays_since(time), if gaps[3] < 10 { 2 } else { 3 }, "{order:?}");
        assert_eq!(people.attempts(session).len(), 1);
        assert!(people.attempts(session).first() <= Some(&5), "an approval begins one attempt at most");
        people.nothing_has_failed();
    }
}

#[test]
fn who_approve_at_once_begin_one_attempt() {
    // S17
    for apart in [0, DELAY / 2, DELAY, 3 * DELAY / 2] {
        let mut people = People::connected(5);
        let session = people.create();
        let mut time = people.time + 41 * MINUTE;
        people.run_until(time);
        for node in 1..5 {
            people.command(node, approve(session)).unwrap();
            if node < 4 {
                time += apart;
                people.run_until(time);
            }
        }
        people.run_until(time + SECOND);
        assert_eq!(people.attempts(session), [2].into());
        let last = people.signed_at.values().max().expect("somebody has it") - time;
        assert!(people.signed_at.len() == 5 && last <= 3 * DELAY, "{:?}", people.signed_at);
        people.nothing_has_failed();
    }
}

#[test]
fn an_approval_that_crosses_the_lapse_is_not_lost() {
    // S16, R5
    let lapsed_at = {
        let mut people = People::connected(2);
        let session = people.create();
        while people.phases(session)[0] != Some(Phase::Waiting) {
            people.run_until(people.time + DELAY / 10);
        }
        people.time
    };
    for step in 0..60 {
        let mut people = People::connected(2);
        let session = people.create();
        let time = lapsed_at - 3 * DELAY + step * DELAY / 10;
        people.run_until(time);
        people.command(1, approve(session)).unwrap();
        people.run_until(time + SECOND);
        let last = people.signed_at.values().max().map(|last| last - time);
        assert!(people.signed_at.len() == 2 && last < Some(5 * DELAY), "{step}: {:?} {last:?}", people.phases(session));
        people.nothing_has_failed();
    }
}

#[test]
fn whoever_appears_is_told_until_the_session_expires() {
    // R2
    for minutes in [44, 104] {
        let mut people = People::strangers(2, Config::new(Network::Regtest));
        people.run_until(SECOND);
        let session = people.create();
        people.run_until(minutes * MINUTE);
        people.connect(0, 1);
        people.run_until(people.time + SECOND);
        assert_eq!(people.phases(session), [Some(Phase::Waiting), Some(Phase::Announced)], "it has heard of it");
        let time = (minutes + 6) * MINUTE;
        people.run_until(time);
        people.command(1, approve(session)).unwrap();
        people.run_until(time + SECOND);
        assert_eq!(people.delays_since(time), 3, "at minute {minutes}");
        people.nothing_has_failed();
    }
}

#[test]
fn what_was_approved_alone_is_signed_when_the_others_are_back() {
    // S16, R5
    let mut people = People::connected(3);
    let session = people.create();
    people.run_until(5 * MINUTE);
    people.command(1, approve(session)).unwrap();
    people.run_until(20 * MINUTE);
    // The third approves without a network, and is back an hour later.
    (0..2).for_each(|other| people.disconnect(2, other));
    people.run_until(30 * MINUTE);
    people.command(2, approve(session)).unwrap();
    people.run_until(90 * MINUTE);
    assert!(people.signed_at.is_empty());
    (0..2).for_each(|other| people.connect(2, other));
    people.run_until(people.time + 3 * SECOND);
    assert_eq!(people.signed_at.len(), 3, "{:?}", people.phases(session));
    people.nothing_has_failed();
}

#[test]
fn an_approval_outlives_a_restart() {
    // S3, S17
    let mut people = People::connected(3);
    let session = people.create();
    people.run_until(15 * MINUTE);
    people.command(1, approve(session)).unwrap();
    people.run_until(40 * MINUTE);
    people.restart(1);
    people.run_until(60 * MINUTE);
    people.restart(0);
    people.run_until(100 * MINUTE);
    people.command(2, approve(session)).unwrap();
    people.run_until(people.time + SECOND);
    assert_eq!(people.delays_since(100 * MINUTE), 3);
    people.nothing_has_failed();
}

#[test]
fn waiting_costs_no_attempt_and_no_retry() {
    // S16
    let mut config = Config::new(Network::Regtest);
    (config.limits.attempts, config.retries) = (1, 0);
    let mut people = People::strangers(3, config);
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        people.connect(one, other);
    }
    people.run_until(SECOND);
    let session = people.create();
    people.run_until(40 * MINUTE);
    people.command(1, approve(session)).unwrap();
    people.run_until(80 * MINUTE);
    people.command(2, approve(session)).unwrap();
    people.run_until(people.time + SECOND);
    assert_eq!(people.delays_since(80 * MINUTE), 3);
    let cause = AttemptCause::Approved;
    assert!(people.nodes[2].events.contains(&Event::AttemptStarted { session, attempt: 3, cause }));
}

#[test]
fn waiting_is_cheap() {
    // R1
    let mut people = People::connected(3);
    let session = people.create();
    people.run_until(11 * MINUTE);
    people.run_until(20 * MINUTE);
    let sent = people.sent;
    people.run_until(110 * MINUTE);
    assert_eq!(people.phases(session)[0], Some(Phase::Waiting));
    // Each ten minutes the announcement and a word, to each of two; and presences, of all to all, each half hour.
    assert_eq!(people.sent - sent, 9 * 4 + 3 * 6);
}
