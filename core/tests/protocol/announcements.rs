//! What one peer announces: for how many keys, how often, what the excess costs it; and whose key it is.

use nelumbo_core::api::{Config, Event, GossipId, Input, Output, Refusal, Standing, Verdict};
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::Network;
use nelumbo_core::wire::{Address, Body, Data, PeerId, Resource, TransactionType};

use crate::common::{NODE, ScriptedPeer, TestNode, WALL};
use crate::discovery::{DAY, advertisement, label, offer, spender};

/// Sixty keys cost nothing; the peer that brings them is held to ten, whatever they announce and whether directly or by
/// gossip, and pays for the rest.
#[test]
fn one_peer_announces_for_ten_keys_and_pays_for_more() {
    for (is_gossip, kind) in [(false, 0), (true, 0), (false, 1), (true, 1), (false, 2)] {
        let mut node = TestNode::new();
        let peer = PeerId::from_bytes(b"many keys").unwrap();
        for number in 1..=60 {
            let mut author = ScriptedPeer::new(number);
            author.peer = peer;
            let bytes = match kind {
                0 => advertisement(&mut author, Some(offer(&[TransactionType::Spend])), WALL),
                1 => author.presence(peer, WALL),
                _ => author.say_body(Body::Resource(Resource {
                    kind: label("thing"),
                    name: label("one"),
                    data: Data::new(vec![1]),
                    issued_at: Wall::from_millis(WALL),
                    expires_at: Wall::from_millis(WALL + DAY),
                })),
            };
            node.input(match is_gossip {
                true => Input::Gossip { from: peer, id: GossipId(number.into()), bytes },
                false => Input::Received { from: peer, bytes },
            });
        }
        let view = node.node.view();
        let taken = view.advertisements().count() + view.resources().count();
        let signers = view.signers().len();
        assert_eq!((taken, signers), [(10, 10), (0, 10), (10, 0)][kind], "kind {kind}, by gossip {is_gossip}");
        assert_eq!(view.standing(&peer).0, Standing::Graylisted, "ten excesses");
        let excess = view.refusals().get(Refusal::PeerQuota);
        assert_eq!((excess, view.refusals().get(Refusal::Graylisted)), (10, 40));
        let verdicts =
            node.others.iter().filter(|output| matches!(output, Output::Verdict { verdict: Verdict::Accept, .. }));
        assert_eq!(verdicts.count(), if is_gossip { 10 } else { 0 }, "nor are they passed on");
    }
}

/// Each key of a peer within its quota, and the peer beyond its own.
#[test]
fn one_peer_announces_no_more_than_anyone_needs_with_all_its_keys() {
    let (mut node, peer) = (TestNode::new(), PeerId::from_bytes(b"ten keys").unwrap());
    for round in 0..25 {
        for number in 1..=5 {
            let resource = Resource {
                kind: label(&format!("kind{}", round % 5)),
                name: label(&format!("name{round}")),
                data: Data::new(vec![1]),
                issued_at: Wall::from_millis(WALL),
                expires_at: Wall::from_millis(WALL + DAY),
            };
            let bytes = ScriptedPeer::new(number).say_body(Body::Resource(resource));
            node.input(Input::Received { from: peer, bytes });
        }
    }
    let refusals = node.node.view().refusals().clone();
    assert_eq!((refusals.get(Refusal::PeerQuota), refusals.total()), (5, 5));
    assert_eq!(node.node.view().resources().count(), 120);
    assert_eq!(node.node.view().standing(&peer), (Standing::Good, 25));
}

#[test]
fn who_passes_on_the_gossip_of_many_is_not_charged_for_them() {
    let (mut node, relay) = (TestNode::new(), PeerId::from_bytes(b"relay").unwrap());
    for number in 1..=60 {
        let bytes = spender(&mut ScriptedPeer::new(number));
        node.input(Input::Gossip { from: relay, id: GossipId(number.into()), bytes });
    }
    assert_eq!(node.node.view().advertisements().count(), 60);
    assert_eq!(node.node.view().standing(&relay), (Standing::Good, 0));
}

/// D26: whoever else speaks with this node's key is told of; what comes back is not, nor what somebody else signed.
#[test]
fn a_key_that_is_in_use_twice_is_told_of() {
    let (mut node, mut copy) = (TestNode::new(), ScriptedPeer::new(NODE));
    let carrier = ScriptedPeer::new(2);
    let elsewhere = ScriptedPeer::new(3).peer;
    let told = |node: &mut TestNode| {
        let told = std::mem::take(&mut node.events).into_iter().filter_map(|event| match event {
            Event::KeyInUseTwice { peer, issued_at } => Some((peer, issued_at)),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    node.input(Input::Connected(carrier.peer));
    // Before a node has said something itself, what comes back may be of its life before.
    let early = copy.presence(elsewhere, WALL);
    node.refuses(Refusal::Echo, |node| node.hear(&carrier, early.clone()));
    node.wait(1_000);
    node.refuses(Refusal::Echo, |node| node.hear(&carrier, early));
    assert_eq!(told(&mut node), []);

    let newer = copy.presence(elsewhere, WALL + 2_000);
    let mut forged = newer.to_vec();
    *forged.last_mut().expect("it is signed") ^= 1;
    node.refuses(Refusal::Signature, |node| node.hear(&carrier, forged.into()));
    assert_eq!(told(&mut node), []);
    let gossip = Input::Gossip { from: carrier.peer, id: GossipId(0), bytes: newer.clone() };
    node.refuses(Refusal::Echo, |node| node.input(gossip));
    assert_eq!(told(&mut node), [(elsewhere, Wall::from_millis(WALL + 2_000))]);
    node.refuses(Refusal::Echo, |node| node.hear(&carrier, newer));
    assert_eq!(told(&mut node), [], "it is told of once");

    // What this node says next is newer, so that its copy finds out too.
    let mut other = TestNode::of(NODE, Config::new(Network::Regtest), Vec::new(), 2);
    other.input(Input::Connected(carrier.peer));
    other.wait(1_500);
    node.input(Input::Addresses(vec![Address::from_bytes(vec![7]).expect("an address")]));
    node.wait(60_000);
    let said = node.sent.iter().rev().find(|(_, message)| matches!(message.unsigned.body, Body::Presence(_)));
    let bytes = said.expect("it says where it is").1.bytes.clone();
    other.refuses(Refusal::Echo, |other| other.hear(&carrier, bytes));
    assert_eq!(told(&mut other).len(), 1);
}
