//! Promises about gossip.

use nelumbo_core::api::{Topic, Verdict};
use nelumbo_core::wire::MAX_GOSSIP;

use crate::nodes::{Nodes, Wire};

const TOPIC: Topic = Topic::from_static("contract");
const OTHER: Topic = Topic::from_static("contract:other");

/// Whoever subscribes is told, whoever accepts passes on; `from` is the neighbour it came by.
pub(crate) fn what_is_published_is_passed_on_to_all_subscribers<W: Wire>() {
    let mut nodes = Nodes::<W>::line_in(&TOPIC, 4);
    nodes.publish(0, &TOPIC, b"news");
    nodes.until("everybody is told", |nodes| (1..4).all(|node| nodes.heard(node, b"news") > 0));
    for node in 1..4 {
        assert!(nodes.publications(node).all(|(from, _)| from == nodes.peer(node - 1)));
    }
}

/// A publication has up to [`MAX_GOSSIP`] bytes.
pub(crate) fn the_largest_publication_arrives<W: Wire>() {
    let mut nodes = Nodes::<W>::line_in(&TOPIC, 3);
    let bytes = vec![7; MAX_GOSSIP];
    nodes.publish(0, &TOPIC, &bytes);
    nodes.until("it arrives", |nodes| nodes.heard(2, &bytes) > 0);
}

/// A node is not told of what it has published itself.
pub(crate) fn nobody_hears_its_own_publication<W: Wire>() {
    let mut nodes = Nodes::<W>::line_in(&TOPIC, 3);
    nodes.publish(1, &TOPIC, b"mine");
    nodes.until("the neighbours are told", |nodes| nodes.heard(0, b"mine") > 0 && nodes.heard(2, b"mine") > 0);
    nodes.publish(0, &TOPIC, b"after it");
    nodes.until("what comes after it is told", |nodes| nodes.heard(1, b"after it") > 0);
    assert_eq!(nodes.heard(1, b"mine"), 0);
}

/// Within the memory of the host, a node is told of a publication once.
pub(crate) fn a_publication_is_told_once<W: Wire>() {
    let mut nodes = Nodes::<W>::line_in(&TOPIC, 4);
    for number in 0..20 {
        nodes.publish(0, &TOPIC, &[number]);
    }
    nodes.until("all of them are told", |nodes| (0..20).all(|number| nodes.heard(3, &[number]) > 0));
    for node in 1..4 {
        assert!((0..20).all(|number| nodes.heard(node, &[number]) == 1));
    }
}

/// A publication waits for the verdict of each node on its way.
pub(crate) fn what_has_no_verdict_goes_no_further<W: Wire>() {
    stops_at::<W>(None);
}

/// `Ignore` ends a publication's way.
pub(crate) fn what_is_ignored_goes_no_further<W: Wire>() {
    stops_at::<W>(Some(Verdict::Ignore));
}

/// `Reject` does too. What it means for the neighbour is the host's affair, but one is not the end.
pub(crate) fn what_is_rejected_goes_no_further<W: Wire>() {
    stops_at::<W>(Some(Verdict::Reject));
}

fn stops_at<W: Wire>(verdict: Option<Verdict>) {
    let mut nodes = Nodes::<W>::line_in(&TOPIC, 3);
    nodes.judge =
        Box::new(move |node, bytes| if node == 1 && bytes == b"bad" { verdict } else { Some(Verdict::Accept) });
    nodes.publish(0, &TOPIC, b"bad");
    nodes.until("the neighbour is told", |nodes| nodes.heard(1, b"bad") > 0);
    nodes.publish(0, &TOPIC, b"good");
    nodes.until("what comes after it passes", |nodes| nodes.heard(2, b"good") > 0);
    assert_eq!(nodes.heard(2, b"bad"), 0);
}

/// Publishing where nobody subscribes is no error.
pub(crate) fn publishing_to_nobody_harms_nobody<W: Wire>() {
    let mut nodes = Nodes::<W>::line(2);
    nodes.publish(0, &OTHER, b"hello?");
    nodes.send(0, 1, b"hello");
    nodes.until("other messages arrive", |nodes| nodes.has_received(1, b"hello"));
    assert!(nodes.are_connected(0, 1));
}

/// A node is told of the topics that it has subscribed to, and of no other.
pub(crate) fn who_has_not_subscribed_is_told_nothing<W: Wire>() {
    let mut nodes = Nodes::<W>::line_in(&TOPIC, 2);
    nodes.act(0, |host| host.subscribe(OTHER));
    nodes.publish(0, &OTHER, b"elsewhere");
    nodes.publish(0, &TOPIC, b"here");
    nodes.until("its own topic is told", |nodes| nodes.heard(1, b"here") > 0);
    assert_eq!(nodes.heard(1, b"elsewhere"), 0);
}

/// `unsubscribe` ends a subscription.
pub(crate) fn who_unsubscribes_is_told_nothing_more<W: Wire>() {
    let mut nodes = Nodes::<W>::line_in(&TOPIC, 2);
    nodes.act(1, |host| host.unsubscribe(TOPIC));
    nodes.publish(0, &TOPIC, b"too late");
    nodes.send(0, 1, b"a message");
    nodes.until("messages still arrive", |nodes| nodes.has_received(1, b"a message"));
    assert_eq!(nodes.heard(1, b"too late"), 0);
}
