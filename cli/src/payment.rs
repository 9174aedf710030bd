//! From the signatures of a session to the transaction that nodes take.
//!
//! Owns how final signatures become input scripts on Lotus and witnesses on Bitcoin. Invariant: a transaction leaves
//! this file only when every input has what spends it. The node and the shapes of its answers drive it.

use nelumbo_core::crypto::lotus::{self, Transaction, Txid};
use nelumbo_core::crypto::{Signature, Suite, bitcoin};
use nelumbo_core::wire::{Definition, SignedInput, SpendPath, Subject};

/// A transaction that can be broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Final {
    pub(crate) txid: Txid,
    /// As nodes take it, with scripts or witnesses.
    pub(crate) bytes: Vec<u8>,
    /// The same, where the ledger is Lotus.
    pub(crate) lotus: Option<Transaction>,
}

/// The final transaction of a session: none if it signs something else, is not signed, leaves inputs to others, or runs
/// scripts, whose other arguments nobody here knows.
pub(crate) fn finalize(definition: &Definition, signatures: &[Signature]) -> Option<Final> {
    let spending = definition.details.spending.as_deref()?;
    let mut transaction = Transaction::parse(&spending.transaction).ok()?;
    if signatures.len() != definition.items.len() {
        return None;
    }
    let mut signed: Vec<Option<(&SignedInput, &Signature)>> = vec![None; transaction.inputs.len()];
    for (item, signature) in definition.items.iter().zip(signatures) {
        let Subject::Input(input) = &item.subject else { return None };
        *signed.get_mut(usize::try_from(input.input).ok()?)? =
            Some((input, signature)).filter(|_| input.path == SpendPath::Key);
    }
    let signed: Vec<(&SignedInput, &Signature)> = signed.into_iter().collect::<Option<_>>()?;
    let txid = transaction.txid(definition.suite);
    match definition.suite {
        Suite::Lotus => {
            for (input, (what, signature)) in transaction.inputs.iter_mut().zip(signed) {
                let sighash_type = lotus::SighashType::from_byte(what.sighash_type).ok()?;
                input.script_sig = lotus::key_path_script_sig(signature, sighash_type).to_vec();
            }
            Some(Final { txid, bytes: transaction.to_bytes(), lotus: Some(transaction) })
        }
        Suite::Bip340 => {
            let mut witnesses = Vec::new();
            for (what, signature) in signed {
                let sighash_type = bitcoin::SighashType::from_byte(what.sighash_type).ok()?;
                let witness = bitcoin::key_path_witness(signature, sighash_type);
                // One element, and its length.
                witnesses.extend([1, u8::try_from(witness.len()).ok()?]);
                witnesses.extend(witness);
            }
            let plain = transaction.to_bytes();
            // BIP144: marker and flag behind the version, witnesses before the lock time.
            let (version, rest) = plain.split_first_chunk::<4>()?;
            let (body, lock_time) = rest.split_last_chunk::<4>()?;
            let bytes = [&version[..], &[0, 1], body, &witnesses, lock_time].concat();
            Some(Final { txid, bytes, lotus: None })
        }
    }
}
