//! What is known after an answer was judged.
//!
//! Owns the types that a client hands out. Invariant: they hold only what could be checked, by hashes or against a
//! second answer; what a server merely says is not in them, except times. The client makes them.

use nelumbo_crypto::lotus::{OutPoint, Transaction, TxOutput, Txid};

use crate::BlockHash;

/// Which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId {
    /// Its height; the first block has 0.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

/// How to name a block that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRef {
    /// By its hash.
    Hash(BlockHash),
    /// By its height in the chain of the server.
    Height(u32),
}

/// A block in short. That blocks follow on each other is checked; that they hold what they say, only in a [`Block`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Which block.
    pub id: BlockId,
    /// The block before; zeros before the first.
    pub previous: BlockHash,
    /// Its time, in seconds since 1970.
    pub time: u64,
    /// How many transactions it says to hold.
    pub transactions: u64,
}

/// A block. The hash is that of its header, and the header commits to its height and to every transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which block.
    pub id: BlockId,
    /// The block before; zeros before the first.
    pub previous: BlockHash,
    /// Its time, in seconds since 1970.
    pub time: u64,
    /// Its transactions, the coinbase first.
    pub transactions: Vec<Transaction>,
}

/// A transaction as the chain has it. Its id is computed from its content; that covers everything but input scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainTx {
    /// The id.
    pub txid: Txid,
    /// The transaction.
    pub transaction: Transaction,
    /// The block that it is in, as the server says; [`Status`] says it after a look into the block. Nothing while it
    /// waits.
    pub block: Option<BlockId>,
    /// The time of that block in seconds since 1970, as the server says.
    pub block_time: Option<u64>,
}

impl ChainTx {
    /// Whether it is the first of its block: what it creates can be spent a hundred blocks later only.
    #[must_use]
    pub fn is_coinbase(&self) -> bool {
        is_coinbase(&self.transaction)
    }

    /// The bytes of its serialisation.
    #[must_use]
    pub fn size(&self) -> usize {
        self.transaction.to_bytes().len()
    }
}

/// Whether a transaction spends nothing that is there.
pub(crate) fn is_coinbase(transaction: &Transaction) -> bool {
    match &transaction.inputs[..] {
        [only] => *only.outpoint.txid.as_bytes() == [0; 32] && only.outpoint.index == u32::MAX,
        _ => false,
    }
}

/// An output that nothing spends, neither in the chain nor waiting. Its amount and script are those of its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unspent {
    /// Where it is.
    pub outpoint: OutPoint,
    /// How much, and who may spend it.
    pub output: TxOutput,
    /// The block that it is in; nothing while it waits.
    pub block: Option<BlockId>,
    /// Whether a coinbase made it, so that it can be spent a hundred blocks later only.
    pub is_coinbase: bool,
}

/// A page of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// The transactions, the newest first as the server says.
    pub transactions: Vec<ChainTx>,
    /// How many pages there are.
    pub pages: u32,
}

/// What has become of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is neither in the chain nor waiting.
    Unknown,
    /// It waits for a block.
    Waiting,
    /// It is in a block of the chain. The block was looked into.
    Confirmed {
        /// The block.
        block: BlockId,
        /// How many blocks there are from this one on; 1 in the last block.
        confirmations: u32,
    },
}

/// What has become of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputState {
    /// It can be spent.
    Unspent {
        /// The height of its block; nothing while it waits.
        height: Option<u32>,
    },
    /// It is spent, in the chain or by a transaction that waits.
    Spent {
        /// The height of its block; nothing while it waits.
        height: Option<u32>,
    },
    /// The server does not know the transaction.
    NoSuchTransaction,
    /// The transaction has fewer outputs.
    NoSuchOutput,
}
