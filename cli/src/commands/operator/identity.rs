//! `nelumbo identity`: a name that money was burned for.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nelumbo_chain::build::{FeeRate, Unlock, Unsigned};
use nelumbo_chain::identity::{Identity, IdentityError};
use nelumbo_chain::{BurnError, BurnVerifier, Purpose};
use nelumbo_core::crypto::lotus::{OutPoint, Transaction};
use nelumbo_core::crypto::{PublicKey, SecretKey, Suite};
use serde_json::json;

use super::money::{Wallet, WithOwnKey};
use super::wallet;
use crate::contacts::{Contacts, KeyOrName, key_or_name};
use crate::control::Running;
use crate::failure::{Answer, Failure};
use crate::holdings::xpi;
use crate::identity::{self, Judged, Own, Shown, outpoint_text};
use crate::node::Folder;
use crate::{key_file, output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo identity register
  nelumbo identity show --json > identity.json      # for others
  nelumbo identity verify identity.json             # what they do
  nelumbo identity rotate --new-data ~/new-node";

/// A name for a key that costs money: burned, so that nobody has many
///
/// An identity stands for money that its key has burned on Lotus, and stays when the key is replaced. Others check it
/// against the chain themselves. It counts after 144 blocks.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct IdentityCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Register(Register),
    Rotate(Rotate),
    /// Shows the node's identity, and how far its burns are
    ///
    /// With --json it prints what others verify.
    #[command(after_help = "Examples:\n  nelumbo identity show\n  nelumbo identity show --json > identity.json")]
    Show {
        #[command(flatten)]
        node: Running,
    },
    Verify(Verify),
}

/// Burns 50 XPI or more of the node's own key, and registers its identity with them
///
/// The burn is written down before it is sent. Whoever was interrupted runs it again: the same burn is sent again, and
/// no other.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo identity register\n  nelumbo identity register --amount 500 --fee-rate 2")]
struct Register {
    /// How much is burned, 50 XPI or more; from 500 on the node may hold as many keys as somebody with ten names
    #[arg(long, value_name = "AMOUNT", default_value = "50", value_parser = registration)]
    amount: u64,
    #[command(flatten)]
    own: WithOwnKey,
}

/// Burns 5 XPI of the node's own key in the name of a new one, and passes the identity on to it
///
/// The new key is that of another data folder, which gets the identity. Both keys sign. With --passphrase-file or
/// NELUMBO_PASSPHRASE one passphrase opens both.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nelumbo node init --data ~/new-node\n  nelumbo identity rotate --new-data ~/new-node"
)]
struct Rotate {
    /// The data folder of the node with the new key
    #[arg(long, value_name = "DIR")]
    new_data: PathBuf,
    #[command(flatten)]
    own: WithOwnKey,
}

/// Verifies an identity of somebody else: signatures, burns, amounts, and that no burn serves twice
///
/// Exit status 1 if it does not count, or not yet. What was verified is kept in identities.json in the data folder: a
/// burn serves one identity, and a key that has passed its identity on does not get it back.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nelumbo identity verify identity.json\n  nelumbo identity verify identity.json --key \
                        KEY --json"
)]
struct Verify {
    /// What `nelumbo identity show --json` has printed
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key that should have it, or its name
    #[arg(long, value_name = "KEY", value_parser = key_or_name)]
    key: Option<KeyOrName>,
    #[command(flatten)]
    node: Running,
}

impl IdentityCommand {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Register(register) => register.run()?,
            Action::Rotate(rotate) => rotate.run()?,
            Action::Show { node } => show(&node)?,
            Action::Verify(verify) => verify.run()?,
        }
        Ok(Answer::Yes)
    }
}

/// For clap.
fn registration(text: &str) -> Result<u64, String> {
    let least = Purpose::Registration.amount();
    let amount = values::amount(text)?;
    if amount < least { Err(format!("an identity takes {} or more", xpi(least))) } else { Ok(amount) }
}

/// The transaction that burns in the name of a key, signed, and where it does.
fn burn(
    wallet: &Wallet,
    owner: &SecretKey,
    key: &PublicKey,
    amount: u64,
    rate: FeeRate,
) -> Result<(OutPoint, Transaction), Failure> {
    let unlock = Unlock::PublicKeyHash(owner.public_key());
    let unsigned: Unsigned = wallet.build(vec![identity::burn(key, amount)], rate, &[], unlock)?;
    let transaction = wallet.sign(&unsigned, owner)?;
    // Recipients come first.
    Ok((OutPoint { txid: transaction.txid(Suite::Lotus), index: 0 }, transaction))
}

fn send(wallet: &Wallet, own: &Own) -> Result<(), Failure> {
    for transaction in &own.transactions {
        let bytes = hex::decode(transaction).ok().and_then(|bytes| Transaction::parse(&bytes).ok());
        let transaction = bytes.ok_or_else(|| Failure::input("a burn in the data folder is damaged", "restore it"))?;
        let sent = wallet.run(wallet.client.broadcast(&transaction));
        sent.map_err(|error| Failure::unmet(&error, error.advice()))?;
    }
    Ok(())
}

fn encoded(transaction: &Transaction) -> String {
    hex::encode(transaction.to_bytes())
}

impl Register {
    fn run(self) -> Result<(), Failure> {
        let (folder, file) = (self.own.node.folder()?, wallet::key(&self.own.node)?);
        let wallet = wallet::open(&self.own.node, &file)?;
        let own = match Own::read(folder.path())? {
            Some(own) => own,
            None => {
                let key = file.unlock(&self.own.passphrase)?;
                let public = key.public_key();
                let (outpoint, transaction) = burn(&wallet, &key, &public, self.amount, self.own.fee.rate)?;
                let identity = Shown::new(&identity::register(outpoint, &key));
                let own = Own { identity, transactions: vec![encoded(&transaction)] };
                own.write(folder.path())?;
                own
            }
        };
        send(&wallet, &own)?;
        told(&own.identity, &self.own.node)
    }
}

impl Rotate {
    fn run(self) -> Result<(), Failure> {
        let (folder, file) = (self.own.node.folder()?, wallet::key(&self.own.node)?);
        let wallet = wallet::open(&self.own.node, &file)?;
        let new_folder = Folder::open(self.new_data)?;
        let new_file = key_file::read(&new_folder.key())?;
        if new_file.network != file.network || new_file.public_key == file.public_key {
            return Err(Failure::input(
                "the new key is the old one, or of another network",
                "make a new data folder with `nelumbo node init`, on the same network",
            ));
        }
        let own = match Own::read(new_folder.path())? {
            // Interrupted before.
            Some(passed_on)
                if Own::read(folder.path())?.is_some_and(|own| own.identity.id == passed_on.identity.id) =>
            {
                passed_on
            }
            Some(_) => {
                return Err(Failure::input("the new node has an identity of its own", "choose another --new-data"));
            }
            None => {
                let own = Own::read(folder.path())?.ok_or_else(none)?;
                let mut identity = own.identity.read()?;
                if identity.current_key() != file.public_key {
                    return Err(Failure::input(
                        "the identity has been passed on to another key already",
                        "run it with the --data of the node that has that key",
                    ));
                }
                let (old, new) = (file.unlock(&self.own.passphrase)?, new_file.unlock(&self.own.passphrase)?);
                let (outpoint, transaction) =
                    burn(&wallet, &old, &new.public_key(), Purpose::Rotation.amount(), self.own.fee.rate)?;
                identity::rotate(&mut identity, outpoint, &old, &new);
                let transactions = own.transactions.into_iter().chain([encoded(&transaction)]).collect();
                let passed_on = Own { identity: Shown::new(&identity), transactions };
                passed_on.write(new_folder.path())?;
                passed_on
            }
        };
        send(&wallet, &own)?;
        // Only now: until here the old folder begins again.
        own.write(folder.path())?;
        told(&own.identity, &self.own.node)
    }
}

fn none() -> Failure {
    Failure::input("this node has no identity", "make one with `nelumbo identity register`")
}

fn told(identity: &Shown, node: &Running) -> Result<(), Failure> {
    if node.json {
        return output::json(identity);
    }
    let key = identity.read()?.current_key();
    output::table(&[("identity", identity.id.clone()), ("key", key.to_string()), ("burn", identity.burn.clone())])
}

/// What the chain says of an identity now.
fn judge(
    identity: &Identity,
    wallet: &Wallet,
) -> Result<Result<nelumbo_chain::identity::Verified, IdentityError>, Failure> {
    let mut verifier = BurnVerifier::new(wallet.client.clone(), []);
    match wallet.run(identity.verify(&mut verifier)) {
        Err(IdentityError::Burn { error: BurnError::Chronik(error), .. }) => {
            Err(Failure::unmet(&error, error.remedy()))
        }
        judged => Ok(judged),
    }
}

fn show(node: &Running) -> Result<(), Failure> {
    let own = Own::read(node.folder()?.path())?.ok_or_else(none)?;
    if node.json {
        return output::json(&own.identity);
    }
    let identity = own.identity.read()?;
    let wallet = wallet::open(node, &wallet::key(node)?)?;
    let mut rows = vec![("identity", own.identity.id), ("key", identity.current_key().to_string())];
    rows.extend(identity.claims().iter().map(|claim| ("burn", outpoint_text(&claim.outpoint))));
    match judge(&identity, &wallet)? {
        Ok(verified) => {
            rows.push(("burned", xpi(verified.burned)));
            rows.push(("counts", format!("yes, with {} confirmations", verified.confirmations)));
        }
        Err(error) => rows.push(("counts", format!("not now: {error}"))),
    }
    output::table(&rows)
}

impl Verify {
    fn run(self) -> Result<(), Failure> {
        let shown: Option<Shown> = identity::read(&self.file)?;
        let missing = || Failure::input(format_args!("there is no {}", self.file.display()), "name the right file");
        let shown = shown.ok_or_else(missing)?;
        let identity = shown.read()?;
        let folder = self.node.folder()?;
        let wallet = wallet::open(&self.node, &wallet::key(&self.node)?)?;
        let mut judged = Judged::read(folder.path())?;
        let key = self.key.map(|who| Contacts::read(folder.path())?.key(&who)).transpose()?;
        let verified = judge(&identity, &wallet)?;
        let verified = verified.map_err(|error| Failure::unmet(error, "it does not count now; ask its owner"))?;
        if let Some(key) = key.filter(|key| *key != verified.key) {
            return Err(Failure::unmet(
                format_args!("the identity belongs to {}, not to {key}", verified.key),
                "ask for the identity of this key",
            ));
        }
        judged.keep(folder.path(), &shown)?;
        if self.node.json {
            return output::json(&json!({
                "id": verified.id.to_string(), "key": verified.key, "burned": verified.burned,
                "confirmations": verified.confirmations,
            }));
        }
        output::table(&[
            ("identity", verified.id.to_string()),
            ("key", verified.key.to_string()),
            ("burned", xpi(verified.burned)),
            ("confirmations", verified.confirmations.to_string()),
        ])
    }
}
