//! What happens when in a demonstration.
//!
//! Owns the order of the phases and their times. Invariant: every phase ends, by what it waits for or by running out of
//! patience; and what is reported as verified was verified here, from the public keys and the message alone. `perform`
//! drives it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use nelumbo_core::crypto::{KeyAggContext, Network, PublicKey, Signature, schnorr, sort_keys};
use nelumbo_core::election::{Election, Method};
use nelumbo_core::wire::SessionId;

use super::Plan;
use super::crew::{Arrival, Crew, failed};
use super::failover::{self, Timeline};
use super::messages::{Order, Report, Start};
use super::outcome::{Outcome, Phases, SessionTimes, millis};
use super::progress::Progress;
use super::spend::Spend;
use super::stages::{Meeting, Signing, Stage, Starting};
use crate::address;
use crate::failure::Failure;

/// The node that creates the sessions, and whose address the others know.
pub(super) const FIRST: usize = 0;

/// See the module's documentation.
pub(super) struct Course<'a> {
    pub(super) plan: &'a Plan,
    folder: &'a Path,
    pub(super) crew: &'a mut Crew,
    pub(super) progress: Progress,
    /// What the nodes said of whose turn it is to broadcast.
    pub(super) timeline: Timeline,
}

/// One session, when everyone has the signature.
struct Signed {
    session: SessionId,
    signatures: Vec<Signature>,
    commanded: Instant,
    exchanged: Instant,
    complete: Instant,
}

impl<'a> Course<'a> {
    pub(super) fn new(plan: &'a Plan, folder: &'a Path, crew: &'a mut Crew, progress: Progress) -> Self {
        Self { plan, folder, crew, progress, timeline: Timeline::default() }
    }

    pub(super) async fn run(mut self) -> Result<Outcome, Failure> {
        let began = Instant::now();
        let nodes = self.start().await?;
        if self.plan.discover {
            return self.discover(began, &nodes).await;
        }
        let started = Instant::now();
        self.progress.end(&[("start", started - began)]);
        self.meet(&nodes).await?;
        let met = Instant::now();
        self.progress.end(&[("discovery", met - started)]);

        let mut keys = nodes.clone();
        sort_keys(&mut keys);
        let context = KeyAggContext::new(self.plan.suite, &keys).map_err(|error| {
            Failure::unmet(format_args!("the nodes' keys cannot be aggregated: {error}"), "try again")
        })?;
        self.progress.begin("signing", self.plan.signers);
        let spend = if self.plan.spend { Some(Spend::prepare(self.plan.suite, keys.clone()).await?) } else { None };
        let first = match &spend {
            Some(spend) => {
                let (context, digests) = spend.signed()?;
                self.sign(&context, spend.order()?, digests).await?
            }
            None => {
                let messages = self.plan.messages(0);
                let (suite, keys) = (context.suite(), context.keys().to_vec());
                let order = Order::Sign { suite, keys, messages: messages.iter().map(hex::encode).collect() };
                self.sign(&context, order, messages).await?
            }
        };
        let (exchange, signatures) = (first.exchanged - first.commanded, first.complete - first.exchanged);
        self.progress.end(&[("nonce exchange", exchange), ("partial signatures", signatures)]);

        let mut times = vec![first.complete - first.commanded];
        let mut last = first.complete;
        if let Some(repeat) = self.plan.repeat {
            self.progress.begin("repeating", repeat);
            let (further, complete) = self.repeat(&context, repeat, self.plan.parallel).await?;
            times.extend(further);
            last = complete.max(last);
            self.progress.end(&[("repeats", last - first.complete)]);
        }

        let election = Election::new(Method::Lexicographic, &keys)
            .map_err(|error| Failure::unmet(format_args!("there is no coordinator: {error}"), "try again"))?;
        let failover = match self.plan.kill {
            Some(kill) => {
                let killed = election.priority().iter().take(kill).map(|index| keys[*index]);
                let payment = spend.as_ref().map(|spend| spend.payment(&first.signatures)).transpose()?.flatten();
                let turns = (first.session, first.commanded);
                Some(self.fail_over(turns, &nodes, killed.collect(), payment).await?)
            }
            None => None,
        };
        last += failover.as_ref().map_or(Duration::ZERO, |failover| failover.took);
        let phases = Phases {
            start: millis(started - began),
            discovery: millis(met - started),
            nonce_exchange: millis(exchange),
            partial_signatures: millis(signatures),
            repeats: self.plan.repeat.map(|_| millis(last - first.complete)),
            failover: failover.as_ref().map(|failover| millis(failover.took)),
        };
        let session_ms = self.plan.repeat.map(|_| SessionTimes::of(times));
        let coordinator = keys[election.coordinator()];
        let parts = (context, keys, coordinator, first.signatures, phases);
        let repeated = (last - first.complete).as_secs_f64();
        let further = self.plan.repeat.map(|repeat| repeat - 1).filter(|further| *further > 0);
        let sessions_per_second = further.map(|further| (further as f64 / repeated * 1e3).round() / 1e3);
        let mut outcome = Outcome { session_ms, sessions_per_second, failover, ..self.outcome(parts, last - began) };
        if let Some(spend) = spend {
            let digests = spend.signed()?.1;
            (outcome.address, outcome.items) = (spend.group.address(), digests.len());
            outcome.message = hex::encode(&digests[0]);
            outcome.paid = Some(spend.confirm(&outcome.signatures, self.plan.patience).await?);
        }
        Ok(outcome)
    }

    /// What came of it, once the signature has been verified.
    pub(super) fn outcome(
        &self,
        (context, keys, coordinator, signatures, phases_ms): (
            KeyAggContext,
            Vec<PublicKey>,
            PublicKey,
            Vec<Signature>,
            Phases,
        ),
        elapsed: Duration,
    ) -> Outcome {
        Outcome {
            suite: self.plan.suite,
            message: hex::encode(&self.plan.message),
            aggregate_key: context.aggregate_key(),
            address: address::of_output_key(self.plan.suite, Network::Regtest, &context.aggregate_key()),
            signature: signatures[0],
            items: self.plan.items,
            signatures,
            coordinator,
            public_keys: keys,
            verified: true,
            signers: self.plan.signers,
            transport: self.plan.transport,
            processes: self.plan.processes,
            elapsed_ms: millis(elapsed),
            phases_ms,
            session_ms: None,
            sessions_per_second: None,
            failover: None,
            discovery: None,
            paid: None,
            rss_mib: self.crew.largest_resident(),
        }
    }

    /// Starts all nodes; the first one before the others, who need its address. Returns their keys.
    async fn start(&mut self) -> Result<Vec<PublicKey>, Failure> {
        self.progress.begin("starting", self.plan.nodes());
        let mut starting = Starting { nodes: vec![None; self.plan.nodes()], first_only: true };
        self.order_start(FIRST, None).await?;
        self.wait_for(&mut starting).await?;
        let through = starting.nodes[FIRST].clone().map(|(_, address)| address);
        for node in FIRST + 1..self.plan.nodes() {
            self.order_start(node, through.clone()).await?;
        }
        starting.first_only = false;
        self.wait_for(&mut starting).await?;
        Ok(starting.nodes.into_iter().flatten().map(|(key, _)| key).collect())
    }

    async fn order_start(&mut self, node: usize, through: Option<String>) -> Result<(), Failure> {
        let port = match (self.plan.port, u16::try_from(node)) {
            (Some(first), Ok(node)) => first.saturating_add(node),
            _ => 0,
        };
        let start = Start {
            folder: self.folder.join(format!("node-{}", node + 1)),
            listen: self.plan.transport.loopback(port),
            through,
            nodes: self.plan.nodes(),
            is_stranger: self.plan.discover,
            turn_ms: self.plan.kill.map(|_| failover::TURN.as_millis() as u64),
            record: self.plan.record.as_ref().map(|folder| folder.join(format!("node-{}.recording", node + 1))),
        };
        self.crew.order(node, Order::Start(start)).await
    }

    /// Waits until every node is connected to every other.
    async fn meet(&mut self, keys: &[PublicKey]) -> Result<(), Failure> {
        self.progress.begin("discovery", self.plan.signers);
        for node in 0..self.plan.signers {
            self.crew.order(node, Order::Meet { keys: keys.to_vec() }).await?;
        }
        self.wait_for(&mut Meeting { met: vec![0; self.plan.signers] }).await
    }

    /// Has the first node create a session that signs these messages, and verifies the signatures.
    async fn sign(&mut self, keys: &KeyAggContext, order: Order, messages: Vec<Vec<u8>>) -> Result<Signed, Failure> {
        let nodes = self.plan.signers;
        let mut signing =
            Signing { exchanged: vec![None; nodes], signed: vec![None; nodes], signatures: BTreeSet::new() };
        let commanded = Instant::now();
        self.crew.order(FIRST, order).await?;
        self.wait_for(&mut signing).await?;

        let latest = |times: &[Option<Instant>]| times.iter().flatten().max().copied().unwrap_or(commanded);
        let (exchanged, complete) = (latest(&signing.exchanged), latest(&signing.signed));
        let mut all = signing.signatures.into_iter();
        let (Some((session, signatures)), None) = (all.next(), all.next()) else {
            return Err(Failure::unmet(
                "the nodes have different signatures of one message",
                "this is a bug: report it",
            ));
        };
        if !are_valid(keys, &messages, &signatures) {
            return Err(Failure::unmet("the signatures do not verify", "this is a bug: report it"));
        }
        Ok(Signed { session, signatures, commanded, exchanged, complete })
    }

    /// Takes reports until nothing is missing.
    pub(super) async fn wait_for(&mut self, stage: &mut impl Stage) -> Result<(), Failure> {
        let until = tokio::time::Instant::now() + self.plan.patience;
        while let Some(missing) = stage.missing() {
            let Arrival { node, at, report } = self.arrival(until, &missing).await?;
            stage.take(node, at, report);
            self.progress.at(stage.done());
        }
        Ok(())
    }

    /// The next report, as long as there is time and every node goes on.
    pub(super) async fn arrival(&mut self, until: tokio::time::Instant, missing: &str) -> Result<Arrival, Failure> {
        let Ok(arrival) = tokio::time::timeout_at(until, self.crew.next()).await else {
            let seconds = self.plan.patience.as_secs_f64();
            return Err(Failure::unmet(
                format_args!("{missing} within {seconds} s"),
                "give it more time with --timeout, fewer --signers, or see with -vv what the nodes do",
            ));
        };
        if let Report::Failed { problem, remedy } = &arrival.report {
            return Err(failed(arrival.node, problem, remedy.as_deref()));
        }
        if self.plan.kill.is_some() {
            self.timeline.take(&arrival);
        }
        Ok(arrival)
    }
}

/// Whether there is a signature of each message, and all of them verify.
pub(super) fn are_valid(keys: &KeyAggContext, messages: &[Vec<u8>], signatures: &[Signature]) -> bool {
    let key = keys.challenge_key();
    let is_valid = |(message, signature): (&Vec<u8>, _)| schnorr::verify(keys.suite(), &key, message, signature);
    messages.len() == signatures.len() && messages.iter().zip(signatures).all(is_valid)
}
