//! What a signature in a script is, and what it signs.
//!
//! Owns the encodings that lotusd takes, the two digests, and the two schemes. Invariant: a signature is checked under
//! exactly one digest. The interpreter drives it.

use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{Signature as EcdsaSignature, VerifyingKey};
use nelumbo_crypto::lotus::{SighashCache, SighashType, Spend, Transaction, TxOutput};
use nelumbo_crypto::schnorr::{self, Signature};
use nelumbo_crypto::{PublicKey, Suite, sha256d};

use super::{Flags, VerifyError};

const ALL: u8 = 1;
const NONE: u8 = 2;
const SINGLE: u8 = 3;
const ANYONE_CAN_PAY: u8 = 0x80;
const ALGORITHM: u8 = 0x60;
const FORKID: u8 = 0x40;
const LOTUS: u8 = 0x60;
/// The fork value of nodes that are not updated once replay protection is active.
const PROTECTED_FORK_VALUE: u32 = 0xff_dead;

/// Half the order of the group, big endian: an `s` above it is not taken.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// A transaction, what it spends, and what its inputs' digests share.
pub(super) struct Signing<'a> {
    pub(super) transaction: &'a Transaction,
    pub(super) spent: &'a [TxOutput],
    lotus: SighashCache<'a>,
}

/// Whether the encoding of a signature with its hash type is one that is looked at at all.
pub(super) fn check_encoding(signature: &[u8], key_path: bool) -> Result<(), VerifyError> {
    let Some((hash_type, raw)) = signature.split_last() else { return Ok(()) };
    if raw.len() != Signature::SIZE {
        if key_path {
            return Err(VerifyError::TaprootMustUseSchnorr);
        }
        let (_, s) = decode_der(raw).ok_or(VerifyError::SigDer)?;
        if s > HALF_ORDER {
            return Err(VerifyError::SigHighS);
        }
    }
    let algorithm = hash_type & ALGORITHM;
    if !matches!(hash_type & 0x1f, ALL | NONE | SINGLE) || algorithm == 0x20 {
        return Err(VerifyError::SigHashType);
    }
    if key_path && algorithm != LOTUS {
        return Err(VerifyError::TaprootMustUseLotusSighash);
    }
    if algorithm == 0 {
        return Err(VerifyError::MustUseForkId);
    }
    Ok(())
}

/// Whether a public key is 33 or 65 bytes of the right prefix.
pub(super) fn check_key(key: &[u8]) -> Result<(), VerifyError> {
    match key {
        [2 | 3, x @ ..] if x.len() == 32 => Ok(()),
        [4, point @ ..] if point.len() == 64 => Ok(()),
        _ => Err(VerifyError::PubkeyType),
    }
}

impl<'a> Signing<'a> {
    /// None if there is not one spent output for each input.
    pub(super) fn new(transaction: &'a Transaction, spent: &'a [TxOutput]) -> Option<Self> {
        let lotus = SighashCache::new(transaction, spent).ok()?;
        Some(Self { transaction, spent, lotus })
    }

    /// Whether a signature, whose encoding was checked, is one of `key` over input number `input`.
    pub(super) fn verify(
        &self,
        input: usize,
        signature: &[u8],
        key: &[u8],
        spend: Spend,
        script_code: &[u8],
        flags: Flags,
    ) -> bool {
        let Some((hash_type, raw)) = signature.split_last() else { return false };
        let digest = match hash_type & ALGORITHM {
            FORKID => self.bip143(input, *hash_type, script_code, flags),
            _ if !flags.second_samuel => return false,
            _ => {
                let Ok(kind) = SighashType::from_byte(*hash_type) else { return false };
                let kind = if flags.replay_protection { kind.with_replay_protection() } else { kind };
                let Ok(digest) = self.lotus.sighash(input, kind, spend) else { return false };
                digest
            }
        };
        let Ok(point) = VerifyingKey::from_sec1_bytes(key) else { return false };
        if let Ok(raw) = raw.try_into() {
            let compressed: [u8; 33] = point.to_sec1_point(true).as_bytes().try_into().expect("compressed");
            let Ok(key) = PublicKey::from_bytes(compressed) else { return false };
            return schnorr::verify(Suite::Lotus, &key, &digest, &Signature::from_bytes(raw));
        }
        let Some((r, s)) = decode_der(raw) else { return false };
        EcdsaSignature::from_scalars(r, s).is_ok_and(|signature| point.verify_prehash(&digest, &signature).is_ok())
    }

    /// The digest of BIP143, which Lotus has from Bitcoin Cash (`SIGHASH_FORKID`).
    fn bip143(&self, input: usize, hash_type: u8, script_code: &[u8], flags: Flags) -> [u8; 32] {
        let Transaction { version, inputs, outputs, lock_time } = self.transaction;
        let (own_only, base) = (hash_type & ANYONE_CAN_PAY != 0, hash_type & 0x1f);
        let hash = |wanted: bool, bytes: Vec<u8>| if wanted { sha256d(&[&bytes]) } else { [0; 32] };
        let outpoint = |input: usize| {
            let outpoint = inputs[input].outpoint;
            [outpoint.txid.as_bytes().as_slice(), &outpoint.index.to_le_bytes()].concat()
        };
        let output = |output: &TxOutput| {
            let mut bytes = output.value.to_le_bytes().to_vec();
            write_script(&mut bytes, &output.script_pubkey);
            bytes
        };
        let mut bytes = version.to_le_bytes().to_vec();
        bytes.extend(hash(!own_only, (0..inputs.len()).flat_map(outpoint).collect()));
        let sequences = inputs.iter().flat_map(|input| input.sequence.to_le_bytes()).collect();
        bytes.extend(hash(!own_only && base == ALL, sequences));
        bytes.extend(outpoint(input));
        write_script(&mut bytes, script_code);
        bytes.extend(self.spent[input].value.to_le_bytes());
        bytes.extend(inputs[input].sequence.to_le_bytes());
        bytes.extend(match (base, outputs.get(input)) {
            (ALL, _) => hash(true, outputs.iter().flat_map(output).collect()),
            (SINGLE, Some(single)) => hash(true, output(single)),
            _ => [0; 32],
        });
        bytes.extend(lock_time.to_le_bytes());
        let fork_value = if flags.replay_protection { PROTECTED_FORK_VALUE } else { 0 };
        bytes.extend((fork_value << 8 | u32::from(hash_type)).to_le_bytes());
        sha256d(&[&bytes])
    }
}

fn write_script(bytes: &mut Vec<u8>, script: &[u8]) {
    match script.len() {
        length @ 0..=0xfc => bytes.push(length as u8),
        length => {
            bytes.push(0xfd);
            // Scripts that run have 10,000 bytes at most.
            bytes.extend_from_slice(&(length as u16).to_le_bytes());
        }
    }
    bytes.extend_from_slice(script);
}

/// The two numbers of a signature in strict DER (BIP66), 32 bytes big endian each. A number that is longer becomes the
/// largest there is, which no signature has.
fn decode_der(bytes: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    if !(8..=72).contains(&bytes.len()) {
        return None;
    }
    let [0x30, length, rest @ ..] = bytes else { return None };
    if usize::from(*length) != rest.len() {
        return None;
    }
    let (r, rest) = decode_integer(rest)?;
    let (s, rest) = decode_integer(rest)?;
    rest.is_empty().then_some((r, s))
}

fn decode_integer(bytes: &[u8]) -> Option<([u8; 32], &[u8])> {
    let [0x02, length, rest @ ..] = bytes else { return None };
    let (number, rest) = rest.split_at_checked(usize::from(*length))?;
    match number {
        // Empty, negative, or with a zero that does not keep it from being negative.
        [] | [0x80..=0xff, ..] | [0, 0..=0x7f, ..] => return None,
        _ => {}
    }
    let number = number.strip_prefix(&[0]).unwrap_or(number);
    let Some(padding) = 32usize.checked_sub(number.len()) else { return Some(([0xff; 32], rest)) };
    let mut padded = [0; 32];
    padded[padding..].copy_from_slice(number);
    Some((padded, rest))
}
