//! Bitcoin's transactions, digests, Taproot outputs and addresses against the vectors of BIP341, BIP350 and BIP373.

mod vectors_support;

use nelumbo_core::crypto::bitcoin::{
    self, Address, AddressError, ControlBlockError, SighashCache, SighashError, SighashType, Spend, Transaction,
    TransactionError, TxOutput,
};
use nelumbo_core::crypto::{Network, PublicKey, Signature, Suite, schnorr, taproot};
use serde_json::Value;
use std::collections::BTreeMap;
use vectors_support::{array, bytes, list, load, number, secret_key, text, unhex_array};

const BIP341: &str = "external/bip341/wallet-test-vectors.json";

fn root(case: &Value) -> Option<[u8; 32]> {
    (!case["merkleRoot"].is_null()).then(|| array(case, "merkleRoot"))
}

fn lift(x: [u8; 32]) -> PublicKey {
    PublicKey::from_slice(&[&[2], x.as_slice()].concat()).expect("33 bytes")
}

/// A script of a tree: version, script, and the siblings of its leaf from the leaf upwards.
struct Leaf {
    version: u8,
    script: Vec<u8>,
    path: Vec<[u8; 32]>,
}

/// The leaves of a tree in the order of their ids, and its root.
fn tree(node: &Value) -> (Vec<Leaf>, [u8; 32]) {
    let Some([left, right]) = node.as_array().map(Vec::as_slice) else {
        let version = u8::try_from(number(node, "leafVersion")).expect("a byte");
        let script = bytes(node, "script");
        let hash = taproot::leaf_hash(version, &script);
        return (vec![Leaf { version, script, path: Vec::new() }], hash);
    };
    let ((mut left, left_hash), (mut right, right_hash)) = (tree(left), tree(right));
    left.iter_mut().for_each(|leaf| leaf.path.push(right_hash));
    right.iter_mut().for_each(|leaf| leaf.path.push(left_hash));
    left.append(&mut right);
    (left, taproot::branch_hash(&left_hash, &right_hash))
}

#[test]
fn outputs_addresses_and_control_blocks() {
    let file = load(BIP341);
    let (mut cases, mut leaves, mut single) = (0, 0, 0);
    for case in list(&file, "scriptPubKey") {
        let (given, intermediary, expected) = (&case["given"], &case["intermediary"], &case["expected"]);
        let internal = lift(array(given, "internalPubkey"));
        let root = root(intermediary);
        assert_eq!(taproot::tweak(Suite::Bip340, &internal, root.as_ref()), Ok(array(intermediary, "tweak")));
        let output_key = taproot::output_key(Suite::Bip340, &internal, root.as_ref()).expect("on the curve");
        assert_eq!(output_key.x_only(), array(intermediary, "tweakedPubkey"));
        let script = bitcoin::taproot_script(&output_key);
        assert_eq!(script.as_slice(), bytes(expected, "scriptPubKey"));
        let address = Address::taproot(Network::Mainnet, &output_key);
        assert_eq!(address.to_string(), text(expected, "bip350Address"));
        assert_eq!(Address::parse(Network::Mainnet, text(expected, "bip350Address")), Ok(address.clone()));
        assert_eq!(Address::from_script_pubkey(Network::Mainnet, &script), Some(address));
        cases += 1;
        if given["scriptTree"].is_null() {
            assert_eq!(root, None);
            continue;
        }
        let (scripts, hash) = tree(&given["scriptTree"]);
        assert_eq!(Some(hash), root);
        single += usize::from(scripts.len() == 1);
        let (hashes, blocks) = (list(intermediary, "leafHashes"), list(expected, "scriptPathControlBlocks"));
        assert_eq!((hashes.len(), blocks.len()), (scripts.len(), scripts.len()));
        for ((Leaf { version, script, path }, hash), block) in scripts.iter().zip(hashes).zip(blocks) {
            let leaf = taproot::leaf_hash(*version, script);
            assert_eq!(leaf, unhex_array(hash));
            assert_eq!(Some(taproot::merkle_root(leaf, path)), root);
            let made = bitcoin::control_block(&internal, *version, script, path).expect("a control block");
            assert_eq!(hex::encode(made), block.as_str().expect("a text"));
            leaves += 1;
        }
    }
    assert_eq!((cases, leaves, single), (7, 12, 2));
}

#[test]
fn a_control_block_has_at_most_128_siblings() {
    let internal = lift(array(&load(BIP341)["scriptPubKey"][0]["given"], "internalPubkey"));
    let block = |siblings| bitcoin::control_block(&internal, taproot::LEAF_VERSION, b"", &vec![[7; 32]; siblings]);
    assert_eq!(block(128).expect("as deep as allowed").len(), 33 + 32 * 128);
    assert_eq!(block(129), Err(ControlBlockError::Depth(129)));
    let off_curve = lift([0; 32]);
    assert_eq!(
        bitcoin::control_block(&off_curve, taproot::LEAF_VERSION, b"", &[]),
        Err(ControlBlockError::Key(taproot::TaprootError::InternalKey))
    );
}

/// Each type but DEFAULT and ALL together once, from the internal secret key to the witness.
#[test]
fn key_path_spends() {
    let file = load(BIP341);
    let mut types = Vec::new();
    for case in list(&file, "keyPathSpending") {
        let encoded = bytes(&case["given"], "rawUnsignedTx");
        let transaction = Transaction::parse(&encoded).expect("a transaction");
        assert_eq!(transaction.to_bytes(), encoded);
        let output =
            |output| TxOutput { value: number(output, "amountSats"), script_pubkey: bytes(output, "scriptPubKey") };
        let spent: Vec<_> = list(&case["given"], "utxosSpent").iter().map(output).collect();
        let cache = SighashCache::new(&transaction, &spent).expect("as many as there are inputs");
        let mut signed = Vec::new();
        for input in list(case, "inputSpending") {
            let (given, intermediary) = (&input["given"], &input["intermediary"]);
            let index = usize::try_from(number(given, "txinIndex")).expect("small");
            let byte = u8::try_from(number(given, "hashType")).expect("a byte");
            let sighash_type = SighashType::from_byte(byte).expect("a type");
            assert_eq!(sighash_type.to_byte(), byte);
            let preimage = cache.preimage(index, sighash_type, Spend::KeyPath).expect("a preimage");
            assert_eq!(hex::encode(preimage), text(intermediary, "sigMsg"), "input {index}");
            let digest = cache.sighash(index, sighash_type, Spend::KeyPath).expect("a digest");
            assert_eq!(digest, array(intermediary, "sigHash"), "input {index}");

            let key = secret_key(&given["internalPrivkey"]);
            let root = root(given);
            let tweaked = taproot::tweak_secret_key(Suite::Bip340, &key, root.as_ref()).expect("not zero");
            assert_eq!(*tweaked.expose_secret_bytes_for_storage(), array(intermediary, "tweakedPrivkey"));
            let output_key = taproot::output_key(Suite::Bip340, &key.public_key(), root.as_ref()).expect("a key");
            assert_eq!(bitcoin::taproot_script(&output_key).as_slice(), spent[index].script_pubkey);
            let signature = schnorr::sign(Suite::Bip340, &tweaked, &digest, Some([0; 32])).expect("a signature");
            let witness = bitcoin::key_path_witness(&signature, sighash_type);
            assert_eq!(hex::encode(witness), list(&input["expected"], "witness")[0].as_str().expect("a text"));
            types.push(byte);
            signed.push(index);
        }
        // The other two inputs spend other kinds of output, and are signed for in other ways.
        for index in (0..spent.len()).filter(|index| !signed.contains(index)) {
            let found = cache.sighash(index, SighashType::DEFAULT, Spend::KeyPath);
            assert_eq!(found, Err(SighashError::NotTaproot(index)));
        }
        assert_eq!((signed.len(), spent.len()), (7, 9));
        let with_witnesses = bytes(&case["auxiliary"], "fullySignedTx");
        assert_eq!(Transaction::parse(&with_witnesses), Err(TransactionError::Witness));
    }
    types.sort_unstable();
    assert_eq!(types, [0, 1, 2, 3, 0x81, 0x82, 0x83]);
}

/// A map of a PSBT (BIP174): for each type of record the data of its key, and its value.
type PsbtMap = BTreeMap<u8, (Vec<u8>, Vec<u8>)>;

fn psbt(bytes: &[u8]) -> Vec<PsbtMap> {
    let mut rest = bytes.strip_prefix(b"psbt\xff").expect("a PSBT");
    let mut field = || {
        let (&[length], after) = rest.split_first_chunk().expect("a length");
        assert!(length < 0xfd, "short fields alone");
        let (field, after) = after.split_at(length.into());
        rest = after;
        (field.to_vec(), rest.is_empty())
    };
    let (mut maps, mut map) = (Vec::new(), PsbtMap::new());
    loop {
        let (key, is_last) = field();
        let Some((kind, data)) = key.split_first() else {
            maps.push(std::mem::take(&mut map));
            if is_last {
                return maps;
            }
            continue;
        };
        map.insert(*kind, (data.to_vec(), field().0));
    }
}

/// The signatures in the PSBTs of BIP373 are valid for our digests: by the key, and by a script that is the only one.
#[test]
fn signatures_of_bip373() {
    let file = load("external/bip373/bip373.json");
    let signature = |bytes: &[u8]| Signature::from_bytes(bytes.try_into().expect("64 bytes"));
    let (mut by_key, mut by_script) = (0, 0);
    for case in list(&file, "vectors").iter().filter(|case| text(case, "stage") == "With all partial signatures") {
        let maps = psbt(&bytes(case, "psbt"));
        let (transaction, input) = (Transaction::parse(&maps[0][&0].1).expect("a transaction"), &maps[1]);
        let (value, script) = input[&1].1.split_first_chunk().expect("an output");
        let spent = [TxOutput { value: u64::from_le_bytes(*value), script_pubkey: script[1..].to_vec() }];
        let cache = SighashCache::new(&transaction, &spent).expect("one output");
        if let Some((_, made)) = input.get(&0x13) {
            let digest = cache.sighash(0, SighashType::DEFAULT, Spend::KeyPath).expect("a digest");
            let key = lift(script[3..].try_into().expect("32 bytes"));
            assert!(schnorr::verify(Suite::Bip340, &key, &digest, &signature(made)));
            by_key += 1;
        }
        if let Some((key_and_leaf, made)) = input.get(&0x14) {
            let (key, leaf) = key_and_leaf.split_first_chunk().expect("a key");
            let (block, script_and_version) = &input[&0x15];
            let (version, script) = script_and_version.split_last().expect("a version");
            let leaf_hash = taproot::leaf_hash(*version, script);
            assert_eq!((leaf_hash.as_slice(), leaf_hash.as_slice()), (leaf, input[&0x18].1.as_slice()));
            let internal = lift(input[&0x17].1.as_slice().try_into().expect("32 bytes"));
            assert_eq!(bitcoin::control_block(&internal, *version, script, &[]).as_ref(), Ok(block));
            let (executed_script_hash, code_separator) = (leaf_hash, Spend::NO_CODE_SEPARATOR);
            let by_leaf = |code_separator| Spend::Script { executed_script_hash, code_separator };
            let digest = |spend| cache.sighash(0, SighashType::DEFAULT, spend).expect("a digest");
            let verifies = |spend| schnorr::verify(Suite::Bip340, &lift(*key), &digest(spend), &signature(made));
            assert!(verifies(by_leaf(code_separator)));
            assert!(!verifies(by_leaf(0)) && !verifies(Spend::KeyPath));
            by_script += 1;
        }
    }
    assert_eq!((by_key, by_script), (2, 1));
}

#[test]
fn impossible_requests() {
    let file = load(BIP341);
    let given = &file["keyPathSpending"][0]["given"];
    let transaction = Transaction::parse(&bytes(given, "rawUnsignedTx")).expect("a transaction");
    let spent = vec![TxOutput { value: 1, script_pubkey: [&[0x51, 0x20][..], &[7; 32]].concat() }; 9];
    let found = SighashCache::new(&transaction, &spent[1..]).err();
    assert_eq!(found, Some(SighashError::SpentOutputs { expected: 9, found: 8 }));
    let cache = SighashCache::new(&transaction, &spent).expect("as many as there are inputs");
    let sighash = |input, outputs| cache.sighash(input, SighashType::new(outputs, false), Spend::KeyPath);
    assert_eq!(sighash(9, bitcoin::Outputs::All), Err(SighashError::NoSuchInput(9)));
    assert_eq!(sighash(2, bitcoin::Outputs::Single), Err(SighashError::NoMatchingOutput));
    assert!(sighash(1, bitcoin::Outputs::Single).is_ok() && sighash(2, bitcoin::Outputs::None).is_ok());
    for script_pubkey in [vec![], [&[0x51, 0x20][..], &[7; 31]].concat(), [&[0x52, 0x20][..], &[7; 32]].concat()] {
        let other = vec![TxOutput { value: 1, script_pubkey }; 9];
        let cache = SighashCache::new(&transaction, &other).expect("as many as there are inputs");
        assert_eq!(cache.sighash(0, SighashType::ALL, Spend::KeyPath), Err(SighashError::NotTaproot(0)));
    }
    let valid: Vec<u8> = (0..=u8::MAX).filter(|byte| SighashType::from_byte(*byte).is_ok()).collect();
    assert_eq!(valid, [0, 1, 2, 3, 0x81, 0x82, 0x83]);
}

/// BIP350, valid and invalid segwit addresses.
#[test]
fn witness_addresses() {
    let valid = [
        ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        (
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
        ),
        (
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
            "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
        ),
        ("BC1SW50QGDZ25J", "6002751e"),
        ("bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "5210751e76e8199196d454941c45d1b3a323"),
        (
            "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
            "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
        ),
        (
            "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
            "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
        ),
        (
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        ),
    ];
    for (text, script) in valid {
        let is_mainnet = text.to_lowercase().starts_with("bc1");
        let [network, other] =
            if is_mainnet { [Network::Mainnet, Network::Testnet] } else { [Network::Testnet, Network::Regtest] };
        let address = Address::parse(network, text).expect(text);
        assert_eq!(hex::encode(address.script_pubkey()), script);
        assert_eq!(address.to_string(), text.to_lowercase());
        assert_eq!(Address::from_script_pubkey(network, address.script_pubkey()), Some(address));
        assert_eq!(Address::parse(other, text), Err(AddressError::Network));
    }
    let invalid = [
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
        "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
        "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
        "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
        "bc1pw5dgrnzv",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
        "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
        "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
        "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j",
        "bc1gmk9yu",
    ];
    for text in invalid {
        for network in [Network::Mainnet, Network::Testnet, Network::Regtest] {
            assert_eq!(Address::parse(network, text), Err(AddressError::Bech32), "{text}");
        }
    }
}

/// Base58: the address that the first block paid to, one of BIP49, and what is no address of the network.
#[test]
fn base58_addresses() {
    let genesis = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
    let address = Address::parse(Network::Mainnet, genesis).expect(genesis);
    assert_eq!(hex::encode(address.script_pubkey()), "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac");
    assert_eq!(address.to_string(), genesis);
    // BIP49, test vectors: testnet, whose addresses of this kind are those of regtest.
    let nested = "2Mww8dCYPUpKHofjgcXcBCEGmniw9CoaiD2";
    for network in [Network::Testnet, Network::Regtest] {
        let address = Address::parse(network, nested).expect(nested);
        assert_eq!(hex::encode(address.script_pubkey()), "a914336caa13e08b96080a32b5d818d59b4ab3b3674287");
        assert_eq!((address.to_string(), address.network()), (nested.into(), network));
    }
    assert_eq!(Address::parse(Network::Mainnet, nested), Err(AddressError::Network));
    assert_eq!(Address::parse(Network::Testnet, genesis), Err(AddressError::Network));
    let changed = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb";
    assert_eq!(Address::parse(Network::Mainnet, changed), Err(AddressError::Checksum));
    for text in ["", "bc", "1", "lotus_JExs99eDv4eSYqeZqeM7gqGWYn9UPQQd9oQ4YLHdaoz7faYtPDa", "é1q"] {
        assert_eq!(Address::parse(Network::Mainnet, text), Err(AddressError::Base58), "{text}");
    }
}
