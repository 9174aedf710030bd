//! What one key signs by itself, outside of every session: an input of a transaction that is shown, or a statement that
//! says by its name what it is for.
//!
//! Owns the digests of both, and a signer for a key in memory. Invariants: what is signed is computed from what is
//! shown; the digest of a statement is no other thing's, neither a message's nor a transaction's. A protocol asks for
//! such a signature, the node asks its host, and a [`SingleSigner`] or a [`Device`](crate::device::Device) makes it.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::api::{SignReply, SignRequest};
use crate::approval::{Message, Signs, Summary};
use crate::base::Wall;
use crate::crypto::{
    Entropy, Network, PublicKey, SecretKey, Signature, SignerError, Suite, Tweak, Verifier, schnorr, scrubbed,
    tagged_hash, taproot,
};
use crate::election::Method;
use crate::wire::{
    Definition, DefinitionError, Details, Item, Label, MAX_MESSAGE, SignedInput, Spending, bounded, encode,
};

const STATEMENT_TAG: &str = "nelumbo/statement/1";

/// Names a request for such a signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SingleId(pub [u8; 32]);

impl fmt::Debug for SingleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}{:02x}…", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// What one key signs by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Single {
    /// An input of a transaction.
    Input(Box<SingleInput>),
    /// A statement.
    Statement(Statement),
}

/// One input of a transaction that is shown, spent with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingleInput {
    /// The network that the transaction is for.
    pub network: Network,
    /// The rules, and with them the ledger.
    pub suite: Suite,
    /// The transaction, and the outputs that it spends.
    pub spending: Spending,
    /// Which input, and how.
    pub input: SignedInput,
    /// What the key is changed by: with [`Tweak::None`] the output carries the key itself.
    pub tweak: Tweak,
}

/// A statement. Its name says what it is for, so that what was signed for one purpose means nothing for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The network that the key belongs to.
    pub network: Network,
    /// What it is for, such as `identity` or `ownership`.
    pub name: Label,
    /// What is stated, at most [`MAX_MESSAGE`] bytes.
    #[serde(deserialize_with = "text")]
    pub text: Vec<u8>,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bounded(deserializer, MAX_MESSAGE)
}

impl Statement {
    /// What is signed, with a Lotus signature, which binds all of the key: a tagged hash of network, name and text.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        tagged_hash(STATEMENT_TAG, &[&encode(self)])
    }

    /// Whether this key has signed the statement.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey, signature: &Signature) -> bool {
        schnorr::verify(Suite::Lotus, key, &self.digest(), signature)
    }
}

impl Single {
    /// The rules by which it is signed.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        match self {
            Self::Input(input) => input.suite,
            Self::Statement(_) => Suite::Lotus,
        }
    }

    const fn tweak(&self) -> Tweak {
        match self {
            Self::Input(input) => input.tweak,
            Self::Statement(_) => Tweak::None,
        }
    }

    /// What is signed.
    ///
    /// # Errors
    /// Why there is nothing to sign.
    pub fn digest(&self) -> Result<[u8; 32], DefinitionError> {
        match self {
            Self::Input(input) => {
                let parsed = input.spending.parse(input.suite).map_err(DefinitionError::Spending)?;
                let digests = parsed.digests().map_err(DefinitionError::Spending)?;
                digests.of(input.input).map_err(DefinitionError::Spending)
            }
            Self::Statement(statement) if statement.text.len() > MAX_MESSAGE => {
                Err(DefinitionError::MessageLength(statement.text.len()))
            }
            Self::Statement(statement) => Ok(statement.digest()),
        }
    }

    /// The key that the signature of this key verifies under; none where the key and the tweak make none.
    #[must_use]
    pub fn challenge_key(&self, key: &PublicKey) -> Option<PublicKey> {
        match self.tweak() {
            Tweak::None => Some(*key),
            Tweak::Taproot { merkle_root } => taproot::output_key(self.suite(), key, merkle_root.as_ref()).ok(),
            _ => None,
        }
    }

    /// What signing it with this key does: the same account as of a session, whose group is this key alone.
    ///
    /// # Errors
    /// As [`Summary::of`].
    pub fn summary(&self, key: &PublicKey) -> Result<Summary, DefinitionError> {
        let challenge_key = self.challenge_key(key).unwrap_or(*key);
        match self {
            Self::Input(input) => {
                // A session in everything that a summary looks at.
                let spending = Some(Box::new(input.spending.clone()));
                let session = Definition {
                    network: input.network,
                    suite: input.suite,
                    keys: Vec::new(),
                    items: Vec::from([Item::input(input.input, input.tweak)]),
                    details: Details { spending, ..Details::default() },
                    is_listed: false,
                    election: Method::Lexicographic,
                    creator: 0,
                    created_at: Wall::default(),
                    expires_at: Wall::default(),
                    nonce: [0; 32],
                };
                Summary::of(&session, &[challenge_key])
            }
            Self::Statement(statement) => {
                self.digest()?;
                let (name, message) = (statement.name.to_string(), Message::of(&statement.text));
                let signs = Signs::Statement { name, message };
                let (unusual, warnings, description) = (BTreeSet::new(), Vec::new(), Default::default());
                Ok(Summary { unusual, warnings, description, signs })
            }
        }
    }
}

/// What is awaited of the signer: the signature of this digest under this key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    suite: Suite,
    key: PublicKey,
    digest: [u8; 32],
}

impl Claim {
    /// Of this key.
    pub(crate) fn new(single: &Single, key: &PublicKey) -> Result<Self, DefinitionError> {
        let key = single.challenge_key(key).unwrap_or(*key);
        Ok(Self { suite: single.suite(), key, digest: single.digest()? })
    }

    pub(crate) fn holds<V: Verifier>(&self, verifier: &V, signature: &Signature) -> bool {
        match self.suite {
            Suite::Lotus => verifier.verify(&self.key, &self.digest, signature),
            Suite::Bip340 => schnorr::verify(Suite::Bip340, &self.key, &self.digest, signature),
        }
    }
}

/// A key in memory that signs alone.
pub struct SingleSigner {
    key: Arc<SecretKey>,
    hedges: Entropy,
}

impl SingleSigner {
    /// For this key, which may be that of a [`SoftwareSigner`](crate::crypto::SoftwareSigner) too. `entropy` must feed
    /// nothing else.
    #[must_use]
    pub fn new(key: impl Into<Arc<SecretKey>>, entropy: Entropy) -> Self {
        Self { key: key.into(), hedges: entropy }
    }

    /// Does what is asked, without asking anybody; nothing for requests about sessions.
    pub fn answer(&mut self, request: &SignRequest) -> Option<SignReply> {
        let SignRequest::Single { id, single } = request else { return None };
        Some(SignReply::Single { id: *id, signature: self.sign(single) })
    }

    fn sign(&mut self, single: &Single) -> Result<Signature, SignerError> {
        let own = self.key.public_key();
        // What could not be shown is not signed either.
        single.summary(&own).map_err(|_| SignerError::RoundMismatch)?;
        let digest = single.digest().map_err(|_| SignerError::RoundMismatch)?;
        let (suite, hedge) = (single.suite(), self.hedges.bytes32());
        let signed = scrubbed(|| match single.tweak() {
            Tweak::None => schnorr::sign(suite, &self.key, &digest, Some(hedge)).ok(),
            Tweak::Taproot { merkle_root } => {
                let tweaked = taproot::tweak_secret_key(suite, &self.key, merkle_root.as_ref()).ok()?;
                schnorr::sign(suite, &tweaked, &digest, Some(hedge)).ok()
            }
            _ => None,
        });
        signed.ok_or(SignerError::RoundMismatch)
    }
}

impl fmt::Debug for SingleSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleSigner").field("public_key", &self.key.public_key()).finish_non_exhaustive()
    }
}
