//! Which servers to ask, and how much patience to have.
//!
//! Owns the settings of a client. Invariant: after [`ChronikConfig::bases`] every address is one of HTTP, none is there
//! twice, and a quorum can be reached.

use std::time::Duration;

use nelumbo_crypto::Network;
use url::Url;

use super::error::{ConfigError, harmless};

/// The server that the Lotus wallets ask.
pub const DEFAULT_SERVER: &str = "https://chronik.lotusia.org";

/// The settings of a [`ChronikClient`](super::ChronikClient).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChronikConfig {
    /// The servers, in the order in which they are tried. `http` or `https`, with a path if need be.
    pub servers: Vec<String>,
    /// The network that they are about. Servers do not say it; addresses of others are refused.
    pub network: Network,
    /// How many servers have to say the same. With 1, the first answer that passes all checks is taken.
    pub quorum: usize,
    /// How long a connection may take; 5 seconds.
    pub connect_timeout: Duration,
    /// How long one request may take, from the connection to the end of the answer; 20 seconds.
    pub request_timeout: Duration,
    /// How many times all servers are tried; 3.
    pub rounds: u32,
    /// The pause after the first round; 500 milliseconds. Each further one is twice as long, and all are shortened by
    /// chance to no less than half.
    pub backoff: Duration,
    /// The longest pause; 10 seconds.
    pub max_backoff: Duration,
    /// The longest answer that is read, in bytes; 32 MiB. Also how much of one script's transactions is in memory at
    /// once.
    pub max_response_bytes: usize,
    /// The most transactions of one history, and outputs of one script; 10,000.
    pub max_history: usize,
    /// How often a watch asks when no server tells it anything; 5 seconds.
    pub poll_interval: Duration,
}

impl ChronikConfig {
    /// The usual patience with these servers.
    #[must_use]
    pub fn new<S: Into<String>>(network: Network, servers: impl IntoIterator<Item = S>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            network,
            quorum: 1,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            rounds: 3,
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(10),
            max_response_bytes: 32 << 20,
            max_history: 10_000,
            poll_interval: Duration::from_secs(5),
        }
    }

    /// The addresses, without a slash at the end.
    pub(super) fn bases(&self) -> Result<Vec<Url>, ConfigError> {
        if self.servers.is_empty() {
            return Err(ConfigError::NoServers);
        }
        let mut bases: Vec<Url> = Vec::new();
        for text in &self.servers {
            let base = base(text)?;
            if bases.contains(&base) {
                return Err(ConfigError::Twice(harmless(text)));
            }
            bases.push(base);
        }
        check_quorum(self.quorum, bases.len())?;
        Ok(bases)
    }
}

pub(super) fn check_quorum(quorum: usize, servers: usize) -> Result<(), ConfigError> {
    if (1..=servers).contains(&quorum) { Ok(()) } else { Err(ConfigError::Quorum { quorum, servers }) }
}

fn base(text: &str) -> Result<Url, ConfigError> {
    let error = |reason: &str| ConfigError::Url { text: harmless(text), reason: reason.to_owned() };
    let mut url = Url::parse(text).map_err(|reason| error(&reason.to_string()))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(error("it begins with neither http:// nor https://"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(error("it has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error("it has a user name or password, which would be shown in errors"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(error("it has a query or a fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(servers: &[&str], quorum: usize) -> Result<Vec<Url>, ConfigError> {
        let mut config = ChronikConfig::new(Network::Mainnet, servers.iter().copied());
        config.quorum = quorum;
        config.bases()
    }

    #[test]
    fn what_no_client_could_work_with_is_refused() {
        assert_eq!(bases(&[], 1), Err(ConfigError::NoServers));
        for text in ["", "chronik.lotusia.org", "ftp://a", "https://u:p@a", "https://a?b", "wss://a", "https://"] {
            assert!(matches!(bases(&[text], 1), Err(ConfigError::Url { .. })), "{text}");
        }
        let twice = bases(&["https://a.org", "https://A.org/"], 1);
        assert_eq!(twice, Err(ConfigError::Twice("https://A.org/".to_owned())));
        assert_eq!(bases(&["https://a"], 2), Err(ConfigError::Quorum { quorum: 2, servers: 1 }));
        assert_eq!(bases(&["https://a"], 0), Err(ConfigError::Quorum { quorum: 0, servers: 1 }));
        let good = bases(&[DEFAULT_SERVER, "http://127.0.0.1:7123/xpi/"], 2).expect("both are good");
        assert_eq!(good[1].path(), "/xpi");
    }
}
