//! Addresses and key texts against vectors.

mod vectors_support;

use nelumbo_core::crypto::lotus::{Address, AddressError, Payload, TaprootOutput, wif};
use nelumbo_core::crypto::{Network, sha256, sha256d};
use serde_json::Value;
use vectors_support::{array, bytes, flag, list, load, number, text};

fn network(case: &Value) -> Network {
    match text(case, "network") {
        "livenet" => Network::Mainnet,
        name => name.parse().expect("a network"),
    }
}

#[test]
fn addresses() {
    let file = load("addresses.json");
    let mut cases = 0;
    for case in list(&file, "addresses") {
        let encoded = text(case, "address");
        let address: Address = encoded.parse().expect(encoded);
        assert_eq!(address.to_string(), encoded);
        assert_eq!(address.network, network(case), "{encoded}");
        assert_eq!(address.script_pubkey(), bytes(case, "script_pubkey"), "{encoded}");
        assert_eq!(Address::from_script_pubkey(network(case), &address.script_pubkey()), Some(address), "{encoded}");
        let (kind, number_of_kind, payload) = match &address.payload {
            Payload::PublicKeyHash(_) => ("p2pkh", 0, address.script_pubkey()),
            Payload::ScriptHash(_) => ("p2sh", 0, address.script_pubkey()),
            Payload::Taproot(commitment) => ("taproot", 2, commitment.to_bytes().to_vec()),
        };
        assert_eq!((kind, number_of_kind), (text(case, "kind"), number(case, "type_byte")), "{encoded}");
        assert_eq!(payload, bytes(case, "payload"), "{encoded}");
        cases += 1;
    }
    assert_eq!(cases, 9);
}

#[test]
fn invalid_addresses() {
    let file = load("addresses.json");
    let mut cases = 0;
    for case in list(&file, "decode_invalid") {
        let comment = text(case, "comment");
        assert!(!flag(case, "valid"), "{comment}");
        let expected = match comment {
            "checksum broken" | "network letter changed (checksum covers it)" => AddressError::Checksum,
            // We know one token, so a changed one is already no address of ours.
            "unknown network letter" | "token changed (checksum covers it)" => AddressError::Prefix,
            "base58 alphabet violation" => AddressError::Base58,
            other => panic!("{other}"),
        };
        assert_eq!(text(case, "address").parse::<Address>(), Err(expected), "{comment}");
        cases += 1;
    }
    assert_eq!(cases, 5);
}

/// The case that is said to have lotusd's first checksum has in truth the present one, as lotusd's own test does, where
/// it comes from. It is read like any other; the first checksum is in the next test.
#[test]
fn legacy_case_of_lotusd() {
    let file = load("addresses.json");
    let case = &file["legacy_checksum"];
    let address: Address = text(case, "address").parse().expect("lotusd reads it");
    assert_eq!(address.script_pubkey(), bytes(case, "payload"));
    assert_eq!(address.to_string(), text(case, "address"));
}

/// The checksum of lotusd 1.0.1, with a length before the token and before the payload, is read and not written.
#[test]
fn legacy_checksum() {
    let file = load("addresses.json");
    let mut cases = 0;
    for case in list(&file, "addresses") {
        let letter = network(case).letter() as u8;
        let kind = u8::try_from(number(case, "type_byte")).expect("a byte");
        let payload = bytes(case, "payload");
        let length = u8::try_from(payload.len()).expect("one byte is enough");
        let hash = sha256(&[&[5], b"lotus", &[letter, kind, length], &payload]);
        let legacy = base58(&[&[kind], &payload[..], &hash[..4]].concat());
        let legacy = format!("lotus{}{legacy}", network(case).letter());
        assert_ne!(legacy, text(case, "address"));
        let address: Address = legacy.parse().expect("lotusd reads it");
        assert_eq!(address.to_string(), text(case, "address"));
        cases += 1;
    }
    assert_eq!(cases, 9);
}

fn encode(letter: char, kind: u8, payload: &[u8]) -> String {
    let hash = sha256(&[b"lotus", &[letter as u8, kind], payload]);
    let bytes = [&[kind], payload, &hash[..4]].concat();
    format!("lotus{letter}{}", base58(&bytes))
}

/// Our own encoder for texts that the product does not write. No byte string here begins with more zeros than one.
fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = u8::try_from(carry % 58).expect("a digit");
            carry /= 58;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 58).expect("a digit"));
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let text = std::iter::repeat_n('1', zeros);
    text.chain(digits.iter().rev().map(|digit| char::from(ALPHABET[usize::from(*digit)]))).collect()
}

/// Wallets of November 2025 put the whole script into Taproot addresses: read, and written in the right form.
#[test]
fn taproot_address_with_a_whole_script() {
    let file = load("addresses.json");
    let mut cases = 0;
    for case in list(&file, "addresses").iter().filter(|case| text(case, "kind") == "taproot") {
        let script = bytes(case, "script_pubkey");
        assert_eq!(encode(network(case).letter(), 2, &bytes(case, "payload")), text(case, "address"));
        let address: Address = encode(network(case).letter(), 2, &script).parse().expect("36 bytes");
        assert_eq!(address.to_string(), text(case, "address"));
        let with_state = TaprootOutput { state: Some([7; 32]), ..TaprootOutput::from_script_pubkey(&script).unwrap() };
        let encoded = encode(network(case).letter(), 2, &with_state.script_pubkey());
        assert_eq!(encoded.parse::<Address>(), Err(AddressError::Payload), "an address has no state");
        cases += 1;
    }
    assert_eq!(cases, 3);
}

/// A right checksum does not make an address.
#[test]
fn payloads_that_are_none() {
    let mut off_curve = [0; 33];
    off_curve[0] = 2;
    let cases: [(u8, &[u8], AddressError); 7] = [
        (0, &[], AddressError::Payload),
        (0, &[0x51], AddressError::Payload),
        (2, &[2; 32], AddressError::Payload),
        (2, &[4; 33], AddressError::Payload),
        (2, &off_curve, AddressError::Key),
        (1, &[2; 33], AddressError::Type(1)),
        (0xf0, &[1; 20], AddressError::Type(0xf0)),
    ];
    for (kind, payload, error) in cases {
        assert_eq!(encode('_', kind, payload).parse::<Address>(), Err(error), "{kind} {payload:02x?}");
    }
    for (text, error) in [
        ("", AddressError::Prefix),
        ("lotus", AddressError::Prefix),
        ("lotusé", AddressError::Prefix),
        ("lotus_", AddressError::Base58),
        ("lotus_11", AddressError::Base58),
        ("lotus_é", AddressError::Base58),
    ] {
        assert_eq!(text.parse::<Address>(), Err(error), "{text}");
    }
    assert_eq!(format!("lotus_{}", "z".repeat(1_000_000)).parse::<Address>(), Err(AddressError::Base58));
}

#[test]
fn key_texts() {
    let file = load("addresses.json");
    let mut cases = 0;
    for case in list(&file, "wif") {
        let encoded = text(case, "wif");
        let imported = wif::decode(encoded).expect(encoded);
        assert_eq!(*imported.key.expose_secret_bytes_for_storage(), array(case, "seckey"), "{encoded}");
        assert_eq!(imported.compressed, flag(case, "compressed"), "{encoded}");
        assert!(imported.is_for(network(case)), "{encoded}");
        assert_eq!(imported.is_for(Network::Mainnet), network(case) == Network::Mainnet, "{encoded}");
        assert_eq!(*wif::encode(&imported.key, network(case), imported.compressed), encoded);
        cases += 1;
    }
    assert_eq!(cases, 6);
}

#[test]
fn key_texts_that_are_none() {
    let check = |content: &[u8]| {
        let checksum = sha256d(&[content]);
        wif::decode(&base58(&[content, &checksum[..4]].concat())).map(|_| ())
    };
    let with = |version: u8, secret: [u8; 32], tail: &[u8]| [&[version][..], &secret, tail].concat();
    assert_eq!(check(&with(0x80, [1; 32], &[1])), Ok(()));
    assert_eq!(check(&with(0x80, [1; 32], &[2])), Err(wif::WifError::Content));
    assert_eq!(check(&with(0x80, [1; 32], &[1, 1])), Err(wif::WifError::Content));
    assert_eq!(check(&with(0x81, [1; 32], &[])), Err(wif::WifError::Version(0x81)));
    assert_eq!(check(&with(0x80, [0; 32], &[])), Err(wif::WifError::Key(nelumbo_core::crypto::SecretKeyError::Zero)));
    let too_large = nelumbo_core::crypto::SecretKeyError::TooLarge;
    assert_eq!(check(&with(0xef, [0xff; 32], &[1])), Err(wif::WifError::Key(too_large)));
    assert_eq!(check(&[]), Err(wif::WifError::Content));
    assert_eq!(wif::decode("").map(|_| ()), Err(wif::WifError::Base58));
    assert_eq!(wif::decode("0").map(|_| ()), Err(wif::WifError::Base58));
    let mut damaged = wif::encode(&wif_key(), Network::Mainnet, true).to_string();
    let last = damaged.pop().expect("not empty");
    damaged.push(if last == '2' { '3' } else { '2' });
    assert_eq!(wif::decode(&damaged).map(|_| ()), Err(wif::WifError::Checksum));
}

fn wif_key() -> nelumbo_core::crypto::SecretKey {
    nelumbo_core::crypto::SecretKey::from_bytes(&[3; 32]).expect("below the order")
}
