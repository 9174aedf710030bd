//! Values that JSON has as one word of a few.
//!
//! Owns which there are, for the schema. The words themselves are those of the core. Everything in [`shapes`](super) is
//! made of them.

use std::borrow::Cow;

use nelumbo_core::api::{Phase, Refusal, SignerTask, Tier};
use nelumbo_core::approval::{LockUnit, Path, Unusual};
use nelumbo_core::crypto::{Network, SignerError, Suite};
use nelumbo_core::election::Method;
use nelumbo_core::evidence::Offence;
use nelumbo_core::wire::{AbortReason, TransactionType};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::text::To;

/// One of the core's words, such as `lotus` or `nonce-exchange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Word<T>(pub T);

/// A type whose values are words.
pub trait Words: Copy + Serialize + 'static {
    /// What the type is called in the schema.
    const NAME: &'static str;
    /// What it says.
    const DESCRIPTION: &'static str;
    /// All values that this version knows.
    const ALL: &'static [Self];
}

/// A value as its word.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("a word is a string in JSON, not {other:?}"),
    }
}

impl<T: Words> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = T::ALL.iter().map(word).collect();
        json_schema!({ "type": "string", "enum": words, "description": T::DESCRIPTION })
    }
}

macro_rules! words {
    ($($kind:ident $description:literal: $($value:ident)*;)*) => {
        $(impl Words for $kind {
            const NAME: &'static str = stringify!($kind);
            const DESCRIPTION: &'static str = $description;
            const ALL: &'static [Self] = &[$(Self::$value),*];
        }

        impl To<Word<$kind>> for $kind {
            fn to(self) -> Word<$kind> {
                Word(self)
            }
        }

        impl To<$kind> for Word<$kind> {
            fn to(self) -> $kind {
                self.0
            }
        })*
    };
}

words! {
    Network "The network that the keys belong to.": Mainnet Testnet Regtest;
    Suite "The rules of aggregation and signing: those of Lotus, or BIP340 with BIP327.": Lotus Bip340;
    Method "How the coordinator is chosen, who broadcasts first.":
        Lexicographic HashBased FirstSigner LastSigner Rotating;
    AbortReason "Why a signer refuses a session for good.":
        Declined Left Closed Unverified Reputation;
    Tier "How much a key may have of what strangers share, by what was burned for it.": Verified Institutional;
    TransactionType "What a signer signs for.": Spend Swap Coinjoin Custody Escrow Channel;
    Phase "Where a session stands.":
        Announced NonceExchange PartialSignatureExchange Waiting Failed Complete Aborted Expired;
    SignerTask "What a session waits for at its own signer.": Nonces Partials;
    SignerError "Why a signer refused.":
        SlotServed NonceSpent NoNonce TooManyNonces NotASigner RoundMismatch Declined Unavailable;
    Unusual "What makes a signature more, or something else, than the payment that is shown.":
        Opaque SighashNone SighashSingle AnyoneCanPay ScriptPath PaysSigner;
    Path "How an output is spent: by the session's key, or by a script that the node has not seen.": Key Script;
    LockUnit "What a lock time counts: blocks, or seconds since 1970.": Height Time;
    Offence "What a signer is guilty of.": Equivocation InvalidNonce InvalidPartial InvalidSignature;
    Refusal "Why something from outside was not taken.":
        Oversized Blacklisted Graylisted PeerQuota TotalQuota AuthorQuota RecordQuota Malformed NotCanonical Version
        Network Channel Duplicate Echo NotFresh Signature Delegation DelegationTime NotASigner NotForMe Definition
        NotTheCreator StaleAttempt Attempt SequenceGap Equivocation FinalSignature Ended Full Requests Policy Offer
        RecordKey NotAsListed Protocol Invalid Unasked;
}
