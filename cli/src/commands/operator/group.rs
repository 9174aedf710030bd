//! `nelumbo group`: several keys that hold money together.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use nelumbo_chain::psbt::Descriptor;
use nelumbo_core::crypto::Suite;
use serde_json::json;

use crate::contacts::{Contacts, KeyOrName, key_or_name};
use crate::failure::{Answer, Failure};
use crate::group::{Exported, Group, Name, RecoveryKey};
use crate::node::{DataFolder, Folder};
use crate::{key_file, output, summary, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo group create family bob carol
  nelumbo group create family bob carol --recovery bob --delay 1000
  nelumbo group export family > family.json       # give it to bob and carol
  nelumbo group import family.json                # what bob and carol do
  nelumbo group show family";

const MAX_SIZE: u64 = 64 * 1024;

/// Makes and shows groups: several keys that hold money together, under one address
///
/// One member makes the group and gives the file of `export` to the others, who look at it and import it. The same keys
/// make the same id and the same address at all of them.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GroupCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Create(Create),
    /// Shows a group: id, address, keys, and who may recover its money
    #[command(
        after_help = "Examples:\n  nelumbo group show family\n  nelumbo group show family --json | jq -r .address"
    )]
    Show {
        /// The group
        name: Name,
        #[command(flatten)]
        shown: Shown,
    },
    /// Lists the groups
    #[command(after_help = "Examples:\n  nelumbo group list\n  nelumbo group list --json | jq -r '.groups[].address'")]
    List {
        #[command(flatten)]
        shown: Shown,
    },
    /// Prints a group as JSON, for the other members to import
    #[command(after_help = "Examples:\n  nelumbo group export family > family.json")]
    Export {
        /// The group
        name: Name,
        #[command(flatten)]
        data: DataFolder,
    },
    Import(Import),
}

/// Makes a group of this node's key and the keys of others
///
/// With --recovery one member may take what an output holds alone, --delay blocks after the output was confirmed: if
/// another member vanishes, the money is not locked for ever. Whoever may do so has to be trusted that long.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo group create family bob carol\n  nelumbo group create savings bob \
                        --suite bip340\n  nelumbo group create family bob carol --recovery bob --delay 1000")]
struct Create {
    /// What it is called: up to 32 letters, digits, dots, hyphens and underscores, beginning with a letter
    name: Name,
    /// The other members: names of contacts, or public keys of 66 hexadecimal digits
    #[arg(value_name = "KEY", required_unless_present = "descriptor", value_parser = key_or_name)]
    members: Vec<KeyOrName>,
    /// The signature scheme: lotus for Lotus, bip340 for Bitcoin
    #[arg(long, value_parser = values::suite(), default_value = "lotus")]
    suite: Suite,
    /// A descriptor of Bitcoin wallets, tr(musig(KEY,KEY,…)), with plain keys, in place of keys and suite
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["members", "suite", "recovery"], value_parser = group_keys)]
    descriptor: Option<Descriptor>,
    /// Who may recover the money alone, by name or key, after --delay
    #[arg(long, value_name = "KEY", value_parser = key_or_name, requires = "delay")]
    recovery: Option<KeyOrName>,
    /// After how many blocks; a day has some 720 on Lotus
    #[arg(long, value_name = "BLOCKS", requires = "recovery", value_parser = clap::value_parser!(u16).range(1..))]
    delay: Option<u16>,
    #[command(flatten)]
    shown: Shown,
}

/// Takes over a group that another member has made
///
/// Shows it first; on a terminal it asks. Whoever imports a group says that its address is theirs too.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nelumbo group import family.json\n  nelumbo group import family.json --yes --as ours"
)]
struct Import {
    /// The file that `nelumbo group export` has printed
    file: PathBuf,
    /// Calls it this here, whatever the file says
    #[arg(long = "as", value_name = "NAME")]
    name: Option<Name>,
    /// Does not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Args, Debug)]
struct Shown {
    #[command(flatten)]
    data: DataFolder,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl GroupCommand {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Create(create) => create.run()?,
            Action::Show { name, shown } => {
                let folder = shown.data.open()?;
                let contacts = Contacts::read(folder.path())?;
                shown.show(&contacts, &name, contacts.group(&name)?)?;
            }
            Action::List { shown } => {
                let contacts = Contacts::read(shown.data.open()?.path())?;
                if shown.json {
                    let groups: Vec<_> =
                        contacts.groups.iter().map(|(name, group)| group.export(name.clone())).collect();
                    output::json(&json!({ "groups": groups }))?;
                } else {
                    let row = |(name, group): (&Name, &Group)| {
                        [name.to_string(), group.suite.to_string(), group.keys.len().to_string(), group.address()]
                    };
                    let rows: Vec<_> = contacts.groups.iter().map(row).collect();
                    output::columns(["NAME", "SUITE", "KEYS", "ADDRESS"], &rows)?;
                }
            }
            Action::Export { name, data } => {
                let contacts = Contacts::read(data.open()?.path())?;
                output::json(&contacts.group(&name)?.export(name.clone()))?;
            }
            Action::Import(import) => return import.run(),
        }
        Ok(Answer::Yes)
    }
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        let folder = self.shown.data.open()?;
        let own = key_file::read(&folder.key())?;
        let group = Contacts::change(folder.path(), |contacts| {
            contacts.check_free(&self.name)?;
            let mut keys = contacts.keys(&self.members)?;
            let suite = match self.descriptor.as_ref().and_then(Descriptor::group) {
                Some(of_descriptor) => {
                    keys = of_descriptor;
                    Suite::Bip340
                }
                None => self.suite,
            };
            if !keys.contains(&own.public_key) && self.descriptor.is_none() {
                keys.push(own.public_key);
            }
            let recovery = match (&self.recovery, self.delay) {
                (Some(who), Some(blocks)) => Some(RecoveryKey { key: contacts.key(who)?, blocks }),
                _ => None,
            };
            let group = Group::new(own.network, suite, keys, recovery)?;
            check_own(&folder, &group)?;
            contacts.groups.insert(self.name.clone(), group.clone());
            Ok(group)
        })?;
        self.shown.show(&Contacts::read(folder.path())?, &self.name, &group)
    }
}

impl Import {
    fn run(self) -> Result<Answer, Failure> {
        let folder = self.shown.data.open()?;
        let (name, group) = read(&self.file)?.import()?;
        let name = self.name.unwrap_or(name);
        check_own(&folder, &group)?;
        let contacts = Contacts::read(folder.path())?;
        if contacts.groups.get(&name) != Some(&group) {
            contacts.check_free(&name)?;
        }
        self.shown.show(&contacts, &name, &group)?;
        if !self.yes {
            if !io::stdin().is_terminal() {
                return Err(Failure::input("nobody is there to say that this is your group", "give --yes if it is"));
            }
            if !summary::confirm("Is this your group?", io::stdin().lock(), io::stderr())? {
                return Ok(Answer::No);
            }
        }
        Contacts::change(folder.path(), |contacts| {
            contacts.groups.insert(name, group);
            Ok(())
        })?;
        Ok(Answer::Yes)
    }
}

/// For clap: a descriptor that is a group as nelumbo has them.
fn group_keys(text: &str) -> Result<Descriptor, String> {
    let descriptor = Descriptor::parse(text).map_err(|error| error.to_string())?;
    match descriptor.group() {
        Some(_) => Ok(descriptor),
        None => Err("a group is tr(musig(KEY,KEY,…)) of plain keys, without steps, ranges or scripts".to_owned()),
    }
}

/// A group that this node cannot sign for is of no use here, and may be somebody's mistake.
fn check_own(folder: &Folder, group: &Group) -> Result<(), Failure> {
    let own = key_file::read(&folder.key())?;
    if !group.keys.contains(&own.public_key) {
        return Err(Failure::input(
            format_args!("this node's key {} is not in the group", own.public_key),
            "ask for a group that has it, or choose the --data of the node that is in it",
        ));
    }
    if group.network != own.network {
        return Err(Failure::input(
            format_args!("the group is for {}, and this node is for {}", group.network, own.network),
            "choose the --data of a node of that network",
        ));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Exported, Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::input(
            format_args!("cannot read a group from {}: {error}", path.display()),
            "give the file that `nelumbo group export` has printed",
        )
    };
    let size = std::fs::metadata(path).map_err(|error| cannot(&error))?.len();
    if size > MAX_SIZE {
        return Err(cannot(&"it is too large"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
    serde_json::from_str(&text).map_err(|error| cannot(&error))
}

impl Shown {
    fn show(&self, contacts: &Contacts, name: &Name, group: &Group) -> Result<(), Failure> {
        if self.json {
            let mut shown = serde_json::to_value(group.export(name.clone())).expect("texts and numbers");
            if let Some(descriptor) = group.descriptor() {
                shown["descriptor"] = descriptor.into();
            }
            return output::json(&shown);
        }
        let own = key_file::read(&self.data.open()?.key())?.public_key;
        let called = |key| match contacts.name_of(&key) {
            Some(name) => format!("{key}  {name}"),
            None if key == own => format!("{key}  this node"),
            None => key.to_string(),
        };
        let mut rows = vec![
            ("group", name.to_string()),
            ("address", group.address()),
            ("id", group.id()),
            ("suite", group.suite.to_string()),
            ("network", group.network.to_string()),
        ];
        rows.extend(group.descriptor().map(|descriptor| ("descriptor", descriptor)));
        rows.extend(group.keys.iter().map(|key| ("member", called(*key))));
        rows.push(match group.recovery {
            Some(RecoveryKey { key, blocks }) => {
                ("recovery", format!("after {blocks} blocks, alone, by {}", called(key)))
            }
            None => ("recovery", "none: if one key is lost, the money is".to_owned()),
        });
        output::table(&rows)
    }
}
