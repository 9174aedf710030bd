//! The fields that BIP373 adds to a PSBT.
//!
//! Owns their encodings and the rules about them: lengths, and keys that are points. Invariant: what passes
//! [`check`] can be read by the other functions here. The library below keeps fields that it does not know as they are,
//! right or wrong, so that everything depends on this check.

use bitcoin::psbt::raw::Key;
use nelumbo_crypto::{PartialSignature, PublicKey, PublicNonce};

use super::error::{Place, PsbtError};

/// PSBT_IN_MUSIG2_PARTICIPANT_PUBKEYS.
pub(super) const IN_PARTICIPANTS: u8 = 0x1a;
/// PSBT_IN_MUSIG2_PUB_NONCE.
pub(super) const IN_NONCE: u8 = 0x1b;
/// PSBT_IN_MUSIG2_PARTIAL_SIG.
pub(super) const IN_PARTIAL: u8 = 0x1c;
/// PSBT_OUT_MUSIG2_PARTICIPANT_PUBKEYS.
pub(super) const OUT_PARTICIPANTS: u8 = 0x08;

const KEY: usize = PublicKey::SIZE;

/// An aggregate key, and the keys that it is of, in the order in which they are aggregated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Participants {
    pub(super) aggregate: PublicKey,
    pub(super) keys: Vec<PublicKey>,
}

/// Whose nonce or partial signature, under which key, and in which script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) participant: PublicKey,
    /// The key that is signed under: the output key with its real parity, or the key in the script.
    pub(super) key: PublicKey,
    pub(super) leaf: Option<[u8; 32]>,
}

fn point(bytes: &[u8]) -> Result<PublicKey, &'static str> {
    let key = PublicKey::from_slice(bytes).map_err(|_| "a key is not a compressed public key of 33 bytes")?;
    key.validate().map_err(|_| "a key is not a point of the curve")?;
    Ok(key)
}

impl Participants {
    fn read(data: &[u8], value: &[u8]) -> Result<Self, &'static str> {
        if data.len() != KEY {
            return Err("the aggregate key does not have 33 bytes");
        }
        if value.is_empty() || !value.len().is_multiple_of(KEY) {
            return Err("the participants are no list of keys of 33 bytes");
        }
        let keys = value.chunks_exact(KEY).map(point).collect::<Result<_, _>>()?;
        Ok(Self { aggregate: point(data)?, keys })
    }

    /// The field for an input or an output.
    pub(super) fn write(&self, field: u8) -> (Key, Vec<u8>) {
        let value = self.keys.iter().flat_map(|key| *key.as_bytes()).collect();
        (Key { type_value: field, key: self.aggregate.as_bytes().to_vec() }, value)
    }
}

impl Slot {
    fn read(data: &[u8]) -> Result<Self, &'static str> {
        let leaf = match data.len() {
            length if length == 2 * KEY => None,
            length if length == 2 * KEY + 32 => data[2 * KEY..].try_into().ok(),
            _ => return Err("its key data are not two keys of 33 bytes, with a leaf hash or without"),
        };
        Ok(Self { participant: point(&data[..KEY])?, key: point(&data[KEY..2 * KEY])?, leaf })
    }

    /// The key of the field for this slot.
    pub(super) fn write(&self, field: u8) -> Key {
        let mut key = [*self.participant.as_bytes(), *self.key.as_bytes()].concat();
        key.extend(self.leaf.iter().flatten());
        Key { type_value: field, key }
    }
}

fn check_field(key: &Key, value: &[u8], is_input: bool) -> Result<(), &'static str> {
    match (key.type_value, is_input) {
        (IN_PARTICIPANTS, true) | (OUT_PARTICIPANTS, false) => Participants::read(&key.key, value).map(drop),
        (IN_NONCE, true) => match (Slot::read(&key.key)?, value.len()) {
            (_, PublicNonce::SIZE) => Ok(()),
            _ => Err("the public nonce does not have 66 bytes"),
        },
        (IN_PARTIAL, true) => match (Slot::read(&key.key)?, value.len()) {
            (_, PartialSignature::SIZE) => Ok(()),
            _ => Err("the partial signature does not have 32 bytes"),
        },
        _ => Ok(()),
    }
}

/// Whether all of the fields are as BIP373 wants them.
pub(super) fn check(psbt: &bitcoin::Psbt) -> Result<(), PsbtError> {
    let inputs = psbt.inputs.iter().enumerate().map(|(index, map)| (Place::Input(index), &map.unknown));
    let outputs = psbt.outputs.iter().enumerate().map(|(index, map)| (Place::Output(index), &map.unknown));
    for (place, fields) in inputs.chain(outputs) {
        for (key, value) in fields {
            check_field(key, value, matches!(place, Place::Input(_))).map_err(|problem| PsbtError::Field {
                place,
                field: key.type_value,
                problem,
            })?;
        }
    }
    Ok(())
}

/// The participants of an input.
pub(super) fn participants(input: &bitcoin::psbt::Input) -> impl Iterator<Item = Participants> {
    let fields = input.unknown.iter().filter(|(key, _)| key.type_value == IN_PARTICIPANTS);
    fields.filter_map(|(key, value)| Participants::read(&key.key, value).ok())
}
