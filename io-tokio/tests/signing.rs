//! Whole nodes, with disks and sockets, that sign together.

mod nodes;

use std::time::Duration;

use nelumbo_tokio::{
    HandleError, NewSession, NoSignature, NodeEvent, Reachability, StartError, StopError, Unusual,
    core::{
        api::{AttemptCause, CommandError, Event, Phase},
        crypto::{SecretKey, Suite},
        wire::{AbortReason, SessionId},
    },
    journal::JournalError,
    metrics::Metrics,
    network::{DhtState, Network, NetworkConfig, NetworkEvent},
};
use nodes::{Home, Signer, announced, find, through, verify, within};

async fn signers(number: usize) -> Vec<Signer> {
    let mut signers = vec![Signer::start(NetworkConfig::full()).await];
    for _ in 1..number {
        let network = through(NetworkConfig::full(), &[&signers[0].address]);
        signers.push(Signer::start(network).await);
    }
    for signer in &signers {
        signer.meet(number - 1).await;
    }
    signers
}

fn session(suite: Suite, signers: &[Signer], message: &[u8]) -> NewSession {
    NewSession::new(suite, signers.iter().map(|signer| signer.handle.key()).collect(), message.to_vec())
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
            let signature = within(signer.handle.signatures(created)).await.expect("a signature")[0];
            verify(suite, new.keys.clone(), &message, &signature);
        }
    }
    for signer in &signers {
        within(signer.handle.stop()).await.expect("a clean end");
    }
}

#[tokio::test]
async fn what_a_peer_says_of_itself_is_harmless_in_events() {
    let mut one = Signer::start(NetworkConfig::full()).await;
    let network = NetworkConfig::full().agent("n\u{202e}elu\u{1b}[2J\u{200b}mbo");
    let _other = Signer::start(through(network, &[&one.address])).await;
    let agent = find(&mut one.events, |event| match event {
        NodeEvent::PeerUpdated { agent, .. } => Some(agent.clone()),
        _ => None,
    });
    assert_eq!(agent.await, r"n\u{202e}elu\u{1b}[2J\u{200b}mbo");
}

#[tokio::test]
async fn a_session_survives_the_restart_of_a_signer() {
    let mut signers = signers(2).await;
    let new = session(Suite::Lotus, &signers, &[1; 32]);
    let created = signers[0].handle.create(new.clone()).await.expect("a session");
    announced(&mut signers[1].events).await;

    // The creator goes away with an open attempt, and comes back with the same journal.
    let other = signers.remove(1);
    let Home { key, network, folder } = signers.remove(0).stop().await;
    let network = through(network, &[&other.address]);
    let mut creator = Home { key, network, folder }.start().await;
    let resumed = creator.handle.session(created).await.expect("it runs").expect("it remembers");
    assert_eq!((resumed.phase, resumed.attempt), (Phase::Failed, 1), "the old nonce is gone with the old process");
    other.handle.join(created, [Unusual::Opaque]).await.expect("it was announced");
    find(&mut creator.events, |event| match event {
        NodeEvent::Core(Event::AttemptStarted { attempt, cause: AttemptCause::Restarted, .. }) => Some(*attempt),
        _ => None,
    })
    .await;
    for signer in [&creator, &other] {
        let signature = within(signer.handle.signatures(created)).await.expect("a signature")[0];
        verify(Suite::Lotus, new.keys.clone(), &[1; 32], &signature);
    }

    // Completed sessions are remembered too.
    let creator = creator.stop().await.start().await;
    assert!(within(creator.handle.signatures(created)).await.is_ok());
}

#[tokio::test]
async fn refusals_and_endings_are_told_to_whoever_waits() {
    let mut signers = signers(2).await;
    let stranger = SecretKey::from_bytes(&[7; 32]).expect("a key").public_key();
    let new = session(Suite::Lotus, &signers, &[2; 32]);
    let foreign = NewSession { keys: vec![stranger, new.keys[1]], ..new.clone() };
    assert_eq!(signers[0].handle.create(foreign).await, Err(HandleError::Refused(CommandError::NotASigner)));
    let unknown = SessionId::from_bytes([1; 32]);
    assert_eq!(
        signers[0].handle.join(unknown, []).await,
        Err(HandleError::Refused(CommandError::UnknownSession(unknown)))
    );
    assert_eq!(signers[0].handle.signatures(unknown).await, Err(NoSignature::Unknown));

    let created = signers[0].handle.create(new).await.expect("a session");
    assert_eq!(announced(&mut signers[1].events).await, created);
    let waiting = signers[0].handle.clone();
    let waiting = tokio::spawn(async move { waiting.signatures(created).await });
    signers[1].handle.abort(created, AbortReason::Declined).await.expect("it was announced");
    assert_eq!(within(waiting).await.expect("no panic"), Err(NoSignature::Aborted { may_complete: false }));

    let first = signers.remove(0);
    within(first.handle.stop()).await.expect("a clean end");
    assert!(matches!(first.handle.stop().await, Err(StopError::AlreadyStopped)));
    assert_eq!(first.handle.join(created, [Unusual::Opaque]).await, Err(HandleError::Stopped));
    let mut events = first.events;
    find(&mut events, |event| matches!(event, NodeEvent::Stopped { error: None }).then_some(())).await;
}

#[tokio::test]
async fn one_folder_serves_one_node() {
    let signer = Signer::start(NetworkConfig::wallet()).await;
    let again = signer.home.builder().start();
    assert!(matches!(again, Err(StartError::Journal(JournalError::InUse { .. }))), "{again:?}");

    // Dropping the last handle stops the node as well, and then the folder is free.
    let Signer { handle, mut events, home, .. } = signer;
    drop(handle);
    find(&mut events, |event| matches!(event, NodeEvent::Stopped { error: None }).then_some(())).await;
    let (handle, _) = home.builder().start().expect("it starts again");
    within(handle.stop()).await.expect("a clean end");
}

#[tokio::test]
async fn a_banned_peer_is_cut_off_and_comes_back_when_it_is_unbanned() {
    let mut signers = signers(2).await;
    let peer = signers[1].handle.peer();
    signers[0].handle.ban(peer).await.expect("it runs");
    let (mut cut, mut banned) = (false, false);
    find(&mut signers[0].events, |event| {
        cut |= matches!(event, NodeEvent::PeerDisconnected { peer: gone, .. } if *gone == peer);
        banned |= matches!(event, NodeEvent::Core(Event::PeerBlacklisted { .. }));
        (cut && banned).then_some(())
    })
    .await;
    // The other node keeps trying, because it joined through this one.
    find(&mut signers[1].events, |event| matches!(event, NodeEvent::PeerDisconnected { .. }).then_some(())).await;
    signers[0].handle.unban(peer).await.expect("it was banned");
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
    let [connected] = &status.connected[..] else { panic!("one peer: {:?}", status.connected) };
    assert_eq!(connected.peer, signers[0].handle.peer());
    assert!(connected.address.to_string().starts_with("/ip4/127.0.0.1/") && !connected.is_relayed, "{connected:?}");
    assert_eq!(status.reachability.state, Reachability::Local);
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
    let mut first = Signer::start(through(NetworkConfig::wallet(), &[&address])).await;
    let mut second = Signer::start(through(NetworkConfig::wallet(), &[&address])).await;
    let keys = vec![first.key(), second.key()];
    let message = [3; 32];
    find(&mut second.events, |event| {
        matches!(event, NodeEvent::DhtChanged { state: DhtState::Ready, .. }).then_some(())
    })
    .await;
    let new = NewSession::new(Suite::Lotus, keys.clone(), message.to_vec());
    let created = first.handle.create(new).await.expect("a session");
    assert_eq!(second.approve().await, created);
    let signature = within(first.handle.signatures(created)).await.expect("a signature")[0];
    verify(Suite::Lotus, keys, &message, &signature);
    find(&mut first.events, |event| match event {
        NodeEvent::PeerConnected { peer, .. } if *peer == second.handle.peer() => Some(()),
        _ => None,
    })
    .await;
    serving.abort();
}
