//! What a transaction pays, and what a signature over it leaves open.
//!
//! Owns the rules of what is refused whoever asks: outputs above inputs, and a key path that spends an output of
//! somebody else. Invariant: `fee` and the outputs together are the inputs, to the satoshi. [`Summary`](super::Summary)
//! drives it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::Unusual;
use super::shown::{Satoshi, hex};
use super::size::signed_size;
use crate::crypto::transaction::{Outputs, SighashError, Transaction, TxInput, TxOutput};
use crate::crypto::{KeyAggContext, Network, PublicKey, Suite, Tweak, bitcoin, lotus, taproot};
use crate::wire::{
    Definition, DefinitionError, Harmless, ParsedSpending, SignedInput, SpendPath, Spending, SpendingError, Subject,
};

/// From this value on a lock time is a time and not a height.
const FIRST_TIME: u32 = 500_000_000;
/// The sequence of an input that ignores the lock time.
const FINAL: u32 = u32::MAX;
const OP_RETURN: u8 = 0x6a;

/// What a transaction does. Amounts are satoshi.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionSummary {
    /// The rules that it is signed by, and with them the ledger: Lotus, or Bitcoin for BIP340.
    pub suite: Suite,
    /// Its id. On Bitcoin it changes when an input that is not spent by a witness gets its script.
    pub txid: String,
    /// Which of the inputs are signed, and how: one entry for each way.
    pub signed: Vec<SignedInputs>,
    /// What it spends, as the creator says; a signature without ANYONECANPAY is void where that is wrong.
    pub inputs: Vec<Input>,
    /// What it pays.
    pub outputs: Vec<Output>,
    /// The sum of the inputs.
    pub total_in: u64,
    /// The sum of the outputs.
    pub total_out: u64,
    /// What of the inputs is the group's.
    pub from_group: u64,
    /// What of the outputs returns to the group.
    pub to_group: u64,
    /// What is left to whoever mines it.
    pub fee: u64,
    /// How many bytes it has when it is signed, on Bitcoin virtual bytes (BIP141), where inputs of Taproot and of key
    /// hashes are signed by their keys.
    pub size: u64,
    /// The fee in satoshi per byte, on Bitcoin per virtual byte, rounded down to three decimals.
    pub fee_rate: String,
    /// Before when it is not valid; nothing if it is valid at once.
    pub lock_time: Option<LockTime>,
}

/// Inputs that are signed in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedInputs {
    /// Their places in the transaction, from 0.
    pub inputs: Vec<u32>,
    /// How the outputs that they spend are spent.
    pub path: Path,
    /// What the signatures cover.
    pub sighash: Sighash,
}

/// How an output is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// By the session's key. The output has been checked to be the session's own.
    Key,
    /// By a script that the node has not seen.
    Script,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key path",
            Self::Script => "script path",
        })
    }
}

/// What a signature covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighash {
    /// The byte behind the signature; on Bitcoin 0 stands for none.
    pub byte: u8,
    /// Its name, such as `ALL`, Bitcoin's `DEFAULT` or `NONE|ANYONECANPAY`.
    pub name: String,
    /// In words, what can still change after the signature, and so how the money could move otherwise.
    pub leaves_open: String,
}

/// An output that is spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Which output: id of the transaction, colon, its place there.
    pub outpoint: String,
    /// Its value.
    pub value: u64,
    /// Its address, if it has one.
    pub address: Option<String>,
    /// Its script, in hexadecimal.
    pub script: String,
    /// Whether it is the session's own.
    pub is_group: bool,
    /// The input's sequence, which may hold a relative lock.
    pub sequence: u32,
}

/// An output that is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its value.
    pub value: u64,
    /// Its address, if it has one.
    pub address: Option<String>,
    /// Its script, in hexadecimal.
    pub script: String,
    /// What is written behind OP_RETURN, as text that is harmless to show, if it is text.
    pub text: Option<String>,
    /// Whose it is.
    pub to: Recipient,
    /// Whether each of the signatures covers it. One that is not covered can be replaced by any other.
    pub is_covered: bool,
}

/// Whose an output is, as far as a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipient {
    /// The group's: it is spent with the key that the session signs under.
    Group,
    /// One signer's alone: the address is that of its key, with or without the Taproot tweak. A signer has other
    /// addresses, which look like everybody's.
    Signer(PublicKey),
    /// Whoever holds the address.
    Other,
    /// Nobody's: it carries data, and its value is lost.
    Nobody,
}

/// Before when a transaction is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockTime {
    /// What it counts.
    pub unit: LockUnit,
    /// The height of a block, or seconds since 1970.
    pub value: u32,
    /// Whether it counts: it does not when every input is final.
    pub effective: bool,
}

/// What a lock time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockUnit {
    /// Blocks.
    Height,
    /// Seconds since 1970.
    Time,
}

impl Output {
    /// To whom it goes, in words: the address, or what there is instead, and whose it is.
    pub fn recipient(&self) -> String {
        let place = match (&self.address, self.to, &self.text) {
            (Some(address), ..) => address.clone(),
            (None, Recipient::Nobody, Some(text)) => format!("nobody, with the text {text}"),
            (None, Recipient::Nobody, None) => format!("nobody, with the data {}", self.script),
            (None, ..) => format!("script {}", self.script),
        };
        match self.to {
            Recipient::Group => place + " (the group)",
            Recipient::Signer(key) => format!("{place} (the signer {key} alone)"),
            Recipient::Other | Recipient::Nobody => place,
        }
    }
}

impl TransactionSummary {
    pub(super) fn of(
        definition: &Definition,
        spending: &Spending,
        challenge_keys: &[PublicKey],
    ) -> Result<Self, DefinitionError> {
        let Definition { suite, network, .. } = *definition;
        let parsed = spending.parse(suite).map_err(DefinitionError::Spending)?;
        let (transaction, spent) = (&parsed.transaction, &parsed.spent[..]);
        let total = |outputs: &[TxOutput]| {
            let sum = outputs.iter().try_fold(0u64, |sum, output| sum.checked_add(output.value));
            sum.ok_or(DefinitionError::Spending(SpendingError::Sighash(SighashError::AmountOverflow)))
        };
        let signed = signed_inputs(definition, &parsed, challenge_keys)?;
        let (total_in, total_out) = (total(spent)?, total(&transaction.outputs)?);
        let overspent = SpendingError::Overspent { inputs: total_in, outputs: total_out };
        let fee = total_in.checked_sub(total_out).ok_or(DefinitionError::Spending(overspent))?;
        let own: BTreeSet<PublicKey> = challenge_keys.iter().map(|key| comparable(suite, key)).collect();
        let is_group = |script: &[u8]| output_key(suite, script).is_some_and(|key| own.contains(&key));
        let of_group = |outputs: &[TxOutput]| {
            let own = outputs.iter().filter(|output| is_group(&output.script_pubkey));
            own.map(|output| output.value).sum()
        };
        let size = signed_size(suite, transaction, spent, &signed);
        Ok(Self {
            suite,
            txid: transaction.txid(suite).to_string(),
            inputs: inputs(transaction, spent, (suite, network), &is_group),
            from_group: of_group(spent),
            to_group: of_group(&transaction.outputs),
            outputs: outputs(transaction, definition, &is_group, |place| {
                signed.iter().all(|signed| signed.covers(place))
            }),
            signed,
            total_in,
            total_out,
            fee,
            size,
            fee_rate: rate(fee, size),
            lock_time: lock_time(transaction),
        })
    }

    pub(super) fn unusual(&self) -> BTreeSet<Unusual> {
        let pays_signer = self.outputs.iter().any(|output| matches!(output.to, Recipient::Signer(_)));
        let covers = |outputs: Outputs| self.signed.iter().any(|signed| signed.sighash.outputs() == outputs);
        let found = [
            (Unusual::SighashNone, covers(Outputs::None)),
            (Unusual::SighashSingle, covers(Outputs::Single)),
            (Unusual::AnyoneCanPay, self.signed.iter().any(|signed| signed.sighash.anyone_can_pay())),
            (Unusual::ScriptPath, self.signed.iter().any(|signed| signed.path == Path::Script)),
            (Unusual::PaysSigner, pays_signer),
        ];
        found.into_iter().filter(|(_, is_so)| *is_so).map(|(unusual, _)| unusual).collect()
    }

    /// What [`size`](Self::size) counts.
    pub const fn unit(&self) -> &'static str {
        match self.suite {
            Suite::Lotus => "byte",
            Suite::Bip340 => "virtual byte",
        }
    }

    /// A fee that nobody pays on purpose.
    pub(super) fn warning(&self) -> Option<String> {
        let is_high = u128::from(self.fee) * 10 > u128::from(self.total_in);
        let (fee, total) = (Satoshi(self.fee), Satoshi(self.total_in));
        is_high.then(|| format!("the fee is {fee} of {total} satoshi, more than a tenth of what is spent"))
    }
}

/// The inputs that are signed, by the way in which they are. Each that is spent by key is checked to be the session's
/// own.
fn signed_inputs(
    definition: &Definition,
    parsed: &ParsedSpending,
    challenge_keys: &[PublicKey],
) -> Result<Vec<SignedInputs>, DefinitionError> {
    let digests = parsed.digests().map_err(DefinitionError::Spending)?;
    let mut by_way = BTreeMap::<(bool, u8), Vec<u32>>::new();
    for (item, own) in definition.items.iter().zip(challenge_keys) {
        let Subject::Input(signed) = item.subject else { return Err(DefinitionError::MixedItems) };
        digests.of(signed).map_err(DefinitionError::Spending)?;
        let SignedInput { input, sighash_type, path } = signed;
        // There is a digest, and so there is an input.
        let script = &parsed.spent[input as usize].script_pubkey;
        let suite = definition.suite;
        if path == SpendPath::Key && output_key(suite, script) != Some(comparable(suite, own)) {
            let fits = fitting_tweak(definition, script);
            return Err(DefinitionError::Spending(SpendingError::ForeignOutput { input, suite, own: *own, fits }));
        }
        by_way.entry((path != SpendPath::Key, sighash_type)).or_default().push(input);
    }
    let group = |((is_script, byte), inputs): ((bool, u8), Vec<u32>)| {
        let path = if is_script { Path::Script } else { Path::Key };
        SignedInputs { sighash: Sighash::of(byte, &inputs), inputs, path }
    };
    Ok(by_way.into_iter().map(group).collect())
}

impl SignedInputs {
    /// Whether all of these signatures cover the output at this place.
    fn covers(&self, place: usize) -> bool {
        match self.sighash.outputs() {
            Outputs::All => true,
            Outputs::Single => self.inputs.iter().all(|input| usize::try_from(*input) == Ok(place)),
            Outputs::None => false,
        }
    }
}

impl Sighash {
    /// Of a byte for which the ledger has a digest.
    fn of(byte: u8, signed: &[u32]) -> Self {
        let mut sighash = Self { byte, name: String::new(), leaves_open: String::new() };
        let (name, outputs) = match (sighash.outputs(), signed) {
            (Outputs::All, _) if byte == bitcoin::SighashType::DEFAULT.to_byte() => ("DEFAULT", String::new()),
            (Outputs::All, _) => ("ALL", String::new()),
            (Outputs::None, _) => ("NONE", "all outputs: anyone can send the money anywhere".to_string()),
            (Outputs::Single, [input]) => {
                ("SINGLE", format!("all outputs but output {input}: anyone can send the rest of the money anywhere"))
            }
            (Outputs::Single, _) => {
                let covered = "for each of these inputs all outputs but the one at its place";
                ("SINGLE", format!("{covered}: anyone can send the rest of the money anywhere"))
            }
        };
        let is_shared = sighash.anyone_can_pay();
        let inputs = if is_shared { "the other inputs: anyone can add or replace them" } else { "" };
        sighash.leaves_open = match (outputs.as_str(), inputs) {
            ("", "") => "nothing: exactly these inputs and these outputs".to_string(),
            (outputs, "") => outputs.to_string(),
            ("", inputs) => inputs.to_string(),
            (outputs, inputs) => format!("{outputs}; {inputs}"),
        };
        sighash.name = if is_shared { format!("{name}|ANYONECANPAY") } else { name.to_string() };
        sighash
    }

    /// Which outputs it covers, and whether its own input only. No byte is a type of both ledgers; what is none covers
    /// nothing.
    fn covers(&self) -> (Outputs, bool) {
        let of_lotus = lotus::SighashType::from_byte(self.byte).map(|kind| (kind.outputs(), kind.anyone_can_pay()));
        let of_bitcoin = bitcoin::SighashType::from_byte(self.byte).map(|kind| (kind.outputs(), kind.anyone_can_pay()));
        of_lotus.ok().or(of_bitcoin.ok()).unwrap_or((Outputs::None, true))
    }

    /// Which outputs it covers.
    fn outputs(&self) -> Outputs {
        self.covers().0
    }

    /// Whether it covers its own input only.
    fn anyone_can_pay(&self) -> bool {
        self.covers().1
    }

    /// Whether it leaves anything open.
    pub(super) fn is_open(&self) -> bool {
        self.anyone_can_pay() || self.outputs() != Outputs::All
    }
}

/// The key that spends a Taproot output, [comparable]; the state that one of Lotus may have does not matter to that.
pub(super) fn output_key(suite: Suite, script: &[u8]) -> Option<PublicKey> {
    match suite {
        Suite::Lotus => lotus::TaprootOutput::from_script_pubkey(script).map(|output| output.commitment),
        Suite::Bip340 => {
            let key = even(script.last_chunk()?)?;
            (bitcoin::taproot_script(&key)[..] == *script).then_some(key)
        }
    }
}

/// The form in which keys of outputs are compared: Bitcoin's outputs have x alone, which stands for an even y.
fn comparable(suite: Suite, key: &PublicKey) -> PublicKey {
    match suite {
        Suite::Lotus => *key,
        Suite::Bip340 => even(&key.x_only()).unwrap_or(*key),
    }
}

fn even(x: &[u8; 32]) -> Option<PublicKey> {
    let mut bytes = [2; 33];
    bytes[1..].copy_from_slice(x);
    PublicKey::from_bytes(bytes).ok()
}

/// The tweak with which the definition's keys would own the output, for whoever has chosen the other one.
fn fitting_tweak(definition: &Definition, script: &[u8]) -> Option<Tweak> {
    let Definition { suite, keys, .. } = definition;
    let keys = KeyAggContext::new(*suite, keys).ok()?;
    let spent = output_key(*suite, script)?;
    let fits = |tweak: &Tweak| {
        keys.clone().with_tweak(tweak).is_ok_and(|keys| spent == comparable(*suite, &keys.challenge_key()))
    };
    [Tweak::None, Tweak::Taproot { merkle_root: None }].into_iter().find(fits)
}

fn inputs(
    transaction: &Transaction,
    spent: &[TxOutput],
    ledger: (Suite, Network),
    is_group: &impl Fn(&[u8]) -> bool,
) -> Vec<Input> {
    let shown = |(input, spent): (&TxInput, &TxOutput)| Input {
        outpoint: format!("{}:{}", input.outpoint.txid, input.outpoint.index),
        value: spent.value,
        address: address(ledger, &spent.script_pubkey),
        script: hex(&spent.script_pubkey),
        is_group: is_group(&spent.script_pubkey),
        sequence: input.sequence,
    };
    transaction.inputs.iter().zip(spent).map(shown).collect()
}

fn outputs(
    transaction: &Transaction,
    definition: &Definition,
    is_group: &impl Fn(&[u8]) -> bool,
    is_covered: impl Fn(usize) -> bool,
) -> Vec<Output> {
    let Definition { suite, network, ref keys, .. } = *definition;
    let mut signers = None;
    let shown = |(place, output): (usize, &TxOutput)| {
        let script = output.script_pubkey.as_slice();
        let to = match (script.first(), output_key(suite, script)) {
            (Some(&OP_RETURN), _) => Recipient::Nobody,
            _ if is_group(script) => Recipient::Group,
            (_, Some(key)) => {
                let signers = signers.get_or_insert_with(|| signers_outputs(suite, keys));
                let signer = signers.iter().find(|(own, _)| *own == key);
                signer.map_or(Recipient::Other, |(_, signer)| Recipient::Signer(*signer))
            }
            _ => Recipient::Other,
        };
        Output {
            value: output.value,
            address: address((suite, network), script),
            script: hex(script),
            text: text(script),
            to,
            is_covered: is_covered(place),
        }
    };
    transaction.outputs.iter().enumerate().map(shown).collect()
}

/// The output keys of each signer alone, and whose they are: its key as it is, and with the tweak of wallets.
fn signers_outputs(suite: Suite, keys: &[PublicKey]) -> Vec<(PublicKey, PublicKey)> {
    let outputs = |key: &PublicKey| [Some(*key), taproot::output_key(suite, key, None).ok()];
    let of = |key: &PublicKey| outputs(key).map(|output| output.map(|output| (comparable(suite, &output), *key)));
    keys.iter().flat_map(of).flatten().collect()
}

fn address((suite, network): (Suite, Network), script: &[u8]) -> Option<String> {
    match suite {
        Suite::Lotus => {
            let address = lotus::Address::from_script_pubkey(network, script)?;
            // An address of what is no point could not be read back.
            address.to_string().parse::<lotus::Address>().is_ok().then(|| address.to_string())
        }
        Suite::Bip340 => bitcoin::Address::from_script_pubkey(network, script).map(|address| address.to_string()),
    }
}

/// The text that an output carries for everyone to read: what is pushed behind OP_RETURN.
fn text(script: &[u8]) -> Option<String> {
    let mut rest = script.strip_prefix(&[OP_RETURN])?;
    let mut bytes = Vec::new();
    while let Some((&code, behind)) = rest.split_first() {
        let (length, behind) = match code {
            1..=75 => (usize::from(code), behind),
            0x4c => behind.split_first().map(|(length, behind)| (usize::from(*length), behind))?,
            0x4d => {
                behind.split_first_chunk().map(|(length, behind)| (usize::from(u16::from_le_bytes(*length)), behind))?
            }
            _ => return None,
        };
        let (push, behind) = behind.split_at_checked(length)?;
        bytes.extend_from_slice(push);
        rest = behind;
    }
    let text = core::str::from_utf8(&bytes).ok().filter(|text| !text.is_empty())?;
    Some(Harmless(text).to_string())
}

/// Satoshi per byte, rounded down to three decimals.
fn rate(fee: u64, size: u64) -> String {
    let thousandths = u128::from(fee) * 1_000 / u128::from(size.max(1));
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

fn lock_time(transaction: &Transaction) -> Option<LockTime> {
    let value = transaction.lock_time;
    let unit = if value < FIRST_TIME { LockUnit::Height } else { LockUnit::Time };
    let effective = transaction.inputs.iter().any(|input| input.sequence != FINAL);
    (value > 0).then_some(LockTime { unit, value, effective })
}
