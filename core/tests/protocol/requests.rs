//! Requests that are listed in public: how they are found, become sessions, and what a policy decides about them.

use std::collections::BTreeSet;
use std::time::Duration;

use nelumbo_core::Review;
use nelumbo_core::api::{Command, CommandError, Event, Input, NewSession, Output, Phase, Refusal};
use nelumbo_core::approval::Summary;
use nelumbo_core::crypto::lotus::TaprootOutput;
use nelumbo_core::crypto::{PublicKey, Secp256k1, Suite, Tweak, Verifier};
use nelumbo_core::wire::{
    Body, Content, Definition, DefinitionError, Details, Item, List, Message, RecordKey, SignedInput, SpendPath,
    Spending, Spent, TransactionType,
};

use super::common::{HOUR, ScriptedPeer, TestNode, approve, definition, keys, phase};
use super::discovery::{entries, finished, hear_gossip, label, listing, log, lookups, stored};

fn listed(creator: &ScriptedPeer, keys: Vec<PublicKey>) -> Definition {
    Definition { is_listed: true, ..definition(creator.key(), keys) }
}

/// D14, D15.
#[test]
fn a_listed_request_is_found_by_whoever_was_away() {
    let (mut node, alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.input(Input::RoutingTable(3));
    node.wait(1_000);
    stored(&mut node);
    node.others.clear();
    let keys = vec![node.key, alice.key(), bob.key()];
    let session = NewSession { is_listed: true, ..NewSession::new(Suite::Lotus, keys, vec![7; 32]) };
    node.command(Command::Create(Box::new(session))).unwrap();
    let id = node.node.view().sessions().next().expect("it is there").id;
    assert!(node.events.contains(&Event::RequestListed { session: id }));
    let published = node
        .others
        .iter()
        .any(|output| matches!(output, Output::Publish { topic, .. } if topic.as_str() == "musig2:signing-request"));
    assert!(published);
    let records = stored(&mut node);
    let request = records.iter().find(|(key, _)| *key == RecordKey::Request(id).to_string()).expect("stored").1.clone();
    // Another node, whose key is needed, comes back and looks.
    for scripted in [&alice, &bob] {
        let index = RecordKey::of_entry(&List::Requests(scripted.key()), &node.key).to_string();
        assert!(records.iter().any(|(key, _)| *key == index), "each signer has an index");
    }
    let mut record = entries(&records.iter().find(|(key, _)| key.contains("request-index")).unwrap().1);
    assert_eq!(record.remove(0).unsigned.author, node.key);
    assert!(Message::decode(request).is_ok());
    node.command(Command::Abort(id, nelumbo_core::wire::AbortReason::Left)).unwrap();
    node.wait(2 * HOUR);
    assert!(!stored(&mut node).iter().any(|(key, _)| key.contains("request")), "it is not announced any more");
}

/// D15: nobody needs to find this session any more, and the others are found as before.
#[test]
fn a_request_that_has_ended_is_announced_no_more_and_others_are() {
    let (mut node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    for message in 0..3 {
        let keys = vec![node.key, alice.key()];
        let session = NewSession { is_listed: true, ..NewSession::new(Suite::Lotus, keys, vec![message; 32]) };
        node.command(Command::Create(Box::new(session))).unwrap();
    }
    let mut expected: BTreeSet<_> = node.node.view().sessions().map(|session| session.id).collect();
    let index = RecordKey::of_entry(&List::Requests(alice.key()), &node.key).to_string();
    for peers in 1..=3 {
        node.input(Input::RoutingTable(peers));
        node.wait(100_000);
        let records = stored(&mut node);
        let requests: BTreeSet<_> = records.iter().map(|(key, _)| key).filter(|key| key.contains("request:")).collect();
        let names: BTreeSet<_> = expected.iter().map(|id| RecordKey::Request(*id).to_string()).collect();
        assert_eq!(requests, names.iter().collect());
        let listed = records.iter().find(|(key, _)| *key == index).expect("the index of its signer");
        let digest = |message: Message| match message.unsigned.body {
            Body::Listing(listing) => listing.digest,
            _ => unreachable!("a list has entries"),
        };
        let listed: BTreeSet<_> = entries(&listed.1).into_iter().map(digest).collect();
        assert_eq!(listed, expected.iter().map(|id| *id.as_bytes()).collect());
        let ended = expected.pop_first().expect("one is left");
        node.command(Command::Abort(ended, nelumbo_core::wire::AbortReason::Left)).unwrap();
    }
    node.input(Input::RoutingTable(4));
    node.wait(100_000);
    assert!(!stored(&mut node).iter().any(|(key, _)| key.contains("request")), "none is left");
}

/// D19, D22.
#[test]
fn a_request_found_in_the_index_becomes_a_session_once() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let definition = listed(&alice, vec![node.key, alice.key()]);
    let id = definition.id();
    let request = alice.say_body(Body::Request(definition.clone().into()));
    node.command(Command::FindRequests).unwrap();
    let asked = lookups(&mut node);
    let [(operation, key)] = &asked[..] else { panic!("one record has all") };
    assert_eq!(*key, RecordKey::List(List::Requests(node.key), 0).to_string());
    let entry = listing(&mut alice, List::Requests(node.key), Some(label(&id.to_string())), *id.as_bytes());
    node.input(Input::Found { operation: *operation, bytes: log(vec![entry]) });
    node.input(Input::LookupFinished(*operation));
    let asked = lookups(&mut node);
    let [(operation, _)] = &asked[..] else { panic!("the request is fetched") };
    node.input(Input::Found { operation: *operation, bytes: request.clone() });
    node.refuses(Refusal::Duplicate, |node| node.input(Input::Found { operation: *operation, bytes: request.clone() }));
    node.input(Input::LookupFinished(*operation));
    assert_eq!(finished(&node), Some(1));
    assert_eq!(phase(&node, id), Phase::Announced);
    assert_eq!(node.events.iter().filter(|event| matches!(event, Event::SessionAnnounced { .. })).count(), 1);
    // The approval goes to whoever asked, as soon as there is a connection.
    node.command(approve(id)).unwrap();
    node.meet(&mut alice);
    assert!(node.steps_to(&alice).iter().any(|step| matches!(step.content, Content::Join { .. })));
}

#[test]
fn a_link_leads_to_its_session() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let definition = listed(&alice, vec![node.key, alice.key()]);
    let id = definition.id();
    node.command(Command::FindSession(id)).unwrap();
    let asked = lookups(&mut node);
    let [(operation, key)] = &asked[..] else { panic!("one record") };
    assert_eq!(*key, RecordKey::Request(id).to_string());
    let bytes = alice.say_body(Body::Request(definition.into()));
    node.input(Input::Found { operation: *operation, bytes });
    node.input(Input::LookupFinished(*operation));
    assert_eq!((phase(&node, id), finished(&node)), (Phase::Announced, Some(1)));
    assert_eq!(node.command(Command::FindSession(id)), Err(CommandError::KnownSession(id)));
}

#[test]
fn requests_of_others_are_passed_on_and_not_kept() {
    let (mut node, mut alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    let definition = listed(&alice, vec![alice.key(), bob.key()]);
    let bytes = alice.say_body(Body::Request(definition.clone().into()));
    node.others.clear();
    hear_gossip(&mut node, alice.peer, bytes);
    assert!(matches!(node.others[..], [Output::Verdict { verdict: nelumbo_core::api::Verdict::Accept, .. }]));
    assert!(node.node.view().sessions().next().is_none());
    // Somebody else cannot ask in her name.
    let mut mallory = ScriptedPeer::new(66);
    let other = Definition { nonce: [4; 32], ..definition };
    let bytes = mallory.say_body(Body::Request(other.into()));
    node.refuses(Refusal::NotTheCreator, |node| hear_gossip(node, alice.peer, bytes));
}

/// A policy that knows the amounts it signs for.
struct Limited(u64);

impl nelumbo_core::Policy for Limited {
    fn review(&mut self, definition: &Definition, _: &Summary) -> Review {
        match definition.amount() {
            Some(amount) if amount <= self.0 => Review::Approve { allow: BTreeSet::new() },
            Some(_) => Review::Decline,
            None => Review::Ask,
        }
    }
}

/// A transaction that spends an output of this value and script.
fn spending(value: u64, script: Vec<u8>) -> Spending {
    let mut transaction = 2i32.to_le_bytes().to_vec();
    transaction.push(1);
    transaction.extend([0x11; 32]);
    transaction.extend(0u32.to_le_bytes());
    transaction.push(0);
    transaction.extend(u32::MAX.to_le_bytes());
    transaction.push(1);
    transaction.extend((value - 1).to_le_bytes());
    transaction.extend([1, 0x51]);
    transaction.extend(0u32.to_le_bytes());
    let spent = vec![Spent { value, script }];
    Spending { transaction, spent, replay_protection: false }
}

fn paying(creator: &ScriptedPeer, node: &TestNode, value: u64) -> Definition {
    let session = listed(creator, vec![node.key, creator.key()]);
    let own = TaprootOutput { commitment: Secp256k1.challenge_key(&keys(&session)), state: None };
    let spending = spending(value, own.script_pubkey());
    let details =
        Details { kind: Some(TransactionType::Spend), spending: Some(Box::new(spending)), ..Details::default() };
    let input = SignedInput { input: 0, sighash_type: 0x61, path: SpendPath::Key };
    Definition { items: vec![Item::input(input, Tweak::None)], details, nonce: [value as u8; 32], ..session }
}

#[test]
fn what_is_signed_is_computed_and_a_policy_decides_about_it() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.node.set_policy(Box::new(Limited(1_000)));
    let (small, large) = (paying(&alice, &node, 900), paying(&alice, &node, 1_001));
    let vague = listed(&alice, vec![node.key, alice.key()]);
    for definition in [&small, &large, &vague] {
        let bytes = alice.say_body(Body::Request(definition.clone().into()));
        hear_gossip(&mut node, alice.peer, bytes);
    }
    assert_eq!(phase(&node, small.id()), Phase::NonceExchange);
    assert_eq!(phase(&node, large.id()), Phase::Aborted);
    assert_eq!(phase(&node, vague.id()), Phase::Announced);
    // A request that shows a transaction and has something else signed is none.
    let items = vec![Item::message(vec![1; 32], Tweak::None)];
    let lie = Definition { items, nonce: [9; 32], ..small.clone() };
    assert_eq!(lie.check(Duration::MAX), Err(DefinitionError::MixedItems));
    let bytes = alice.say_body(Body::Request(lie.into()));
    node.refuses(Refusal::Definition, |node| hear_gossip(node, alice.peer, bytes));
    let keys = vec![node.key, alice.key()];
    let session = NewSession { details: small.details, ..NewSession::new(Suite::Lotus, keys, vec![2; 32]) };
    let refused = node.command(Command::Create(Box::new(session)));
    assert_eq!(refused, Err(CommandError::Definition(DefinitionError::MixedItems)));
}
