//! The client on a ledger that judges as the real node does.

use std::collections::BTreeMap;
use std::time::Duration;

use nelumbo_chain::build::{Coin, Payment, Unlock, build, pay_to_key};
use nelumbo_chain::chronik::{
    BlockId, BlockRef, BroadcastError, ChainEvent, ChronikClient, ChronikConfig, OutputState, Reason, Since, Status,
};
use nelumbo_chain::crypto::lotus::{Address, OutPoint, Payload, TaprootOutput, Transaction, TxOutput, Txid};
use nelumbo_chain::crypto::{KeyAggContext, Network, SecretKey, Suite, Tweak, schnorr};
use nelumbo_chain::ledger::{Ledger, Operation, Orphans, Server, Settings};
use nelumbo_chain::{ScriptPayload, TransactionMonitor};
use tokio::time::timeout;

use super::server::client;

pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A wallet with one key.
pub(crate) struct Wallet(SecretKey);

impl Wallet {
    pub(crate) fn new(byte: u8) -> Self {
        Self(SecretKey::from_bytes(&[byte; 32]).expect("it is a key"))
    }

    pub(crate) fn key(&self) -> nelumbo_chain::crypto::PublicKey {
        self.0.public_key()
    }

    pub(crate) fn script(&self) -> Vec<u8> {
        pay_to_key(&self.key()).to_vec()
    }

    pub(crate) fn payload(&self) -> ScriptPayload {
        ScriptPayload::of(&self.script()).remove(0)
    }

    /// Spends everything that a server says the wallet has, with these outputs first.
    pub(crate) async fn pay(&self, client: &ChronikClient, server: &Server, outputs: Vec<TxOutput>) -> Transaction {
        let unspent = client.utxos(&self.payload()).await.expect("the ledger is honest");
        let coins: Vec<Coin> = unspent
            .into_iter()
            .map(|each| Coin {
                outpoint: each.outpoint,
                output: each.output,
                unlock: Unlock::PublicKeyHash(self.key()),
            })
            .collect();
        self.sign(&coins, outputs, server)
    }

    fn sign(&self, coins: &[Coin], outputs: Vec<TxOutput>, server: &Server) -> Transaction {
        let unsigned = build(coins, &Payment::new(outputs, self.script())).expect("there is enough");
        let digests = unsigned.digests(server.with(Ledger::replay_protected));
        let signatures: Vec<_> = digests
            .iter()
            .map(|digest| schnorr::sign(Suite::Lotus, &self.0, digest, None).expect("the key is one"))
            .collect();
        unsigned.finalize(&signatures).expect("each input has a signature")
    }
}

pub(crate) async fn start() -> (Server, ChronikClient) {
    let server = Server::start(Settings::default()).await.expect("there are ports");
    let mut config = ChronikConfig::new(Network::Regtest, [server.url()]);
    config.poll_interval = Duration::from_millis(500);
    let client = client(config);
    (server, client)
}

pub(crate) fn mine(server: &Server, count: u32) {
    let operation = Operation::Mine { time: server.time(), count, script: Ledger::faucet_script() };
    server.apply(operation).expect("the ledger mines");
}

pub(crate) fn fund(server: &Server, script: Vec<u8>, value: u64) {
    server.apply(Operation::Fund { time: server.time(), script, value }).expect("the ledger pays");
}

pub(crate) fn reorganise(server: &Server, depth: u32, orphans: Orphans) {
    let script = Ledger::faucet_script();
    server.apply(Operation::Reorganise { time: server.time(), depth, orphans, script }).expect("the chain is long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_endpoint_is_believed() {
    let (server, client) = start().await;
    let (wallet, other) = (Wallet::new(7), Wallet::new(8));
    assert_eq!(client.tip().await.map(|tip| tip.map(|tip| tip.height)), Ok(Some(0)));
    fund(&server, wallet.script(), 5_000_000);
    let tip = client.tip().await.expect("the ledger is honest").expect("there are blocks");
    assert_eq!(tip.height, server.with(Ledger::height));

    let output = TxOutput { value: 1_000_000, script_pubkey: other.script() };
    let spend = wallet.pay(&client, &server, vec![output]).await;
    let id = spend.txid(Suite::Lotus);
    assert_eq!(client.status(id).await, Ok(Status::Unknown));
    assert_eq!(client.broadcast(&spend).await.map(|sent| (sent.txid, sent.was_known)), Ok((id, false)));
    assert_eq!(client.status(id).await, Ok(Status::Waiting));
    assert_eq!(client.raw_transaction(id).await, Ok(Some(spend.clone())));
    let spent = client.spent_outputs(&spend).await.expect("the ledger is honest");
    assert_eq!(spent.iter().map(|output| output.value).sum::<u64>(), 5_000_000);
    let spender = client.spender(spend.inputs[0].outpoint).await.expect("the ledger is honest");
    assert_eq!(spender.map(|spender| spender.txid), Some(id));

    mine(&server, 3);
    let Ok(Status::Confirmed { block, confirmations: 3 }) = client.status(id).await else { panic!("it is mined") };
    let held = client.block(BlockRef::Hash(block.hash)).await.expect("the ledger is honest").expect("it is there");
    assert_eq!(client.block(BlockRef::Height(block.height)).await, Ok(Some(held.clone())));
    assert!(held.transactions.contains(&spend));
    let blocks = client.blocks(0, 499).await.expect("the ledger is honest");
    assert_eq!(blocks.len(), server.with(Ledger::height) as usize + 1);
    let states = client.states(&[spend.inputs[0].outpoint, OutPoint { txid: id, index: 0 }]).await;
    let states = states.expect("the ledger is honest");
    assert!(matches!(states[0], OutputState::Spent { height: Some(_) }), "{states:?}");
    assert_eq!(states[1], OutputState::Unspent { height: Some(block.height) });
    assert_eq!(client.history(&wallet.payload()).await.map(|history| history.len()), Ok(2));
    assert_eq!(client.history(&other.payload()).await.map(|history| history.len()), Ok(1));
    // A hundred of the blocks' own transactions, and every page of them.
    let faucet = ScriptPayload::of(&Ledger::faucet_script()).remove(0);
    assert!(client.history(&faucet).await.expect("the ledger is honest").len() > 100);
    assert!(!client.utxos(&faucet).await.expect("the ledger is honest").is_empty());

    assert_eq!(client.broadcast(&spend).await.map(|sent| (sent.txid, sent.was_known)), Ok((id, true)));
    server.stop().await;
    assert!(client.tip().await.is_err());
}

/// The ledger's words are those of the node; each comes with its reason.
#[tokio::test]
async fn refusals_have_reasons() {
    let (server, client) = start().await;
    let wallet = Wallet::new(7);
    fund(&server, wallet.script(), 5_000_000);
    let output = |value| TxOutput { value, script_pubkey: Wallet::new(8).script() };
    let good = wallet.pay(&client, &server, vec![output(1_000_000)]).await;
    let reason = async |transaction: &Transaction| match client.broadcast(transaction).await {
        Err(BroadcastError::Rejected { rejection, conflict }) => (rejection.reason, conflict),
        answer => panic!("{answer:?}"),
    };
    let with = |change: fn(&mut Transaction)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    // What was changed after signing is judged by its form first.
    assert_eq!(reason(&with(|each| each.outputs[0].value = 100)).await, (Reason::Dust, None));
    assert_eq!(reason(&with(|each| each.outputs[1].value += 200)).await, (Reason::FeeTooLow, None));
    assert_eq!(reason(&with(|each| each.outputs[1].value -= 10)).await, (Reason::Script, None));
    assert_eq!(reason(&with(|each| each.version = 9)).await, (Reason::Form, None));
    assert_eq!(reason(&with(|each| each.inputs[0].outpoint.index = 40)).await, (Reason::InputsMissing, None));
    let later = |each: &mut Transaction| {
        each.lock_time = 499_999_999;
        each.inputs[0].sequence = 0;
    };
    assert_eq!(reason(&with(later)).await, (Reason::NotFinal, None));
    client.broadcast(&good).await.expect("it is good");
    let rival = with(|each| each.outputs[1].value -= 10);
    assert_eq!(reason(&rival).await, (Reason::Conflict, Some(good.txid(Suite::Lotus))));
}

/// A payment to a group, six blocks on it, and a reorganisation that takes them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_followed_through_a_reorganisation_of_six_blocks() {
    let (server, client) = start().await;
    let wallet = Wallet::new(7);
    fund(&server, wallet.script(), 5_000_000);
    let keys = [Wallet::new(1).key(), Wallet::new(2).key()];
    let group = KeyAggContext::new(Suite::Lotus, &keys)
        .and_then(|group| group.with_tweak(&Tweak::Taproot { merkle_root: None }));
    let commitment = group.expect("the keys are good").challenge_key();
    let address = Address { network: Network::Regtest, payload: Payload::Taproot(commitment) };
    let script = TaprootOutput { commitment, state: None }.script_pubkey();
    let monitor = TransactionMonitor::new(client.clone());
    let mut watch = monitor.monitor_address(&address, Since::Now).expect("it is of the network");

    let payment = wallet.pay(&client, &server, vec![TxOutput { value: 2_000_000, script_pubkey: script }]).await;
    let id = payment.txid(Suite::Lotus);
    let waiting = tokio::spawn(async move { monitor.wait_for_confirmation(id, 8, LONG).await });
    client.broadcast(&payment).await.expect("it is good");
    let mut seen: BTreeMap<Txid, Vec<&'static str>> = BTreeMap::new();
    let mut chain: Vec<BlockId> = Vec::new();
    let mut until = async |last: &'static str| {
        while seen.get(&id).is_none_or(|events| events.last() != Some(&last)) {
            match timeout(LONG, watch.next()).await.expect("there is an event").expect("it goes on") {
                ChainEvent::Seen(transaction) => seen.entry(transaction.txid).or_default().push("seen"),
                ChainEvent::Confirmed { txid, block } => {
                    assert_eq!(chain.last(), Some(&block));
                    seen.entry(txid).or_default().push("confirmed");
                }
                ChainEvent::Reorganised { txid, block } => {
                    assert!(!chain.contains(&block));
                    seen.entry(txid).or_default().push("reorganised");
                }
                ChainEvent::BlockConnected(block) => chain.push(block),
                ChainEvent::BlockDisconnected(block) => assert_eq!(chain.pop(), Some(block)),
                event => panic!("{event:?}"),
            }
        }
        seen.get(&id).cloned().unwrap_or_default()
    };
    until("seen").await;
    mine(&server, 1);
    until("confirmed").await;
    mine(&server, 5);
    reorganise(&server, 6, Orphans::Pending);
    assert_eq!(until("reorganised").await, ["seen", "confirmed", "reorganised"]);
    assert_eq!(client.status(id).await, Ok(Status::Waiting));
    mine(&server, 1);
    until("confirmed").await;
    mine(&server, 7);
    let confirmation = waiting.await.expect("no panic").expect("it is confirmed");
    assert!(confirmation.confirmations >= 8, "{confirmation:?}");
    let held = client.block(BlockRef::Hash(confirmation.block.hash)).await.expect("the ledger is honest");
    assert!(held.expect("it is there").transactions.contains(&payment));
}
