//! Resources: announced, found and withdrawn.

use std::time::Duration;

use nelumbo_core::api::{Command, CommandError, Config, Event, Input, Refusal};
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::Network;
use nelumbo_core::wire::{Body, Data, PeerId, Resource};

use super::common::{HOUR, ScriptedPeer, TestNode, WALL};
use super::discovery::{hear_gossip, label, stored};

/// D16, D18.
#[test]
fn resources_are_announced_found_and_withdrawn() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let kind = label("barter-goods");
    let announce = |name: &str, data: Option<&[u8]>, lifetime| Command::AnnounceResource {
        kind: label("barter-goods"),
        name: label(name),
        data: data.and_then(|data| Data::new(data.to_vec())),
        lifetime,
    };
    node.input(Input::RoutingTable(3));
    node.wait(1_000);
    stored(&mut node);
    node.command(announce("cheese", Some(b"ripe"), Duration::from_secs(60))).unwrap();
    let records = stored(&mut node);
    assert_eq!(records.len(), 2, "the resource and its place in the directory");
    let own = |node: &TestNode| node.node.view().own_resources().map(|(id, _)| id.name.to_string()).collect::<Vec<_>>();
    assert_eq!(own(&node), ["cheese"]);
    node.command(announce("cheese", None, Duration::from_secs(60))).unwrap();
    let withdrawn = stored(&mut node);
    assert!(own(&node).is_empty());
    assert!(withdrawn.len() == 2 && withdrawn.iter().all(|record| !records.contains(record)), "and so is its end");
    node.wait(2 * HOUR);
    assert!(!stored(&mut node).iter().any(|(key, _)| key.contains("barter")), "its time is over");
    for lifetime in [Duration::ZERO, Duration::from_secs(8 * 24 * 3600)] {
        assert_eq!(node.command(announce("wine", Some(b"red"), lifetime)), Err(CommandError::Lifetime));
    }
    node.command(announce("n0", Some(b"x"), Duration::from_millis(1))).unwrap();
    for number in 0..20 {
        node.command(announce(&format!("n{number}"), Some(b"x"), Duration::from_secs(60))).unwrap();
    }
    let one_more = announce("n20", Some(b"x"), Duration::from_secs(60));
    assert_eq!(node.command(one_more), Err(CommandError::TooManyResources));
    // Others' resources.
    let now = WALL + node.time / 1_000_000;
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
    node.command(Command::FindResources(kind.clone())).unwrap();
    node.input(Input::Received { from, bytes: fresh.clone() });
    node.refuses(Refusal::Channel, |node| hear_gossip(node, from, fresh.clone()));
    let id = node.node.view().resources().next().expect("it is known").0.clone();
    assert_eq!((id.author, id.name.as_str()), (alice.key(), "bread"));
    assert!(node.events.iter().any(|event| matches!(event, Event::ResourceFound { resource, .. } if *resource == id)));
    node.input(Input::Received { from, bytes: gone });
    node.refuses(Refusal::Duplicate, |node| node.input(Input::Received { from, bytes: fresh }));
    assert!(node.node.view().resource(&id).is_none());
}

#[test]
fn an_author_has_so_many_resources_of_a_kind_and_in_all() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.resources_per_author, config.limits.resources_per_kind) = (3, 2);
    let (mut node, from) = (TestNode::with(config, Vec::new(), 1), PeerId::from_bytes(&[1]).unwrap());
    let say = |node: &mut TestNode, author: &mut ScriptedPeer, kind: &str, name: &str, data: &[u8]| {
        let now = WALL + node.time / 1_000_000;
        let data = Data::new(data.to_vec());
        let (issued_at, expires_at) = (Wall::from_millis(now), Wall::from_millis(now + HOUR));
        let bytes = author.say_body(Body::Resource(Resource {
            kind: label(kind),
            name: label(name),
            data,
            issued_at,
            expires_at,
        }));
        node.wait(1);
        let refused = node.node.view().refusals().get(Refusal::AuthorQuota);
        node.input(Input::Received { from, bytes });
        node.node.view().refusals().get(Refusal::AuthorQuota) == refused
    };
    let (mut alice, mut bob) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
    let taken = [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("b", "2"), ("c", "1")]
        .map(|(kind, name)| say(&mut node, &mut alice, kind, name, b"x"));
    assert_eq!(taken, [true, true, false, true, false, false], "two of a kind, three in all");
    assert!(say(&mut node, &mut alice, "a", "1", b"y"), "what is known may change");
    assert!(say(&mut node, &mut bob, "a", "1", b"x"), "another author has as many");
    assert_eq!(node.node.view().resources().count(), 4);
}
