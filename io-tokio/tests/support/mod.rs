//! Several networks in one process, driven together.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::time::Duration;

use futures::{FutureExt, future::select_all};
use libp2p::{Multiaddr, PeerId};
use nelumbo_tokio::{
    metrics::Metrics,
    network::{Network, NetworkConfig, NetworkEvent},
};

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";

pub fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

/// A group of networks. Nothing happens in any of them unless the test waits for something.
#[derive(Default)]
pub struct Group {
    pub networks: Vec<Network>,
}

impl Group {
    pub fn add(&mut self, config: NetworkConfig) -> usize {
        self.networks.push(Network::new(config, Metrics::new()).expect("a network"));
        self.networks.len() - 1
    }

    /// Adds a network that listens, and returns its full address.
    pub async fn listen(&mut self, config: NetworkConfig, on: &str) -> (usize, Multiaddr) {
        let index = self.add(config.listen_on(address(on)));
        let address = self
            .find(|at, event| match event {
                NetworkEvent::Listening { address } if at == index => Some(address.clone()),
                _ => None,
            })
            .await;
        let peer = self.peer(index);
        (index, address.with_p2p(peer).expect("no peer id yet"))
    }

    pub fn peer(&self, index: usize) -> PeerId {
        self.networks[index].local_peer()
    }

    /// The next event of any network.
    pub async fn next(&mut self) -> (usize, NetworkEvent) {
        let next = self.networks.iter_mut().map(|network| network.next().boxed_local());
        let (event, index, _) = select_all(next).await;
        (index, event)
    }

    /// Waits until some event is what the test looks for.
    pub async fn find<T>(&mut self, mut look: impl FnMut(usize, &NetworkEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let (index, event) = self.next().await;
                if let Some(found) = look(index, &event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it happens in time")
    }

    /// Waits until something is true of the whole group.
    pub async fn until(&mut self, mut done: impl FnMut(&mut [Network]) -> bool) {
        let reached = async {
            while !done(&mut self.networks) {
                self.next().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("it becomes true in time");
    }

    /// Connects one network to another at this address.
    pub async fn connect(&mut self, from: usize, to: usize, at: &Multiaddr) {
        let peer = self.peer(to);
        self.networks[from].dial(peer, vec![at.clone()]);
        let other = self.peer(from);
        self.until(|networks| networks[from].is_connected(&peer) && networks[to].is_connected(&other)).await;
    }
}
