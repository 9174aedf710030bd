//! Failures of names and keys: the order of keys, the ids of sessions, the key that a signature is under.

use std::collections::BTreeSet;

use nelumbo_core::api::{Command, NewSession, Phase};
use nelumbo_core::crypto::{Suite, Tweak, schnorr};

use super::{Group, is_nonce, step};

#[test]
fn failures_6_and_c_every_order_of_the_keys_is_the_same_group() {
    let mut found = BTreeSet::new();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut group = Group::new(3);
        let keys = order.iter().map(|index| group.keys[*index]).collect();
        let session = group.create(0, keys);
        let open = group.look(0, session);
        group.deliver_all();
        let end = group.look(2, session);
        assert_eq!(end.phase, Phase::Complete, "{order:?}");
        found.insert((open.challenge_keys, open.definition.keys.clone(), end.coordinator, end.id));
    }
    assert_eq!(found.len(), 1, "aggregate key, signers, coordinator and id");
}

#[test]
fn failures_9_and_32_two_sessions_never_share_an_id_or_a_nonce() {
    let mut group = Group::new(3);
    let [first, second] = [group.create(0, group.keys.clone()), group.create(0, group.keys.clone())];
    assert_ne!(first, second, "the same signers and message, at the same time");
    let mut nonces = BTreeSet::new();
    let mut all = 0;
    while let Some((from, to, bytes)) = group.flight.first().cloned() {
        if is_nonce(&bytes) && to == (from + 1) % 3 {
            all += 1;
            nonces.insert(format!("{:?}", step(&bytes).expect("a nonce is a step").content));
        }
        group.deliver(0);
    }
    assert_eq!((all, nonces.len()), (6, 6), "each signer one in each session, all of them different");
    for session in [first, second] {
        assert!((0..3).all(|index| group.look(index, session).phase == Phase::Complete));
    }
}

#[test]
fn failures_23_and_31_a_signature_is_under_the_key_that_the_output_has() {
    for tweak in [Tweak::None, Tweak::Taproot { merkle_root: None }, Tweak::Taproot { merkle_root: Some([5; 32]) }] {
        let mut group = Group::new(2);
        let (keys, message) = (group.keys.clone(), vec![7; 32]);
        let wanted = NewSession::new(Suite::Lotus, keys, message.clone()).with_tweak(tweak);
        group.command(0, Command::Create(Box::new(wanted)));
        let session = group.nodes[0].view().sessions().next().expect("it was created");
        let key = session.challenge_keys[0];
        group.deliver_all();
        let signature = group.look(1, session.id).signatures[0];
        assert!(schnorr::verify(Suite::Lotus, &key, &message, &signature));
    }
}
