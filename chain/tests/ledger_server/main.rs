//! The ledger over its endpoints, as clients of Chronik see it.

mod peer;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use nelumbo_chain::ledger::{Block, Header, Ledger, Operation, Orphans, Server, ServerError, Settings};
use nelumbo_chain::proto::{
    Block as BlockMessage, BlockchainInfo, Blocks, BroadcastTxRequest, BroadcastTxResponse, BroadcastTxsRequest,
    BroadcastTxsResponse, CONTENT_TYPE, MsgBlock, MsgTx, MsgType, OutPoint as OutPointMessage, Tx, TxHistoryPage,
    UtxoStateVariant, Utxos, ValidateUtxoRequest, ValidateUtxoResponse,
};
use nelumbo_crypto::Network;
use nelumbo_crypto::lotus::{Address, OutPoint, Txid};
use peer::{Subscriber, Told, get, post, post_json, post_message};
use serde_json::json;
use support::*;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.clock = Arc::new(|| NOW);
    settings
}

async fn server() -> Server {
    let server = Server::start(settings()).await.expect("a free port");
    mine(&server, 120);
    server
}

fn mine(server: &Server, count: u32) {
    server.apply(Operation::Mine { time: NOW, count, script: Ledger::faucet_script() }).expect("blocks");
}

fn funded(server: &Server, owner: Owner, value: u64) -> Owned {
    server.apply(Operation::Fund { time: NOW, script: owner.script(), value }).expect("the faucet has coins");
    server.with(|ledger| {
        let payload = &nelumbo_chain::ScriptPayload::of(&owner.script())[0];
        let unspent = ledger.unspent(payload).find(|unspent| unspent.output.value == value).expect("it was just paid");
        Owned { outpoint: unspent.outpoint, output: unspent.output.clone(), owner }
    })
}

/// Everything but the fee to the same owner.
fn spend(coin: &Owned, fee: u64) -> Vec<u8> {
    let mut transaction = unsigned(&[coin], vec![coin.owner.output(coin.output.value - fee)]);
    sign(&mut transaction, &[coin], LOTUS);
    transaction.to_bytes()
}

fn commitment(owner: Owner) -> Vec<u8> {
    owner.script()[3..36].to_vec()
}

fn broadcast(raw_tx: Vec<u8>) -> BroadcastTxRequest {
    BroadcastTxRequest { raw_tx, skip_slp_check: false }
}

fn displayed(hash: &[u8]) -> String {
    Txid::from_bytes(hash.try_into().expect("32 bytes")).to_string()
}

#[tokio::test]
async fn blocks_are_those_of_a_lotus_node() {
    let server = server().await;
    let address = server.address();
    let info: BlockchainInfo = get(address, "/blockchain-info").await.message();
    assert_eq!(info.tip_height, 120);
    let tip: BlockMessage = get(address, "/block/120").await.message();
    let same: BlockMessage = get(address, &format!("/block/{}", displayed(&info.tip_hash))).await.message();
    assert_eq!(tip, same);
    let parent: BlockMessage = get(address, "/block/119").await.message();
    let block_info = tip.block_info.expect("in every block");
    let parent_info = parent.block_info.expect("in every block");
    assert_eq!((block_info.hash, &block_info.prev_hash), (info.tip_hash, &parent_info.hash));
    assert_eq!(tip.raw_header.len(), Header::BYTES);
    // The first layer of the hash covers what is before, so the header can be taken apart.
    assert_eq!(tip.raw_header[..32], block_info.prev_hash);
    assert_eq!((block_info.num_txs, block_info.sum_coinbase_output_sats), (1, 260_000_000));
    let size = server.with(|ledger| ledger.block(120).map(|block: &Block| block.header.size)).expect("mined");
    assert_eq!(block_info.block_size, size);
    let genesis: BlockMessage = get(address, "/block/0").await.message();
    assert_eq!(
        displayed(&genesis.block_info.expect("in every block").hash),
        "106050de32db2a668422cc34aa0f96d739d4189b8e5d6e763deeca527bba9c9f"
    );
    let blocks: Blocks = get(address, "/blocks/118/500").await.message();
    assert_eq!(blocks.blocks.iter().map(|block| block.height).collect::<Vec<_>>(), [118, 119, 120]);

    let error = |path: &'static str| async move { get(address, path).await.error() };
    let code = |(status, code, _, _): (u16, String, String, bool)| (status, code);
    assert_eq!(code(error("/blocks/0/500").await), (400, "page-size-too-large".into()));
    assert_eq!(code(error("/blocks/9/8").await), (400, "invalid-field".into()));
    assert_eq!(code(error("/blocks/x/8").await), (400, "invalid-field".into()));
    assert_eq!(code(error("/block/121").await), (404, "block-not-found".into()));
    assert_eq!(code(error("/block/-1").await), (404, "block-not-found".into()));
    assert_eq!(code(error("/block/zz").await), (400, "invalid-hash-or-height".into()));
    let unknown = "00".repeat(32);
    let (status, code, msg, is_user_error) = get(address, &format!("/tx/{unknown}")).await.error();
    assert_eq!((status, code.as_str(), is_user_error), (404, "tx-not-found", true));
    assert_eq!(msg, format!("Txid not found: {unknown}"));
    server.stop().await;
}

#[tokio::test]
async fn a_transaction_is_sent_seen_confirmed_and_found() {
    let server = server().await;
    let address = server.address();
    let owner = key_path(1);
    let coin = funded(&server, owner, 1_000_000);
    let raw = spend(&coin, 1_000);
    let answer: BroadcastTxResponse = post_message(address, "/broadcast-tx", &broadcast(raw.clone())).await.message();
    let again: BroadcastTxResponse = post_message(address, "/broadcast-tx", &broadcast(raw.clone())).await.message();
    assert_eq!(answer, again, "sending again is no error");
    let txid = displayed(&answer.txid);

    let path = format!("/tx/{txid}");
    let tx: Tx = get(address, &path).await.message();
    assert_eq!((&tx.txid, tx.network, tx.block, tx.time_first_seen), (&answer.txid, 2, None, NOW));
    assert_eq!((tx.size, tx.is_coinbase, tx.version), (162, false, 2));
    let input = &tx.inputs[0];
    assert_eq!((input.value, &input.output_script), (1_000_000, &owner.script()));
    assert_eq!(tx.outputs[0].spent_by, None);
    let before: Tx = get(address, &format!("/tx/{}", coin.outpoint.txid)).await.message();
    let spender = OutPointMessage { txid: answer.txid.clone(), out_idx: 0 };
    assert_eq!(before.outputs[0].spent_by, Some(spender.clone()));
    assert_eq!(before.block.expect("it is in a block").height, 121);
    let plain = get(address, &format!("/raw-tx/{txid}")).await;
    assert_eq!(plain.body, raw, "bytes, no message");

    let script = format!("/script/p2tr-commitment/{}", hex::encode(commitment(owner)));
    let utxos: Utxos = get(address, &format!("{script}/utxos")).await.message();
    let [group] = utxos.script_utxos.as_slice() else { panic!("one script: {utxos:?}") };
    assert_eq!(group.output_script, owner.script());
    let [utxo] = group.utxos.as_slice() else { panic!("one output: {utxos:?}") };
    assert_eq!((utxo.block_height, utxo.value, utxo.network), (-1, 999_000, 2));
    assert_eq!(utxo.outpoint, Some(spender.clone()));

    mine(&server, 1);
    let tx: Tx = get(address, &path).await.message();
    let block = tx.block.expect("it is in a block");
    assert_eq!((block.height, tx.time_first_seen), (122, NOW));
    assert_eq!(block.hash, server.with(|ledger| ledger.tip().hash.as_bytes().to_vec()));
    let utxos: Utxos = get(address, &format!("{script}/utxos")).await.message();
    assert_eq!(utxos.script_utxos[0].utxos[0].block_height, 122);
    let history: TxHistoryPage = get(address, &format!("{script}/history")).await.message();
    assert_eq!(history.num_pages, 1);
    assert_eq!(
        history.txs.iter().map(|tx| displayed(&tx.txid)).collect::<Vec<_>>(),
        [txid, coin.outpoint.txid.to_string()]
    );
    let page: TxHistoryPage = get(address, &format!("{script}/history?page=1&page_size=1")).await.message();
    assert_eq!((page.num_pages, page.txs.len()), (2, 1));
    assert_eq!(page.txs[0].txid, coin.outpoint.txid.as_bytes());
    let beyond: TxHistoryPage = get(address, &format!("{script}/history?page=9999999&page_size=200")).await.message();
    assert_eq!((beyond.num_pages, beyond.txs.len()), (1, 0));
    for (query, code) in [
        ("page_size=201", "page-size-too-large"),
        ("page_size=0", "invalid-field"),
        ("page=-1", "invalid-field"),
        ("page=99999999999", "invalid-field"),
    ] {
        let (status, found, _, _) = get(address, &format!("{script}/history?{query}")).await.error();
        assert_eq!((status, found.as_str()), (400, code), "{query}");
    }

    let states = |outpoints: &[(Vec<u8>, u32)]| ValidateUtxoRequest {
        outpoints: outpoints
            .iter()
            .map(|(txid, out_idx)| OutPointMessage { txid: txid.clone(), out_idx: *out_idx })
            .collect(),
    };
    let asked = states(&[
        (answer.txid.clone(), 0),
        (coin.outpoint.txid.as_bytes().to_vec(), 0),
        (vec![9; 32], 0),
        (answer.txid.clone(), 1),
    ]);
    let answered: ValidateUtxoResponse = post_message(address, "/validate-utxos", &asked).await.message();
    let found: Vec<_> =
        answered.utxo_states.iter().map(|state| (state.state(), state.height, state.is_confirmed)).collect();
    assert_eq!(
        found,
        [
            (UtxoStateVariant::Unspent, 122, true),
            (UtxoStateVariant::Spent, 121, true),
            (UtxoStateVariant::NoSuchTx, -1, false),
            (UtxoStateVariant::NoSuchOutput, 122, true),
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_the_words_of_the_node_around_those_of_chronik() {
    let server = server().await;
    let address = server.address();
    let coin = funded(&server, key_path(1), 1_000_000);
    let refused = |raw: Vec<u8>| async move { post_message(address, "/broadcast-tx", &broadcast(raw)).await.error() };
    let expected = |text: &str| (400, "bitcoind-rejected-tx".to_owned(), format!("Bitcoind rejected tx: {text}"), true);
    assert_eq!(refused(spend(&coin, 161)).await, expected("min relay fee not met, 161 < 162"));
    let mut broken = spend(&coin, 500);
    broken[60] ^= 1;
    assert_eq!(
        refused(broken).await,
        expected("mandatory-script-verify-flag-failed (Invalid Taproot key spend signature)")
    );
    let (status, code, _, _) = refused(vec![1, 2, 3]).await;
    assert_eq!((status, code.as_str()), (400, "invalid-tx-encoding"));

    // Each is tested alone: a child of an unsent parent fails, and nothing is sent.
    let parent = spend(&coin, 500);
    let txid = nelumbo_crypto::lotus::Transaction::parse(&parent).expect("sound").txid(nelumbo_crypto::Suite::Lotus);
    let child = Owned { outpoint: OutPoint { txid, index: 0 }, output: coin.owner.output(999_500), owner: coin.owner };
    let request = |raw_txs: Vec<Vec<u8>>| BroadcastTxsRequest { raw_txs, skip_slp_check: true };
    let family = request(vec![parent.clone(), spend(&child, 500)]);
    let answer = post_message(address, "/broadcast-txs", &family).await.error();
    assert_eq!(answer, expected("bad-txns-inputs-missingorspent"));
    assert_eq!(server.with(|ledger| ledger.waiting().count()), 0);
    let too_little = post_message(address, "/broadcast-txs", &request(vec![spend(&coin, 161)])).await.error();
    assert_eq!(too_little, expected("min relay fee not met"), "the test says no numbers");
    let other = funded(&server, key_path(2), 2_000_000);
    let both = request(vec![parent, spend(&other, 400)]);
    let sent: BroadcastTxsResponse = post_message(address, "/broadcast-txs", &both).await.message();
    assert_eq!((sent.txids.len(), sent.txids[0].as_slice()), (2, txid.as_bytes().as_slice()));
    assert_eq!(server.with(|ledger| ledger.waiting().count()), 2);

    let body = broadcast(spend(&coin, 700));
    let body = prost::Message::encode_to_vec(&body);
    let error = |kind: Option<&'static str>, body: Vec<u8>| async move {
        let (status, code, msg, is_user_error) = post(address, "/broadcast-tx", kind, &body).await.error();
        assert!(!is_user_error, "the program is wrong, not its user");
        (status, code, msg)
    };
    let (status, code, msg) = error(Some("application/json"), body.clone()).await;
    assert_eq!((status, code.as_str()), (400, "wrong-content-type"));
    assert_eq!(msg, format!("Content-Type must be {CONTENT_TYPE}, got application/json"));
    let (status, code, _) = error(None, body).await;
    assert_eq!((status, code.as_str()), (400, "no-content-type-set"));
    let (status, code, _) = error(Some(CONTENT_TYPE), vec![0xff; 9]).await;
    assert_eq!((status, code.as_str()), (400, "bad-protobuf"));
    for (path, code, msg) in [
        ("/script/p2pkh/00/utxos", "invalid-script-payload-length", "length expected to be one of [20], got 1"),
        ("/script/p2pk/00/history", "invalid-script-payload-length", "length expected to be one of [33, 65], got 1"),
        ("/script/p2wpkh/00/utxos", "invalid-field", "Invalid script_type: p2wpkh"),
        ("/script/p2pkh/zz/utxos", "invalid-field", "Invalid payload: zz"),
    ] {
        let (status, found, text, _) = get(address, path).await.error();
        assert_eq!((status, found.as_str()), (400, code), "{path}");
        assert!(text.ends_with(msg), "{text}");
    }
    server.stop().await;
}

fn told_tx(of: fn(MsgTx) -> MsgType, txid: &[u8]) -> Told {
    Told::Message(of(MsgTx { txid: txid.to_vec() }))
}

#[tokio::test]
async fn subscribers_are_told_what_concerns_their_scripts() {
    let server = server().await;
    let address = server.address();
    let (alice, bob) = (key_path(1), Owner { number: 2, way: Way::KeyPath { state: true } });
    let coin = funded(&server, alice, 1_000_000);
    let mut subscriber = Subscriber::new(address).await;
    subscriber.settle().await;
    mine(&server, 1);
    subscriber.settle().await; // Nothing came: blocks are told to those who subscribe to a script.

    subscriber.subscribe("p2tr-commitment", &commitment(alice), true).await;
    subscriber.subscribe("p2tr-state", &[9; 32], true).await;
    let mut transaction = unsigned(&[&coin], vec![bob.output(900_000)]);
    sign(&mut transaction, &[&coin], LOTUS);
    let raw = transaction.to_bytes();
    let BroadcastTxResponse { txid } = post_message(address, "/broadcast-tx", &broadcast(raw)).await.message();
    let added = told_tx(MsgType::AddedToMempool, &txid);
    assert_eq!(subscriber.take(2).await, [added.clone(), added], "once for each script");

    mine(&server, 1);
    let hash = server.with(|ledger| ledger.tip().hash.as_bytes().to_vec());
    let confirmed = told_tx(MsgType::Confirmed, &txid);
    let connected = |hash: &[u8]| Told::Message(MsgType::BlockConnected(MsgBlock { block_hash: hash.to_vec() }));
    assert_eq!(subscriber.take(3).await, [connected(&hash), confirmed.clone(), confirmed]);

    subscriber.subscribe("p2tr-state", &[9; 32], false).await;
    let script = Ledger::faucet_script();
    server
        .apply(Operation::Reorganise { time: NOW, depth: 1, orphans: Orphans::Pending, script })
        .expect("deep enough");
    let told = subscriber.take(5).await;
    let disconnected = Told::Message(MsgType::BlockDisconnected(MsgBlock { block_hash: hash }));
    assert_eq!(told[..3], [disconnected, told_tx(MsgType::Reorg, &txid), told_tx(MsgType::AddedToMempool, &txid)]);
    assert!(told[3..].iter().all(|told| matches!(told, Told::Message(MsgType::BlockConnected(_)))));

    for (message, code) in [
        (tungstenite::Message::Text("p2pkh".into()), "unexpected-message-type"),
        (tungstenite::Message::Binary(vec![0xff; 3].into()), "internal-server-error"),
        (tungstenite::Message::Binary(vec![10, 1, b'x'].into()), "invalid-field"),
    ] {
        subscriber.send(message).await;
        assert_eq!(subscriber.next().await, Told::Error(code.to_owned()));
    }
    // Still there after its mistakes.
    mine(&server, 1);
    assert!(matches!(subscriber.next().await, Told::Message(MsgType::BlockConnected(_))));
    assert_eq!(subscriber.next().await, told_tx(MsgType::Confirmed, &txid));
    server.stop().await;
}

/// Who does not read loses the oldest, without a word, and hears of what comes later.
#[tokio::test]
async fn events_that_nobody_reads_are_dropped() {
    let mut few = settings();
    few.event_buffer = 4;
    let server = Server::start(few).await.expect("a free port");
    let mut subscriber = Subscriber::new(server.address()).await;
    let script = Ledger::faucet_script();
    subscriber.subscribe("p2pkh", &script[3..23], true).await;
    // One lock is held for all of it, so that the subscriber reads nothing meanwhile.
    mine(&server, 50);
    let told = subscriber.take(4).await;
    let last = server.with(|ledger| ledger.tip().hash.as_bytes().to_vec());
    assert!(told.contains(&Told::Message(MsgType::BlockConnected(MsgBlock { block_hash: last }))), "{told:?}");
    subscriber.settle().await;
    server.stop().await;
}

#[tokio::test]
async fn what_only_this_server_can_is_asked_for_in_json() {
    let server = server().await;
    let address = server.address();
    let script = key_path(1).script();
    let to = Address::from_script_pubkey(Network::Regtest, &script).expect("an address").to_string();
    let done = post_json(address, "/fund", &json!({ "address": to, "amount": 7_000_000 })).await.json();
    assert_eq!(done["height"], 121);
    let txid = done["txid"].as_str().expect("a text").to_owned();
    let tx: Tx = get(address, &format!("/tx/{txid}")).await.message();
    assert_eq!((tx.outputs[0].value, &tx.outputs[0].output_script), (7_000_000, &script));
    let done = post_json(address, "/mine", &json!({ "count": 2, "address": to, "time": NOW + 600 })).await.json();
    assert_eq!((done["height"].as_u64(), done["blocks"].as_array().map(Vec::len)), (Some(123), Some(2)));
    let done = post_json(address, "/reorganize", &json!({ "depth": 3, "orphans": "dropped" })).await.json();
    assert_eq!((done["height"].as_u64(), done["blocks"].as_array().map(Vec::len)), (Some(124), Some(4)));
    assert_eq!(get(address, &format!("/tx/{txid}")).await.status, 404);
    let status = get(address, "/ledger").await.json();
    assert_eq!(
        (status["height"].as_u64(), &status["taproot_active"], &status["replay_protected"]),
        (Some(124), &json!(true), &json!(false))
    );

    let mainnet = Address::from_script_pubkey(Network::Mainnet, &script).expect("an address").to_string();
    for (path, body, text) in [
        ("/fund", json!({ "address": mainnet, "amount": 1_000 }), "an address of mainnet is no good here"),
        ("/fund", json!({ "address": to, "amount": 1 }), "send at least 579 satoshi"),
        ("/fund", json!({ "address": to, "amount": u64::MAX }), "ask for less"),
        ("/fund", json!({ "address": to }), "missing field `amount`"),
        ("/mine", json!({ "count": 1_001 }), "ask for fewer"),
        ("/mine", json!({ "time": i64::MAX }), "give seconds since 1970"),
        ("/mine", json!({ "time": -1 }), "give seconds since 1970"),
        ("/reorganize", json!({ "time": 1i64 << 40 }), "give seconds since 1970"),
        ("/mine", json!({ "blocks": 1 }), "unknown field `blocks`"),
        ("/reorganize", json!({ "depth": 500 }), "replace at most those"),
    ] {
        let answer = post_json(address, path, &body).await;
        let error = answer.json()["error"].as_str().expect("a text").to_owned();
        assert!(answer.status == 400 && error.contains(text), "{path}: {error}");
    }
    // A web page cannot send JSON elsewhere without asking, and this server answers no such question.
    let simple = post(address, "/mine", Some("text/plain"), b"{}").await;
    assert_eq!((simple.status, server.with(Ledger::height)), (400, 124));
    server.stop().await;
}

#[tokio::test]
async fn a_body_a_connection_and_a_subscription_are_bounded() {
    let server = server().await;
    let address = server.address();
    let answer = post(address, "/broadcast-tx", Some(CONTENT_TYPE), &vec![0; 1_100_001]).await;
    assert_eq!(answer.status, 413);
    let many = ValidateUtxoRequest { outpoints: vec![OutPointMessage { txid: vec![1; 32], out_idx: 0 }; 10_001] };
    assert_eq!(post_message(address, "/validate-utxos", &many).await.error().1, "too-many");

    let mut subscriber = Subscriber::new(address).await;
    for number in 0..=10_000u32 {
        let payload = [&number.to_le_bytes()[..], &[0; 16]].concat();
        let subscription =
            nelumbo_chain::proto::Subscription { script_type: "p2pkh".into(), payload, is_subscribe: true };
        let bytes = prost::Message::encode_to_vec(&subscription);
        subscriber.send(tungstenite::Message::Binary(bytes.into())).await;
    }
    assert_eq!(subscriber.next().await, Told::Error("too-many".into()), "one more than ten thousand");
    drop(subscriber);

    // 256 connections that say nothing; the next one waits until one of them is gone.
    let mut silent = Vec::new();
    for _ in 0..256 {
        silent.push(TcpStream::connect(address).await.expect("it listens"));
    }
    let late = get(address, "/blockchain-info");
    tokio::pin!(late);
    let waits = tokio::time::timeout(Duration::from_millis(300), &mut late).await;
    assert!(waits.is_err(), "there is no room");
    silent.truncate(250);
    let answer = tokio::time::timeout(Duration::from_secs(20), late).await.expect("there is room again");
    assert_eq!(answer.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn it_mines_by_the_clock_when_asked() {
    let mut clock = settings();
    clock.interval = Some(Duration::from_millis(20));
    let server = Server::start(clock).await.expect("a free port");
    let mut subscriber = Subscriber::new(server.address()).await;
    subscriber.begin("p2pkh", &Ledger::faucet_script()[3..23], true).await;
    while server.with(Ledger::height) < 3 {
        subscriber.next().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_file_brings_the_ledger_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.jsonl");
    let mut kept = settings();
    kept.file = Some(path.clone());
    let server = Server::start(kept.clone()).await.expect("a new file");
    mine(&server, 120);
    let coin = funded(&server, key_path(1), 1_000_000);
    let waiting: BroadcastTxResponse =
        post_message(server.address(), "/broadcast-tx", &broadcast(spend(&coin, 500))).await.message();
    let refused = post_message(server.address(), "/broadcast-tx", &broadcast(spend(&coin, 600))).await;
    assert_eq!(refused.status, 400);
    let script = Ledger::faucet_script();
    server
        .apply(Operation::Reorganise { time: NOW, depth: 1, orphans: Orphans::Pending, script })
        .expect("deep enough");
    let seen = |server: &Server| {
        server.with(|ledger| (ledger.tip().hash, ledger.waiting().collect::<Vec<_>>(), ledger.money(), ledger.height()))
    };
    let before = seen(&server);
    assert_eq!((before.1.len(), before.1[1].as_bytes().as_slice()), (2, waiting.txid.as_slice()));

    let occupied = Server::start(kept.clone()).await.expect_err("another one has the file");
    assert!(occupied.to_string().contains("another ledger uses it"), "{occupied}");
    server.stop().await;

    // A crash in the middle of a line.
    let mut torn = std::fs::read(&path).expect("the file");
    let whole = torn.len();
    torn.extend_from_slice(br#"{"operation":"mine","time":1"#);
    std::fs::write(&path, &torn).expect("written");
    let server = Server::start(kept.clone()).await.expect("the same file");
    assert_eq!(seen(&server), before);
    assert_eq!(std::fs::metadata(&path).expect("the file").len(), whole as u64);
    mine(&server, 1);
    let before = seen(&server);
    server.stop().await;
    let server = Server::start(kept.clone()).await.expect("the same file");
    assert_eq!(seen(&server), before);
    server.stop().await;

    let mut other_rules = kept.clone();
    other_rules.rules.replay_protection = None;
    let error = Server::start(other_rules).await.expect_err("other rules");
    assert!(error.to_string().contains("other rules"), "{error}");
    std::fs::write(&path, "{\"nelumbo_ledger\":1}\n").expect("written");
    let error = Server::start(kept).await.expect_err("no ledger");
    assert!(matches!(error, ServerError::Content { .. }) && error.to_string().contains("line 1"), "{error}");
}
