//! Waiting for confirmations over reorganisations, conflicts and failing servers.

use std::time::Duration;

use nelumbo_chain::TransactionMonitor;
use nelumbo_chain::chronik::{Since, Status};
use nelumbo_chain::crypto::Network;
use nelumbo_chain::crypto::lotus::{Address, OutPoint, Payload, Transaction};
use nelumbo_chain::{Confirmation, MonitorError};

use super::server::{Servers, falsify};
use super::world::{World, other, own, pay, txid};

fn sample() -> (World, Transaction) {
    let mut world = World::new(10);
    world.mine(&own());
    let coin = OutPoint { txid: txid(&world.blocks[10].transactions[0]), index: 1 };
    (world, pay(coin, &[(200_000_000, other())]))
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reorganisation_of_six_blocks_is_survived() {
    let (world, spend) = sample();
    let servers = Servers::start(world, 3).await;
    let (client, id) = (servers.client(), txid(&spend));
    let monitor = TransactionMonitor::new(client.clone());
    let waiting = tokio::spawn(async move { monitor.wait_for_confirmation(id, 10, LONG).await });
    servers.change(|world| world.mempool.push(spend));
    servers.change(|world| world.mine(&other()));
    for _ in 0..5 {
        servers.change(|world| world.mine(&other()));
    }
    while !matches!(client.status(id).await, Ok(Status::Confirmed { confirmations: 6, .. })) {}
    let before = client.status(id).await;
    // Six blocks go with it; it waits again, and is mined anew.
    servers.change(|world| world.reorganise(6, false));
    assert_eq!(client.status(id).await, Ok(Status::Waiting), "was {before:?}");
    for _ in 0..10 {
        servers.change(|world| world.mine(&other()));
    }
    let confirmation = waiting.await.expect("no panic").expect("it is confirmed");
    let block = servers.change(|world| world.id(18));
    assert_eq!(confirmation, Confirmation { txid: id, block, confirmations: 10 });
}

#[tokio::test]
async fn a_conflict_that_is_confirmed_ends_the_waiting() {
    let (world, spend) = sample();
    let servers = Servers::start(world, 1).await;
    let (monitor, id) = (TransactionMonitor::new(servers.client()), txid(&spend));
    servers.change(|world| world.mempool.push(spend.clone()));
    let rival = pay(spend.inputs[0].outpoint, &[(100_000_000, other())]);
    let (client, by) = (servers.client(), txid(&rival));
    let change = async {
        // Not before the monitor has seen it wait: two sockets and requests of its own.
        while servers.all[0].inner.requests.load(std::sync::atomic::Ordering::Relaxed) < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        servers.change(|world| {
            world.mempool.clear();
            world.mine_these(&other(), vec![rival]);
            world.mine(&other());
        });
        client.tip().await
    };
    let (ended, _) = tokio::join!(monitor.wait_for_confirmation(id, 2, LONG), change);
    let block = servers.change(|world| world.id(11));
    assert_eq!(ended, Err(MonitorError::Conflict { txid: id, by, block }));
}

#[tokio::test]
async fn the_end_of_the_time_says_what_was_known() {
    let (world, spend) = sample();
    let servers = Servers::start(world, 1).await;
    let (monitor, id) = (TransactionMonitor::new(servers.client()), txid(&spend));
    let wait = async |confirmations| monitor.wait_for_confirmation(id, confirmations, Duration::from_millis(300)).await;
    assert!(matches!(wait(1).await, Err(MonitorError::Timeout { last: Ok(Status::Unknown), .. })));
    servers.change(|world| world.mempool.push(spend));
    assert!(matches!(wait(1).await, Err(MonitorError::Timeout { last: Ok(Status::Waiting), .. })));
    servers.change(|world| world.mine(&other()));
    let error = wait(2).await.expect_err("it has one");
    assert!(matches!(&error, MonitorError::Timeout { last: Ok(Status::Confirmed { confirmations: 1, .. }), .. }));
    assert!(error.to_string().contains("has 1, in block 11: wait longer"), "{error}");
    servers.all[0].set_up(false);
    assert!(matches!(wait(1).await, Err(MonitorError::Timeout { last: Err(_), .. })));
    assert_eq!(wait(0).await, Err(MonitorError::NoConfirmations));
}

/// Every server follows its own word; the one that says so alone is not believed.
#[tokio::test]
async fn a_liar_confirms_nothing() {
    let (world, spend) = sample();
    let servers = Servers::start(world, 1).await;
    let (monitor, id) = (TransactionMonitor::new(servers.client()), txid(&spend));
    servers.change(|world| world.mempool.push(spend));
    let block = servers.change(|world| world.message_info(9));
    servers.all[0].lie(Some(falsify("/tx/", move |tx: &mut nelumbo_chain::proto::Tx| {
        let (height, hash, timestamp) = (block.height, block.hash.clone(), block.timestamp);
        tx.block = Some(nelumbo_chain::proto::BlockMetadata { height, hash, timestamp });
    })));
    let ended = monitor.wait_for_confirmation(id, 1, Duration::from_millis(500)).await;
    assert!(matches!(ended, Err(MonitorError::Timeout { last: Err(_) | Ok(Status::Unknown), .. })), "{ended:?}");
}

#[tokio::test]
async fn addresses_of_other_networks_are_refused() {
    let (world, _) = sample();
    let servers = Servers::start(world, 1).await;
    let monitor = TransactionMonitor::new(servers.client());
    let address = |network| Address { network, payload: Payload::PublicKeyHash([7; 20]) };
    let refused = monitor.monitor_address(&address(Network::Mainnet), Since::Now).err();
    assert_eq!(refused, Some(MonitorError::Network { address: Network::Mainnet, servers: Network::Regtest }));
    let mut watch =
        monitor.monitor_address(&address(Network::Regtest), Since::Height(0)).expect("it is of the network");
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(watch.next().await.expect("it goes on"));
    }
    use nelumbo_chain::chronik::ChainEvent;
    let [ChainEvent::BlockConnected(tip), ChainEvent::Seen(coin), ChainEvent::Confirmed { txid, block }] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((tip, block, *txid), (block, tip, coin.txid));
}
