//! The misbehaviours of adversaries. How each is done is in `peer/adversary.rs`.

use serde::{Deserialize, Serialize};

/// A way in which a node misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misbehaviour {
    /// Sends no nonces.
    WithholdNonces,
    /// Sends no partial signatures, and not the final signature that it combines.
    WithholdPartials,
    /// Sends invalid partial signatures.
    InvalidPartials,
    /// Sends invalid public nonces.
    InvalidNonces,
    /// Sends different nonces to different signers.
    Equivocate,
    /// Signs again with the same nonce: a second partial signature in one attempt.
    SignTwice,
    /// Sends old messages of others and its own again.
    Replay,
    /// Sends many messages, some of which cost each receiver the verification of a signature.
    Flood,
    /// Passes messages on with one bit changed, in the name of their authors.
    Tamper,
    /// Joins each session and aborts it.
    AbortGriefing,
    /// Never broadcasts when it is its turn.
    SilentCoordinator,
    /// Broadcasts every signature, whoever's turn it is.
    BroadcastOutOfTurn,
    /// Sets its clock back and forth by days.
    ClockManipulation,
    /// Reports an invalid final signature to its embedder.
    FalseSignature,
    /// Keeps more than the limits allow.
    ExceedLimits,
    /// Stops with a panic when it is its turn to broadcast.
    Panic,
    /// Says that it has broadcast when it has not.
    LyingCoordinator,
    /// Announces one session to some signers and another message to the others.
    WrongTransaction,
    /// Announces ever more signers, each with a key and a peer of its own.
    Sybils,
    /// Refuses each session once it has signed.
    LateRefusal,
    /// Hears no signature that others tell it of.
    DeafToSignatures,
    /// Announces ten signers who hold their keys at its own peer, each anew every minute, which nobody may refuse.
    Strangers,
    /// Asks others to sign one session after another, which their owners do not want, within its quotas.
    Pester,
    /// Passes on nothing of others, neither by gossip nor on its circuits, for as long as adversaries are active.
    Censor,
    /// Shows nobody which key it holds.
    HidesPresence,
    /// Does not tell its embedder how the turns to broadcast have ended.
    HidesTurns,
    /// Is shown a wall clock that stands still.
    StoppedClock,
    /// Has a disk that loses the newest records in a crash, although it has said that they are durable.
    LosesRecords,
    /// Has chosen a name beside a signer's record in the hash table, and answers lookups with its fellows alone.
    Eclipse,
    /// Has chosen a name beside a signer's record in the hash table, and answers lookups with invalid records.
    Poison,
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 30] = [
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
        Self::StoppedClock,
        Self::LosesRecords,
        Self::Strangers,
        Self::HidesPresence,
        Self::Pester,
        Self::Censor,
        Self::HidesTurns,
    ];
}

impl Misbehaviour {
    /// Its name in schedules, summaries and reports.
    ///
    /// # Panics
    /// Never: every misbehaviour is written as its name.
    #[must_use]
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).ok();
        name.and_then(|name| name.as_str().map(str::to_owned)).expect("it is written as a name")
    }

    /// Whether it harms nobody but the node's own embedder, so that only checkers notice it.
    #[must_use]
    pub const fn is_local(self) -> bool {
        matches!(
            self,
            Self::FalseSignature
                | Self::ExceedLimits
                | Self::BroadcastOutOfTurn
                | Self::Panic
                | Self::DeafToSignatures
                | Self::StoppedClock
                | Self::LosesRecords
                | Self::HidesPresence
                | Self::HidesTurns
        )
    }
}
