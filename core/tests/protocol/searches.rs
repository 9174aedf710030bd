//! Searches for signers: what they read, what counts, and that they end.

use nelumbo_core::api::{Command, CommandError, Input, Refusal, SignerFilter};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::sha256;
use nelumbo_core::wire::{Body, List, Listing, Offer, PeerId, RecordKey, SHARDS, TransactionType};

use super::common::{ScriptedPeer, TestNode, WALL};
use super::discovery::{DAY, advertisement, finished, found, hear_gossip, listing, log, lookups, offer, spender};

/// D19, D20.
#[test]
fn a_search_reads_the_directory_and_verifies_entry_and_advertisement() {
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    let list = List::Signers(TransactionType::Spend);
    let filter = SignerFilter { kind: Some(TransactionType::Spend), amount: Some(500), ..SignerFilter::default() };
    node.command(Command::FindSigners(filter)).unwrap();
    let asked = lookups(&mut node);
    assert_eq!(asked.len(), usize::from(SHARDS));
    let (alices, bobs) = (spender(&mut alice), spender(&mut bob));
    for (author, bytes, honest) in [(&mut alice, &alices, true), (&mut bob, &bobs, false)] {
        let shard = RecordKey::of_entry(&list, &author.key()).to_string();
        let (operation, _) = asked.iter().find(|(_, key)| *key == shard).expect("every shard is asked").clone();
        // Bob's entry is about another advertisement than the one that will be found.
        let digest = if honest { sha256(&[bytes]) } else { [0; 32] };
        let value = log(vec![listing(author, list.clone(), None, digest)]);
        node.input(Input::Found { operation, bytes: value });
    }
    for (operation, _) in asked {
        node.input(Input::LookupFinished(operation));
    }
    assert_eq!(finished(&node), None, "two advertisements are still to be fetched");
    for (operation, key) in lookups(&mut node) {
        if key == RecordKey::Advertisement(alice.key()).to_string() {
            node.refuses(Refusal::Unasked, |node| node.input(Input::Found { operation, bytes: bobs.clone() }));
            node.input(Input::Found { operation, bytes: alices.clone() });
        } else {
            assert_eq!(key, RecordKey::Advertisement(bob.key()).to_string());
            node.refuses(Refusal::NotAsListed, |node| node.input(Input::Found { operation, bytes: bobs.clone() }));
        }
        node.input(Input::LookupFinished(operation));
    }
    assert_eq!((found(&node), finished(&node)), (vec![alice.key()], Some(1)));
    assert_eq!(node.node.view().signers().len(), 1, "where she is, is known too");
}

/// D19: entries that point to what is known cost nothing, and what is over or of another network is none.
#[test]
fn a_list_leads_to_what_is_newer_than_what_is_known() {
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    let known = spender(&mut alice);
    hear_gossip(&mut node, PeerId::from_bytes(&[7]).unwrap(), known);
    let list = List::AllSigners;
    let entry = |author: &mut ScriptedPeer, issued_at: u64, is_forged: bool| {
        let (issued_at, expires_at) = (Wall::from_millis(issued_at), Wall::from_millis(issued_at + DAY));
        let listing = Listing { list: list.clone(), name: None, digest: [1; 32], issued_at, expires_at };
        let mut bytes = author.say_body(Body::Listing(listing)).to_vec();
        *bytes.last_mut().expect("a signature") ^= u8::from(is_forged);
        log(vec![bytes.into()])
    };
    let values = [
        (entry(&mut alice, WALL - 1, false), 0, "it is older"),
        (entry(&mut alice, WALL, true), 0, "it is as old, and its signature is nobody's business"),
        (entry(&mut bob, WALL - 2 * DAY, false), 0, "it is over"),
        (entry(&mut bob, WALL + DAY, false), 0, "its time has not come"),
        (entry(&mut alice, WALL + 1, false), 1, "it is newer"),
        (entry(&mut bob, WALL, false), 1, "nothing was known"),
    ];
    node.command(Command::FindSigners(SignerFilter::default())).unwrap();
    let asked = lookups(&mut node);
    let shards = [&alice, &bob].map(|author| RecordKey::of_entry(&list, &author.key()).to_string());
    for (operation, _) in asked.iter().filter(|(_, key)| !shards.contains(key)) {
        node.input(Input::LookupFinished(*operation));
    }
    for (number, (bytes, expected, why)) in values.into_iter().enumerate() {
        let shard = &shards[usize::from([2, 3, 5].contains(&number))];
        let (operation, _) = asked.iter().find(|(_, key)| key == shard).expect("every shard is asked");
        node.input(Input::Found { operation: *operation, bytes });
        assert_eq!(lookups(&mut node).len(), expected, "{why}");
    }
    assert_eq!(node.node.view().refusals().total(), 0);
}

/// D21, D23.
#[test]
fn a_search_finds_what_fits_once_from_any_channel_and_ends_in_time() {
    let mut node = TestNode::new();
    let mut peers: Vec<ScriptedPeer> = (1..=4).map(ScriptedPeer::new).collect();
    let from = PeerId::from_bytes(&[7]).unwrap();
    let offers = [
        offer(&[TransactionType::Spend]),
        offer(&[TransactionType::Swap]),
        Offer { max_amount: Some(400), ..offer(&[TransactionType::Spend]) },
        offer(&[TransactionType::Spend, TransactionType::Swap]),
    ];
    let bytes: Vec<Bytes> =
        peers.iter_mut().zip(offers).map(|(scripted, offer)| advertisement(scripted, Some(offer), WALL)).collect();
    // Three are known, one comes while the search runs.
    bytes[..3].iter().for_each(|bytes| hear_gossip(&mut node, from, bytes.clone()));
    let filter = SignerFilter { kind: Some(TransactionType::Spend), amount: Some(500), ..SignerFilter::default() };
    node.command(Command::FindSigners(filter.clone())).unwrap();
    hear_gossip(&mut node, from, bytes[3].clone());
    hear_gossip(&mut node, from, bytes[3].clone());
    assert_eq!(found(&node), [peers[0].key(), peers[3].key()]);
    assert_eq!(finished(&node), None);
    node.wait(5_000);
    assert_eq!(finished(&node), Some(2));
    node.events.clear();
    node.command(Command::FindSigners(SignerFilter { max_results: 1, ..filter })).unwrap();
    assert_eq!((found(&node).len(), finished(&node)), (1, Some(1)), "as many as wanted, at once");
    node.events.clear();
    let picky = SignerFilter { min_reputation: 51, ..SignerFilter::default() };
    node.command(Command::FindSigners(picky)).unwrap();
    node.wait(5_000);
    assert_eq!(finished(&node), Some(0), "nobody has earned anything yet");
}

#[test]
fn searches_are_bounded() {
    let mut node = TestNode::new();
    for _ in 0..16 {
        node.command(Command::FindSigners(SignerFilter::default())).unwrap();
    }
    assert_eq!(node.command(Command::FindRequests), Err(CommandError::TooManySearches));
    node.wait(5_000);
    node.command(Command::FindRequests).unwrap();
}
