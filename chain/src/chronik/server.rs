//! One server, and what it says when all of it has been checked.
//!
//! Owns the endpoints, and what takes two answers of one server to judge: what an output is by its transaction, what an
//! input spends by the transaction before, which block a transaction is in by the block. Invariant: what two answers
//! say differently while a block may have come between is asked again, a few times; then it is a fault. The client
//! drives it over several servers.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use nelumbo_crypto::Suite;
use nelumbo_crypto::lotus::{OutPoint, Transaction, TxOutput, Txid};
use url::Url;

use super::error::{Failure, Fault, harmless};
use super::http::Http;
use super::judge::{self, ClaimedUtxo, Claims};
use super::proofs::Proofs;
use super::types::{Block, BlockId, BlockRef, BlockSummary, ChainTx, HistoryPage, OutputState, Status, Unspent};
use crate::ScriptPayload;
use crate::proto;

/// How many requests one question may have under way at one server.
const PARALLEL: usize = 8;

/// How many times two answers are asked for that do not fit.
const TRIES: usize = 4;

/// A server.
#[derive(Debug)]
pub(super) struct Server {
    http: Http,
    name: String,
    max_history: usize,
    proofs: Proofs,
}

impl Server {
    pub(super) fn new(http: Http, max_history: usize, proofs: Proofs) -> Self {
        Self { name: harmless(http.base().as_str().trim_end_matches('/')), http, max_history, proofs }
    }

    /// How it is called in errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn socket_url(&self) -> Url {
        self.http.url("/ws")
    }

    pub(super) async fn tip(&self) -> Result<Option<BlockId>, Failure> {
        let message = self.http.get("/blockchain-info").await?.ok_or(Failure::Undecodable)?;
        Ok(judge::tip(&message)?)
    }

    async fn claimed(&self, txid: Txid) -> Result<Option<(ChainTx, Claims)>, Failure> {
        let message = self.http.get(&format!("/tx/{txid}")).await?;
        Ok(message.map(|message| judge::transaction(message, Some(txid))).transpose()?)
    }

    pub(super) async fn transaction(&self, txid: Txid) -> Result<Option<ChainTx>, Failure> {
        Ok(self.claimed(txid).await?.map(|(transaction, _)| transaction))
    }

    pub(super) async fn raw_transaction(&self, txid: Txid) -> Result<Option<Transaction>, Failure> {
        let bytes = self.http.get_bytes(&format!("/raw-tx/{txid}")).await?;
        Ok(bytes.map(|bytes| judge::raw_transaction(&bytes, txid)).transpose()?)
    }

    pub(super) async fn block(&self, block: BlockRef) -> Result<Option<Block>, Failure> {
        let path = match block {
            BlockRef::Hash(hash) => format!("/block/{hash}"),
            BlockRef::Height(height) => format!("/block/{height}"),
        };
        let Some(message) = self.http.get(&path).await? else { return Ok(None) };
        let found = judge::block(message)?;
        let is_asked = match block {
            BlockRef::Hash(hash) => found.id.hash == hash,
            BlockRef::Height(height) => found.id.height == height,
        };
        if is_asked { Ok(Some(found)) } else { Err(Fault::Foreign("the block").into()) }
    }

    /// The blocks from one height to another, both included, up to the end of the chain.
    pub(super) async fn blocks(&self, first: u32, last: u32) -> Result<Vec<BlockSummary>, Failure> {
        let message = self.http.get(&format!("/blocks/{first}/{last}")).await?.ok_or(Failure::Undecodable)?;
        Ok(judge::blocks(&message, first, last)?)
    }

    /// What these transactions say, which are claimed to be there.
    async fn transactions(&self, txids: &BTreeSet<Txid>) -> Result<BTreeMap<Txid, (ChainTx, Claims)>, Failure> {
        let fetch = |txid: &Txid| {
            let txid = *txid;
            async move {
                let found = self.claimed(txid).await?.ok_or(Fault::Contradiction("a transaction"))?;
                Ok::<_, Failure>((txid, found))
            }
        };
        // Collected first: a lazy iterator of borrowing futures is not Send in general.
        let fetches: Vec<_> = txids.iter().map(fetch).collect();
        let limit = self.http.max_bytes();
        let all = stream::iter(fetches).buffer_unordered(PARALLEL);
        // Each may be as large as an answer.
        let sum = all.try_fold((BTreeMap::new(), 0), |(mut found, bytes), (txid, each)| async move {
            let bytes = bytes + each.0.size();
            found.insert(txid, each);
            if bytes > limit { Err(Failure::TooLarge { limit }) } else { Ok((found, bytes)) }
        });
        Ok(sum.await?.0)
    }

    /// What a transaction's inputs spend, out of the transactions before; nothing for a coinbase.
    pub(super) async fn spent_outputs(&self, transaction: &Transaction) -> Result<Vec<TxOutput>, Failure> {
        if super::types::is_coinbase(transaction) {
            return Ok(Vec::new());
        }
        let outpoints: Vec<OutPoint> = transaction.inputs.iter().map(|input| input.outpoint).collect();
        let before = self.transactions(&outpoints.iter().map(|outpoint| outpoint.txid).collect()).await?;
        let spent = outpoints.iter().map(|outpoint| {
            let outputs = &before[&outpoint.txid].0.transaction.outputs;
            outputs.get(outpoint.index as usize).cloned().ok_or_else(|| Fault::Foreign("what an input spends").into())
        });
        spent.collect()
    }

    /// The transaction that spends an output, if one does.
    pub(super) async fn spender(&self, outpoint: OutPoint) -> Result<Option<ChainTx>, Failure> {
        let Some((_, claims)) = self.claimed(outpoint.txid).await? else { return Ok(None) };
        let index = outpoint.index as usize;
        let Some(claim) = claims.spent_by.get(index).ok_or(Fault::Foreign("the output"))? else { return Ok(None) };
        let spender = self.transaction(claim.txid).await?.ok_or(Fault::Contradiction("what spends an output"))?;
        match spender.transaction.inputs.get(claim.index as usize) {
            Some(input) if input.outpoint == outpoint => Ok(Some(spender)),
            _ => Err(Fault::Foreign("what spends an output").into()),
        }
    }

    /// What has become of a transaction, with a look into its block.
    pub(super) async fn status(&self, txid: Txid) -> Result<Status, Failure> {
        let mut fault = None;
        for _ in 0..TRIES {
            let Some(transaction) = self.transaction(txid).await? else { return Ok(Status::Unknown) };
            let Some(block) = transaction.block else { return Ok(Status::Waiting) };
            let tip = self.tip().await?;
            let in_chain = self.blocks(block.height, block.height).await?;
            let is_in_chain = in_chain.first().is_some_and(|found| found.id == block);
            match tip.map(|tip| (tip.height + 1).checked_sub(block.height)) {
                Some(Some(confirmations @ 1..)) if is_in_chain => {
                    if self.holds(block, &[txid]).await? {
                        return Ok(Status::Confirmed { block, confirmations });
                    }
                    fault = Some(Fault::NotInBlock(txid, block));
                }
                _ => fault = Some(Fault::NotInBlock(txid, block)),
            }
        }
        Err(fault.map_or(Failure::Unsteady, Failure::False))
    }

    /// Whether the block has these transactions. What a block holds follows from its hash, so this is asked once.
    pub(super) async fn holds(&self, block: BlockId, txids: &[Txid]) -> Result<bool, Failure> {
        if txids.iter().all(|txid| self.proofs.has(*txid, block)) {
            return Ok(true);
        }
        let Some(found) = self.block(BlockRef::Hash(block.hash)).await? else { return Ok(false) };
        let content: BTreeSet<Txid> = found.transactions.iter().map(|each| each.txid(Suite::Lotus)).collect();
        let holds = found.id == block && txids.iter().all(|txid| content.contains(txid));
        if holds {
            txids.iter().for_each(|txid| self.proofs.add(*txid, block));
        }
        Ok(holds)
    }

    /// Another transaction that spends what this one does.
    pub(super) async fn conflict(&self, transaction: &Transaction) -> Result<Option<Txid>, Failure> {
        let own = transaction.txid(Suite::Lotus);
        for input in &transaction.inputs {
            match self.spender(input.outpoint).await? {
                Some(spender) if spender.txid != own => return Ok(Some(spender.txid)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The unspent outputs of a script, each compared with its transaction.
    pub(super) async fn utxos(&self, script: &ScriptPayload) -> Result<Vec<Unspent>, Failure> {
        let mut fault = None;
        for _ in 0..TRIES {
            let message = self.http.get(&path_of(script, "utxos")).await?.ok_or(Failure::Undecodable)?;
            let claimed = judge::utxos(message, script, self.max_history)?;
            let txids: BTreeSet<Txid> = claimed.iter().map(|utxo| utxo.outpoint.txid).collect();
            let judged = match self.transactions(&txids).await {
                Ok(transactions) => claimed.into_iter().map(|utxo| unspent(utxo, &transactions)).collect(),
                Err(Failure::False(fault @ Fault::Contradiction(_))) => Err(fault),
                Err(failure) => return Err(failure),
            };
            let judged: Result<Vec<Unspent>, Fault> = judged;
            match judged {
                Ok(unspent) => match self.highest(unspent.iter().filter_map(|each| each.block)).await? {
                    None => return Ok(unspent),
                    Some(height) => fault = Some(Fault::Height(height.into())),
                },
                Err(Fault::Contradiction(what)) => fault = Some(Fault::Contradiction(what)),
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(fault.map_or(Failure::Unsteady, Failure::False))
    }

    /// The highest of these blocks, if it is above the end of the chain.
    async fn highest(&self, blocks: impl Iterator<Item = BlockId>) -> Result<Option<u32>, Failure> {
        let Some(highest) = blocks.map(|block| block.height).max() else { return Ok(None) };
        let tip = self.tip().await?;
        Ok(Some(highest).filter(|highest| tip.is_none_or(|tip| tip.height < *highest)))
    }

    /// A page of a script's history. Each transaction pays to the script, or spends from it, which is looked up.
    pub(super) async fn history_page(
        &self,
        script: &ScriptPayload,
        page: u32,
        page_size: u32,
    ) -> Result<HistoryPage, Failure> {
        let path = format!("{}?page={page}&page_size={page_size}", path_of(script, "history"));
        let message: proto::TxHistoryPage = self.http.get(&path).await?.ok_or(Failure::Undecodable)?;
        let pages = message.num_pages;
        if (page >= pages) != message.txs.is_empty() {
            return Err(Fault::Count("pages").into());
        }
        let judged = judge::history_page(message, page_size)?;
        let is_paid = |(each, _): &&(ChainTx, Claims)| {
            each.transaction.outputs.iter().any(|output| script.is_of(&output.script_pubkey))
        };
        // Where it is not paid, an input is claimed to spend from it.
        let (mut inputs, mut txids) = (Vec::new(), BTreeSet::new());
        for (each, claims) in judged.iter().filter(|each| !is_paid(each)) {
            let position = claims.spent.iter().position(|spent| script.is_of(&spent.script_pubkey));
            let position = position.ok_or(Fault::Foreign("a transaction"))?;
            let outpoint = each.transaction.inputs[position].outpoint;
            txids.insert(outpoint.txid);
            inputs.push((outpoint, claims.spent[position].clone()));
        }
        let before = self.transactions(&txids).await?;
        for (outpoint, claimed) in &inputs {
            let outputs = &before[&outpoint.txid].0.transaction.outputs;
            if outputs.get(outpoint.index as usize) != Some(claimed) {
                return Err(Fault::Foreign("a transaction").into());
            }
        }
        let transactions: Vec<ChainTx> = judged.into_iter().map(|(transaction, _)| transaction).collect();
        Ok(HistoryPage { transactions, pages })
    }

    /// The same, with no block above the end of the chain.
    pub(super) async fn settled_history_page(
        &self,
        script: &ScriptPayload,
        page: u32,
        page_size: u32,
    ) -> Result<HistoryPage, Failure> {
        let found = self.history_page(script, page, page_size).await?;
        match self.highest(found.transactions.iter().filter_map(|each| each.block)).await? {
            None => Ok(found),
            Some(height) => Err(Fault::Height(height.into()).into()),
        }
    }

    pub(super) async fn states(&self, outpoints: &[OutPoint]) -> Result<Vec<OutputState>, Failure> {
        let message =
            |outpoint: &OutPoint| proto::OutPoint { txid: outpoint.txid.as_bytes().to_vec(), out_idx: outpoint.index };
        let request = proto::ValidateUtxoRequest { outpoints: outpoints.iter().map(message).collect() };
        let answer = self.http.post("/validate-utxos", &request).await?;
        Ok(judge::states(&answer, outpoints.len())?)
    }

    pub(super) async fn broadcast(&self, raw: Vec<u8>, txid: Txid) -> Result<(), Failure> {
        let request = proto::BroadcastTxRequest { raw_tx: raw, skip_slp_check: false };
        let answer: proto::BroadcastTxResponse = self.http.post("/broadcast-tx", &request).await?;
        Ok(judge::broadcast(&[answer.txid], &[txid])?)
    }

    pub(super) async fn broadcast_all(&self, raw: Vec<Vec<u8>>, txids: &[Txid]) -> Result<(), Failure> {
        let request = proto::BroadcastTxsRequest { raw_txs: raw, skip_slp_check: false };
        let answer: proto::BroadcastTxsResponse = self.http.post("/broadcast-txs", &request).await?;
        Ok(judge::broadcast(&answer.txids, txids)?)
    }
}

fn path_of(script: &ScriptPayload, what: &str) -> String {
    format!("/script/{}/{}/{what}", script.kind(), hex::encode(script.bytes()))
}

/// Compares what is said of an output with its transaction. A [`Fault::Contradiction`] may come of a new block.
fn unspent(claimed: ClaimedUtxo, transactions: &BTreeMap<Txid, (ChainTx, Claims)>) -> Result<Unspent, Fault> {
    let ClaimedUtxo { outpoint, output, height, is_coinbase } = claimed;
    let (transaction, claims) = &transactions[&outpoint.txid];
    let index = outpoint.index as usize;
    if transaction.transaction.outputs.get(index) != Some(&output) {
        return Err(Fault::Foreign("an output"));
    }
    if transaction.is_coinbase() != is_coinbase {
        return Err(Fault::Coinbase);
    }
    if transaction.block.map(|block| block.height) != height {
        return Err(Fault::Contradiction("the block of an output"));
    }
    if claims.spent_by[index].is_some() {
        return Err(Fault::Contradiction("what spends an output"));
    }
    Ok(Unspent { outpoint, output, block: transaction.block, is_coinbase })
}
