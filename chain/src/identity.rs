//! Identities that stand for burned money.
//!
//! A key registers an identity by burning money in its own name, and passes it on to another key by burning in the name
//! of that one. An [`Identity`] is all that others need to check it: where the burns are, and who has signed.
//!
//! Owns what is signed and what an identity has to show. Invariants: an id is that of one burn; a burn serves one
//! identity, once; a key has an identity only if the key before has passed it on and the key itself has agreed. Whoever
//! shows identities, and whoever judges them, drives it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use nelumbo_crypto::lotus::OutPoint;
use nelumbo_crypto::{HexError, PublicKey, Signature, Suite, parse_hex, schnorr, sha256};

use crate::burn::{BurnClaim, BurnError, BurnVerifier, Purpose};
use crate::chronik::ChronikClient;

/// The most times that an identity is passed on.
pub const MAX_ROTATIONS: usize = 64;

/// An identity's name: a hash of where its first burn is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId([u8; 32]);

impl IdentityId {
    /// Of the identity that this burn registers. None beyond the 256th output, which no id can name.
    #[must_use]
    pub fn of(burn: &OutPoint) -> Option<Self> {
        let index = u8::try_from(burn.index).ok()?;
        let mut displayed = *burn.txid.as_bytes();
        displayed.reverse();
        Some(Self(sha256(&[&displayed, &[index]])))
    }

    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the key signs that registers it.
    #[must_use]
    pub fn registration_digest(&self) -> [u8; 32] {
        sha256(&[&self.0])
    }

    /// What the old key and the new one sign when it is passed on.
    #[must_use]
    pub fn rotation_digest(&self, new: &PublicKey) -> [u8; 32] {
        sha256(&[&self.0, b"KEY_ROTATION", new.as_bytes()])
    }
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityId({self})")
    }
}

impl FromStr for IdentityId {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        parse_hex(text).map(Self)
    }
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The burn that registers it.
    pub burn: OutPoint,
    /// The key in whose name that was.
    pub key: PublicKey,
    /// That key's signature of [`IdentityId::registration_digest`].
    pub signature: Signature,
    /// How it was passed on, in order.
    pub rotations: Vec<Rotation>,
}

/// An identity is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The burn in the name of the new key.
    pub burn: OutPoint,
    /// The new key.
    pub key: PublicKey,
    /// The old key's signature of [`IdentityId::rotation_digest`].
    pub by_old: Signature,
    /// The new key's.
    pub by_new: Signature,
}

/// What an identity comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its name.
    pub id: IdentityId,
    /// The key that has it now.
    pub key: PublicKey,
    /// How much was burned for it, in satoshi.
    pub burned: u64,
    /// How many confirmations its youngest burn has.
    pub confirmations: u32,
}

/// Why an identity is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// No id can name this burn.
    #[error("the burn is output {0}, and an identity can stand for one of the first 256 only")]
    OutputIndex(u32),
    /// It was passed on more than [`MAX_ROTATIONS`] times.
    #[error("it was passed on {0} times, and at most {MAX_ROTATIONS} count")]
    Rotations(usize),
    /// One burn is to serve twice.
    #[error("one burn is to serve twice: {}:{}", .0.txid, .0.index)]
    BurnTwice(OutPoint),
    /// A key has not signed.
    #[error("the signature of {0} is not valid")]
    Signature(PublicKey),
    /// A burn does not count.
    #[error("the burn {}:{}: {error}", .outpoint.txid, .outpoint.index)]
    Burn {
        /// Which.
        outpoint: OutPoint,
        /// Why.
        error: BurnError,
    },
}

impl Identity {
    /// The key that has it now.
    #[must_use]
    pub fn current_key(&self) -> PublicKey {
        self.rotations.last().map_or(self.key, |rotation| rotation.key)
    }

    /// Its name, if all have signed: what needs no chain.
    ///
    /// # Errors
    ///
    /// Every [`IdentityError`] but [`IdentityError::Burn`].
    pub fn check(&self) -> Result<IdentityId, IdentityError> {
        if self.rotations.len() > MAX_ROTATIONS {
            return Err(IdentityError::Rotations(self.rotations.len()));
        }
        let id = IdentityId::of(&self.burn).ok_or(IdentityError::OutputIndex(self.burn.index))?;
        let mut burns = BTreeSet::new();
        if let Some(claim) = self.claims().into_iter().find(|claim| !burns.insert(claim.outpoint)) {
            return Err(IdentityError::BurnTwice(claim.outpoint));
        }
        let signed = |key: &PublicKey, digest: [u8; 32], signature: &Signature| {
            let is_valid = schnorr::verify(Suite::Lotus, key, &digest, signature);
            if is_valid { Ok(()) } else { Err(IdentityError::Signature(*key)) }
        };
        signed(&self.key, id.registration_digest(), &self.signature)?;
        let mut key = self.key;
        for rotation in &self.rotations {
            let digest = id.rotation_digest(&rotation.key);
            signed(&key, digest, &rotation.by_old)?;
            signed(&rotation.key, digest, &rotation.by_new)?;
            key = rotation.key;
        }
        Ok(id)
    }

    /// The burns that it stands on, the registration's first.
    #[must_use]
    pub fn claims(&self) -> Vec<BurnClaim> {
        let registration = BurnClaim { outpoint: self.burn, purpose: Purpose::Registration, key: self.key };
        let rotation =
            |rotation: &Rotation| BurnClaim { outpoint: rotation.burn, purpose: Purpose::Rotation, key: rotation.key };
        [registration].into_iter().chain(self.rotations.iter().map(rotation)).collect()
    }

    /// Judges it, with every burn as it stands in the chain now, and uses the burns. Ask again after a reorganisation.
    ///
    /// The verifier knows which burns were used for what, and not for whom: whoever judges several identities makes
    /// sure that none of their burns serves two of them.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub async fn verify(&self, verifier: &mut BurnVerifier) -> Result<Verified, IdentityError> {
        let id = self.check()?;
        let (mut burned, mut confirmations) = (0_u64, u32::MAX);
        for claim in self.claims() {
            let outpoint = claim.outpoint;
            let burn = verifier.claim(claim).await.map_err(|error| IdentityError::Burn { outpoint, error })?;
            (burned, confirmations) = (burned.saturating_add(burn.amount), confirmations.min(burn.confirmations));
        }
        Ok(Verified { id, key: self.current_key(), burned, confirmations })
    }
}

/// Judges an identity as far as it counts now: a rotation whose burn is not in the chain, or too young, leaves it with
/// the key before. So it says after each block, and after each reorganisation, who has it.
///
/// # Errors
///
/// [`IdentityError`], when it is nobody's. Of [`BurnError::Chronik`] nothing follows.
pub async fn verify_newest(identity: &Identity, client: &ChronikClient) -> Result<Verified, IdentityError> {
    let mut identity = identity.clone();
    loop {
        // What counts is asked anew: the burns of one identity are all that this verifier sees.
        match identity.verify(&mut BurnVerifier::new(client.clone(), [])).await {
            Err(IdentityError::Burn { error, .. })
                if !matches!(error, BurnError::Chronik(_)) && !identity.rotations.is_empty() =>
            {
                identity.rotations.pop();
            }
            judged => return judged,
        }
    }
}
