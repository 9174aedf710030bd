//! Why a transaction is not taken, in lotusd's words.

use std::fmt;

use super::script::VerifyError;
use crate::build::MAX_FEE_PER_BYTE;

/// Why a transaction is not taken. Shown as the answer of lotusd 11.4.14 to `sendrawtransaction`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each says what its text says")]
pub enum Reject {
    DecodeFailed,
    AlreadyInChain,
    AlreadyInMempool,
    MaxFeeExceeded,
    Coinbase,
    NoOutputs,
    Oversize,
    OutputNegative,
    OutputTooLarge,
    OutputTotalTooLarge,
    PrevoutNull,
    InputsDuplicate,
    Version,
    StandardSize,
    ScriptSigNotPushOnly,
    ScriptPubKey,
    Dust,
    MultiOpReturn,
    TaprootNotActive,
    NonFinal,
    Undersize,
    MempoolConflict,
    InputsMissingOrSpent,
    NonBip68Final,
    PrematureCoinbaseSpend {
        depth: u32,
    },
    InputValuesOutOfRange,
    InBelowOut {
        value_in: u64,
        value_out: u64,
    },
    NonstandardInputs,
    MinRelayFee {
        fee: u64,
        required: u64,
    },
    /// A rule of blocks.
    Script(VerifyError),
    /// A rule of relay alone.
    NonMandatoryScript(VerifyError),
    TooLongChain(String),
    MempoolFull,
    /// Nobody could spend what a block pays to this script. A node would mine it.
    MinerScript,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DecodeFailed => "TX decode failed",
            Self::AlreadyInChain => "Transaction already in block chain",
            Self::AlreadyInMempool => "txn-already-in-mempool",
            Self::MaxFeeExceeded => "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
            Self::Coinbase => "bad-tx-coinbase",
            Self::NoOutputs => "bad-txns-vout-empty",
            Self::Oversize => "bad-txns-oversize",
            Self::OutputNegative => "bad-txns-vout-negative",
            Self::OutputTooLarge => "bad-txns-vout-toolarge",
            Self::OutputTotalTooLarge => "bad-txns-txouttotal-toolarge",
            Self::PrevoutNull => "bad-txns-prevout-null",
            Self::InputsDuplicate => "bad-txns-inputs-duplicate",
            Self::Version => "version",
            Self::StandardSize => "tx-size",
            Self::ScriptSigNotPushOnly => "scriptsig-not-pushonly",
            Self::ScriptPubKey => "scriptpubkey",
            Self::Dust => "dust",
            Self::MultiOpReturn => "multi-op-return",
            Self::TaprootNotActive => "taproot-not-active-yet",
            Self::NonFinal => "bad-txns-nonfinal, non-final transaction",
            Self::Undersize => "bad-txns-undersize",
            Self::MempoolConflict => "txn-mempool-conflict",
            Self::InputsMissingOrSpent => "bad-txns-inputs-missingorspent",
            Self::NonBip68Final => "non-BIP68-final",
            Self::PrematureCoinbaseSpend { depth } => {
                return write!(f, "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth {depth}");
            }
            Self::InputValuesOutOfRange => "bad-txns-inputvalues-outofrange",
            Self::InBelowOut { value_in, value_out } => {
                let [value_in, value_out] = [value_in, value_out].map(|value| Xpi(*value));
                return write!(f, "bad-txns-in-belowout, value in ({value_in}) < value out ({value_out})");
            }
            Self::NonstandardInputs => "bad-txns-nonstandard-inputs",
            Self::MinRelayFee { fee, required } => return write!(f, "min relay fee not met, {fee} < {required}"),
            Self::Script(error) => return write!(f, "mandatory-script-verify-flag-failed ({error})"),
            Self::NonMandatoryScript(error) => return write!(f, "non-mandatory-script-verify-flag ({error})"),
            Self::TooLongChain(detail) => return write!(f, "too-long-mempool-chain, {detail}"),
            Self::MempoolFull => "mempool full",
            Self::MinerScript => "bad-cb-script",
        })
    }
}

impl std::error::Error for Reject {}

/// An amount in XPI, as lotusd prints it: at least two decimals.
struct Xpi(u64);

impl fmt::Display for Xpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.0 % 1_000_000);
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.0 / 1_000_000, &decimals[..kept])
    }
}

/// The highest fee that is passed on, by the size in bytes.
pub(super) const fn max_fee(bytes: usize) -> u64 {
    MAX_FEE_PER_BYTE * bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_look_as_in_lotusd() {
        let shown = [0, 10_000, 1_000_000, 260_000_500, 1].map(|value| Xpi(value).to_string());
        assert_eq!(shown, ["0.00", "0.01", "1.00", "260.0005", "0.000001"]);
    }
}
