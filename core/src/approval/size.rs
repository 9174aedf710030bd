//! How large a transaction is when it is signed, so that its fee can be judged.
//!
//! Owns the sizes of what is still to come. Inputs that are not signed by the session are taken to be signed in the
//! most common way for what they spend; where that is not known nothing is added.
//! [`TransactionSummary`](super::TransactionSummary) drives it.

use alloc::collections::BTreeSet;
use alloc::vec;

use super::transaction::{Path, SignedInputs, output_key};
use crate::crypto::Suite;
use crate::crypto::transaction::{Transaction, TxOutput};

/// Lotus: the script that spends a Taproot output by its key.
const KEY_PATH_SCRIPT: usize = 66;
/// Lotus: pushes of a Schnorr signature with its type, and of a public key.
const P2PKH_SCRIPT: usize = 100;
/// Bitcoin: pushes of an ECDSA signature in DER with its type, which rarely has fewer than these 72 bytes, and of a
/// public key.
const ECDSA_SCRIPT: usize = 107;
/// Bitcoin: the same as a witness, with the number of its elements.
const ECDSA_WITNESS: u64 = 1 + 1 + 72 + 1 + 33;
/// Bitcoin: the witness that spends a Taproot output by its key, with the number of its elements; a byte more when the
/// type has one.
const KEY_PATH_WITNESS: u64 = 1 + 1 + 64;
/// Bitcoin: no witness.
const NO_WITNESS: u64 = 1;
/// Bitcoin: marker and flag of a transaction with witnesses (BIP144).
const MARKER: u64 = 2;

/// Bytes on Lotus, virtual bytes on Bitcoin.
pub(super) fn signed_size(suite: Suite, transaction: &Transaction, spent: &[TxOutput], signed: &[SignedInputs]) -> u64 {
    match suite {
        Suite::Lotus => lotus_size(transaction, spent, signed),
        Suite::Bip340 => bitcoin_size(transaction, spent, signed),
    }
}

fn lotus_size(transaction: &Transaction, spent: &[TxOutput], signed: &[SignedInputs]) -> u64 {
    let by_key = signed.iter().filter(|signed| signed.path == Path::Key).flat_map(|signed| &signed.inputs);
    let by_key: BTreeSet<u32> = by_key.copied().collect();
    let mut signed_transaction = transaction.clone();
    for (place, (input, spent)) in (0..).zip(signed_transaction.inputs.iter_mut().zip(spent)) {
        let is_taproot = output_key(Suite::Lotus, &spent.script_pubkey).is_some();
        let length = match &input.script_sig {
            _ if by_key.contains(&place) => KEY_PATH_SCRIPT,
            script if !script.is_empty() => continue,
            _ if is_taproot => KEY_PATH_SCRIPT,
            _ if is_p2pkh(&spent.script_pubkey) => P2PKH_SCRIPT,
            _ => continue,
        };
        input.script_sig = vec![0; length];
    }
    signed_transaction.to_bytes().len() as u64
}

/// A quarter of the weight, rounded up (BIP141).
fn bitcoin_size(transaction: &Transaction, spent: &[TxOutput], signed: &[SignedInputs]) -> u64 {
    let has_type_byte: BTreeSet<u32> = signed
        .iter()
        .filter(|signed| signed.path == Path::Key && signed.sighash.byte != 0)
        .flat_map(|signed| signed.inputs.iter().copied())
        .collect();
    let mut signed_transaction = transaction.clone();
    let mut witnesses = 0;
    for (place, (input, spent)) in (0..).zip(signed_transaction.inputs.iter_mut().zip(spent)) {
        let script = &spent.script_pubkey;
        witnesses += match &script[..] {
            _ if output_key(Suite::Bip340, script).is_some() => {
                KEY_PATH_WITNESS + u64::from(has_type_byte.contains(&place))
            }
            [0, 20, hash @ ..] if hash.len() == 20 => ECDSA_WITNESS,
            _ => NO_WITNESS,
        };
        if input.script_sig.is_empty() && is_p2pkh(script) {
            input.script_sig = vec![0; ECDSA_SCRIPT];
        }
    }
    (4 * signed_transaction.to_bytes().len() as u64 + MARKER + witnesses).div_ceil(4)
}

fn is_p2pkh(script: &[u8]) -> bool {
    matches!(script, [0x76, 0xa9, 0x14, hash @ .., 0x88, 0xac] if hash.len() == 20)
}
