//! What cryptography would have cost: the stand-in charges each node the time of the real operation, so that virtual
//! time stays honest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Nanos;

/// What the real operations take, in nanoseconds of one core at about 3 GHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Costs {
    /// Verifying a signature.
    pub(super) verify: Nanos,
    /// Signing a message of one's own.
    pub(super) sign: Nanos,
    /// Aggregating keys, for each.
    pub(super) aggregate: Nanos,
    /// Drawing a nonce.
    pub(super) nonce: Nanos,
    /// A partial signature made or checked.
    pub(super) partial: Nanos,
}

impl Costs {
    pub(super) const MEASURED: Self =
        Self { verify: 70_000, sign: 45_000, aggregate: 55_000, nonce: 80_000, partial: 90_000 };
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

    pub(super) fn charge(&self, cost: Nanos) {
        if let Some(spent) = &self.spent {
            spent.fetch_add(cost, Ordering::Relaxed);
        }
    }

    /// What was spent since this was last asked.
    #[must_use]
    pub fn take(&self) -> Nanos {
        self.spent.as_ref().map_or(0, |spent| spent.swap(0, Ordering::Relaxed))
    }
}
