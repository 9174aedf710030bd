//! What can be done to a ledger, as data.
//!
//! Owns the form in which operations are kept, so that a ledger comes back from those that changed it: it is
//! deterministic, and time comes with each. The server's file drives it.

use nelumbo_crypto::lotus::Txid;
use serde::{Deserialize, Serialize};

use super::{BlockHash, Ledger, LedgerError};

/// What becomes of the transactions of blocks that are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Orphans {
    /// They are in the new blocks, if they still can be.
    #[default]
    Remined,
    /// They wait again, and the new blocks are empty.
    Pending,
    /// They are gone, as if they had never been sent.
    Dropped,
}

/// One change of a ledger, at a time in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "lowercase", deny_unknown_fields)]
pub enum Operation {
    /// A transaction is sent.
    Submit {
        /// The time.
        time: i64,
        /// The transaction as it is serialised.
        #[serde(with = "hex::serde")]
        transaction: Vec<u8>,
    },
    /// Blocks are mined.
    Mine {
        /// The time of the first.
        time: i64,
        /// How many.
        count: u32,
        /// Whom they pay.
        #[serde(with = "hex::serde")]
        script: Vec<u8>,
    },
    /// The last blocks are replaced by one more.
    Reorganise {
        /// The time.
        time: i64,
        /// How many.
        depth: u32,
        /// What becomes of their transactions.
        orphans: Orphans,
        /// Whom the new blocks pay.
        #[serde(with = "hex::serde")]
        script: Vec<u8>,
    },
    /// An output is paid and mined.
    Fund {
        /// The time.
        time: i64,
        /// Whom it pays.
        #[serde(with = "hex::serde")]
        script: Vec<u8>,
        /// How much, in satoshi.
        value: u64,
    },
}

/// What came of an [`Operation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The id of the transaction.
    Transaction(Txid),
    /// The hashes of the new blocks.
    Blocks(Vec<BlockHash>),
}

impl Ledger {
    /// Does it. After an error nothing has changed but what time itself changes.
    ///
    /// # Errors
    ///
    /// [`LedgerError`].
    pub fn apply(&mut self, operation: &Operation) -> Result<Outcome, LedgerError> {
        Ok(match operation {
            Operation::Submit { time, transaction } => Outcome::Transaction(self.submit(transaction, *time)?),
            Operation::Mine { time, count, script } => Outcome::Blocks(self.mine(*count, script, *time)?),
            Operation::Reorganise { time, depth, orphans, script } => {
                Outcome::Blocks(self.reorganise(*depth, *orphans, script, *time)?)
            }
            Operation::Fund { time, script, value } => Outcome::Transaction(self.fund(script, *value, *time)?),
        })
    }
}
