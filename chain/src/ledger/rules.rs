//! The numbers of the ledger's rules, and what may be set.

use serde::{Deserialize, Serialize};

/// A coin of a coinbase is spent in the hundredth block after its own, and not before.
pub const COINBASE_MATURITY: u32 = 100;

/// What a block creates, in satoshi: 260 XPI, whatever its difficulty (lotusd on regtest).
pub const SUBSIDY: u64 = 260_000_000;

/// A transaction, with its unconfirmed ancestors, is at most so many; and so with descendants.
pub const MAX_CHAIN: usize = 50;

/// The bytes of such a chain.
pub const MAX_CHAIN_BYTES: usize = 101_000;

/// How long a transaction waits for a block, in seconds: 336 hours.
pub const MEMPOOL_EXPIRY: i64 = 336 * 3600;

/// The bytes of transactions that wait for a block. lotusd keeps 300 MB; this ledger is for one person.
pub const MAX_MEMPOOL_BYTES: usize = 20_000_000;

/// The bytes of a block's transactions that are mined at once (lotusd, `DEFAULT_MAX_GENERATED_BLOCK_SIZE`).
pub const MAX_BLOCK_BYTES: usize = 2_000_000;

/// Lock times below are heights, from here on they are times (BIP65).
pub(super) const LOCK_TIME_THRESHOLD: u32 = 500_000_000;

/// When the rules change, in seconds of the median time past (BIP113) of the tip.
///
/// The default is what lotusd 11.4.14 does on every network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// From when there are Taproot outputs and `SIGHASH_LOTUS` ("Second Samuel"); 0 for always.
    pub second_samuel: i64,
    /// From when only replay-protected digests are signed; none for never, which is how updated nodes go on.
    pub replay_protection: Option<i64>,
}

impl Rules {
    /// 2025-12-21 15:03 UTC.
    pub const SECOND_SAMUEL: i64 = 1_766_329_380;

    /// 2026-12-24 01:03 UTC.
    pub const REPLAY_PROTECTION: i64 = 1_798_074_180;
}

impl Default for Rules {
    fn default() -> Self {
        Self { second_samuel: Self::SECOND_SAMUEL, replay_protection: Some(Self::REPLAY_PROTECTION) }
    }
}
