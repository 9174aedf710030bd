//! What every other module stands on: time, timers, the outbox, maps with few entries, tables without an order; entropy
//! and a clean stack.

mod hashed;
mod map;
mod outbox;
pub(crate) mod shared;
mod time;
mod timers;

pub use nelumbo_crypto::{Entropy, EntropyError, scrubbed};
pub use time::{Mono, Now, Wall};

pub(crate) use hashed::{HashKey, HashedMap, HashedSet};
pub(crate) use map::Map;
pub(crate) use nelumbo_crypto::compare_public as compare;
pub(crate) use outbox::Outbox;
pub(crate) use timers::Timers;

/// Bytes that several outputs share, such as one message to many signers.
pub type Bytes = alloc::sync::Arc<[u8]>;
