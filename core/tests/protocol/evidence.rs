//! Who can be convicted of what, by evidence alone; and that no honest signer can be, whatever others make up.

use nelumbo_core::api::Event;
use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::{PartialSignature, PublicNonce, Secp256k1, Signature, Suite, Tweak};
use nelumbo_core::evidence::{Evidence, Exhibit, MAX_EVIDENCE, NotProven, Offence, verify};
use nelumbo_core::wire::{AbortReason, Content, Definition, Item, MAX_SLOTS};
use quickcheck::{Arbitrary, Gen};

use crate::common::{HOUR, ScriptedPeer, Signed, TestNode, WALL, all_signed, joined};

/// The evidence that a node has told of, with the signer that it accuses.
fn accusations(node: &TestNode) -> Vec<(nelumbo_core::crypto::PublicKey, Evidence)> {
    node.events
        .iter()
        .filter_map(|event| match event {
            Event::SignerMisbehaved { signer, evidence, .. } => Some((*signer, (**evidence).clone())),
            _ => None,
        })
        .collect()
}

/// The one accusation is proven, survives being written as JSON, and names this signer and offence.
fn convicts(node: &TestNode, scripted: &ScriptedPeer, offence: Offence) {
    let all = accusations(node);
    let [(signer, evidence)] = &all[..] else { panic!("{all:?}") };
    let conviction = verify(&Secp256k1, evidence).expect("the evidence is sound");
    assert_eq!((*signer, conviction.signer, conviction.offence), (scripted.key(), scripted.key(), offence));
    let text = serde_json::to_string(evidence).unwrap();
    let read: Evidence = serde_json::from_str(&text).unwrap();
    assert_eq!(&read, evidence);
    assert_eq!(verify(&Secp256k1, &read), Ok(conviction));
}

#[test]
fn an_invalid_partial_signature_is_proven() {
    let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, hash: nonces, .. } = all_signed();
    let session = definition.id();
    let mut wrong = *of_bob.as_bytes();
    wrong[31] ^= 1;
    let lie = Content::Partial { nonces, partials: vec![PartialSignature::from_bytes(wrong)] };
    let bytes = bob.say(session, 1, lie);
    node.hear(&bob, bytes);
    let bytes = alice.say(session, 1, Content::Partial { nonces, partials: vec![of_alice] });
    node.hear(&alice, bytes);
    convicts(&node, &bob, Offence::InvalidPartial);
}

#[test]
fn two_nonces_and_two_partial_signatures_are_proven() {
    let Signed { mut node, mut bob, definition, hash: nonces, of_bob, nonces: list, .. } = all_signed();
    let session = definition.id();
    let own = list[definition.index_of(&bob.key()).unwrap()];
    let other = *list.iter().find(|nonce| **nonce != own).unwrap();
    let bytes = bob.say(session, 1, Content::Join { nonces: vec![other] });
    node.hear(&bob, bytes);
    convicts(&node, &bob, Offence::Equivocation);
    assert_eq!(node.node.view().reputation(&bob.key()), 50 - 5);
    node.events.clear();
    let bytes = bob.say(session, 1, Content::Partial { nonces, partials: vec![of_bob] });
    node.hear(&bob, bytes);
    let bytes = bob.say(session, 1, Content::Partial { nonces, partials: vec![PartialSignature::from_bytes([1; 32])] });
    node.hear(&bob, bytes);
    convicts(&node, &bob, Offence::Equivocation);
}

#[test]
fn a_nonce_that_is_none_is_proven() {
    let (mut node, _, mut bob, definition, _) = joined();
    let mut point = [5; 66];
    (point[0], point[33]) = (2, 2);
    let bytes = bob.say(definition.id(), 1, Content::Join { nonces: vec![PublicNonce::from_bytes(point)] });
    node.hear(&bob, bytes);
    convicts(&node, &bob, Offence::InvalidNonce);
}

#[test]
fn a_false_final_signature_is_proven() {
    let (mut node, _, mut bob, definition, _) = joined();
    let lie = Content::Finalized { signatures: vec![Signature::from_bytes([1; 64])] };
    let bytes = bob.say(definition.id(), 1, lie);
    node.hear(&bob, bytes);
    convicts(&node, &bob, Offence::InvalidSignature);
}

/// All that a session may be at once: as many items and signers as fit, messages that fill the definition, and the
/// definition in the creator's nonces once more.
#[test]
fn evidence_of_the_largest_session_fits_into_its_limit_and_what_is_larger_proves_nothing() {
    for (signers, items, bytes) in [(8, 512, 123), (128, 32, 1_880), (4, 1_024, 58)] {
        let mut peers: Vec<ScriptedPeer> = (0..signers).map(ScriptedPeer::numbered).collect();
        // Each with a message key of its own, which makes every message larger.
        peers.iter_mut().for_each(|peer| peer.delegate(40, (WALL, WALL + HOUR)));
        peers.sort_unstable_by_key(ScriptedPeer::key);
        let keys: Vec<_> = peers.iter().map(ScriptedPeer::key).collect();
        let items: Vec<_> = (0..items).map(|_| Item::message(vec![0xff; bytes], Tweak::None)).collect();
        let count = items.len();
        let base = crate::common::definition(keys[0], keys);
        let definition = Definition { suite: Suite::Bip340, items, ..base };
        assert_eq!(definition.check(std::time::Duration::MAX), Ok(()));
        assert_eq!(definition.slots(), MAX_SLOTS);
        let (session, announces) = (definition.id(), definition.announces_nonces());
        let nonces = vec![PublicNonce::from_bytes([0xff; 66]); count];
        let mut exhibits = Vec::new();
        for (index, peer) in peers.iter_mut().enumerate() {
            let content = match index {
                0 if announces => Content::Announce { definition: definition.clone().into(), nonces: nonces.clone() },
                _ => Content::Join { nonces: nonces.clone() },
            };
            exhibits.push(Exhibit(peer.say(session, 1, content)));
        }
        let partials = vec![PartialSignature::from_bytes([0xff; 32]); count];
        let partial = Exhibit(peers[0].say(session, 1, Content::Partial { nonces: [0xff; 32], partials }));
        let evidence = Evidence::InvalidPartial { definition, item: 0, nonces: exhibits, partial };
        let encoded = postcard::to_allocvec(&evidence).expect("memory").len();
        let text = serde_json::to_string(&evidence).expect("memory").len();
        assert!(encoded <= MAX_EVIDENCE && text <= MAX_EVIDENCE, "{encoded} bytes, {text} as JSON");
        assert!(text > MAX_EVIDENCE / 2, "the limit says something: {text}");
        assert_ne!(verify(&Secp256k1, &evidence), Err(NotProven::TooLarge));
    }
    let of_two = ScriptedPeer::new(2);
    let half = Exhibit(vec![0; MAX_EVIDENCE / 2 - 512].into());
    let whole = Exhibit(vec![0; MAX_EVIDENCE / 2 + 512].into());
    let base = crate::common::definition(ScriptedPeer::new(1).key(), vec![ScriptedPeer::new(1).key(), of_two.key()]);
    let of = |second: &Exhibit| Evidence::Equivocation {
        definition: base.clone(),
        first: half.clone(),
        second: second.clone(),
    };
    assert_eq!(verify(&Secp256k1, &of(&half)), Err(NotProven::NotAMessage));
    assert_eq!(verify(&Secp256k1, &of(&whole)), Err(NotProven::TooLarge));
}

#[test]
fn evidence_that_proves_nothing_says_why() {
    let signed = all_signed();
    let signature = signed.combine();
    let Signed { mut alice, mut bob, definition, nonces, hash, of_bob, .. } = signed;
    let session = definition.id();
    let nonce = nonces[definition.index_of(&bob.key()).unwrap()];
    let join = Exhibit(bob.say(session, 1, Content::Join { nonces: vec![nonce] }));
    let again = Exhibit(bob.say(session, 1, Content::Join { nonces: vec![nonce] }));
    let other_attempt = Exhibit(bob.say(session, 2, Content::Join { nonces: vec![nonces[0]] }));
    let of_alice = Exhibit(alice.say(session, 1, Content::Join { nonces: vec![nonces[1]] }));
    let partial = Exhibit(bob.say(session, 1, Content::Partial { nonces: hash, partials: vec![of_bob] }));
    let finalized = Exhibit(bob.say(session, 1, Content::Finalized { signatures: vec![signature] }));
    let mut forged = join.0.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Exhibit(forged.into());
    let nothing = Exhibit(Bytes::from([]));
    let judge_two = |first: &Exhibit, second: &Exhibit| {
        let (first, second) = (first.clone(), second.clone());
        verify(&Secp256k1, &Evidence::Equivocation { definition: definition.clone(), first, second })
    };
    assert_eq!(judge_two(&join, &again), Err(NotProven::Innocent));
    assert_eq!(judge_two(&join, &other_attempt), Err(NotProven::Unrelated));
    assert_eq!(judge_two(&join, &of_alice), Err(NotProven::Unrelated));
    assert_eq!(judge_two(&join, &partial), Err(NotProven::Unrelated));
    assert_eq!(judge_two(&join, &forged), Err(NotProven::NotSigned));
    assert_eq!(judge_two(&nothing, &join), Err(NotProven::NotAMessage));
    let evidence = Evidence::InvalidSignature { definition: definition.clone(), item: 0, finalized: finalized.clone() };
    assert_eq!(verify(&Secp256k1, &evidence), Err(NotProven::Innocent));
    let mut other = definition;
    other.items = vec![Item::message(vec![1; 32], Tweak::None)];
    let evidence = Evidence::InvalidSignature { definition: other.clone(), item: 0, finalized };
    assert_eq!(verify(&Secp256k1, &evidence), Err(NotProven::Unrelated), "a true signature of another session");
    other.keys.clear();
    let evidence = Evidence::InvalidPartial { definition: other, item: 0, nonces: Vec::new(), partial };
    assert_eq!(verify(&Secp256k1, &evidence), Err(NotProven::Definition));
}

/// Which exhibits an accuser puts together, as numbers into everything there is.
#[derive(Clone, Debug)]
struct Frame {
    kind: u8,
    picks: [u8; 5],
}

impl Arbitrary for Frame {
    fn arbitrary(g: &mut Gen) -> Self {
        Self { kind: u8::arbitrary(g), picks: std::array::from_fn(|_| u8::arbitrary(g)) }
    }
}

/// Bob is the liar: he has every message of two attempts and of another session with the same keys, and signs what he
/// likes. Nothing that he puts together convicts anyone but himself.
#[test]
fn no_honest_signer_can_be_framed() {
    let mut exhibits = Vec::new();
    let mut definitions = Vec::new();
    for message in [9, 10] {
        let (mut alice, mut carol, mut bob) = (ScriptedPeer::new(1), ScriptedPeer::new(3), ScriptedPeer::new(2));
        let mut definition = crate::common::definition(alice.key(), vec![alice.key(), bob.key(), carol.key()]);
        definition.items = vec![Item::message(vec![message; 32], Tweak::None)];
        let session = definition.id();
        for attempt in [1, 2] {
            let mut nonces = vec![PublicNonce::from_bytes([2; 66]); 3];
            for scripted in [&mut alice, &mut bob, &mut carol] {
                let nonce = scripted.nonce(&definition, attempt);
                nonces[definition.index_of(&scripted.key()).unwrap()] = nonce;
                let content = if scripted.key() == *definition.creator_key() {
                    Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] }
                } else {
                    Content::Join { nonces: vec![nonce] }
                };
                exhibits.push(Exhibit(scripted.say(session, attempt, content)));
            }
            let hash = crate::common::nonces_hash(&nonces);
            for scripted in [&mut alice, &mut bob, &mut carol] {
                let partial = scripted.sign(&definition, attempt, &nonces);
                exhibits.push(Exhibit(scripted.say(
                    session,
                    attempt,
                    Content::Partial { nonces: hash, partials: vec![partial] },
                )));
            }
            let forged_nonce = bob.nonce(&definition, attempt + 10);
            exhibits.push(Exhibit(bob.say(session, attempt, Content::Join { nonces: vec![forged_nonce] })));
            let partial = PartialSignature::from_bytes([attempt as u8; 32]);
            exhibits.push(Exhibit(bob.say(
                session,
                attempt,
                Content::Partial { nonces: hash, partials: vec![partial] },
            )));
            exhibits.push(Exhibit(alice.say(session, attempt, Content::Abort { reason: AbortReason::Left })));
        }
        definitions.push(definition);
    }
    let bob = ScriptedPeer::new(2).key();
    let mut convicted = std::collections::BTreeSet::new();
    let mut is_fair = |Frame { kind, picks }: Frame| {
        let pick = |place: usize| exhibits[usize::from(picks[place]) % exhibits.len()].clone();
        let definition = definitions[usize::from(picks[4]) % definitions.len()].clone();
        // Half of the time the nonces are a plausible list, so that the judge gets to the mathematics.
        let nonces = if kind & 4 == 0 {
            (0..3).map(pick).collect()
        } else {
            let start = usize::from(picks[0]) % 4 * 9;
            let mut list: Vec<Exhibit> = exhibits[start..start + 3].to_vec();
            list.sort_by_key(|exhibit| nelumbo_core::wire::Message::decode(exhibit.0.clone()).unwrap().unsigned.author);
            if kind & 8 != 0 {
                list[usize::from(picks[1]) % 3] = exhibits[start + 6].clone();
            }
            list
        };
        let evidence = match kind % 4 {
            0 => Evidence::Equivocation { definition, first: pick(0), second: pick(1) },
            1 => Evidence::InvalidNonce { definition, item: 0, nonces },
            2 if kind & 16 == 0 => Evidence::InvalidPartial { definition, item: 0, nonces, partial: pick(3) },
            2 => {
                let of_bob = exhibits[usize::from(picks[0]) % 4 * 9 + 7].clone();
                Evidence::InvalidPartial { definition, item: 0, nonces, partial: of_bob }
            }
            _ => Evidence::InvalidSignature { definition, item: 0, finalized: pick(3) },
        };
        match verify(&Secp256k1, &evidence) {
            Ok(conviction) => {
                convicted.insert(conviction.offence);
                conviction.signer == bob
            }
            Err(_) => true,
        }
    };
    let cases = if cfg!(debug_assertions) { 2_000 } else { 50_000 };
    for seed in 0..cases {
        let mut g = Gen::from_size_and_seed(100, seed);
        let frame = Frame::arbitrary(&mut g);
        assert!(is_fair(frame.clone()), "{frame:?}");
    }
    assert!(
        convicted.contains(&Offence::Equivocation) && convicted.contains(&Offence::InvalidPartial),
        "{convicted:?}"
    );
}
