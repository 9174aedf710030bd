//! What an embedder holds of a running node.
//!
//! Owns the typed requests. Invariant: a handle is cheap to clone and never blocks the node; every request is answered,
//! or fails with [`HandleError::Stopped`]. When the last handle is dropped, the node stops. Driven by the embedder.

use std::fmt;

use libp2p::{Multiaddr, PeerId};
use nelumbo_core::{
    api::{
        self, Command, CommandError, CommandId, Identity, NewSession, Phase, RefusalCounts, SessionView, SignReply,
        View,
    },
    approval::Unusual,
    crypto::{PublicKey, Secp256k1, Signature},
    protocol::Protocol,
    wire::{AbortReason, Label, SessionId},
};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    event::{Events, EventsError, NodeEvent},
    journal::JournalError,
    metrics::Metrics,
    names,
    network::{ConnectedTo, DhtMode, DhtState, Relaying, split_peer},
    panics::catch_panic,
    reachability::Reached,
};

/// A handle on a running node. A command is answered when what it promises is on the disk: what was answered as done is
/// still so after a crash. When the disk fails first, the answer is [`HandleError::NotDurable`].
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    // Weak, so that listeners hear the end when the node stops and not when the last handle is gone.
    events: broadcast::WeakSender<NodeEvent>,
    metrics: Metrics,
    peer: PeerId,
    key: PublicKey,
}

/// How a node is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Its name on the network.
    pub peer: PeerId,
    /// Its signing key.
    pub key: PublicKey,
    /// Where it listens.
    pub listening: Vec<Multiaddr>,
    /// Where others can reach it, as far as is known.
    pub addresses: Vec<Multiaddr>,
    /// Whether others can reach it, and why.
    pub reachability: Reached,
    /// Whether it relays for others, and for how many now.
    pub relaying: Relaying,
    /// Who is connected, each with its best connection.
    pub connected: Vec<ConnectedTo>,
    /// What it does in the DHT.
    pub dht_mode: DhtMode,
    /// Whether it takes part in gossip.
    pub gossip: bool,
    /// How far it is on its way into the DHT.
    pub dht_state: DhtState,
    /// How many peers its routing table holds.
    pub routing_peers: usize,
    /// How many DHT records it holds, its own and those of others.
    pub local_records: usize,
    /// How many sessions it knows.
    pub sessions: usize,
    /// How often each refusal has happened.
    pub refusals: RefusalCounts,
    /// How often each has happened to what came by gossip.
    pub gossip_refusals: RefusalCounts,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The node refused the command.
    #[error("{0}")]
    Refused(CommandError),
    /// No key that this protocol knows makes such a peer id.
    #[error("no key makes such a peer id")]
    PeerId,
    /// A protocol of this name is registered already. The one that was to be registered is gone.
    #[error("a protocol named {0} is registered already")]
    ProtocolTwice(Label),
    /// The address does not say which peer is there.
    #[error("the address {address} does not end with /p2p/<peer id>")]
    NoPeerId {
        /// The address.
        address: Multiaddr,
    },
    /// The peer could not be reached.
    #[error("not connected: {0}")]
    NotConnected(String),
    /// The journal failed before what the command promises was on the disk: it may have happened or not. The node
    /// stops.
    #[error("this may be lost, because it is not on the disk: {0}")]
    NotDurable(String),
    /// The closure panicked. The node goes on.
    #[error("the closure that was to see the node's state panicked: {0}")]
    Panicked(String),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// How a session was ended by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Whether a signature may still appear: this node's partial signature may have left before. If one does,
    /// [`Event::SessionCompleted`](api::Event::SessionCompleted) tells it.
    pub may_complete: bool,
}

/// Why there is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSignature {
    /// There is no such session, or it was closed.
    #[error("there is no such session")]
    Unknown,
    /// A signer refused.
    #[error("a signer has aborted the session{}", still(*.may_complete))]
    Aborted {
        /// Whether a signature may still appear: this node had signed before.
        may_complete: bool,
    },
    /// Its time is over.
    #[error("the session has expired{}", still(*.may_complete))]
    Expired {
        /// The same.
        may_complete: bool,
    },
    /// The node has stopped. The session goes on when it is started again.
    #[error("the node has stopped")]
    Stopped,
}

fn still(may_complete: bool) -> &'static str {
    if may_complete { "; this node had signed before, and a signature may still appear" } else { "" }
}

type ViewClosure = Box<dyn FnOnce(View<'_, Secp256k1>) + Send>;

/// Where the answer to a command goes, once what it promises is durable.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, HandleError>>;

/// What a handle asks of the runtime.
pub(crate) enum Request {
    Create { session: Box<NewSession>, answer: Answer<SessionId> },
    Command { command: Command, answer: Answer<CommandId> },
    Signed(SignReply),
    SignerReady,
    Identity { key: PublicKey, identity: Option<Identity> },
    WithView(ViewClosure),
    Status(oneshot::Sender<Status>),
    Dial { peer: PeerId, addresses: Vec<Multiaddr> },
    Connect { peer: PeerId, address: Multiaddr, answer: Answer<Multiaddr> },
    Disconnect { peer: PeerId, answer: oneshot::Sender<bool> },
    Register { protocol: Box<dyn Protocol>, answer: oneshot::Sender<Result<(), Label>> },
    Unregister { name: Label, answer: oneshot::Sender<Option<Box<dyn Protocol>>> },
    Stop(oneshot::Sender<Result<(), StopError>>),
}

impl Handle {
    pub(crate) fn new(
        requests: mpsc::Sender<Request>,
        events: &broadcast::Sender<NodeEvent>,
        metrics: Metrics,
        peer: PeerId,
        key: PublicKey,
    ) -> Self {
        Self { requests, events: events.downgrade(), metrics, peer, key }
    }

    /// The node's name on the network.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The node's signing key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Takes the answer of a signer that is somewhere else: [`Builder::with_device`](crate::Builder::with_device).
    pub async fn signed(&self, reply: SignReply) -> Result<(), HandleError> {
        self.request(Request::Signed(reply)).await
    }

    /// Says that such a signer can be reached again: what waits for it is asked again.
    pub async fn signer_ready(&self) -> Result<(), HandleError> {
        self.request(Request::SignerReady).await
    }

    /// Says which identity a key has, or that it has none any more, as a chain has it:
    /// [`Input::Identity`](api::Input::Identity). The node believes it, and remembers it over restarts.
    pub async fn set_identity(&self, key: PublicKey, identity: Option<Identity>) -> Result<(), HandleError> {
        self.request(Request::Identity { key, identity }).await
    }

    /// Starts a session and announces it to the other signers. Returns once it is durable.
    pub async fn create(&self, session: NewSession) -> Result<SessionId, HandleError> {
        let (answer, created) = oneshot::channel();
        self.request(Request::Create { session: Box::new(session), answer }).await?;
        created.await.unwrap_or(Err(HandleError::Stopped))
    }

    /// Takes part in a session that was announced: the approval of what is signed, which [`SessionView::summary`] says.
    /// What is unusual in it and not named by `allow` is refused ([`CommandError::Unusual`]), and nothing is approved.
    pub async fn join(&self, session: SessionId, allow: impl IntoIterator<Item = Unusual>) -> Result<(), HandleError> {
        self.command(Command::Join { session, allow: allow.into_iter().collect() }).await
    }

    /// Refuses a session, or stops one that has not completed.
    pub async fn abort(&self, session: SessionId, reason: AbortReason) -> Result<Ended, HandleError> {
        self.command(Command::Abort(session, reason)).await?;
        self.ended(session).await
    }

    /// Makes a new attempt at a session whose last one failed.
    pub async fn retry(&self, session: SessionId) -> Result<(), HandleError> {
        self.command(Command::Retry(session)).await
    }

    /// The final signature has been broadcast: nobody else needs to.
    pub async fn confirm_broadcast(&self, session: SessionId) -> Result<(), HandleError> {
        self.command(Command::ConfirmBroadcast(session)).await
    }

    /// Forgets a session; one that has not ended is aborted first.
    pub async fn close(&self, session: SessionId) -> Result<Ended, HandleError> {
        self.command(Command::Close(session)).await?;
        self.ended(session).await
    }

    async fn ended(&self, session: SessionId) -> Result<Ended, HandleError> {
        let may_complete = self.with_view(move |view| view.may_complete(&session)).await?;
        Ok(Ended { may_complete })
    }

    /// One session, or `None` if there is no such session.
    pub async fn session(&self, session: SessionId) -> Result<Option<SessionView>, HandleError> {
        self.with_view(move |view| view.session(&session)).await
    }

    /// All sessions, by id.
    pub async fn sessions(&self) -> Result<Vec<SessionView>, HandleError> {
        self.with_view(|view| view.sessions().collect()).await
    }

    /// What a closure makes of the core's state, between two inputs. It runs inside the node, which waits for it: it
    /// should be quick. When it panics, that is [`HandleError::Panicked`], and the node goes on.
    pub async fn with_view<T: Send + 'static>(
        &self,
        closure: impl FnOnce(View<'_, Secp256k1>) -> T + Send + 'static,
    ) -> Result<T, HandleError> {
        let (sender, answer) = oneshot::channel();
        let closure = move |view: View<'_, Secp256k1>| drop(sender.send(catch_panic(|| closure(view))));
        self.request(Request::WithView(Box::new(closure))).await?;
        answer.await.map_err(|_| HandleError::Stopped)?.map_err(HandleError::Panicked)
    }

    /// How the node is doing.
    pub async fn status(&self) -> Result<Status, HandleError> {
        let (sender, answer) = oneshot::channel();
        self.request(Request::Status(sender)).await?;
        answer.await.map_err(|_| HandleError::Stopped)
    }

    /// Waits until a session has its signatures, one for each item, or has ended without any. A failed attempt is not
    /// the end: another may follow.
    pub async fn signatures(&self, session: SessionId) -> Result<Vec<Signature>, NoSignature> {
        let mut events = self.events().map_err(|_| NoSignature::Stopped)?;
        loop {
            let seen = self.session(session).await.map_err(|_| NoSignature::Stopped)?.ok_or(NoSignature::Unknown)?;
            match seen.phase {
                Phase::Complete => return Ok(seen.signatures),
                Phase::Aborted => return Err(NoSignature::Aborted { may_complete: seen.may_complete }),
                Phase::Expired => return Err(NoSignature::Expired { may_complete: seen.may_complete }),
                _ => {}
            }
            loop {
                match events.next().await {
                    Ok(NodeEvent::Core(api::Event::SessionCompleted { session: id, signatures, .. }))
                        if id == session =>
                    {
                        return Ok(signatures);
                    }
                    Ok(NodeEvent::Core(
                        api::Event::SessionAborted { session: id, .. }
                        | api::Event::SessionExpired { session: id, .. }
                        | api::Event::SessionClosed { session: id },
                    )) if id == session => break,
                    Ok(_) => {}
                    Err(EventsError::Missed(_)) => break,
                    Err(EventsError::Stopped) => return Err(NoSignature::Stopped),
                }
            }
        }
    }

    /// Tries once to connect to a peer.
    pub async fn dial(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), HandleError> {
        self.request(Request::Dial { peer, addresses }).await
    }

    /// Connects to the peer at this address, which ends with `/p2p/<peer id>`, or at another where it is known to be.
    /// Returns the other end of the connection, which may have been there before.
    ///
    /// # Errors
    /// [`HandleError::NotConnected`] says why not.
    pub async fn connect(&self, address: Multiaddr) -> Result<Multiaddr, HandleError> {
        let (peer, address) = split_peer(&address).ok_or(HandleError::NoPeerId { address })?;
        let (answer, connected) = oneshot::channel();
        self.request(Request::Connect { peer, address, answer }).await?;
        connected.await.unwrap_or(Err(HandleError::Stopped))
    }

    /// Closes every connection to a peer; `false` when there was none. Nothing keeps either side from connecting again:
    /// bootstrap peers, relays that are reserved at, and signers of live sessions come back.
    pub async fn disconnect(&self, peer: PeerId) -> Result<bool, HandleError> {
        let (answer, answered) = oneshot::channel();
        self.request(Request::Disconnect { peer, answer }).await?;
        answered.await.map_err(|_| HandleError::Stopped)
    }

    /// Closes every connection to a peer and allows no new one, until it is unbanned.
    pub async fn ban(&self, peer: PeerId) -> Result<(), HandleError> {
        self.command(Command::Ban(names::to_core(&peer).ok_or(HandleError::PeerId)?)).await
    }

    /// Forgets what is held against a peer, and lets it connect again.
    pub async fn unban(&self, peer: PeerId) -> Result<(), HandleError> {
        self.command(Command::Unban(names::to_core(&peer).ok_or(HandleError::PeerId)?)).await
    }

    /// Registers another protocol on the running node: it gets its records, is told who is connected and where its
    /// sessions stand, and then of everything that happens. Its messages are taken on the streams of sessions. A
    /// recording ends here, because replaying it would need the protocol ([`NodeEvent::RecordingEnded`]).
    ///
    /// # Errors
    /// [`HandleError::ProtocolTwice`] when another one has its name.
    pub async fn register(&self, protocol: Box<dyn Protocol>) -> Result<(), HandleError> {
        let (answer, answered) = oneshot::channel();
        self.request(Request::Register { protocol, answer }).await?;
        answered.await.map_err(|_| HandleError::Stopped)?.map_err(HandleError::ProtocolTwice)
    }

    /// Takes a protocol out of the running node, and returns it; `None` when there is none of this name. Its records
    /// and its sessions stay, for when it is registered again. A recording ends here, as when one is registered.
    pub async fn unregister(&self, name: Label) -> Result<Option<Box<dyn Protocol>>, HandleError> {
        let (answer, answered) = oneshot::channel();
        self.request(Request::Unregister { name, answer }).await?;
        answered.await.map_err(|_| HandleError::Stopped)
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> Result<Events, HandleError> {
        let events = self.events.upgrade().ok_or(HandleError::Stopped)?;
        Ok(Events::new(events.subscribe()))
    }

    /// The node's counters in the OpenMetrics text format.
    pub fn metrics(&self) -> String {
        self.metrics.encode()
    }

    /// Stops the node: waits a moment for its last messages to arrive, writes the journal out, closes all connections.
    /// An error says that it failed, now or before.
    pub async fn stop(&self) -> Result<(), StopError> {
        let (sender, stopped) = oneshot::channel();
        self.request(Request::Stop(sender)).await.map_err(|_| StopError::AlreadyStopped)?;
        match stopped.await {
            Ok(ended) => ended,
            Err(_) => Err(StopError::AlreadyStopped),
        }
    }

    pub(crate) async fn command(&self, command: Command) -> Result<(), HandleError> {
        self.command_id(command).await.map(drop)
    }

    pub(crate) async fn command_id(&self, command: Command) -> Result<CommandId, HandleError> {
        let (answer, answered) = oneshot::channel();
        self.request(Request::Command { command, answer }).await?;
        answered.await.unwrap_or(Err(HandleError::Stopped))
    }

    async fn request(&self, request: Request) -> Result<(), HandleError> {
        self.requests.send(request).await.map_err(|_| HandleError::Stopped)
    }
}

/// Why a node did not stop as asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// It had stopped before.
    #[error("the node has already stopped")]
    AlreadyStopped,
    /// The journal failed: what was not durable is lost, and nothing that depended on it was sent.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The node panicked, or its signer, its policy or one of its protocols did: what was not durable is lost, and
    /// nothing that depended on it was sent.
    #[error("the node panicked: {0}")]
    Panicked(String),
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("peer", &self.peer).field("key", &self.key).finish_non_exhaustive()
    }
}
