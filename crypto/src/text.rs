//! Fixed-size byte strings as text and on the wire.
//!
//! Owns lower-case hexadecimal, the serde form of byte arrays of any length, and the macro behind the plain byte
//! wrappers. Invariant: one byte string has one text and one encoding; upper-case digits are refused, so that texts can
//! be compared.

use core::fmt;
use core::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserializer, Serializer};

/// Why a text is not the hexadecimal form of a byte string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HexError {
    /// The text has the wrong number of characters.
    Length {
        /// How many characters there should be.
        expected: usize,
        /// How many bytes of text there are.
        found: usize,
    },
    /// The character at this position, counted from zero, is not one of `0`–`9` and `a`–`f`.
    Digit {
        /// Where it is.
        position: usize,
    },
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, found } => write!(f, "expected {expected} hexadecimal characters, found {found}"),
            Self::Digit { position } => write!(f, "character {position} is not a lower-case hexadecimal digit"),
        }
    }
}

impl core::error::Error for HexError {}

/// A byte string from its lower-case hexadecimal text.
///
/// # Errors
///
/// [`HexError`], with what is wrong.
pub fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return Err(HexError::Length { expected: 2 * N, found: text.len() });
    }
    let mut bytes = [0; N];
    for (position, character) in text.iter().enumerate() {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            _ => return Err(HexError::Digit { position }),
        };
        bytes[position / 2] = bytes[position / 2] << 4 | digit;
    }
    Ok(bytes)
}

pub(super) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Enough of a value to recognise it in a log.
pub(super) fn write_short(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name}(")?;
    write_hex(f, &bytes[..bytes.len().min(6)])?;
    f.write_str("…)")
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.0)
    }
}

/// A tuple of bytes in binary formats, hexadecimal text in formats for people.
pub(super) fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serializer.collect_str(&Hex(bytes));
    }
    let mut tuple = serializer.serialize_tuple(N)?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    let human_readable = deserializer.is_human_readable();
    let visitor = Bytes::<N> { human_readable, size: PhantomData };
    if human_readable { deserializer.deserialize_str(visitor) } else { deserializer.deserialize_tuple(N, visitor) }
}

struct Bytes<const N: usize> {
    human_readable: bool,
    size: PhantomData<[u8; N]>,
}

impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.human_readable { write!(f, "{} hexadecimal characters", 2 * N) } else { write!(f, "{N} bytes") }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        parse_hex(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut bytes = [0; N];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = sequence.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        Ok(bytes)
    }
}

/// A wrapper around a byte array that says nothing about whether its content is valid.
macro_rules! plain_bytes {
    ($(#[$documentation:meta])* $name:ident, $size:literal) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $size]);

        impl $name {
            /// The size of the encoding in bytes.
            pub const SIZE: usize = $size;

            /// Wraps the bytes as they are; whether they are valid is decided where they are used.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }

            /// The bytes, by value.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; $size] {
                self.0
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::text::write_hex(f, &self.0)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::text::write_short(f, stringify!($name), &self.0)
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::HexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::text::parse_hex(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::text::serialize(&self.0, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::deserialize(deserializer).map(Self)
            }
        }
    };
}

pub(super) use plain_bytes;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use crate::{PublicKey, Signature};

    /// On the wire a byte string is its bytes, without a length, at any size.
    #[test]
    fn binary_form_is_the_bytes() {
        let signature = Signature::from_bytes([7; 64]);
        let encoded = postcard::to_allocvec(&signature).expect("memory");
        assert_eq!(encoded, vec![7; 64]);
        assert_eq!(postcard::from_bytes(&encoded), Ok(signature));
        assert!(postcard::from_bytes::<Signature>(&encoded[1..]).is_err());
    }

    /// A key with another prefix does not come off the wire; one off the curve does, and is found where it is used.
    #[test]
    fn keys_are_refused_by_their_prefix() {
        for prefix in 0..=u8::MAX {
            let mut encoded = [0; 33];
            encoded[0] = prefix;
            let decoded = postcard::from_bytes::<PublicKey>(&encoded);
            assert_eq!(decoded.is_ok(), prefix == 2 || prefix == 3, "{prefix:02x}");
        }
    }
}
