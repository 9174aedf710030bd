//! What a node passes on, at the limits that users have: never so much that its neighbours hold it against it.

use nelumbo_core::api::{Command, Phase};
use nelumbo_core::api::{Config, GossipId, Input, NewSession, Output, Refusal, Standing, Verdict};
use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::{Network, PublicKey, Suite, Tweak};
use nelumbo_core::wire::{Body, Definition, Details, Item, PeerId};

use super::common::{ScriptedPeer, TestNode, definition, phase};

fn node(number: u8) -> (TestNode, PeerId) {
    let node = TestNode::of(number, Config::new(Network::Regtest), Vec::new(), 1);
    (node, PeerId::from_bytes(&[number]).expect("one byte names a peer"))
}

fn gossip(node: &mut TestNode, from: PeerId, bytes: Bytes) -> Verdict {
    node.others.clear();
    node.input(Input::Gossip { from, id: GossipId(1), bytes });
    let verdict = |output: &Output| if let Output::Verdict { verdict, .. } = output { Some(*verdict) } else { None };
    node.others.iter().find_map(verdict).expect("gossip is judged")
}

/// What a node has published since this was last asked.
fn published(node: &mut TestNode) -> Vec<Bytes> {
    let bytes = |output| if let Output::Publish { bytes, .. } = output { Some(bytes) } else { None };
    std::mem::take(&mut node.others).into_iter().filter_map(bytes).collect()
}

/// A sound request of some size, for others.
fn request(author: &ScriptedPeer, other: PublicKey, number: u32) -> Definition {
    let mut request = definition(author.key(), vec![author.key(), other]);
    request.nonce[..4].copy_from_slice(&number.to_be_bytes());
    let description = "x".repeat(500).parse().expect("a text");
    Definition {
        suite: Suite::Bip340,
        items: vec![Item::message(vec![7; 4_096], Tweak::None)],
        details: Details { description, ..Details::default() },
        is_listed: true,
        ..request
    }
}

/// Two peers in a crowd each send a node as much as it takes, and one that speaks sends what it has to say.
#[test]
fn whoever_passes_on_a_flood_is_not_held_to_have_sent_it() {
    let ((mut source, of_source), (mut relay, of_relay), (mut victim, of_victim)) = (node(101), node(102), node(103));
    for (node, peers) in [(&mut relay, [of_source, of_victim]), (&mut victim, [of_relay, of_relay])] {
        peers.into_iter().for_each(|peer| node.input(Input::Connected(peer)));
    }
    let mut authors: Vec<ScriptedPeer> = (1..=40).map(ScriptedPeer::new).collect();
    let (attackers, other) = ([ScriptedPeer::new(66).peer, ScriptedPeer::new(67).peer], ScriptedPeer::new(68).key());
    let mut arrived = 0_usize;
    for number in 0..3_200 {
        let author = &mut authors[number as usize % 40];
        let request = request(author, other, number);
        let bytes = author.say_body(Body::Request(request.into()));
        if gossip(&mut relay, attackers[number as usize % 2], bytes.clone()) == Verdict::Accept {
            arrived += usize::from(gossip(&mut victim, of_relay, bytes) == Verdict::Accept);
        }
    }
    for attacker in attackers {
        assert_eq!(relay.node.view().standing(&attacker), (Standing::Good, 0), "each is within its quota");
    }
    assert_eq!(relay.node.view().refusals().total(), 0, "all of it was taken");
    assert_eq!(victim.node.view().standing(&of_relay), (Standing::Good, 0));
    assert!((300..900).contains(&arrived), "{arrived} of 3,200");
    // What the honest one says comes through all the same.
    source.input(Input::RoutingTable(3));
    source.wait(1_000);
    let session =
        NewSession { is_listed: true, ..NewSession::new(Suite::Lotus, vec![source.key, victim.key], vec![7; 32]) };
    source.command(Command::Create(Box::new(session))).unwrap();
    let said = published(&mut source);
    assert!(said.len() >= 2, "its presence and its request");
    for bytes in said {
        assert_eq!(gossip(&mut relay, of_source, bytes.clone()), Verdict::Accept);
        gossip(&mut victim, of_relay, bytes);
    }
    assert!(victim.node.view().signers().any(|(key, ..)| key == source.key));
    let id = source.node.view().sessions().next().expect("it is there").id;
    assert_eq!(phase(&victim, id), Phase::Announced);
    assert_eq!(victim.node.view().standing(&of_relay), (Standing::Good, 0));
}

#[test]
fn a_request_of_others_is_passed_on_once_however_often_it_is_signed() {
    let ((mut relay, _), mut alice, bob) = (node(102), ScriptedPeer::new(1), ScriptedPeer::new(2));
    let request = request(&alice, bob.key(), 1);
    let [first, second] = [(); 2].map(|()| alice.say_body(Body::Request(request.clone().into())));
    assert_eq!(gossip(&mut relay, alice.peer, first.clone()), Verdict::Accept);
    for bytes in [first, second] {
        relay.refuses(Refusal::Duplicate, |relay| assert_eq!(gossip(relay, bob.peer, bytes), Verdict::Ignore));
    }
}

/// Its signers hear of a request from its creator itself, and may be the only ones who are connected to it.
#[test]
fn a_signer_passes_on_the_request_that_it_knows() {
    let ((mut signer, _), mut alice) = (node(102), ScriptedPeer::new(1));
    let request = definition(alice.key(), vec![signer.key, alice.key()]);
    let nonce = alice.nonce(&request, 1);
    let content = nelumbo_core::wire::Content::Announce { definition: request.clone().into(), nonces: vec![nonce] };
    let bytes = alice.say(request.id(), 1, content);
    signer.hear(&alice, bytes);
    let mut mallory = ScriptedPeer::new(66);
    let forged = mallory.say_body(Body::Request(request.clone().into()));
    signer.refuses(Refusal::NotTheCreator, |signer| {
        assert_eq!(gossip(signer, mallory.peer, forged), Verdict::Ignore);
    });
    let bytes = alice.say_body(Body::Request(request.into()));
    assert_eq!(gossip(&mut signer, alice.peer, bytes.clone()), Verdict::Accept);
    signer.refuses(Refusal::Duplicate, |signer| assert_eq!(gossip(signer, alice.peer, bytes), Verdict::Ignore));
}
