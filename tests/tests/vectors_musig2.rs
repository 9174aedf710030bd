//! MuSig2 of Lotus against vectors: key aggregation, whole sessions, and the nonce function not to use.

mod vectors_support;

use nelumbo_core::crypto::{
    KeyAggContext, KeyAggError, NonceError, PartialSignature, PublicNonce, Secp256k1, SecretNonce, SigningContext,
    Suite, Tweak, Verifier, aggregate_nonces, combine, generate_nonce, hazmat, partial_sign, schnorr, tagged_hash,
    verify_partial,
};
use serde_json::Value;
use vectors_support::{array, bytes, flag, list, load, public_key, public_keys, secret_key, signature, text, unhex};

/// `keyagg.json`. Cases with duplicate keys are in the file as information about the reference implementation; here
/// they are refused.
#[test]
fn key_aggregation() {
    let file = load("keyagg.json");
    let (mut aggregated, mut duplicates) = (0, 0);
    for case in list(&file, "cases") {
        let comment = text(case, "comment");
        let given = public_keys(case, "pubkeys_in");
        if comment.starts_with("DUPLICATE KEYS") {
            let error = KeyAggContext::new(Suite::Lotus, &given).expect_err(comment);
            assert!(matches!(error, KeyAggError::DuplicateKey(key) if given.contains(&key)), "{comment}: {error}");
            duplicates += 1;
            continue;
        }
        let keys = KeyAggContext::new(Suite::Lotus, &given).expect(comment);
        assert_eq!(keys.keys(), public_keys(case, "pubkeys_sorted"), "{comment}");
        assert_eq!(coefficients(&keys), strings(case, "coefficients_by_sorted_index"), "{comment}");
        assert_eq!(keys.aggregate_key(), public_key(&case["aggregate_pubkey"]), "{comment}");
        assert_eq!(keys.challenge_key(), keys.aggregate_key(), "{comment}");
        aggregated += 1;
    }
    assert_eq!((aggregated, duplicates), (9, 4));
}

#[test]
fn plain_sessions() {
    assert_eq!(sessions("musig2_sessions.json"), (8, 28));
}

#[test]
fn taproot_sessions() {
    assert_eq!(sessions("musig2_taproot_sessions.json"), (7, 24));
}

/// All 16 combinations of the parities of Q, C and R and of the quadratic residue.
#[test]
fn taproot_parity_matrix() {
    assert_eq!(sessions("musig2_taproot_parity_matrix.json"), (16, 64));
}

/// Runs every session of a file through both interfaces; counts sessions and negative partial signatures.
fn sessions(path: &str) -> (usize, usize) {
    let file = load(path);
    let (mut cases, mut negatives) = (0, 0);
    for case in list(&file, "cases") {
        negatives += session(case);
        cases += 1;
    }
    (cases, negatives)
}

fn session(case: &Value) -> usize {
    let comment = text(case, "comment");
    let keys = KeyAggContext::new(Suite::Lotus, &public_keys(case, "pubkeys_in")).expect(comment);
    assert_eq!(keys.keys(), public_keys(case, "pubkeys_sorted"), "{comment}");
    assert_eq!(coefficients(&keys), strings(case, "coefficients_by_sorted_index"), "{comment}");
    assert_eq!(keys.aggregate_key(), public_key(&case["aggregate_pubkey"]), "{comment}");
    let tweak = tweak(case);
    let keys = keys.with_tweak(&tweak).expect(comment);
    assert_eq!(keys.challenge_key(), public_key(&case["challenge_key"]), "{comment}");

    let message: [u8; 32] = array(case, "msg");
    let (secret_nonces, nonces): (Vec<_>, Vec<_>) = nonces(case, keys.keys()).into_iter().unzip();
    let published: Vec<_> = list(case, "pubnonces_by_sorted_index").iter().map(joined).collect();
    assert_eq!(nonces.iter().map(|nonce| nonce.as_bytes().to_vec()).collect::<Vec<_>>(), published, "{comment}");
    let sum = aggregate_nonces(&nonces).expect(comment);
    assert_eq!(sum.as_bytes().to_vec(), joined(&case["aggnonce"]), "{comment}");
    let round = SigningContext::new(&keys, &sum, &message).expect(comment);
    assert_eq!(hex::encode(round.nonce_coefficient()), text(case, "b"), "{comment}");
    assert_eq!(hex::encode(round.challenge()), text(case, "e"), "{comment}");
    assert_eq!(hex::encode(round.signature_nonce()), text(case, "R")[2..], "{comment}");

    let mut partials = Vec::new();
    for (secret, nonce) in list(case, "seckeys_by_sorted_index").iter().zip(secret_nonces) {
        partials.push(partial_sign(nonce, &secret_key(secret), &keys, &round).expect(comment));
    }
    assert_eq!(
        partials.iter().map(ToString::to_string).collect::<Vec<_>>(),
        strings(case, "partial_sigs_by_sorted_index")
    );
    for (index, partial) in partials.iter().enumerate() {
        assert!(verify_partial(&keys, &round, index, &nonces[index], partial), "{comment}: signer {index}");
    }
    assert!(flag(case, "final_valid"), "{comment}");
    assert_eq!(combine(&keys, &round, &partials), Ok(signature(&case["sig"])), "{comment}");
    assert_eq!(text(case, "sig")[64..], *text(case, "s"), "{comment}");
    verifier_agrees(case, &tweak, &nonces, &message, &partials);

    let negatives = case["negative_partials"].as_array().expect(comment);
    for negative in negatives {
        let reason = text(negative, "comment");
        assert!(!flag(negative, "valid"), "{comment}: {reason}");
        let signer = usize::try_from(vectors_support::number(negative, "signer")).expect(reason);
        let partial = PartialSignature::from_bytes(array(negative, "partial_sig"));
        // One kind of case is a right signature under another signer's nonce; it would make a valid signature.
        let nonce_of = negative["nonce_of"].as_u64().map(|index| usize::try_from(index).expect(reason));
        let nonce = nonces[nonce_of.unwrap_or(signer)];
        assert!(!verify_partial(&keys, &round, signer, &nonce, &partial), "{comment}: {reason}");
        if nonce_of.is_some() {
            continue;
        }
        let mut wrong = partials.clone();
        wrong[signer] = partial;
        assert!(combine(&keys, &round, &wrong).is_err(), "{comment}: {reason}");
    }
    negatives.len()
}

/// The trait the machines use gives the same answers.
fn verifier_agrees(case: &Value, tweak: &Tweak, nonces: &[PublicNonce], message: &[u8], partials: &[PartialSignature]) {
    let comment = text(case, "comment");
    let sorted = public_keys(case, "pubkeys_sorted");
    let keys = Secp256k1.aggregate_keys(Suite::Lotus, &sorted, tweak).expect(comment);
    assert_eq!(Secp256k1.aggregate_key(&keys), public_key(&case["aggregate_pubkey"]));
    assert_eq!(Secp256k1.challenge_key(&keys), public_key(&case["challenge_key"]));
    let round = Secp256k1.open_round(&keys, nonces, message).expect(comment);
    for (index, partial) in partials.iter().enumerate() {
        assert!(Secp256k1.verify_partial(&keys, &round, index, &nonces[index], partial), "{comment}: signer {index}");
    }
    let made = Secp256k1.combine(&keys, &round, partials).expect(comment);
    assert_eq!(made, signature(&case["sig"]), "{comment}");
    assert!(Secp256k1.verify_final(&keys, message, &made), "{comment}");
    assert!(schnorr::verify(Suite::Lotus, &keys.challenge_key(), message, &made), "{comment}");
    let reversed: Vec<_> = sorted.iter().rev().copied().collect();
    if reversed.len() > 1 {
        let error = Secp256k1.aggregate_keys(Suite::Lotus, &reversed, tweak).expect_err("unsorted");
        assert_eq!(error, KeyAggError::Unsorted(1), "{comment}");
    }
}

fn tweak(case: &Value) -> Tweak {
    match &case["taproot"] {
        Value::Null => Tweak::None,
        taproot => match array(taproot, "merkle_root") {
            // The vectors write the absence of scripts as the 32 zero bytes that Lotus hashes for it.
            root if root == [0; 32] => Tweak::Taproot { merkle_root: None },
            root => Tweak::Taproot { merkle_root: Some(root) },
        },
    }
}

fn nonces(case: &Value, keys: &[nelumbo_core::crypto::PublicKey]) -> Vec<(SecretNonce, PublicNonce)> {
    let pairs = list(case, "secnonces_by_sorted_index");
    assert_eq!(pairs.len(), keys.len());
    let pair = |(pair, key): (&Value, &_)| {
        let scalars = [array(pair, 0), array(pair, 1)];
        hazmat::nonce_from_given_scalars([&scalars[0], &scalars[1]], *key).expect("scalars in range")
    };
    fn array(pair: &Value, index: usize) -> [u8; 32] {
        vectors_support::unhex_array(&pair[index])
    }
    pairs.iter().zip(keys).map(pair).collect()
}

fn joined(pair: &Value) -> Vec<u8> {
    [unhex(&pair[0]), unhex(&pair[1])].concat()
}

fn coefficients(keys: &KeyAggContext) -> Vec<String> {
    keys.coefficients().iter().map(hex::encode).collect()
}

fn strings(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().map(|text| text.as_str().expect(key).to_owned()).collect()
}

/// `sdk_noncegen_DO_NOT_USE.json`: the reference implementation's derivation, rebuilt here to recognise it, is not ours
/// under any input it can take.
#[test]
fn our_nonces_are_not_the_derived_ones_of_the_reference() {
    let file = load("sdk_noncegen_DO_NOT_USE.json");
    let mut cases = 0;
    for case in list(&file, "cases") {
        let secret = secret_key(&case["seckey"]);
        let optional = |key: &str| if case[key].is_null() { vec![0; 32] } else { bytes(case, key) };
        let (message, extra) = (optional("msg"), optional("extra_input"));
        let aux = tagged_hash(
            "MuSig/aux",
            &[&*secret.expose_secret_bytes_for_storage(), &bytes(case, "aggregate_pubkey"), &message, &extra],
        );
        let derived = [1, 2].map(|index| tagged_hash("MuSig/nonce", &[&aux, &[index]]));
        assert_eq!(derived.map(hex::encode), [text(case, "k1"), text(case, "k2")]);
        let (_, theirs) = hazmat::nonce_from_given_scalars([&derived[0], &derived[1]], secret.public_key())
            .expect("scalars in range");
        assert_eq!(theirs.as_bytes().to_vec(), [bytes(case, "R1"), bytes(case, "R2")].concat());

        let keys = KeyAggContext::new(Suite::Lotus, &[secret.public_key()]).expect("one key");
        let message = (!case["msg"].is_null()).then_some(message.as_slice());
        let given: &[u8] = if case["extra_input"].is_null() { &[] } else { &extra };
        for randomness in [[0; 32], aux, derived[0], derived[1]] {
            let (secret_nonce, ours) = generate_nonce(randomness, &secret, &keys, message, given);
            assert_ne!(ours, theirs);
            let scalars = hazmat::scalars_of_nonce(&secret_nonce);
            assert!(scalars.iter().all(|scalar| !derived.contains(scalar)));
        }
        cases += 1;
    }
    assert_eq!(cases, 4);
}

/// Section 7, number 8: nonces that cancel out are an error without a culprit, in either half or in R.
#[test]
fn lotus_refuses_infinity() {
    let secret = nelumbo_core::crypto::SecretKey::from_bytes(&[9; 32]).expect("below the order");
    let keys = KeyAggContext::new(Suite::Lotus, &[secret.public_key()]).expect("one key");
    let point = secret.public_key().to_bytes();
    for halves in [[[0; 33], point], [point, [0; 33]], [[0; 33], [0; 33]]] {
        let sum = nelumbo_core::crypto::AggregateNonce::from_bytes(halves.concat().try_into().expect("66 bytes"));
        let error = SigningContext::new(&keys, &sum, &[1; 32]).expect_err("infinity");
        assert_eq!(error, NonceError::Infinity);
        assert_eq!(error.culprit(), None);
    }
}
