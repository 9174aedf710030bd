//! What has happened, for those who want to hear of it.
//!
//! Owns the events and whom each concerns. The server drives it.

use std::collections::BTreeSet;

use nelumbo_crypto::lotus::Txid;

use super::Ledger;
use super::chain::Connected;
use super::index::touched;
use super::mempool::Entry;
use crate::BlockHash;
use crate::ScriptPayload;

/// What can happen to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It waits for a block.
    Added,
    /// It waits no more, and is in no block.
    Removed,
    /// It is in a block.
    Confirmed,
    /// Its block was taken off the chain.
    Reorganised,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// To a transaction.
    Transaction {
        /// What.
        happening: Happening,
        /// The transaction.
        txid: Txid,
        /// The scripts that it pays to or spends from.
        scripts: BTreeSet<ScriptPayload>,
    },
    /// A block is the tip.
    Connected(BlockHash),
    /// A block was taken off the chain.
    Disconnected(BlockHash),
}

impl Ledger {
    /// What has happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn tell(&mut self, happening: Happening, entry: &Entry) {
        let scripts = touched(&entry.transaction, &entry.spent);
        self.events.push(Event::Transaction { happening, txid: entry.txid, scripts });
    }

    /// The block first, then each of its transactions, as Chronik does.
    pub(super) fn tell_of_block(&mut self, height: u32, is_connected: bool) {
        let Connected { block, spent } = self.chain.connected(height).expect("the block is in the chain");
        let (of_block, happening): (fn(BlockHash) -> Event, _) = match is_connected {
            true => (Event::Connected, Happening::Confirmed),
            false => (Event::Disconnected, Happening::Reorganised),
        };
        self.events.push(of_block(block.hash));
        for ((transaction, txid), spent) in block.transactions.iter().zip(&block.txids).zip(spent) {
            let scripts = touched(transaction, spent.iter().map(|coin| &coin.output));
            self.events.push(Event::Transaction { happening, txid: *txid, scripts });
        }
    }
}
