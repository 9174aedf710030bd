//! What the journal has of a session: what it is, once, and how far it has come.

use nelumbo_core::api::{Command, Config, Phase};
use nelumbo_core::crypto::{Network, Suite, Tweak};
use nelumbo_core::node::BootError;
use nelumbo_core::wire::{Content, Definition, Item, MAX_MESSAGE};

use super::common::{
    ScriptedPeer, TestNode, announcement, approve, boot_error, completed, definition, partial_in, phase,
};

/// A session that signs as many bytes as fit, up to its signature.
#[test]
fn a_definition_is_written_once_and_removed_after_the_session() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let items = (0..15).map(|number| Item::message(vec![number; MAX_MESSAGE], Tweak::None)).collect();
    let base = definition(alice.key(), vec![node.key, alice.key()]);
    let definition = Definition { suite: Suite::Bip340, items, ..base };
    let (session, of_alice) = (definition.id(), alice.nonces(&definition, 1));
    let announce = Content::Announce { definition: definition.clone().into(), nonces: of_alice.clone() };
    let bytes = alice.say(session, 1, announce);
    node.hear(&alice, bytes);
    assert!(node.written.is_empty(), "what nobody has approved is not written");
    node.command(approve(session)).unwrap();
    let steps = node.steps_to(&alice);
    let of_node = steps.iter().find_map(|step| step.content.nonces()).expect("it takes part").to_vec();
    let mut nonces = vec![of_node; 2];
    nonces[definition.index_of(&alice.key()).unwrap()] = of_alice;
    let (_, hash) = partial_in(&steps);
    let partials = alice.sign_all(&definition, 1, &nonces);
    let bytes = alice.say(session, 1, Content::Partial { nonces: hash, partials });
    node.hear(&alice, bytes);
    node.command(Command::ConfirmBroadcast(session)).unwrap();
    assert_eq!(phase(&node, session), Phase::Complete);
    // Beside what has been seen of alice.
    node.written.retain(|(kind, _)| *kind != b'r');
    let kinds: Vec<u8> = node.written.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, *b"dssss", "attempt, spent nonce, signature, broadcast");
    let bytes: Vec<usize> = node.written.iter().map(|(_, bytes)| bytes.expect("nothing is removed")).collect();
    assert!(bytes[0] > 60_000 && bytes[1..].iter().sum::<usize>() < 6_000, "{bytes:?}");
    // What the session is has gone when nothing but its id stays, after its last record.
    node.written.clear();
    node.command(Command::Close(session)).unwrap();
    assert!(matches!(node.written[..], [(b's', Some(bytes)), (b'd', None)] if bytes < 16), "{:?}", node.written);
    assert_eq!((node.session_records(), node.records.keys().filter(|key| key[0] == b'd').count()), (1, 0));
}

#[test]
fn a_crash_between_the_two_records_of_a_session_leaves_a_journal_that_is_read() {
    let (node, ..) = completed();
    let records: Vec<_> = node.records.into_iter().collect();
    let of = |kind: u8| records.iter().filter(|(key, _)| key[0] == kind).cloned().collect::<Vec<_>>();
    assert_eq!((of(b'd').len(), of(b's').len()), (1, 1));
    // Before the first record, or after the last one: the definition is forgotten.
    let node = TestNode::with(Config::new(Network::Regtest), of(b'd'), 2);
    assert_eq!((node.node.view().sessions().len(), node.records.len()), (0, 0));
    // No crash takes the definition away; in any order the two are read.
    let error = boot_error(of(b's')).expect("a session without its definition is none");
    assert!(matches!(&error, BootError::Corrupt(corrupt) if corrupt.key == of(b's')[0].0), "{error}");
    for records in [records.clone(), records.iter().rev().cloned().collect()] {
        let node = TestNode::with(Config::new(Network::Regtest), records, 2);
        assert_eq!(node.node.view().sessions().next().map(|session| session.phase), Some(Phase::Complete));
    }
    // Nor does one session have the definition of another.
    let (mut key, value) = of(b'd').remove(0);
    key[1] ^= 1;
    let foreign = [of(b's'), vec![(key, value)]].concat();
    assert!(boot_error(foreign).is_some());
}

/// Whoever declines a session has said something in it.
#[test]
fn what_was_declined_is_remembered_with_what_it_was() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let definition = definition(alice.key(), vec![node.key, alice.key()]);
    let nonce = alice.nonce(&definition, 1);
    let bytes = alice.say(definition.id(), 1, announcement(&definition, nonce));
    node.hear(&alice, bytes);
    let declined = Command::Abort(definition.id(), nelumbo_core::wire::AbortReason::Declined);
    node.command(declined).unwrap();
    let kinds: Vec<u8> = node.written.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, *b"ds");
    let node = TestNode::with(Config::new(Network::Regtest), node.records.into_iter().collect(), 2);
    assert_eq!(phase(&node, definition.id()), Phase::Aborted);
}
