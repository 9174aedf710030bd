//! Output scripts, and what spends a Taproot output.
//!
//! Owns the scripts of standard outputs, the control block, and the script that carries a key-path signature.
//! Invariant: a control block has at most 128 nodes and is written as it was read. Wallets and the session's embedder
//! drive it.

use alloc::vec::Vec;
use core::fmt;

use super::sighash::SighashType;
use crate::Suite;
use crate::keys::PublicKey;
use crate::schnorr::Signature;
use crate::taproot::{self, LEAF_VERSION, TaprootError};

/// `OP_SCRIPTTYPE OP_1` and the push of 33 bytes (Lotus scheme, section 6).
const TAPROOT_PREFIX: [u8; 3] = [0x62, 0x51, 0x21];
const PUSH_32: u8 = 0x20;

/// The script of an output that pays to the hash of a public key.
#[must_use]
pub fn p2pkh_script(hash: &[u8; 20]) -> [u8; 25] {
    let mut script = [0; 25];
    script[..3].copy_from_slice(&[0x76, 0xa9, 0x14]);
    script[3..23].copy_from_slice(hash);
    script[23..].copy_from_slice(&[0x88, 0xac]);
    script
}

/// The script of an output that pays to the hash of a script.
#[must_use]
pub fn p2sh_script(hash: &[u8; 20]) -> [u8; 23] {
    let mut script = [0; 23];
    script[..2].copy_from_slice(&[0xa9, 0x14]);
    script[2..22].copy_from_slice(hash);
    script[22] = 0x87;
    script
}

/// A Taproot output of Lotus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaprootOutput {
    /// The commitment C, stored with its parity.
    pub commitment: PublicKey,
    /// 32 bytes that a script-path spend finds on its stack. The tweak does not cover them.
    pub state: Option<[u8; 32]>,
}

impl TaprootOutput {
    /// The script: 36 bytes, or 69 with state.
    #[must_use]
    pub fn script_pubkey(&self) -> Vec<u8> {
        let mut script = Vec::with_capacity(69);
        script.extend_from_slice(&TAPROOT_PREFIX);
        script.extend_from_slice(self.commitment.as_bytes());
        if let Some(state) = &self.state {
            script.push(PUSH_32);
            script.extend_from_slice(state);
        }
        script
    }

    /// Reads the script of a Taproot output. None for every other script; the commitment is not checked to be on the
    /// curve.
    #[must_use]
    pub fn from_script_pubkey(script: &[u8]) -> Option<Self> {
        let (commitment, rest) = script.strip_prefix(&TAPROOT_PREFIX)?.split_first_chunk::<33>()?;
        let state = match rest {
            [] => None,
            [PUSH_32, state @ ..] => Some(state.try_into().ok()?),
            _ => return None,
        };
        Some(Self { commitment: PublicKey::from_bytes(*commitment).ok()?, state })
    }
}

/// The script that spends a Taproot output by its key: one push of signature and hash type.
#[must_use]
pub fn key_path_script_sig(signature: &Signature, sighash_type: SighashType) -> [u8; 66] {
    let mut script = [0; 66];
    script[0] = 0x41;
    script[1..65].copy_from_slice(signature.as_bytes());
    script[65] = sighash_type.to_byte();
    script
}

/// The proof that a leaf script is in a tree that an output commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlBlock {
    /// The version of the leaf. Consensus spends [`LEAF_VERSION`] only.
    pub leaf_version: u8,
    /// The key before the tweak. Its parity is in the block, other than in BIP341, where it is the output key's.
    pub internal_key: PublicKey,
    /// The siblings from the leaf upwards.
    pub path: Vec<[u8; 32]>,
}

/// Why bytes are not a control block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlBlockError {
    /// The size is not 33 bytes and 0 to 128 times 32.
    Length(usize),
}

impl fmt::Display for ControlBlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(found) => write!(f, "a control block has 33 + 32·k bytes with k up to 128, not {found}"),
        }
    }
}

impl core::error::Error for ControlBlockError {}

impl ControlBlock {
    /// The deepest tree that consensus knows.
    pub const MAX_DEPTH: usize = taproot::MAX_DEPTH;

    /// The block of a leaf of the version that can be spent.
    #[must_use]
    pub fn new(internal_key: PublicKey, path: Vec<[u8; 32]>) -> Self {
        Self { leaf_version: LEAF_VERSION, internal_key, path }
    }

    /// Reads a control block.
    ///
    /// # Errors
    ///
    /// [`ControlBlockError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlBlockError> {
        let error = ControlBlockError::Length(bytes.len());
        let (head, nodes) = bytes.split_first_chunk::<33>().ok_or(error)?;
        let (path, []) = nodes.as_chunks::<32>() else {
            return Err(error);
        };
        if path.len() > Self::MAX_DEPTH {
            return Err(error);
        }
        let mut key = *head;
        key[0] = 2 | head[0] & 1;
        let internal_key = PublicKey::from_bytes(key).expect("the prefix is 02 or 03 by construction");
        Ok(Self { leaf_version: head[0] & !1, internal_key, path: path.to_vec() })
    }

    /// The bytes of the block.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.internal_key.to_bytes().to_vec();
        bytes[0] = self.leaf_version & !1 | bytes[0] & 1;
        bytes.extend(self.path.as_flattened());
        bytes
    }

    /// The root of the tree, given the script of the leaf.
    #[must_use]
    pub fn merkle_root(&self, script: &[u8]) -> [u8; 32] {
        taproot::merkle_root(taproot::leaf_hash(self.leaf_version, script), &self.path)
    }

    /// The commitment that an output must carry for this block and this script to spend it.
    ///
    /// # Errors
    ///
    /// [`TaprootError`].
    pub fn commitment(&self, script: &[u8]) -> Result<PublicKey, TaprootError> {
        taproot::output_key(Suite::Lotus, &self.internal_key, Some(&self.merkle_root(script)))
    }
}
