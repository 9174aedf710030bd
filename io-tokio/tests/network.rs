//! Networks that talk to each other over loopback.

mod support;

use std::{
    collections::HashSet,
    net::TcpListener,
    time::{Duration, Instant},
};

use libp2p::{PeerId, identity::Keypair, multiaddr::Protocol};
use nelumbo_tokio::{
    metrics::Metrics,
    network::{
        Connections, DhtMode, DhtOutcome, DirectFailure, GossipError, MAX_DIRECT_MESSAGE, MAX_GOSSIP_MESSAGE, Network,
        NetworkConfig, NetworkError, NetworkEvent, OperationId, Published, Verdict,
    },
};
use support::{Group, LOOPBACK, address};

const MESSAGES: u64 = 10_000;
/// How many of them are handed over at once.
const BATCH: u64 = 1_000;

/// A client: it is in nobody's routing table, so that only the connections that the test makes exist.
fn client() -> NetworkConfig {
    NetworkConfig::wallet()
}

/// Sends [`MESSAGES`] both ways at once and waits until all of them have been received and acknowledged.
async fn exchange(on: &str) {
    let mut group = Group::default();
    // A stream that stays open after its message would use these up long before the last one.
    let config = || client().streams_per_connection(64);
    let (one, at) = group.listen(config(), on).await;
    let other = group.add(config());
    group.connect(other, one, &at).await;

    let peers = [group.peer(one), group.peer(other)];
    let (mut received, mut acknowledged) = ([HashSet::new(), HashSet::new()], [0, 0]);
    for batch in 1..=MESSAGES / BATCH {
        for operation in (batch - 1) * BATCH..batch * BATCH {
            let bytes = operation.to_be_bytes().repeat(1 + operation as usize % 40);
            group.networks[one].send(peers[1], OperationId(operation), bytes.clone());
            group.networks[other].send(peers[0], OperationId(operation), bytes);
        }
        let so_far = batch * BATCH;
        group
            .find(|index, event| {
                match event {
                    NetworkEvent::DirectReceived { peer, bytes } => {
                        assert_eq!(*peer, peers[1 - index]);
                        assert!(received[index].insert(bytes.clone()), "each message arrives once");
                    }
                    NetworkEvent::DirectSent { .. } => acknowledged[index] += 1,
                    NetworkEvent::DirectFailed { failure, .. } => panic!("{failure}"),
                    NetworkEvent::PeerDisconnected { .. } => panic!("the connection was lost"),
                    _ => {}
                }
                let all = received.iter().all(|received| received.len() as u64 == so_far);
                (all && acknowledged == [so_far; 2]).then_some(())
            })
            .await;
    }
    assert!(group.networks.iter().all(|network| network.direct_backlog() == 0));
}

#[tokio::test]
async fn ten_thousand_messages_each_way_over_tcp() {
    exchange(LOOPBACK).await;
}

#[tokio::test]
async fn ten_thousand_messages_each_way_over_quic() {
    exchange("/ip4/127.0.0.1/udp/0/quic-v1").await;
}

#[tokio::test]
async fn ten_thousand_messages_each_way_over_websocket() {
    exchange("/ip4/127.0.0.1/tcp/0/ws").await;
}

#[tokio::test]
async fn ten_thousand_messages_each_way_in_memory() {
    exchange("/memory/0").await;
}

#[tokio::test]
async fn the_largest_message_arrives_and_a_larger_one_does_not_leave() {
    let mut group = Group::default();
    let (one, at) = group.listen(client(), LOOPBACK).await;
    let other = group.add(client());
    group.connect(other, one, &at).await;
    let peer = group.peer(one);
    group.networks[other].send(peer, OperationId(1), vec![1; MAX_DIRECT_MESSAGE + 1]);
    group.networks[other].send(peer, OperationId(2), Vec::new());
    group.networks[other].send(peer, OperationId(3), vec![3; MAX_DIRECT_MESSAGE]);
    let mut failed = Vec::new();
    let arrived = group
        .find(|_, event| match event {
            NetworkEvent::DirectFailed { operation, failure, .. } => {
                failed.push((operation.0, *failure));
                None
            }
            NetworkEvent::DirectReceived { bytes, .. } => Some(bytes.len()),
            _ => None,
        })
        .await;
    assert_eq!(arrived, MAX_DIRECT_MESSAGE);
    assert_eq!(failed, [(1, DirectFailure::Size), (2, DirectFailure::Size)]);
}

#[tokio::test]
async fn a_message_makes_a_connection_and_one_to_nobody_fails() {
    let mut group = Group::default();
    let (server, at) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    let (one, _) = group.listen(NetworkConfig::full().join_through(at.clone()).expect("an address"), LOOPBACK).await;
    group.until(|networks| networks[server].routing_peers() == 1 && networks[one].routing_peers() == 1).await;
    let (from, to) = (group.peer(server), group.peer(one));
    group.networks[server].disconnect(&to);
    group.until(|networks| !networks[server].is_connected(&to) && !networks[one].is_connected(&from)).await;

    // The other end would come back too, but only after a second.
    group.networks[server].send(to, OperationId(1), b"hello again".to_vec());
    group.networks[server].send(PeerId::random(), OperationId(2), b"anybody?".to_vec());
    let (mut sent, mut failed) = (false, false);
    group
        .find(|_, event| {
            match event {
                NetworkEvent::DirectSent { operation: OperationId(1) } => sent = true,
                NetworkEvent::DirectFailed { operation: OperationId(2), failure, .. } => {
                    assert_eq!(*failure, DirectFailure::Unreachable);
                    failed = true;
                }
                _ => {}
            }
            (sent && failed).then_some(())
        })
        .await;
}

#[tokio::test]
async fn nodes_that_know_one_bootstrap_peer_find_all_others_at_once() {
    let mut group = Group::default();
    let (_, at) = group.listen(NetworkConfig::bootstrap(), LOOPBACK).await;
    let start = Instant::now();
    for _ in 1..8 {
        group.add(NetworkConfig::full().listen_on(address(LOOPBACK)).join_through(at.clone()).expect("an address"));
    }
    group.until(|networks| networks.iter().all(|network| network.connected_peers().count() == 7)).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_record_put_by_one_node_is_found_by_another() {
    let mut group = Group::default();
    let (_, at) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    for _ in 1..5 {
        group.add(NetworkConfig::full().listen_on(address(LOOPBACK)).join_through(at.clone()).expect("an address"));
    }
    group.until(|networks| networks.iter().all(|network| network.routing_peers() == 4)).await;

    let (key, value) = (b"/lotus/resource:test:1".to_vec(), b"value".to_vec());
    group.networks[1].dht_put(OperationId(7), &key, value.clone(), None);
    let mut stored = 0;
    let mut outcome = None;
    while stored < 4 || outcome.is_none() {
        let event = group
            .find(|index, event| match event {
                NetworkEvent::InboundRecord { .. } | NetworkEvent::DhtPutFinished { .. } => {
                    Some((index, event.clone()))
                }
                _ => None,
            })
            .await;
        match event {
            (index, NetworkEvent::InboundRecord { id, value, .. }) => {
                // One of them does not like it.
                match index {
                    4 => group.networks[index].refuse_inbound(id, nelumbo_tokio::core::api::Refusal::Duplicate),
                    _ => assert!(group.networks[index].store_inbound(id, value, Duration::from_secs(60))),
                }
                stored += 1;
            }
            (_, NetworkEvent::DhtPutFinished { operation, outcome: ended }) => {
                assert_eq!(operation, OperationId(7));
                outcome = Some(ended);
            }
            _ => {}
        }
    }
    assert_eq!(outcome, Some(DhtOutcome::Completed));

    group.networks[4].dht_get(OperationId(8), &key);
    group.networks[4].dht_get(OperationId(9), b"/lotus/resource:test:2");
    let (mut found, mut ended) = (HashSet::new(), Vec::new());
    group
        .find(|_, event| {
            match event {
                NetworkEvent::DhtRecord { operation, value: got, holder, .. } => {
                    assert_eq!((*operation, got), (OperationId(8), &value));
                    found.insert(holder.expect("the one that refused it does not hold it"));
                }
                NetworkEvent::DhtFinished { operation, outcome } => ended.push((operation.0, *outcome)),
                _ => {}
            }
            (ended.len() == 2).then_some(())
        })
        .await;
    ended.sort_unstable_by_key(|(operation, _)| *operation);
    assert_eq!(ended, [(8, DhtOutcome::Completed), (9, DhtOutcome::NotFound)]);
    assert_eq!(found.len(), 4, "every holder is heard");
}

/// How two puts and gets end, in the order of their numbers.
async fn two_outcomes(group: &mut Group) -> Vec<(u64, DhtOutcome)> {
    let mut ended = Vec::new();
    group
        .find(|_, event| {
            if let NetworkEvent::DhtPutFinished { operation, outcome }
            | NetworkEvent::DhtFinished { operation, outcome } = event
            {
                ended.push((operation.0, *outcome));
            }
            (ended.len() == 2).then_some(())
        })
        .await;
    ended.sort_unstable_by_key(|(operation, _)| *operation);
    ended
}

#[tokio::test]
async fn a_put_and_a_get_pass_by_a_node_that_answers_nothing() {
    let mut group = Group::default();
    let config = || NetworkConfig::full().query_timeout(Duration::from_secs(1));
    let (_, at) = group.listen(config(), LOOPBACK).await;
    let joining = || config().join_through(at.clone()).expect("an address");
    group.listen(joining(), LOOPBACK).await;
    group.listen(joining(), LOOPBACK).await;
    let (dark, dark_at) = group.listen(joining(), LOOPBACK).await;
    group.until(|networks| networks.iter().all(|network| network.routing_peers() == 3)).await;

    // From one moment to the next it is as if it had been switched off: dials to it take until they give up, ten
    // seconds.
    let gone = group.peer(dark);
    drop(group.networks.remove(dark));
    let port = dark_at.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None });
    let _silent = TcpListener::bind(("127.0.0.1", port.expect("a port"))).expect("the port is free");
    group.until(|networks| networks.iter().all(|network| !network.is_connected(&gone))).await;

    group.networks[1].dht_put(OperationId(1), b"key", b"value".to_vec(), None);
    let mut stored = HashSet::new();
    while stored.len() < 2 {
        let (index, id, value) = group
            .find(|index, event| match event {
                NetworkEvent::InboundRecord { id, value, .. } => Some((index, *id, value.clone())),
                _ => None,
            })
            .await;
        assert!(group.networks[index].store_inbound(id, value, Duration::from_secs(60)));
        stored.insert(index);
    }
    group.networks[0].dht_get(OperationId(2), b"nothing");
    assert_eq!(two_outcomes(&mut group).await, [(1, DhtOutcome::Completed), (2, DhtOutcome::TimedOut)]);
    assert_eq!(stored, HashSet::from([0, 2]));
}

#[tokio::test]
async fn a_put_into_an_empty_network_is_not_acknowledged() {
    let mut group = Group::default();
    let (one, _) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    group.networks[one].dht_put(OperationId(1), b"key", b"value".to_vec(), Some(Duration::from_secs(60)));
    group.networks[one].dht_put(OperationId(2), b"key", vec![0; 12_001], None);
    assert_eq!(two_outcomes(&mut group).await, [(1, DhtOutcome::NotAcknowledged), (2, DhtOutcome::Refused)]);
}

#[tokio::test]
async fn a_rejected_gossip_message_goes_no_further_and_costs_its_bearer() {
    const TOPIC: &str = "musig2:signers:spend";
    let mut group = Group::default();
    let (middle, at) = group.listen(client(), LOOPBACK).await;
    let (left, right) = (group.add(client()), group.add(client()));
    assert_eq!(group.networks[left].publish(TOPIC, vec![1]), Ok(Published::ToNobody));
    for index in [left, middle, right] {
        group.networks[index].subscribe(TOPIC).expect("a topic");
    }
    group.connect(left, middle, &at).await;
    group.connect(right, middle, &at).await;
    group
        .until(|networks| {
            networks[middle].subscribers(TOPIC) == 2
                && [left, right].iter().all(|end| networks[*end].subscribers(TOPIC) == 1)
        })
        .await;

    // The ends connect to the middle only, so that what the right end sees went through the middle's judgement.
    let (author, bearer) = (group.peer(left), group.peer(middle));
    for number in 0..5 {
        assert_eq!(group.networks[left].publish(TOPIC, vec![number]), Ok(Published::ToNeighbours));
    }
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (index, event) = group
            .find(|index, event| matches!(event, NetworkEvent::Gossip { .. }).then(|| (index, event.clone())))
            .await;
        let NetworkEvent::Gossip { topic, author: by, propagation_source, id, bytes } = event else { continue };
        assert_eq!((topic.as_str(), by), (TOPIC, author));
        if index == middle {
            let verdict = match bytes[0] {
                1 => Verdict::Ignore,
                2 | 3 => Verdict::Reject,
                _ => Verdict::Accept,
            };
            assert!(group.networks[middle].report_gossip(id, verdict));
        } else {
            assert_eq!((index, propagation_source), (right, bearer));
            assert!(group.networks[right].report_gossip(id, Verdict::Accept));
            seen.push(bytes[0]);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 4]);
    let score = |group: &Group, at: usize, peer| group.networks[at].gossip_score(&peer).expect("a neighbour");
    assert!(score(&group, middle, author) < -20.0, "{}", score(&group, middle, author));
    assert!(score(&group, right, bearer) >= 0.0);

    // One more, and nothing from there is listened to any longer.
    group.networks[left].publish(TOPIC, vec![5]).expect("a neighbour");
    let id = group
        .find(|_, event| match event {
            NetworkEvent::Gossip { id, .. } => Some(*id),
            _ => None,
        })
        .await;
    group.networks[middle].report_gossip(id, Verdict::Reject);
    assert!(score(&group, middle, author) < -120.0, "{}", score(&group, middle, author));
    assert_eq!(
        group.networks[left].publish(TOPIC, vec![0; MAX_GOSSIP_MESSAGE + 1]),
        Err(GossipError::TooLarge(MAX_GOSSIP_MESSAGE + 1))
    );
}

#[tokio::test]
async fn connections_over_the_limit_are_refused_unless_the_peer_is_kept() {
    let mut group = Group::default();
    let limit = Connections::new(0, 4).expect("sensible");
    let (full, at) = group.listen(client().connections(limit), LOOPBACK).await;
    for _ in 0..3 {
        let index = group.add(client());
        group.connect(index, full, &at).await;
    }
    // A quarter of the four is for peers that the node chooses itself.
    let (late, peer) = (group.add(client()), group.peer(full));
    group.networks[late].dial(peer, vec![at.clone()]);
    let refused = group
        .find(|index, event| match event {
            NetworkEvent::PeerDisconnected { peer, .. } | NetworkEvent::DialFailed { peer, .. } if index == late => {
                Some(*peer)
            }
            _ => None,
        })
        .await;
    assert_eq!(refused, peer);
    assert_eq!(group.networks[full].connected_peers().count(), 3);

    let cosigner = group.peer(late);
    assert!(group.networks[full].keep(cosigner, Vec::new()));
    group.connect(late, full, &at).await;
    assert_eq!(group.networks[full].connected_peers().count(), 4);
}

#[tokio::test]
async fn a_blocked_peer_stays_out_until_it_is_unblocked() {
    let mut group = Group::default();
    let (one, at) = group.listen(client(), LOOPBACK).await;
    let other = group.add(client());
    group.connect(other, one, &at).await;
    let (blocked, blocker) = (group.peer(other), group.peer(one));
    assert!(group.networks[one].block(blocked));
    group.until(|networks| !networks[one].is_connected(&blocked) && !networks[other].is_connected(&blocker)).await;
    group.networks[other].dial(blocker, vec![at.clone()]);
    group
        .find(|index, event| {
            let failed = matches!(event, NetworkEvent::DialFailed { .. } | NetworkEvent::PeerDisconnected { .. });
            (index == other && failed).then_some(())
        })
        .await;
    assert!(!group.networks[one].is_connected(&blocked));
    group.networks[one].unblock(blocked);
    group.connect(other, one, &at).await;
}

#[tokio::test]
async fn a_kept_peer_is_connected_again_after_it_was_away() {
    let mut group = Group::default();
    let identity = Keypair::generate_ed25519();
    let (away, at) = group.listen(client().identity(identity.clone()), LOOPBACK).await;
    let peer = group.peer(away);
    let gone = group.networks.swap_remove(away);
    let keeper = group.add(client().join_through(at.clone()).expect("an address"));
    // Nobody drives the kept peer yet: it is not there.
    gone.close(Duration::from_secs(1)).await;
    group
        .find(|index, event| (index == keeper && matches!(event, NetworkEvent::DialFailed { .. })).then_some(()))
        .await;

    let mut again = at.clone();
    again.pop();
    let back = group.add(client().identity(identity).dht(DhtMode::Client).listen_on(again));
    assert_eq!(group.peer(back), peer);
    group.until(|networks| networks[keeper].is_connected(&peer)).await;
}

#[tokio::test]
async fn a_node_behind_a_relay_gets_messages_through_it() {
    let mut group = Group::default();
    let (_, at) = group.listen(NetworkConfig::relay(), LOOPBACK).await;
    let circuit = at.with(libp2p::multiaddr::Protocol::P2pCircuit);
    let (hidden, address) = group.listen(client(), &circuit.to_string()).await;
    let caller = group.add(client());
    group.connect(caller, hidden, &address).await;
    let to = group.peer(hidden);
    group.networks[caller].send(to, OperationId(1), b"through the relay".to_vec());
    let bytes = group
        .find(|index, event| match event {
            NetworkEvent::DirectReceived { bytes, .. } if index == hidden => Some(bytes.clone()),
            _ => None,
        })
        .await;
    assert_eq!(bytes, b"through the relay");
}

#[tokio::test]
async fn a_port_that_another_node_listens_on_is_refused() {
    for on in [LOOPBACK, "/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/udp/0/quic-v1", "/memory/0"] {
        let mut group = Group::default();
        let (_, mut at) = group.listen(client(), on).await;
        // The peer id, which no address to listen on has.
        at.pop();
        let second = Network::new(client().listen_on(at.clone()), Metrics::new());
        let Some(NetworkError::Listen { address, reason }) = second.err() else { panic!("{at} is shared") };
        assert_eq!(address, at);
        assert!(reason.contains("in use"), "{reason}");
    }
}

#[tokio::test]
async fn a_node_finds_back_without_its_bootstrap_nodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = Group::default();
    let (bootstrap, gone) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    let join = |config: NetworkConfig| config.join_through(gone.clone()).expect("it names its peer");
    let (friend, at) = group.listen(join(NetworkConfig::full()), LOOPBACK).await;
    let wallet = || join(client()).remember_peers(folder.path().join("known-peers"));
    let node = group.add(wallet());
    group.connect(node, friend, &at).await;
    let friends = group.peer(friend);
    group
        .find(|index, event| match event {
            NetworkEvent::Identified { peer, .. } if index == node && *peer == friends => Some(()),
            _ => None,
        })
        .await;
    group.networks.remove(node).close(Duration::from_millis(100)).await;
    drop(group.networks.remove(bootstrap));

    let again = group.add(wallet());
    group.until(|networks| networks[again].is_connected(&friends)).await;
}
