//! What kinds of output there are, and what a transaction looks like that nodes take.
//!
//! Owns the classification of scripts and lotusd's `IsStandardTx`, which on Lotus is a rule of blocks but for dust.
//! Invariant: a script that is of no kind is not standard. The judgement of transactions and the index drive it.

use nelumbo_crypto::lotus::Transaction;

use super::reject::Reject;
use super::script::is_push_only;
use crate::build::{MAX_DATA_BYTES, MAX_DATA_OUTPUTS, MAX_STANDARD_BYTES, OP_RETURN, dust};

const CHECKSIG: u8 = 0xac;

/// The kind of an output script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    PublicKey(&'a [u8]),
    PublicKeyHash(&'a [u8]),
    ScriptHash(&'a [u8]),
    /// A commitment and perhaps a state. Nodes do not look whether the commitment is a key.
    Taproot(&'a [u8; 33], Option<&'a [u8; 32]>),
    /// `OP_RETURN` and pushes.
    Data,
    /// Several keys, up to three.
    Multisig,
}

/// The kind of a script, if nodes take outputs with it.
pub(super) fn kind(script: &[u8]) -> Option<Kind<'_>> {
    match script {
        [0xa9, 0x14, hash @ .., 0x87] if hash.len() == 20 => Some(Kind::ScriptHash(hash)),
        [0x76, 0xa9, 0x14, hash @ .., 0x88, CHECKSIG] if hash.len() == 20 => Some(Kind::PublicKeyHash(hash)),
        [33, key @ .., CHECKSIG] if key.len() == 33 && matches!(key[0], 2 | 3) => Some(Kind::PublicKey(key)),
        [65, key @ .., CHECKSIG] if key.len() == 65 && matches!(key[0], 4 | 6 | 7) => Some(Kind::PublicKey(key)),
        [OP_RETURN, data @ ..] => (script.len() <= MAX_DATA_BYTES && is_push_only(data)).then_some(Kind::Data),
        [0x62, 0x51, 33, rest @ ..] => {
            let (commitment, state) = rest.split_first_chunk()?;
            match state {
                [] => Some(Kind::Taproot(commitment, None)),
                [32, state @ ..] => Some(Kind::Taproot(commitment, Some(state.try_into().ok()?))),
                _ => None,
            }
        }
        [required @ 0x51..=0x53, keys @ .., count @ 0x51..=0x53, 0xae] => {
            is_multisig(keys, count - 0x50, required - 0x50).then_some(Kind::Multisig)
        }
        _ => None,
    }
}

fn is_multisig(mut keys: &[u8], count: u8, required: u8) -> bool {
    let mut found = 0;
    while let [length @ (33 | 65), rest @ ..] = keys {
        let Some((key, rest)) = rest.split_at_checked(usize::from(*length)) else { return false };
        let expected = if *length == 33 { 2..=3 } else { 4..=7 };
        if !expected.contains(&key[0]) {
            return false;
        }
        found += 1;
        keys = rest;
    }
    keys.is_empty() && found == count && required <= count
}

/// `IsStandardTx`, given the size of the transaction in bytes.
pub(super) fn check(transaction: &Transaction, size: usize) -> Result<(), Reject> {
    if !(1..=2).contains(&transaction.version) {
        return Err(Reject::Version);
    }
    if size > MAX_STANDARD_BYTES {
        return Err(Reject::StandardSize);
    }
    if transaction.inputs.iter().any(|input| !is_push_only(&input.script_sig)) {
        return Err(Reject::ScriptSigNotPushOnly);
    }
    let mut data = 0;
    for output in &transaction.outputs {
        match kind(&output.script_pubkey).ok_or(Reject::ScriptPubKey)? {
            Kind::Data => data += 1,
            _ if output.value < dust(&output.script_pubkey) => return Err(Reject::Dust),
            _ => {}
        }
    }
    if data > MAX_DATA_OUTPUTS { Err(Reject::MultiOpReturn) } else { Ok(()) }
}
