//! Whether an input's script unlocks the output that it spends.
//!
//! Owns the part of lotusd's interpreter that groups and wallets use: pay to public key, to its hash and to a script,
//! Taproot by key and by leaf, with hashes, signatures and lock times. Invariants: it is total over byte strings and
//! its work is bounded by the rules' own limits; what it does not know is an error, never a success. The judgement of
//! transactions drives it.

mod error;
mod opcode;
mod signature;

use nelumbo_crypto::lotus::{ControlBlock, Spend, Transaction, TxOutput};
use nelumbo_crypto::taproot::{LEAF_VERSION, leaf_hash};
use nelumbo_crypto::{sha256, sha256d};
use ripemd::{Digest, Ripemd160};

pub use error::VerifyError;
pub(super) use opcode::is_push_only;
use opcode::*;
use signature::Signing;

use super::rules::LOCK_TIME_THRESHOLD;
use super::standard::{Kind, kind};
use crate::build::{OP_RETURN, hash160, number_bytes};

const MAX_SCRIPT: usize = 10_000;
const MAX_ELEMENT: usize = 520;
const MAX_OPERATIONS: usize = 400;
const MAX_STACK: usize = 1_000;
const ANNEX: u8 = 0x50;

/// Which rules are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    /// Taproot and `SIGHASH_LOTUS` are.
    pub(super) second_samuel: bool,
    /// Only the protected digests are signed.
    pub(super) replay_protection: bool,
    /// Also those that a block may break.
    pub(super) standard: bool,
}

/// A transaction whose inputs are checked.
pub(super) struct Verifier<'a>(Signing<'a>);

impl<'a> Verifier<'a> {
    /// None if there is not one spent output for each input.
    pub(super) fn new(transaction: &'a Transaction, spent: &'a [TxOutput]) -> Option<Self> {
        Signing::new(transaction, spent).map(Self)
    }

    /// Whether one input unlocks what it spends (`VerifyScript`).
    pub(super) fn verify(&self, input: usize, flags: Flags) -> Result<(), VerifyError> {
        let script_sig = &self.0.transaction.inputs[input].script_sig;
        let script_pubkey = &self.0.spent[input].script_pubkey;
        if !is_push_only(script_sig) {
            return Err(VerifyError::SigPushOnly);
        }
        let mut run = Run { signing: &self.0, input, flags, stack: Vec::new(), signatures: 0 };
        run.execute(script_sig, [0; 32])?;
        match script_pubkey.as_slice() {
            [SCRIPT_TYPE] => return Err(VerifyError::ScriptTypeMalformed),
            [SCRIPT_TYPE, ONE, ..] => return run.taproot(script_pubkey),
            [SCRIPT_TYPE, ..] => return Err(VerifyError::ScriptTypeInvalid),
            _ => {}
        }
        let pushed = run.stack.clone();
        run.execute_to_true(script_pubkey, sha256d(&[script_pubkey]))?;
        if matches!(script_pubkey.as_slice(), [HASH160, 20, hash @ .., EQUAL] if hash.len() == 20) {
            run.stack = pushed;
            let redeem = run.pop()?;
            run.execute_to_true(&redeem, sha256d(&[&redeem]))?;
        }
        run.finish()
    }
}

/// One execution.
struct Run<'a> {
    signing: &'a Signing<'a>,
    input: usize,
    flags: Flags,
    stack: Vec<Vec<u8>>,
    signatures: usize,
}

impl Run<'_> {
    fn pop(&mut self) -> Result<Vec<u8>, VerifyError> {
        self.stack.pop().ok_or(VerifyError::StackOperation)
    }

    fn top(&self) -> Result<&Vec<u8>, VerifyError> {
        self.stack.last().ok_or(VerifyError::StackOperation)
    }

    fn push_flag(&mut self, flag: bool) {
        self.stack.push(if flag { vec![1] } else { Vec::new() });
    }

    /// The stack must hold one element, and the script of the input must pay for the signatures by its length.
    fn finish(&self) -> Result<(), VerifyError> {
        if self.stack.len() != 1 {
            return Err(VerifyError::CleanStack);
        }
        let script_sig = &self.signing.transaction.inputs[self.input].script_sig;
        if self.flags.standard && script_sig.len() + 60 < self.signatures * 43 {
            return Err(VerifyError::InputSigChecks);
        }
        Ok(())
    }

    /// `VerifyTaprootSpend`.
    fn taproot(&mut self, script_pubkey: &[u8]) -> Result<(), VerifyError> {
        if !self.flags.second_samuel {
            return Err(VerifyError::TaprootPhaseout);
        }
        let Some(Kind::Taproot(commitment, state)) = kind(script_pubkey) else {
            return Err(VerifyError::ScriptTypeMalformed);
        };
        let last = self.top()?;
        if self.stack.len() == 1 {
            signature::check_encoding(last, true)?;
            signature::check_key(commitment)?;
            let valid = self.signing.verify(self.input, last, commitment, Spend::KeyPath, &[], self.flags);
            return if valid { Ok(()) } else { Err(VerifyError::TaprootVerifySignatureFailed) };
        }
        if last.first() == Some(&ANNEX) {
            return Err(VerifyError::TaprootAnnexNotSupported);
        }
        let control = ControlBlock::parse(&self.pop()?).map_err(|_| VerifyError::TaprootWrongControlSize)?;
        let script = self.pop()?;
        if control.leaf_version != LEAF_VERSION {
            return Err(VerifyError::TaprootLeafVersionNotSupported);
        }
        if !control.commitment(&script).is_ok_and(|found| found.as_bytes() == commitment) {
            return Err(VerifyError::TaprootVerifyCommitmentFailed);
        }
        self.stack.extend(state.map(|state| state.to_vec()));
        self.execute_to_true(&script, leaf_hash(LEAF_VERSION, &script))?;
        self.finish()
    }

    fn execute_to_true(&mut self, script: &[u8], hash: [u8; 32]) -> Result<(), VerifyError> {
        self.execute(script, hash)?;
        let is_true = self.stack.last().is_some_and(|top| is_true(top));
        if is_true { Ok(()) } else { Err(VerifyError::EvalFalse) }
    }

    /// `EvalScript`. `hash` is what a signature covers of the script.
    fn execute(&mut self, script: &[u8], hash: [u8; 32]) -> Result<(), VerifyError> {
        if script.len() > MAX_SCRIPT {
            return Err(VerifyError::ScriptSize);
        }
        let mut executed = 0;
        for operation in operations(script) {
            let operation = operation?;
            if operation.data.len() > MAX_ELEMENT {
                return Err(VerifyError::PushSize);
            }
            executed += usize::from(operation.opcode > SIXTEEN);
            if executed > MAX_OPERATIONS {
                return Err(VerifyError::OpCount);
            }
            if is_disabled(operation.opcode) {
                return Err(VerifyError::DisabledOpcode);
            }
            if operation.opcode <= PUSHDATA4 {
                if !operation.is_minimal() {
                    return Err(VerifyError::MinimalData);
                }
                self.stack.push(operation.data.to_vec());
            } else {
                self.operate(operation.opcode, script, hash)?;
            }
            if self.stack.len() > MAX_STACK {
                return Err(VerifyError::StackSize);
            }
        }
        Ok(())
    }

    fn operate(&mut self, opcode: u8, script: &[u8], hash: [u8; 32]) -> Result<(), VerifyError> {
        match opcode {
            NEGATE1 => self.stack.push(vec![0x81]),
            ONE..=SIXTEEN => self.stack.push(vec![opcode - ONE + 1]),
            NOP => {}
            SCRIPT_TYPE => return Err(VerifyError::InvalidOpScriptType),
            VERIFY => {
                if !is_true(self.top()?) {
                    return Err(VerifyError::Verify);
                }
                self.pop()?;
            }
            OP_RETURN => return Err(VerifyError::OpReturn),
            DROP => drop(self.pop()?),
            DUP => self.stack.push(self.top()?.clone()),
            SWAP => {
                let last = self.stack.len();
                if last < 2 {
                    return Err(VerifyError::StackOperation);
                }
                self.stack.swap(last - 2, last - 1);
            }
            SIZE => {
                let length = self.top()?.len();
                self.stack.push(number_bytes(length as u32));
            }
            EQUAL | EQUALVERIFY => {
                if self.stack.len() < 2 {
                    return Err(VerifyError::StackOperation);
                }
                let equal = self.pop()? == self.pop()?;
                match opcode {
                    EQUAL => self.push_flag(equal),
                    _ if equal => {}
                    _ => return Err(VerifyError::EqualVerify),
                }
            }
            RIPEMD160 | SHA256 | HASH160 | HASH256 => {
                let element = self.pop()?;
                self.stack.push(match opcode {
                    RIPEMD160 => Ripemd160::digest(&element).to_vec(),
                    SHA256 => sha256(&[&element]).to_vec(),
                    HASH160 => hash160(&element).to_vec(),
                    _ => sha256d(&[&element]).to_vec(),
                });
            }
            CHECKSIG | CHECKSIGVERIFY => {
                let valid = self.check_signature(script, hash)?;
                match opcode {
                    CHECKSIG => self.push_flag(valid),
                    _ if valid => {}
                    _ => return Err(VerifyError::CheckSigVerify),
                }
            }
            CHECKLOCKTIMEVERIFY => self.check_lock_time()?,
            CHECKSEQUENCEVERIFY => self.check_sequence()?,
            _ if !is_reserved_nop(opcode) => return Err(VerifyError::Unsupported(opcode)),
            _ if self.flags.standard => return Err(VerifyError::DiscourageUpgradableNops),
            _ => {}
        }
        Ok(())
    }

    /// `EvalChecksig`: an empty signature is invalid, and any other invalid one is an error.
    fn check_signature(&mut self, script: &[u8], hash: [u8; 32]) -> Result<bool, VerifyError> {
        if self.stack.len() < 2 {
            return Err(VerifyError::StackOperation);
        }
        let (key, signature) = (self.pop()?, self.pop()?);
        signature::check_encoding(&signature, false)?;
        signature::check_key(&key)?;
        if signature.is_empty() {
            return Ok(false);
        }
        self.signatures += 1;
        let spend = Spend::Script { executed_script_hash: hash, code_separator: Spend::NO_CODE_SEPARATOR };
        if self.signing.verify(self.input, &signature, &key, spend, script, self.flags) {
            Ok(true)
        } else {
            Err(VerifyError::SigNullFail)
        }
    }

    /// BIP65.
    fn check_lock_time(&self) -> Result<(), VerifyError> {
        const THRESHOLD: i64 = LOCK_TIME_THRESHOLD as i64;
        let wanted = lock_time_number(self.top()?)?;
        let lock_time = i64::from(self.signing.transaction.lock_time);
        let same_kind = (wanted < THRESHOLD) == (lock_time < THRESHOLD);
        let is_final = self.signing.transaction.inputs[self.input].sequence == u32::MAX;
        if same_kind && wanted <= lock_time && !is_final { Ok(()) } else { Err(VerifyError::UnsatisfiedLockTime) }
    }

    /// BIP112.
    fn check_sequence(&self) -> Result<(), VerifyError> {
        const DISABLED: i64 = 1 << 31;
        const TIME: i64 = 1 << 22;
        const MASK: i64 = TIME | 0xffff;
        let wanted = lock_time_number(self.top()?)?;
        if wanted & DISABLED != 0 {
            return Ok(());
        }
        let sequence = i64::from(self.signing.transaction.inputs[self.input].sequence);
        // Negative versions count as large ones.
        let has_locks = self.signing.transaction.version as u32 >= 2 && sequence & DISABLED == 0;
        let (wanted, sequence) = (wanted & MASK, sequence & MASK);
        let same_kind = (wanted < TIME) == (sequence < TIME);
        if has_locks && same_kind && wanted <= sequence { Ok(()) } else { Err(VerifyError::UnsatisfiedLockTime) }
    }
}

/// `CastToBool`: zero and negative zero are false.
fn is_true(element: &[u8]) -> bool {
    match element.split_last() {
        Some((last, rest)) => !matches!(last, 0 | 0x80) || rest.iter().any(|byte| *byte != 0),
        None => false,
    }
}

/// A minimally encoded number of at most 5 bytes that is not negative.
fn lock_time_number(element: &[u8]) -> Result<i64, VerifyError> {
    let Some((last, rest)) = element.split_last() else { return Ok(0) };
    let carries_sign_only = last & 0x7f == 0 && rest.last().is_none_or(|previous| previous & 0x80 == 0);
    if element.len() > 5 || carries_sign_only {
        return Err(VerifyError::NumberRange);
    }
    if last & 0x80 != 0 {
        return Err(VerifyError::NegativeLockTime);
    }
    Ok(element.iter().rev().fold(0, |number, byte| number << 8 | i64::from(*byte)))
}
