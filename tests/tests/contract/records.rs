//! Promises about the hash table.

use std::time::Duration;

use nelumbo_core::api::Input;
use nelumbo_core::base::{Bytes, Entropy, Wall};
use nelumbo_core::crypto::{MessageKey, Network, PublicKey, SecretKey};
use nelumbo_core::wire::{Body, List, Listing, RecordKey, merge_own, seal};

use crate::nodes::{Nodes, Wire};

const KEY: &str = "/lotus/resource:contract:1";
const NODES: usize = 5;

fn value(text: &str) -> Bytes {
    text.as_bytes().into()
}

/// A crowd in which a record has been stored by the first node, and somebody keeps it.
fn with_a_record<W: Wire>(key: &str, record: &Bytes) -> Nodes<W> {
    let mut nodes = Nodes::<W>::crowd(NODES);
    nodes.store(0, key, record);
    nodes.until("the record is offered", |nodes| (1..NODES).any(|node| nodes.offers(node, key).next().is_some()));
    nodes.lookup_until(NODES - 1, key, "the record", |found| found.contains(record));
    nodes
}

/// `store` offers the record to the nodes that are to hold it, under its key and unaltered; what they keep is found.
pub(crate) fn what_is_stored_is_offered_and_then_found<W: Wire>() {
    let nodes = with_a_record::<W>(KEY, &value("record"));
    for node in 0..NODES {
        assert!(nodes.offers(node, KEY).all(|(_, offered)| *offered == value("record")));
    }
}

/// An offer says which subnet its peer comes from, where the network has subnets.
pub(crate) fn an_offer_says_which_subnet_it_comes_from<W: Wire>() {
    let nodes = with_a_record::<W>(KEY, &value("record"));
    let offers = nodes.told.iter().flatten().filter_map(|input| match input {
        Input::PutRequested { from, subnet, .. } => Some((from, subnet)),
        _ => None,
    });
    let offers: Vec<_> = offers.collect();
    assert!(!offers.is_empty());
    for (from, subnet) in offers {
        let sender = (0..NODES).find(|node| nodes.peer(*node) == *from).expect("one of the nodes");
        assert_eq!(*subnet, nodes.wire.subnet(sender));
    }
}

/// A lookup ends whatever it finds.
pub(crate) fn a_lookup_for_nothing_ends<W: Wire>() {
    let mut nodes = Nodes::<W>::crowd(NODES);
    assert_eq!(nodes.lookup(1, KEY), Vec::<Bytes>::new());
}

/// `LookupFinished` comes once, and nothing is found after it; lookups under way at the same time are told apart.
pub(crate) fn a_lookup_ends_once_after_all_it_has_found<W: Wire>() {
    let mut nodes = with_a_record::<W>(KEY, &value("record"));
    let [first, nothing, second] = [KEY, "/lotus/resource:contract:2", KEY].map(|key| nodes.begin_lookup(1, key));
    nodes.until("all of them end", |nodes| {
        [first, nothing, second].iter().all(|operation| nodes.told[1].contains(&Input::LookupFinished(*operation)))
    });
    nodes.lookup(1, KEY);
    for operation in [first, nothing, second] {
        let is_about = |input: &&Input| match input {
            Input::Found { operation: of, .. } | Input::LookupFinished(of) => *of == operation,
            _ => false,
        };
        let told: Vec<_> = nodes.told[1].iter().filter(is_about).collect();
        let ends = told.iter().filter(|input| matches!(input, Input::LookupFinished(_))).count();
        assert_eq!((ends, told.last()), (1, Some(&&Input::LookupFinished(operation))));
    }
    assert_eq!(nodes.found(1, nothing), Vec::<Bytes>::new());
    assert!(nodes.found(1, first).contains(&value("record")) && nodes.found(1, second).contains(&value("record")));
}

/// Where nodes hold different values under one key, all of them are found: the host chooses none.
pub(crate) fn a_lookup_tells_every_version<W: Wire>() {
    let mut nodes = Nodes::<W>::crowd(NODES);
    let mut keeper = None;
    nodes.keep = Box::new(move |node, _, _| {
        let is_first = *keeper.get_or_insert(node) == node;
        Some(value(if is_first { "one" } else { "other" }))
    });
    nodes.store(0, KEY, &value("one"));
    nodes.lookup_until(NODES - 1, KEY, "both versions", |found| {
        found.contains(&value("one")) && found.contains(&value("other"))
    });
}

/// What is found is what some node shows. That it belongs under the key, is signed, or is the newest, is for the core
/// to see: a record that was never stored by anyone is found like any other.
pub(crate) fn what_is_found_is_what_somebody_keeps_and_nobody_vouches_for_it<W: Wire>() {
    let mut nodes = Nodes::<W>::crowd(NODES);
    nodes.keep = Box::new(|_, _, _| Some(value("another record")));
    nodes.store(0, KEY, &value("record"));
    nodes.lookup_until(1, KEY, "the other record", |found| found.contains(&value("another record")));
}

/// An offer comes together with what the node keeps under that key, so that its core can compare, merge or refuse.
pub(crate) fn an_offer_comes_with_what_is_kept<W: Wire>() {
    let mut nodes = with_a_record::<W>(KEY, &value("old"));
    nodes.pass(Duration::from_millis(200));
    nodes.store(1, KEY, &value("new"));
    let (old, new) = (value("old"), value("new"));
    nodes.until("the new one is offered", |nodes| {
        (0..NODES).any(|node| nodes.offers(node, KEY).any(|offer| offer == (Some(&old), &new)))
    });
}

/// What is discarded is not kept: the next offer finds nothing there.
pub(crate) fn what_is_discarded_is_not_kept<W: Wire>() {
    let mut nodes = Nodes::<W>::crowd(NODES);
    nodes.keep = Box::new(|_, _, _| None);
    nodes.store(0, KEY, &value("old"));
    nodes.until("the old one is offered", |nodes| (1..NODES).any(|node| nodes.offers(node, KEY).next().is_some()));
    nodes.pass(Duration::from_millis(200));
    nodes.store(1, KEY, &value("new"));
    let new = value("new");
    nodes.until("the new one is offered", |nodes| {
        (2..NODES).any(|node| nodes.offers(node, KEY).any(|(_, offered)| *offered == new))
    });
    for node in 2..NODES {
        assert!(nodes.offers(node, KEY).all(|(stored, _)| stored.is_none()));
    }
}

/// What is removed is not kept: the next offer finds nothing there.
pub(crate) fn what_is_removed_is_not_kept<W: Wire>() {
    let mut nodes = with_a_record::<W>(KEY, &value("old"));
    nodes.pass(Duration::from_millis(200));
    (1..NODES).for_each(|node| nodes.act(node, |host| host.remove_record(KEY.to_owned())));
    nodes.store(1, KEY, &value("new"));
    let new = value("new");
    let is_new = |offer: &(Option<&Bytes>, &Bytes)| *offer.1 == new;
    nodes.until("the new one is offered", |nodes| {
        (2..NODES).any(|node| nodes.offers(node, KEY).any(|offer| is_new(&offer)))
    });
    for node in 2..NODES {
        assert!(nodes.offers(node, KEY).filter(is_new).all(|(stored, _)| stored.is_none_or(|stored| *stored == new)));
    }
}

/// A record that a node has stored itself stays there when it is to be removed.
pub(crate) fn what_a_node_has_stored_itself_is_not_removed<W: Wire>() {
    let mut nodes = with_a_record::<W>(KEY, &value("own"));
    nodes.pass(Duration::from_millis(200));
    (0..NODES).for_each(|node| nodes.act(node, |host| host.remove_record(KEY.to_owned())));
    assert!(nodes.lookup(0, KEY).contains(&value("own")));
}

/// A node that keeps others' entries of a list and stores its own loses none of them: what is stored is
/// [`merge_own`] of both.
pub(crate) fn own_entries_join_the_list_that_is_kept<W: Wire>() {
    let list = List::Requests(key(9).1);
    let under = RecordKey::of_entry(&list, &key(1).1).to_string();
    let [theirs, own] = [1, 2].map(|number| entry(&list, number));
    let both = Bytes::from(merge_own(&log(&theirs), &log(&own)));
    assert!(contains(&both, &theirs) && contains(&both, &own));

    let mut nodes = Nodes::<W>::crowd(NODES);
    nodes.keep =
        Box::new(|_, kept, offered| Some(kept.map_or_else(|| offered.clone(), |kept| merge_own(kept, offered).into())));
    nodes.store(0, &under, &log(&theirs));
    nodes.until("the list is offered", |nodes| (1..NODES).any(|node| nodes.offers(node, &under).next().is_some()));
    nodes.lookup_until(NODES - 1, &under, "the list", |found| found.contains(&log(&theirs)));
    // Whoever keeps it; with few nodes, nearly all do.
    let keeper = (1..NODES).find(|node| nodes.offers(*node, &under).next().is_some()).expect("one was waited for");
    nodes.store(keeper, &under, &log(&own));
    nodes.lookup_until(NODES - 1, &under, "the list of both", |found| found.contains(&both));
    let holds = nodes.lookup(keeper, &under);
    assert!(holds.iter().all(|found| contains(found, &theirs)), "the keeper has lost an entry");
}

/// A record is found no more when the lifetime is over that it was stored and kept with.
pub(crate) fn a_record_ends_with_its_lifetime<W: Wire>() {
    let mut nodes = Nodes::<W>::crowd(NODES);
    nodes.lifetime = Duration::from_secs(2);
    nodes.store(0, KEY, &value("short"));
    nodes.lookup_until(NODES - 1, KEY, "the record", |found| !found.is_empty());
    nodes.lookup_until(NODES - 1, KEY, "nothing", <[Bytes]>::is_empty);
}

fn key(number: u8) -> (SecretKey, PublicKey) {
    let secret = SecretKey::from_bytes(&[number; 32]).expect("a small number is a key");
    let public = secret.public_key();
    (secret, public)
}

fn entry(list: &List, author: u8) -> Bytes {
    let entropy = Entropy::new([author; 32]).expect("not zero");
    let mut signer = MessageKey::new(key(author).0, entropy);
    let (issued_at, expires_at) = (Wall::from_millis(1), Wall::from_millis(2));
    let listing = Listing { list: list.clone(), name: None, digest: [author; 32], issued_at, expires_at };
    seal(&mut signer, Network::Regtest, Body::Listing(listing)).expect("software signs")
}

/// A list with one entry, as it is stored: a tag, a count, and a length before each.
fn log(entry: &Bytes) -> Bytes {
    let length = entry.len();
    assert!((128..16_384).contains(&length), "a length of two bytes");
    let head = [b'L', 1, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8];
    [&head[..], &entry[..]].concat().into()
}

fn contains(log: &Bytes, entry: &Bytes) -> bool {
    log.windows(entry.len()).any(|window| window == &entry[..])
}
