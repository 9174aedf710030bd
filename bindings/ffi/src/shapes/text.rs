//! Values that JSON has as text: keys, ids, signatures and bytes in hexadecimal, peers in base58.
//!
//! Owns their one form each. Invariant: what is written is read back as the same value, and what is read in another
//! form is refused. Everything in [`shapes`](super) is made of them.

use std::borrow::Cow;
use std::fmt;

use nelumbo_core::api::IdentityId;
use nelumbo_core::crypto::{PartialSignature, PublicKey, PublicNonce, Signature};
use nelumbo_core::wire::{Address, Label, PeerId, SessionId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// From the core's form to the shape's, or the other way round, through lists and what may be missing.
pub(crate) trait To<T> {
    fn to(self) -> T;
}

impl<A, B> To<Option<B>> for Option<A>
where
    A: To<B>,
{
    fn to(self) -> Option<B> {
        self.map(To::to)
    }
}

impl<A, B> To<Vec<B>> for Vec<A>
where
    A: To<B>,
{
    fn to(self) -> Vec<B> {
        self.into_iter().map(To::to).collect()
    }
}

macro_rules! same {
    ($($kind:ty),*) => {
        $(impl To<$kind> for $kind {
            fn to(self) -> $kind {
                self
            }
        })*
    };
}
same!(bool, u8, u32, u64, usize, String);

/// A type that is written as text.
macro_rules! text {
    ($(#[doc = $doc:literal])* $name:ident($core:ty), $pattern:literal, $parse:expr, $show:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub $core);

        impl From<$core> for $name {
            fn from(value: $core) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $core {
            fn from($name(value): $name) -> Self {
                value
            }
        }

        impl To<$name> for $core {
            fn to(self) -> $name {
                $name(self)
            }
        }

        impl To<$core> for $name {
            fn to(self) -> $core {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(&$core) -> String = $show;
                f.write_str(&show(&self.0))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let parse: fn(&str) -> Result<$core, String> = $parse;
                parse(&Cow::<str>::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": concat!($($doc),*).trim() })
            }
        }
    };
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("hexadecimal digits are lower-case here".into());
    }
    hex::decode(text).map_err(|error| format!("not hexadecimal: {error}"))
}

fn parsed<T: std::str::FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

text! {
    /// A signer's public key: compressed, 33 bytes in hexadecimal.
    Key(PublicKey), "^0[23][0-9a-f]{64}$", parsed, |key| key.to_string()
}
text! {
    /// A session's id: 32 bytes in hexadecimal.
    Session(SessionId), "^[0-9a-f]{64}$", parsed, |id| id.to_string()
}
text! {
    /// The id of an identity that money was burned for: 32 bytes in hexadecimal.
    Burned(IdentityId), "^[0-9a-f]{64}$", parsed, |id| id.to_string()
}
text! {
    /// A peer's name on the network, in base58: for libp2p its peer id.
    Peer(PeerId), "^[1-9A-HJ-NP-Za-km-z]{1,58}$", |text| {
        // A longer text would take time quadratic in its length.
        let bytes = (text.len() <= 58).then(|| bs58::decode(text).into_vec().ok()).flatten();
        bytes.and_then(|bytes| PeerId::from_bytes(&bytes)).ok_or_else(|| format!("not a peer id: {text}"))
    }, |peer| peer.to_string()
}
text! {
    /// A Schnorr signature: 64 bytes in hexadecimal.
    SignatureHex(Signature), "^[0-9a-f]{128}$", parsed, |signature| signature.to_string()
}
text! {
    /// A public nonce: two points, 66 bytes in hexadecimal.
    NonceHex(PublicNonce), "^[0-9a-f]{132}$", parsed, |nonce| nonce.to_string()
}
text! {
    /// A partial signature: 32 bytes in hexadecimal.
    PartialHex(PartialSignature), "^[0-9a-f]{64}$", parsed, |partial| partial.to_string()
}
text! {
    /// 32 bytes in hexadecimal.
    Bytes32([u8; 32]), "^[0-9a-f]{64}$", |text| {
        unhex(text)?.try_into().map_err(|bytes: Vec<u8>| format!("{} bytes where 32 are wanted", bytes.len()))
    }, |bytes| hex::encode(bytes)
}
text! {
    /// Bytes in hexadecimal, in lower case.
    Hex(Vec<u8>), "^([0-9a-f]{2})*$", unhex, |bytes| hex::encode(bytes)
}
text! {
    /// An address where a peer may be reached: for libp2p a binary multiaddr without the peer id, 1 to 255 bytes in
    /// hexadecimal.
    AddressHex(Address), "^([0-9a-f]{2}){1,255}$", |text| {
        Address::from_bytes(unhex(text)?).ok_or_else(|| "an address has 1 to 255 bytes".into())
    }, |address| hex::encode(address.as_bytes())
}
text! {
    /// A name of 1 to 64 of `a`-`z`, `0`-`9`, `-`, `_` and `.`.
    Name(Label), "^[a-z0-9._-]{1,64}$", parsed, |label| label.to_string()
}

/// The greatest integer that every language has: in JavaScript greater ones become others.
pub const MAX_ID: u64 = (1 << 53) - 1;

/// A number by which host and node name something to each other, at most 2^53 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Id(pub u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = u64::deserialize(deserializer)?;
        if id <= MAX_ID { Ok(Self(id)) } else { Err(D::Error::custom(format!("{id} is above 2^53 - 1"))) }
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "minimum": 0, "maximum": MAX_ID,
            "description": "A number by which host and node name something to each other."
        })
    }
}
