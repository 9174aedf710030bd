//! The transaction that a session signs an input of, as people and machines write it.
//!
//! Owns the JSON form: byte strings are hexadecimal, amounts satoshi. `create` reads it, `sessions show` prints it.

use std::path::Path;

use nelumbo_core::wire::{SpendPath, Spending, Spent};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// All inputs and outputs, without the fork's newer forms of replay protection.
const SIGHASH_ALL: u8 = 0x61;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpendingFile {
    /// The transaction as it is serialised.
    pub(crate) transaction: String,
    /// The outputs that its inputs spend, in order.
    pub(crate) spent: Vec<SpentOutput>,
    /// Which input is signed.
    #[serde(default)]
    pub(crate) input: u32,
    #[serde(default = "sighash_all")]
    pub(crate) sighash_type: u8,
    /// How the output is spent; by the key of a Taproot output if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<Script>,
}

/// An output that the transaction spends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpentOutput {
    pub(crate) value: u64,
    pub(crate) script: String,
}

/// The script that is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    pub(crate) hash: String,
    pub(crate) code_separator: u32,
}

const fn sighash_all() -> u8 {
    SIGHASH_ALL
}

impl SpendingFile {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::input(
                format_args!("cannot read a transaction from {}: {error}", path.display()),
                "it is a JSON object with transaction, spent, and perhaps input, sighash_type, script; see --help",
            )
        };
        let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
        serde_json::from_str(&text).map_err(|error| cannot(&error))
    }
}

impl TryFrom<SpendingFile> for Spending {
    type Error = hex::FromHexError;

    fn try_from(file: SpendingFile) -> Result<Self, hex::FromHexError> {
        let spent = |output: SpentOutput| Ok(Spent { value: output.value, script: hex::decode(output.script)? });
        let path = match file.script {
            None => SpendPath::Key,
            Some(Script { hash, code_separator }) => {
                let mut executed_script_hash = [0; 32];
                hex::decode_to_slice(hash, &mut executed_script_hash)?;
                SpendPath::Script { executed_script_hash, code_separator }
            }
        };
        Ok(Self {
            transaction: hex::decode(file.transaction)?,
            spent: file.spent.into_iter().map(spent).collect::<Result<_, _>>()?,
            input: file.input,
            sighash_type: file.sighash_type,
            path,
        })
    }
}

impl From<&Spending> for SpendingFile {
    fn from(spending: &Spending) -> Self {
        let spent = |output: &Spent| SpentOutput { value: output.value, script: hex::encode(&output.script) };
        let script = match spending.path {
            SpendPath::Key => None,
            SpendPath::Script { executed_script_hash, code_separator } => {
                Some(Script { hash: hex::encode(executed_script_hash), code_separator })
            }
        };
        Self {
            transaction: hex::encode(&spending.transaction),
            spent: spending.spent.iter().map(spent).collect(),
            input: spending.input,
            sighash_type: spending.sighash_type,
            script,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_as_it_was() {
        let text = r#"{"transaction":"00ff","spent":[{"value":7,"script":"51"}],"input":0,"sighash_type":97}"#;
        let file: SpendingFile = serde_json::from_str(text).expect("sound");
        let spending = Spending::try_from(file.clone()).expect("hexadecimal");
        assert_eq!((SpendingFile::from(&spending), spending.path), (file, SpendPath::Key));
        let short: SpendingFile = serde_json::from_str(r#"{"transaction":"0","spent":[]}"#).expect("sound");
        assert_eq!((short.input, short.sighash_type), (0, SIGHASH_ALL));
        assert!(Spending::try_from(short).is_err());
        assert!(serde_json::from_str::<SpendingFile>(r#"{"transaction":"00","spent":[],"imput":1}"#).is_err());
    }
}
