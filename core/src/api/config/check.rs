//! Which configurations make a node.
//!
//! Invariant: with a configuration that passes, no timer comes again within a millisecond, nothing that a node needs is
//! capped at zero, and no two fields contradict each other.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;

use super::{Config, Limits, Quota};
use crate::gate::MAX_LIFETIME;
use crate::wire::{MAX_DIRECT, MAX_SLOTS};

const MOMENT: Duration = Duration::from_millis(1);
/// Each renewal is signed and sent to everyone.
const RENEWAL: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const WEEK: (Duration, &str) = (MAX_LIFETIME, "");

/// A field of a [`Config`] has a value that makes no node, or that contradicts another field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field, such as `stall` or `limits.sessions`.
    pub field: &'static str,
    /// Its value, as a text.
    pub value: String,
    /// Which values it may have beside those of the other fields, as a text.
    pub allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, allowed } = self;
        write!(f, "the configuration's {field} is {value}; allowed is {allowed}")
    }
}

impl core::error::Error for ConfigError {}

/// What is renewed after half its lifetime must not come more often than others take it.
fn renewal(quota: Quota) -> Duration {
    quota.every.saturating_mul(2).max(RENEWAL)
}

impl Config {
    /// The shortest life of an advertisement: others take so few of them, and by a clock that is ahead it has to be
    /// valid too.
    pub(crate) fn least_advertisement_lifetime(&self) -> Duration {
        renewal(self.limits.advertisements_per_key).max(self.clock_skew)
    }

    /// Whether a node can live with this configuration.
    ///
    /// # Errors
    /// The first field whose value is not allowed beside those of the others.
    pub fn check(&self) -> Result<(), ConfigError> {
        // Field by field, so that none that is added is forgotten.
        let Self {
            network: _,
            session_timeout,
            stall,
            stall_max,
            stuck_timeout,
            retries: _,
            broadcast_timeout,
            clock_skew,
            presence_lifetime,
            advertisement_lifetime,
            delegation_lifetime,
            republish,
            lookup_timeout,
            limits,
        } = self;
        time("session_timeout", *session_timeout, MOMENT, WEEK)?;
        time("stuck_timeout", *stuck_timeout, MOMENT, WEEK)?;
        time("stall_max", *stall_max, MOMENT, (*stuck_timeout, "stuck_timeout"))?;
        time("stall", *stall, MOMENT, (*stall_max, "stall_max"))?;
        time("broadcast_timeout", *broadcast_timeout, MOMENT, WEEK)?;
        time("presence_lifetime", *presence_lifetime, renewal(limits.presences_per_key), WEEK)?;
        let least = renewal(limits.advertisements_per_key);
        time("advertisement_lifetime", *advertisement_lifetime, least, WEEK)?;
        // Together with how far it reaches back no longer than anyone takes it, and half of it for a whole session.
        let least = session_timeout.saturating_mul(2).max(HOUR);
        time("delegation_lifetime", *delegation_lifetime, least, (Duration::from_secs(60 * 24 * 60 * 60), ""))?;
        let presence = (*presence_lifetime, "presence_lifetime");
        let announced = presence.min((*advertisement_lifetime, "advertisement_lifetime"));
        time("republish", *republish, RENEWAL, announced)?;
        let shortest = announced.min((*session_timeout, "session_timeout"));
        time("clock_skew", *clock_skew, Duration::ZERO, shortest)?;
        time("lookup_timeout", *lookup_timeout, MOMENT, WEEK)?;
        limits.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        let Self {
            sessions,
            slots,
            unapproved,
            unapproved_per_creator,
            ended,
            closed,
            // Without it a request that comes again is verified again.
            requests: _,
            attempts,
            peers,
            neighbours,
            messages_per_peer,
            bytes_per_peer,
            messages_reserved_per_peer,
            messages,
            bytes,
            presences_per_key,
            announced_keys,
            // Without it a node hears of no sessions but its own.
            announcers: _,
            graylist_at,
            blacklist_at,
            presences,
            keys_per_peer,
            // A host without a DHT needs no lookups, and one with enough of everything no searches.
            lookups,
            lookups_waiting: _,
            lookup_rate,
            searches: _,
            // Without these a node knows of nobody who advertises, and of no resources.
            advertisements: _,
            advertisements_per_key,
            resources: _,
            resources_per_author,
            resources_per_kind,
            announcements_per_author,
            reputations,
            // Without it nobody is verified.
            identities: _,
            // Without it a node keeps no records for others.
            records: _,
            records_per_peer,
            // Without it a node takes no messages to other protocols.
            protocol_messages: _,
            topic_messages_per_author,
            // Without these protocols have none.
            protocol_topics: _,
            protocol_timers: _,
            protocol_records: _,
            protocol_record_bytes: _,
            protocol_waiting,
            early: all_early,
            early_per_author,
            early_lifetime,
            // Without it everybody is verified as strangers are.
            prepared_keys: _,
            sequence_window,
        } = *self;
        count("limits.sessions", sessions, 1, None)?;
        count("limits.slots", slots, MAX_SLOTS, None)?;
        count("limits.unapproved", unapproved, 0, Some((sessions, "limits.sessions")))?;
        let most = Some((unapproved, "limits.unapproved"));
        count("limits.unapproved_per_creator", unapproved_per_creator, 0, most)?;
        count("limits.ended", ended, 1, None)?;
        count("limits.closed", closed, 1, None)?;
        count("limits.attempts", attempts as usize, 1, None)?;
        count("limits.peers", peers, 1, None)?;
        count("limits.neighbours", neighbours, 1, None)?;
        quota("limits.messages_per_peer", messages_per_peer, 1)?;
        quota("limits.bytes_per_peer", bytes_per_peer, MAX_DIRECT as u64)?;
        quota("limits.messages_reserved_per_peer", messages_reserved_per_peer, 0)?;
        // What is not reserved for anybody must get in by this way.
        quota("limits.messages", messages, u64::from(messages_reserved_per_peer.burst == 0))?;
        quota("limits.bytes", bytes, u64::from(messages_reserved_per_peer.burst == 0))?;
        quota("limits.presences_per_key", presences_per_key, 1)?;
        quota("limits.announced_keys", announced_keys, 0)?;
        count("limits.blacklist_at", blacklist_at as usize, 2, None)?;
        let below = Some((blacklist_at as usize - 1, "one less than limits.blacklist_at"));
        count("limits.graylist_at", graylist_at as usize, 1, below)?;
        count("limits.presences", presences, 1, None)?;
        count("limits.keys_per_peer", keys_per_peer, 1, Some((presences, "limits.presences")))?;
        quota("limits.advertisements_per_key", advertisements_per_key, 0)?;
        quota("limits.lookup_rate", lookup_rate, u64::from(lookups > 0))?;
        let most = Some((resources_per_author, "limits.resources_per_author"));
        count("limits.resources_per_kind", resources_per_kind, 0, most)?;
        quota("limits.announcements_per_author", announcements_per_author, 0)?;
        count("limits.reputations", reputations, 1, None)?;
        quota("limits.records_per_peer", records_per_peer, 0)?;
        quota("limits.topic_messages_per_author", topic_messages_per_author, 0)?;
        count("limits.protocol_waiting", protocol_waiting, 1, None)?;
        count("limits.early_per_author", early_per_author, 0, Some((all_early, "limits.early")))?;
        time("limits.early_lifetime", early_lifetime, MOMENT, WEEK)?;
        // One bit for each number, and one for the newest.
        let window = usize::try_from(sequence_window).unwrap_or(usize::MAX);
        count("limits.sequence_window", window, 1, Some((127, "")))
    }
}

/// A time from `least` to `most`, which is the value of the field that is named with it.
fn time(
    field: &'static str,
    value: Duration,
    least: Duration,
    (most, of): (Duration, &str),
) -> Result<(), ConfigError> {
    if least <= value && value <= most {
        return Ok(());
    }
    let allowed = format!("{} to {}{}", Time(least), Time(most), Of(of));
    Err(ConfigError { field, value: Time(value).to_string(), allowed })
}

/// A number of at least `least`, and at most that of the field that is named with it.
fn count(field: &'static str, value: usize, least: usize, most: Option<(usize, &str)>) -> Result<(), ConfigError> {
    if least <= value && most.is_none_or(|(most, _)| value <= most) {
        return Ok(());
    }
    let allowed = match most {
        None => format!("{least} or more"),
        Some((most, of)) => format!("{least} to {most}{}", Of(of)),
    };
    Err(ConfigError { field, value: value.to_string(), allowed })
}

/// A quota that holds at least `least` and is full again within a week.
fn quota(field: &'static str, value: Quota, least: u64) -> Result<(), ConfigError> {
    let Quota { burst, every } = value;
    let full = every.as_nanos().saturating_mul(u128::from(burst));
    if burst >= least && !every.is_zero() && every <= MAX_LIFETIME && full <= MAX_LIFETIME.as_nanos() {
        return Ok(());
    }
    let allowed = format!("a burst of {least} or more, another after 1 ns or more, all within {}", Time(MAX_LIFETIME));
    Err(ConfigError { field, value: format!("a burst of {burst}, another after {}", Time(every)), allowed })
}

/// Of which field a bound is the value.
struct Of<'a>(&'a str);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", which is {}", self.0) }
    }
}

/// A time in the largest unit of which it is a whole number.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let units =
            [(86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s")];
        let unit =
            units.into_iter().chain([(1_000_000, "ms"), (1, "ns")]).find(|(unit, _)| nanos.is_multiple_of(*unit));
        match unit {
            Some((unit, name)) if nanos > 0 => write!(f, "{} {name}", nanos / unit),
            _ => f.write_str("0"),
        }
    }
}
