//! The life of nonces in a signer, and the entropy they are drawn from.

use std::collections::BTreeSet;

use nelumbo_core::base::{Entropy, EntropyError};
use nelumbo_core::crypto::lotus::wif;
use nelumbo_core::crypto::{
    EntropySource, KeyAggContext, MessageKey, MessageSigner, Network, NonceSlot, PartialSignature, PublicNonce,
    Secp256k1, SecretKey, Signer, SignerError, SigningContext, SoftwareSigner, Suite, Tweak, Verifier, generate_nonce,
    sort_keys,
};
use quickcheck::QuickCheck;

use crate::{SUITES, Seed, tweaks};

fn slot(session: u8, attempt: u32) -> NonceSlot {
    NonceSlot { session: [session; 32], attempt }
}

fn draw_nonce(
    signer: &mut SoftwareSigner,
    slot: NonceSlot,
    keys: &KeyAggContext,
    message: &[u8],
) -> Result<PublicNonce, SignerError> {
    signer.nonces(slot, &[(keys, message)]).map(|nonces| nonces[0])
}

fn sign(
    signer: &mut SoftwareSigner,
    slot: NonceSlot,
    keys: &KeyAggContext,
    round: &SigningContext,
) -> Result<PartialSignature, SignerError> {
    signer.sign(slot, &[(keys, round)]).map(|partials| partials[0])
}

/// The life of a slot in a software signer: one nonce, one signature, and no way back.
#[test]
fn a_slot_is_served_once_and_signed_once() {
    let mut entropy = Seed([5; 32]).entropy();
    let mut signers: Vec<_> = (0..3)
        .map(|index| SoftwareSigner::new(SecretKey::generate(&mut entropy), entropy.stream(&format!("signer {index}"))))
        .collect();
    signers.sort_by_key(SoftwareSigner::public_key);
    let public: Vec<_> = signers.iter().map(SoftwareSigner::public_key).collect();
    for suite in SUITES {
        let message = entropy.bytes32();
        let keys = Secp256k1.aggregate_keys(suite, &public, &Tweak::None).expect("sorted and distinct");
        let slot = slot(suite as u8, 0);
        let nonces: Vec<_> =
            signers.iter_mut().map(|signer| draw_nonce(signer, slot, &keys, &message).unwrap()).collect();
        assert_eq!(draw_nonce(&mut signers[0], slot, &keys, &message), Ok(nonces[0]), "the same while it is open");
        assert_eq!(
            draw_nonce(&mut signers[0], slot, &keys, &[0; 32]),
            Err(SignerError::SlotServed),
            "for nothing else"
        );
        let round = Secp256k1.open_round(&keys, &nonces, &message).expect("honest nonces");
        let partials: Vec<_> = signers.iter_mut().map(|signer| sign(signer, slot, &keys, &round).unwrap()).collect();
        let signature = Secp256k1.combine(&keys, &round, &partials).expect("honest signers");
        assert!(Secp256k1.verify_final(&keys, &message, &signature));
        let others: Vec<_> = nonces.iter().rev().copied().collect();
        let other = Secp256k1.open_round(&keys, &[&others[1..], &others[1..2]].concat(), &message).expect("nonces");
        for (signer, partial) in signers.iter_mut().zip(partials) {
            assert_eq!(sign(signer, slot, &keys, &round), Ok(partial), "the same again");
            assert_eq!(sign(signer, slot, &keys, &other), Err(SignerError::NonceSpent));
            assert_eq!(draw_nonce(signer, slot, &keys, &message), Err(SignerError::SlotServed));
            signer.forget(slot);
            assert_eq!(sign(signer, slot, &keys, &other), Err(SignerError::NonceSpent));
            assert_eq!(signer.open_nonces(), 0);
        }
        // The next attempt has other nonces.
        let again = NonceSlot { attempt: 1, ..slot };
        assert_ne!(draw_nonce(&mut signers[0], again, &keys, &message), Ok(nonces[0]));
        signers[0].forget(again);
        assert_eq!(signers[0].open_nonces(), 0);
        assert_eq!(sign(&mut signers[0], again, &keys, &round), Err(SignerError::NoNonce));
        assert_eq!(draw_nonce(&mut signers[0], again, &keys, &message), Err(SignerError::SlotServed));
        let never = NonceSlot { attempt: 2, ..slot };
        assert_eq!(sign(&mut signers[0], never, &keys, &round), Err(SignerError::NoNonce));
    }
}

/// A failed attempt to sign spends the nonce too.
#[test]
fn a_wrong_round_spends_the_nonce() {
    let mut entropy = Seed([6; 32]).entropy();
    let mut signer = SoftwareSigner::new(SecretKey::generate(&mut entropy), entropy.stream("signer"));
    let keys = Secp256k1.aggregate_keys(Suite::Lotus, &[signer.public_key()], &Tweak::None).expect("one key");
    let tweak = Tweak::Taproot { merkle_root: None };
    let tweaked = Secp256k1.aggregate_keys(Suite::Lotus, &[signer.public_key()], &tweak).expect("one key");
    let nonce = draw_nonce(&mut signer, slot(1, 0), &keys, &[1; 32]).expect("a new slot");
    let other_message = Secp256k1.open_round(&keys, &[nonce], &[2; 32]).expect("one nonce");
    assert_eq!(sign(&mut signer, slot(1, 0), &keys, &other_message), Err(SignerError::RoundMismatch));
    let right = Secp256k1.open_round(&keys, &[nonce], &[1; 32]).expect("one nonce");
    assert_eq!(sign(&mut signer, slot(1, 0), &keys, &right), Err(SignerError::NonceSpent));

    let nonce = draw_nonce(&mut signer, slot(1, 1), &keys, &[1; 32]).expect("a new slot");
    let other_key = Secp256k1.open_round(&tweaked, &[nonce], &[1; 32]).expect("one nonce");
    assert_eq!(sign(&mut signer, slot(1, 1), &tweaked, &other_key), Err(SignerError::RoundMismatch));
    assert_eq!(sign(&mut signer, slot(1, 1), &keys, &right), Err(SignerError::NonceSpent));

    let nonce = draw_nonce(&mut signer, slot(1, 2), &keys, &[1; 32]).expect("a new slot");
    let round = Secp256k1.open_round(&tweaked, &[nonce], &[1; 32]).expect("one nonce");
    assert_eq!(sign(&mut signer, slot(1, 2), &keys, &round), Err(SignerError::RoundMismatch));

    let stranger = SecretKey::generate(&mut entropy).public_key();
    let keys = Secp256k1.aggregate_keys(Suite::Lotus, &[stranger], &Tweak::None).expect("one key");
    assert_eq!(draw_nonce(&mut signer, slot(2, 0), &keys, &[1; 32]), Err(SignerError::NotASigner));
    assert_eq!(signer.open_nonces(), 0);
}

/// At its limit the signer refuses new nonces and keeps those it promised.
#[test]
fn open_nonces_are_bounded() {
    let mut entropy = Seed([7; 32]).entropy();
    let mut signer = SoftwareSigner::new(SecretKey::generate(&mut entropy), entropy.stream("signer"));
    let keys = Secp256k1.aggregate_keys(Suite::Lotus, &[signer.public_key()], &Tweak::None).expect("one key");
    let count = u32::try_from(SoftwareSigner::MAX_OPEN_NONCES).expect("small");
    let first = draw_nonce(&mut signer, slot(0, 0), &keys, &[1; 32]).expect("a new slot");
    for attempt in 1..count {
        draw_nonce(&mut signer, slot(0, attempt), &keys, &[1; 32]).expect("a new slot");
    }
    assert_eq!(draw_nonce(&mut signer, slot(0, count), &keys, &[1; 32]), Err(SignerError::TooManyNonces));
    let round = Secp256k1.open_round(&keys, &[first], &[1; 32]).expect("one nonce");
    assert!(sign(&mut signer, slot(0, 0), &keys, &round).is_ok());
    assert!(draw_nonce(&mut signer, slot(0, count), &keys, &[1; 32]).is_ok());
}

/// Closed slots are remembered up to a bound, the oldest forgotten first; what is served again has another nonce.
#[test]
fn closed_slots_are_bounded() {
    let mut entropy = Seed([12; 32]).entropy();
    let mut signer = SoftwareSigner::new(SecretKey::generate(&mut entropy), entropy.stream("signer"));
    let keys = Secp256k1.aggregate_keys(Suite::Lotus, &[signer.public_key()], &Tweak::None).expect("one key");
    let count = u32::try_from(SoftwareSigner::MAX_CLOSED_SLOTS).expect("small");
    let first = draw_nonce(&mut signer, slot(0, 0), &keys, &[1; 32]).expect("a new slot");
    signer.forget(slot(0, 0));
    for attempt in 1..count {
        draw_nonce(&mut signer, slot(0, attempt), &keys, &[1; 32]).expect("a new slot");
        signer.forget(slot(0, attempt));
    }
    assert_eq!(draw_nonce(&mut signer, slot(0, 0), &keys, &[1; 32]), Err(SignerError::SlotServed));
    draw_nonce(&mut signer, slot(0, count), &keys, &[1; 32]).expect("a new slot");
    signer.forget(slot(0, count));
    let again = draw_nonce(&mut signer, slot(0, 0), &keys, &[1; 32]).expect("the oldest slot was forgotten");
    assert_ne!(again, first);
    assert_eq!(draw_nonce(&mut signer, slot(0, 1), &keys, &[1; 32]), Err(SignerError::SlotServed));
}

/// Two message keys with one seed are one, and each signature is hedged anew.
#[test]
fn message_keys_are_deterministic_by_seed() {
    let make = |label: &str| {
        let mut entropy = Seed([8; 32]).entropy();
        MessageKey::new(SecretKey::generate(&mut entropy), entropy.stream(label))
    };
    let (mut one, mut same, mut other) = (make("a"), make("a"), make("b"));
    let digest = [9; 32];
    let signature = one.sign(&digest).expect("a key in memory");
    assert!(Secp256k1.verify(&one.public_key(), &digest, &signature));
    assert_ne!(one.sign(&digest), Ok(signature), "each signature is hedged anew");
    assert_eq!(same.sign(&digest), Ok(signature));
    assert_ne!(other.sign(&digest), Ok(signature));
}

/// What a host gives: the same at first, then what it has.
struct Host {
    first: Option<[u8; 32]>,
    then: Result<Entropy, EntropyError>,
}

impl EntropySource for Host {
    fn draw(&mut self) -> Result<[u8; 32], EntropyError> {
        match self.first.take() {
            Some(first) => Ok(first),
            None => self.then.as_mut().map_err(|error| *error)?.draw(),
        }
    }
}

/// A snapshot of a signer that is resumed three times draws three nonces, because its host gives something else each
/// time. Were it the same, the nonces would be, and three signatures with them would give the key away.
#[test]
fn a_signer_that_is_resumed_several_times_draws_other_nonces() {
    let resume = |then| {
        let key = SecretKey::generate(&mut Seed([8; 32]).entropy());
        let mut signer = SoftwareSigner::new(key, Host { first: Some([3; 32]), then });
        let keys = Secp256k1.aggregate_keys(Suite::Lotus, &[signer.public_key()], &Tweak::None).expect("one key");
        let mut draw = |attempt| draw_nonce(&mut signer, slot(0, attempt), &keys, &[9; 32]);
        [draw(0), draw(1)]
    };
    let nonces = [1, 2, 3].map(|host| resume(Entropy::new([host; 32])));
    let distinct: BTreeSet<_> = nonces.iter().flatten().map(|nonce| nonce.expect("the host gives entropy")).collect();
    assert_eq!(distinct.len(), 6);
    assert_eq!(resume(Entropy::new([1; 32])), nonces[0], "the same state and the same host make the same nonces");
}

/// Without entropy from the host no nonce is drawn, at the first draw and later, and the slot is free for the next try.
#[test]
fn a_source_that_fails_is_a_signer_that_is_unavailable() {
    struct Failing(u32);
    impl EntropySource for Failing {
        fn draw(&mut self) -> Result<[u8; 32], EntropyError> {
            self.0 += 1;
            match self.0 {
                1 | 3 => Err(EntropyError::Unavailable),
                4 => Ok([0; 32]),
                number => Ok([number as u8; 32]),
            }
        }
    }
    let mut signer = SoftwareSigner::new(SecretKey::generate(&mut Seed([8; 32]).entropy()), Failing(0));
    let keys = Secp256k1.aggregate_keys(Suite::Lotus, &[signer.public_key()], &Tweak::None).expect("one key");
    for why in ["nothing to begin with", "nothing for this nonce", "zeros for this nonce"] {
        assert_eq!(draw_nonce(&mut signer, slot(0, 0), &keys, &[1; 32]), Err(SignerError::Unavailable), "{why}");
        assert_eq!(signer.open_nonces(), 0);
    }
    assert!(draw_nonce(&mut signer, slot(0, 0), &keys, &[1; 32]).is_ok());
}

/// What was open is wiped at once when the node begins anew, and stays served.
#[test]
fn all_that_is_open_can_be_forgotten() {
    let mut entropy = Seed([13; 32]).entropy();
    let mut signer = SoftwareSigner::new(SecretKey::generate(&mut entropy), entropy.stream("signer"));
    let keys = Secp256k1.aggregate_keys(Suite::Lotus, &[signer.public_key()], &Tweak::None).expect("one key");
    for attempt in 0..3 {
        draw_nonce(&mut signer, slot(0, attempt), &keys, &[1; 32]).expect("a new slot");
    }
    Signer::<Secp256k1>::forget_all(&mut signer);
    assert_eq!(signer.open_nonces(), 0);
    assert_eq!(draw_nonce(&mut signer, slot(0, 1), &keys, &[1; 32]), Err(SignerError::SlotServed));
    assert!(draw_nonce(&mut signer, slot(0, 3), &keys, &[1; 32]).is_ok());
}

/// Whatever changes, the nonce changes: entropy, key, challenge key, message, extra input, each alone.
#[test]
fn nonces_depend_on_everything() {
    let mut entropy = Seed([10; 32]).entropy();
    let (one, other) = (SecretKey::generate(&mut entropy), SecretKey::generate(&mut entropy));
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for suite in SUITES {
        for tweak in tweaks(&mut entropy) {
            let mut sorted = [one.public_key(), other.public_key()];
            sort_keys(&mut sorted);
            let keys = Secp256k1.aggregate_keys(suite, &sorted, &tweak).expect("two keys");
            for randomness in [[1; 32], [2; 32]] {
                for key in [&one, &other] {
                    for message in [None, Some([].as_slice()), Some(&[0; 32]), Some(&[1; 32])] {
                        for extra in [[].as_slice(), &[0], &[0; 32]] {
                            let (secret, nonce) = generate_nonce(randomness, key, &keys, message, extra);
                            assert_eq!(secret.public_key(), key.public_key());
                            seen.insert(nonce);
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!((seen.len(), count), (288, 288));
}

/// Nothing secret can be read from what is printed.
#[test]
fn secrets_do_not_print() {
    let mut entropy = Seed([11; 32]).entropy();
    let key = SecretKey::from_bytes(&[0x5a; 32]).expect("below the order");
    let keys = KeyAggContext::new(Suite::Lotus, &[key.public_key()]).expect("one key");
    let (nonce, _) = generate_nonce(entropy.bytes32(), &key, &keys, None, &[]);
    let scalars = nelumbo_core::crypto::hazmat::scalars_of_nonce(&nonce);
    let mut printed = format!("{key:?} {key:#?} {nonce:?} {nonce:#?} {entropy:?}");
    printed += &format!("{:?}", wif::decode(&wif::encode(&key, Network::Regtest, true)));
    let signer = SoftwareSigner::new(key, entropy);
    printed += &format!("{signer:?} {signer:#?}");
    let printed = printed.to_lowercase();
    assert!(printed.contains(&signer.public_key().to_string()[..12]), "the public key is shown: {printed}");
    for secret in [&[0x5a; 32], &scalars[0], &scalars[1]] {
        for window in secret.windows(3) {
            assert!(!printed.contains(&hex::encode(window)), "{printed}");
        }
    }
    assert!(!printed.contains("90, 90"), "{printed}");
}

#[test]
fn entropy_is_one_stream_of_bytes() {
    fn property(seed: Seed, sizes: Vec<u8>) -> bool {
        let total: usize = sizes.iter().map(|size| usize::from(*size)).sum();
        let mut whole = vec![0; total];
        seed.entropy().fill(&mut whole);
        let mut pieces = seed.entropy();
        let mut joined = Vec::new();
        for size in sizes {
            let mut piece = vec![0; usize::from(size)];
            pieces.fill(&mut piece);
            joined.extend(piece);
        }
        assert_eq!(joined, whole);
        true
    }
    QuickCheck::new().tests(64).quickcheck(property as fn(Seed, Vec<u8>) -> bool);
}

#[test]
fn entropy_streams_share_nothing() {
    assert_eq!(Entropy::new([0; 32]).expect_err("a failed source"), EntropyError::AllZero);
    let mut root = Entropy::new([1; 32]).expect("a seed");
    let mut seen = BTreeSet::new();
    let mut early = root.stream("a");
    for _ in 0..100 {
        assert!(seen.insert(root.bytes32()));
    }
    let mut late = root.stream("a");
    for _ in 0..100 {
        let bytes = early.bytes32();
        assert_eq!(late.bytes32(), bytes, "a stream depends on its label, not on what was read before");
        assert!(seen.insert(bytes));
    }
    for (mut stream, name) in [(root.stream("b"), "b"), (root.stream(""), ""), (root.stream("a").stream("a"), "a/a")] {
        for _ in 0..100 {
            assert!(seen.insert(stream.bytes32()), "{name}");
        }
    }
    let mut other = Entropy::new([2; 32]).expect("a seed");
    assert!(seen.insert(other.bytes32()));
    // Pinned, so that a seed on record keeps its meaning.
    let first = Entropy::new([1; 32]).expect("a seed").bytes32();
    assert_eq!(hex::encode(first), "e7ad94f594b81111e5e6ac4e45b3f06ade209bb3e0a786e3bd1439110a00079b");
}
