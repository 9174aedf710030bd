//! What the participants of a PSBT sign: for each of its MuSig2 inputs under which key, with which tweaks, which
//! digest.
//!
//! Owns how that follows from the fields. Invariant: a task's keys make the very key that spends the output, whether it
//! is the output's own or one in a script that the output commits to; where nothing fits there is no task.

use bitcoin::hashes::Hash;
use bitcoin::psbt::Input;
use nelumbo_crypto::bitcoin::{SighashCache, SighashType, Spend};
use nelumbo_crypto::transaction::{Transaction, TxOutput};
use nelumbo_crypto::{KeyAggContext, Network, PublicKey, Suite, Tweak, taproot};

use super::error::PsbtError;
use super::fields::{self, Participants, Slot};
use super::synthetic::SyntheticXpub;

/// The most participants of one key.
pub const MAX_PARTICIPANTS: usize = 128;
/// The most steps of all paths of an input below an aggregate key.
const MAX_STEPS: usize = 1_024;

/// One thing that all participants of a key sign.
#[derive(Clone, Debug)]
pub struct Task {
    /// Which input.
    pub input: usize,
    /// The participants, and what they sign under: [`challenge_key`](KeyAggContext::challenge_key) is the key by which
    /// the PSBT names nonces and partial signatures.
    pub keys: KeyAggContext,
    /// The hash of the script in which that key stands; none if the output is spent by its key.
    pub leaf: Option<[u8; 32]>,
    /// What the aggregate key is changed by, if a session of the network can say it: nothing does for a key that is
    /// derived.
    pub tweak: Option<Tweak>,
    /// What the signature covers.
    pub sighash_type: SighashType,
    /// What is signed.
    pub digest: [u8; 32],
}

impl Task {
    /// The field of a participant.
    pub(super) fn slot(&self, participant: PublicKey) -> Slot {
        Slot { participant, key: self.keys.challenge_key(), leaf: self.leaf }
    }

    /// How the output is spent.
    #[must_use]
    pub fn spend(&self) -> Spend {
        spend(self.leaf)
    }
}

fn spend(leaf: Option<[u8; 32]>) -> Spend {
    leaf.map_or(Spend::KeyPath, |executed_script_hash| Spend::Script {
        executed_script_hash,
        code_separator: Spend::NO_CODE_SEPARATOR,
    })
}

/// A key that can sign for an input.
struct Signing {
    keys: KeyAggContext,
    leaf: Option<[u8; 32]>,
    tweak: Option<Tweak>,
}

/// All tasks of a PSBT, in the order of its inputs.
pub(super) fn tasks(
    psbt: &bitcoin::Psbt,
    transaction: &Transaction,
    spent: &[TxOutput],
) -> Result<Vec<Task>, PsbtError> {
    let digest_error =
        |input, problem: &dyn std::fmt::Display| PsbtError::Digest { input, problem: problem.to_string() };
    let cache = SighashCache::new(transaction, spent).map_err(|error| digest_error(0, &error))?;
    let mut tasks = Vec::new();
    for (index, (input, output)) in psbt.inputs.iter().zip(spent).enumerate() {
        for participants in fields::participants(input) {
            let signing = signing(index, input, output, &participants)?;
            if signing.is_empty() {
                continue;
            }
            let byte = input.sighash_type.map_or(0, bitcoin::psbt::PsbtSighashType::to_u32);
            let sighash_type = u8::try_from(byte).ok().and_then(|byte| SighashType::from_byte(byte).ok());
            let sighash_type = sighash_type.ok_or_else(|| digest_error(index, &"its hash type is none of Taproot"))?;
            for Signing { keys, leaf, tweak } in signing {
                let digest = cache.sighash(index, sighash_type, spend(leaf));
                let digest = digest.map_err(|error| digest_error(index, &error))?;
                tasks.push(Task { input: index, keys, leaf, tweak, sighash_type, digest });
            }
        }
    }
    Ok(tasks)
}

/// With which of their keys these participants can spend an output.
fn signing(
    index: usize,
    input: &Input,
    output: &TxOutput,
    participants: &Participants,
) -> Result<Vec<Signing>, PsbtError> {
    let wrong = |problem: &str| PsbtError::Participants { input: index, problem: problem.to_owned() };
    let Participants { aggregate, keys } = participants;
    if keys.len() > MAX_PARTICIPANTS {
        return Err(wrong("there are more than 128 participants"));
    }
    let plain = KeyAggContext::new(Suite::Bip340, keys).map_err(|error| wrong(&error.to_string()))?;
    if plain.aggregate_key() != *aggregate {
        return Err(wrong("the aggregate key is not that of the participants"));
    }
    let Some(output_key) = taproot_key(&output.script_pubkey) else { return Ok(Vec::new()) };
    let candidates = candidates(index, input, plain)?;
    let merkle_root = input.tap_merkle_root.map(Hash::to_byte_array);
    for (keys, is_derived) in &candidates {
        if keys.challenge_key().x_only() == output_key {
            let tweak = (!is_derived).then_some(Tweak::None);
            return Ok(vec![Signing { keys: keys.clone(), leaf: None, tweak }]);
        }
        if input.tap_internal_key.is_some_and(|internal| internal.serialize() == keys.challenge_key().x_only()) {
            let tweak = Tweak::Taproot { merkle_root };
            let tweaked = keys.clone().with_tweak(&tweak).map_err(|error| wrong(&error.to_string()))?;
            if tweaked.challenge_key().x_only() != output_key {
                return Err(wrong("the output is not that of its internal key and its scripts"));
            }
            return Ok(vec![Signing { keys: tweaked, leaf: None, tweak: (!is_derived).then_some(tweak) }]);
        }
    }
    let mut signing = Vec::new();
    for (control, (script, version)) in &input.tap_scripts {
        let leaf = taproot::leaf_hash(version.to_consensus(), script.as_bytes());
        let path: Vec<[u8; 32]> = control.merkle_branch.iter().map(|hash| hash.to_byte_array()).collect();
        let root = taproot::merkle_root(leaf, &path);
        let committed = taproot::output_key(Suite::Bip340, &lift(control.internal_key.serialize()), Some(&root));
        let is_own = version.to_consensus() == taproot::LEAF_VERSION
            && committed.is_ok_and(|committed| committed.x_only() == output_key);
        for (keys, is_derived) in candidates.iter().filter(|_| is_own) {
            if checks(script.as_bytes(), &keys.challenge_key().x_only()) {
                let tweak = (!is_derived).then_some(Tweak::None);
                signing.push(Signing { keys: keys.clone(), leaf: Some(leaf), tweak });
            }
        }
    }
    Ok(signing)
}

/// The aggregate key, and those derived from it that the PSBT names; whether each is derived.
fn candidates(index: usize, input: &Input, plain: KeyAggContext) -> Result<Vec<(KeyAggContext, bool)>, PsbtError> {
    let wrong = |problem: String| PsbtError::Participants { input: index, problem };
    // Which network does not matter: nobody sees the key.
    let synthetic = SyntheticXpub::new(Network::Mainnet, &plain.aggregate_key());
    let synthetic = synthetic.map_err(|error| wrong(error.to_string()))?;
    let (mut candidates, mut steps) = (vec![(plain.clone(), false)], 0);
    for (key, (_, (fingerprint, path))) in &input.tap_key_origins {
        if fingerprint.to_bytes() != synthetic.fingerprint() || path.is_empty() {
            continue;
        }
        steps += path.len();
        if steps > MAX_STEPS {
            return Err(wrong("its keys are derived in more steps than a wallet takes".to_owned()));
        }
        let derived = synthetic.derive(plain.clone(), &path.to_u32_vec());
        let derived = derived.map_err(|error| wrong(error.to_string()))?;
        // The fingerprint has four bytes: another key may share it.
        if derived.challenge_key().x_only() == key.serialize() {
            candidates.push((derived, true));
        }
    }
    Ok(candidates)
}

/// Whether a script pushes a key of 32 bytes for `OP_CHECKSIG`, `OP_CHECKSIGVERIFY` or `OP_CHECKSIGADD` (BIP342).
fn checks(script: &[u8], key: &[u8; 32]) -> bool {
    let is_check = |window: &[u8]| window[0] == 32 && window[1..33] == *key && matches!(window[33], 0xac | 0xad | 0xba);
    script.windows(34).any(is_check)
}

/// The output key in a script of Taproot.
pub(super) fn taproot_key(script: &[u8]) -> Option<[u8; 32]> {
    script.strip_prefix(&[0x51, 0x20])?.try_into().ok()
}

/// The point with this x and an even y (BIP340, lift_x); whether there is one shows where it is used.
pub(super) fn lift(x: [u8; 32]) -> PublicKey {
    PublicKey::from_slice(&[&[2][..], &x].concat()).expect("33 bytes that begin with 2")
}
