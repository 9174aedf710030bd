//! A Lotus chain of one's own, small enough for a test and strict enough to believe.
//!
//! A [`Ledger`] judges transactions as lotusd 11.4.14 does on regtest, in its words; mines them on demand; takes blocks
//! back on demand. [`Server`] puts it behind the endpoints of a Chronik server.
//!
//! Reading order: `rules` and `reject` for what is judged and in which words, `judge` for the order, `standard` and
//! `script` for the two large parts of it; `block`, `chain`, `mempool` and `index` for the state; `operation` for what
//! can be done; `server` for who asks.
//!
//! Owns the chain, what waits for it, and what has happened. Invariants: it is deterministic, and time comes in; what
//! waits is valid in the next block; the money in it is what blocks created less what was burned. What it does not do:
//! difficulty, several chains at once, scripts with branches or several keys. Tests, demonstrations and the server
//! drive it.
//!
//! ```
//! use nelumbo_chain::build::{Coin, Payment, Unlock, build, pay_to_key};
//! use nelumbo_chain::ledger::{Ledger, Rules};
//! use nelumbo_crypto::lotus::OutPoint;
//! use nelumbo_crypto::{SecretKey, Suite, schnorr};
//!
//! let now = 1_780_000_000;
//! let mut ledger = Ledger::new(Rules::default());
//! let key = SecretKey::from_bytes(&[7; 32]).unwrap();
//! let own = pay_to_key(&key.public_key()).to_vec();
//!
//! // Mines what it takes, pays 5 XPI, and mines the payment.
//! let txid = ledger.fund(&own, 5_000_000, now)?;
//! let output = ledger.transaction(&txid).unwrap().transaction.outputs[0].clone();
//!
//! // Spends it: everything but the fee comes back.
//! let outpoint = OutPoint { txid, index: 0 };
//! let coin = Coin { outpoint, output, unlock: Unlock::PublicKeyHash(key.public_key()) };
//! let unsigned = build(&[coin], &Payment::new(Vec::new(), own))?;
//! let digest = unsigned.digests(ledger.replay_protected())[0];
//! let signature = schnorr::sign(Suite::Lotus, &key, &digest, None)?;
//! let spend = ledger.submit(&unsigned.finalize(&[signature])?.to_bytes(), now)?;
//! assert_eq!(ledger.transaction(&spend).unwrap().height, None);
//!
//! let broken = unsigned.finalize(&[schnorr::Signature::from_bytes([1; 64])])?;
//! ledger.mine(1, &Ledger::faucet_script(), now)?;
//! assert_eq!(ledger.transaction(&spend).unwrap().height, Some(ledger.height()));
//! assert_eq!(ledger.submit(&broken.to_bytes(), now).unwrap_err().to_string(), "Transaction already in block chain");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod chain;
mod event;
mod faucet;
mod index;
mod judge;
mod mempool;
mod operation;
mod reject;
mod rules;
mod script;
mod server;
mod standard;
mod view;

use std::collections::BTreeMap;

use nelumbo_crypto::lotus::{OutPoint, TxOutput, Txid};
use nelumbo_crypto::{PublicKey, Suite};

use crate::build::BuildError;
use chain::{Chain, Connected};
use index::{Index, UNCONFIRMED};
use judge::{Judge, Limits, decode};
use mempool::{Entry, Mempool};
use standard::{Kind, kind};

pub use block::{Block, Header};

pub use crate::BlockHash;
pub use event::{Event, Happening};
pub use faucet::MAX_FUNDING;
pub use operation::{Operation, Orphans, Outcome};
pub use reject::Reject;
pub use rules::*;
pub use script::VerifyError;
pub use server::{Clock, Server, ServerError, Settings};
pub use view::{Located, Unspent};

/// The most blocks that are mined or replaced at once.
pub const MAX_BLOCKS_AT_ONCE: u32 = 1_000;

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// lotusd would not take it either.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// More blocks than are mined or replaced at once.
    #[error("{0} blocks are more than {MAX_BLOCKS_AT_ONCE}; ask for fewer, several times")]
    TooManyBlocks(u32),
    /// A time before 1970, or after 2106, when lock times end.
    #[error("{0} is no time of a block; give seconds since 1970")]
    Time(i64),
    /// The chain is not so long that so many blocks could be replaced.
    #[error("the chain has {height} blocks above its first; replace at most those")]
    TooDeep {
        /// The height of the last block.
        height: u32,
    },
    /// More than the faucet gives at once.
    #[error("{value} satoshi are more than the {MAX_FUNDING} that are given at once; ask for less")]
    TooMuch {
        /// What was asked for.
        value: u64,
    },
    /// The faucet cannot pay so.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// A chain, and what waits for it.
#[derive(Clone, Debug)]
pub struct Ledger {
    rules: Rules,
    chain: Chain,
    mempool: Mempool,
    index: Index,
    /// When transactions were first seen that came by themselves, not in a block.
    first_seen: BTreeMap<Txid, i64>,
    /// How many blocks were ever mined, so that no two are the same.
    mined: u64,
    events: Vec<Event>,
}

impl Ledger {
    /// The chain of lotusd's first block on regtest.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            chain: Chain::new(),
            mempool: Mempool::default(),
            index: Index::default(),
            first_seen: BTreeMap::new(),
            mined: 0,
            events: Vec::new(),
        }
    }

    /// Takes a transaction, as `sendrawtransaction` does: one that waits already is taken again.
    ///
    /// # Errors
    ///
    /// [`Reject`].
    pub fn submit(&mut self, raw: &[u8], time: i64) -> Result<Txid, Reject> {
        self.expire(time);
        let entry = match self.judge(raw, time)? {
            Judged::Known(txid) => return Ok(txid),
            Judged::New(entry) => *entry,
        };
        let txid = entry.txid;
        self.first_seen.insert(txid, time);
        self.wait(entry, true);
        Ok(txid)
    }

    /// Judges a transaction and leaves it, as `testmempoolaccept` does: one that waits already is refused.
    ///
    /// # Errors
    ///
    /// [`Reject`].
    pub fn test(&self, raw: &[u8], time: i64) -> Result<Txid, Reject> {
        match self.judge(raw, time)? {
            Judged::Known(_) => Err(Reject::AlreadyInMempool),
            Judged::New(entry) => Ok(entry.txid),
        }
    }

    fn judge(&self, raw: &[u8], time: i64) -> Result<Judged, Reject> {
        let transaction = decode(raw)?;
        let txid = transaction.txid(Suite::Lotus);
        let is_coin = |index| self.chain.coin(&OutPoint { txid, index }).is_some();
        if (0..).zip(&transaction.outputs).any(|(index, _)| is_coin(index)) {
            return Err(Reject::AlreadyInChain);
        }
        if self.mempool.get(&txid).is_some() {
            return Ok(Judged::Known(txid));
        }
        let entry = self.bench().judge(txid, transaction, time, Limits::Enforced)?;
        Ok(Judged::New(Box::new(entry)))
    }

    fn bench(&self) -> Judge<'_> {
        Judge { rules: &self.rules, chain: &self.chain, mempool: &self.mempool }
    }

    /// Mines `count` blocks that pay to `script`, the first with everything that waits and fits. Each is at `time`,
    /// or as much later as the rules for timestamps want.
    ///
    /// # Errors
    ///
    /// [`LedgerError::TooManyBlocks`], [`LedgerError::Time`], and [`Reject`] for a script that no output has.
    pub fn mine(&mut self, count: u32, script: &[u8], time: i64) -> Result<Vec<BlockHash>, LedgerError> {
        self.check_miner(count, script, time)?;
        self.expire(time);
        Ok((0..count).map(|_| self.mine_one(script, time, true)).collect())
    }

    /// Replaces the last `depth` blocks by one more.
    ///
    /// # Errors
    ///
    /// [`LedgerError::TooDeep`], and as for [`Self::mine`].
    pub fn reorganise(
        &mut self,
        depth: u32,
        orphans: Orphans,
        script: &[u8],
        time: i64,
    ) -> Result<Vec<BlockHash>, LedgerError> {
        self.check_miner(depth.saturating_add(1), script, time)?;
        if depth > self.height() {
            return Err(LedgerError::TooDeep { height: self.height() });
        }
        let waiting = self.mempool.drain();
        let orphaned = self.disconnect(depth);
        let again: Vec<(Entry, bool)> = match orphans {
            Orphans::Dropped => {
                for entry in orphaned {
                    self.first_seen.remove(&entry.txid);
                }
                Vec::new()
            }
            Orphans::Remined | Orphans::Pending => orphaned.into_iter().map(|entry| (entry, true)).collect(),
        };
        self.judge_again(again.into_iter().chain(waiting.into_iter().map(|entry| (entry, false))).collect());
        let mined = (0..=depth).map(|_| self.mine_one(script, time, orphans != Orphans::Pending)).collect();
        Ok(mined)
    }

    fn check_miner(&self, count: u32, script: &[u8], time: i64) -> Result<(), LedgerError> {
        if !(0..=i64::from(u32::MAX)).contains(&time) {
            return Err(LedgerError::Time(time));
        }
        if count > MAX_BLOCKS_AT_ONCE {
            return Err(LedgerError::TooManyBlocks(count));
        }
        match kind(script) {
            None | Some(Kind::Data) => Err(Reject::MinerScript.into()),
            Some(Kind::Taproot(..)) if !self.bench().flags().second_samuel => Err(Reject::TaprootNotActive.into()),
            // A node would mine it, and nobody could ever spend it.
            Some(Kind::Taproot(commitment, _)) if !is_point(commitment) => Err(Reject::MinerScript.into()),
            Some(_) => Ok(()),
        }
    }

    fn mine_one(&mut self, script: &[u8], time: i64, with_transactions: bool) -> BlockHash {
        // Room for the header and the coinbase.
        let mut room = MAX_BLOCK_BYTES - 1_000;
        let mut fees = 0;
        let mut chosen = Vec::new();
        for entry in self.mempool.iter().filter(|_| with_transactions) {
            // Whoever spends from one that is left out is left out too.
            let Some(left) = room.checked_sub(entry.size) else { break };
            room = left;
            fees += entry.fee;
            chosen.push(entry.transaction.clone());
        }
        // In the order of the ids as they are shown.
        chosen.sort_by_cached_key(|each| each.txid(Suite::Lotus).as_bytes().iter().rev().copied().collect::<Vec<u8>>());
        let parent = &self.chain.tip().header;
        let coinbase = block::coinbase(parent.height + 1, fees, script);
        let transactions = std::iter::once(coinbase).chain(chosen).collect();
        let timestamp = time.max(self.chain.median_time(parent.height) + 1);
        // Blocks with the same content begin to search in different places.
        let block = block::mine(parent, timestamp, self.mined << 16, transactions);
        self.mined += 1;
        let (hash, flags) = (block.hash, self.bench().flags());
        block.txids.iter().for_each(|txid| drop(self.mempool.remove(txid)));
        let height = block.header.height;
        self.chain.connect(block);
        self.index_block(height);
        self.tell_of_block(height, true);
        if self.bench().flags() != flags {
            // What was signed for the rules before cannot be mined any more.
            let waiting = self.mempool.drain().into_iter().map(|entry| (entry, false)).collect();
            self.judge_again(waiting);
        }
        hash
    }

    /// Takes blocks off the chain, and returns their transactions but the coinbases, the oldest block's first.
    fn disconnect(&mut self, depth: u32) -> Vec<Entry> {
        let mut orphaned: Vec<Entry> = Vec::new();
        for _ in 0..depth {
            self.tell_of_block(self.height(), false);
            let Some(Connected { block, spent }) = self.chain.disconnect() else { break };
            let timestamp = block.header.timestamp;
            let mut entries: Vec<Entry> = Vec::new();
            for ((transaction, txid), spent) in block.transactions.into_iter().zip(block.txids).zip(spent) {
                let size = transaction.to_bytes().len();
                let spent: Vec<TxOutput> = spent.into_iter().map(|coin| coin.output).collect();
                let time = self.first_seen.get(&txid).copied().unwrap_or(timestamp);
                entries.push(Entry { txid, transaction, spent, size, fee: 0, time });
            }
            self.index.remove(entries[0].txid, &entries[0].transaction, &[]);
            entries.remove(0);
            entries.append(&mut orphaned);
            orphaned = entries;
        }
        orphaned.iter().for_each(|entry| self.index.remove(entry.txid, &entry.transaction, &entry.spent));
        orphaned
    }

    /// Judges transactions after the chain or the rules have changed. Those that still can be mined wait; `true` marks
    /// those that did not wait before.
    fn judge_again(&mut self, mut open: Vec<(Entry, bool)>) {
        open.iter().for_each(|(entry, _)| self.index.remove(entry.txid, &entry.transaction, &entry.spent));
        // In a block a child may stand before its parent; then it is tried again.
        loop {
            let before = open.len();
            let mut refused = Vec::new();
            for (entry, is_new) in open {
                let transaction = entry.transaction.clone();
                match self.bench().judge(entry.txid, transaction, entry.time, Limits::Bypassed) {
                    Ok(judged) => self.wait(judged, is_new),
                    Err(_) => refused.push((entry, is_new)),
                }
            }
            open = refused;
            if open.len() == before || open.is_empty() {
                break;
            }
        }
        for (entry, is_new) in open {
            self.first_seen.remove(&entry.txid);
            if !is_new {
                self.tell(Happening::Removed, &entry);
            }
        }
    }

    fn wait(&mut self, entry: Entry, tell: bool) {
        if tell {
            self.tell(Happening::Added, &entry);
        }
        let rank = (UNCONFIRMED, entry.time, self.mempool.next_number());
        self.index.place(entry.txid, rank, &entry.transaction, &entry.spent);
        self.mempool.insert(entry);
    }

    /// Forgets what has waited for too long, and what spends from it.
    fn expire(&mut self, time: i64) {
        let is_old = |entry: &&Entry| entry.time < time.saturating_sub(MEMPOOL_EXPIRY);
        let old: Vec<Txid> = self.mempool.iter().filter(is_old).map(|entry| entry.txid).collect();
        for txid in old.iter().flat_map(|txid| self.mempool.with_descendants(txid)).collect::<Vec<Txid>>() {
            if let Some(entry) = self.mempool.remove(&txid) {
                self.index.remove(txid, &entry.transaction, &entry.spent);
                self.first_seen.remove(&txid);
                self.tell(Happening::Removed, &entry);
            }
        }
    }

    fn index_block(&mut self, height: u32) {
        let Connected { block, spent } = self.chain.connected(height).expect("it was just connected");
        for (((transaction, txid), spent), position) in block.transactions.iter().zip(&block.txids).zip(spent).zip(0..)
        {
            let seen = self.first_seen.get(txid).copied().unwrap_or(0);
            self.index.place(*txid, (height, seen, position), transaction, spent.iter().map(|coin| &coin.output));
        }
    }
}

fn is_point(key: &[u8; 33]) -> bool {
    PublicKey::from_bytes(*key).is_ok_and(|key| key.validate().is_ok())
}

/// What judging a transaction came to.
enum Judged {
    /// It waits already.
    Known(Txid),
    New(Box<Entry>),
}
