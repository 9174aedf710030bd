//! Outputs that burn money in someone's name.
//!
//! Owns the script of a burn, `OP_RETURN "LTMS" <version> <payload>`, in both directions. Invariant: what is read is
//! what was written. Identities and whoever verifies them drive it.

use nelumbo_crypto::PublicKey;

use super::size::OP_RETURN;
use super::unlock::push;

const PREFIX: &[u8; 4] = b"LTMS";

/// The script of an output whose value is burned for `payload`, at most 75 bytes, in version 1 of the form.
///
/// # Panics
///
/// When the payload is empty or longer.
#[must_use]
pub fn burn_script(payload: &[u8]) -> Vec<u8> {
    assert!((1..=75).contains(&payload.len()), "a burn is for 1 to 75 bytes, not {}", payload.len());
    let mut script = vec![OP_RETURN];
    push(&mut script, PREFIX);
    // A push of the byte 1, as Lotus wallets write it; nothing executes it.
    push(&mut script, &[1]);
    push(&mut script, payload);
    script
}

/// The payload of a burn of version 1. None for every other script.
#[must_use]
pub fn burn_payload(script: &[u8]) -> Option<&[u8]> {
    let [OP_RETURN, 4, prefix @ ..] = script else { return None };
    let [1, 1, length @ 1..=75, payload @ ..] = prefix.strip_prefix(PREFIX)? else { return None };
    (payload.len() == usize::from(*length)).then_some(payload)
}

/// The key for which money is burned when the payload is one, as for a first registration.
#[must_use]
pub fn burn_key(script: &[u8]) -> Option<PublicKey> {
    PublicKey::from_slice(burn_payload(script)?).ok()
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    #[test]
    fn a_burn_for_a_key_has_42_bytes() {
        let key = "031363dca4bed3e7d0ad34d14bbcb785e78cf2928da241f2aba5e8ac78bd3e33a4";
        let script = burn_script(&hex::decode(key).expect("hexadecimal"));
        assert_eq!(hex::encode(&script), format!("6a044c544d53010121{key}"));
        assert_eq!(burn_key(&script).map(|key| key.to_string()).as_deref(), Some(key));
        assert_eq!((burn_key(&script[..41]), burn_key(&[script.as_slice(), &[0]].concat())), (None, None));
    }

    quickcheck! {
        fn what_is_read_was_written(payload: Vec<u8>, other: Vec<u8>) -> bool {
            let payload = &payload[..payload.len().min(75)];
            (payload.is_empty() || burn_payload(&burn_script(payload)) == Some(payload))
                && burn_payload(&other).is_none_or(|payload| burn_script(payload) == other)
        }
    }
}
