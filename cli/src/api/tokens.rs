//! Who may use a node's HTTP API, and for what.
//!
//! Owns the file `tokens.json` in the data folder. Invariants: a token is shown once, when it is made; the file holds
//! its hash alone, which is compared in constant time; a file that is being replaced is never read half. The command
//! `token` writes it, and a running node reads it for each request, so that a revoked token is refused at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nelumbo_tokio::fresh_entropy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::failure::Failure;
use crate::group::Name;
use crate::private_file;

/// What every token begins with, so that one that leaks can be recognised.
const PREFIX: &str = "nelumbo_";
const MAX_TOKENS: usize = 64;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// Looking: statistics, peers, sessions, requests, events, metrics
    Read,
    /// Looking after the node: peers, offers, ending sessions, stopping it
    Operate,
    /// Signing: creating and approving sessions
    Approve,
}

/// A token, without what it takes to use it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) scopes: BTreeSet<Scope>,
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) created: u64,
    /// SHA-256 of the token. It holds 256 bits of entropy, so that nothing slower is needed.
    hash: String,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    path: PathBuf,
}

impl Tokens {
    /// The tokens of the node in this folder.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { path: folder.join("tokens.json") }
    }

    /// All of them, by name.
    pub(crate) fn list(&self) -> io::Result<BTreeMap<Name, Token>> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Makes a token, which is not kept and cannot be shown again.
    pub(crate) fn create(&self, name: Name, scopes: BTreeSet<Scope>, created: u64) -> Result<String, Failure> {
        let (_lock, mut tokens) = self.locked()?;
        if tokens.contains_key(&name) {
            let taken = format_args!("there is a token called {name} already");
            return Err(Failure::input(taken, "choose another name, or revoke that one first"));
        }
        if tokens.len() >= MAX_TOKENS {
            let full = format_args!("there are {MAX_TOKENS} tokens already");
            return Err(Failure::input(full, "`nelumbo token list` shows them; revoke one that nobody uses"));
        }
        let mut secret = [0; 32];
        fresh_entropy().map_err(|error| Failure::input(error, "try again later"))?.fill(&mut secret);
        let token = format!("{PREFIX}{}", hex::encode(secret));
        tokens.insert(name, Token { scopes, created, hash: hex::encode(hash(&token)) });
        self.write(&tokens)?;
        Ok(token)
    }

    /// Refuses a token from now on.
    pub(crate) fn revoke(&self, name: &Name) -> Result<(), Failure> {
        let (_lock, mut tokens) = self.locked()?;
        if tokens.remove(name).is_none() {
            return Err(Failure::input(
                format_args!("there is no token called {name}"),
                "`nelumbo token list` shows those that there are",
            ));
        }
        self.write(&tokens)
    }

    /// Whose token this is, and what it allows.
    pub(crate) fn find(&self, token: &str) -> io::Result<Option<(Name, BTreeSet<Scope>)>> {
        let hash = hash(token);
        let mut found = None;
        // All are compared, so that the time does not say which of them it is.
        for (name, known) in self.list()? {
            let mut bytes = [0; 32];
            let is_hash = hex::decode_to_slice(&known.hash, &mut bytes).is_ok();
            if is_hash && bool::from(bytes.ct_eq(&hash)) {
                found = Some((name, known.scopes));
            }
        }
        Ok(found)
    }

    /// What is there, until the lock is dropped.
    fn locked(&self) -> Result<(File, BTreeMap<Name, Token>), Failure> {
        let lock = File::create(self.path.with_extension("lock")).and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|error| self.cannot("lock", &error))?;
        Ok((lock, self.list().map_err(|error| self.cannot("read", &error))?))
    }

    fn write(&self, tokens: &BTreeMap<Name, Token>) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(tokens).expect("tokens are made of texts and numbers");
        private_file::replace(&self.path, &text).map_err(|error| self.cannot("write", &error))
    }

    fn cannot(&self, what: &str, error: &io::Error) -> Failure {
        let path = self.path.display();
        Failure::input(format_args!("cannot {what} {path}: {error}"), "make sure that the file is yours and whole")
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn a_token_allows_what_it_was_made_for_until_it_is_revoked() {
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = Tokens::of(folder.path());
        assert_eq!(tokens.find("nelumbo_00").expect("no file is no token"), None);
        let read = tokens.create(name("grafana"), [Scope::Read].into(), 7).expect("the name is free");
        let both = tokens.create(name("page"), [Scope::Read, Scope::Approve].into(), 8).expect("the name is free");
        tokens.create(name("page"), [Scope::Read].into(), 9).expect_err("the name is taken");
        assert_eq!(tokens.find(&read).expect("readable"), Some((name("grafana"), [Scope::Read].into())));
        assert_eq!(tokens.find(&both).expect("readable").expect("known").1, [Scope::Read, Scope::Approve].into());
        assert_eq!(tokens.find(&read[..read.len() - 1]).expect("readable"), None);
        let file = fs::read_to_string(folder.path().join("tokens.json")).expect("it is there");
        assert!(!file.contains(&read[PREFIX.len()..]), "the file does not hold what lets in");
        tokens.revoke(&name("grafana")).expect("it is there");
        tokens.revoke(&name("grafana")).expect_err("it is gone");
        assert_eq!(tokens.find(&read).expect("readable"), None);
    }

    #[test]
    fn a_damaged_file_lets_nobody_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = Tokens::of(folder.path());
        let token = tokens.create(name("page"), [Scope::Read].into(), 7).expect("the name is free");
        fs::write(folder.path().join("tokens.json"), b"{").expect("it is ours");
        tokens.find(&token).expect_err("nobody knows who it is");
        tokens.create(name("other"), [Scope::Read].into(), 8).expect_err("what is damaged is not written over");
    }
}
