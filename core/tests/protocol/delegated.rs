//! Peers that have delegated to message keys: what the gate takes of them and what not, and what a stolen message key
//! can do.

use nelumbo_core::api::{Blame, Config, Event, Input, Phase, Refusal};
use nelumbo_core::base::{Bytes, Entropy, Wall};
use nelumbo_core::crypto::{MessageKey, MessageSigner, Network, PublicKey, Secp256k1, SecretKey, Signature};
use nelumbo_core::evidence::{Evidence, Offence, verify};
use nelumbo_core::wire::{
    Advertisement, Body, Content, Data, Definition, Delegation, MAX_DELEGATION, Mandate, Message, Offer,
    ProtocolMessage, Receiver, RequestNotice, Resource, TransactionType,
};
use quickcheck::quickcheck;

use crate::common::{HOUR, ScriptedPeer, Signed, TestNode, WALL, all_signed, announcement, approve, definition, phase};
use crate::discovery::label;

const DAY: u64 = 24 * HOUR;
/// The number of the peers' message keys.
pub(crate) const KEY: u8 = 40;

pub(crate) fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).expect("a small number is a key")
}

fn mandate(message_key: PublicKey, (from, until): (u64, u64)) -> Mandate {
    Mandate { message_key, valid_from: Wall::from_millis(from), expires_at: Wall::from_millis(until) }
}

impl ScriptedPeer {
    /// From now on the message key with this number speaks for it, which it delegates for this time.
    pub(crate) fn delegate(&mut self, number: u8, time: (u64, u64)) {
        let mandate = mandate(secret(number).public_key(), time);
        let signature = self.author.sign(&mandate.statement(Network::Regtest).digest()).expect("software signs");
        self.speak_by(number, Delegation { mandate, signature });
    }

    /// The message key with this number speaks for it, and says that this is why.
    pub(crate) fn speak_by(&mut self, number: u8, delegation: Delegation) {
        let entropy = Entropy::new([number; 32]).expect("not all zero");
        self.delegated = Some((MessageKey::new(secret(number), entropy), delegation));
    }

    pub(crate) fn delegation(&self) -> Delegation {
        self.delegated.as_ref().expect("it has delegated").1
    }
}

/// A session that alice asks the node for, and her announcement of it.
fn asked(node: &TestNode, alice: &mut ScriptedPeer) -> (Definition, Bytes) {
    let definition = definition(alice.key(), vec![node.key, alice.key()]);
    let nonce = alice.nonce(&definition, 1);
    let bytes = alice.say(definition.id(), 1, announcement(&definition, nonce));
    (definition, bytes)
}

#[test]
fn a_delegated_message_is_its_author_s_and_109_bytes_longer() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let plain = alice.presence(alice.peer, WALL);
    alice.delegate(KEY, (WALL, WALL + DAY));
    let bytes = alice.presence(alice.peer, WALL);
    assert_eq!(bytes.len() - plain.len(), 33 + 6 + 6 + 64);
    let message = Message::decode(bytes.clone()).expect("it is one");
    assert_eq!((message.unsigned.author, *message.message_key()), (alice.key(), secret(KEY).public_key()));
    assert_eq!(message.delegation.as_deref(), Some(&alice.delegation()));
    node.input(Input::Connected(alice.peer));
    node.hear(&alice, bytes);
    assert_eq!(node.node.view().signers().next(), Some((alice.key(), alice.peer, true)), "known by its signing key");
    let (definition, bytes) = asked(&node, &mut alice);
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, definition.id()), Phase::Announced);
    // It need not: what the signing key itself says is as good.
    alice.delegated = None;
    let bytes = alice.say(definition.id(), 1, Content::Waiting);
    node.hear(&alice, bytes);
    assert_eq!(node.node.view().refusals().total(), 0);
}

/// Has a peer delegate in some way that is wrong.
type Forge = Box<dyn Fn(&mut ScriptedPeer)>;

/// What is wrong with a delegation, and what it is refused as.
#[test]
fn what_an_author_has_not_delegated_is_refused_and_the_peer_that_passes_it_on_should_have_known() {
    let mut mallory = ScriptedPeer::new(66);
    let alice = || ScriptedPeer::new(1);
    let long = u64::try_from(MAX_DELEGATION.as_millis()).expect("it is short");
    let forgeries: Vec<(&str, Forge)> = vec![
        (
            "of somebody else",
            Box::new(|peer| {
                let mut bob = ScriptedPeer::new(2);
                bob.delegate(KEY, (WALL, WALL + DAY));
                peer.speak_by(KEY, bob.delegation());
            }),
        ),
        (
            "to another key",
            Box::new(|peer| {
                peer.delegate(KEY, (WALL, WALL + DAY));
                peer.speak_by(KEY + 1, peer.delegation());
            }),
        ),
        (
            "with the other key put in",
            Box::new(|peer| {
                peer.delegate(KEY, (WALL, WALL + DAY));
                let mut delegation = peer.delegation();
                delegation.mandate.message_key = secret(KEY + 1).public_key();
                peer.speak_by(KEY + 1, delegation);
            }),
        ),
        (
            "made longer",
            Box::new(|peer| {
                peer.delegate(KEY, (WALL, WALL + 1));
                let mut delegation = peer.delegation();
                delegation.mandate.expires_at = Wall::from_millis(WALL + DAY);
                peer.speak_by(KEY, delegation);
            }),
        ),
        (
            "made earlier",
            Box::new(|peer| {
                peer.delegate(KEY, (WALL + HOUR, WALL + DAY));
                let mut delegation = peer.delegation();
                delegation.mandate.valid_from = Wall::from_millis(WALL);
                peer.speak_by(KEY, delegation);
            }),
        ),
        (
            "of another network",
            Box::new(|peer| {
                let mandate = mandate(secret(KEY).public_key(), (WALL, WALL + DAY));
                let digest = mandate.statement(Network::Mainnet).digest();
                let signature = peer.author.sign(&digest).expect("software signs");
                peer.speak_by(KEY, Delegation { mandate, signature });
            }),
        ),
        (
            "no signature",
            Box::new(|peer| {
                let mandate = mandate(secret(KEY).public_key(), (WALL, WALL + DAY));
                peer.speak_by(KEY, Delegation { mandate, signature: Signature::from_bytes([1; 64]) });
            }),
        ),
        ("for longer than anyone may", Box::new(move |peer| peer.delegate(KEY, (WALL, WALL + long + 1)))),
        ("that ends before it begins", Box::new(|peer| peer.delegate(KEY, (WALL + DAY, WALL)))),
        ("to itself", Box::new(|peer| peer.delegate(1, (WALL, WALL + DAY)))),
        (
            "by the message key",
            Box::new(|peer| {
                // A stolen message key cannot pass on what it has.
                let mandate = mandate(secret(KEY + 1).public_key(), (WALL, WALL + DAY));
                let mut stolen = MessageKey::new(secret(KEY), Entropy::new([9; 32]).expect("not all zero"));
                let signature = stolen.sign(&mandate.statement(Network::Regtest).digest()).expect("software signs");
                peer.speak_by(KEY + 1, Delegation { mandate, signature });
            }),
        ),
    ];
    for (what, forge) in forgeries {
        let (mut node, mut peer) = (TestNode::new(), alice());
        node.meet(&mut mallory);
        forge(&mut peer);
        let (_, announced) = asked(&node, &mut peer);
        let presence = peer.presence(peer.peer, WALL);
        // Verified one by one, and looked at ahead.
        node.refuses(if what == "to another key" { Refusal::Signature } else { Refusal::Delegation }, |node| {
            node.hear(&mallory, announced.clone());
        });
        let inputs = [announced, presence].map(|bytes| Input::Received { from: mallory.peer, bytes });
        node.node.handle_many(crate::common::now(node.time), inputs.into());
        let (_, penalty) = node.node.view().standing(&mallory.peer);
        assert_eq!(penalty, 30, "{what}: as heavy as an invalid signature");
        assert_eq!(node.node.view().signers().len(), 1, "{what}: nobody is believed to be there");
        assert_eq!(node.node.view().sessions().count(), 0, "{what}");
    }
    assert_eq!(Refusal::Delegation.blame(), Blame::Neighbour);
}

#[test]
fn a_delegation_covers_a_session_from_its_creation_to_its_expiry() {
    // The session: from WALL for an hour.
    for (time, is_covered) in [
        ((WALL, WALL + HOUR), true),
        ((WALL - DAY, WALL + DAY), true),
        ((WALL + 1, WALL + DAY), false),
        ((WALL - DAY, WALL + HOUR - 1), false),
        ((WALL - DAY, WALL - 1), false),
    ] {
        let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
        node.meet(&mut bob);
        // Who asks for a session.
        alice.delegate(KEY, time);
        let (definition, bytes) = asked(&node, &mut alice);
        let hear = |node: &mut TestNode, bytes| node.hear(&bob, bytes);
        if is_covered {
            hear(&mut node, bytes);
            assert_eq!(phase(&node, definition.id()), Phase::Announced, "{time:?}");
        } else {
            node.refuses(Refusal::DelegationTime, |node| hear(node, bytes));
            assert_eq!(node.node.view().sessions().count(), 0, "{time:?}");
        }
        for body in [Body::Request(definition.clone().into()), Body::RequestNotice(RequestNotice::of(&definition))] {
            let (mut other, bytes) =
                (TestNode::of(9, Config::new(Network::Regtest), Vec::new(), 1), alice.say_body(body));
            let before = other.node.view().refusals().get(Refusal::DelegationTime);
            other.input(Input::Connected(bob.peer));
            other.hear(&bob, bytes);
            let refused = other.node.view().refusals().get(Refusal::DelegationTime) - before;
            assert_eq!(refused == 0, is_covered, "{time:?}");
        }
        // Who takes part in one.
        alice.delegated = None;
        let (mut node, mut carol) = (TestNode::new(), ScriptedPeer::new(3));
        node.meet(&mut alice);
        let definition = crate::common::definition(alice.key(), vec![node.key, alice.key(), carol.key()]);
        let nonce = alice.nonce(&definition, 2);
        let join = Content::Join { nonces: vec![carol.nonce(&definition, 1)] };
        carol.delegate(KEY, time);
        // Before the session is known, and after.
        let early = carol.say(definition.id(), 1, join.clone());
        node.hear(&carol, early);
        let before = node.node.view().refusals().get(Refusal::DelegationTime);
        let bytes = alice.say(definition.id(), 1, announcement(&definition, nonce));
        node.hear(&alice, bytes);
        let refused = node.node.view().refusals().get(Refusal::DelegationTime) - before;
        assert_eq!(refused == 0, is_covered, "{time:?}: what came early is judged when its session is known");
        if !is_covered {
            let late = carol.say(definition.id(), 1, join);
            node.refuses(Refusal::DelegationTime, |node| node.hear(&carol, late));
        }
        node.command(approve(definition.id())).unwrap();
        let joined = node.node.view().session(&definition.id()).unwrap().joined;
        assert_eq!(joined[definition.index_of(&carol.key()).unwrap()], is_covered, "{time:?}");
    }
    assert_eq!(Refusal::DelegationTime.blame(), Blame::Author);
}

#[test]
fn a_delegation_covers_every_announcement_for_as_long_as_it_is_valid() {
    let (issued_at, expires_at) = (Wall::from_millis(WALL), Wall::from_millis(WALL + HOUR));
    let offer = Offer { types: vec![TransactionType::Spend], ..Offer::default() };
    let mut alice = ScriptedPeer::new(1);
    let (peer, addresses) = (alice.peer, Vec::new());
    let bodies = [
        Body::Advertisement(Box::new(Advertisement { peer, addresses, offer: Some(offer), issued_at, expires_at })),
        Body::Resource(Resource {
            kind: label("kind"),
            name: label("name"),
            data: Data::new(vec![1]),
            issued_at,
            expires_at,
        }),
    ];
    for (time, is_covered) in [
        ((WALL, WALL + HOUR), true),
        ((WALL + 1, WALL + DAY), false),
        ((WALL, WALL + HOUR - 1), false),
        ((WALL - DAY, WALL - HOUR), false),
    ] {
        alice.delegate(KEY, time);
        let presence = alice.presence(alice.peer, WALL);
        let messages = bodies.clone().map(|body| alice.say_body(body)).into_iter().chain([presence]);
        for bytes in messages {
            let mut node = TestNode::new();
            node.input(Input::Connected(alice.peer));
            if is_covered {
                node.hear(&alice, bytes);
                assert_eq!(node.node.view().refusals().total(), 0, "{time:?}");
            } else {
                node.refuses(Refusal::DelegationTime, |node| node.hear(&alice, bytes));
            }
        }
    }
    // What a protocol says is about the moment in which it is said.
    let (mut node, script) = (TestNode::new(), crate::scripted_protocol::Script::new("pool"));
    script.register(&mut node);
    script.told();
    let say = |alice: &mut ScriptedPeer, to: &TestNode| {
        let to = Receiver::Signer(to.key);
        alice.say_body(Body::Protocol(ProtocolMessage {
            protocol: label("pool"),
            to,
            number: 1,
            issued_at,
            payload: vec![7],
        }))
    };
    node.input(Input::Connected(alice.peer));
    let late = say(&mut alice, &node);
    node.refuses(Refusal::DelegationTime, |node| node.hear(&alice, late));
    alice.delegate(KEY, (WALL, WALL));
    let empty = say(&mut alice, &node);
    node.refuses(Refusal::Delegation, |node| node.hear(&alice, empty));
    alice.delegate(KEY, (WALL, WALL + 1));
    let bytes = say(&mut alice, &node);
    node.hear(&alice, bytes);
    assert_eq!(node.node.view().refusals().total(), 2);
}

#[test]
fn whichever_key_speaks_quotas_and_replay_count_for_the_author() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.input(Input::Connected(alice.peer));
    // Five presences of a key at once, whatever message key they are of.
    for number in 0..6 {
        alice.delegate(KEY + number, (WALL, WALL + DAY));
        let bytes = alice.presence(alice.peer, WALL + u64::from(number));
        if number < 5 {
            node.hear(&alice, bytes);
        } else {
            node.refuses(Refusal::PeerQuota, |node| node.hear(&alice, bytes));
        }
    }
    let (definition, bytes) = asked(&node, &mut alice);
    node.hear(&alice, bytes);
    node.command(approve(definition.id())).unwrap();
    let taken = alice.say_at(definition.id(), 1, 7, Content::Waiting);
    node.hear(&alice, taken);
    alice.delegate(KEY, (WALL, WALL + DAY));
    let again = alice.say_at(definition.id(), 1, 7, Content::Waiting);
    node.refuses(Refusal::Duplicate, |node| node.hear(&alice, again));
    // An older announcement by another message key does not come back either.
    let old = alice.presence(alice.peer, WALL);
    node.refuses(Refusal::Duplicate, |node| node.hear(&alice, old));
}

/// Bob's message key is in other hands.
#[test]
fn whoever_steals_a_message_key_disturbs_is_proven_and_spends_nothing() {
    let Signed { mut node, mut alice, mut bob, definition, of_alice, hash: nonces, .. } = all_signed();
    bob.delegate(KEY, (WALL, WALL + DAY));
    let session = definition.id();
    let bytes = alice.say(session, 1, Content::Partial { nonces, partials: vec![of_alice] });
    node.hear(&alice, bytes);
    // The thief has all that the others have sent, and the message key as a scalar: what it makes of them is none.
    let mut thief = ScriptedPeer::new(KEY);
    let mut forged = definition.clone();
    forged.keys = [node.key, alice.key(), thief.key()].into();
    forged.keys.sort_unstable();
    let own = thief.nonce(&forged, 1);
    let partial = thief.sign(&forged, 1, &[own; 3]);
    let bytes = bob.say(session, 1, Content::Partial { nonces, partials: vec![partial] });
    node.hear(&bob, bytes);
    assert_eq!(phase(&node, session), Phase::Failed);
    let conviction = conviction(&node);
    assert_eq!((conviction.signer, conviction.offence), (bob.key(), Offence::InvalidPartial));
    assert_eq!(conviction.message_keys, [secret(KEY).public_key()]);
    let lie = Content::Finalized { signatures: vec![Signature::from_bytes([1; 64])] };
    let bytes = bob.say(session, 1, lie);
    node.refuses(Refusal::FinalSignature, |node| node.hear(&bob, bytes));
    assert!(node.node.view().session(&session).unwrap().signatures.is_empty());
    // It can refuse, as whoever has the key it speaks for: that costs this session.
    let bytes = bob.say(session, 1, Content::Abort { reason: nelumbo_core::wire::AbortReason::Left });
    node.hear(&bob, bytes);
    assert_eq!(phase(&node, session), Phase::Aborted);
}

/// The one accusation, judged by somebody who was not there.
fn conviction(node: &TestNode) -> nelumbo_core::evidence::Conviction {
    let of = |event: &Event| match event {
        Event::SignerMisbehaved { evidence, .. } => Some((**evidence).clone()),
        _ => None,
    };
    let all: Vec<Evidence> = node.events.iter().filter_map(of).collect();
    let [evidence] = &all[..] else { panic!("{all:?}") };
    let text = serde_json::to_string(evidence).unwrap();
    verify(&Secp256k1, &serde_json::from_str(&text).unwrap()).expect("the evidence is sound")
}

#[test]
fn a_node_proves_what_a_message_key_has_said_twice_and_names_both_keys() {
    let Signed { mut node, mut bob, definition, nonces, .. } = all_signed();
    bob.delegate(KEY, (WALL, WALL + DAY));
    let other = *nonces.iter().find(|nonce| **nonce != nonces[definition.index_of(&bob.key()).unwrap()]).unwrap();
    let bytes = bob.say(definition.id(), 1, Content::Join { nonces: vec![other] });
    node.hear(&bob, bytes);
    let conviction = conviction(&node);
    assert_eq!((conviction.signer, conviction.offence), (bob.key(), Offence::Equivocation));
    assert_eq!(conviction.message_keys, [secret(KEY).public_key()]);
    let text = serde_json::to_value(&conviction).unwrap();
    assert_eq!(text["message_keys"][0], secret(KEY).public_key().to_string());
}

quickcheck! {
    /// Whatever becomes of a delegated message on its way, it is the author's word as it was, or nothing.
    fn what_is_altered_on_its_way_is_nobody_s_word(at: usize, by: u8) -> bool {
        let (mut node, mut alice, mut mallory) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(66));
        node.meet(&mut mallory);
        alice.delegate(KEY, (WALL, WALL + DAY));
        let (_, bytes) = asked(&node, &mut alice);
        let mut altered = bytes.to_vec();
        let at = at % altered.len();
        altered[at] ^= by;
        node.hear(&mallory, altered.into());
        let is_refused = node.node.view().refusals().total() == 1 && node.node.view().sessions().count() == 0;
        is_refused == (by != 0)
    }
}

#[test]
fn a_prepared_message_key_is_not_taken_for_another_author_s() {
    // A signer who has sent much, so that its message key is prepared and its delegation known.
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    alice.delegate(KEY, (WALL, WALL + DAY));
    let (first, bytes) = asked(&node, &mut alice);
    node.hear(&alice, bytes);
    node.command(approve(first.id())).unwrap();
    for sequence in 2..20 {
        let bytes = alice.say_at(first.id(), 1, sequence, Content::Waiting);
        node.hear(&alice, bytes);
    }
    assert_eq!(node.node.view().refusals().total(), 0);
    // The same message key with the same delegation, in the name of bob.
    let mut bob = ScriptedPeer::new(2);
    bob.speak_by(KEY, alice.delegation());
    let (_, bytes) = asked(&node, &mut bob);
    node.refuses(Refusal::Delegation, |node| node.hear(&bob, bytes));
    // With a delegation that was not verified before, which is shorter.
    alice.delegate(KEY, (WALL, WALL + HOUR - 1));
    let bytes = alice.say_at(first.id(), 1, 20, Content::Waiting);
    node.refuses(Refusal::DelegationTime, |node| node.hear(&alice, bytes));
    let mut forged = alice.delegation();
    forged.mandate.expires_at = Wall::from_millis(WALL + DAY + 1);
    alice.speak_by(KEY, forged);
    let bytes = alice.say_at(first.id(), 1, 21, Content::Waiting);
    node.refuses(Refusal::Delegation, |node| node.hear(&alice, bytes));
}
