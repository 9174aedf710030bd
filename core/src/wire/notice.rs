//! That a session is asked for whose definition is too large for gossip and the DHT.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::definition::check_signers;
use super::{Definition, DefinitionError, MAX_SIGNERS, SessionId, bounded};
use crate::base::Wall;
use crate::crypto::PublicKey;

/// Which session is asked for, whose keys it needs, and until when. What it is its creator says to whoever connects:
/// the session's id commits to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestNotice {
    /// The session.
    pub session: SessionId,
    /// The signers' keys, as in the definition.
    #[serde(deserialize_with = "keys")]
    pub keys: Vec<PublicKey>,
    /// The index of the signer who asks.
    pub creator: u16,
    /// When it was asked for, by the creator's clock.
    pub created_at: Wall,
    /// When nobody may join it any more.
    pub expires_at: Wall,
}

fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PublicKey>, D::Error> {
    bounded(deserializer, MAX_SIGNERS)
}

impl RequestNotice {
    /// The notice of a session that passes [`Definition::check`].
    pub fn of(definition: &Definition) -> Self {
        let Definition { keys, creator, created_at, expires_at, .. } = definition;
        let (creator, created_at, expires_at) = (*creator, *created_at, *expires_at);
        Self { session: definition.id(), keys: keys.clone(), creator, created_at, expires_at }
    }

    /// The place of `key` among the signers.
    pub fn index_of(&self, key: &PublicKey) -> Option<usize> {
        self.keys.binary_search(key).ok()
    }

    /// The key of the signer who asks.
    ///
    /// # Panics
    /// When the notice has not passed [`RequestNotice::check`].
    pub fn creator_key(&self) -> &PublicKey {
        &self.keys[usize::from(self.creator)]
    }

    /// Whether it can be the notice of a session at all.
    ///
    /// # Errors
    /// The first rule of [`Definition::check`] that it breaks.
    pub fn check(&self, max_lifetime: Duration) -> Result<(), DefinitionError> {
        check_signers(&self.keys, self.creator)?;
        if self.expires_at <= self.created_at || self.expires_at.since(self.created_at) > max_lifetime {
            return Err(DefinitionError::Lifetime);
        }
        Ok(())
    }
}
