//! The order of public byte strings.

use core::cmp::Ordering;

/// The order of byte strings of one length, eight bytes at a time: that of slices, and fast where strings differ in
/// their first eight bytes or are the same, as hashes and keys do in maps.
///
/// **Variable time:** it stops at the first difference. For public data only.
pub fn compare_public<const N: usize>(one: &[u8; N], other: &[u8; N]) -> Ordering {
    let ((heads, rest), (other_heads, other_rest)) = (one.as_chunks(), other.as_chunks());
    for (head, other) in heads.iter().zip(other_heads) {
        match u64::from_be_bytes(*head).cmp(&u64::from_be_bytes(*other)) {
            Ordering::Equal => {}
            different => return different,
        }
    }
    rest.cmp(other_rest)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use quickcheck::quickcheck;

    use super::compare_public;

    quickcheck! {
        fn bytes_are_in_the_order_of_slices(one: Vec<u8>, at: usize, byte: u8) -> bool {
            let mut array = [0; 42];
            one.iter().zip(&mut array).for_each(|(byte, place)| *place = *byte);
            let mut other = array;
            other[at % 42] = byte;
            compare_public(&array, &other) == array[..].cmp(&other[..])
                && compare_public(&other, &array) == other[..].cmp(&array[..])
        }
    }
}
