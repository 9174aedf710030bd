//! What strangers can fill, at the limits that users have: never the room of those who are known, connected or wanted.

use std::sync::Arc;

use nelumbo_core::api::{Command, Event, GossipId, Input, NewSession, Output, Phase, Refusal, Standing, Verdict};
use nelumbo_core::base::{Bytes, Entropy, Wall};
use nelumbo_core::crypto::{
    MessageKey, Network, NonceSlot, PublicKey, Secp256k1, SecretKey, Signer, SoftwareSigner, Suite,
};
use nelumbo_core::wire::{AbortReason, Body, Content, Definition, PeerId, Presence, SessionId, SessionMessage, seal};

use super::common::{
    HOUR, ScriptedPeer, Signed, TestNode, WALL, all_signed, approve, definition, keys, message, phase,
};

/// One of as many signers as a test needs.
struct Stranger {
    key: PublicKey,
    author: MessageKey,
    signer: SoftwareSigner,
}

impl Stranger {
    fn new(number: u32) -> Self {
        let mut bytes = [5; 32];
        bytes[28..].copy_from_slice(&number.to_be_bytes());
        let secret = Arc::new(SecretKey::from_bytes(&bytes).expect("a small number is a key"));
        let entropy = Entropy::new(bytes).expect("not all zero");
        let author = MessageKey::new(secret.clone(), entropy.stream("messages"));
        Self { key: secret.public_key(), author, signer: SoftwareSigner::new(secret, entropy) }
    }

    fn say(&mut self, body: Body) -> Bytes {
        seal(&mut self.author, Network::Regtest, body).expect("software signs")
    }

    fn presence(&mut self, peer: PeerId, lifetime: u64) -> Bytes {
        let (issued_at, expires_at) = (Wall::from_millis(WALL), Wall::from_millis(WALL + lifetime));
        self.say(Body::Presence(Presence { peer, addresses: Vec::new(), issued_at, expires_at }))
    }

    fn announce(&mut self, definition: &Definition) -> Bytes {
        let (session, message) = (definition.id(), message(definition));
        let keys = keys(definition);
        let slot = NonceSlot { session: *session.as_bytes(), attempt: 1 };
        let nonces = self.signer.nonces(slot, &[(&keys, &message)]).expect("the slot is new");
        Signer::<Secp256k1>::forget(&mut self.signer, slot);
        let content = Content::Announce { definition: definition.clone().into(), nonces };
        self.say(Body::Session(SessionMessage { session, attempt: 1, sequence: 1, content }))
    }
}

fn peer(number: u32) -> PeerId {
    PeerId::from_bytes(&number.to_be_bytes()).expect("four bytes name a peer")
}

/// The verdict on a message by gossip.
fn gossip(node: &mut TestNode, from: PeerId, bytes: Bytes) -> Verdict {
    // A millisecond between messages is half of what a neighbour may send.
    node.time += 1_000_000;
    node.others.clear();
    node.input(Input::Gossip { from, id: GossipId(1), bytes });
    let verdict = |output: &Output| if let Output::Verdict { verdict, .. } = output { Some(*verdict) } else { None };
    node.others.iter().find_map(verdict).expect("gossip is judged")
}

fn holder(node: &TestNode, key: &PublicKey) -> Option<PeerId> {
    node.node.view().signers().find(|(known, ..)| known == key).map(|(_, peer, _)| peer)
}

fn request(node: &TestNode, creator: PublicKey, number: u8) -> Definition {
    Definition { nonce: [number; 32], ..definition(creator, vec![node.key, creator]) }
}

/// How many requests wait for approval.
fn waiting(node: &TestNode) -> usize {
    node.node.view().sessions().filter(|session| session.phase == Phase::Announced).count()
}

fn announce(node: &mut TestNode, from: PeerId, creator: &mut Stranger, number: u8) -> SessionId {
    let definition = request(node, creator.key, number);
    let bytes = creator.announce(&definition);
    node.input(Input::Received { from, bytes });
    definition.id()
}

/// One connection brings more keys than there is room for, all in quota, before anybody else comes.
fn crowded() -> (TestNode, PeerId) {
    let (mut node, mallory) = (TestNode::new(), peer(1_000_000));
    node.input(Input::Connected(mallory));
    for number in 0..4_300 {
        // As many as one peer may hold, each of another peer that does not exist.
        let bytes = Stranger::new(number).presence(peer(number / 10), HOUR);
        gossip(&mut node, mallory, bytes);
    }
    assert_eq!(node.node.view().standing(&mallory), (Standing::Good, 0));
    assert_eq!(node.node.view().signers().len(), 4_096);
    node.events.clear();
    (node, mallory)
}

#[test]
fn a_crowd_of_keys_from_one_neighbour_keeps_no_newcomer_out() {
    let (mut node, mallory) = crowded();
    // Another neighbour's word is passed on and believed, and so is what connected peers say of themselves.
    for number in 5_000..5_064 {
        let mut newcomer = Stranger::new(number);
        let bytes = newcomer.presence(peer(number), HOUR);
        assert_eq!(gossip(&mut node, peer(2_000_000), bytes), Verdict::Accept);
        assert_eq!(holder(&node, &newcomer.key), Some(peer(number)));
    }
    assert_eq!(node.node.view().signers().len(), 4_096);
    for number in 6_000..6_020 {
        let (mut newcomer, own) = (Stranger::new(number), peer(number));
        node.input(Input::Connected(own));
        node.input(Input::Received { from: own, bytes: newcomer.presence(own, HOUR) });
        assert!(node.events.contains(&Event::SignerConnected { key: newcomer.key, peer: own }));
    }
    assert_eq!(node.node.view().signers().len(), 4_116, "beside the others");
    // What is shared stays bounded, whoever comes and goes.
    (6_000..6_020).for_each(|number| node.input(Input::Disconnected(peer(number))));
    node.input(Input::Disconnected(mallory));
    assert_eq!(node.node.view().signers().len(), 4_096);
}

#[test]
fn a_key_that_a_session_wants_is_believed_whatever_else_is_told() {
    let (mut node, mallory) = crowded();
    let (mut wanted, carol) = (Stranger::new(7_000), Stranger::new(7_001));
    let keys = vec![node.key, wanted.key, carol.key];
    node.command(Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![7; 32])))).unwrap();
    // It comes by the same neighbour, and claims fill what its peer may hold.
    let place = peer(5);
    assert_eq!(gossip(&mut node, mallory, wanted.presence(place, HOUR)), Verdict::Accept);
    assert_eq!(holder(&node, &wanted.key), Some(place));
    for number in 8_000..9_000 {
        gossip(&mut node, mallory, Stranger::new(number).presence(peer(number), HOUR));
    }
    assert_eq!(holder(&node, &wanted.key), Some(place));
    let id = node.node.view().sessions().next().expect("it is there").id;
    node.command(Command::Abort(id, AbortReason::Left)).unwrap();
    assert_eq!(node.node.view().signers().len(), 4_096, "it has no room of its own any more");
}

#[test]
fn what_has_expired_makes_room_first() {
    let (mut node, mallory) = (TestNode::new(), peer(1_000_000));
    for number in 0..4_096 {
        let lifetime = if number == 17 { 60_000 } else { HOUR };
        gossip(&mut node, mallory, Stranger::new(number).presence(peer(number), lifetime));
    }
    node.wait(60_000);
    let late = Stranger::new(5_000).presence(peer(5_000), HOUR);
    assert_eq!(gossip(&mut node, mallory, late), Verdict::Accept);
    assert_eq!(holder(&node, &Stranger::new(17).key), None);
    assert_eq!(holder(&node, &Stranger::new(5_000).key), Some(peer(5_000)));
}

/// A key that came by gossip before its own peer said the same is that peer's from then on.
#[test]
fn a_peer_that_repeats_what_others_told_is_believed_as_itself() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let bytes = alice.presence(alice.peer, WALL);
    assert_eq!(gossip(&mut node, peer(1), bytes.clone()), Verdict::Accept);
    node.input(Input::Connected(alice.peer));
    node.refuses(Refusal::Duplicate, |node| node.hear(&alice, bytes));
    // More than there is room for, from the neighbour that had told of her.
    for number in 0..4_200 {
        gossip(&mut node, peer(1), Stranger::new(number).presence(peer(number), HOUR));
    }
    assert_eq!(holder(&node, &alice.key()), Some(alice.peer));
    assert_eq!(node.node.view().signers().len(), 4_097, "hers is beside the others");
}

#[test]
fn requests_of_strangers_leave_room_for_those_who_are_known() {
    let (mut node, mut alice, mut bob) = (TestNode::new(), Stranger::new(1), Stranger::new(2));
    let of_alice = peer(1);
    let mut crowd: Vec<Stranger> = (10..14).map(Stranger::new).collect();
    for creator in &mut crowd {
        for number in 0..64 {
            announce(&mut node, peer(9), creator, number);
        }
    }
    assert_eq!(waiting(&node), 256, "all of them, as long as nobody else asks");
    assert_eq!(node.node.view().refusals().total(), 0);
    // A connected peer's own key.
    node.input(Input::Connected(of_alice));
    node.input(Input::Received { from: of_alice, bytes: alice.presence(of_alice, HOUR) });
    node.events.clear();
    let of_alice: Vec<_> = (0..64).map(|number| announce(&mut node, of_alice, &mut alice, number)).collect();
    assert!(of_alice.iter().all(|id| phase(&node, *id) == Phase::Announced));
    let closed = node.events.iter().filter(|event| matches!(event, Event::SessionClosed { .. })).count();
    assert_eq!((waiting(&node), closed), (256, 64), "the embedder hears what made room");
    // Another stranger takes the place of whoever has the most.
    let id = announce(&mut node, peer(9), &mut bob, 0);
    assert_eq!((phase(&node, id), waiting(&node)), (Phase::Announced, 256));
    // Each has as many as anyone now, or one more: whoever asks again is refused, and that is counted.
    for number in 1..64 {
        announce(&mut node, peer(9), &mut bob, number);
    }
    let refused = node.node.view().refusals().get(Refusal::Requests);
    assert!((20..=40).contains(&refused), "{refused} of 63, where five share 192");
    assert!(of_alice.iter().all(|id| phase(&node, *id) == Phase::Announced), "none of hers made room");
}

#[test]
fn what_strangers_fill_never_stops_own_sessions() {
    let (mut node, bob) = (TestNode::new(), Stranger::new(2));
    let mut crowd: Vec<Stranger> = (10..14).map(Stranger::new).collect();
    for creator in &mut crowd {
        for number in 0..64 {
            announce(&mut node, peer(9), creator, number);
        }
    }
    for number in 0..=255_u16 {
        let [high, low] = number.to_be_bytes();
        let message = [[high, low]; 16].concat();
        let session = NewSession::new(Suite::Lotus, vec![node.key, bob.key], message);
        node.command(Command::Create(Box::new(session))).unwrap();
    }
    assert_eq!(node.node.view().sessions().len(), 512, "there was room");
    let session = NewSession::new(Suite::Lotus, vec![node.key, bob.key], vec![7; 32]);
    node.command(Command::Create(Box::new(session))).unwrap();
    assert_eq!(node.node.view().sessions().len(), 512, "a request has made room");
    assert!(node.events.iter().any(|event| matches!(event, Event::SessionClosed { .. })));
}

#[test]
fn what_was_declined_is_remembered_and_takes_no_room() {
    let (mut node, mut mallory, bob) = (TestNode::new(), Stranger::new(1), Stranger::new(2));
    let mut declined = Vec::new();
    for number in 0..4_400_u32 {
        let mut definition = request(&node, mallory.key, 0);
        definition.nonce[..4].copy_from_slice(&number.to_be_bytes());
        let bytes = mallory.announce(&definition);
        node.input(Input::Received { from: peer(9), bytes: bytes.clone() });
        node.command(Command::Abort(definition.id(), AbortReason::Declined)).unwrap();
        if number % 1_000 == 0 {
            declined.push(bytes);
        }
        node.wait(2);
    }
    assert_eq!(node.node.view().sessions().len(), 256, "the newest can still be told to whoever has missed it");
    assert_eq!(node.node.view().refusals().total(), 0);
    for bytes in declined {
        node.refuses(Refusal::Ended, |node| node.input(Input::Received { from: peer(9), bytes }));
    }
    let session = NewSession::new(Suite::Lotus, vec![node.key, bob.key], vec![7; 32]);
    node.command(Command::Create(Box::new(session))).unwrap();
    // Also after a restart, and until nobody can announce them any more.
    // Of the newest 256, and of the one that is open, also what they are.
    assert_eq!(node.records.len(), 4_401 + 257);
    node.wait(3 * HOUR);
    // A thousand at once, a second apart.
    (0..10).for_each(|_| node.wait(1_000));
    assert_eq!(node.records.len(), 0);
}

#[test]
fn whoever_asks_does_not_choose_whom_this_node_calls() {
    let (mut node, mut mallory) = (TestNode::new(), Stranger::new(1_000));
    let mut others: Vec<Stranger> = (0..126).map(Stranger::new).collect();
    let everybody: Vec<PublicKey> = others.iter().map(|other| other.key).chain([node.key, mallory.key]).collect();
    let definition = definition(mallory.key, everybody);
    let id = definition.id();
    node.input(Input::Received { from: peer(9), bytes: mallory.announce(&definition) });
    node.others.clear();
    let dials = |node: &TestNode| {
        node.others.iter().filter(|output| matches!(output, Output::Dial { .. } | Output::Lookup { .. })).count()
    };
    for (number, other) in others.iter_mut().enumerate() {
        let bytes = other.presence(peer(number as u32 + 100), HOUR);
        node.input(Input::Gossip { from: peer(9), id: GossipId(0), bytes });
    }
    node.wait(60_000);
    assert_eq!(dials(&node), 0, "nobody has approved it");
    node.command(approve(id)).unwrap();
    node.wait(200);
    assert!(dials(&node) >= 126, "now they are wanted");
    let mut declining = TestNode::new();
    for (number, other) in others.iter_mut().enumerate() {
        let bytes = other.presence(peer(number as u32 + 100), HOUR);
        declining.input(Input::Gossip { from: peer(9), id: GossipId(0), bytes });
    }
    let bytes = mallory.announce(&Definition { nonce: [8; 32], ..definition });
    declining.input(Input::Received { from: peer(9), bytes });
    let id = declining.node.view().sessions().next().expect("it waits").id;
    declining.command(Command::Abort(id, AbortReason::Declined)).unwrap();
    assert_eq!(dials(&declining), 0, "a no is told to those who are there");
}

/// Connecting costs nothing: whoever has signed with this node comes before those who have only done that.
#[test]
fn requests_of_peers_leave_room_for_those_who_have_signed_here() {
    let signed = all_signed();
    let signature = signed.combine();
    let Signed { mut node, mut alice, definition: before, .. } = signed;
    let bytes = alice.say(before.id(), 1, Content::Finalized { signatures: vec![signature] });
    node.hear(&alice, bytes);
    node.input(Input::Disconnected(alice.peer));
    let crowd = peer(9);
    node.input(Input::Connected(crowd));
    for number in 10..14 {
        let mut creator = Stranger::new(number);
        node.input(Input::Received { from: crowd, bytes: creator.presence(crowd, HOUR) });
        for number in 0..64 {
            announce(&mut node, crowd, &mut creator, number);
        }
    }
    assert_eq!(waiting(&node), 256);
    for number in 0..64 {
        let definition =
            Definition { nonce: [100 + number; 32], ..definition(alice.key(), vec![node.key, alice.key()]) };
        let nonce = alice.nonce(&definition, 1);
        let content = Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] };
        let bytes = alice.say_at(definition.id(), 1, 1, content);
        node.input(Input::Received { from: crowd, bytes });
        assert_eq!(phase(&node, definition.id()), Phase::Announced);
    }
    assert_eq!((waiting(&node), node.node.view().refusals().get(Refusal::Requests)), (256, 0));
}
