//! What a node offers to sign, and what it hears of the offers of others; the messages that tests of discovery need.

use std::collections::BTreeSet;
use std::time::Duration;

use nelumbo_core::api::{Command, CommandError, Config, Event, Input, OperationId, Output, Phase, Refusal};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{Network, PublicKey, sha256};
use nelumbo_core::wire::{
    Advertisement, Body, Definition, Label, List, Listing, Message, Offer, PeerId, RecordKey, SHARDS, TransactionType,
};

use super::common::{HOUR, ScriptedPeer, TestNode, WALL, announcement, definition, phase};

pub(crate) const DAY: u64 = 24 * HOUR;

pub(crate) fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

pub(crate) fn offer(kinds: &[TransactionType]) -> Offer {
    Offer { types: kinds.to_vec(), min_amount: Some(100), max_amount: Some(1_000), ..Offer::default() }
}

pub(crate) fn advertisement(author: &mut ScriptedPeer, offer: Option<Offer>, issued_at: u64) -> Bytes {
    author.say_body(Body::Advertisement(Box::new(Advertisement {
        peer: author.peer,
        addresses: Vec::new(),
        offer,
        issued_at: Wall::from_millis(issued_at),
        expires_at: Wall::from_millis(issued_at + DAY),
    })))
}

pub(crate) fn spender(author: &mut ScriptedPeer) -> Bytes {
    advertisement(author, Some(offer(&[TransactionType::Spend])), WALL)
}

/// An author's entry in a list.
pub(crate) fn listing(author: &mut ScriptedPeer, list: List, name: Option<Label>, digest: [u8; 32]) -> Bytes {
    let (issued_at, expires_at) = (Wall::from_millis(WALL), Wall::from_millis(WALL + DAY));
    author.say_body(Body::Listing(Listing { list, name, digest, issued_at, expires_at }))
}

/// A record with these entries, in the order of their authors.
pub(crate) fn log(mut entries: Vec<Bytes>) -> Bytes {
    entries.sort_by_key(|entry| Message::decode(entry.clone()).expect("a message").unsigned.author);
    let entries: Vec<Vec<u8>> = entries.iter().map(|entry| entry.to_vec()).collect();
    let mut bytes = vec![b'L'];
    bytes.extend(postcard::to_allocvec(&entries).expect("memory"));
    bytes.into()
}

pub(crate) fn entries(value: &[u8]) -> Vec<Message> {
    let entries: Vec<Vec<u8>> = postcard::from_bytes(&value[1..]).expect("a list");
    entries.into_iter().map(|entry| Message::decode(entry.into()).expect("a message")).collect()
}

pub(crate) fn hear_gossip(node: &mut TestNode, from: PeerId, bytes: Bytes) {
    node.input(Input::Gossip { from, id: nelumbo_core::api::GossipId(1), bytes });
}

/// What the node has looked up since this was last asked, by the record's name.
pub(crate) fn lookups(node: &mut TestNode) -> Vec<(OperationId, String)> {
    let mut found = Vec::new();
    node.others.retain(|output| match output {
        Output::Lookup { operation, key } => {
            found.push((*operation, key.clone()));
            false
        }
        _ => true,
    });
    found
}

pub(crate) fn stored(node: &mut TestNode) -> Vec<(String, Bytes)> {
    let mut found = Vec::new();
    node.others.retain(|output| match output {
        Output::Store { key, value, .. } => {
            found.push((key.clone(), value.clone()));
            false
        }
        _ => true,
    });
    found
}

pub(crate) fn found(node: &TestNode) -> Vec<PublicKey> {
    let key = |event: &Event| if let Event::SignerFound { key, .. } = event { Some(*key) } else { None };
    node.events.iter().filter_map(key).collect()
}

pub(crate) fn finished(node: &TestNode) -> Option<usize> {
    node.events.iter().find_map(|event| match event {
        Event::SearchFinished { found, .. } => Some(*found),
        _ => None,
    })
}

/// D10, D12.
#[test]
fn an_offer_goes_out_by_gossip_as_a_record_and_into_the_directories() {
    let mut node = TestNode::new();
    node.input(Input::RoutingTable(3));
    node.wait(1_000);
    stored(&mut node);
    node.others.clear();
    node.command(Command::Advertise {
        offer: Box::new(offer(&[TransactionType::Spend, TransactionType::Escrow])),
        lifetime: None,
    })
    .unwrap();
    assert!(node.events.iter().any(|event| matches!(event, Event::Advertised { .. })));
    let topics: Vec<_> = node
        .others
        .iter()
        .filter_map(|output| if let Output::Publish { topic, .. } = output { Some(topic.as_str()) } else { None })
        .collect();
    assert_eq!(topics, ["musig2:signers:spend", "musig2:signers:escrow"]);
    let records = stored(&mut node);
    let own = records.iter().find(|(key, _)| *key == RecordKey::Advertisement(node.key).to_string());
    let digest = sha256(&[&own.expect("the advertisement is stored").1]);
    for list in [List::Signers(TransactionType::Spend), List::Signers(TransactionType::Escrow), List::AllSigners] {
        let key = RecordKey::of_entry(&list, &node.key).to_string();
        let (_, value) = records.iter().find(|(name, _)| *name == key).expect("every directory has an entry");
        let [entry] = &entries(value)[..] else { panic!("one entry") };
        let Body::Listing(listing) = &entry.unsigned.body else { panic!("a listing") };
        assert_eq!((&listing.list, listing.digest), (&list, digest), "it points to the advertisement");
    }
}

/// D7, D10, D11, D12.
#[test]
fn an_offer_is_renewed_follows_the_addresses_and_survives_a_restart() {
    let mut node = TestNode::new();
    node.command(Command::Advertise { offer: Box::new(offer(&[TransactionType::Spend])), lifetime: None }).unwrap();
    let said = |node: &mut TestNode| {
        let said = node.events.iter().filter(|event| matches!(event, Event::Advertised { .. })).count();
        node.events.clear();
        said
    };
    assert_eq!(said(&mut node), 1);
    node.wait(DAY / 2);
    assert_eq!(said(&mut node), 1, "renewed after half of its life");
    let address = nelumbo_core::wire::Address::from_bytes(vec![1, 2, 3]).unwrap();
    for addresses in [vec![address.clone()], vec![address.clone()], Vec::new(), vec![address]] {
        node.input(Input::Addresses(addresses));
    }
    node.wait(1_000);
    assert_eq!(said(&mut node), 1, "a change of address is one new advertisement");
    let records = node.records.clone().into_iter().collect();
    let mut node = TestNode::with(Config::new(Network::Regtest), records, 2);
    node.wait(1_000);
    assert_eq!(said(&mut node), 1, "a restart does not withdraw it");
    node.command(Command::Withdraw).unwrap();
    assert_eq!(node.command(Command::Withdraw), Err(CommandError::NothingOffered));
    let records = node.records.clone().into_iter().collect();
    let mut node = TestNode::with(Config::new(Network::Regtest), records, 3);
    node.wait(DAY);
    assert_eq!(said(&mut node), 0, "withdrawn for good");
}

/// D8, D13: what was said before there was anybody to hear it is said again, and whoever listens now reads what was
/// said before.
#[test]
fn offers_and_subscriptions_wait_for_the_network() {
    let mut node = TestNode::new();
    node.command(Command::Advertise { offer: Box::new(offer(&[TransactionType::Spend])), lifetime: None }).unwrap();
    node.command(Command::Subscribe(TransactionType::Swap)).unwrap();
    let published = |node: &mut TestNode| {
        let is_one =
            |output: &Output| matches!(output, Output::Publish { topic, .. } if topic.as_str().ends_with("spend"));
        std::mem::take(&mut node.others).iter().filter(|output| is_one(output)).count()
    };
    node.wait(10_000);
    assert_eq!(published(&mut node), 1);
    node.input(Input::RoutingTable(1));
    node.wait(1_000);
    let read = lookups(&mut node).iter().filter(|(_, key)| key.contains("signer-directory:swap")).count();
    assert_eq!((published(&mut node), read), (1, SHARDS.into()));
    node.command(Command::Unsubscribe(TransactionType::Swap)).unwrap();
    let is_end = |output: &Output| matches!(output, Output::Unsubscribe(topic) if topic.as_str().ends_with("swap"));
    assert!(node.others.iter().any(is_end));
    node.input(Input::RoutingTable(2));
    node.wait(10_000);
    assert!(!lookups(&mut node).iter().any(|(_, key)| key.contains("swap")));
}

/// D11: whoever knows an offer looks at it again only when a directory says that there is something newer.
#[test]
fn a_changed_or_withdrawn_offer_is_listed_where_the_old_one_was() {
    let mut node = TestNode::new();
    node.input(Input::RoutingTable(3));
    node.wait(1_000);
    stored(&mut node);
    let mut issued = 0;
    for (command, kinds) in [
        (
            Command::Advertise { offer: Box::new(offer(&[TransactionType::Spend])), lifetime: None },
            &[TransactionType::Spend][..],
        ),
        (
            Command::Advertise { offer: Box::new(offer(&[TransactionType::Swap])), lifetime: None },
            &[TransactionType::Spend, TransactionType::Swap],
        ),
        (Command::Withdraw, &[TransactionType::Swap]),
    ] {
        node.command(command).unwrap();
        let records = stored(&mut node);
        let listings = records.iter().filter(|(key, _)| key.contains("directory")).map(|(_, value)| {
            let [entry] = &entries(value)[..] else { panic!("one author, one entry") };
            let Body::Listing(listing) = &entry.unsigned.body else { panic!("an entry is a listing") };
            assert!(listing.issued_at.as_millis() > issued);
            listing.clone()
        });
        let listings: Vec<_> = listings.collect();
        let lists: BTreeSet<List> = listings.iter().map(|listing| listing.list.clone()).collect();
        let expected = kinds.iter().map(|kind| List::Signers(*kind)).chain([List::AllSigners]);
        assert_eq!(lists, expected.collect());
        issued = listings[0].issued_at.as_millis();
    }
}

/// D17. Failure 3 and invariant I3: ownership is a valid signature with the newest time, whatever peer it names.
#[test]
fn the_newest_advertisement_holds_and_a_withdrawal_is_one() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let old = spender(&mut alice);
    let moved = {
        alice.peer = PeerId::from_bytes(&[99]).unwrap();
        advertisement(&mut alice, Some(offer(&[TransactionType::Swap])), WALL + 5)
    };
    let withdrawn = advertisement(&mut alice, None, WALL + 6);
    let from = PeerId::from_bytes(&[7]).unwrap();
    hear_gossip(&mut node, from, moved.clone());
    node.refuses(Refusal::Duplicate, |node| hear_gossip(node, from, old.clone()));
    let known = node.node.view().advertisement(&alice.key()).cloned().expect("known");
    assert_eq!((known.peer, known.offer.unwrap().types), (alice.peer, vec![TransactionType::Swap]));
    hear_gossip(&mut node, from, withdrawn);
    assert!(node.node.view().advertisement(&alice.key()).is_none());
    for bytes in [old, moved] {
        node.refuses(Refusal::Duplicate, |node| hear_gossip(node, from, bytes));
    }
    assert!(node.node.view().advertisements().next().is_none(), "nothing brings it back");
    assert!(node.events.contains(&Event::SignerWithdrawn { key: alice.key() }));
}

/// An author signs its advertisement anew after twelve of its twenty-four hours.
#[test]
fn an_advertisement_that_its_author_has_renewed_long_since_is_not_passed_on() {
    const HOUR: u64 = 3_600_000;
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let from = PeerId::from_bytes(&[7]).unwrap();
    let mut of_age = |hours| advertisement(&mut alice, Some(offer(&[TransactionType::Spend])), WALL - hours * HOUR);
    let (old, recent) = (of_age(23), of_age(12));
    node.refuses(Refusal::NotFresh, |node| hear_gossip(node, from, old.clone()));
    assert_eq!(node.node.view().standing(&from).1, 0, "it may come from a node that was cut off");
    hear_gossip(&mut node, from, recent);
    assert_eq!(node.node.view().advertisements().count(), 1);
}

/// Failure H and invariant I35.
#[test]
fn a_hundred_deliveries_are_one_event_and_no_penalty() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let bytes = spender(&mut alice);
    for number in 0..100 {
        let from = PeerId::from_bytes(&[100 + number % 3]).unwrap();
        node.input(Input::Connected(from));
        if number % 2 == 0 {
            node.input(Input::Received { from, bytes: bytes.clone() });
        } else {
            hear_gossip(&mut node, from, bytes.clone());
        }
    }
    let discovered = node.events.iter().filter(|event| matches!(event, Event::SignerDiscovered { .. })).count();
    assert_eq!(discovered, 1);
    for number in 100..103 {
        let (_, penalty) = node.node.view().standing(&PeerId::from_bytes(&[number]).unwrap());
        assert_eq!(penalty, 0);
    }
}

/// Failure I: an advertisement with somebody else's peer id blames nobody but whoever hands it over.
#[test]
fn a_forged_advertisement_is_refused_and_its_victim_is_not_blamed() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let liar = PeerId::from_bytes(&[66]).unwrap();
    node.meet(&mut alice);
    let mut bytes = spender(&mut alice).to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    node.refuses(Refusal::Signature, |node| hear_gossip(node, liar, bytes.into()));
    assert_eq!(node.node.view().standing(&alice.peer).1, 0);
    assert!(node.node.view().standing(&liar).1 > 0);
    let mut mallory = ScriptedPeer::new(66);
    for bad in [
        Offer { types: Vec::new(), ..Offer::default() },
        Offer { min_amount: Some(9), max_amount: Some(1), ..offer(&[TransactionType::Spend]) },
    ] {
        let bytes = advertisement(&mut mallory, Some(bad), WALL);
        node.refuses(Refusal::Offer, |node| hear_gossip(node, liar, bytes));
    }
    for issued_at in [WALL + HOUR, WALL - 2 * DAY] {
        let bytes = advertisement(&mut mallory, Some(offer(&[TransactionType::Spend])), issued_at);
        node.refuses(Refusal::NotFresh, |node| hear_gossip(node, liar, bytes));
    }
}

#[test]
fn whoever_wants_a_reputation_of_others_declines_those_below() {
    for (wanted, declines) in [(None, false), (Some(50), false), (Some(51), true)] {
        let mut node = TestNode::new();
        let wants = Offer { min_reputation: wanted, ..offer(&[TransactionType::Spend]) };
        node.command(Command::Advertise { offer: Box::new(wants), lifetime: None }).unwrap();
        let mut alice = ScriptedPeer::new(1);
        node.meet(&mut alice);
        let asked = definition(alice.key(), vec![alice.key(), node.key]);
        let nonce = alice.nonce(&asked, 1);
        let bytes = alice.say(asked.id(), 1, announcement(&asked, nonce));
        node.hear(&alice, bytes);
        let expected = if declines { Phase::Aborted } else { Phase::Announced };
        assert_eq!(phase(&node, asked.id()), expected, "whoever this node has never signed with has 50");
        // Whoever withdraws its offer wants nothing of anybody.
        node.command(Command::Withdraw).unwrap();
        let asked = Definition { nonce: [4; 32], ..asked };
        let nonce = alice.nonce(&asked, 1);
        let bytes = alice.say(asked.id(), 1, announcement(&asked, nonce));
        node.hear(&alice, bytes);
        assert_eq!(phase(&node, asked.id()), Phase::Announced);
    }
}

/// D10, D12: an offer says for how long each of its advertisements is valid, over restarts, and its withdrawal is valid
/// for as long as the last of them.
#[test]
fn an_offer_has_a_lifetime_of_its_own() {
    let mut node = TestNode::new();
    node.input(Input::RoutingTable(3));
    node.wait(1_000);
    let advertise = |seconds: u64| Command::Advertise {
        offer: Box::new(offer(&[TransactionType::Spend])),
        lifetime: Some(Duration::from_secs(seconds)),
    };
    let valid = |node: &mut TestNode| {
        let records = stored(node);
        let advertisement = records.iter().find(|(key, _)| key.contains("advertisement")).expect("it is announced");
        let message = Message::decode(advertisement.1.clone()).expect("a message");
        let Body::Advertisement(said) = message.unsigned.body else { panic!("an advertisement") };
        said.expires_at.since(said.issued_at).as_secs()
    };
    // Clocks may differ by five minutes, and nothing is announced for more than a week.
    let least = Duration::from_secs(300);
    for seconds in [0, 299, 7 * 24 * 3600 + 1] {
        assert_eq!(node.command(advertise(seconds)), Err(CommandError::OfferLifetime { least }), "{seconds}");
    }
    assert!(node.node.view().offer().is_none(), "and nothing is offered");
    node.command(advertise(3 * 24 * 3600)).unwrap();
    assert_eq!(valid(&mut node), 3 * 24 * 3600);
    node.command(advertise(600)).unwrap();
    assert_eq!(valid(&mut node), 600);
    node.wait(301_000);
    assert_eq!(valid(&mut node), 600, "renewed after half of it");
    let mut node = TestNode::with(Config::new(Network::Regtest), node.records.clone().into_iter().collect(), 2);
    node.input(Input::RoutingTable(3));
    node.wait(1_000);
    assert_eq!(valid(&mut node), 600, "over restarts");
    node.command(advertise(3 * 24 * 3600)).unwrap();
    stored(&mut node);
    node.command(Command::Withdraw).unwrap();
    assert_eq!(valid(&mut node), 3 * 24 * 3600, "as long as somebody may remember it");
}
