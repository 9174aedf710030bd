//! The network that production uses: each node is a [`Libp2pHost`] of its own on libp2p.
//!
//! Invariant: nothing happens in any of them but while somebody waits. Driven by the promises.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures::future::{FutureExt, select_all};
use nelumbo_core::api::{Input, Subnet};
use nelumbo_core::host::Host;
use nelumbo_core::wire::PeerId;
use nelumbo_tokio::identity::Keypair;
use nelumbo_tokio::journal::Journal;
use nelumbo_tokio::metrics::Metrics;
use nelumbo_tokio::network::{Network, NetworkConfig};
use nelumbo_tokio::{Libp2pHost, Multiaddr};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};
use tokio::sync::broadcast;

use crate::nodes::{Shape, Wire};

/// In this process's memory, or over TCP on loopback.
pub(crate) struct Libp2p<const IN_MEMORY: bool> {
    // Before the runtime: what it holds ends inside of it.
    nodes: Vec<Node>,
    runtime: Runtime,
}

struct Node {
    identity: Keypair,
    shape: Shape,
    listen: Multiaddr,
    host: Option<Libp2pHost>,
    /// The journal's.
    folder: Option<TempDir>,
}

impl Node {
    fn start(&mut self) {
        let config = match self.shape {
            // Clients are in nobody's routing table, so that there are no connections but those that are asked for.
            Shape::Line => NetworkConfig::wallet(),
            Shape::Crowd => NetworkConfig::full(),
        };
        let config = config.identity(self.identity.clone()).listen_on(self.listen.clone());
        let (metrics, folder) = (Metrics::new(), tempfile::tempdir().expect("a folder"));
        let (journal, _) = Journal::open(folder.path(), &metrics).expect("a journal");
        let network = Network::new(config, metrics).expect("a network");
        self.host = Some(Libp2pHost::new(network, journal, broadcast::channel(16).0));
        self.folder = Some(folder);
    }

    fn host(&mut self) -> &mut Libp2pHost {
        self.host.as_mut().expect("the node is running")
    }
}

impl<const IN_MEMORY: bool> Wire for Libp2p<IN_MEMORY> {
    fn start(shape: Shape, count: usize) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let guard = runtime.enter();
        let listen: Multiaddr =
            if IN_MEMORY { "/memory/0" } else { "/ip4/127.0.0.1/tcp/0" }.parse().expect("an address");
        let mut nodes: Vec<_> = (0..count)
            .map(|_| {
                let (identity, listen) = (Keypair::generate_ed25519(), listen.clone());
                Node { identity, shape, listen, host: None, folder: None }
            })
            .collect();
        nodes.iter_mut().for_each(Node::start);
        drop(guard);
        Self { nodes, runtime }
    }

    fn peer(&self, node: usize) -> PeerId {
        let peer = self.nodes[node].identity.public().to_peer_id();
        PeerId::from_bytes(&peer.to_bytes()).expect("libp2p's names are short enough")
    }

    fn subnet(&self, _: usize) -> Option<Subnet> {
        (!IN_MEMORY).then(|| IpAddr::V4(Ipv4Addr::LOCALHOST).into())
    }

    fn act(&mut self, node: usize, act: impl FnOnce(&mut dyn Host)) {
        let _inside = self.runtime.enter();
        act(self.nodes[node].host());
    }

    fn next(&mut self, patience: Duration) -> Option<(usize, Input)> {
        let Self { nodes, runtime } = self;
        runtime.block_on(async {
            let running = nodes.iter_mut().enumerate().filter_map(|(index, node)| Some((index, node.host.as_mut()?)));
            let next = running.map(|(index, host)| async move { (index, host.next().await) }.boxed_local());
            tokio::time::timeout(patience, select_all(next)).await.ok().map(|(told, _, _)| told)
        })
    }

    fn stop(&mut self, node: usize) {
        let _inside = self.runtime.enter();
        let host = self.nodes[node].host.take().expect("the node is running");
        self.nodes[node].listen = host.network().listeners().next().expect("it listens").clone();
    }

    fn restart(&mut self, node: usize) {
        let _inside = self.runtime.enter();
        self.nodes[node].start();
    }
}

impl<const IN_MEMORY: bool> Drop for Libp2p<IN_MEMORY> {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.nodes.clear();
    }
}
