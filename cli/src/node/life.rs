//! The life of a node as a process.
//!
//! Owns the order of things: the socket before the node, so that whoever is early waits and is not refused; then events
//! until somebody wants an end; then the node is stopped, everyone hears its last events, and the folder is given back
//! before the last connection closes. Invariant: it ends, because stopping has a deadline. The command `node` drives
//! it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nelumbo_chain::chronik::ChronikClient;
use nelumbo_core::api::Event;
use nelumbo_core::crypto::{Network, SecretKey};
use nelumbo_swapsig::SwapSig;
use nelumbo_tokio::network::{NetworkConfig, NetworkError};
use nelumbo_tokio::{Builder, Events, EventsError, Handle, NodeEvent, StartError, StopError};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::approvals::Approvals;
use super::approver::Approver;
use super::config::{Config, Source};
use super::event_log::{EventLog, Follower, Next, missed_line};
use super::file_sessions::FileSessions;
use super::folder::{Folder, Lock};
use super::identities;
use super::payments::{News, PaymentCounts, Payments};
use super::pools::{self, Pools};
use super::reload::reload_at_hangups;
use crate::api::ApiServer;
use crate::control::{Answers, Server, serve};
use crate::failure::{Answer, Failure};
use crate::interruption::interrupt_or_terminate;
use crate::{output, service};

/// How long a node may take to stop.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long those who read events may take for the last ones.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// How long a node that has failed may take to answer what it was asked.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// What it takes to run a node.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) folder: Folder,
    pub(crate) lock: Lock,
    /// Where its settings come from, and what they are.
    pub(crate) settings: Source,
    pub(crate) config: Config,
    pub(crate) network: NetworkConfig,
    pub(crate) chain: Network,
    /// Where payments are broadcast and looked for, if it is said.
    pub(crate) chronik: Option<ChronikClient>,
    pub(crate) key: SecretKey,
    /// What the node says things with, if not with the same key.
    pub(crate) message_key: Option<SecretKey>,
    pub(crate) record: Option<Record>,
    /// The HTTP API's listener, if there is one.
    pub(crate) api: Option<ApiServer>,
    pub(crate) json: bool,
}

/// Where the node is recorded.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) file: PathBuf,
    /// In bytes.
    pub(crate) limit: u64,
}

/// Runs a node until somebody wants it to stop, or it cannot go on.
pub(crate) async fn live(plan: Plan) -> Result<Answer, Failure> {
    let Plan { folder, lock, settings: source, config, network, chain, chronik, key, message_key, record, api, json } =
        plan;
    let server = Server::bind(folder.path()).map_err(|error| {
        Failure::input(
            format_args!("cannot make the socket in {}: {error}", folder.path().display()),
            "choose a --data with a shorter path, on a file system that has sockets",
        )
    })?;
    let key = Arc::new(key);
    let files = FileSessions::new(folder.path(), chain, key.clone());
    let core =
        config.core(chain).map_err(|unsound| Failure::input(unsound, "change it in config.toml, or leave it out"))?;
    if config.pools && chronik.is_none() {
        return Err(Failure::input(
            "`pools` is set in config.toml, and no server of the chain is",
            "set `chain` too, or leave `pools` out",
        ));
    }
    let (handle, events) = Builder::with_key(core, network, folder.path(), key)
        .and_then(|builder| match message_key {
            Some(message_key) => builder.message_key(message_key),
            None => Ok(builder),
        })
        .and_then(|builder| match config.pools {
            true => builder.protocol(Box::new(SwapSig::new(chain)), pools::STREAMS),
            false => Ok(builder),
        })
        .map(|builder| match record {
            Some(Record { file, limit }) => builder.record(file, limit),
            None => builder,
        })
        .and_then(Builder::start)
        .map_err(|error| not_started(&error))?;
    let log = EventLog::new();
    let started = now();
    log.note(
        started,
        &json!({
            "event": "started",
            "key": handle.key(),
            "peer": handle.peer().to_string(),
            "network": chain,
            "data": folder.path().display().to_string(),
            "api": api.as_ref().map(ApiServer::url),
        }),
    );
    // What is printed may have to wait for whoever reads it, which the node must not.
    let (printed, runtime) = (log.follow(Some(0)), tokio::runtime::Handle::current());
    std::thread::spawn(move || runtime.block_on(print(printed, json)));

    let approvals = Approvals::new(folder.path());
    let pools = chronik.clone().filter(|_| config.pools).map(|client| {
        let replay = config.chain.as_ref().map(|chain| chain.replay_protection).unwrap_or_default();
        Pools::start(client, replay, handle.clone(), log.clone())
    });
    let settings = Arc::new(watch::Sender::new(Arc::new(config)));
    let payment_counts = PaymentCounts::new();
    let answers = Answers {
        handle: handle.clone(),
        log: log.clone(),
        approvals: approvals.clone(),
        files: Arc::new(Mutex::new(files)),
        started,
        mailboxes: Arc::default(),
        folder: folder.path().to_owned(),
        network: chain,
        chronik: chronik.clone(),
        payments: payment_counts.clone(),
        pools: pools.clone(),
        stop: Arc::new(Notify::new()),
        settings: settings.subscribe(),
    };
    let mut connections = JoinSet::new();
    // They end with this function.
    let mut watchers = JoinSet::new();
    watchers.spawn(identities::watch(chronik.clone(), handle.clone(), folder.path().to_owned()));
    let payments = chronik.map(|client| Payments::start(client, handle.clone(), log.clone(), payment_counts));
    let api = async {
        match api {
            Some(api) => api.serve(answers.clone()).await,
            None => std::future::pending().await,
        }
    };
    let approver = Approver::start(handle.clone(), log.clone(), folder.path(), settings.subscribe());
    let reloads = reload_at_hangups(&source, folder.path(), &settings, &log);
    service::started(&handle);
    let mut life = Life { handle, events, log: log.clone(), approvals, approver, payments, pools };
    let ended = tokio::select! {
        ended = life.go_on() => ended,
        () = serve(&server, &answers, &mut connections) => Ok(()),
        ended = api => Err(api_failed(ended)),
        _ = interrupt_or_terminate() => life.stop().await,
        // The terminal is gone that it was started in.
        () = reloads => life.stop().await,
        () = answers.stop.notified() => life.stop().await,
    };
    drop(server);
    life.log.close();
    // Who still has not read everything by then never will.
    let _ = tokio::time::timeout(LAST_EVENTS, life.log.read_to_the_end()).await;
    drop(lock);
    if ended.is_err() {
        // Commands that were under way are told that it has failed.
        let _ = tokio::time::timeout(LAST_ANSWERS, async { while connections.join_next().await.is_some() {} }).await;
    }
    connections.shutdown().await;
    ended.map(|()| Answer::Yes)
}

struct Life {
    handle: Handle,
    events: Events,
    log: EventLog,
    approvals: Approvals,
    approver: Approver,
    payments: Option<Payments>,
    pools: Option<Pools>,
}

impl Life {
    /// Notes what happens, to the end.
    async fn go_on(&mut self) -> Result<(), Failure> {
        loop {
            match self.events.next().await {
                Ok(event) => {
                    let time = now();
                    if let (Some(pools), NodeEvent::Core(Event::ProtocolEvent { protocol, payload })) =
                        (&self.pools, &event)
                        && *protocol == pools::name()
                    {
                        pools.tell(payload);
                        continue;
                    }
                    if matches!(event, NodeEvent::Core(Event::SessionApproved { .. })) {
                        self.approvals.keep(&self.log, time, &event);
                    } else {
                        self.log.note(time, &event);
                    }
                    match event {
                        NodeEvent::Core(Event::SessionAnnounced { session, .. }) => self.approver.tell(session),
                        NodeEvent::Core(Event::SessionCompleted { session, .. }) => self.pay(News::Signed(session)),
                        // When all turns are over, with or without somebody's word, it is everybody's.
                        NodeEvent::Core(
                            Event::ShouldBroadcast { session }
                            | Event::FailoverExhausted { session, .. }
                            | Event::BroadcastUnconfirmed { session, .. },
                        ) => self.pay(News::OwnTurn(session)),
                        NodeEvent::Stopped { error: None } => return Ok(()),
                        NodeEvent::Stopped { error: Some(error) } => return Err(failed(error)),
                        _ => {}
                    }
                }
                Err(EventsError::Missed(missed)) => self.log.skip(missed),
                Err(EventsError::Stopped) => return Ok(()),
            }
        }
    }

    fn pay(&self, news: News) {
        self.payments.iter().for_each(|payments| payments.tell(news));
    }

    /// Stops the node, and notes its last events. Whoever interrupts a second time does not want to wait for it.
    async fn stop(&mut self) -> Result<(), Failure> {
        service::stopping();
        let handle = self.handle.clone();
        let stopped = async { tokio::join!(handle.stop(), self.go_on()).0 };
        tokio::select! {
            stopped = tokio::time::timeout(FAREWELL, stopped) => match stopped {
                Ok(Ok(()) | Err(StopError::AlreadyStopped)) => Ok(()),
                Ok(Err(error)) => Err(failed(error)),
                Err(_) => Err(Failure::unmet(
                    format_args!("the node did not stop within {} s", FAREWELL.as_secs()),
                    "it is ended all the same; what its journal holds is safe, and sessions go on at the next start",
                )),
            },
            signal = interrupt_or_terminate() => Err(Failure::interrupted(signal)),
        }
    }
}

async fn print(mut follower: Follower, json: bool) {
    while let Some(next) = follower.next().await {
        let line = match next {
            Next::Entry(entry) => entry.line(json),
            Next::Missed(missed) => missed_line(missed, json),
        };
        match output::next_line(line) {
            Ok(true) => {}
            Ok(false) => return,
            Err(failure) => {
                tracing::warn!(%failure, "nothing more is printed");
                return;
            }
        }
    }
}

fn not_started(error: &StartError) -> Failure {
    let remedy = match error {
        StartError::Network(NetworkError::Listen { .. }) => {
            "stop what listens there, if it is another node, or change `listen` in config.toml"
        }
        StartError::Network(_) => "see config.toml in the data folder",
        StartError::Recording { .. } => "give --record a file that can be made, or that is a recording already",
        StartError::Journal(_) => "see what the book says about the journal, in the chapter on operating",
        _ => "-vv shows more",
    };
    Failure::input(error, remedy)
}

fn api_failed(ended: std::io::Result<()>) -> Failure {
    let error = ended.err().map_or_else(|| "its listener is gone".to_owned(), |error| error.to_string());
    Failure::unmet(
        format_args!("the API has stopped: {error}"),
        "start the node again, or without `api` in config.toml",
    )
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::unmet(
        format_args!("the node has stopped: {error}"),
        "make sure that the disk has room and works, then start it again",
    )
}

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
