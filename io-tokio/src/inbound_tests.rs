//! Tests of the decision about others' DHT records: each rule has a record that only it refuses.

use nelumbo_core::{
    base::{Bytes, Entropy},
    crypto::{PublicKey, SecretKey, Signer, SoftwareSigner},
    wire::{PeerId, seal},
};

use super::*;

const NOW: Wall = Wall::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const RULES: RecordRules =
    RecordRules { network: Network::Regtest, clock_skew: Duration::from_secs(300), longest_life: HOUR };

fn signer(byte: u8) -> SoftwareSigner {
    let key = SecretKey::from_bytes(&[byte; 32]).expect("a key");
    SoftwareSigner::new(key, Entropy::new([byte; 32]).expect("not zero"))
}

fn key_of(signer: &SoftwareSigner) -> PublicKey {
    Signer::<Secp256k1>::public_key(signer)
}

/// A presence signed by key 1, from `from` to `until` milliseconds around now.
fn presence(network: Network, from: i64, until: i64) -> Bytes {
    let at = |offset: i64| Wall::from_millis(NOW.as_millis().checked_add_signed(offset).expect("in range"));
    let presence = Presence {
        peer: PeerId::from_bytes(b"peer").expect("a name"),
        addresses: Vec::new(),
        issued_at: at(from),
        expires_at: at(until),
    };
    seal::<Secp256k1>(&mut signer(1), network, Body::Presence(presence)).expect("a signature")
}

fn own_key() -> String {
    presence_key(&key_of(&signer(1)))
}

fn judge(value: &[u8], stored: Option<&[u8]>) -> Result<Duration, RecordRefusal> {
    RULES.judge(own_key().as_bytes(), value, stored, NOW)
}

#[test]
fn a_valid_presence_is_stored_until_it_expires() {
    assert_eq!(judge(&presence(Network::Regtest, -1000, 60_000), None), Ok(Duration::from_secs(60)));
}

#[test]
fn what_is_not_valid_now_is_refused() {
    for (from, until) in [(-60_000, 0), (-60_000, -1), (300_001, 400_000), (-1, 3_600_000), (10, 5)] {
        let refused = Err(RecordRefusal::NotFresh);
        assert_eq!(judge(&presence(Network::Regtest, from, until), None), refused, "{from} to {until}");
    }
}

#[test]
fn an_older_one_does_not_replace_a_newer_one() {
    let (old, new) = (presence(Network::Regtest, -2000, 60_000), presence(Network::Regtest, -1000, 60_000));
    assert_eq!(judge(&old, Some(&new)), Err(RecordRefusal::Older));
    assert!(judge(&new, Some(&old)).is_ok());
    assert!(judge(&new, Some(&new)).is_ok(), "a replica comes again");
    assert!(judge(&new, Some(b"not a message")).is_ok());
}

#[test]
fn another_key_network_or_author_is_refused() {
    let valid = presence(Network::Regtest, -1000, 60_000);
    let other = presence_key(&key_of(&signer(2)));
    assert_eq!(RULES.judge(other.as_bytes(), &valid, None, NOW), Err(RecordRefusal::Key));
    assert_eq!(judge(&presence(Network::Mainnet, -1000, 60_000), None), Err(RecordRefusal::Network));
}

#[test]
fn a_changed_byte_is_refused() {
    let valid = presence(Network::Regtest, -1000, 60_000);
    for index in 0..valid.len() {
        let mut changed = valid.to_vec();
        changed[index] ^= 1;
        assert!(judge(&changed, None).is_err(), "byte {index}");
    }
    let mut last = valid.to_vec();
    *last.last_mut().expect("a signature") ^= 1;
    assert_eq!(judge(&last, None), Err(RecordRefusal::Signature));
    assert_eq!(judge(&valid[1..], None), Err(RecordRefusal::Malformed));
    assert_eq!(judge(&vec![1; MAX_GOSSIP + 1], None), Err(RecordRefusal::Oversized));
}
