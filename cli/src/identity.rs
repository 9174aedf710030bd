//! Burn identities in files: the node's own, and what it remembers of those that it has judged.
//!
//! Owns `burn-identity.json` and `identities.json` in the data folder, and the form in which an identity is shown to
//! others. Invariants: both files are replaced as a whole; what is read has valid signatures; a burn that one identity
//! has used serves no other, and a key that has passed its identity on does not get it back. The commands about
//! identities drive it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use nelumbo_chain::build::burn_script;
use nelumbo_chain::identity::{Identity, IdentityId, Rotation};
use nelumbo_core::crypto::lotus::{OutPoint, TxOutput};
use nelumbo_core::crypto::{PublicKey, SecretKey, Signature, Suite, schnorr};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::private_file;

/// The node's own identity.
pub(crate) const OWN: &str = "burn-identity.json";
const JUDGED: &str = "identities.json";
const FORMAT: u32 = 1;
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// An identity as its owner shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    /// The format's version.
    pub(crate) nelumbo_identity: u32,
    pub(crate) id: String,
    /// Transaction and index.
    pub(crate) burn: String,
    pub(crate) key: PublicKey,
    pub(crate) signature: Signature,
    #[serde(default)]
    pub(crate) rotations: Vec<ShownRotation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShownRotation {
    burn: String,
    key: PublicKey,
    by_old: Signature,
    by_new: Signature,
}

/// The node's own identity, with the transactions of its burns: whoever was interrupted sends them again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Own {
    pub(crate) identity: Shown,
    pub(crate) transactions: Vec<String>,
}

/// The identities that were judged, by their ids, as they were shown last; and with them the burns that are used.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Judged {
    identities: BTreeMap<String, Shown>,
}

/// As people write it.
pub(crate) fn outpoint_text(outpoint: &OutPoint) -> String {
    format!("{}:{}", outpoint.txid, outpoint.index)
}

fn outpoint(text: &str) -> Option<OutPoint> {
    let (txid, index) = text.split_once(':')?;
    Some(OutPoint { txid: txid.parse().ok()?, index: index.parse().ok()? })
}

/// The output that burns in the name of a key.
pub(crate) fn burn(key: &PublicKey, value: u64) -> TxOutput {
    TxOutput { value, script_pubkey: burn_script(key.as_bytes()) }
}

fn sign(key: &SecretKey, digest: [u8; 32]) -> Signature {
    let hedge = nelumbo_tokio::fresh_entropy().ok().map(|mut entropy| entropy.bytes32());
    schnorr::sign(Suite::Lotus, key, &digest, hedge).expect("a digest has 32 bytes")
}

/// A new identity of this key.
pub(crate) fn register(burn: OutPoint, key: &SecretKey) -> Identity {
    let id = IdentityId::of(&burn).expect("a transaction of a wallet has few outputs");
    let signature = sign(key, id.registration_digest());
    Identity { burn, key: key.public_key(), signature, rotations: Vec::new() }
}

/// Passes an identity on to a new key.
pub(crate) fn rotate(identity: &mut Identity, burn: OutPoint, old: &SecretKey, new: &SecretKey) {
    let id = IdentityId::of(&identity.burn).expect("it has one already");
    let (key, digest) = (new.public_key(), id.rotation_digest(&new.public_key()));
    identity.rotations.push(Rotation { burn, key, by_old: sign(old, digest), by_new: sign(new, digest) });
}

impl Shown {
    pub(crate) fn new(identity: &Identity) -> Self {
        let rotation = |rotation: &Rotation| ShownRotation {
            burn: outpoint_text(&rotation.burn),
            key: rotation.key,
            by_old: rotation.by_old,
            by_new: rotation.by_new,
        };
        Self {
            nelumbo_identity: FORMAT,
            id: IdentityId::of(&identity.burn).map(|id| id.to_string()).unwrap_or_default(),
            burn: outpoint_text(&identity.burn),
            key: identity.key,
            signature: identity.signature,
            rotations: identity.rotations.iter().map(rotation).collect(),
        }
    }

    /// The identity, if everything that can be checked without the chain is so.
    pub(crate) fn read(&self) -> Result<Identity, Failure> {
        let wrong = |problem: &dyn std::fmt::Display| {
            Failure::input(
                format_args!("this is no identity: {problem}"),
                "ask its owner for what `nelumbo identity show --json` prints",
            )
        };
        if self.nelumbo_identity != FORMAT {
            return Err(wrong(&format_args!("its format is {}, and {FORMAT} is read", self.nelumbo_identity)));
        }
        let no_burn = || wrong(&"a burn is no output of a transaction");
        let rotation = |shown: &ShownRotation| {
            let ShownRotation { key, by_old, by_new, .. } = *shown;
            Ok(Rotation { burn: outpoint(&shown.burn).ok_or_else(no_burn)?, key, by_old, by_new })
        };
        let rotations = self.rotations.iter().map(rotation).collect::<Result<_, Failure>>()?;
        let burn = outpoint(&self.burn).ok_or_else(no_burn)?;
        let identity = Identity { burn, key: self.key, signature: self.signature, rotations };
        let id = identity.check().map_err(|error| wrong(&error))?;
        if id.to_string() == self.id { Ok(identity) } else { Err(wrong(&"its id is another one")) }
    }
}

impl Own {
    /// What the folder has, if it has one.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Failure> {
        let own: Option<Self> = read(&folder.join(OWN))?;
        own.map(|own| own.identity.read().map(|_| own)).transpose()
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        write(&folder.join(OWN), self)
    }
}

impl Judged {
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        Ok(read(&folder.join(JUDGED))?.unwrap_or_default())
    }

    /// All of them.
    pub(crate) fn identities(&self) -> Result<Vec<Identity>, Failure> {
        self.identities.values().map(Shown::read).collect()
    }

    /// Remembers an identity, and that its burns are used.
    pub(crate) fn keep(&mut self, folder: &Path, shown: &Shown) -> Result<(), Failure> {
        self.check(shown)?;
        self.identities.insert(shown.id.clone(), shown.clone());
        write(&folder.join(JUDGED), self)
    }

    /// Refuses an identity that contradicts what is remembered: a burn that another one has used, or a key that has
    /// passed it on.
    fn check(&self, shown: &Shown) -> Result<(), Failure> {
        let burns = |shown: &Shown| -> BTreeSet<String> {
            shown.rotations.iter().map(|rotation| &rotation.burn).chain([&shown.burn]).cloned().collect()
        };
        let own = burns(shown);
        let others = self.identities.iter().filter(|(id, _)| **id != shown.id);
        for (id, other) in others {
            if let Some(burn) = burns(other).intersection(&own).next() {
                return Err(Failure::unmet(
                    format_args!("the burn {burn} has served the identity {id} already"),
                    "one burn serves one identity: this one does not count",
                ));
            }
        }
        let Some(known) = self.identities.get(&shown.id) else { return Ok(()) };
        // Whoever signs again makes other signatures.
        let way = |shown: &Shown| -> Vec<(String, PublicKey)> {
            shown.rotations.iter().map(|rotation| (rotation.burn.clone(), rotation.key)).collect()
        };
        let (shown, known) = (way(shown), way(known));
        if shown.starts_with(&known) {
            return Ok(());
        }
        let (problem, remedy) = if known.starts_with(&shown) {
            ("it was passed on to another key since", "ask whoever has it now")
        } else {
            (
                "it was passed on to two different keys",
                "trust neither: its owner, or whoever stole its key, is at fault",
            )
        };
        Err(Failure::unmet(problem, remedy))
    }
}

/// A JSON file, if it is there.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::input(format_args!("cannot read {}: {error}", path.display()), "restore it, or name the right file")
    };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| cannot(&error))?,
    };
    let mut text = String::new();
    file.take(MAX_SIZE).read_to_string(&mut text).map_err(|error| cannot(&error))?;
    serde_json::from_str(&text).map(Some).map_err(|error| cannot(&error))
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        Failure::input(format_args!("cannot write {}: {error}", path.display()), "make room, or repair the data folder")
    };
    let new = path.with_extension("json.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    let text = serde_json::to_string_pretty(value).expect("texts and numbers");
    private_file::create(&new, text.as_bytes()).map_err(cannot)?;
    fs::rename(&new, path).map_err(cannot)?;
    private_file::sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> SecretKey {
        SecretKey::from_bytes(&[number; 32]).expect("a key")
    }

    fn at(index: u32) -> OutPoint {
        OutPoint { txid: "5b".repeat(32).parse().expect("an id"), index }
    }

    #[test]
    fn what_was_judged_is_not_contradicted_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = register(at(0), &key(1));
        let passed_on = |to: u8, burn| {
            let mut identity = first.clone();
            rotate(&mut identity, at(burn), &key(1), &key(to));
            Shown::new(&identity)
        };
        let keep = |shown: &Shown| {
            let mut judged = Judged::read(folder.path()).expect("it can be read");
            judged.keep(folder.path(), shown).map_err(|failure| failure.to_string())
        };
        let shown = Shown::new(&first);
        assert_eq!((shown.read().expect("sound"), keep(&shown)), (first.clone(), Ok(())));
        assert_eq!((keep(&passed_on(2, 1)), keep(&passed_on(2, 1))), (Ok(()), Ok(())));
        assert!(keep(&shown).is_err_and(|problem| problem.contains("passed on to another key since")));
        assert!(keep(&passed_on(3, 2)).is_err_and(|problem| problem.contains("two different keys")));
        let mut other = register(at(3), &key(4));
        rotate(&mut other, at(1), &key(4), &key(2));
        assert!(keep(&Shown::new(&other)).is_err_and(|problem| problem.contains("has served the identity")));
        let altered = Shown { key: key(2).public_key(), ..shown };
        assert!(altered.read().is_err());
    }
}
