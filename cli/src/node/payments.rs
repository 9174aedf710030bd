//! What becomes of the transactions that sessions have signed.
//!
//! Owns the way from signatures to a confirmation: when it is this node's turn, the transaction is broadcast; whoever
//! broadcasts it, it is looked for on the chain until it is buried, which settles the others' turns too. Invariants: a
//! transaction is sent again only as it is, so that sending twice does no harm; what the servers say is believed as far
//! as the client has judged it; nothing here holds up the node. Nothing is kept over a restart: the sessions are, and
//! everything follows from them. The node's life drives it.

use std::collections::BTreeMap;
use std::time::Duration;

use nelumbo_chain::chronik::{BroadcastError, ChronikClient, Status};
use nelumbo_core::api::{Phase, SessionView};
use nelumbo_core::crypto::lotus::{Transaction, Txid};
use nelumbo_core::wire::SessionId;
use nelumbo_tokio::Handle;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::event_log::EventLog;
use super::life::now;
use crate::payment;

/// How often the chain is asked about payments that it does not have yet.
const PAUSE: Duration = Duration::from_secs(2);
/// How often about those that are in a block.
const BURIAL_PAUSE: Duration = Duration::from_secs(30);
/// How often all sessions are looked at, in case word of one was lost.
const RESCAN: Duration = Duration::from_secs(60);
/// So many blocks deep, a payment is not watched any more.
const BURIED: u32 = 10;
/// How many are asked about in one round.
const ROUND: usize = 16;
const NEWS: usize = 256;

/// Something that has happened to a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    /// It has its signatures.
    Signed(SessionId),
    /// It is this node's turn to broadcast.
    OwnTurn(SessionId),
}

/// The end that the node's life holds.
#[derive(Clone, Debug)]
pub(crate) struct Payments(mpsc::Sender<News>);

impl Payments {
    /// Starts to look after payments, until the last clone is dropped.
    pub(crate) fn start(client: ChronikClient, handle: Handle, log: EventLog) -> Self {
        let (sender, news) = mpsc::channel(NEWS);
        let watcher = Watcher { client, handle, log, payments: BTreeMap::new() };
        tokio::spawn(watcher.run(news));
        Self(sender)
    }

    /// What does not fit is found when all sessions are looked at.
    pub(crate) fn tell(&self, news: News) {
        let _ = self.0.try_send(news);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Signed,
    Seen,
    Confirmed(u32),
    /// Nothing can be done for it.
    Failed,
    /// It is so deep in the chain that it stays.
    Buried,
}

#[derive(Debug)]
struct Payment {
    transaction: Transaction,
    txid: Txid,
    state: State,
    is_own_turn: bool,
    /// When the chain is asked next.
    due: Instant,
}

#[derive(Debug)]
struct Watcher {
    client: ChronikClient,
    handle: Handle,
    log: EventLog,
    payments: BTreeMap<SessionId, Payment>,
}

impl Watcher {
    async fn run(mut self, mut news: mpsc::Receiver<News>) {
        let mut round = interval(PAUSE);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rescan = interval(RESCAN);
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                news = news.recv() => match news {
                    None => return,
                    Some(News::Signed(session)) => self.learn(session).await,
                    Some(News::OwnTurn(session)) => {
                        self.learn(session).await;
                        if let Some(payment) = self.payments.get_mut(&session) {
                            (payment.is_own_turn, payment.due) = (true, Instant::now());
                        }
                        self.look(session).await;
                    }
                },
                _ = round.tick() => {
                    let now = Instant::now();
                    let due = self.payments.iter().filter(|(_, payment)| payment.due <= now);
                    let due: Vec<SessionId> = due.map(|(session, _)| *session).take(ROUND).collect();
                    for session in due {
                        self.look(session).await;
                    }
                }
                _ = rescan.tick() => self.rescan().await,
            }
        }
    }

    async fn rescan(&mut self) {
        let Ok(sessions) = self.handle.sessions().await else { return };
        let own_key = self.handle.key();
        for view in &sessions {
            self.take(view);
            if view.coordinator == Some(own_key)
                && let Some(payment) = self.payments.get_mut(&view.id)
            {
                payment.is_own_turn = true;
            }
        }
        self.payments.retain(|session, _| sessions.iter().any(|view| view.id == *session));
    }

    async fn learn(&mut self, session: SessionId) {
        if let Ok(Some(view)) = self.handle.session(session).await {
            self.take(&view);
        }
    }

    fn take(&mut self, view: &SessionView) {
        if view.phase != Phase::Complete || self.payments.contains_key(&view.id) {
            return;
        }
        let signed = payment::finalize(&view.definition, &view.signatures);
        let Some((txid, transaction)) = signed.and_then(|signed| Some((signed.txid, signed.lotus?))) else { return };
        let (state, due) = (State::Signed, Instant::now());
        self.payments.insert(view.id, Payment { transaction, txid, state, is_own_turn: false, due });
    }

    fn note(&self, session: SessionId, txid: Txid, event: &str, more: &[(&str, Value)]) {
        let mut fields = json!({ "event": event, "session": session, "txid": txid.to_string() });
        for (name, value) in more {
            fields[*name] = value.clone();
        }
        self.log.note(now(), &fields);
    }

    /// Asks the chain about a payment, and does what follows.
    async fn look(&mut self, session: SessionId) {
        let Some(payment) = self.payments.get(&session) else { return };
        let (txid, was, is_own_turn) = (payment.txid, payment.state, payment.is_own_turn);
        if matches!(was, State::Failed | State::Buried) {
            return;
        }
        let state = match self.client.status(txid).await {
            Ok(Status::Unknown) if is_own_turn || was != State::Signed => self.broadcast(session, was).await,
            Ok(Status::Unknown) => State::Signed,
            Ok(Status::Waiting) => State::Seen,
            Ok(Status::Confirmed { confirmations, .. }) if confirmations >= BURIED => State::Buried,
            Ok(Status::Confirmed { block, .. }) => State::Confirmed(block.height),
            Err(error) => {
                tracing::warn!(%error, %txid, "the chain cannot be asked");
                was
            }
        };
        match (was, state) {
            (State::Signed, State::Signed) => {}
            (State::Signed, State::Seen) => self.settle(session, txid, "payment-seen", &[]).await,
            (State::Signed | State::Seen, State::Confirmed(height)) => {
                self.settle(session, txid, "payment-confirmed", &[("height", height.into())]).await;
            }
            (State::Confirmed(before), State::Confirmed(height)) if before != height => {
                self.note(session, txid, "payment-confirmed", &[("height", height.into())]);
            }
            (State::Confirmed(_), State::Seen | State::Signed) => {
                self.note(session, txid, "payment-reorganised", &[]);
            }
            _ => {}
        }
        if let Some(payment) = self.payments.get_mut(&session) {
            payment.state = state;
            payment.due = Instant::now() + if matches!(state, State::Confirmed(_)) { BURIAL_PAUSE } else { PAUSE };
        }
    }

    /// It is on the chain: nobody else has to broadcast it.
    async fn settle(&self, session: SessionId, txid: Txid, event: &str, more: &[(&str, Value)]) {
        self.note(session, txid, event, more);
        // Somebody else may have said so before.
        let _ = self.handle.confirm_broadcast(session).await;
    }

    async fn broadcast(&self, session: SessionId, was: State) -> State {
        let Some(payment) = self.payments.get(&session) else { return was };
        match self.client.broadcast(&payment.transaction).await {
            Ok(sent) => {
                if !sent.was_known {
                    self.note(session, payment.txid, "payment-broadcast", &[]);
                }
                State::Seen
            }
            Err(error @ BroadcastError::Rejected { .. }) => {
                let (reason, advice) = (error.to_string(), error.advice());
                let more = [("reason", reason.into()), ("advice", advice.into())];
                self.note(session, payment.txid, "payment-rejected", &more);
                State::Failed
            }
            Err(error) => {
                tracing::warn!(%error, txid = %payment.txid, "the transaction could not be sent yet");
                was
            }
        }
    }
}
