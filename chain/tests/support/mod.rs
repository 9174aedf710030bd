//! Keys, coins and signatures for tests of the ledger.
//!
//! Owns digests and encodings that are written a second time here, so that the ledger is not judged by itself: BIP143
//! from its text, ECDSA by libsecp256k1.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses the part it needs")]

use nelumbo_chain::build::{Delay, Recovery, hash160};
use nelumbo_chain::ledger::{Ledger, Rules};
use nelumbo_crypto::lotus::{
    ControlBlock, OutPoint, SighashType, Spend, TaprootOutput, Transaction, TxInput, TxOutput, Txid, p2pkh_script,
    sighash,
};
use nelumbo_crypto::taproot::{self, LEAF_VERSION, leaf_hash};
use nelumbo_crypto::{PublicKey, SecretKey, Suite, schnorr, sha256, sha256d};

/// 2026-05-28 20:26:40 UTC: after Second Samuel, before replay protection.
pub const NOW: i64 = 1_780_000_000;

/// A key by its number.
pub fn key(number: u64) -> SecretKey {
    SecretKey::from_bytes(&sha256(&[b"test key", &number.to_le_bytes()])).expect("below the order")
}

/// Who can spend an output, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A Taproot output by its key; perhaps with state.
    KeyPath { state: bool },
    /// A Taproot output by the leaf of a recovery.
    Leaf(Delay),
    /// A key's hash, with a Schnorr signature.
    SchnorrHash,
    /// A key's hash, with an ECDSA signature.
    EcdsaHash,
}

/// An output's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub number: u64,
    pub way: Way,
}

/// What a signature is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub hash_type: u8,
    pub replay_protected: bool,
}

pub const LOTUS: Style = Style { hash_type: 0x61, replay_protected: false };
pub const FORKID: Style = Style { hash_type: 0x41, replay_protected: false };

impl Owner {
    pub fn key(&self) -> SecretKey {
        key(self.number)
    }

    pub fn public_key(&self) -> PublicKey {
        self.key().public_key()
    }

    /// What comes back by the leaf, whose key is another than the output's.
    pub fn recovery(&self) -> Recovery {
        let delay = match self.way {
            Way::Leaf(delay) => delay,
            _ => Delay::Blocks(144),
        };
        Recovery { delay, key: key(self.number + 1_000_000).public_key() }
    }

    fn root(&self) -> Option<[u8; 32]> {
        matches!(self.way, Way::Leaf(_)).then(|| self.recovery().merkle_root())
    }

    pub fn script(&self) -> Vec<u8> {
        match self.way {
            Way::SchnorrHash | Way::EcdsaHash => p2pkh_script(&hash160(self.public_key().as_bytes())).to_vec(),
            Way::KeyPath { state } => self.taproot(state.then_some([9; 32])),
            Way::Leaf(_) => self.taproot(None),
        }
    }

    fn taproot(&self, state: Option<[u8; 32]>) -> Vec<u8> {
        let commitment = taproot::output_key(Suite::Lotus, &self.public_key(), self.root().as_ref()).expect("a point");
        TaprootOutput { commitment, state }.script_pubkey()
    }

    pub fn output(&self, value: u64) -> TxOutput {
        TxOutput { value, script_pubkey: self.script() }
    }

    /// The relative lock that spending needs.
    pub fn sequence(&self) -> u32 {
        match self.way {
            Way::Leaf(delay) => delay.to_sequence(),
            _ => u32::MAX,
        }
    }

    /// The script of an input that spends such an output.
    pub fn unlock(&self, transaction: &Transaction, spent: &[TxOutput], input: usize, style: Style) -> Vec<u8> {
        let mut script = Vec::new();
        let signature = self.signature(transaction, spent, input, style);
        push(&mut script, &signature);
        match self.way {
            Way::KeyPath { .. } => {}
            Way::SchnorrHash | Way::EcdsaHash => push(&mut script, self.public_key().as_bytes()),
            Way::Leaf(_) => {
                push(&mut script, &self.recovery().script());
                push(&mut script, &ControlBlock::new(self.public_key(), Vec::new()).to_bytes());
            }
        }
        script
    }

    /// A signature and its hash type.
    pub fn signature(&self, transaction: &Transaction, spent: &[TxOutput], input: usize, style: Style) -> Vec<u8> {
        let script = &spent[input].script_pubkey;
        let no_code_separator = u32::MAX;
        let (secret, spend) = match self.way {
            Way::KeyPath { .. } => {
                (taproot::tweak_secret_key(Suite::Lotus, &self.key(), None).expect("a key"), Spend::KeyPath)
            }
            Way::Leaf(_) => {
                let executed_script_hash = leaf_hash(LEAF_VERSION, &self.recovery().script());
                let spend = Spend::Script { executed_script_hash, code_separator: no_code_separator };
                (key(self.number + 1_000_000), spend)
            }
            Way::SchnorrHash | Way::EcdsaHash => {
                let executed_script_hash = sha256d(&[script]);
                (self.key(), Spend::Script { executed_script_hash, code_separator: no_code_separator })
            }
        };
        let digest = if style.hash_type & 0x60 == 0x40 {
            // A leaf signs its own script.
            let leaf = matches!(self.way, Way::Leaf(_)).then(|| self.recovery().script());
            bip143(transaction, spent, input, leaf.as_ref().unwrap_or(script), style)
        } else {
            // Types that are none sign what the usual one does.
            let kind = SighashType::from_byte(style.hash_type).unwrap_or(SighashType::ALL);
            let kind = if style.replay_protected { kind.with_replay_protection() } else { kind };
            sighash(transaction, spent, input, kind, spend).expect("it can be signed")
        };
        let mut signature = match self.way {
            Way::EcdsaHash => ecdsa(&secret, digest),
            _ => schnorr::sign(Suite::Lotus, &secret, &digest, None).expect("32 bytes").to_bytes().to_vec(),
        };
        signature.push(style.hash_type);
        signature
    }
}

fn ecdsa(secret: &SecretKey, digest: [u8; 32]) -> Vec<u8> {
    let secret = secp256k1::SecretKey::from_secret_bytes(*secret.expose_secret_bytes_for_storage()).expect("a key");
    let signature = secp256k1::ecdsa::sign(secp256k1::Message::from_digest(digest), &secret);
    signature.serialize_der().to_vec()
}

/// BIP143, with the fork value of replay protection.
fn bip143(transaction: &Transaction, spent: &[TxOutput], input: usize, script: &[u8], style: Style) -> [u8; 32] {
    let anyone_can_pay = style.hash_type & 0x80 != 0;
    let (none, single) = (style.hash_type & 0x1f == 2, style.hash_type & 0x1f == 3);
    let own = &transaction.inputs[input];
    let mut bytes = Vec::new();
    bytes.extend(transaction.version.to_le_bytes());
    let prevouts: Vec<u8> = transaction.inputs.iter().flat_map(|input| outpoint_bytes(&input.outpoint)).collect();
    bytes.extend(if anyone_can_pay { [0; 32] } else { sha256d(&[&prevouts]) });
    let sequences: Vec<u8> = transaction.inputs.iter().flat_map(|input| input.sequence.to_le_bytes()).collect();
    bytes.extend(if anyone_can_pay || none || single { [0; 32] } else { sha256d(&[&sequences]) });
    bytes.extend(outpoint_bytes(&own.outpoint));
    bytes.push(u8::try_from(script.len()).expect("a short script"));
    bytes.extend(script);
    bytes.extend(spent[input].value.to_le_bytes());
    bytes.extend(own.sequence.to_le_bytes());
    let outputs: Vec<u8> = transaction.outputs.iter().flat_map(output_bytes).collect();
    bytes.extend(match transaction.outputs.get(input) {
        Some(output) if single => sha256d(&[&output_bytes(output)]),
        _ if none || single => [0; 32],
        _ => sha256d(&[&outputs]),
    });
    bytes.extend(transaction.lock_time.to_le_bytes());
    let fork_value = if style.replay_protected { 0xff_dead_u32 } else { 0 };
    bytes.extend((fork_value << 8 | u32::from(style.hash_type)).to_le_bytes());
    sha256d(&[&bytes])
}

fn outpoint_bytes(outpoint: &OutPoint) -> Vec<u8> {
    [outpoint.txid.as_bytes().as_slice(), &outpoint.index.to_le_bytes()].concat()
}

fn output_bytes(output: &TxOutput) -> Vec<u8> {
    let length = u8::try_from(output.script_pubkey.len()).expect("a short script");
    [output.value.to_le_bytes().as_slice(), &[length], &output.script_pubkey].concat()
}

/// The shortest push.
pub fn push(script: &mut Vec<u8>, bytes: &[u8]) {
    let length = u8::try_from(bytes.len()).expect("a short push");
    if length > 75 {
        script.push(0x4c);
    }
    script.push(length);
    script.extend_from_slice(bytes);
}

/// A coin and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    pub outpoint: OutPoint,
    pub output: TxOutput,
    pub owner: Owner,
}

/// A transaction that spends these coins, unsigned.
pub fn unsigned(coins: &[&Owned], outputs: Vec<TxOutput>) -> Transaction {
    let input =
        |coin: &&Owned| TxInput { outpoint: coin.outpoint, script_sig: Vec::new(), sequence: coin.owner.sequence() };
    Transaction { version: 2, inputs: coins.iter().map(input).collect(), outputs, lock_time: 0 }
}

/// Signs every input.
pub fn sign(transaction: &mut Transaction, coins: &[&Owned], style: Style) {
    let spent: Vec<TxOutput> = coins.iter().map(|coin| coin.output.clone()).collect();
    for (input, coin) in coins.iter().enumerate() {
        transaction.inputs[input].script_sig = coin.owner.unlock(transaction, &spent, input, style);
    }
}

/// A ledger on which everything is active and the faucet has coins.
pub fn ledger() -> Ledger {
    let mut ledger = Ledger::new(Rules::default());
    ledger.mine(120, &Ledger::faucet_script(), NOW).expect("blocks");
    ledger
}

/// Funds an owner, in a block.
pub fn fund(ledger: &mut Ledger, owner: Owner, value: u64) -> Owned {
    let txid = ledger.fund(&owner.script(), value, NOW).expect("the faucet has coins");
    Owned { outpoint: OutPoint { txid, index: 0 }, output: owner.output(value), owner }
}

/// What the ledger says of a transaction: nothing, or lotusd's text.
pub fn verdict(ledger: &Ledger, transaction: &Transaction) -> Option<String> {
    ledger.test(&transaction.to_bytes(), NOW).err().map(|reject| reject.to_string())
}

pub const fn key_path(number: u64) -> Owner {
    Owner { number, way: Way::KeyPath { state: false } }
}

/// An outpoint that is nowhere.
pub fn nowhere(number: u64) -> OutPoint {
    OutPoint { txid: Txid::from_bytes(sha256(&[&number.to_le_bytes()])), index: 0 }
}
