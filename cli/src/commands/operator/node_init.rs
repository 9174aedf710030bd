//! `nelumbo node init`: a data folder with a key and a configuration.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use clap::Args;
use nelumbo_core::crypto::{Network, SecretKey};
use nelumbo_tokio::Multiaddr;
use serde_json::json;

use crate::commands::key_generate::fresh_entropy;
use crate::failure::{Answer, Failure};
use crate::node::{Config, DataFolder, Preset};
use crate::passphrase::PassphraseSource;
use crate::{key_file, output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo node init
  nelumbo node init --data ~/alice --network regtest --listen /ip4/127.0.0.1/tcp/4001
  nelumbo node init --import alice.key --bootstrap /ip4/203.0.113.7/tcp/4001/p2p/12D3KooW...
  nelumbo node init --data /srv/nelumbo --preset bootstrap --passphrase-file /run/secrets/nelumbo --json";

/// Makes the data folder of a new node
///
/// Draws a signing key and seals it with a passphrase, draws the node's identity on the network, and writes a
/// config.toml with comments, for you to change. Back up signer.key and remember the passphrase: there is no other way
/// to the key.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{}\n\n{EXAMPLES}", key_file::FORMAT))]
pub(crate) struct Init {
    #[command(flatten)]
    data: DataFolder,
    /// The blockchain network that the key is for
    #[arg(long, value_parser = values::network(), default_value = "mainnet")]
    network: Network,
    /// Takes the key from this key file, instead of drawing one
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    import: Option<PathBuf>,
    /// What the node is for
    #[arg(long, value_enum, default_value_t = Preset::Wallet)]
    preset: Preset,
    /// Where it listens; may be given several times. By default on all IPv4 addresses, at a TCP port that is free now
    /// and stays in config.toml: others keep the node's address
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<Multiaddr>,
    /// A node that it joins the network through; may be given several times
    #[arg(long, value_name = "ADDRESS", value_parser = bootstrap)]
    bootstrap: Vec<Multiaddr>,
    /// It looks for other nodes on the same link, and needs no other node to join through
    #[arg(long)]
    mdns: bool,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// Prints one JSON object: `data`, `key`, `peer`, `network`
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let mut entropy = fresh_entropy()?;
        let (network, key) = match &self.import {
            Some(path) => {
                let file = key_file::read(path)?;
                (file.network, file.unlock(&self.passphrase)?)
            }
            None => (self.network, SecretKey::generate(&mut entropy)),
        };
        let (folder, _lock) = self.data.create()?;
        let passphrase = self.passphrase.chosen()?;
        let listen = if self.listen.is_empty() { vec![free_address()?] } else { self.listen };
        let config = Config { mdns: self.mdns, ..Config::new(self.preset, listen, self.bootstrap) };
        folder.write(&folder.config(), config.to_text().as_bytes())?;
        let identity = folder.create_identity(&mut entropy)?;
        key_file::create(&folder.new_key(), network, &key, Some((&passphrase, &mut entropy)))?;
        folder.finish()?;
        let (key, peer) = (key.public_key(), identity.public().to_peer_id().to_string());
        let data = folder.path().display().to_string();
        if self.json {
            output::json(&json!({ "data": data, "key": key, "peer": peer, "network": network }))?;
        } else {
            let rows = [("data", data), ("key", key.to_string()), ("peer", peer), ("network", network.to_string())];
            output::table(&rows)?;
        }
        Ok(Answer::Yes)
    }
}

/// An address with a port that nobody listens on.
fn free_address() -> Result<Multiaddr, Failure> {
    let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|listener| listener.local_addr());
    let free = free
        .map_err(|error| Failure::input(format_args!("there is no free port: {error}"), "say where with --listen"))?;
    Ok(format!("/ip4/0.0.0.0/tcp/{}", free.port()).parse().expect("an address"))
}

/// An address that says whom to expect there.
fn bootstrap(text: &str) -> Result<Multiaddr, String> {
    let address: Multiaddr = text.parse().map_err(|error| format!("not a multiaddr: {error}"))?;
    if text.contains("/p2p/") {
        Ok(address)
    } else {
        Err("it does not end with /p2p/ and the node's peer id".to_owned())
    }
}
