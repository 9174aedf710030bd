//! Nodes as processes, connected with each other, and a ledger behind the endpoints of Chronik that they ask.
//!
//! Owns their folders and processes. Invariant: the nodes find each other through one that is never killed and holds no
//! money, so that each of the others may be.

use std::fs;

use nelumbo_chain::ledger::{Ledger, Operation, Outcome, Server, Settings};
use nelumbo_core::crypto::Network;
use nelumbo_core::crypto::lotus::{Address, Payload};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::node::Node;

/// The hash of the key that is paid.
pub const BOB: [u8; 20] = [0xb0; 20];

/// Where it is paid.
pub fn bob() -> String {
    Address { network: Network::Regtest, payload: Payload::PublicKeyHash(BOB) }.to_string()
}

/// See the module's documentation.
pub struct World {
    pub nodes: Vec<Node>,
    pub server: Server,
    pub folder: TempDir,
    /// The server is on it.
    _runtime: Runtime,
    _hub: Node,
}

impl World {
    pub fn start(count: usize) -> Self {
        Self::start_behind(count, str::to_owned)
    }

    /// The same with nodes that ask another server, which is made of the ledger's URL.
    pub fn start_behind(count: usize, server_of: impl Fn(&str) -> String) -> Self {
        Self::start_with(count, server_of, "")
    }

    /// The same with more in config.toml.
    pub fn start_with(count: usize, server_of: impl Fn(&str) -> String, more: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let mut settings = Settings::default();
        // Whatever the date is: the ledger follows the network's upgrades.
        settings.rules.replay_protection = None;
        let server = runtime.block_on(Server::start(settings)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut hub = Node::init(&folder.path().join("hub"), &[]);
        let through = hub.start();
        let start = |number: usize| {
            let mut node = Node::init(&folder.path().join(number.to_string()), &["--bootstrap", &through]);
            let config = node.folder.join("config.toml");
            let text = fs::read_to_string(&config).unwrap();
            let url = server_of(&server.url());
            fs::write(&config, format!("{text}\nchain = {{ servers = [\"{url}\"] }}\n{more}\n")).unwrap();
            node.start();
            node
        };
        let nodes: Vec<Node> = (0..count).map(start).collect();
        let world = Self { nodes, server, folder, _runtime: runtime, _hub: hub };
        world.nodes.iter().for_each(|node| world.wait_for_others(node));
        world
    }

    /// Waits until a node is connected with all others.
    pub fn wait_for_others(&self, node: &Node) {
        let others = self.nodes.iter().filter(|other| other.key != node.key);
        node.wait_for_signers(&others.map(|other| other.key.as_str()).collect::<Vec<_>>());
    }

    /// Kills a node as the system kills one, and starts it again.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
        self.nodes[node].start();
    }

    /// Stops the ledger's server. The nodes go on, as long as what is returned with them.
    pub fn stop_server(self) -> (Vec<Node>, (TempDir, Node)) {
        let Self { nodes, server, folder, _runtime, _hub } = self;
        _runtime.block_on(server.stop());
        (nodes, (folder, _hub))
    }

    pub fn mine(&self, count: u32) {
        let operation = Operation::Mine { time: self.server.time(), count, script: Ledger::faucet_script() };
        self.server.apply(operation).unwrap();
    }

    /// Pays an address. Where: transaction and index.
    pub fn fund(&self, address: &str, value: u64) -> String {
        let script = address.parse::<Address>().unwrap().script_pubkey();
        let operation = Operation::Fund { time: self.server.time(), script, value };
        let Ok(Outcome::Transaction(txid)) = self.server.apply(operation) else { panic!("the faucet pays") };
        format!("{txid}:0")
    }

    /// The first node makes a group by the names of the others, who import it. Its address.
    pub fn group(&self, more: &[&str]) -> String {
        let [first, others @ ..] = &self.nodes[..] else { panic!("nodes") };
        let names: Vec<String> = (1..self.nodes.len()).map(|number| format!("member-{number}")).collect();
        for (name, other) in names.iter().zip(others) {
            assert_eq!(first.run(&["contact", "add", name, &other.key]).status, 0);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let made = first.json(&[&["group", "create", "family"], &names[..], more].concat());
        let file = self.folder.path().join("family.json");
        fs::write(&file, first.run(&["group", "export", "family"]).stdout).unwrap();
        for other in others {
            let imported = other.json(&["group", "import", file.to_str().unwrap(), "--yes"]);
            assert_eq!((&imported["id"], &imported["address"]), (&made["id"], &made["address"]));
        }
        made["address"].as_str().unwrap().to_owned()
    }
}
