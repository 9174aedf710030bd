//! Whole nodes, with disks and sockets, that sign together.

use std::{path::Path, time::Duration};

use nelumbo_tokio::{
    Builder, Events, Handle, HandleError, Multiaddr, NewSession, NoSignature, NodeEvent, StartError, StopError,
    core::{
        api::{AttemptCause, CommandError, Config, Event, Phase},
        crypto::{Network as Chain, PublicKey, Secp256k1, SecretKey, Suite, Tweak, Verifier},
        wire::{AbortReason, SessionId},
    },
    fresh_entropy,
    identity::Keypair,
    journal::JournalError,
    metrics::Metrics,
    network::{DhtState, Network, NetworkConfig, NetworkEvent},
};
use tempfile::TempDir;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A node, what it says, and what it needs to be started again.
struct Signer {
    handle: Handle,
    events: Events,
    address: Multiaddr,
    key: [u8; 32],
    identity: Keypair,
    folder: TempDir,
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it happens in time")
}

fn build(key: &[u8; 32], network: NetworkConfig, folder: &Path) -> Result<Builder, StartError> {
    let key = SecretKey::from_bytes(key).expect("a key");
    Builder::with_key(Config::new(Chain::Regtest), network, folder, key)
}

async fn find<T>(events: &mut Events, mut look: impl FnMut(&NodeEvent) -> Option<T>) -> T {
    within(async {
        loop {
            let event = events.next().await.expect("the node runs and the test keeps up");
            if let Some(found) = look(&event) {
                return found;
            }
        }
    })
    .await
}

impl Signer {
    async fn start(through: Option<&Multiaddr>) -> Self {
        let mut key = [0; 32];
        fresh_entropy().expect("entropy").fill(&mut key);
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_with(key, Keypair::generate_ed25519(), folder, through).await
    }

    async fn start_with(key: [u8; 32], identity: Keypair, folder: TempDir, through: Option<&Multiaddr>) -> Self {
        let mut network = NetworkConfig::full()
            .identity(identity.clone())
            .listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address"));
        if let Some(through) = through {
            network = network.join_through(through.clone()).expect("a peer id");
        }
        let (handle, mut events) = build(&key, network, folder.path()).expect("a node").start().expect("it starts");
        let address = find(&mut events, |event| match event {
            NodeEvent::Listening { address } => Some(address.clone()),
            _ => None,
        })
        .await;
        Self { handle, events, address, key, identity, folder }
    }

    async fn restart(self, through: Option<&Multiaddr>) -> Self {
        within(self.handle.stop()).await.expect("a clean end");
        Self::start_with(self.key, self.identity, self.folder, through).await
    }

    /// Waits until the node knows and is connected to this many other signers.
    async fn meet(&self, others: usize) {
        let mut events = self.handle.events().expect("the node runs");
        within(async {
            while self.handle.look(|view| view.signers().filter(|(.., near)| *near).count()).await != Ok(others) {
                events.next().await.expect("the node runs");
            }
        })
        .await;
    }

    /// Waits for the next announcement and takes part in it.
    async fn approve(&mut self) -> SessionId {
        let session = find(&mut self.events, |event| match event {
            NodeEvent::Core(Event::SessionAnnounced { session, .. }) => Some(*session),
            _ => None,
        })
        .await;
        self.handle.join(session).await.expect("it was announced");
        session
    }
}

async fn signers(number: usize) -> Vec<Signer> {
    let mut signers = vec![Signer::start(None).await];
    for _ in 1..number {
        let through = signers[0].address.clone();
        signers.push(Signer::start(Some(&through)).await);
    }
    for signer in &signers {
        signer.meet(number - 1).await;
    }
    signers
}

fn session(suite: Suite, signers: &[Signer], message: &[u8]) -> NewSession {
    NewSession::new(suite, signers.iter().map(|signer| signer.handle.key()).collect(), message.to_vec())
}

fn verify(suite: Suite, mut keys: Vec<PublicKey>, message: &[u8], signature: &nelumbo_tokio::core::crypto::Signature) {
    keys.sort_unstable();
    let keys = Secp256k1.aggregate_keys(suite, &keys, &Tweak::None).expect("valid keys");
    assert!(Secp256k1.verify_final(&keys, message, signature));
}

#[tokio::test]
async fn three_nodes_that_know_one_of_them_sign_in_both_suites() {
    let mut signers = signers(3).await;
    for suite in [Suite::Lotus, Suite::Bip340] {
        let message = [9; 32];
        let new = session(suite, &signers, &message);
        let created = signers[1].handle.create(new.clone()).await.expect("a session");
        for other in [0, 2] {
            assert_eq!(signers[other].approve().await, created);
        }
        for signer in &signers {
            let signature = within(signer.handle.signature(created)).await.expect("a signature");
            verify(suite, new.keys.clone(), &message, &signature);
        }
    }
    for signer in &signers {
        within(signer.handle.stop()).await.expect("a clean end");
    }
}

#[tokio::test]
async fn a_session_survives_the_restart_of_a_signer() {
    let mut signers = signers(2).await;
    let new = session(Suite::Lotus, &signers, &[1; 32]);
    let created = signers[0].handle.create(new.clone()).await.expect("a session");
    find(&mut signers[1].events, |event| {
        matches!(event, NodeEvent::Core(Event::SessionAnnounced { .. })).then_some(())
    })
    .await;

    // The creator goes away with an open attempt, and comes back with the same journal.
    let other = signers.remove(1);
    let mut creator = signers.remove(0).restart(Some(&other.address)).await;
    let resumed = creator.handle.session(created).await.expect("it runs").expect("it remembers");
    assert_eq!((resumed.phase, resumed.attempt), (Phase::Failed, 1), "the old nonce is gone with the old process");
    other.handle.join(created).await.expect("it was announced");
    find(&mut creator.events, |event| match event {
        NodeEvent::Core(Event::AttemptStarted { attempt, cause: AttemptCause::Restarted, .. }) => Some(*attempt),
        _ => None,
    })
    .await;
    for signer in [&creator, &other] {
        let signature = within(signer.handle.signature(created)).await.expect("a signature");
        verify(Suite::Lotus, new.keys.clone(), &[1; 32], &signature);
    }

    // Completed sessions are remembered too.
    let creator = creator.restart(None).await;
    assert!(within(creator.handle.signature(created)).await.is_ok());
}

#[tokio::test]
async fn refusals_and_endings_are_told_to_whoever_waits() {
    let mut signers = signers(2).await;
    let stranger = SecretKey::from_bytes(&[7; 32]).expect("a key").public_key();
    let new = session(Suite::Lotus, &signers, &[2; 32]);
    let foreign = NewSession { keys: vec![stranger, new.keys[1]], ..new.clone() };
    assert_eq!(signers[0].handle.create(foreign).await, Err(HandleError::Refused(CommandError::NotASigner)));
    let unknown = SessionId::from_bytes([1; 32]);
    assert_eq!(signers[0].handle.join(unknown).await, Err(HandleError::Refused(CommandError::UnknownSession(unknown))));
    assert_eq!(signers[0].handle.signature(unknown).await, Err(NoSignature::Unknown));

    let created = signers[0].handle.create(new).await.expect("a session");
    let announced = find(&mut signers[1].events, |event| match event {
        NodeEvent::Core(Event::SessionAnnounced { session, .. }) => Some(*session),
        _ => None,
    })
    .await;
    assert_eq!(announced, created);
    let waiting = signers[0].handle.clone();
    let waiting = tokio::spawn(async move { waiting.signature(created).await });
    signers[1].handle.abort(created, AbortReason::Declined).await.expect("it was announced");
    assert_eq!(within(waiting).await.expect("no panic"), Err(NoSignature::Aborted));

    let first = signers.remove(0);
    within(first.handle.stop()).await.expect("a clean end");
    assert!(matches!(first.handle.stop().await, Err(StopError::AlreadyStopped)));
    assert_eq!(first.handle.join(created).await, Err(HandleError::Stopped));
    let mut events = first.events;
    find(&mut events, |event| matches!(event, NodeEvent::Stopped { error: None }).then_some(())).await;
}

#[tokio::test]
async fn one_folder_serves_one_node() {
    let signer = Signer::start(None).await;
    let again = build(&signer.key, NetworkConfig::wallet(), signer.folder.path()).expect("a builder").start();
    assert!(matches!(again, Err(StartError::Journal(JournalError::InUse { .. }))), "{again:?}");

    // Dropping the last handle stops the node as well, and then the folder is free.
    let Signer { handle, mut events, key, folder, .. } = signer;
    drop(handle);
    find(&mut events, |event| matches!(event, NodeEvent::Stopped { error: None }).then_some(())).await;
    let (handle, _) =
        build(&key, NetworkConfig::wallet(), folder.path()).expect("a builder").start().expect("it starts again");
    within(handle.stop()).await.expect("a clean end");
}

#[tokio::test]
async fn a_banned_peer_is_cut_off_and_comes_back_when_it_is_pardoned() {
    let mut signers = signers(2).await;
    let peer = signers[1].handle.peer();
    signers[0].handle.ban(peer).await.expect("it runs");
    let (mut cut, mut banned) = (false, false);
    find(&mut signers[0].events, |event| {
        cut |= matches!(event, NodeEvent::PeerDisconnected { peer: gone } if *gone == peer);
        banned |= matches!(event, NodeEvent::Core(Event::PeerBlacklisted { .. }));
        (cut && banned).then_some(())
    })
    .await;
    // The other node keeps trying, because it joined through this one.
    find(&mut signers[1].events, |event| matches!(event, NodeEvent::PeerDisconnected { .. }).then_some(())).await;
    signers[0].handle.pardon(peer).await.expect("it was banned");
    find(&mut signers[0].events, |event| {
        matches!(event, NodeEvent::PeerConnected { peer: back, .. } if *back == peer).then_some(())
    })
    .await;
    signers[0].meet(1).await;
}

#[tokio::test]
async fn a_node_says_how_it_is_doing() {
    let signers = signers(2).await;
    let status = signers[1].handle.status().await.expect("it runs");
    let [(peer, address)] = &status.connected[..] else { panic!("one peer: {:?}", status.connected) };
    assert_eq!(*peer, signers[0].handle.peer());
    assert!(address.to_string().starts_with("/ip4/127.0.0.1/"), "{address}");
    assert_eq!((status.key, status.peer), (signers[1].handle.key(), signers[1].handle.peer()));
    assert!(!status.addresses.is_empty() && !status.listening.is_empty());
    let text = signers[1].handle.metrics();
    assert!(text.contains("nelumbo_network_connected_peers 1"), "{text}");
}

#[tokio::test]
async fn signers_that_share_nothing_but_a_dht_server_find_each_other() {
    // A node without a signer: it keeps records and hears no gossip.
    let server = Network::new(
        NetworkConfig::bootstrap().listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")),
        Metrics::new(),
    );
    let mut server = server.expect("a network");
    let peer = server.local_peer();
    let (at, address) = tokio::sync::oneshot::channel();
    let serving = tokio::spawn(async move {
        let mut at = Some(at);
        loop {
            match server.next().await {
                NetworkEvent::Listening { address } => {
                    if let Some(at) = at.take() {
                        at.send(address.with_p2p(peer).expect("no peer id yet")).expect("the test waits");
                    }
                }
                NetworkEvent::InboundRecord { id, value, .. } => {
                    server.store_inbound(id, value, Duration::from_secs(60));
                }
                _ => {}
            }
        }
    });
    let address = within(address).await.expect("it listens");

    // Clients are in nobody's routing table, so that they meet only if they look for each other.
    let mut signers = Vec::new();
    for _ in 0..2 {
        let mut key = [0; 32];
        fresh_entropy().expect("entropy").fill(&mut key);
        let network = NetworkConfig::wallet()
            .listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address"))
            .join_through(address.clone())
            .expect("a peer id");
        let folder = tempfile::tempdir().expect("a folder");
        let (handle, events) = build(&key, network, folder.path()).expect("a node").start().expect("it starts");
        signers.push((handle, events, folder));
    }
    let keys: Vec<_> = signers.iter().map(|(handle, ..)| handle.key()).collect();
    let message = [3; 32];
    let (mut first, mut second) = (signers.remove(0), signers.remove(0));
    find(&mut second.1, |event| matches!(event, NodeEvent::DhtChanged { state: DhtState::Ready, .. }).then_some(()))
        .await;
    let new = NewSession::new(Suite::Lotus, keys.clone(), message.to_vec());
    let created = first.0.create(new).await.expect("a session");
    find(&mut second.1, |event| match event {
        NodeEvent::Core(Event::SessionAnnounced { session, .. }) => Some(*session),
        _ => None,
    })
    .await;
    second.0.join(created).await.expect("it was announced");
    let signature = within(first.0.signature(created)).await.expect("a signature");
    verify(Suite::Lotus, keys, &message, &signature);
    find(&mut first.1, |event| match event {
        NodeEvent::PeerConnected { peer, .. } if *peer == second.0.peer() => Some(()),
        _ => None,
    })
    .await;
    serving.abort();
}
