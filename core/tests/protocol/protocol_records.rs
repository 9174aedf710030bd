//! Records of another protocol: durable before anything that is said after them, bounded, and there again after a
//! restart.

use nelumbo_core::api::{Config, Event, Input};
use nelumbo_core::crypto::Network;
use nelumbo_core::protocol::ProtocolError;

use super::common::{ScriptedPeer, TestNode};
use super::discovery::label;
use super::scripted_protocol::Script;

fn said(node: &mut TestNode) -> Vec<String> {
    let events = std::mem::take(&mut node.events).into_iter().filter_map(|event| match event {
        Event::ProtocolEvent { payload, .. } => Some(String::from_utf8(payload).unwrap()),
        _ => None,
    });
    events.collect()
}

/// P9, P10.
#[test]
fn what_is_said_after_a_record_waits_until_it_is_durable() {
    let (mut node, script) = (TestNode::new(), Script::new("pool"));
    let mut alice = ScriptedPeer::new(1);
    script.register(&mut node);
    node.meet(&mut alice);
    node.sent.clear();
    node.events.clear();
    node.syncs = false;
    let key = alice.key();
    script.act(&mut node, move |context| {
        context.event(b"before".to_vec());
        context.persist(label("one"), b"1".to_vec()).unwrap();
        context.send(key, b"hello".to_vec());
        context.event(b"after one".to_vec());
        context.persist(label("two"), b"2".to_vec()).unwrap();
        context.event(b"after two".to_vec());
        assert_eq!(context.record(&label("one")), Some(&b"1"[..]));
    });
    let two = node.last_record.as_u64();
    assert_eq!((said(&mut node), node.sent.len(), node.node.view().held()), (vec!["before".to_owned()], 0, 3));
    // Another step of it waits too; other protocols do not.
    script.act(&mut node, |context| context.event(b"later".to_vec()));
    let other = Script::new("other");
    other.register(&mut node);
    other.act(&mut node, |context| context.event(b"other".to_vec()));
    assert_eq!((said(&mut node), node.node.view().held()), (vec!["other".to_owned()], 4));
    let record = nelumbo_core::api::RecordSequence::from_u64;
    node.input(Input::Persisted(record(two - 1)));
    assert_eq!((said(&mut node), node.sent.len(), node.node.view().held()), (vec!["after one".to_owned()], 1, 2));
    node.input(Input::Persisted(record(two)));
    assert_eq!((said(&mut node), node.node.view().held()), (vec!["after two".to_owned(), "later".to_owned()], 0));
}

/// P3.
#[test]
fn records_outlast_a_restart_and_an_unregistration() {
    let (mut node, script) = (TestNode::new(), Script::new("pool"));
    script.register(&mut node);
    script.act(&mut node, |context| {
        for (name, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")] {
            context.persist(label(name), value.into()).unwrap();
        }
        context.remove_record(&label("b"));
    });
    assert_eq!(script.told(), ["registered "]);
    let restarted = |node: &TestNode, life| {
        TestNode::with(Config::new(Network::Regtest), node.records.clone().into_iter().collect(), life)
    };
    // A life in which nobody asks for them takes nothing away.
    let unasked = restarted(&node, 2);
    assert_eq!(unasked.records.len(), 2);
    let mut node = restarted(&unasked, 3);
    for _ in 0..2 {
        script.register(&mut node);
        assert_eq!(script.told(), ["registered a=4,c=3"]);
        assert!(node.unregister(&label("pool")));
    }
    let other = Script::new("other");
    other.register(&mut node);
    assert_eq!(other.told(), ["registered "], "they are nobody else's");
    // A file that somebody has written to is not guessed at.
    let mut records: Vec<_> = node.records.clone().into_iter().collect();
    records[0].0 = b"pBAD/a".to_vec();
    assert!(std::panic::catch_unwind(|| TestNode::with(Config::new(Network::Regtest), records, 4)).is_err());
}

/// At the caps a record is refused, and nothing is lost.
#[test]
fn records_are_bounded_in_number_and_bytes_for_all_protocols_together() {
    let limits = Config::new(Network::Regtest).limits;
    let (mut node, script, other) = (TestNode::new(), Script::new("pool"), Script::new("other"));
    script.register(&mut node);
    other.register(&mut node);
    let half = limits.protocol_record_bytes / 2;
    script.act(&mut node, move |context| {
        // The name counts.
        assert_eq!(context.persist(label("big"), vec![1; 2 * half - 2]), Err(ProtocolError::TooManyRecords));
        context.persist(label("big"), vec![1; half - 3]).unwrap();
    });
    other.act(&mut node, move |context| {
        context.persist(label("big"), vec![1; half - 3]).unwrap();
        assert_eq!(context.persist(label("a"), Vec::new()), Err(ProtocolError::TooManyRecords));
        assert_eq!(context.persist(label("big"), vec![1; half]), Err(ProtocolError::TooManyRecords));
        assert_eq!(context.record(&label("big")).map(<[u8]>::len), Some(half - 3), "it stays as it was");
        context.remove_record(&label("big"));
    });
    script.act(&mut node, move |context| {
        for number in 2..=limits.protocol_records {
            context.persist(label(&number.to_string()), Vec::new()).unwrap();
        }
        assert_eq!(context.persist(label("one-more"), Vec::new()), Err(ProtocolError::TooManyRecords));
        context.persist(label("2"), vec![1]).expect("it is there already");
    });
    assert_eq!(node.records.len(), limits.protocol_records);
}
