//! The transaction whose inputs a session signs, as people and machines write it.
//!
//! Owns the JSON forms: byte strings are hexadecimal, amounts satoshi. `create` reads one, `sessions show` prints the
//! other.

use std::path::Path;

use nelumbo_chain::build::Unsigned;
use nelumbo_core::crypto::lotus::{self, TaprootOutput};
use nelumbo_core::crypto::{PublicKey, Suite, Tweak, bitcoin};
use nelumbo_core::wire::{Item, SignedInput, SpendPath, Spending, Spent};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::failure::Failure;

/// What `create` reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpendingFile {
    /// The transaction as it is serialised.
    pub(crate) transaction: String,
    /// The outputs that its inputs spend, in order.
    pub(crate) spent: Vec<SpentOutput>,
    /// Whether it is signed for the side of the network's next upgrade that has not been updated.
    #[serde(default)]
    pub(crate) replay_protection: bool,
    /// Which inputs are signed; all that spend the group's own outputs if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) inputs: Option<Vec<u32>>,
    /// All inputs and outputs if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sighash_type: Option<u8>,
    /// How the outputs are spent; by the key of a Taproot output if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<Script>,
}

/// The transaction that a session signs inputs of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SpendingShape {
    pub(crate) transaction: String,
    pub(crate) spent: Vec<SpentOutput>,
    pub(crate) replay_protection: bool,
}

/// An output that the transaction spends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpentOutput {
    pub(crate) value: u64,
    pub(crate) script: String,
}

/// The script that is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    pub(crate) hash: String,
    pub(crate) code_separator: u32,
}

/// All inputs and outputs.
const fn usual_type(suite: Suite) -> u8 {
    match suite {
        Suite::Lotus => lotus::SighashType::ALL.to_byte(),
        Suite::Bip340 => bitcoin::SighashType::DEFAULT.to_byte(),
    }
}

/// Whether a script is that of the Taproot output with this output key.
fn is_output_of(suite: Suite, key: &PublicKey, script: &[u8]) -> bool {
    match suite {
        Suite::Lotus => TaprootOutput::from_script_pubkey(script).is_some_and(|output| output.commitment == *key),
        Suite::Bip340 => script == bitcoin::taproot_script(key),
    }
}

impl SpendingFile {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::input(
                format_args!("cannot read a transaction from {}: {error}", path.display()),
                "it is a JSON object with transaction, spent, and perhaps inputs, sighash_type, script; see --help",
            )
        };
        let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
        serde_json::from_str(&text).map_err(|error| cannot(&error))
    }

    /// What was built, all of whose inputs are signed.
    pub(crate) fn new(unsigned: &Unsigned, replay_protection: bool) -> Self {
        let spent = unsigned.spent.iter();
        let spent = spent.map(|output| SpentOutput { value: output.value, script: hex::encode(&output.script_pubkey) });
        Self {
            transaction: hex::encode(unsigned.transaction.to_bytes()),
            spent: spent.collect(),
            replay_protection,
            inputs: None,
            sighash_type: None,
            script: None,
        }
    }

    /// The transaction, and the items that a group signs whose output key is `own`, if there is one.
    pub(crate) fn items(
        self,
        suite: Suite,
        own: Option<PublicKey>,
        tweak: Tweak,
    ) -> Result<(Spending, Vec<Item>), hex::FromHexError> {
        let spent = |output: SpentOutput| Ok(Spent { value: output.value, script: hex::decode(output.script)? });
        let spent = self.spent.into_iter().map(spent).collect::<Result<Vec<Spent>, _>>()?;
        let path = match self.script {
            None => SpendPath::Key,
            Some(Script { hash, code_separator }) => {
                let mut executed_script_hash = [0; 32];
                hex::decode_to_slice(hash, &mut executed_script_hash)?;
                SpendPath::Script { executed_script_hash, code_separator }
            }
        };
        let is_own = |output: &Spent| own.is_some_and(|own| is_output_of(suite, &own, &output.script));
        let of_group = || (0..).zip(&spent).filter(|(_, output)| is_own(output)).map(|(input, _)| input).collect();
        let mut inputs: Vec<u32> = self.inputs.unwrap_or_else(of_group);
        if inputs.is_empty() {
            // Whatever is wrong with it is said of the first.
            inputs.push(0);
        }
        let sighash_type = self.sighash_type.unwrap_or(usual_type(suite));
        let item = |input| Item::input(SignedInput { input, sighash_type, path }, tweak);
        let transaction = hex::decode(self.transaction)?;
        let spending = Spending { transaction, spent, replay_protection: self.replay_protection };
        Ok((spending, inputs.into_iter().map(item).collect()))
    }
}

impl From<&Spending> for SpendingShape {
    fn from(spending: &Spending) -> Self {
        let spent = |output: &Spent| SpentOutput { value: output.value, script: hex::encode(&output.script) };
        Self {
            transaction: hex::encode(&spending.transaction),
            spent: spending.spent.iter().map(spent).collect(),
            replay_protection: spending.replay_protection,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inputs_that_are_signed_are_those_of_the_file_or_all_of_the_group() {
        let own: PublicKey =
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().expect("a key");
        let of_lotus = hex::encode(TaprootOutput { commitment: own, state: None }.script_pubkey());
        let of_bitcoin = hex::encode(bitcoin::taproot_script(&own));
        let outputs = [&of_lotus, &of_bitcoin, &of_lotus];
        let outputs = outputs.map(|script| format!(r#"{{"value":7,"script":"{script}"}}"#)).join(",");
        let items = |suite, fields: &str, own| {
            let text = format!(r#"{{"transaction":"00ff","spent":[{outputs}]{fields}}}"#);
            let file: SpendingFile = serde_json::from_str(&text).expect("sound");
            let (spending, items) = file.items(suite, own, Tweak::None).expect("hexadecimal");
            assert_eq!((spending.transaction.as_slice(), spending.spent.len()), (&[0, 255][..], 3));
            items
        };
        let signed = |inputs: &[u32], sighash_type| -> Vec<Item> {
            let signed = |input| SignedInput { input, sighash_type, path: SpendPath::Key };
            inputs.iter().map(|input| Item::input(signed(*input), Tweak::None)).collect()
        };
        let [lotus, bitcoin] = [Suite::Lotus, Suite::Bip340];
        assert_eq!(items(lotus, "", Some(own)), signed(&[0, 2], 0x61));
        assert_eq!(items(bitcoin, "", Some(own)), signed(&[1], 0));
        assert_eq!(items(lotus, r#","inputs":[1],"sighash_type":98"#, Some(own)), signed(&[1], 98));
        assert_eq!(items(bitcoin, r#","sighash_type":1"#, Some(own)), signed(&[1], 1));
        assert_eq!(items(lotus, "", None), signed(&[0], 0x61), "so that it is said what is wrong with it");
        let short: SpendingFile = serde_json::from_str(r#"{"transaction":"0","spent":[]}"#).expect("sound");
        assert!(short.items(lotus, None, Tweak::None).is_err());
        assert!(serde_json::from_str::<SpendingFile>(r#"{"transaction":"00","spent":[],"imputs":[1]}"#).is_err());
    }
}
