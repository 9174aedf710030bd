//! Watching scripts, transactions and blocks.
//!
//! Owns the task behind a [`Watch`]: it subscribes first, then looks, and looks again at every hint and every few
//! seconds; when a server fails, the next one. Invariants: what is told is what a look has shown, so a lost message
//! costs time and no event; a consumer that is slow makes the watch slow and not large. Embedders and monitors drive
//! it.

mod observe;
mod socket;
mod tracker;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::join_all;
use nelumbo_crypto::lotus::Txid;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use self::observe::observe;
use self::socket::Ended;
pub(super) use self::socket::Socket;
use self::tracker::{Observation, Tracker};
use super::client::ChronikClient;
use super::error::{ChronikError, Failure};
use super::types::{BlockId, ChainTx};
use crate::ScriptPayload;

/// How many events wait for a slow consumer before the watch waits for it too.
const WAITING_EVENTS: usize = 256;

/// The shortest time between two looks, however many hints there are.
const LOOKS: Duration = Duration::from_millis(50);

/// How long a server goes without a WebSocket that did not like ours.
const NO_SOCKET: Duration = Duration::from_secs(60);

/// How many times in a row all servers say that the chain is shorter before it is believed.
const SHORTER: u32 = 3;

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Transactions that pay to these, or spend from them.
    pub scripts: Vec<ScriptPayload>,
    /// These transactions, however old.
    pub txids: Vec<Txid>,
    /// From when on.
    pub since: Since,
}

/// From when on to tell of the transactions of scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// What waits now, and what comes later.
    #[default]
    Now,
    /// What is in a block of this height or later as well. Who keeps the height of the last block that it has worked
    /// through, and begins 100 below it, misses nothing; what it knows it is told again.
    Height(u32),
}

/// What has happened. For each transaction `Seen` comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChainEvent {
    /// There is a transaction. It waits, unless `Confirmed` follows.
    Seen(Box<ChainTx>),
    /// A transaction is in a block of the chain.
    Confirmed {
        /// The transaction.
        txid: Txid,
        /// The block.
        block: BlockId,
    },
    /// The block of a transaction is not in the chain any more. It waits again, unless `Confirmed` or `Removed`
    /// follows.
    Reorganised {
        /// The transaction.
        txid: Txid,
        /// The block that it was in.
        block: BlockId,
    },
    /// A transaction that waited is not there any more. It can still come back, as `Seen`.
    Removed {
        /// The transaction.
        txid: Txid,
        /// Another one that spends the same, so that this one cannot come back while that one is there.
        conflict: Option<Txid>,
    },
    /// There is a new last block. The first event of a watch is that of the block that is the last then.
    BlockConnected(BlockId),
    /// The last block is not in the chain any more.
    BlockDisconnected(BlockId),
    /// No server gives usable answers. The watch goes on asking, and nothing is lost meanwhile.
    Unreachable(ChronikError),
    /// A server gives usable answers again.
    Reachable,
}

/// A stream of [`ChainEvent`]s. It ends the watching when it is dropped.
///
/// A watch follows one server at a time. Where one server's word is not enough, ask again when it tells something:
/// [`ChronikClient::status`] with a quorum.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<ChainEvent>,
    task: JoinHandle<()>,
}

impl Watch {
    /// The next event. Nothing only if the runtime is shut down. Can be dropped at any time.
    pub async fn next(&mut self) -> Option<ChainEvent> {
        self.events.recv().await
    }
}

impl futures::Stream for Watch {
    type Item = ChainEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ChainEvent>> {
        self.events.poll_recv(context)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ChronikClient {
    /// Begins to watch.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn watch(&self, watched: Watched) -> Watch {
        let (sender, events) = mpsc::channel(WAITING_EVENTS);
        let tracker = Tracker::new(watched, self.shared.config.max_history, self.shared.config.max_response_bytes);
        let (socket, no_socket) = (None, vec![None; self.shared.servers.len()]);
        let watcher = Watcher { client: self.clone(), tracker, sender, socket, no_socket, shorter: 0 };
        Watch { events, task: tokio::spawn(watcher.run()) }
    }
}

struct Watcher {
    client: ChronikClient,
    tracker: Tracker,
    sender: mpsc::Sender<ChainEvent>,
    /// A socket, and whose it is.
    socket: Option<(usize, Socket)>,
    /// Until when to do without, for each server.
    no_socket: Vec<Option<Instant>>,
    /// How many times in a row all servers were behind.
    shorter: u32,
}

impl Watcher {
    async fn run(mut self) {
        let shared = self.client.shared.clone();
        let mut failed: u32 = 0;
        loop {
            let events = match self.look().await {
                Ok(events) => {
                    let back = (failed > 0).then_some(ChainEvent::Reachable);
                    failed = 0;
                    back.into_iter().chain(events).collect()
                }
                Err(error) => {
                    failed = failed.saturating_add(1);
                    if failed == 1 { vec![ChainEvent::Unreachable(error)] } else { Vec::new() }
                }
            };
            for event in events {
                if self.sender.send(event).await.is_err() {
                    return;
                }
            }
            let patience = if failed == 0 { shared.config.poll_interval } else { shared.pause(failed) };
            let ended = tokio::select! {
                () = self.sender.closed() => return,
                () = sleep(patience) => None,
                hint = hint(&mut self.socket) => hint.err(),
            };
            if let (Some(ended), Some((index, _))) = (ended, &self.socket) {
                let without = match ended {
                    Ended::Closed => shared.config.poll_interval,
                    Ended::Error(text) => {
                        tracing::warn!(server = shared.servers[*index].name(), text, "a subscription is not taken");
                        NO_SOCKET
                    }
                };
                self.no_socket[*index] = Some(Instant::now() + without);
                self.socket = None;
            }
            sleep(LOOKS).await;
        }
    }

    /// Looks at the first server that gives usable answers.
    async fn look(&mut self) -> Result<Vec<ChainEvent>, ChronikError> {
        let shared = self.client.shared.clone();
        let may_shrink = self.shorter >= SHORTER;
        let mut failures = Vec::new();
        for index in shared.order() {
            self.subscribe(index).await;
            match observe(&*shared.servers[index], &self.tracker, may_shrink).await {
                Ok(mut observation) => {
                    shared.succeeded(index);
                    self.shorter = 0;
                    self.ask_others(index, &mut observation).await;
                    return Ok(self.tracker.apply(observation));
                }
                Err(failure) => failures.push(shared.failed(index, failure)),
            }
        }
        let are_all_behind = failures.iter().all(|(_, failure)| matches!(failure, Failure::Behind(_)));
        self.shorter = if are_all_behind { self.shorter + 1 } else { 0 };
        Err(ChronikError::Unavailable(failures))
    }

    /// Before the first look at a server, so that nothing falls between the two.
    async fn subscribe(&mut self, index: usize) {
        if self.socket.as_ref().is_some_and(|(of, _)| *of == index) {
            return;
        }
        self.socket = None;
        if self.no_socket[index].is_some_and(|until| until > Instant::now()) {
            return;
        }
        let shared = &self.client.shared;
        let (url, patience) = (shared.servers[index].socket_url(), shared.config.connect_timeout);
        match Socket::connect(&url, &shared.tls, patience, &self.tracker.watched.scripts).await {
            Ok(socket) => self.socket = Some((index, socket)),
            Err(failure) => {
                let server = shared.servers[index].name();
                tracing::info!(server, %failure, "no WebSocket; asking from time to time");
                self.no_socket[index] = Some(Instant::now() + shared.config.poll_interval);
            }
        }
    }

    /// What waited at one server and is not at another may only not have come there yet.
    async fn ask_others(&self, index: usize, observation: &mut Observation) {
        let servers = &self.client.shared.servers;
        let unexplained: Vec<Txid> =
            observation.missing.iter().filter(|(_, conflict)| conflict.is_none()).map(|(txid, _)| *txid).collect();
        for txid in unexplained {
            let others = servers.iter().enumerate().filter(|(other, _)| *other != index);
            let answers = join_all(others.map(|(_, server)| server.transaction(txid))).await;
            if answers.iter().any(|answer| matches!(answer, Ok(Some(_)))) {
                observation.missing.remove(&txid);
            }
            observation.others_silent |= answers.iter().any(Result::is_err);
        }
    }
}

async fn hint(socket: &mut Option<(usize, Socket)>) -> Result<(), Ended> {
    match socket {
        Some((_, socket)) => socket.hint().await,
        None => std::future::pending().await,
    }
}
