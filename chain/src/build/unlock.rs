//! What spends a coin: which digest is signed, how long the input's script becomes, and the script itself.
//!
//! Owns the three ways that groups and their members have: the key path of a Taproot output, the hash of a public key,
//! and the leaf by which one member recovers what a group holds. Invariant: [`Unlock::script_bytes`] is the length of
//! what [`Unlock::script_sig`] makes. The builder, and whoever finalises what was signed, drive it.

use nelumbo_crypto::lotus::{ControlBlock, SighashType, Spend, TaprootOutput, key_path_script_sig, p2pkh_script};
use nelumbo_crypto::taproot::{LEAF_VERSION, TaprootError, leaf_hash};
use nelumbo_crypto::{PublicKey, Signature, sha256, sha256d};
use ripemd::{Digest, Ripemd160};

const OP_CHECKSEQUENCEVERIFY: u8 = 0xb2;
const OP_DROP: u8 = 0x75;
const OP_CHECKSIG: u8 = 0xac;
const OP_PUSHDATA1: u8 = 0x4c;
const OP_PUSHDATA2: u8 = 0x4d;

/// `RIPEMD-160(SHA-256(bytes))`, by which scripts name keys and other scripts.
#[must_use]
pub fn hash160(bytes: &[u8]) -> [u8; 20] {
    Ripemd160::digest(sha256(&[bytes])).into()
}

/// The script of an output that pays to one key by its hash.
#[must_use]
pub fn pay_to_key(key: &PublicKey) -> [u8; 25] {
    p2pkh_script(&hash160(key.as_bytes()))
}

/// How long a coin must have been confirmed before a [`Recovery`] takes it (BIP68, BIP112).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delay {
    /// So many blocks.
    Blocks(u16),
    /// So many times 512 seconds of the chain's median time.
    Intervals(u16),
}

impl Delay {
    /// The bit of a sequence that makes it a time (BIP68, `SEQUENCE_LOCKTIME_TYPE_FLAG`).
    const TIME: u32 = 1 << 22;

    /// The sequence of an input that waits so long.
    #[must_use]
    pub const fn to_sequence(self) -> u32 {
        match self {
            Self::Blocks(blocks) => blocks as u32,
            Self::Intervals(intervals) => Self::TIME | intervals as u32,
        }
    }

    /// The delay of a sequence, if it is one and nothing else.
    #[must_use]
    pub fn from_sequence(sequence: u32) -> Option<Self> {
        match (u16::try_from(sequence & !Self::TIME).ok()?, sequence & Self::TIME) {
            (blocks, 0) => Some(Self::Blocks(blocks)),
            (intervals, _) => Some(Self::Intervals(intervals)),
        }
    }
}

/// A way back for one member: after the delay its key alone spends what the group holds.
///
/// The script is `<delay> OP_CHECKSEQUENCEVERIFY OP_DROP <key> OP_CHECKSIG`, the only leaf of the tree that the group's
/// output commits to, so that the group itself spends by the key path as if there were none.
///
/// ```
/// use nelumbo_chain::build::{Delay, Recovery};
///
/// let key = "031363dca4bed3e7d0ad34d14bbcb785e78cf2928da241f2aba5e8ac78bd3e33a4".parse()?;
/// let recovery = Recovery { delay: Delay::Blocks(144), key };
/// assert_eq!(Recovery::from_script(&recovery.script()), Some(recovery));
/// # Ok::<(), nelumbo_crypto::PublicKeyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recovery {
    /// How long it waits.
    pub delay: Delay,
    /// Who may spend then.
    pub key: PublicKey,
}

impl Recovery {
    /// The leaf's script.
    #[must_use]
    pub fn script(&self) -> Vec<u8> {
        let mut script = Vec::with_capacity(40);
        push_number(&mut script, self.delay.to_sequence());
        script.extend_from_slice(&[OP_CHECKSEQUENCEVERIFY, OP_DROP]);
        push(&mut script, self.key.as_bytes());
        script.push(OP_CHECKSIG);
        script
    }

    /// Reads the script of such a leaf. None for every other script.
    #[must_use]
    pub fn from_script(script: &[u8]) -> Option<Self> {
        let (head, tail) = script.split_at_checked(script.len().checked_sub(37)?)?;
        let [OP_CHECKSEQUENCEVERIFY, OP_DROP, 33, key @ .., OP_CHECKSIG] = tail else { return None };
        let number = match head {
            [0] => 0,
            [small @ 0x51..=0x60] => u32::from(small - 0x50),
            [length @ 1..=4, bytes @ ..] if usize::from(*length) == bytes.len() => {
                bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
            }
            _ => return None,
        };
        let recovery = Self { delay: Delay::from_sequence(number)?, key: PublicKey::from_slice(key).ok()? };
        // So a number has one encoding.
        (recovery.script() == script).then_some(recovery)
    }

    /// The root of the tree whose only leaf this is: what the group's Taproot tweak commits to.
    #[must_use]
    pub fn merkle_root(&self) -> [u8; 32] {
        leaf_hash(LEAF_VERSION, &self.script())
    }

    /// The output of a group with this way back. `internal_key` is the aggregate before its tweak.
    ///
    /// # Errors
    ///
    /// [`TaprootError`].
    pub fn output(&self, internal_key: &PublicKey) -> Result<TaprootOutput, TaprootError> {
        let commitment = ControlBlock::new(*internal_key, Vec::new()).commitment(&self.script())?;
        Ok(TaprootOutput { commitment, state: None })
    }
}

/// How a coin is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlock {
    /// A Taproot output, by the signature of the group.
    KeyPath,
    /// An output to the hash of this key.
    PublicKeyHash(PublicKey),
    /// A Taproot output of a group, by one member after the delay.
    Recovery {
        /// The way back.
        recovery: Recovery,
        /// The group's aggregate key before its tweak.
        internal_key: PublicKey,
    },
}

impl Unlock {
    /// One push of signature and hash type.
    const SIGNATURE: usize = 66;

    /// The bytes of [`Self::script_sig`].
    #[must_use]
    pub fn script_bytes(&self) -> usize {
        match self {
            Self::KeyPath => Self::SIGNATURE,
            Self::PublicKeyHash(_) => Self::SIGNATURE + 34,
            Self::Recovery { recovery, .. } => Self::SIGNATURE + 1 + recovery.script().len() + 34,
        }
    }

    /// What the signature of the input covers besides the transaction; `spent_script` is the output's.
    #[must_use]
    pub fn spend(&self, spent_script: &[u8]) -> Spend {
        let executed_script_hash = match self {
            Self::KeyPath => return Spend::KeyPath,
            Self::PublicKeyHash(_) => sha256d(&[spent_script]),
            Self::Recovery { recovery, .. } => recovery.merkle_root(),
        };
        Spend::Script { executed_script_hash, code_separator: Spend::NO_CODE_SEPARATOR }
    }

    /// The sequence that the input must have, if the way it is spent demands one.
    #[must_use]
    pub fn sequence(&self) -> Option<u32> {
        match self {
            Self::KeyPath | Self::PublicKeyHash(_) => None,
            Self::Recovery { recovery, .. } => Some(recovery.delay.to_sequence()),
        }
    }

    /// The input's script, given the signature over all inputs and outputs (0x61).
    #[must_use]
    pub fn script_sig(&self, signature: &Signature) -> Vec<u8> {
        let mut script = key_path_script_sig(signature, SighashType::ALL).to_vec();
        match self {
            Self::KeyPath => {}
            Self::PublicKeyHash(key) => push(&mut script, key.as_bytes()),
            Self::Recovery { recovery, internal_key } => {
                push(&mut script, &recovery.script());
                push(&mut script, &ControlBlock::new(*internal_key, Vec::new()).to_bytes());
            }
        }
        script
    }
}

/// Appends the shortest push of these bytes, which are not a number of one byte.
pub(crate) fn push(script: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..=75 => script.push(length as u8),
        length @ 76..=255 => script.extend_from_slice(&[OP_PUSHDATA1, length as u8]),
        length => {
            script.push(OP_PUSHDATA2);
            script.extend_from_slice(&u16::try_from(length).expect("scripts push 520 bytes at most").to_le_bytes());
        }
    }
    script.extend_from_slice(bytes);
}

/// Appends the shortest push of a number (BIP62, rule 4).
pub(crate) fn push_number(script: &mut Vec<u8>, number: u32) {
    match number {
        0 => script.push(0),
        1..=16 => script.push(0x50 + number as u8),
        _ => push(script, &number_bytes(number)),
    }
}

/// A number as scripts have it on their stack: little endian, as short as it goes, the highest bit its sign.
pub(crate) fn number_bytes(number: u32) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.truncate(4 - number.leading_zeros() as usize / 8);
    if bytes.last().is_some_and(|last| last & 0x80 != 0) {
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn key() -> PublicKey {
        "031363dca4bed3e7d0ad34d14bbcb785e78cf2928da241f2aba5e8ac78bd3e33a4".parse().expect("a key")
    }

    /// `sighash_lotus_scriptpath.json`, first case.
    #[test]
    fn the_leaf_and_its_spend_are_those_of_the_vectors() {
        let recovery = Recovery { delay: Delay::Blocks(144), key: key() };
        assert_eq!(
            hex::encode(recovery.script()),
            "029000b27521031363dca4bed3e7d0ad34d14bbcb785e78cf2928da241f2aba5e8ac78bd3e33a4ac"
        );
        assert_eq!(
            hex::encode(recovery.merkle_root()),
            "7b26f1b9cc73482750c1c8ae1f7cadb75a3769971ca25a26ee8186d25fa60903"
        );
        let internal_key = "03a0fd7ee2a2a834ed3bf3145c5e635d3baa320eec89628b375cd00b095346d89f".parse().expect("a key");
        assert_eq!(
            recovery.output(&internal_key).expect("a point").commitment.to_string(),
            "032bd0d29a3bad929dc6c5210879145a6d916910ec846958224d3f122d2722ab02"
        );
        let signature = [
            "c771281a105145b4558bf7fd7aab5f3ed0257b00b4331259bc834b9282619b09",
            "1a294453d7c8c4d0c5ce811b808c6e94d8282faf3f4f64a8024d57d85b005376",
        ]
        .concat();
        let unlock = Unlock::Recovery { recovery, internal_key };
        let script = unlock.script_sig(&signature.parse().expect("64 bytes"));
        let leaf = "28029000b27521031363dca4bed3e7d0ad34d14bbcb785e78cf2928da241f2aba5e8ac78bd3e33a4ac";
        let control = "21c1a0fd7ee2a2a834ed3bf3145c5e635d3baa320eec89628b375cd00b095346d89f";
        assert_eq!(hex::encode(&script), format!("41{signature}61{leaf}{control}"));
        assert_eq!((script.len(), unlock.sequence()), (unlock.script_bytes(), Some(144)));
    }

    quickcheck! {
        fn a_recovery_is_read_as_it_was_written(number: u16, is_time: bool) -> bool {
            let delay = if is_time { Delay::Intervals(number) } else { Delay::Blocks(number) };
            let recovery = Recovery { delay, key: key() };
            Delay::from_sequence(delay.to_sequence()) == Some(delay)
                && Recovery::from_script(&recovery.script()) == Some(recovery)
        }

        fn other_scripts_are_no_recovery(script: Vec<u8>) -> bool {
            Recovery::from_script(&script).is_none_or(|recovery| recovery.script() == script)
        }

        fn the_length_of_a_script_is_known_before_it_is_signed(number: u16, signature: u8) -> bool {
            let signature = Signature::from_bytes([signature; 64]);
            let recovery = Recovery { delay: Delay::Blocks(number), key: key() };
            [Unlock::KeyPath, Unlock::PublicKeyHash(key()), Unlock::Recovery { recovery, internal_key: key() }]
                .iter()
                .all(|unlock| unlock.script_sig(&signature).len() == unlock.script_bytes())
        }
    }

    /// BIP62's examples and the limits between lengths.
    #[test]
    fn numbers_are_pushed_in_their_shortest_form() {
        let pushed = |number| {
            let mut script = Vec::new();
            push_number(&mut script, number);
            hex::encode(script)
        };
        let expected =
            ["00", "51", "60", "0111", "017f", "028000", "02ff00", "020001", "02ff7f", "03008000", "03000040"];
        let numbers = [0, 1, 16, 17, 127, 128, 255, 256, 0x7fff, 0x8000, 0x40_0000];
        assert_eq!(numbers.map(pushed), expected.map(str::to_owned));
    }
}
