//! Text from outside: bounded, and safe to show.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Harmless;

/// Text of at most `MAX` bytes without control characters. It may have other characters that deceive a reader:
/// displayed, debugged, or serialised for people (JSON), it is [`Harmless`]; on the wire and by [`Text::as_str`] it is
/// as it was sent.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const MAX: usize>(String);

/// What a kind of resource, a resource or a protocol is called: 1 to 64 of `a`–`z`, `0`–`9`, `-`, `_` and `.`, so that
/// it can be part of a DHT key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(String);

/// Why text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextError {
    /// More bytes than allowed.
    TooLong {
        /// How many there are.
        length: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A control character.
    Control,
    /// Not a [`Label`].
    Label,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, max } => write!(f, "{length} bytes of text, and {max} are allowed"),
            Self::Control => f.write_str("text with control characters"),
            Self::Label => f.write_str("a name is 1 to 64 of a-z, 0-9, '-', '_' and '.'"),
        }
    }
}

impl core::error::Error for TextError {}

impl<const MAX: usize> Text<MAX> {
    /// The text as it was sent. To show it, use `Display`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        if text.len() > MAX {
            Err(TextError::TooLong { length: text.len(), max: MAX })
        } else if text.chars().any(char::is_control) {
            Err(TextError::Control)
        } else {
            Ok(Self(text.to_string()))
        }
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Harmless(&self.0).fmt(f)
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_str(&self.0) }
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Label {
    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_string()))
        } else {
            Err(TextError::Label)
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_harmless() {
        assert_eq!("abcd".parse::<Text<3>>(), Err(TextError::TooLong { length: 4, max: 3 }));
        assert_eq!("a\u{1b}[2J".parse::<Text<9>>(), Err(TextError::Control));
        assert_eq!("züri".parse::<Text<5>>().map(|text| text.to_string()), Ok("züri".to_string()));
    }

    #[test]
    fn what_deceives_is_as_sent_on_the_wire_and_escaped_for_people() {
        let text: Text<64> = "Bob\u{202e}ecilA".parse().expect("no control character");
        let shown = r"Bob\u{202e}ecilA";
        assert_eq!((text.as_str(), text.to_string()), ("Bob\u{202e}ecilA", shown.to_string()));
        assert_eq!(alloc::format!("{text:?}"), alloc::format!("\"{shown}\""));
        let wire = crate::wire::encode(&text);
        assert_eq!(postcard::from_bytes(&wire), Ok(text));
    }

    #[test]
    fn labels_fit_into_keys() {
        for bad in ["", "A", "a b", "a:b", "a/b", &"a".repeat(65)] {
            assert_eq!(bad.parse::<Label>(), Err(TextError::Label), "{bad:?}");
        }
        assert!("musig2-signer.1_x".parse::<Label>().is_ok());
    }
}
