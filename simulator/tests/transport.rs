//! Streams over TCP and QUIC: when messages arrive, to the nanosecond, whatever the network loses.

use std::ops::ControlFlow;

use nelumbo_simulator::Random;
use nelumbo_simulator::engine::{Context, Machine, Nanos, Sequential, Stats, Windowed};
use nelumbo_simulator::network::{
    Direction, GIVE_UP, Latency, LinkConditions, LinkWindow, NetworkModel, NodeSet, Partition, Reliability, Transport,
};
use nelumbo_simulator::run::Engine;
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::summary::Summary;

const MS: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MS;
const STREAMS: [Transport; 2] = [Transport::Tcp, Transport::Quic];
/// The bytes of streams in a packet, of which the first four say how long the message is.
const SEGMENTS: [usize; 2] = [1460, 1200];

/// Sends what it is told when it is told, and keeps what it gets.
#[derive(Default)]
struct Scripted {
    /// When, to whom, and how many bytes, the first of which is the message's number.
    sends: Vec<(Nanos, u32, usize)>,
    channel: Option<u8>,
    /// When its network goes down and comes up.
    down: Vec<(Nanos, bool)>,
    /// When, from whom, which.
    got: Vec<(Nanos, u32, u8)>,
    /// When, to whom.
    closed: Vec<(Nanos, u32)>,
}

impl Machine for Scripted {
    type Observation = ();

    fn on_start(&mut self, context: &mut Context<'_, ()>) {
        (0..).zip(&self.sends).for_each(|(tag, (at, ..))| context.set_timer(*at, tag));
        (1_000..).zip(&self.down).for_each(|(tag, (at, _))| context.set_timer(*at, tag));
    }

    fn on_message(&mut self, context: &mut Context<'_, ()>, from: u32, payload: &[u8]) {
        self.got.push((context.now(), from, payload[0]));
    }

    fn on_timer(&mut self, context: &mut Context<'_, ()>, tag: u64) {
        if tag >= 1_000 {
            return context.set_network(self.down[tag as usize - 1_000].1);
        }
        let (_, to, length) = self.sends[tag as usize];
        context.send_on(self.channel, 0, to, &vec![tag as u8; length], Reliability::BestEffort);
    }

    fn on_disconnected(&mut self, context: &mut Context<'_, ()>, peer: u32) {
        self.closed.push((context.now(), peer));
    }
}

fn network(transport: Transport) -> NetworkModel {
    NetworkModel::new(3, Latency::Fixed(50 * MS)).with_transport(transport)
}

/// Everything that is sent in this time is lost.
fn losing(network: NetworkModel, from: Nanos, until: Nanos) -> NetworkModel {
    let conditions = LinkConditions { loss: 1_000_000, ..LinkConditions::default() };
    network.with_link_window(LinkWindow { from, until, conditions })
}

fn run(network: NetworkModel, machines: Vec<Scripted>, until: Nanos) -> (Vec<Scripted>, Stats) {
    Windowed::new(network, 1, machines).run(until, |_, _| ControlFlow::Continue(()))
}

/// Runs machine 0, which sends these messages, each to machine 1; returns when each has arrived there, and the counts.
fn arrivals(network: NetworkModel, sends: &[(Nanos, usize)]) -> (Vec<(u8, Nanos)>, Stats) {
    let sends = sends.iter().map(|(at, length)| (*at, 1, *length)).collect();
    let sender = Scripted { sends, ..Scripted::default() };
    let (machines, stats) = run(network, vec![sender, Scripted::default(), Scripted::default()], 100 * SECOND);
    (machines[1].got.iter().map(|(at, _, which)| (*which, *at)).collect(), stats)
}

#[test]
fn the_first_message_waits_for_the_handshake_and_the_next_one_for_nothing() {
    // From the sender's start: a nanosecond, the least that a timer takes.
    for (transport, first, packets) in [(Transport::Tcp, 250 * MS, 2 + 2), (Transport::Quic, 150 * MS, 1 + 1)] {
        let (got, stats) = arrivals(network(transport), &[(MS, 100), (SECOND, 100)]);
        assert_eq!(got, [(0, MS + first), (1, SECOND + 50 * MS)], "{transport:?}");
        // The handshake and its answers, two messages and two acknowledgements.
        assert_eq!((stats.packets, stats.messages, stats.retransmitted), (packets + 4, 2, 0), "{transport:?}");
    }
    let (got, stats) = arrivals(network(Transport::Datagram), &[(MS, 100)]);
    assert_eq!((got, stats.packets), (vec![(0, 51 * MS)], 0));
}

#[test]
fn ten_segments_go_at_once_and_twice_as_many_each_round_trip() {
    for (transport, segment) in STREAMS.into_iter().zip(SEGMENTS) {
        let (empty, _) = arrivals(network(transport), &[(MS, 1)]);
        let took = |segments: usize, more: usize| {
            let (got, stats) = arrivals(network(transport), &[(MS, segments * segment - 4 + more)]);
            assert_eq!(stats.retransmitted, 0);
            (got[0].1 - empty[0].1) / MS
        };
        // Each acknowledgement opens the window for two more.
        assert_eq!([took(10, 0), took(10, 1)], [0, 100], "{transport:?}");
        assert_eq!([took(30, 0), took(30, 1)], [100, 200], "{transport:?}");
        assert_eq!([took(70, 0), took(70, 1)], [200, 300], "{transport:?}");
    }
}

#[test]
fn a_lost_packet_holds_up_what_follows_on_tcp_and_nothing_else_on_quic() {
    // The second message is lost, the third one follows a millisecond later.
    let sends = [(MS, 100), (SECOND, 100), (SECOND + MS, 100)];
    let network = |transport| losing(network(transport), SECOND, SECOND + 1);
    let (got, stats) = arrivals(network(Transport::Tcp), &sends);
    // A quarter of a round trip more than one after it was sent it goes again.
    assert_eq!(got[1..], [(1, SECOND + 175 * MS), (2, SECOND + 175 * MS)]);
    assert_eq!((stats.lost, stats.retransmitted), (1, 1));
    let (got, stats) = arrivals(network(Transport::Quic), &sends);
    // An eighth, as RFC 9002 has it.
    assert_eq!(got[1..], [(2, SECOND + 51 * MS), (1, SECOND + 162 * MS + MS / 2)]);
    assert_eq!((stats.lost, stats.retransmitted), (1, 1));
    let (got, stats) = arrivals(network(Transport::Datagram), &sends);
    assert_eq!((got.len(), stats.lost), (2, 1), "a datagram is lost for good");
    // On one channel QUIC keeps the order too.
    let sends = sends.map(|(at, length)| (at, 1, length)).to_vec();
    let sender = Scripted { sends, channel: Some(3), ..Scripted::default() };
    let machines = vec![sender, Scripted::default(), Scripted::default()];
    let (machines, _) = run(network(Transport::Quic), machines, 10 * SECOND);
    let again = SECOND + 162 * MS + MS / 2;
    assert_eq!(machines[1].got[1..], [(again, 0, 1), (again, 0, 2)]);
}

#[test]
fn three_later_packets_are_enough_to_send_one_again() {
    for (transport, held_up) in [(Transport::Tcp, 5), (Transport::Quic, 1)] {
        let sends: Vec<(Nanos, usize)> =
            [MS].into_iter().chain((0..5).map(|at| SECOND + at * MS)).map(|at| (at, 100)).collect();
        let (got, stats) = arrivals(losing(network(transport), SECOND, SECOND + 1), &sends);
        // The acknowledgement of the third one after it comes back after 103 ms.
        let again = SECOND + 153 * MS;
        assert_eq!(got.iter().find(|(which, _)| *which == 1), Some(&(1, again)), "{transport:?}");
        assert_eq!(got.iter().filter(|(_, at)| *at == again).count(), held_up, "{transport:?}");
        assert_eq!(stats.retransmitted, 1);
    }
}

#[test]
fn the_last_packet_waits_for_the_timeout_which_doubles() {
    for (transport, first) in [(Transport::Tcp, 200 * MS), (Transport::Quic, 0)] {
        let warm: Vec<(Nanos, usize)> = (0..40).map(|at| (MS + at * 500 * MS, 100)).collect();
        let sends: Vec<(Nanos, usize)> = warm.iter().copied().chain([(30 * SECOND, 100)]).collect();
        let lost_for = |time| {
            let (got, stats) = arrivals(losing(network(transport), 30 * SECOND, 30 * SECOND + time), &sends);
            (got.last().unwrap().1 - 30 * SECOND - 50 * MS, stats.retransmitted)
        };
        let (once, count) = lost_for(1);
        assert_eq!(count, 1);
        if first > 0 {
            assert_eq!(once, first, "Linux's least timeout");
        } else {
            // A round trip, the delay of acknowledgements, and four deviations, which have decayed.
            assert!((126 * MS..130 * MS).contains(&once), "{once}");
        }
        assert_eq!(lost_for(once + 1), (3 * once, 2), "{transport:?}: another one after twice as long");
        assert_eq!(lost_for(3 * once + 1), (7 * once, 3), "{transport:?}");
    }
}

#[test]
fn flows_share_the_bandwidth_of_a_link() {
    const BYTES: usize = 500_000;
    let flows = |transport| {
        let sends = vec![(MS, 1, BYTES), (MS, 2, BYTES)];
        let machines = vec![Scripted { sends, ..Scripted::default() }, Scripted::default(), Scripted::default()];
        let (machines, stats) = run(network(transport).with_bandwidth(1_000_000), machines, 60 * SECOND);
        ([1, 2].map(|node: usize| machines[node].got[0].0 / MS), stats)
    };
    // A datagram goes as a whole: the second one waits for the first.
    assert_eq!(flows(Transport::Datagram).0, [551, 1_051]);
    for transport in STREAMS {
        let ([one, other], stats) = flows(transport);
        assert!(one.abs_diff(other) < 150 && one.min(other) > 1_050, "{transport:?}: {one} and {other} ms");
        assert!(one.max(other) < 2_000, "{transport:?}: {one} and {other} ms");
        assert!(stats.lost == stats.retransmitted, "what the queue drops goes again, and nothing else: {stats:?}");
    }
}

#[test]
fn a_long_transfer_loses_nothing_on_a_link_whose_latency_varies() {
    for transport in STREAMS {
        let latency = Latency::log_normal(5 * MS, 30 * MS, 0.8);
        let network = NetworkModel::new(3, latency).with_transport(transport);
        let (got, stats) = arrivals(network, &[(MS, 2_000_000)]);
        assert_eq!((got.len(), stats.lost), (1, 0));
        assert!(stats.retransmitted < 20, "the order is kept, so that few seem lost: {stats:?}");
    }
}

#[test]
fn a_partition_delays_and_one_of_ten_seconds_closes_the_connection() {
    for transport in STREAMS {
        let cut = |until| {
            let (members, direction) = (NodeSet::collect([1]), Direction::Both);
            network(transport).with_partition(Partition { from: SECOND, until, members, direction, flapping: 0 })
        };
        let sends = || vec![(MS, 1, 10), (2 * SECOND, 1, 10), (30 * SECOND, 1, 10)];
        let machines =
            || vec![Scripted { sends: sends(), ..Scripted::default() }, Scripted::default(), Scripted::default()];
        let (short, _) = run(cut(7 * SECOND), machines(), 60 * SECOND);
        assert_eq!(short[1].got.iter().map(|got| got.2).collect::<Vec<_>>(), [0, 1, 2], "{transport:?}");
        assert!(short.iter().all(|machine| machine.closed.is_empty()));
        let (long, _) = run(cut(20 * SECOND), machines(), 60 * SECOND);
        assert_eq!(long[1].got.iter().map(|got| got.2).collect::<Vec<_>>(), [0, 2], "{transport:?}");
        assert_eq!(long[0].closed, [(2 * SECOND + GIVE_UP, 1)]);
        // The other end learns it from the next dial.
        let dialled = 30 * SECOND + 50 * MS;
        assert_eq!(long[1].closed, [(dialled, 0)]);
    }
}

#[test]
fn who_was_down_resets_what_it_does_not_know_and_who_is_down_says_nothing() {
    for transport in STREAMS {
        let sender =
            Scripted { sends: vec![(MS, 1, 10), (5 * SECOND, 1, 10), (6 * SECOND, 1, 10)], ..Scripted::default() };
        let down = Scripted { down: vec![(SECOND, false), (2 * SECOND, true)], ..Scripted::default() };
        let (machines, _) = run(network(transport), vec![sender, down, Scripted::default()], 60 * SECOND);
        assert_eq!(machines[0].closed, [(5 * SECOND + 100 * MS, 1)], "{transport:?}: a reset takes a round trip");
        assert_eq!(machines[1].got.iter().map(|got| got.2).collect::<Vec<_>>(), [0, 2]);
        let sender = Scripted { sends: vec![(SECOND, 1, 10)], ..Scripted::default() };
        let down = Scripted { down: vec![(MS, false)], ..Scripted::default() };
        let (machines, _) = run(network(transport), vec![sender, down, Scripted::default()], 60 * SECOND);
        assert_eq!(machines[0].closed, [(SECOND + GIVE_UP, 1)]);
        assert_eq!(machines[1].got, []);
    }
}

#[test]
fn two_that_dial_at_the_same_time_have_one_connection() {
    for transport in STREAMS {
        for later in [0, 1, 49 * MS] {
            let sends = |to, at| Scripted { sends: vec![(at, to, 10), (SECOND, to, 10)], ..Scripted::default() };
            let machines = vec![sends(1, MS), sends(0, MS + later), Scripted::default()];
            let (machines, stats) = run(network(transport), machines, 60 * SECOND);
            for (own, other) in [(0, 1), (1, 0)] {
                let got: Vec<_> = machines[own].got.iter().map(|got| (got.1, got.2)).collect();
                assert_eq!(got, [(other, 0), (other, 1)], "{transport:?}, {later} ns later");
            }
            assert!(machines.iter().all(|machine| machine.closed.is_empty()) && stats.retransmitted == 0);
        }
    }
}

/// Sends numbered messages of any length to random others at random times.
struct Chatter {
    random: Random,
    /// How many to each other machine have been sent, and which have been got from each.
    sent: Vec<u32>,
    got: Vec<Vec<u32>>,
    closed: u32,
}

const TALKS_UNTIL: Nanos = 5 * SECOND;

impl Machine for Chatter {
    type Observation = ();

    fn on_start(&mut self, context: &mut Context<'_, ()>) {
        context.set_timer(self.random.below(50 * MS), 0);
    }

    fn on_message(&mut self, _: &mut Context<'_, ()>, from: u32, payload: &[u8]) {
        let (number, rest) = payload.split_first_chunk().unwrap();
        let number = u32::from_le_bytes(*number);
        assert!(rest.iter().all(|byte| *byte == number as u8), "bytes come as they went");
        self.got[from as usize].push(number);
    }

    fn on_timer(&mut self, context: &mut Context<'_, ()>, _: u64) {
        let to = self.random.below(self.sent.len() as u64) as u32;
        let number = self.sent[to as usize];
        self.sent[to as usize] += 1;
        let length = [0, 30, 1_500, 40_000][self.random.below(4) as usize];
        context.send(to, &[&number.to_le_bytes()[..], &vec![number as u8; length]].concat());
        if context.now() < TALKS_UNTIL {
            context.set_timer(self.random.below(100 * MS), 0);
        }
    }

    fn on_disconnected(&mut self, _: &mut Context<'_, ()>, _: u32) {
        self.closed += 1;
    }
}

#[test]
fn messages_arrive_once_and_whole_whatever_is_lost_and_both_engines_agree() {
    const NODES: u32 = 6;
    let chatters = |seed| {
        (0..NODES)
            .map(|node| Chatter {
                random: Random::stream(seed, "chatter", node.into()),
                sent: vec![0; NODES as usize],
                got: vec![Vec::new(); NODES as usize],
                closed: 0,
            })
            .collect::<Vec<_>>()
    };
    for (seed, transport) in (0..6).flat_map(|seed| STREAMS.map(|transport| (seed, transport))) {
        let conditions =
            LinkConditions { loss: 50_000, duplication: 50_000, reordering: 100_000, reorder_delay: 80 * MS };
        let network = || {
            NetworkModel::new(NODES, Latency::log_normal(5 * MS, 20 * MS, 0.8))
                .with_link_window(LinkWindow { from: 0, until: 60 * SECOND, conditions })
                .with_transport(transport)
                .with_bandwidth(5_000_000)
        };
        let mut one = Sequential::new(network(), seed, chatters(seed));
        while one.step(60 * SECOND) {}
        for (threads, block_bits) in [(1, 3), (2, 1)] {
            let other = Windowed::new(network(), seed, chatters(seed)).threads(threads).block_bits(block_bits);
            assert_eq!(other.run(60 * SECOND, |_, _| ControlFlow::Continue(())).1, one.stats(), "seed {seed}");
        }
        let stats = one.stats();
        assert!(stats.lost > 200 && stats.retransmitted >= 100 && stats.duplicated > 100, "{stats:?}");
        let machines = one.into_machines();
        assert!(machines.iter().all(|machine| machine.closed == 0), "seed {seed}, {transport:?}");
        for (from, to) in (0..NODES as usize).flat_map(|from| (0..NODES as usize).map(move |to| (from, to))) {
            let (sent, mut got) = (machines[from].sent[to], machines[to].got[from].clone());
            if transport == Transport::Quic {
                got.sort_unstable();
            }
            assert_eq!(got, (0..sent).collect::<Vec<_>>(), "seed {seed}, {transport:?}, {from} to {to}");
        }
    }
}

/// A hundred sessions of three over a network that loses a tenth of everything, or nothing.
fn hundred(transport: &str, loss: u32) -> Summary {
    let settings = [
        format!("transport={transport}"),
        format!("loss={loss}%"),
        "duplication=0%".into(),
        "reordering=0%".into(),
        "sessions=100".into(),
        "signers=3".into(),
        "max-signers=3".into(),
        "crypto=toy".into(),
        "latency.kind=fixed".into(),
        "latency.time=50ms".into(),
    ];
    let scenario = Scenario::from_toml(Scenario::text("lossy").unwrap(), &settings).unwrap();
    nelumbo_simulator::run::run(&scenario.schedule(1), Engine::Windowed(1))
}

#[test]
fn steps_of_sessions_are_delayed_and_not_lost() {
    for transport in ["tcp", "quic"] {
        let [clean, lossy] = [0, 10].map(|loss| hundred(transport, loss));
        for summary in [&clean, &lossy] {
            assert_eq!((summary.sessions.completed, summary.sessions.failed), (100, 0), "{transport}");
            assert_eq!(summary.violations, []);
            assert_eq!(summary.latency_ms.count, 300);
        }
        assert_eq!((clean.faults["lost"], clean.faults["retransmitted"]), (0, 0));
        assert!(lossy.faults["lost"] > 300 && lossy.faults["retransmitted"] > 200, "{:?}", lossy.faults);
        // What is lost comes after a timeout of the transport, and not after those two seconds in which nodes say again
        // what a session waits for.
        assert_eq!((clean.latency_ms.min, clean.latency_ms.max), (150.8, 150.8), "three times 50 ms, and the disk");
        assert!(lossy.latency_ms.p50 < 400.0 && lossy.latency_ms.max < 2_000.0, "{:?}", lossy.latency_ms);
    }
    let lossy = hundred("datagram", 10);
    assert_eq!((lossy.sessions.completed, lossy.faults["retransmitted"]), (100, 0));
    assert!(lossy.latency_ms.p50 > 2_000.0, "{:?}", lossy.latency_ms);
}

#[test]
fn who_is_not_told_of_a_broadcast_takes_its_turn_and_streams_tell_all() {
    // Of a hundred signatures, how many were broadcast a second time, because the word that they had been was lost.
    let again = |transport| [0, 5, 10, 20].map(|loss| hundred(transport, loss).broadcasts - 100);
    assert_eq!(again("datagram"), [0, 9, 17, 25]);
    assert_eq!([again("tcp"), again("quic")], [[0; 4]; 2]);
}
