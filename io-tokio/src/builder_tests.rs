//! Tests of what a node does when its disk fails, and of rules of the embedder's own.

use std::time::Duration;

use nelumbo_core::{
    api::{Event, NewSession},
    approval::{Summary, Unusual},
    crypto::{Network as Chain, Suite, Tweak},
    wire::{AbortReason, Item},
};
use tokio::time::timeout;

use super::*;
use crate::{
    handle::{HandleError, StopError},
    journal::full_disk::FullDisk,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Signs 32 times the byte 7, and nothing else.
struct Sevens;

impl Policy for Sevens {
    fn review(&mut self, definition: &nelumbo_core::wire::Definition, _: &Summary) -> nelumbo_core::Review {
        let allow = [Unusual::Opaque].into();
        if definition.items == [Item::message(vec![7; 32], Tweak::None)] {
            nelumbo_core::Review::Approve { allow }
        } else {
            nelumbo_core::Review::Decline
        }
    }
}

fn start(key: u8, through: Option<libp2p::Multiaddr>, disk: FullDisk) -> (Handle, Events) {
    start_with_policy(key, through, disk, Some(Box::new(Sevens)))
}

fn start_with_policy(
    key: u8,
    through: Option<libp2p::Multiaddr>,
    disk: FullDisk,
    policy: Option<Box<dyn Policy>>,
) -> (Handle, Events) {
    let mut network = NetworkConfig::full().listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address"));
    if let Some(through) = through {
        network = network.join_through(through).expect("a peer id");
    }
    let metrics = Metrics::new();
    let (journal, records) = Journal::open_on(disk, &metrics).expect("a journal");
    let key = SecretKey::from_bytes(&[key; 32]).expect("a key");
    let builder = Builder::with_key(Config::new(Chain::Regtest), network, "unused", key).expect("entropy");
    let builder = match policy {
        Some(policy) => builder.policy(policy),
        None => builder,
    };
    builder.start_with(journal, records, metrics).expect("it starts")
}

async fn find<T>(events: &mut Events, mut look: impl FnMut(NodeEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look(events.next().await.expect("the node runs")) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("in time")
}

#[tokio::test]
async fn a_policy_approves_and_declines_without_anybody_being_asked() {
    let (other, mut heard) = start(1, None, FullDisk::default());
    let address = find(&mut heard, |event| match event {
        NodeEvent::Listening { address } => Some(address),
        _ => None,
    })
    .await;
    let (node, mut events) = start(2, Some(address), FullDisk::default());
    find(&mut events, |event| matches!(event, NodeEvent::Core(Event::SignerConnected { .. })).then_some(())).await;
    let keys = vec![node.key(), other.key()];
    let approved = node.create(NewSession::new(Suite::Lotus, keys.clone(), vec![7; 32])).await.expect("a session");
    let declined = node.create(NewSession::new(Suite::Lotus, keys, vec![8; 32])).await.expect("a session");
    assert!(timeout(PATIENCE, node.signatures(approved)).await.expect("in time").is_ok());
    let refused = timeout(PATIENCE, node.signatures(declined)).await.expect("in time");
    assert_eq!(refused, Err(crate::NoSignature::Aborted { may_complete: false }));
}

#[tokio::test]
async fn a_full_disk_stops_the_node_before_anybody_hears_what_was_not_written() {
    let (other, mut heard) = start(1, None, FullDisk::default());
    let address = find(&mut heard, |event| match event {
        NodeEvent::Listening { address } => Some(address),
        _ => None,
    })
    .await;
    let disk = FullDisk::default();
    let (node, mut events) = start(2, Some(address), disk.clone());
    find(&mut events, |event| matches!(event, NodeEvent::Core(Event::SignerConnected { .. })).then_some(())).await;

    disk.fill(true);
    let session = NewSession::new(Suite::Lotus, vec![node.key(), other.key()], vec![1; 32]);
    let created = timeout(PATIENCE, node.create(session)).await.expect("an answer");
    assert!(matches!(created, Err(HandleError::NotDurable(_))), "what is not durable was not created: {created:?}");
    let error = find(&mut events, |event| match event {
        NodeEvent::Stopped { error } => Some(error),
        _ => None,
    })
    .await;
    assert!(error.expect("a reason").contains("journal"));
    assert!(matches!(node.stop().await, Err(StopError::AlreadyStopped)));

    // The connection ends with the node, and nothing of the session came over it before.
    find(&mut heard, |event| {
        assert!(!matches!(event, NodeEvent::Core(Event::SessionAnnounced { .. })), "it was announced");
        matches!(event, NodeEvent::PeerDisconnected { .. }).then_some(())
    })
    .await;
    assert_eq!(other.sessions().await.map(|sessions| sessions.len()), Ok(0));
}

/// A node with a disk of its own, and a session with another node that waits for its owner.
async fn asked(disk: &FullDisk) -> (Handle, Handle, nelumbo_core::wire::SessionId) {
    let (asks, mut heard) = start(1, None, FullDisk::default());
    let address = find(&mut heard, |event| match event {
        NodeEvent::Listening { address } => Some(address),
        _ => None,
    })
    .await;
    let (node, mut events) = start_with_policy(2, Some(address), disk.clone(), None);
    find(&mut events, |event| matches!(event, NodeEvent::Core(Event::SignerConnected { .. })).then_some(())).await;
    find(&mut heard, |event| matches!(event, NodeEvent::Core(Event::SignerConnected { .. })).then_some(())).await;
    let keys = vec![node.key(), asks.key()];
    let session = asks.create(NewSession::new(Suite::Lotus, keys, vec![1; 32])).await.expect("a session");
    find(&mut events, |event| matches!(event, NodeEvent::Core(Event::SessionAnnounced { .. })).then_some(())).await;
    (asks, node, session)
}

#[expect(clippy::await_holding_lock, reason = "only the journal's own thread takes this lock too")]
#[tokio::test]
async fn a_command_is_answered_when_what_it_promises_is_durable() {
    let disk = FullDisk::default();
    let (_asks, node, session) = asked(&disk).await;
    let held = disk.hold();
    let joining = node.join(session, [Unusual::Opaque]);
    tokio::pin!(joining);
    // The node takes the command, and nothing becomes durable.
    let taken = async {
        while node.sessions().await.expect("it runs")[0].phase == nelumbo_core::api::Phase::Announced {}
        // Everything that was asked before this is answered before it.
        node.sessions().await.map(drop)
    };
    tokio::select! {
        biased;
        answer = &mut joining => panic!("{answer:?} before it is on the disk"),
        taken = taken => assert_eq!(taken, Ok(())),
    }
    drop(held);
    assert_eq!(timeout(PATIENCE, joining).await.expect("in time"), Ok(()));
}

#[tokio::test]
async fn on_a_full_disk_no_command_is_answered_as_done() {
    for aborts in [false, true] {
        let disk = FullDisk::default();
        let (_asks, node, session) = asked(&disk).await;
        disk.fill(true);
        let answer = async {
            if aborts {
                node.abort(session, AbortReason::Declined).await.map(drop)
            } else {
                node.join(session, [Unusual::Opaque]).await
            }
        };
        let answer = timeout(PATIENCE, answer).await.expect("an answer");
        assert!(matches!(answer, Err(HandleError::NotDurable(_))), "{answer:?}");
    }
}

#[test]
fn a_configuration_that_makes_no_node_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("node");
    let mut config = Config::new(Chain::Regtest);
    config.stall = Duration::ZERO;
    let key = SecretKey::from_bytes(&[1; 32]).expect("a key");
    let builder = Builder::with_key(config, NetworkConfig::full(), &inner, key).expect("entropy");
    let error = builder.start().expect_err("it makes no node");
    assert!(matches!(&error, StartError::Config(error) if error.field == "stall"));
    assert_eq!(error.to_string(), "the configuration's stall is 0; allowed is 1 ms to 30 s, which is stall_max");
    assert!(!inner.exists(), "no journal was made");
}
