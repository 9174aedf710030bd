//! Signatures of one signer, and agreement with libsecp256k1.

use nelumbo_core::crypto::{
    KeyAggContext, PartialSignature, PublicKey, PublicNonce, Secp256k1, SecretKey, SecretKeyError, Signature,
    SigningContext, Suite, Tweak, Verifier, aggregate_nonces, combine, generate_nonce, partial_sign, schnorr, taproot,
    verify_partial,
};
use quickcheck::QuickCheck;

use crate::{Round, SUITES, Seed, message_of, tweaks};

/// Signatures of one signer, plain and hedged, verify; hedges change them; nothing else verifies.
#[test]
fn single_signatures() {
    fn property(seed: Seed) -> bool {
        let mut entropy = seed.entropy();
        let (key, other) = (SecretKey::generate(&mut entropy), SecretKey::generate(&mut entropy));
        let (message, hedge) = (entropy.bytes32(), entropy.bytes32());
        for suite in SUITES {
            let plain = schnorr::sign(suite, &key, &message, None).expect("32 bytes");
            let hedged = schnorr::sign(suite, &key, &message, Some(hedge)).expect("32 bytes");
            assert_eq!(schnorr::sign(suite, &key, &message, None), Ok(plain));
            assert_ne!(plain, hedged);
            for signature in [plain, hedged] {
                assert!(schnorr::verify(suite, &key.public_key(), &message, &signature));
                assert!(!schnorr::verify(suite, &other.public_key(), &message, &signature));
                assert!(!schnorr::verify(suite, &key.public_key(), &hedge, &signature));
                let mut flipped = signature.to_bytes();
                flipped[usize::from(seed.0[1] % 64)] ^= 1 << (seed.0[2] % 8);
                let flipped = Signature::from_bytes(flipped);
                assert!(!schnorr::verify(suite, &key.public_key(), &message, &flipped));
            }
            let mut other_parity = key.public_key().to_bytes();
            other_parity[0] ^= 1;
            let other_parity = PublicKey::from_bytes(other_parity).expect("a good prefix");
            // Lotus binds the parity of the key, BIP340 does not know it.
            assert_eq!(schnorr::verify(suite, &other_parity, &message, &plain), suite == Suite::Bip340);
        }
        true
    }
    QuickCheck::new().tests(64).quickcheck(property as fn(Seed) -> bool);
}

/// One Taproot key path, alone: the tweaked secret key signs for the output key.
#[test]
fn single_key_taproot() {
    fn property(seed: Seed) -> bool {
        let mut entropy = seed.entropy();
        let key = SecretKey::generate(&mut entropy);
        let message = entropy.bytes32();
        for suite in SUITES {
            for root in [None, Some(entropy.bytes32())] {
                let tweaked = taproot::tweak_secret_key(suite, &key, root.as_ref()).expect("not zero");
                let output = taproot::output_key(suite, &key.public_key(), root.as_ref()).expect("not infinity");
                assert_eq!(tweaked.public_key(), output);
                let signature = schnorr::sign(suite, &tweaked, &message, None).expect("32 bytes");
                assert!(schnorr::verify(suite, &output, &message, &signature));
            }
        }
        true
    }
    QuickCheck::new().tests(32).quickcheck(property as fn(Seed) -> bool);
}

/// Verification and aggregation answer for every byte string.
#[test]
fn arbitrary_bytes_are_judged() {
    fn property(key: Seed, first: Seed, second: Seed, message: Vec<u8>) -> bool {
        let mut bytes = [2 | key.0[0] & 1; 33];
        bytes[1..].copy_from_slice(&key.0);
        let key = PublicKey::from_bytes(bytes).expect("a good prefix");
        let signature = Signature::from_bytes([first.0, second.0].concat().try_into().expect("64 bytes"));
        for suite in SUITES {
            assert!(!schnorr::verify(suite, &key, &message, &signature));
            let keys = KeyAggContext::new(suite, &[key]);
            assert_eq!(keys.is_ok(), key.validate().is_ok());
        }
        let nonce = PublicNonce::from_bytes([bytes, bytes].concat().try_into().expect("66 bytes"));
        assert_eq!(aggregate_nonces(&[nonce]).is_ok(), key.validate().is_ok());
        true
    }
    QuickCheck::new().tests(100).quickcheck(property as fn(Seed, Seed, Seed, Vec<u8>) -> bool);
}

/// libsecp256k1 accepts what we sign, aggregates included, and we accept what it signs.
#[test]
fn libsecp256k1_agrees_on_bip340() {
    fn property(seed: Seed) -> bool {
        let mut entropy = seed.entropy();
        let theirs =
            |key: &PublicKey| secp256k1::XOnlyPublicKey::from_byte_array(key.x_only()).expect("a point of the curve");
        let accepts = |signature: &Signature, message: &[u8], key: &PublicKey| {
            let signature = secp256k1::schnorr::Signature::from_byte_array(signature.to_bytes());
            secp256k1::schnorr::verify(&signature, message, &theirs(key)).is_ok()
        };
        for length in [0, 32, 77] {
            let message = message_of(length, &mut entropy);
            let key = SecretKey::generate(&mut entropy);
            let signature = schnorr::sign(Suite::Bip340, &key, &message, Some(entropy.bytes32())).expect("any length");
            assert!(accepts(&signature, &message, &key.public_key()));

            let secret = key.expose_secret_bytes_for_storage();
            let pair = secp256k1::Keypair::from_secret_bytes(*secret).expect("a secret key");
            assert_eq!(pair.public_key().serialize(), key.public_key().to_bytes());
            let made = secp256k1::schnorr::sign_with_aux_rand(&message, &pair, &entropy.bytes32());
            let made = Signature::from_bytes(made.to_byte_array());
            assert!(schnorr::verify(Suite::Bip340, &key.public_key(), &message, &made));

            let count = 1 + usize::from(seed.0[1] % 5);
            for tweak in tweaks(&mut entropy) {
                let round = Round::new(Suite::Bip340, &tweak, count, &message, &mut entropy);
                let signature = combine(&round.keys, &round.context, &round.partials).expect("honest signers");
                assert!(accepts(&signature, &message, &round.keys.challenge_key()));
            }
        }
        true
    }
    QuickCheck::new().tests(12).quickcheck(property as fn(Seed) -> bool);
}

/// libsecp256k1's own aggregation of keys gives our aggregate key.
#[test]
fn libsecp256k1_agrees_on_key_aggregation() {
    let mut entropy = Seed([4; 32]).entropy();
    let mut cases = 0;
    for count in 1..=8 {
        let keys: Vec<_> = (0..count).map(|_| SecretKey::generate(&mut entropy).public_key()).collect();
        let theirs: Vec<_> = keys
            .iter()
            .map(|key| secp256k1::PublicKey::from_byte_array_compressed(key.to_bytes()).expect("a point"))
            .collect();
        let theirs: Vec<_> = theirs.iter().collect();
        let aggregate = secp256k1::musig::KeyAggCache::new(&theirs);
        let ours = KeyAggContext::new(Suite::Bip340, &keys).expect("points of the curve");
        assert_eq!(ours.aggregate_key().to_bytes(), aggregate.agg_pk_full().serialize());
        cases += 1;
    }
    assert_eq!(cases, 8);
}

#[test]
fn secret_keys_are_in_range() {
    let order = hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").expect("hexadecimal");
    let order: [u8; 32] = order.try_into().expect("32 bytes");
    let mut below = order;
    below[31] -= 1;
    assert!(SecretKey::from_bytes(&below).is_ok());
    assert_eq!(SecretKey::from_bytes(&order).unwrap_err(), SecretKeyError::TooLarge);
    assert_eq!(SecretKey::from_bytes(&[0xff; 32]).unwrap_err(), SecretKeyError::TooLarge);
    assert_eq!(SecretKey::from_bytes(&[0; 32]).unwrap_err(), SecretKeyError::Zero);
}

/// Rounds in which every other signer is libsecp256k1: each side accepts the other's nonces and partial signatures,
/// both sum up to the same signature.
#[test]
fn rounds_with_libsecp256k1() {
    use secp256k1::musig;

    let mut entropy = Seed([5; 32]).entropy();
    let mut partials_checked = 0;
    for count in 1..=5 {
        for tweak in tweaks(&mut entropy) {
            let message = entropy.bytes32();
            let mut secrets: Vec<_> = (0..count).map(|_| SecretKey::generate(&mut entropy)).collect();
            secrets.sort_by_key(SecretKey::public_key);
            let public: Vec<_> = secrets.iter().map(SecretKey::public_key).collect();
            let keys = Secp256k1.aggregate_keys(Suite::Bip340, &public, &tweak).expect("sorted and distinct");
            let pairs: Vec<_> = secrets
                .iter()
                .map(|key| {
                    secp256k1::Keypair::from_secret_bytes(*key.expose_secret_bytes_for_storage()).expect("a key")
                })
                .collect();
            let theirs: Vec<_> = pairs.iter().map(secp256k1::Keypair::public_key).collect();
            let mut cache = musig::KeyAggCache::new(&theirs.iter().collect::<Vec<_>>());
            if let Tweak::Taproot { merkle_root } = tweak {
                let bytes =
                    taproot::tweak(Suite::Bip340, &keys.aggregate_key(), merkle_root.as_ref()).expect("a tweak");
                let bytes = secp256k1::Scalar::from_be_bytes(bytes).expect("below the order");
                let tweaked = cache.pubkey_xonly_tweak_add(&bytes).expect("not infinity");
                assert_eq!(tweaked.serialize(), keys.challenge_key().to_bytes());
            }

            let (mut ours, mut foreign, mut nonces) = (Vec::new(), Vec::new(), Vec::new());
            for (index, secret) in secrets.iter().enumerate() {
                if index % 2 == 0 {
                    let (nonce, public) = generate_nonce(entropy.bytes32(), secret, &keys, Some(&message), &[]);
                    ours.push((index, nonce));
                    nonces.push(public);
                } else {
                    let random = musig::SessionSecretRand::assume_uniformly_random(entropy.bytes32());
                    let (nonce, public) =
                        cache.nonce_gen_with_uniform_randomness(random, theirs[index], &message, [0; 32]);
                    foreign.push((index, nonce));
                    nonces.push(PublicNonce::from_bytes(public.serialize()));
                }
            }
            let round = SigningContext::from_nonces(&keys, &nonces, &message).expect("honest nonces");
            let sum = musig::AggregatedNonce::from_byte_array(round.aggregate_nonce().as_bytes()).expect("points");
            let session = musig::Session::new(&cache, sum, &message);

            let mut partials = vec![PartialSignature::from_bytes([0; 32]); count];
            for (index, nonce) in ours {
                partials[index] = partial_sign(nonce, &secrets[index], &keys, &round).expect("a signer's own nonce");
            }
            for (index, nonce) in foreign {
                let partial = session.partial_sign(nonce, &pairs[index], &cache);
                partials[index] = PartialSignature::from_bytes(partial.serialize());
            }
            let mut converted = Vec::new();
            for (index, partial) in partials.iter().enumerate() {
                assert!(verify_partial(&keys, &round, index, &nonces[index], partial));
                let partial = musig::PartialSignature::from_byte_array(partial.as_bytes()).expect("in range");
                let nonce = musig::PublicNonce::from_byte_array(nonces[index].as_bytes()).expect("points");
                assert!(session.partial_verify(&cache, &partial, &nonce, theirs[index]));
                converted.push(partial);
                partials_checked += 1;
            }
            let theirs = session.partial_sig_agg(&converted.iter().collect::<Vec<_>>()).assume_valid();
            let signature = combine(&keys, &round, &partials).expect("honest signers");
            assert_eq!(signature.to_bytes(), theirs.to_byte_array());
        }
    }
    assert_eq!(partials_checked, 45);
}
