//! The values that scenarios and schedules choose from: cryptography, latency, services, signature suite.

use serde::{Deserialize, Serialize};

use super::MILLISECOND;
use crate::network::Latency;

/// Which cryptography the nodes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CryptoChoice {
    /// The cryptography of production.
    #[default]
    Real,
    /// The stand-in, which takes no virtual time.
    Toy,
    /// The stand-in, each node charged what the real one costs.
    ToyCharged,
}

impl CryptoChoice {
    /// Its name in summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Toy => "toy",
            Self::ToyCharged => "toy-charged",
        }
    }
}

/// How long messages take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LatencyChoice {
    /// Every message takes as long.
    Fixed {
        /// The latency in milliseconds.
        ms: u64,
    },
    /// Drawn evenly between two bounds.
    Uniform {
        /// The least latency, in milliseconds.
        low_ms: u64,
        /// The greatest latency, in milliseconds.
        high_ms: u64,
    },
    /// Log-normal: most near the median, a few far above it.
    LogNormal {
        /// The least latency, in milliseconds.
        least_ms: u64,
        /// The median of the part above the least, in milliseconds.
        median_ms: u64,
        /// The spread of its logarithm.
        sigma: f64,
    },
    /// As measured between regions; nodes are spread over all of them.
    Regions,
}

impl LatencyChoice {
    pub(super) fn latency(&self) -> Latency {
        match *self {
            Self::Fixed { ms } => Latency::Fixed(ms * MILLISECOND),
            Self::Uniform { low_ms, high_ms } => {
                let low = low_ms.max(1);
                Latency::Uniform { low: low * MILLISECOND, span: high_ms.saturating_sub(low) * MILLISECOND }
            }
            Self::LogNormal { least_ms, median_ms, sigma } => {
                Latency::log_normal(least_ms.max(1) * MILLISECOND, median_ms * MILLISECOND, sigma)
            }
            Self::Regions => Latency::regions(),
        }
    }
}

/// What the network's services are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServicesChoice {
    /// Ideal ones: records one hop away, gossip over a mesh that stands fast.
    #[default]
    Ideal,
    /// Models of Kademlia and gossipsub.
    Modelled,
    /// None: signers know each other, and nobody is looked for.
    None,
}

/// The signature suite of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuiteChoice {
    /// Lotus.
    #[default]
    Lotus,
    /// BIP340.
    Bip340,
}
