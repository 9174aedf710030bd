//! The ledger behind the endpoints of a Chronik server.
//!
//! Owns the ledger while it is served, its file, its clock, and who is told what happens. Invariants: everything that
//! comes from outside is bounded, in number, in size and in time; a change is in the file before it is told.
//! Embedders and the command line drive it.

mod control;
mod encode;
mod failure;
mod file;
mod listener;
mod routes;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

use super::{Event, Ledger, LedgerError, Operation, Outcome, Rules};
use file::File;

/// Seconds since 1970, as the ledger's host has it.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How a [`Server`] is.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Where it listens; port 0 for any that is free.
    pub address: SocketAddr,
    /// When its rules change.
    pub rules: Rules,
    /// How often it mines a block by itself; none for never.
    pub interval: Option<Duration>,
    /// Where it keeps what was done, to be there again when it starts anew; none for nowhere.
    pub file: Option<PathBuf>,
    /// What time it is; the system's if nothing is said.
    pub clock: Clock,
    /// How many events are kept for a subscriber that does not read. Beyond, it loses the oldest and is not told, as
    /// Chronik has it, where the number is 16 for each script.
    pub event_buffer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            rules: Rules::default(),
            interval: None,
            file: None,
            clock: Arc::new(system_time),
            event_buffer: 1_024,
        }
    }
}

fn system_time() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It cannot listen.
    #[error("cannot listen on {address}: {error}; choose another address or port")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// Its file cannot be read or written.
    #[error("cannot use {}: {error}; choose another file", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// Its file is not one of a ledger, or of another.
    #[error("{} is not usable: {problem}; choose another file, or remove it to begin anew", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// A ledger that is served, until it is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use nelumbo_chain::ledger::{Ledger, Operation, Server, Settings};
///
/// let server = Server::start(Settings::default()).await?;
/// println!("a Chronik server is at {}", server.url());
/// server.apply(Operation::Mine { time: server.time(), count: 3, script: Ledger::faucet_script() })?;
/// assert_eq!(server.with(|ledger| ledger.height()), 3);
/// # Ok(()) }
/// ```
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    mining: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts one on the current runtime of tokio.
    ///
    /// # Errors
    ///
    /// [`ServerError`].
    pub async fn start(settings: Settings) -> Result<Self, ServerError> {
        let (ledger, file) = match settings.file {
            Some(path) => file::open(path, settings.rules)?,
            None => (Ledger::new(settings.rules), None),
        };
        let listen = |error| ServerError::Listen { address: settings.address, error };
        let listener = TcpListener::bind(settings.address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (events, _) = broadcast::channel(settings.event_buffer.max(1));
        let shared = Arc::new(Shared { state: Mutex::new(State { ledger, file }), events, clock: settings.clock });
        let router = routes::router(shared.clone());
        let (end, ended) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            // A sender that is gone wants the same.
            let ended = async { drop(ended.await) };
            let served = axum::serve(listener::Limited::new(listener), router).with_graceful_shutdown(ended).await;
            if let Err(error) = served {
                tracing::error!(%error, "the ledger is not served any more");
            }
        });
        let mining = settings.interval.map(|interval| tokio::spawn(mine(shared.clone(), interval)));
        Ok(Self { address, shared, end: Some(end), serving, mining })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL that clients of Chronik take.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What time it is by its clock.
    #[must_use]
    pub fn time(&self) -> i64 {
        (self.shared.clock)()
    }

    /// Changes the ledger, and tells subscribers.
    ///
    /// # Errors
    ///
    /// [`LedgerError`].
    pub fn apply(&self, operation: Operation) -> Result<Outcome, LedgerError> {
        self.shared.apply(operation)
    }

    /// Looks at the ledger. Meanwhile nobody else does.
    pub fn with<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.shared.lock().ledger)
    }

    /// Ends it: no new connection, and soon none at all.
    pub async fn stop(mut self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        self.end = None;
        let _ = tokio::time::timeout(PATIENCE, &mut self.serving).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
        self.mining.iter().for_each(JoinHandle::abort);
    }
}

async fn mine(shared: Arc<Shared>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first is at once.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let operation = Operation::Mine { time: (shared.clock)(), count: 1, script: Ledger::faucet_script() };
        if let Err(error) = shared.apply(operation) {
            tracing::error!(%error, "no block was mined");
        }
    }
}

/// What requests share.
struct Shared {
    state: Mutex<State>,
    events: broadcast::Sender<Arc<Event>>,
    clock: Clock,
}

struct State {
    ledger: Ledger,
    file: Option<File>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a ledger that was left in the middle of a change would lie")
    }

    fn apply(&self, operation: Operation) -> Result<Outcome, LedgerError> {
        let mut state = self.lock();
        let State { ledger, file } = &mut *state;
        let outcome = ledger.apply(&operation);
        let events = ledger.take_events();
        // Nothing changes without an event, and what fails can have changed something before.
        if !events.is_empty()
            && let Some(file) = file
        {
            file.append(&operation);
        }
        // Still locked, so that events come in the order of changes. It is no error that nobody listens.
        events.into_iter().for_each(|event| drop(self.events.send(Arc::new(event))));
        outcome
    }
}
