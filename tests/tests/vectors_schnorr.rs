//! Signatures of one signer against vectors: Lotus (own and lotusd's) and BIP340.

mod vectors_support;

use nelumbo_core::crypto::{PublicKey, PublicKeyError, SecretKey, Signature, Suite, schnorr};
use vectors_support::{array, bytes, flag, list, load, public_key, secret_key, signature, text, unhex};

/// `schnorr.json`, `sign`: the derived nonce gives exactly this signature.
#[test]
fn lotus_signs_as_the_chain_does() {
    let file = load("schnorr.json");
    let mut cases = 0;
    for case in list(&file, "sign") {
        let comment = text(case, "comment");
        let key = secret_key(&case["seckey"]);
        let message: [u8; 32] = array(case, "msg");
        assert_eq!(key.public_key(), public_key(&case["pubkey"]), "{comment}");
        let made = schnorr::sign(Suite::Lotus, &key, &message, None).expect(comment);
        assert_eq!(made, signature(&case["sig"]), "{comment}");
        assert!(schnorr::verify(Suite::Lotus, &key.public_key(), &message, &made), "{comment}");
        cases += 1;
    }
    assert_eq!(cases, 15);
}

/// `schnorr.json`, `verify`. Our types hold neither signatures of another length nor uncompressed keys: the first are
/// refused when they are taken in, and so are the second, whose compressed form must then verify.
#[test]
fn lotus_verifies_what_the_chain_accepts_and_nothing_else() {
    let file = load("schnorr.json");
    let (mut accepted, mut refused, mut wrong_length, mut uncompressed) = (0, 0, 0, 0);
    for case in list(&file, "verify") {
        let comment = text(case, "comment");
        let valid = flag(case, "valid");
        let message = bytes(case, "msg");
        let Ok(signature) = bytes(case, "sig").try_into().map(Signature::from_bytes) else {
            assert!(!valid, "{comment}");
            wrong_length += 1;
            continue;
        };
        let key = match PublicKey::from_slice(&bytes(case, "pubkey")) {
            Ok(key) => key,
            Err(error) => {
                assert_eq!(error, PublicKeyError::Length(65), "{comment}");
                uncompressed += 1;
                compressed(&bytes(case, "pubkey"))
            }
        };
        assert_eq!(schnorr::verify(Suite::Lotus, &key, &message, &signature), valid, "{comment}");
        if valid { accepted += 1 } else { refused += 1 }
    }
    assert_eq!((accepted, refused, wrong_length, uncompressed), (11, 21, 2, 1));
}

fn compressed(key: &[u8]) -> PublicKey {
    assert_eq!(key[0], 4);
    let mut compressed = [2 | key[64] & 1; 33];
    compressed[1..].copy_from_slice(&key[1..33]);
    PublicKey::from_bytes(compressed).expect("a good prefix")
}

/// `external/lotusd_bch_schnorr.json`: the consensus code's own vectors.
#[test]
fn lotus_agrees_with_lotusd() {
    let file = load("external/lotusd_bch_schnorr.json");
    let (mut accepted, mut refused) = (0, 0);
    for case in list(&file, "cases") {
        let comment = text(case, "comment");
        let (key, message, signature) = (public_key(&case["pubkey"]), bytes(case, "msg"), signature(&case["sig"]));
        let result = schnorr::verify(Suite::Lotus, &key, &message, &signature);
        assert_eq!(result, flag(case, "valid"), "{comment}");
        if result { accepted += 1 } else { refused += 1 }
    }
    assert_eq!((accepted, refused), (5, 8));
}

/// `external/bip340/test-vectors.csv`, all 19. The prefix we put before an x-only key must not matter.
#[test]
fn bip340_official_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/external/bip340/test-vectors.csv");
    let file = std::fs::read_to_string(path).expect(path);
    let (mut signed, mut accepted, mut refused) = (0, 0, 0);
    for line in file.lines().skip(1) {
        let fields: Vec<&str> = line.splitn(8, ',').collect();
        let [index, secret, x, aux, message, expected, result, _comment] = fields[..] else { panic!("{line}") };
        let [secret, x, aux, message, expected] = [secret, x, aux, message, expected].map(|field| unhex(&field.into()));
        let expected = Signature::from_bytes(expected.try_into().expect(index));
        let valid = result == "TRUE";
        for prefix in [2, 3] {
            let mut encoded = [prefix; 33];
            encoded[1..].copy_from_slice(&x);
            let key = PublicKey::from_bytes(encoded).expect(index);
            assert_eq!(schnorr::verify(Suite::Bip340, &key, &message, &expected), valid, "vector {index}");
        }
        if valid {
            accepted += 1
        } else {
            refused += 1
        }
        if !secret.is_empty() {
            let key = SecretKey::from_bytes(&secret.try_into().expect(index)).expect(index);
            assert_eq!(key.public_key().x_only().as_slice(), x, "vector {index}");
            let aux: [u8; 32] = aux.try_into().expect(index);
            let made = schnorr::sign(Suite::Bip340, &key, &message, Some(aux)).expect(index);
            assert_eq!(made, expected, "vector {index}");
            if aux == [0; 32] {
                assert_eq!(schnorr::sign(Suite::Bip340, &key, &message, None), Ok(expected), "vector {index}");
            }
            signed += 1;
        }
    }
    assert_eq!((signed, accepted, refused), (8, 9, 10));
}

/// Lotus signs digests: any other length is an error when signing and never valid.
#[test]
fn lotus_takes_messages_of_32_bytes_only() {
    let key = SecretKey::from_bytes(&[7; 32]).expect("below the order");
    let mut lengths = 0;
    for length in (0..=100).filter(|length| *length != 32) {
        let message = vec![5; length];
        let error = schnorr::sign(Suite::Lotus, &key, &message, None).expect_err("a wrong length");
        assert_eq!(error, schnorr::MessageLengthError(length));
        let bip340 = schnorr::sign(Suite::Bip340, &key, &message, None).expect("BIP340 takes any length");
        assert!(!schnorr::verify(Suite::Lotus, &key.public_key(), &message, &bip340));
        lengths += 1;
    }
    assert_eq!(lengths, 100);
}
