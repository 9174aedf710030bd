//! One node of the demonstration.
//!
//! Owns the node and its key. Invariant: it does nothing but what it is ordered to and what its role is, which is to
//! approve every session. It runs as a task or as the whole of a process; `crew` drives it through messages.

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::thread;
use std::time::Duration;

use nelumbo_core::api::{Config, Event, Phase, SignerFilter};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::lotus::Transaction;
use nelumbo_core::crypto::{KeyAggContext, Network, PublicKey, SecretKey, Suite, Tweak};
use nelumbo_core::wire::{Details, Item, Offer, SessionId, TransactionType};
use nelumbo_tokio::network::{Connections, NetworkConfig, NetworkError};
use nelumbo_tokio::recording::DEFAULT_LIMIT;
use nelumbo_tokio::{Builder, Events, EventsError, Handle, NewSession, NodeEvent, StartError, fresh_entropy};
use tokio::sync::mpsc;

use super::messages::{Order, Payment, Report, Start, Turn};
use super::spend;
use crate::output;
use crate::spending::SpendingFile;

/// What many nodes in one process may use together; the limit of a node's own is for a node alone.
const MEMORY: usize = 8 << 30;

/// How long the one who asks waits before it looks again.
const PAUSE: Duration = Duration::from_millis(100);
/// What strangers sign for.
const KIND: TransactionType = TransactionType::Spend;

/// Why a node cannot go on, and what the caller can do about it, if anything.
struct Trouble {
    problem: String,
    remedy: Option<&'static str>,
}

impl Trouble {
    fn of(problem: impl ToString) -> Self {
        Self { problem: problem.to_string(), remedy: None }
    }
}

impl From<StartError> for Trouble {
    fn from(error: StartError) -> Self {
        let remedy = match &error {
            StartError::Network(NetworkError::Listen { .. }) => Some("choose other ports with --port, or leave it out"),
            StartError::Journal(_) => Some("set TMPDIR to a folder where you may write"),
            _ => None,
        };
        Self { problem: error.to_string(), remedy }
    }
}

/// Runs a node until it is told to stop, or nobody is left to tell it.
pub(super) async fn run(mut orders: mpsc::Receiver<Order>, report: impl Fn(Report)) {
    let worked = match orders.recv().await {
        Some(Order::Start(start)) => match Signer::start(start, &report) {
            Ok(signer) => signer.work(&mut orders).await,
            Err(trouble) => Err(trouble),
        },
        Some(_) => Err(Trouble::of("the first order is to start")),
        None => return,
    };
    report(match worked {
        Ok(()) => Report::Stopped,
        Err(Trouble { problem, remedy }) => Report::Failed { problem, remedy: remedy.map(str::to_owned) },
    });
}

/// Runs a node as this process: orders on standard input, reports on standard output.
pub(crate) async fn serve() {
    let (sender, orders) = mpsc::channel(16);
    // A thread of its own: it waits in a read that nothing can interrupt, and must not keep the process from ending.
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            // What is no order ends the orders, and with them the node.
            let Some(order) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { return };
            if sender.blocking_send(order).is_err() {
                return;
            }
        }
    });
    // When nobody reads any more, the orders end as well.
    run(orders, |report| drop(output::json(&report))).await;
}

struct Signer<R> {
    handle: Handle,
    events: Events,
    report: R,
    /// Whom it has found.
    found: BTreeSet<PublicKey>,
    /// Whom to meet, once that is known.
    sought: BTreeSet<PublicKey>,
    met: Option<usize>,
    is_stranger: bool,
    /// The session whose course is reported; of those that follow only the end is.
    first: Option<SessionId>,
}

impl<R: Fn(Report)> Signer<R> {
    fn start(start: Start, report: R) -> Result<Self, Trouble> {
        let mut entropy: Entropy = fresh_entropy()?;
        let key = SecretKey::generate(&mut entropy);
        let (network, is_stranger) = (network(&start)?, start.is_stranger);
        let mut config = Config::new(Network::Regtest);
        if let Some(turn) = start.turn_ms {
            config.broadcast_timeout = Duration::from_millis(turn);
        }
        let mut builder = Builder::with_key(config, network, start.folder, key)?;
        if let Some(file) = start.record {
            builder = builder.record(file, DEFAULT_LIMIT);
        }
        let (handle, events) = builder.start()?;
        Ok(Self {
            handle,
            events,
            report,
            found: BTreeSet::new(),
            sought: BTreeSet::new(),
            met: None,
            is_stranger,
            first: None,
        })
    }

    async fn work(mut self, orders: &mut mpsc::Receiver<Order>) -> Result<(), Trouble> {
        loop {
            tokio::select! {
                event = self.events.next() => self.on_event(event).await?,
                order = orders.recv() => match order {
                    Some(Order::Start(_)) => return Err(Trouble::of("a node starts once")),
                    Some(Order::Meet { keys }) => {
                        self.sought = keys.into_iter().collect();
                        self.meet().await?;
                    }
                    Some(Order::Sign { suite, keys, messages }) => self.sign(suite, keys, &messages).await?,
                    Some(Order::Advertise) => self.handle.advertise(offer()).await.map_err(Trouble::of)?,
                    Some(Order::Find { others }) => self.find(others).await?,
                    Some(Order::Request { suite, messages }) => self.request(suite, &messages).await?,
                    Some(Order::Spend { suite, keys, spending }) => self.spend(suite, keys, *spending).await?,
                    Some(Order::Broadcast { session, payment }) => {
                        if let Some(payment) = payment {
                            broadcast(&payment).await?;
                        }
                        self.handle.confirm_broadcast(session).await.map_err(Trouble::of)?;
                    }
                    Some(Order::Stop) | None => return self.handle.stop().await.map_err(Trouble::of),
                },
            }
        }
    }

    async fn on_event(&mut self, event: Result<NodeEvent, EventsError>) -> Result<(), Trouble> {
        let event = match event {
            Ok(NodeEvent::Core(event)) => event,
            Ok(NodeEvent::Listening { address }) => {
                (self.report)(Report::Started { key: self.handle.key(), address: address.to_string() });
                return Ok(());
            }
            Ok(NodeEvent::ListenerClosed { error: Some(error), .. } | NodeEvent::Stopped { error: Some(error) }) => {
                return Err(Trouble::of(error));
            }
            Ok(_) => return Ok(()),
            Err(error) => return Err(Trouble::of(error)),
        };
        match event {
            Event::SignerConnected { .. } | Event::SignerDisconnected { .. } => self.meet().await?,
            Event::SessionAnnounced { session, .. } => {
                // Strangers' story is told in full. Else every report would count in what is measured.
                if self.is_stranger {
                    (self.report)(Report::Asked { session });
                }
                self.handle.join(session, [Unusual::Opaque]).await.map_err(Trouble::of)?;
                if self.is_stranger {
                    (self.report)(Report::Approved { session });
                }
            }
            Event::Advertised { .. } => (self.report)(Report::Advertised),
            Event::PhaseChanged { session, phase: Phase::PartialSignatureExchange, .. }
                if *self.first.get_or_insert(session) == session =>
            {
                (self.report)(Report::NoncesExchanged { session });
            }
            Event::SessionCompleted { session, signatures, .. } => {
                (self.report)(Report::Signed { session, signatures });
            }
            Event::SessionAborted { by, .. } => {
                return Err(Trouble::of(format_args!("signer {by} aborted the session")));
            }
            Event::ShouldBroadcast { session } => self.turn(session, Turn::ShouldBroadcast),
            Event::CoordinatorFailed { session, coordinator, .. } => {
                self.turn(session, Turn::CoordinatorFailed { coordinator });
            }
            Event::FailoverExhausted { session, .. } => self.turn(session, Turn::FailoverExhausted),
            Event::BroadcastClaimed { session, by } => self.turn(session, Turn::BroadcastClaimed { by }),
            Event::SessionExpired { .. } => return Err(Trouble::of("the session has expired")),
            _ => {}
        }
        Ok(())
    }

    fn turn(&self, session: SessionId, turn: Turn) {
        (self.report)(Report::Turn { session, turn });
    }

    /// Tells how many of the sought signers are connected, when that has changed.
    async fn meet(&mut self) -> Result<(), Trouble> {
        if self.sought.is_empty() {
            return Ok(());
        }
        let sought = self.sought.clone();
        let met = self
            .handle
            .with_view(move |view| view.signers().filter(|(key, _, near)| *near && sought.contains(key)).count())
            .await
            .map_err(Trouble::of)?;
        if self.met.replace(met) != Some(met) {
            (self.report)(Report::Met { others: met });
        }
        Ok(())
    }

    /// Looks until it has found so many signers that advertise.
    async fn find(&mut self, others: usize) -> Result<(), Trouble> {
        let filter = SignerFilter { kind: Some(KIND), max_results: others, ..SignerFilter::default() };
        while self.found.len() < others {
            let found = self.handle.find_signers(filter.clone()).await.map_err(Trouble::of)?;
            self.found.extend(found.into_iter().map(|(key, _)| key));
            tokio::time::sleep(PAUSE).await;
        }
        (self.report)(Report::Found { keys: self.found.iter().copied().collect() });
        Ok(())
    }

    /// Asks in public whom it has found.
    async fn request(&mut self, suite: Suite, messages: &[String]) -> Result<(), Trouble> {
        let keys = self.found.iter().copied().chain([self.handle.key()]).collect();
        let description = "a demonstration among strangers".parse().map_err(Trouble::of)?;
        let details = Details { kind: Some(KIND), description, ..Details::default() };
        let session = NewSession { details, is_listed: true, ..session(suite, keys, messages)? };
        self.handle.create(session).await.map_err(Trouble::of)?;
        Ok(())
    }

    async fn spend(&mut self, suite: Suite, keys: Vec<PublicKey>, spending: SpendingFile) -> Result<(), Trouble> {
        let tweak = Tweak::Taproot { merkle_root: None };
        let context = KeyAggContext::new(suite, &keys).and_then(|keys| keys.with_tweak(&tweak));
        let own = context.map_err(Trouble::of)?.challenge_key();
        let (spending, items) = spending.items(suite, Some(own), tweak).map_err(Trouble::of)?;
        let details = Details { kind: Some(KIND), spending: Some(Box::new(spending)), ..Details::default() };
        let wanted = NewSession { items, details, ..NewSession::new(suite, keys, Vec::new()) };
        let session = self.handle.create(wanted).await.map_err(Trouble::of)?;
        (self.report)(Report::Created { session, message: String::new() });
        Ok(())
    }

    async fn sign(&mut self, suite: Suite, keys: Vec<PublicKey>, messages: &[String]) -> Result<(), Trouble> {
        let session = self.handle.create(session(suite, keys, messages)?).await.map_err(Trouble::of)?;
        (self.report)(Report::Created { session, message: messages.first().cloned().unwrap_or_default() });
        Ok(())
    }
}

/// Gives a transaction to the chain.
async fn broadcast(payment: &Payment) -> Result<(), Trouble> {
    let transaction = Transaction::parse(&hex::decode(&payment.transaction).map_err(Trouble::of)?);
    let client = spend::client(&payment.server).map_err(Trouble::of)?;
    client.broadcast(&transaction.map_err(Trouble::of)?).await.map_err(Trouble::of)?;
    Ok(())
}

/// A session that signs these messages.
fn session(suite: Suite, keys: Vec<PublicKey>, messages: &[String]) -> Result<NewSession, Trouble> {
    let item = |message| Ok(Item::message(hex::decode(message)?, Tweak::None));
    let items = messages.iter().map(item).collect::<Result<_, _>>();
    let items = items.map_err(|error: hex::FromHexError| Trouble::of(error))?;
    Ok(NewSession { items, ..NewSession::new(suite, keys, Vec::new()) })
}

/// What a stranger offers.
fn offer() -> Offer {
    Offer { types: vec![KIND], max_amount: Some(1_000_000), ..Offer::default() }
}

/// A node that serves the DHT, and wants a connection to every other one unless it is a stranger.
fn network(start: &Start) -> Result<NetworkConfig, Trouble> {
    let others = u32::try_from(start.nodes.saturating_sub(1)).map_err(Trouble::of)?;
    // Room for both ends of a pair dialling at once, also among those that the node has not chosen itself.
    let wanted = if start.is_stranger { 0 } else { others };
    let connections = Connections::new(wanted, 4 * others + 16).map_err(Trouble::of)?;
    let network = NetworkConfig::full()
        .connections(connections)
        .memory_limit(MEMORY)
        .listen_on(start.listen.parse().map_err(Trouble::of)?);
    match &start.through {
        Some(address) => network.join_through(address.parse().map_err(Trouble::of)?).map_err(Trouble::of),
        None => Ok(network),
    }
}
