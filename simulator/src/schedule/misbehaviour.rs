//! What adversaries do. How each is done is in `peer/adversary.rs`.

use serde::{Deserialize, Serialize};

/// What a node does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misbehaviour {
    /// Keeps its nonces to itself.
    WithholdNonces,
    /// Keeps its partial signatures to itself, and the signature that it makes of the others'.
    WithholdPartials,
    /// Sends partial signatures that are none.
    InvalidPartials,
    /// Sends public nonces that are none.
    InvalidNonces,
    /// Shows different signers different nonces.
    Equivocate,
    /// Signs again with the same nonce: a second partial signature in one attempt.
    SignTwice,
    /// Sends old messages of others and its own again.
    Replay,
    /// Sends many messages, some of which cost whoever gets them a look at a signature.
    Flood,
    /// Passes messages on with one bit changed, in the name of their authors.
    Tamper,
    /// Joins each session and aborts it.
    AbortGriefing,
    /// Never broadcasts when it is its turn.
    SilentCoordinator,
    /// Takes every signature for its own to broadcast.
    BroadcastOutOfTurn,
    /// Sets its clock back and forth by days.
    ClockManipulation,
    /// Tells its owner a signature that is none.
    FalseSignature,
    /// Keeps more than the limits allow.
    ExceedLimits,
    /// Stops with a panic when it is its turn to broadcast.
    Panic,
    /// Says that it has broadcast when it has not.
    LyingCoordinator,
    /// Announces one session to some signers and another message to the others.
    WrongTransaction,
    /// Appears as ever more signers, each with a key and a peer of its own.
    Sybils,
    /// Refuses each session once it has signed.
    LateRefusal,
    /// Hears no signature that others tell it of.
    DeafToSignatures,
    /// Stands beside a signer's record in the hash table, and leads whoever asks to its fellows alone.
    Eclipse,
    /// Stands beside a signer's record in the hash table, and answers with records that are none.
    Poison,
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::WithholdNonces,
        Self::WithholdPartials,
        Self::InvalidPartials,
        Self::InvalidNonces,
        Self::Equivocate,
        Self::SignTwice,
        Self::Replay,
        Self::Flood,
        Self::Tamper,
        Self::AbortGriefing,
        Self::SilentCoordinator,
        Self::BroadcastOutOfTurn,
        Self::ClockManipulation,
        Self::FalseSignature,
        Self::ExceedLimits,
        Self::Panic,
        Self::LyingCoordinator,
        Self::WrongTransaction,
        Self::Sybils,
        Self::Eclipse,
        Self::Poison,
        Self::LateRefusal,
        Self::DeafToSignatures,
    ];
}

impl Misbehaviour {
    /// Whether it harms nobody but the node's own owner, so that only checkers notice it.
    #[must_use]
    pub const fn is_local(self) -> bool {
        matches!(
            self,
            Self::FalseSignature | Self::ExceedLimits | Self::BroadcastOutOfTurn | Self::Panic | Self::DeafToSignatures
        )
    }
}
