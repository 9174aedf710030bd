//! Scripts, cut into operations.
//!
//! Owns the opcodes that the ledger knows and the reading of pushes. Invariant: an iterator ends after its first error.
//! The interpreter and the rules of what is standard drive it.

use super::VerifyError;

pub(super) const PUSHDATA1: u8 = 0x4c;
const PUSHDATA2: u8 = 0x4d;
pub(super) const PUSHDATA4: u8 = 0x4e;
pub(super) const NEGATE1: u8 = 0x4f;
pub(super) const ONE: u8 = 0x51;
pub(super) const SIXTEEN: u8 = 0x60;
pub(super) const NOP: u8 = 0x61;
/// The mark of outputs that are more than a script (`OP_SCRIPTTYPE`).
pub(super) const SCRIPT_TYPE: u8 = 0x62;
pub(super) const VERIFY: u8 = 0x69;
pub(super) const DROP: u8 = 0x75;
pub(super) const DUP: u8 = 0x76;
pub(super) const SWAP: u8 = 0x7c;
pub(super) const SIZE: u8 = 0x82;
pub(super) const EQUAL: u8 = 0x87;
pub(super) const EQUALVERIFY: u8 = 0x88;
pub(super) const RIPEMD160: u8 = 0xa6;
pub(super) const SHA256: u8 = 0xa8;
pub(super) const HASH160: u8 = 0xa9;
pub(super) const HASH256: u8 = 0xaa;
pub(super) const CHECKSIG: u8 = 0xac;
pub(super) const CHECKSIGVERIFY: u8 = 0xad;
pub(super) const CHECKLOCKTIMEVERIFY: u8 = 0xb1;
pub(super) const CHECKSEQUENCEVERIFY: u8 = 0xb2;

/// Whether lotusd calls it a NOP that an upgrade may take.
pub(super) fn is_reserved_nop(opcode: u8) -> bool {
    matches!(opcode, 0xb0 | 0xb3..=0xb9)
}

/// Whether lotusd has disabled it, or never defined it (`IsOpcodeDisabled`).
pub(super) fn is_disabled(opcode: u8) -> bool {
    const FIRST_UNDEFINED: u8 = 0xbd;
    matches!(
        opcode,
        // RESERVED, VERIF, VERNOTIF, IFDUP, INVERT, RESERVED1, RESERVED2, 2MUL, 2DIV, MUL, NUMEQUAL, NUMEQUALVERIFY,
        // NUMNOTEQUAL, SHA1
        0x50 | 0x65 | 0x66 | 0x73 | 0x83 | 0x89 | 0x8a | 0x8d | 0x8e | 0x95 | 0x9c | 0x9d | 0x9e | 0xa7
    ) || opcode >= FIRST_UNDEFINED
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Operation<'a> {
    pub(super) opcode: u8,
    /// What it pushes, if its opcode is one of a push.
    pub(super) data: &'a [u8],
}

/// The operations of a script, or an error where it ends inside of one.
pub(in crate::ledger) fn operations(script: &[u8]) -> impl Iterator<Item = Result<Operation<'_>, VerifyError>> {
    let mut rest = Some(script);
    std::iter::from_fn(move || {
        let bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
        Some(match first_operation(bytes) {
            Some((operation, tail)) => {
                rest = Some(tail);
                Ok(operation)
            }
            None => Err(VerifyError::BadOpcode),
        })
    })
}

fn first_operation(bytes: &[u8]) -> Option<(Operation<'_>, &[u8])> {
    let (&opcode, rest) = bytes.split_first()?;
    let (length, rest) = match opcode {
        0..PUSHDATA1 => (usize::from(opcode), rest),
        PUSHDATA1 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        PUSHDATA2 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        PUSHDATA4 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
        _ => (0, rest),
    };
    let (data, rest) = rest.split_at_checked(length)?;
    Some((Operation { opcode, data }, rest))
}

/// Whether a script only pushes.
pub(in crate::ledger) fn is_push_only(script: &[u8]) -> bool {
    operations(script).all(|operation| operation.is_ok_and(|operation| operation.opcode <= SIXTEEN))
}

impl Operation<'_> {
    /// Whether it is the shortest way to push what it pushes (BIP62, rule 3). For opcodes up to [`PUSHDATA4`].
    pub(super) fn is_minimal(&self) -> bool {
        match self.data {
            [] => self.opcode == 0,
            [1..=16 | 0x81] => false,
            data if data.len() <= 75 => usize::from(self.opcode) == data.len(),
            data if data.len() <= 0xff => self.opcode == PUSHDATA1,
            data if data.len() <= 0xffff => self.opcode == PUSHDATA2,
            _ => true,
        }
    }
}
