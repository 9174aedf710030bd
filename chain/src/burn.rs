//! Burns that stand for an identity.
//!
//! Owns the amounts, the waiting times and the rule that one burn serves once. Invariant: a burn counts for what its
//! payload commits to and nothing else, in a block that was looked into. Whoever judges identities drives it, and keeps
//! [`BurnVerifier::used`] on a disk.

use std::collections::BTreeMap;

use nelumbo_crypto::PublicKey;
use nelumbo_crypto::lotus::OutPoint;

use crate::build::burn_payload;
use crate::chronik::{BlockId, ChronikClient, ChronikError, Status};

/// What money is burned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// To register an identity.
    Registration,
    /// To give an identity another key.
    Rotation,
    /// To add a key.
    ExtraKey,
    /// To ask for signatures.
    SigningRequest,
    /// To be listed for a week longer.
    Advertisement,
}

impl Purpose {
    /// The least that has to be burned, in satoshi, a million to one XPI.
    #[must_use]
    pub const fn amount(self) -> u64 {
        match self {
            Self::Registration => 50_000_000,
            Self::ExtraKey => 10_000_000,
            Self::Rotation | Self::SigningRequest => 5_000_000,
            Self::Advertisement => 1_000_000,
        }
    }

    /// How many confirmations it takes until it counts.
    #[must_use]
    pub const fn maturation(self) -> u32 {
        match self {
            Self::Registration => 144,
            Self::Rotation => 72,
            Self::ExtraKey | Self::SigningRequest | Self::Advertisement => MIN_CONFIRMATIONS,
        }
    }
}

/// The least confirmations of a burn of any kind.
pub const MIN_CONFIRMATIONS: u32 = 6;

/// What is claimed of a burn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BurnClaim {
    /// The output that burns.
    pub outpoint: OutPoint,
    /// What for.
    pub purpose: Purpose,
    /// The key that its payload has to be: the identity's for all but a rotation, which commits to the new key.
    pub key: PublicKey,
}

/// A burn that was found in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burn {
    /// What was claimed, which is so.
    pub claim: BurnClaim,
    /// How much was burned, in satoshi.
    pub amount: u64,
    /// The block.
    pub block: BlockId,
    /// How many blocks there are from this one on.
    pub confirmations: u32,
}

/// Why a burn does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BurnError {
    /// The servers give no answer.
    #[error(transparent)]
    Chronik(#[from] ChronikError),
    /// There is no such transaction.
    #[error("the burn is neither in the chain nor waiting; send it, or correct its id")]
    Unknown,
    /// It has too few confirmations.
    #[error("the burn has {found} of {wanted} confirmations; wait for {} more blocks", .wanted - .found)]
    Immature {
        /// How many it has.
        found: u32,
        /// How many it takes.
        wanted: u32,
    },
    /// The transaction has fewer outputs.
    #[error("the transaction has {0} outputs; correct the number of the output")]
    NoSuchOutput(usize),
    /// The output is no burn of version 1 for 33 bytes.
    #[error("the output is no burn: OP_RETURN \"LTMS\", version 1 and a key")]
    NotABurn,
    /// The payload is another key, or none.
    #[error("the burn is for {found}, not for {expected}; burn for the right key")]
    Key {
        /// What the payload is, as hexadecimal.
        found: String,
        /// What was claimed.
        expected: PublicKey,
    },
    /// It burns too little.
    #[error("{found} satoshi are burned where {wanted} have to be; burn anew")]
    Amount {
        /// How much is burned.
        found: u64,
        /// How much has to be.
        wanted: u64,
    },
    /// It was used before.
    #[error("this burn was used already, for {0:?}; one burn serves once")]
    Used(Purpose),
}

/// Judges burns, each of which serves once.
#[derive(Clone, Debug)]
pub struct BurnVerifier {
    client: ChronikClient,
    used: BTreeMap<OutPoint, BurnClaim>,
}

impl BurnVerifier {
    /// A verifier that asks through this client, with its quorum, and knows which burns were used before.
    #[must_use]
    pub fn new(client: ChronikClient, used: impl IntoIterator<Item = BurnClaim>) -> Self {
        Self { client, used: used.into_iter().map(|claim| (claim.outpoint, claim)).collect() }
    }

    /// The burns that were used, to be kept.
    pub fn used(&self) -> impl Iterator<Item = &BurnClaim> {
        self.used.values()
    }

    /// Uses a burn. The same claim again is answered in the same way, so that it can be asked again after a
    /// reorganisation.
    ///
    /// # Errors
    ///
    /// [`BurnError`]; then nothing is used.
    pub async fn claim(&mut self, claim: BurnClaim) -> Result<Burn, BurnError> {
        if let Some(used) = self.used.get(&claim.outpoint)
            && *used != claim
        {
            return Err(BurnError::Used(used.purpose));
        }
        let burn = self.look(claim).await?;
        self.used.insert(claim.outpoint, claim);
        Ok(burn)
    }

    /// Judges a burn as it stands in the chain now, used or not. After a reorganisation, ask again for every burn that
    /// was used: the error says that it does not count any more, or not yet again.
    ///
    /// # Errors
    ///
    /// [`BurnError`].
    pub async fn look(&self, claim: BurnClaim) -> Result<Burn, BurnError> {
        let status = self.client.status(claim.outpoint.txid).await?;
        // The id does not change with the block, and covers every output.
        let found = self.client.transaction(claim.outpoint.txid).await?.ok_or(BurnError::Unknown)?;
        let wanted = claim.purpose.maturation().max(MIN_CONFIRMATIONS);
        let (block, confirmations) = match status {
            Status::Unknown => return Err(BurnError::Unknown),
            Status::Waiting => return Err(BurnError::Immature { found: 0, wanted }),
            Status::Confirmed { block, confirmations } => (block, confirmations),
        };
        let outputs = &found.transaction.outputs;
        let output = outputs.get(claim.outpoint.index as usize).ok_or(BurnError::NoSuchOutput(outputs.len()))?;
        let payload = burn_payload(&output.script_pubkey).ok_or(BurnError::NotABurn)?;
        if payload != claim.key.as_bytes() || claim.key.validate().is_err() {
            return Err(BurnError::Key { found: hex::encode(payload), expected: claim.key });
        }
        if output.value < claim.purpose.amount() {
            return Err(BurnError::Amount { found: output.value, wanted: claim.purpose.amount() });
        }
        if confirmations < wanted {
            return Err(BurnError::Immature { found: confirmations, wanted });
        }
        Ok(Burn { claim, amount: output.value, block, confirmations })
    }
}
