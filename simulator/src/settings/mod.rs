//! Settings as people write them: times and shares with their units, the core's settings by name, and the name that was
//! meant where one is not known.
//!
//! Owns how a value is written and read; scenarios, plans of sweeps and `config.toml` have the same words for the same
//! things. Invariant: there is no list of the core's settings here. What its `Config` and `Limits` have can be set.

mod overlay;
mod setting;
mod time;
pub mod units;

use std::fmt;

use nelumbo_core::api::{Config, Limits};
use nelumbo_core::crypto::Network;
use serde_json::json;

pub use overlay::{Overlay, Part, Protocol};
pub use setting::{Setting, nearest, with_nearest};
pub use time::Time;

/// A setting has a value that it may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsound {
    /// The setting, with its table before it.
    pub setting: String,
    /// Its value, as a text.
    pub value: String,
    /// Which values it may have, in words.
    pub allowed: String,
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; allowed is {}", self.setting, self.value, self.allowed)
    }
}

impl std::error::Error for Unsound {}

/// What the core is told of these settings.
///
/// # Errors
/// The first setting whose value makes no node, under its name in files: `protocol.stall`, `limits.sessions`.
pub fn core_config(
    network: Network,
    protocol: &Overlay<Protocol>,
    limits: &Overlay<Limits>,
) -> Result<Config, Unsound> {
    let unsound = |setting: &str, value: String, allowed: String| {
        let name = setting.replace('_', "-");
        let setting = if name.contains('.') { name } else { format!("protocol.{name}") };
        Unsound { setting, value, allowed: allowed.replace('_', "-") }
    };
    let mut fields = protocol.fields().clone();
    fields.insert("network".to_owned(), json!(network));
    fields.insert("limits".to_owned(), limits.fields().clone().into());
    // Only a number that is larger than its field has room for.
    let config: Config = serde_json::from_value(fields.into()).map_err(|error| {
        let allowed = format!("what it has room for ({error})");
        unsound("limits.a number", "too large".to_owned(), allowed)
    })?;
    config.check().map_err(|error| unsound(error.field, error.value, error.allowed))?;
    Ok(config)
}
