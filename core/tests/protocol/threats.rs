//! Single threats of the threat model that no other script is about.

use nelumbo_core::api::{Input, Phase};
use nelumbo_core::base::{Entropy, EntropyError, Now, Wall};
use nelumbo_core::wire::{Content, Definition};

use super::common::{
    HOUR, ScriptedPeer, Signed, TestNode, WALL, all_signed, approve, definition, nonce_in, now, partial_in, phase,
};

#[test]
fn entropy_that_is_none_is_an_error() {
    assert!(matches!(Entropy::new([0; 32]), Err(EntropyError::AllZero)));
}

#[test]
fn a_wall_clock_that_goes_back_stops_no_session_and_one_that_is_a_day_ahead_expires_it() {
    for wall in [WALL - 24 * HOUR, WALL + 24 * HOUR, 0, u64::MAX] {
        let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, hash: nonces, .. } = all_signed();
        for (scripted, partial) in [(&mut alice, of_alice), (&mut bob, of_bob)] {
            let bytes = scripted.say(definition.id(), 1, Content::Partial { nonces, partials: vec![partial] });
            node.time += 1;
            let now = Now { wall: Wall::from_millis(wall), ..now(node.time) };
            node.node.handle(now, Input::Received { from: scripted.peer, bytes });
        }
        let expected = if wall > WALL { Phase::Expired } else { Phase::Complete };
        assert_eq!(phase(&node, definition.id()), expected, "at {wall}");
    }
}

/// The same keys sign the same message in as many sessions as one creator may ask for, each a step at a time.
#[test]
fn sessions_at_once_over_the_same_message_and_keys_keep_their_nonces_apart() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let definitions: Vec<Definition> = (0..64)
        .map(|number| Definition { nonce: [number; 32], ..definition(alice.key(), vec![node.key, alice.key()]) })
        .collect();
    let announced: Vec<_> = definitions
        .iter()
        .map(|definition| {
            let nonce = alice.nonce(definition, 1);
            let content = Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] };
            let bytes = alice.say(definition.id(), 1, content);
            node.hear(&alice, bytes);
            nonce
        })
        .collect();
    let joined = definitions.iter().map(|definition| {
        node.command(approve(definition.id())).unwrap();
        node.steps_to(&alice)
    });
    let joined: Vec<_> = joined.collect();
    for ((definition, of_alice), steps) in definitions.iter().zip(announced).zip(joined).rev() {
        let mut nonces = vec![nonce_in(&steps); 2];
        nonces[definition.index_of(&alice.key()).unwrap()] = of_alice;
        let partial = alice.sign(definition, 1, &nonces);
        let (_, nonces) = partial_in(&steps);
        let bytes = alice.say(definition.id(), 1, Content::Partial { nonces, partials: vec![partial] });
        node.hear(&alice, bytes);
        assert_eq!(phase(&node, definition.id()), Phase::Complete);
    }
    let signatures: std::collections::BTreeSet<_> =
        node.node.view().sessions().map(|session| session.signatures[0].to_bytes()).collect();
    assert_eq!((signatures.len(), node.node.view().refusals().total()), (64, 0));
}
