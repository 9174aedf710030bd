//! What every other module stands on: time, timers, the outbox, entropy, maps with few entries, a clean stack.

mod entropy;
mod map;
mod outbox;
mod scrub;
pub(crate) mod shared;
mod time;
mod timers;

pub use entropy::{Entropy, EntropyError};
pub use scrub::scrubbed;
pub use time::{Mono, Now, Wall};

pub(crate) use map::Map;
pub(crate) use outbox::Outbox;
pub(crate) use timers::Timers;

/// Bytes that several outputs share, such as one message to many signers.
pub type Bytes = alloc::sync::Arc<[u8]>;
