//! What the real cryptography would have cost: the stand-in charges each node the time of the real operation, in
//! virtual time.
//!
//! Owns the table of costs. Invariant: an operation is charged once, to the node that does it, and its cost follows
//! from the operation alone. Driven by the stand-in; [`Peer`](crate::peer::Peer) takes what was spent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Nanos;

/// An operation that takes time, with the number of keys, nonces or signatures where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A message of the node's own is signed.
    Authenticate,
    /// A message's signature is verified.
    Verify,
    /// A table is made for the key of an author.
    Prepare,
    /// A message's signature is verified under a key that has a table.
    VerifyPrepared,
    /// Several messages' signatures are verified together.
    VerifyMany(usize),
    /// Keys are aggregated.
    AggregateKeys(usize),
    /// An aggregated key is tweaked.
    Tweak,
    /// A nonce is drawn.
    Nonce,
    /// A round is opened with the nonces of all signers.
    OpenRound(usize),
    /// A partial signature is made.
    Sign,
    /// A partial signature is verified.
    VerifyPartial,
    /// Partial signatures are added up, and the sum is verified.
    Combine(usize),
    /// A final signature from elsewhere is verified.
    VerifyFinal,
}

impl Operation {
    /// What the real operation takes, in nanoseconds.
    ///
    /// Medians of 49 rounds of `cargo run --release -p nelumbo-simulator --example costs`, which agreed to 1 % in three
    /// runs: time of one thread on the processor of a virtual machine (AMD EPYC, x86-64, Rust 1.95). Where `cargo bench
    /// -p nelumbo-crypto` has the operation too, it says the same. Keys are aggregated for Lotus; BIP340 takes 10 µs
    /// less. What grows with a number is a line within 8 % of what was measured with 2, 3, 5, 10 and 100.
    #[must_use]
    pub const fn cost(self) -> Nanos {
        match self {
            Self::Authenticate => 29_000,
            Self::Verify => 30_500,
            Self::Prepare => 89_500,
            Self::VerifyPrepared => 14_500,
            Self::VerifyMany(count) => 30_000 + 15_000 * count as Nanos,
            Self::AggregateKeys(count) => 24_000 + 9_500 * count as Nanos,
            Self::Tweak => 9_500,
            Self::Nonce => 37_500,
            Self::OpenRound(count) => 25_000 + 6_200 * count as Nanos,
            Self::Sign => 900,
            Self::VerifyPartial => 36_000,
            Self::Combine(count) => 25_600 + 30 * count as Nanos,
            Self::VerifyFinal => 27_000,
        }
    }
}

/// Adds up what a node's cryptography would have cost. Shared by its signer and its verifier; only that node's thread
/// touches it.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    spent: Option<Arc<AtomicU64>>,
}

impl Meter {
    /// A meter that counts.
    #[must_use]
    pub fn counting() -> Self {
        Self { spent: Some(Arc::default()) }
    }

    pub(super) fn charge(&self, operation: Operation) {
        if let Some(spent) = &self.spent {
            spent.fetch_add(operation.cost(), Ordering::Relaxed);
        }
    }

    /// What was spent since this was last called.
    #[must_use]
    pub fn take(&self) -> Nanos {
        self.spent.as_ref().map_or(0, |spent| spent.swap(0, Ordering::Relaxed))
    }
}
