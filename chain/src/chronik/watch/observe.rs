//! A look at what one server says of everything that is watched.
//!
//! Owns the questions and what has to fit together in their answers. Invariant: an observation is of one state of the
//! chain: when its last block has changed meanwhile, it is made again. The watch drives it.

use std::collections::BTreeMap;

use nelumbo_crypto::lotus::{Transaction, Txid};

use super::tracker::{DEPTH, Observation, Tracker};
use crate::ScriptPayload;
use crate::chronik::error::{Failure, Fault};
use crate::chronik::server::Server;
use crate::chronik::types::{BlockId, BlockSummary, ChainTx, HistoryPage};
use crate::proto;

const TRIES: usize = 5;

/// More blocks than nobody has been asleep for: 139 days.
const MOST_BLOCKS: u32 = 100_000;

/// What is asked of a server.
pub(super) trait Source: Sync {
    fn tip(&self) -> impl Future<Output = Result<Option<BlockId>, Failure>> + Send;
    fn blocks(&self, first: u32, last: u32) -> impl Future<Output = Result<Vec<BlockSummary>, Failure>> + Send;
    fn page(&self, script: &ScriptPayload, page: u32) -> impl Future<Output = Result<HistoryPage, Failure>> + Send;
    fn transaction(&self, txid: Txid) -> impl Future<Output = Result<Option<ChainTx>, Failure>> + Send;
    /// Whether the block has these transactions.
    fn holds(&self, block: BlockId, txids: &[Txid]) -> impl Future<Output = Result<bool, Failure>> + Send;
    /// Another transaction that spends what this one does.
    fn conflict(&self, transaction: &Transaction) -> impl Future<Output = Result<Option<Txid>, Failure>> + Send;
}

impl Source for Server {
    async fn tip(&self) -> Result<Option<BlockId>, Failure> {
        self.tip().await
    }

    async fn blocks(&self, first: u32, last: u32) -> Result<Vec<BlockSummary>, Failure> {
        self.blocks(first, last).await
    }

    async fn page(&self, script: &ScriptPayload, page: u32) -> Result<HistoryPage, Failure> {
        self.history_page(script, page, proto::MAX_PAGE_SIZE).await
    }

    async fn transaction(&self, txid: Txid) -> Result<Option<ChainTx>, Failure> {
        self.transaction(txid).await
    }

    async fn holds(&self, block: BlockId, txids: &[Txid]) -> Result<bool, Failure> {
        self.holds(block, txids).await
    }

    async fn conflict(&self, transaction: &Transaction) -> Result<Option<Txid>, Failure> {
        self.conflict(transaction).await
    }
}

/// Looks once. A chain that ends below what is known is `Behind`, unless `may_shrink`.
pub(super) async fn observe(source: &impl Source, tracker: &Tracker, may_shrink: bool) -> Result<Observation, Failure> {
    for _ in 0..TRIES {
        let Some(tip) = source.tip().await? else {
            return if tracker.chain().is_empty() { Ok(Observation::default()) } else { Err(Failure::Behind(0)) };
        };
        let looked = look(source, tracker, tip, may_shrink).await;
        if source.tip().await? != Some(tip) {
            continue;
        }
        return looked;
    }
    Err(Failure::Unsteady)
}

async fn look(source: &impl Source, tracker: &Tracker, tip: BlockId, may_shrink: bool) -> Result<Observation, Failure> {
    let mut seen = link(source, tracker, tip, may_shrink).await?;
    seen.found = histories(source, tracker, seen.settled).await?;
    for txid in tracker.wanted() {
        if seen.found.contains_key(&txid) {
            continue;
        }
        match source.transaction(txid).await? {
            Some(transaction) if tracker.is_of_interest(&transaction, seen.settled) => {
                seen.found.insert(txid, transaction);
            }
            Some(_) => {}
            None => {
                if let Some(transaction) = tracker.transaction(&txid) {
                    seen.missing.insert(txid, source.conflict(&transaction.transaction).await.unwrap_or(None));
                }
            }
        }
    }
    check(source, tracker, tip, &seen).await?;
    Ok(seen)
}

/// How the chain of the server goes on from what is known of it.
async fn link(source: &impl Source, tracker: &Tracker, tip: BlockId, may_shrink: bool) -> Result<Observation, Failure> {
    let known = tracker.chain();
    let (Some(first), Some(last)) = (known.front(), known.back()) else {
        let connected = ids(source, tip.height.saturating_sub(DEPTH - 1), tip).await?;
        let settled = tracker.settled(None, tip.height);
        return Ok(Observation { connected, settled, ..Observation::default() });
    };
    if *last == tip {
        let settled = tracker.settled(Some(tip.height), tip.height);
        return Ok(Observation { settled, ..Observation::default() });
    }
    if tip.height < first.height {
        return Err(Failure::Behind(tip.height));
    }
    if tip.height - first.height > MOST_BLOCKS {
        return Err(Fault::Height(tip.height.into()).into());
    }
    let theirs = ids(source, first.height, tip).await?;
    let common = known.iter().zip(&theirs).take_while(|(known, theirs)| known == theirs).count();
    if theirs.len() == common || theirs.len() < known.len() {
        // It may only not have caught up.
        if !may_shrink {
            return Err(Failure::Behind(tip.height));
        }
    }
    let Some(fork) = common.checked_sub(1) else {
        return Err(Fault::ForkTooDeep(first.height).into());
    };
    let settled = tracker.settled(Some(known[fork].height), tip.height);
    let connected = theirs[common..].to_vec();
    Ok(Observation { disconnected: known.len() - common, connected, settled, ..Observation::default() })
}

/// The blocks from height `first` to this one.
async fn ids(source: &impl Source, first: u32, last: BlockId) -> Result<Vec<BlockId>, Failure> {
    let mut blocks: Vec<BlockSummary> = Vec::new();
    while blocks.last().map_or(first, |block| block.id.height + 1) <= last.height {
        let from = blocks.last().map_or(first, |block| block.id.height + 1);
        let found = source.blocks(from, last.height.min(from + proto::MAX_BLOCKS - 1)).await?;
        let Some(next) = found.first() else { return Err(Fault::Count("blocks").into()) };
        if blocks.last().is_some_and(|before| before.id.hash != next.previous) {
            return Err(Fault::Block(next.id.height).into());
        }
        blocks.extend(found);
    }
    let ids: Vec<BlockId> = blocks.into_iter().map(|block| block.id).collect();
    if ids.last() == Some(&last) { Ok(ids) } else { Err(Fault::Contradiction("the last block").into()) }
}

async fn histories(source: &impl Source, tracker: &Tracker, settled: u32) -> Result<BTreeMap<Txid, ChainTx>, Failure> {
    let (mut found, mut bytes) = (BTreeMap::new(), 0);
    for script in &tracker.watched.scripts {
        for page in 0.. {
            let answer = source.page(script, page).await?;
            let (news, old): (Vec<ChainTx>, Vec<ChainTx>) =
                answer.transactions.into_iter().partition(|each| tracker.is_of_interest(each, settled));
            let is_over = news.is_empty() && !old.is_empty();
            bytes += news.iter().map(ChainTx::size).sum::<usize>();
            found.extend(news.into_iter().map(|each| (each.txid, each)));
            if found.len() > tracker.max_transactions {
                return Err(Failure::TooMuch { limit: tracker.max_transactions });
            }
            if bytes > tracker.max_bytes {
                return Err(Failure::TooLarge { limit: tracker.max_bytes });
            }
            // The newest come first.
            if is_over || page + 1 >= answer.pages {
                break;
            }
        }
    }
    Ok(found)
}

/// Whether what was found fits the chain, and what is known.
async fn check(source: &impl Source, tracker: &Tracker, tip: BlockId, seen: &Observation) -> Result<(), Failure> {
    let kept = tracker.chain().len() - seen.disconnected;
    let chain: BTreeMap<u32, BlockId> =
        tracker.chain().iter().take(kept).chain(&seen.connected).map(|block| (block.height, *block)).collect();
    let is_kept = |block: &BlockId| chain.get(&block.height) == Some(block);
    let mut to_prove: BTreeMap<BlockId, Vec<Txid>> = BTreeMap::new();
    for (txid, transaction) in &seen.found {
        let known = tracker.known(txid).flatten();
        if let Some(known) = known
            && is_kept(&known)
            && transaction.block != Some(known)
        {
            return Err(Fault::Gone(*txid).into());
        }
        let Some(block) = transaction.block else { continue };
        if block.height > tip.height {
            return Err(Fault::Height(block.height.into()).into());
        }
        if chain.contains_key(&block.height) && !is_kept(&block) {
            return Err(Fault::NotInBlock(*txid, block).into());
        }
        // Of what is older than every known block, the server's word is taken.
        if known != Some(block) && is_kept(&block) {
            to_prove.entry(block).or_default().push(*txid);
        }
    }
    for (block, txids) in to_prove {
        if !source.holds(block, &txids).await? {
            return Err(Fault::NotInBlock(txids[0], block).into());
        }
    }
    for txid in seen.missing.keys() {
        if tracker.known(txid).flatten().is_some_and(|block| is_kept(&block)) {
            return Err(Fault::Gone(*txid).into());
        }
    }
    Ok(())
}
