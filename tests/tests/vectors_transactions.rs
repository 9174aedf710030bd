//! Digests, transactions and their ids of Lotus against vectors.

mod vectors_support;

use nelumbo_core::crypto::lotus::{
    ControlBlock, SighashCache, SighashError, SighashType, Spend, TaprootOutput, Transaction, TxOutput,
    key_path_script_sig, sighash,
};
use nelumbo_core::crypto::{
    KeyAggContext, SigningContext, Suite, Tweak, aggregate_nonces, combine, hazmat, partial_sign, schnorr, sha256d,
    taproot,
};
use serde_json::Value;
use vectors_support::{array, bytes, list, load, number, public_key, secret_key, signature, text, unhex_array};

fn transaction(case: &Value, key: &str) -> Transaction {
    let encoded = bytes(case, key);
    let transaction = Transaction::parse(&encoded).expect("a transaction");
    assert_eq!(transaction.to_bytes(), encoded);
    transaction
}

fn spent_outputs(case: &Value) -> Vec<TxOutput> {
    let output = |output| TxOutput { value: number(output, "satoshis"), script_pubkey: bytes(output, "script") };
    list(case, "spent_outputs").iter().map(output).collect()
}

fn input(case: &Value) -> usize {
    usize::try_from(number(case, "input_index")).expect("small")
}

fn sighash_type(case: &Value) -> SighashType {
    let byte = u8::try_from(number(case, "sighash_type")).expect("a byte");
    let sighash_type = SighashType::from_byte(byte).expect("a Lotus hash type");
    assert_eq!(sighash_type.to_byte(), byte);
    sighash_type
}

fn expected(case: &Value) -> Result<[u8; 32], SighashError> {
    // Each request without a digest in these files asks for an output that is not there.
    if case["digest"].is_null() { Err(SighashError::NoMatchingOutput) } else { Ok(array(case, "digest")) }
}

#[test]
fn key_path_digests() {
    let file = load("sighash_lotus_keypath.json");
    let (mut digests, mut refused) = (0, 0);
    for case in list(&file, "keypath") {
        let name = text(case, "sighash_name");
        let transaction = transaction(case, "unsigned_tx");
        let found = sighash(&transaction, &spent_outputs(case), input(case), sighash_type(case), Spend::KeyPath);
        assert_eq!(found, expected(case), "{name}");
        if found.is_ok() { digests += 1 } else { refused += 1 }
    }
    assert_eq!((digests, refused), (26, 4));
}

/// The three complete transactions: from secret keys and nonces to the signed bytes and their ids.
#[test]
fn complete_transactions() {
    let file = load("sighash_lotus_keypath.json");
    let mut cases = 0;
    for case in list(&file, "e2e") {
        let comment = text(case, "comment");
        let secrets: Vec<_> = list(case, "seckeys_by_sorted_index").iter().map(secret_key).collect();
        let public: Vec<_> = secrets.iter().map(|key| key.public_key()).collect();
        let keys = KeyAggContext::new(Suite::Lotus, &public).expect(comment);
        assert_eq!(keys.keys(), public, "{comment}");
        assert_eq!(keys.aggregate_key(), public_key(&case["aggregate_pubkey"]), "{comment}");
        let keys = keys.with_tweak(&Tweak::Taproot { merkle_root: None }).expect(comment);
        assert_eq!(keys.challenge_key(), public_key(&case["commitment"]), "{comment}");

        let mut transaction = transaction(case, "unsigned_tx");
        let spent = spent_outputs(case);
        let output = TaprootOutput { commitment: keys.challenge_key(), state: None };
        assert_eq!(TaprootOutput::from_script_pubkey(&spent[0].script_pubkey), Some(output), "{comment}");
        let digest = sighash(&transaction, &spent, 0, sighash_type(case), Spend::KeyPath).expect(comment);
        assert_eq!(digest, array(case, "digest"), "{comment}");

        let (mut secret_nonces, mut nonces) = (Vec::new(), Vec::new());
        for (pair, key) in list(case, "secnonces_by_sorted_index").iter().zip(&public) {
            let scalars: [[u8; 32]; 2] = [unhex_array(&pair[0]), unhex_array(&pair[1])];
            let (secret, public) =
                hazmat::nonce_from_given_scalars([&scalars[0], &scalars[1]], *key).expect("in range");
            secret_nonces.push(secret);
            nonces.push(public);
        }
        let sum = aggregate_nonces(&nonces).expect(comment);
        let round = SigningContext::new(&keys, &sum, &digest).expect(comment);
        let partials: Vec<_> = secret_nonces
            .into_iter()
            .zip(&secrets)
            .map(|(nonce, key)| partial_sign(nonce, key, &keys, &round).expect(comment))
            .collect();
        let made = combine(&keys, &round, &partials).expect(comment);
        assert_eq!(made, signature(&case["sig64"]), "{comment}");

        let txid = transaction.txid(Suite::Lotus);
        assert_eq!(txid.to_string(), text(case, "txid"), "{comment}");
        assert_eq!(text(case, "txid").parse(), Ok(txid), "{comment}");
        transaction.inputs[0].script_sig = key_path_script_sig(&made, sighash_type(case)).to_vec();
        assert_eq!(transaction.inputs[0].script_sig, bytes(case, "script_sig"), "{comment}");
        assert_eq!(transaction.to_bytes(), bytes(case, "signed_tx"), "{comment}");
        assert_eq!(transaction.txid(Suite::Lotus), txid, "{comment}: signing does not change the id");
        assert_eq!(transaction.txhash().to_string(), text(case, "txhash"), "{comment}");
        cases += 1;
    }
    assert_eq!(cases, 3);
}

#[test]
fn script_path_spends() {
    let file = load("sighash_lotus_scriptpath.json");
    let mut cases = 0;
    for case in list(&file, "cases") {
        let comment = text(case, "comment");
        let script = bytes(case, "leaf_script");
        let leaf = taproot::leaf_hash(taproot::LEAF_VERSION, &script);
        assert_eq!(leaf, array(case, "leaf_hash"), "{comment}");
        let block = ControlBlock::parse(&bytes(case, "control_block")).expect(comment);
        assert_eq!(block.internal_key, public_key(&case["internal_pubkey"]), "{comment}");
        assert_eq!(block.merkle_root(&script), array(case, "merkle_root"), "{comment}");
        let commitment = block.commitment(&script).expect(comment);
        assert_eq!(commitment, public_key(&case["commitment"]), "{comment}");

        let spent = spent_outputs(case);
        let output = TaprootOutput::from_script_pubkey(&spent[input(case)].script_pubkey).expect(comment);
        assert_eq!(output.commitment, commitment, "{comment}");
        let code_separator = u32::try_from(number(case, "codeseparator_pos")).expect("32 bits");
        assert_eq!(code_separator, Spend::NO_CODE_SEPARATOR, "{comment}");
        let spend = Spend::Script { executed_script_hash: leaf, code_separator };
        let transaction = transaction(case, "unsigned_tx");
        let digest = sighash(&transaction, &spent, input(case), sighash_type(case), spend).expect(comment);
        assert_eq!(digest, array(case, "digest"), "{comment}");

        let key = secret_key(&case["leaf_seckey"]);
        let made = schnorr::sign(Suite::Lotus, &key, &digest, None).expect(comment);
        assert_eq!(made, signature(&case["sig64"]), "{comment}");
        let mut script_sig = key_path_script_sig(&made, sighash_type(case)).to_vec();
        for data in [&script, &block.to_bytes()] {
            match u8::try_from(data.len()).expect("short") {
                length @ ..=75 => script_sig.push(length),
                length => script_sig.extend([0x4c, length]),
            }
            script_sig.extend(data);
        }
        assert_eq!(script_sig, bytes(case, "script_sig"), "{comment}");
        cases += 1;
    }
    assert_eq!(cases, 8);
}

/// `external/lotusd_sighash_lotus.json`: the consensus code's own digests, half of them replay protected.
#[test]
fn lotusd_digests() {
    let file = load("external/lotusd_sighash_lotus.json");
    let (mut digests, mut refused, mut protected) = (0, 0, 0);
    for case in list(&file, "cases") {
        let comment = text(case, "comment");
        let transaction = transaction(case, "tx");
        let spent = spent_outputs(case);
        let executed_script_hash = sha256d(&[&spent[input(case)].script_pubkey]);
        if !case["executed_script_hash"].is_null() {
            assert_eq!(executed_script_hash, array(case, "executed_script_hash"), "{comment}");
        }
        let mut sighash_type = sighash_type(case);
        if text(case, "script_flags").contains("REPLAY_PROTECTION") {
            sighash_type = sighash_type.with_replay_protection();
            protected += 1;
        }
        let code_separator = u32::try_from(number(case, "codeseparator_pos")).expect("32 bits");
        let spend = Spend::Script { executed_script_hash, code_separator };
        let cache = SighashCache::new(&transaction, &spent).expect(comment);
        let found = cache.sighash(input(case), sighash_type, spend);
        assert_eq!(found, expected(case), "{comment}");
        if found.is_ok() {
            let preimage = cache.preimage(input(case), sighash_type, spend).expect(comment);
            assert_eq!(preimage, bytes(case, "preimage"), "{comment}");
            digests += 1;
        } else {
            refused += 1;
        }
    }
    assert_eq!((digests, refused, protected), (24, 4, 14));
}

/// Requests that have no digest are errors, each its own.
#[test]
fn impossible_requests() {
    let file = load("sighash_lotus_keypath.json");
    let case = &list(&file, "keypath")[0];
    let (mut transaction, mut spent) = (transaction(case, "unsigned_tx"), spent_outputs(case));
    let digest =
        |transaction: &_, spent: &[_], input| sighash(transaction, spent, input, SighashType::ALL, Spend::KeyPath);
    assert_eq!(digest(&transaction, &spent, 1), Err(SighashError::NoSuchInput(1)));
    assert_eq!(digest(&transaction, &[], 0), Err(SighashError::SpentOutputs { expected: 1, found: 0 }));
    spent[0].value = u64::MAX;
    assert!(digest(&transaction, &spent, 0).is_ok());
    transaction.outputs[0].value = u64::MAX;
    let doubled = transaction.outputs[0].clone();
    transaction.outputs.push(doubled);
    assert_eq!(digest(&transaction, &spent, 0), Err(SighashError::AmountOverflow));
    let mut accepted = 0;
    for byte in 0..=u8::MAX {
        let right = [0x61, 0x62, 0x63, 0xe1, 0xe2, 0xe3].contains(&byte);
        assert_eq!(SighashType::from_byte(byte).is_ok(), right, "{byte:02x}");
        accepted += usize::from(right);
    }
    assert_eq!(accepted, 6);
}
