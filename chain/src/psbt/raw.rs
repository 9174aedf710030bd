//! Whether two PSBTs contradict each other.
//!
//! Owns a reader of the maps as they are encoded (BIP174), below all meaning, so that no field is forgotten. The
//! library's own way of combining takes one of two values and says nothing.

use std::collections::BTreeMap;

use super::MAGIC;
use super::error::{Place, PsbtError};

type Map<'a> = BTreeMap<&'a [u8], &'a [u8]>;

/// Refuses two PSBTs that give one key different values. Both have been read and written by the library before.
pub(super) fn check_conflicts(one: &[u8], other: &[u8], inputs: usize) -> Result<(), PsbtError> {
    let broken = || PsbtError::Encoding("its maps do not end".to_owned());
    let (one, other) = (maps(one).ok_or_else(broken)?, maps(other).ok_or_else(broken)?);
    for (index, (one, other)) in one.iter().zip(&other).enumerate() {
        let place = match index.checked_sub(1) {
            None => Place::Global,
            Some(index) if index < inputs => Place::Input(index),
            Some(index) => Place::Output(index - inputs),
        };
        if let Some((key, _)) = one.iter().find(|(key, value)| other.get(*key).is_some_and(|found| found != *value)) {
            return Err(PsbtError::Conflict { place, what: describe(place, key) });
        }
    }
    Ok(())
}

fn describe(place: Place, key: &[u8]) -> String {
    let participant = || hex::encode(key.get(1..34).unwrap_or_default());
    match (place, key.first()) {
        (Place::Input(_), Some(0x1b)) => format!("the nonce of {}", participant()),
        (Place::Input(_), Some(0x1c)) => format!("the partial signature of {}", participant()),
        (_, field) => format!("the field {:#04x}", field.copied().unwrap_or_default()),
    }
}

fn maps(bytes: &[u8]) -> Option<Vec<Map<'_>>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let (mut maps, mut map) = (Vec::new(), Map::new());
    while !rest.is_empty() {
        let key = field(&mut rest)?;
        if key.is_empty() {
            maps.push(std::mem::take(&mut map));
        } else {
            map.insert(key, field(&mut rest)?);
        }
    }
    Some(maps)
}

/// The next bytes, behind their number.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        *rest = left;
        Some(taken)
    };
    let length = match take(1)?[0] {
        0xfd => u16::from_le_bytes(take(2)?.try_into().ok()?).into(),
        0xfe => u32::from_le_bytes(take(4)?.try_into().ok()?).into(),
        0xff => u64::from_le_bytes(take(8)?.try_into().ok()?),
        length => u64::from(length),
    };
    take(usize::try_from(length).ok()?)
}
