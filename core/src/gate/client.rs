//! Records as a client of the DHT judges them, which has found several under one key and stores none.
//!
//! Invariant: what is taken belongs under the key, is of this time, and was signed by its author or by a key that it
//! has delegated to. Driven by hosts whose DHT asks a function for that; a node checks what it is told once more, by
//! itself.

use alloc::string::ToString;

use super::authentic::{Inauthentic, authenticity};
use super::{MAX_LIFETIME, check_lifetime, decode};
use crate::api::{Config, Refusal};
use crate::base::{Bytes, Wall};
use crate::crypto::Verifier;
use crate::wire::{MAX_GOSSIP, MergeSet, Message, RecordKey};

/// Whether this value belongs under this key of the DHT, and when the newest of what it says was signed: of two values
/// the one that was signed later is to be taken, and of a list the call
/// [`merge_own`](crate::wire::merge_own) of both, where the host can.
///
/// # Errors
/// The first check that it fails. Nobody is to blame: whoever passes a record on need not have checked it.
pub fn check_record<V: Verifier>(
    verifier: &V,
    config: &Config,
    key: &str,
    bytes: Bytes,
    now: Wall,
) -> Result<Wall, Refusal> {
    if MergeSet::is_meant(&bytes) {
        let list = MergeSet::decode(key, &bytes).ok_or(Refusal::Malformed)?;
        let dates = list.into_entries().map(|entry| check_message(verifier, config, entry.message, now));
        // A list in which one entry is over stays one.
        let newest = dates
            .filter(|date| *date != Err(Refusal::NotFresh))
            .try_fold(None, |newest, date| date.map(|date| newest.max(Some(date))))?;
        return newest.ok_or(Refusal::NotFresh);
    }
    if bytes.len() > MAX_GOSSIP {
        return Err(Refusal::Oversized);
    }
    let message = decode(bytes)?;
    let place = RecordKey::of(&message.unsigned.author, &message.unsigned.body);
    if place.is_none_or(|place| matches!(place, RecordKey::List(..)) || place.to_string() != key) {
        return Err(Refusal::RecordKey);
    }
    check_message(verifier, config, message, now)
}

fn check_message<V: Verifier>(verifier: &V, config: &Config, message: Message, now: Wall) -> Result<Wall, Refusal> {
    if message.unsigned.network != config.network {
        return Err(Refusal::Network);
    }
    let (from, until) = message.unsigned.body.dates().ok_or(Refusal::RecordKey)?;
    check_lifetime(config, (from, until), MAX_LIFETIME, now)?;
    let mandate = authenticity(verifier, &message).map_err(|fault| match fault {
        Inauthentic::Signature => Refusal::Signature,
        Inauthentic::Delegation => Refusal::Delegation,
    })?;
    if mandate.is_some_and(|mandate| !mandate.covers((from, until))) {
        return Err(Refusal::DelegationTime);
    }
    Ok(from)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::crypto::{Entropy, MessageKey, Network, Secp256k1, SecretKey};
    use crate::wire::{Body, List, Listing, PeerId, Presence, seal};

    const NOW: u64 = 1_800_000_000_000;

    fn signed(body: Body) -> Bytes {
        let key = SecretKey::from_bytes(&[7; 32]).expect("a key");
        let entropy = Entropy::new([1; 32]).expect("not all zero");
        seal(&mut MessageKey::new(key, entropy), Network::Regtest, body).expect("a key in memory signs")
    }

    fn check(key: &str, bytes: &[u8], now: u64) -> Result<u64, Refusal> {
        let config = Config::new(Network::Regtest);
        check_record(&Secp256k1, &config, key, bytes.into(), Wall::from_millis(now)).map(Wall::as_millis)
    }

    #[test]
    fn a_record_is_taken_where_it_belongs_while_it_is_valid_and_as_it_was_signed() {
        let author = SecretKey::from_bytes(&[7; 32]).expect("a key").public_key();
        let presence = Presence {
            peer: PeerId::from_bytes(b"peer").expect("a name"),
            addresses: Vec::new(),
            issued_at: Wall::from_millis(NOW),
            expires_at: Wall::from_millis(NOW + 60_000),
        };
        let bytes = signed(Body::Presence(presence));
        let key = RecordKey::Presence(author).to_string();
        assert_eq!(check(&key, &bytes, NOW + 1), Ok(NOW));
        assert_eq!(check(&key, &bytes, NOW + 60_000), Err(Refusal::NotFresh), "it is over");
        assert_eq!(check(&key, &bytes, NOW - 300_001), Err(Refusal::NotFresh), "it is of the future");
        assert_eq!(check(&RecordKey::Advertisement(author).to_string(), &bytes, NOW), Err(Refusal::RecordKey));
        assert_eq!(check(&key, &[&[9], &bytes[1..]].concat(), NOW), Err(Refusal::Version));
        assert_eq!(check(&key, &[], NOW), Err(Refusal::Malformed));
        assert_eq!(check(&key, &[0; MAX_GOSSIP], NOW), Err(Refusal::Version), "it is looked at");
        assert_eq!(check(&key, &[0; MAX_GOSSIP + 1], NOW), Err(Refusal::Oversized));
        let mut forged = bytes.to_vec();
        *forged.last_mut().expect("it has a signature") ^= 1;
        assert_eq!(check(&key, &forged, NOW), Err(Refusal::Signature));
    }

    #[test]
    fn a_list_is_as_new_as_its_newest_entry_and_worth_as_much_as_its_worst_signature() {
        let author = SecretKey::from_bytes(&[7; 32]).expect("a key").public_key();
        let listing = Listing {
            list: List::AllSigners,
            name: None,
            digest: [1; 32],
            issued_at: Wall::from_millis(NOW),
            expires_at: Wall::from_millis(NOW + 60_000),
        };
        let key = RecordKey::of_entry(&List::AllSigners, &author).to_string();
        let entry = signed(Body::Listing(listing));
        assert_eq!(check(&key, &entry, NOW), Err(Refusal::RecordKey), "an entry alone is no list");
        let list = MergeSet::of(entry);
        assert_eq!(check(&key, &list, NOW), Ok(NOW));
        assert_eq!(check(&key, &list, NOW + 60_000), Err(Refusal::NotFresh));
        let mut forged = list.to_vec();
        *forged.last_mut().expect("it has a signature") ^= 1;
        assert_eq!(check(&key, &forged, NOW), Err(Refusal::Signature));
        assert_eq!(check("/lotus/resource:other", &list, NOW), Err(Refusal::Malformed));
    }
}
