//! A peer on js-libp2p in a process of its own, and networks of ours to talk to it.
//!
//! Owns how both are driven. Invariant: each side runs by itself, so that nothing here happens only because a test
//! looks at it; a test waits for what it looks for, and fails when that does not happen within [`PATIENCE`].

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nelumbo_tokio::metrics::Metrics;
use nelumbo_tokio::network::{Network, NetworkConfig, NetworkEvent, Verdict};
use nelumbo_tokio::{Multiaddr, PeerId};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// How long anything may take. Only a failure takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at what somebody else does.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(crate) const WEBSOCKET: &str = "/ip4/127.0.0.1/tcp/0/ws";

/// Waits until something is true.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let reached = async {
        while !is_so().await {
            sleep(PAUSE).await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Whether an address is one of WebSocket.
pub(crate) fn is_websocket(address: &str) -> bool {
    address.trim_matches('"').split('/').any(|part| part == "ws")
}

type Answers = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// A peer on js-libp2p. What it can be asked is listed in `tests/js-libp2p/peer.mjs`.
pub(crate) struct JsPeer {
    requests: tokio::sync::Mutex<(ChildStdin, u64)>,
    answers: Answers,
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    // Killed when dropped.
    _process: Child,
}

impl JsPeer {
    /// Starts a peer on one of the two sets of versions, `old` and `new`.
    pub(crate) async fn start(set: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("js-libp2p");
        assert!(folder.join(set).join("node_modules").is_dir(), "run `npm ci` in tests/js-libp2p/{set} first");
        let mut process = Command::new("node")
            .arg(folder.join("peer.mjs"))
            .arg(set)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js is installed");
        let requests = process.stdin.take().expect("piped");
        let answers = Answers::default();
        tokio::spawn(read_answers(process.stdout.take().expect("piped"), answers.clone()));
        let mut this = Self {
            requests: tokio::sync::Mutex::new((requests, 0)),
            answers,
            peer: PeerId::random(),
            addresses: Vec::new(),
            _process: process,
        };
        let info = this.ask(json!({"op": "info"})).await;
        this.peer = text(&info["peer"]).parse().expect("a peer id");
        this.addresses =
            list(&info["addresses"]).iter().map(|address| text(address).parse().expect("an address")).collect();
        this
    }

    pub(crate) fn peer(&self) -> PeerId {
        self.peer
    }

    /// Where it listens, with its peer id.
    pub(crate) fn address(&self, websocket: bool) -> Multiaddr {
        let address = self.addresses.iter().find(|address| is_websocket(&address.to_string()) == websocket);
        address.expect("it listens on both").clone()
    }

    /// Asks for something and waits for the answer.
    pub(crate) async fn ask(&self, mut request: Value) -> Value {
        let (sender, answer) = oneshot::channel();
        {
            let mut requests = self.requests.lock().await;
            requests.1 += 1;
            request["id"] = requests.1.into();
            self.answers.lock().expect("nobody panics with it").insert(requests.1, sender);
            let line = format!("{request}\n");
            requests.0.write_all(line.as_bytes()).await.expect("the peer reads");
        }
        let answer = timeout(PATIENCE, answer).await.expect("an answer in time").expect("the peer answers");
        assert!(answer.get("error").is_none(), "{} of {}: {answer}", request["op"], self.peer);
        answer
    }

    /// Its connections with a peer.
    pub(crate) async fn connections(&self, peer: PeerId) -> Vec<Value> {
        let state = self.ask(json!({"op": "connections"})).await;
        let peer = peer.to_string();
        list(&state["connections"]).iter().filter(|connection| connection["peer"] == peer).cloned().collect()
    }

    /// Whether it would ask this peer about the DHT.
    pub(crate) async fn routes(&self, peer: PeerId) -> bool {
        self.ask(json!({"op": "routes", "peer": peer.to_string()})).await["known"] == true
    }

    pub(crate) async fn dial(&self, address: &Multiaddr) {
        self.ask(json!({"op": "dial", "address": address.to_string()})).await;
    }

    /// Puts a record, and returns how many nodes said that they have stored it.
    pub(crate) async fn put(&self, key: &str, value: &[u8]) -> u64 {
        let put = self.ask(json!({"op": "put", "key": key, "value": hex::encode(value)})).await;
        put["acknowledged"].as_u64().expect("a number")
    }

    pub(crate) async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let got = self.ask(json!({"op": "get", "key": key})).await;
        got["value"].as_str().map(|value| hex::decode(value).expect("hex"))
    }

    pub(crate) async fn subscribe(&self, topic: &str) {
        self.ask(json!({"op": "subscribe", "topic": topic})).await;
    }

    /// Whether it knows that a neighbour subscribes to a topic.
    pub(crate) async fn knows_subscriber(&self, topic: &str, peer: PeerId) -> bool {
        let subscribers = self.ask(json!({"op": "subscribers", "topic": topic})).await;
        list(&subscribers["peers"]).contains(&json!(peer.to_string()))
    }

    pub(crate) async fn publish(&self, topic: &str, payload: &[u8]) {
        let published = self.ask(json!({"op": "publish", "topic": topic, "payload": hex::encode(payload)})).await;
        assert_ne!(published["recipients"], 0, "nobody was sent the message");
    }

    /// The gossip that it has heard since the last time.
    pub(crate) async fn heard(&self) -> Vec<(String, Vec<u8>)> {
        let heard = self.ask(json!({"op": "heard"})).await;
        list(&heard["messages"]).iter().map(|one| (text(&one["topic"]), payload(one))).collect()
    }

    /// Sends direct messages, each on a stream of its own, and waits until all are acknowledged.
    pub(crate) async fn send(&self, peer: PeerId, payloads: &[Vec<u8>]) {
        let payloads: Vec<String> = payloads.iter().map(hex::encode).collect();
        self.ask(json!({"op": "send", "peer": peer.to_string(), "payloads": payloads})).await;
    }

    /// The direct messages that it has received from a peer since the last time.
    pub(crate) async fn received(&self) -> Vec<Vec<u8>> {
        let received = self.ask(json!({"op": "received"})).await;
        list(&received["messages"]).iter().map(payload).collect()
    }
}

async fn read_answers(output: ChildStdout, answers: Answers) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(id) = answer["id"].as_u64() else { break };
        if let Some(waiting) = answers.lock().expect("nobody panics with it").remove(&id) {
            // Whoever asked may have stopped to wait.
            let _ = waiting.send(answer);
        }
    }
    // Nothing more comes, or what is no answer to any request: nobody waits for it in vain.
    answers.lock().expect("nobody panics with it").clear();
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn payload(message: &Value) -> Vec<u8> {
    hex::decode(text(&message["payload"])).expect("hex")
}

type Request = Box<dyn FnOnce(&mut Network) + Send>;

/// A network of ours that takes every record and every gossip message, whatever it says.
pub(crate) struct Plain {
    requests: mpsc::UnboundedSender<Request>,
    events: mpsc::UnboundedReceiver<NetworkEvent>,
    pub(crate) peer: PeerId,
    /// Where it listens, with its peer id.
    pub(crate) address: Multiaddr,
}

impl Plain {
    pub(crate) async fn start(config: NetworkConfig) -> Self {
        let config = config.listen_on(TCP.parse().expect("an address")).query_timeout(PATIENCE / 3);
        let network = Network::new(config, Metrics::new()).expect("a network");
        let peer = network.local_peer();
        let (requests, asked) = mpsc::unbounded_channel();
        let (happened, events) = mpsc::unbounded_channel();
        tokio::spawn(run(network, asked, happened));
        let mut this = Self { requests, events, peer, address: Multiaddr::empty() };
        let address = this
            .find("a listener", |event| match event {
                NetworkEvent::Listening { address } => Some(address.clone()),
                _ => None,
            })
            .await;
        this.address = address.with_p2p(peer).expect("no peer id yet");
        this
    }

    /// Does something with the network.
    pub(crate) async fn with<T: Send + 'static>(&self, act: impl FnOnce(&mut Network) -> T + Send + 'static) -> T {
        let (sender, done) = oneshot::channel();
        let request: Request = Box::new(move |network| drop(sender.send(act(network))));
        assert!(self.requests.send(request).is_ok(), "the network runs");
        done.await.expect("the network runs")
    }

    /// Waits for an event, past all others.
    pub(crate) async fn find<T>(&mut self, what: &str, mut look: impl FnMut(&NetworkEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = look(&event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("in vain: {what}"))
    }
}

/// Ends when nobody can ask any more.
async fn run(
    mut network: Network,
    mut asked: mpsc::UnboundedReceiver<Request>,
    happened: mpsc::UnboundedSender<NetworkEvent>,
) {
    loop {
        tokio::select! {
            request = asked.recv() => match request {
                Some(request) => request(&mut network),
                None => return,
            },
            event = network.next() => {
                match &event {
                    NetworkEvent::InboundRecord { id, value, .. } => {
                        let life = Duration::from_secs(3600);
                        assert!(network.store_inbound(*id, value.clone(), life), "there is room");
                    }
                    NetworkEvent::Gossip { id, .. } => {
                        network.report_gossip(*id, Verdict::Accept);
                    }
                    _ => {}
                }
                // The test may have seen enough.
                let _ = happened.send(event);
            }
        }
    }
}
