//! The settings of the core, in the words of files.
//!
//! Owns how they are read and written. Invariant: there is no list of them here: what the core's `Config` and `Limits`
//! have is what can be set, under the same names with hyphens, so that nothing that is added there is forgotten.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use nelumbo_core::api::{Config as CoreConfig, Limits, Quota};
use nelumbo_core::crypto::Network;
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::time::Time;

/// A part of the core's settings.
pub trait Part {
    /// All of its fields, with their defaults.
    fn defaults() -> Map<String, Value>;
}

/// How sessions and announcements are kept: what is in the core's `Config` beside network and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol;

impl Part for Protocol {
    fn defaults() -> Map<String, Value> {
        let mut fields = fields(CoreConfig::new(Network::Mainnet));
        // What the key says, and what has a table of its own.
        fields.retain(|name, _| name != "network" && name != "limits");
        fields
    }
}

impl Part for Limits {
    fn defaults() -> Map<String, Value> {
        fields(Self::default())
    }
}

fn fields(of: impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("a configuration is an object of numbers"),
    }
}

/// What is set of a part; everything else has its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay<P> {
    fields: Map<String, Value>,
    part: PhantomData<P>,
}

impl<P: Part> Default for Overlay<P> {
    fn default() -> Self {
        Self { fields: P::defaults(), part: PhantomData }
    }
}

impl<P: Part> Overlay<P> {
    /// Whether nothing differs from the defaults.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.fields == P::defaults()
    }

    /// Writes nothing but what differs from the defaults.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize_changes<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let defaults = P::defaults();
        let changes = self.fields.iter().filter(|(name, value)| defaults.get(*name) != Some(value));
        serializer.collect_map(changes.map(|(name, value)| (name.replace('_', "-"), shown(value))))
    }

    /// Every field under its name in files, with its value as files have it; the parts of a quota by themselves.
    pub fn flat(&self) -> impl Iterator<Item = (String, Value)> {
        self.fields.iter().flat_map(|(name, value)| {
            let name = name.replace('_', "-");
            match shown(value) {
                Value::Object(quota) => {
                    quota.into_iter().map(|(part, value)| (format!("{name}.{part}"), value)).collect::<Vec<_>>()
                }
                value => vec![(name, value)],
            }
        })
    }
}

impl<P> Overlay<P> {
    /// All fields, under the core's names.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }
}

impl Overlay<Limits> {
    /// These limits.
    #[must_use]
    pub fn of(limits: Limits) -> Self {
        Self { fields: fields(limits), part: PhantomData }
    }
}

/// A quota, as files have it.
#[derive(Serialize)]
struct QuotaText {
    burst: u64,
    every: Time,
}

/// What is set of a quota.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaChanges {
    burst: Option<u64>,
    every: Option<Time>,
}

impl<P> Serialize for Overlay<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.fields.iter().map(|(name, value)| (name.replace('_', "-"), shown(value)));
        serializer.collect_map(shown)
    }
}

fn shown(value: &Value) -> Value {
    if let Ok(time) = serde_json::from_value::<Duration>(value.clone()) {
        return json!(Time(time));
    }
    match serde_json::from_value::<Quota>(value.clone()) {
        Ok(Quota { burst, every }) => json!(QuotaText { burst, every: Time(every) }),
        Err(_) => value.clone(),
    }
}

impl<'de, P: Part> Deserialize<'de> for Overlay<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de, P: Part> Visitor<'de> for Overlay<P> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of settings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(name) = map.next_key_seed(Known(&self.fields))? {
            let default = self.fields.get_mut(&name).expect("it is known");
            *default = map.next_value_seed(Like(default))?;
        }
        Ok(self)
    }
}

/// The name of one of these fields.
struct Known<'a>(&'a Map<String, Value>);

impl<'de> DeserializeSeed<'de> for Known<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let written = String::deserialize(deserializer)?;
        let name = written.replace('-', "_");
        if self.0.contains_key(&name) && !written.contains('_') {
            return Ok(name);
        }
        let known: Vec<String> = self.0.keys().map(|name| format!("`{}`", name.replace('_', "-"))).collect();
        Err(Error::custom(format_args!("unknown field `{written}`, expected one of {}", known.join(", "))))
    }
}

/// A value of the kind that this one has.
struct Like<'a>(&'a Value);

impl<'de> DeserializeSeed<'de> for Like<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Ok(match self.0 {
            Value::Object(fields) if fields.contains_key("burst") => {
                let default: Quota = serde_json::from_value(self.0.clone()).map_err(Error::custom)?;
                let QuotaChanges { burst, every } = QuotaChanges::deserialize(deserializer)?;
                let every = every.map_or(default.every, |every| every.0);
                json!(Quota { burst: burst.unwrap_or(default.burst), every })
            }
            Value::Object(_) => json!(Time::deserialize(deserializer)?.0),
            _ => json!(u64::deserialize(deserializer)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Overlay<Limits>, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn a_field_that_the_core_has_can_be_set_and_no_other() {
        let limits = read("sessions = 7\nearly-lifetime = \"2 min\"\nmessages = { burst = 5, every = \"1 ms\" }");
        let limits = limits.expect("all of them are fields");
        let read_back: Limits = serde_json::from_value(limits.fields().clone().into()).expect("limits");
        let expected = Limits::default();
        assert_eq!((read_back.sessions, read_back.early_lifetime), (7, Duration::from_secs(120)));
        assert_eq!(read_back.messages, Quota { burst: 5, every: Duration::from_millis(1) });
        assert_eq!(read_back.peers, expected.peers);
        for (text, problem) in [
            ("sesions = 7", "unknown field `sesions`"),
            ("early_lifetime = \"2 min\"", "unknown field `early_lifetime`"),
            ("early-lifetime = 120", "string"),
            ("sessions = -1", "-1"),
            ("messages = { burst = 5, ever = \"1 s\" }", "every"),
        ] {
            let said = read(text).expect_err(text);
            assert!(said.contains(problem), "{text}: {said}");
        }
    }

    #[test]
    fn part_of_a_quota_leaves_the_other_as_it_is() {
        let (limits, usual) = (read("messages = { burst = 5 }").expect("a quota"), Limits::default());
        let limits: Limits = serde_json::from_value(limits.fields().clone().into()).expect("limits");
        assert_eq!(limits.messages, Quota { burst: 5, every: usual.messages.every });
    }

    #[test]
    fn what_is_written_can_be_read() {
        let written = toml::to_string(&Overlay::<Limits>::default()).expect("TOML");
        assert!(written.contains("early-lifetime = \"1 min\""), "{written}");
        assert_eq!(read(&written), Ok(Overlay::default()));
    }
}
