//! How texts on the command line become values.
//!
//! Owns the parsers that clap calls and the rules that concern several values at once. Invariant: a key that leaves
//! this file is a point of the curve, and a list of keys is sorted and without duplicates. All commands drive it.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use nelumbo_core::crypto::{Network, PublicKey, PublicKeyError, Signature, Suite, sort_keys};
use nelumbo_core::election::Method;
use nelumbo_core::wire::Text;
use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// Bytes given in hexadecimal. A type of its own because clap takes a `Vec` for several values.
#[derive(Clone, Debug)]
pub(crate) struct HexBytes(pub(crate) Vec<u8>);

impl FromStr for HexBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let odd = |found| format!("two hexadecimal digits make a byte, and {found} digits are odd; is one missing?");
        hex::decode(text).map(Self).map_err(|error| match error {
            hex::FromHexError::OddLength => odd(text.len()),
            hex::FromHexError::InvalidHexCharacter { c, index } => {
                format!("character {} is {c:?}, which is not a hexadecimal digit", index + 1)
            }
            hex::FromHexError::InvalidStringLength => odd(text.len()),
        })
    }
}

/// Anything that can be read from text.
pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Text that others will see, as it is.
pub(crate) fn text<const MAX: usize>(text: &str) -> Result<Text<MAX>, Failure> {
    let parsed: Text<MAX> = text.parse().map_err(|error| Failure::input(error, "make it shorter, on one line"))?;
    let shown = parsed.to_string();
    if shown != text {
        return Err(Failure::input(
            format_args!("others would see the text as {shown}"),
            "leave out what is invisible or changes the direction of writing",
        ));
    }
    Ok(parsed)
}

/// A public key of 33 bytes, on the curve.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, String> {
    let HexBytes(bytes) = text.parse()?;
    let key = PublicKey::from_slice(&bytes).map_err(|error| match error {
        PublicKeyError::Length(found) => {
            format!("a public key has 33 bytes, which are 66 digits; this one has {found} bytes")
        }
        error => error.to_string(),
    })?;
    key.validate().map_err(|error| format!("{error}; is a digit wrong?"))?;
    Ok(key)
}

/// A hash of 32 bytes.
pub(crate) fn bytes32(text: &str) -> Result<[u8; 32], String> {
    let HexBytes(bytes) = text.parse()?;
    let found = bytes.len();
    bytes.try_into().map_err(|_| format!("a hash has 32 bytes, which are 64 digits; this one has {found} bytes"))
}

/// A signature of 64 bytes. Whether it is valid is another question.
pub(crate) fn signature(text: &str) -> Result<Signature, String> {
    let HexBytes(bytes) = text.parse()?;
    let found = bytes.len();
    let bytes = bytes
        .try_into()
        .map_err(|_| format!("a signature has 64 bytes, which are 128 digits; this one has {found} bytes"))?;
    Ok(Signature::from_bytes(bytes))
}

/// A signature scheme.
pub(crate) fn suite() -> impl TypedValueParser<Value = Suite> {
    named(["lotus", "bip340"])
}

/// A Lotus network.
pub(crate) fn network() -> impl TypedValueParser<Value = Network> {
    named(["mainnet", "testnet", "regtest"])
}

/// An election method.
pub(crate) fn method() -> impl TypedValueParser<Value = Method> {
    named(["lexicographic", "hash-based", "first-signer", "last-signer", "rotating"])
}

/// One of these names, each of which the type can read.
fn named<T, const N: usize>(names: [&'static str; N]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Debug> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).map(|name| name.parse().expect("the core knows every name that is possible"))
}

/// Sorts keys, and refuses one that is there twice.
pub(crate) fn sorted(mut keys: Vec<PublicKey>) -> Result<Vec<PublicKey>, Failure> {
    sort_keys(&mut keys);
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::input(
            format_args!("key {} is given twice", pair[0]),
            "every signer needs a key of its own, so give each key once",
        )),
        None => Ok(keys),
    }
}

/// Refuses a message that the suite does not sign.
pub(crate) fn check_message(suite: Suite, message: &[u8]) -> Result<(), Failure> {
    if suite == Suite::Lotus && message.len() != 32 {
        return Err(Failure::input(
            format_args!("a Lotus signature is over 32 bytes, and the message has {}", message.len()),
            "give the message's 32-byte digest, or choose --suite bip340",
        ));
    }
    Ok(())
}

/// A number of seconds, with or without a fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    // A year, so that adding it to the present cannot overflow.
    let limit = Duration::from_secs(365 * 24 * 3600);
    seconds.filter(|seconds| *seconds <= limit).ok_or_else(|| "not a number of seconds up to a year".to_owned())
}

/// An amount in XPI with up to six decimals, or in satoshi with `sat` behind it.
pub(crate) fn amount(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no amount; write XPI, such as 25.5, or satoshi, such as 25500000sat");
    if let Some(satoshi) = text.strip_suffix("sat") {
        return satoshi.parse().map_err(|_| wrong());
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|char| char.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 6 {
        return Err(wrong());
    }
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(1_000_000));
    let part: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
    whole.and_then(|whole| whole.checked_add(part)).ok_or_else(wrong)
}

/// The SHA-256 of a file, hashed piece by piece: it may be larger than the memory.
pub(crate) fn digest_of(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: io::Error| {
        Failure::input(format_args!("cannot read {}: {error}", path.display()), "give --file a file that you may read")
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hash.finalize().to_vec()),
            Ok(length) => hash.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}
