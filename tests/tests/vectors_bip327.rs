//! The official BIP327 vectors, all of them.

mod vectors_support;

use nelumbo_core::crypto::hazmat::{self, DeterministicSignError, NonceInput};
use nelumbo_core::crypto::{
    AggregateNonce, CombineError, KeyAggContext, KeyAggError, NonceError, PartialSignature, PublicKey, PublicKeyError,
    PublicNonce, SecretNonce, SignError, SigningContext, Suite, aggregate_nonces, combine, partial_sign, schnorr,
    sort_keys, verify_partial,
};
use serde_json::Value;
use vectors_support::{
    array, bytes, list, load, number, public_key, public_keys, secret_key, text, unhex, unhex_array,
};

fn file(name: &str) -> Value {
    load(&format!("external/bip327/{name}_vectors.json"))
}

/// The elements of `values` that a case names by their positions.
fn chosen<'a>(file: &'a Value, values: &str, case: &Value, indices: &str) -> Vec<&'a Value> {
    let all = list(file, values);
    let indices = case[indices].as_array().expect(indices);
    indices.iter().map(|index| &all[usize::try_from(index.as_u64().expect("an index")).expect("small")]).collect()
}

fn position(case: &Value, key: &str) -> usize {
    usize::try_from(number(case, key)).expect("small")
}

/// What a case's `error` says about its culprit.
fn culprit(case: &Value) -> (Option<usize>, &str) {
    let error = &case["error"];
    let signer = error["signer"].as_u64().map(|signer| usize::try_from(signer).expect("small"));
    (signer, error["contrib"].as_str().unwrap_or("value"))
}

/// Why the keys of a case do not make a context.
#[derive(Debug, PartialEq, Eq)]
enum KeyFailure {
    Decoding(usize, PublicKeyError),
    Aggregation(KeyAggError),
}

/// Decodes, aggregates, and applies the tweaks.
fn aggregate(keys: &[&Value], tweaks: &[[u8; 32]], is_xonly: &[bool]) -> Result<KeyAggContext, KeyFailure> {
    let mut decoded = Vec::new();
    for (signer, key) in keys.iter().enumerate() {
        decoded.push(PublicKey::from_slice(&unhex(key)).map_err(|error| KeyFailure::Decoding(signer, error))?);
    }
    let context = KeyAggContext::new(Suite::Bip340, &decoded).map_err(KeyFailure::Aggregation)?;
    assert_eq!(tweaks.len(), is_xonly.len());
    tweaks
        .iter()
        .zip(is_xonly)
        .try_fold(context, |context, (tweak, is_xonly)| context.apply_tweak(tweak, *is_xonly))
        .map_err(KeyFailure::Aggregation)
}

fn case_keys(file: &Value, case: &Value) -> Result<KeyAggContext, KeyFailure> {
    let tweaks: Vec<_> = match case.get("tweaks") {
        Some(tweaks) => tweaks.as_array().expect("a list").iter().map(unhex_array).collect(),
        None if case.get("tweak_indices").is_some() => {
            chosen(file, "tweaks", case, "tweak_indices").into_iter().map(unhex_array).collect()
        }
        None => Vec::new(),
    };
    let is_xonly: Vec<bool> = match case.get("is_xonly") {
        Some(flags) => flags.as_array().expect("a list").iter().map(|flag| flag.as_bool().expect("a flag")).collect(),
        None => Vec::new(),
    };
    aggregate(&chosen(file, "pubkeys", case, "key_indices"), &tweaks, &is_xonly)
}

fn secret_nonce(encoded: &Value) -> Option<SecretNonce> {
    let encoded = unhex(encoded);
    let (scalars, key) = encoded.split_at(64);
    let first = scalars[..32].try_into().expect("32 bytes");
    let second = scalars[32..].try_into().expect("32 bytes");
    let key = PublicKey::from_slice(key).expect("a key");
    hazmat::nonce_from_given_scalars([&first, &second], key).map(|(nonce, _)| nonce)
}

fn public_nonce(value: &Value) -> PublicNonce {
    PublicNonce::from_bytes(unhex_array(value))
}

#[test]
fn key_sort() {
    let file = file("key_sort");
    let mut keys = public_keys(&file, "pubkeys");
    sort_keys(&mut keys);
    assert_eq!(keys, public_keys(&file, "sorted_pubkeys"));
    assert!(keys.len() > 1);
}

#[test]
fn key_agg() {
    let file = file("key_agg");
    let (mut valid, mut errors) = (0, 0);
    for case in list(&file, "valid_test_cases") {
        let keys = case_keys(&file, case).expect("valid keys");
        assert_eq!(keys.challenge_key().x_only(), array(case, "expected"));
        valid += 1;
    }
    for case in list(&file, "error_test_cases") {
        let comment = text(case, "comment");
        let found = case_keys(&file, case).expect_err(comment);
        let expected = match (culprit(case), text(&case["error"], "type"), case["error"]["message"].as_str()) {
            ((Some(0), "pubkey"), _, _) => KeyFailure::Decoding(0, PublicKeyError::Prefix(4)),
            ((Some(signer), "pubkey"), _, _) => KeyFailure::Aggregation(KeyAggError::InvalidKey(signer)),
            (_, "value", Some("The tweak must be less than n.")) => KeyFailure::Aggregation(KeyAggError::TweakTooLarge),
            (_, "value", Some(message)) => {
                assert_eq!(message, "The result of tweaking cannot be infinity.");
                KeyFailure::Aggregation(KeyAggError::Infinity)
            }
            other => panic!("{comment}: {other:?}"),
        };
        assert_eq!(found, expected, "{comment}");
        errors += 1;
    }
    assert_eq!((valid, errors), (4, 5));
}

#[test]
fn nonce_gen() {
    let file = file("nonce_gen");
    let mut cases = 0;
    for case in list(&file, "test_cases") {
        let optional = |key: &str| case[key].as_str().map(|_| bytes(case, key));
        let (secret, aggregate, message, extra) =
            (optional("sk"), optional("aggpk"), optional("msg"), optional("extra_in"));
        let secret: Option<[u8; 32]> = secret.map(|secret| secret.try_into().expect("32 bytes"));
        let (nonce, public) = hazmat::nonce_from_given_randomness(&NonceInput {
            randomness: &array(case, "rand_"),
            secret_key: secret.as_ref(),
            public_key: public_key(&case["pk"]),
            aggregate_key: aggregate.as_deref().unwrap_or(&[]),
            message: message.as_deref(),
            extra: extra.as_deref().unwrap_or(&[]),
        });
        let mut encoded = hazmat::scalars_of_nonce(&nonce).concat();
        encoded.extend_from_slice(nonce.public_key().as_bytes());
        assert_eq!(encoded, bytes(case, "expected_secnonce"));
        assert_eq!(public.as_bytes().to_vec(), bytes(case, "expected_pubnonce"));
        cases += 1;
    }
    assert_eq!(cases, 4);
}

#[test]
fn nonce_agg() {
    let file = file("nonce_agg");
    let nonces = |case: &Value| -> Vec<_> {
        chosen(&file, "pnonces", case, "pnonce_indices").into_iter().map(public_nonce).collect()
    };
    let (mut valid, mut errors) = (0, 0);
    for case in list(&file, "valid_test_cases") {
        let sum = aggregate_nonces(&nonces(case)).expect("valid nonces");
        assert_eq!(sum.as_bytes().to_vec(), bytes(case, "expected"));
        valid += 1;
    }
    for case in list(&file, "error_test_cases") {
        let error = aggregate_nonces(&nonces(case)).expect_err(text(case, "comment"));
        assert_eq!((error.culprit(), "pubnonce"), culprit(case));
        errors += 1;
    }
    assert_eq!((valid, errors), (2, 3));
}

#[test]
fn sign_and_verify() {
    let file = file("sign_verify");
    let secret = secret_key(&file["sk"]);
    let message = |case: &Value| unhex(&list(&file, "msgs")[position(case, "msg_index")]);
    let mut cases = [0; 4];
    for case in list(&file, "valid_test_cases") {
        let keys = case_keys(&file, case).expect("valid keys");
        let nonces: Vec<_> = chosen(&file, "pnonces", case, "nonce_indices").into_iter().map(public_nonce).collect();
        let sum = aggregate_nonces(&nonces).expect("valid nonces");
        assert_eq!(sum.as_bytes().to_vec(), unhex(&list(&file, "aggnonces")[position(case, "aggnonce_index")]));
        let round = SigningContext::new(&keys, &sum, &message(case)).expect("a round");
        let nonce = secret_nonce(&list(&file, "secnonces")[0]).expect("a nonce");
        let partial = partial_sign(nonce, &secret, &keys, &round).expect("a partial signature");
        assert_eq!(partial.as_bytes().to_vec(), bytes(case, "expected"));
        let signer = position(case, "signer_index");
        assert!(verify_partial(&keys, &round, signer, &nonces[signer], &partial));
        let round = SigningContext::from_nonces(&keys, &nonces, &message(case)).expect("a round");
        assert!(verify_partial(&keys, &round, signer, &nonces[signer], &partial));
        cases[0] += 1;
    }
    for case in list(&file, "sign_error_test_cases") {
        sign_error(&file, case, &message(case));
        cases[1] += 1;
    }
    for case in list(&file, "verify_fail_test_cases") {
        assert_eq!(verification(&file, case, &message(case)), Ok(false), "{}", text(case, "comment"));
        cases[2] += 1;
    }
    for case in list(&file, "verify_error_test_cases") {
        let error = verification(&file, case, &message(case)).expect_err(text(case, "comment"));
        assert_eq!(error, culprit(case), "{}", text(case, "comment"));
        cases[3] += 1;
    }
    assert_eq!(cases, [6, 6, 3, 2]);
}

/// One of `sign_error_test_cases`: our refusal comes at the step that has what is wrong.
fn sign_error(file: &Value, case: &Value, message: &[u8]) {
    let comment = text(case, "comment");
    let secret = secret_key(&file["sk"]);
    let keys = match case_keys(file, case) {
        Ok(keys) => keys,
        Err(KeyFailure::Aggregation(KeyAggError::InvalidKey(signer))) => {
            assert_eq!(culprit(case), (Some(signer), "pubkey"), "{comment}");
            return;
        }
        Err(error) => panic!("{comment}: {error:?}"),
    };
    let sum = AggregateNonce::from_bytes(unhex_array(&list(file, "aggnonces")[position(case, "aggnonce_index")]));
    let round = match SigningContext::new(&keys, &sum, message) {
        Ok(round) => round,
        Err(error) => {
            assert_eq!(error, NonceError::InvalidAggregate, "{comment}");
            assert_eq!(culprit(case), (None, "aggnonce"), "{comment}");
            return;
        }
    };
    let Some(nonce) = secret_nonce(&list(file, "secnonces")[position(case, "secnonce_index")]) else {
        // A nonce that was used is all zero in the reference; ours is gone instead, and zero cannot be made into one.
        assert_eq!(text(&case["error"], "message"), "first secnonce value is out of range.", "{comment}");
        return;
    };
    let error = partial_sign(nonce, &secret, &keys, &round).expect_err(comment);
    assert_eq!(error, SignError::NotASigner, "{comment}");
    assert!(text(&case["error"], "message").starts_with("The signer's pubkey must be included"), "{comment}");
}

fn verification<'a>(file: &Value, case: &'a Value, message: &[u8]) -> Result<bool, (Option<usize>, &'a str)> {
    let keys = match case_keys(file, case) {
        Ok(keys) => keys,
        Err(KeyFailure::Aggregation(KeyAggError::InvalidKey(signer))) => return Err((Some(signer), "pubkey")),
        Err(error) => panic!("{error:?}"),
    };
    let nonces: Vec<_> = chosen(file, "pnonces", case, "nonce_indices").into_iter().map(public_nonce).collect();
    let round = SigningContext::from_nonces(&keys, &nonces, message).map_err(|error| (error.culprit(), "pubnonce"))?;
    let signer = position(case, "signer_index");
    let partial = PartialSignature::from_bytes(array(case, "sig"));
    Ok(verify_partial(&keys, &round, signer, &nonces[signer], &partial))
}

#[test]
fn tweaks() {
    let file = file("tweak");
    let secret = secret_key(&file["sk"]);
    let (mut valid, mut errors) = (0, 0);
    for case in list(&file, "valid_test_cases") {
        let comment = text(case, "comment");
        let keys = case_keys(&file, case).expect(comment);
        let nonces: Vec<_> = chosen(&file, "pnonces", case, "nonce_indices").into_iter().map(public_nonce).collect();
        let sum = AggregateNonce::from_bytes(array(&file, "aggnonce"));
        assert_eq!(aggregate_nonces(&nonces), Ok(sum), "{comment}");
        let round = SigningContext::new(&keys, &sum, &bytes(&file, "msg")).expect(comment);
        let nonce = secret_nonce(&file["secnonce"]).expect("a nonce");
        let partial = partial_sign(nonce, &secret, &keys, &round).expect(comment);
        assert_eq!(partial.as_bytes().to_vec(), bytes(case, "expected"), "{comment}");
        let signer = position(case, "signer_index");
        assert!(verify_partial(&keys, &round, signer, &nonces[signer], &partial), "{comment}");
        valid += 1;
    }
    for case in list(&file, "error_test_cases") {
        let error = case_keys(&file, case).expect_err(text(case, "comment"));
        assert_eq!(error, KeyFailure::Aggregation(KeyAggError::TweakTooLarge));
        errors += 1;
    }
    assert_eq!((valid, errors), (5, 1));
}

#[test]
fn sig_agg() {
    let file = file("sig_agg");
    let message = bytes(&file, "msg");
    let run = |case: &Value| {
        let keys = case_keys(&file, case).expect("valid keys");
        let sum = AggregateNonce::from_bytes(array(case, "aggnonce"));
        let nonces: Vec<_> = chosen(&file, "pnonces", case, "nonce_indices").into_iter().map(public_nonce).collect();
        assert_eq!(aggregate_nonces(&nonces), Ok(sum));
        let round = SigningContext::new(&keys, &sum, &message).expect("a round");
        let partials: Vec<_> = chosen(&file, "psigs", case, "psig_indices")
            .into_iter()
            .map(|partial| PartialSignature::from_bytes(unhex_array(partial)))
            .collect();
        (combine(&keys, &round, &partials), keys.challenge_key())
    };
    let (mut valid, mut errors) = (0, 0);
    for case in list(&file, "valid_test_cases") {
        let (signature, key) = run(case);
        let signature = signature.expect("valid partial signatures");
        assert_eq!(signature.as_bytes().to_vec(), bytes(case, "expected"));
        assert!(schnorr::verify(Suite::Bip340, &key, &message, &signature));
        valid += 1;
    }
    for case in list(&file, "error_test_cases") {
        let error = run(case).0.expect_err(text(case, "comment"));
        assert_eq!((error.culprit(), "psig"), culprit(case));
        assert_eq!(error, CombineError::OutOfRange { signer: 1 });
        errors += 1;
    }
    assert_eq!((valid, errors), (4, 1));
}

#[test]
fn det_sign() {
    let file = file("det_sign");
    let secret = secret_key(&file["sk"]);
    let (mut valid, mut errors) = (0, 0);
    let sign = |case: &Value, keys: &KeyAggContext| {
        let others = AggregateNonce::from_bytes(array(case, "aggothernonce"));
        let message = unhex(&list(&file, "msgs")[position(case, "msg_index")]);
        let randomness: Option<[u8; 32]> = case["rand"].as_str().map(|_| array(case, "rand"));
        hazmat::deterministic_sign(&secret, &others, keys, &message, randomness.as_ref())
    };
    for case in list(&file, "valid_test_cases") {
        let (nonce, partial) = sign(case, &case_keys(&file, case).expect("valid keys")).expect("a partial signature");
        let expected = list(case, "expected");
        assert_eq!(nonce.as_bytes().to_vec(), unhex(&expected[0]));
        assert_eq!(partial.as_bytes().to_vec(), unhex(&expected[1]));
        valid += 1;
    }
    for case in list(&file, "error_test_cases") {
        let comment = text(case, "comment");
        match (case_keys(&file, case), culprit(case)) {
            (Err(KeyFailure::Aggregation(KeyAggError::InvalidKey(found))), (Some(signer), "pubkey")) => {
                assert_eq!(found, signer, "{comment}");
            }
            (Err(error), _) => {
                assert_eq!(error, KeyFailure::Aggregation(KeyAggError::TweakTooLarge), "{comment}");
                assert_eq!(text(&case["error"], "message"), "The tweak must be less than n.", "{comment}");
            }
            (Ok(keys), (None, "aggothernonce")) => {
                assert_eq!(sign(case, &keys), Err(DeterministicSignError::OtherNonces), "{comment}");
            }
            (Ok(keys), _) => {
                let error = DeterministicSignError::Sign(SignError::NotASigner);
                assert_eq!(sign(case, &keys), Err(error), "{comment}");
                assert!(text(&case["error"], "message").starts_with("The signer's pubkey must"), "{comment}");
            }
        }
        errors += 1;
    }
    assert_eq!((valid, errors), (4, 5));
}
