//! Rounds of several signers: the sum verifies, a wrong part is found, and what does not fit together is refused.

use nelumbo_core::crypto::{
    AggregateNonce, CombineError, KeyAggContext, KeyAggError, NonceError, PartialSignature, PublicKey, PublicKeyError,
    PublicNonce, Secp256k1, SecretKey, SigningContext, Suite, Tweak, Verifier, aggregate_nonces, combine, schnorr,
    sort_keys, taproot, verify_partial,
};
use quickcheck::QuickCheck;

use crate::{Round, SUITES, Seed, message_of, tweaks};

/// The sum of the partial signatures is a signature, whatever the order the nonces were summed in; it is one under no
/// other message, key, or suite.
#[test]
fn sessions_of_one_to_eight() {
    fn property(seed: Seed) -> bool {
        let mut entropy = seed.entropy();
        let count = 1 + usize::from(seed.0[1] % 8);
        for suite in SUITES {
            for tweak in tweaks(&mut entropy) {
                let message = entropy.bytes32();
                let round = Round::new(suite, &tweak, count, &message, &mut entropy);
                let key = round.keys.challenge_key();
                for index in 0..count {
                    let (nonce, partial) = (&round.nonces[index], &round.partials[index]);
                    assert!(verify_partial(&round.keys, &round.context, index, nonce, partial));
                }
                let signature = combine(&round.keys, &round.context, &round.partials).expect("honest signers");
                assert!(schnorr::verify(suite, &key, &message, &signature));
                assert!(Secp256k1.verify_final(&round.keys, &message, &signature));

                let mut reversed = round.nonces.clone();
                reversed.reverse();
                assert_eq!(aggregate_nonces(&reversed), Ok(round.context.aggregate_nonce()));

                let other_key = SecretKey::generate(&mut entropy).public_key();
                let other_suite = if suite == Suite::Lotus { Suite::Bip340 } else { Suite::Lotus };
                let mut other_message = message;
                other_message[usize::from(seed.0[2] % 32)] ^= 1 << (seed.0[3] % 8);
                assert!(!schnorr::verify(suite, &key, &other_message, &signature));
                assert!(!schnorr::verify(suite, &other_key, &message, &signature));
                assert!(!schnorr::verify(other_suite, &key, &message, &signature));
                if tweak != Tweak::None {
                    assert!(!schnorr::verify(suite, &round.keys.aggregate_key(), &message, &signature));
                }
            }
        }
        true
    }
    QuickCheck::new().tests(24).quickcheck(property as fn(Seed) -> bool);
}

/// One flipped bit anywhere in a partial signature fails for its signer and for nobody else, and makes no signature.
#[test]
fn a_flipped_bit_is_caught_and_attributed() {
    fn property(seed: Seed, bit: u8) -> bool {
        let mut entropy = seed.entropy();
        let count = 2 + usize::from(seed.0[1] % 7);
        let signer = usize::from(seed.0[2]) % count;
        for suite in SUITES {
            for tweak in tweaks(&mut entropy) {
                let mut round = Round::new(suite, &tweak, count, &entropy.bytes32(), &mut entropy);
                let mut bytes = round.partials[signer].to_bytes();
                bytes[usize::from(bit / 8)] ^= 1 << (bit % 8);
                round.partials[signer] = PartialSignature::from_bytes(bytes);
                let error = combine(&round.keys, &round.context, &round.partials).expect_err("a wrong sum");
                assert!(matches!(error, CombineError::Invalid | CombineError::OutOfRange { .. }));
                assert!(error.culprit().is_none_or(|culprit| culprit == signer));
                let culprits: Vec<_> = (0..count)
                    .filter(|index| {
                        let (nonce, partial) = (&round.nonces[*index], &round.partials[*index]);
                        !verify_partial(&round.keys, &round.context, *index, nonce, partial)
                    })
                    .collect();
                assert_eq!(culprits, [signer]);
            }
        }
        true
    }
    QuickCheck::new().tests(16).quickcheck(property as fn(Seed, u8) -> bool);
}

/// Lotus sorts: every order of the keys gives one aggregate. BIP340 does not, and the sessions' verifier takes one
/// order.
#[test]
fn key_order() {
    fn property(seed: Seed) -> bool {
        let mut entropy = seed.entropy();
        let count = 2 + usize::from(seed.0[1] % 7);
        let mut sorted: Vec<_> = (0..count).map(|_| SecretKey::generate(&mut entropy).public_key()).collect();
        sort_keys(&mut sorted);
        let mut shuffled = sorted.clone();
        for index in (1..count).rev() {
            shuffled.swap(index, usize::from(entropy.bytes32()[0]) % (index + 1));
        }
        if shuffled == sorted {
            shuffled.swap(0, 1);
        }
        let aggregate = |suite, keys: &[PublicKey]| KeyAggContext::new(suite, keys).expect("distinct keys");
        let lotus = aggregate(Suite::Lotus, &shuffled);
        assert_eq!(lotus.keys(), sorted);
        assert_eq!(lotus.aggregate_key(), aggregate(Suite::Lotus, &sorted).aggregate_key());
        let bip340 = aggregate(Suite::Bip340, &shuffled);
        assert_eq!(bip340.keys(), shuffled);
        assert_ne!(bip340.aggregate_key(), aggregate(Suite::Bip340, &sorted).aggregate_key());
        for suite in SUITES {
            let keys = Secp256k1.aggregate_keys(suite, &sorted, &Tweak::None).expect("sorted keys");
            assert_eq!(Secp256k1.aggregate_key(&keys), aggregate(suite, &sorted).aggregate_key());
            let position = shuffled.windows(2).position(|pair| pair[0] > pair[1]).expect("unsorted") + 1;
            let error = Secp256k1.aggregate_keys(suite, &shuffled, &Tweak::None).expect_err("unsorted keys");
            assert_eq!(error, KeyAggError::Unsorted(position));
        }
        true
    }
    QuickCheck::new().tests(32).quickcheck(property as fn(Seed) -> bool);
}

/// Sessions have distinct signers in both suites; BIP327 alone allows a key twice.
#[test]
fn duplicate_keys() {
    let mut entropy = Seed([1; 32]).entropy();
    let [one, other] = [0; 2].map(|_| SecretKey::generate(&mut entropy).public_key());
    for keys in [vec![one, one], vec![one, one, other], vec![other, one, one], vec![one, other, one]] {
        let mut sorted = keys.clone();
        sort_keys(&mut sorted);
        for suite in SUITES {
            let error = Secp256k1.aggregate_keys(suite, &sorted, &Tweak::None).expect_err("a duplicate");
            assert_eq!(error, KeyAggError::DuplicateKey(one));
        }
        let error = KeyAggContext::new(Suite::Lotus, &keys).expect_err("a duplicate");
        assert_eq!(error, KeyAggError::DuplicateKey(one));
        assert!(KeyAggContext::new(Suite::Bip340, &keys).is_ok());
    }
    for suite in SUITES {
        assert_eq!(KeyAggContext::new(suite, &[]).expect_err("no keys"), KeyAggError::Empty);
        let mut bytes = [0; 33];
        bytes[0] = 3;
        let off_curve = PublicKey::from_bytes(bytes).expect("a good prefix");
        assert_eq!(off_curve.validate(), Err(PublicKeyError::NotOnCurve));
        // The position is the one the caller knows, also where the keys are sorted afterwards.
        let error = KeyAggContext::new(suite, &[one, off_curve, other]).expect_err("off the curve");
        assert_eq!(error, KeyAggError::InvalidKey(1));
    }
}

/// A Lotus key takes one Taproot tweak and no other.
#[test]
fn tweaks_of_lotus() {
    let mut entropy = Seed([2; 32]).entropy();
    let key = SecretKey::generate(&mut entropy).public_key();
    let keys = KeyAggContext::new(Suite::Lotus, &[key]).expect("one key");
    let taproot = Tweak::Taproot { merkle_root: None };
    for is_xonly in [false, true] {
        let error = keys.clone().apply_tweak(&[1; 32], is_xonly).expect_err("not of Lotus");
        assert_eq!(error, KeyAggError::TweakUnsupported);
    }
    let tweaked = keys.clone().with_tweak(&taproot).expect("one tweak");
    assert_eq!(taproot::output_key(Suite::Lotus, &keys.aggregate_key(), None), Ok(tweaked.challenge_key()));
    assert_eq!(tweaked.aggregate_key(), keys.aggregate_key());
    assert_eq!(tweaked.with_tweak(&taproot).expect_err("a second tweak"), KeyAggError::TweakUnsupported);

    let keys = KeyAggContext::new(Suite::Bip340, &[key]).expect("one key");
    let tweaked = keys.clone().with_tweak(&taproot).expect("one tweak");
    assert_eq!(taproot::output_key(Suite::Bip340, &keys.aggregate_key(), None), Ok(tweaked.challenge_key()));
}

/// Rounds, nonces and counts that do not belong together are refused on every way in.
#[test]
fn what_does_not_belong_together() {
    let mut entropy = Seed([3; 32]).entropy();
    for suite in SUITES {
        let message = entropy.bytes32();
        let one = Round::new(suite, &Tweak::None, 3, &message, &mut entropy);
        let other = Round::new(suite, &Tweak::None, 3, &message, &mut entropy);
        assert!(!verify_partial(&one.keys, &other.context, 0, &one.nonces[0], &one.partials[0]));
        assert!(!verify_partial(&one.keys, &one.context, 3, &one.nonces[0], &one.partials[0]));
        let error = combine(&one.keys, &other.context, &one.partials).expect_err("another round");
        assert_eq!(error, CombineError::RoundOfOtherKeys);
        let error = combine(&one.keys, &one.context, &one.partials[1..]).expect_err("too few");
        assert_eq!(error, CombineError::Count { expected: 3, found: 2 });
        let error = SigningContext::from_nonces(&one.keys, &one.nonces[1..], &message).expect_err("too few");
        assert_eq!(error, NonceError::Count { expected: 3, found: 2 });
        let mut nonces = one.nonces.clone();
        nonces[1] = PublicNonce::from_bytes([0; 66]);
        let error = SigningContext::from_nonces(&one.keys, &nonces, &message).expect_err("not a nonce");
        assert_eq!((error, error.culprit()), (NonceError::Invalid { signer: 1 }, Some(1)));
        let error = SigningContext::new(&one.keys, &AggregateNonce::from_bytes([5; 66]), &message).expect_err("none");
        assert_eq!(error, NonceError::InvalidAggregate);
    }
    for length in [0, 31, 33] {
        let message = message_of(length, &mut entropy);
        let lotus = Round::new(Suite::Lotus, &Tweak::None, 2, &[0; 32], &mut entropy);
        let error = SigningContext::from_nonces(&lotus.keys, &lotus.nonces, &message).expect_err("not 32 bytes");
        assert_eq!(error, NonceError::MessageLength(length));
        let bip340 = Round::new(Suite::Bip340, &Tweak::None, 2, &message, &mut entropy);
        assert!(combine(&bip340.keys, &bip340.context, &bip340.partials).is_ok());
    }
}
