//! A delegation: the holder of a signing key lets a message key speak for it, for a while.
//!
//! A signer may be a device that asks its person before each signature, and a node says much. So a node may have a key
//! of its own for what it says. The signing key signs one [`Statement`] that names the message key and the time, and
//! every message carries that: whoever gets one needs nothing else to know whose it is. Invariant: nothing is said
//! under a delegation about a time that it is not for. A message key signs messages and nothing else: no partial
//! signature is ever made with it.

use alloc::format;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::Wall;
use crate::crypto::{Network, PublicKey, Signature};
use crate::single::Statement;

/// The name of the statement that delegates.
pub const DELEGATION: &str = "delegation";
/// The longest time that a delegation is for: 90 days.
pub const MAX_DELEGATION: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What a signing key delegates: to which key, and for which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mandate {
    /// The key that signs messages.
    pub message_key: PublicKey,
    /// From when on.
    pub valid_from: Wall,
    /// Until when.
    pub expires_at: Wall,
}

impl Mandate {
    /// What the signing key states, in words that a person can read: the two times and the message key.
    #[must_use]
    pub fn statement(&self, network: Network) -> Statement {
        let Self { message_key, valid_from, expires_at } = self;
        let name = DELEGATION.parse().expect("lower-case letters are a label");
        let text = format!("until {expires_at}, from {valid_from}: messages are signed by {message_key}");
        Statement { network, name, text: text.into_bytes() }
    }

    /// Whether it is for all of this time.
    #[must_use]
    pub fn covers(&self, (from, until): (Wall, Wall)) -> bool {
        self.valid_from <= from && from <= until && until <= self.expires_at
    }

    /// Whether anyone takes it of the holder of this key: it ends after it begins and within [`MAX_DELEGATION`], and
    /// names another key.
    pub(crate) fn is_sound(&self, signing_key: &PublicKey) -> bool {
        let Self { message_key, valid_from, expires_at } = self;
        message_key != signing_key && expires_at > valid_from && expires_at.since(*valid_from) <= MAX_DELEGATION
    }
}

/// A mandate that the signing key has signed. In a message it stands between what is said and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// To which key, and for which time.
    pub mandate: Mandate,
    /// The signing key's signature of [`Mandate::statement`].
    pub signature: Signature,
}

impl Delegation {
    /// Key, digest and signature: what there is to verify, when the holder of this key is to have delegated.
    pub(crate) fn claim(&self, network: Network, signing_key: &PublicKey) -> (PublicKey, [u8; 32], Signature) {
        (*signing_key, self.mandate.statement(network).digest(), self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> PublicKey {
        crate::crypto::SecretKey::from_bytes(&[number; 32]).expect("a key").public_key()
    }

    #[test]
    fn a_mandate_says_in_words_what_it_is() {
        let (valid_from, expires_at) = (Wall::from_millis(1_767_225_600_000), Wall::from_millis(1_769_817_600_001));
        let mandate = Mandate { message_key: key(2), valid_from, expires_at };
        let statement = mandate.statement(Network::Regtest);
        let text = format!(
            "until 2026-01-31T00:00:00.001Z, from 2026-01-01T00:00:00.000Z: messages are signed by {}",
            mandate.message_key
        );
        assert_eq!((statement.name.as_str(), statement.text), (DELEGATION, text.into_bytes()));
    }

    #[test]
    fn what_nobody_takes_is_unsound() {
        let at = |days: u64| Wall::from_millis(days * 86_400_000);
        let mandate = |from, until| Mandate { message_key: key(2), valid_from: at(from), expires_at: at(until) };
        assert!(mandate(10, 100).is_sound(&key(1)));
        assert!(!mandate(10, 100).is_sound(&key(2)), "nobody delegates to itself");
        assert!(!mandate(10, 101).is_sound(&key(1)) && !mandate(10, 10).is_sound(&key(1)));
        assert!(!mandate(10, 9).is_sound(&key(1)) && !mandate(0, u64::MAX / 86_400_000).is_sound(&key(1)));
        assert!(mandate(10, 20).covers((at(10), at(20))) && mandate(10, 20).covers((at(15), at(15))));
        assert!(!mandate(10, 20).covers((at(9), at(20))) && !mandate(10, 20).covers((at(10), at(21))));
        assert!(!mandate(10, 20).covers((at(30), at(20))), "no time at all");
    }
}
