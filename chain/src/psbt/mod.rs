//! Bitcoin through PSBTs: MuSig2 in them (BIP373), keys derived from an aggregate key (BIP328), and descriptors with
//! `musig()` (BIP390).
//!
//! A [`Psbt`] goes round as a file. Whoever can sign finds its [`Task`]s, draws a nonce for each and adds it; when all
//! nonces are there it adds its partial signatures; when all of these are there [`Psbt::complete`] makes the signature
//! and [`Psbt::finalize`] the transaction. Secrets are with the signers and never here.
//!
//! Owns what a PSBT may say and how two of them become one. Invariants: what BIP373 forbids is refused when it is read;
//! a value that is there is never replaced by another; a signature that does not verify is not added, and an output is
//! given to be spent only when the PSBT says which. It is a pure function of its input. Wallets and nodes drive it.

mod descriptor;
mod error;
mod fields;
mod raw;
mod synthetic;
mod task;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bitcoin::psbt::Input;
use bitcoin::{Amount, ScriptBuf, TxOut, Witness, XOnlyPublicKey, consensus};
use nelumbo_crypto::bitcoin::{SighashCache, SighashType, key_path_witness, taproot_script};
use nelumbo_crypto::transaction::{Transaction, TxOutput, Txid};
use nelumbo_crypto::{
    KeyAggContext, PartialSignature, PublicKey, PublicNonce, Signature, SigningContext, Suite, Tweak, combine,
    culprits, schnorr, taproot,
};

pub use descriptor::{Aggregate, Descriptor, DescriptorError, Expansion, with_checksum};
pub use error::{Place, PsbtError};
pub use synthetic::{DerivationError, SyntheticXpub};
pub use task::{MAX_PARTICIPANTS, Task};

use fields::{IN_NONCE, IN_PARTIAL, IN_PARTICIPANTS, OUT_PARTICIPANTS, Participants};
use task::{lift, taproot_key};

/// The most bytes of a PSBT that is read.
pub const MAX_BYTES: usize = 256 * 1024;

const MAGIC: &[u8] = b"psbt\xff";
/// OP_CHECKSIG.
const CHECKSIG: u8 = 0xac;

/// A PSBT of version 0 (BIP174, BIP371) whose MuSig2 fields (BIP373) are sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Psbt {
    inner: bitcoin::Psbt,
    /// The unsigned transaction.
    transaction: Transaction,
}

/// A transaction that can be broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Final {
    /// Its id.
    pub txid: Txid,
    /// As nodes take it, with its witnesses.
    pub bytes: Vec<u8>,
}

impl Psbt {
    /// For a transaction that spends these outputs, none of them in need of a script that the PSBT would have to show.
    ///
    /// # Errors
    ///
    /// [`PsbtError::Encoding`] where inputs have scripts or there is not one output for each.
    pub fn new(transaction: &Transaction, spent: &[TxOutput]) -> Result<Self, PsbtError> {
        let encoding = |error: &dyn std::fmt::Display| PsbtError::Encoding(error.to_string());
        let unsigned = consensus::deserialize(&transaction.to_bytes()).map_err(|error| encoding(&error))?;
        let mut inner = bitcoin::Psbt::from_unsigned_tx(unsigned).map_err(|error| encoding(&error))?;
        if inner.inputs.len() != spent.len() {
            return Err(encoding(&"there is not one spent output for each input"));
        }
        for (input, output) in inner.inputs.iter_mut().zip(spent) {
            let (value, script_pubkey) = (Amount::from_sat(output.value), output.script_pubkey.clone().into());
            input.witness_utxo = Some(TxOut { value, script_pubkey });
        }
        Ok(Self { inner, transaction: transaction.clone() })
    }

    /// Reads one as it is in a file: binary, in base64 or in hexadecimal.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes).
    pub fn read(file: &[u8]) -> Result<Self, PsbtError> {
        if file.starts_with(MAGIC) {
            return Self::from_bytes(file);
        }
        // Of what base64 and hexadecimal write, the larger.
        if file.len() > 2 * MAX_BYTES + 2 {
            return Err(PsbtError::Size(file.len() / 2));
        }
        let text = std::str::from_utf8(file).map_err(|_| PsbtError::Encoding("it is not text".to_owned()))?.trim();
        let bytes = match hex::decode(text) {
            Ok(bytes) => bytes,
            Err(_) => STANDARD
                .decode(text)
                .map_err(|_| PsbtError::Encoding("it is neither binary nor base64 nor hexadecimal".to_owned()))?,
        };
        Self::from_bytes(&bytes)
    }

    /// Reads one from its bytes.
    ///
    /// # Errors
    ///
    /// [`PsbtError::Size`], [`PsbtError::Encoding`] and [`PsbtError::Field`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PsbtError> {
        if bytes.len() > MAX_BYTES {
            return Err(PsbtError::Size(bytes.len()));
        }
        let encoding = |error: &dyn std::fmt::Display| PsbtError::Encoding(error.to_string());
        let inner = bitcoin::Psbt::deserialize(bytes).map_err(|error| encoding(&error))?;
        if inner.version != 0 {
            return Err(encoding(&"it has another version"));
        }
        fields::check(&inner)?;
        let transaction = Transaction::parse(&consensus::serialize(&inner.unsigned_tx));
        Ok(Self { transaction: transaction.map_err(|error| encoding(&error))?, inner })
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.inner.serialize()
    }

    /// In base64, as wallets hand it on.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.to_bytes())
    }

    /// The transaction that is to be signed.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The outputs that it spends, in the order of its inputs.
    ///
    /// # Errors
    ///
    /// [`PsbtError::NoSpentOutput`] for an input where it is missing, or where a whole transaction is given that is not
    /// the one that is spent or says something else.
    pub fn spent(&self) -> Result<Vec<TxOutput>, PsbtError> {
        let inputs = self.inner.inputs.iter().zip(&self.inner.unsigned_tx.input).enumerate();
        let output = |(index, (input, spending)): (usize, (&Input, &bitcoin::TxIn))| {
            let missing = PsbtError::NoSpentOutput(index);
            let (outpoint, mut found) = (spending.previous_output, input.witness_utxo.as_ref());
            if let Some(transaction) = &input.non_witness_utxo {
                let whole = usize::try_from(outpoint.vout).ok().and_then(|vout| transaction.output.get(vout));
                let fits = transaction.compute_txid() == outpoint.txid && found.is_none_or(|one| Some(one) == whole);
                found = whole.filter(|_| fits);
            }
            let TxOut { value, script_pubkey } = found.ok_or(missing)?;
            Ok(TxOutput { value: value.to_sat(), script_pubkey: script_pubkey.to_bytes() })
        };
        inputs.map(output).collect()
    }

    /// Takes over what another PSBT of the same transaction says.
    ///
    /// # Errors
    ///
    /// [`PsbtError::OtherTransaction`]; [`PsbtError::Conflict`] when both say something different of one thing, and
    /// then nothing is taken over.
    pub fn combine(&mut self, other: Self) -> Result<(), PsbtError> {
        if self.inner.unsigned_tx != other.inner.unsigned_tx {
            return Err(PsbtError::OtherTransaction);
        }
        raw::check_conflicts(&self.to_bytes(), &other.to_bytes(), self.inner.inputs.len())?;
        let encoding = |error: bitcoin::psbt::Error| PsbtError::Encoding(error.to_string());
        self.inner.combine(other.inner).map_err(encoding)
    }

    /// Says of the outputs of a group, those that are spent and those that are made, whose they are: the keys, in the
    /// order in which they are aggregated, the internal key, and the root of the script tree, if there is one. Returns
    /// how many of the inputs are the group's.
    ///
    /// # Errors
    ///
    /// [`PsbtError::Participants`], [`PsbtError::NoSpentOutput`] and [`PsbtError::Conflict`].
    pub fn add_group(&mut self, keys: &[PublicKey], merkle_root: Option<[u8; 32]>) -> Result<usize, PsbtError> {
        let wrong =
            |error: nelumbo_crypto::KeyAggError| PsbtError::Participants { input: 0, problem: error.to_string() };
        let plain = KeyAggContext::new(Suite::Bip340, keys).map_err(wrong)?;
        let aggregate = plain.aggregate_key();
        let tweaked = plain.with_tweak(&Tweak::Taproot { merkle_root }).map_err(wrong)?;
        let script = taproot_script(&tweaked.challenge_key());
        let participants = Participants { aggregate, keys: keys.to_vec() };
        let internal = XOnlyPublicKey::from_slice(&aggregate.x_only()).expect("an aggregate is on the curve");
        let root = merkle_root.map(bitcoin::hashes::Hash::from_byte_array);
        let conflict = |place, what: &str| PsbtError::Conflict { place, what: what.to_owned() };
        let (mut count, spent) = (0, self.spent()?);
        for (index, (input, spent)) in self.inner.inputs.iter_mut().zip(spent).enumerate() {
            if spent.script_pubkey != script {
                continue;
            }
            let place = Place::Input(index);
            let is_other = input.tap_internal_key.is_some_and(|known| known != internal)
                || input.tap_merkle_root.is_some_and(|known| Some(known) != root);
            if is_other {
                return Err(conflict(place, "the internal key or the script tree"));
            }
            (input.tap_internal_key, input.tap_merkle_root) = (Some(internal), root);
            let (key, value) = participants.write(IN_PARTICIPANTS);
            insert(&mut input.unknown, key, value).map_err(|()| conflict(place, "the list of participants"))?;
            count += 1;
        }
        for (index, output) in self.inner.outputs.iter_mut().enumerate() {
            if self.transaction.outputs[index].script_pubkey != script {
                continue;
            }
            let place = Place::Output(index);
            if output.tap_internal_key.is_some_and(|known| known != internal) {
                return Err(conflict(place, "the internal key"));
            }
            output.tap_internal_key = Some(internal);
            let (key, value) = participants.write(OUT_PARTICIPANTS);
            insert(&mut output.unknown, key, value).map_err(|()| conflict(place, "the list of participants"))?;
        }
        Ok(count)
    }

    /// What is to be signed with MuSig2, in the order of the inputs.
    ///
    /// # Errors
    ///
    /// [`PsbtError::NoSpentOutput`], [`PsbtError::Participants`] and [`PsbtError::Digest`].
    pub fn tasks(&self) -> Result<Vec<Task>, PsbtError> {
        task::tasks(&self.inner, &self.transaction, &self.spent()?)
    }

    /// The participants' nonces for a task, in the order of its keys.
    #[must_use]
    pub fn nonces(&self, task: &Task) -> Vec<Option<PublicNonce>> {
        self.values(task, IN_NONCE).map(|value| value.map(PublicNonce::from_bytes)).collect()
    }

    /// The participants' partial signatures for a task, in the order of its keys.
    #[must_use]
    pub fn partials(&self, task: &Task) -> Vec<Option<PartialSignature>> {
        self.values(task, IN_PARTIAL).map(|value| value.map(PartialSignature::from_bytes)).collect()
    }

    fn values<const N: usize>(&self, task: &Task, field: u8) -> impl Iterator<Item = Option<[u8; N]>> {
        let fields = &self.inner.inputs[task.input].unknown;
        let keys = task.keys.keys().iter();
        keys.map(move |key| fields.get(&task.slot(*key).write(field))?.as_slice().try_into().ok())
    }

    /// Adds a participant's nonce.
    ///
    /// # Errors
    ///
    /// [`PsbtError::NotAParticipant`]; [`PsbtError::Conflict`] if there is another one.
    pub fn add_nonce(&mut self, task: &Task, participant: PublicKey, nonce: &PublicNonce) -> Result<(), PsbtError> {
        self.add(task, participant, IN_NONCE, nonce.as_bytes())
    }

    /// Adds a participant's partial signature.
    ///
    /// # Errors
    ///
    /// As [`add_nonce`](Self::add_nonce).
    pub fn add_partial(
        &mut self,
        task: &Task,
        participant: PublicKey,
        partial: &PartialSignature,
    ) -> Result<(), PsbtError> {
        self.add(task, participant, IN_PARTIAL, partial.as_bytes())
    }

    fn add(&mut self, task: &Task, participant: PublicKey, field: u8, value: &[u8]) -> Result<(), PsbtError> {
        task.keys.index_of(&participant).ok_or(PsbtError::NotAParticipant(participant))?;
        let key = task.slot(participant).write(field);
        let what = if field == IN_NONCE { "nonce" } else { "partial signature" };
        let conflict =
            |()| PsbtError::Conflict { place: Place::Input(task.input), what: format!("the {what} of {participant}") };
        insert(&mut self.inner.inputs[task.input].unknown, key, value.to_vec()).map_err(conflict)
    }

    /// Removes what all participants have given for a task, so that they can begin anew: a nonce that has signed never
    /// signs again.
    pub fn begin_anew(&mut self, task: &Task) {
        let slots = task.keys.keys().iter().map(|key| task.slot(*key));
        let fields = &mut self.inner.inputs[task.input].unknown;
        for key in slots.flat_map(|slot| [slot.write(IN_NONCE), slot.write(IN_PARTIAL)]) {
            fields.remove(&key);
        }
    }

    /// The signing round of a task, once all nonces are there.
    ///
    /// # Errors
    ///
    /// [`PsbtError::Culprits`] for nonces that are no points.
    pub fn round(&self, task: &Task) -> Result<Option<SigningContext>, PsbtError> {
        let Some(nonces) = self.nonces(task).into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let culprit = |error: nelumbo_crypto::NonceError| {
            let signers = error.culprit().map(|signer| task.keys.keys()[signer]).into_iter().collect();
            PsbtError::Culprits { input: task.input, signers }
        };
        SigningContext::from_nonces(&task.keys, &nonces, &task.digest).map(Some).map_err(culprit)
    }

    /// The signature of a task, if it is there.
    #[must_use]
    pub fn signature(&self, task: &Task) -> Option<Signature> {
        let input = &self.inner.inputs[task.input];
        let found = match task.leaf {
            None => input.tap_key_sig?,
            Some(leaf) => *input.tap_script_sigs.get(&script_key(task, leaf))?,
        };
        Some(Signature::from_bytes(found.signature.serialize()))
    }

    /// Adds the signature of a task.
    ///
    /// # Errors
    ///
    /// [`PsbtError::Signature`] if it is not valid; [`PsbtError::Conflict`] if there is another one.
    pub fn add_signature(&mut self, task: &Task, signature: &Signature) -> Result<(), PsbtError> {
        let wrong = PsbtError::Signature(task.input);
        if !task.keys.verify(&task.digest, signature) {
            return Err(wrong);
        }
        if self.signature(task).is_some_and(|known| known != *signature) {
            let what = "the signature".to_owned();
            return Err(PsbtError::Conflict { place: Place::Input(task.input), what });
        }
        let encoded = bitcoin::taproot::Signature::from_slice(&key_path_witness(signature, task.sighash_type));
        let (encoded, input) = (encoded.map_err(|_| wrong)?, &mut self.inner.inputs[task.input]);
        match task.leaf {
            None => input.tap_key_sig = Some(encoded),
            Some(leaf) => drop(input.tap_script_sigs.insert(script_key(task, leaf), encoded)),
        }
        Ok(())
    }

    /// Makes the signature of a task of the partial signatures; whether it is there now.
    ///
    /// # Errors
    ///
    /// [`PsbtError::Culprits`] for partial signatures that are wrong.
    pub fn complete(&mut self, task: &Task) -> Result<bool, PsbtError> {
        if self.signature(task).is_some() {
            return Ok(true);
        }
        let partials: Option<Vec<_>> = self.partials(task).into_iter().collect();
        let (Some(partials), Some(round)) = (partials, self.round(task)?) else { return Ok(false) };
        let Ok(signature) = combine(&task.keys, &round, &partials) else {
            let nonces: Vec<_> = self.nonces(task).into_iter().flatten().collect();
            // It shortens nothing that an attacker could gain: each is looked at when one is wrong.
            let wrong = culprits(&task.keys, &round, &nonces, &partials, &task.digest);
            let signers = wrong.into_iter().map(|index| task.keys.keys()[index]).collect();
            return Err(PsbtError::Culprits { input: task.input, signers });
        };
        self.add_signature(task, &signature)?;
        Ok(true)
    }

    /// The transaction, when every input has what spends it. Signatures by Taproot keys are verified; what other inputs
    /// carry is taken as it is.
    ///
    /// # Errors
    ///
    /// [`PsbtError::Unsigned`], [`PsbtError::Signature`], [`PsbtError::Script`] and [`PsbtError::NoSpentOutput`].
    pub fn finalize(&self) -> Result<Final, PsbtError> {
        let spent = self.spent()?;
        let cache = SighashCache::new(&self.transaction, &spent);
        let cache = cache.map_err(|error| PsbtError::Digest { input: 0, problem: error.to_string() })?;
        let mut transaction = self.inner.unsigned_tx.clone();
        for (index, (input, output)) in self.inner.inputs.iter().zip(&spent).enumerate() {
            let script = input.final_script_sig.clone();
            let witness = match &input.final_script_witness {
                Some(witness) => Some(witness.clone()),
                None => witness(index, input, output, &cache)?,
            };
            if script.is_none() && witness.is_none() {
                return Err(PsbtError::Unsigned(index));
            }
            let spending = &mut transaction.input[index];
            (spending.script_sig, spending.witness) = (script.unwrap_or_default(), witness.unwrap_or_default());
        }
        let txid = Txid::from_bytes(bitcoin::hashes::Hash::to_byte_array(transaction.compute_txid()));
        Ok(Final { txid, bytes: consensus::serialize(&transaction) })
    }
}

/// What spends a Taproot output by the signatures that are there.
fn witness(
    index: usize,
    input: &Input,
    output: &TxOutput,
    cache: &SighashCache<'_>,
) -> Result<Option<Witness>, PsbtError> {
    let wrong = || PsbtError::Signature(index);
    if let Some(signature) = &input.tap_key_sig {
        let key = taproot_key(&output.script_pubkey).ok_or_else(wrong)?;
        let kind = SighashType::from_byte(signature.sighash_type as u8).map_err(|_| wrong())?;
        let digest = cache.sighash(index, kind, nelumbo_crypto::bitcoin::Spend::KeyPath).map_err(|_| wrong())?;
        let plain = Signature::from_bytes(signature.signature.serialize());
        if !schnorr::verify(Suite::Bip340, &lift(key), &digest, &plain) {
            return Err(wrong());
        }
        return Ok(Some(Witness::from_slice(&[signature.to_vec()])));
    }
    let Some(((key, leaf), signature)) = input.tap_script_sigs.iter().next() else { return Ok(None) };
    let single: ScriptBuf = [&[32][..], &key.serialize(), &[CHECKSIG]].concat().into();
    let hash = bitcoin::hashes::Hash::to_byte_array(*leaf);
    let control = input.tap_scripts.iter().find(|(_, (script, version))| {
        *script == single && taproot::leaf_hash(version.to_consensus(), script.as_bytes()) == hash
    });
    let (control, _) = control.ok_or(PsbtError::Script(index))?;
    let elements = [signature.to_vec(), single.into_bytes(), control.serialize()];
    Ok(Some(Witness::from_slice(&elements)))
}

fn script_key(task: &Task, leaf: [u8; 32]) -> (XOnlyPublicKey, bitcoin::TapLeafHash) {
    let key = XOnlyPublicKey::from_slice(&task.keys.challenge_key().x_only()).expect("an aggregate is on the curve");
    (key, bitcoin::hashes::Hash::from_byte_array(leaf))
}

/// Adds a value where there is none, or the same.
fn insert<K: Ord>(map: &mut std::collections::BTreeMap<K, Vec<u8>>, key: K, value: Vec<u8>) -> Result<(), ()> {
    if *map.entry(key).or_insert_with(|| value.clone()) == value { Ok(()) } else { Err(()) }
}
