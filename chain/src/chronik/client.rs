//! The client over all its servers.
//!
//! Owns which server is asked next, when again, and how many have to agree. Invariants: every question ends, after a
//! bounded number of requests and pauses; a server that says what is false is asked last for ten minutes. Embedders,
//! monitors and watches drive it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use nelumbo_crypto::lotus::{Address, OutPoint, Transaction, TxOutput, Txid};
use nelumbo_crypto::{Entropy, Network};
use tokio::time::{Instant, sleep};

use super::config::{ChronikConfig, check_quorum};
use super::counts::ChronikCounts;
use super::error::{ChronikError, ConfigError, Failure};
use super::http::{self, Http};
use super::proofs::Proofs;
use super::server::Server;
use super::types::{Block, BlockId, BlockRef, BlockSummary, ChainTx, HistoryPage, OutputState, Status, Unspent};
use crate::ScriptPayload;
use crate::proto;

/// How long a server that lied is asked last.
const DISTRUST: Duration = Duration::from_secs(600);

/// How long one that failed is asked last, times its failures in a row.
const AVOID: Duration = Duration::from_secs(2);

/// The most outputs that are asked about at once.
const MAX_OUTPOINTS: usize = 1_000;

/// Asks Chronik servers for Lotus, and believes none of them.
///
/// With a quorum of 1 a question goes to one server, and to the next when that fails or says what cannot be true. With
/// more, it goes to all, until so many have said the same. Clones share what is known of the servers.
///
/// What one server says is checked as far as hashes reach: ids of transactions, amounts and scripts of outputs and of
/// what inputs spend, headers and content of blocks. A server can still keep something back, or make up a chain of its
/// own; against that there is the quorum.
#[derive(Clone, Debug)]
pub struct ChronikClient {
    pub(super) shared: Arc<Shared>,
    quorum: usize,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ChronikConfig,
    pub(super) servers: Vec<Arc<Server>>,
    pub(super) tls: Arc<rustls::ClientConfig>,
    health: Mutex<Health>,
    counts: Mutex<ChronikCounts>,
    entropy: Mutex<Entropy>,
}

#[derive(Debug)]
struct Health {
    /// The one that answered last.
    current: usize,
    avoided: Vec<Option<Instant>>,
    failures: Vec<u32>,
}

impl ChronikClient {
    /// A client, which connects when it is asked something. Pauses are shortened by chance out of `entropy`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn new(config: ChronikConfig, entropy: Entropy) -> Result<Self, ConfigError> {
        let (bases, tls) = (config.bases()?, http::tls());
        let client = http::client(&config, &tls)?;
        let proofs = Proofs::default();
        let server = |base| {
            let http = Http::new(client.clone(), base, config.max_response_bytes);
            Arc::new(Server::new(http, config.max_history, proofs.clone()))
        };
        let servers: Vec<Arc<Server>> = bases.into_iter().map(server).collect();
        let health = Health { current: 0, avoided: vec![None; servers.len()], failures: vec![0; servers.len()] };
        let quorum = config.quorum;
        let counts = Mutex::new(ChronikCounts::new(servers.iter().map(|server| server.name().to_owned())));
        let (health, entropy) = (Mutex::new(health), Mutex::new(entropy));
        Ok(Self { shared: Arc::new(Shared { config, servers, tls, health, counts, entropy }), quorum })
    }

    /// The same client, with another number of servers that have to agree.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Quorum`].
    pub fn with_quorum(&self, quorum: usize) -> Result<Self, ConfigError> {
        check_quorum(quorum, self.shared.servers.len())?;
        Ok(Self { shared: self.shared.clone(), quorum })
    }

    /// The network whose addresses are taken.
    #[must_use]
    pub fn network(&self) -> Network {
        self.shared.config.network
    }

    /// How many servers have to agree.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// What this client and its clones have seen of the servers.
    #[must_use]
    pub fn counts(&self) -> ChronikCounts {
        self.shared.counts().clone()
    }

    /// How often a watch asks.
    pub(crate) fn poll_interval(&self) -> Duration {
        self.shared.config.poll_interval
    }

    /// What outputs to this address are found by; none for an address of another network.
    #[must_use]
    pub fn script_of(&self, address: &Address) -> Option<ScriptPayload> {
        (address.network == self.network()).then(|| ScriptPayload::from(&address.payload))
    }

    /// The last block of the chain; none in an empty chain.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn tip(&self) -> Result<Option<BlockId>, ChronikError> {
        let tip = self.ask(|server| async move { server.tip().await }).await?;
        self.shared.counts().height = tip.map(|block| block.height);
        Ok(tip)
    }

    /// A block with its transactions, if the server has it.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn block(&self, block: BlockRef) -> Result<Option<Block>, ChronikError> {
        self.ask(|server| async move { server.block(block).await }).await
    }

    /// The blocks from one height to another, both included, up to the end of the chain; at most 500.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn blocks(&self, first: u32, last: u32) -> Result<Vec<BlockSummary>, ChronikError> {
        if last < first {
            return Ok(Vec::new());
        }
        if last - first >= proto::MAX_BLOCKS || i32::try_from(last).is_err() {
            return Err(ChronikError::TooMuch { what: "blocks", limit: proto::MAX_BLOCKS as usize });
        }
        self.ask(|server| async move { server.blocks(first, last).await }).await
    }

    /// The median time of the last eleven blocks, in seconds since 1970: by it the rules of the next block are chosen.
    /// `None` on an empty chain.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn median_time(&self) -> Result<Option<u64>, ChronikError> {
        let Some(tip) = self.tip().await? else { return Ok(None) };
        let blocks = self.blocks(tip.height.saturating_sub(10), tip.height).await?;
        let mut times: Vec<u64> = blocks.iter().map(|block| block.time).collect();
        times.sort_unstable();
        Ok(times.get(times.len() / 2).copied())
    }

    /// A transaction, in the chain or waiting.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn transaction(&self, txid: Txid) -> Result<Option<ChainTx>, ChronikError> {
        self.ask(|server| async move { server.transaction(txid).await }).await
    }

    /// The same out of its serialisation, without its block.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn raw_transaction(&self, txid: Txid) -> Result<Option<Transaction>, ChronikError> {
        self.ask(|server| async move { server.raw_transaction(txid).await }).await
    }

    /// What has become of a transaction. That it is in a block is said after a look into the block.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn status(&self, txid: Txid) -> Result<Status, ChronikError> {
        let block = |status: &Status| match status {
            Status::Confirmed { block, .. } => Some(*block),
            _ => None,
        };
        let same = |one: &Status, other: &Status| block(one) == block(other) && (block(one).is_some() || one == other);
        let answers = self.answers(|server| async move { server.status(txid).await }, same).await?;
        // Of those that agree on the block, the one that has seen the fewest after it.
        let confirmations = |status: &Status| match status {
            Status::Confirmed { confirmations, .. } => *confirmations,
            _ => 0,
        };
        Ok(answers.into_iter().min_by_key(confirmations).unwrap_or(Status::Unknown))
    }

    /// What a transaction's inputs spend, out of the transactions before, in the order of the inputs; nothing for a
    /// coinbase.
    ///
    /// # Errors
    ///
    /// [`ChronikError`]; also when one of the transactions before is unknown.
    pub async fn spent_outputs(&self, transaction: &Transaction) -> Result<Vec<TxOutput>, ChronikError> {
        self.ask(|server| async move { server.spent_outputs(transaction).await }).await
    }

    /// The transaction that spends an output, in the chain or waiting.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn spender(&self, outpoint: OutPoint) -> Result<Option<ChainTx>, ChronikError> {
        self.ask(|server| async move { server.spender(outpoint).await }).await
    }

    /// The unspent outputs of a script, each with what its transaction says.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn utxos(&self, script: &ScriptPayload) -> Result<Vec<Unspent>, ChronikError> {
        let sorted = |server: Arc<Server>| async move {
            let mut unspent = server.utxos(script).await?;
            unspent.sort_by_key(|each| each.outpoint);
            Ok(unspent)
        };
        self.ask(sorted).await
    }

    /// A page of the transactions that pay to a script or spend from it, the newest first. Pages count from 0 and have
    /// 1 to 200 transactions.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn history_page(
        &self,
        script: &ScriptPayload,
        page: u32,
        page_size: u32,
    ) -> Result<HistoryPage, ChronikError> {
        if !(1..=proto::MAX_PAGE_SIZE).contains(&page_size) {
            return Err(ChronikError::TooMuch { what: "transactions", limit: proto::MAX_PAGE_SIZE as usize });
        }
        self.ask(|server| async move { server.settled_history_page(script, page, page_size).await }).await
    }

    /// All transactions that pay to a script or spend from it, the newest first.
    ///
    /// # Errors
    ///
    /// [`ChronikError`]; also for more than [`ChronikConfig::max_history`].
    pub async fn history(&self, script: &ScriptPayload) -> Result<Vec<ChainTx>, ChronikError> {
        let limit = self.shared.config.max_history;
        let max_bytes = self.shared.config.max_response_bytes;
        let (mut found, mut bytes): (Vec<ChainTx>, usize) = (Vec::new(), 0);
        let mut seen = std::collections::BTreeSet::new();
        for page in 0.. {
            let answer = self.history_page(script, page, proto::MAX_PAGE_SIZE).await?;
            // What came in between has moved others to this page a second time.
            found.extend(answer.transactions.into_iter().filter(|each| seen.insert(each.txid)).inspect(|each| {
                bytes += each.size();
            }));
            if bytes > max_bytes {
                return Err(ChronikError::TooMuch { what: "bytes of a script's transactions", limit: max_bytes });
            }
            if found.len() > limit {
                return Err(ChronikError::TooMuch { what: "transactions of a script", limit });
            }
            if page + 1 >= answer.pages {
                break;
            }
        }
        Ok(found)
    }

    /// What has become of outputs, in their order; at most 1,000.
    ///
    /// # Errors
    ///
    /// [`ChronikError`].
    pub async fn states(&self, outpoints: &[OutPoint]) -> Result<Vec<OutputState>, ChronikError> {
        if outpoints.len() > MAX_OUTPOINTS {
            return Err(ChronikError::TooMuch { what: "outputs", limit: MAX_OUTPOINTS });
        }
        self.ask(|server| async move { server.states(outpoints).await }).await
    }

    pub(super) async fn ask<T, F, A>(&self, question: F) -> Result<T, ChronikError>
    where
        F: Fn(Arc<Server>) -> A,
        A: Future<Output = Result<T, Failure>>,
        T: PartialEq,
    {
        let mut answers = self.answers(question, T::eq).await?;
        Ok(answers.pop().expect("at least one has to agree"))
    }

    /// At least as many answers as have to agree.
    async fn answers<T, F, A>(&self, question: F, same: impl Fn(&T, &T) -> bool) -> Result<Vec<T>, ChronikError>
    where
        F: Fn(Arc<Server>) -> A,
        A: Future<Output = Result<T, Failure>>,
    {
        let shared = &self.shared;
        let mut last = None;
        for round in 0..shared.config.rounds.max(1) {
            if round > 0 {
                sleep(shared.pause(round)).await;
            }
            let mut failures = Vec::new();
            if self.quorum == 1 {
                for index in shared.order() {
                    match question(shared.servers[index].clone()).await {
                        Ok(answer) => {
                            shared.succeeded(index);
                            return Ok(vec![answer]);
                        }
                        Err(failure) => failures.push(shared.failed(index, failure)),
                    }
                }
                last = Some(ChronikError::Unavailable(failures));
                continue;
            }
            let asked = shared.servers.len();
            let answers = join_all(shared.servers.iter().cloned().map(&question)).await;
            let mut groups: Vec<Vec<T>> = Vec::new();
            for (index, answer) in answers.into_iter().enumerate() {
                match answer {
                    Err(failure) => failures.push(shared.failed(index, failure)),
                    Ok(answer) => {
                        shared.counts().answered(index);
                        match groups.iter_mut().find(|group| same(&group[0], &answer)) {
                            Some(group) => group.push(answer),
                            None => groups.push(vec![answer]),
                        }
                    }
                }
            }
            let largest = groups.into_iter().max_by_key(Vec::len).unwrap_or_default();
            if largest.len() >= self.quorum {
                return Ok(largest);
            }
            last = Some(if failures.len() == asked {
                ChronikError::Unavailable(failures)
            } else {
                shared.counts().disagreements += 1;
                ChronikError::Disagreement { agreeing: largest.len(), asked, quorum: self.quorum, failures }
            });
        }
        Err(last.expect("there is at least one round"))
    }
}

impl Shared {
    /// All servers: the one that answered last, those after it, and last those that are avoided.
    pub(super) fn order(&self) -> Vec<usize> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, count) = (Instant::now(), self.servers.len());
        let all = (0..count).map(|step| (health.current + step) % count);
        let is_avoided = |index: &usize| health.avoided[*index].is_some_and(|until| until > now);
        let (avoided, good): (Vec<usize>, Vec<usize>) = all.partition(is_avoided);
        good.into_iter().chain(avoided).collect()
    }

    fn counts(&self) -> MutexGuard<'_, ChronikCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn succeeded(&self, index: usize) {
        self.counts().answered(index);
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.current = index;
        health.failures[index] = 0;
        health.avoided[index] = None;
    }

    /// Remembers it, and says whose it is.
    pub(super) fn failed(&self, index: usize, failure: Failure) -> (String, Failure) {
        self.counts().failed(index, &failure);
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = &mut health.failures[index];
        *failures = failures.saturating_add(1);
        let time = if failure.is_lie() { DISTRUST } else { (AVOID * *failures).min(DISTRUST) };
        health.avoided[index] = Some(Instant::now() + time);
        let name = self.servers[index].name().to_owned();
        tracing::warn!(server = %name, %failure, "a Chronik server gave no usable answer");
        (name, failure)
    }

    /// How long to wait before this round, from 1.
    pub(super) fn pause(&self, round: u32) -> Duration {
        let doubled = self.config.backoff.saturating_mul(1 << (round - 1).min(16));
        let longest = doubled.min(self.config.max_backoff);
        let mut bytes = [0; 2];
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes);
        longest / 2 + (longest / 2).mul_f64(f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX))
    }
}
