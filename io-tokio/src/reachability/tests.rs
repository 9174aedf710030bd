//! The machine, as scripts.

use super::*;

fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

/// A machine, a clock, and what it has said.
struct Script {
    machine: Machine,
    now: Instant,
    reserves: Vec<PeerId>,
    releases: Vec<PeerId>,
    told: Vec<Reached>,
}

impl Script {
    fn new() -> Self {
        Self::of(false, true)
    }

    fn of(is_local: bool, uses_relays: bool) -> Self {
        let now = Instant::now();
        let machine = Machine::new(is_local, uses_relays, now);
        Self { machine, now, reserves: Vec::new(), releases: Vec::new(), told: Vec::new() }
    }

    /// Lets it say what it has to say.
    fn settle(&mut self) {
        for _ in 0..100 {
            match self.machine.next(self.now) {
                Some(Action::Reserve(reserve)) => self.reserves.push(reserve.relay),
                Some(Action::Release(relay)) => self.releases.push(relay),
                Some(Action::Tell(reached)) => self.told.push(reached),
                None => {
                    let deadline = self.machine.deadline();
                    assert!(deadline.is_none_or(|deadline| deadline > self.now), "it would be woken for ever");
                    return;
                }
            }
        }
        panic!("it does not end");
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.machine.deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    fn connections(&mut self, connected: usize) {
        self.machine.on_connections(connected, self.now);
        self.settle();
    }

    fn relay(&mut self) -> PeerId {
        let relay = PeerId::random();
        self.machine.on_relay(relay, address("/ip4/9.9.9.9/tcp/4001"), false, self.now);
        self.settle();
        relay
    }

    fn reserved(&mut self) -> PeerId {
        let relay = self.relay();
        assert_eq!(self.reserves.last(), Some(&relay), "it is asked at once");
        self.machine.on_reserved(&relay);
        self.settle();
        relay
    }

    fn state(&self) -> Reachability {
        self.machine.reached().state
    }
}

/// N1: what is for this machine alone looks for nothing and says nothing.
#[test]
fn a_local_node_asks_no_relay_but_one_that_is_configured() {
    let mut script = Script::of(true, true);
    script.connections(3);
    script.relay();
    script.pass(Duration::from_secs(3600));
    assert!(script.reserves.is_empty() && script.told.is_empty());
    assert_eq!((script.state(), script.machine.deadline()), (Reachability::Local, None));
    let configured = PeerId::random();
    script.machine.on_relay(configured, address("/ip4/127.0.0.1/tcp/1"), true, script.now);
    script.settle();
    assert_eq!(script.reserves, [configured]);
}

/// N2: the word of who runs it, and an address of its own, are enough, at once.
#[test]
fn an_announced_or_own_public_address_makes_a_node_public() {
    for own in [false, true] {
        let mut script = Script::new();
        let public = address("/ip4/9.9.9.9/tcp/4001");
        if own {
            script.machine.on_own_address(public)
        } else {
            script.machine.on_announced(public)
        }
        script.connections(1);
        script.relay();
        script.pass(Duration::from_secs(60));
        assert_eq!((script.state(), script.reserves.len(), script.told.len()), (Reachability::Public, 0, 1));
    }
}

/// N14: a public IPv6 address may lie behind a firewall that lets nobody in; who has come in all the same, or a dial
/// back to that address, says that it does not.
#[test]
fn an_own_ipv6_address_makes_a_node_public_once_somebody_came_through() {
    let own = address("/ip6/2a00:5:0:7::2/tcp/4001");
    for evidence in ["nothing", "a dial back elsewhere", "a dial back", "a stranger"] {
        let mut script = Script::new();
        script.machine.on_own_address(own.clone());
        script.connections(1);
        script.reserved();
        match evidence {
            "a dial back elsewhere" => script.machine.on_confirmed(address("/ip4/9.9.9.9/tcp/4001")),
            "a dial back" => script.machine.on_confirmed(own.clone()),
            "a stranger" => script.machine.on_stranger(),
            _ => {}
        }
        script.pass(JUDGED_AFTER);
        let is_open = matches!(evidence, "a dial back" | "a stranger");
        let expected = if is_open { Reachability::Public } else { Reachability::BehindNat };
        assert_eq!(script.state(), expected, "{evidence}");
    }
}

/// N4, N8, N9: behind a NAT a node has two relays long before it knows where it is.
#[test]
fn a_node_behind_nat_reserves_at_two_relays_at_once_and_is_judged_by_time() {
    let mut script = Script::new();
    script.connections(1);
    let relays = [script.reserved(), script.reserved()];
    script.relay();
    assert_eq!((script.reserves.len(), script.state()), (2, Reachability::Unknown));
    script.pass(JUDGED_AFTER - Duration::from_secs(1));
    assert_eq!(script.state(), Reachability::Unknown);
    script.pass(Duration::from_secs(1));
    let told = script.told.last().expect("it is told");
    assert_eq!((told.state, told.reason.as_str()), (Reachability::BehindNat, "no peer could call it"));
    assert!(relays.iter().all(|relay| told.relays.contains(relay)) && told.relays.len() == 2);
}

/// N10, N11: a relay that ends or leaves is replaced at once, and is asked again later, ever later.
#[test]
fn a_relay_that_is_gone_is_replaced_and_asked_again_with_growing_pauses() {
    let mut script = Script::new();
    script.connections(3);
    let (first, _, third) = (script.reserved(), script.reserved(), script.relay());
    script.machine.on_reservation_ended(&first, script.now);
    script.settle();
    assert_eq!(script.reserves.last(), Some(&third));
    script.machine.on_relay_gone(&third);
    script.settle();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let (before, asked) = (script.now, script.reserves.len());
        while script.reserves.len() == asked {
            let deadline = script.machine.deadline().expect("it will be asked again");
            script.pass(deadline - script.now);
        }
        assert_eq!(script.reserves.last(), Some(&first));
        pauses.push((script.now - before).as_secs());
        script.machine.on_reservation_ended(&first, script.now);
        script.settle();
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

/// N10: silence is a refusal.
#[test]
fn a_relay_that_does_not_answer_is_let_go() {
    let mut script = Script::new();
    script.connections(1);
    let silent = script.relay();
    script.pass(Duration::from_secs(29));
    assert!(script.releases.is_empty());
    script.pass(Duration::from_secs(1));
    assert_eq!(script.releases, [silent]);
}

/// N3, N12: a mapped port counts once a dial back has come through it, and then the relays are let go; N5: when it is
/// lost they are asked again.
#[test]
fn a_mapped_port_lets_the_relays_go_when_it_has_been_seen_to_work() {
    let mut script = Script::new();
    script.connections(2);
    script.reserved();
    let mapped = address("/ip4/9.9.9.9/tcp/4001");
    script.machine.on_mapped(mapped.clone());
    script.pass(JUDGED_AFTER);
    assert_eq!((script.state(), script.releases.len()), (Reachability::BehindNat, 0));
    assert!(script.machine.reached().reason.contains("nobody has come through"));
    script.machine.on_confirmed(mapped.clone());
    script.settle();
    assert_eq!((script.state(), script.releases.len()), (Reachability::Mapped, 1));
    script.machine.on_address_gone(&mapped);
    script.settle();
    assert_eq!((script.state(), script.reserves.len()), (Reachability::BehindNat, 2));
}

/// N3: a dial back alone may be what the router lets in from those who are called; a stranger is not.
#[test]
fn a_dial_back_alone_keeps_the_relays_and_a_stranger_lets_them_go() {
    let mut script = Script::new();
    script.connections(2);
    script.reserved();
    script.machine.on_confirmed(address("/ip4/9.9.9.9/tcp/4001"));
    script.pass(JUDGED_AFTER);
    assert_eq!((script.state(), script.releases.len()), (Reachability::BehindNat, 0));
    assert_eq!(script.machine.reached().reason, "only peers that it is connected to can call it");
    script.machine.on_stranger();
    script.settle();
    assert_eq!((script.state(), script.releases.len()), (Reachability::Public, 1));
}

/// N6, N7: without a route it says so, and begins anew where it is when it comes back.
#[test]
fn a_node_that_has_lost_its_route_begins_anew() {
    let mut script = Script::new();
    script.connections(1);
    script.machine.on_confirmed(address("/ip4/9.9.9.9/tcp/4001"));
    script.machine.on_stranger();
    script.settle();
    assert_eq!(script.state(), Reachability::Public);
    script.connections(0);
    script.pass(LOST_AFTER - Duration::from_secs(1));
    assert_eq!(script.state(), Reachability::Public, "a short loss says nothing");
    script.pass(Duration::from_secs(1));
    assert_eq!(script.state(), Reachability::NoRoute);
    script.connections(1);
    assert_eq!(script.state(), Reachability::Unknown);
    script.pass(JUDGED_AFTER);
    assert_eq!(script.state(), Reachability::BehindNat);
}

/// N7: a node that never gets anywhere says so, after half a minute, once.
#[test]
fn a_node_that_connects_to_nobody_has_no_route() {
    let mut script = Script::new();
    script.pass(Duration::from_secs(3600));
    assert_eq!(script.told.iter().map(|told| told.state).collect::<Vec<_>>(), [Reachability::NoRoute]);
}

#[test]
fn what_peers_say_is_bounded_and_relays_can_be_switched_off() {
    let mut script = Script::new();
    script.connections(1);
    for port in 0..1000 {
        script.machine.on_confirmed(address(&format!("/ip4/9.9.9.9/tcp/{port}")));
        script.relay();
    }
    assert_eq!((script.machine.confirmed.len(), script.reserves.len()), (MAX_ADDRESSES, 2));

    let mut script = Script::of(false, false);
    script.connections(1);
    script.relay();
    script.pass(Duration::from_secs(60));
    assert_eq!((script.reserves.len(), script.state()), (0, Reachability::BehindNat));
    assert_eq!(script.machine.reached().to_string(), "behind-nat: no peer could call it");
}

/// N13.
#[test]
fn in_a_private_network_a_node_is_reached_there_and_relays_for_others_once_somebody_has_come_in() {
    let mut script = Script::new();
    script.connections(1);
    script.machine.on_private(true, false, script.now);
    script.settle();
    assert_eq!(script.machine.reached().state, Reachability::Private);
    assert!(!script.machine.lets_others_in(), "perhaps nobody can come in");
    let relay = PeerId::random();
    script.machine.on_relay(relay, address("/ip4/10.0.0.1/tcp/1"), false, script.now);
    script.settle();
    assert_eq!(script.reserves, [relay], "some of the network may not reach it");
    script.machine.on_private(true, true, script.now);
    assert!(script.machine.lets_others_in());
    // The first connection to the internet: what was said is taken back, and everything is found out anew.
    script.machine.on_private(false, true, script.now);
    script.settle();
    assert_eq!(script.machine.reached().state, Reachability::Unknown);
    assert!(!script.machine.lets_others_in());
    script.pass(JUDGED_AFTER);
    assert_eq!(script.machine.reached().state, Reachability::BehindNat);
    script.machine.on_private(true, true, script.now);
    script.settle();
    script.machine.on_own_address(address("/ip4/9.9.9.9/tcp/1"));
    script.settle();
    assert_eq!(script.machine.reached().state, Reachability::Public, "what can be reached from anywhere is public");
    assert!(script.machine.lets_others_in());
    let states: Vec<_> = script.told.iter().map(|reached| reached.state).collect();
    use Reachability::{BehindNat, Private, Public, Unknown};
    assert_eq!(states, [Private, Unknown, BehindNat, Private, Public]);
}
