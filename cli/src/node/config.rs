//! What the operator of a node can set.
//!
//! Owns the file `config.toml`: its fields, and the commented text that a new node begins with. Invariants: a field
//! that is not known is an error that names it, so that nothing is set in vain; the text that is written can be read.
//! Which blockchain's network the node is for is not here, because its key says so. The commands about nodes drive it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use nelumbo_chain::chronik::{ChronikClient, ChronikConfig};
use nelumbo_core::crypto::Network;
use nelumbo_tokio::Multiaddr;
use nelumbo_tokio::identity::Keypair;
use nelumbo_tokio::network::{AddressFilter, ConfigError, Connections, DhtMode, NetworkConfig};
use serde::Deserialize;

use crate::api::ApiConfig;
use crate::failure::Failure;

const MAX_SIZE: u64 = 1024 * 1024;

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Preset {
    /// Keeps 10 connections, allows 50; asks the DHT
    Wallet,
    /// Keeps 20 connections, allows 100; serves the DHT
    Full,
    /// Others join through it: keeps 50 connections, allows 500; serves the DHT
    Bootstrap,
    /// Also relays for nodes behind NAT: keeps 100 connections, allows 1000; serves the DHT
    Relay,
}

/// See the module's documentation.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) preset: Preset,
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) bootstrap: Vec<Multiaddr>,
    #[serde(default)]
    pub(crate) announce: Vec<Multiaddr>,
    #[serde(default)]
    pub(crate) address_filter: Addresses,
    pub(crate) dht: Option<Dht>,
    pub(crate) connections: Option<Wanted>,
    #[serde(default = "yes")]
    pub(crate) relays: bool,
    #[serde(default = "yes")]
    pub(crate) port_mapping: bool,
    #[serde(default = "yes")]
    pub(crate) hole_punching: bool,
    #[serde(default)]
    pub(crate) delegate: bool,
    pub(crate) chain: Option<Chain>,
    pub(crate) api: Option<ApiConfig>,
}

const fn yes() -> bool {
    true
}

/// Which servers are asked about the chain, and given transactions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Chain {
    /// Chronik servers; the first that answers is believed, as far as its answers prove themselves.
    servers: Vec<String>,
    /// How many of them have to say the same.
    #[serde(default = "one")]
    quorum: usize,
    /// Whether payments are signed for nodes that were not updated for the network's upgrade.
    #[serde(default)]
    pub(crate) replay_protection: ReplayProtection,
}

/// Which digest payments are signed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum ReplayProtection {
    /// The one with replay protection, or the other, at any time.
    Always(bool),
    /// The one with it, as soon as the chain's median time is this one, in seconds since 1970.
    From(u64),
}

impl Default for ReplayProtection {
    fn default() -> Self {
        Self::Always(false)
    }
}

const fn one() -> usize {
    1
}

impl Chain {
    /// A client of the servers, for the addresses of this network.
    pub(crate) fn client(&self, network: Network) -> Result<ChronikClient, Failure> {
        let mut config = ChronikConfig::new(network, self.servers.iter().cloned());
        config.quorum = self.quorum;
        let entropy = nelumbo_tokio::fresh_entropy().map_err(|error| Failure::input(error, "try again later"))?;
        ChronikClient::new(config, entropy)
            .map_err(|error| Failure::input(error, "change `chain` in config.toml in the data folder"))
    }
}

/// How many connections are kept and allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    minimum: u32,
    maximum: u32,
}

/// Which addresses are told to others, and believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Addresses {
    #[default]
    Automatic,
    All,
    PublicOnly,
}

/// What the node does in the DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dht {
    Client,
    Server,
}

impl Config {
    /// What a new node begins with.
    pub(crate) fn new(preset: Preset, listen: Vec<Multiaddr>, bootstrap: Vec<Multiaddr>) -> Self {
        Self {
            preset,
            listen,
            bootstrap,
            announce: Vec::new(),
            address_filter: Addresses::default(),
            dht: None,
            connections: None,
            relays: true,
            port_mapping: true,
            hole_punching: true,
            delegate: false,
            chain: None,
            api: None,
        }
    }

    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let unreadable = |problem: &dyn std::fmt::Display| {
            Failure::input(
                format_args!("cannot read {}: {problem}", path.display()),
                "restore it, or make a node in a new folder with `nelumbo node init` and look at its config.toml",
            )
        };
        let size = fs::metadata(path).map_err(|error| unreadable(&error))?.len();
        if size > MAX_SIZE {
            return Err(unreadable(&"it is too large"));
        }
        let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            Failure::input(
                format_args!("{}, line {line}: {}", path.display(), error.message()),
                "the comments of a new node's config.toml say what can be set",
            )
        })
    }

    /// The commented text of this configuration, with what is not set as comments.
    pub(crate) fn to_text(&self) -> String {
        let list = |addresses: &[Multiaddr]| {
            addresses.iter().fold(String::new(), |mut lines, address| {
                let quoted = toml::Value::String(address.to_string());
                writeln!(lines, "    {quoted},").expect("memory");
                lines
            })
        };
        let preset = self.preset.to_possible_value().expect("no preset is hidden");
        format!(
            "\
# Settings of a nelumbo node, read when it starts. An unknown setting is an error.

# What the node is for:
#   wallet      keeps 10 connections, allows 50; asks the DHT
#   full        keeps 20 connections, allows 100; serves the DHT
#   bootstrap   others join through it: keeps 50 connections, allows 500; serves the DHT
#   relay       also relays for nodes behind NAT: keeps 100 connections, allows 1000; serves the DHT
preset = \"{}\"

# Where it listens: TCP, WebSocket (…/tcp/4002/ws) and QUIC (…/udp/4001/quic-v1). Port 0 is any free one.
listen = [
{}]

# Nodes that it joins the network through and stays connected to. Each address ends with /p2p/ and the peer id.
bootstrap = [
{}]

# Addresses that others are told in addition, such as that of a router which forwards a port.
# announce = [\"/ip4/203.0.113.7/tcp/4001\"]

# Which addresses it tells and believes: all, public-only, or automatic, which is all if it listens on loopback only.
# address-filter = \"automatic\"

# Whether it serves the DHT (server) or only asks it (client), if the preset is not to decide.
# dht = \"server\"

# How many connections it tries to keep and how many it allows, if the preset is not to decide. The environment
# variables P2P_MIN_CONNECTIONS and P2P_MAX_CONNECTIONS come before both.
# connections = {{ minimum = 10, maximum = 50 }}

# Behind a router the node asks it to forward its ports, reserves at relays as long as nothing else lets others in, and
# makes direct connections together with the other end. `nelumbo stats` says how it is reached.
# relays = false
# port-mapping = false
# hole-punching = false

# Whether the node says what it says with a key of its own, message.key, to which the signing key delegates for a month
# at a time. The signing key then signs that, sessions, and nothing else.
# delegate = true

# Chronik servers that are asked about balances and given what groups pay, in the order in which they are tried; how
# many have to say the same; and whether payments are for nodes that were not updated for the network's next upgrade:
# true, false, or from which time on, in seconds since 1970, such as 1798074180 for that of 2026-12-24.
# chain = {{ servers = [\"https://chronik.lotusia.org\"], quorum = 1, replay-protection = false }}

# An HTTP API with a page for people and metrics for Prometheus, for whoever has a token of `nelumbo token create`.
# `hosts` are names that it is asked under, beside its address and localhost. Where others can reach it, it needs a
# `certificate` and its `certificate-key` too, the names of files in PEM.
# api = {{ listen = \"127.0.0.1:7310\", hosts = [\"wallet.example.org\"] }}
",
            preset.get_name(),
            list(&self.listen),
            list(&self.bootstrap),
        )
    }

    /// The same for the network, with what the environment says about connections.
    pub(crate) fn network(self, identity: Keypair) -> Result<NetworkConfig, ConfigError> {
        let preset = match self.preset {
            Preset::Wallet => NetworkConfig::wallet(),
            Preset::Full => NetworkConfig::full(),
            Preset::Bootstrap => NetworkConfig::bootstrap(),
            Preset::Relay => NetworkConfig::relay(),
        };
        let filter = match self.address_filter {
            Addresses::Automatic => AddressFilter::Automatic,
            Addresses::All => AddressFilter::All,
            Addresses::PublicOnly => AddressFilter::PublicOnly,
        };
        let mut network = preset.identity(identity).address_filter(filter);
        network = network.relay_client(self.relays).port_mapping(self.port_mapping).hole_punching(self.hole_punching);
        if let Some(dht) = self.dht {
            network = network.dht(match dht {
                Dht::Client => DhtMode::Client,
                Dht::Server => DhtMode::Server,
            });
        }
        if let Some(Wanted { minimum, maximum }) = self.connections {
            network = network.connections(Connections::new(minimum, maximum)?);
        }
        network = self.listen.into_iter().fold(network, NetworkConfig::listen_on);
        network = self.announce.into_iter().fold(network, NetworkConfig::announce);
        self.bootstrap.into_iter().try_fold(network, NetworkConfig::join_through)?.connections_from_env()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_is_written_can_be_read() {
        let bootstrap = "/dns4/node.example.org/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        for preset in Preset::value_variants() {
            let listen = vec![address("/ip4/0.0.0.0/tcp/0"), address("/ip6/::/udp/4001/quic-v1")];
            let config = Config::new(*preset, listen, vec![address(bootstrap)]);
            assert_eq!(toml::from_str::<Config>(&config.to_text()).expect("it can be read"), config);
        }
        let empty = Config::new(Preset::Wallet, Vec::new(), Vec::new());
        assert_eq!(toml::from_str::<Config>(&empty.to_text()).expect("it can be read"), empty);
    }

    #[test]
    fn every_setting_in_a_comment_is_one() {
        let text = Config::new(Preset::Wallet, Vec::new(), Vec::new()).to_text();
        let uncommented: Vec<&str> = text
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line))
            .collect();
        let config: Config = toml::from_str(&uncommented.join("\n")).expect("all comments are settings");
        assert_eq!(config.connections, Some(Wanted { minimum: 10, maximum: 50 }));
        assert_eq!((config.announce.len(), config.dht), (1, Some(Dht::Server)));
        assert_eq!([config.relays, config.port_mapping, config.hole_punching], [false; 3]);
        assert!(config.delegate && !Config::new(Preset::Wallet, Vec::new(), Vec::new()).delegate);
    }
}
