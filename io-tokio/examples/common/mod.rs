//! What the measurements have in common: a node on loopback, with a key that nobody keeps.

#![allow(unreachable_pub, reason = "each measurement is a program of its own")]

use std::path::Path;

use nelumbo_tokio::{
    Builder, Events, Handle, Multiaddr, NodeEvent,
    core::{
        api::Config,
        crypto::{Network, SecretKey},
    },
    fresh_entropy,
    network::NetworkConfig,
};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub fn start(network: NetworkConfig, folder: &Path, through: Option<&Multiaddr>) -> Result<(Handle, Events), Failure> {
    let mut network = network.listen_on("/ip4/127.0.0.1/tcp/0".parse()?);
    if let Some(through) = through {
        network = network.join_through(through.clone())?;
    }
    let key = SecretKey::generate(&mut fresh_entropy()?);
    Ok(Builder::with_key(Config::new(Network::Regtest), network, folder, key)?.start()?)
}

pub async fn listening(events: &mut Events) -> Result<Multiaddr, Failure> {
    loop {
        if let NodeEvent::Listening { address } = events.next().await? {
            return Ok(address);
        }
    }
}
