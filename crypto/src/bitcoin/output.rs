//! The output script of Taproot, and what spends it.
//!
//! Owns the script, the witness of a key-path spend and the control block of a script-path spend. Wallets and the
//! session's embedder drive it.

use alloc::vec::Vec;
use core::fmt;

use super::sighash::SighashType;
use crate::Suite;
use crate::keys::PublicKey;
use crate::schnorr::Signature;
use crate::taproot::{self, TaprootError};

/// `OP_1` and the push of 32 bytes (BIP341, script validation rules).
const PREFIX: [u8; 2] = [0x51, 0x20];

/// The script of an output with this output key, of which it holds x (BIP341, script validation rules).
#[must_use]
pub fn taproot_script(output_key: &PublicKey) -> [u8; 34] {
    let mut script = [0; 34];
    script[..2].copy_from_slice(&PREFIX);
    script[2..].copy_from_slice(&output_key.x_only());
    script
}

/// Whether it is the script of a Taproot output.
pub(super) fn is_taproot_script(script: &[u8]) -> bool {
    script.len() == 34 && script.starts_with(&PREFIX)
}

/// The one element of the witness that spends a Taproot output by its key: the signature, and behind it the byte of the
/// type unless that is [`SighashType::DEFAULT`] (BIP341, Taproot key path spending signature validation).
#[must_use]
pub fn key_path_witness(signature: &Signature, sighash_type: SighashType) -> Vec<u8> {
    let mut witness = signature.as_bytes().to_vec();
    if sighash_type != SighashType::DEFAULT {
        witness.push(sighash_type.to_byte());
    }
    witness
}

/// Why there is no control block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlBlockError {
    /// The leaf has more siblings than [`taproot::MAX_DEPTH`].
    Depth(usize),
    /// The internal key cannot commit to the tree.
    Key(TaprootError),
}

impl fmt::Display for ControlBlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth(found) => write!(f, "a leaf has at most {} siblings, not {found}", taproot::MAX_DEPTH),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ControlBlockError {}

/// The last element of a witness that runs a script, which proves that the output key commits to it. `path` are the
/// siblings of the script's leaf, from the leaf upwards; none if it is the only one (BIP341, script validation rules).
///
/// Other than on [Lotus](crate::lotus::ControlBlock) the parity in it is the output key's.
///
/// # Errors
///
/// [`ControlBlockError`].
pub fn control_block(
    internal_key: &PublicKey,
    leaf_version: u8,
    script: &[u8],
    path: &[[u8; 32]],
) -> Result<Vec<u8>, ControlBlockError> {
    if path.len() > taproot::MAX_DEPTH {
        return Err(ControlBlockError::Depth(path.len()));
    }
    let root = taproot::merkle_root(taproot::leaf_hash(leaf_version, script), path);
    let output_key = taproot::output_key(Suite::Bip340, internal_key, Some(&root)).map_err(ControlBlockError::Key)?;
    let mut block = Vec::with_capacity(33 + 32 * path.len());
    block.push(leaf_version & !1 | output_key.as_bytes()[0] & 1);
    block.extend_from_slice(&internal_key.x_only());
    block.extend_from_slice(path.as_flattened());
    Ok(block)
}
