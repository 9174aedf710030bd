//! Why a script does not unlock an output, in lotusd's words.

use std::fmt;

/// Why a script does not unlock an output. Shown as lotusd 11.4.14 does (`VerifyErrorString`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each says what its text says")]
pub enum VerifyError {
    EvalFalse,
    Verify,
    EqualVerify,
    CheckSigVerify,
    ScriptSize,
    PushSize,
    OpCount,
    StackSize,
    InputSigChecks,
    NumberRange,
    BadOpcode,
    DisabledOpcode,
    StackOperation,
    OpReturn,
    NegativeLockTime,
    UnsatisfiedLockTime,
    SigHashType,
    SigDer,
    MinimalData,
    SigPushOnly,
    SigHighS,
    SigNullFail,
    DiscourageUpgradableNops,
    PubkeyType,
    CleanStack,
    MustUseForkId,
    InvalidOpScriptType,
    ScriptTypeInvalid,
    ScriptTypeMalformed,
    TaprootMustUseLotusSighash,
    TaprootMustUseSchnorr,
    TaprootVerifySignatureFailed,
    TaprootAnnexNotSupported,
    TaprootWrongControlSize,
    TaprootVerifyCommitmentFailed,
    TaprootLeafVersionNotSupported,
    TaprootPhaseout,
    /// An opcode that lotusd executes and this ledger does not.
    Unsupported(u8),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EvalFalse => "Script evaluated without error but finished with a false/empty top stack element",
            Self::Verify => "Script failed an OP_VERIFY operation",
            Self::EqualVerify => "Script failed an OP_EQUALVERIFY operation",
            Self::CheckSigVerify => "Script failed an OP_CHECKSIGVERIFY operation",
            Self::ScriptSize => "Script is too big",
            Self::PushSize => "Push value size limit exceeded",
            Self::OpCount => "Operation limit exceeded",
            Self::StackSize => "Stack size limit exceeded",
            Self::InputSigChecks => "Input SigChecks limit exceeded",
            // A number that is too long or not minimal throws in lotusd, and ends as this.
            Self::NumberRange => "unknown error",
            Self::BadOpcode => "Opcode missing or not understood",
            Self::DisabledOpcode => "Attempted to use a disabled opcode",
            Self::StackOperation => "Operation not valid with the current stack size",
            Self::OpReturn => "OP_RETURN was encountered",
            Self::NegativeLockTime => "Negative locktime",
            Self::UnsatisfiedLockTime => "Locktime requirement not satisfied",
            Self::SigHashType => "Signature hash type missing or not understood",
            Self::SigDer => "Non-canonical DER signature",
            Self::MinimalData => "Data push larger than necessary",
            Self::SigPushOnly => "Only push operators allowed in signatures",
            Self::SigHighS => "Non-canonical signature: S value is unnecessarily high",
            Self::SigNullFail => "Signature must be zero for failed CHECK(MULTI)SIG operation",
            Self::DiscourageUpgradableNops => "NOPx reserved for soft-fork upgrades",
            Self::PubkeyType => "Public key is neither compressed or uncompressed",
            Self::CleanStack => "Stack size must be exactly one after execution",
            Self::MustUseForkId => "Signature must use SIGHASH_FORKID or SIGHASH_LOTUS",
            Self::InvalidOpScriptType => "Marker opcode OP_SCRIPTTYPE cannot be executed",
            Self::ScriptTypeInvalid => "Script type specified after OP_SCRIPTTYPE is invalid",
            Self::ScriptTypeMalformed => "Malformed OP_SCRIPTTYPE script",
            Self::TaprootMustUseLotusSighash => "Taproot key spend signatures must use SIGHASH_LOTUS",
            Self::TaprootMustUseSchnorr => "Taproot key spend signature must be Schnorr",
            Self::TaprootVerifySignatureFailed => "Invalid Taproot key spend signature",
            Self::TaprootAnnexNotSupported => "BIP341-style taproot annex (0x50) not supported",
            Self::TaprootWrongControlSize => "Control block needs to be of length 33 + 32n",
            Self::TaprootVerifyCommitmentFailed => "Taproot control does not verify the script",
            Self::TaprootLeafVersionNotSupported => "Unsupported taproot script leaf version",
            Self::TaprootPhaseout => "Taproot is being phased out",
            Self::Unsupported(opcode) => {
                return write!(f, "this ledger does not execute opcode {opcode:#04x}; try the script on a real node");
            }
        })
    }
}

impl std::error::Error for VerifyError {}
