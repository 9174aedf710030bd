//! Whole nodes, with disks and sockets.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::{path::Path, time::Duration};

use nelumbo_tokio::{
    Builder, Events, EventsError, Handle, Multiaddr, NodeEvent, StartError, Unusual,
    core::{
        api::{Config, Event},
        crypto::{Network as Chain, PublicKey, Secp256k1, SecretKey, Signature, Suite, Tweak, Verifier},
        wire::SessionId,
    },
    fresh_entropy,
    identity::Keypair,
    network::NetworkConfig,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// Long, because other tests may need the processor at the same time.
pub const PATIENCE: Duration = Duration::from_secs(60);
const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";

/// A node that runs, and what it says.
pub struct Signer {
    pub handle: Handle,
    pub events: Events,
    pub address: Multiaddr,
    pub home: Home,
}

/// What a node needs to be started, and to be started again as the same one.
pub struct Home {
    pub key: [u8; 32],
    pub network: NetworkConfig,
    pub folder: TempDir,
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it happens in time")
}

pub fn build(key: &[u8; 32], network: NetworkConfig, folder: &Path) -> Result<Builder, StartError> {
    let key = SecretKey::from_bytes(key).expect("a key");
    Builder::with_key(Config::new(Chain::Regtest), network, folder, key)
}

/// Waits for something to be said. What a test was too slow to hear does not come again.
pub async fn find<T>(events: &mut Events, mut look: impl FnMut(&NodeEvent) -> Option<T>) -> T {
    within(async {
        loop {
            match events.next().await {
                Ok(event) => {
                    if let Some(found) = look(&event) {
                        return found;
                    }
                }
                Err(EventsError::Missed(_)) => {}
                Err(EventsError::Stopped) => panic!("the node has stopped"),
            }
        }
    })
    .await
}

pub async fn announced(events: &mut Events) -> SessionId {
    find(events, |event| match event {
        NodeEvent::Core(Event::SessionAnnounced { session, .. }) => Some(*session),
        _ => None,
    })
    .await
}

pub fn through(network: NetworkConfig, others: &[&Multiaddr]) -> NetworkConfig {
    others.iter().fold(network, |network, other| network.join_through((*other).clone()).expect("a peer id"))
}

impl Home {
    pub fn new(network: NetworkConfig) -> Self {
        Self::at(LOOPBACK, network)
    }

    /// The same, and it listens at this address.
    pub fn at(address: &str, network: NetworkConfig) -> Self {
        let mut key = [0; 32];
        fresh_entropy().expect("entropy").fill(&mut key);
        let network = network.identity(Keypair::generate_ed25519()).listen_on(address.parse().expect("an address"));
        Self { key, network, folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn builder(&self) -> Builder {
        build(&self.key, self.network.clone(), self.folder.path()).expect("a node")
    }

    pub async fn start(self) -> Signer {
        let builder = self.builder();
        self.start_with(builder).await
    }

    pub async fn start_with(self, builder: Builder) -> Signer {
        let (handle, mut events) = builder.start().expect("it starts");
        let address = find(&mut events, |event| match event {
            NodeEvent::Listening { address } => Some(address.clone()),
            _ => None,
        })
        .await;
        Signer { handle, events, address, home: self }
    }
}

impl Signer {
    pub async fn start(network: NetworkConfig) -> Self {
        Home::new(network).start().await
    }

    pub fn key(&self) -> PublicKey {
        self.handle.key()
    }

    pub async fn stop(self) -> Home {
        within(self.handle.stop()).await.expect("a clean end");
        self.home
    }

    /// Waits until something is true of the node, and looks again whenever something happens to it.
    pub async fn until(&self, mut is_true: impl AsyncFnMut(&Handle) -> bool) {
        let mut events = self.handle.events().expect("the node runs");
        within(async {
            while !is_true(&self.handle).await {
                assert!(!matches!(events.next().await, Err(EventsError::Stopped)), "the node has stopped");
            }
        })
        .await;
    }

    /// Waits until the node knows and is connected to this many other signers.
    pub async fn meet(&self, others: usize) {
        self.until(async |handle| {
            handle.with_view(|view| view.signers().filter(|(.., near)| *near).count()).await == Ok(others)
        })
        .await;
    }

    /// Waits for the next announcement and takes part in it.
    pub async fn approve(&mut self) -> SessionId {
        let session = announced(&mut self.events).await;
        self.handle.join(session, [Unusual::Opaque]).await.expect("it was announced");
        session
    }
}

pub fn verify(suite: Suite, mut keys: Vec<PublicKey>, message: &[u8], signature: &Signature) {
    keys.sort_unstable();
    let keys = Secp256k1.aggregate_keys(suite, &keys, &Tweak::None).expect("valid keys");
    assert!(Secp256k1.verify_final(&keys, message, signature));
}
