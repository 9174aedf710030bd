//! What Lotus, the ledger, puts around its signatures: addresses, key files, transactions, digests, scripts.
//!
//! Owns nothing itself. Everything here is a pure function of its input and total over byte strings. Embedders, the
//! command line, and the protocol where a session signs a transaction drive it.
//!
//! # The Lotus scheme
//!
#![doc = include_str!("scheme.md")]

mod address;
mod merkle;
mod network;
mod output;
mod sighash;
pub mod wif;

pub use address::{Address, AddressError, Payload};
pub use network::{Network, UnknownNetwork};
pub use output::{ControlBlock, ControlBlockError, TaprootOutput, key_path_script_sig, p2pkh_script, p2sh_script};
pub use sighash::{InvalidSighashType, SighashCache, SighashType, sighash};

pub use crate::transaction::{
    OutPoint, Outputs, SighashError, Spend, Transaction, TransactionError, TxInput, TxOutput, Txid,
};

pub(crate) use merkle::txid;
