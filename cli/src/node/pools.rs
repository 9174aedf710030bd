//! Pools that swap coins: what a node of them wants to know of the chain, and what it is told by its owner.
//!
//! Owns the way between the protocol and the servers of the chain, and the questions of commands to it. Invariants:
//! what is answered is what the servers say, as far as the client has judged it; a pool is looked for once at a time;
//! nothing here holds up the node. The node's life drives it, and `control` asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nelumbo_chain::chronik::{ChronikClient, ChronikError, Status as Found};
use nelumbo_core::crypto::lotus::{OutPoint, Transaction, Txid};
use nelumbo_core::wire::Label;
use nelumbo_swapsig::chain::{self, Query, View};
use nelumbo_swapsig::{Command, Event, PoolId, Status};
use nelumbo_tokio::{Handle, HandleError};
use serde_json::json;
use tokio::sync::{Mutex, broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::config::ReplayProtection;
use super::event_log::EventLog;
use super::life::now;

/// On the wire, beside the streams of sessions.
pub(super) const STREAMS: &str = "/swapsig/1.0.0";
const NEWS: usize = 1024;
/// How long the protocol may take to answer; a search ends before.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long it is tried to send a transaction: the pool asks for it again at its next look, if it still wants it. One
/// that it does not want any more, because its person wants the deposit back, is not to be sent much later.
const SENDING: Duration = Duration::from_secs(10);

/// What the protocol is called.
pub(super) fn name() -> Label {
    "swapsig".parse().expect("lower case letters are a label")
}

/// The end that the node's life and commands hold.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    handle: Handle,
    news: mpsc::Sender<Event>,
    /// What the protocol has said, for whoever has asked it something.
    said: broadcast::Sender<Arc<Event>>,
    /// A refusal does not say what was refused, so that there is one question at a time.
    asking: Arc<Mutex<()>>,
}

impl Pools {
    /// Starts to answer the protocol, until the last clone is dropped.
    pub(crate) fn start(client: ChronikClient, replay: ReplayProtection, handle: Handle, log: EventLog) -> Self {
        let (news, events) = mpsc::channel(NEWS);
        let (said, _) = broadcast::channel(NEWS);
        let chain = Chain { client, replay, handle: handle.clone() };
        tokio::spawn(run(chain, log, said.clone(), events));
        Self { handle, news, said, asking: Arc::default() }
    }

    /// The protocol has said something. What does not fit the protocol says again.
    pub(crate) fn tell(&self, payload: &[u8]) {
        match Event::from_bytes(payload) {
            Some(event) => drop(self.news.try_send(event)),
            None => tracing::error!("this is no event of pools"),
        }
    }

    /// Tells the protocol something, and waits until what it says is an answer to that, or is that it refuses.
    pub(crate) async fn ask<T>(
        &self,
        command: &Command,
        mut answer: impl FnMut(&Event) -> Option<T>,
    ) -> Result<Result<T, String>, HandleError> {
        let _one_at_a_time = self.asking.lock().await;
        let mut said = self.said.subscribe();
        self.handle.protocol_command(name(), command.to_bytes()).await?;
        let answered = timeout(PATIENCE, async {
            loop {
                match said.recv().await {
                    Ok(event) => match &*event {
                        Event::Refused(why) => return Ok(Err(why.clone())),
                        event => {
                            if let Some(answer) = answer(event) {
                                return Ok(Ok(answer));
                            }
                        }
                    },
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Err(HandleError::Stopped),
                }
            }
        });
        answered.await.unwrap_or_else(|_| Ok(Err("the node has not answered in time; ask for the status".to_owned())))
    }
}

async fn run(chain: Chain, log: EventLog, said: broadcast::Sender<Arc<Event>>, mut events: mpsc::Receiver<Event>) {
    let mut tasks: JoinSet<Option<PoolId>> = JoinSet::new();
    let mut looking = BTreeSet::new();
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            Some(done) = tasks.join_next() => {
                if let Ok(Some(pool)) = done {
                    looking.remove(&pool);
                }
                continue;
            }
        };
        let chain = chain.clone();
        match event {
            None => return,
            // It asks again in a few seconds.
            Some(Event::Look { pool, query }) => {
                if looking.insert(pool) {
                    tasks.spawn(async move {
                        chain.answer(pool, &query).await;
                        Some(pool)
                    });
                }
            }
            Some(Event::Broadcast { pool, transaction }) => {
                tasks.spawn(async move {
                    chain.broadcast(pool, &transaction).await;
                    None
                });
            }
            Some(event) => {
                match &event {
                    Event::Changed(status) => note(&log, "pool-changed", status),
                    Event::Over(status) => note(&log, "pool-over", status),
                    _ => {}
                }
                // Nobody may have asked.
                let _ = said.send(Arc::new(event));
            }
        }
    }
}

fn note(log: &EventLog, event: &str, status: &Status) {
    log.note(
        now(),
        &json!({
            "event": event, "pool": status.pool.to_string(), "phase": status.phase, "done": status.done,
            "participants": status.participants, "until": status.until.map(|until| until.as_millis()),
            "otherwise": status.otherwise(),
        }),
    );
}

#[derive(Clone)]
struct Chain {
    client: ChronikClient,
    replay: ReplayProtection,
    handle: Handle,
}

impl Chain {
    async fn answer(&self, pool: PoolId, query: &Query) {
        match self.look(query).await {
            Ok(view) => {
                let seen = Command::Seen { pool, view };
                // A node that stops needs no answer.
                let _ = self.handle.protocol_command(name(), seen.to_bytes()).await;
            }
            Err(error) => tracing::warn!(%error, %pool, "the chain cannot be asked for a pool"),
        }
    }

    async fn look(&self, query: &Query) -> Result<View, ChronikError> {
        let mut view = View { replay_protection: self.replay.holds(&self.client).await?, ..View::default() };
        // How many outputs each has that was asked for: that of a coin is asked for with what spends it.
        let mut outputs: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        for txid in &query.transactions {
            let id = Txid::from_bytes(*txid);
            let found = self.client.transaction(id).await?;
            outputs.insert(*txid, found.as_ref().map_or(0, |found| found.transaction.outputs.len()));
            let Some(found) = found else { continue };
            let confirmations = match self.client.status(id).await? {
                Found::Confirmed { confirmations, .. } => confirmations,
                _ => 0,
            };
            view.transactions.insert(*txid, chain::Found { bytes: found.transaction.to_bytes(), confirmations });
        }
        for place in &query.outputs {
            let outpoint = OutPoint::from(*place);
            // Whoever registers names any output: one that is not there is spent by nothing, and no server's fault.
            let outputs = match outputs.get(&place.txid) {
                Some(outputs) => *outputs,
                None => {
                    let created = self.client.transaction(outpoint.txid).await?;
                    created.map_or(0, |created| created.transaction.outputs.len())
                }
            };
            if (place.index as usize) < outputs
                && let Some(spender) = self.client.spender(outpoint).await?
            {
                view.spenders.insert(*place, *spender.txid.as_bytes());
            }
        }
        Ok(view)
    }

    async fn broadcast(&self, pool: PoolId, transaction: &[u8]) {
        let Ok(transaction) = Transaction::parse(transaction) else { return };
        match timeout(SENDING, self.client.broadcast(&transaction)).await {
            Ok(Ok(sent)) => tracing::info!(%pool, txid = %sent.txid, "a transaction of a pool was sent"),
            // Another one may have been faster, and the pool sees which.
            Ok(Err(error)) => tracing::info!(%pool, %error, "a transaction of a pool was not taken"),
            Err(_) => tracing::info!(%pool, "no server has answered in time to a transaction of a pool"),
        }
    }
}
