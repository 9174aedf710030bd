//! The tables of config.toml that are not the core's: the network, the chain, the log.
//!
//! Owns their fields with defaults, and which values make sense. Invariant: what passes `check` can be run with. The
//! comments of the fields are the book's table of settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nelumbo_chain::chronik::{ChronikClient, ChronikConfig, ChronikError};
use nelumbo_core::crypto::Network;
use nelumbo_simulator::settings::{Time, Unsound};
use nelumbo_tokio::network::{ConfigError, NetworkConfig};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

const MIB: u64 = 1024 * 1024;

/// That a setting is no less and no more than this.
pub(crate) fn within<T: PartialOrd + ToString>(setting: &str, value: T, least: T, most: T) -> Result<(), Unsound> {
    if least <= value && value <= most {
        return Ok(());
    }
    let allowed = format!("{} to {}", least.to_string(), most.to_string());
    Err(Unsound { setting: setting.to_owned(), value: value.to_string(), allowed })
}

/// How connections are made and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct NetworkSettings {
    /// The memory of the process, in MiB, from which on no new connections are made or taken; where it is not set, 512,
    /// and 2048 for `bootstrap` and `relay`.
    pub(crate) memory_limit: Option<u64>,
    /// After how long a connection is closed that nobody uses, unless the peer is kept.
    pub(crate) idle_timeout: Time,
    /// How long it may take to connect to one address of a peer.
    pub(crate) dial_timeout: Time,
    /// How long a direct message may wait for its acknowledgement.
    pub(crate) direct_timeout: Time,
    /// After how long a query of the DHT ends, with what it has found so far. A put has it twice.
    pub(crate) query_timeout: Time,
    /// How often the other end of a connection is asked whether it is there.
    pub(crate) ping_interval: Time,
    /// How long it may take to answer; two that are late in a row end the connection.
    pub(crate) ping_timeout: Time,
    /// How many streams one connection may have open at once.
    pub(crate) streams_per_connection: u64,
    /// Whether the node relays for others that cannot be reached; where it is not set, only as `relay`.
    pub(crate) relay_server: Option<bool>,
    /// Whether a node that is no relay otherwise, and can be reached, relays a little: at most 16 reservations and 16
    /// circuits, each of 128 KiB and two minutes.
    pub(crate) small_relay: bool,
    /// Whether the node tells others if they can be reached; where it is not set, as `bootstrap` and `relay`.
    pub(crate) autonat_server: Option<bool>,
    /// The certificate that is shown where it listens on `…/wss`, with those that lead to an authority: a file in PEM.
    pub(crate) websocket_certificate: Option<PathBuf>,
    /// The file of that certificate's key, in PEM.
    pub(crate) websocket_key: Option<PathBuf>,
    /// Authorities that are believed of who listens on `…/wss`, beside those that browsers believe: a file in PEM.
    pub(crate) websocket_authorities: Option<PathBuf>,
    /// The name and version that others see; where it is not set, nelumbo's.
    pub(crate) agent: Option<String>,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            memory_limit: None,
            idle_timeout: Time::secs(600),
            dial_timeout: Time::secs(10),
            direct_timeout: Time::secs(10),
            query_timeout: Time::secs(5),
            ping_interval: Time::secs(15),
            ping_timeout: Time::secs(20),
            streams_per_connection: 4096,
            relay_server: None,
            small_relay: true,
            autonat_server: None,
            websocket_certificate: None,
            websocket_key: None,
            websocket_authorities: None,
            agent: None,
        }
    }
}

impl NetworkSettings {
    pub(super) fn check(&self) -> Result<(), Unsound> {
        let (second, hour, day) = (Time::secs(1), Time::secs(3600), Time::secs(86_400));
        within("network.memory-limit", self.memory_limit.unwrap_or(512), 64, 1024 * 1024)?;
        within("network.idle-timeout", self.idle_timeout, second, day)?;
        within("network.dial-timeout", self.dial_timeout, second, hour)?;
        within("network.direct-timeout", self.direct_timeout, second, hour)?;
        within("network.query-timeout", self.query_timeout, second, hour)?;
        within("network.ping-interval", self.ping_interval, second, hour)?;
        within("network.ping-timeout", self.ping_timeout, second, hour)?;
        within("network.streams-per-connection", self.streams_per_connection, 64, 4096)?;
        if self.websocket_certificate.is_some() != self.websocket_key.is_some() {
            return Err(Unsound {
                setting: "network.websocket-certificate".to_owned(),
                value: "alone".to_owned(),
                allowed: "both it and websocket-key, or neither".to_owned(),
            });
        }
        let length = self.agent.as_ref().map_or(1, String::len);
        within("network.agent", length, 1, 128).map_err(|unsound| Unsound {
            value: self.agent.clone().unwrap_or_default(),
            allowed: "a text of 1 to 128 bytes".to_owned(),
            ..unsound
        })
    }

    /// Files that are not absolute are in this folder.
    pub(super) fn apply(self, network: NetworkConfig, folder: &Path) -> Result<NetworkConfig, ConfigError> {
        let limit = self.memory_limit.map(|mib| usize::try_from(mib * MIB).unwrap_or(usize::MAX));
        let streams = usize::try_from(self.streams_per_connection).unwrap_or(usize::MAX);
        let mut network = network
            .idle_timeout(self.idle_timeout.0)
            .dial_timeout(self.dial_timeout.0)
            .direct_timeout(self.direct_timeout.0)
            .query_timeout(self.query_timeout.0)
            .ping(self.ping_interval.0, self.ping_timeout.0)
            .streams_per_connection(streams)
            .small_relay(self.small_relay);
        network = limit.into_iter().fold(network, NetworkConfig::memory_limit);
        network = self.relay_server.into_iter().fold(network, NetworkConfig::relay_server);
        network = self.autonat_server.into_iter().fold(network, NetworkConfig::autonat_server);
        network = self.agent.into_iter().fold(network, NetworkConfig::agent);
        let read = |file: &PathBuf| {
            let path = folder.join(file);
            let unreadable = |error| ConfigError::Certificate { reason: format!("{}: {error}", path.display()) };
            fs::read(&path).map_err(unreadable)
        };
        if let (Some(certificate), Some(key)) = (&self.websocket_certificate, &self.websocket_key) {
            network = network.websocket_certificate(&read(certificate)?, &read(key)?)?;
        }
        self.websocket_authorities.iter().try_fold(network, |network, file| network.websocket_authorities(&read(file)?))
    }
}

/// Which servers are asked about the chain, and given transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Chain {
    /// Chronik servers; the first that answers is believed, as far as its answers prove themselves.
    servers: Vec<String>,
    /// How many of them have to say the same.
    quorum: u64,
    /// Whether payments are signed for nodes that were not updated for the network's upgrade; or from which time on, by
    /// the chain's median time, in seconds since 1970: 1798074180 is that of 2026-12-24.
    pub(crate) replay_protection: ReplayProtection,
    /// How long it may take to connect to a server.
    connect_timeout: Time,
    /// How long one question may take, from the connection to the end of the answer.
    request_timeout: Time,
    /// How many times all servers are tried.
    rounds: u64,
    /// The pause after the first round; each further one is twice as long.
    backoff: Time,
    /// The longest pause.
    max_backoff: Time,
    /// The longest answer that is read, in MiB.
    max_response: u64,
    /// The most transactions of one history, and outputs of one script.
    max_history: u64,
    /// How often the chain is looked at when no server tells of changes.
    poll_interval: Time,
}

/// Which digest payments are signed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum ReplayProtection {
    /// The one with replay protection, or the other, at any time.
    Always(bool),
    /// The one with it, as soon as the chain's median time is this one, in seconds since 1970.
    From(u64),
}

impl ReplayProtection {
    /// Whether what is signed now is signed over the digest with replay protection.
    pub(crate) async fn holds(self, client: &ChronikClient) -> Result<bool, ChronikError> {
        match self {
            Self::Always(always) => Ok(always),
            Self::From(moment) => Ok(client.median_time().await?.is_some_and(|time| time >= moment)),
        }
    }
}

impl Default for ReplayProtection {
    fn default() -> Self {
        Self::Always(false)
    }
}

/// 2020-01-01: before Lotus, so that what is less is no date of an upgrade.
const BEFORE_LOTUS: u64 = 1_577_836_800;

impl Default for Chain {
    fn default() -> Self {
        let usual = ChronikConfig::new::<String>(Network::Mainnet, []);
        Self {
            servers: Vec::new(),
            quorum: usual.quorum as u64,
            replay_protection: ReplayProtection::default(),
            connect_timeout: Time(usual.connect_timeout),
            request_timeout: Time(usual.request_timeout),
            rounds: usual.rounds.into(),
            backoff: Time(usual.backoff),
            max_backoff: Time(usual.max_backoff),
            max_response: usual.max_response_bytes as u64 / MIB,
            max_history: usual.max_history as u64,
            poll_interval: Time(usual.poll_interval),
        }
    }
}

impl Chain {
    pub(super) fn check(&self) -> Result<(), Unsound> {
        if self.servers.is_empty() {
            let allowed = "the URL of at least one server".to_owned();
            return Err(Unsound { setting: "chain.servers".to_owned(), value: "empty".to_owned(), allowed });
        }
        if let ReplayProtection::From(time) = self.replay_protection
            && time < BEFORE_LOTUS
        {
            let allowed = "true, false, or a time in seconds since 1970".to_owned();
            return Err(Unsound { setting: "chain.replay-protection".to_owned(), value: time.to_string(), allowed });
        }
        let (moment, second, hour) = (Time(Duration::from_millis(1)), Time::secs(1), Time::secs(3600));
        within("chain.quorum", self.quorum, 1, self.servers.len() as u64)?;
        within("chain.connect-timeout", self.connect_timeout, second, hour)?;
        within("chain.request-timeout", self.request_timeout, second, hour)?;
        within("chain.rounds", self.rounds, 1, 100)?;
        within("chain.max-backoff", self.max_backoff, moment, hour)?;
        within("chain.backoff", self.backoff, moment, self.max_backoff)?;
        within("chain.max-response", self.max_response, 1, 1024)?;
        within("chain.max-history", self.max_history, 1, 1_000_000)?;
        within("chain.poll-interval", self.poll_interval, second, hour)
    }

    /// A client of the servers, for the addresses of this network.
    pub(crate) fn client(&self, network: Network) -> Result<ChronikClient, Failure> {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let mut config = ChronikConfig::new(network, self.servers.iter().cloned());
        config.quorum = number(self.quorum);
        config.connect_timeout = self.connect_timeout.0;
        config.request_timeout = self.request_timeout.0;
        config.rounds = u32::try_from(self.rounds).unwrap_or(u32::MAX);
        config.backoff = self.backoff.0;
        config.max_backoff = self.max_backoff.0;
        config.max_response_bytes = number(self.max_response.saturating_mul(MIB));
        config.max_history = number(self.max_history);
        config.poll_interval = self.poll_interval.0;
        let entropy = nelumbo_tokio::fresh_entropy().map_err(|error| Failure::input(error, "try again later"))?;
        ChronikClient::new(config, entropy)
            .map_err(|error| Failure::input(error, "change `chain` in config.toml in the data folder"))
    }
}

/// What is logged, and where. Events are no log: the node prints them, and `nelumbo events` shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct LogSettings {
    /// What is logged: `off`, `error`, `warn`, `info`, `debug`, `trace`, or parts with a level each, such as
    /// `warn,nelumbo_core=debug`. The environment variable RUST_LOG comes before it, and so does `-v`.
    pub(crate) filter: String,
    /// Where it goes: to standard error, to standard error as systemd's journal takes it, or to files.
    pub(crate) to: Destination,
    /// The folder of the files; one that is not absolute is in the data folder.
    pub(crate) folder: PathBuf,
    /// When another file is begun.
    pub(crate) rotation: Rotation,
    /// How many files are kept; the oldest are removed.
    pub(crate) files: u64,
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Destination {
    #[default]
    Stderr,
    Journal,
    Files,
}

/// When another file of the log is begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rotation {
    Hourly,
    #[default]
    Daily,
    Never,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            filter: "off".to_owned(),
            to: Destination::default(),
            folder: PathBuf::from("log"),
            rotation: Rotation::default(),
            files: 14,
        }
    }
}

impl LogSettings {
    pub(super) fn check(&self) -> Result<(), Unsound> {
        if let Err(error) = crate::logging::check(&self.filter) {
            let allowed = format!("a level, or parts with a level each ({error})");
            return Err(Unsound { setting: "log.filter".to_owned(), value: self.filter.clone(), allowed });
        }
        within("log.files", self.files, 1, 10_000)
    }
}
