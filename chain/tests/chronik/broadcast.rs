//! Sending: whatever is answered, what is there has been sent.

use nelumbo_chain::chronik::{BroadcastError, ChronikError, Reason, Sent};
use nelumbo_chain::crypto::lotus::{OutPoint, Transaction};
use nelumbo_chain::proto;

use super::server::Servers;
use super::world::{World, other, own, pay, txid};

/// A world with two coins of the wallet, and what spends each.
fn sample() -> (World, [Transaction; 2]) {
    let mut world = World::new(2);
    world.mine(&own());
    world.mine(&own());
    let spend = |height: usize| {
        let coin = OutPoint { txid: txid(&world.blocks[height].transactions[0]), index: 1 };
        pay(coin, &[(200_000_000, other())])
    };
    let spends = [spend(2), spend(3)];
    (world, spends)
}

fn refusal(is_user_error: bool, text: &str) -> proto::Error {
    let error_code = if is_user_error { "bitcoind-rejected-tx" } else { "internal-server-error" };
    proto::Error { error_code: error_code.to_owned(), msg: format!("Bitcoind rejected tx: {text}"), is_user_error }
}

#[tokio::test]
async fn sending_again_is_no_error() {
    let (world, [spend, _]) = sample();
    let servers = Servers::start(world, 2).await;
    let (client, id) = (servers.client(), txid(&spend));
    assert_eq!(client.broadcast(&spend).await, Ok(Sent { txid: id, was_known: false }));
    // The node takes what waits again, and does not take what is in the chain; both are sent.
    assert_eq!(client.broadcast(&spend).await, Ok(Sent { txid: id, was_known: false }));
    servers.change(|world| world.mine(&other()));
    assert_eq!(client.broadcast(&spend).await, Ok(Sent { txid: id, was_known: true }));
    // Spent since then, so that the node says that its inputs are missing.
    for is_user_error in [true, false] {
        for fake in &servers.all {
            *fake.inner.refusal.lock().expect("no panic") =
                Some(refusal(is_user_error, "bad-txns-inputs-missingorspent"));
        }
        assert_eq!(client.broadcast(&spend).await, Ok(Sent { txid: id, was_known: true }));
    }
}

#[tokio::test]
async fn a_conflict_names_the_other_transaction() {
    let (world, [spend, _]) = sample();
    let servers = Servers::start(world, 3).await;
    let client = servers.client();
    client.broadcast(&spend).await.expect("it is taken");
    let second = pay(spend.inputs[0].outpoint, &[(100_000_000, own())]);
    let error = client.broadcast(&second).await.expect_err("it conflicts");
    let BroadcastError::Rejected { rejection, conflict } = &error else { panic!("{error}") };
    assert_eq!((rejection.reason, *conflict), (Reason::Conflict, Some(txid(&spend))));
    assert!(error.advice().contains("no replacing"), "{}", error.advice());
}

#[tokio::test]
async fn one_server_that_refuses_or_fails_stops_nothing() {
    for refused in [refusal(true, "min relay fee not met, 1 < 2"), refusal(false, "busy")] {
        let (world, [spend, _]) = sample();
        let servers = Servers::start(world, 2).await;
        *servers.all[0].inner.refusal.lock().expect("no panic") = Some(refused);
        assert_eq!(servers.client().broadcast(&spend).await, Ok(Sent { txid: txid(&spend), was_known: false }));
        assert_eq!(servers.change(|world| world.mempool.len()), 1);
    }
}

#[tokio::test]
async fn all_that_refuse_are_believed_and_all_that_fail_are_not() {
    let (world, [spend, _]) = sample();
    let servers = Servers::start(world, 2).await;
    let refuse = |refused: &proto::Error| {
        for fake in &servers.all {
            *fake.inner.refusal.lock().expect("no panic") = Some(refused.clone());
        }
    };
    refuse(&refusal(true, "min relay fee not met, 161 < 162"));
    let error = servers.client().broadcast(&spend).await.expect_err("both refuse");
    let BroadcastError::Rejected { rejection, conflict: None } = &error else { panic!("{error}") };
    assert_eq!((rejection.reason, rejection.text.as_str()), (Reason::FeeTooLow, "min relay fee not met, 161 < 162"));
    refuse(&refusal(false, "busy"));
    let error = servers.client().broadcast(&spend).await.expect_err("both fail");
    assert!(matches!(error, BroadcastError::Unknown(ChronikError::Unavailable(_))), "{error}");
    servers.all.iter().for_each(|fake| fake.set_up(false));
    let error = servers.client().broadcast(&spend).await.expect_err("both are down");
    assert!(matches!(error, BroadcastError::Unknown(ChronikError::Unavailable(_))), "{error}");
}

/// A quorum of two sends to two.
#[tokio::test]
async fn with_a_quorum_so_many_servers_have_to_take_it() {
    let (world, [spend, _]) = sample();
    let servers = Servers::start(world, 3).await;
    let two = servers.client().with_quorum(2).expect("there are three");
    servers.all[0].set_up(false);
    servers.all[1].set_up(false);
    let error = two.broadcast(&spend).await.expect_err("one is left");
    let disagreement = ChronikError::Disagreement { agreeing: 1, asked: 3, quorum: 2, failures: Vec::new() };
    let BroadcastError::Unknown(ChronikError::Disagreement { agreeing, asked, quorum, .. }) = error else {
        panic!("{error}: not {disagreement}")
    };
    assert_eq!((agreeing, asked, quorum), (1, 3, 2));
    servers.all[1].set_up(true);
    assert!(two.broadcast(&spend).await.is_ok());
}

#[tokio::test]
async fn several_at_once() {
    let (world, spends) = sample();
    let servers = Servers::start(world, 2).await;
    let client = servers.client();
    assert_eq!(client.broadcast_all(&spends).await.map(|sent| sent.was_known), Ok(false));
    servers.change(|world| world.mine(&other()));
    assert_eq!(client.broadcast_all(&spends).await.map(|sent| sent.was_known), Ok(true));
    assert_eq!(client.broadcast_all(&[]).await, Err(BroadcastError::Count { limit: 50, found: 0 }));
    let many = vec![spends[0].clone(); 51];
    assert_eq!(client.broadcast_all(&many).await, Err(BroadcastError::Count { limit: 50, found: 51 }));
}
