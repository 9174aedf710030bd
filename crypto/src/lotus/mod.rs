//! What Lotus, the ledger, puts around its signatures: addresses, key files, transactions, digests, scripts.
//!
//! Owns nothing itself but the compact size, which several of its files and the Taproot leaf share. Everything here is
//! a pure function of its input and total over byte strings. Embedders and the command line drive it; the protocol does
//! not.
//!
//! # The Lotus scheme
//!
#![doc = include_str!("scheme.md")]

mod address;
mod base58;
mod merkle;
mod network;
mod output;
mod sighash;
mod transaction;
pub mod wif;

pub use address::{Address, AddressError, Payload};
pub use network::{Network, UnknownNetwork};
pub use output::{ControlBlock, ControlBlockError, TaprootOutput, key_path_script_sig, p2pkh_script, p2sh_script};
pub use sighash::{
    InvalidSighashType, Outputs, SighashError, SighashType, Sighasher, Spend, sighash, sighash_preimage,
};
pub use transaction::{OutPoint, Transaction, TransactionError, TxInput, TxOutput, Txid};

/// Writes the variable-length integer of Bitcoin-like serialisations and returns the bytes that are used.
pub(super) fn compact_size(buffer: &mut [u8; 9], value: u64) -> &[u8] {
    let bytes = value.to_le_bytes();
    let (prefix, size) = match value {
        0..=0xfc => {
            buffer[0] = bytes[0];
            return &buffer[..1];
        }
        0xfd..=0xffff => (0xfd, 2),
        0x1_0000..=0xffff_ffff => (0xfe, 4),
        _ => (0xff, 8),
    };
    buffer[0] = prefix;
    buffer[1..=size].copy_from_slice(&bytes[..size]);
    &buffer[..=size]
}
