//! What becomes of the transactions that sessions have signed.
//!
//! Owns the way from signatures to a confirmation: when it is this node's turn, the transaction is broadcast; whoever
//! broadcasts it, it is looked for on the chain until it is buried, which settles the others' turns too. Invariants: a
//! transaction is sent again only as it is, so that sending twice does no harm; what the servers say is believed as far
//! as the client has judged it; nothing here holds up the node, and no payment holds up another. Nothing is kept over a
//! restart: the sessions are, and everything follows from them. The node's life drives it.

use std::collections::BTreeMap;
use std::time::Duration;

use nelumbo_chain::chronik::{BroadcastError, ChronikClient, Status};
use nelumbo_core::api::{Phase, SessionView};
use nelumbo_core::crypto::lotus::{Transaction, Txid};
use nelumbo_core::wire::SessionId;
use nelumbo_tokio::Handle;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

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
/// How many are asked about at once.
const AT_ONCE: usize = 16;
/// How long a question may take, over all servers.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than any question.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);
const NEWS: usize = 256;

/// Something that has happened to a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    /// It has its signatures.
    Signed(SessionId),
    /// It is this node's turn to broadcast.
    OwnTurn(SessionId),
}

/// What is counted of payments, for metrics. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct PaymentCounts {
    /// How often a transaction was given to the chain's servers, by what became of it.
    pub(crate) broadcasts: Family<[(&'static str, &'static str); 1], Counter>,
    /// The payments that are known, by how far they have come.
    pub(crate) payments: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl PaymentCounts {
    pub(crate) fn new() -> Self {
        let counts = Self { broadcasts: Family::default(), payments: Family::default() };
        for outcome in ["sent", "known", "rejected", "unanswered"] {
            drop(counts.broadcasts.get_or_create(&[("outcome", outcome)]));
        }
        counts.set(&[]);
        counts
    }

    fn broadcast(&self, outcome: &'static str) {
        self.broadcasts.get_or_create(&[("outcome", outcome)]).inc();
    }

    fn set(&self, states: &[State]) {
        for (name, is_it) in [
            ("signed", (|state| matches!(state, State::Signed)) as fn(&State) -> bool),
            ("seen", |state| matches!(state, State::Seen)),
            ("confirmed", |state| matches!(state, State::Confirmed(_) | State::Buried)),
            ("failed", |state| matches!(state, State::Failed)),
        ] {
            let count = states.iter().filter(|state| is_it(state)).count();
            self.payments.get_or_create(&[("state", name)]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// The end that the node's life holds.
#[derive(Clone, Debug)]
pub(crate) struct Payments(mpsc::Sender<News>);

impl Payments {
    /// Starts to look after payments, until the last clone is dropped.
    pub(crate) fn start(client: ChronikClient, handle: Handle, log: EventLog, counts: PaymentCounts) -> Self {
        let (sender, news) = mpsc::channel(NEWS);
        let (payments, questions) = (BTreeMap::new(), JoinSet::new());
        let watcher = Watcher { client, handle, log, counts, payments, questions };
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
    is_asked: bool,
}

#[derive(Debug)]
struct Watcher {
    client: ChronikClient,
    handle: Handle,
    log: EventLog,
    counts: PaymentCounts,
    payments: BTreeMap<SessionId, Payment>,
    questions: JoinSet<(SessionId, Answer)>,
}

/// What a question about a payment has come to.
#[derive(Debug)]
struct Answer {
    state: State,
    /// What was done meanwhile, with more fields.
    done: Option<(&'static str, Vec<(&'static str, Value)>)>,
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
                    }
                },
                Some(answered) = self.questions.join_next() => match answered {
                    Ok((session, answer)) => self.take_answer(session, answer).await,
                    Err(error) => {
                        // Whose it was is not known. Asking twice does no harm.
                        tracing::error!(%error, "a question about a payment has failed");
                        let again = |payment: &mut Payment| (payment.is_asked, payment.due) = (false, Instant::now());
                        self.payments.values_mut().for_each(again);
                    }
                },
                _ = round.tick() => {}
                _ = rescan.tick() => {
                    // Whoever looks at the node's metrics sees whether the servers answer, and how far they are.
                    let client = self.client.clone();
                    tokio::spawn(async move { timeout(PATIENCE, client.tip()).await });
                    self.rescan().await;
                }
            }
            self.ask();
            self.counts.set(&self.payments.values().map(|payment| payment.state).collect::<Vec<_>>());
        }
    }

    /// Asks about what is due, the longest due first; so many at once that one server that says nothing delays nobody
    /// else, and no more.
    fn ask(&mut self) {
        let now = Instant::now();
        let is_open = |payment: &Payment| !payment.is_asked && !matches!(payment.state, State::Failed | State::Buried);
        let due = self.payments.iter_mut().filter(|(_, payment)| payment.due <= now && is_open(payment));
        let mut due: Vec<(&SessionId, &mut Payment)> = due.collect();
        due.sort_by_key(|(_, payment)| payment.due);
        for (session, payment) in due.into_iter().take(AT_ONCE.saturating_sub(self.questions.len())) {
            payment.is_asked = true;
            // Until the answer says otherwise; a turn that comes meanwhile makes it due at once.
            payment.due = now + FOR_EVER;
            let (session, client, transaction) = (*session, self.client.clone(), payment.transaction.clone());
            let (txid, was, is_own_turn) = (payment.txid, payment.state, payment.is_own_turn);
            let asked = Asked { client, counts: self.counts.clone(), transaction, txid, was };
            self.questions.spawn(async move {
                let answer = timeout(PATIENCE, asked.ask(is_own_turn)).await;
                let unanswered = Answer { state: was, done: None };
                (session, answer.unwrap_or(unanswered))
            });
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
        self.payments.insert(view.id, Payment { transaction, txid, state, is_own_turn: false, due, is_asked: false });
    }

    fn note(&self, session: SessionId, txid: Txid, event: &str, more: &[(&str, Value)]) {
        let mut fields = json!({ "event": event, "session": session, "txid": txid.to_string() });
        for (name, value) in more {
            fields[*name] = value.clone();
        }
        self.log.note(now(), &fields);
    }

    /// Does what follows from what the chain has said.
    async fn take_answer(&mut self, session: SessionId, Answer { state, done }: Answer) {
        // It may have been closed meanwhile.
        let Some(payment) = self.payments.get_mut(&session) else { return };
        let (txid, was, now) = (payment.txid, payment.state, Instant::now());
        let pause = if matches!(state, State::Confirmed(_)) { BURIAL_PAUSE } else { PAUSE };
        (payment.state, payment.is_asked, payment.due) = (state, false, payment.due.min(now + pause));
        if let Some((event, more)) = done {
            self.note(session, txid, event, &more);
        }
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
    }

    /// It is on the chain: nobody else has to broadcast it.
    async fn settle(&self, session: SessionId, txid: Txid, event: &str, more: &[(&str, Value)]) {
        self.note(session, txid, event, more);
        // Somebody else may have said so before.
        let _ = self.handle.confirm_broadcast(session).await;
    }
}

/// A question about a payment.
struct Asked {
    client: ChronikClient,
    counts: PaymentCounts,
    transaction: Transaction,
    txid: Txid,
    was: State,
}

impl Asked {
    /// Asks the chain, and sends the transaction if it is this node's turn or the chain has lost it.
    async fn ask(self, is_own_turn: bool) -> Answer {
        let Self { client, txid, was, .. } = &self;
        let state = match client.status(*txid).await {
            Ok(Status::Unknown) if is_own_turn || *was != State::Signed => return self.broadcast().await,
            Ok(Status::Unknown) => State::Signed,
            Ok(Status::Waiting) => State::Seen,
            Ok(Status::Confirmed { confirmations, .. }) if confirmations >= BURIED => State::Buried,
            Ok(Status::Confirmed { block, .. }) => State::Confirmed(block.height),
            Err(error) => {
                tracing::warn!(%error, %txid, "the chain cannot be asked");
                *was
            }
        };
        Answer { state, done: None }
    }

    async fn broadcast(self) -> Answer {
        let Self { client, counts, transaction, txid, was } = self;
        match client.broadcast(&transaction).await {
            Ok(sent) => {
                counts.broadcast(if sent.was_known { "known" } else { "sent" });
                let done = (!sent.was_known).then(|| ("payment-broadcast", Vec::new()));
                Answer { state: State::Seen, done }
            }
            Err(error @ BroadcastError::Rejected { .. }) => {
                counts.broadcast("rejected");
                let (reason, advice) = (error.to_string(), error.advice());
                let more = vec![("reason", reason.into()), ("advice", advice.into())];
                Answer { state: State::Failed, done: Some(("payment-rejected", more)) }
            }
            Err(error) => {
                counts.broadcast("unanswered");
                tracing::warn!(%error, %txid, "the transaction could not be sent yet");
                Answer { state: was, done: None }
            }
        }
    }
}
