//! Base58 with bounds.
//!
//! Owns the one call into the decoder. Invariant: a text longer than [`MAX_TEXT`] is refused before it is decoded,
//! because decoding takes quadratic time. Addresses and key files drive it.

use alloc::vec::Vec;

use zeroize::Zeroizing;

/// Longer than any address or key that exists.
pub(crate) const MAX_TEXT: usize = 128;

/// The bytes, which may be secret and are wiped; none if the text is too long or not base58.
pub(crate) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    bytes.resize(text.len(), 0);
    let length = bs58::decode(text).onto(bytes.as_mut_slice()).ok()?;
    bytes.truncate(length);
    Some(bytes)
}
