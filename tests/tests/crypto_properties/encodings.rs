//! Texts, addresses, key files, transactions: round trips, and an answer for every byte string.

use nelumbo_core::crypto::lotus::{
    Address, ControlBlock, OutPoint, Payload, TaprootOutput, Transaction, TransactionError, TxInput, TxOutput, Txid,
    wif,
};
use nelumbo_core::crypto::{HexError, Network, PublicKey, PublicKeyError, SecretKey, Signature, Suite, bitcoin};
use quickcheck::{Arbitrary, Gen, QuickCheck};

use crate::{SUITES, Seed};

#[test]
fn texts_of_keys_and_signatures() {
    fn property(seed: Seed, bytes: Seed) -> bool {
        let key = SecretKey::generate(&mut seed.entropy()).public_key();
        let text = key.to_string();
        assert_eq!(text, hex::encode(key.as_bytes()));
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(serde_json::from_str::<PublicKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
        let digit = text.find(|character: char| character.is_ascii_lowercase());
        if let Some(position) = digit {
            let error = PublicKeyError::Text(HexError::Digit { position });
            assert_eq!(text.to_uppercase().parse::<PublicKey>(), Err(error));
        }
        let short = PublicKeyError::Text(HexError::Length { expected: 66, found: 64 });
        assert_eq!(text[2..].parse::<PublicKey>(), Err(short));
        assert_eq!(format!("04{}", &text[2..]).parse::<PublicKey>(), Err(PublicKeyError::Prefix(4)));
        let signature = Signature::from_bytes([bytes.0, seed.0].concat().try_into().expect("64 bytes"));
        assert_eq!(signature.to_string().parse(), Ok(signature));
        assert_eq!(signature.to_string(), hex::encode(signature.as_bytes()));
        true
    }
    QuickCheck::new().tests(64).quickcheck(property as fn(Seed, Seed) -> bool);
    let off_curve = format!("02{}", "0".repeat(64));
    assert_eq!(off_curve.parse::<PublicKey>(), Err(PublicKeyError::NotOnCurve));
    for suite in SUITES {
        assert_eq!(suite.to_string().parse(), Ok(suite));
        assert_eq!(serde_json::to_value(suite).unwrap(), suite.to_string());
    }
    assert!("Lotus".parse::<Suite>().is_err());
    for network in [Network::Mainnet, Network::Testnet, Network::Regtest] {
        assert_eq!(network.to_string().parse(), Ok(network));
        assert_eq!(serde_json::to_value(network).unwrap(), network.to_string());
        assert_eq!(Network::from_letter(network.letter()), Some(network));
    }
    assert!("main".parse::<Network>().is_err());
}

#[test]
fn addresses_and_key_texts_round_trip() {
    fn property(seed: Seed, hash: Seed) -> bool {
        let key = SecretKey::generate(&mut seed.entropy());
        let hash: [u8; 20] = hash.0[..20].try_into().expect("20 bytes");
        for network in [Network::Mainnet, Network::Testnet, Network::Regtest] {
            for payload in [Payload::PublicKeyHash(hash), Payload::ScriptHash(hash), Payload::Taproot(key.public_key())]
            {
                let address = Address { network, payload };
                assert_eq!(address.to_string().parse(), Ok(address));
                assert_eq!(Address::from_script_pubkey(network, &address.script_pubkey()), Some(address));
            }
            for compressed in [false, true] {
                let text = wif::encode(&key, network, compressed);
                let imported = wif::decode(&text).expect("what we wrote");
                assert_eq!(imported.key.expose_secret_bytes_for_storage(), key.expose_secret_bytes_for_storage());
                assert_eq!(imported.compressed, compressed);
                assert!(imported.is_for(network));
            }
        }
        true
    }
    QuickCheck::new().tests(64).quickcheck(property as fn(Seed, Seed) -> bool);
}

#[derive(Clone, Debug)]
pub(crate) struct AnyTransaction(pub(crate) Transaction);

impl Arbitrary for AnyTransaction {
    fn arbitrary(g: &mut Gen) -> Self {
        let (inputs, outputs) = (1 + usize::arbitrary(g) % 4, usize::arbitrary(g) % 5);
        let script = |g: &mut Gen| {
            let length = *g.choose(&[0, 1, 75, 252, 253, 300]).expect("lengths");
            (0..length).map(|_| u8::arbitrary(g)).collect::<Vec<u8>>()
        };
        let input = |g: &mut Gen| TxInput {
            outpoint: OutPoint { txid: Txid::from_bytes(Seed::arbitrary(g).0), index: u32::arbitrary(g) },
            script_sig: script(g),
            sequence: u32::arbitrary(g),
        };
        let output = |g: &mut Gen| TxOutput { value: u64::arbitrary(g), script_pubkey: script(g) };
        let inputs = (0..inputs).map(|_| input(g)).collect();
        let outputs = (0..outputs).map(|_| output(g)).collect();
        Self(Transaction { version: i32::arbitrary(g), inputs, outputs, lock_time: u32::arbitrary(g) })
    }
}

/// A transaction is written as it was read, cut at no place, and followed by nothing; its id ignores the scripts on
/// Lotus and covers them on Bitcoin.
#[test]
fn transactions_round_trip() {
    fn property(transaction: AnyTransaction, cut: usize) -> bool {
        let mut transaction = transaction.0;
        let bytes = transaction.to_bytes();
        assert_eq!(Transaction::parse(&bytes), Ok(transaction.clone()));
        let cut = cut % bytes.len();
        assert_eq!(Transaction::parse(&bytes[..cut]), Err(TransactionError::Truncated));
        assert_eq!(Transaction::parse(&[&bytes[..], &[0; 3]].concat()), Err(TransactionError::Trailing(3)));
        let ids = |transaction: &Transaction| SUITES.map(|suite| transaction.txid(suite));
        let position = |suite| SUITES.iter().position(|found| *found == suite).expect("both suites");
        let (lotus, bitcoin) = (position(Suite::Lotus), position(Suite::Bip340));
        let (before, txhash) = (ids(&transaction), transaction.txhash());
        assert!(before.iter().all(|txid| txid.to_string().parse() == Ok(*txid)));
        assert_eq!(before[bitcoin], txhash);
        transaction.inputs[0].script_sig.push(0);
        let signed = ids(&transaction);
        assert_eq!(signed[lotus], before[lotus]);
        assert_ne!(signed[bitcoin], before[bitcoin]);
        transaction.lock_time ^= 1;
        assert!(ids(&transaction).iter().zip(signed).all(|(after, before)| *after != before));
        true
    }
    QuickCheck::new().tests(200).quickcheck(property as fn(AnyTransaction, usize) -> bool);
}

/// Parsers answer for every byte string, and a count cannot make them ask for memory.
#[test]
fn arbitrary_bytes_never_panic() {
    fn property(bytes: Vec<u8>, text: String) -> bool {
        if let Ok(transaction) = Transaction::parse(&bytes) {
            assert_eq!(transaction.to_bytes(), bytes);
        }
        if let Ok(block) = ControlBlock::parse(&bytes) {
            assert_eq!(block.to_bytes(), bytes);
        }
        if let Some(output) = TaprootOutput::from_script_pubkey(&bytes) {
            assert_eq!(output.script_pubkey(), bytes);
        }
        let _ = Address::from_script_pubkey(Network::Mainnet, &bytes);
        for network in [Network::Mainnet, Network::Testnet, Network::Regtest] {
            let (mut witness_script, length) = (bytes.clone(), bytes.len().saturating_sub(2));
            if let (Some([version, push]), Ok(length)) = (witness_script.first_chunk_mut(), u8::try_from(length)) {
                (*version, *push) = (0x50 + *version % 17, length);
            }
            for script in [&bytes, &witness_script] {
                if let Some(address) = bitcoin::Address::from_script_pubkey(network, script) {
                    assert_eq!(address.script_pubkey(), script);
                    assert_eq!(bitcoin::Address::parse(network, &address.to_string()), Ok(address));
                }
            }
            for prefix in ["", "bc1", "tb1p", "bcrt1q"] {
                let text = format!("{prefix}{text}");
                if let Ok(address) = bitcoin::Address::parse(network, &text) {
                    let shown = address.to_string();
                    assert!(shown == text || shown == text.to_lowercase(), "{text}");
                }
            }
        }
        let _ = (text.parse::<Address>(), wif::decode(&text).map(drop), text.parse::<PublicKey>());
        let _ = format!("lotus_{text}").parse::<Address>();
        true
    }
    QuickCheck::new().tests(2000).quickcheck(property as fn(Vec<u8>, String) -> bool);

    let version = [1, 0, 0, 0];
    for count in [&[0xfc][..], &[0xfd, 0xff, 0xff], &[0xfe, 0xff, 0xff, 0xff, 0xff], &[0xff; 9]] {
        let bytes = [&version, count, &[0; 82]].concat();
        assert_eq!(Transaction::parse(&bytes), Err(TransactionError::Truncated));
    }
    for count in [&[0xfd, 0xfc, 0][..], &[0xfe, 0xff, 0xff, 0, 0], &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]] {
        let bytes = [&version, count, &[0; 82]].concat();
        assert_eq!(Transaction::parse(&bytes), Err(TransactionError::NonCanonical));
    }
    for (count, error) in [([0, 0], TransactionError::NoInputs), ([0, 1], TransactionError::Witness)] {
        let bytes = [&version[..], &count, &[0; 82]].concat();
        assert_eq!(Transaction::parse(&bytes), Err(error));
    }
    assert_eq!(Transaction::parse(&[&version[..], &[0]].concat()), Err(TransactionError::NoInputs));
    let bytes = vec![0; Transaction::MAX_BYTES + 1];
    assert_eq!(Transaction::parse(&bytes), Err(TransactionError::TooLarge(bytes.len())));
}
