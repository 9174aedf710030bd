//! The contacts and groups that a data folder knows.
//!
//! Owns the file `contacts.toml`. Invariants: it is replaced as a whole, so that it is never half written; whoever
//! changes it holds its lock, so that no change is lost; a name means one thing, a contact or a group. The commands
//! about contacts, groups and payments drive it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nelumbo_core::crypto::PublicKey;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::group::{Group, Name};
use crate::node::DataFolder;
use crate::{private_file, values};

const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contacts {
    #[serde(default)]
    pub(crate) contacts: BTreeMap<Name, PublicKey>,
    #[serde(default)]
    pub(crate) groups: BTreeMap<Name, Group>,
}

/// A key, or the name of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyOrName {
    Key(PublicKey),
    Name(Name),
}

/// For clap: whatever is no name is read as a key, whose errors say more.
pub(crate) fn key_or_name(text: &str) -> Result<KeyOrName, String> {
    let is_hexadecimal = text.len() > 32 || text.starts_with(|first: char| first.is_ascii_digit());
    if is_hexadecimal { values::public_key(text).map(KeyOrName::Key) } else { text.parse().map(KeyOrName::Name) }
}

impl KeyOrName {
    /// Their keys. The data folder is looked for when one is a name, so that keys alone need none.
    pub(crate) fn keys(who: &[Self], data: &DataFolder) -> Result<Vec<PublicKey>, Failure> {
        let is_named = who.iter().any(|who| matches!(who, Self::Name(_)));
        let contacts = if is_named { Contacts::read(&data.path()?)? } else { Contacts::default() };
        contacts.keys(who)
    }
}

impl Contacts {
    /// What the folder knows; nothing if it has no such file.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = path(folder);
        let text = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(metadata) if metadata.len() > MAX_SIZE => return Err(unreadable(&path, &"it is too large")),
            _ => fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?,
        };
        let contacts: Self = toml::from_str(&text).map_err(|error| unreadable(&path, &error.message()))?;
        for (name, group) in &contacts.groups {
            let Group { network, suite, keys, recovery } = group.clone();
            match Group::new(network, suite, keys, recovery) {
                Ok(sound) if sound == *group => {}
                _ => return Err(unreadable(&path, &format_args!("the group {name} is not one"))),
            }
        }
        Ok(contacts)
    }

    /// Changes what the folder knows.
    pub(crate) fn change<R>(folder: &Path, change: impl FnOnce(&mut Self) -> Result<R, Failure>) -> Result<R, Failure> {
        let cannot = |error: io::Error| {
            Failure::input(
                format_args!("cannot write {}: {error}", path(folder).display()),
                "make room, or choose a --data where you may write",
            )
        };
        let lock = File::create(folder.join("contacts.lock")).map_err(cannot)?;
        lock.lock().map_err(cannot)?;
        let mut contacts = Self::read(folder)?;
        let result = change(&mut contacts)?;
        let text = toml::to_string(&contacts).expect("names, keys and numbers are TOML");
        private_file::replace(&path(folder), text.as_bytes()).map_err(cannot)?;
        Ok(result)
    }

    /// Refuses a name that is taken.
    pub(crate) fn check_free(&self, name: &Name) -> Result<(), Failure> {
        let what = if self.contacts.contains_key(name) {
            "contact"
        } else if self.groups.contains_key(name) {
            "group"
        } else {
            return Ok(());
        };
        Err(Failure::input(
            format_args!("there is a {what} called {name} already"),
            format_args!("choose another name, or see `nelumbo {what} list`"),
        ))
    }

    pub(crate) fn key(&self, who: &KeyOrName) -> Result<PublicKey, Failure> {
        match who {
            KeyOrName::Key(key) => Ok(*key),
            KeyOrName::Name(name) => self.contacts.get(name).copied().ok_or_else(|| {
                Failure::input(
                    format_args!("there is no contact called {name}"),
                    format_args!("add it with `nelumbo contact add {name} KEY`, or give the key"),
                )
            }),
        }
    }

    pub(crate) fn keys(&self, who: &[KeyOrName]) -> Result<Vec<PublicKey>, Failure> {
        who.iter().map(|who| self.key(who)).collect()
    }

    pub(crate) fn group(&self, name: &Name) -> Result<&Group, Failure> {
        self.groups.get(name).ok_or_else(|| {
            Failure::input(
                format_args!("there is no group called {name}"),
                "`nelumbo group list` shows those that there are; make one with `nelumbo group create`",
            )
        })
    }

    /// What a key is called here.
    pub(crate) fn name_of(&self, key: &PublicKey) -> Option<&Name> {
        self.contacts.iter().find(|(_, known)| *known == key).map(|(name, _)| name)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("contacts.toml")
}

fn unreadable(path: &Path, problem: &dyn std::fmt::Display) -> Failure {
    Failure::input(
        format_args!("cannot read {}: {problem}", path.display()),
        "restore it from a backup, or mend it by hand: it is text",
    )
}
