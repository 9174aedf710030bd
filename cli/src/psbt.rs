//! PSBTs as files, and what signing one does.
//!
//! Owns how they are read and written, and how one becomes what a session signs and what a person is shown. Invariant:
//! what is shown is computed from the bytes that are signed. The commands about PSBTs and the node drive it.
#![cfg_attr(not(unix), allow(dead_code, reason = "nodes and their commands are for Unix"))]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use nelumbo_chain::psbt::{MAX_BYTES, Psbt, PsbtError, Task};
use nelumbo_core::approval::Summary;
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::transaction::Spend;
use nelumbo_core::crypto::{Network, PublicKey, Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{Definition, Details, Item, SignedInput, SpendPath, Spending, Spent};

use crate::failure::Failure;
use crate::spending::{Script, SpendingFile, SpentOutput};

/// Reads PSBTs of one transaction, and makes one of them.
pub(crate) fn read(files: &[PathBuf]) -> Result<Psbt, Failure> {
    let mut all: Option<Psbt> = None;
    for path in files {
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::input(
                format_args!("cannot read a PSBT from {}: {error}", path.display()),
                "give a file in base64, hexadecimal or binary, as wallets and `nelumbo psbt` write it",
            )
        };
        let mut content = Vec::new();
        // Of one byte more than there may be, so that it is seen.
        let file = File::open(path).map_err(|error| cannot(&error))?;
        file.take(3 * MAX_BYTES as u64).read_to_end(&mut content).map_err(|error| cannot(&error))?;
        let psbt = Psbt::read(&content).map_err(|error| cannot(&error))?;
        match &mut all {
            None => all = Some(psbt),
            Some(all) => all.combine(psbt).map_err(|error| failure(&error))?,
        }
    }
    all.ok_or_else(|| Failure::input("no PSBT is given", "name its file"))
}

/// Writes a PSBT in base64, over what is there.
pub(crate) fn write(path: &Path, psbt: &str) -> Result<(), Failure> {
    fs::write(path, format!("{psbt}\n")).map_err(|error| {
        Failure::input(
            format_args!("cannot write {}: {error}", path.display()),
            "give --out a file that can be written",
        )
    })
}

/// What to do about a PSBT that is refused.
pub(crate) fn remedy(error: &PsbtError) -> &'static str {
    match error {
        PsbtError::Conflict { .. } => {
            "ask who changed it and why; a signer that has lost its nonces begins anew with all others: \
             `nelumbo psbt export --anew`"
        }
        PsbtError::OtherTransaction => "give the files of one transaction",
        PsbtError::NoSpentOutput(_) => "have the wallet add what is spent (witness UTXO)",
        PsbtError::Culprits { .. } => "ask them for a new PSBT, and begin anew with `nelumbo psbt export --anew`",
        PsbtError::Unsigned(_) => "gather what the other signers have added: `nelumbo psbt import`",
        _ => "have the wallet make it anew",
    }
}

/// The failure of a PSBT that is refused.
pub(crate) fn failure(error: &PsbtError) -> Failure {
    match error {
        PsbtError::Unsigned(_) | PsbtError::Culprits { .. } | PsbtError::Conflict { .. } => {
            Failure::unmet(error, remedy(error))
        }
        _ => Failure::input(error, remedy(error)),
    }
}

/// What of a PSBT the holder of this key signs.
pub(crate) fn tasks_of(psbt: &Psbt, own: &PublicKey) -> Result<Vec<Task>, PsbtError> {
    Ok(psbt.tasks()?.into_iter().filter(|task| task.keys.index_of(own).is_some()).collect())
}

fn path(task: &Task) -> SpendPath {
    match task.spend() {
        Spend::Script { executed_script_hash, code_separator } => {
            SpendPath::Script { executed_script_hash, code_separator }
        }
        Spend::KeyPath => SpendPath::Key,
    }
}

/// What signing these tasks does: the same account as of a session of the network.
pub(crate) fn summary(psbt: &Psbt, tasks: &[Task], network: Network) -> Result<Summary, String> {
    let spent = psbt.spent().map_err(|error| error.to_string())?;
    let spent = spent.into_iter().map(|output| Spent { value: output.value, script: output.script_pubkey });
    let transaction = psbt.transaction().to_bytes();
    let spending = Spending { transaction, spent: spent.collect(), replay_protection: false };
    let signed = |task: &Task| {
        let input = u32::try_from(task.input).expect("a PSBT has fewer inputs");
        Item::input(SignedInput { input, sighash_type: task.sighash_type.to_byte(), path: path(task) }, Tweak::None)
    };
    // All who sign, for who is paid without the others.
    let mut keys: Vec<PublicKey> = tasks.iter().flat_map(|task| task.keys.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    // A session in everything that a summary looks at.
    let session = Definition {
        network,
        suite: Suite::Bip340,
        keys,
        items: tasks.iter().map(signed).collect(),
        details: Details { spending: Some(Box::new(spending)), ..Details::default() },
        is_listed: false,
        election: Method::Lexicographic,
        creator: 0,
        created_at: Wall::default(),
        expires_at: Wall::default(),
        nonce: [0; 32],
    };
    let challenge_keys: Vec<PublicKey> = tasks.iter().map(|task| task.keys.challenge_key()).collect();
    Summary::of(&session, &challenge_keys).map_err(|error| error.to_string())
}

/// What a session of the network signs for these tasks: keys, tweak, and the transaction.
pub(crate) fn session(psbt: &Psbt, tasks: &[Task]) -> Result<(Vec<PublicKey>, Tweak, SpendingFile), Failure> {
    let by_files = "sign it by files: `nelumbo psbt export`";
    let first = tasks.first().ok_or_else(|| {
        Failure::input(
            "this node's key signs no input of the PSBT",
            "name the group with --group if the PSBT says nothing of it, or choose another --data",
        )
    })?;
    let tweak = first.tweak.ok_or_else(|| {
        Failure::input(
            "the group's key is derived (BIP328), and sessions of the network sign with keys as they are",
            by_files,
        )
    })?;
    let keys = first.keys.keys().to_vec();
    if !keys.is_sorted_by(|one, other| one < other) {
        return Err(Failure::input("the participants are not sorted, or one is there twice", by_files));
    }
    let way = |task: &Task| (task.keys.keys().to_vec(), task.tweak, task.sighash_type.to_byte(), task.leaf);
    if tasks.iter().any(|task| way(task) != way(first)) {
        return Err(Failure::input("its inputs are signed by several groups, or in several ways", by_files));
    }
    let script = match path(first) {
        SpendPath::Key => None,
        SpendPath::Script { executed_script_hash, code_separator } => {
            Some(Script { hash: hex::encode(executed_script_hash), code_separator })
        }
    };
    let spent = psbt.spent().map_err(|error| failure(&error))?.into_iter();
    let spent = spent.map(|output| SpentOutput { value: output.value, script: hex::encode(output.script_pubkey) });
    let inputs = tasks.iter().map(|task| u32::try_from(task.input).expect("a PSBT has fewer inputs")).collect();
    let spending = SpendingFile {
        transaction: hex::encode(psbt.transaction().to_bytes()),
        spent: spent.collect(),
        replay_protection: false,
        inputs: Some(inputs),
        sighash_type: Some(first.sighash_type.to_byte()),
        script,
    };
    Ok((keys, tweak, spending))
}

/// Who has not given a nonce, and who no partial signature.
pub(crate) fn missing(psbt: &Psbt, tasks: &[Task]) -> (Vec<PublicKey>, Vec<PublicKey>) {
    let mut missing = BTreeMap::<PublicKey, (bool, bool)>::new();
    for task in tasks {
        let (nonces, partials) = (psbt.nonces(task), psbt.partials(task));
        for (key, (nonce, partial)) in task.keys.keys().iter().zip(nonces.iter().zip(&partials)) {
            let of_key = missing.entry(*key).or_default();
            *of_key = (of_key.0 || nonce.is_none(), of_key.1 || partial.is_none());
        }
    }
    let who = |is_missing: fn(&(bool, bool)) -> bool| {
        missing.iter().filter(|(_, of_key)| is_missing(of_key)).map(|(key, _)| *key).collect()
    };
    (who(|of_key| of_key.0), who(|of_key| of_key.1))
}
