//! The host of the npm package, on js-libp2p over WebSocket: each node is a process of Node.js, and inputs and outputs
//! are lines of the JSON that bindings have.
//!
//! A client of the DHT: it keeps records for nobody, so that what is promised about those is for others. Needs Node.js
//! and `bindings/js/build.sh`. Driven by the promises.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use nelumbo_core::api::{Event, GossipId, Input, RecordSequence, SignRequest, Subnet, Topic, Verdict};
use nelumbo_core::base::Bytes;
use nelumbo_core::host::Host;
use nelumbo_core::wire::{Address, PeerId};
use nelumbo_ffi::shapes;
use serde_json::{Value, json};

use crate::nodes::{Shape, Wire};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bindings/js/test/host.mjs");

pub(crate) struct JsLibp2p {
    nodes: Vec<Node>,
    tell: Sender<Told>,
    told: Receiver<Told>,
}

/// By which life of which node.
type Told = (usize, u32, Input);

struct Node {
    life: u32,
    process: Child,
    asked: ChildStdin,
    peer: PeerId,
    /// What the next life begins with.
    options: Value,
}

impl Node {
    fn start(node: usize, life: u32, options: &Value, tell: Sender<Told>) -> Self {
        let mut process = Command::new("node")
            .args([SCRIPT, &options.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js is installed");
        let asked = process.stdin.take().expect("piped");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut next = move || serde_json::from_str(&lines.next()?.ok()?).ok();
        let started: Value = next().expect("bindings/js/build.sh has been run");
        let peer: shapes::Peer = serde_json::from_value(started["peer"].clone()).expect("a peer id");
        thread::spawn(move || {
            while let Some(value) = next() {
                let input: shapes::Input = serde_json::from_value(value).expect("inputs are as the shapes say");
                if tell.send((node, life, input.into())).is_err() {
                    break;
                }
            }
        });
        let options = json!({"listen": started["listening"], "identity": started["identity"]});
        Self { life, process, asked, peer: peer.into(), options }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_gone = self.process.wait();
    }
}

impl Wire for JsLibp2p {
    fn start(shape: Shape, count: usize) -> Self {
        assert_eq!(shape, Shape::Line, "clients store no records for each other");
        let (tell, told) = mpsc::channel();
        let options = json!({"listen": ["/ip4/127.0.0.1/tcp/0/ws"]});
        let nodes = (0..count).map(|node| Node::start(node, 0, &options, tell.clone())).collect();
        Self { nodes, tell, told }
    }

    fn peer(&self, node: usize) -> PeerId {
        self.nodes[node].peer
    }

    fn subnet(&self, _: usize) -> Option<Subnet> {
        None
    }

    fn act(&mut self, node: usize, act: impl FnOnce(&mut dyn Host)) {
        act(&mut Desk(&mut self.nodes[node].asked));
    }

    fn next(&mut self, patience: Duration) -> Option<(usize, Input)> {
        loop {
            let (node, life, input) = self.told.recv_timeout(patience).ok()?;
            if self.nodes[node].life == life {
                return Some((node, input));
            }
        }
    }

    fn stop(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.life += 1;
        node.process.kill().expect("it runs");
        node.process.wait().expect("it ends");
    }

    fn restart(&mut self, node: usize) {
        let Node { life, options, .. } = &self.nodes[node];
        self.nodes[node] = Node::start(node, *life, options, self.tell.clone());
    }
}

/// What the host is asked for, as a machine of the bindings would ask.
struct Desk<'a>(&'a mut ChildStdin);

impl Desk<'_> {
    fn ask(&mut self, output: Value) {
        writeln!(self.0, "{output}").expect("the node runs");
    }
}

fn name(peer: PeerId) -> String {
    shapes::Peer::from(peer).to_string()
}

impl Host for Desk<'_> {
    fn send(&mut self, to: PeerId, bytes: Bytes) {
        self.ask(json!({"type": "send", "peer": name(to), "bytes": hex::encode(bytes)}));
    }

    fn subscribe(&mut self, topic: Topic) {
        self.ask(json!({"type": "subscribe", "topic": topic.as_str()}));
    }

    fn unsubscribe(&mut self, topic: Topic) {
        self.ask(json!({"type": "unsubscribe", "topic": topic.as_str()}));
    }

    fn publish(&mut self, topic: Topic, bytes: Bytes) {
        self.ask(json!({"type": "publish", "topic": topic.as_str(), "bytes": hex::encode(bytes)}));
    }

    fn verdict(&mut self, id: GossipId, verdict: Verdict) {
        self.ask(json!({"type": "verdict", "id": id.0, "verdict": shapes::Verdict::from(verdict)}));
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Address>) {
        let addresses: Vec<_> = addresses.iter().map(|address| hex::encode(address.as_bytes())).collect();
        self.ask(json!({"type": "dial", "peer": name(peer), "addresses": addresses}));
    }

    fn ban(&mut self, peer: PeerId) {
        self.ask(json!({"type": "ban", "peer": name(peer)}));
    }

    fn unban(&mut self, peer: PeerId) {
        self.ask(json!({"type": "unban", "peer": name(peer)}));
    }

    // A node's disk, its signer and its owner are not the network's.
    fn persist(&mut self, _: RecordSequence, _: Vec<u8>, _: Option<Vec<u8>>) {}
    fn sign(&mut self, _: SignRequest) {}
    fn event(&mut self, _: Event) {}
}
