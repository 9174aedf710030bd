//! Target `address`: what people and ledgers hand in as text or bytes outside the protocol.
//!
//! Invariants: total; whatever is read is written back so that it reads the same, and byte strings with one encoding
//! are written back byte for byte. Checksums are also put right, so that the fuzzer gets behind them.

use nelumbo_core::crypto::lotus::{
    Address, ControlBlock, OutPoint, SighashType, Spend, TaprootOutput, Transaction, Txid, key_path_script_sig,
    sighash, wif,
};
use nelumbo_core::crypto::{Network, PublicKey, Signature, Suite, bitcoin, sha256, sha256d};
use nelumbo_core::election::Method;
use nelumbo_core::wire::SessionId;

use super::input::{Bytes, Encode, Fixed, choose, draw, input};

input! {
    /// Something from outside.
    pub enum Foreign {
        Text { text: Bytes },
        /// An address with the right checksum around any type and payload.
        Payload { #[arbitrary(with = draw)] network: Network, payload: Bytes },
        /// A key file with the right checksum around any content.
        KeyFile { content: Bytes },
        /// A transaction, and how one of its inputs is to be signed.
        Transaction { transaction: Bytes, sighash_type: u8, input: u8, spend: SpendBy },
        Script { script: Bytes },
        ControlBlock { block: Bytes },
    }

    pub enum SpendBy {
        Key,
        Script { hash: Fixed<32>, code_separator: u32 },
        ScriptWithoutSeparator,
    }
}

pub(crate) fn run(foreign: &Foreign) {
    match foreign {
        Foreign::Text { text: bytes } => text(&String::from_utf8_lossy(&bytes.0)),
        Foreign::Payload { network, payload: content } => payload(*network, &content.0),
        Foreign::KeyFile { content } => key_file(&content.0),
        Foreign::Transaction { transaction: bytes, sighash_type, input, spend } => {
            transaction(&bytes.0, *sighash_type, usize::from(input % 4), spend.spend());
        }
        Foreign::Script { script: bytes } => script(&bytes.0),
        Foreign::ControlBlock { block } => control_block(&block.0),
    }
}

impl SpendBy {
    fn spend(&self) -> Spend {
        match self {
            Self::Key => Spend::KeyPath,
            Self::Script { hash, code_separator } => {
                Spend::Script { executed_script_hash: hash.0, code_separator: *code_separator }
            }
            Self::ScriptWithoutSeparator => {
                Spend::Script { executed_script_hash: [7; 32], code_separator: Spend::NO_CODE_SEPARATOR }
            }
        }
    }
}

fn text(text: &str) {
    if let Ok(address) = text.parse::<Address>() {
        check_address(&address);
    }
    if let Ok(imported) = wif::decode(text) {
        check_key(&imported);
    }
    fn comes_back<T: core::str::FromStr + core::fmt::Display>(text: &str) {
        if let Ok(value) = text.parse::<T>() {
            assert_eq!(value.to_string(), text, "one value has one text");
        }
    }
    if let Ok(address) = bitcoin::Address::parse(Network::Regtest, text) {
        let shown = address.to_string();
        assert_eq!(bitcoin::Address::parse(Network::Regtest, &shown), Ok(address));
        assert!(shown == text || shown == text.to_lowercase(), "one address has one text, but for its case");
    }
    comes_back::<PublicKey>(text);
    comes_back::<Signature>(text);
    comes_back::<Txid>(text);
    comes_back::<Network>(text);
    comes_back::<Suite>(text);
    comes_back::<Method>(text);
    if let Ok(session) = text.parse::<SessionId>() {
        assert_eq!(session.to_string(), text, "one session id has one text");
    }
}

fn check_address(address: &Address) {
    let again: Address = address.to_string().parse().expect("what is printed is an address");
    assert_eq!(again, *address);
    let script = address.script_pubkey();
    assert_eq!(Address::from_script_pubkey(address.network, &script), Some(*address));
}

fn payload(network: Network, content: &[u8]) {
    let (kind, payload) = content.split_at(content.len().min(1));
    let checksum = sha256(&[b"lotus", &[network.letter() as u8], kind, payload]);
    let bytes = [content, &checksum[..4]].concat();
    let text = format!("lotus{}{}", network.letter(), bs58::encode(bytes).into_string());
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.network, network);
        check_address(&address);
    }
}

fn key_file(content: &[u8]) {
    let checksum = sha256d(&[content]);
    let text = bs58::encode([content, &checksum[..4]].concat()).into_string();
    if let Ok(imported) = wif::decode(&text) {
        let network = if imported.mainnet { Network::Mainnet } else { Network::Regtest };
        assert_eq!(*wif::encode(&imported.key, network, imported.compressed), text, "one key has one text");
        check_key(&imported);
    }
}

fn check_key(imported: &wif::ImportedKey) {
    let network = if imported.mainnet { Network::Mainnet } else { Network::Testnet };
    let again =
        wif::decode(&wif::encode(&imported.key, network, imported.compressed)).expect("what is written is read");
    assert_eq!(
        (again.key.public_key(), again.mainnet, again.compressed),
        (imported.key.public_key(), imported.mainnet, imported.compressed)
    );
    assert!(imported.is_for(network));
}

fn transaction(bytes: &[u8], byte: u8, input: usize, spend: Spend) {
    let kind = SighashType::from_byte(byte);
    let Ok(transaction) = Transaction::parse(bytes) else { return };
    assert_eq!(transaction.to_bytes(), bytes, "one transaction has one encoding");
    let (txid, _) = (transaction.txid(Suite::Lotus), transaction.txhash());
    // The id does not depend on what is filled in when the transaction is signed.
    let mut unsigned = transaction.clone();
    unsigned.inputs.iter_mut().for_each(|input| input.script_sig.clear());
    assert_eq!(unsigned.txid(Suite::Lotus), txid);
    let _point = OutPoint { txid, index: 0 };
    // As if it spent as many of its own outputs as it has inputs; refused when it has fewer.
    let count = transaction.inputs.len().min(transaction.outputs.len());
    let spent = &transaction.outputs[..count];
    if let Ok(kind) = bitcoin::SighashType::from_byte(byte) {
        assert_eq!(kind.to_byte(), byte);
        let _digest =
            bitcoin::SighashCache::new(&transaction, spent).and_then(|cache| cache.sighash(input, kind, spend));
    }
    let Ok(kind) = kind else { return };
    assert_eq!(SighashType::from_byte(kind.to_byte()), Ok(kind));
    let _script = key_path_script_sig(&Signature::from_bytes([1; 64]), kind);
    let _digest = sighash(&transaction, spent, input, kind, spend);
}

fn script(bytes: &[u8]) {
    if let Some(output) = TaprootOutput::from_script_pubkey(bytes) {
        assert_eq!(output.script_pubkey(), bytes);
    }
    if let Some(address) = bitcoin::Address::from_script_pubkey(Network::Regtest, bytes) {
        assert_eq!(address.script_pubkey(), bytes);
        assert_eq!(bitcoin::Address::parse(Network::Regtest, &address.to_string()), Ok(address));
    }
    if let Some(address) = Address::from_script_pubkey(Network::Regtest, bytes) {
        // A commitment off the curve has a script and no readable address.
        if let Ok(again) = address.to_string().parse::<Address>() {
            assert_eq!(again, address);
        }
    }
}

fn control_block(bytes: &[u8]) {
    let Ok(block) = ControlBlock::parse(bytes) else { return };
    assert_eq!(block.to_bytes(), bytes);
    if let Ok(commitment) = block.commitment(b"\x51") {
        assert!(commitment.validate().is_ok(), "a commitment is a point of the curve");
    }
}
