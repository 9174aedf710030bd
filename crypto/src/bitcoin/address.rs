//! Bitcoin addresses.
//!
//! Owns the text form of the outputs that have one: pay to the hash of a public key or of a script in base58, and
//! witness programs in bech32 (BIP173) or bech32m (BIP350). Invariant: an address and its script determine each other.
//! Embedders and the command line drive it.

use alloc::vec::Vec;
use core::fmt;

use bech32::{Fe32, Hrp, hrp, segwit};

use super::output::taproot_script;
use crate::base58;
use crate::hash::sha256d;
use crate::keys::PublicKey;
use crate::lotus::{Network, p2pkh_script, p2sh_script};

const CHECKSUM: usize = 4;

/// An address: a network, and the script that an output to the address carries. Shown as wallets write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    network: Network,
    /// One of those that [`Form::of`] knows.
    script: Vec<u8>,
}

/// Why a text is not an address of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins like an address in bech32 or bech32m, and is not one: a character, the length, the checksum, or which
    /// of the two it is.
    Bech32,
    /// It is not base58 of the 25 bytes that an address has.
    Base58,
    /// The checksum of base58 is wrong: the text was changed.
    Checksum,
    /// It is an address of another network, or of another ledger.
    Network,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bech32 => "the address is not valid bech32 or bech32m",
            Self::Base58 => "the address is neither bech32 nor base58",
            Self::Checksum => "the checksum of the address is wrong",
            Self::Network => "the address belongs to another network",
        })
    }
}

impl core::error::Error for AddressError {}

impl Address {
    /// The address of the Taproot output with this output key.
    #[must_use]
    pub fn taproot(network: Network, output_key: &PublicKey) -> Self {
        Self { network, script: taproot_script(output_key).to_vec() }
    }

    /// Reads an address of a network. The networks are told apart by the address, but for testnet and regtest in
    /// base58, which write the same.
    ///
    /// Whether a Taproot address holds a point of the curve is not checked, here as elsewhere on Bitcoin: what is sent
    /// to one that does not is lost.
    ///
    /// # Errors
    ///
    /// [`AddressError`].
    pub fn parse(network: Network, text: &str) -> Result<Self, AddressError> {
        let begins = |hrp: Hrp| {
            let (head, rest) = text.split_at_checked(hrp.len()).unwrap_or_default();
            rest.starts_with('1') && head.eq_ignore_ascii_case(hrp.as_str())
        };
        if [hrp::BC, hrp::TB, hrp::BCRT].into_iter().any(begins) {
            let (found, version, program) = segwit::decode(text).map_err(|_| AddressError::Bech32)?;
            if found != witness_prefix(network) {
                return Err(AddressError::Network);
            }
            return Ok(Self { network, script: witness_script(version, &program) });
        }
        let bytes = base58::decode(text).ok_or(AddressError::Base58)?;
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(AddressError::Base58)?;
        let (&[version], hash) = content.split_first_chunk().ok_or(AddressError::Base58)?;
        let hash: &[u8; 20] = hash.try_into().map_err(|_| AddressError::Base58)?;
        if sha256d(&[content])[..CHECKSUM] != *checksum {
            return Err(AddressError::Checksum);
        }
        let [key, script] = base58_versions(network);
        let script = match version {
            version if version == key => p2pkh_script(hash).to_vec(),
            version if version == script => p2sh_script(hash).to_vec(),
            _ => return Err(AddressError::Network),
        };
        Ok(Self { network, script })
    }

    /// The address of an output with this script, if it has one.
    #[must_use]
    pub fn from_script_pubkey(network: Network, script: &[u8]) -> Option<Self> {
        Form::of(script).map(|_| Self { network, script: script.to_vec() })
    }

    /// The network on which the address is good.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The script that an output to this address carries.
    #[must_use]
    pub fn script_pubkey(&self) -> &[u8] {
        &self.script
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [key, script] = base58_versions(self.network);
        let (version, hash) = match Form::of(&self.script).expect("an address has a script that has an address") {
            Form::Witness(version, program) => {
                return segwit::encode_to_fmt_unchecked(f, witness_prefix(self.network), version, program);
            }
            Form::PublicKeyHash(hash) => (key, hash),
            Form::ScriptHash(hash) => (script, hash),
        };
        let checksum = sha256d(&[&[version], hash]);
        let text = bs58::encode([&[version], hash.as_slice(), &checksum[..CHECKSUM]].concat()).into_string();
        f.write_str(&text)
    }
}

/// What a script pays to, if it has an address.
enum Form<'a> {
    PublicKeyHash(&'a [u8; 20]),
    ScriptHash(&'a [u8; 20]),
    Witness(Fe32, &'a [u8]),
}

impl<'a> Form<'a> {
    fn of(script: &'a [u8]) -> Option<Self> {
        match script {
            [0x76, 0xa9, 0x14, hash @ .., 0x88, 0xac] => hash.try_into().ok().map(Self::PublicKeyHash),
            [0xa9, 0x14, hash @ .., 0x87] => hash.try_into().ok().map(Self::ScriptHash),
            [version @ (0 | 0x51..=0x60), length @ 2..=40, program @ ..] if program.len() == usize::from(*length) => {
                // A witness program of version 0 has 20 or 32 bytes, any other 2 to 40 (BIP141).
                let is_valid = *version != 0 || matches!(length, 20 | 32);
                let version = Fe32::try_from(version.saturating_sub(0x50)).ok()?;
                is_valid.then_some(Self::Witness(version, program))
            }
            _ => None,
        }
    }
}

/// `OP_0` to `OP_16` and the push of the program (BIP141).
fn witness_script(version: Fe32, program: &[u8]) -> Vec<u8> {
    let opcode = match version.to_u8() {
        0 => 0,
        version => 0x50 + version,
    };
    // bech32 bounds the program to 40 bytes.
    [&[opcode, program.len() as u8], program].concat()
}

const fn witness_prefix(network: Network) -> Hrp {
    match network {
        Network::Mainnet => hrp::BC,
        Network::Testnet => hrp::TB,
        Network::Regtest => hrp::BCRT,
    }
}

/// The version bytes of addresses that pay to the hash of a key and of a script.
const fn base58_versions(network: Network) -> [u8; 2] {
    match network {
        Network::Mainnet => [0x00, 0x05],
        Network::Testnet | Network::Regtest => [0x6f, 0xc4],
    }
}
