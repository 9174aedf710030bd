//! What every other module stands on: time, timers, the outbox, entropy, maps with few entries, tables without an order, a
//! clean stack.

mod entropy;
mod hashed;
mod map;
mod outbox;
mod scrub;
pub(crate) mod shared;
mod time;
mod timers;

use core::cmp::Ordering;

pub use entropy::{Entropy, EntropyError};
pub use scrub::scrubbed;
pub use time::{Mono, Now, Wall};

pub(crate) use hashed::{HashKey, HashedMap, HashedSet};
pub(crate) use map::Map;
pub(crate) use outbox::Outbox;
pub(crate) use timers::Timers;

/// The order of byte strings of one length, eight bytes at a time: hashes and keys, which maps compare all the time, differ
/// in the first eight or are the same.
pub(crate) fn compare<const N: usize>(one: &[u8; N], other: &[u8; N]) -> Ordering {
    let ((heads, rest), (other_heads, other_rest)) = (one.as_chunks(), other.as_chunks());
    for (head, other) in heads.iter().zip(other_heads) {
        match u64::from_be_bytes(*head).cmp(&u64::from_be_bytes(*other)) {
            Ordering::Equal => {}
            different => return different,
        }
    }
    rest.cmp(other_rest)
}

/// Bytes that several outputs share, such as one message to many signers.
pub type Bytes = alloc::sync::Arc<[u8]>;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use quickcheck::quickcheck;

    use super::compare;

    quickcheck! {
        fn bytes_are_in_the_order_of_slices(one: Vec<u8>, at: usize, byte: u8) -> bool {
            let mut array = [0; 42];
            one.iter().zip(&mut array).for_each(|(byte, place)| *place = *byte);
            let mut other = array;
            other[at % 42] = byte;
            compare(&array, &other) == array[..].cmp(&other[..]) && compare(&other, &array) == other[..].cmp(&array[..])
        }
    }
}
