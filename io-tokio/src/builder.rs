//! How a node comes to life.
//!
//! Owns the order of things at start: the journal first, because it says whether another node uses the folder; then the
//! network; then the core with what the journal holds. Invariant: what cannot run does not start. Driven by the
//! embedder.

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use libp2p::StreamProtocol;
use nelumbo_core::{
    Policy,
    api::{Config, ConfigError, SignRequest},
    base::{Entropy, EntropyError, scrubbed},
    crypto::{EntropySource, MessageKey, MessageSigner, PublicKey, Secp256k1, SecretKey, Signer, SoftwareSigner},
    node::{Boot, BootError, Node},
    protocol::Protocol,
    single::SingleSigner,
};
use tokio::sync::{broadcast, mpsc};
use tracing::Instrument;

use crate::{
    clock::Clock,
    event::{Events, NodeEvent},
    handle::Handle,
    host::Libp2pHost,
    journal::{Journal, JournalError, StoredRecord},
    metrics::Metrics,
    names,
    network::{self, CHANNEL_PROTOCOL, Network, NetworkConfig, NetworkError, SESSION_PROTOCOL},
    recording::{Recorder, RecordingMessageSigner, Start},
    runtime::{Runtime, SessionSigner},
};

/// The peers that were of use, in the node's folder.
const KNOWN_PEERS_FILE: &str = "known-peers";
const REQUESTS: usize = 64;
/// A listener may fall this far behind before it misses something.
const EVENTS: usize = 1024;

/// Everything that a node is made of.
pub struct Builder {
    config: Config,
    network: NetworkConfig,
    folder: PathBuf,
    message_signer: Box<dyn MessageSigner + Send>,
    /// The signer's key, where what signs messages has another one.
    signing_key: Option<PublicKey>,
    signer: SessionSigner,
    protocols: Vec<Box<dyn Protocol>>,
    policy: Option<Box<dyn Policy>>,
    recording: Option<(PathBuf, u64)>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The core's configuration; nothing has been opened or made.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The journal's contents.
    #[error("the journal's contents cannot be used: {0}")]
    Boot(BootError),
    /// The file that the node is to be recorded in.
    #[error("the recording {} cannot be begun: {error}", .file.display())]
    Recording {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: std::io::Error,
    },
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system: {0}")]
    Entropy(String),
    /// Not the id of a stream protocol.
    #[error("{0:?} is no libp2p protocol id; it begins with '/', like /barter/1.0.0")]
    ProtocolId(String),
    /// Another protocol has this name, or the id is that of sessions.
    #[error("the protocol {0} is registered already, or its id is taken")]
    ProtocolTwice(String),
    /// The identity makes a peer id that the protocol has no room for.
    #[error("the identity's kind of key is not supported; use Ed25519")]
    Identity,
}

impl Builder {
    /// A node with these signers of one key that keeps its journal in this folder. Every key needs a folder of its own.
    pub fn new(
        config: Config,
        network: NetworkConfig,
        folder: impl Into<PathBuf>,
        message_signer: Box<dyn MessageSigner + Send>,
        signer: Box<dyn Signer<Secp256k1> + Send>,
    ) -> Self {
        Self::with_signer(config, network, folder.into(), message_signer, SessionSigner::Here(signer, None))
    }

    /// The same with a signer that is somewhere else: a device, another process. It gets its requests from the other
    /// end of this channel, in their order, and what it answers goes to [`Handle::signed`]. A request that finds the
    /// channel full or closed fails as [`Unavailable`](nelumbo_core::crypto::SignerError::Unavailable);
    /// [`Handle::signer_ready`] says that the signer is back.
    pub fn with_device(
        config: Config,
        network: NetworkConfig,
        folder: impl Into<PathBuf>,
        message_signer: Box<dyn MessageSigner + Send>,
        requests: mpsc::Sender<SignRequest>,
    ) -> Self {
        Self::with_signer(config, network, folder.into(), message_signer, SessionSigner::Elsewhere(requests))
    }

    fn with_signer(
        config: Config,
        network: NetworkConfig,
        folder: PathBuf,
        message_signer: Box<dyn MessageSigner + Send>,
        signer: SessionSigner,
    ) -> Self {
        Self {
            config,
            network,
            folder,
            message_signer,
            signing_key: None,
            signer,
            protocols: Vec::new(),
            policy: None,
            recording: None,
        }
    }

    /// The same with a key in memory.
    pub fn with_key(
        config: Config,
        network: NetworkConfig,
        folder: impl Into<PathBuf>,
        key: impl Into<Arc<SecretKey>>,
    ) -> Result<Self, StartError> {
        let key = key.into();
        let messages = MessageKey::new(key.clone(), fresh_entropy()?);
        let signer = SoftwareSigner::new(key.clone(), SystemEntropy);
        let single = SingleSigner::new(key, fresh_entropy()?);
        Ok(Self::new(config, network, folder, Box::new(messages), Box::new(signer)).single_signer(single))
    }

    /// Lets this one sign what protocols want to have signed with the node's key alone, where the signer of sessions is
    /// in memory; without, nobody does. A device gets those requests with the others.
    #[must_use]
    pub fn single_signer(mut self, single: SingleSigner) -> Self {
        if let SessionSigner::Here(_, place) = &mut self.signer {
            *place = Some(single);
        }
        self
    }

    /// What signs messages has a key of its own, and the signer has this one, which delegates to it: the signer is
    /// asked for that by [`SignRequest::Single`], and again before it ends. Whoever steals a message key can disturb
    /// sessions, and spend nothing.
    #[must_use]
    pub fn delegated_by(mut self, signing_key: PublicKey) -> Self {
        self.signing_key = Some(signing_key);
        self
    }

    /// Has messages signed with this key from now on, to which the key that has signed them until now delegates:
    /// [`delegated_by`](Self::delegated_by).
    pub fn message_key(mut self, key: SecretKey) -> Result<Self, StartError> {
        let signing_key = self.signing_key.unwrap_or(self.message_signer.public_key());
        self.message_signer = Box::new(MessageKey::new(key, fresh_entropy()?));
        Ok(self.delegated_by(signing_key))
    }

    /// Lets rules of the embedder's own decide too what gets in, and which requests are approved or declined without
    /// asking.
    #[must_use]
    pub fn policy(mut self, policy: Box<dyn Policy>) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Runs another protocol on the node, from its first moment on. Its messages are taken on streams of this libp2p
    /// protocol, such as `/barter/1.0.0`, and on those of sessions; peers see in identify that the node speaks it.
    pub fn protocol(mut self, protocol: Box<dyn Protocol>, id: &str) -> Result<Self, StartError> {
        let id = StreamProtocol::try_from_owned(id.to_owned()).map_err(|_| StartError::ProtocolId(id.to_owned()))?;
        if [SESSION_PROTOCOL, CHANNEL_PROTOCOL].contains(&id)
            || self.protocols.iter().any(|other| other.name() == protocol.name())
        {
            return Err(StartError::ProtocolTwice(protocol.name().to_string()));
        }
        self.network.served.push(id);
        self.protocols.push(protocol);
        Ok(self)
    }

    /// Records everything that enters the node in this file, which never has more bytes than `limit`: at it the
    /// recording ends, and the node goes on. A recording that is there already is kept with `.1` behind its name. It
    /// has neither the key nor a secret nonce, and everything else: [`recording`](crate::recording).
    #[must_use]
    pub fn record(mut self, file: impl Into<PathBuf>, limit: u64) -> Self {
        self.recording = Some((file.into(), limit));
        self
    }

    /// Starts the node on the current tokio runtime, which must have I/O and time
    /// ([`enable_all`](tokio::runtime::Builder::enable_all)). The events begin with the first one.
    ///
    /// # Errors
    /// Outside a runtime; when the configuration, the identity or an id of a protocol cannot be used; when the folder
    /// is another node's, in use, damaged or not writable; when an address cannot be listened on. Then nothing runs.
    pub fn start(self) -> Result<(Handle, Events), StartError> {
        self.config.check()?;
        network::require_runtime()?;
        let metrics = Metrics::new();
        let (journal, records) = Journal::open(&self.folder, &metrics)?;
        self.start_with(journal, records, metrics)
    }

    fn start_with(
        self,
        journal: Journal,
        records: Vec<StoredRecord>,
        metrics: Metrics,
    ) -> Result<(Handle, Events), StartError> {
        let (events, receiver) = broadcast::channel(EVENTS);
        let Parts { node, signer, network, clock, recorder } = match self.assemble(records, &metrics, &events) {
            Ok(parts) => parts,
            Err(error) => {
                // So that the folder is free when the caller hears of it.
                journal.release();
                return Err(error);
            }
        };
        let (peer, key) = (network.local_peer(), node.view().own_key());
        let (requests, asked) = mpsc::channel(REQUESTS);
        let handle = Handle::new(requests, &events, metrics, peer, key);
        let host = Libp2pHost::new(network, journal, events);
        let runtime = Runtime::new((node, signer), host, clock, asked, recorder);
        tokio::spawn(runtime.run().instrument(tracing::info_span!("node", %peer)));
        Ok((handle, Events::new(receiver)))
    }

    fn assemble(
        self,
        records: Vec<StoredRecord>,
        metrics: &Metrics,
        events: &broadcast::Sender<NodeEvent>,
    ) -> Result<Parts, StartError> {
        let Self {
            config, mut network, folder, message_signer, signing_key, signer, protocols, policy, recording, ..
        } = self;
        network.known_peers.get_or_insert_with(|| folder.join(KNOWN_PEERS_FILE));
        let network = Network::new(network, metrics.clone())?;
        let (peer, message_key) = (network.local_peer(), message_signer.public_key());
        let key = signing_key.unwrap_or(message_key);
        let clock = Clock::start();
        let now = clock.now();
        // A draw of its own: whoever knows it from a recording knows nothing of what signers draw.
        let seed = fresh_seed()?;
        let peer_id = names::to_core(&peer).ok_or(StartError::Identity)?;
        let start = Start {
            version: env!("CARGO_PKG_VERSION").into(),
            now,
            config: Cow::Borrowed(&config),
            key,
            peer: peer_id,
            seed,
            records: Cow::Borrowed(&records),
            has_custom_code: policy.is_some() || !protocols.is_empty(),
            message_key,
        };
        let recorder = recording.map(|(file, limit)| record(file, limit, start, events)).transpose()?;
        let message_signer: Box<dyn MessageSigner + Send> = match &recorder {
            Some(recorder) => Box::new(RecordingMessageSigner { signer: message_signer, sender: recorder.sender() }),
            None => message_signer,
        };
        let entropy = entropy(seed)?;
        let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer: peer_id, records };
        let mut node = Node::delegating(config, boot, key, now).map_err(StartError::Boot)?;
        if let Some(policy) = policy {
            node.set_policy(policy);
        }
        for protocol in protocols {
            node.register(protocol).map_err(|other| StartError::ProtocolTwice(other.name().to_string()))?;
        }
        Ok(Parts { node, signer, network, clock, recorder })
    }
}

/// What a runtime is made of, beside the journal.
struct Parts {
    node: Node<Secp256k1>,
    signer: SessionSigner,
    network: Network,
    clock: Clock,
    recorder: Option<Recorder>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Begins a recording, whose early end is told to the listeners.
fn record(
    file: PathBuf,
    limit: u64,
    start: Start<'_>,
    events: &broadcast::Sender<NodeEvent>,
) -> Result<Recorder, StartError> {
    // Weak, so that listeners hear the node's end.
    let listeners = events.downgrade();
    let tell = move |reason| {
        if let Some(events) = listeners.upgrade() {
            // That nobody listens is no error.
            let _ = events.send(NodeEvent::RecordingEnded { reason });
        }
    };
    Recorder::begin(&file, limit, start, tell).map_err(|error| StartError::Recording { file, error })
}

/// The operating system's randomness, whenever a signer draws.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl EntropySource for SystemEntropy {
    fn draw(&mut self) -> Result<[u8; 32], EntropyError> {
        fresh_seed().map_err(|_| EntropyError::Unavailable)
    }
}

/// Randomness from the operating system. A failure is an error, never a weaker source.
pub fn fresh_entropy() -> Result<Entropy, StartError> {
    scrubbed(|| entropy(fresh_seed()?))
}

fn fresh_seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::Entropy(error.to_string()))?;
    Ok(seed)
}

fn entropy(seed: [u8; 32]) -> Result<Entropy, StartError> {
    Entropy::new(seed).map_err(|error: EntropyError| StartError::Entropy(error.to_string()))
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
