//! Lotus addresses ("XAddress").
//!
//! Owns the text form of the three kinds of output that have one. Invariant: what is printed is the current form only,
//! while two older forms are still read; a Taproot address holds a point of the curve. Embedders drive it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::network::Network;
use super::output::{TaprootOutput, p2pkh_script, p2sh_script};
use crate::base58;
use crate::hash::sha256;
use crate::keys::PublicKey;
use crate::transaction::compact_size;

const TOKEN: &str = "lotus";
const TYPE_SCRIPT: u8 = 0;
const TYPE_TAPROOT: u8 = 2;
const CHECKSUM: usize = 4;

/// An address: `lotus`, the letter of the network, and base58 of type, payload and checksum (Lotus scheme, section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The network on which the address is good.
    pub network: Network,
    /// What it pays to.
    pub payload: Payload,
}

/// What an address pays to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payload {
    /// The hash of a public key.
    PublicKeyHash([u8; 20]),
    /// The hash of a script.
    ScriptHash([u8; 20]),
    /// A Taproot commitment. The state of an output is no part of its address.
    Taproot(PublicKey),
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// The text does not begin with `lotus` and the letter of a network.
    Prefix,
    /// What follows is not base58 of a plausible length.
    Base58,
    /// The checksum is wrong: the text was changed, or belongs to another token or network.
    Checksum,
    /// The type is neither 0 nor 2.
    Type(u8),
    /// The payload is not one of the type.
    Payload,
    /// The Taproot commitment is not a point of the curve.
    Key,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => f.write_str("an address begins with lotus_, lotusT or lotusR"),
            Self::Base58 => f.write_str("the address is not base58"),
            Self::Checksum => f.write_str("the checksum of the address is wrong"),
            Self::Type(found) => write!(f, "addresses of type {found} are unknown"),
            Self::Payload => f.write_str("the payload of the address does not fit its type"),
            Self::Key => f.write_str("the address does not commit to a point of the curve"),
        }
    }
}

impl core::error::Error for AddressError {}

impl Address {
    /// The script that an output to this address carries; without state.
    #[must_use]
    pub fn script_pubkey(&self) -> Vec<u8> {
        match &self.payload {
            Payload::PublicKeyHash(hash) => p2pkh_script(hash).to_vec(),
            Payload::ScriptHash(hash) => p2sh_script(hash).to_vec(),
            Payload::Taproot(commitment) => TaprootOutput { commitment: *commitment, state: None }.script_pubkey(),
        }
    }

    /// The address of an output with this script, if it has one. A Taproot output with state has the address of its
    /// commitment, so paying to that address again does not recreate the state.
    #[must_use]
    pub fn from_script_pubkey(network: Network, script: &[u8]) -> Option<Self> {
        let payload = standard_payload(script)
            .or_else(|| TaprootOutput::from_script_pubkey(script).map(|output| Payload::Taproot(output.commitment)))?;
        Some(Self { network, payload })
    }
}

fn standard_payload(script: &[u8]) -> Option<Payload> {
    match script {
        [0x76, 0xa9, 0x14, hash @ .., 0x88, 0xac] => hash.try_into().ok().map(Payload::PublicKeyHash),
        [0xa9, 0x14, hash @ .., 0x87] => hash.try_into().ok().map(Payload::ScriptHash),
        _ => None,
    }
}

fn checksum(letter: char, kind: u8, payload: &[u8]) -> [u8; CHECKSUM] {
    // The letters of all networks are one byte.
    first_bytes(&sha256(&[TOKEN.as_bytes(), &[letter as u8, kind], payload]))
}

/// The checksum of lotusd up to 1.0.1, which put lengths before the token and the payload.
fn legacy_checksum(letter: char, kind: u8, payload: &[u8]) -> [u8; CHECKSUM] {
    let (mut token_length, mut payload_length) = ([0; 9], [0; 9]);
    first_bytes(&sha256(&[
        compact_size(&mut token_length, TOKEN.len() as u64),
        TOKEN.as_bytes(),
        &[letter as u8, kind],
        compact_size(&mut payload_length, payload.len() as u64),
        payload,
    ]))
}

fn first_bytes(hash: &[u8; 32]) -> [u8; CHECKSUM] {
    let [a, b, c, d, ..] = *hash;
    [a, b, c, d]
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = self.network.letter();
        let (kind, payload) = match &self.payload {
            Payload::Taproot(commitment) => (TYPE_TAPROOT, commitment.as_bytes().to_vec()),
            Payload::PublicKeyHash(_) | Payload::ScriptHash(_) => (TYPE_SCRIPT, self.script_pubkey()),
        };
        let mut bytes = Vec::with_capacity(1 + payload.len() + CHECKSUM);
        bytes.push(kind);
        bytes.extend_from_slice(&payload);
        bytes.extend_from_slice(&checksum(letter, kind, &payload));
        let encoded: String = bs58::encode(&bytes).into_string();
        write!(f, "{TOKEN}{letter}{encoded}")
    }
}

/// Reads the current form, the legacy checksum of lotusd, and the Taproot payload of 36 bytes (a whole script) that
/// wallets wrote for some days in November 2025.
impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut rest = text.strip_prefix(TOKEN).ok_or(AddressError::Prefix)?.chars();
        let letter = rest.next().ok_or(AddressError::Prefix)?;
        let network = Network::from_letter(letter).ok_or(AddressError::Prefix)?;
        let bytes = base58::decode(rest.as_str()).ok_or(AddressError::Base58)?;
        let (content, found) = bytes.split_last_chunk::<CHECKSUM>().ok_or(AddressError::Base58)?;
        let (kind, payload) = content.split_first().ok_or(AddressError::Base58)?;
        if *found != checksum(letter, *kind, payload) && *found != legacy_checksum(letter, *kind, payload) {
            return Err(AddressError::Checksum);
        }
        let payload = match *kind {
            TYPE_SCRIPT => standard_payload(payload).ok_or(AddressError::Payload)?,
            TYPE_TAPROOT => taproot_payload(payload)?,
            kind => return Err(AddressError::Type(kind)),
        };
        Ok(Self { network, payload })
    }
}

fn taproot_payload(payload: &[u8]) -> Result<Payload, AddressError> {
    let commitment = match TaprootOutput::from_script_pubkey(payload) {
        Some(TaprootOutput { commitment, state: None }) => commitment,
        _ => PublicKey::from_slice(payload).map_err(|_| AddressError::Payload)?,
    };
    commitment.validate().map_err(|_| AddressError::Key)?;
    Ok(Payload::Taproot(commitment))
}
