//! What Bitcoin, the ledger, puts around the signatures of a Taproot output: transactions, the digest that is signed
//! (BIP341, BIP342), output scripts, witnesses, addresses (BIP173, BIP350).
//!
//! The tweak that makes an output key of an internal key, and the hashes of scripts in a tree, are in
//! [`taproot`](crate::taproot), with [`Suite::Bip340`](crate::Suite::Bip340).
//!
//! Owns nothing itself. Everything here is a pure function of its input and total over byte strings. Embedders and the
//! command line drive it.
//!
//! ```
//! use nelumbo_crypto::bitcoin::{Address, OutPoint, SighashCache, SighashType, Spend, Transaction, TxInput, TxOutput};
//! use nelumbo_crypto::{Entropy, Network, SecretKey, Suite, bitcoin, schnorr, taproot};
//!
//! // An output that its owner can spend by the key, and after some time somebody else by a script.
//! let key = SecretKey::generate(&mut Entropy::new([7; 32])?);
//! let recovery = taproot::leaf_hash(taproot::LEAF_VERSION, b"a script");
//! let output_key = taproot::output_key(Suite::Bip340, &key.public_key(), Some(&recovery))?;
//! let own = Address::taproot(Network::Testnet, &output_key);
//!
//! // A transaction that spends it.
//! let spent = [TxOutput { value: 50_000, script_pubkey: own.script_pubkey().to_vec() }];
//! let outpoint = OutPoint { txid: "5b".repeat(32).parse()?, index: 0 };
//! let to = Address::parse(Network::Testnet, "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7")?;
//! let transaction = Transaction {
//!     version: 2,
//!     inputs: vec![TxInput { outpoint, script_sig: vec![], sequence: 0xffff_fffd }],
//!     outputs: vec![TxOutput { value: 49_000, script_pubkey: to.script_pubkey().to_vec() }],
//!     lock_time: 0,
//! };
//! let digest = SighashCache::new(&transaction, &spent)?.sighash(0, SighashType::DEFAULT, Spend::KeyPath)?;
//!
//! // Here one key signs; a session signs the same digest under the same output key.
//! let secret = taproot::tweak_secret_key(Suite::Bip340, &key, Some(&recovery))?;
//! let signature = schnorr::sign(Suite::Bip340, &secret, &digest, None)?;
//! assert!(schnorr::verify(Suite::Bip340, &output_key, &digest, &signature));
//! assert_eq!(bitcoin::key_path_witness(&signature, SighashType::DEFAULT), signature.as_bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod output;
mod sighash;

pub use address::{Address, AddressError};
pub use output::{ControlBlockError, control_block, key_path_witness, taproot_script};
pub use sighash::{InvalidSighashType, SighashCache, SighashType};

pub use crate::transaction::{
    OutPoint, Outputs, SighashError, Spend, Transaction, TransactionError, TxInput, TxOutput, Txid,
};
