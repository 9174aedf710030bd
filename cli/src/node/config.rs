//! What the operator of a node can set.
//!
//! Owns the file `config.toml`: its fields, and the commented text that a new node begins with. Invariants: a field
//! that is not known is an error that names it, so that nothing is set in vain; the text that is written can be read.
//! Which blockchain's network the node is for is not here, because its key says so. The commands about nodes drive it.

#[cfg(test)]
mod reference;
mod sections;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use nelumbo_core::api::{Config as CoreConfig, Limits};
use nelumbo_core::crypto::Network;
use nelumbo_core::election::Method;
use nelumbo_simulator::settings::{Overlay, Protocol, Unsound, core_config, with_nearest};
use nelumbo_tokio::Multiaddr;
use nelumbo_tokio::identity::Keypair;
use nelumbo_tokio::network::{AddressFilter, ConfigError, Connections, DhtMode, NetworkConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::policy::ApprovalPolicy;
use crate::api::ApiConfig;
use crate::failure::Failure;

pub(crate) use sections::{Chain, Destination, LogSettings, NetworkSettings, ReplayProtection, Rotation, within};
pub(crate) use source::Source;

const MAX_SIZE: u64 = 1024 * 1024;

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
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

/// See the module's documentation. The comments of the fields are the book's table of settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// What the node is for: how many connections it keeps and allows, and what it does for others.
    pub(crate) preset: Preset,
    /// Where it listens: TCP, WebSocket (`…/tcp/4002/ws`) and QUIC (`…/udp/4001/quic-v1`). Port 0 is any free one.
    pub(crate) listen: Vec<Multiaddr>,
    /// Nodes that it joins the network through and stays connected to. Each address ends with `/p2p/` and the peer id.
    pub(crate) bootstrap: Vec<Multiaddr>,
    /// Addresses that others are told in addition, such as that of a router which forwards a port.
    #[serde(default)]
    pub(crate) announce: Vec<Multiaddr>,
    /// Which addresses it tells and believes; `automatic` is all if it listens on loopback only, and otherwise public
    /// ones.
    #[serde(default)]
    pub(crate) address_filter: Addresses,
    /// Whether it serves the DHT (`server`), only asks it (`client`) or has nothing to do with it (`off`); where it is
    /// not set, as the preset says.
    pub(crate) dht: Option<Dht>,
    /// Whether it takes part in gossip. Without, what others announce reaches it by the DHT and by those that it is
    /// connected to, and so does what it announces others.
    #[serde(default = "yes")]
    pub(crate) gossip: bool,
    /// How many connections it tries to keep (`minimum`) and allows (`maximum`); where it is not set, as the preset
    /// says. The environment variables `P2P_MIN_CONNECTIONS` and `P2P_MAX_CONNECTIONS` come before both.
    pub(crate) connections: Option<Wanted>,
    /// Whether it reserves at relays as long as nothing else lets others in.
    #[serde(default = "yes")]
    pub(crate) relays: bool,
    /// Whether it asks the router to forward its ports.
    #[serde(default = "yes")]
    pub(crate) port_mapping: bool,
    /// Whether circuits are made direct connections together with the other end.
    #[serde(default = "yes")]
    pub(crate) hole_punching: bool,
    /// Whether it looks for other nodes on the same link by multicast DNS, and tells them of itself: a network of its
    /// own needs no `bootstrap` then.
    #[serde(default)]
    pub(crate) mdns: bool,
    /// Whether it says what it says with a key of its own, `message.key`, to which the signing key delegates.
    #[serde(default)]
    pub(crate) delegate: bool,
    /// How the signer who broadcasts is chosen, in sessions that are created without `--election`.
    #[serde(default)]
    pub(crate) election: Method,
    /// Whether it can take part in pools that swap coins, with `nelumbo pool`; this takes `chain`.
    #[serde(default)]
    pub(crate) pools: bool,
    /// Servers of the chain.
    pub(crate) chain: Option<Chain>,
    /// The HTTP API.
    pub(crate) api: Option<ApiConfig>,
    /// Connections.
    #[serde(default)]
    pub(crate) network: NetworkSettings,
    /// The log.
    #[serde(default)]
    pub(crate) log: LogSettings,
    /// Which sessions are approved, or declined, without asking.
    #[serde(default)]
    pub(crate) approval: ApprovalPolicy,
    /// Sessions and announcements.
    #[serde(default)]
    pub(crate) protocol: Overlay<Protocol>,
    /// How much of everything the node takes and keeps.
    #[serde(default)]
    pub(crate) limits: Overlay<Limits>,
}

const fn yes() -> bool {
    true
}

/// How many connections are kept and allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// How many it tries to keep.
    minimum: u32,
    /// How many it allows; 1 or more.
    maximum: u32,
}

/// Which addresses are told to others, and believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Addresses {
    #[default]
    Automatic,
    All,
    PublicOnly,
}

/// What the node does in the DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dht {
    Off,
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
            gossip: true,
            connections: None,
            relays: true,
            port_mapping: true,
            hole_punching: true,
            mdns: false,
            delegate: false,
            election: Method::default(),
            pools: false,
            chain: None,
            api: None,
            network: NetworkSettings::default(),
            log: LogSettings::default(),
            approval: ApprovalPolicy::default(),
            protocol: Overlay::default(),
            limits: Overlay::default(),
        }
    }

    /// Reads the file, and checks every value in it.
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
        let config = Self::parse(&text).map_err(|(line, problem)| {
            let remedy = "the book lists all settings, in its chapter on configuration";
            Failure::input(format_args!("{}, line {line}: {problem}", path.display()), remedy)
        })?;
        config.check().map_err(|unsound| {
            let line = line_of(&text, &unsound.setting).map_or_else(String::new, |line| format!(", line {line}"));
            Failure::input(
                format_args!("{}{line}: {unsound}", path.display()),
                "change it, or leave it out to have the default",
            )
        })?;
        Ok(config)
    }

    /// The settings in a text, or in which line of it is what problem.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            (line, with_nearest(error.message()))
        })
    }

    /// Whether a node can live with these values.
    pub(crate) fn check(&self) -> Result<(), Unsound> {
        self.network.check()?;
        self.log.check()?;
        self.approval.check()?;
        self.chain.as_ref().map_or(Ok(()), Chain::check)?;
        self.api.as_ref().map_or(Ok(()), ApiConfig::check)?;
        if let Some(Wanted { minimum, maximum }) = self.connections {
            Connections::new(minimum, maximum).map_err(|error| Unsound {
                setting: "connections".to_owned(),
                value: format!("{minimum} to {maximum}"),
                allowed: format!("1 or more, and no more kept than are allowed ({error})"),
            })?;
        }
        self.core(Network::Mainnet).map(drop)
    }

    /// What the core is told.
    pub(crate) fn core(&self, network: Network) -> Result<CoreConfig, Unsound> {
        core_config(network, &self.protocol, &self.limits)
    }

    /// Every setting by its full name, with its value.
    pub(crate) fn flat(&self) -> BTreeMap<String, Value> {
        let mut flat = BTreeMap::new();
        flatten(&mut flat, "", serde_json::to_value(self).expect("settings are texts, numbers and lists"));
        flat
    }

    /// The settings that another configuration has another value for.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let (one, other) = (self.flat(), other.flat());
        let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
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
# Settings of a nelumbo node, read when it starts and at SIGHUP. An unknown setting is an error; `nelumbo config check`
# looks for them. Those that are missing here are in the book's chapter on configuration, with their defaults.

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

# Whether it looks for other nodes on the same link, a network at home for example, by multicast DNS, and tells them of
# itself. Nodes that find each other need no `bootstrap`.
{}mdns = true

# Whether the node says what it says with a key of its own, message.key, to which the signing key delegates for a month
# at a time. The signing key then signs that, sessions, and nothing else.
# delegate = true

# How the signer who broadcasts is chosen in sessions that are created here: lexicographic, hash-based, first-signer,
# last-signer or rotating.
# election = \"lexicographic\"

# Chronik servers that are asked about balances and given what groups pay, in the order in which they are tried; how
# many have to say the same; and whether payments are for nodes that were not updated for the network's next upgrade:
# true, false, or from which time on, in seconds since 1970, such as 1798074180 for that of 2026-12-24.
# chain = {{ servers = [\"https://chronik.lotusia.org\"], quorum = 1, replay-protection = false }}

# Whether the node can take part in pools that swap coins: `nelumbo pool`. It needs `chain`.
# pools = true

# An HTTP API with a page for people and metrics for Prometheus, for whoever has a token of `nelumbo token create`.
# `hosts` are names that it is asked under, beside its address and localhost. Where others can reach it, it needs a
# `certificate` and its `certificate-key` too, the names of files in PEM.
# api = {{ listen = \"127.0.0.1:7310\", hosts = [\"wallet.example.org\"] }}

# What is logged (off, error, warn, info, debug, trace), and where: stderr, journal, or files, one a day.
# log = {{ filter = \"warn\", to = \"files\", files = 14 }}

# How long sessions may take, and an offer to sign is valid.
# protocol = {{ session-timeout = \"2 h\", advertisement-lifetime = \"1 d\" }}

# Which requests are approved without asking. The first rule that fits decides; without one, the node asks. Amounts are
# satoshi, what the group loses with the fee; contacts and groups are those of `nelumbo contact` and `nelumbo group`.
# [[approval.rules]]
# name = \"rent\"
# decision = \"approve\"
# creators = [\"alice\"]
# groups = [\"family\"]
# outputs = [\"lotusR16PSJNXGeBvtwFcrdouuG1PPPQUeV8aZDGHad7xjd\"]
# max-amount = 1000000
# max-amount-per-day = 1000000
",
            preset.get_name(),
            list(&self.listen),
            list(&self.bootstrap),
            if self.mdns { "" } else { "# " },
        )
    }

    /// The same for the network, with what the environment says about connections.
    pub(crate) fn network(self, identity: Keypair, folder: &Path) -> Result<NetworkConfig, ConfigError> {
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
        let mut network = preset.identity(identity).address_filter(filter).gossip(self.gossip);
        network = network
            .relay_client(self.relays)
            .port_mapping(self.port_mapping)
            .hole_punching(self.hole_punching)
            .mdns(self.mdns);
        if let Some(dht) = self.dht {
            network = network.dht(match dht {
                Dht::Off => DhtMode::Off,
                Dht::Client => DhtMode::Client,
                Dht::Server => DhtMode::Server,
            });
        }
        if let Some(Wanted { minimum, maximum }) = self.connections {
            network = network.connections(Connections::new(minimum, maximum)?);
        }
        network = self.network.apply(network, folder)?;
        network = self.listen.into_iter().fold(network, NetworkConfig::listen_on);
        network = self.announce.into_iter().fold(network, NetworkConfig::announce);
        self.bootstrap.into_iter().try_fold(network, NetworkConfig::join_through)?.connections_from_env()
    }
}

/// Whether this setting counts as soon as config.toml is read again; all others do at the next start.
pub(crate) fn is_reloaded(setting: &str) -> bool {
    let is_of = |part: &str| setting == part || setting.strip_prefix(part).is_some_and(|rest| rest.starts_with('.'));
    ["election", "log", "approval", "api.requests-per-second"].into_iter().any(is_of)
}

fn flatten(flat: &mut BTreeMap<String, Value>, name: &str, value: Value) {
    match value {
        Value::Object(fields) if !fields.contains_key("burst") && name != "connections" => {
            for (field, value) in fields {
                let name = if name.is_empty() { field } else { format!("{name}.{field}") };
                flatten(flat, &name, value);
            }
        }
        value => {
            flat.insert(name.to_owned(), value);
        }
    }
}

/// The line in which a setting stands, if it is written as one.
fn line_of(text: &str, setting: &str) -> Option<usize> {
    let name = setting.rsplit('.').next().unwrap_or(setting);
    let is_it =
        |line: &str| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='));
    text.lines().position(is_it).map(|line| line + 1)
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
            let mdns = *preset == Preset::Full;
            let config = Config { mdns, ..Config::new(*preset, listen, vec![address(bootstrap)]) };
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
            .map(|line| {
                let setting = |line: &&str| line.contains(" = ") || line.starts_with("[[");
                line.strip_prefix("# ").filter(setting).unwrap_or(line)
            })
            .collect();
        let config: Config = toml::from_str(&uncommented.join("\n")).expect("all comments are settings");
        assert_eq!(config.connections, Some(Wanted { minimum: 10, maximum: 50 }));
        assert_eq!((config.announce.len(), config.dht), (1, Some(Dht::Server)));
        assert_eq!([config.relays, config.port_mapping, config.hole_punching], [false; 3]);
        assert_eq!((config.log.files, config.approval.rules.len()), (14, 1));
        assert_eq!(config.check(), Ok(()));
        assert!(config.mdns && config.delegate && !Config::new(Preset::Wallet, Vec::new(), Vec::new()).delegate);
    }
}
