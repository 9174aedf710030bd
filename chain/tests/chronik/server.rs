//! A Chronik server over a [`World`], which can also be down, behind, or a liar.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::ws::{Message as WsMessage, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use axum::{Router, body};
use nelumbo_chain::ScriptPayload;
use nelumbo_chain::chronik::{ChronikClient, ChronikConfig};
use nelumbo_chain::crypto::lotus::{OutPoint, Transaction, Txid};
use nelumbo_chain::crypto::{Entropy, Network};
use nelumbo_chain::proto::{self, MsgType};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::world::{World, txid};

/// Changes the body of an answer to this path.
pub(crate) type Lie = Arc<dyn Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync>;

pub(crate) struct Inner {
    world: Arc<Mutex<World>>,
    /// What this server sees when it is behind.
    frozen: Mutex<Option<World>>,
    lie: Mutex<Option<Lie>>,
    is_up: watch::Sender<bool>,
    events: broadcast::Sender<Vec<u8>>,
    pub(crate) requests: AtomicUsize,
    pub(crate) sockets: AtomicUsize,
    /// What is answered to broadcasts, if not what is true.
    pub(crate) refusal: Mutex<Option<proto::Error>>,
}

/// A running server. It ends when this is dropped.
pub(crate) struct Fake {
    pub(crate) inner: Arc<Inner>,
    pub(crate) url: String,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Several servers over one world.
pub(crate) struct Servers {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) all: Vec<Fake>,
}

impl Servers {
    pub(crate) async fn start(world: World, count: usize) -> Self {
        let world = Arc::new(Mutex::new(world));
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Fake::start(world.clone()).await);
        }
        Self { world, all }
    }

    pub(crate) fn config(&self) -> ChronikConfig {
        let mut config = ChronikConfig::new(Network::Regtest, self.all.iter().map(|fake| fake.url.clone()));
        config.backoff = std::time::Duration::from_millis(10);
        config.max_backoff = std::time::Duration::from_millis(40);
        config.poll_interval = std::time::Duration::from_millis(200);
        config
    }

    pub(crate) fn client(&self) -> ChronikClient {
        client(self.config())
    }

    /// Changes the world, and says so on all sockets.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world.lock().expect("no test panics here"));
        let message =
            proto::SubscribeMsg { msg_type: Some(MsgType::AddedToMempool(proto::MsgTx { txid: vec![0; 32] })) };
        for fake in &self.all {
            let _ = fake.inner.events.send(message.encode_to_vec());
        }
        result
    }
}

pub(crate) fn client(config: ChronikConfig) -> ChronikClient {
    ChronikClient::new(config, Entropy::new([5; 32]).expect("the seed is not zero")).expect("the configuration is good")
}

impl Fake {
    pub(crate) async fn start(world: Arc<Mutex<World>>) -> Self {
        let inner = Arc::new(Inner {
            world,
            frozen: Mutex::new(None),
            lie: Mutex::new(None),
            is_up: watch::Sender::new(true),
            events: broadcast::channel(16).0,
            requests: AtomicUsize::new(0),
            sockets: AtomicUsize::new(0),
            refusal: Mutex::new(None),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let router = Router::new().route("/ws", get(socket)).fallback(http).with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { inner, url, task }
    }

    pub(crate) fn set_up(&self, is_up: bool) {
        self.inner.is_up.send_replace(is_up);
    }

    /// From now on it sees nothing new, or everything again.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        let world = self.inner.world.lock().expect("no test panics here").clone();
        *self.inner.frozen.lock().expect("no test panics here") = is_frozen.then_some(world);
    }

    pub(crate) fn lie(&self, lie: Option<Lie>) {
        *self.inner.lie.lock().expect("no test panics here") = lie;
    }

    pub(crate) fn send(&self, message: Vec<u8>) {
        let _ = self.inner.events.send(message);
    }
}

/// A lie in one kind of message.
pub(crate) fn falsify<M: Message + Default>(
    path: &'static str,
    change: impl Fn(&mut M) + Send + Sync + 'static,
) -> Lie {
    Arc::new(move |asked, body| {
        if !asked.starts_with(path) {
            return body;
        }
        let mut message = M::decode(&body[..]).expect("the server's own message");
        change(&mut message);
        message.encode_to_vec()
    })
}

async fn http(State(inner): State<Arc<Inner>>, request: Request) -> Response<Body> {
    inner.requests.fetch_add(1, Ordering::Relaxed);
    let respond = |status: StatusCode, kind: &str, body: Vec<u8>| {
        Response::builder().status(status).header("Content-Type", kind).body(Body::from(body)).expect("it is one")
    };
    if !*inner.is_up.borrow() {
        return respond(StatusCode::BAD_GATEWAY, "text/html", b"<html>down</html>".to_vec());
    }
    let (parts, sent) = request.into_parts();
    let sent = body::to_bytes(sent, 10_000_000).await.unwrap_or_default();
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    let answer = {
        let frozen = inner.frozen.lock().expect("no test panics here");
        let mut world = inner.world.lock().expect("no test panics here");
        let mut frozen = frozen.clone();
        answer(&inner, frozen.as_mut().unwrap_or(&mut world), &path, &query, &sent)
    };
    match answer {
        Ok(body) => {
            let lie = inner.lie.lock().expect("no test panics here").clone();
            let body = lie.map_or_else(|| body.clone(), |lie| lie(&path, body.clone()));
            let kind = if path.starts_with("/raw-tx/") { "application/octet-stream" } else { proto::CONTENT_TYPE };
            respond(StatusCode::OK, kind, body)
        }
        Err((status, error)) => {
            let status = StatusCode::from_u16(status).expect("it is one");
            respond(status, proto::CONTENT_TYPE, error.encode_to_vec())
        }
    }
}

type Answer = Result<Vec<u8>, (u16, proto::Error)>;

fn error(status: u16, code: &str, msg: &str) -> (u16, proto::Error) {
    (status, proto::Error { error_code: code.to_owned(), msg: msg.to_owned(), is_user_error: status < 500 })
}

fn answer(inner: &Inner, world: &mut World, path: &str, query: &str, sent: &Bytes) -> Answer {
    let not_found = |what: &str| error(404, &format!("{what}-not-found"), "Not found");
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let find = |world: &World, text: &str| -> Result<(Transaction, Option<u32>), (u16, proto::Error)> {
        let txid: Txid = text.parse().map_err(|_| error(400, "invalid-field", "Invalid txid"))?;
        world.find(txid).map(|(each, height)| (each.clone(), height)).ok_or(not_found("tx"))
    };
    match parts[..] {
        ["blockchain-info"] => Ok(world.message_tip().encode_to_vec()),
        ["tx", id] => {
            let (transaction, height) = find(world, id)?;
            Ok(world.message(&transaction, height).encode_to_vec())
        }
        ["raw-tx", id] => Ok(find(world, id)?.0.to_bytes()),
        ["block", id] => {
            let by_hash = || {
                let hash: Txid = id.parse().ok()?;
                world.blocks.iter().position(|block| block.hash == *hash.as_bytes())
            };
            let height = id.parse::<usize>().ok().or_else(by_hash).filter(|height| *height < world.blocks.len());
            Ok(world.message_block(height.ok_or(not_found("block"))? as u32).encode_to_vec())
        }
        ["blocks", first, last] => {
            let [first, last] = [first, last].map(|text| text.parse::<u32>().expect("the client writes numbers"));
            let blocks = (first..=last.min(world.height())).map(|height| world.message_info(height)).collect();
            Ok(proto::Blocks { blocks }.encode_to_vec())
        }
        ["script", kind, payload, what] => {
            let payload = hex::decode(payload).expect("the client writes hexadecimal");
            let script = ScriptPayload::parse(kind, &payload)
                .map_err(|_| error(400, "invalid-script-payload-length", "Invalid payload"))?;
            if what == "utxos" {
                return Ok(world.message_utxos(&script).encode_to_vec());
            }
            let number = |name: &str| -> usize {
                let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
                found.expect("the client gives it").parse().expect("the client writes numbers")
            };
            let (page, size) = (number("page"), number("page_size"));
            let all = world.history(&script);
            let txs = all.iter().skip(page * size).take(size);
            let txs = txs.map(|(each, height)| world.message(each, *height)).collect();
            Ok(proto::TxHistoryPage { txs, num_pages: all.len().div_ceil(size) as u32 }.encode_to_vec())
        }
        ["validate-utxos"] => {
            let request = proto::ValidateUtxoRequest::decode(&sent[..]).expect("the client's own message");
            let states = request.outpoints.iter().map(|outpoint| {
                let txid = Txid::from_bytes(outpoint.txid[..].try_into().expect("32 bytes"));
                world.message_state(OutPoint { txid, index: outpoint.out_idx })
            });
            Ok(proto::ValidateUtxoResponse { utxo_states: states.collect() }.encode_to_vec())
        }
        ["broadcast-tx"] => {
            let request = proto::BroadcastTxRequest::decode(&sent[..]).expect("the client's own message");
            let txid = take(inner, world, &request.raw_tx)?;
            Ok(proto::BroadcastTxResponse { txid }.encode_to_vec())
        }
        ["broadcast-txs"] => {
            let request = proto::BroadcastTxsRequest::decode(&sent[..]).expect("the client's own message");
            let txids = request.raw_txs.iter().map(|raw| take(inner, world, raw)).collect::<Result<_, _>>()?;
            Ok(proto::BroadcastTxsResponse { txids }.encode_to_vec())
        }
        _ => Err(error(404, "", "")),
    }
}

fn take(inner: &Inner, world: &mut World, raw: &[u8]) -> Result<Vec<u8>, (u16, proto::Error)> {
    if let Some(refusal) = inner.refusal.lock().expect("no test panics here").clone() {
        return Err((if refusal.is_user_error { 400 } else { 500 }, refusal));
    }
    let transaction = Transaction::parse(raw).map_err(|_| error(400, "invalid-tx-encoding", "Invalid tx encoding"))?;
    let id = txid(&transaction);
    let refuse = |text: &str| error(400, "bitcoind-rejected-tx", &format!("Bitcoind rejected tx: {text}"));
    match world.find(id) {
        Some((_, Some(_))) => return Err(refuse("Transaction already in block chain")),
        Some((_, None)) => return Ok(id.as_bytes().to_vec()),
        None => {}
    }
    for input in &transaction.inputs {
        if world.find(input.outpoint.txid).is_none() {
            return Err(refuse("bad-txns-inputs-missingorspent"));
        }
        if world.spender(input.outpoint).is_some() {
            return Err(refuse("txn-mempool-conflict"));
        }
    }
    world.mempool.push(transaction);
    Ok(id.as_bytes().to_vec())
}

async fn socket(State(inner): State<Arc<Inner>>, upgrade: WebSocketUpgrade) -> Response<Body> {
    if !*inner.is_up.borrow() {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).expect("it is one");
    }
    upgrade.on_upgrade(move |socket| talk(inner, socket))
}

/// Nothing is said before the first subscription, as by the real server.
async fn talk(inner: Arc<Inner>, mut socket: WebSocket) {
    inner.sockets.fetch_add(1, Ordering::Relaxed);
    let (mut events, mut is_up) = (inner.events.subscribe(), inner.is_up.subscribe());
    let mut is_subscribed = false;
    loop {
        tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(WsMessage::Binary(bytes))) => {
                    let subscription = proto::Subscription::decode(&bytes[..]).expect("the client's own message");
                    ScriptPayload::parse(&subscription.script_type, &subscription.payload).expect("it is a good one");
                    is_subscribed = true;
                }
                Some(Ok(_)) => {}
                _ => return,
            },
            event = events.recv(), if is_subscribed => {
                if let Ok(event) = event
                    && socket.send(WsMessage::Binary(event.into())).await.is_err()
                {
                    return;
                }
            }
            () = async { drop(is_up.wait_for(|is_up| !is_up).await.map(drop)) } => return,
        }
    }
}
