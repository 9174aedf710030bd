//! Lotus Taproot against vectors: tweaks, trees, control blocks, scripts.

mod vectors_support;

use nelumbo_core::crypto::lotus::{Address, ControlBlock, Network, TaprootOutput};
use nelumbo_core::crypto::{Suite, sha256, tagged_hash, taproot};
use serde_json::Value;
use vectors_support::{array, bytes, list, load, number, public_key, secret_key, text, unhex_array};

fn root(case: &Value) -> Option<[u8; 32]> {
    // The vectors write "no scripts" as the 32 zero bytes that Lotus hashes for it.
    Some(array(case, "merkle_root")).filter(|root| *root != [0; 32])
}

#[test]
fn tags() {
    let file = load("taproot.json");
    let tags = file["tag_hashes"].as_object().expect("tags");
    for (tag, digest) in tags {
        let digest: [u8; 32] = unhex_array(digest);
        assert_eq!(sha256(&[tag.as_bytes()]), digest, "{tag}");
        assert_eq!(tagged_hash(tag, &[b"a", b"", b"b"]), sha256(&[&digest, &digest, b"ab"]), "{tag}");
    }
    assert_eq!(tags.len(), 6);
}

#[test]
fn tweaks_scripts_and_addresses() {
    let file = load("taproot.json");
    let (mut cases, mut stateful) = (0, 0);
    for case in list(&file, "tweaks") {
        let internal = public_key(&case["internal_pubkey"]);
        let commitment = public_key(&case["commitment"]);
        let root = root(case);
        let tweak = taproot::tweak(Suite::Lotus, &internal, root.as_ref()).expect("below the order");
        assert_eq!(tweak, array(case, "tweak"));
        assert_eq!(taproot::output_key(Suite::Lotus, &internal, root.as_ref()), Ok(commitment));
        assert_eq!(taproot::add_tweak(&internal, &tweak), Ok(commitment));
        let state: Option<[u8; 32]> = case["state"].as_str().map(|_| array(case, "state"));
        let output = TaprootOutput { commitment, state };
        assert_eq!(output.script_pubkey(), bytes(case, "script_pubkey"));
        assert_eq!(TaprootOutput::from_script_pubkey(&output.script_pubkey()), Some(output));
        for (network, key) in [
            (Network::Mainnet, "address_mainnet"),
            (Network::Testnet, "address_testnet"),
            (Network::Regtest, "address_regtest"),
        ] {
            let address = Address::from_script_pubkey(network, &output.script_pubkey()).expect("a Taproot output");
            assert_eq!(address.to_string(), text(case, key));
            assert_eq!(text(case, key).parse(), Ok(address));
        }
        cases += 1;
        stateful += usize::from(state.is_some());
    }
    assert_eq!((cases, stateful), (5, 3));
}

#[test]
fn secret_keys() {
    let file = load("taproot.json");
    let mut cases = 0;
    for case in list(&file, "seckey_tweaks") {
        let key = secret_key(&case["seckey"]);
        let tweaked = taproot::tweak_secret_key(Suite::Lotus, &key, root(case).as_ref()).expect("not zero");
        assert_eq!(*tweaked.expose_secret_bytes_for_storage(), array(case, "tweaked_seckey"));
        assert_eq!(tweaked.public_key(), public_key(&case["tweaked_pubkey"]));
        cases += 1;
    }
    assert_eq!(cases, 5);
}

#[test]
fn trees_and_control_blocks() {
    let file = load("taproot.json");
    let (mut trees, mut leaves) = (0, 0);
    for tree in list(&file, "trees") {
        let comment = text(tree, "comment");
        let internal = public_key(&tree["internal_pubkey"]);
        let commitment = public_key(&tree["commitment"]);
        let root: [u8; 32] = array(tree, "merkle_root");
        assert_eq!(taproot::tweak(Suite::Lotus, &internal, Some(&root)), Ok(array(tree, "tweak")), "{comment}");
        assert_eq!(taproot::output_key(Suite::Lotus, &internal, Some(&root)), Ok(commitment), "{comment}");
        for leaf in list(tree, "leaves") {
            let script = bytes(leaf, "script");
            let version = u8::try_from(number(leaf, "leaf_version")).expect("a byte");
            assert_eq!(version, taproot::LEAF_VERSION, "{comment}");
            let hash = taproot::leaf_hash(version, &script);
            assert_eq!(hash, array(leaf, "leaf_hash"), "{comment}");
            let path: Vec<[u8; 32]> = leaf["merkle_path"].as_array().expect("a path").iter().map(unhex_array).collect();
            assert_eq!(taproot::merkle_root(hash, &path), root, "{comment}");
            let block = ControlBlock::new(internal, path);
            assert_eq!(block.to_bytes(), bytes(leaf, "control_block"), "{comment}");
            assert_eq!(ControlBlock::parse(&bytes(leaf, "control_block")), Ok(block.clone()), "{comment}");
            assert_eq!(block.merkle_root(&script), root, "{comment}");
            assert_eq!(block.commitment(&script), Ok(commitment), "{comment}");
            leaves += 1;
        }
        trees += 1;
    }
    assert_eq!((trees, leaves), (4, 10));
}

/// `external/lotusd_taproot.json`: commitments with leaf versions that cannot be spent, and additions to a point.
#[test]
fn lotusd_commitments() {
    let file = load("external/lotusd_taproot.json");
    let mut cases = 0;
    for case in list(&file, "commitments") {
        let comment = text(case, "comment");
        let script = bytes(case, "script");
        let block = ControlBlock::parse(&bytes(case, "control_block")).expect(comment);
        assert_eq!(block.to_bytes(), bytes(case, "control_block"), "{comment}");
        assert_eq!(taproot::leaf_hash(block.leaf_version, &script), array(case, "leaf_hash"), "{comment}");
        assert_eq!(block.merkle_root(&script), array(case, "merkle_root"), "{comment}");
        assert_eq!(block.commitment(&script), Ok(public_key(&case["commitment"])), "{comment}");
        cases += 1;
    }
    let mut sums = 0;
    for case in list(&file, "pubkey_add_scalar") {
        let sum = taproot::add_tweak(&public_key(&case["base"]), &array(case, "scalar"));
        assert_eq!(sum, Ok(public_key(&case["result"])));
        sums += 1;
    }
    assert_eq!((cases, sums), (7, 2));
}

/// The difference between the ledgers: BIP341 has x-only keys and no root at all. The key path of one signer agrees
/// with its public side, whatever the parity. The vectors of BIP341 are in `vectors_bitcoin`.
#[test]
fn bip341_is_not_lotus() {
    let mut odd = 0;
    for seed in 1..=16u8 {
        let key = nelumbo_core::crypto::SecretKey::from_bytes(&[seed; 32]).expect("below the order");
        let internal = key.public_key();
        odd += usize::from(internal.as_bytes()[0] & 1);
        let tweak = taproot::tweak(Suite::Bip340, &internal, None).expect("below the order");
        assert_eq!(tweak, tagged_hash("TapTweak", &[&internal.x_only()]));
        for root in [None, Some([seed; 32])] {
            let output = taproot::output_key(Suite::Bip340, &internal, root.as_ref()).expect("not infinity");
            let tweaked = taproot::tweak_secret_key(Suite::Bip340, &key, root.as_ref()).expect("not zero");
            assert_eq!(tweaked.public_key(), output);
            assert_ne!(taproot::output_key(Suite::Lotus, &internal, root.as_ref()), Ok(output));
        }
    }
    assert!((1..16).contains(&odd), "both parities were seen");
}

/// Everything that is not 33 bytes and up to 128 whole nodes is refused.
#[test]
fn control_block_lengths() {
    let mut accepted = 0;
    for length in 0..=(33 + 32 * 130) {
        let parsed = ControlBlock::parse(&vec![0xc1; length]);
        let right = length >= 33 && (length - 33) % 32 == 0 && length <= 33 + 32 * 128;
        assert_eq!(parsed.is_ok(), right, "{length} bytes");
        accepted += usize::from(right);
    }
    assert_eq!(accepted, 129);
}
