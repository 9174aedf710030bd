//! DHT records that are kept for others: what is taken, how lists grow together, quotas.

use std::collections::BTreeSet;
use std::time::Duration;

use nelumbo_core::api::{Config, Input, Output, PutId, Refusal, Subnet};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{Network, PublicKey, sha256};
use nelumbo_core::wire::{Body, Content, Data, List, Listing, PeerId, RecordKey, Resource, TransactionType, merge_own};

use super::common::{HOUR, NODE, ScriptedPeer, TestNode, WALL, definition, now};
use super::discovery::{DAY, advertisement, entries, label, listing, log, offer, spender};

/// Offers the node a record to keep; what it keeps, or why it does not.
fn keep(node: &mut TestNode, from: u8, key: &str, bytes: &Bytes, stored: Option<&Bytes>) -> Result<Bytes, Refusal> {
    keep_from(node, (from, None), key, bytes, stored)
}

/// The same, of a peer in a subnet.
fn keep_from(
    node: &mut TestNode,
    (from, subnet): (u8, Option<Subnet>),
    key: &str,
    bytes: &Bytes,
    stored: Option<&Bytes>,
) -> Result<Bytes, Refusal> {
    let from = PeerId::from_bytes(&[from]).expect("one byte names a peer");
    let id = PutId(node.time);
    let (bytes, stored) = (bytes.clone(), stored.cloned());
    node.input(Input::PutRequested { from, subnet, id, key: key.to_owned(), bytes, stored });
    let answer = node.others.pop().expect("an answer");
    match answer {
        Output::AcceptRecord { id: kept, value, lifetime } => {
            assert!(kept == id && lifetime > Duration::ZERO);
            Ok(value)
        }
        Output::RejectRecord { id: refused, refusal } => {
            assert_eq!(refused, id);
            Err(refusal)
        }
        other => panic!("{other:?} is no answer"),
    }
}

#[test]
fn a_record_is_kept_only_under_its_name_signed_fresh_and_newer() {
    let (mut node, mut alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    let key = RecordKey::Advertisement(alice.key()).to_string();
    let (old, new) = (spender(&mut alice), advertisement(&mut alice, None, WALL + 1));
    assert_eq!(keep(&mut node, 9, &key, &old, None), Ok(old.clone()));
    assert_eq!(keep(&mut node, 9, &key, &old, Some(&old)), Err(Refusal::Duplicate));
    assert_eq!(keep(&mut node, 9, &key, &new, Some(&old)), Ok(new.clone()));
    assert_eq!(keep(&mut node, 9, &key, &old, Some(&new)), Err(Refusal::Duplicate), "nothing is rolled back");
    let other = RecordKey::Advertisement(bob.key()).to_string();
    assert_eq!(keep(&mut node, 9, &other, &old, None), Err(Refusal::RecordKey));
    let mut altered = old.to_vec();
    altered[60] ^= 1;
    let refused = keep(&mut node, 9, &key, &altered.into(), None).expect_err("altered");
    assert!(matches!(refused, Refusal::Signature | Refusal::Malformed | Refusal::NotCanonical), "{refused:?}");
    let stale = advertisement(&mut alice, None, WALL - 2 * DAY);
    assert_eq!(keep(&mut node, 9, &key, &stale, None), Err(Refusal::NotFresh));
    assert_eq!(keep(&mut node, 9, &key, &vec![1; 10_001].into(), None), Err(Refusal::Oversized));
    assert_eq!(keep(&mut node, 9, &key, &vec![0; 300].into(), None), Err(Refusal::Version));
    let step = alice.say(definition(alice.key(), vec![node.key, alice.key()]).id(), 1, Content::Confirmed);
    assert_eq!(keep(&mut node, 9, &key, &step, None), Err(Refusal::Channel));
    assert_eq!(node.node.view().standing(&PeerId::from_bytes(&[9]).unwrap()).1, 0, "nobody is blamed for a record");
}

/// Contention: writers who know nothing of each other lose nothing, in whatever order their entries come.
#[test]
fn a_directory_is_merged_where_it_is_kept() {
    let mut node = TestNode::new();
    let list = List::Requests(ScriptedPeer::new(250).key());
    let key = RecordKey::List(list.clone(), 0).to_string();
    let logs: Vec<Bytes> = (1..=12)
        .map(|number| log(vec![listing(&mut ScriptedPeer::new(number), list.clone(), None, [number; 32])]))
        .collect();
    let merge = |node: &mut TestNode, logs: &mut dyn Iterator<Item = &Bytes>| {
        logs.fold(None, |stored: Option<Bytes>, log| Some(keep(node, 9, &key, log, stored.as_ref()).expect("kept")))
    };
    let forth = merge(&mut node, &mut logs.iter()).expect("something");
    let back = merge(&mut node, &mut logs.iter().rev()).expect("something");
    assert_eq!(forth, back);
    assert_eq!(entries(&forth).len(), 12);
    assert_eq!(keep(&mut node, 9, &key, &logs[3], Some(&forth)), Err(Refusal::Duplicate));
    assert_eq!(merge_own(&forth, &logs[3]), forth.to_vec(), "nor does a writer lose what it keeps itself");
    // One bad entry, and nothing of it is taken.
    let mut bad = listing(&mut ScriptedPeer::new(20), list.clone(), None, [0; 32]).to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let good = listing(&mut ScriptedPeer::new(21), list.clone(), None, [0; 32]);
    assert_eq!(keep(&mut node, 9, &key, &log(vec![bad.into(), good]), Some(&forth)), Err(Refusal::Signature));
    let elsewhere = listing(&mut ScriptedPeer::new(22), List::AllSigners, None, [0; 32]);
    assert_eq!(keep(&mut node, 9, &key, &log(vec![elsewhere]), None), Err(Refusal::Malformed));
}

/// What a crowd of fresh keys can do to a directory: take the share of its number, not more, whether it comes first or
/// last, and whatever keys it chooses.
#[test]
fn a_crowd_takes_its_share_of_a_directory_and_no_more() {
    let mut config = Config::new(Network::Regtest);
    config.limits.records_per_peer.burst = 10_000;
    let list = List::Requests(ScriptedPeer::new(250).key());
    let key = RecordKey::List(list.clone(), 0).to_string();
    let mut peers: Vec<ScriptedPeer> = (1..=240).map(ScriptedPeer::new).collect();
    let honest_keys: BTreeSet<PublicKey> = peers[..60].iter().map(ScriptedPeer::key).collect();
    // Twenty entries at a time.
    let logs: Vec<Bytes> = peers
        .chunks_mut(20)
        .map(|writers| log(writers.iter_mut().map(|one| listing(one, list.clone(), None, [1; 32])).collect()))
        .collect();
    let (honest, crowd) = logs.split_at(3);
    let kept = |life: u8, order: &mut dyn Iterator<Item = &Bytes>| {
        let mut node = TestNode::with(config.clone(), Vec::new(), life);
        let mut stored: Option<Bytes> = None;
        for log in order {
            match keep(&mut node, 9, &key, log, stored.as_ref()) {
                Ok(value) => stored = Some(value),
                Err(refusal) => assert_eq!(refusal, Refusal::Duplicate, "there was no room for it"),
            }
        }
        entries(&stored.expect("something")).iter().map(|entry| entry.unsigned.author).collect::<BTreeSet<_>>()
    };
    let (mut all, mut places) = (BTreeSet::new(), 0);
    for holder in 1..=20 {
        let first = kept(holder, &mut honest.iter().chain(crowd));
        if holder == 1 {
            let last = kept(holder, &mut crowd.iter().chain(honest).chain(crowd));
            assert_eq!(first, last, "neither coming first nor shouting twice helps");
        }
        places = first.len();
        all.extend(first.intersection(&honest_keys).copied());
    }
    // A crowd three times as large as the honest leaves them a quarter of each holder's places, and between twenty
    // holders nobody is lost.
    assert_eq!((places, all.len()), (55, 60));
}

#[test]
fn one_author_does_not_fill_a_list() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let list = List::Requests(node.key);
    let key = RecordKey::List(list.clone(), 0).to_string();
    let mut stored = None;
    for number in 0..30u8 {
        let entry = listing(&mut alice, list.clone(), Some(label(&format!("r{number:02}"))), [number; 32]);
        if let Ok(value) = keep(&mut node, 9, &key, &log(vec![entry]), stored.as_ref()) {
            stored = Some(value);
        }
    }
    assert_eq!(entries(&stored.unwrap()).len(), 8);
}

/// Failures J and M, invariant I36: quotas refuse, and time runs out.
#[test]
fn records_have_quotas_for_peers_and_authors() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let mut announced = |node: &mut TestNode, peer: u8, number: usize| {
        let resource = Resource {
            kind: label(&format!("kind{}", number / 1_000)),
            name: label(&format!("n{number}")),
            data: Data::new(vec![1]),
            issued_at: Wall::from_millis(WALL),
            expires_at: Wall::from_millis(WALL + HOUR),
        };
        let bytes = alice.say_body(Body::Resource(resource.clone()));
        let key = RecordKey::of(&alice.key(), &Body::Resource(resource)).unwrap().to_string();
        keep(node, peer, &key, &bytes, None)
    };
    for number in 0..20 {
        announced(&mut node, 9, number).expect("twenty of a kind");
    }
    assert_eq!(announced(&mut node, 9, 20), Err(Refusal::AuthorQuota));
    for kind in 1..5 {
        for number in 0..20 {
            announced(&mut node, 10, 1_000 * kind + number).expect("a hundred in all");
        }
    }
    assert_eq!(announced(&mut node, 10, 9_000), Err(Refusal::AuthorQuota));
    // A peer has used up its burst with what was kept and what was not.
    let refused: Vec<_> = (0..60).map(|number| announced(&mut node, 10, 9_100 + number)).collect();
    assert_eq!(refused.last(), Some(&Err(Refusal::RecordQuota)));
    node.wait(2 * 30_000);
    assert_eq!(announced(&mut node, 10, 9_500), Err(Refusal::AuthorQuota), "there is one more every half a minute");
    node.wait(HOUR);
    let mut bob = ScriptedPeer::new(2);
    let late = now(node.time).wall;
    let presence = bob.presence(bob.peer, late.as_millis());
    assert!(keep(&mut node, 10, &RecordKey::Presence(bob.key()).to_string(), &presence, None).is_ok());
}

#[test]
fn a_request_or_an_offer_that_nobody_can_mean_is_not_kept() {
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    let sound = definition(alice.key(), vec![alice.key(), bob.key()]);
    let key = RecordKey::Request(sound.id()).to_string();
    let body = || Body::Request(sound.clone().into());
    assert_eq!(keep(&mut node, 9, &key, &bob.say_body(body()), None), Err(Refusal::NotTheCreator));
    assert!(keep(&mut node, 9, &key, &alice.say_body(body()), None).is_ok());
    let mut unsound = sound.clone();
    unsound.items.clear();
    let key = RecordKey::Request(unsound.id()).to_string();
    assert_eq!(
        keep(&mut node, 9, &key, &alice.say_body(Body::Request(unsound.into())), None),
        Err(Refusal::Definition)
    );
    let mut absurd = offer(&[TransactionType::Spend]);
    (absurd.min_amount, absurd.max_amount) = (Some(2), Some(1));
    let key = RecordKey::Advertisement(alice.key()).to_string();
    let bytes = advertisement(&mut alice, Some(absurd), WALL);
    assert_eq!(keep(&mut node, 9, &key, &bytes, None), Err(Refusal::Offer));
}

#[test]
fn an_entry_of_another_time_is_no_news() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let list = List::Requests(node.key);
    let key = RecordKey::List(list.clone(), 0).to_string();
    let mut entry = |from: u64, until: u64| {
        let (issued_at, expires_at) = (Wall::from_millis(from), Wall::from_millis(until));
        let listing = Listing { list: list.clone(), name: None, digest: [1; 32], issued_at, expires_at };
        log(vec![alice.say_body(Body::Listing(listing))])
    };
    for (from, until) in [(WALL + HOUR, WALL + DAY), (WALL - DAY, WALL), (WALL, WALL + 8 * DAY)] {
        assert_eq!(keep(&mut node, 9, &key, &entry(from, until), None), Err(Refusal::Duplicate));
    }
    assert!(keep(&mut node, 9, &key, &entry(WALL, WALL + 7 * DAY), None).is_ok());
}

#[test]
fn account_is_kept_of_so_many_peers_and_whoever_has_offered_the_least_makes_room() {
    let mut config = Config::new(Network::Regtest);
    config.limits.neighbours = 2;
    config.limits.records_per_peer.burst = 2;
    let mut node = TestNode::with(config, Vec::new(), 1);
    let mut peers = (1..).map(ScriptedPeer::new);
    let mut offer = |node: &mut TestNode, peer: u8| {
        let mut scripted = peers.next().unwrap();
        let presence = scripted.presence(scripted.peer, now(node.time).wall.as_millis());
        keep(node, peer, &RecordKey::Presence(scripted.key()).to_string(), &presence, None).map(drop)
    };
    assert_eq!([9, 9, 9].map(|peer| offer(&mut node, peer)), [Ok(()), Ok(()), Err(Refusal::RecordQuota)]);
    assert_eq!([10, 11, 12].map(|peer| offer(&mut node, peer)), [Ok(()); 3], "nobody is kept out");
    assert_eq!(offer(&mut node, 9), Err(Refusal::RecordQuota), "who has taken the most is remembered");
    node.wait(30_000);
    assert_eq!([9, 9].map(|peer| offer(&mut node, peer)), [Ok(()), Err(Refusal::RecordQuota)]);
}

#[test]
fn as_many_records_as_there_is_room_for_are_kept_until_they_expire() {
    let mut config = Config::new(Network::Regtest);
    config.limits.records = 2;
    let mut node = TestNode::with(config, Vec::new(), 1);
    let show = |node: &mut TestNode, number: u8, at: u64| {
        let mut scripted = ScriptedPeer::new(number);
        let presence = scripted.presence(scripted.peer, at);
        keep(node, 9, &RecordKey::Presence(scripted.key()).to_string(), &presence, None).map(drop)
    };
    // From one peer: of its three the two that are nearest to the node.
    let mut order: Vec<u8> = vec![1, 2, 3, 4];
    order.sort_by_key(|number| distance(&RecordKey::Presence(ScriptedPeer::new(*number).key()).to_string()));
    assert_eq!([order[0], order[1]].map(|number| show(&mut node, number, WALL)), [Ok(()), Ok(())]);
    assert_eq!([order[2], order[3]].map(|number| show(&mut node, number, WALL)), [Err(Refusal::Full); 2]);
    assert_eq!(show(&mut node, order[1], WALL + 1), Ok(()), "what is known is renewed");
    assert!(removed(&mut node).is_empty());
    node.wait(HOUR + 1);
    assert_eq!([order[3], order[2]].map(|number| show(&mut node, number, WALL + HOUR)), [Ok(()), Ok(())]);
    assert!(removed(&mut node).is_empty(), "what has expired makes room by itself");
    assert_eq!(show(&mut node, order[0], WALL + HOUR), Ok(()));
    let farthest = RecordKey::Presence(ScriptedPeer::new(order[3]).key()).to_string();
    assert_eq!(removed(&mut node), [farthest], "the far one makes room for a near one");
}

/// How far a record is from the node under test, by Kademlia.
fn distance(key: &str) -> Vec<u8> {
    let (key, node) = (sha256(&[key.as_bytes()]), sha256(&[&[NODE]]));
    key.iter().zip(node).map(|(one, other)| one ^ other).collect()
}

/// The records that the node has had removed since this was last asked.
fn removed(node: &mut TestNode) -> Vec<String> {
    let mut keys = Vec::new();
    node.others.retain(|output| match output {
        Output::RemoveRecord { key } => {
            keys.push(key.clone());
            false
        }
        _ => true,
    });
    keys
}

/// A resource with a name of its own, and the key under which it belongs.
fn resource_record(author: &mut ScriptedPeer, number: usize) -> (String, Bytes) {
    let resource = Resource {
        kind: label(&format!("kind{}", number / 20)),
        name: label(&format!("n{number}")),
        data: Data::new(vec![1]),
        issued_at: Wall::from_millis(WALL),
        expires_at: Wall::from_millis(WALL + 7 * DAY),
    };
    let key = RecordKey::of(&author.key(), &Body::Resource(resource.clone())).unwrap().to_string();
    (key, author.say_body(Body::Resource(resource)))
}

/// A few peers that fill all room with valid records, each within its quota: from as many subnets they have what is
/// their share of the room, and from one they have one share. What others bring is kept, and so is what they have
/// brought.
#[test]
fn peers_that_fill_all_room_make_room_for_others() {
    let one = |_: u8| Some(Subnet::V4([10, 0, 0]));
    let each = |peer: u8| Some(Subnet::V4([10, 0, peer]));
    for subnet in [&one as &dyn Fn(u8) -> Option<Subnet>, &each, &|_| None] {
        let mut node = TestNode::new();
        let mut taken = 0;
        for peer in 100..109 {
            let mut authors = [peer, peer + 50].map(ScriptedPeer::new);
            for number in 0..120 {
                let (key, bytes) = resource_record(&mut authors[number % 2], number / 2);
                taken += usize::from(keep_from(&mut node, (peer, subnet(peer)), &key, &bytes, None).is_ok());
            }
        }
        assert!(taken >= 1_024, "all room is taken: {taken}");
        let gone = removed(&mut node).len();
        let mut honest = Vec::new();
        for peer in 1..=80 {
            let mut scripted = ScriptedPeer::new(peer);
            let presence = scripted.presence(scripted.peer, WALL);
            let key = RecordKey::Presence(scripted.key()).to_string();
            let source = (peer, Some(Subnet::V4([10, 1, peer])));
            assert_eq!(keep_from(&mut node, source, &key, &presence, None), Ok(presence));
            honest.push(key);
        }
        let made_room = removed(&mut node);
        assert_eq!(made_room.len(), 80 - (1_024_usize.saturating_sub(taken - gone)), "one for one");
        // And they do not get it back, however much they bring.
        for peer in 200..209 {
            for number in 0..50 {
                let (key, bytes) = resource_record(&mut ScriptedPeer::new(peer), number);
                let _ = keep_from(&mut node, (peer - 100, subnet(peer - 100)), &key, &bytes, None);
            }
        }
        node.wait(50 * 60 * 1000);
        for peer in 200..209 {
            for number in 0..50 {
                let (key, bytes) = resource_record(&mut ScriptedPeer::new(peer), number);
                let _ = keep_from(&mut node, (peer - 100, subnet(peer - 100)), &key, &bytes, None);
            }
        }
        let lost = removed(&mut node);
        assert!(honest.iter().all(|key| !lost.contains(key) && !made_room.contains(key)));
    }
}

/// From more subnets than there is room for, one record each: those that are near stay, and authors whom the node
/// knows.
#[test]
fn against_many_subnets_the_near_and_the_known_stay() {
    let mut config = Config::new(Network::Regtest);
    config.limits.records = 8;
    let mut node = TestNode::with(config, Vec::new(), 1);
    let put = |node: &mut TestNode, scripted: &mut ScriptedPeer, subnet: u8| {
        let presence = scripted.presence(scripted.peer, WALL);
        let key = RecordKey::Presence(scripted.key()).to_string();
        keep_from(node, (subnet, Some(Subnet::V6([subnet; 6]))), &key, &presence, None).map(|_| key)
    };
    let mut friends = [1, 2].map(ScriptedPeer::new);
    friends.iter_mut().for_each(|friend| node.meet(friend));
    let known = friends.each_mut().map(|friend| put(&mut node, friend, 50).expect("room"));
    let mut kept: BTreeSet<String> = BTreeSet::new();
    let mut all = Vec::new();
    for number in 100..180 {
        let mut scripted = ScriptedPeer::new(number);
        all.push(RecordKey::Presence(scripted.key()).to_string());
        kept.extend(put(&mut node, &mut scripted, number));
        removed(&mut node).iter().for_each(|key| assert!(kept.remove(key), "{key} of a stranger"));
    }
    all.sort_by_key(|key| distance(key));
    assert_eq!(kept, all[..6].iter().cloned().collect(), "the six that are nearest of eighty");
    assert!(known.iter().all(|key| !kept.contains(key)), "and both that are known");
}

/// What one author writes, through however many peers.
#[test]
fn an_author_has_a_quota_of_its_own_for_records_and_entries() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let key = RecordKey::Presence(alice.key()).to_string();
    let mut results = Vec::new();
    for number in 0..130 {
        let presence = alice.presence(alice.peer, WALL + number);
        results.push(keep(&mut node, 100 + (number / 20) as u8, &key, &presence, None).map(drop));
    }
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 120);
    assert_eq!(results.last(), Some(&Err(Refusal::AuthorQuota)));
    let list = List::Requests(node.key);
    let key = RecordKey::List(list.clone(), 0).to_string();
    let of_alice = listing(&mut alice, list.clone(), None, [1; 32]);
    let of_bob = listing(&mut ScriptedPeer::new(2), list, None, [1; 32]);
    assert_eq!(keep(&mut node, 9, &key, &log(vec![of_alice.clone()]), None), Err(Refusal::Duplicate));
    let value = keep(&mut node, 9, &key, &log(vec![of_alice, of_bob.clone()]), None).expect("bob's is kept");
    assert_eq!(value, log(vec![of_bob]));
}
