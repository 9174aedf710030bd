//! Links that invite to a session: `lotus://musig2/join/<id>`.
//!
//! Owns the one form that they have, in both directions. Invariant: two links to one session are the same text.
//! Commands that show or take a session drive it.

use std::fmt;
use std::str::FromStr;

use nelumbo_core::wire::SessionId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const PREFIX: &str = "lotus://musig2/join/";

/// A link to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionLink(pub(crate) SessionId);

impl fmt::Display for SessionLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl FromStr for SessionLink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = text.strip_prefix(PREFIX).ok_or_else(|| format!("a link to a session begins with {PREFIX}"))?;
        id.parse().map(Self).map_err(|error| format!("after {PREFIX}, {error}"))
    }
}

impl Serialize for SessionLink {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionLink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A session as people name it: by its link or by its id alone.
pub(crate) fn session(text: &str) -> Result<SessionId, String> {
    if text.contains(':') {
        return text.parse::<SessionLink>().map(|link| link.0);
    }
    text.parse().map_err(|error| format!("{error}, or a link that begins with {PREFIX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn a_link_names_its_session_and_is_made_again_from_it() {
        let text = format!("lotus://musig2/join/{ID}");
        let link: SessionLink = text.parse().expect("a link");
        assert_eq!((link.to_string(), link.0.to_string()), (text.clone(), ID.to_owned()));
        assert_eq!(session(&text), Ok(link.0));
        assert_eq!(session(ID), Ok(link.0));
        assert_eq!(serde_json::to_value(link).expect("a text"), text);
        assert_eq!(serde_json::from_value::<SessionLink>(text.into()).expect("a link"), link);
    }

    #[test]
    fn what_is_no_link_is_refused() {
        for text in [
            "",
            "lotus://musig2/join/",
            &ID[1..],
            &format!("https://musig2/join/{ID}"),
            &format!("lotus://musig2/leave/{ID}"),
            &format!("lotus://musig2/join/{ID}/"),
            &format!("lotus://musig2/join/{ID}?x=1"),
            &format!("lotus://musig2/join/{}", ID.to_uppercase()),
            &format!(" lotus://musig2/join/{ID}"),
        ] {
            assert!(session(text).is_err(), "{text:?}");
        }
    }
}
