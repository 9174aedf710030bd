//! The Merkle trees in Lotus transaction ids and digests.
//!
//! Owns the tree rule, the leaves, and the id that is made of two such trees. Invariant: an odd level is completed with
//! 32 zero bytes, never with a copy of its last node, so no two lists have one root. Transactions and digests drive it.

use alloc::vec::Vec;

use crate::hash::sha256d;
use crate::transaction::{Transaction, TxInput, TxOutput, Txid};

/// A root and the number of its levels: 1 for one leaf, 0 and a root of zeros for none (Lotus scheme, section 7).
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub(super) hash: [u8; 32],
    pub(super) height: u8,
}

impl Root {
    /// The tree of inputs, without their scripts.
    pub(super) fn of_inputs(inputs: &[TxInput]) -> Self {
        Self::of(inputs.iter().map(|input| sha256d(&[&input.outpoint.to_bytes(), &input.sequence.to_le_bytes()])))
    }

    /// The tree of outputs, spent or new.
    pub(super) fn of_outputs(outputs: &[TxOutput]) -> Self {
        Self::of(outputs.iter().map(output_leaf))
    }

    fn of(leaves: impl Iterator<Item = [u8; 32]>) -> Self {
        let mut level: Vec<[u8; 32]> = leaves.collect();
        let mut root = Self { hash: [0; 32], height: 0 };
        while let Some(first) = level.first() {
            root = Self { hash: *first, height: root.height + 1 };
            if level.len() == 1 {
                break;
            }
            level = level.chunks(2).map(|pair| sha256d(&[&pair[0], pair.get(1).unwrap_or(&[0; 32])])).collect();
        }
        root
    }
}

/// `HH(value ‖ size ‖ script)`, the leaf of every tree of outputs.
pub(super) fn output_leaf(output: &TxOutput) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(8 + 9 + output.script_pubkey.len());
    output.write_to(&mut bytes);
    sha256d(&[&bytes])
}

/// The id of a transaction, which does not depend on the input scripts (Lotus scheme, section 7).
pub(crate) fn txid(transaction: &Transaction) -> Txid {
    let (inputs, outputs) = (Root::of_inputs(&transaction.inputs), Root::of_outputs(&transaction.outputs));
    Txid::from_bytes(sha256d(&[
        &transaction.version.to_le_bytes(),
        &inputs.hash,
        &[inputs.height],
        &outputs.hash,
        &[outputs.height],
        &transaction.lock_time.to_le_bytes(),
    ]))
}
