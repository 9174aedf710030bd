//! Batches against single checks: whoever is wrong is found, and nobody else.

use alloc::vec::Vec;

use quickcheck::QuickCheck;

use super::*;
use crate::Entropy;

const SUITES: [Suite; 2] = [Suite::Lotus, Suite::Bip340];

fn entropy(seed: u64) -> Entropy {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Entropy::new(bytes).expect("not all zero")
}

struct Round {
    keys: KeyAggContext,
    round: SigningContext,
    nonces: Vec<PublicNonce>,
    partials: Vec<PartialSignature>,
}

fn round(suite: Suite, count: usize, tweak: &Tweak, entropy: &mut Entropy) -> Round {
    let mut secrets: Vec<_> = (0..count).map(|_| SecretKey::generate(entropy)).collect();
    secrets.sort_by_key(SecretKey::public_key);
    let public: Vec<_> = secrets.iter().map(SecretKey::public_key).collect();
    let keys = Secp256k1.aggregate_keys(suite, &public, tweak).expect("sorted and distinct");
    let message = entropy.bytes32();
    let draw = |secret| generate_nonce(entropy.bytes32(), secret, &keys, Some(&message), &[]);
    let (secret_nonces, nonces): (Vec<_>, Vec<_>) = secrets.iter().map(draw).unzip();
    let round = SigningContext::from_nonces(&keys, &nonces, &message).expect("honest nonces");
    let pairs = secret_nonces.into_iter().zip(&secrets);
    let partials = pairs.map(|(nonce, secret)| partial_sign(nonce, secret, &keys, &round).expect("its own")).collect();
    Round { keys, round, nonces, partials }
}

/// Spoils a partial signature in one of four ways.
fn spoil(case: &mut Round, index: usize, how: usize) {
    let mut bytes = case.partials[index].to_bytes();
    match how % 4 {
        0 => bytes = [0xff; 32],
        1 => bytes[31] ^= 1,
        2 => bytes = case.partials[(index + 1) % case.partials.len()].to_bytes(),
        _ => case.nonces[index] = PublicNonce::from_bytes([2; 66]),
    }
    case.partials[index] = PartialSignature::from_bytes(bytes);
}

fn check_culprits(case: &Round, wrong: &[usize], entropy: &mut Entropy) {
    let Round { keys, round, nonces, partials } = case;
    let one_by_one: Vec<_> = (0..partials.len())
        .filter(|index| !verify_partial(keys, round, *index, &nonces[*index], &partials[*index]))
        .collect();
    assert_eq!(one_by_one, wrong);
    assert_eq!(culprits(keys, round, nonces, partials, &entropy.bytes32()), wrong);
    assert_eq!(verify_partials(keys, round, nonces, partials, &entropy.bytes32()), wrong.is_empty());
}

#[test]
fn culprits_of_small_rounds() {
    fn property(seed: u64, count: u8, how: usize) -> bool {
        let mut entropy = entropy(seed);
        let count = usize::from(count % 9) + 2;
        for suite in SUITES {
            for tweak in [Tweak::None, Tweak::Taproot { merkle_root: Some([7; 32]) }] {
                let mut case = round(suite, count, &tweak, &mut entropy);
                check_culprits(&case, &[], &mut entropy);
                let wrong = how % count;
                spoil(&mut case, wrong, how / 16);
                check_culprits(&case, &[wrong], &mut entropy);
                let other = (wrong + 1) % count;
                spoil(&mut case, other, 1);
                let mut both = [wrong, other];
                both.sort_unstable();
                check_culprits(&case, &both, &mut entropy);
            }
        }
        true
    }
    let cases = if cfg!(debug_assertions) { 4 } else { 200 };
    QuickCheck::new().tests(cases).quickcheck(property as fn(u64, u8, usize) -> bool);
}

/// Two errors that cancel out in the plain sum do not in the weighted one.
#[test]
fn errors_that_cancel_out_are_found() {
    let mut entropy = entropy(1);
    for suite in SUITES {
        let mut case = round(suite, 3, &Tweak::None, &mut entropy);
        let scalar = |bytes: [u8; 32]| group::PublicScalar::from_bytes(bytes).expect("in range");
        let [first, third] = [0, 2].map(|index| scalar(case.partials[index].to_bytes()));
        case.partials[0] = PartialSignature::from_bytes((first + group::PublicScalar::ONE).to_bytes());
        case.partials[2] = PartialSignature::from_bytes((third - group::PublicScalar::ONE).to_bytes());
        combine(&case.keys, &case.round, &case.partials).expect("the sum is that of honest signers");
        check_culprits(&case, &[0, 2], &mut entropy);
    }
}

#[test]
fn culprits_of_large_rounds() {
    let mut entropy = entropy(2);
    let count = if cfg!(debug_assertions) { 104 } else { 300 };
    for suite in SUITES {
        let mut case = round(suite, count, &Tweak::Taproot { merkle_root: None }, &mut entropy);
        check_culprits(&case, &[], &mut entropy);
        for (how, index) in [(1, 0), (2, 41), (0, 42), (3, 77), (1, count - 1)] {
            spoil(&mut case, index, how);
        }
        check_culprits(&case, &[0, 41, 42, 77, count - 1], &mut entropy);
    }
    let large = round(Suite::Bip340, count, &Tweak::None, &mut entropy);
    assert!(!verify_partials(&large.keys, &large.round, &large.nonces[1..], &large.partials[1..], &[0; 32]));
}

#[test]
fn many_signatures() {
    fn property(seed: u64, count: u8, wrong: Vec<u8>) -> bool {
        let mut entropy = entropy(seed);
        let keys: Vec<_> = (0..1 + count / 2).map(|_| SecretKey::generate(&mut entropy)).collect();
        let messages: Vec<_> = (0..count).map(|_| entropy.bytes32()).collect();
        for suite in SUITES {
            let mut items: Vec<_> = messages
                .iter()
                .zip(keys.iter().cycle())
                .map(|(message, key)| {
                    let signature = schnorr::sign(suite, key, message, None).expect("32 bytes");
                    Signed { key: key.public_key(), message, signature }
                })
                .collect();
            assert!(verify_many(suite, &items, &[0; 32]).iter().all(|valid| *valid));
            for choice in &wrong {
                let Some(item) = items.get_mut(usize::from(*choice) * 3 % usize::from(count.max(1))) else { break };
                let mut bytes = item.signature.to_bytes();
                match choice % 4 {
                    0 => bytes[usize::from(choice / 4)] ^= 4,
                    1 => bytes[32..].fill(0xff),
                    2 => item.key = PublicKey::from_bytes([2; 33]).expect("a prefix"),
                    _ => item.message = &[9; 32],
                }
                item.signature = Signature::from_bytes(bytes);
            }
            let single: Vec<_> =
                items.iter().map(|item| schnorr::verify(suite, &item.key, item.message, &item.signature)).collect();
            assert_eq!(verify_many(suite, &items, &entropy.bytes32()), single);
            for (item, valid) in items.iter().zip(&single) {
                let prepared = schnorr::PreparedKey::new(suite, &item.key);
                assert_eq!(prepared.is_some_and(|key| key.verify(item.message, &item.signature)), *valid);
            }
        }
        true
    }
    let cases = if cfg!(debug_assertions) { 4 } else { 100 };
    QuickCheck::new().tests(cases).quickcheck(property as fn(u64, u8, Vec<u8>) -> bool);
    assert!(verify_many(Suite::Lotus, &[], &[0; 32]).is_empty());
}
