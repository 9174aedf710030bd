//! What can be proven of whoever has delegated to a message key, by evidence alone.

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{PartialSignature, PublicNonce, Secp256k1};
use nelumbo_core::evidence::{Evidence, Exhibit, NotProven, verify};
use nelumbo_core::wire::{Content, Definition, MAX_DELEGATION};

use crate::common::{HOUR, ScriptedPeer, WALL, definition, nonces_hash};
use crate::delegated::{KEY, secret};

const DAY: u64 = 24 * HOUR;

#[test]
fn evidence_against_a_delegated_author_is_judged_by_itself() {
    let mut bob = ScriptedPeer::new(2);
    let definition = definition(bob.key(), vec![bob.key(), ScriptedPeer::new(1).key()]);
    let session = definition.id();
    let join = |number: u8| Content::Join { nonces: vec![PublicNonce::from_bytes([number; 66])] };
    let mut say = |number: u8, time: Option<(u8, (u64, u64))>| {
        bob.delegated = None;
        time.into_iter().for_each(|(key, time)| bob.delegate(key, time));
        Exhibit(bob.say(session, 1, join(number)))
    };
    let judge = |first: &Exhibit, second: &Exhibit| {
        let (definition, first, second) = (definition.clone(), first.clone(), second.clone());
        let evidence = Evidence::Equivocation { definition, first, second };
        verify(&Secp256k1, &evidence).map(|conviction| conviction.message_keys)
    };
    let during = (WALL, WALL + HOUR);
    let (one, other) = (say(1, Some((KEY, during))), say(2, Some((KEY, (WALL - 1, WALL + DAY)))));
    let (plain, newer) = (say(1, None), say(2, Some((KEY + 1, during))));
    let key = |number| secret(number).public_key();
    assert_eq!(judge(&one, &other), Ok(vec![key(KEY)]));
    assert_eq!(judge(&plain, &other), Ok(vec![key(KEY)]), "the signing key has said one of them");
    let mut both = vec![key(KEY), key(KEY + 1)];
    both.sort_unstable();
    assert_eq!(judge(&one, &newer), Ok(both));
    assert_eq!(judge(&one, &plain), Err(NotProven::Innocent), "the same nonce");
    // A key that was delegated to for another time says nothing of this session.
    for time in [(WALL - DAY, WALL), (WALL - DAY, WALL + HOUR - 1), (WALL + 1, WALL + DAY)] {
        let stale = say(3, Some((KEY, time)));
        assert_eq!(judge(&one, &stale), Err(NotProven::NotDelegated));
        assert_eq!(judge(&stale, &one), Err(NotProven::NotDelegated));
    }
    let long = u64::try_from(MAX_DELEGATION.as_millis()).expect("it is short");
    let stale = say(3, Some((KEY, (WALL, WALL + long + 1))));
    assert_eq!(judge(&one, &stale), Err(NotProven::NotDelegated));
    // Whoever makes up a session of another time has another session.
    let longer = Definition { expires_at: Wall::from_millis(WALL + HOUR + 1), ..definition.clone() };
    let evidence = Evidence::Equivocation { definition: longer, first: plain, second: say(2, None) };
    assert_eq!(verify(&Secp256k1, &evidence), Err(NotProven::Unrelated));
    // Nobody else's delegation makes it bob's word.
    let mut eve = ScriptedPeer::new(3);
    eve.delegate(KEY + 2, during);
    bob.speak_by(KEY + 2, eve.delegation());
    let framed = Exhibit(bob.say(session, 1, join(4)));
    assert_eq!(judge(&one, &framed), Err(NotProven::NotDelegated));
}

#[test]
fn partial_signatures_of_delegated_signers_are_judged_with_all_their_nonces() {
    let mut peers = [1, 2].map(ScriptedPeer::new);
    peers.sort_by_key(ScriptedPeer::key);
    let keys = peers.iter().map(ScriptedPeer::key).collect();
    let definition = definition(peers[0].key(), keys);
    let session = definition.id();
    let nonces: Vec<_> = peers.iter_mut().map(|peer| peer.nonce(&definition, 1)).collect();
    peers.iter_mut().zip([KEY, KEY + 1]).for_each(|(peer, key)| peer.delegate(key, (WALL, WALL + HOUR)));
    let joins: Vec<_> = peers
        .iter_mut()
        .zip(&nonces)
        .map(|(peer, nonce)| Exhibit(peer.say(session, 1, Content::Join { nonces: vec![*nonce] })))
        .collect();
    let hash = nonces_hash(&nonces);
    let right = peers[1].sign(&definition, 1, &nonces);
    let mut say = |partial, time: (u64, u64)| {
        peers[1].delegate(KEY + 1, time);
        let partial = Content::Partial { nonces: hash, partials: vec![partial] };
        let (definition, nonces) = (definition.clone(), joins.clone());
        let partial = Exhibit(peers[1].say(session, 1, partial));
        verify(&Secp256k1, &Evidence::InvalidPartial { definition, item: 0, nonces, partial })
    };
    let wrong = PartialSignature::from_bytes([1; 32]);
    assert_eq!(say(right, (WALL, WALL + HOUR)), Err(NotProven::Innocent));
    let conviction = say(wrong, (WALL, WALL + HOUR)).expect("it is proven");
    assert_eq!(conviction.message_keys, [secret(KEY + 1).public_key()]);
    assert_eq!(say(wrong, (WALL + 1, WALL + HOUR)), Err(NotProven::NotDelegated));
}
