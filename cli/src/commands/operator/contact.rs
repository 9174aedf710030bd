//! `nelumbo contact`: names for keys.

use clap::{Args, Subcommand};
use nelumbo_core::crypto::PublicKey;
use serde_json::json;

use crate::contacts::Contacts;
use crate::failure::{Answer, Failure};
use crate::group::Name;
use crate::node::DataFolder;
use crate::{output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo contact add bob 02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5
  nelumbo contact list
  nelumbo create bob carol --message HEX
  nelumbo contact remove bob";

/// Gives names to the keys of others, which `create` and `group create` take wherever they take a key
///
/// Contacts are in contacts.toml in the data folder, and are told to nobody.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Contact {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Gives a key a name
    ///
    /// Make sure on another way that the key is theirs: read it to each other, or compare a few of its digits.
    #[command(after_help = "Examples:\n  nelumbo contact add bob KEY")]
    Add {
        /// The name: up to 32 letters, digits, dots, hyphens and underscores, beginning with a letter
        name: Name,
        /// The public key: 33 bytes, 66 hexadecimal digits
        #[arg(value_parser = values::public_key)]
        key: PublicKey,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Lists the contacts
    #[command(after_help = "Examples:\n  nelumbo contact list\n  nelumbo contact list --json | jq -r .contacts.bob")]
    List {
        #[command(flatten)]
        data: DataFolder,
        /// Prints JSON: an object `contacts` of names and keys
        #[arg(long)]
        json: bool,
    },
    /// Forgets a name; groups keep their keys
    #[command(after_help = "Examples:\n  nelumbo contact remove bob")]
    Remove {
        /// The name
        name: Name,
        #[command(flatten)]
        data: DataFolder,
    },
}

impl Contact {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Add { name, key, data } => Contacts::change(data.open()?.path(), |contacts| {
                contacts.check_free(&name)?;
                if let Some(other) = contacts.name_of(&key) {
                    return Err(Failure::input(
                        format_args!("the key is that of {other} already"),
                        format_args!("remove it first with `nelumbo contact remove {other}`"),
                    ));
                }
                contacts.contacts.insert(name, key);
                Ok(())
            })?,
            Action::List { data, json } => {
                let Contacts { contacts, .. } = Contacts::read(data.open()?.path())?;
                if json {
                    output::json(&json!({ "contacts": contacts }))?;
                } else {
                    let rows: Vec<_> = contacts.iter().map(|(name, key)| [name.to_string(), key.to_string()]).collect();
                    output::columns(["NAME", "KEY"], &rows)?;
                }
            }
            Action::Remove { name, data } => {
                Contacts::change(data.open()?.path(), |contacts| match contacts.contacts.remove(&name) {
                    Some(_) => Ok(()),
                    None => Err(Failure::input(
                        format_args!("there is no contact called {name}"),
                        "`nelumbo contact list` shows those that there are",
                    )),
                })?
            }
        }
        Ok(Answer::Yes)
    }
}
