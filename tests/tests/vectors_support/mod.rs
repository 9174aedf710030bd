//! Reading the vector files.
//!
//! Owns the loader and the few conversions that every vector test makes. Invariant: a value that is missing or has the
//! wrong form is a failure that names it, never a case that is silently left out.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses the part it needs")]

use nelumbo_core::crypto::{PublicKey, SecretKey, Signature};
use serde_json::Value;

/// A file below `tests/vectors`.
pub fn load(path: &str) -> Value {
    let path = format!("{}/vectors/{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The elements of a list, which must not be empty.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array().unwrap_or_else(|| panic!("{key} is not a list in {value}"));
    assert!(!list.is_empty(), "{key} is empty");
    list
}

/// A text.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is not a text in {value}"))
}

/// A flag.
pub fn flag(value: &Value, key: &str) -> bool {
    value[key].as_bool().unwrap_or_else(|| panic!("{key} is not a flag in {value}"))
}

/// A number.
pub fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} is not a number in {value}"))
}

/// The bytes behind a hexadecimal text.
pub fn bytes(value: &Value, key: &str) -> Vec<u8> {
    unhex(&value[key])
}

/// The bytes behind a hexadecimal text of known size.
pub fn array<const N: usize>(value: &Value, key: &str) -> [u8; N] {
    unhex_array(&value[key])
}

/// The bytes of a hexadecimal value.
pub fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is not a text"));
    hex::decode(text).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// The bytes of a hexadecimal value of known size.
pub fn unhex_array<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().unwrap_or_else(|bytes: Vec<u8>| panic!("{value} has {} bytes, not {N}", bytes.len()))
}

/// A public key.
pub fn public_key(value: &Value) -> PublicKey {
    PublicKey::from_bytes(unhex_array(value)).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// The public keys of a list.
pub fn public_keys(value: &Value, key: &str) -> Vec<PublicKey> {
    list(value, key).iter().map(public_key).collect()
}

/// A secret key.
pub fn secret_key(value: &Value) -> SecretKey {
    SecretKey::from_bytes(&unhex_array(value)).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// A signature.
pub fn signature(value: &Value) -> Signature {
    Signature::from_bytes(unhex_array(value))
}
