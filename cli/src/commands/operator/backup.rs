//! `nelumbo backup` and `nelumbo restore`: what makes a node the one that it is, in one file.
//!
//! Owns the format: JSON with a version, the files by name in hexadecimal, and a hash over them. Invariants: the
//! journal is never in it, because a node that went on from an old one could sign twice; the key is in it
//! only if it is sealed; nothing that is there is written over.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::failure::{Answer, Failure};
use crate::node::DataFolder;
use crate::{key_file, output, private_file};

const FORMAT: u32 = 1;
const MAX_SIZE: u64 = 64 * 1024 * 1024;
/// Without the first three there is no node.
const FILES: [&str; 7] = [
    "signer.key",
    "identity",
    "config.toml",
    "contacts.toml",
    "burn-identity.json",
    "identities.json",
    "approved-amounts.json",
];
const NEEDED: usize = 3;

/// Writes key, identity, contacts, groups and configuration of a node into one file
///
/// The key in it is sealed with the passphrase that the node has: both together are the node. It does not hold the
/// journal: sessions that are under way, and tokens of the API, are not part of it. The node may run meanwhile.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo backup nelumbo-2026-11-30.backup")]
pub(crate) struct Backup {
    /// The file to create; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    data: DataFolder,
    /// Prints one JSON object: `file`, `files`, `key`
    #[arg(long)]
    json: bool,
}

/// Makes the data folder of a node from what `nelumbo backup` has written
///
/// The folder must hold no node. Start no second node with the same key: two nodes with one key contradict each other.
/// Sessions that were under way where the backup was made are not taken up.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo restore nelumbo-2026-11-30.backup --data ~/restored")]
pub(crate) struct Restore {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    data: DataFolder,
    /// Prints one JSON object: `data`, `files`, `key`
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    nelumbo_backup: u32,
    files: BTreeMap<String, String>,
    /// SHA-256 of names and contents, so that a damaged file is noticed before it is used.
    hash: String,
}

fn hash(files: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (name, content) in files {
        for part in [name.as_bytes(), content.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hex::encode(hash.finalize())
}

impl Backup {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let folder = self.data.open()?;
        let mut files = BTreeMap::new();
        for (place, name) in FILES.into_iter().enumerate() {
            let path = folder.path().join(name);
            match fs::read(&path).map(Zeroizing::new) {
                Ok(content) => drop(files.insert(name.to_owned(), hex::encode(&*content))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && place >= NEEDED => {}
                Err(error) => return Err(cannot("read", &path, &error)),
            }
        }
        let file = key_file::read(&folder.key())?;
        if !file.is_sealed() {
            return Err(Failure::input(
                format_args!("{} is not sealed, and whoever has the backup could sign", folder.key().display()),
                format_args!("seal it first: `nelumbo key passphrase --key-file {}`", folder.key().display()),
            ));
        }
        let key = file.public_key;
        let names: Vec<String> = files.keys().cloned().collect();
        let content = Content { nelumbo_backup: FORMAT, hash: hash(&files), files };
        let text = Zeroizing::new(serde_json::to_vec(&content).expect("a backup is made of texts"));
        private_file::create(&self.file, &text).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::input(
                format_args!("{} exists, and a backup is never written over", self.file.display()),
                "choose another name",
            ),
            _ => cannot("write", &self.file, &error),
        })?;
        let file = self.file.display().to_string();
        if self.json {
            output::json(&json!({ "file": file, "files": names, "key": key }))?;
        } else {
            output::table(&[("file", file), ("holds", names.join(", ")), ("key", key.to_string())])?;
        }
        Ok(Answer::Yes)
    }
}

impl Restore {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let damaged = |problem: &dyn std::fmt::Display| {
            let problem = format_args!("{} is damaged, or no backup: {problem}", self.file.display());
            Failure::input(problem, "take another backup")
        };
        let mut text = Zeroizing::new(Vec::new());
        let read = fs::File::open(&self.file).and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut text));
        read.map_err(|error| cannot("read", &self.file, &error))?;
        if text.len() as u64 > MAX_SIZE {
            return Err(damaged(&"it is too large"));
        }
        let content: Content = serde_json::from_slice(&text).map_err(|error| damaged(&error))?;
        if content.nelumbo_backup != FORMAT {
            return Err(damaged(&format_args!("it has format {}", content.nelumbo_backup)));
        }
        if content.hash != hash(&content.files) {
            return Err(damaged(&"its hash is another"));
        }
        if let Some(other) = content.files.keys().find(|name| !FILES.contains(&name.as_str())) {
            return Err(damaged(&format_args!("{other:?} belongs to no node")));
        }
        if let Some(missing) = FILES[..NEEDED].iter().find(|name| !content.files.contains_key(**name)) {
            return Err(damaged(&format_args!("{missing} is missing")));
        }
        let mut files = BTreeMap::new();
        for (name, content) in &content.files {
            let bytes = hex::decode(content.as_bytes()).map_err(|error| damaged(&error))?;
            files.insert(name.as_str(), Zeroizing::new(bytes));
        }
        let (folder, _lock) = self.data.create()?;
        if let Some(other) = ["journal.redb", "contacts.toml"].iter().find(|name| folder.path().join(name).exists()) {
            return Err(Failure::input(
                format_args!("there is a {other} in {}: somebody else's node was there", folder.path().display()),
                "choose another --data",
            ));
        }
        // The key comes last: until then the folder is no node's, and what was begun can be begun again.
        for (name, content) in files.iter().filter(|(name, _)| **name != "signer.key") {
            folder.write(&folder.path().join(name), content)?;
        }
        folder.write(&folder.new_key(), &files["signer.key"])?;
        let key = key_file::read(&folder.new_key())?.public_key;
        folder.finish()?;
        let (data, names) = (folder.path().display().to_string(), files.keys().copied().collect::<Vec<_>>());
        if self.json {
            output::json(&json!({ "data": data, "files": names, "key": key }))?;
        } else {
            output::table(&[("data", data), ("holds", names.join(", ")), ("key", key.to_string())])?;
        }
        Ok(Answer::Yes)
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format_args!("cannot {what} {}: {error}", path.display()), "make sure that it is yours to use")
}
