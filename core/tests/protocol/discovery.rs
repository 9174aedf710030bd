//! Strangers become signers: advertisements, directories, requests, resources.

use std::collections::BTreeSet;
use std::time::Duration;

use nelumbo_core::Review;
use nelumbo_core::api::{
    Command, CommandError, Config, Event, Input, NewSession, OperationId, Output, Phase, Refusal, SignerFilter,
};
use nelumbo_core::approval::Summary;
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::lotus::TaprootOutput;
use nelumbo_core::crypto::{Network, PublicKey, Secp256k1, Suite, Verifier, sha256};
use nelumbo_core::wire::{
    Advertisement, Body, Content, Data, Definition, DefinitionError, Details, Label, List, Listing, Message, Offer,
    PeerId, RecordKey, Resource, SHARDS, SpendPath, Spending, Spent, TransactionType,
};

use super::common::{Desk, HOUR, Puppet, WALL, approve, definition, keys, phase};

pub(crate) const DAY: u64 = 24 * HOUR;

pub(crate) fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

pub(crate) fn offer(kinds: &[TransactionType]) -> Offer {
    Offer { types: kinds.to_vec(), min_amount: Some(100), max_amount: Some(1_000), ..Offer::default() }
}

pub(crate) fn advertisement(author: &mut Puppet, offer: Option<Offer>, issued_at: u64) -> Bytes {
    author.say_body(Body::Advertisement(Box::new(Advertisement {
        peer: author.peer,
        addresses: Vec::new(),
        offer,
        issued_at: Wall::from_millis(issued_at),
        expires_at: Wall::from_millis(issued_at + DAY),
    })))
}

pub(crate) fn spender(author: &mut Puppet) -> Bytes {
    advertisement(author, Some(offer(&[TransactionType::Spend])), WALL)
}

/// An author's entry in a list.
pub(crate) fn listing(author: &mut Puppet, list: List, name: Option<Label>, digest: [u8; 32]) -> Bytes {
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

fn hear_gossip(desk: &mut Desk, from: PeerId, bytes: Bytes) {
    desk.input(Input::Gossip { from, id: nelumbo_core::api::GossipId(1), bytes });
}

/// What the desk has looked up since this was last asked, by the record's name.
fn lookups(desk: &mut Desk) -> Vec<(OperationId, String)> {
    let mut found = Vec::new();
    desk.others.retain(|output| match output {
        Output::Lookup { operation, key } => {
            found.push((*operation, key.clone()));
            false
        }
        _ => true,
    });
    found
}

fn stored(desk: &mut Desk) -> Vec<(String, Bytes)> {
    let mut found = Vec::new();
    desk.others.retain(|output| match output {
        Output::Store { key, value, .. } => {
            found.push((key.clone(), value.clone()));
            false
        }
        _ => true,
    });
    found
}

fn found(desk: &Desk) -> Vec<PublicKey> {
    let key = |event: &Event| if let Event::SignerFound { key, .. } = event { Some(*key) } else { None };
    desk.events.iter().filter_map(key).collect()
}

fn finished(desk: &Desk) -> Option<usize> {
    desk.events.iter().find_map(|event| match event {
        Event::SearchFinished { found, .. } => Some(*found),
        _ => None,
    })
}

#[test]
fn an_offer_goes_out_by_gossip_as_a_record_and_into_the_directories() {
    let mut desk = Desk::new();
    desk.input(Input::RoutingTable(3));
    desk.wait(1_000);
    stored(&mut desk);
    desk.others.clear();
    desk.command(Command::Advertise(Box::new(offer(&[TransactionType::Spend, TransactionType::Escrow])))).unwrap();
    assert!(desk.events.iter().any(|event| matches!(event, Event::Advertised { .. })));
    let topics: Vec<_> = desk
        .others
        .iter()
        .filter_map(|output| if let Output::Publish { topic, .. } = output { Some(topic.as_str()) } else { None })
        .collect();
    assert_eq!(topics, ["musig2:signers:spend", "musig2:signers:escrow"]);
    let records = stored(&mut desk);
    let own = records.iter().find(|(key, _)| *key == RecordKey::Advertisement(desk.key).to_string());
    let digest = sha256(&[&own.expect("the advertisement is stored").1]);
    for list in [List::Signers(TransactionType::Spend), List::Signers(TransactionType::Escrow), List::AllSigners] {
        let key = RecordKey::of_entry(&list, &desk.key).to_string();
        let (_, value) = records.iter().find(|(name, _)| *name == key).expect("every directory has an entry");
        let [entry] = &entries(value)[..] else { panic!("one entry") };
        let Body::Listing(listing) = &entry.unsigned.body else { panic!("a listing") };
        assert_eq!((&listing.list, listing.digest), (&list, digest), "it points to the advertisement");
    }
}

#[test]
fn an_offer_is_renewed_follows_the_addresses_and_survives_a_restart() {
    let mut desk = Desk::new();
    desk.command(Command::Advertise(Box::new(offer(&[TransactionType::Spend])))).unwrap();
    let said = |desk: &mut Desk| {
        let said = desk.events.iter().filter(|event| matches!(event, Event::Advertised { .. })).count();
        desk.events.clear();
        said
    };
    assert_eq!(said(&mut desk), 1);
    desk.wait(DAY / 2);
    assert_eq!(said(&mut desk), 1, "renewed after half of its life");
    let address = nelumbo_core::wire::Address::from_bytes(vec![1, 2, 3]).unwrap();
    for addresses in [vec![address.clone()], vec![address.clone()], Vec::new(), vec![address]] {
        desk.input(Input::Addresses(addresses));
    }
    desk.wait(1_000);
    assert_eq!(said(&mut desk), 1, "a change of address is one new advertisement");
    let records = desk.records.clone().into_iter().collect();
    let mut desk = Desk::with(Config::new(Network::Regtest), records, 2);
    desk.wait(1_000);
    assert_eq!(said(&mut desk), 1, "a restart does not withdraw it");
    desk.command(Command::Withdraw).unwrap();
    assert_eq!(desk.command(Command::Withdraw), Err(CommandError::NothingOffered));
    let records = desk.records.clone().into_iter().collect();
    let mut desk = Desk::with(Config::new(Network::Regtest), records, 3);
    desk.wait(DAY);
    assert_eq!(said(&mut desk), 0, "withdrawn for good");
}

/// What was said before there was anybody to hear it is said again, and whoever listens now reads what was said before.
#[test]
fn offers_and_subscriptions_wait_for_the_network() {
    let mut desk = Desk::new();
    desk.command(Command::Advertise(Box::new(offer(&[TransactionType::Spend])))).unwrap();
    desk.command(Command::Subscribe(TransactionType::Swap)).unwrap();
    let published = |desk: &mut Desk| {
        let is_one =
            |output: &Output| matches!(output, Output::Publish { topic, .. } if topic.as_str().ends_with("spend"));
        std::mem::take(&mut desk.others).iter().filter(|output| is_one(output)).count()
    };
    desk.wait(10_000);
    assert_eq!(published(&mut desk), 1);
    desk.input(Input::RoutingTable(1));
    desk.wait(1_000);
    let read = lookups(&mut desk).iter().filter(|(_, key)| key.contains("signer-directory:swap")).count();
    assert_eq!((published(&mut desk), read), (1, SHARDS.into()));
    desk.command(Command::Unsubscribe(TransactionType::Swap)).unwrap();
    desk.input(Input::RoutingTable(2));
    desk.wait(10_000);
    assert!(!lookups(&mut desk).iter().any(|(_, key)| key.contains("swap")));
}

/// Whoever knows an offer looks at it again only when a directory says that there is something newer.
#[test]
fn a_changed_or_withdrawn_offer_is_listed_where_the_old_one_was() {
    let mut desk = Desk::new();
    desk.input(Input::RoutingTable(3));
    desk.wait(1_000);
    stored(&mut desk);
    let mut issued = 0;
    for (command, kinds) in [
        (Command::Advertise(Box::new(offer(&[TransactionType::Spend]))), &[TransactionType::Spend][..]),
        (
            Command::Advertise(Box::new(offer(&[TransactionType::Swap]))),
            &[TransactionType::Spend, TransactionType::Swap],
        ),
        (Command::Withdraw, &[TransactionType::Swap]),
    ] {
        desk.command(command).unwrap();
        let records = stored(&mut desk);
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

/// Failure 3 and invariant I3: ownership is a valid signature with the newest time, whatever peer it names.
#[test]
fn the_newest_advertisement_holds_and_a_withdrawal_is_one() {
    let (mut desk, mut alice) = (Desk::new(), Puppet::new(1));
    let old = spender(&mut alice);
    let moved = {
        alice.peer = PeerId::from_bytes(&[99]).unwrap();
        advertisement(&mut alice, Some(offer(&[TransactionType::Swap])), WALL + 5)
    };
    let withdrawn = advertisement(&mut alice, None, WALL + 6);
    let from = PeerId::from_bytes(&[7]).unwrap();
    hear_gossip(&mut desk, from, moved.clone());
    desk.refuses(Refusal::Duplicate, |desk| hear_gossip(desk, from, old.clone()));
    let known = desk.node.view().advertisement(&alice.key()).cloned().expect("known");
    assert_eq!((known.peer, known.offer.unwrap().types), (alice.peer, vec![TransactionType::Swap]));
    hear_gossip(&mut desk, from, withdrawn);
    assert!(desk.node.view().advertisement(&alice.key()).is_none());
    for bytes in [old, moved] {
        desk.refuses(Refusal::Duplicate, |desk| hear_gossip(desk, from, bytes));
    }
    assert!(desk.node.view().advertisements().next().is_none(), "nothing brings it back");
    assert!(desk.events.contains(&Event::SignerWithdrawn { key: alice.key() }));
}

/// Failure H and invariant I35.
#[test]
fn a_hundred_deliveries_are_one_event_and_no_penalty() {
    let (mut desk, mut alice) = (Desk::new(), Puppet::new(1));
    let bytes = spender(&mut alice);
    for number in 0..100 {
        let from = PeerId::from_bytes(&[100 + number % 3]).unwrap();
        desk.input(Input::Connected(from));
        if number % 2 == 0 {
            desk.input(Input::Received { from, bytes: bytes.clone() });
        } else {
            hear_gossip(&mut desk, from, bytes.clone());
        }
    }
    let discovered = desk.events.iter().filter(|event| matches!(event, Event::SignerDiscovered { .. })).count();
    assert_eq!(discovered, 1);
    for number in 100..103 {
        let (_, penalty) = desk.node.view().standing(&PeerId::from_bytes(&[number]).unwrap());
        assert_eq!(penalty, 0);
    }
}

/// Failure I: an advertisement with somebody else's peer id blames nobody but whoever hands it over.
#[test]
fn a_forged_advertisement_is_refused_and_its_victim_is_not_blamed() {
    let (mut desk, mut alice) = (Desk::new(), Puppet::new(1));
    let liar = PeerId::from_bytes(&[66]).unwrap();
    desk.meet(&mut alice);
    let mut bytes = spender(&mut alice).to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    desk.refuses(Refusal::Signature, |desk| hear_gossip(desk, liar, bytes.into()));
    assert_eq!(desk.node.view().standing(&alice.peer).1, 0);
    assert!(desk.node.view().standing(&liar).1 > 0);
    let mut mallory = Puppet::new(66);
    for bad in [
        Offer { types: Vec::new(), ..Offer::default() },
        Offer { min_amount: Some(9), max_amount: Some(1), ..offer(&[TransactionType::Spend]) },
    ] {
        let bytes = advertisement(&mut mallory, Some(bad), WALL);
        desk.refuses(Refusal::Offer, |desk| hear_gossip(desk, liar, bytes));
    }
    for issued_at in [WALL + HOUR, WALL - 2 * DAY] {
        let bytes = advertisement(&mut mallory, Some(offer(&[TransactionType::Spend])), issued_at);
        desk.refuses(Refusal::NotFresh, |desk| hear_gossip(desk, liar, bytes));
    }
}

#[test]
fn a_search_reads_the_directory_and_verifies_entry_and_advertisement() {
    let (mut desk, mut alice, mut bob) = (Desk::new(), Puppet::new(1), Puppet::new(2));
    let list = List::Signers(TransactionType::Spend);
    let filter = SignerFilter { kind: Some(TransactionType::Spend), amount: Some(500), ..SignerFilter::default() };
    desk.command(Command::FindSigners(filter)).unwrap();
    let asked = lookups(&mut desk);
    assert_eq!(asked.len(), usize::from(SHARDS));
    let (alices, bobs) = (spender(&mut alice), spender(&mut bob));
    for (author, bytes, honest) in [(&mut alice, &alices, true), (&mut bob, &bobs, false)] {
        let shard = RecordKey::of_entry(&list, &author.key()).to_string();
        let (operation, _) = asked.iter().find(|(_, key)| *key == shard).expect("every shard is asked").clone();
        // Bob's entry is about another advertisement than the one that will be found.
        let digest = if honest { sha256(&[bytes]) } else { [0; 32] };
        let value = log(vec![listing(author, list.clone(), None, digest)]);
        desk.input(Input::Found { operation, bytes: value });
    }
    for (operation, _) in asked {
        desk.input(Input::LookupFinished(operation));
    }
    assert_eq!(finished(&desk), None, "two advertisements are still to be fetched");
    for (operation, key) in lookups(&mut desk) {
        if key == RecordKey::Advertisement(alice.key()).to_string() {
            desk.refuses(Refusal::Unasked, |desk| desk.input(Input::Found { operation, bytes: bobs.clone() }));
            desk.input(Input::Found { operation, bytes: alices.clone() });
        } else {
            assert_eq!(key, RecordKey::Advertisement(bob.key()).to_string());
            desk.refuses(Refusal::NotAsListed, |desk| desk.input(Input::Found { operation, bytes: bobs.clone() }));
        }
        desk.input(Input::LookupFinished(operation));
    }
    assert_eq!((found(&desk), finished(&desk)), (vec![alice.key()], Some(1)));
    assert_eq!(desk.node.view().signers().len(), 1, "where she is, is known too");
}

#[test]
fn a_search_finds_what_fits_once_from_any_channel_and_ends_in_time() {
    let mut desk = Desk::new();
    let mut puppets: Vec<Puppet> = (1..=4).map(Puppet::new).collect();
    let from = PeerId::from_bytes(&[7]).unwrap();
    let offers = [
        offer(&[TransactionType::Spend]),
        offer(&[TransactionType::Swap]),
        Offer { max_amount: Some(400), ..offer(&[TransactionType::Spend]) },
        offer(&[TransactionType::Spend, TransactionType::Swap]),
    ];
    let bytes: Vec<Bytes> =
        puppets.iter_mut().zip(offers).map(|(puppet, offer)| advertisement(puppet, Some(offer), WALL)).collect();
    // Three are known, one comes while the search runs.
    bytes[..3].iter().for_each(|bytes| hear_gossip(&mut desk, from, bytes.clone()));
    let filter = SignerFilter { kind: Some(TransactionType::Spend), amount: Some(500), ..SignerFilter::default() };
    desk.command(Command::FindSigners(filter.clone())).unwrap();
    hear_gossip(&mut desk, from, bytes[3].clone());
    hear_gossip(&mut desk, from, bytes[3].clone());
    assert_eq!(found(&desk), [puppets[0].key(), puppets[3].key()]);
    assert_eq!(finished(&desk), None);
    desk.wait(5_000);
    assert_eq!(finished(&desk), Some(2));
    desk.events.clear();
    desk.command(Command::FindSigners(SignerFilter { max_results: 1, ..filter })).unwrap();
    assert_eq!((found(&desk).len(), finished(&desk)), (1, Some(1)), "as many as wanted, at once");
    desk.events.clear();
    let picky = SignerFilter { min_reputation: 51, ..SignerFilter::default() };
    desk.command(Command::FindSigners(picky)).unwrap();
    desk.wait(5_000);
    assert_eq!(finished(&desk), Some(0), "nobody has earned anything yet");
}

#[test]
fn searches_are_bounded() {
    let mut desk = Desk::new();
    for _ in 0..16 {
        desk.command(Command::FindSigners(SignerFilter::default())).unwrap();
    }
    assert_eq!(desk.command(Command::FindRequests), Err(CommandError::TooManySearches));
    desk.wait(5_000);
    desk.command(Command::FindRequests).unwrap();
}

fn listed(creator: &Puppet, keys: Vec<PublicKey>) -> Definition {
    Definition { is_listed: true, ..definition(creator.key(), keys) }
}

#[test]
fn a_listed_request_is_found_by_whoever_was_away() {
    let (mut desk, alice, bob) = (Desk::new(), Puppet::new(1), Puppet::new(2));
    desk.input(Input::RoutingTable(3));
    desk.wait(1_000);
    stored(&mut desk);
    desk.others.clear();
    let keys = vec![desk.key, alice.key(), bob.key()];
    let session = NewSession { is_listed: true, ..NewSession::new(Suite::Lotus, keys, vec![7; 32]) };
    desk.command(Command::Create(Box::new(session))).unwrap();
    let id = desk.node.view().sessions().next().expect("it is there").id;
    assert!(desk.events.contains(&Event::RequestListed { session: id }));
    let published = desk
        .others
        .iter()
        .any(|output| matches!(output, Output::Publish { topic, .. } if topic.as_str() == "musig2:signing-request"));
    assert!(published);
    let records = stored(&mut desk);
    let request = records.iter().find(|(key, _)| *key == RecordKey::Request(id).to_string()).expect("stored").1.clone();
    // Another node, whose key is needed, comes back and looks.
    for puppet in [&alice, &bob] {
        let index = RecordKey::of_entry(&List::Requests(puppet.key()), &desk.key).to_string();
        assert!(records.iter().any(|(key, _)| *key == index), "each signer has an index");
    }
    let mut record = entries(&records.iter().find(|(key, _)| key.contains("request-index")).unwrap().1);
    assert_eq!(record.remove(0).unsigned.author, desk.key);
    assert!(Message::decode(request).is_ok());
    desk.command(Command::Abort(id, nelumbo_core::wire::AbortReason::Left)).unwrap();
    desk.wait(2 * HOUR);
    assert!(!stored(&mut desk).iter().any(|(key, _)| key.contains("request")), "it is not announced any more");
}

#[test]
fn a_request_found_in_the_index_becomes_a_session_once() {
    let (mut desk, mut alice) = (Desk::new(), Puppet::new(1));
    let definition = listed(&alice, vec![desk.key, alice.key()]);
    let id = definition.id();
    let request = alice.say_body(Body::Request(definition.clone().into()));
    desk.command(Command::FindRequests).unwrap();
    let asked = lookups(&mut desk);
    let [(operation, key)] = &asked[..] else { panic!("one record has all") };
    assert_eq!(*key, RecordKey::List(List::Requests(desk.key), 0).to_string());
    let entry = listing(&mut alice, List::Requests(desk.key), Some(label(&id.to_string())), *id.as_bytes());
    desk.input(Input::Found { operation: *operation, bytes: log(vec![entry]) });
    desk.input(Input::LookupFinished(*operation));
    let asked = lookups(&mut desk);
    let [(operation, _)] = &asked[..] else { panic!("the request is fetched") };
    desk.input(Input::Found { operation: *operation, bytes: request.clone() });
    desk.refuses(Refusal::Duplicate, |desk| desk.input(Input::Found { operation: *operation, bytes: request.clone() }));
    desk.input(Input::LookupFinished(*operation));
    assert_eq!(finished(&desk), Some(1));
    assert_eq!(phase(&desk, id), Phase::Announced);
    assert_eq!(desk.events.iter().filter(|event| matches!(event, Event::SessionAnnounced { .. })).count(), 1);
    // The approval goes to whoever asked, as soon as there is a connection.
    desk.command(approve(id)).unwrap();
    desk.meet(&mut alice);
    assert!(desk.steps_to(&alice).iter().any(|step| matches!(step.content, Content::Join { .. })));
}

#[test]
fn a_link_leads_to_its_session() {
    let (mut desk, mut alice) = (Desk::new(), Puppet::new(1));
    let definition = listed(&alice, vec![desk.key, alice.key()]);
    let id = definition.id();
    desk.command(Command::FindSession(id)).unwrap();
    let asked = lookups(&mut desk);
    let [(operation, key)] = &asked[..] else { panic!("one record") };
    assert_eq!(*key, RecordKey::Request(id).to_string());
    let bytes = alice.say_body(Body::Request(definition.into()));
    desk.input(Input::Found { operation: *operation, bytes });
    desk.input(Input::LookupFinished(*operation));
    assert_eq!((phase(&desk, id), finished(&desk)), (Phase::Announced, Some(1)));
    assert_eq!(desk.command(Command::FindSession(id)), Err(CommandError::KnownSession(id)));
}

#[test]
fn requests_of_others_are_passed_on_and_not_kept() {
    let (mut desk, mut alice, bob) = (Desk::new(), Puppet::new(1), Puppet::new(2));
    let definition = listed(&alice, vec![alice.key(), bob.key()]);
    let bytes = alice.say_body(Body::Request(definition.clone().into()));
    desk.others.clear();
    hear_gossip(&mut desk, alice.peer, bytes);
    assert!(matches!(desk.others[..], [Output::Verdict { verdict: nelumbo_core::api::Verdict::Accept, .. }]));
    assert!(desk.node.view().sessions().next().is_none());
    // Somebody else cannot ask in her name.
    let mut mallory = Puppet::new(66);
    let bytes = mallory.say_body(Body::Request(definition.into()));
    desk.refuses(Refusal::NotTheCreator, |desk| hear_gossip(desk, alice.peer, bytes));
}

/// A policy that knows the amounts it signs for.
struct Limited(u64);

impl nelumbo_core::Policy for Limited {
    fn review(&mut self, definition: &Definition, _: &Summary) -> Review {
        match definition.details.amount() {
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
    Spending { transaction, spent, input: 0, sighash_type: 0x61, path: SpendPath::Key }
}

fn paying(creator: &Puppet, desk: &Desk, value: u64) -> Definition {
    let session = listed(creator, vec![desk.key, creator.key()]);
    let own = TaprootOutput { commitment: Secp256k1.challenge_key(&keys(&session)), state: None };
    let spending = spending(value, own.script_pubkey());
    let message = spending.digest().expect("a sound transaction").to_vec();
    let details =
        Details { kind: Some(TransactionType::Spend), spending: Some(Box::new(spending)), ..Details::default() };
    Definition { message, details, nonce: [value as u8; 32], ..session }
}

#[test]
fn what_is_signed_is_computed_and_a_policy_decides_about_it() {
    let (mut desk, mut alice) = (Desk::new(), Puppet::new(1));
    desk.node.set_policy(Box::new(Limited(1_000)));
    let (small, large) = (paying(&alice, &desk, 900), paying(&alice, &desk, 1_001));
    let vague = listed(&alice, vec![desk.key, alice.key()]);
    for definition in [&small, &large, &vague] {
        let bytes = alice.say_body(Body::Request(definition.clone().into()));
        hear_gossip(&mut desk, alice.peer, bytes);
    }
    assert_eq!(phase(&desk, small.id()), Phase::NonceExchange);
    assert_eq!(phase(&desk, large.id()), Phase::Aborted);
    assert_eq!(phase(&desk, vague.id()), Phase::Announced);
    // A request that shows one transaction and has another signed is none.
    let lie = Definition { message: vec![1; 32], nonce: [9; 32], ..small.clone() };
    assert_eq!(lie.check(Duration::MAX), Err(DefinitionError::Digest));
    let bytes = alice.say_body(Body::Request(lie.into()));
    desk.refuses(Refusal::Definition, |desk| hear_gossip(desk, alice.peer, bytes));
    let keys = vec![desk.key, alice.key()];
    let session = NewSession { details: small.details, ..NewSession::new(Suite::Lotus, keys, vec![2; 32]) };
    let refused = desk.command(Command::Create(Box::new(session)));
    assert_eq!(refused, Err(CommandError::Definition(DefinitionError::Digest)));
}

#[test]
fn resources_are_announced_found_and_withdrawn() {
    let (mut desk, mut alice) = (Desk::new(), Puppet::new(1));
    let kind = label("barter-goods");
    let announce = |name: &str, data: Option<&[u8]>, lifetime| Command::AnnounceResource {
        kind: label("barter-goods"),
        name: label(name),
        data: data.and_then(|data| Data::new(data.to_vec())),
        lifetime,
    };
    desk.input(Input::RoutingTable(3));
    desk.wait(1_000);
    stored(&mut desk);
    desk.command(announce("cheese", Some(b"ripe"), Duration::from_secs(60))).unwrap();
    let records = stored(&mut desk);
    assert_eq!(records.len(), 2, "the resource and its place in the directory");
    desk.command(announce("cheese", None, Duration::from_secs(60))).unwrap();
    let withdrawn = stored(&mut desk);
    assert!(withdrawn.len() == 2 && withdrawn.iter().all(|record| !records.contains(record)), "and so is its end");
    desk.wait(2 * HOUR);
    assert!(!stored(&mut desk).iter().any(|(key, _)| key.contains("barter")), "its time is over");
    for lifetime in [Duration::ZERO, Duration::from_secs(8 * 24 * 3600)] {
        assert_eq!(desk.command(announce("wine", Some(b"red"), lifetime)), Err(CommandError::Lifetime));
    }
    for number in 0..20 {
        desk.command(announce(&format!("n{number}"), Some(b"x"), Duration::from_secs(60))).unwrap();
    }
    let one_more = announce("n20", Some(b"x"), Duration::from_secs(60));
    assert_eq!(desk.command(one_more), Err(CommandError::TooManyResources));
    // Others' resources.
    let now = WALL + desk.time / 1_000_000;
    let mut say = |issued_at, data: Option<&[u8]>| {
        alice.say_body(Body::Resource(Resource {
            kind: kind.clone(),
            name: label("bread"),
            data: data.and_then(|data| Data::new(data.to_vec())),
            issued_at: Wall::from_millis(issued_at),
            expires_at: Wall::from_millis(issued_at + HOUR),
        }))
    };
    let (fresh, gone) = (say(now, Some(b"fresh")), say(now + 1, None));
    let from = PeerId::from_bytes(&[1]).unwrap();
    desk.command(Command::FindResources(kind.clone())).unwrap();
    desk.input(Input::Received { from, bytes: fresh.clone() });
    desk.refuses(Refusal::Channel, |desk| hear_gossip(desk, from, fresh.clone()));
    let id = desk.node.view().resources().next().expect("it is known").0.clone();
    assert_eq!((id.author, id.name.as_str()), (alice.key(), "bread"));
    assert!(desk.events.iter().any(|event| matches!(event, Event::ResourceFound { resource, .. } if *resource == id)));
    desk.input(Input::Received { from, bytes: gone });
    desk.refuses(Refusal::Duplicate, |desk| desk.input(Input::Received { from, bytes: fresh }));
    assert!(desk.node.view().resource(&id).is_none());
}
